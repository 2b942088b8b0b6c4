"""Attacks by a hub that uses all it has: its own signing key, every message, every share. No share of a few people is read.

Each attack first works where its defence is switched off, then yields nothing under the shipped defaults.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest

import civicgrid as cg
from civicgrid.canonical import digest
from civicgrid.config import NodeSettings
from civicgrid.disclosure.codes import Code
from civicgrid.disclosure.release import Terms, combine, release
from civicgrid.disclosure.shapes import Counts, Dimension
from civicgrid.disclosure.thresholds import Thresholds
from civicgrid.errors import TrustError
from civicgrid.methods.glm.site import Place
from civicgrid.methods.method import Ask
from civicgrid.node.home import Home
from civicgrid.trust.envelope import Envelope
from civicgrid.trust.keys import ExchangeKey, SigningKey
from civicgrid.trust.masks import MaskContext, mask, pair_mask
from civicgrid.trust.masks import combine as add
from civicgrid.wire import Finish, Member, Roster, Shared, SignedTask, Standing
from unit.node.sites import NETWORK, PROJECT, Enrolled, World, code, frame

COUNT = Ask("count")
TRIAL = cg.dataset("trial")
SMALL = 4
SIZES = {"hull": 60, "leeds": 50, "wales": SMALL, "york": 40}
SITES = tuple(SIZES)


def world(**options: Any) -> World:
    return World({site: frame(size) for site, size in SIZES.items()}, **options)


def sent(at: World, enrolled: Enrolled, ask: Ask = COUNT, number: int = 0) -> dict[str, bytes]:
    """What the members that signed a roster send for this round."""
    task = at.round(enrolled, ask, number)
    said = {site: at.tell(site, task) for site in enrolled.accepted}
    return {site: share for site, (reply, share) in said.items() if isinstance(reply, Shared)}


def total(at: World, sites: Sequence[str]) -> int | None:
    """The pooled count of these sites, if each of them signs and sends its part."""
    enrolled = at.enrol(at.request(at.plan(cg.Count(TRIAL))), sites)
    shares = sent(at, enrolled) if len(enrolled.accepted) == len(sites) else {}
    return int(combine(list(shares.values()))["people"].values) if set(shares) == set(sites) else None


def limbs(share: bytes) -> np.ndarray:
    return np.frombuffer(msgpack.unpackb(share)[3], "<u8").reshape(-1, 2).astype(np.uint64)


# --- who is on the roster --------------------------------------------------------------------------------------------


class Puppets:
    """Two members of a roster whose every key the hub has made."""

    def __init__(self, names: Sequence[str]) -> None:
        self.signing = {name: SigningKey.generate() for name in names}
        self.exchange = {name: ExchangeKey.generate() for name in names}
        self.members = {
            name: Member(
                site=name,
                organisation=name,
                signing=self.signing[name].public,
                exchange=self.exchange[name].public,
            )
            for name in names
        }

    def ask(self, at: World, victim: str) -> tuple[Code | None, bytes]:
        """Put the victim on a roster with the puppets, sign for them, and ask for its share."""
        request = at.request(at.plan(cg.Count(TRIAL)))
        members = sorted([*self.members.values(), at.member(victim)], key=lambda member: member.site)
        self.roster = at.roster(request, [], members=tuple(members))
        reply, _ = at.tell(victim, at.prepare(request, self.roster))
        if code(reply) is not None:
            return code(reply), b""
        own = reply.signature  # type: ignore[union-attr]
        signed = own.joined(*(self.roster.sign(key) for key in self.signing.values()))
        enrolled = Enrolled(request, self.roster, {victim: reply})
        standings = enrolled.standings + tuple(
            Standing(roster=self.roster.digest(), site=name, alone=True).signed(key)
            for name, key in self.signing.items()
        )
        reply, share = at.tell(victim, at.round(enrolled, COUNT, signed=signed, standings=standings))
        return code(reply), share

    def bare(self, at: World, victim: str, share: bytes) -> int:
        """The victim's own count: every mask on it was agreed with a key that the hub holds."""
        context = MaskContext(
            network=NETWORK,
            study=self.roster.run,
            round=0,
            attempt=0,
            roster=self.roster.digest(),
            ask=digest(b"count\0" + COUNT.to_bytes()),
        )
        own = at.member(victim).exchange
        plain = add([limbs(share), *(pair_mask(key, own, context, 1) for key in self.exchange.values())])
        return int(plain[0, 0]) + (int(plain[0, 1]) << 64)


@pytest.mark.parametrize("names", [("sham-1", "sham-2"), ("hull", "leeds")], ids=["sham sites", "swapped keys"])
def test_sham_sites_and_swapped_keys(names: tuple[str, str]) -> None:
    """The hub starts two sham sites beside one real one, or puts keys of its own under the names of real ones."""
    trusting = world()
    puppets = Puppets(names)
    trusting.trust["wales"].own_peers = dict(puppets.members)
    refused, share = puppets.ask(trusting, "wales")
    assert refused is None
    assert puppets.bare(trusting, "wales", share) == SMALL, "a site that trusted whatever came would be read"

    assert puppets.ask(world(), "wales") == (Code.ROSTER, b"")


