"""Results that a person looks at before anybody sees them; whether somebody may run a study; benefits given back.

A result waits where a site's policy or a rule's verdict asks for a person. A checker sees the verdicts, the context and
what the project got before, and never decides on their own project. Where a site of the project wants two, a second one
agrees.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from civicgrid.canonical import Node
from civicgrid.errors import Missing, NotAllowed, StateError
from civicgrid.governance.acts import Act, Asked, Look, Nothing, Notice, Outcome
from civicgrid.governance.answers import Prose, Short
from civicgrid.governance.application import Application, unready
from civicgrid.governance.applying import about as about_application
from civicgrid.governance.clocks import about_benefit
from civicgrid.governance.decisions import LONG, Ask, Refuse, Reply
from civicgrid.governance.entry import Digest, Link
from civicgrid.governance.people import Account, Id
from civicgrid.governance.permissions import Subject
from civicgrid.governance.register import BenefitDelivered, BenefitPromised
from civicgrid.governance.sites import of
from civicgrid.governance.stages import Asking, Benefit, Opinion


class Verdict(Node):
    """What one rule said of the result."""

    rule: Short
    passed: bool
    words: Prose = ""


class Result(Node):
    """A result in the queue. `output` is the digest of its numbers, which lie with the run and not here."""

    kind: Literal["result"] = "result"
    id: Id
    state: Literal["waiting", "asked", "half", "approved", "rejected"] = "waiting"
    application: Id
    run: Digest
    plan: Digest
    output: Digest
    analysis: Short
    verdicts: tuple[Verdict, ...] = ()
    context: Prose = ""
    two: bool = False
    queued: dt.datetime
    opinions: tuple[Opinion, ...] = ()
    questions: tuple[Asking, ...] = ()

    def marks(self) -> Iterator[tuple[str, str]]:
        """What results are looked up by."""
        yield "application", self.application
        yield "run", self.run


class Queue(Node):
    """A result that a person has to look at, with what the rules said of it."""

    application: Annotated[Id, Field(title="Project")]
    run: Annotated[Digest, Field(title="Run")]
    plan: Annotated[Digest, Field(title="Plan")]
    output: Annotated[Digest, Field(title="Output")]
    analysis: Annotated[Short, Field(title="Analysis")]
    verdicts: Annotated[tuple[Verdict, ...], Field(title="Verdicts of the rules", max_length=200)] = ()
    context: Annotated[Prose, Field(title="Context", json_schema_extra=LONG)] = ""


class Promise(Node):
    """A benefit that is promised."""

    promise: Annotated[
        Prose, Field(title="Benefit", description="What you give back. It is public.", min_length=1, json_schema_extra=LONG)
    ]
    due: Annotated[dt.date | None, Field(title="By when")] = None


class Deliver(Node):
    """A benefit that has been given."""

    delivered: Annotated[
        Prose, Field(title="What was given", description="It is public", min_length=1, json_schema_extra=LONG)
    ]
    link: Annotated[Link, Field(title="Link", description="Where to see it, beginning with https://")] = ""


def about(result: Any, look: Look) -> Subject:
    """The people of the project."""
    subject: Subject = look.get("application", result.application).subject
    return subject


def needs_person(asked_by_policy: bool, verdicts: Sequence[Verdict]) -> bool:
    """Whether a result waits for a checker: where a site's policy says so, or a rule did not pass."""
    return asked_by_policy or not all(verdict.passed for verdict in verdicts)


def history(look: Look, result: Result) -> list[Result]:
    """What the project's earlier results came to, the last first."""
    found: list[Result] = look.find("result", application=result.application)
    return sorted((each for each in found if each.id != result.id), key=lambda each: each.queued, reverse=True)


def check_run(look: Look, project: str, key: str, today: dt.date) -> Account:
    """Whose key a study is signed with, if they may run one for the project today: asked at each run.

    NotAllowed unless the project is permitted, and the person is named on it and has a valid accreditation.
    """
    try:
        application: Application = look.get("application", project)
    except Missing:
        raise NotAllowed("There is no such project on this network. Apply for one first.") from None
    if application.state != "permitted":
        raise NotAllowed("Expected a project that is permitted; this one is not, so no study of it can run.")
    people = {named.account for named in application.people if named.key == key}
    if not people & set(application.answers.people):
        raise NotAllowed("Expected the key of somebody named on the project; this one is nobody's there.")
    person = next(iter(people))
    account: Account = look.get("account", person)
    if key not in account.keys:
        raise NotAllowed("This key has been removed from its account. Sign the study with one that stands there.")
    faults = unready(person, look, today)
    if faults:
        raise NotAllowed(f"{faults[0]} No study can run under it until that is mended.")
    return account


