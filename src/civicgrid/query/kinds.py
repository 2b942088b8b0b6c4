"""What kind of value a series holds, and the rules for putting two series together.

A column of a finished cohort has one of the kinds of `query.types`. While an expression is being built there
is one more, text: an OMOP source value, say. It can be compared and sorted into a category, but cannot leave
as it stands.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from civicgrid.errors import PlanError

SeriesKind = Literal["bool", "int", "float", "category", "date", "text"]

WORDS: dict[SeriesKind, str] = {
    "bool": "yes or no",
    "int": "a whole number",
    "float": "a number",
    "category": "a category",
    "date": "a date",
    "text": "text",
}

NUMERIC = ("int", "float")
ORDERED = ("int", "float", "date")


@dataclass(frozen=True)
class SeriesType:
    """A kind and, for a category, its levels in order."""

    kind: SeriesKind
    levels: tuple[str, ...] = ()

    @property
    def numeric(self) -> bool:
        return self.kind in NUMERIC

    def words(self) -> str:
        if self.kind == "category" and self.levels:
            return "a category (" + ", ".join(self.levels) + ")"
        return WORDS[self.kind]


def expect(what: str, came: SeriesType, kinds: Iterable[str], instead: str) -> None:
    """Refuse a series of another kind; `instead` says what to write."""
    wanted = tuple(kinds)
    if came.kind not in wanted:
        names = " or ".join(WORDS[kind] for kind in WORDS if kind in wanted)
        raise PlanError(f"{what} needs {names}; {came.words()} came. {instead}")


def comparable(left: SeriesType, right: SeriesType) -> bool:
    """Whether two series may be compared: the same kind, or both numbers, or text with a category."""
    if left.kind == right.kind or (left.numeric and right.numeric):
        return True
    return {left.kind, right.kind} == {"category", "text"}


def together(what: str, types: Iterable[SeriesType]) -> SeriesType:
    """The type of a choice between series: numbers widen, categories join their levels in order."""
    every = tuple(types)
    kinds = {one.kind for one in every}
    if kinds == {"int", "float"}:
        return SeriesType("float")
    if len(kinds) != 1:
        came = ", ".join(one.words() for one in every)
        raise PlanError(f"{what} needs values of one kind; {came} came. Turn them into the same kind first.")
    kind = kinds.pop()
    if kind != "category":
        return SeriesType(kind)
    return SeriesType(kind, tuple(dict.fromkeys(level for one in every for level in one.levels)))
