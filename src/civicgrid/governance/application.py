"""An application: one for all sites, with its plans, its answers to what single sites ask, and what is still missing.

What people decide on is the `Dossier`: everything in the application that carries meaning, and nothing that changes while
they decide. It goes by its digest, which ballots and permits name. An application's id is also the project's.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from civicgrid.canonical import Node
from civicgrid.errors import Missing
from civicgrid.governance import answers as form
from civicgrid.governance.acts import Look
from civicgrid.governance.answers import Answers, Prose, Short
from civicgrid.governance.entry import Digest, day
from civicgrid.governance.people import Account, Id
from civicgrid.governance.permissions import Subject
from civicgrid.governance.permit import Permit, Person
from civicgrid.governance.purposes import reserved
from civicgrid.governance.sites import Question, of, questions
from civicgrid.governance.states import go
from civicgrid.methods import METHODS
from civicgrid.methods.plan import Plan, read_plan

MOST_PLANS = 20
State = Literal[
    "draft", "deciding", "questioned", "approved", "permitted", "finished", "refused", "withdrawn", "lapsed", "revoked"
]


class SiteAnswer(Node):
    """The answer to what a site asks, kept by the digest of the question: the same words are never asked again."""

    question: Digest
    title: Short
    answer: Prose


class Named(Node):
    """Somebody named on the application, and the key that their studies will be signed with."""

    account: Id
    key: str


class Step(Node):
    """When the application came to a state, and by which act."""

    state: State
    act: str
    at: dt.datetime


class Dossier(Node):
    """What is decided on. `plans` are the plans' canonical JSON. The file that custodians and panel members are given."""

    kind: Literal["application"] = "application"
    format: Literal[1] = 1
    network: str
    project: Id
    answers: Answers
    plans: tuple[str, ...] = ()
    site_answers: tuple[SiteAnswer, ...] = ()
    people: tuple[Named, ...] = ()

    def read_plans(self) -> tuple[Plan, ...]:
        return tuple(read_plan(each) for each in self.plans)

    def allowed(self) -> tuple[str, ...]:
        """The digests of what may be run: each plan's, or the template's of one that is to be run again and again."""
        again = self.answers.standing == "yes"
        return tuple(sorted({(plan.template if again else None) or plan.identity for plan in self.read_plans()}))


class Application(Node):
    """Who asks for what. `version` counts how often it was sent; `told` says which reminders have gone out."""

    kind: Literal["application"] = "application"
    id: Id
    state: State = "draft"
    lead: Id
    answers: Answers = Answers()
    plans: Annotated[tuple[str, ...], Field(max_length=MOST_PLANS)] = ()
    site_answers: Annotated[tuple[SiteAnswer, ...], Field(max_length=500)] = ()
    people: tuple[Named, ...] = ()
    version: int = 0
    steps: tuple[Step, ...] = ()
    told: tuple[str, ...] = ()
    reason: Prose = ""
    findings: Prose = ""
    link: str = ""

    def marks(self) -> Iterator[tuple[str, str]]:
        """What applications are looked up by."""
        yield "lead", self.lead
        yield from (("person", person) for person in (self.lead, *self.answers.people))
        yield from (("site", site) for site in self.answers.sites)
        yield from (("dataset", dataset) for dataset in self.answers.datasets)

    @property
    def subject(self) -> Subject:
        """Whom and what it concerns, as permissions look at it."""
        return Subject(people=frozenset(self.answers.people), lead=self.lead, sites=frozenset(self.answers.sites))

    @property
    def title(self) -> str:
        return self.answers.title or "A project without a title"

    def went(self, act: str, state: str, at: dt.datetime) -> Application:
        """The application in the state that an act leads it to, with the step noted where it is another one."""
        after = go(self.state, act, state)
        if after == self.state:
            return self
        step = Step.model_validate({"state": after, "act": act, "at": at})
        return self.model_copy(update={"state": after, "steps": (*self.steps, step)})

    def last(self, state: str) -> dt.datetime | None:
        """When it last came to a state."""
        return next((step.at for step in reversed(self.steps) if step.state == state), None)

    def dossier(self, network: str) -> Dossier:
        return Dossier(
            network=network,
            project=self.id,
            answers=self.answers,
            plans=self.plans,
            site_answers=self.site_answers,
            people=self.people,
        )


@dataclass(frozen=True)
class Gap:
    """What is missing before the application can be sent: the field to go to, its section, and words."""

    field: str
    section: str
    words: str


def missing(application: Application, look: Look, today: dt.date) -> list[Gap]:
    """What is missing or stands in the way, in the order of the form; nothing for one that can be sent."""
    given = application.answers
    gaps = [
        Gap(name, str(form.described(info)["section"]), f"{info.title}: {info.description}".rstrip(": "))
        for name, info in form.needed(given)
        if not getattr(given, name)
    ]
    gaps += [Gap("decides_against", "purpose", words) for words in given.stopped()]
    gaps += [*_purposes(given, look), *_people(given, look, today), *_sites(given, look)]
    gaps += [*_plans(application), *_questions(application, look)]
    if given.start and given.end and given.end <= given.start:
        gaps.append(Gap("end", "project", "End: it has to lie after the start"))
    if given.publishes == "no":
        gaps.append(Gap("publishes", "outputs", "Results must be public within 18 months, or nobody can learn from them"))
    order = list(form.SECTIONS)
    return sorted(gaps, key=lambda gap: order.index(gap.section))


