"""The public register as pages that anybody can read: what happened, of one project, of one site, and how to check it.

Nothing here needs a sign-in. Every entry reads as a sentence; beside it stand its facts and the means to prove it. The same
entries as JSON, CSV and a feed are in `hub/published.py`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from civicgrid.errors import Missing
from civicgrid.governance.entry import Entry
from civicgrid.governance.register import (
    ApplicationSubmitted,
    ApplicationWithdrawn,
    Decision,
    PermitGranted,
    PermitRevoked,
    ResultPublished,
    Run,
)
from civicgrid.hub import words
from civicgrid.hub.published import CHANGED, people_of
from civicgrid.hub.register import Shown
from civicgrid.hub.web import Page, Visit
from civicgrid.trust.note import Checkpoint

MOST = 20
OF_A_PROJECT = 300
"""The most entries that a project's page shows; the rest is a page of the register itself."""

KINDS = {
    "application_submitted": "Asked to use data",
    "application_withdrawn": "Took a request back",
    "decision": "Said yes or no",
    "permit": "Gave a permit",
    "revocation": "Took a permit away",
    "run": "Ran a study",
    "release": "Sent checked totals",
    "result": "Told what was found",
    "benefit_promised": "Made a promise",
    "benefit_delivered": "Kept a promise",
    "site": "A site joined, stopped or left",
    "rule": "Changed a rule",
    "overdue": "Was late",
}
"""Every kind of entry, as people would say it."""

LABELS = {
    "project": "Project", "version": "Version", "title": "Title", "summary": "Summary", "benefit": "Benefit to the public",
    "organisation": "Organisation", "lead": "Who leads it", "people": "People", "sites": "Sites", "datasets": "Data sets",
    "purposes": "Purposes", "funders": "Who pays for it", "commercial": "A company has a stake", "reason": "Reason",
    "by": "Who decided", "body": "Name", "site": "Site", "outcome": "Decision", "reasons": "Reasons",
    "conditions": "Conditions", "votes_for": "Votes for", "votes_against": "Votes against", "votes_blank": "Blank votes",
    "minority": "What those said who voted otherwise", "ballots": "Fingerprints of the ballots",
    "permit": "Fingerprint of the permit", "start": "From", "end": "Until", "run": "Number of the study",
    "plan": "Fingerprint of the plan", "state": "What happened", "shares": "Fingerprints of what was sent",
    "output": "Fingerprint of the numbers", "link": "Where to read it", "due": "Due on", "sectors": "Who agreed",
    "what": "What it is", "text": "Fingerprint of the wording",
    "organisation_id": "Organisation’s identifier", "sector": "Sector", "accredited": "Accredited researcher",
    "sublicence": "Sub-licence", "category": "Category", "technical_summary": "Technical summary",
    "other_approvals": "Other approvals", "sensitivity": "How sensitive the data are",
    "article_6": "Lawful basis (Article 6)", "article_9": "Lawful basis (Article 9)",
    "confidentiality": "Duty of confidentiality", "opt_out": "National data opt-out", "frequency": "How often",
    "linkage": "How data are linked", "confidential": "Confidential data", "access_type": "Access type",
    "privacy": "How privacy is kept",
}  # fmt: skip
"""Every field of an entry, in words."""
GONE = "a person whose name was taken away"


@dataclass(frozen=True)
class Told:
    """One entry as a page shows it."""

    index: int
    at: str
    kind: str
    sentence: str
    project: str
    title: str


@dataclass(frozen=True)
class Fact:
    """One field of an entry. Each value has an address where there is a page on it."""

    label: str
    values: tuple[tuple[str, str], ...]
    code: bool = False


@dataclass(frozen=True)
class Study:
    """One project as it stands at one site."""

    project: str
    application: ApplicationSubmitted
    asked: str
    decisions: tuple[tuple[str, Decision], ...]
    permits: tuple[PermitGranted, ...]
    revoked: bool
    withdrawn: bool
    runs: int
    results: tuple[ResultPublished, ...]

    @property
    def used(self) -> bool:
        return bool(self.permits or self.runs)


def told(visit: Visit, shown: Shown) -> Told:
    """An entry in the visitor's language."""
    if shown.leaf is None:
        return Told(shown.index, "", "", CHANGED, "", "")
    entry = shown.leaf.entry
    return Told(
        shown.index,
        shown.leaf.at,
        KINDS[entry.kind],
        entry.sentence(_say(visit)),
        getattr(entry, "project", ""),
        entry.title if isinstance(entry, ApplicationSubmitted) else "",
    )