def test_one_exchange_key_swapped_of_three() -> None:
    at = world()
    request = at.request(at.plan(cg.Count(TRIAL)))
    false = at.member("leeds").model_copy(update={"exchange": ExchangeKey.generate().public})
    roster = at.roster(request, [], members=(at.member("hull"), false, at.member("wales"), at.member("york")))
    for site in ("hull", "wales", "york"):
        assert code(at.tell(site, at.prepare(request, roster))[0]) is Code.ROSTER


def test_sham_organisations_do_not_make_a_mask() -> None:
    """Three sites of one real organisation, dressed up as three."""
    at = world(organisations={"hull": "one", "wales": "one", "york": "one"})
    request = at.request(at.plan(cg.Count(TRIAL)))
    dressed = tuple(at.member(site).model_copy(update={"organisation": site}) for site in ("hull", "wales", "york"))
    reply, _ = at.tell("wales", at.prepare(request, at.roster(request, [], members=dressed)))
    assert code(reply) is Code.ROSTER
    assert code(at.tell("wales", at.prepare(request, at.roster(request, ["hull", "wales", "york"])))[0]) is Code.DISCLOSURE


# --- asking again ----------------------------------------------------------------------------------------------------


def test_one_site_asked_twice_in_one_round() -> None:
    """Two questions under one mask: their difference would be bare."""
    keys = [ExchangeKey.generate() for _ in range(3)]
    once = MaskContext(network="n", study="s", round=0, attempt=0, roster="r", ask="not bound")
    wear = Terms(Thresholds(), False, 3, lambda plain: mask(plain, keys[0], [keys[1].public, keys[2].public], once))
    both = [
        limbs(release((Counts("people", np.array(people, dtype=np.int64)),), wear)) for people in (40, 40 - SMALL)
    ]
    assert int((both[0] - both[1])[0, 0]) == SMALL, "under one pad the difference of two answers is bare"

    at = world()
    enrolled = at.enrol(at.request(at.plan(cg.Count(TRIAL))), SITES)
    other = Ask("count", values={"again": True})
    assert isinstance(at.tell("york", at.round(enrolled, COUNT))[0], Shared)
    assert code(at.tell("york", at.round(enrolled, other))[0]) is Code.ROSTER


def test_two_analyses_under_one_round_wear_different_masks() -> None:
    at = world()
    plan = at.plan(cg.Count(TRIAL), cg.Count(TRIAL))
    enrolled = at.enrol(at.request(plan), SITES)
    pair = [at.tell("york", at.round(enrolled, COUNT, analysis=name))[1] for name in ("count", "count1")]
    assert int((limbs(pair[0]) - limbs(pair[1]))[0, 0]) != 0, "the same count twice: one pad would leave nought"


def test_a_feigned_drop_out_and_subtraction() -> None:
    """The total with a small site, less the total without it, which the hub says has dropped out."""
    without = ("hull", "leeds", "york")
    unguarded = world(policy=cg.Policy.open())
    all_of_them, the_rest = total(unguarded, SITES), total(unguarded, without)
    assert all_of_them is not None
    assert the_rest is not None
    assert all_of_them - the_rest == SMALL

    at = world()
    assert total(at, SITES) == sum(SIZES.values())
    assert total(at, without) is None
    at = world()
    assert total(at, without) == sum(SIZES.values()) - SMALL
    assert total(at, SITES) is None


def test_single_sites_in_the_open_and_a_subtraction() -> None:
    """The exact sums of two sites that answer alone, taken from a masked total with a small third one."""

    def attack(at: World) -> float | None:
        fit = cg.GLM(TRIAL, outcome="died", predictors=["age"], family="binomial")
        plan, read = at.plan(fit), []
        for sites in (["hull"], ["leeds"], ["hull", "leeds", "wales"]):
            enrolled = at.enrol(at.request(plan), sites)
            shares = sent(at, enrolled, next(fit.coordinate(plan.schema)))
            if set(shares) != set(sites):
                return None
            read.append(combine(list(shares.values()))["totals"].values[0])
        return float((read[2] - read[0] - read[1])[2])

    sizes = {"hull": 600, "leeds": 500, "wales": SMALL}
    frames = {site: frame(size) for site, size in sizes.items()}
    deaths = float(frames["wales"]["died"].sum())
    assert deaths > 0
    assert attack(World(frames, policy=cg.Policy.open())) == pytest.approx(deaths)
    assert attack(World(frames)) is None


# --- an open share ---------------------------------------------------------------------------------------------------


