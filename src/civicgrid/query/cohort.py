"""A cohort: a population and its named columns, the thing that a study is run on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Literal

from civicgrid.canonical import MAX_BYTES
from civicgrid.errors import PlanError
from civicgrid.query.kinds import expect
from civicgrid.query.nodes import (
    BirthDate,
    Events,
    PersonField,
    PlanNode,
    RecordField,
    RunDate,
    Series,
    Value,
    walk,
)
from civicgrid.query.rules import printable
from civicgrid.query.types import Column, ColumnType, Schema

COLUMN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")


class OutputColumn(PlanNode):
    """A named column of a cohort. A number may declare the range to expect; its values are not changed by it."""

    name: str
    series: Series
    low: float | None = None
    high: float | None = None

    def check(self) -> None:
        if not COLUMN_NAME.fullmatch(self.name):
            raise PlanError(
                f"Expected a column name of 1 to 63 letters, digits and _; {self.name!r} came. Rename it."
            )
        if self.series.rows_of is not None:
            raise PlanError(
                f"Column {self.name!r} has many values a person: the rows of {self.series.rows_of}. "
                "Use first_for_person(), exists_for_person(), count_for_person() or an aggregate."
            )
        if self.series.returns.kind == "text":
            raise PlanError(
                f"Column {self.name!r} is text, which cannot leave. Use to_category({{value: level}})."
            )
        if self.series.returns.kind == "category" and not self.series.returns.levels:
            raise PlanError(
                f"Column {self.name!r} is text: a category without levels. Declare them in the data dictionary; write "
                "dates as 2020-12-31 and decimals with a point."
            )
        _ = self.type

    @property
    def type(self) -> ColumnType:
        came = self.series.returns
        if came.kind == "text":
            raise AssertionError("a text column was refused when it was built")
        if self.low is not None or self.high is not None:
            return ColumnType(kind=came.kind, levels=came.levels, low=self.low, high=self.high)
        if isinstance(self.series, RecordField):
            return self.series.type
        return ColumnType(kind=came.kind, levels=came.levels)


class Cohort(PlanNode):
    """A population and its columns, over the OMOP tables of a data set or over its research table."""

    kind: Literal["cohort"] = "cohort"
    dataset: str
    source: Literal["omop", "records"] = "omop"
    population: Series
    columns: tuple[OutputColumn, ...] = ()

    def check(self) -> None:
        printable("a data set's name", self.dataset)
        expect(
            "A population", self.population.returns, ("bool",), "Give a comparison, or exists_for_person()."
        )
        if self.population.rows_of is not None:
            raise PlanError(
                "A population needs one answer for each person. Use exists_for_person() on the frame."
            )
        names = [column.name for column in self.columns]
        lowered = [name.lower() for name in names]
        if len(set(lowered)) != len(lowered):
            raise PlanError(
                "Expected each column name once (capitals do not count); one came twice. Rename it."
            )
        if "person_number" in lowered:
            raise PlanError("The column name person_number is taken. Choose another.")
        declared: dict[str, ColumnType] = {}
        for node in walk(self):
            foreign = (
                isinstance(node, RecordField)
                if self.source == "omop"
                else isinstance(node, Events | PersonField | BirthDate)
            )
            if foreign:
                raise PlanError(
                    "A cohort reads either OMOP tables or a research table, not both. Write two cohorts."
                )

            if isinstance(node, RecordField) and declared.setdefault(node.column, node.type) != node.type:
                raise PlanError(f"The column {node.column!r} is declared in two ways. Use one schema.")
        days = {node.day for node in walk(self) if isinstance(node, RunDate)}
        if len(days) > 1:
            raise PlanError(
                f"A run is for one day; this cohort has run_date() with {' and '.join(sorted(days))}. Write the day once "
                "and reach the others from it, as in run_date(day) - months(12)."
            )
        size = len(self.canonical())
        if size > MAX_BYTES:
            raise PlanError(f"Expected a plan of at most {MAX_BYTES:,} bytes; this one has {size:,}. Make it smaller.")

    @cached_property
    def run_date(self) -> str | None:
        """The day that the run is for, where the cohort names one."""
        return next((node.day for node in walk(self) if isinstance(node, RunDate)), None)

    @property
    def schema(self) -> Schema:  # type: ignore[override]  # pydantic's `schema` is deprecated and unused
        return Schema(columns=tuple(Column(name=column.name, type=column.type) for column in self.columns))


def whole_table(dataset: str, schema: Schema, names: Sequence[str]) -> Cohort:
    """Everyone in a research table with these of its columns, as the schema declares them."""
    columns = tuple(
        OutputColumn(name=name, series=RecordField(column=name, type=schema[name])) for name in names
    )
    everyone = Value(of="bool", value=True)
    return Cohort(dataset=dataset, source="records", population=everyone, columns=columns)
