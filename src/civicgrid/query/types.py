"""The types that a column can have, and the schema of a table.

A column's type carries what may be known about it before any record is read: the levels of a category, the
plausible range of a number. Both come from the plan, the data dictionary or the concept set, never from what
a site holds, so that nothing about a site's records shows in them.
"""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from civicgrid.canonical import Node
from civicgrid.errors import PlanError

Kind = Literal["bool", "int", "float", "category", "date"]

MAX_LEVELS = 1000


class ColumnType(Node):
    """What a column may hold: its kind, for a category its levels in order, for a number its public range."""

    kind: Kind
    levels: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None

    @model_validator(mode="after")
    def _check(self) -> ColumnType:
        if self.levels and self.kind != "category":
            raise PlanError(f"Only a category has levels; this column is {self.kind}. Leave the levels out.")
        if len(set(self.levels)) != len(self.levels):
            raise PlanError("Expected each level of a category once; one is listed twice.")
        if len(self.levels) > MAX_LEVELS:
            raise PlanError(
                f"Expected at most {MAX_LEVELS} levels; {len(self.levels)} came. Group them first."
            )
        if (self.low is None) != (self.high is None):
            raise PlanError("A range needs both ends: give low and high, or neither.")
        if self.low is not None and self.high is not None:
            if self.kind not in ("int", "float"):
                raise PlanError(
                    f"Only a number has a range; this column is {self.kind}. Leave the range out."
                )
            if not self.low < self.high:
                raise PlanError(f"Expected low < high; {self.low} and {self.high} came.")
        return self

    @property
    def numeric(self) -> bool:
        return self.kind in ("int", "float")

    def words(self) -> str:
        """The type as a panel member reads it."""
        if self.kind == "category":
            return "one of " + ", ".join(self.levels) if self.levels else "a category"
        name = {"bool": "yes or no", "int": "a whole number", "float": "a number", "date": "a date"}[
            self.kind
        ]
        return name if self.low is None else f"{name} from {self.low:g} to {self.high:g}"


BOOL = ColumnType(kind="bool")
INT = ColumnType(kind="int")
FLOAT = ColumnType(kind="float")
DATE = ColumnType(kind="date")


def category(*levels: str) -> ColumnType:
    """The type of a category with these levels in this order; the first is a model's reference level."""
    return ColumnType(kind="category", levels=tuple(levels))


class Column(Node):
    """A name and a type: one entry of a table's schema."""

    name: str
    type: ColumnType


class Schema(Node):
    """The columns of a table, in order."""

    columns: tuple[Column, ...]

    def __contains__(self, name: str) -> bool:
        return any(column.name == name for column in self.columns)

    def __getitem__(self, name: str) -> ColumnType:
        for column in self.columns:
            if column.name == name:
                return column.type
        have = ", ".join(column.name for column in self.columns) or "none"
        raise PlanError(f"There is no column {name!r}. The table has: {have}.")

    @classmethod
    def of(cls, types: dict[str, ColumnType]) -> Schema:
        """A schema from names and types, in their order."""
        return cls(columns=tuple(Column(name=name, type=type_) for name, type_ in types.items()))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)
