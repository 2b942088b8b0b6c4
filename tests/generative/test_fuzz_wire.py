"""Whatever bytes come, they are read, or refused with an error that this project raises on purpose.

Harm is done to real messages of real studies, so that it gets past the first checks. What a reader lets through is then
used as its receiver would use it: a plan is explained, a task answered, a result shown.
"""

from __future__ import annotations

import functools
import json
import random
from collections.abc import Callable
from typing import Any

import msgpack
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import civicgrid as cg
from civicgrid.client.results import Answer
from civicgrid.disclosure.release import combine
from civicgrid.disclosure.thresholds import Thresholds
from civicgrid.errors import CivicGridError, WireError
from civicgrid.hub.coordinator import Answer as Reply
from civicgrid.hub.coordinator import conduct
from civicgrid.methods import Method
from civicgrid.methods.method import Ask
from civicgrid.methods.plan import read_plan
from civicgrid.present.report import Section, report
from civicgrid.trust.envelope import Envelope
from civicgrid.trust.roster import ROSTER, Roster
from civicgrid.wire import (
    STUDY,
    Exchange,
    Frame,
    Hello,
    Holding,
    Member,
    Prepare,
    Round,
    SignedTask,
    Standing,
    StudyRequest,
    StudyResult,
    Tasks,
    read_frame,
    read_reply,
    read_study,
    unframe,
)
from unit.node.sites import World, code, frame

from .hostile import harmed_bytes, harmed_json, harmed_packed


