"""What custodians do, each for their own site: ask, approve, approve with conditions, refuse, sign, revoke.

Where a site wants two people, the first yes waits for a second person's; one no is enough to refuse. A yes needs every
principle of the charter that custodians answer to be answered. A permit that is noted here has been signed with custodians'
own keys; what a site's node accepts is for its own key file to say.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

from pydantic import Field

from civicgrid.canonical import Node
from civicgrid.errors import PlanError, StateError, TrustError
from civicgrid.governance.acts import Act, Asked, Look, Nothing, Notice, Outcome
from civicgrid.governance.answers import Prose
from civicgrid.governance.application import Application
from civicgrid.governance.charter import AnswerPrinciple, check_answered, with_answer
from civicgrid.governance.entry import Titles
from civicgrid.governance.permissions import Subject
from civicgrid.governance.permit import Permit, read_permit, read_revocation
from civicgrid.governance.register import Decision, PermitGranted, PermitRevoked
from civicgrid.governance.settling import pending, settle, verdict
from civicgrid.governance.sites import Site, custodians
from civicgrid.governance.stages import Asking, Opinion, SiteDecision
from civicgrid.trust.envelope import Envelope

LONG = {"widget": "long"}
FILE = {"widget": "file"}
MAX_SIGNED = 1_000_000


class Ask(Node):
    """A question to whoever applied."""

    question: Annotated[
        Prose, Field(title="Question", description="It is public, and so is the answer", min_length=1,
                     json_schema_extra=LONG),
    ]


class Reply(Node):
    """The answer to the question that is open."""

    answer: Annotated[Prose, Field(title="Answer", description="It is public", min_length=1, json_schema_extra=LONG)]


class Approve(Node):
    """A yes, with or without conditions."""

    conditions: Annotated[Titles, Field(title="Conditions", description="What the yes depends on, one a line")] = ()
    reasons: Annotated[Prose, Field(title="Reasons", description="They are public", json_schema_extra=LONG)] = ""


class Refuse(Node):
    """A no, with its reasons."""

    reasons: Annotated[Prose, Field(title="Reasons", description="They are public", min_length=1, json_schema_extra=LONG)]


class NotePermit(Node):
    """The permit that has been signed."""

    permit: Annotated[
        str, Field(title="Signed permit", description="The file that “civicgrid custodian sign” wrote", min_length=1,
                   max_length=MAX_SIGNED, json_schema_extra=FILE),
    ]


class Revoke(Node):
    """The revocation that has been signed."""

    revocation: Annotated[
        str, Field(title="Signed revocation", description="The file that “civicgrid custodian revoke” wrote", min_length=1,
                   max_length=MAX_SIGNED, json_schema_extra=FILE),
    ]


def about(decision: Any, look: Look) -> Subject:
    """The site whose decision it is, and the people of the project."""
    project: Subject = look.get("application", decision.application).subject
    return Subject(people=project.people, lead=project.lead, sites=frozenset({decision.site}))


def _application(asked: Asked) -> Application:
    found: Application = asked.look.get("application", asked.record.application)
    return found


def _ask(asked: Asked) -> Outcome:
    decision: SiteDecision = asked.record
    question = Asking(by=asked.actor.id, words=asked.form.question, at=asked.now)
    changed = decision.model_copy(update={"state": "asked", "questions": (*decision.questions, question)})
    application = _application(asked)
    told = Notice(
        application.lead,
        f"{decision.site} asks about {application.title}. Answer within four weeks.",
        f"/applications/{application.id}",
    )
    return settle(asked, "decision.ask", changed, (), (told,))


def _answer(asked: Asked) -> Outcome:
    decision: SiteDecision = asked.record
    *earlier, last = decision.questions
    answered = last.model_copy(update={"answer": asked.form.answer, "answered": asked.now})
    changed = decision.model_copy(update={"state": "waiting", "questions": (*earlier, answered)})
    told = Notice(last.by, f"Your question about {decision.application} has been answered.", f"/decisions/{decision.id}")
    return settle(asked, "decision.answer", changed, (), (told,))


def _principle(asked: Asked) -> Outcome:
    decision: SiteDecision = asked.record
    answers = with_answer(asked.look, "custodian", decision.principles, asked.form, asked.actor.id)
    return Outcome((decision.model_copy(update={"principles": answers}),))


def _approve(asked: Asked) -> Outcome:
    decision: SiteDecision = asked.record
    check_answered(asked.look, "custodian", decision.principles)
    opinion = Opinion(
        by=asked.actor.id, outcome="approved", conditions=asked.form.conditions, reasons=asked.form.reasons, at=asked.now
    )
    state = "half" if decision.two else "approved"
    changed = decision.model_copy(update={"state": state, "opinions": (opinion,)})
    if decision.two:
        told = tuple(
            Notice(each.id, f"{decision.application} needs a second custodian's yes.", f"/decisions/{decision.id}")
            for each in custodians(decision.site, asked.look)
            if each.id != asked.actor.id
        )
        return settle(asked, "decision.approve", changed, (), told)
    return settle(asked, "decision.approve", changed, (_public(asked, changed, "approved", asked.form.reasons),))


def _second(asked: Asked) -> Outcome:
    decision: SiteDecision = asked.record
    first = decision.opinions[0]
    if asked.actor.id == first.by:
        raise StateError("You said yes already. This site wants a second person: ask another custodian to look.")
    check_answered(asked.look, "custodian", decision.principles)
    second = Opinion(by=asked.actor.id, outcome="approved", at=asked.now)
    changed = decision.model_copy(update={"state": "approved", "opinions": (first, second)})
    return settle(asked, "decision.second", changed, (_public(asked, changed, "approved", first.reasons),))


def _refuse(asked: Asked) -> Outcome:
    decision: SiteDecision = asked.record
    opinion = Opinion(by=asked.actor.id, outcome="refused", reasons=asked.form.reasons, at=asked.now)
    changed = decision.model_copy(update={"state": "refused", "opinions": (*decision.opinions, opinion)})
    return settle(asked, "decision.refuse", changed, (_public(asked, changed, "refused", asked.form.reasons),))


def _public(asked: Asked, decision: SiteDecision, outcome: Any, reasons: str) -> Decision:
    site: Site = asked.look.get("site", decision.site)
    return Decision(
        project=decision.application,
        by="custodian",
        body=asked.look.get("organisation", site.organisation).name,
        site=decision.site,
        outcome=outcome,
        reasons=reasons,
        conditions=decision.conditions if outcome == "approved" else (),
        people=tuple(asked.commit(opinion.by, decision.application) for opinion in decision.opinions),
    )


def _permit(asked: Asked) -> Outcome:
    decision: SiteDecision = asked.record
    application = _application(asked)
    waiting = pending(application, asked.look)
    if verdict(decision, waiting.deliberations) is not True:
        raise StateError("A panel that this site heeds has not said yes yet. Sign the permit once it has.")
    signed, permit = _signed(asked, decision)
    _check_within(asked, application, decision, permit)
    moved = application.went("decision.permit", "permitted", asked.now)
    update = {"state": "permitted", "permit": signed, "permit_digest": permit.digest()}
    changed = decision.model_copy(update=update)
    entry = PermitGranted(
        project=application.id,
        site=decision.site,
        organisation=_organisation(asked, decision),
        permit=permit.digest(),
        datasets=permit.datasets,
        start=_day(permit.valid_from),
        end=_day(permit.valid_until),
    )
    notices = tuple(
        Notice(person, f"{decision.site} has signed the permit of {application.title}.", f"/applications/{application.id}")
        for person in dict.fromkeys((application.lead, *application.answers.people))
    )
    return Outcome((changed, moved) if moved != application else (changed,), (entry,), notices)


def _signed(asked: Asked, decision: SiteDecision) -> tuple[Envelope, Permit]:
    """The permit, once as many custodians of the site as it wants are found to have signed it with their accounts' keys."""
    try:
        envelope = Envelope.from_bytes(asked.form.permit)
        return envelope, read_permit(envelope, _keys(asked, decision.site), 2 if decision.two else 1)
    except (TrustError, PlanError) as error:
        raise StateError(f"This is no permit that custodians of {decision.site} signed: {error}") from None


