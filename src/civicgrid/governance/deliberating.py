"""What a citizen panel does with an application: ask, read, say how it feels, vote under own keys, and close.

Members vote once, with a ballot that they sign themselves; the hub keeps it and can make none. The chair opens the vote and
closes it once the quorum is there; what comes of it is counted by `ballot.count`, never entered by hand. A no binds: it
closes every site that heeds the panel.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

from pydantic import Field

from civicgrid.canonical import Node
from civicgrid.errors import PlanError, StateError, TrustError
from civicgrid.governance.acts import Act, Asked, Look, Nothing, Notice, Outcome
from civicgrid.governance.answers import Prose, Short
from civicgrid.governance.application import Application
from civicgrid.governance.ballot import (
    Ballot,
    Choice,
    MemberKey,
    PanelDecision,
    Roll,
    Tally,
    count,
    read_ballot,
    reason_digest,
)
from civicgrid.governance.charter import AnswerPrinciple, check_answered, with_answer
from civicgrid.governance.decisions import FILE, LONG, Ask
from civicgrid.governance.entry import Link, Title
from civicgrid.governance.panel import Member, Panel
from civicgrid.governance.permissions import Subject
from civicgrid.governance.register import Decision
from civicgrid.governance.settling import settle
from civicgrid.governance.stages import Asking, Conflict, Deliberation, Evidence, View, Vote
from civicgrid.trust.envelope import Envelope

AHEAD = dt.timedelta(minutes=5)
"""How far a member's clock may be ahead of the hub's."""


class Declare(Node):
    """An interest in the outcome: work, money, family, or a patient in the data whom one speaks for."""

    reason: Annotated[
        Prose, Field(title="Your interest", description="Only the panel sees it", min_length=1, json_schema_extra=LONG)
    ]


class ReplyTo(Node):
    """The answer to one of the panel's questions."""

    number: Annotated[int, Field(title="Question", description="Which one", ge=1)]
    answer: Annotated[Prose, Field(title="Answer", description="It is public", min_length=1, json_schema_extra=LONG)]


class Attach(Node):
    """Something for the panel to read."""

    title: Annotated[Short, Field(title="Title", min_length=1)]
    summary: Annotated[Prose, Field(title="What it says", min_length=1, json_schema_extra=LONG)]
    link: Annotated[Link, Field(title="Link", description="Beginning with https://")] = ""


class Feel(Node):
    """How somebody feels about the use, before the vote opens and after."""

    view: Annotated[
        Literal["1", "2", "3", "4", "5"],
        Field(title="How do you feel about this use?",
              json_schema_extra={"names": {"1": "Strongly against", "2": "Against", "3": "Undecided", "4": "For",
                                           "5": "Strongly for"}}),
    ]  # fmt: skip


class Cast(Node):
    """A signed ballot, and the words of its reason."""

    ballot: Annotated[
        str, Field(title="Signed ballot", description="The file that “civicgrid panel vote” wrote", min_length=1,
                   max_length=50_000, json_schema_extra=FILE),
    ]
    reason: Annotated[
        Prose, Field(title="Reason", description="It is public, without your name", min_length=1, json_schema_extra=LONG)
    ]


class Prepare(Node):
    """What a member wants to vote, from which the page makes the ballot that they sign."""

    choice: Annotated[Choice, Field(title="Your vote")]
    conditions: Annotated[
        tuple[Title, ...], Field(title="Conditions", description="What a yes depends on, one a line", max_length=20)
    ] = ()
    reason: Annotated[
        Prose, Field(title="Reason", description="It is public, without your name", min_length=1, json_schema_extra=LONG)
    ]


class Close(Node):
    """What the chair says of the outcome."""

    reasons: Annotated[
        Prose, Field(title="The panel's reasons", description="They are public", min_length=1, json_schema_extra=LONG)
    ]


def about(deliberation: Any, look: Look) -> Subject:
    """The panel, the project's people, and who has declared an interest."""
    project: Subject = look.get("application", deliberation.application).subject
    return Subject(
        people=project.people,
        lead=project.lead,
        panels=frozenset({deliberation.panel}),
        conflicted=deliberation.conflicted,
    )


def _application(asked: Asked) -> Application:
    found: Application = asked.look.get("application", asked.record.application)
    return found


def _member(asked: Asked) -> Member:
    """The actor's seat. StateError for somebody who does not sit on the panel today."""
    panel: Panel = asked.look.get("panel", asked.record.panel)
    for member in panel.sitting(asked.now.date()):
        if member.account == asked.actor.id:
            return member
    raise StateError(f"Your term on {panel.name} has ended, so you take no part in this any more.")


