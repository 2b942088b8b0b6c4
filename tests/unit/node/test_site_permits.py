"""What a permit covers, and nothing beyond it, up to the round in which it ends."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

import civicgrid as cg
from civicgrid.disclosure.codes import Code
from civicgrid.disclosure.thresholds import Thresholds
from civicgrid.governance.permit import Person
from civicgrid.wire import Shared
from unit.node.sites import NOON, World, code
from unit.node.trial import SITES, Why, count, of_the_dead, world

OUTSIDE: dict[str, tuple[dict[str, Any], str]] = {
    "expired": ({"valid_until": NOON.isoformat()}, "not valid at this time"),
    "not yet valid": ({"valid_from": (NOON + dt.timedelta(seconds=1)).isoformat()}, "not valid at this time"),
    "network": ({"network": "elsewhere"}, "another network, site or project"),
    "site": ({"site": "hull"}, "another network, site or project"),
    "project": ({"project": "P-2"}, "another network, site or project"),
    "person": ({"people": (Person(name="Eve", key="nobody"),)}, "person is not named"),
    "data set": ({"datasets": ("registry",)}, "data set is not on the permit"),
    "column": ({"columns": ("records.age",)}, "columns records.died are not on the permit"),
    "method": ({"methods": ("describe",)}, "a method is not on the permit"),
    "plan": ({"plans": ("0" * 64,)}, "plan is not one of those"),
}


@pytest.mark.parametrize("cause", OUTSIDE)
def test_a_study_outside_the_permit_is_refused(cause: str, why: Why) -> None:
    changes, words = OUTSIDE[cause]
    at = world()
    at.trust["york"].own_permits = [at.permit("york", **changes)]
    replies = at.enrol(at.request(at.plan(of_the_dead(at))), SITES).replies
    assert {site: code(reply) for site, reply in replies.items()} == {
        "hull": None,
        "leeds": None,
        "york": Code.NOT_PERMITTED,
    }
    assert words in why()


def test_no_permit_no_answer(why: Why) -> None:
    at = world()
    at.trust["york"].own_permits = []
    assert code(at.enrol(at.request(at.plan(count())), SITES).replies["york"]) is Code.NOT_PERMITTED
    assert "no permit stands" in why()


def test_one_of_several_permits_is_enough() -> None:
    at = world()
    at.trust["york"].own_permits = [at.permit("york", project="P-2"), *at.trust["york"].own_permits]
    assert code(at.enrol(at.request(at.plan(count())), SITES).replies["york"]) is None


def test_a_permit_for_this_very_plan_and_column_covers_it() -> None:
    at = world()
    plan = at.plan(of_the_dead(at))
    at.trust["york"].own_permits = [at.permit("york", plans=(plan.digest(),), columns=("records.died",))]
    assert code(at.enrol(at.request(plan), SITES).replies["york"]) is None


@pytest.mark.parametrize("how", ["revoked", "expired"])
def test_a_permit_that_ends_between_two_rounds_stops_the_next(how: str, why: Why) -> None:
    at = world()
    plan = at.plan(cg.Describe(cg.dataset("trial"), columns=["age"]))
    enrolled = at.enrol(at.request(plan), SITES)
    ask = next(plan.analyses[0].method.coordinate(plan.schema))
    assert isinstance(at.tell("york", at.round(enrolled, ask))[0], Shared)
    if how == "revoked":
        at.trust["york"].own_permits = []
    else:
        at.moment = NOON + dt.timedelta(days=1)
    assert code(at.tell("york", at.round(enrolled, ask, 1))[0]) is Code.NOT_PERMITTED
    assert ("no permit" if how == "revoked" else "not valid at this time") in why()


def crossed(at: World) -> Any:
    """A table with an empty cell: nobody is both male and under age."""
    trial = cg.dataset("trial", at.sites["york"].data.holdings()[0].dictionary)
    people = cg.cohort(trial.age >= 20, old=trial.age >= 20, sex=trial.sex)
    result = at.run(at.plan(cg.Crosstab(people, rows="sex", columns="old")), published=Thresholds(zeros=True))
    output = result.analyses[0].output
    assert output is not None
    return output.tables[0].rows[0][1]


def test_a_cell_with_nobody_in_it_is_shown_where_policy_and_permit_of_every_site_allow_it() -> None:
    def asked(**changes: Any) -> Any:
        at = world()
        for site in SITES:
            at.trust[site].own_permits = [at.permit(site, pooled_threshold=True, zeros=True)]
        if "policy" in changes:
            at.trust["york"].own_policy = cg.Policy(zeros=False)
        if "permit" in changes:
            at.trust["york"].own_permits = [at.permit("york", pooled_threshold=True, **changes["permit"])]
        return crossed(at)

    assert asked() == 0
    assert asked(policy=False) is None
    assert asked(permit={}) is None
    assert asked(permit={"thresholds": Thresholds(zeros=True)}) is None, "the clause is the permit's, not a threshold"
