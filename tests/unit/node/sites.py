"""Sites in one process with everything in the test's hands: the hub's key, the custodians' decisions, the clock."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from civicgrid.canonical import Node
from civicgrid.curation.dictionary import Dictionary
from civicgrid.curation.store import Store
from civicgrid.disclosure.codes import Code
from civicgrid.disclosure.policy import Policy
from civicgrid.disclosure.thresholds import Thresholds
from civicgrid.governance.permit import Permit, Person, read_permit
from civicgrid.hub.coordinator import Answer, Dispatch, conduct
from civicgrid.methods import METHODS, Method
from civicgrid.methods.method import Ask
from civicgrid.methods.plan import Plan, bind
from civicgrid.node.session import Stored
from civicgrid.node.site import Identity, Site
from civicgrid.node.state import State
from civicgrid.trust.envelope import Envelope
from civicgrid.trust.keys import ExchangeKey, SigningKey
from civicgrid.trust.seal import Seal
from civicgrid.wire import (
    Accepted,
    Frame,
    Member,
    Prepare,
    Refused,
    Reply,
    Roster,
    Round,
    SignedTask,
    StudyRequest,
    StudyResult,
    read_reply,
)

NETWORK, PROJECT, DATASET = "net", "P-1", "trial"
CACHE = 1_000_000
NOON = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)


@dataclass
class Trust:
    """What the custodian of one site has decided; a test changes it between two tasks."""

    own_policy: Policy
    own_permits: list[tuple[str, Permit]] = field(default_factory=list)
    own_peers: dict[str, Member] = field(default_factory=dict)

    def policy(self) -> Policy:
        return self.own_policy

    def permits(self) -> list[tuple[str, Permit]]:
        return self.own_permits

    def peers(self) -> dict[str, Member]:
        return self.own_peers


@dataclass
class Enrolled:
    """A roster with what its members said when they signed it."""

    request: StudyRequest
    roster: Roster
    replies: dict[str, Reply]
    shares: dict[str, bytes] = field(default_factory=dict)

    @property
    def accepted(self) -> dict[str, Accepted]:
        return {site: reply for site, reply in self.replies.items() if isinstance(reply, Accepted)}

    @property
    def signed(self) -> Envelope:
        first, *others = (said.signature for said in self.accepted.values())
        return first.joined(*others)

    @property
    def standings(self) -> tuple[Envelope, ...]:
        return tuple(said.standing for said in self.accepted.values())


_DICTIONARIES: dict[tuple[str, ...], Dictionary] = {}
_STORES: dict[tuple[str, str], Store] = {}


def described(*frames: pd.DataFrame) -> Dictionary:
    """The dictionary that covers these frames."""
    key = tuple(frame.to_csv() for frame in frames)
    if key not in _DICTIONARIES:
        _DICTIONARIES[key] = Dictionary.infer(*frames)
    return _DICTIONARIES[key]


def stored(frame: pd.DataFrame, dictionary: Dictionary) -> Store:
    """A store that holds this frame as the data set: loaded once in a test run, since nothing here writes to it."""
    key = (frame.to_csv(), repr(dictionary))
    if key not in _STORES:
        _STORES[key] = Store(None)
        _STORES[key].load_table(DATASET, frame, dictionary)
    return _STORES[key]


class OneNumbering(Stored):
    """A site's data in whichever store: rows have the same numbers in each, so that one can stand in for another."""

    def numbering(self) -> str:
        return "by rows"