class Seeded(random.Random):
    """A source of chance that a failing test names by its seed."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.named = seed

    def __repr__(self) -> str:
        return f"Seeded({self.named})"


SEEDS = st.integers(0, 2**40).map(Seeded)
fuzz = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
METHODS: tuple[Method, ...] = (
    cg.Count(cg.dataset("trial")),
    cg.Describe(cg.dataset("trial"), columns=["age", "died"], by="sex"),
    cg.Crosstab(cg.dataset("trial"), rows="sex", columns="died"),
    cg.GLM(cg.dataset("trial"), outcome="died", predictors=["age", "sex"], family="binomial"),
)


def only(read: Callable[[], object], *allowed: type[Exception]) -> Any:
    """What was read, or None where it was refused as it may be."""
    kinds = allowed or (CivicGridError,)
    try:
        return read()
    except kinds as error:
        assert "\n" not in str(error).strip() or len(str(error)) < 5_000
        return None


class Recorded:
    """Three sites, a study with every method, and every message that passed."""

    def __init__(self) -> None:
        held = {site: frame(size) for site, size in (("hull", 90), ("leeds", 80), ("york", 70))}
        self.at = World({site: one.assign(died=one.died.map({0: "no", 1: "yes"})) for site, one in held.items()})
        trial = cg.dataset("trial", self.at.sites["york"].data.holdings()[0].dictionary)
        self.plans = [self.at.plan(method) for method in METHODS]
        cohort = cg.cohort(((trial["age"] >= 30) | (trial["sex"] == "male")) & ~trial["died"].is_null())
        self.plans.append(self.at.plan(cg.Count(cohort), title="A title"))
        self.study = self.at.request(self.plans[-1])
        self.shares: list[list[bytes]] = []
        self.replies: list[tuple[Any, list[bytes]]] = []
        self.asks: list[tuple[Any, bytes, int]] = []
        self.results: list[tuple[Any, StudyResult]] = []
        for plan in self.plans:
            self._run(plan)

    def _run(self, plan: Any) -> None:
        request = self.at.request(plan)
        members = {site: self.at.member(site) for site in sorted(self.at.sites)}
        talk = conduct(request, request.signed(self.at.person), request.digest(), members, (), Thresholds())
        try:
            dispatch = next(talk)
            while True:
                task = SignedTask.sign(dispatch.frame, self.at.hub)
                answers = {}
                for site in dispatch.targets:
                    answered = self.at.sites[site].answer(task)
                    if answered is not None:
                        answers[site] = Reply(read_reply(answered.header), answered.share)
                        self.replies.append((read_reply(answered.header), [answered.header]))
                shares = [answer.share for answer in answers.values() if answer.share]
                if shares:
                    self.shares.append(shares)
                    self.asks.append((plan, dispatch.frame.blobs["ask"], dispatch.frame.header.round))  # type: ignore[attr-defined]
                dispatch = talk.send(answers)
        except StopIteration as stop:
            self.results.append((plan, stop.value))


@functools.cache
def recorded() -> Recorded:
    return Recorded()


def text(node: Any) -> str:
    return str(node.canonical().decode())


def test_the_messages_that_harm_is_done_to_are_read_as_they_are() -> None:
    seen = recorded()
    assert len(seen.asks) > 6
    for plan in seen.plans:
        assert read_plan(plan.canonical()).digest() == plan.digest()
    for shares in seen.shares:
        assert combine(shares)
    for plan, result in seen.results:
        assert all(analysis.output is not None for analysis in result.analyses), text(plan)


@fuzz
@given(SEEDS)
def test_a_plan_is_read_and_can_be_explained_or_is_refused(rng: random.Random) -> None:
    raw = harmed_json(text(rng.choice(recorded().plans)), rng)
    plan = only(lambda: read_plan(raw))
    if plan is not None:
        assert read_plan(plan.canonical()).digest() == plan.digest()
        assert plan.explain()
        assert plan.reads is not None
        assert plan.schema is not None


@fuzz
@given(SEEDS)
def test_an_envelope_and_the_study_in_it_are_read_or_refused(rng: random.Random) -> None:
    at, request = recorded().at, recorded().study
    inside = Envelope.sign(STUDY, harmed_json(text(request), rng), at.person)
    found = only(lambda: read_study(inside))
    if found is not None:
        assert found.person == at.person.public
        assert only(found.canonical) is None or StudyRequest.from_bytes(found.canonical()) == found
    outside = only(lambda: Envelope.from_bytes(harmed_json(text(request.signed(at.person)), rng)))
    if outside is not None:
        only(lambda: outside.signers(STUDY, [at.person.public]))
        only(lambda: outside.verify(STUDY, [at.person.public]))
        only(lambda: read_study(outside))


def _messages() -> list[Any]:
    at = recorded().at
    request = recorded().study
    enrolled = at.enrol(request, list(at.sites))
    hello = Hello(
        network="net",
        member=at.member("york"),
        holdings=at.sites["york"].data.holdings(),
        methods={"count": 1},
        software="1",
        session="s",
    )
    exchange = Exchange(session="s", replies=tuple(enrolled.replies.values()), wait=0.5)
    return [hello, exchange, Tasks(stored=("0" * 64,), tasks=1), *enrolled.replies.values()]


messages = functools.cache(_messages)


@fuzz
@given(SEEDS)
def test_a_frame_is_read_or_refused(rng: random.Random) -> None:
    message = rng.choice(messages())
    raw = Frame(message, {"a": b"1", "0" * 64: bytes(8)}).to_bytes()
    if rng.random() < 0.5:
        raw = harmed_packed(raw, rng)
    else:
        raw = msgpack.packb([harmed_json(text(message), rng), {"0": b"1"}])
    only(lambda: unframe(raw), WireError)
    for kind in (Hello, Exchange, Tasks, Prepare, Round):
        found = only(lambda kind=kind: read_frame(kind, raw))  # type: ignore[misc]
        if found is not None:
            only(found[0].canonical)
    only(lambda: SignedTask.from_bytes(raw), WireError)
    only(lambda: read_reply(harmed_json(text(message), rng)))
    for node in (Holding, Member, Roster, Standing):
        only(lambda node=node: node.from_bytes(harmed_json(text(message), rng)))  # type: ignore[misc]


@settings(fuzz, max_examples=60)
@given(SEEDS)
def test_a_site_answers_any_task_of_its_hub_in_its_own_words(rng: random.Random) -> None:
    """Under the hub's own signature: a reply, a refusal by code, or a task that is not opened."""
    seen, at = recorded(), recorded().at
    plan, ask, number = rng.choice(seen.asks)
    request = at.request(plan)
    enrolled = at.enrol(request, list(at.sites))
    if rng.random() < 0.5:
        header, _ = at.round(enrolled, ask, number if rng.random() < 0.2 else 0).open(at.hub.public)
    else:
        header, _ = at.prepare(request, enrolled.roster).open(at.hub.public)
    what = rng.random()
    if what < 0.4:
        raw = Frame(header, {"ask": harmed_packed(ask, rng)}).to_bytes()
    elif what < 0.8:
        raw = msgpack.packb([harmed_json(text(header), rng), {"ask": ask}])
    else:
        raw = harmed_packed(Frame(header, {"ask": ask}).to_bytes(), rng)
    task = SignedTask.sign(_Raw(raw), at.hub)  # type: ignore[arg-type]
    answered = only(lambda: at.sites["york"].answer(task))
    if answered is not None:
        reply = read_reply(answered.header)
        assert (answered.share == b"") or code(reply) is None


