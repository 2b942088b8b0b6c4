"""What those who decide see: a site's decision, a citizen panel's deliberation, and what waits for each person."""

from __future__ import annotations

from collections import Counter

from starlette.responses import Response

from civicgrid.errors import Missing
from civicgrid.governance import clocks
from civicgrid.governance.applying import explained
from civicgrid.governance.charter import principles
from civicgrid.governance.deliberating import decision as panel_decision
from civicgrid.governance.deliberating import tally
from civicgrid.governance.panel import Panel
from civicgrid.governance.reading import in_panel, named
from civicgrid.governance.stages import Deliberation, SiteDecision
from civicgrid.governance.states import STATES
from civicgrid.governance.tasks import tasks
from civicgrid.hub import words
from civicgrid.hub.pages import acting
from civicgrid.hub.tables import Column, Listing
from civicgrid.hub.web import Page, Visit


def mine(visit: Visit) -> Response:
    today = visit.now.date()
    listing = Listing(
        "tasks",
        "What waits for you",
        (
            Column("words", "What to do", lambda task: task.words, lambda task: task.path),
            Column("title", "Project", lambda task: task.title),
            Column(
                "due", "Due", lambda task: task.due,
                shown=lambda day: f"{words.day(day)}{', overdue' if day < today else ''}",
            ),
        ),
        tasks(visit.actor, visit.records, visit.now),
        "Nothing waits for you now. When something does, it stands here and you get a notice.",
        sort="due",
    )  # fmt: skip
    return visit.list("tasks/tasks.jinja", listing)


def decision(visit: Visit) -> Response:
    found: SiteDecision = acting.readable(visit, "decision", visit.path("id"))
    look = visit.records
    application = look.get("application", found.application)
    panels = {each.panel: each for each in look.find("deliberation", application=found.application)}
    heeded = [(look.get("panel", panel).name, panels.get(panel)) for panel in found.panels]
    return visit.show(
        "decisions/decision.jinja",
        decision=found,
        application=application,
        state=STATES[application.state],
        site=look.get("site", found.site),
        heeded=heeded,
        acts=look.allowed(visit.actor, found, visit.now),
        path=acting.path,
        principles=principles(look, "custodian"),
        names=named((opinion.by for opinion in found.opinions), look) if visit.actor.has("custodian", found.site) else {},
        due=[each for each in clocks.due(application, look) if each.frm in (found.site, "")],
        clocks=clocks.CLOCKS,
        today=visit.now.date(),
    )


def deliberation(visit: Visit) -> Response:
    found: Deliberation = acting.readable(visit, "deliberation", visit.path("id"))
    look = visit.records
    application = look.get("application", found.application)
    panel: Panel = look.get("panel", found.panel)
    inside = in_panel(visit.actor, found)
    return visit.show(
        "deliberations/deliberation.jinja",
        deliberation=found,
        application=application,
        panel=panel,
        sitting=len(panel.sitting(visit.now.date())),
        inside=inside,
        conflicts=[(each, look.get("account", each.member).name) for each in found.conflicts] if inside else [],
        views=[(when, _views(found, when)) for when in ("before", "after")],
        voted=any(vote.member == visit.actor.id for vote in found.votes),
        tally=tally(found, look, visit.hub.settings.network) if found.state in ("approved", "vetoed") else None,
        acts=[act for act in look.allowed(visit.actor, found, visit.now) if not _needless(found, act.name, visit)],
        path=acting.path,
        principles=principles(look, "panel"),
        plans=explained(application),
        due=[each for each in clocks.due(application, look) if each.frm == found.panel],
        clocks=clocks.CLOCKS,
        today=visit.now.date(),
    )


def _needless(deliberation: Deliberation, act: str, visit: Visit) -> bool:
    """Whether an act that somebody may do would come to nothing: there is no question to answer, or they have voted."""
    if act == "deliberation.answer":
        return not deliberation.questions
    return act == "deliberation.vote" and any(vote.member == visit.actor.id for vote in deliberation.votes)


FEELINGS = ("Strongly against", "Against", "Undecided", "For", "Strongly for")


def _views(deliberation: Deliberation, when: str) -> list[tuple[str, int]]:
    """How many members felt which way. Until the vote is over nobody sees it, so that nobody is led by it."""
    if deliberation.state not in ("approved", "vetoed"):
        return []
    counts = Counter(view.view for view in deliberation.views if view.when == when)
    return [(feeling, counts[number]) for number, feeling in enumerate(FEELINGS, 1)] if counts else []


def ballots(visit: Visit) -> Response:
    """The panel's decision with its signed ballots: what a permit carries, and what anybody can count again."""
    found: Deliberation = acting.readable(visit, "deliberation", visit.path("id"))
    if found.state not in ("approved", "vetoed"):
        raise Missing("The panel has not decided yet, so there is no decision to download.")
    text = panel_decision(found, visit.records).canonical()
    return visit.file(text, "application/json", f"{found.id}.decision.json")


PAGES = (
    Page("/tasks", "signed in", mine),
    Page("/decisions/{id}", "signed in", decision),
    Page("/decisions/{id}/do/{act}", "signed in", acting.asking("decision"), acting.doing("decision")),
    Page("/deliberations/{id}", "signed in", deliberation),
    Page("/deliberations/{id}/ballots", "signed in", ballots),
    Page("/deliberations/{id}/do/{act}", "signed in", acting.asking("deliberation"), acting.doing("deliberation")),
)
