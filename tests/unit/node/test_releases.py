"""The release ledger at work at a site: over several data sets, when a custodian ends the epoch, what a site's yes or no to
a study costs the hub, and how many cohorts a project is told of roughly.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import civicgrid as cg
from civicgrid.curation.store import Store
from civicgrid.disclosure.codes import Code
from civicgrid.disclosure.policy import LedgerRules
from civicgrid.hub.coordinator import Dispatch
from civicgrid.methods.method import Ask
from civicgrid.node.session import Stored
from civicgrid.query.frames import ResearchTable
from civicgrid.wire import Round
from unit.node.sites import CACHE, Enrolled, World, code, frame

SETS = ("baseline", "outcomes")


def two_tables(more: int = 0, **options: Any) -> World:
    """Sites with two tables of the same people, of whom the second may have a few more."""
    at = World({name: frame(60) for name in ("ash", "birch", "cedar")}, **options)
    known = at.dictionary.model_copy(update={"person": "nhs"})
    for name, site in at.sites.items():
        store = Store(None)
        for dataset, people in zip(SETS, (60, 60 + more), strict=True):
            rows = frame(people).assign(nhs=[f"{name} {number}" for number in range(people)])
            store.load_table(dataset, rows.iloc[:: -1 if dataset == "outcomes" else 1], known)
        site.data = Stored(store, CACHE)
        at.trust[name].own_permits = [at.permit(name, datasets=SETS)]
    return at


def statuses(at: World, method: Any) -> set[str]:
    return {site.status for site in at.run(at.plan(method)).analyses[0].sites}


def tables(at: World) -> tuple[ResearchTable, ...]:
    schema = at.sites["ash"].data.holdings()[0].dictionary
    return tuple(cg.dataset(name, schema) for name in SETS)


@pytest.mark.parametrize(("more", "status"), [(0, "answered"), (1, "suppressed"), (9, "suppressed"), (10, "answered")])
def test_everybody_in_one_data_set_is_held_against_everybody_in_another(more: int, status: str) -> None:
    at = two_tables(more)
    baseline, outcomes = tables(at)
    assert statuses(at, cg.Count(cg.cohort(baseline.everyone))) == {"answered"}
    assert statuses(at, cg.Count(cg.cohort(outcomes.everyone))) == {status}


def test_the_same_words_about_another_data_set_are_other_conditions() -> None:
    at = two_tables()
    baseline, outcomes = tables(at)
    assert statuses(at, cg.Count(cg.cohort(baseline.age >= 50))) == {"answered"}
    assert statuses(at, cg.Count(cg.cohort(outcomes.age >= 50))) == {"suppressed"}
    assert statuses(at, cg.Count(cg.cohort(baseline.age >= 50))) == {"answered"}
    assert statuses(at, cg.Count(cg.cohort(outcomes.age >= 65))) == {"answered"}


def test_an_epoch_that_a_custodian_ends_in_the_middle_of_a_run_costs_it_nothing() -> None:
    at = World({name: frame(60) for name in ("ash", "birch", "cedar")})

    def ended(dispatch: Dispatch, site: str) -> bool:
        if isinstance(dispatch.frame.header, Round):
            state = at.sites[site].state
            with state.transaction("epoch-ended"):
                assert state.epochs.end(state.clock())
        return False

    schema = at.sites["ash"].data.holdings()[0].dictionary
    result = at.run(at.plan(cg.Count(cg.dataset("trial", schema))), lose=ended)
    assert {site.status for site in result.analyses[0].sites} == {"answered"}
    assert [row[0] for row in at.sites["ash"].state.connection.execute("select epoch from row_sets")] == [0, 1]


def test_a_data_file_that_is_made_anew_begins_an_epoch_and_is_written_down() -> None:
    """Other people have the numbers of those who were answered for: nothing is compared, and the log says when."""
    at = two_tables()
    baseline, _ = tables(at)
    assert statuses(at, cg.Count(cg.cohort(baseline.everyone))) == {"answered"}
    for site in at.sites.values():
        store = Store(None)
        store.load_table("baseline", pd.concat([frame(60), frame(1)]), at.dictionary)
        site.data = Stored(store, CACHE)
        site.sessions.clear()
    assert statuses(at, cg.Count(cg.cohort(baseline.everyone))) == {"answered"}
    lines = [line for line in at.sites["ash"].state.log() if line is not None and line.action == "epoch"]
    assert [line.details["epoch"] for line in lines] == [0, 1]


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


def test_the_budget_is_one_over_all_data_sets() -> None:
    at = two_tables(policy=allowing(rough=1))
    baseline, outcomes = tables(at)
    young, old = cg.Discover(cg.cohort(baseline.age < 45)), cg.Discover(cg.cohort(outcomes.age > 55))
    assert [statuses(at, each) for each in (young, old, young)] == [{"answered"}, {"suppressed"}, {"answered"}]


def test_the_budget_begins_anew_with_an_epoch() -> None:
    at = world(policy=allowing(rough=1))
    t = trial(at)
    young, old = (cg.Discover(cg.cohort(each)) for each in (t.age < 45, t.age > 55))
    assert [said(at, each, ("hull",)) for each in (young, old)] == [None, Code.DISCLOSURE]
    with at.sites["hull"].state.transaction("epoch-ended"):
        assert at.sites["hull"].state.epochs.end(0.0)
    assert said(at, old, ("hull",)) is None
