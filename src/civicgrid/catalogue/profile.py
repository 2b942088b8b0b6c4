"""What a site tells of each variable of a data set: how many people have a value, how many fall where. Never a value.

There are no minima, maxima, means or quantiles: each can be one person's. A category is counted by level, a number between
edges that follow from its declared range alone; of a number without one, and of a date, only what is missing is counted.
Everything here has been through `disclosure.release` under `coarse` thresholds before anybody sees it, the site's own staff
included. Nobody and a few look the same: a level that fewer people have than a cell must hold is hidden, and so is who has
no value where they are so few; those people are counted with the largest level, so that nothing can be worked out by
subtraction and no other level is hidden with theirs. Small bins are merged, and every count is rounded to at least the size
of the smallest cell shown.

Two profiles of nearly the same people are the node's business (`node.profiles`): a variable is told anew only when none of
its groups has changed by a few people.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyroaring import BitMap

from civicgrid.canonical import Node
from civicgrid.disclosure.codes import Withheld
from civicgrid.disclosure.release import Terms, combine, release
from civicgrid.disclosure.shapes import Counts, Dimension, FloatArray, Histogram, IntArray, Received, Share
from civicgrid.disclosure.thresholds import Thresholds
from civicgrid.methods.bounds import within
from civicgrid.methods.method import blocks
from civicgrid.methods.people import levels_of
from civicgrid.methods.row_sets import bitmap
from civicgrid.query.table import Table
from civicgrid.query.types import ColumnType

BINS = 20
"""Into how many bins the declared range of a number is cut."""

MISSING = "(missing)"
EVERYBODY = "everybody"
_GROUP = (Dimension("people", ("all",)),)


class LevelCount(Node):
    """A level of a category, and how many people have it; None where fewer have it than a cell must hold.

    `others` marks the level with which those of the hidden levels are counted: the largest, or one of several as large.
    """

    level: str
    people: int | None = None
    others: bool = False


class Bin(Node):
    """How many people lie from `low` up to `high`; None for an end without a bound."""

    low: float | None = None
    high: float | None = None
    people: int


class VariableProfile(Node):
    """One variable. `people` have a value; `missing` have none, or fewer than `missing_below`, who are then counted among
    those who have one. None where nothing is told.

    `as_of` is the day of the load that the numbers are of, which may be an earlier one than that of the record.
    """

    as_of: dt.date
    people: int | None = None
    missing: int | None = None
    missing_below: int | None = None
    levels: tuple[LevelCount, ...] = ()
    bins: tuple[Bin, ...] = ()

    @property
    def missing_percent(self) -> float | None:
        """Of the rounded counts; None where one is hidden or there is nobody."""
        if self.people is None or self.missing is None or self.people + self.missing == 0:
            return None
        return round(100 * self.missing / (self.people + self.missing), 1)


def coarse(thresholds: Thresholds) -> Thresholds:
    """The thresholds of a profile: the site's own, and every count rounded to a multiple of the smallest cell shown.

    Where nobody is has been merged like where a few are before (`part_of`), so that no zero is left for a rule to hide.

    A profile is seen by everybody and for good, so that it must say less than an answer to somebody with a permit.
    """
    base = math.lcm(thresholds.round_to, max(thresholds.min_cell, 1))
    return thresholds.model_copy(update={"round_to": base, "zeros": True})


@dataclass(frozen=True)
class Part:
    """What is to be told of one variable, before the gate: its counts, and the people in each of its groups.

    `groups` has with each the levels that it stands for by their codes; a number's bin, and who has no value, stand for
    none. `as_told` are the groups whose counts are shown, hidden ones within the one that they are counted with; they hold
    everybody, each once, or nobody where nothing is told.
    """

    name: str
    share: Share
    groups: tuple[tuple[BitMap, tuple[tuple[str, int], ...]], ...]
    as_told: tuple[BitMap, ...]


def everybody(table: Table) -> Part:
    """How many people there are at all."""
    share = (Counts(EVERYBODY, np.array(table.rows, dtype=np.int64)),)
    people = bitmap(table.numbers)
    return Part(EVERYBODY, share, ((people, ()),), (people,))


def part_of(table: Table, name: str, min_cell: int) -> Part:
    """What is to be told of one column of a table; groups of fewer than `min_cell` are counted with the largest one."""
    column = table.schema[name]
    edges = edges_of(column)
    codes = _codes(table, name, column, edges)
    levels = levels_of(column)
    places = len(edges) + 1 if len(edges) else max(len(levels), 1)
    # The last place is that of who has no value.
    counts = np.bincount(codes, minlength=places + 1).astype(np.int64)
    cells = counts if len(levels) else np.array([counts[:-1].sum(), counts[-1]], dtype=np.int64)
    hidden = cells < min_cell
    labels = (*(levels or ("(a value)",)), MISSING)
    share: Share = (Counts(name, _merged(cells, hidden), (Dimension(name, labels),), hidden),)
    if hidden[:-1].all():
        share = ()  # Not even one level is large enough.
    elif len(edges):
        bins = counts[:-1].copy()
        if hidden[-1]:
            bins[int(np.argmax(bins))] += counts[-1]
        share = (*share, Histogram(f"{name} by bin", bins.reshape(1, -1), edges, _GROUP[0]))
    numbers = table.numbers
    groups = [(bitmap(numbers[codes == place]), _named(name, levels, place)) for place in range(places + 1)]
    few = counts[-1] < min_cell
    if not share:
        shown: list[BitMap] = []
    elif len(levels):
        shown = _united([people for people, _ in groups], [bool(each) for each in hidden], int(np.argmax(counts[:-1])))
    else:
        # Of a number each bin by itself: which of them are merged hangs on the counts.
        gone = [False] * places + [bool(few)]
        shown = _united([people for people, _ in groups], gone, int(np.argmax(counts[:-1])))
    return Part(name, share, tuple(groups), tuple(shown))


def told(part: Part, thresholds: Thresholds) -> bytes:
    """The bytes of a part after the gate; none where the gate hides all of it. Nothing else of a part may be shown."""
    if not part.share:
        return b""
    try:
        return release(part.share, Terms(coarse(thresholds), True, 1, None))
    except Withheld:
        return b""


def read_count(raw: bytes) -> int | None:
    """How many people there are, from what was told."""
    if not raw:
        return None
    count = combine([raw])[EVERYBODY]
    return None if count.hidden is not None and bool(count.hidden) else int(count.values)


def read(raw: bytes, name: str, column: ColumnType, as_of: dt.date, thresholds: Thresholds) -> VariableProfile:
    """The profile of a variable, from what was told of it under these thresholds of the site."""
    names = levels_of(column)
    if not raw:
        return VariableProfile(as_of=as_of, levels=tuple(LevelCount(level=level) for level in names))
    found = combine([raw])
    counts = found[name]
    shown: list[int | None] = [
        None if hidden else int(value)
        for value, hidden in zip(counts.values, np.asarray(counts.hidden).tolist(), strict=True)
    ]
    levels, missing = shown[:-1], shown[-1]
    present = [count for count in levels if count is not None]
    largest = max(present, default=None)
    binned = found.get(f"{name} by bin")
    return VariableProfile(
        as_of=as_of,
        people=sum(present) if present else None,
        missing=missing,
        missing_below=thresholds.min_cell if missing is None else None,
        levels=tuple(
            LevelCount(level=level, people=count, others=None in levels and count is not None and count == largest)
            for level, count in zip(names, levels, strict=False)
        ),
        bins=() if binned is None else _bins(binned, edges_of(column), coarse(thresholds).round_to, thresholds.min_cell),
    )


def edges_of(column: ColumnType) -> FloatArray:
    """The edges between which a number is counted, from its declared range alone; none without one.

    Those of a whole number lie between the whole numbers.
    """
    if not column.numeric or column.low is None or column.high is None:
        return np.zeros(0)
    if column.kind == "int":
        low, high = math.floor(column.low), math.ceil(column.high)
        steps = np.arange(low, high + 2, max(1, math.ceil((high - low + 1) / BINS)), dtype=np.float64)
        return np.asarray(steps - 0.5, dtype=np.float64)
    return np.asarray(np.linspace(column.low, column.high, BINS + 1), dtype=np.float64)


def _codes(table: Table, name: str, column: ColumnType, edges: FloatArray) -> npt.NDArray[np.intp]:
    """For each person the group that they fall into; the last is that of who has no value."""
    if column.kind == "date":
        gone = [np.asarray(_absent(batch.column(0))) for batch in table.batches((name,))]
        return np.concatenate([np.zeros(0, dtype=bool), *gone]).astype(np.intp)
    found = []
    for (array,) in blocks(table, (name,)):
        if column.kind == "category":
            most = max(len(column.levels), 1)
            known = (array >= 0) & ((array < most) | (len(column.levels) == 0))
            found.append(np.where(known, array if column.levels else 0, most))
        elif column.kind == "bool":
            found.append(np.where(np.isnan(array), 2, array))
        elif len(edges):
            places = np.searchsorted(edges, array, side="right")
            found.append(np.where(within(array, column), places, len(edges) + 1))
        else:
            found.append(np.where(within(array, column), 0, 1))
    return np.concatenate([np.zeros(0), *found]).astype(np.intp)


def _absent(column: pa.Array) -> list[Any]:
    absent: list[Any] = column.is_null().to_pylist()
    return absent


def _merged(cells: IntArray, hidden: npt.NDArray[np.bool_]) -> IntArray:
    """The counts with those of the hidden cells added to the largest that is none of who has no value."""
    merged = np.where(hidden, 0, cells)
    merged[int(np.argmax(cells[:-1]))] += cells[hidden].sum()
    return np.asarray(merged, dtype=np.int64)


def _united(groups: Sequence[BitMap], hidden: Sequence[bool], largest: int) -> list[BitMap]:
    """The groups that are shown, those that are hidden within the largest."""
    within = BitMap.union(groups[largest], *(people for people, gone in zip(groups, hidden, strict=True) if gone))
    return [
        within if place == largest else people
        for place, (people, gone) in enumerate(zip(groups, hidden, strict=True))
        if not gone or place == largest
    ]


def _named(name: str, levels: Sequence[str], place: int) -> tuple[tuple[str, int], ...]:
    return ((name, place),) if place < len(levels) else ()


def _bins(received: Received, edges: FloatArray, base: int, min_cell: int) -> tuple[Bin, ...]:
    """The bins that can be told apart, each count rounded to `base`.

    Of each edge is known between which numbers the people below it lie: as far apart as the rounding at an end of a bin,
    and mostly farther inside one that was merged. An edge is kept where that is no more than the rounding, and where the
    bin before it holds `min_cell` people whatever the numbers are between their bounds.
    """
    assert received.low is not None and received.high is not None
    low, high = received.low[0].tolist(), received.high[0].tolist()
    last = len(low) - 1
    if high[last] - low[last] > base:
        return ()
    kept = [0]
    for place in range(1, last):
        if high[place] - low[place] <= base and low[place] - high[kept[-1]] >= min_cell:
            kept.append(place)
    while len(kept) > 1 and low[last] - high[kept[-1]] < min_cell:
        kept.pop()
    ends = [None, *(float(edge) for edge in edges), None]
    people = [(down + up) / 2 for down, up in zip(low, high, strict=True)]
    return tuple(
        Bin(low=ends[a], high=ends[b], people=round((people[b] - people[a]) / base) * base)
        for a, b in pairwise([*kept, last])
    )
