"""What a site's yes or no to a study costs the hub, and how many cohorts a project is told of roughly."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

import civicgrid as cg
from civicgrid.disclosure.codes import Code
from civicgrid.disclosure.policy import LedgerRules
from civicgrid.methods.method import Ask
from unit.node.sites import Enrolled, World, code, frame

SITES = ("hull", "leeds", "york")
COUNT = Ask("count")


def world(**options: Any) -> World:
    return World({"hull": frame(60), "leeds": frame(50), "york": frame(40)}, **options)


def allowing(**rules: int) -> cg.Policy:
    return cg.Policy(ledger=LedgerRules(**rules))


def trial(at: World) -> Any:
    return cg.dataset("trial", at.sites["hull"].data.holdings()[0].dictionary)


def propose(at: World, method: Any, sites: tuple[str, ...] = SITES, **changes: Any) -> Enrolled:
    return at.enrol(at.request(at.plan(method), **changes), sites)


def said(at: World, method: Any, sites: tuple[str, ...] = SITES, **changes: Any) -> Code | None:
    """What hull says to the proposal of a study."""
    return code(propose(at, method, sites, **changes).replies["hull"])


# --- proposals ---------------------------------------------------------------------------------------------------------


def test_what_a_site_agreed_to_is_held_against_what_is_proposed_next() -> None:
    at = world()
    t = trial(at)
    assert said(at, cg.Count(cg.cohort(t.age < 70))) is None
    assert said(at, cg.Count(cg.cohort(t.age < 69))) is Code.DISCLOSURE
    assert said(at, cg.Count(cg.cohort(t.age < 50))) is None
    assert said(at, cg.Count(cg.cohort(t.age < 70))) is None, "the same study again is the same question"


def test_what_was_agreed_to_is_remembered_by_a_node_that_starts_again(tmp_path: Path) -> None:
    at = world(states=tmp_path)
    t = trial(at)
    assert said(at, cg.Count(cg.cohort(t.age < 70))) is None
    at.reopen("hull")
    assert said(at, cg.Count(cg.cohort(t.age < 69))) is Code.DISCLOSURE


def test_proposals_count_as_questions_about_the_same_people() -> None:
    at = world(policy=allowing(asks=3))
    t = trial(at)
    for digits in (0.9, 0.95, 0.99):
        fit = cg.GLM(cg.cohort(t.age >= 0, age=t.age, died=t.died), outcome="died", predictors=["age"], family="gaussian",
                     confidence=digits)  # fmt: skip
        assert said(at, fit) is None
    asked = cg.Describe(cg.cohort(t.age >= 0, age=t.age), columns=["age"])
    assert said(at, asked) is Code.DISCLOSURE
    assert said(at, fit) is None, "what was proposed before is no further question"


def test_a_refusal_counts_as_well() -> None:
    at = world(policy=allowing(asks=2), pooled=False)
    t = trial(at)
    few = cg.cohort(t.age < 22, age=t.age, died=t.died)
    for method in (cg.Count(few), cg.Describe(few, columns=["age"]), cg.Describe(few, columns=["died"])):
        assert said(at, method) is Code.DISCLOSURE
    rows = at.sites["hull"].sessions.popitem()[1].rows
    assert len(at.sites["hull"].state.ledger.asks(rows)) == 2


def test_questions_of_rounds_count_together_with_proposals() -> None:
    at = world(policy=allowing(asks=1))
    enrolled = propose(at, cg.Count(trial(at)))
    assert code(at.tell("hull", at.round(enrolled, COUNT))[0]) is Code.DISCLOSURE


def test_what_could_not_be_written_down_was_not_agreed_to(monkeypatch: pytest.MonkeyPatch) -> None:
    at = world()
    t = trial(at)
    hull = at.sites["hull"]
    request = at.request(at.plan(cg.Count(cg.cohort(t.age < 70))))
    task = at.prepare(request, at.roster(request, SITES))
    with monkeypatch.context() as patch:
        patch.setattr(hull.state, "audit", lambda *_, **__: (_ for _ in ()).throw(sqlite3.OperationalError("full")))
        with pytest.raises(sqlite3.OperationalError):
            hull.answer(task)
    assert code(at.tell("hull", task)[0]) is None
    assert said(at, cg.Count(cg.cohort(t.age < 69))) is Code.DISCLOSURE


# --- rough counts ------------------------------------------------------------------------------------------------------


def test_a_project_is_told_roughly_of_so_many_cohorts() -> None:
    at = world(policy=allowing(rough=2))
    at.trust["hull"].own_permits.append(at.permit("hull", project="P-2"))
    t = trial(at)
    young, women, old = (cg.Discover(cg.cohort(each)) for each in (t.age < 45, t.sex == "female", t.age > 55))
    assert [said(at, each, ("hull",)) for each in (young, women, old)] == [None, None, Code.DISCLOSURE]
    assert said(at, women, ("hull",)) is None, "the same cohort again is answered again"
    assert said(at, old, ("hull",), project="P-2") is None, "each project has a budget of its own"
    assert said(at, cg.Count(t), ("hull",)) is None, "other methods are not counted"


def test_the_budget_begins_anew_with_an_epoch() -> None:
    at = world(policy=allowing(rough=1))
    t = trial(at)
    young, old = (cg.Discover(cg.cohort(each)) for each in (t.age < 45, t.age > 55))
    assert [said(at, each, ("hull",)) for each in (young, old)] == [None, Code.DISCLOSURE]
    with at.sites["hull"].state.transaction("epoch-ended"):
        assert at.sites["hull"].state.epochs.end("trial")
    assert said(at, old, ("hull",)) is None
