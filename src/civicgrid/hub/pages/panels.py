"""Citizen panels as everybody sees them: rules, seats, how the lot was drawn, what is before them, what they said."""

from __future__ import annotations

from starlette.responses import Response

from civicgrid.governance.panel import Panel
from civicgrid.governance.reading import named, readable
from civicgrid.governance.stages import Deliberation
from civicgrid.hub import words
from civicgrid.hub.tables import Column, Listing
from civicgrid.hub.web import Page, Visit

STATES = {
    "forming": "Volunteers can offer themselves",
    "listed": "The list of volunteers is fixed; members will be drawn",
    "sitting": "Sitting",
    "closed": "Closed",
}


def panels(visit: Visit) -> Response:
    today = visit.now.date()
    listing = Listing(
        "panels",
        "Citizen panels",
        (
            Column("name", "Panel", lambda panel: panel.name, lambda panel: f"/panels/{panel.id}"),
            Column("place", "Region or service", lambda panel: panel.place),
            Column("state", "State", lambda panel: STATES[panel.state]),
            Column("seats", "Seats", lambda panel: panel.seats, numeric=True),
            Column("members", "Members now", lambda panel: len(panel.sitting(today)), numeric=True),
        ),
        visit.records.find("panel"),
        "There is no citizen panel yet. The operator of this network opens one.",
        sort="name",
    )
    return visit.list("panels/panels.jinja", listing)


def panel(visit: Visit) -> Response:
    found: Panel = visit.records.get("panel", visit.path("id"))
    look, viewer = visit.records, visit.viewer
    before: list[Deliberation] = look.find("deliberation", panel=found.id)
    # Members are drawn from volunteers who were not asked whether their names may be public.
    inside = viewer is not None and (viewer.has("operator") or viewer.has("panel_member", found.id))
    return visit.show(
        "panels/panel.jinja",
        panel=found,
        state=STATES[found.state],
        rules=_rules(found),
        members=found.sitting(visit.now.date()),
        names=named((member.account for member in found.members), look) if inside else {},
        drawing=found.drawing() if found.seed else None,
        open=[_shown(visit, each) for each in before if each.state in ("open", "voting")],
        decided=[_shown(visit, each) for each in before if each.state in ("approved", "vetoed")],
    )


def _shown(visit: Visit, deliberation: Deliberation) -> tuple[Deliberation, str, str]:
    """A deliberation, the project's title, and the page to go to for whoever may read it."""
    application = visit.records.get("application", deliberation.application)
    may = visit.viewer is not None and readable(visit.viewer, application, visit.records)
    return deliberation, application.title, f"/deliberations/{deliberation.id}" if may else ""


def _rules(panel: Panel) -> list[str]:
    """The rules in words."""
    votes = {
        "more than half": "more than half of those who vote yes or no say yes",
        "two thirds": "at least two thirds of those who vote yes or no say yes",
        "three quarters": "at least three quarters of those who vote yes or no say yes",
        "all": "everybody who votes yes or no says yes",
    }[panel.majority]
    found = [
        f"The panel has {panel.seats} seats. Members are drawn by lot from people who offer themselves.",
        f"A vote counts when at least {panel.quorum} members have voted.",
        f"The panel says yes when {votes}. Its no is final: no site that heeds the panel can then let the data be used.",
        f"A member sits for {panel.months} months. Whoever has an interest of their own in a project does not vote on it.",
    ]
    if panel.attributes:
        groups = "; ".join(f"{', '.join(quota.group)}: {quota.seats}" for quota in panel.quotas)
        found.append(f"Seats are shared out by {words.plain(' and '.join(panel.attributes))} ({groups}).")
    return found


def roll(visit: Visit) -> Response:
    """The members' keys, quorum and majority, for a site's engineer to keep and for anybody to count ballots with."""
    found: Panel = visit.records.get("panel", visit.path("id"))
    return visit.file(found.roll(visit.records).canonical(), "application/json", f"{found.id}.roll.json")


def candidates(visit: Visit) -> Response:
    """The list that members were drawn from, by code: with the seed anybody can draw again."""
    found: Panel = visit.records.get("panel", visit.path("id"))
    rows = "".join(f"{each.id},{' / '.join(each.group)}\r\n" for each in found.candidates)
    return visit.file(f"volunteer,group\r\n{rows}", "text/csv", f"{found.id}-volunteers.csv")


PAGES = (
    Page("/panels", "anyone", panels),
    Page("/panels/{id}", "anyone", panel),
    Page("/panels/{id}/roll", "anyone", roll),
    Page("/panels/{id}/volunteers", "operator", candidates),
)
