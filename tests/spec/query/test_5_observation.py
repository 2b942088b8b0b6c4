"""Observation: who is under observation, new events, follow-up."""

import datetime as dt

from civicgrid.query.language import cdm, dataset, follow_up
from civicgrid.query.types import DATE

gp = cdm("gp")
drugs = gp.drug_exposure
PERIODS = """
    person | observation_period_id | start_date | end_date
    1      | 1                     | 2019-01-01 | 2020-12-31
    2      | 2                     | 2020-01-01 | 2020-12-31
    3      | 3                     | 2019-01-01 | 2019-12-31
    3      | 4                     | 2020-01-01 | 2020-12-31
"""


def test_observed_at(ask):
    """One observation period must cover the date and the days asked for before and after it; two do not add up."""
    assert ask(gp.observed_at("2020-06-30"), observation_period=PERIODS) == {1: True, 2: True, 3: True}
    assert ask(gp.observed_at("2020-06-30", days_before=365), observation_period=PERIODS) == {
        1: True, 2: False, 3: False}
    assert ask(gp.observed_at("2020-06-30", days_after=185), observation_period=PERIODS) == {
        1: False, 2: False, 3: False}


def test_washout(ask):
    """`with_washout(days)` keeps the rows with none of the same rows in the days before, under observation then.

    Person 1 was observed for a year before the first; the second follows too closely; the third is new again.
    Person 2 was not observed for long enough before the only one.
    """
    taken = """
        person | drug_exposure_id | start_date
        1      | 1                | 2019-07-20
        1      | 2                | 2019-10-01
        1      | 3                | 2020-10-01
        2      | 4                | 2020-03-01
    """
    new = drugs.with_washout(days=200)
    tables = {"drug_exposure": taken, "observation_period": PERIODS}
    assert ask(new.count_for_person(), **tables) == {1: 2, 2: 0, 3: 0}
    assert ask(new.sort_by(new.start_date).last_for_person().drug_exposure_id, **tables) == {1: 3, 2: None, 3: None}
    assert ask(drugs.with_washout(days=200, observed=False).count_for_person(), **tables) == {1: 2, 2: 1, 3: 0}


def test_washout_counts_its_first_day(ask):
    """An event exactly `days` days before still counts; one day more and the later one is new."""
    taken = """
        person | drug_exposure_id | start_date
        1      | 1                | 2020-01-01
        1      | 2                | 2020-01-31
    """
    assert ask(drugs.with_washout(days=30, observed=False).count_for_person(), drug_exposure=taken) == {1: 1}
    assert ask(drugs.with_washout(days=29, observed=False).count_for_person(), drug_exposure=taken) == {1: 2}


FOLLOWED = {
    "drug_exposure": """
        person | drug_exposure_id | start_date
        1      | 1                | 2020-01-01
        2      | 2                | 2020-01-01
        3      | 3                | 2020-01-01
        4      | 4                | 2020-01-01
        5      | 5                | 2018-01-01
        6      | 6                | 2020-01-01
    """,
    "condition_occurrence": """
        person | condition_occurrence_id | start_date
        1      | 1                       | 2019-12-31
        1      | 2                       | 2020-01-01
        1      | 3                       | 2020-01-11
        2      | 4                       | 2020-02-01
        6      | 6                       | 2020-01-21
    """,
    "death": "person | date\n2 | 2020-01-21\n6 | 2020-01-21",
    "observation_period": """
        person | observation_period_id | start_date | end_date
        1      | 1                     | 2019-01-01 | 2020-12-31
        2      | 2                     | 2019-01-01 | 2020-12-31
        3      | 3                     | 2019-01-01 | 2020-01-31
        4      | 4                     | 2019-01-01 | 2020-12-31
        5      | 5                     | 2019-01-01 | 2020-12-31
        6      | 6                     | 2019-01-01 | 2020-12-31
    """,
}
first = drugs.sort_by(drugs.start_date).first_for_person()


def test_follow_up(ask):
    """Follow-up ends with the first of event, death, end of observation, end of the study and `max_days`.

    1: the event; the days up to and including the start do not count. 2: death before the event. 3: the end of
    observation. 4: the end of the study. 5: not under observation at the start, so not followed. 6: an event on the
    day of death is an event.
    """
    followed = follow_up(first.start_date, event=gp.condition_occurrence, until="2020-06-30")
    assert ask(followed.days, **FOLLOWED) == {1: 10, 2: 20, 3: 30, 4: 181, 5: None, 6: 20}
    assert ask(followed.event, **FOLLOWED) == {1: True, 2: False, 3: False, 4: False, 5: None, 6: True}
    assert ask(followed.reason, **FOLLOWED) == {
        1: "event", 2: "death", 3: "end of observation", 4: "end of study", 5: None, 6: "event"}
    assert ask(followed.end, **FOLLOWED)[1] == dt.date(2020, 1, 11)


def test_follow_up_from_the_first_day(ask):
    """`first_day=0` lets an event on the day of the start count; `first_day=11` starts the time at risk later."""
    for first_day, days in ((0, 0), (11, 90)):
        followed = follow_up(first.start_date, event=gp.condition_occurrence, max_days=90, first_day=first_day)
        assert ask(followed.days, **FOLLOWED)[1] == days


def test_follow_up_in_a_research_table(ask):
    """A research table says for itself when observation ends."""
    trial = dataset("trial", {"entry": DATE, "relapse": DATE, "left": DATE})
    followed = follow_up(trial.entry, event=trial.relapse, observed_until=trial.left)
    table = """
        person | entry      | relapse    | left
        1      | 2020-01-01 | 2020-01-31 | 2020-03-01
        2      | 2020-01-01 | -          | 2020-01-11
        3      | 2020-01-01 | 2020-01-31 | -
    """
    assert ask(followed.days, records=table) == {1: 30, 2: 10, 3: None}
