"""Results that wait for an output checker, and one of them with what the rules said and what came before."""

from __future__ import annotations

from starlette.responses import Response

from civicgrid.governance.checking import Result, history
from civicgrid.governance.reading import named
from civicgrid.hub import words
from civicgrid.hub.pages import acting
from civicgrid.hub.tables import Column, Listing
from civicgrid.hub.web import Page, Visit

OPEN = ("waiting", "half", "asked")


def queue(visit: Visit) -> Response:
    look = visit.records
    everything = visit.query("all") == "yes"
    found = [each for each in look.find("result") if everything or each.state in OPEN]
    titles = {each: look.get("application", each).title for each in {result.application for result in found}}
    listing = Listing(
        "results",
        "All results" if everything else "Results that wait",
        (
            Column("analysis", "Result", lambda each: each.analysis, lambda each: f"/results/{each.id}"),
            Column("project", "Project", lambda each: titles[each.application]),
            Column("queued", "Waiting since", lambda each: each.queued, shown=words.time),
            Column("failed", "Rules that it broke", _broken, numeric=True),
            Column("state", "State", lambda each: words.plain(each.state).capitalize()),
        ),
        found,
        "No result waits to be checked. You get a notice when one does.",
        sort="queued",
    )
    return visit.list("results/queue.jinja", listing, everything=everything)


def _broken(result: Result) -> int:
    return sum(not verdict.passed for verdict in result.verdicts)


def result(visit: Visit) -> Response:
    found: Result = acting.readable(visit, "result", visit.path("id"))
    look = visit.records
    return visit.show(
        "results/result.jinja",
        result=found,
        application=look.get("application", found.application),
        acts=look.allowed(visit.actor, found, visit.now),
        path=acting.path,
        earlier=history(look, found),
        names=named((opinion.by for opinion in found.opinions), look) if visit.actor.has("checker") else {},
    )


PAGES = (
    Page("/checking", "checker", queue),
    Page("/results/{id}", "signed in", result),
    Page("/results/{id}/do/{act}", "signed in", acting.asking("result"), acting.doing("result")),
)
