"""A cohort as the two levels of rules that the Cohort Discovery agent takes: groups of rules, each joined by one word.

What a population says is taken apart until single rules are left. Brackets that are deeper than two levels, and anything
that the agent would count in another way, are refused with the part named.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from civicgrid.errors import PlanError
from civicgrid.omop.cdm import CDM
from civicgrid.query.cohort import Cohort
from civicgrid.query.nodes import (
    And,
    Arithmetic,
    Compare,
    DateAdd,
    DatePart,
    Events,
    Exists,
    InConceptSet,
    IsIn,
    Not,
    Or,
    PersonField,
    RowField,
    RunDate,
    Value,
    Where,
)

How = Literal["AND", "OR"]
Descendants = Callable[[int], frozenset[int]]

CATEGORIES = {
    "condition_occurrence": "Condition", "drug_exposure": "Drug", "measurement": "Measurement",
    "observation": "Observation", "procedure_occurrence": "Procedure", "specimen": "Specimen", "death": "Death",
}  # fmt: skip
PERSONAL = ("gender_concept_id", "race_concept_id", "ethnicity_concept_id")
MOST_RULES = 500
FAR = 999
"""An age that nobody has: the agent takes a range with both ends only."""


def refused(part: str) -> PlanError:
    """The error for a part that one of the two sides cannot say."""
    return PlanError(
        f"The Cohort Discovery agent and Civic Grid cannot both count this: it holds {part}. Leave that part out, or ask "
        "the sites that run a node."
    )


@dataclass(frozen=True)
class Rule:
    """One rule: a concept of a category, or an age (without a concept), with what else it asks for."""

    category: str
    concept: int | None
    included: bool = True
    values: tuple[float, float] | None = None
    time: str = ""
    modifiers: tuple[int, ...] = ()


@dataclass(frozen=True)
class Group:
    """Some rules, joined by one word."""

    how: How
    rules: tuple[Rule, ...]


@dataclass(frozen=True)
class _Joined:
    """Parts under one word; no part is joined by the same word."""

    how: How
    parts: tuple[_Joined | Rule, ...]


def groups_of(cohort: Cohort, today: dt.date, descendants: Descendants | None) -> tuple[How, tuple[Group, ...]]:
    """The groups of a cohort's population, and the word between them."""
    if cohort.source != "omop":
        raise refused("a research table; the agent reads OMOP only")
    tree = _Reader(today, descendants).read(cohort.population, True)
    if isinstance(tree, Rule):
        return "OR", (Group("AND", (tree,)),)
    if all(isinstance(part, Rule) for part in tree.parts):
        return "OR", (Group(tree.how, tuple(part for part in tree.parts if isinstance(part, Rule))),)
    groups: list[Group] = []
    for part in tree.parts:
        if isinstance(part, Rule):
            groups.append(Group("AND", (part,)))
            continue
        rules = tuple(each for each in part.parts if isinstance(each, Rule))
        if len(rules) != len(part.parts):
            raise refused("brackets within brackets within brackets, of which the agent takes two")
        groups.append(Group(part.how, rules))
    return tree.how, tuple(groups)


def _join(how: How, parts: Sequence[_Joined | Rule]) -> _Joined | Rule:
    flat: list[_Joined | Rule] = []
    for part in parts:
        flat += part.parts if isinstance(part, _Joined) and part.how == how else [part]
    if len(flat) > MOST_RULES:
        raise refused(f"more than {MOST_RULES} rules")
    return flat[0] if len(flat) == 1 else _Joined(how, tuple(flat))


