"""What is kept of an application's way: a custodian's decision for a site, a panel's deliberation, a promised benefit."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from civicgrid.canonical import Node
from civicgrid.governance.answers import Prose, Short
from civicgrid.governance.charter import Answered
from civicgrid.governance.entry import Digest, Place, Titles
from civicgrid.governance.people import Id
from civicgrid.trust.envelope import Envelope

DecisionState = Literal[
    "waiting", "asked", "half", "approved", "refused", "vetoed", "permitted", "revoked", "closed"
]


class Asking(Node):
    """A question to whoever applied, and the answer, which is public with it."""

    by: Id
    words: Prose
    at: dt.datetime
    answer: Prose = ""
    answered: dt.datetime | None = None


class Opinion(Node):
    """What one custodian said."""

    by: Id
    outcome: Literal["approved", "refused"]
    conditions: Titles = ()
    reasons: Prose = ""
    at: dt.datetime


class SiteDecision(Node):
    """What a site's custodians decide. `panels` are those whose yes it needs as well, `dossier` what it is about."""

    kind: Literal["decision"] = "decision"
    id: Id
    state: DecisionState = "waiting"
    application: Id
    version: int
    site: Place
    dossier: Digest
    panels: tuple[Id, ...] = ()
    two: bool = False
    opinions: tuple[Opinion, ...] = ()
    questions: tuple[Asking, ...] = ()
    principles: tuple[Answered, ...] = ()
    permit: Envelope | None = None
    permit_digest: Digest | Literal[""] = ""

    def marks(self) -> Iterator[tuple[str, str]]:
        """What decisions are looked up by."""
        yield "application", self.application
        yield "site", self.site

    @property
    def conditions(self) -> tuple[str, ...]:
        """What a yes depends on: all that any of the custodians asked for."""
        return tuple(dict.fromkeys(each for opinion in self.opinions for each in opinion.conditions))


class Conflict(Node):
    """An interest that a member has declared. They take no further part."""

    member: Id
    reason: Prose
    at: dt.datetime


class Evidence(Node):
    """Something attached for the panel to read."""

    by: Id
    title: Annotated[Short, Field(min_length=1)]
    summary: Prose
    link: str = ""
    at: dt.datetime


class View(Node):
    """How a member felt about the use when asked: 1 strongly against, 5 strongly for."""

    member: Id
    when: Literal["before", "after"]
    view: int = Field(ge=1, le=5)


class Vote(Node):
    """A member's ballot, the key it was signed with, the last day of their term, and the words of its reason."""

    member: Id
    ballot: Envelope
    key: str
    until: dt.date
    reason: Prose
    at: dt.datetime


class Deliberation(Node):
    """What one panel makes of one application, from the first question to the count."""

    kind: Literal["deliberation"] = "deliberation"
    id: Id
    state: Literal["open", "voting", "approved", "vetoed", "closed"] = "open"
    application: Id
    version: int
    panel: Id
    dossier: Digest
    plans: tuple[Digest, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    questions: tuple[Asking, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    views: tuple[View, ...] = ()
    principles: tuple[Answered, ...] = ()
    opened: dt.datetime | None = None
    votes: tuple[Vote, ...] = ()
    reasons: Prose = ""
    minority: Prose = ""
    conditions: Titles = ()

    def marks(self) -> Iterator[tuple[str, str]]:
        """What deliberations are looked up by."""
        yield "application", self.application
        yield "panel", self.panel

    @property
    def conflicted(self) -> frozenset[str]:
        return frozenset(conflict.member for conflict in self.conflicts)


class Benefit(Node):
    """What whoever uses the data has promised to give back, and whether it has."""

    kind: Literal["benefit"] = "benefit"
    id: Id
    state: Literal["promised", "delivered"] = "promised"
    application: Id
    organisation: Id
    promise: Prose
    due: dt.date | None = None
    delivered: Prose = ""
    link: str = ""
    told: tuple[str, ...] = ()

    def marks(self) -> Iterator[tuple[str, str]]:
        """What benefits are looked up by."""
        yield "application", self.application
