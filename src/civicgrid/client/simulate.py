"""A grid in one process over data of one's own: the same plans, permits, masks and disclosure rules as the real thing.

Every site gets fresh keys and a throwaway permit, and the same code that a node and a hub run does the rest; only the
network between them is left out. A study written here runs unchanged on a real grid.
"""

from __future__ import annotations

import datetime as dt
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from civicgrid.client.grid import Grid, Progress
from civicgrid.client.results import Answer
from civicgrid.curation.dictionary import Dictionary
from civicgrid.curation.store import Store
from civicgrid.disclosure.policy import Policy
from civicgrid.disclosure.thresholds import Thresholds
from civicgrid.errors import DataError
from civicgrid.governance.permit import Permit, Person
from civicgrid.hub.coordinator import Answer as Reply
from civicgrid.hub.coordinator import conduct
from civicgrid.methods import METHODS
from civicgrid.methods.plan import Plan
from civicgrid.node.session import Stored, schemas
from civicgrid.node.site import Identity, Site
from civicgrid.node.state import State
from civicgrid.query.types import Schema
from civicgrid.trust.keys import ExchangeKey, SigningKey
from civicgrid.trust.roster import Member
from civicgrid.wire import Round, SignedTask, StudyRequest, StudyResult, read_reply

NETWORK = "simulation"
PROJECT = "simulation"
CACHE_BYTES = 64_000_000_000
KEPT = 2
"""Cohorts whose columns a simulated site keeps: one's own data, asked about again and again."""


@dataclass
class _Custodian:
    """What a simulated site trusts: the policy it was given, a permit it signed itself, the other sites."""

    own_policy: Policy
    own_permits: list[tuple[str, Permit]] = field(default_factory=list)
    own_peers: dict[str, Member] = field(default_factory=dict)

    def policy(self) -> Policy:
        return self.own_policy

    def permits(self) -> list[tuple[str, Permit]]:
        return self.own_permits

    def peers(self) -> dict[str, Member]:
        return self.own_peers


class Simulation(Grid):
    """Sites in this process. `reports` holds what loading each site's data found."""

    network = NETWORK

    def __init__(
        self,
        sites: Mapping[Any, Any],
        dataset: str,
        policy: Policy,
        dictionary: Dictionary | None,
        pooled: bool,
        zeros: bool,
        published: Thresholds,
    ) -> None:
        if not sites:
            raise DataError('Expected at least one site: cg.simulate({"leeds": "leeds.csv", "york": frame}).')
        self.policy, self.published = policy, published
        self.person = SigningKey.generate()
        self._hub = SigningKey.generate()
        self.sites: dict[str, Site] = {}
        self.reports: dict[str, Any] = {}
        self._own: list[Store] = []
        named = {site_name(name): source for name, source in sites.items()}
        if len(named) != len(sites):
            raise DataError("Expected each site under a name of its own; two are the same once written in lower case.")
        tables = [source for source in named.values() if not isinstance(source, Store) and not _is_omop(source)]
        if tables and dictionary is None:
            dictionary = Dictionary.infer(*tables)
        for name, source in named.items():
            self.sites[name] = self._site(name, source, dataset, dictionary)
        members = {name: site.identity.member for name, site in self.sites.items()}
        for site in self.sites.values():
            assert isinstance(site.trusted, _Custodian)
            site.trusted.own_peers = members
            site.trusted.own_permits = [self._permit(site, dataset, pooled, zeros)]

    def _site(self, name: str, source: Any, dataset: str, dictionary: Dictionary | None) -> Site:
        if isinstance(source, Store):
            store = source
        else:
            store = Store(None)
            self._own.append(store)
            if _is_omop(source):
                self.reports[name] = store.load_omop(dataset, source)
            else:
                self.reports[name] = store.load_table(dataset, source, dictionary)
        signing, exchange = SigningKey.generate(), ExchangeKey.generate()
        member = Member(site=name, organisation=name, signing=signing.public, exchange=exchange.public)
        identity = Identity(NETWORK, member, signing, exchange, self._hub.public)
        return Site(identity, _Custodian(self.policy), Stored(store, CACHE_BYTES, KEPT), State(None))

    def _permit(self, site: Site, dataset: str, pooled: bool, zeros: bool) -> tuple[str, Permit]:
        """A throwaway permit, signed by a throwaway custodian and read back through its signature."""
        from civicgrid.governance.permit import read_permit

        now = dt.datetime.now(dt.UTC)
        permit = Permit(
            network=NETWORK,
            site=site.identity.member.site,
            project=PROJECT,
            title="Simulation over one's own data",
            people=(Person(name="you", key=self.person.public),),
            datasets=(dataset,),
            columns=("*",),
            methods=tuple(METHODS),
            purpose="Simulation",
            valid_from=(now - dt.timedelta(days=1)).isoformat(),
            valid_until=(now + dt.timedelta(days=365)).isoformat(),
            pooled_threshold=pooled,
            zeros=zeros,
        )
        custodian = SigningKey.generate()
        envelope = permit.signed(custodian)
        return permit.digest(), read_permit(envelope, [custodian.public])

    def __repr__(self) -> str:
        return f"<a simulation of {', '.join(self.sites)}>"

    def dictionaries(self) -> dict[str, Schema]:
        return {name: schema for site in self.sites.values() for name, schema in schemas(site.data.holdings()).items()}

    def _execute(self, plan: Plan, sites: Sequence[str], progress: Progress | None) -> Answer:
        chosen = {site_name(name) for name in sites} or set(self.sites)
        unknown = sorted(chosen - set(self.sites))
        if unknown:
            raise DataError(f"There is no site {', '.join(unknown)}. There is: {', '.join(self.sites)}.")
        held = {holding.name for site in self.sites.values() for holding in site.data.holdings()}
        if plan.dataset not in held:
            raise DataError(f"No site holds a data set {plan.dataset!r}. There is: {', '.join(sorted(held))}.")
        request = StudyRequest(
            network=NETWORK,
            project=PROJECT,
            person=self.person.public,
            plan=plan,
            nonce=secrets.token_hex(16),
        )
        members = {name: self.sites[name].identity.member for name in sorted(chosen)}
        study = request.signed(self.person)
        talk = conduct(request, study, request.digest(), members, (), self.published)
        seconds: dict[str, float] = {}
        try:
            dispatch = next(talk)
            while True:
                began = time.perf_counter()
                signed = SignedTask.sign(dispatch.frame, self._hub)
                answers: dict[str, Reply] = {}
                for name in dispatch.targets:
                    answered = self.sites[name].answer(signed)
                    if answered is not None:
                        self.sites[name].state.confirmed((answered.task,))
                        reply = read_reply(answered.header)
                        answers[name] = Reply(reply, answered.share)
                        if progress is not None:
                            progress({"action": "answered", "sites": (name,), "kind": reply.kind})
                header = dispatch.frame.header
                phase = header.analysis if isinstance(header, Round) else "enrol"
                dispatch = talk.send(answers)
                seconds[phase] = seconds.get(phase, 0.0) + time.perf_counter() - began
        except StopIteration as stop:
            result: StudyResult = stop.value
        return Answer(plan, result, seconds)

    def close(self) -> None:
        """Let go of the simulated sites' memory."""
        for site in self.sites.values():
            site.state.close()
        for store in self._own:
            store.close()


