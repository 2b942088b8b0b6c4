"""Applications: the list, one read in full, and how one is written, a page a section."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from civicgrid.errors import Missing, StateError
from civicgrid.governance import answers as form
from civicgrid.governance import clocks
from civicgrid.governance.answers import SECTIONS, Answers
from civicgrid.governance.application import Application, Gap, missing, open_questions, unneeded, unused
from civicgrid.governance.applying import Begin, explained
from civicgrid.governance.permissions import check
from civicgrid.governance.reading import check_readable, named, reads
from civicgrid.governance.states import STATES
from civicgrid.governance.table import ACTS
from civicgrid.hub import forms, words
from civicgrid.hub.pages import acting
from civicgrid.hub.records import FormError, Version
from civicgrid.hub.tables import Column, Listing
from civicgrid.hub.web import Page, Visit

OWN_PAGE = frozenset({"application.change", "application.attach_plan", "application.detach_plan",
                      "application.answer_site", "application.submit"})  # fmt: skip
"""Acts that the list of what is to do on a draft leads to, so that they need no link beside it."""


def applications(visit: Visit) -> Response:
    today, look = visit.now.date(), visit.records
    found = sorted(reads(visit.actor, look), key=lambda each: visit.actor.id not in (each.lead, *each.answers.people))
    awaited = {each.id: clocks.due(each, look) for each in found}

    def due(application: Application) -> dt.date | None:
        return min((each.due for each in awaited[application.id]), default=None)

    listing = Listing(
        "applications",
        "Applications",
        (
            Column("title", "Title", lambda each: each.title, lambda each: f"/applications/{each.id}"),
            Column("id", "Project", lambda each: each.id),
            Column("organisation", "Organisation", lambda each: _organisation(visit, each)),
            Column("state", "State", lambda each: STATES[each.state].capitalize()),
            Column("due", "Due", due, shown=lambda day: f"{words.day(day)}{', overdue' if day < today else ''}"),
        ),
        found,
        "There is no application that you can read yet. Start one, or wait until one is sent to you.",
    )
    own = any(visit.actor.has(role) for role in ("researcher", "lead"))
    return visit.list("applications/applications.jinja", listing, own=own)


def _organisation(visit: Visit, application: Application) -> str:
    given = application.answers.organisation
    found = visit.records.find("organisation", id=given) if given else []
    return found[0].name if found else given


def starting(visit: Visit) -> Response:
    return _starting(visit, {})


def _starting(visit: Visit, faults: dict[str, str]) -> Response:
    check(visit.actor, "application.begin", ACTS["application.begin"].about(None, visit.records), visit.now)
    asked = forms.form(Begin, forms.data(Begin, visit.form) if visit.form else {}, faults)
    return visit.show("applications/start.jinja", 422 if faults else 200, form=asked, faults=faults, sections=SECTIONS)


def started(visit: Visit) -> Response:
    try:
        made = visit.perform("application.begin", "", forms.data(Begin, visit.form))
    except FormError as error:
        return _starting(visit, error.faults)
    return visit.go(f"/applications/{made.id}")


@dataclass(frozen=True)
class Part:
    """A part of a draft on the list of what is to do: where it is filled in, and how much is missing."""

    title: str
    words: str
    path: str
    missing: int


def application(visit: Visit) -> Response:
    """One application in full, with what may be done about it."""
    id, look = visit.path("id"), visit.records
    now: Application = acting.readable(visit, "application", id)
    history = look.history("application", id)
    shown, earlier = _chosen(visit, history), visit.query("version") != ""
    if earlier:
        # What somebody wrote before they sent it stays theirs.
        check_readable(visit.actor, shown.record, look)
    read: Application = shown.record if earlier else now
    own = visit.actor.id in (now.lead, *now.answers.people)
    draft = read.state == "draft" and own and not earlier
    today = visit.now.date()
    gaps = missing(read, look, today) if draft else []
    acts = look.allowed(visit.actor, now, visit.now)
    decisions = [each for each in look.find("decision", application=id) if each.version == now.version]
    deliberations = [each for each in look.find("deliberation", application=id) if each.version == now.version]
    return visit.show(
        "applications/application.jinja",
        application=read,
        now=now,
        earlier=shown if earlier else None,
        own=own,
        draft=draft,
        today=today,
        state=STATES[read.state],
        parts=list(_parts(read, look, gaps)) if draft else [],
        gaps=gaps,
        acts=[act for act in acts if not earlier and act.name not in (OWN_PAGE if draft else ())],
        can_send=any(act.name == "application.submit" for act in acts),
        path=acting.path,
        sections=[(section, _answered(visit, read, name)) for name, section in SECTIONS.items()],
        plans=explained(read),
        unneeded=unneeded(read),
        unused=unused(read),
        due=clocks.due(now, look),
        clocks=clocks.CLOCKS,
        decisions=sorted(decisions, key=lambda each: each.site),
        deliberations=sorted(deliberations, key=lambda each: each.panel),
        panels={each.panel: look.get("panel", each.panel).name for each in deliberations},
        sites={each.site: look.get("site", each.site).name for each in decisions},
        benefits=look.find("benefit", application=id),
        history=_history(visit, history, own),
        names=named((now.lead, *now.answers.people), look),
        doing={each.name: each.words for each in ACTS.values()},
    )


def _chosen(visit: Visit, history: list[Version]) -> Version:
    asked = visit.query("version")
    if not asked:
        return history[-1]
    found = next((each for each in history if str(each.version) == asked), None)
    if found is None:
        raise Missing("There is no such version of this application. Look at the list of its versions.")
    return found


def _history(visit: Visit, history: list[Version], own: bool) -> list[Version]:
    """The versions that somebody may look at: all for those whose it is, and for others those that were sent."""
    return [each for each in history if own or each.state != "draft"]


def _parts(application: Application, look: Any, gaps: list[Gap]) -> Iterator[Part]:
    at = f"/applications/{application.id}"
    plans = [gap for gap in gaps if gap.field == "without_plan"]
    questions = [gap for gap in gaps if gap.field == "questions"]
    for name, section in SECTIONS.items():
        count = sum(gap.section == name and gap not in plans and gap not in questions for gap in gaps)
        yield Part(section.title, section.words, f"{at}/edit/{name}", count)
    yield Part("Plans", "What is to be worked out, as files that the software reads", f"{at}/do/attach_plan", len(plans))
    if open_questions(application, look) or application.site_answers:
        yield Part("Questions of sites", "What the sites you chose ask beyond this form", f"{at}/do/answer_site",
                   len(questions))  # fmt: skip


def _answered(visit: Visit, application: Application, section: str) -> list[tuple[str, str]]:
    """What was said in a section, each answer under its question, in words."""
    options = _options(visit)
    found = []
    for field in forms.form(Answers, application.answers.__dict__, options=options, only=form.section(section)).fields:
        names = dict(field.options)
        value = getattr(application.answers, field.name)
        if isinstance(value, tuple):
            text = "\n".join(names.get(each) or str(each) for each in value)
        elif isinstance(value, dt.date):
            text = words.day(value)
        else:
            text = names.get(str(value)) or str(value or "")
        found.append((field.label, text))
    return found


def _options(visit: Visit) -> dict[str, dict[str, str]]:
    """What may be chosen: the sites and people of the network, and the data sets that connected sites hold."""
    look = visit.records
    people = [each for role in ("researcher", "lead") for each in look.find("account", role=role)]
    held = {held.name for hello in visit.hub.hellos.values() for held in hello.holdings}
    found = {
        "sites": {each.id: each.name for each in _by_name(look.find("site", state="active"))},
        "people": {each.id: each.name for each in _by_name(people)},
        "organisation": {each.id: each.name for each in _by_name(look.find("organisation", state="active"))},
        "datasets": {name: name for name in sorted(held)},
    }
    return {name: options for name, options in found.items() if options}


def _by_name(records: list[Any]) -> list[Any]:
    return sorted(records, key=lambda each: each.name.casefold())


def editing(visit: Visit) -> Response:
    return _editing(visit, {})


def saved(visit: Visit) -> Response:
    application, section = _draft(visit)
    fields = form.section(section)
    # The page shows the whole section, so what is empty on it is to be empty.
    given = {name: Answers.model_fields[name].default for name in fields} | forms.data(Answers, visit.form, fields)
    try:
        visit.perform("application.change", application.id, given)
    except FormError as error:
        return _editing(visit, error.faults)
    order = list(SECTIONS)
    after = order[order.index(section) + 1 :]
    if visit.value("then") == "next" and after:
        return visit.go(f"/applications/{application.id}/edit/{after[0]}")
    return visit.go(f"/applications/{application.id}")


def _draft(visit: Visit) -> tuple[Application, str]:
    application: Application = acting.readable(visit, "application", visit.path("id"))
    act = ACTS["application.change"]
    check(visit.actor, act.name, act.about(application, visit.records), visit.now)
    act.check_state(application)
    if visit.path("section") not in SECTIONS:
        raise Missing("There is no such section of the application.")
    return application, visit.path("section")


def _editing(visit: Visit, faults: dict[str, str]) -> Response:
    application, section = _draft(visit)
    fields = form.section(section)
    given = forms.data(Answers, visit.form, fields) if visit.form else application.answers.__dict__
    options = _options(visit)
    for name in ("datasets", "sites", "people"):
        if name in options:
            chosen = given.get(name) or ()
            options[name] |= {each: each for each in chosen if each not in options[name]}
    order = list(SECTIONS)
    return visit.show(
        "applications/edit.jinja",
        422 if faults else 200,
        application=application,
        section=SECTIONS[section],
        number=order.index(section) + 1,
        count=len(order),
        form=forms.form(Answers, given, faults, options, fields),
        faults=faults,
        seen=visit.value("seen") or acting.version(visit, application),
    )


def file(visit: Visit) -> Response:
    """What is decided on, as the file that panel members sign for and custodians draft permits from."""
    application: Application = acting.readable(visit, "application", visit.path("id"))
    if not application.version:
        raise StateError("The application has not been sent yet, so there is nothing to decide on.")
    text = application.dossier(visit.hub.settings.network).canonical()
    return visit.file(text, "application/json", f"{application.id}.json")


PAGES = (
    Page("/applications", "signed in", applications),
    Page("/applications/start", "signed in", starting, started),
    Page("/applications/{id}", "signed in", application),
    Page("/applications/{id}/file", "signed in", file),
    Page("/applications/{id}/edit/{section}", "signed in", editing, saved),
    Page("/applications/{id}/do/{act}", "signed in", acting.asking("application"), acting.doing("application")),
    Page("/benefits/{id}/do/{act}", "signed in", acting.asking("benefit"), acting.doing("benefit")),
)
