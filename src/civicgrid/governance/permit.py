"""Permits: what a custodian has signed that a project may do at one site.

A permit is a DSSE envelope over a `Permit`. The node keeps the envelopes and a file of its custodians' keys; it checks
the signature and every clause for every task, so that a row set to "approved" anywhere else changes nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field, field_validator

from civicgrid.canonical import Node
from civicgrid.disclosure.thresholds import Thresholds
from civicgrid.errors import TrustError
from civicgrid.methods.plan import Plan
from civicgrid.trust.envelope import Envelope
from civicgrid.trust.keys import SigningKey

PERMIT = "application/vnd.civicgrid.permit+json"


class Person(Node):
    """Somebody named on a permit, and the public key that their studies are signed with."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    key: str


class Permit(Node):
    """What one project may do at one site, from when until when.

    `columns` lists what plans may read, as "table.column"; "table.*" stands for a table's columns and "*" for all of the
    named data sets. `plans` lists the digests of the only plans allowed; none means any plan within the other clauses.
    `pooled_threshold` lets this site's small numbers into a masked total that is checked as a whole.
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
    plans: tuple[str, ...] = ()
    thresholds: Thresholds | None = None
    pooled_threshold: bool = False

    @field_validator("valid_from", "valid_until")
    @classmethod
    def _time(cls, value: str) -> str:
        moment = dt.datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise ValueError("expected a time with its zone, such as 2026-11-01T00:00:00+00:00")
        return value

    def signed(self, *keys: SigningKey) -> Envelope:
        return Envelope.sign(PERMIT, self.canonical(), *keys)

    def explain(self) -> str:
        """The permit in plain English, one clause a line."""
        lines = [
            f"Project {self.project}, “{self.title}”, may use data at {self.site} ({self.network}) from "
            f"{self.valid_from} until {self.valid_until}.",
            f"Purpose: {self.purpose}",
            f"People: {', '.join(f'{person.name} (key {person.key})' for person in self.people)}.",
            f"Data sets: {', '.join(self.datasets)}. Columns: {', '.join(self.columns)}.",
            f"Methods: {', '.join(self.methods)}.",
            f"Only these plans: {', '.join(self.plans)}." if self.plans else "Any plan within these limits.",
            "Small numbers of this site may count towards a masked total that is checked as a whole."
            if self.pooled_threshold
            else "Every share of this site must pass the site's rules by itself.",
        ]
        if self.thresholds is not None:
            rules = ", ".join(f"{name} {getattr(self.thresholds, name)}" for name in Thresholds.model_fields)
            lines.append(f"Beside the site's own rules these hold, the stricter of each pair: {rules}.")
        return "\n".join(lines)

    def check(self, *, network: str, site: str, project: str, person: str, plan: Plan, now: dt.datetime) -> None:
        """Raise TrustError, naming the clause, unless this study is within the permit."""
        if (self.network, self.site, self.project) != (network, site, project):
            raise TrustError("the permit is for another network, site or project")
        if not dt.datetime.fromisoformat(self.valid_from) <= now < dt.datetime.fromisoformat(self.valid_until):
            raise TrustError("the permit is not valid at this time")
        if person not in {named.key for named in self.people}:
            raise TrustError("the person is not named on the permit")
        if plan.dataset not in self.datasets:
            raise TrustError("the data set is not on the permit")
        if {method.kind for method in plan.methods.values()} - set(self.methods):
            raise TrustError("a method is not on the permit")
        missing = [read for read in plan.reads if not self._covers(read)]
        if missing:
            raise TrustError(f"the columns {', '.join(sorted(missing))} are not on the permit")
        if self.plans and plan.identity not in self.plans:
            raise TrustError("the plan is not one of those on the permit")

    def _covers(self, read: str) -> bool:
        table = read.split(".", 1)[0]
        return bool({"*", f"{table}.*", read} & set(self.columns))


def read_permit(envelope: Envelope, custodians: Iterable[str]) -> Permit:
    """The permit inside, once a custodian's signature is found to hold. TrustError otherwise."""
    return Permit.from_bytes(envelope.verify(PERMIT, custodians))
