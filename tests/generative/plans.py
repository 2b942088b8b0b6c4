"""Random data and random cohorts, every kind of node among them.

Both grow from a seed that Hypothesis draws, rather than choice by choice: its own small choices rarely reach a deep plan.
"""

from __future__ import annotations

import datetime as dt
import random
from typing import Any

from hypothesis import strategies as st

from civicgrid.errors import PlanError
from civicgrid.query import nodes as n
from civicgrid.query.cohort import Cohort, OutputColumn

from .evaluator import Data

EPOCH = dt.date(2019, 12, 1)
CONCEPTS = (1, 2, 3, 4, 5)
TEXTS = ("a", "it's", 'quote"', "x; DROP TABLE person --", "ü")
FIELDS = {
    "drug_exposure": {
        "int": ("drug_exposure_id", "drug_concept_id", "days_supply", "refills"), "float": ("quantity",),
        "date": ("drug_exposure_start_date", "drug_exposure_end_date"), "text": ("stop_reason",),
    },
    "condition_occurrence": {
        "int": ("condition_occurrence_id", "condition_concept_id"), "float": (),
        "date": ("condition_start_date", "condition_end_date"), "text": ("stop_reason",),
    },
    "observation_period": {
        "int": ("observation_period_id",), "float": (), "text": (),
        "date": ("observation_period_start_date", "observation_period_end_date"),
    },
    "death": {"int": ("cause_concept_id",), "float": (), "date": ("death_date",), "text": ("cause_source_value",)},
}
PERSON = {"int": ("year_of_birth", "month_of_birth", "gender_concept_id"), "text": ("gender_source_value",)}



def some(kind: str, rng: random.Random) -> Any:
    """A value of this kind, never missing."""
    if kind == "date":
        return EPOCH + dt.timedelta(days=rng.randint(0, 120))
    if kind == "text":
        return rng.choice(TEXTS)
    return rng.randint(-8, 40) / 4 if kind == "float" else rng.randint(0, 60)


def rows_of(table: str, persons: int, rng: random.Random) -> list[dict[str, Any]]:
    rows = []
    for index in range(rng.randint(0, 4 * persons)):
        row: dict[str, Any] = {"person_number": rng.randrange(persons)}
        for kind, names in FIELDS[table].items():
            for name in names:
                value = rng.choice(CONCEPTS) if name.endswith("concept_id") else some(kind, rng)
                row[name] = None if rng.random() < 0.15 else value
        if f"{table}_id" in row:
            row[f"{table}_id"] = index
        rows.append(row)
    return rows


def people(seed: int, persons: int) -> Data:
    """Persons with a few rows in each table."""
    rng = random.Random(seed)
    tables: Data = {"person": [
        {
            "person_number": number, "year_of_birth": rng.choice([None, 0, 1960, 1980, 2000]),
            "month_of_birth": rng.choice([None, 1, 2, 12, 13]), "day_of_birth": rng.choice([None, 1, 15, 29, 31]),
            "gender_concept_id": rng.choice([None, 8507, 8532, 0]),
            "gender_source_value": rng.choice([None, *TEXTS]),
        }
        for number in range(persons)
    ]}
    for table in FIELDS:
        tables[table] = rows_of(table, persons, rng)
    pairs = {(rng.choice(CONCEPTS), rng.choice(CONCEPTS)) for _ in range(rng.randint(0, 6))}
    tables["concept_ancestor"] = [
        {"ancestor_concept_id": above, "descendant_concept_id": below} for above, below in sorted(pairs)]
    return tables