class World:
    """A hub's key, a researcher, a custodian, and a site for each frame; all peers of each other unless told otherwise."""

    def __init__(
        self,
        frames: Mapping[str, pd.DataFrame],
        *,
        policy: Policy | None = None,
        pooled: bool = True,
        organisations: Mapping[str, str] | None = None,
        states: Path | None = None,
    ) -> None:
        self.hub, self.person, self.custodian = (SigningKey.generate() for _ in range(3))
        self.moment = NOON
        self.dictionary = described(*frames.values())
        self.sites: dict[str, Site] = {}
        self.trust: dict[str, Trust] = {}
        self.stores: dict[str, Store] = {}
        self.seals: dict[str, Seal] = {}
        self.states = states
        for name, frame in frames.items():
            store = stored(frame, self.dictionary)
            signing, exchange = SigningKey.generate(), ExchangeKey.generate()
            organisation = (organisations or {}).get(name, name)
            member = Member(site=name, organisation=organisation, signing=signing.public, exchange=exchange.public)
            self.stores[name] = store
            self.trust[name] = Trust(policy or Policy())
            self.sites[name] = self._site(name, Identity(NETWORK, member, signing, exchange, self.hub.public))
        for name, trust in self.trust.items():
            trust.own_peers = {other: self.member(other) for other in frames if other != name}
            trust.own_permits = [self.permit(name, pooled_threshold=pooled)]

    def _site(self, name: str, identity: Identity) -> Site:
        seal = self.seals.setdefault(name, Seal.generate())
        state = State(None if self.states is None else self.states / f"{name}.sqlite", seal)
        return Site(identity, self.trust[name], OneNumbering(self.stores[name], CACHE), state, lambda: self.moment)

    def reopen(self, name: str) -> None:
        """The site's process ends and another takes its place, with what stands on disk."""
        self.sites[name].state.close()
        self.sites[name] = self._site(name, self.sites[name].identity)

    def reload(self, name: str, frame: pd.DataFrame) -> None:
        """The site loads its data set anew. A process of its own does that, so the site starts again afterwards."""
        self.stores[name] = stored(frame, self.dictionary)
        self.sites[name].data = OneNumbering(self.stores[name], CACHE)
        self.sites[name].sessions.clear()

    def member(self, name: str) -> Member:
        return self.sites[name].identity.member

    def permit(self, site: str, /, **changes: Any) -> tuple[str, Permit]:
        """A permit that covers everything, with these changes, signed by the custodian and read back."""
        fields: dict[str, Any] = {
            "network": NETWORK,
            "site": site,
            "project": PROJECT,
            "title": "A trial",
            "people": (Person(name="Ada", key=self.person.public),),
            "datasets": (DATASET,),
            "columns": ("*",),
            "methods": tuple(METHODS),
            "purpose": "To know.",
            "valid_from": (NOON - dt.timedelta(days=1)).isoformat(),
            "valid_until": (NOON + dt.timedelta(days=1)).isoformat(),
        }
        permit = Permit(**fields | changes)
        return permit.digest(), read_permit(permit.signed(self.custodian), [self.custodian.public])

    def plan(self, *methods: Method, title: str = "") -> Plan:
        """A plan of these methods, each on its own name, over the source of the first."""
        known = {held.name: held.dictionary for held in next(iter(self.sites.values())).data.holdings()}
        return bind(
            methods[0].source,
            {f"{method.kind}{number or ''}": method for number, method in enumerate(methods)},
            {name: schema for name, schema in known.items() if schema is not None},
            title,
        )

    def request(self, plan: Plan, **changes: Any) -> StudyRequest:
        fields: dict[str, Any] = {
            "network": NETWORK,
            "project": PROJECT,
            "person": self.person.public,
            "plan": plan,
            "nonce": secrets.token_hex(16),
        }
        return StudyRequest(**fields | changes)

    def task(self, header: Node, **blobs: bytes) -> SignedTask:
        return SignedTask.sign(Frame(header, blobs), self.hub)

    def tell(self, site: str, task: SignedTask) -> tuple[Reply, bytes]:
        """A task put before one site: its reply, and the share with it."""
        answered = self.sites[site].answer(task)
        assert answered is not None
        return read_reply(answered.header), answered.share

    def roster(self, request: StudyRequest, sites: Sequence[str], attempt: int = 0, **changes: Any) -> Roster:
        fields: dict[str, Any] = {
            "network": NETWORK,
            "study": request.digest(),
            "run": request.digest(),
            "attempt": attempt,
            "plan": request.plan.identity,
            "members": tuple(self.member(site) for site in sorted(sites)),
        }
        return Roster(**fields | changes)

    def prepare(self, request: StudyRequest, roster: Roster, study: Envelope | None = None) -> SignedTask:
        signed = study or request.signed(self.person)
        return self.task(Prepare(network=NETWORK, run=request.digest(), study=signed, roster=roster))

    def enrol(self, request: StudyRequest, sites: Sequence[str], attempt: int = 0) -> Enrolled:
        """One proposal of a roster, put before all its members."""
        roster = self.roster(request, sites, attempt)
        task = self.prepare(request, roster)
        return Enrolled(request, roster, {site: self.tell(site, task)[0] for site in sorted(sites)})

    def round(self, at: Enrolled, ask: Ask | bytes, number: int = 0, **changes: Any) -> SignedTask:
        """A round under a roster that stands, as an honest hub would send it but for the changes."""
        fields: dict[str, Any] = {
            "network": NETWORK,
            "run": at.request.digest(),
            "attempt": at.roster.attempt,
            "analysis": at.request.plan.analyses[0].name,
            "version": at.request.plan.analyses[0].method.version,
            "round": number,
            "roster": at.roster.digest(),
            "signed": at.signed,
            "standings": at.standings,
        }
        raw = ask if isinstance(ask, bytes) else ask.to_bytes()
        return self.task(Round(**fields | changes), ask=raw)

    def run(
        self,
        plan: Plan,
        sites: Sequence[str] = (),
        *,
        lose: Callable[[Dispatch, str], bool] = lambda dispatch, site: False,
        offline: Sequence[str] = (),
        published: Thresholds | None = None,
    ) -> StudyResult:
        """The whole conversation of an honest hub. `lose` says which site does not answer which dispatch."""
        request = self.request(plan)
        members = {site: self.member(site) for site in sorted(sites or self.sites) if site not in offline}
        talk = conduct(
            request,
            request.signed(self.person),
            request.digest(),
            members,
            tuple(self.member(site) for site in offline),
            published or Thresholds(),
        )
        try:
            dispatch = next(talk)
            while True:
                task = SignedTask.sign(dispatch.frame, self.hub)
                answers = {}
                for site in dispatch.targets:
                    if dispatch.expects and not lose(dispatch, site):
                        answers[site] = Answer(*self.tell(site, task))
                    elif not dispatch.expects:
                        self.sites[site].answer(task)
                dispatch = talk.send(answers)
        except StopIteration as stop:
            result: StudyResult = stop.value
            return result


def code(reply: Reply) -> Code | None:
    """The code of a refusal; None for any other reply."""
    return reply.code if isinstance(reply, Refused) else None


def frame(size: int, start: int = 20) -> pd.DataFrame:
    """So many people: age, sex, died, spread evenly so that no group is small where the whole is not."""
    return pd.DataFrame(
        {
            "age": [start + i % 60 for i in range(size)],
            "sex": ["female" if i % 2 else "male" for i in range(size)],
            "died": [(i // 2) % 2 for i in range(size)],
        }
    )
