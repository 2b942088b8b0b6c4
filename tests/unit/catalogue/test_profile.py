"""What a profile shows of a variable, against the values themselves: each bin holds enough, its count is that rounded."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest

from civicgrid.catalogue.profile import BINS, coarse, edges_of, everybody, part_of, read, read_count, told
from civicgrid.disclosure.thresholds import Thresholds
from civicgrid.query.table import ARROW, PERSON, ArrowTable
from civicgrid.query.types import Column, ColumnType, Schema

DAY = dt.date(2026, 11, 24)
AGE = ColumnType(kind="float", low=0.0, high=100.0)


def table(values: np.ndarray, column: ColumnType) -> ArrowTable:
    data = pa.table(
        {
            PERSON: pa.array(np.arange(len(values)), pa.int64()),
            "value": pa.array([None if np.isnan(value) else value for value in values], ARROW[column.kind]),
        }
    )
    return ArrowTable(data, Schema(columns=(Column(name="value", type=column),)), "snapshot")


def drawn(seed: int) -> np.ndarray:
    """Ages with lonely ones far out, gaps, heaps, and some missing."""
    rng = np.random.default_rng(seed)
    parts = [rng.normal(rng.uniform(10, 90), rng.uniform(0.5, 15), int(rng.integers(1, 200))) for _ in range(4)]
    values = np.concatenate([*parts, rng.uniform(0, 100, 5), np.full(int(rng.integers(0, 30)), np.nan)])
    return np.clip(values, 0, 99.9)


@pytest.mark.parametrize("rules", [Thresholds(), Thresholds(min_cell=3, round_to=5, interval=3), Thresholds(min_cell=20)])
@pytest.mark.parametrize("seed", range(40))
def test_bins_hold_enough_people_and_show_how_many_to_the_rounding(seed: int, rules: Thresholds) -> None:
    values = drawn(seed)
    base = coarse(rules).round_to
    shown = read(told(part_of(table(values, AGE), "value", rules.min_cell), rules), "value", AGE, DAY, rules)
    there = values[~np.isnan(values)]
    for each in shown.bins:
        low, high = -np.inf if each.low is None else each.low, np.inf if each.high is None else each.high
        held = int(((there >= low) & (there < high)).sum())
        assert held >= rules.min_cell
        assert each.people % base == 0 and abs(each.people - held) <= 1.5 * base
        assert {each.low, each.high} <= {None, *edges_of(AGE)}
    if shown.bins:
        assert shown.bins[0].low is None and shown.bins[-1].high is None
        assert [each.high for each in shown.bins[:-1]] == [each.low for each in shown.bins[1:]]
    missing = len(values) - len(there)
    if missing >= rules.min_cell:
        assert shown.missing is None or abs(shown.missing - missing) <= base / 2
    else:
        assert shown.missing is None and shown.missing_below == rules.min_cell


WARD = ColumnType(kind="category", levels=("north", "south", "east"))


@pytest.mark.parametrize("counts", [(200, 90, 0, 0), (200, 90, 9, 0), (200, 90, 4, 9), (200, 90, 12, 3), (200, 90, 0, 40)])
def test_few_and_nobody_are_counted_with_the_largest_level_and_no_other_is_hidden(counts: tuple[int, ...]) -> None:
    north, south, east, gone = counts
    values = np.repeat([0.0, 1.0, 2.0, np.nan], counts)
    rules = Thresholds()
    shown = read(told(part_of(table(values, WARD), "value", rules.min_cell), rules), "value", WARD, DAY, rules)
    few = (east if east < 10 else 0) + (gone if gone < 10 else 0)
    assert [(level.people, level.others) for level in shown.levels] == [
        (round((north + few) / 10) * 10, east < 10), (south, False), (None if east < 10 else round(east / 10) * 10, False),
    ]  # fmt: skip
    assert shown.missing == (gone if gone >= 10 else None)
    assert shown.missing_below == (None if gone >= 10 else 10)


def test_nothing_is_told_of_a_variable_without_a_large_level() -> None:
    values = np.repeat([0.0, 1.0, 2.0, np.nan], [5, 6, 7, 100])
    shown = read(told(part_of(table(values, WARD), "value", 10), Thresholds()), "value", WARD, DAY, Thresholds())
    assert [level.people for level in shown.levels] == [None] * 3 and shown.people is shown.missing is None


def test_edges_follow_from_the_declared_range_alone() -> None:
    assert len(edges_of(AGE)) == BINS + 1 and edges_of(AGE)[0] == 0.0 and edges_of(AGE)[-1] == 100.0
    whole = edges_of(ColumnType(kind="int", low=0.0, high=3.0))
    assert whole.tolist() == [-0.5, 0.5, 1.5, 2.5, 3.5]
    wide = edges_of(ColumnType(kind="int", low=1900.0, high=2039.0))
    assert len(wide) <= BINS + 2 and set(np.diff(wide)) == {7.0}
    for column in (ColumnType(kind="float"), ColumnType(kind="date"), ColumnType(kind="bool")):
        assert not len(edges_of(column))


def test_the_groups_are_a_partition_of_everybody() -> None:
    values = drawn(1)
    held = table(values, AGE)
    part = part_of(held, "value", 10)
    sizes = [len(people) for people, _ in part.groups]
    assert sum(sizes) == len(values) == len(everybody(held).groups[0][0])
    assert sizes[-1] == int(np.isnan(values).sum())


def test_how_many_there_are_is_rounded_and_few_are_hidden() -> None:
    many, few = table(np.ones(123), AGE), table(np.ones(9), AGE)
    assert read_count(told(everybody(many), Thresholds())) == 120
    assert read_count(told(everybody(few), Thresholds())) is None
    assert read_count(told(everybody(few), Thresholds.open())) == 9
