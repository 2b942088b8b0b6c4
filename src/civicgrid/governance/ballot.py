"""Ballots of a citizen panel, and how they are counted: the same at the hub, at a site, and for anybody else.

A ballot is a DSSE envelope under the member's own key over what was decided on and how. A `PanelDecision` is the set of
them; it proves itself to whoever knows the members' keys, the quorum and the majority from a file of their own (`Roll`).
Nothing that the hub says is trusted: not who is a member, not how many voted, not what came of it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, field_validator

from civicgrid.canonical import Node, digest
from civicgrid.errors import PlanError, TrustError
from civicgrid.governance.entry import Digest, day
from civicgrid.query.explain import quoted
from civicgrid.trust.envelope import Envelope
from civicgrid.trust.keys import SigningKey, fingerprint, signing_public

BALLOT = "application/vnd.civicgrid.ballot+json"

Choice = Literal["yes", "no", "abstain"]
Majority = Literal["more than half", "two thirds", "three quarters", "all"]
MAJORITIES: Mapping[Majority, Callable[[int, int], bool]] = {
    "more than half": lambda yes, no: yes > no,
    "two thirds": lambda yes, no: yes > 0 and 3 * yes >= 2 * (yes + no),
    "three quarters": lambda yes, no: yes > 0 and 4 * yes >= 3 * (yes + no),
    "all": lambda yes, no: yes > 0 and no == 0,
}
"""Whether the votes for are enough beside those against. Abstentions count for the quorum and for nothing else."""

PanelId = Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")]


class Ballot(Node):
    """How one member votes on one application, with the conditions of a yes. `reason` is the digest of the words."""

    kind: Literal["ballot"] = "ballot"
    format: Literal[1] = 1
    network: str
    panel: PanelId
    project: str
    application: Digest
    plans: Annotated[tuple[Digest, ...], Field(max_length=100)] = ()
    choice: Choice
    conditions: Annotated[tuple[Annotated[str, Field(max_length=200)], ...], Field(max_length=20)] = ()
    reason: Digest
    time: str

    @field_validator("time")
    @classmethod
    def _time(cls, value: str) -> str:
        if dt.datetime.fromisoformat(value).tzinfo is None:
            raise ValueError("expected a time with its zone")
        return value

    def signed(self, key: SigningKey) -> Envelope:
        return Envelope.sign(BALLOT, self.canonical(), key)


def reason_digest(reason: str) -> str:
    """What stands in a ballot for the words of its reason."""
    return digest(reason.encode())


class MemberKey(Node):
    """A member's key, and the last day of their term."""

    key: str
    until: dt.date

    @field_validator("key")
    @classmethod
    def _key(cls, value: str) -> str:
        signing_public(value)
        return value


class Roll(Node):
    """Who sits on a panel, by key, and what it takes: a site keeps its own copy, and only the site changes it."""

    kind: Literal["panel_roll"] = "panel_roll"
    panel: PanelId
    name: Annotated[str, Field(min_length=1, max_length=200)]
    quorum: int = Field(ge=1, le=100)
    majority: Majority = "more than half"
    members: Annotated[tuple[MemberKey, ...], Field(min_length=1, max_length=100)]

    def explain(self) -> str:
        """The roll in plain English, a member a line."""
        lines = [
            f"Panel {self.panel}, {quoted(self.name)}: {len(self.members)} members, quorum {self.quorum}, "
            f"majority {self.majority}."
        ]
        lines += [f"  {fingerprint(member.key)}, until {day(member.until)}" for member in self.members]
        return "\n".join(lines)

    @field_validator("members")
    @classmethod
    def _once(cls, members: tuple[MemberKey, ...]) -> tuple[MemberKey, ...]:
        if len({member.key for member in members}) != len(members):
            raise ValueError("expected each member once")
        return members


