"""When answers are no longer held against earlier ones: by the calendar and by people, never by what is asked."""

from __future__ import annotations

import sqlite3

from pyroaring import BitMap

from civicgrid.disclosure.epochs import DAY, Epochs
from civicgrid.trust.seal import Seal


class Loads:
    def __init__(self) -> None:
        self.epochs = Epochs(sqlite3.connect(":memory:"), Seal.generate())

    def __call__(self, snapshot: str, day: float, people: range) -> int:
        known = self.epochs.known("trial", snapshot)
        if known is None:
            known = self.epochs.enter("trial", snapshot, lambda: BitMap(people), day * DAY, days=7, fewest=10)
        return known.epoch


def test_a_load_after_a_week_with_ten_people_more_or_fewer_begins_an_epoch() -> None:
    loaded = Loads()
    assert loaded("a", 0, range(100)) == 0
    assert loaded("b", 7, range(110)) == 1
    assert loaded("c", 14, range(5, 115)) == 2


def test_a_load_before_that_or_with_fewer_people_belongs_to_the_epoch_that_runs() -> None:
    loaded = Loads()
    assert loaded("a", 0, range(100)) == 0
    assert loaded("b", 6.9, range(500)) == 0
    assert loaded("c", 30, range(109)) == 0
    assert loaded("d", 31, range(110)) == 1, "counted from the people at the epoch's start, not from the load before"


def test_a_snapshot_keeps_its_epoch() -> None:
    loaded = Loads()
    assert [loaded("a", 0, range(100)), loaded("b", 8, range(200)), loaded("a", 90, range(100))] == [0, 1, 0]


def test_weekly_refreshes_do_not_lock_a_site_up() -> None:
    loaded = Loads()
    assert [loaded(str(week), 7 * week, range(1000 + 12 * week)) for week in range(6)] == list(range(6))


def test_a_custodian_may_end_an_epoch() -> None:
    loaded = Loads()
    assert not loaded.epochs.end("trial")
    assert loaded("a", 0, range(100)) == 0
    assert loaded.epochs.end("trial")
    assert loaded("a", 0.1, range(100)) == 1