def _purposes(given: Answers, look: Look) -> Iterator[Gap]:
    if given.organisation:
        try:
            sector = look.get("organisation", given.organisation).sector
        except Missing:
            yield Gap("organisation", "people", f"There is no organisation called {given.organisation} on this network")
            return
        yield from (Gap("purposes", "purpose", words) for words in reserved(given.purposes, sector))


def _people(given: Answers, look: Look, today: dt.date) -> Iterator[Gap]:
    for person in given.people:
        yield from (Gap("people", "people", words) for words in unready(person, look, today))


def unready(person: str, look: Look, today: dt.date) -> list[str]:
    """Why somebody cannot be named on a project or run a study today: no account, no accreditation, no key."""
    try:
        account: Account = look.get("account", person)
    except Missing:
        return [f"There is nobody called {person} on this network"]
    if account.state != "active":
        return [f"The account {person} is closed"]
    found = []
    if not account.accredited(today):
        since = f" It ended on {day(account.accreditation.until)}." if account.accreditation else ""
        found.append(f"{account.name} has no valid accreditation.{since}")
    if not account.keys:
        found.append(f"{account.name} has not added a key to sign studies with")
    return found


def _sites(given: Answers, look: Look) -> Iterator[Gap]:
    for name in given.sites:
        try:
            state = look.get("site", name).state
        except Missing:
            yield Gap("sites", "data", f"There is no site called {name} on this network")
            continue
        if state != "active":
            yield Gap("sites", "data", f"The site {name} is {state}: leave it out, or wait")


def _plans(application: Application) -> Iterator[Gap]:
    given = application.answers
    if not application.plans:
        if not given.without_plan:
            yield Gap("without_plan", "data", "Attach a plan, or say why there is none yet")
        return
    for number, plan in enumerate(application.plans, 1):
        yield from (
            Gap("columns", "data", f"Plan {number} needs more than you ask for: {words}")
            for words in _asked(given).uncovered(read_plan(plan))
        )


def _questions(application: Application, look: Look) -> Iterator[Gap]:
    for question in open_questions(application, look).values():
        yield Gap("questions", "data", f"A site asks: {question.title}")


def open_questions(application: Application, look: Look) -> Mapping[str, Question]:
    """What the chosen sites ask and has not been answered, by the question's digest."""
    sites = []
    for site in application.answers.sites:
        try:
            sites += of([site], look)
        except Missing:
            continue
    answered = {each.question for each in application.site_answers if each.answer}
    return {key: question for key, question in questions(sites).items() if key not in answered}


def unneeded(application: Application) -> tuple[str, ...]:
    """Columns asked for that no attached plan reads: data minimisation, shown to whoever applies and decides."""
    reads = frozenset[str]().union(*(read_plan(plan).reads for plan in application.plans))
    tables = {read.split(".", 1)[0] for read in reads}
    return tuple(
        column
        for column in application.answers.columns
        if column not in reads and not (column.endswith(".*") and column[:-2] in tables)
    )


def unused(application: Application) -> dict[str, tuple[str, ...]]:
    """By plan, the columns that it works out and no method of it uses."""
    plans = (read_plan(plan) for plan in application.plans)
    return {plan.identity: plan.unused() for plan in plans if plan.unused()}


def _asked(given: Answers) -> Permit:
    """What is asked for, as a permit would say it; every method and, where no column is named, every column."""
    day = "2000-01-01T00:00:00+00:00"
    return drafted(Dossier(network="-", project="any", answers=given), "-", (), day, day, every=True)


def drafted(
    dossier: Dossier,
    site: str,
    people: tuple[Person, ...],
    begins: str,
    ends: str,
    custodians: int = 1,
    every: bool = False,
) -> Permit:
    """The permit that a site would sign for an application, no wider than its plans need; with `every`, than it asks."""
    given, plans = dossier.answers, dossier.read_plans()
    again = given.standing == "yes"
    used = {method.kind for plan in plans for method in plan.methods.values()}
    reads = sorted({read for plan in plans for read in plan.reads}) if plans else list(given.columns)
    return Permit(
        network=dossier.network,
        site=site,
        project=dossier.project,
        title=given.title,
        people=people,
        datasets=tuple(sorted({plan.dataset for plan in plans})) if plans else given.datasets,
        columns=(given.columns or ("*",)) if every else tuple(reads or ["*"]),
        methods=tuple(METHODS) if every or not plans else tuple(kind for kind in METHODS if kind in used),
        purpose=given.public_benefit[:2000],
        valid_from=begins,
        valid_until=ends,
        plans=tuple(plan.identity for plan in plans if not (again and plan.template)),
        templates=tuple(plan.template for plan in plans if again and plan.template),
        custodians=custodians,
    )
