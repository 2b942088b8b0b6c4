"""What both halves of a description know before any person is read: columns, groups, and the parts of a
share.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from civicgrid.disclosure.shapes import Dimension, FloatArray, IntArray
from civicgrid.methods.bounds import magnitude, middle
from civicgrid.methods.people import levels_of
from civicgrid.query.types import Schema

ALL = "all"
MISSING = "(missing)"


@dataclass(frozen=True)
class Layout:
    """The described columns, the grouping column, and the groups (one, without a grouping column)."""

    variables: tuple[str, ...]
    by: str | None
    groups: Dimension
    schema: Schema

    @property
    def numbers(self) -> tuple[str, ...]:
        return tuple(name for name in self.variables if self.schema[name].numeric)

    @property
    def categories(self) -> tuple[str, ...]:
        return tuple(name for name in self.variables if not self.schema[name].numeric)

    @property
    def columns(self) -> tuple[str, ...]:
        return self.variables if self.by is None else (*self.variables, self.by)

    def levels(self, name: str) -> tuple[str, ...]:
        """The columns of a variable's table of counts; the last is for people without a value."""
        known = ("known",) if self.schema[name].numeric else levels_of(self.schema[name])
        return (*known, MISSING)

    def dimensions(self, name: str) -> tuple[Dimension, ...]:
        """The dimensions of a variable's table of counts: groups down, if there are any, levels across."""
        levels = Dimension(name, self.levels(name))
        return (levels,) if self.by is None else (self.groups, levels)

    def shaped(self, counts: IntArray) -> IntArray:
        """Counts by group and level in the shape of `dimensions`."""
        return counts[0] if self.by is None else counts

    def middles(self) -> FloatArray:
        """The middle of each number's declared range, or nought."""
        return np.array([middle(self.schema[name]) for name in self.numbers], dtype=np.float64)

    def magnitudes(self) -> IntArray:
        """The public size of each number's distance from the middle, as a power of two."""
        return np.array([magnitude(self.schema[name]) for name in self.numbers], dtype=np.int64)


def counts_name(variable: str) -> str:
    return f"levels of {variable}"


def histogram_name(variable: str) -> str:
    return f"histogram of {variable}"