def _declare(asked: Asked) -> Outcome:
    deliberation: Deliberation = asked.record
    conflict = Conflict(member=asked.actor.id, reason=asked.form.reason, at=asked.now)
    update = {
        "conflicts": (*deliberation.conflicts, conflict),
        "votes": tuple(vote for vote in deliberation.votes if vote.member != asked.actor.id),
        "views": tuple(view for view in deliberation.views if view.member != asked.actor.id),
    }
    return Outcome((deliberation.model_copy(update=update),))


def _ask(asked: Asked) -> Outcome:
    _member(asked)
    deliberation: Deliberation = asked.record
    question = Asking(by=asked.actor.id, words=asked.form.question, at=asked.now)
    application = _application(asked)
    told = Notice(
        application.lead, f"The citizen panel asks about {application.title}.", f"/deliberations/{deliberation.id}"
    )
    return Outcome((deliberation.model_copy(update={"questions": (*deliberation.questions, question)}),), (), (told,))


def _answer(asked: Asked) -> Outcome:
    deliberation: Deliberation = asked.record
    number = asked.form.number
    if number > len(deliberation.questions):
        raise StateError(f"Expected the number of a question, from 1 to {len(deliberation.questions)}; {number} came.")
    answered = deliberation.questions[number - 1].model_copy(update={"answer": asked.form.answer, "answered": asked.now})
    questions = (*deliberation.questions[: number - 1], answered, *deliberation.questions[number:])
    told = Notice(answered.by, "Your question to the applicant has been answered.", f"/deliberations/{deliberation.id}")
    return Outcome((deliberation.model_copy(update={"questions": questions}),), (), (told,))


def _attach(asked: Asked) -> Outcome:
    deliberation: Deliberation = asked.record
    evidence = Evidence(by=asked.actor.id, **asked.form.__dict__, at=asked.now)
    return Outcome((deliberation.model_copy(update={"evidence": (*deliberation.evidence, evidence)}),))


def _poll(asked: Asked) -> Outcome:
    _member(asked)
    deliberation: Deliberation = asked.record
    when: Literal["before", "after"] = "before" if deliberation.state == "open" else "after"
    view = View(member=asked.actor.id, when=when, view=int(asked.form.view))
    kept = tuple(each for each in deliberation.views if (each.member, each.when) != (view.member, view.when))
    return Outcome((deliberation.model_copy(update={"views": (*kept, view)}),))


def _principle(asked: Asked) -> Outcome:
    deliberation: Deliberation = asked.record
    answers = with_answer(asked.look, "panel", deliberation.principles, asked.form, asked.actor.id)
    return Outcome((deliberation.model_copy(update={"principles": answers}),))


def _open(asked: Asked) -> Outcome:
    deliberation: Deliberation = asked.record
    waiting = [question for question in deliberation.questions if not question.answer]
    if waiting:
        raise StateError(f"{len(waiting)} of the panel's questions have no answer yet. Wait for it, then open the vote.")
    panel: Panel = asked.look.get("panel", deliberation.panel)
    told = tuple(
        Notice(member.account, "The vote is open.", f"/deliberations/{deliberation.id}")
        for member in panel.sitting(asked.now.date())
        if member.account not in deliberation.conflicted
    )
    return Outcome((deliberation.model_copy(update={"state": "voting", "opened": asked.now}),), (), told)


def ballot(deliberation: Deliberation, network: str, prepared: Prepare, now: dt.datetime) -> Ballot:
    """The ballot that a member signs: everything in it comes from the deliberation but the vote itself."""
    return Ballot(
        network=network,
        panel=deliberation.panel,
        project=deliberation.application,
        application=deliberation.dossier,
        plans=deliberation.plans,
        choice=prepared.choice,
        conditions=prepared.conditions if prepared.choice == "yes" else (),
        reason=reason_digest(prepared.reason),
        time=now.astimezone(dt.UTC).isoformat(),
    )


def _vote(asked: Asked) -> Outcome:
    member = _member(asked)
    deliberation: Deliberation = asked.record
    if any(vote.member == asked.actor.id for vote in deliberation.votes):
        raise StateError("You have voted already. A ballot that is cast stays cast.")
    key, given, envelope = _own(asked)
    expected = ballot(deliberation, asked.network, Prepare(choice=given.choice, reason=asked.form.reason), asked.now)
    if (given.network, given.panel, given.project, given.application, given.plans) != (
        expected.network, expected.panel, expected.project, expected.application, expected.plans,
    ):  # fmt: skip
        raise StateError("This ballot is about another application, or an earlier form of it. Make and sign a new one.")
    if given.reason != expected.reason:
        raise StateError("The reason is not the one that the ballot was signed for. Send the very same words.")
    cast = dt.datetime.fromisoformat(given.time)
    if deliberation.opened is None or not deliberation.opened - AHEAD <= cast <= asked.now + AHEAD:
        raise StateError("The ballot's time is before the vote opened, or lies ahead. Check your clock and sign a new one.")
    vote = Vote(
        member=member.account, ballot=envelope, key=key, until=member.until, reason=asked.form.reason, at=asked.now
    )
    return Outcome((deliberation.model_copy(update={"votes": (*deliberation.votes, vote)}),))


