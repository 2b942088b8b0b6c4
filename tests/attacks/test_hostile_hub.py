"""What a hostile hub tries, looked at more closely than by the attacks of `rosters.py`, `permits.py` and `messages.py`."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import pytest

import civicgrid as cg
from attacks.rosters import COUNT, SITES, TRIAL, limbs, sent, world
from civicgrid.config import NodeSettings
from civicgrid.disclosure.codes import Code
from civicgrid.disclosure.release import Terms, combine, release
from civicgrid.disclosure.shapes import Counts, Dimension
from civicgrid.disclosure.thresholds import Thresholds
from civicgrid.errors import TrustError
from civicgrid.node.home import Home
from civicgrid.trust.envelope import Envelope
from civicgrid.trust.keys import ExchangeKey, SigningKey
from civicgrid.wire import Finish, Roster, SignedTask
from unit.node.sites import NETWORK, code

# --- who is on the roster --------------------------------------------------------------------------------------------


def test_one_exchange_key_swapped_of_three() -> None:
    at = world()
    request = at.request(at.plan(cg.Count(TRIAL)))
    false = at.member("leeds").model_copy(update={"exchange": ExchangeKey.generate().public})
    roster = at.roster(request, [], members=(at.member("hull"), false, at.member("wales"), at.member("york")))
    for site in ("hull", "wales", "york"):
        assert code(at.tell(site, at.prepare(request, roster))[0]) is Code.ROSTER


# --- asking again ----------------------------------------------------------------------------------------------------


def test_two_analyses_under_one_round_wear_different_masks() -> None:
    at = world()
    plan = at.plan(cg.Count(TRIAL), cg.Count(TRIAL))
    enrolled = at.enrol(at.request(plan), SITES)
    pair = [at.tell("york", at.round(enrolled, COUNT, analysis=name))[1] for name in ("count", "count1")]
    assert int((limbs(pair[0]) - limbs(pair[1]))[0, 0]) != 0, "the same count twice: one pad would leave nought"


# --- permits and plans -----------------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "york")
    made.create(
        NodeSettings(network=NETWORK, site="york", organisation="York", hub="http://127.0.0.1:1", hub_key="k")
    )
    return made


def test_another_site_s_permit(home: Home) -> None:
    at = world()
    home.add_custodian(at.custodian.public, "Cass")
    with pytest.raises(TrustError, match="This permit is for hull"):
        home.add_permit(at.permit("hull")[1].signed(at.custodian))


def test_a_plan_changed_after_submission() -> None:
    """The hub edits the study on its way: another plan, another project, another set of sites."""
    at = world()
    request = at.request(at.plan(cg.Count(TRIAL)))
    study = request.signed(at.person)
    for changes in (
        {"plan": at.plan(cg.Describe(TRIAL, columns=["age"]))},
        {"project": "P-2"},
        {"sites": ("york",)},
        {"nonce": "1" * 16},
    ):
        changed = request.model_copy(update=changes)
        payload = base64.b64encode(changed.canonical()).decode()
        edited = study.model_copy(update={"payload": payload})
        for false in (edited, changed.signed(at.hub), changed.signed(SigningKey.generate())):
            reply, _ = at.tell("york", at.prepare(changed, at.roster(changed, SITES), false))
            assert code(reply) is Code.NOT_PERMITTED
        reply, _ = at.tell("york", at.prepare(changed, at.roster(changed, SITES), changed.signed(at.person)))
        # Under the researcher's own signature it is simply another study.
        assert code(reply) is (Code.NOT_PERMITTED if "project" in changes else None)


def test_a_study_under_another_study_s_roster() -> None:
    """A roster signed for one plan does not serve for another."""
    at = world()
    count, table = at.request(at.plan(cg.Count(TRIAL))), at.request(at.plan(cg.Describe(TRIAL, columns=["age"])))
    roster: Roster = at.roster(count, SITES)
    assert code(at.tell("york", at.prepare(table, roster))[0]) is Code.ROSTER


# --- messages --------------------------------------------------------------------------------------------------------


def test_replayed_messages_tell_nothing_new() -> None:
    at = world()
    enrolled = at.enrol(at.request(at.plan(cg.Count(TRIAL))), SITES)
    task = at.round(enrolled, COUNT)
    first = at.sites["york"].answer(task)
    at.sites["york"].answer(at.task(Finish(network=NETWORK, run=enrolled.request.digest())))
    assert at.sites["york"].answer(task) == first
    again = at.enrol(enrolled.request, SITES)
    assert again.roster == enrolled.roster
    assert code(at.tell("york", at.round(again, COUNT, standings=()))[0]) is Code.ROSTER, "another message, the same round"
    assert at.sites["york"].answer(task) == first
    assert at.sites["york"].state.connection.execute("select count(*) from answers").fetchone() == (1,)


def test_tampered_messages_are_not_opened() -> None:
    at = world()
    task = at.round(at.enrol(at.request(at.plan(cg.Count(TRIAL))), SITES), COUNT)
    for place in range(0, len(task.payload), 97):
        changed = bytearray(task.payload)
        changed[place] ^= 1
        with pytest.raises(TrustError):
            at.sites["york"].answer(SignedTask(bytes(changed), task.signature))


def test_a_standing_that_a_site_did_not_give_is_not_believed() -> None:
    """The hub says in a small site's name that it can stand alone, so that the others answer without it."""
    at = world()
    enrolled = at.enrol(at.request(at.plan(cg.Count(TRIAL))), SITES)
    wales = enrolled.accepted["wales"].standing
    said = json.loads(base64.b64decode(wales.payload))
    assert said["alone"] is False
    payload = json.dumps({**said, "alone": True}).encode()
    edited = wales.model_copy(update={"payload": base64.b64encode(payload).decode()})
    for false in (edited, Envelope.sign(wales.payload_type, payload, at.hub)):
        standings = tuple(one for one in enrolled.standings if one != wales) + (false,)
        assert code(at.tell("york", at.round(enrolled, COUNT, standings=standings))[0]) is Code.ROSTER
    others = tuple(one for one in enrolled.standings if one != wales)
    for too_few in ((), others):
        assert code(at.tell("york", at.round(enrolled, COUNT, standings=too_few))[0]) is Code.ROSTER


# --- what lies in the hub's database ---------------------------------------------------------------------------------


def test_a_masked_share_in_the_hub_s_database_cannot_be_read() -> None:
    """The bytes that the hub stores of one site: in the open its count stands in them, masked they are noise."""
    values = np.array([13, 29, 41, 57], dtype=np.int64)
    part = (Counts("people", values, (Dimension("d", ("a", "b", "c", "e")),)),)
    plain = release(part, Terms(Thresholds.open(), True, 3, None))
    assert values.tobytes() in plain

    at = world()
    plan = at.plan(cg.Describe(TRIAL, columns=["age", "sex"]))
    ask = next(plan.analyses[0].method.coordinate(plan.schema))
    runs = [sent(at, at.enrol(at.request(plan), SITES), ask) for _ in range(2)]
    for site in SITES:
        one, two = (limbs(run[site]) for run in runs)
        assert len(one) > 10
        assert not (one == two).any(), "the same people, the same question, another run: not one equal value"
        assert (one[:, 1] != 0).all(), "counts and small sums have nothing in their upper half"
        bits = np.unpackbits(np.concatenate([one, two]).view(np.uint8))
        assert abs(bits.mean() - 0.5) < 5 * 0.5 / np.sqrt(bits.size)
    together = [combine(list(run.values())) for run in runs]
    for name in together[0]:
        assert np.array_equal(together[0][name].values, together[1][name].values)
