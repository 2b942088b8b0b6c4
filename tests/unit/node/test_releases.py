"""The release ledger at work at a site: over several data sets, and when a custodian ends the epoch."""

from __future__ import annotations

import pandas as pd
import pytest

import civicgrid as cg
from civicgrid.curation.store import Store
from civicgrid.hub.coordinator import Dispatch
from civicgrid.node.session import Stored
from civicgrid.query.frames import ResearchTable
from civicgrid.wire import Round
from unit.node.sites import CACHE, World, frame

SETS = ("baseline", "outcomes")


def two_tables(more: int = 0) -> World:
    """Sites with two tables of the same people, of whom the second may have a few more."""
    at = World({name: frame(60) for name in ("ash", "birch", "cedar")})
    known = at.dictionary.model_copy(update={"person": "nhs"})
    for name, site in at.sites.items():
        store = Store(None)
        for dataset, people in zip(SETS, (60, 60 + more), strict=True):
            rows = frame(people).assign(nhs=[f"{name} {number}" for number in range(people)])
            store.load_table(dataset, rows.iloc[:: -1 if dataset == "outcomes" else 1], known)
        site.data = Stored(store, CACHE)
        at.trust[name].own_permits = [at.permit(name, datasets=SETS)]
    return at


def statuses(at: World, method: cg.Count) -> set[str]:
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
    assert [row[0] for row in at.sites["ash"].state.connection.execute("select epoch from row_sets")] == [1]


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
