"""What whoever applies does: begin, fill in, attach plans, send, take back, begin anew, tell what was found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field

from civicgrid.canonical import Node
from civicgrid.errors import CivicGridError, StateError
from civicgrid.governance import states
from civicgrid.governance.acts import Act, Asked, Look, Nothing, Notice, Outcome, Record
from civicgrid.governance.answers import Answers, Prose, Short
from civicgrid.governance.application import MOST_PLANS, Application, Named, SiteAnswer, missing, open_questions
from civicgrid.governance.entry import Digest, Link
from civicgrid.governance.people import Account
from civicgrid.governance.permissions import Subject
from civicgrid.governance.purposes import CATEGORIES
from civicgrid.governance.register import ApplicationSubmitted, ApplicationWithdrawn, ResultPublished, Use
from civicgrid.governance.sites import custodians, of
from civicgrid.governance.stages import Deliberation, SiteDecision
from civicgrid.methods.plan import read_plan

MAX_PLAN = 200_000


class Begin(Node):
    """A new application."""

    title: Annotated[
        Short, Field(title="Title", description="What the project is called", min_length=1, max_length=200)
    ]


class AttachPlan(Node):
    """A plan, as the file that `civicgrid study plan` or `plan.canonical()` writes."""

    plan: Annotated[
        str, Field(title="Plan", description="The plan's file", min_length=1, max_length=MAX_PLAN,
                   json_schema_extra={"widget": "file"}),
    ]


class DetachPlan(Node):
    """Which plan to take out."""

    plan: Annotated[Digest, Field(title="Plan", description="Which one")]


class AnswerSite(Node):
    """The answer to something that a site asks."""

    question: Annotated[Digest, Field(title="Question", description="Which one")]
    answer: Annotated[Prose, Field(title="Answer", min_length=1, json_schema_extra={"widget": "long"})]


class Withdraw(Node):
    """Why the application is taken back."""

    reason: Annotated[Prose, Field(title="Reason", description="It is public", json_schema_extra={"widget": "long"})] = ""


class Finish(Node):
    """What was found."""

    title: Annotated[Short, Field(title="Title", description="What you found, in one line", min_length=1, max_length=200)]
    findings: Annotated[
        Prose, Field(title="Findings", description="In words that anybody understands. It is public.", min_length=1,
                     json_schema_extra={"widget": "long"}),
    ]
    link: Annotated[Link, Field(title="Link", description="Where to read more, beginning with https://")] = ""


def about(application: Any, look: Look) -> Subject:
    """Whom and what it concerns."""
    subject: Subject = application.subject
    return subject


def _begin(asked: Asked) -> Outcome:
    organisation = asked.actor.organisation
    answers = Answers(title=asked.form.title, people=(asked.actor.id,), organisation=organisation)
    made = Application(id=asked.new_id("application"), lead=asked.actor.id, answers=answers)
    return Outcome((made,))


def _change(asked: Asked) -> Outcome:
    application: Application = asked.record
    return Outcome((application.model_copy(update={"answers": application.answers.merged(asked.form)}),))


def _attach(asked: Asked) -> Outcome:
    application: Application = asked.record
    try:
        plan = read_plan(asked.form.plan)
    except CivicGridError as error:
        raise StateError(f"This plan cannot be attached. {error}") from None
    kept = tuple(each for each in application.plans if read_plan(each).identity != plan.identity)
    if len(kept) >= MOST_PLANS:
        raise StateError(f"Expected at most {MOST_PLANS} plans on an application. Take one out first.")
    return Outcome((application.model_copy(update={"plans": (*kept, plan.canonical().decode())}),))


def _detach(asked: Asked) -> Outcome:
    application: Application = asked.record
    kept = tuple(each for each in application.plans if read_plan(each).identity != asked.form.plan)
    if kept == application.plans:
        raise StateError("Expected a plan that is attached; this one is not. Look at the list again.")
    return Outcome((application.model_copy(update={"plans": kept}),))


def _answer_site(asked: Asked) -> Outcome:
    application: Application = asked.record
    titles = {each.question: each.title for each in application.site_answers}
    titles |= {key: question.title for key, question in open_questions(application, asked.look).items()}
    if asked.form.question not in titles:
        raise StateError("Expected something that one of your sites asks. The sites or their questions have changed.")
    kept = tuple(each for each in application.site_answers if each.question != asked.form.question)
    added = SiteAnswer(question=asked.form.question, title=titles[asked.form.question], answer=asked.form.answer)
    return Outcome((application.model_copy(update={"site_answers": (*kept, added)}),))


def _submit(asked: Asked) -> Outcome:
    application: Application = asked.record
    gaps = missing(application, asked.look, asked.now.date())
    if gaps:
        more = f" and {len(gaps) - 1} more" if len(gaps) > 1 else ""
        raise StateError(f"The application cannot be sent yet. Missing: {gaps[0].words}{more}.")
    people: list[Account] = [asked.look.get("account", person) for person in application.answers.people]
    named = tuple(Named(account=person.id, key=key) for person in people for key in person.keys)
    update = {"people": named, "version": application.version + 1, "told": ()}
    sent = application.model_copy(update=update).went("application.submit", "deciding", asked.now)
    stages, notices = _stages(sent, asked)
    return Outcome((sent, *stages), (_public(sent, asked, people),), tuple(notices))


def _stages(sent: Application, asked: Asked) -> tuple[list[Record], list[Notice]]:
    """A decision for each site and a deliberation for each panel that one of them heeds, and who is told of them."""
    dossier = sent.dossier(asked.network)
    digest, plans = dossier.digest(), dossier.allowed()
    made: list[Record] = []
    notices: list[Notice] = []
    panels: dict[str, None] = {}
    for site in of(sent.answers.sites, asked.look):
        decision = SiteDecision(
            id=f"{sent.id}.{site.id}", application=sent.id, version=sent.version, site=site.id, dossier=digest,
            panels=site.panels, two=site.two_custodians,
        )  # fmt: skip
        made.append(decision)
        panels |= dict.fromkeys(site.panels)
        notices += [
            Notice(each.id, f"{sent.title}: an application for data at {site.name}.", f"/decisions/{decision.id}")
            for each in custodians(site.id, asked.look)
        ]
    for panel in panels:
        deliberation = Deliberation(
            id=f"{sent.id}.{panel}", application=sent.id, version=sent.version, panel=panel, dossier=digest, plans=plans
        )
        made.append(deliberation)
        notices += [
            Notice(each.account, f"{sent.title}: an application for your panel.", f"/deliberations/{deliberation.id}")
            for each in asked.look.get("panel", panel).members
        ]
    return made, notices


def _public(sent: Application, asked: Asked, people: list[Account]) -> ApplicationSubmitted:
    given = sent.answers
    organisation = asked.look.get("organisation", given.organisation)
    return ApplicationSubmitted(
        project=sent.id,
        version=sent.version,
        title=given.title,
        summary=given.lay_summary,
        benefit=given.public_benefit,
        organisation=organisation.name,
        lead=asked.commit(sent.lead, sent.id),
        people=tuple(asked.commit(person.id, sent.id) for person in people),
        sites=given.sites,
        datasets=given.datasets,
        purposes=tuple(CATEGORIES[each].words[:200] for each in given.purposes),
        funders=given.funders,
        commercial=given.commercial == "yes",
        use=Use(
            sector=organisation.sector,
            accredited="Yes",
            technical_summary=given.technical_summary,
            other_approvals=given.ethics,
            start=given.start,
            end=given.end,
            frequency="Recurring" if given.standing == "yes" else "One-off",
            linkage=given.linkage[:300],
        ),
    )


def _withdraw(asked: Asked) -> Outcome:
    application: Application = asked.record
    reason = asked.form.reason
    moved = application.model_copy(update={"reason": reason}).went("application.withdraw", "withdrawn", asked.now)
    if application.state == "draft":
        return Outcome((moved,))
    name = asked.look.get("organisation", application.answers.organisation).name
    entry = ApplicationWithdrawn(project=application.id, organisation=name, reason=reason)
    return Outcome((moved, *closed(application, asked.look)), (entry,))


def closed(application: Application, look: Look) -> Iterator[Record]:
    """The decisions and deliberations that are open and have nothing to decide any more."""
    for decision in look.find("decision", application=application.id):
        if decision.state in ("waiting", "asked", "half", "approved"):
            yield decision.model_copy(update={"state": "closed"})
    for deliberation in look.find("deliberation", application=application.id):
        if deliberation.state in ("open", "voting"):
            yield deliberation.model_copy(update={"state": "closed"})


def _revise(asked: Asked) -> Outcome:
    return Outcome((asked.record.went("application.revise", "draft", asked.now),))


def _copy(asked: Asked) -> Outcome:
    """A new application with the same answers: nothing is typed twice."""
    before: Application = asked.record
    answers = before.answers.model_copy(update={"start": None, "end": None})
    made = Application(
        id=asked.new_id("application"), lead=asked.actor.id, answers=answers, plans=before.plans,
        site_answers=before.site_answers,
    )  # fmt: skip
    return Outcome((made,))


def _finish(asked: Asked) -> Outcome:
    application: Application = asked.record
    form: Finish = asked.form
    update = {"findings": form.findings, "link": form.link}
    moved = application.model_copy(update=update).went("application.finish", "finished", asked.now)
    entry = ResultPublished(project=application.id, title=form.title, summary=form.findings, link=form.link)
    return Outcome((moved,), (entry,))


def explained(application: Application) -> tuple[tuple[str, str], ...]:
    """Each attached plan by its digest, in plain English."""
    plans = (read_plan(each) for each in application.plans)
    return tuple((plan.identity, plan.explain()) for plan in plans)


DRAFT = frozenset({"draft"})
EVERY = frozenset(states.STATES)
ACTS = (
    Act("application.begin", "Begin an application", _begin, Begin),
    Act("application.change", "Save", _change, Answers, DRAFT, about),
    Act("application.attach_plan", "Attach a plan", _attach, AttachPlan, DRAFT, about),
    Act("application.detach_plan", "Take a plan out", _detach, DetachPlan, DRAFT, about),
    Act("application.answer_site", "Answer a site's question", _answer_site, AnswerSite, DRAFT, about),
    Act("application.submit", "Send the application", _submit, Nothing, DRAFT, about),
    Act("application.withdraw", "Withdraw", _withdraw, Withdraw, states.before("application.withdraw"), about),
    Act("application.revise", "Change and send again", _revise, Nothing, states.before("application.revise"), about),
    Act("application.copy", "Begin another like it", _copy, Nothing, EVERY, about),
    Act("application.finish", "Publish what was found", _finish, Finish, states.before("application.finish"), about),
)
