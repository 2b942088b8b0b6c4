"""Which numbers are others, or constants, but for a few people: judged against numbers that are made so."""

from __future__ import annotations

import sqlite3

import numpy as np
import pytest

from civicgrid.disclosure.columns import (
    CLASSES,
    NumberColumn,
    ReleasedColumns,
    Sums,
    classes_of,
    exceptions,
    of_few_people,
)
from civicgrid.disclosure.row_sets import Load
from civicgrid.errors import ConfigError
from civicgrid.trust.seal import Seal

LOAD = Load("trial", "a" * 64, 0)
WITHIN = 9


class People:
    """So many people with some columns that have nothing to do with each other, of very different sizes."""

    def __init__(self, count: int, seed: int = 4) -> None:
        self.rng = np.random.default_rng(seed)
        self.count, self.classes = count, classes_of(np.arange(count, dtype=np.uint32), Seal(bytes(32)))
        self.columns = [self.rng.normal(50, 10, count), self.rng.integers(0, 5, count) * 1e-6,
                        1e6 + self.rng.random(count), self.rng.integers(0, 2, count) * 1.0]  # fmt: skip

    def sums(self, values: np.ndarray) -> Sums:
        return np.bincount(self.classes, values, CLASSES)

    def few(self, values: np.ndarray, *others: np.ndarray, making: str = "records") -> bool:
        known = [self.sums(other) for other in others]
        return of_few_people(self.sums(values), known, self.sums(np.ones(self.count)), making, WITHIN)  # type: ignore[arg-type]

    def moved(self, values: np.ndarray, few: int, by: float) -> np.ndarray:
        moved = values.copy()
        moved[self.rng.choice(self.count, few, replace=False)] += by
        return moved


@pytest.mark.parametrize("count", [60, 150, 2_000, 200_000])
@pytest.mark.parametrize("few", [1, 5, 9])
def test_a_constant_and_a_combination_but_for_a_few_are_found(count: int, few: int) -> None:
    at = People(count)
    if count == 60 and few > 1:
        at.columns = at.columns[:2]
    mixed = 3 * at.columns[0] - 1e6 * at.columns[1] + 7
    for by in (1000.0, 1.0, 1e-3):
        assert at.few(at.moved(np.full(count, 2.0), few, by), *at.columns)
        assert at.few(at.moved(mixed, few, by), *at.columns)
        assert not at.few(mixed, *at.columns) and not at.few(np.full(count, 2.0))
        assert at.few(mixed, *at.columns, making="conditions"), "nobody, and one person if a secret is true, look the same"
        assert at.few(np.full(count, 2.0), making="conditions")


@pytest.mark.parametrize("count", [12, 30, 150, 2_000, 200_000])
def test_numbers_of_their_own_are_not_refused(count: int) -> None:
    at = People(count)
    for own in (at.rng.normal(0, 1, count), at.rng.integers(0, 9, count) * 1.0, at.rng.poisson(3, count) * 1.0):
        assert not at.few(own, *at.columns, making="conditions")
        assert not at.few(at.moved(own, max(count // 3, 12), 1.0), own) or count < 40


def test_many_people_who_differ_are_not_a_few() -> None:
    at = People(2_000)
    for many in (20, 100, 1_000):
        assert not at.few(at.moved(at.columns[0], many, 5.0), *at.columns)


def test_a_hundred_columns_do_not_hide_one_person() -> None:
    at = People(5_000)
    others = [at.rng.normal(0, 1 + place, 5_000) for place in range(100)]
    mixed = sum((place % 7 - 3) * other for place, other in enumerate(others))
    assert at.few(at.moved(np.asarray(mixed), 1, 3.0), *others)
    assert not at.few(at.rng.normal(0, 1, 5_000), *others)


def test_exceptions_are_those_that_were_put_in() -> None:
    rng = np.random.default_rng(6)
    columns = rng.normal(0, 1, (200, 4))
    for wrong in range(10):
        wanted = columns @ np.array([1.0, -2.0, 0.0, 1e3])
        wanted[rng.choice(200, wrong, replace=False)] += rng.uniform(0.1, 50, wrong)
        assert exceptions(wanted, columns, WITHIN) == wrong


def test_classes_hang_on_the_key_and_hold_all_people_evenly() -> None:
    numbers = np.arange(100_000, dtype=np.uint32)
    one, other = (classes_of(numbers, Seal.generate()) for _ in range(2))
    for classes in (one, other):
        assert len(np.unique(classes[:60])) > 40, "few people share a class at a small site"
        assert np.bincount(classes, minlength=CLASSES).min() > 200 and classes.max() < CLASSES
    assert (one != other).mean() > 0.9


def test_what_was_given_is_kept_under_the_key() -> None:
    connection, seal = sqlite3.connect(":memory:"), Seal.generate()
    sums = np.arange(CLASSES) * 1.5
    columns = [NumberColumn("made", "conditions", sums), NumberColumn("plain", "field")]
    kept = ReleasedColumns(connection, seal)
    for _ in range(2):
        kept.enter(LOAD, "people", columns)
    found = ReleasedColumns(connection, seal).over(LOAD, "people")
    assert set(found) == {"made", "plain"} and found["plain"].sums is None
    assert found["made"].making == "conditions" and np.array_equal(found["made"].sums, sums)  # type: ignore[arg-type]
    assert not kept.over(LOAD, "others") and not kept.over(Load("trial", "b" * 64, 0), "people")
    (closed,) = connection.execute("select sums from released_columns where name = 'made'").fetchone()
    assert sums.tobytes() not in closed
    with pytest.raises(ConfigError, match="ledger key is another"):
        ReleasedColumns(connection, Seal.generate()).over(LOAD, "people")