class _Reader:
    def __init__(self, today: dt.date, descendants: Descendants | None) -> None:
        self.today, self.descendants = today, descendants

    def read(self, node: object, wanted: bool) -> _Joined | Rule:
        """The rules of a condition, or of its opposite where it is not `wanted`."""
        match node:
            case Not(part=part):
                return self.read(part, not wanted)
            case And(parts=parts) | Or(parts=parts):
                found: list[_Joined | Rule] = []
                if isinstance(node, And):
                    ages = [end for part in parts if (end := self._age_end(part)) is not None]
                    parts = tuple(part for part in parts if self._age_end(part) is None)
                    found += [self._age(ages, wanted)] if ages else []
                found += [self.read(part, wanted) for part in parts]
                return _join("AND" if isinstance(node, And) == wanted else "OR", found)
            case Compare() if (end := self._age_end(node)) is not None:
                return self._age([end], wanted)
            case Exists(frame=frame):
                rules = [replace(rule, included=wanted) for rule in self._events(frame)]
                return _join("OR" if wanted else "AND", rules)
            case Compare(op="==", left=PersonField(column=column), right=Value(of="int", value=value)):
                return self._person(column, (value,), wanted)
            case IsIn(part=PersonField(column=column), values=values):
                return self._person(column, [each.value for each in values], wanted)
        raise refused("a condition that is no concept, age, date or number of an event, nor of a person")

    def _person(self, column: str, values: Sequence[object], wanted: bool) -> _Joined | Rule:
        if column not in PERSONAL:
            raise refused(f"the column person.{column}")
        rules = [Rule("Person", value, wanted) for value in values if isinstance(value, int)]
        return _join("OR" if wanted else "AND", rules)

    def _age_end(self, node: object) -> tuple[str, int] | None:
        """One end of an age: this year less the year of birth, against a whole number. None for any other condition."""
        match node:
            case Compare(
                op=(">=" | "<=") as op,
                left=Arithmetic(op="-", left=year, right=PersonField(column="year_of_birth")),
                right=Value(of="int", value=int() as value),
            ) if self._this_year(year):
                return op, value
        return None

    def _this_year(self, node: object) -> bool:
        match node:
            case Value(of="int", value=year):
                return year == self.today.year
            case DatePart(part="year", date=RunDate(day=day)):
                return day[:4] == f"{self.today.year}"
        return False

    def _age(self, ends: Sequence[tuple[str, int]], wanted: bool) -> Rule:
        if not wanted:
            # The agent reads such a rule as if it were included.
            raise refused("an age that is excluded")
        found = dict(ends)
        if len(found) != len(ends):
            raise refused("two bounds on an age to the same side")
        return Rule("Person", None, values=(found.get(">=", -FAR), found.get("<=", FAR)))

    def _events(self, frame: object) -> list[Rule]:
        conditions: list[object] = []
        while isinstance(frame, Where):
            conditions += frame.condition.parts if isinstance(frame.condition, And) else [frame.condition]
            frame = frame.source
        if not isinstance(frame, Events) or frame.table not in CATEGORIES:
            raise refused("events that are chosen in another way than by conditions on a table that the agent knows")
        rule = Rule(CATEGORIES[frame.table], None)
        concepts: frozenset[int] | None = None
        ends: dict[str, float] = {}
        for condition in reversed(conditions):
            match condition:
                case IsIn(part=RowField(column=column), values=values) if column == CDM[frame.table].concept:
                    concepts = _both(concepts, frozenset(each.value for each in values if isinstance(each.value, int)))
                case InConceptSet(part=RowField(column=column)) if column == CDM[frame.table].concept:
                    concepts = _both(concepts, self._members(condition))
                case Compare(op="==", left=RowField(column=column), right=Value(of="int", value=int() as value)) if (
                    column == CDM[frame.table].concept
                ):
                    concepts = _both(concepts, frozenset({value}))
                case IsIn(part=RowField(column="condition_type_concept_id"), values=values) if not rule.modifiers:
                    rule = replace(rule, modifiers=tuple(each.value for each in values if isinstance(each.value, int)))
                case Compare(
                    op=(">=" | "<=") as op,
                    left=RowField(column="value_as_number"),
                    right=Value(value=int() | float() as end),
                ) if op not in ends:
                    ends[op] = float(end)
                case Compare() if not rule.time:
                    rule = replace(rule, time=self._time(condition, CDM[frame.table].start))
                case _:
                    raise refused(f"a condition on {frame.table} that is no concept, type, number, age or time")
        if not concepts:
            raise refused(f"events of {frame.table} without a concept")
        if ends:
            if set(ends) != {">=", "<="} or frame.table not in ("measurement", "observation"):
                raise refused("a number without both of its ends")
            rule = replace(rule, values=(ends[">="], ends["<="]))
        return [replace(rule, concept=concept) for concept in sorted(concepts)]

    def _members(self, node: InConceptSet) -> frozenset[int]:
        entries = node.concepts.concepts
        if any(entry.descendants for entry in entries) and self.descendants is None:
            raise refused("a concept set with descendants, which the agent does not look up")

        def members(excluded: bool) -> frozenset[int]:
            found: set[int] = set()
            for entry in entries:
                if entry.excluded == excluded:
                    below = self.descendants(entry.id) if entry.descendants and self.descendants else frozenset[int]()
                    found |= {entry.id} | below
            return frozenset(found)

        return members(False) - members(True)

    def _time(self, node: Compare, start: str | None) -> str:
        match node:
            case Compare(
                op=(">=" | "<=") as op,
                left=Arithmetic(
                    op="-",
                    left=DatePart(part="year", date=RowField(column=column)),
                    right=PersonField(column="year_of_birth"),
                ),
                right=Value(of="int", value=int() as years),
            ) if column == start and years >= 0:
                return f"{years}|:AGE:Y" if op == ">=" else f"|{years}:AGE:Y"
            case Compare(
                op=(">=" | "<=") as op,
                left=RowField(column=column),
                right=DateAdd(date=RunDate(day=day), amount=Value(value=int() as amount), unit="months"),
            ) if column == start and amount < 0 and day == self.today.isoformat():
                return f"|{-amount}:TIME:M" if op == ">=" else f"{-amount}|:TIME:M"
        raise refused(
            "a date or an age that is not in whole months before today, or the year of the event less the year of birth"
        )


def _both(known: frozenset[int] | None, new: frozenset[int]) -> frozenset[int]:
    return new if known is None else known & new
