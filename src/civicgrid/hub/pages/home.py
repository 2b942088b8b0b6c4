"""The first page, what stands beside every page, the state of the sites, and what may be read about the service."""

from __future__ import annotations

import time
from dataclasses import dataclass

from starlette.responses import Response

from civicgrid.hub import words
from civicgrid.hub.tables import Column, Listing
from civicgrid.hub.web import Page, Visit


def start(visit: Visit) -> Response:
    sites = visit.hub.members
    connected = sum(visit.hub.connected(site) for site in sites)
    return visit.show("home/start.jinja", sites=len(sites), connected=connected)


@dataclass(frozen=True)
class SiteState:
    """One site as the status page has it."""

    site: str
    organisation: str
    connected: bool
    seen: float | None
    datasets: int


def states(visit: Visit) -> list[SiteState]:
    """How every site stands, by the hub's own clock."""
    hub, found = visit.hub, []
    for site, member in sorted(hub.members.items()):
        line = hub.runs.lines.get(site)
        seen = time.time() - (time.monotonic() - line.seen) if line is not None and line.seen else hub.last_seen(site)
        held = len(hub.hellos[site].holdings) if site in hub.hellos else 0
        found.append(SiteState(site, member.organisation, hub.connected(site), seen, held))
    return found


def status(visit: Visit) -> Response:
    listing = Listing(
        "sites",
        "Sites of this network",
        (
            Column("site", "Site", lambda state: state.site),
            Column("organisation", "Organisation", lambda state: state.organisation),
            Column("state", "State", lambda state: "Connected" if state.connected else "Not connected"),
            Column(
                "seen",
                "Last contact",
                lambda state: state.seen,
                shown=lambda seen: f"{words.time(seen)} ({words.ago(seen, visit.now)})",
            ),
            Column("datasets", "Data sets", lambda state: state.datasets, numeric=True),
        ),
        states(visit),
        "No site has joined this network yet. An operator admits a site by its card.",
        sort="site",
    )
    return visit.list("home/status.jinja", listing)


def about(visit: Visit) -> Response:
    return visit.show("home/about.jinja")


def accessibility(visit: Visit) -> Response:
    return visit.show("home/accessibility.jinja")


def privacy(visit: Visit) -> Response:
    return visit.show("home/privacy.jinja", hours=visit.hub.settings.sign_in_hours)


def language(visit: Visit) -> Response:
    chosen = visit.query("to")
    answer = visit.go("/")
    if chosen in words.LANGUAGES:
        answer.set_cookie("language", chosen, max_age=365 * 86400, samesite="lax", secure=visit.service.sign_ins.secure)
    return answer


PAGES = (
    Page("/", "anyone", start),
    Page("/status", "anyone", status),
    Page("/about", "anyone", about),
    Page("/accessibility", "anyone", accessibility),
    Page("/privacy", "anyone", privacy),
    Page("/language", "anyone", language),
)
