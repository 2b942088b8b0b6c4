"""How far out a number may lie, from its declared range alone, so that no sum over people outgrows its fixed point.

A masked sum holds totals up to 2^66 times its public size over all sites (`trust.fixedpoint`). What does not fit is
refused by the site, and a refusal that hangs on one person's value gives that value away. So a number further from the
middle of its range than a million times its size counts as missing; without a declared range, one beyond 2^50. Then the
sums over four thousand million people fit, and what a researcher sees is the count of missing values, under its rule.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from civicgrid.disclosure.shapes import FloatArray, IntArray
from civicgrid.query.types import ColumnType

UNDECLARED_REACH = 50
UNDECLARED_SIZE = 16
"""As powers of two: sums of numbers without a declared range resolve 2^(16 - 60)."""

_BEYOND_RANGE = 20
_LARGEST = 200
_NARROWEST = 40
_NARROWEST_UNDECLARED = 80


def middle(column: ColumnType) -> float:
    """The middle of a number's declared range; nought without one."""
    return 0.0 if column.low is None or column.high is None else column.low / 2 + column.high / 2


def magnitude(column: ColumnType) -> int:
    """The public size of a number's distance from the middle, as a power of two."""
    if column.low is None or column.high is None:
        return UNDECLARED_SIZE
    return int(np.clip(math.ceil(math.log2(column.high / 2 - column.low / 2)), -_LARGEST, _LARGEST))


def reach(column: ColumnType) -> float:
    """The largest distance from the middle at which a number still counts."""
    if column.low is None:
        return math.ldexp(1.0, UNDECLARED_REACH)
    return math.ldexp(1.0, min(magnitude(column) + _BEYOND_RANGE, _LARGEST))


def within(values: FloatArray, column: ColumnType) -> npt.NDArray[np.bool_]:
    """Which numbers are there and not beyond reach."""
    return np.asarray(np.abs(values - middle(column)) <= reach(column))


def all_within(values: FloatArray, column: ColumnType) -> bool:
    """Whether all surely are. A sum of squares is one fast pass, and finite only if every number is."""
    near = reach(column) - abs(middle(column))
    return near > 0 and bool(values @ values <= near * near)


def smallest_size(column: ColumnType) -> int:
    """The least public size that a hub may ask a sum of this number in: below it a site refuses, since what overflows
    would tell how large the sum is.
    """
    return max(magnitude(column) - (_NARROWEST_UNDECLARED if column.low is None else _NARROWEST), -900)


def smallest_square(column: ColumnType) -> int:
    """The same for sums of squares."""
    return 2 * smallest_size(column) - 30


def square_sizes(size: FloatArray, people: FloatArray, columns: Sequence[ColumnType]) -> IntArray:
    """The public sizes of sums of squares of these columns: room for one person who makes the whole typical distance
    (`size`) of so many, and up to 90 bits below its square.
    """
    logs = np.ceil(np.log2(np.where(np.isfinite(size) & (size > 0), size, 1.0)))
    room = 2 * np.ceil(np.log2(2 * np.maximum(people, 1.0))) + 14 - 66
    least = [smallest_square(column) for column in columns]
    return np.asarray(np.clip(2 * logs + np.maximum(room, -30), least, 900), dtype=np.int64)