def _queue(asked: Asked) -> Outcome:
    form: Queue = asked.form
    application: Application = asked.look.get("application", form.application)
    two = any(site.two_checkers for site in of(application.answers.sites, asked.look))
    made = Result(id=asked.new_id("result"), two=two, queued=asked.now, **form.__dict__)
    checkers = [each for each in asked.look.find("account", role="checker") if each.id not in _own(application)]
    said = f"A result of {application.title} waits for you."
    return Outcome((made,), (), tuple(Notice(each.id, said, f"/results/{made.id}") for each in checkers))


def _own(application: Application) -> frozenset[str]:
    return frozenset({application.lead, *application.answers.people})


def _tell(asked: Asked, result: Result, said: str) -> tuple[Notice, ...]:
    application: Application = asked.look.get("application", result.application)
    return tuple(
        Notice(person, f"{application.title}, {result.analysis}: {said}", f"/results/{result.id}")
        for person in sorted(_own(application))
    )


def _ask(asked: Asked) -> Outcome:
    result: Result = asked.record
    question = Asking(by=asked.actor.id, words=asked.form.question, at=asked.now)
    changed = result.model_copy(update={"state": "asked", "questions": (*result.questions, question)})
    return Outcome((changed,), (), _tell(asked, result, "an output checker asks you something."))


def _answer(asked: Asked) -> Outcome:
    result: Result = asked.record
    *earlier, last = result.questions
    answered = last.model_copy(update={"answer": asked.form.answer, "answered": asked.now})
    changed = result.model_copy(update={"state": "waiting", "questions": (*earlier, answered)})
    return Outcome((changed,), (), (Notice(last.by, "Your question has been answered.", f"/results/{result.id}"),))


def _approve(asked: Asked) -> Outcome:
    result: Result = asked.record
    opinion = Opinion(by=asked.actor.id, outcome="approved", at=asked.now)
    changed = result.model_copy(update={"state": "half" if result.two else "approved", "opinions": (opinion,)})
    return Outcome((changed,), (), () if result.two else _tell(asked, result, "your result is there."))


def _second(asked: Asked) -> Outcome:
    result: Result = asked.record
    if result.opinions[0].by == asked.actor.id:
        raise StateError("You said yes already. This result needs a second person: ask another output checker.")
    opinion = Opinion(by=asked.actor.id, outcome="approved", at=asked.now)
    changed = result.model_copy(update={"state": "approved", "opinions": (*result.opinions, opinion)})
    return Outcome((changed,), (), _tell(asked, result, "your result is there."))


def _reject(asked: Asked) -> Outcome:
    result: Result = asked.record
    opinion = Opinion(by=asked.actor.id, outcome="refused", reasons=asked.form.reasons, at=asked.now)
    changed = result.model_copy(update={"state": "rejected", "opinions": (*result.opinions, opinion)})
    return Outcome((changed,), (), _tell(asked, result, f"this result cannot be shown. {asked.form.reasons}"))


def _promise(asked: Asked) -> Outcome:
    application: Application = asked.record
    organisation = application.answers.organisation
    benefit = Benefit(
        id=asked.new_id("benefit"), application=application.id, organisation=organisation, promise=asked.form.promise,
        due=asked.form.due,
    )  # fmt: skip
    name = asked.look.get("organisation", organisation).name
    entry = BenefitPromised(project=application.id, organisation=name, benefit=benefit.promise, due=benefit.due)
    return Outcome((application, benefit), (entry,))


def _deliver(asked: Asked) -> Outcome:
    benefit: Benefit = asked.record
    form: Deliver = asked.form
    name = asked.look.get("organisation", benefit.organisation).name
    entry = BenefitDelivered(project=benefit.application, organisation=name, benefit=form.delivered, link=form.link)
    changed = benefit.model_copy(update={"state": "delivered", "delivered": form.delivered, "link": form.link})
    return Outcome((changed,), (entry,))


WAITING = frozenset({"waiting"})
ACTS = (
    Act("result.queue", "Put a result in the queue", _queue, Queue),
    Act("result.ask", "Ask the researcher", _ask, Ask, WAITING, about),
    Act("result.answer", "Answer the checker's question", _answer, Reply, frozenset({"asked"}), about),
    Act("result.approve", "Let the result out", _approve, Nothing, WAITING, about),
    Act("result.second", "Let it out as the second checker", _second, Nothing, frozenset({"half"}), about),
    Act("result.reject", "Reject the result", _reject, Refuse, frozenset({"waiting", "half"}), about),
    Act("application.promise", "Promise a benefit", _promise, Promise,
        frozenset({"deciding", "approved", "permitted", "finished"}), about_application),
    Act("benefit.deliver", "Say that it was given", _deliver, Deliver, frozenset({"promised"}), about_benefit),
)  # fmt: skip
