"""When answers are no longer held against earlier ones: by the calendar and by people, never by what is asked."""

from __future__ import annotations

import sqlite3

from pyroaring import BitMap

from civicgrid.disclosure.epochs import DAY, Epochs
from civicgrid.disclosure.row_sets import Load
from civicgrid.trust.seal import Seal


class Loads:
    """A site's loads, one after another; each is looked at when it is made."""

    def __init__(self) -> None:
        self.epochs = Epochs(sqlite3.connect(":memory:"), Seal.generate())
        self.held: dict[str, BitMap] = {}
        self.numbers = "numbers"

    def numbering(self) -> str:
        return self.numbers

    def names(self) -> list[str]:
        return list(self.held)

    def people(self, dataset: str) -> BitMap:
        return self.held[dataset]

    def loaded(self, snapshot: str, day: float, people: range, dataset: str = "trial") -> Load:
        self.held[dataset] = BitMap(people)
        known = self.epochs.known(dataset, snapshot, self.numbers)
        return known or self.epochs.enter(dataset, snapshot, self, day * DAY, days=7, fewest=10)

    def __call__(self, snapshot: str, day: float, people: range, dataset: str = "trial") -> int:
        return self.loaded(snapshot, day, people, dataset).epoch


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
    assert not loaded.epochs.end(0)
    assert loaded("a", 0, range(100)) == 0
    assert loaded("b", 0, range(100), "registry") == 0
    assert loaded.epochs.end(0.5 * DAY)
    assert loaded("a", 0, range(100)) == 1, "of the same load too"
    assert loaded("b", 0, range(100), "registry") == 1, "and of every data set"
    assert loaded("c", 3, range(200)) == 1
    assert loaded("d", 8, range(110)) == 2


def test_a_site_has_one_epoch_whichever_data_set_begins_it() -> None:
    loaded = Loads()
    assert loaded("a", 0, range(100)) == 0
    assert loaded("b", 1, range(80), "registry") == 0
    assert loaded("c", 8, range(95), "registry") == 1
    assert loaded("d", 9, range(200)) == 1, "a day after the epoch began"
    assert loaded("e", 16, range(130)) == 2, "thirty more than when the epoch began"


def test_a_load_stays_in_its_epoch_while_another_data_set_begins_new_ones() -> None:
    loaded = Loads()
    assert loaded("static", 0, range(100), "registry") == 0
    assert [loaded(str(week), 7 * week, range(1000 + 12 * week)) for week in range(4)] == [0, 1, 2, 3]
    still = loaded.loaded("static", 0, range(100), "registry")
    assert (still.epoch, still.running, still.entered) == (0, 3, 3)


def test_a_load_that_nobody_asked_about_belongs_to_when_it_was_made() -> None:
    loaded = Loads()
    assert [loaded(str(week), 7 * week, range(1000 + 12 * week)) for week in range(4)] == [0, 1, 2, 3]
    assert loaded("late", 8, range(100), "registry") == 1
    assert loaded("before all", -9, range(100), "other") == 0


def test_a_data_set_that_is_new_ends_no_epoch() -> None:
    loaded = Loads()
    assert loaded("a", 0, range(100)) == 0
    assert loaded("b", 30, range(5000, 9000), "registry") == 0
    assert loaded("c", 31, range(5000, 9010), "registry") == 1


def test_numbers_that_were_dealt_anew_begin_an_epoch() -> None:
    """They are other people's: nothing can be compared, whatever the snapshot is called."""
    loaded = Loads()
    assert loaded("a", 5, range(100)) == 0
    loaded.numbers = "other numbers"
    assert loaded("a", 6, range(100)) == 1
    assert loaded("b", 2, range(80), "registry") == 1