def score_at_zero(at: World) -> int | None:
    """How many women died at hull, from the score of a logistic regression at zero coefficients in a roster of two."""
    fit = cg.GLM(TRIAL, outcome="died", predictors=["sex"], family="binomial")
    enrolled = at.enrol(at.request(at.plan(fit)), ("hull", "york"))
    assert enrolled.roster.mode == "open"
    none = np.zeros(0)
    ask = Place(np.zeros(2), none, none.astype(np.int64), 0).ask()
    reply, share = at.tell("hull", at.round(enrolled, ask))
    if not isinstance(reply, Shared):
        return None
    values = combine([share])["pass"].values
    # The score is the sum of x·(y - 1/2), the information that of x·x/4; women are the reference level.
    deaths, men_who_died = values[0] + 2 * values[2], values[1] + 2 * values[4]
    return round(float(deaths - men_who_died))


def test_the_score_of_an_open_glm_share_is_no_way_round_the_rule_on_cells() -> None:
    held = frame(60)
    held["died"] = [int(i in (1, 3, 5) or (i % 2 == 0 and i < 40)) for i in range(60)]
    assert ((held["sex"] == "female") & (held["died"] == 1)).sum() == 3
    sites = {"hull": held, "york": frame(60)}
    assert score_at_zero(World(sites, policy=cg.Policy.open())) == 3
    assert score_at_zero(World(sites)) is None


# --- permits and plans -----------------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "york")
    made.create(
        NodeSettings(network=NETWORK, site="york", organisation="York", hub="http://127.0.0.1:1", hub_key="k")
    )
    return made


def test_a_forged_permit(home: Home) -> None:
    """A permit under the hub's signature, in the very folder of the node."""
    at = world()
    forged = at.permit("york")[1].signed(at.hub)
    (home.path / "permits" / "P-1-forged.json").write_bytes(forged.canonical())
    home.add_custodian(at.hub.public, "a hub whose key were a custodian's")
    assert [permit.project for _, permit in home.permits()] == [PROJECT]

    (home.path / "custodians.keys").write_text(f"{at.custodian.public}  # Cass\n")
    assert home.permits() == []
    with pytest.raises(TrustError):
        home.add_permit(forged)


def test_an_old_permit_replayed(home: Home) -> None:
    """Revoked, or past its date, it covers nothing; and there is no message that carries one to a node."""
    at = world()
    home.add_custodian(at.custodian.public, "Cass")
    home.add_permit(at.permit("york")[1].signed(at.custodian))
    at.trust["york"].permits = home.permits  # type: ignore[method-assign]
    assert code(at.enrol(at.request(at.plan(cg.Count(TRIAL))), SITES).replies["york"]) is None
    home.revoke_permit(home.permits()[0][0][:10])
    assert code(at.enrol(at.request(at.plan(cg.Count(TRIAL))), SITES).replies["york"]) is Code.NOT_PERMITTED
    old = at.permit("york", valid_until=(at.moment - dt.timedelta(seconds=1)).isoformat())[1]
    home.add_permit(old.signed(at.custodian))
    assert code(at.enrol(at.request(at.plan(cg.Count(TRIAL))), SITES).replies["york"]) is Code.NOT_PERMITTED


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


def test_a_plan_that_its_own_researcher_changed_after_approval() -> None:
    at = world()
    approved, other = at.plan(cg.Count(TRIAL)), at.plan(cg.Describe(TRIAL, columns=["age"]))
    at.trust["york"].own_permits = [at.permit("york", plans=(approved.digest(),))]
    assert code(at.enrol(at.request(approved), SITES).replies["york"]) is None
    assert code(at.enrol(at.request(other), SITES).replies["york"]) is Code.NOT_PERMITTED


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


@pytest.mark.parametrize("omit", [False, True], ids=["as said", "left out"])
def test_a_standing_given_for_one_question_does_not_serve_for_another(omit: bool) -> None:
    """A site that may be counted apart may not be cross-tabulated apart: its few would come out of two totals."""
    many = frame(400)
    few = frame(61).assign(sex=["male"] * 57 + ["female"] * 4)
    frames = {"hull": many, "leeds": many, "wales": few, "york": many}
    for held in frames.values():
        held["half"] = ["a" if (i // 2) % 2 else "b" for i in range(len(held))]
    crossed = cg.Crosstab(TRIAL, rows="sex", columns="half")

    def attack(at: World) -> list[int] | None:
        read = []
        assert total(at, SITES) is not None
        for sites in (SITES, ("hull", "leeds", "york")):
            plan = at.plan(crossed)
            enrolled = at.enrol(at.request(plan), sites)
            ask = next(crossed.coordinate(plan.schema))
            changes = {"standings": ()} if omit else {}
            task = at.round(enrolled, ask, **changes)
            said = [at.tell(site, task) for site in sites]
            if any(code(reply) for reply, _ in said):
                return None
            read.append(next(iter(combine([share for _, share in said]).values())).values)
        return sorted((read[0] - read[1]).ravel().tolist())

    if not omit:
        assert attack(World(frames, policy=cg.Policy.open())) == [2, 2, 28, 29]
    assert attack(World(frames)) is None


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
