"""Permits: what a custodian has signed that a project may do at one site.

A permit is a DSSE envelope over a `Permit`. The node keeps the envelopes and a file of its custodians' keys; it checks
the signature and every clause for every task, so that a row set to "approved" anywhere else changes nothing. A permit goes
by the digest of what it says, whoever has signed it: more signatures, or the same ones again, make no other permit, and
a `Revocation` of that digest ends it for good.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

from pydantic import Field, field_validator

from civicgrid.canonical import Node
from civicgrid.disclosure.thresholds import Thresholds
from civicgrid.errors import TrustError
from civicgrid.governance.ballot import PanelDecision, Roll, count
from civicgrid.methods.plan import Plan
from civicgrid.query.explain import quoted
from civicgrid.trust.envelope import Envelope
from civicgrid.trust.keys import SigningKey

PERMIT = "application/vnd.civicgrid.permit+json"
REVOCATION = "application/vnd.civicgrid.revocation+json"

Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Person(Node):
    """Somebody named on a permit, and the public key that their studies are signed with."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    key: str


class Permit(Node):
    """What one project may do at one site, from when until when.

    `columns` lists what plans may read, as "table.column"; "table.*" stands for a table's columns and "*" for all of the
    named data sets. `plans` lists the digests of the only plans allowed, and `templates` those of standing studies: plans
    without the day that they are run for, which must be the day of the task (UTC) or one of the `template_days` days before
    it. Neither means any plan within the other clauses. `pooled_threshold` lets this site's small numbers into a masked
    total that is checked as a whole. `zeros`, and not the threshold of that name, lets cells with nobody in them be shown.
    `custodians` is how many custodians must sign; the site's policy may ask for more.
    `panel` is a citizen panel's decision with its ballots, which the site counts for itself.
    """

    kind: Literal["permit"] = "permit"
    format: Literal[1] = 1
    network: str
    site: str
    project: str
    title: str
    people: tuple[Person, ...]
    datasets: tuple[str, ...]
    columns: tuple[str, ...]
    methods: tuple[str, ...]
    purpose: str
    valid_from: str
    valid_until: str
    plans: tuple[Digest, ...] = ()
    templates: tuple[Digest, ...] = ()
    template_days: int = Field(default=31, ge=0, le=366)
    custodians: int = Field(default=1, ge=1, le=10)
    thresholds: Thresholds | None = None
    pooled_threshold: bool = False
    zeros: bool = False
    panel: PanelDecision | None = None

    @field_validator("valid_from", "valid_until")
    @classmethod
    def _time(cls, value: str) -> str:
        return checked_time(value)

    def signed(self, *keys: SigningKey) -> Envelope:
        return Envelope.sign(PERMIT, self.canonical(), *keys)

    def explain(self) -> str:
        """The permit in plain English, one clause a line. Free text cannot pass for a line of its own."""
        lines = [
            f"Project {shown(self.project)}, {shown(self.title)}, may use data at {shown(self.site)} in the network "
            f"{shown(self.network)} from {in_words(self.valid_from)} until {in_words(self.valid_until)}.",
            f"Purpose: {shown(self.purpose)}",
            f"People: {', '.join(f'{shown(person.name)} (key {shown(person.key)})' for person in self.people)}.",
            f"Data sets: {listed(self.datasets)}. Columns: {listed(self.columns)}.",
            f"Methods: {listed(self.methods)}.",
            *self._plans(),
            "Small numbers of this site may count towards a masked total that is checked as a whole."
            if self.pooled_threshold
            else "Every share of this site must pass the site's rules by itself.",
            "Numbers that rest on nobody may be shown, where the site's policy and the other sites' permits allow it too: "
            "a number that is hidden is then known to rest on somebody."
            if self.zeros
            else "A number that rests on nobody is hidden like one that rests on a few.",
        ]
        if self.thresholds is not None:
            names = [name for name in Thresholds.model_fields if name != "zeros"]
            rules = ", ".join(f"{name} {getattr(self.thresholds, name)}" for name in names)
            lines.append(f"Beside the site's own rules these hold, the stricter of each pair: {rules}.")
        lines += self._panel()
        signatures = "One custodian signs it" if self.custodians == 1 else f"{self.custodians} custodians sign it"
        return "\n".join([*lines, f"{signatures}, or more where the site's policy asks for more."])

    def _panel(self) -> list[str]:
        if self.panel is None:
            return []
        ballots = len(self.panel.ballots)
        return [
            f"It rests on the decision of the citizen panel {shown(self.panel.panel)} on the application "
            f"{self.panel.application}, with {ballots} signed ballot{'' if ballots == 1 else 's'}; the site counts them."
        ]

    def _plans(self) -> list[str]:
        if not self.plans and not self.templates:
            return ["Any plan within these limits."]
        lines = [f"Only these plans: {', '.join(self.plans)}."] if self.plans else []
        if self.templates:
            days = f"that day, or one of the {self.template_days} days before it" if self.template_days else "that day"
            only = "And these" if self.plans else "Only these"
            lines.append(
                f"{only} standing studies, on any day, for {days}; whatever else is in them stays as it is: "
                f"{', '.join(self.templates)}."
            )
        return lines

    def check(self, *, network: str, site: str, project: str, person: str, plan: Plan, now: dt.datetime) -> None:
        """Raise TrustError, naming the clause, unless this study is within the permit."""
        if (self.network, self.site, self.project) != (network, site, project):
            raise TrustError("the permit is for another network, site or project")
        if not dt.datetime.fromisoformat(self.valid_from) <= now < dt.datetime.fromisoformat(self.valid_until):
            raise TrustError("the permit is not valid at this time")
        if person not in {named.key for named in self.people}:
            raise TrustError("the person is not named on the permit")
        for missing in self.uncovered(plan):
            raise TrustError(missing)
        self._check_listed(plan, now)

    def check_panel(self, rolls: Mapping[str, Roll], required: bool) -> None:
        """Raise TrustError unless the panel's decision on the permit proves itself to the site's own rolls of members.

        A permit without one passes where none is `required`; one that carries a decision is held to it in any case.
        """
        if self.panel is None:
            if required:
                raise TrustError("the permit carries no decision of a panel, which this site's policy asks for")
            return
        roll = rolls.get(self.panel.panel)
        if roll is None:
            raise TrustError("the site keeps no roll of this panel's members")
        tally = count(self.panel, roll, network=self.network, project=self.project)
        if not tally.quorate:
            raise TrustError("the panel's decision did not reach the quorum")
        if not tally.carried:
            raise TrustError("the panel did not say yes with the majority that it needs")
        listed_here = {*self.plans, *self.templates}
        if tally.plans and not (listed_here and listed_here <= set(tally.plans)):
            raise TrustError("the permit allows a plan that the panel did not decide on")

    def uncovered(self, plan: Plan) -> list[str]:
        """What of a plan's data set, methods and columns is not on the permit, each in words."""
        found = [] if plan.dataset in self.datasets else ["the data set is not on the permit"]
        if {method.kind for method in plan.methods.values()} - set(self.methods):
            found.append("a method is not on the permit")
        missing = [read for read in plan.reads if not self._covers(read)]
        if missing:
            found.append(f"the columns {', '.join(sorted(missing))} are not on the permit")
        return found

    def _check_listed(self, plan: Plan, now: dt.datetime) -> None:
        if plan.identity in self.plans or not (self.plans or self.templates):
            return
        if plan.run_date is None or plan.template not in self.templates:
            raise TrustError("the plan is not one of those on the permit")
        age = (now.astimezone(dt.UTC).date() - dt.date.fromisoformat(plan.run_date)).days
        if not 0 <= age <= self.template_days:
            raise TrustError("the standing study is not for a day that the permit allows now")

    def _covers(self, read: str) -> bool:
        table = read.split(".", 1)[0]
        return bool({"*", f"{table}.*", read} & set(self.columns))


