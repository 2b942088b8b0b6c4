"""The people that a method can use: those with a value in every column that it reads; and the groups they
fall into.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from civicgrid.disclosure.shapes import FloatArray
from civicgrid.methods.bounds import all_within, within
from civicgrid.methods.method import blocks
from civicgrid.query.table import Table
from civicgrid.query.types import ColumnType, Schema

Array = npt.NDArray[Any]


def levels_of(column: ColumnType) -> tuple[str, ...]:
    """The groups that a category or yes/no column puts people in, in the order of their codes; none for a
    number.
    """
    return ("no", "yes") if column.kind == "bool" else column.levels


@dataclass(frozen=True)
class People:
    """One block of people with nothing missing, how many were left out of it, and how many of those for a value that
    cannot be. The block begins at row `first` of the table; `kept` marks which of its rows these are, None being all.
    """

    arrays: Mapping[str, Array]
    count: int
    dropped: int
    invalid: int = 0
    first: int = 0
    kept: npt.NDArray[np.bool_] | None = None

    @property
    def places(self) -> npt.NDArray[np.intp]:
        """The rows of the table that these people stand in."""
        if self.kept is None:
            return np.arange(self.first, self.first + self.count)
        return self.first + np.flatnonzero(self.kept)

    def only(self, keep: npt.NDArray[np.bool_]) -> People:
        """Without the people whose values cannot be."""
        kept = int(np.count_nonzero(keep))
        gone = self.count - kept
        arrays = {name: array[keep] for name, array in self.arrays.items()}
        marks = keep
        if self.kept is not None:
            marks = self.kept.copy()
            marks[self.kept] = keep
        return People(arrays, kept, self.dropped + gone, self.invalid + gone, self.first, marks)

    def number(self, name: str | None) -> FloatArray | None:
        """A column as floats; None for no column."""
        return None if name is None else np.asarray(self.arrays[name], dtype=np.float64)


def complete(table: Table, columns: tuple[str, ...], schema: Schema) -> Iterator[People]:
    """Block after block of the people with a value in all the columns.

    Missing are nulls, numbers that are not finite or lie beyond reach (`bounds`), and codes of no level. A table in
    which nothing was missing is not searched again in the next round.
    """
    first = 0
    if columns in table.whole:
        for arrays in blocks(table, columns):
            yield People(dict(zip(columns, arrays, strict=True)), len(arrays[0]), 0, first=first)
            first += len(arrays[0])
        return
    missing = 0
    types = [schema[name] for name in columns]
    for arrays in blocks(table, columns):
        people = len(arrays[0])
        if all(_whole(array, kind) for array, kind in zip(arrays, types, strict=True)):
            yield People(dict(zip(columns, arrays, strict=True)), people, 0, first=first)
            first += people
            continue
        keep = np.ones(people, dtype=bool)
        for array, kind in zip(arrays, types, strict=True):
            category = kind.kind == "category"
            keep &= (array >= 0) & (array < len(kind.levels)) if category else within(array, kind)
        kept = int(np.count_nonzero(keep))
        missing += people - kept
        held = {name: a[keep] for name, a in zip(columns, arrays, strict=True)}
        yield People(held, kept, people - kept, first=first, kept=keep)
        first += people
    if not missing:
        table.whole.add(columns)


def _whole(array: Array, column: ColumnType) -> bool:
    """Whether nothing is missing."""
    if not len(array):
        return True
    if column.kind != "category":
        return all_within(array, column)
    return bool(array.min() >= 0 and array.max() < len(column.levels))


def as_tuple(given: Any) -> Any:
    """A list, or one name by itself, as a tuple: for parameters that people write as lists. Anything else
    as it came.
    """
    if isinstance(given, str):
        return (given,)
    return tuple(given) if isinstance(given, list) else given
