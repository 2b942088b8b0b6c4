"""Results that wait for a person; who may run a study on the day; benefits promised and given."""

from __future__ import annotations

import datetime as dt

import pytest

from civicgrid.errors import NotAllowed, StateError
from civicgrid.governance.checking import Verdict, check_run, history, needs_person
from civicgrid.governance.people import Grant
from unit.governance.desk import KEYS, Desk, account, desk
from unit.governance.test_story import to_permit

A, B = "a" * 64, "b" * 64
FORM = {"run": A, "plan": B, "output": A, "analysis": "people", "context": "One table.",
        "verdicts": [{"rule": "min_cell", "passed": False, "words": "A cell of few people."}]}  # fmt: skip


def waiting(two: bool = False) -> tuple[Desk, str]:
    made = desk()
    made.put(
        account("che", Grant(role="checker")),
        account("chu", Grant(role="checker")),
        made.get("site", "hull").model_copy(update={"two_checkers": two}),
    )
    project = to_permit(made)
    return made, made.perform("op", "result.queue", "", {"application": project, **FORM}).id


def test_a_person_looks_where_policy_or_verdict_asks_for_one() -> None:
    good, bad = Verdict(rule="min_cell", passed=True), Verdict(rule="min_cell", passed=False)
    assert not needs_person(False, [good])
    assert needs_person(True, [good]) and needs_person(False, [good, bad])


def test_a_checker_asks_and_lets_it_out() -> None:
    made, result = waiting()
    assert {notice.account for notice in made.notices if notice.path == f"/results/{result}"} == {"che", "chu"}
    made.perform("che", "result.ask", result, question="Why so few?")
    made.perform("ada", "result.answer", result, answer="It is rare.")
    made.notices.clear()
    assert made.perform("che", "result.approve", result).state == "approved"
    assert {notice.account for notice in made.notices} == {"ada", "ben"}


def test_the_researcher_sees_at_once_why_not() -> None:
    made, result = waiting()
    made.notices.clear()
    made.perform("che", "result.reject", result, reasons="A cell of three people.")
    assert all(notice.words.endswith("A cell of three people.") for notice in made.notices)
    again = made.perform("op", "result.queue", "", {"application": "P-1", **FORM})
    assert [(each.id, each.state) for each in history(made, again)] == [(result, "rejected")]


def test_two_checkers_are_two_people() -> None:
    made, result = waiting(two=True)
    assert made.perform("che", "result.approve", result).state == "half"
    with pytest.raises(StateError, match="needs a second person"):
        made.perform("che", "result.second", result)
    assert made.perform("chu", "result.second", result).state == "approved"


def test_a_checker_never_checks_their_own_project() -> None:
    made, result = waiting()
    ada = made.get("account", "ada")
    made.put(ada.model_copy(update={"grants": (*ada.grants, Grant(role="checker"))}))
    for action in ("approve", "second"):
        with pytest.raises(NotAllowed, match="has no part in it"):
            made.perform("ada", f"result.{action}", result)


def test_who_runs_a_study_is_looked_at_on_the_day() -> None:
    made = desk()
    project = to_permit(made)
    today, key = made.now.date(), KEYS["ada"].public
    assert check_run(made, project, key, today).id == "ada"
    for of, on, words in (
        (project, dt.date(2030, 1, 2), "no valid accreditation. It ended on 1 January 2030"),
        ("P-9", today, "no such project"),
    ):
        with pytest.raises(NotAllowed, match=words):
            check_run(made, of, key, on)
    with pytest.raises(NotAllowed, match="nobody's there"):
        check_run(made, project, KEYS["cus"].public, today)
    ada = made.get("account", "ada")
    made.put(ada.model_copy(update={"keys": (KEYS["m1"].public,)}))
    with pytest.raises(NotAllowed, match="removed from its account"):
        check_run(made, project, key, today)
    made.put(ada)
    made.perform("ada", "application.finish", project, title="Air", findings="It does.")
    with pytest.raises(NotAllowed, match="this one is not"):
        check_run(made, project, key, today)


def test_a_benefit_is_promised_and_given_in_public() -> None:
    made = desk()
    project = to_permit(made)
    made.perform("ada", "application.promise", project, promise="A leaflet for parents.", due="2027-01-31")
    [benefit] = made.find("benefit", application=project)
    with pytest.raises(NotAllowed):
        made.perform("ben", "benefit.deliver", benefit.id, delivered="It is there.")
    made.perform("ada", "benefit.deliver", benefit.id, delivered="The leaflet.", link="https://uni.example/leaflet")
    assert [entry.sentence() for entry in made.public[-2:]] == [
        "Demo University made a promise for project P-1 by 31 January 2027: A leaflet for parents.",
        "Demo University kept a promise of project P-1: The leaflet.",
    ]
