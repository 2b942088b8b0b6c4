"""Attacks by a hub on who is summed with whom: sham sites, swapped keys, feigned drop-outs, one site asked twice.

The hub uses all it has: its own signing key, every message, every share. It is after a site of four people.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partial
from typing import Any

import msgpack
import numpy as np

import civicgrid as cg
from attacks.attack import Attack
from civicgrid.canonical import digest
from civicgrid.disclosure.codes import Code
from civicgrid.disclosure.release import Terms, combine, release
from civicgrid.disclosure.shapes import Counts
from civicgrid.disclosure.thresholds import Thresholds
from civicgrid.methods.method import Ask
from civicgrid.trust.keys import ExchangeKey, SigningKey
from civicgrid.trust.masks import MaskContext, mask, pair_mask
from civicgrid.trust.masks import combine as add
from civicgrid.wire import Member, Shared, Standing
from unit.node.sites import NETWORK, Enrolled, World, code, described, frame

COUNT = Ask("count")
TRIAL = cg.dataset("trial")
SMALL = 4
SIZES = {"hull": 60, "leeds": 50, "wales": SMALL, "york": 40}
SITES = tuple(SIZES)
OPEN = cg.Policy.open()


def world(**options: Any) -> World:
    """Four sites; their permits let small numbers into a masked total, the best case for the hub."""
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
    """The numbers of a masked share, as two halves of 64 bits."""
    return np.frombuffer(msgpack.unpackb(share)[3], "<u8").reshape(-1, 2).astype(np.uint64)


class Puppets:
    """Members of a roster whose every key the hub has made."""

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
        plain = add([limbs(share), *(pair_mask(key, own, context, len(limbs(share))) for key in self.exchange.values())])
        return int(plain[0, 0]) + (int(plain[0, 1]) << 64)


def _puppets(defended: bool, names: tuple[str, str]) -> int:
    """The victim beside two members that are the hub. Off: a site that trusts whatever keys come."""
    at, puppets = world(), Puppets(names)
    if not defended:
        at.trust["wales"].own_peers = dict(puppets.members)
    refused, share = puppets.ask(at, "wales")
    return SMALL if refused is None and puppets.bare(at, "wales", share) == SMALL else 0


def _one_organisation(defended: bool) -> int:
    """The victim beside two sites of one organisation that works with the hub, dressed up as two organisations.

    Off: peers that the custodian pinned under whatever organisation the hub said.
    """
    puppets = Puppets(("hull", "york"))
    at = world(organisations={"hull": "one", "york": "one"})
    pinned = {
        name: member if not defended else member.model_copy(update={"organisation": "one"})
        for name, member in puppets.members.items()
    }
    at.trust["wales"].own_peers = pinned
    found = 0
    for members in (puppets.members, pinned):
        puppets.members = dict(members)
        refused, share = puppets.ask(at, "wales")
        # In the open, a count of four would be hidden: only a mask that the hub can lift gives it away.
        if refused is None and msgpack.unpackb(share)[1] == "masked":
            found = max(found, puppets.bare(at, "wales", share))
    return found if found == SMALL else 0


def _twice_in_one_round(defended: bool) -> int:
    """Two questions under one mask: their difference is bare. Off: masks that are not bound to the question."""
    if not defended:
        keys = [ExchangeKey.generate() for _ in range(3)]
        once = MaskContext(network="n", study="s", round=0, attempt=0, roster="r", ask="not bound")
        wear = Terms(Thresholds(), False, 3, lambda plain: mask(plain, keys[0], [keys[1].public, keys[2].public], once))
        shares = [release((Counts("people", np.array(n, dtype=np.int64)),), wear) for n in (40, 40 - SMALL)]
        return int((limbs(shares[0]) - limbs(shares[1]))[0, 0])
    at = world()
    enrolled = at.enrol(at.request(at.plan(cg.Count(TRIAL), cg.Count(TRIAL))), SITES)
    shares = []
    for analysis, ask in (("count", COUNT), ("count", Ask("count", values={"again": True})), ("count1", COUNT)):
        reply, share = at.tell("wales", at.round(enrolled, ask, analysis=analysis))
        shares += [limbs(share)[0, 0]] if isinstance(reply, Shared) else []
    # Two answers about the same four people: under one mask they would be equal.
    return SMALL if len(shares) > len(set(shares)) else 0


def _feigned_drop_out(defended: bool) -> int:
    """The total with the small site less the total without it, in both orders: the hub says that it has dropped out."""
    without, found = tuple(site for site in SITES if site != "wales"), 0
    for order in ((SITES, without), (without, SITES)):
        at = world() if defended else world(policy=OPEN)
        read = [total(at, sites) for sites in order]
        if None not in read:
            found = abs(int(read[0] or 0) - int(read[1] or 0))
    return found


def _single_sites(defended: bool) -> int:
    """The exact sums of two sites that answer alone, taken from a masked total with a third: how many of its few died."""
    sizes = {"hull": 600, "leeds": 500, "wales": SMALL}
    frames = {site: frame(size) for site, size in sizes.items()}
    at = World(frames) if defended else World(frames, policy=OPEN)
    fit = cg.GLM(TRIAL, outcome="died", predictors=["age"], family="binomial")
    plan, read = at.plan(fit), []
    for sites in (["hull"], ["leeds"], ["hull", "leeds", "wales"]):
        enrolled = at.enrol(at.request(plan), sites)
        shares = sent(at, enrolled, next(fit.coordinate(plan.schema)))
        if set(shares) != set(sites):
            return 0
        read.append(combine(list(shares.values()))["totals"].values[0])
    deaths = float(frames["wales"]["died"].sum())
    return SMALL if abs(float((read[2] - read[0] - read[1])[2]) - deaths) < 1e-6 else 0


def _counts(at: World, asked: Sequence[tuple[Sequence[str], Any]]) -> list[int] | None:
    """The pooled count of each cohort at its sites, if all of them are had."""
    read = []
    for sites, population in asked:
        enrolled = at.enrol(at.request(at.plan(cg.Count(cg.cohort(population)))), sites)
        shares = sent(at, enrolled) if len(enrolled.accepted) == len(sites) else {}
        if set(shares) != set(sites):
            return None
        read.append(int(combine(list(shares.values()))["people"].values))
    return read


def _three_cohorts_at_other_sites(defended: bool) -> int:
    """One cohort with the small site, another without it, both together without it: no two of them about the same people.

    Searched over the order in which they are asked and over the sites, for any three totals that give the small part.
    """
    sizes, found = SIZES | {"wales": 2 * SMALL}, 0
    held = {site: frame(size) for site, size in sizes.items()}
    sex = cg.dataset("trial", described(*held.values()).schema)["sex"]
    one, other, both = sex == "female", sex == "male", sex.is_in(["female", "male"])
    without = ("hull", "leeds", "york")
    for plan in (
        ((SITES, one, 1), (without, other, 1), (without, both, -1)),
        ((without, one, -1), (SITES, both, 1), (without, other, -1)),
        ((SITES, one, 1), (SITES, other, 1), (without, both, -1)),
    ):
        for order in itertools.permutations(plan):
            at = World(held) if defended else World(held, policy=OPEN)
            read = _counts(at, [(sites, population) for sites, population, _ in order])
            if read is not None:
                left = sum(sign * count for (*_, sign), count in zip(order, read, strict=True))
                found = max(found, SMALL if left in (SMALL, 2 * SMALL) else 0)
    return found


FEW = 4


def _standing_for_another_question(defended: bool, omit: bool) -> int:
    """A site that may be counted apart is cross-tabulated apart: its few come out of two totals. With `omit` the hub keeps
    back what the site said of itself for the second question.
    """
    many = frame(400)
    few = frame(61).assign(sex=["male"] * 57 + ["female"] * FEW)
    frames = {"hull": many, "leeds": many, "wales": few, "york": many}
    for held in frames.values():
        held["half"] = ["a" if (i // 2) % 2 else "b" for i in range(len(held))]
    at = World(frames) if defended else World(frames, policy=OPEN)
    crossed = cg.Crosstab(TRIAL, rows="sex", columns="half")
    read: list[np.ndarray] = []
    total(at, SITES)
    for sites in (SITES, ("hull", "leeds", "york")):
        plan = at.plan(crossed)
        enrolled = at.enrol(at.request(plan), sites)
        ask = next(crossed.coordinate(plan.schema))
        changes: dict[str, Any] = {"standings": ()} if omit and defended else {}
        said = [at.tell(site, at.round(enrolled, ask, **changes)) for site in sites]
        if any(code(reply) for reply, _ in said):
            return 0
        read.append(np.asarray(combine([share for _, share in said])["people"].values))
    return FEW if sorted((read[0] - read[1]).ravel().tolist()) == [2, 2, 28, 29] else 0


ATTACKS = [
    Attack("two sham sites beside a real one", "hub", "pinned peers", SMALL,
           partial(_puppets, names=("sham-1", "sham-2"))),
    Attack("swapped keys of peers", "hub", "pinned peers", SMALL, partial(_puppets, names=("hull", "leeds"))),
    Attack("one organisation dressed up as two", "hub", "pinned organisations", SMALL, _one_organisation),
    Attack("one site asked twice in one round", "hub", "masks bound to the question", SMALL, _twice_in_one_round),
    Attack("a feigned drop-out and a subtraction", "hub", "rosters", SMALL, _feigned_drop_out),
    Attack("single sites in the open and a subtraction", "hub", "rosters", SMALL, _single_sites),
    Attack("a standing for another question", "hub", "standings", FEW,
           partial(_standing_for_another_question, omit=False)),
    Attack("three cohorts at other sites", "hub", "rosters", SMALL, _three_cohorts_at_other_sites),
    Attack("a standing left out", "hub", "standings", FEW, partial(_standing_for_another_question, omit=True)),
]  # fmt: skip