class PanelDecision(Node):
    """What a panel decided on one application, with the ballots that prove it. `conflicted` may not vote: keys."""

    kind: Literal["panel_decision"] = "panel_decision"
    panel: PanelId
    application: Digest
    conflicted: Annotated[tuple[str, ...], Field(max_length=100)] = ()
    ballots: Annotated[tuple[Envelope, ...], Field(max_length=100)] = ()


@dataclass(frozen=True)
class Tally:
    """What the ballots come to."""

    votes_for: int
    votes_against: int
    blank: int
    quorate: bool
    carried: bool
    conditions: tuple[str, ...]
    plans: tuple[str, ...]
    ballots: tuple[Ballot, ...]

    def words(self) -> str:
        """In a sentence."""
        came = "It reached its quorum" if self.quorate else "It did not reach its quorum"
        said = "said yes" if self.carried else "did not say yes"
        return f"{self.votes_for} for, {self.votes_against} against, {self.blank} abstained. {came}; the panel {said}."


def read_ballot(envelope: Envelope, keys: Iterable[str]) -> tuple[str, Ballot]:
    """The member's key and the ballot inside, once the one signature on it is found to be by one of these keys."""
    known = frozenset(keys)
    if len(envelope.signatures) != 1:
        raise TrustError(f"Expected one signature on a ballot; it has {len(envelope.signatures)}.")
    signers = envelope.signers(BALLOT, known)
    if not signers:
        raise TrustError("A ballot is signed by nobody who sits on the panel, or was changed after it was signed.")
    try:
        return next(iter(signers)), Ballot.from_bytes(envelope.verify(BALLOT, signers))
    except PlanError as error:
        raise TrustError(f"A ballot cannot be read: {error}") from None


def count(decision: PanelDecision, roll: Roll, *, network: str, project: str) -> Tally:
    """The tally, once every ballot is found to be a member's, about this application, and each member's only one.

    TrustError for a ballot that is forged, changed, of another network, panel, project or application, or about other plans
    than the rest; of somebody whose term was over or who declared an interest; or one of two by the same member.
    """
    if decision.panel != roll.panel:
        raise TrustError("the decision is of another panel")
    until = {member.key: member.until for member in roll.members}
    seen: dict[str, Ballot] = {}
    for envelope in decision.ballots:
        key, ballot = read_ballot(envelope, until)
        if key in seen:
            raise TrustError("a member of the panel voted twice")
        if key in decision.conflicted:
            raise TrustError("a member of the panel voted who had declared an interest")
        if (ballot.network, ballot.panel, ballot.project) != (network, roll.panel, project):
            raise TrustError("a ballot is for another network, panel or project")
        if ballot.application != decision.application:
            raise TrustError("a ballot is for another application")
        if dt.datetime.fromisoformat(ballot.time).astimezone(dt.UTC).date() > until[key]:
            raise TrustError("a ballot was cast after the member's term of office")
        seen[key] = ballot
    ballots = tuple(seen.values())
    if len({ballot.plans for ballot in ballots}) > 1:
        raise TrustError("the ballots are about different plans")
    votes = [ballot.choice for ballot in ballots]
    yes, no = votes.count("yes"), votes.count("no")
    quorate = len(votes) >= roll.quorum
    return Tally(
        votes_for=yes,
        votes_against=no,
        blank=votes.count("abstain"),
        quorate=quorate,
        carried=quorate and MAJORITIES[roll.majority](yes, no),
        conditions=agreed(ballots),
        plans=ballots[0].plans if ballots else (),
        ballots=ballots,
    )


def agreed(ballots: Iterable[Ballot]) -> tuple[str, ...]:
    """The conditions that more than half of those who said yes ask for."""
    yes = [ballot for ballot in ballots if ballot.choice == "yes"]
    asked = [condition for ballot in yes for condition in dict.fromkeys(ballot.conditions)]
    return tuple(condition for condition in dict.fromkeys(asked) if 2 * asked.count(condition) > len(yes))