def simulate(
    sites: Mapping[Any, Any],
    *,
    dataset: str = "data",
    policy: Policy | None = None,
    dictionary: Dictionary | str | Path | None = None,
    pooled_threshold: bool = True,
    zeros: bool = False,
    published: Thresholds | None = None,
) -> Simulation:
    """A grid over one's own data: `cg.simulate({"leeds": "leeds.csv", "york": frame, "hull": "omop.duckdb"})`.

    Each site is a CSV or Parquet file, a DataFrame or an Arrow table (a research table, one row a person), or a DuckDB
    file or folder (OMOP), or a `Store` that holds the data set already. `policy` is every site's; `cg.Policy.open()`
    switches the disclosure rules off. Without a data `dictionary` the types, levels and ranges are read from all sites'
    data together, which a real site would never do.
    `pooled_threshold` False makes every site's share pass its rules by itself, as a permit without that clause does.
    `zeros` lets cells with nobody in them be shown, as a permit with that clause does.
    `published` adds the rules of a hub to those of the sites: with one site under an open policy it gives what the pooled
    records would have given under the same output rules.
    Names of sites are written in lower case with hyphens.
    """
    if not isinstance(sites, Mapping):
        raise DataError(
            f'Expected each site\'s data under its name: cg.simulate({{"leeds": "leeds.csv", "york": frame}}); '
            f"{type(sites).__name__} came."
        )
    if policy is not None and not isinstance(policy, Policy):
        raise DataError(f"Expected a policy such as cg.Policy.open(); {type(policy).__name__} came.")
    if isinstance(dictionary, str | Path):
        dictionary = Dictionary.read(dictionary)
    policy = policy or Policy()
    own = policy.thresholds.model_copy(update={"zeros": True})
    return Simulation(sites, dataset, policy, dictionary, pooled_threshold, zeros, published or own)


def site_name(name: Any) -> str:
    """A site's name as it stands everywhere: lower case, hyphens for anything but letters and digits."""
    plain = re.sub(r"[^a-z0-9_]+", "-", str(name).strip().lower()).strip("-_")[:63]
    if not plain:
        raise DataError("Expected a name for each site, with letters or digits; one has none.")
    return plain


def _is_omop(source: Any) -> bool:
    if not isinstance(source, str | Path):
        return False
    path = Path(source)
    return path.is_dir() or path.suffix.lower() in (".duckdb", ".db")