def _own(asked: Asked) -> tuple[str, Ballot, Envelope]:
    if not asked.actor.keys:
        raise StateError("Add your public key to your account first: only you can sign your ballot.")
    try:
        envelope = Envelope.from_bytes(asked.form.ballot)
        # The first key is the one on the rolls that sites are given.
        key, given = read_ballot(envelope, asked.actor.keys[:1])
    except (TrustError, PlanError) as error:
        raise StateError(f"This ballot does not hold under your key: {error}") from None
    return key, given, envelope


def decision(deliberation: Deliberation, look: Look) -> PanelDecision:
    """What a site is given of the panel's decision: the ballots, and the keys of who has declared an interest."""
    conflicted = sorted(key for member in deliberation.conflicted for key in look.get("account", member).keys)
    return PanelDecision(
        panel=deliberation.panel,
        application=deliberation.dossier,
        conflicted=tuple(conflicted),
        ballots=tuple(vote.ballot for vote in deliberation.votes),
    )


def tally(deliberation: Deliberation, look: Look, network: str) -> Tally:
    """What the votes come to under the panel's own rules; each was checked against its member's key when it was cast."""
    panel: Panel = look.get("panel", deliberation.panel)
    roll = Roll(
        panel=panel.id,
        name=panel.name,
        quorum=panel.quorum,
        majority=panel.majority,
        members=tuple(MemberKey(key=vote.key, until=vote.until) for vote in deliberation.votes),
    )
    return count(decision(deliberation, look), roll, network=network, project=deliberation.application)


def _close(asked: Asked) -> Outcome:
    deliberation: Deliberation = asked.record
    panel: Panel = asked.look.get("panel", deliberation.panel)
    if not deliberation.votes:
        raise StateError(f"Expected {panel.quorum} votes, the panel's quorum; there are none. Wait.")
    counted = tally(deliberation, asked.look, asked.network)
    if not counted.quorate:
        raise StateError(f"Expected {panel.quorum} votes, the panel's quorum; there are {len(deliberation.votes)}. Wait.")
    if counted.carried:
        check_answered(asked.look, "panel", deliberation.principles)
    outcome: Literal["approved", "refused"] = "approved" if counted.carried else "refused"
    minority = "\n".join(
        vote.reason
        for vote, cast in zip(deliberation.votes, counted.ballots, strict=True)
        if (cast.choice == "no") == counted.carried and cast.choice != "abstain"
    )
    update = {
        "state": "approved" if counted.carried else "vetoed",
        "reasons": asked.form.reasons,
        "minority": minority[:3000],
        "conditions": counted.conditions if counted.carried else (),
    }
    entry = Decision(
        project=deliberation.application,
        by="panel",
        body=panel.name,
        outcome=outcome,
        reasons=asked.form.reasons,
        conditions=counted.conditions if counted.carried else (),
        votes_for=counted.votes_for,
        votes_against=counted.votes_against,
        votes_blank=counted.blank,
        minority=minority[:3000],
        people=tuple(asked.commit(vote.member, deliberation.application) for vote in deliberation.votes),
        ballots=tuple(vote.ballot.digest() for vote in deliberation.votes),
    )
    return settle(asked, "deliberation.close", deliberation.model_copy(update=update), (entry,))


OPEN = frozenset({"open"})
RUNNING = frozenset({"open", "voting"})
ACTS = (
    Act("deliberation.declare", "Declare an interest", _declare, Declare, RUNNING, about),
    Act("deliberation.ask", "Ask a question", _ask, Ask, OPEN, about),
    Act("deliberation.answer", "Answer the panel's question", _answer, ReplyTo, OPEN, about),
    Act("deliberation.attach", "Attach evidence", _attach, Attach, OPEN, about),
    Act("deliberation.poll", "Say how you feel", _poll, Feel, RUNNING, about),
    Act("deliberation.answer_principle", "Answer a principle", _principle, AnswerPrinciple, RUNNING, about),
    Act("deliberation.open_vote", "Open the vote", _open, Nothing, OPEN, about),
    Act("deliberation.vote", "Vote", _vote, Cast, frozenset({"voting"}), about),
    Act("deliberation.close", "Close the vote", _close, Close, frozenset({"voting"}), about),
)
