"""Tables of counts as people see them: small cells hidden, the rest rounded, margins and percentages from
the rounded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from civicgrid.disclosure.output import OutputColumn, OutputTable, Value
from civicgrid.disclosure.rules import Mask, hide_with_margins, round_counts, small, split, with_margins
from civicgrid.disclosure.shapes import Counts, IntArray
from civicgrid.disclosure.thresholds import Thresholds

TOTAL = "total"


@dataclass(frozen=True)
class Settled:
    """A table of counts with its margins under the rules: exact, which of it to hide, and whether every count of people
    with a value is shown.
    """

    values: IntArray
    hidden: Mask
    whole: bool
    without_left_out: bool = False


def settled(counts: Counts, thresholds: Thresholds) -> Settled:
    """The cells and margins to hide: those of the rules, and what rests on a cell that some site did not show.

    Where in some group only a few people have no value, or nobody, their number is hidden in all, and the totals are of
    those with a value: so the table stands as it would without them.
    """
    if counts.values.ndim == 0 and thresholds.min_cell:
        # Of a whole cohort nobody looks like a few: else a cohort that one person alone can be in says whether they are.
        thresholds = thresholds.model_copy(update={"zeros": False})
    unseen = np.zeros(counts.values.shape, dtype=bool) if counts.hidden is None else counts.hidden
    if not counts.left_out or not counts.values.ndim:
        return _judged(counts.values, unseen, thresholds)
    known, left_out = split(counts.values, True)
    known_unseen, left_out_unseen = split(unseen, True)
    if not (small(left_out, thresholds) | left_out_unseen).any():
        return _judged(counts.values, unseen, thresholds)
    table = _judged(known, known_unseen, thresholds)
    place = known.shape[-1]
    hidden = np.insert(table.hidden, place, True, axis=-1)
    return Settled(np.insert(table.values, place, 0, axis=-1), hidden, table.whole, without_left_out=True)


def _judged(values: IntArray, unseen: Mask, thresholds: Thresholds) -> Settled:
    """What a site did not show counts as nought, and as known, so that the rules protect the others all the same."""
    shown = np.where(unseen, 0, values)
    unknown = with_margins(unseen.astype(np.int64)) > 0
    hidden = np.asarray(hide_with_margins(shown, thresholds, unknown) | unknown)
    return Settled(with_margins(values), hidden, not bool(hidden.any()))


def count_table(counts: Counts, table: Settled, thresholds: Thresholds) -> OutputTable:
    """One way: level, people, percent. Two ways: a row a level, with each row's percentages and both
    margins. More: a row a cell. `table` is that of `settled`.
    """
    full = round_counts(table.values, thresholds.round_to)
    if len(counts.dimensions) == 2:
        return _two_way(counts, full, table.hidden)
    return _long(counts, full, table.hidden)


def _title(counts: Counts) -> str:
    by = " and ".join(dimension.name for dimension in counts.dimensions if dimension.name != counts.name)
    name = counts.name[0].upper() + counts.name[1:]
    return f"{name} by {by}" if by else name


def _long(counts: Counts, full: IntArray, hidden: Mask) -> OutputTable:
    dimensions = counts.dimensions
    columns = [OutputColumn(name=dimension.name, format="text") for dimension in dimensions]
    columns.append(OutputColumn(name="people", format="count"))
    percent = len(dimensions) == 1
    if percent:
        columns.append(OutputColumn(name="percent", format="percent"))
    rows: list[tuple[Value, ...]] = []
    places: list[tuple[int, int]] = []
    wanted = full.shape if percent else counts.values.shape
    for cell in np.ndindex(wanted):
        labels = [
            dimension.levels[index] if index < len(dimension.levels) else TOTAL
            for dimension, index in zip(dimensions, cell, strict=True)
        ]
        values: list[Value] = [None if hidden[cell] else int(full[cell])]
        if percent:
            shown = not hidden[cell] and not hidden[-1]
            values.append(_percent(int(full[cell]), int(full[-1])) if shown else None)
            if not shown:
                places.append((len(rows), len(columns) - 1))
        if hidden[cell]:
            places.append((len(rows), len(dimensions)))
        rows.append((*labels, *values))
    return OutputTable(
        name=counts.name, title=_title(counts), columns=tuple(columns), rows=tuple(rows), hidden=tuple(sorted(places))
    )


def _two_way(counts: Counts, full: IntArray, hidden: Mask) -> OutputTable:
    down, across = counts.dimensions
    columns = [OutputColumn(name=down.name, format="text")]
    taken = {down.name, TOTAL, *(f"{level} %" for level in across.levels)}
    for level in across.levels:
        name = f"{across.name}: {level}" if level in taken else level
        columns.append(OutputColumn(name=name, format="count", label=f"{across.name}: {level}"))
        columns.append(OutputColumn(name=f"{name} %", format="percent", label=f"{across.name}: {level}, % of row"))
    columns.append(OutputColumn(name=TOTAL, format="count"))
    rows: list[tuple[Value, ...]] = []
    places: list[tuple[int, int]] = []
    for i, label in enumerate((*down.levels, TOTAL)):
        row: list[Value] = [label]
        for j in range(len(across.levels)):
            for shown, value in (
                (not hidden[i, j], int(full[i, j])),
                (not hidden[i, j] and not hidden[i, -1], _percent(int(full[i, j]), int(full[i, -1]))),
            ):
                if not shown:
                    places.append((i, len(row)))
                row.append(value if shown else None)
        if hidden[i, -1]:
            places.append((i, len(row)))
        row.append(None if hidden[i, -1] else int(full[i, -1]))
        rows.append(tuple(row))
    return OutputTable(
        name=counts.name, title=_title(counts), columns=tuple(columns), rows=tuple(rows), hidden=tuple(places)
    )


def _percent(part: int, whole: int) -> float | None:
    return round(100 * part / whole, 2) if whole else None