def _say(visit: Visit) -> Callable[[str], str]:
    language = visit.viewer.language if visit.viewer else visit.request.cookies.get("language", "en")
    return words.translations(language).gettext


# --- the whole register ------------------------------------------------------------------------------------------------


def start(visit: Visit) -> Response:
    register = visit.hub.register
    where = {name: _plain(visit.query(name))[:80] for name in ("kind", "project", "site")}
    text = _plain(visit.query("q"))[:200]
    before, size = _count(visit.query("before")), register.size()
    page = register.page(MOST, before, text, **where)
    filtered = bool(text or any(where.values()))
    newer = None
    if before is not None and before < size:
        newer = visit.with_query(before=None if filtered or before + MOST >= size else before + MOST)
    return visit.show(
        "register/register.jinja",
        entries=[told(visit, shown) for shown in page.entries],
        older=None if page.older is None else visit.with_query(before=page.older),
        newer=newer,
        size=size,
        filtered=filtered,
        asked=where | {"q": text},
        kinds=KINDS,
        sites=_sites(visit),
        feed=f"/register/feed.atom{f'?{visit.request.url.query}' if filtered else ''}",
    )


def _plain(text: str) -> str:
    """What was typed, without the one sign that no database stores."""
    return text.replace("\0", "").strip()


def _sites(visit: Visit) -> dict[str, str]:
    """The sites of the network by their short names, with their full ones."""
    found = {site: member.organisation for site, member in visit.hub.members.items()}
    found |= {site.id: site.name for site in visit.records.find("site")}
    return dict(sorted(found.items(), key=lambda pair: pair[1].casefold()))


def _count(raw: str) -> int | None:
    return int(raw) if raw.isascii() and raw.isdecimal() and len(raw) < 16 else None


# --- one entry -----------------------------------------------------------------------------------------------------------


def entry(visit: Visit) -> Response:
    index = _count(visit.path("index"))
    if index is None:
        raise Missing("An entry of the register goes by its number. Look for it on the register’s own page.")
    register = visit.hub.register
    shown = register.entry(index)
    names = register.names(people_of(shown)) if people_of(shown) else {}
    size = register.size()
    return visit.show(
        "register/entry.jinja",
        entry=told(visit, shown),
        hash=shown.hash.hex(),
        facts=facts(shown.leaf.entry, names) if shown.leaf else [],
        size=size,
        address=visit.hub.address,
        earlier=index - 1 if index else None,
        later=index + 1 if index + 1 < size else None,
    )


def facts(given: Entry, names: Mapping[str, str]) -> list[Fact]:
    """What an entry holds, field by field, as far as it says something. `names` are those behind its commitments."""
    found = []
    for name, value in given.__dict__.items():
        if name == "use":
            found += facts(value, names)
        elif name != "kind" and value not in ("", (), None, 0):
            each = value if isinstance(value, tuple) else (value,)
            code = any(isinstance(part, str) and len(part) == 64 for part in each) and name not in ("lead", "people")
            found.append(Fact(LABELS[name], tuple(_value(name, part, names) for part in each), code))
    return found


def _value(name: str, value: Any, names: Mapping[str, str]) -> tuple[str, str]:
    """The words of a value, and the address of the page on it."""
    if name == "project":
        return str(value), f"/register/project/{value}"
    if name in ("site", "sites"):
        return str(value), f"/register/site/{value}"
    if name in ("lead", "people"):
        return names.get(value, GONE), ""
    if name == "link":
        return str(value), str(value)
    if isinstance(value, bool):
        return "Yes" if value else "No", ""
    if isinstance(value, dt.date):
        return words.day(value), ""
    return (words.plain(value).capitalize() if name in ("by", "outcome", "state", "what") else str(value)), ""


# --- one project ---------------------------------------------------------------------------------------------------------


def project(visit: Visit) -> Response:
    register, name = visit.hub.register, _plain(visit.path("project"))
    page = register.page(OF_A_PROJECT, project=name)
    if not page.entries:
        raise Missing(f"The register says nothing of a project called {name[:64]!r}. Search the register for its title.")
    asked = _newest(visit, "application_submitted", project=name, most=1)
    application = next((shown.leaf.entry for shown in asked if shown.leaf), None)
    people = people_of(asked[0]) if asked else ()
    names = register.names(people) if people else {}
    seen = [shown.leaf.entry for shown in page.entries if shown.leaf]
    return visit.show(
        "register/project.jinja",
        project=name,
        application=application,
        lead=names.get(getattr(application, "lead", ""), ""),
        entries=[told(visit, shown) for shown in reversed(page.entries)],
        more=page.older is not None,
        results=[each for each in seen if isinstance(each, ResultPublished)],
        stands=standing(seen),
    )


