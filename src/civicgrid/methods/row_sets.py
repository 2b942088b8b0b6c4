"""Which people stand behind an answer, as the release ledger keeps them (`disclosure.row_sets`).

Beside everybody in the cohort these are: the people whom the method used, and the people in each cell that it counts. The
columns of a set are those of the cohort; the node replaces them by the columns of the data that they are made from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from pyroaring import BitMap

from civicgrid.disclosure.row_sets import Role, RowSet
from civicgrid.methods.people import People
from civicgrid.query.table import Table

Codes = npt.NDArray[np.intp]

FEWEST = 3
"""Cells of fewer people are left to the rules on cells: no policy shows them."""


@dataclass(frozen=True)
class Coding:
    """One way in which an answer tells people apart: by the joint levels of some columns, `shape` being how many each has.
    `code` gives for each person of a block the place among the joint levels.
    """

    names: tuple[str, ...]
    shape: tuple[int, ...]
    code: Callable[[People], Codes]

    def levels(self, place: int) -> tuple[tuple[str, int], ...]:
        """The columns with their codes at a place."""
        return tuple(zip(self.names, (int(code) for code in np.unravel_index(place, self.shape)), strict=True))


def by_levels(names: Sequence[str], shape: Sequence[int]) -> Coding:
    """The joint levels of some categories or yes/no columns."""

    def code(people: People) -> Codes:
        codes = [np.asarray(people.arrays[name]).astype(np.intp) for name in names]
        return np.asarray(np.ravel_multi_index(codes, tuple(shape)), dtype=np.intp)

    return Coding(tuple(names), tuple(shape), code)


def everybody(table: Table, definition: str, role: Role = "cohort") -> RowSet:
    """All people of a cohort, made by these conditions."""
    return RowSet(bitmap(table.numbers), role=role, definition=definition)


def used_sets(
    table: Table, used: Iterable[People], columns: Iterable[str], codings: Sequence[Coding] = ()
) -> tuple[RowSet, ...]:
    """The people of a method that leaves out who has no value, and each cell that it counts among them.

    Sums or counts by level of all `columns` are given over them.
    """
    blocks: list[People] = []
    codes: list[list[Codes]] = [[] for _ in codings]
    for people in used:
        # Where the people stand is kept, not what they hold.
        blocks.append(replace(people, arrays={}))
        for coding, found in zip(codings, codes, strict=True):
            found.append(coding.code(people))
    numbers = table.numbers
    if (count := sum(people.count for people in blocks)) != len(numbers):
        places = [people.places for people in blocks]
        numbers = numbers[np.concatenate([*places, np.zeros(0, dtype=np.intp)])]
    sets = [RowSet(bitmap(numbers), frozenset(columns), role="whole")]
    if count:
        for coding, found in zip(codings, codes, strict=True):
            sets += cells(numbers, np.concatenate(found), int(np.prod(coding.shape)), coding.levels)
    return tuple(sets)


def cells(
    numbers: npt.NDArray[np.uint32],
    codes: Codes,
    places: int,
    levels: Callable[[int], tuple[tuple[str, int], ...]],
    columns: frozenset[str] = frozenset(),
) -> list[RowSet]:
    """The people of each place that a code names, from 0 to `places` - 1; `levels` says what a place stands for. Sums of
    the `columns` are given over each.
    """
    order = np.argsort(codes.astype(np.min_scalar_type(max(places - 1, 0))), kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=places))
    pieces = np.split(numbers[order], ends[:-1])
    return [
        RowSet(bitmap(piece), columns, levels=levels(place))
        for place, piece in enumerate(pieces)
        if len(piece) >= FEWEST
    ]


def bitmap(numbers: npt.NDArray[np.uint32]) -> BitMap:
    """A set of person numbers, each of which stands once."""
    if len(numbers) and int(numbers.max()) - int(numbers.min()) + 1 == len(numbers):
        whole = BitMap()
        whole.add_range(int(numbers.min()), int(numbers.max()) + 1)
        return whole
    return BitMap(np.ascontiguousarray(numbers).data)
