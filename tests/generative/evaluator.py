"""The second opinion on what a cohort means: plain Python over lists of dictionaries, written without SQL.

`Data` holds the rows of the CDM tables by name, each a dictionary with `person_number`, and for a research table the
rows of `records`. Missing is None everywhere. Slow, small and meant to be read beside the docstrings of `query.nodes`.
"""

from __future__ import annotations

import calendar
import datetime as dt
import math
from typing import Any

from civicgrid.omop.cdm import CDM
from civicgrid.query import nodes
from civicgrid.query.cohort import Cohort

Row = dict[str, Any]
Data = dict[str, list[Row]]


def evaluate(cohort: Cohort, data: Data) -> list[Row]:
    """One dictionary for each person of the population, in the order of the person numbers."""
    base = "person" if cohort.source == "omop" else "records"
    answers = []
    for me in sorted(data[base], key=lambda row: row["person_number"]):
        person = Person(me, data)
        if person.value(cohort.population) is True:
            answers.append({column.name: person.value(column.series) for column in cohort.columns})
    return answers


class Person:
    """One person's records, and the value of any series for them."""

    def __init__(self, me: Row, data: Data) -> None:
        self.me, self.data = me, data

    def value(self, node: Any, row: Row | None = None) -> Any:
        return getattr(self, "on_" + type(node).__name__)(node, row)

    def rows(self, frame: Any) -> list[Row]:
        if isinstance(frame, nodes.Events):
            number = self.me["person_number"]
            return [row for row in self.data.get(frame.table, []) if row["person_number"] == number]
        before = self.rows(frame.source)
        if isinstance(frame, nodes.Where):
            return [row for row in before if self.value(frame.condition, row) is True]
        if isinstance(frame, nodes.ExceptWhere):
            return [row for row in before if self.value(frame.condition, row) is not True]
        date = CDM[frame.table].start
        kept = []
        for row in before:
            day = row[date]
            if day is None:
                continue
            start = day - dt.timedelta(days=frame.days)
            clear = not any(other[date] is not None and start <= other[date] < day for other in before)
            seen = any(
                period["observation_period_start_date"] is not None
                and period["observation_period_end_date"] is not None
                and period["observation_period_start_date"] <= start
                and period["observation_period_end_date"] >= day
                for period in self.rows(nodes.Events(table="observation_period"))
            ) if frame.observed else True
            if clear and seen:
                kept.append(row)
        return kept

    def on_Value(self, node: nodes.Value, row: Row | None) -> Any:
        if node.of == "date":
            return dt.date.fromisoformat(node.value)
        return float(node.value) if node.of == "float" else node.value

    def on_RunDate(self, node: nodes.RunDate, row: Row | None) -> Any:
        return dt.date.fromisoformat(node.day)

    def on_RowField(self, node: nodes.RowField, row: Row) -> Any:
        return row[node.column]

    def on_PersonField(self, node: nodes.PersonField, row: Row | None) -> Any:
        return self.me[node.column]

    def on_BirthDate(self, node: nodes.BirthDate, row: Row | None) -> Any:
        year, month, day = (self.me[f"{part}_of_birth"] for part in ("year", "month", "day"))
        if year is None or not 1 <= year <= 9998:
            return None
        if month is None or not 1 <= month <= 12:
            return dt.date(year, 7, 1)
        if day is None or not 1 <= day <= 31:
            day = 15
        return dt.date(year, month, 1) + dt.timedelta(days=day - 1)

    def on_RecordField(self, node: nodes.RecordField, row: Row | None) -> Any:
        value = self.me[node.column]
        return None if node.type.levels and value not in node.type.levels else value

    def on_PickField(self, node: nodes.PickField, row: Row | None) -> Any:
        picked = self.pick(node.frame)
        return None if picked is None else picked[node.column]

    def pick(self, frame: nodes.Pick) -> Row | None:
        best: list[Row] = self.rows(frame.source)
        keys = [lambda each, key=key: self.value(key, each) for key in frame.by]
        table = CDM[frame.table]
        ties = [table.primary_key] if table.primary_key else [
            column.name for column in table.columns if column.name != "person_id"]
        keys += [lambda each, name=name: each.get(name) for name in ties]
        for key in keys:
            known = [value for value in map(key, best) if value is not None]
            if known:
                wanted = min(known) if frame.position == "first" else max(known)
                best = [each for each in best if key(each) == wanted]
        return best[0] if best else None

    def on_And(self, node: nodes.And, row: Row | None) -> Any:
        values = [self.value(part, row) for part in node.parts]
        return False if False in values else None if None in values else True

    def on_Or(self, node: nodes.Or, row: Row | None) -> Any:
        values = [self.value(part, row) for part in node.parts]
        return True if True in values else None if None in values else False

    def on_Not(self, node: nodes.Not, row: Row | None) -> Any:
        value = self.value(node.part, row)
        return None if value is None else not value

    def on_IsNull(self, node: nodes.IsNull, row: Row | None) -> Any:
        return self.value(node.part, row) is None

    def on_Compare(self, node: nodes.Compare, row: Row | None) -> Any:
        left, right = self.value(node.left, row), self.value(node.right, row)
        if left is None or right is None:
            return None
        if node.op in ("==", "!="):
            return (left == right) is (node.op == "==")
        less = left < right
        return {"<": less, "<=": less or left == right, ">": not less and left != right, ">=": not less}[node.op]

    def on_IsIn(self, node: nodes.IsIn, row: Row | None) -> Any:
        value = self.value(node.part, row)
        return None if value is None else value in [self.value(each) for each in node.values]

    def on_InConceptSet(self, node: nodes.InConceptSet, row: Row | None) -> Any:
        value = self.value(node.part, row)
        return None if value is None else self.holds(node.concepts, value)

    def holds(self, concepts: nodes.ConceptSet, value: int) -> bool:
        def matches(one: nodes.Concept) -> bool:
            return one.id == value or (one.descendants and any(
                pair["ancestor_concept_id"] == one.id and pair["descendant_concept_id"] == value
                for pair in self.data.get("concept_ancestor", [])))

        hits = [one for one in concepts.concepts if matches(one)]
        return bool(hits) and not any(one.excluded for one in hits)

    def on_Case(self, node: nodes.Case, row: Row | None) -> Any:
        for when in node.whens:
            if self.value(when.condition, row) is True:
                return self.value(when.then, row)
        return None if node.otherwise is None else self.value(node.otherwise, row)

    def on_IfNull(self, node: nodes.IfNull, row: Row | None) -> Any:
        value = self.value(node.part, row)
        return self.value(node.otherwise, row) if value is None else value

    def on_ToCategory(self, node: nodes.ToCategory, row: Row | None) -> Any:
        value = self.value(node.part, row)
        found = [line.level for line in node.levels if value is not None and line.value.value == value]
        return found[0] if found else node.otherwise

    def on_Arithmetic(self, node: nodes.Arithmetic, row: Row | None) -> Any:
        left, right = self.value(node.left, row), self.value(node.right, row)
        if left is None or right is None:
            return None
        if node.op == "/":
            return None if right == 0 else left / right
        result = {"+": left + right, "-": left - right, "*": left * right}[node.op]
        # A whole number beyond 64 bits is missing.
        return None if isinstance(result, int) and not -(2**63) <= result < 2**63 else result

    def on_Convert(self, node: nodes.Convert, row: Row | None) -> Any:
        value = self.value(node.part, row)
        if value is None:
            return None
        return math.floor(value) if node.to == "int" else float(value)

    def on_DateAdd(self, node: nodes.DateAdd, row: Row | None) -> Any:
        date, amount = self.value(node.date, row), self.value(node.amount, row)
        if date is None or amount is None:
            return None
        if abs(amount) >= {"days": 10**7, "months": 10**6, "years": 10**5}[node.unit]:
            return None
        if node.unit == "days":
            return date + dt.timedelta(days=amount)
        count = date.year * 12 + date.month - 1 + amount * (12 if node.unit == "years" else 1)
        year, month = divmod(count, 12)
        return dt.date(year, month + 1, min(date.day, calendar.monthrange(year, month + 1)[1]))

    def on_DateDifference(self, node: nodes.DateDifference, row: Row | None) -> Any:
        start, end = self.value(node.start, row), self.value(node.end, row)
        if start is None or end is None:
            return None
        if node.unit == "days":
            return (end - start).days
        months = (end.year - start.year) * 12 + end.month - start.month - (end.day < start.day)
        return months if node.unit == "months" else months // 12

    def on_DatePart(self, node: nodes.DatePart, row: Row | None) -> Any:
        date = self.value(node.date, row)
        return None if date is None else getattr(date, node.part)

    def on_Extreme(self, node: nodes.Extreme, row: Row | None) -> Any:
        known = [value for value in (self.value(part, row) for part in node.parts) if value is not None]
        return (min(known) if node.which == "smallest" else max(known)) if known else None

    def on_Exists(self, node: nodes.Exists, row: Row | None) -> Any:
        return len(self.rows(node.frame)) > 0

    def on_CountRows(self, node: nodes.CountRows, row: Row | None) -> Any:
        return len(self.rows(node.frame))

    def on_Aggregate(self, node: nodes.Aggregate, row: Row | None) -> Any:
        every = [self.value(node.of, each) for each in self.rows(node.frame)]
        known = [value for value in every if value is not None]
        if node.how == "count_distinct":
            return len(set(known))
        if not known:
            return None
        if node.how == "mean":
            return sum(known) / len(known)
        return {"sum": sum, "min": min, "max": max}[node.how](known)

    def on_FollowUpField(self, node: nodes.FollowUpField, row: Row | None) -> Any:
        plan = node.follow_up
        start, event = self.value(plan.start), self.value(plan.event)
        if start is None:
            return None
        limits = {}
        for reason, series in (("death", plan.death), ("end of observation", plan.observed_until),
                               ("end of study", plan.until)):
            if series is not None and self.value(series) is not None:
                limits[reason] = self.value(series)
        if plan.observed_until is not None and "end of observation" not in limits:
            return None
        if plan.max_days is not None:
            limits["end of follow-up"] = start + dt.timedelta(days=plan.max_days)
        last = min(limits.values()) if limits else None
        if last is not None and last < start:
            return None
        if event is not None and (event - start).days < plan.first_day:
            event = None
        happened = event is not None and (last is None or event <= last)
        end = event if happened else last
        if end is None:
            return None
        if node.part == "reason":
            return "event" if happened else next(reason for reason, day in limits.items() if day == last)
        return {"days": (end - start).days, "event": happened, "end": end}[node.part]
