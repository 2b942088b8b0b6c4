"""How well a data set serves, worked out by hand and said in sentences; a set without outputs says so."""

from __future__ import annotations

import datetime as dt

import pytest

from civicgrid.catalogue.record import Frequency, Record
from civicgrid.catalogue.use import FRESH, Decision, History, measured
from unit.catalogue.samples import LOADED, full

TODAY = dt.date(2026, 11, 24)


def test_a_well_used_set_by_hand() -> None:
    history = History(
        decisions=(
            Decision(dt.date(2026, 1, 1), dt.date(2026, 1, 31), True),
            Decision(dt.date(2026, 1, 1), dt.date(2026, 3, 2), False),
            Decision(dt.date(2026, 1, 1), dt.date(2026, 6, 1), True),
            Decision(dt.date(2026, 11, 1)),
        ),
        studies=(dt.date(2024, 1, 1), dt.date(2026, 5, 1), dt.date(2026, 6, 1)),
        outputs=(dt.date(2025, 11, 24), dt.date(2025, 11, 25)),
    )
    use = measured(full(), history, TODAY)
    assert (use.applications, use.decided, use.approved, use.waiting) == (4, 3, 2, 1)
    assert use.days_to_decide == 60 and use.in_time == 67
    assert (use.variables, use.explained, use.profiled, use.fresh) == (2, 100, 100, True)
    assert (use.studies, use.studies_this_year, use.outputs, use.outputs_this_year) == (3, 2, 2, 1)
    assert use.explain() == {
        "findable": "The record says 97% of what it could. Nothing that it needs is missing.",
        "accessible": (
            "2 of 3 applications decided were approved. Half of the decisions took 60 days or fewer; "
            "67% came within three months. 1 application waiting."
        ),
        "useful": "Of 2 variables, 100% are described and 100% profiled. It is as fresh as it says.",
        "utilised": "3 studies used it, 2 in the last twelve months. 2 outputs public, 1 in the last twelve months.",
    }


def test_a_set_that_nobody_has_learnt_from_says_so() -> None:
    said = measured(full(), History(), TODAY).explain()
    assert said["utilised"] == "No study has used it yet, so nothing has been learnt from it."
    assert said["accessible"] == "Nobody has applied for it yet."
    said = measured(full(), History(studies=(TODAY,)), TODAY).explain()
    assert said["utilised"] == "1 study used it, 1 in the last twelve months. No output is public yet."
    said = measured(full(), History(decisions=(Decision(TODAY),)), TODAY).explain()
    assert said["accessible"] == "1 application waiting; none decided yet."


def test_an_empty_draft_is_hardly_findable() -> None:
    use = measured(Record(identifier="a"), History(), TODAY)
    assert use.described < 40 and use.lacking > 5 and use.explained is None and use.fresh is None
    assert use.explain()["useful"] == "No variable is described."
    whole = full().model_copy(update={"ends": TODAY})
    assert measured(whole, History(), TODAY).described == 100, "every field can be filled"


@pytest.mark.parametrize("frequency", list(FRESH))
def test_data_are_fresh_for_as_long_as_the_record_promises(frequency: Frequency) -> None:
    record = full().model_copy(update={"frequency": frequency})
    days = FRESH[frequency]
    if days is None:
        assert measured(record, History(), TODAY).fresh is None
        return
    assert measured(record, History(), LOADED + dt.timedelta(days=days)).fresh is True
    late = measured(record, History(), LOADED + dt.timedelta(days=days + 1))
    assert late.fresh is False and "longer than it says" in late.explain()["useful"]