class Maker:
    """Draws series of a wanted kind; `table` is the event table whose rows are at hand, or None."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.run_date = some("date", self.rng).isoformat()

    def pick(self, *options: Any) -> Any:
        return self.rng.choice(options)

    def number(self, low: int, high: int) -> int:
        return self.rng.randint(low, high)

    def coin(self) -> bool:
        return self.rng.random() < 0.5

    def series(self, kind: str, table: str | None, depth: int) -> Any:
        options = ["leaf"] if depth <= 0 else ["leaf", *MAKERS[kind]]
        return getattr(self, self.pick(*options))(kind, table, depth - 1)

    # --- leaves

    def leaf(self, kind: str, table: str | None, depth: int) -> Any:
        names = FIELDS[table].get(kind, ()) if table else ()
        if names and self.number(0, 3):
            return n.RowField(table=table, column=self.pick(*names))
        if kind in PERSON and self.coin():
            return n.PersonField(column=self.pick(*PERSON[kind]))
        if kind == "date" and self.coin():
            return self.pick(n.BirthDate(), n.RunDate(day=self.run_date))
        return self.constant(kind)

    def constant(self, kind: str) -> Any:
        if kind == "bool":
            return n.Value(of="bool", value=self.coin())
        if kind == "category":
            arm = n.When(condition=n.IsNull(part=n.BirthDate()), then=n.Value(of="text", value="no"))
            return n.Case(whens=(arm,), otherwise=n.Value(of="text", value=self.pick(*TEXTS)))
        value = some(kind, self.rng)
        return n.Value(of=kind, value=value.isoformat() if kind == "date" else value)

    # --- yes or no

    def logic(self, kind: str, table: str | None, depth: int) -> Any:
        parts = tuple(self.series("bool", table, depth) for _ in range(self.number(2, 3)))
        return self.pick(n.And, n.Or)(parts=parts)

    def negated(self, kind: str, table: str | None, depth: int) -> Any:
        return n.Not(part=self.series("bool", table, depth))

    def is_null(self, kind: str, table: str | None, depth: int) -> Any:
        return n.IsNull(part=self.series(self.pick("bool", "int", "float", "date", "text", "category"), table, depth))

    def compare(self, kind: str, table: str | None, depth: int) -> Any:
        of = self.pick("int", "float", "date", "text", "bool")
        other = self.pick("int", "float") if of in ("int", "float") else of
        ops = ("==", "!=", "<", "<=", ">", ">=") if of in ("int", "float", "date") else ("==", "!=")
        left, right = self.series(of, table, depth), self.series(other, table, depth)
        return n.Compare(op=self.pick(*ops), left=left, right=right)

    def is_in(self, kind: str, table: str | None, depth: int) -> Any:
        of = self.pick("int", "date", "text")
        values = tuple(self.constant(of) for _ in range(self.number(1, 3)))
        return n.IsIn(part=self.series(of, table, depth), values=values)

    def in_set(self, kind: str, table: str | None, depth: int) -> Any:
        first = n.Concept(id=self.pick(*CONCEPTS), descendants=self.coin())
        others = tuple(
            n.Concept(id=self.pick(*CONCEPTS), descendants=self.coin(), excluded=self.coin())
            for _ in range(self.number(0, 2)))
        every = n.ConceptSet(name=self.pick(*TEXTS), concepts=(first, *others))
        return n.InConceptSet(part=self.series("int", table, depth), concepts=every)

    def exists(self, kind: str, table: str | None, depth: int) -> Any:
        return n.Exists(frame=self.frame(depth))

    # --- choices

    def case(self, kind: str, table: str | None, depth: int) -> Any:
        def value() -> Any:
            return n.Value(of="text", value=self.pick(*TEXTS)) if kind == "category" else self.series(kind, table, depth)

        whens = tuple(
            n.When(condition=self.series("bool", table, depth), then=value()) for _ in range(self.number(1, 2)))
        return n.Case(whens=whens, otherwise=value() if self.coin() else None)

    def if_null(self, kind: str, table: str | None, depth: int) -> Any:
        return n.IfNull(part=self.series(kind, table, depth), otherwise=self.series(kind, table, depth))

    def to_category(self, kind: str, table: str | None, depth: int) -> Any:
        of = self.pick("int", "text", "bool")
        values = {constant.value: constant for constant in (self.constant(of), self.constant(of))}
        lines = tuple(n.Level(value=value, level=self.pick(*TEXTS)) for value in values.values())
        otherwise = self.pick(None, "rest")
        return n.ToCategory(part=self.series(of, table, depth), levels=lines, otherwise=otherwise)

    # --- numbers and dates

    def arithmetic(self, kind: str, table: str | None, depth: int) -> Any:
        of = kind if kind == "int" else self.pick("int", "float")
        op = self.pick("+", "-", "*") if kind == "int" else self.pick("+", "-", "*", "/")
        left = self.series(kind, table, depth)
        right = self.constant(of) if op == "*" else self.series(of, table, depth)
        return n.Arithmetic(op=op, left=left, right=right)

    def convert(self, kind: str, table: str | None, depth: int) -> Any:
        return n.Convert(part=self.series(self.pick("bool", "int", "float"), table, depth), to=kind)

    def date_add(self, kind: str, table: str | None, depth: int) -> Any:
        amount = n.Value(of="int", value=self.number(-40, 40))
        if table == "drug_exposure" and self.coin():
            amount = n.RowField(table=table, column="days_supply")
        return n.DateAdd(date=self.series("date", table, depth), amount=amount, unit=self.pick("days", "months", "years"))

    def difference(self, kind: str, table: str | None, depth: int) -> Any:
        start, end = self.series("date", table, depth), self.series("date", table, depth)
        return n.DateDifference(start=start, end=end, unit=self.pick("days", "months", "years"))

    def date_part(self, kind: str, table: str | None, depth: int) -> Any:
        return n.DatePart(part=self.pick("year", "month", "day"), date=self.series("date", table, depth))

    def extreme(self, kind: str, table: str | None, depth: int) -> Any:
        parts = tuple(self.series(kind, table, depth) for _ in range(self.number(2, 3)))
        return n.Extreme(which=self.pick("smallest", "largest"), parts=parts)

    # --- frames

    def frame(self, depth: int, table: str | None = None) -> Any:
        made: Any = n.Events(table=table or self.pick(*FIELDS))
        for _ in range(self.number(0, 2)):
            how = self.pick("where", "where", "except", "washout")
            if how == "washout":
                days = self.number(1, 60)
                made = n.Washout(source=made, days=days, observed=self.coin())
            else:
                condition = self.series("bool", made.table, depth)
                made = (n.Where if how == "where" else n.ExceptWhere)(source=made, condition=condition)
        return made

    def picked(self, kind: str, table: str | None, depth: int) -> Any:
        fitting = [name for name, kinds in FIELDS.items() if kinds.get(kind)]
        frame = self.frame(depth, self.pick(*fitting))
        by = tuple(
            self.series(self.pick("int", "date"), frame.table, depth) for _ in range(self.number(1, 2)))
        pick = n.Pick(source=frame, by=by, position=self.pick("first", "last"))
        return n.PickField(frame=pick, column=self.pick(*FIELDS[frame.table][kind]))

    def count(self, kind: str, table: str | None, depth: int) -> Any:
        return n.CountRows(frame=self.frame(depth))

    def aggregate(self, kind: str, table: str | None, depth: int) -> Any:
        if kind == "int" and self.coin():
            frame = self.frame(depth)
            of = self.pick("int", "date")
            return n.Aggregate(how="count_distinct", frame=frame, of=self.of_rows(of, frame.table, depth))
        frame = self.frame(depth, "drug_exposure")
        ways = {"int": ("sum", "min", "max"), "float": ("sum", "mean", "min", "max"), "date": ("min", "max")}
        how = self.pick(*ways[kind])
        of = self.pick("int", "float") if how == "mean" else kind
        return n.Aggregate(how=how, frame=frame, of=self.of_rows(of, frame.table, depth))

    def of_rows(self, kind: str, table: str, depth: int) -> Any:
        made = self.series(kind, table, depth)
        if made.rows_of == table:
            return made
        return n.RowField(table=table, column=self.pick(*FIELDS[table][kind]))

    def followed(self, kind: str, table: str | None, depth: int) -> Any:
        part = {"bool": "event", "int": "days", "category": "reason", "date": "end"}[kind]
        start, event, *ends = (self.series("date", None, depth) for _ in range(5))
        death, observed, until = (end if self.coin() else None for end in ends)
        none = death is None and observed is None and until is None
        most = self.number(1, 90) if none else self.pick(None, 30)
        plan = n.FollowUp(
            start=start, event=event, death=death, observed_until=observed, until=until, max_days=most,
            first_day=self.pick(0, 1, 7))
        return n.FollowUpField(follow_up=plan, part=part)


MAKERS = {
    "bool": ("logic", "logic", "negated", "is_null", "compare", "compare", "is_in", "in_set", "exists", "case", "if_null",
             "followed"),
    "int": ("arithmetic", "convert", "difference", "date_part", "count", "aggregate", "picked", "case", "if_null",
            "extreme", "followed"),
    "float": ("arithmetic", "convert", "aggregate", "picked", "case", "if_null", "extreme"),
    "date": ("date_add", "aggregate", "picked", "case", "if_null", "extreme", "followed"),
    "text": ("picked",),
    "category": ("case", "to_category", "to_category", "followed"),
}


def any_cohort(seed: int, depth: int) -> Cohort:
    """A cohort of any shape over the OMOP tables."""
    make = Maker(seed)
    everyone = n.Value(of="bool", value=True)
    while True:
        try:
            population = make.series("bool", None, depth) if make.coin() else everyone
            columns = tuple(
                OutputColumn(name=f"{kind}_{index}", series=make.series(kind, None, depth))
                for index, kind in enumerate(make.rng.choices(KINDS, k=make.number(1, 5))))
            return Cohort(dataset="d", population=population, columns=columns)
        except PlanError as error:
            if "nested too deeply" not in str(error):
                raise


KINDS = ("bool", "int", "float", "date", "category")

data = st.builds(people, st.integers(0, 2**32), st.integers(1, 6))
cohorts = st.builds(any_cohort, st.integers(0, 2**32), st.integers(0, 4))