def _keys(asked: Asked, site: str) -> frozenset[str]:
    return frozenset(key for account in custodians(site, asked.look) for key in account.keys)


def _check_within(asked: Asked, application: Application, decision: SiteDecision, permit: Permit) -> None:
    if (permit.network, permit.site, permit.project) != (asked.network, decision.site, application.id):
        raise StateError("This permit is for another network, site or project. Choose the right file.")
    dossier = application.dossier(asked.network)
    if not {*permit.plans, *permit.templates} <= set(dossier.allowed()):
        raise StateError("This permit lists a plan that is not in the application. Draft it again from the application.")
    if dossier.plans and not (permit.plans or permit.templates):
        raise StateError("This permit allows any plan; the application names its plans. Draft it from the application.")
    if not {person.key for person in permit.people} <= {named.key for named in dossier.people}:
        raise StateError("This permit names somebody who is not in the application. Draft it again from the application.")


def _revoke(asked: Asked) -> Outcome:
    decision: SiteDecision = asked.record
    try:
        revocation = read_revocation(Envelope.from_bytes(asked.form.revocation), _keys(asked, decision.site))
    except (TrustError, PlanError) as error:
        raise StateError(f"This is no revocation that a custodian of {decision.site} signed: {error}") from None
    if revocation.permit != decision.permit_digest:
        raise StateError("This revocation is of another permit. Choose the right file.")
    changed = decision.model_copy(update={"state": "revoked"})
    application = _application(asked)
    others = pending(application, asked.look, changed).decisions.values()
    stands = any(each.state in ("permitted", "approved") for each in others)
    state = "permitted" if stands or application.state != "permitted" else "revoked"
    moved = application.went("decision.revoke", state, asked.now) if application.state == "permitted" else application
    entry = PermitRevoked(
        project=application.id,
        site=decision.site,
        organisation=_organisation(asked, decision),
        permit=revocation.permit,
        reason=revocation.reason,
    )
    said = f"{decision.site} has revoked the permit of {application.title}."
    told = Notice(application.lead, said, f"/applications/{application.id}")
    return Outcome((changed, moved) if moved != application else (changed,), (entry,), (told,))


def _organisation(asked: Asked, decision: SiteDecision) -> str:
    site: Site = asked.look.get("site", decision.site)
    return str(asked.look.get("organisation", site.organisation).name)


def _day(time: str) -> dt.date:
    return dt.datetime.fromisoformat(time).astimezone(dt.UTC).date()


WAITING = frozenset({"waiting"})
ACTS = (
    Act("decision.ask", "Ask a question", _ask, Ask, WAITING, about),
    Act("decision.answer", "Answer the question", _answer, Reply, frozenset({"asked"}), about),
    Act("decision.answer_principle", "Answer a principle", _principle, AnswerPrinciple,
        frozenset({"waiting", "half"}), about),
    Act("decision.approve", "Approve", _approve, Approve, WAITING, about),
    Act("decision.second", "Approve as the second custodian", _second, Nothing, frozenset({"half"}), about),
    Act("decision.refuse", "Refuse", _refuse, Refuse, frozenset({"waiting", "half"}), about),
    Act("decision.permit", "Note the signed permit", _permit, NotePermit, frozenset({"approved"}), about),
    Act("decision.revoke", "Revoke the permit", _revoke, Revoke, frozenset({"permitted"}), about),
)  # fmt: skip
