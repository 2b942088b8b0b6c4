"""What is due when, held against dates worked out by hand; reminders once each; what is late stands on the register."""

from __future__ import annotations

import datetime as dt

import pytest

from civicgrid.governance.clocks import CLOCKS, due, waiting
from unit.governance.desk import approve, desk, panel_says, sent
from unit.governance.test_story import to_permit


@pytest.mark.parametrize(
    ("clock", "start", "last"),
    [
        ("decision", dt.date(2026, 3, 2), dt.date(2026, 6, 2)),
        ("decision", dt.date(2026, 11, 30), dt.date(2027, 2, 28)),
        ("application", dt.date(2026, 2, 27), dt.date(2026, 3, 27)),
        ("result", dt.date(2026, 8, 31), dt.date(2028, 2, 29)),
        ("publication", dt.date(2026, 11, 24), dt.date(2027, 1, 5)),
        ("publication", dt.date(2026, 11, 28), dt.date(2027, 1, 8)),
    ],
)
def test_days_worked_out_by_hand(clock: str, start: dt.date, last: dt.date) -> None:
    assert CLOCKS[clock].due(start) == last  # type: ignore[index]


def test_a_decision_is_due_in_three_months_and_the_time_for_an_answer_does_not_count() -> None:
    made = desk()
    project = sent(made)
    asked = {(each.what, each.frm): each.due for each in due(made.get("application", project), made)}
    assert asked == {("decision", who): dt.date(2026, 6, 2) for who in ("hull", "leeds", "north")}
    made.perform("cus", "decision.ask", f"{project}.leeds", question="Why?")
    asked = {(each.what, each.frm): each.due for each in due(made.get("application", project), made)}
    assert asked["application", ""] == dt.date(2026, 3, 30) and ("decision", "leeds") not in asked
    made.later(days=10)
    made.perform("ada", "decision.answer", f"{project}.leeds", answer="So.")
    assert {each.due for each in due(made.get("application", project), made)} == {dt.date(2026, 6, 12)}


def test_each_is_reminded_once_and_what_is_late_is_public() -> None:
    made = desk()
    project = sent(made)
    approve(made, project, "hull")
    assert not list(waiting(made, made.now.date()))
    made.later(days=78)
    made.notices.clear()
    assert list(waiting(made, made.now.date())) == [("application.remind", project)]
    made.perform("op", "application.remind", project)
    told = {notice.account for notice in made.notices}
    assert told >= {"cus", "cas", *(member.account for member in made.get("panel", "north").members)}
    assert "hull" not in told
    assert not list(waiting(made, made.now.date()))
    before = len(made.public)
    made.later(days=15)
    made.perform("op", "application.remind", project)
    late = [entry.sentence() for entry in made.public[before:]]
    assert late == [
        "Project P-1 is late: a decision from leeds was due on 2 June 2026.",
        "Project P-1 is late: a decision was due on 2 June 2026.",
    ]
    assert not list(waiting(made, made.now.date()))


def test_results_are_due_18_months_after_the_work_ends() -> None:
    made = desk()
    project = to_permit(made)
    [result] = due(made.get("application", project), made)
    assert (result.what, result.due) == ("result", dt.date(2028, 12, 1))


def test_a_promised_benefit_is_late_in_public() -> None:
    made = desk()
    project = sent(
        made, sites=["hull"], commercial="yes", commercial_interest="A company pays.", benefit_agreement="Half of it.",
        benefit_due="2026-09-01",
    )  # fmt: skip
    approve(made, project, "hull")
    [benefit] = made.find("benefit")
    assert made.public[-1].sentence() == (
        "Demo University made a promise for project P-1 by 1 September 2026: Half of it."
    )
    made.later(days=200)
    assert ("benefit.remind", benefit.id) in list(waiting(made, made.now.date()))
    made.perform("op", "benefit.remind", benefit.id)
    assert "the promised benefit was due on 1 September 2026" in made.public[-1].sentence()
    assert not list(waiting(made, made.now.date()))


def test_an_answer_that_does_not_come_lapses_by_itself() -> None:
    made = desk()
    project = sent(made)
    panel_says(made, project, "yes", "yes", "yes")
    made.perform("cus", "decision.ask", f"{project}.leeds", question="Why?")
    made.later(days=29)
    assert ("application.lapse", project) in list(waiting(made, made.now.date()))
