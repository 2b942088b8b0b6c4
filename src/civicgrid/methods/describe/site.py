"""The site's half of a description: counts, sums and histograms by group, never a value."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np

from civicgrid.disclosure.row_sets import RowSet
from civicgrid.disclosure.shapes import Counts, FloatArray, Histogram, IntArray, Part, Share, Sums
from civicgrid.errors import PlanError
from civicgrid.methods.bounds import all_within, smallest_square, within
from civicgrid.methods.describe.layout import Layout, counts_name, histogram_name
from civicgrid.methods.describe.quantiles import grid, rarer
from civicgrid.methods.method import Array, Ask, blocks
from civicgrid.methods.row_sets import bitmap, cells
from civicgrid.query.table import Table

SUMS = 3
"""What the survey adds up for each number: people, distances from the middle of its range, and their
sizes.
"""


def survey(layout: Layout, table: Table, ask: Ask) -> Share:
    """Round one: people by level, sums about the middle of each range, counts between the public edges."""
    ask.only()
    groups, numbers = len(layout.groups.levels), layout.numbers
    counts = {name: np.zeros((groups, len(layout.levels(name))), dtype=np.int64) for name in layout.variables}
    sums = np.zeros((groups, SUMS * len(numbers)))
    histograms = _Histograms(layout)
    middles, ungrouped = layout.middles(), 0
    for arrays, group, dropped in _by_group(layout, table):
        ungrouped += dropped
        for name in layout.variables:
            levels = counts[name].shape[1]
            code = _codes(arrays[name], levels - 1, layout.schema[name].numeric)
            counts[name] += np.bincount(group * levels + code, minlength=groups * levels).reshape(groups, levels)
        for index, name in enumerate(numbers):
            values, held = _known(arrays[name], group)
            away = values - middles[index]
            for offset, amount in enumerate((np.ones(len(away)), away, np.abs(away))):
                sums[:, SUMS * index + offset] += np.bincount(held, amount, minlength=groups)
            histograms.count(name, values, held)
    parts: list[Part] = [
        Counts(counts_name(name), layout.shaped(counts[name]), layout.dimensions(name), left_out=True)
        for name in layout.variables
    ]
    if layout.by is not None:
        parts.append(Counts("no group", np.array(ungrouped, dtype=np.int64), left_out=True))
    if numbers:
        exponents = np.array([e for size in layout.magnitudes() for e in (0, size, size)], dtype=np.int64)
        support = _support(layout, table, histograms)
        parts.append(Sums("sums", sums, np.repeat(support, SUMS, axis=1), exponents, layout.groups))
    return (*parts, *histograms.parts())


def squares(layout: Layout, table: Table, ask: Ask) -> Share:
    """Round two: distances from the pooled means of each group, and their squares.

    Both are polynomials in the means, so that whatever means an Ask names, they tell no more than the sums, the number of
    people and the sum of squares.
    """
    groups, numbers = len(layout.groups.levels), layout.numbers
    ask.only("means", "sizes")
    means, sizes = ask.arrays.get("means"), np.asarray(ask.arrays.get("sizes"))
    if means is None or means.shape != (groups, len(numbers)):
        raise PlanError("Expected a mean for each group and number; they did not come so.")
    if sizes.shape != (len(numbers),):
        raise PlanError("Expected a size for each number; they did not come so.")
    least = np.array([smallest_square(layout.schema[name]) for name in numbers])
    if (sizes < least).any() or (np.abs(sizes) > 900).any():
        raise PlanError("Expected sizes that the declared ranges allow; others came. Nothing was added up.")
    if not all(within(means[:, index], layout.schema[name]).all() for index, name in enumerate(numbers)):
        raise PlanError("Expected means where the numbers can lie; others came. Nothing was added up.")
    sums = np.zeros((groups, 2 * len(numbers)))
    histograms = None if _key(layout) in table.measured else _Histograms(layout)
    for arrays, group, _ in _by_group(layout, table):
        for index, name in enumerate(numbers):
            values, held = _known(arrays[name], group)
            if histograms is not None:
                histograms.count(name, values, held)
            away = values - means[held, index]
            sums[:, 2 * index] += np.bincount(held, away, minlength=groups)
            sums[:, 2 * index + 1] += np.bincount(held, away * away, minlength=groups)
    support = _support(layout, table, histograms)
    exponents = np.stack([sizes // 2, sizes], axis=1).reshape(-1).astype(np.int64)
    return (Sums("squares", sums, np.repeat(support, 2, axis=1), exponents, layout.groups),)


def row_sets(layout: Layout, table: Table) -> tuple[RowSet, ...]:
    """For each variable the people with a value and a group, and those of each group and level among them, and of each
    level in all groups; and each group altogether.
    """
    groups, first = len(layout.groups.levels), 0
    grouped: list[Array] = []
    nobody = np.zeros(0, dtype=np.intp)
    known: dict[str, list[tuple[Array, Array]]] = {name: [(nobody, nobody)] for name in layout.variables}
    for arrays in blocks(table, layout.columns):
        people = len(arrays[0])
        group = np.zeros(people, dtype=np.intp) if layout.by is None else _codes(arrays[-1], groups, number=False)
        grouped.append(group)
        for name, array in _described(layout, arrays[: len(layout.variables)]).items():
            levels = len(layout.levels(name)) - 1
            code = _codes(array, levels, layout.schema[name].numeric)
            there = np.flatnonzero((code < levels) & (group < groups))
            known[name].append((first + there, group[there] * levels + code[there]))
        first += people
    numbers = table.numbers
    sets: list[RowSet] = []
    if layout.by is not None:
        group = np.concatenate([nobody, *grouped])
        sets.append(RowSet(bitmap(numbers[group < groups]), role="whole"))
        sets += cells(numbers, group, groups + 1, lambda code: ((layout.by or "", code),))
    for name, found in known.items():
        places, codes = (np.concatenate(parts) for parts in zip(*found, strict=True))
        held = numbers if len(places) == len(numbers) else numbers[places]
        # How the people without a value fall into the groups is in the table of the variable, under the rule on cells.
        sets.append(RowSet(bitmap(held), frozenset((name,)), role="whole"))
        levels = len(layout.levels(name)) - 1
        # Of a number each group has its sums; of a category the levels are counted.
        summed = frozenset((name,)) if layout.schema[name].numeric and layout.by is not None else frozenset[str]()
        sets += cells(held, codes, groups * levels, _names(layout, name, levels), summed)
        if layout.by is not None and not layout.schema[name].numeric:
            sets += cells(held, codes % levels, levels, partial(_level, name))
    return tuple(sets)


def _level(variable: str, code: int) -> tuple[tuple[str, int], ...]:
    return ((variable, code),)


def _names(layout: Layout, variable: str, levels: int) -> Callable[[int], tuple[tuple[str, int], ...]]:
    """What a code of a group and a level stands for; a number has no levels to name."""

    def named(code: int) -> tuple[tuple[str, int], ...]:
        group, level = divmod(code, levels)
        own = () if layout.schema[variable].numeric else ((variable, level),)
        return own if layout.by is None else ((layout.by, group), *own)

    return named


def _by_group(layout: Layout, table: Table) -> Iterator[tuple[Mapping[str, Array], Array, int]]:
    """Block after block of the people with a group: their columns, their groups, and how many had none."""
    groups = len(layout.groups.levels)
    for arrays in blocks(table, layout.columns):
        people = len(arrays[0])
        if layout.by is None:
            yield _described(layout, arrays), np.zeros(people, dtype=np.intp), 0
            continue
        code = _codes(arrays[-1], groups, number=False)
        kept = code < groups
        yield _described(layout, [array[kept] for array in arrays[:-1]]), code[kept], people - int(np.count_nonzero(kept))


def _described(layout: Layout, arrays: Sequence[Array]) -> dict[str, Array]:
    """The described columns by name, numbers beyond reach as missing."""
    found = dict(zip(layout.variables, arrays, strict=True))
    for name in layout.numbers:
        column = layout.schema[name]
        if not all_within(found[name], column):
            found[name] = np.where(within(found[name], column), found[name], np.nan)
    return found


def _codes(array: Array, levels: int, number: bool) -> Array:
    """Codes from 0, with `levels` for missing; a number is level 0 or missing."""
    if number:
        return np.where(np.isfinite(array), 0, 1).astype(np.intp)
    known = np.isfinite(array) & (array >= 0) & (array < levels)
    return np.where(known, array, levels).astype(np.intp)


def _known(array: Array, group: Array) -> tuple[FloatArray, Array]:
    """The finite values and the groups that they belong to."""
    known = np.isfinite(array)
    return (array, group) if known.all() else (array[known], group[known])


def _support(layout: Layout, table: Table, histograms: _Histograms | None) -> IntArray:
    """How many people of each group the sums of each number rest on, kept with the table for the next round."""
    known = table.measured.get(_key(layout))
    if isinstance(known, np.ndarray):
        return known
    assert histograms is not None
    bins = [histograms.counts[name] for name in layout.numbers]
    support = np.stack([np.minimum(counts.sum(axis=1), rarer(counts)) for counts in bins], axis=1)
    table.measured[_key(layout)] = support
    return support


def _key(layout: Layout) -> bytes:
    return repr(("support", layout.numbers, layout.by)).encode()


class _Histograms:
    """Counts between the public edges of each number."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.edges = {name: grid(layout.schema[name]) for name in layout.numbers}
        groups = len(layout.groups.levels)
        self.counts = {name: np.zeros((groups, len(edges) + 1), dtype=np.int64) for name, edges in self.edges.items()}

    def count(self, name: str, values: FloatArray, group: Array) -> None:
        """Add one block."""
        counts = self.counts[name]
        place = group * counts.shape[1] + np.searchsorted(self.edges[name], values, side="right")
        counts += np.bincount(place, minlength=counts.size).reshape(counts.shape)

    def parts(self) -> list[Histogram]:
        """As parts of a share."""
        return [
            Histogram(histogram_name(name), self.counts[name], edges, self.layout.groups)
            for name, edges in self.edges.items()
        ]