def standing(entries: Iterable[Any]) -> list[str]:
    """How things stand with a project, in short sentences; the newest entry comes first."""
    seen = list(entries)
    yes = sorted({each.body for each in seen if isinstance(each, Decision) and each.outcome == "approved"})
    no = sorted({each.body for each in seen if isinstance(each, Decision) and each.outcome == "refused"})
    runs = {each.run for each in seen if isinstance(each, Run) and each.state == "finished"}
    ended = {each.permit for each in seen if isinstance(each, PermitRevoked)}
    permits = {each.site for each in seen if isinstance(each, PermitGranted) and each.permit not in ended}
    found = []
    if any(isinstance(each, ApplicationWithdrawn) for each in seen):
        found.append("The request was taken back.")
    if yes:
        found.append(f"Said yes: {', '.join(yes)}.")
    if no:
        found.append(f"Said no: {', '.join(no)}.")
    if not yes and not no:
        found.append("Nobody has decided yet.")
    if permits:
        found.append(f"It has a permit for the data at: {', '.join(sorted(permits))}.")
    if runs:
        found.append(f"It has finished {len(runs)} {'study' if len(runs) == 1 else 'studies'}.")
    if not any(isinstance(each, ResultPublished) for each in seen):
        found.append("It has not told yet what it found.")
    return found


def _newest(visit: Visit, kind: str, most: int = MOST, *, project: str = "", site: str = "") -> tuple[Shown, ...]:
    return visit.hub.register.page(most, kind=kind, project=project, site=site).entries


# --- one site ------------------------------------------------------------------------------------------------------------


def site(visit: Visit) -> Response:
    register, name = visit.hub.register, _plain(visit.path("site"))
    known = _sites(visit)
    page = register.page(MOST, _count(visit.query("before")), kind="application_submitted", site=name)
    if name not in known and not page.entries and not register.page(1, site=name).entries:
        raise Missing(f"The register says nothing of a site called {name[:64]!r}. Look for it on the status page.")
    asked: dict[str, None] = {}
    for shown in page.entries:
        if shown.leaf is not None and isinstance(shown.leaf.entry, ApplicationSubmitted):
            asked.setdefault(shown.leaf.entry.project)
    studies = [_study(visit, each, name) for each in asked]
    return visit.show(
        "register/site.jinja",
        site=name,
        name=known.get(name, name),
        used=[each for each in studies if each and each.used],
        others=[each for each in studies if each and not each.used],
        older=None if page.older is None else visit.with_query(before=page.older),
        changes=[told(visit, shown) for shown in _newest(visit, "site", 5, site=name)],
    )


def _study(visit: Visit, project: str, site: str) -> Study | None:
    """A project at a site. A yes or no counts that is for this site or for all."""
    applications = _newest(visit, "application_submitted", project=project)
    first = next((shown.leaf.entry for shown in applications if shown.leaf), None)
    if not isinstance(first, ApplicationSubmitted):
        return None

    def of(kind: str) -> list[Any]:
        return [shown.leaf for shown in reversed(_newest(visit, kind, 50, project=project)) if shown.leaf]

    asked = next(shown.leaf.at for shown in reversed(applications) if shown.leaf)
    ended = {leaf.entry.permit for leaf in of("revocation")}
    permits = tuple(leaf.entry for leaf in of("permit") if leaf.entry.site == site)
    runs = {leaf.entry.run for leaf in of("run") if leaf.entry.state != "failed" and site in leaf.entry.sites}
    return Study(
        project,
        first,
        asked,
        tuple((leaf.at, leaf.entry) for leaf in of("decision") if leaf.entry.site in ("", site)),
        permits,
        bool(permits) and all(permit.permit in ended for permit in permits),
        bool(of("application_withdrawn")),
        len(runs),
        tuple(leaf.entry for leaf in of("result")),
    )


# --- how to check --------------------------------------------------------------------------------------------------------


def check(visit: Visit) -> Response:
    register = visit.hub.register
    note = register.checkpoint()
    head = Checkpoint.parse(note.text)
    return visit.show(
        "register/check.jinja",
        address=visit.hub.address,
        key=str(register.key),
        size=head.size,
        checkpoint=str(note),
        witnesses=register.witnesses(),
    )


PAGES = (
    Page("/register", "anyone", start),
    Page("/register/check", "anyone", check),
    Page("/register/entry/{index}", "anyone", entry),
    Page("/register/project/{project}", "anyone", project),
    Page("/register/site/{site}", "anyone", site),
)
