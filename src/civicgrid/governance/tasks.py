"""What waits for somebody: applications to complete, to answer for, to decide, to vote on; results to check.

A task is found by what its person may do (`permissions.may`) to a record in the state that it is in, and by nothing else.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from civicgrid.governance import applying, checking, clocks, decisions, deliberating
from civicgrid.governance.acts import Act, Look
from civicgrid.governance.application import Application
from civicgrid.governance.people import Account
from civicgrid.governance.permissions import may
from civicgrid.governance.stages import Deliberation


@dataclass(frozen=True)
class Task:
    """One thing to do: what, about which project, where, and until when if a clock runs."""

    words: str
    title: str
    path: str
    due: dt.date | None = None

    def late(self, today: dt.date) -> bool:
        return self.due is not None and today > self.due


WAITS: tuple[tuple[str, str, str, str], ...] = (
    ("application.submit", "draft", "Complete and send the application", "/applications/{id}"),
    ("application.finish", "permitted", "Publish what was found", "/applications/{id}"),
    ("decision.approve", "waiting", "Decide for {site}", "/decisions/{id}"),
    ("decision.second", "half", "Look at it as the second custodian for {site}", "/decisions/{id}"),
    ("decision.answer", "asked", "Answer a question of {site}", "/decisions/{id}"),
    ("decision.permit", "approved", "Sign the permit for {site}", "/decisions/{id}"),
    ("deliberation.ask", "open", "Read it, ask, and say how you feel", "/deliberations/{id}"),
    ("deliberation.open_vote", "open", "Open the vote when the panel is ready", "/deliberations/{id}"),
    ("deliberation.answer", "open", "Answer the panel's questions", "/deliberations/{id}"),
    ("deliberation.vote", "voting", "Vote", "/deliberations/{id}"),
    ("deliberation.close", "voting", "Close the vote when the panel has voted", "/deliberations/{id}"),
    ("result.approve", "waiting", "Check a result: {analysis}", "/results/{id}"),
    ("result.second", "half", "Check a result as the second checker: {analysis}", "/results/{id}"),
    ("result.answer", "asked", "Answer a checker's question: {analysis}", "/results/{id}"),
    ("benefit.deliver", "promised", "Say when the promised benefit has been given", "/applications/{application}"),
)
"""An act, the state in which it is waited for, its words and its page; {…} are fields of the record."""

KINDS = {act.name: act for group in (applying, decisions, deliberating, checking, clocks) for act in group.ACTS}


def tasks(actor: Account, look: Look, now: dt.datetime) -> list[Task]:
    """What waits for somebody, what is due first standing first."""
    found = [task for name, state, words, path in WAITS for task in _of(KINDS[name], state, words, path, actor, look, now)]
    return sorted(found, key=lambda task: (task.due is None, task.due or dt.date.max))


def _of(
    act: Act, state: str, words: str, path: str, actor: Account, look: Look, now: dt.datetime
) -> Iterator[Task]:
    for record in look.find(act.kind, state=state):
        if not may(actor, act.name, act.about(record, look), now):
            continue
        application: Application = record if act.kind == "application" else look.get("application", record.application)
        if _done(act, record, actor, application):
            continue
        marks = dict(record.__dict__)
        if act.kind == "decision":
            marks["site"] = look.get("site", record.site).name
        due = _due(act, record, application, look)
        yield Task(words.format(**marks), application.title, path.format(**marks), due)


def _done(act: Act, record: Any, actor: Account, application: Application) -> bool:
    """Whether somebody has done their part though the record waits for others', or it is not their turn yet."""
    match act.name:
        case "decision.second" | "result.second":
            return bool(record.opinions[0].by == actor.id)
        case "decision.permit":
            return application.state not in ("approved", "permitted")
        case "deliberation.vote":
            return any(vote.member == actor.id for vote in record.votes)
        case "deliberation.answer":
            return all(question.answer for question in record.questions)
        case "deliberation.ask":
            return any(view.member == actor.id for view in record.views)
    return False


def _due(act: Act, record: Any, application: Application, look: Look) -> dt.date | None:
    if act.kind == "benefit":
        due: dt.date | None = record.due
        return due
    if act.name == "decision.answer":
        what, frm = "application", ""
    elif act.name == "application.finish":
        what, frm = "result", ""
    elif act.kind in ("decision", "deliberation"):
        what, frm = "decision", record.panel if isinstance(record, Deliberation) else record.site
    else:
        return None
    return next((each.due for each in clocks.due(application, look) if (each.what, each.frm) == (what, frm)), None)