class Revocation(Node):
    """The end of a permit, by its digest: from `time` on it counts no more, and it is never taken back."""

    kind: Literal["revocation"] = "revocation"
    format: Literal[1] = 1
    network: str
    site: str
    permit: Digest
    time: str
    reason: Annotated[str, Field(max_length=2000)] = ""

    @field_validator("time")
    @classmethod
    def _time(cls, value: str) -> str:
        return checked_time(value)

    def signed(self, key: SigningKey) -> Envelope:
        return Envelope.sign(REVOCATION, self.canonical(), key)

    def explain(self) -> str:
        reason = f" Reason: {shown(self.reason)}" if self.reason else ""
        return f"Revoked on {in_words(self.time)}.{reason}"


def read_permit(envelope: Envelope, custodians: Iterable[str], at_least: int = 1) -> Permit:
    """The permit inside, once the signatures of as many different custodians are found to hold as `at_least` and the
    permit itself ask for. TrustError otherwise.
    """
    keys = frozenset(custodians)
    permit = Permit.from_bytes(envelope.verify(PERMIT, keys, at_least))
    envelope.verify(PERMIT, keys, max(at_least, permit.custodians))
    return permit


def read_revocation(envelope: Envelope, signers: Iterable[str]) -> Revocation:
    """The revocation inside, once one of the signers is found to have signed it: one may stop what several allowed."""
    return Revocation.from_bytes(envelope.verify(REVOCATION, signers))


def checked_time(value: str) -> str:
    """A time in ISO 8601 with its zone; ValueError otherwise."""
    moment = dt.datetime.fromisoformat(value)
    if moment.tzinfo is None or not 1900 <= moment.year <= 9000:
        raise ValueError("expected a time with its zone, such as 2026-11-01T00:00:00+00:00")
    return value


def in_words(time: str) -> str:
    """A moment as people write it, in UTC."""
    moment = dt.datetime.fromisoformat(time).astimezone(dt.UTC)
    fraction = f".{moment.microsecond:06}" if moment.microsecond else ""
    return f"{moment.day} {moment:%B} {moment.year}, {moment:%H:%M:%S}{fraction} UTC"


def shown(text: str) -> str:
    """Somebody's own words in quotation marks that they cannot close, on one line: what cannot be seen is written out."""
    return quoted("".join(c if c.isprintable() and c != "\\" else f"\\u{ord(c):04x}" for c in text))


def listed(names: Iterable[str]) -> str:
    return ", ".join(shown(name) for name in names) or "none"
