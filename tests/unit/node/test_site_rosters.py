"""A site answers on rosters of pinned sites that all have signed, and one question a round."""

from __future__ import annotations

from typing import Any

import pytest

import civicgrid as cg
from civicgrid.disclosure.codes import Code
from civicgrid.methods.method import Ask
from civicgrid.trust.keys import ExchangeKey, SigningKey
from civicgrid.wire import Envelope, Shared, Standing
from unit.node.sites import World, code
from unit.node.trial import COUNT, SITES, Why, count, world


def refused_roster(at: World, why: Why, words: str, sites: tuple[str, ...] = SITES, **changes: Any) -> None:
    request = at.request(at.plan(count()))
    assert code(at.tell("york", at.prepare(request, at.roster(request, sites, **changes)))[0]) is Code.ROSTER
    assert words in why()


def test_a_roster_without_this_site_is_refused(why: Why) -> None:
    refused_roster(world(), why, "not on the roster as itself", ("hull", "leeds"))


@pytest.mark.parametrize("field", ["study", "run", "plan", "network"])
def test_a_roster_for_another_study_is_refused(field: str, why: Why) -> None:
    refused_roster(world(), why, "for another study", **{field: "0" * 64})


def test_a_peer_that_is_not_pinned_is_refused(why: Why) -> None:
    at = world()
    del at.trust["york"].own_peers["leeds"]
    refused_roster(at, why, "leeds is not a pinned peer")


@pytest.mark.parametrize("field", ["signing", "exchange", "organisation"])
def test_a_peer_with_another_key_or_organisation_is_refused(field: str, why: Why) -> None:
    at = world()
    other = {
        "signing": SigningKey.generate().public,
        "exchange": ExchangeKey.generate().public,
        "organisation": "x",
    }
    changed = at.member("leeds").model_copy(update={field: other[field]})
    refused_roster(at, why, "leeds is not a pinned peer", members=(at.member("hull"), changed, at.member("york")))


def test_the_site_s_own_key_swapped_is_refused(why: Why) -> None:
    at = world()
    changed = at.member("york").model_copy(update={"exchange": ExchangeKey.generate().public})
    members = (at.member("hull"), at.member("leeds"), changed)
    refused_roster(at, why, "not on the roster as itself", members=members)


def test_fewer_organisations_than_the_policy_asks_for_are_refused(why: Why) -> None:
    at = world(policy=cg.Policy(organisations=4))
    refused_roster(at, why, "fewer organisations")


def test_a_missing_signature_stops_the_round(why: Why) -> None:
    at = world()
    enrolled = at.enrol(at.request(at.plan(count())), SITES)
    two = [enrolled.accepted[site].signature for site in ("hull", "york")]
    assert code(at.tell("york", at.round(enrolled, COUNT, signed=two[0].joined(two[1])))[0]) is Code.ROSTER
    assert "'leeds' has not signed the roster" in why()
    assert code(at.tell("york", at.round(enrolled, COUNT, 1, signed=None))[0]) is Code.ROSTER
    assert "did not come" in why()
    # A refusal is no answer: with all signatures the same round is answered.
    assert isinstance(at.tell("york", at.round(enrolled, COUNT))[0], Shared)


def test_the_signatures_of_another_roster_do_not_count(why: Why) -> None:
    at = world()
    request = at.request(at.plan(count()))
    first, second = at.enrol(request, SITES), at.enrol(request, SITES, attempt=1)
    assert code(at.tell("york", at.round(second, COUNT, signed=first.signed))[0]) is Code.ROSTER
    assert "signatures are for another roster" in why()


def test_a_roster_that_this_site_has_not_signed_is_refused(why: Why) -> None:
    at = world()
    enrolled = at.enrol(at.request(at.plan(count())), SITES)
    assert code(at.tell("york", at.round(enrolled, COUNT, roster="0" * 64))[0]) is Code.ROSTER
    assert code(at.tell("york", at.round(enrolled, COUNT, attempt=1))[0]) is Code.ROSTER
    assert "has not signed that roster" in why()


def test_another_question_under_the_same_round_is_refused(why: Why) -> None:
    at = world()
    enrolled = at.enrol(at.request(at.plan(count())), SITES)
    assert isinstance(at.tell("york", at.round(enrolled, COUNT))[0], Shared)
    assert code(at.tell("york", at.round(enrolled, Ask("count", values={"salt": 1})))[0]) is Code.ROSTER
    assert "another question, or another message, under the same round" in why()


def test_what_members_say_of_themselves_must_come_from_all_of_them_under_their_own_keys(why: Why) -> None:
    """Else a hub could say of a small site that it stands alone, leave it out, and subtract."""
    at = world()
    enrolled = at.enrol(at.request(at.plan(count())), SITES)
    honest = enrolled.standings
    roster, york = enrolled.roster.digest(), at.sites["york"].identity.signing
    stranger = "a standing is not signed by a member of the roster"
    for standings, words in (
        (honest[:2], "not every member's standing came"),
        ((*honest[:2], _said(roster, "york", at.hub)), stranger),
        ((*honest[:2], _said(roster, "leeds", york)), stranger),
        ((*honest[:2], _said("0" * 64, "york", york)), stranger),
    ):
        assert code(at.tell("hull", at.round(enrolled, COUNT, standings=standings))[0]) is Code.ROSTER
        assert words in why()
    assert isinstance(at.tell("hull", at.round(enrolled, COUNT))[0], Shared)


def _said(roster: str, site: str, key: SigningKey) -> Envelope:
    return Standing(roster=roster, site=site, alone=True).signed(key)
