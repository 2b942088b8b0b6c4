"""Dates: moving them, the time between them, age."""

import datetime as dt

import pytest

from civicgrid.query.language import cdm, cohort, days, months, run_date, years

gp = cdm("gp")
drugs = gp.drug_exposure
first = drugs.sort_by(drugs.start_date).first_for_person()


def one(start: str, end: str = "-") -> str:
    return f"person | drug_exposure_id | start_date | end_date\n1 | 1 | {start} | {end}"


@pytest.mark.parametrize(("start", "length", "moved"), [
    ("2020-02-28", days(2), dt.date(2020, 3, 1)),
    ("2020-01-31", months(1), dt.date(2020, 2, 29)),
    ("2021-01-31", months(13), dt.date(2022, 2, 28)),
    ("2020-02-29", years(1), dt.date(2021, 2, 28)),
    ("2020-02-29", years(4), dt.date(2024, 2, 29)),
])
def test_moving_a_date(ask, start, length, moved):
    """A date plus days, months or years; past the end of a month it stops at the month's last day."""
    assert ask(first.start_date + length, drug_exposure=one(start)) == {1: moved}


def test_moving_back(ask):
    """Subtracting a length of time moves a date back."""
    assert ask(first.start_date - months(1), drug_exposure=one("2020-03-31")) == {1: dt.date(2020, 2, 29)}


@pytest.mark.parametrize(("start", "end", "unit", "count"), [
    ("2020-01-31", "2020-03-01", "days", 30),
    ("2020-01-31", "2020-02-29", "months", 0),
    ("2020-01-31", "2020-03-31", "months", 2),
    ("2020-02-29", "2021-02-28", "years", 0),
    ("2020-02-29", "2021-03-01", "years", 1),
    ("2020-01-02", "2020-01-01", "years", -1),
])
def test_the_time_between_dates(ask, start, end, unit, count):
    """`(end - start).days`, `.months` and `.years` are whole, rounded down; negative when it goes back."""
    assert ask(getattr(first.end_date - first.start_date, unit), drug_exposure=one(start, end)) == {1: count}


def test_the_parts_of_a_date(ask):
    """`.year`, `.month` and `.day` are whole numbers."""
    for part, value in (("year", 2020), ("month", 3), ("day", 31)):
        assert ask(getattr(first.start_date, part), drug_exposure=one("2020-03-31")) == {1: value}


BIRTHS = """
    person | year_of_birth | month_of_birth | day_of_birth
    1      | 1950          | 6              | 15
    2      | 1950          | 6              | -
    3      | 1950          | -              | 20
    4      | -             | 6              | 15
"""


def test_birth_date(ask):
    """No day: the 15th. No month: 1 July, whatever the day. No year: missing."""
    assert ask(gp.person.birth_date, person=BIRTHS) == {
        1: dt.date(1950, 6, 15), 2: dt.date(1950, 6, 15), 3: dt.date(1950, 7, 1), 4: None}


def test_age_on(ask):
    """Age counts whole years, the birthday included."""
    assert ask(gp.person.age_on("2020-06-14"), person=BIRTHS) == {1: 69, 2: 69, 3: 69, 4: None}
    assert ask(gp.person.age_on(dt.date(2020, 6, 15)), person=BIRTHS) == {1: 70, 2: 70, 3: 69, 4: None}


def test_a_cohort_keeps_only_yes(ask):
    """A cohort holds the persons for whom its population is yes: not those where it is no or missing."""
    elders = cohort(population=gp.person.age_on("2020-06-15") >= 70, born=gp.person.year_of_birth.within(1900, 2020))
    assert ask(elders, person=BIRTHS) == {1: {"born": 1950}, 2: {"born": 1950}}
    assert elders.schema["born"].high == 2020


def test_the_day_of_the_run(ask):
    """`run_date` is the day that a run is for, and a date like any other. A study that is written with it, and not with
    dates of its own, can be run again for a later day: it stays the same template, which a custodian may permit as a whole.
    All of a study is for one day."""
    today = run_date("2020-06-30")
    recent = drugs.where((drugs.start_date > today - months(12)) & (drugs.start_date <= today))
    history = """
        person | drug_exposure_id | start_date
        1      | 1                | 2019-06-30
        1      | 2                | 2019-07-01
        1      | 3                | 2020-06-30
        1      | 4                | 2020-07-01
    """
    assert ask(recent.count_for_person(), drug_exposure=history) == {1: 2}
    assert ask(gp.person.age_on(run_date(dt.date(2020, 6, 14))), person=BIRTHS) == {1: 69, 2: 69, 3: 69, 4: None}
