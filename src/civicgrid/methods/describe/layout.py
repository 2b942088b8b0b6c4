"""What both halves of a description know before any person is read: columns, groups, and the parts of a
share.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from civicgrid.disclosure.shapes import Dimension, FloatArray, IntArray
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
        return np.array([(low + high) / 2 for low, high in self._ranges()], dtype=np.float64)

    def magnitudes(self) -> IntArray:
        """Half of each number's declared range as a power of two; without one 0."""
        halves = [(high - low) / 2 or 1.0 for low, high in self._ranges()]
        return np.ceil(np.log2(np.array(halves, dtype=np.float64))).astype(np.int64)

    def _ranges(self) -> list[tuple[float, float]]:
        columns = [self.schema[name] for name in self.numbers]
        return [(0.0 if c.low is None else c.low, 0.0 if c.high is None else c.high) for c in columns]


def counts_name(variable: str) -> str:
    return f"levels of {variable}"


def histogram_name(variable: str) -> str:
    return f"histogram of {variable}"
