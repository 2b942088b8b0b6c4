"""Who may read an application before, while and after it is decided; the public reads the register instead.

A table beside that of acts, with the same conditions. A draft is its people's alone: nobody decides on it yet.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import replace

from civicgrid.errors import Missing
from civicgrid.governance.acts import Look
from civicgrid.governance.application import Application
from civicgrid.governance.people import Account
from civicgrid.governance.permissions import CONDITIONS, Rule, Subject
from civicgrid.governance.stages import Deliberation

READERS: tuple[Rule, ...] = (
    Rule("anyone", "draft", "own"),
    Rule("anyone", "application", "own"),
    Rule("custodian", "application", "its site"),
    Rule("panel_member", "application", "its panel"),
    Rule("panel_chair", "application", "chairs it"),
    Rule("checker", "application"),
    Rule("operator", "application"),
    Rule("auditor", "application"),
)

ANY_TIME = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
"""None of these conditions looks at the clock."""


def readable(actor: Account, application: Application, look: Look) -> bool:
    """Whether somebody may read an application, and what is decided on it."""
    what = "draft" if application.state == "draft" else "application"
    subject = _subject(application, look)
    return actor.state == "active" and any(
        rule.action == what
        and (rule.role == "anyone" or actor.has(rule.role))
        and CONDITIONS[rule.condition](actor, subject, ANY_TIME)
        for rule in READERS
    )


def check_readable(actor: Account, application: Application, look: Look) -> None:
    """Raise Missing, as for one that is not there, unless it is `readable`."""
    if not readable(actor, application, look):
        raise Missing(f"There is no application called {application.id!r} that you may read.")


def reads(actor: Account, look: Look) -> list[Application]:
    """The applications that somebody may read, the last changed first."""
    return [each for each in look.find("application") if readable(actor, each, look)]


def in_panel(actor: Account, deliberation: Deliberation) -> bool:
    """Whether somebody reads what a panel keeps to itself: interests that were declared, and who said what."""
    return actor.has("panel_member", deliberation.panel) or actor.has("panel_chair", deliberation.panel)


def named(people: Iterable[str], look: Look) -> dict[str, str]:
    """The names of people as they stand in their accounts now."""
    found = {}
    for person in dict.fromkeys(people):
        try:
            found[person] = look.get("account", person).name
        except Missing:
            found[person] = "A former member"
    return found


def _subject(application: Application, look: Look) -> Subject:
    panels = {each.panel for each in look.find("deliberation", application=application.id)}
    return replace(application.subject, panels=frozenset(panels))