class _Raw:
    """A frame of any bytes."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    def to_bytes(self) -> bytes:
        return self.raw


@fuzz
@given(SEEDS)
def test_an_ask_is_read_or_refused(rng: random.Random) -> None:
    _, raw, _ = rng.choice(recorded().asks)
    found = only(lambda: Ask.from_bytes(harmed_packed(raw, rng)), ValueError)
    if found is not None:
        assert Ask.from_bytes(found.to_bytes()).digest() == found.digest()


@fuzz
@given(SEEDS)
def test_shares_are_added_or_refused(rng: random.Random) -> None:
    shares = list(rng.choice(recorded().shares))
    if rng.random() < 0.5:
        shares = [harmed_packed(shares[0], rng)] * len(shares)
    else:
        which = rng.randrange(len(shares))
        shares[which] = (harmed_packed if rng.random() < 0.7 else harmed_bytes)(shares[which], rng)
    only(lambda: combine(shares), WireError)


@fuzz
@given(SEEDS)
def test_a_signed_roster_is_read_or_refused(rng: random.Random) -> None:
    at = recorded().at
    enrolled = at.enrol(recorded().study, list(at.sites))
    envelope = Envelope.sign(ROSTER, harmed_json(text(enrolled.roster), rng), at.sites["york"].identity.signing)
    only(lambda: Roster.from_bytes(envelope.verify(ROSTER, [at.member("york").signing])))


@fuzz
@given(SEEDS)
def test_a_result_is_shown_or_refused(rng: random.Random) -> None:
    """By the client of a hostile hub: on a terminal, in a notebook, as data, as a page."""
    plan, result = rng.choice(recorded().results)
    raw = harmed_json(text(result), rng)
    found = only(lambda: StudyResult.from_bytes(json.dumps(json.loads(raw)))) if _is_json(raw) else None
    if found is None:
        return
    answer = Answer(plan, found, {})
    for name, one in answer.items():
        only(lambda one=one: one.to_pandas())  # type: ignore[misc]
        only(lambda one=one: json.dumps(one.to_dict()))  # type: ignore[misc]
        shown = only(lambda one=one: one._repr_html_())  # type: ignore[misc]
        assert shown is None or "<script" not in shown
        written = only(lambda one=one: str(one))  # type: ignore[misc]
        assert written is None or "\x1b" not in written
        if not one.failure:
            # A result without an output and without a reason says so when it is asked for.
            output = only(lambda one=one: one.output)  # type: ignore[misc]
            sections = [Section(name, "x", output, "", one.mode, one.sites)]
            assert "<script" not in report(title="x", explanation="x", plan="x", sections=sections, seconds={})


def _is_json(raw: bytes) -> bool:
    try:
        json.loads(raw)
    except ValueError:
        return False
    return True
