"""The catalogue as pages: find a data set, read what it holds and who decides on it, take its record away, publish one."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.responses import Response

from civicgrid.catalogue import healthdcat
from civicgrid.catalogue.hdruk import to_hdruk
from civicgrid.catalogue.profile import VariableProfile
from civicgrid.catalogue.record import CATEGORIES, Record, Variable
from civicgrid.catalogue.search import FACETS, LONGEST_QUERY, PAGE, FacetValue
from civicgrid.catalogue.use import History, measured
from civicgrid.errors import CivicGridError, Missing
from civicgrid.governance.cataloguing import ACTS, DataSet, history, lacking, read
from civicgrid.governance.register import Leaf
from civicgrid.hub import words
from civicgrid.hub.tables import Column, Listing
from civicgrid.hub.web import POLICY, Page, Visit
from civicgrid.present import profiles

MOST_VALUES = 8
MOST_PROJECTS = 100
GALLERY = 8
DATATYPES = {"boolean": "yes or no", "integer": "whole number", "double": "number", "string": "category", "date": "date"}
APPROVERS = {
    "custodian": "the custodian: the organisation that looks after the data",
    "panel": "a citizen panel: members of the public",
}
DRAWN = POLICY.replace("style-src 'self'", "style-src 'unsafe-inline'")
"""A figure's own styles stand within it. It holds nothing that runs."""
DIMENSIONS = {
    "findable": "Can it be found?", "accessible": "Can it be used?", "useful": "Is it useful?",
    "utilised": "Has it been used?",
}  # fmt: skip


# --- finding -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Choice:
    """A value of a facet as a link: it chooses the value, or lets go of it."""

    words: str
    count: int
    chosen: bool
    link: str


def find(visit: Visit) -> Response:
    index = visit.service.catalogue.index(visit.records)
    pairs = [(name, value[:200]) for name, value in visit.request.query_params.multi_items()][:60]
    text = next((value for name, value in pairs if name == "q"), "")[:LONGEST_QUERY].strip()
    chosen = {name: [value for key, value in pairs if key == name] for name in FACETS}
    asked = visit.query("page", "1")
    page = max(1, int(asked)) if asked.isascii() and asked.isdecimal() and len(asked) < 7 else 1
    found = index.search(text, chosen, start=(page - 1) * PAGE)
    pages = max(1, math.ceil(found.total / PAGE))
    kept = [(name, value) for name, value in pairs if value and (name == "q" or name in FACETS)]
    facets = [
        (FACETS[name].label, choices, any(each.chosen for each in choices))
        for name, values in found.facets.items()
        if (choices := [_choice(kept, name, each) for each in values[:MOST_VALUES]])
        and (len(choices) > 1 or choices[0].chosen)
    ]
    return visit.show(
        "catalogue/catalogue.jinja",
        found=found,
        facets=facets,
        text=text,
        kept=[pair for pair in kept if pair[0] != "q"],
        filtered=bool(kept),
        size=len(index.records),
        page=page,
        pages=pages,
        earlier=_link(kept, page - 1) if page > 1 else "",
        later=_link(kept, page + 1) if page < pages else "",
        publisher=visit.viewer is not None and visit.viewer.has("custodian"),
    )


def _choice(kept: list[tuple[str, str]], name: str, value: FacetValue) -> Choice:
    pair = (name, value.value)
    others = [each for each in kept if each != pair]
    text = value.words[:1].upper() + value.words[1:]
    return Choice(text, value.count, value.chosen, _link(others if value.chosen else [*kept, pair]))


def _link(pairs: list[tuple[str, str]], page: int = 1) -> str:
    query = [*pairs, *([("page", str(page))] if page > 1 else [])]
    return f"/catalogue?{urlencode(query)}" if query else "/catalogue"


# --- one data set --------------------------------------------------------------------------------------------------------


def _dataset(visit: Visit) -> DataSet:
    id = f"{visit.path('site')}/{visit.path('name')}"
    found: list[DataSet] = visit.records.find("dataset", id=id.replace("\0", ""), state="published")
    if not found:
        raise Missing(f"The catalogue has no data set called {id[:120]!r}. It may have been withdrawn. Search for another.")
    return found[0]


@dataclass(frozen=True)
class Numbered:
    """A variable, the table that it stands in, and its number within the record."""

    number: int
    table: str
    variable: Variable

    @property
    def profile(self) -> VariableProfile | None:
        return self.variable.profile


def _variables(record: Record) -> Iterator[Numbered]:
    number = 0
    for table in record.tables:
        for variable in table.variables:
            yield Numbered(number, table.title or table.name, variable)
            number += 1


def record(visit: Visit) -> Response:
    dataset = _dataset(visit)
    given = dataset.record
    here = f"/catalogue/{dataset.id}"
    numbered = list(_variables(given))
    listing = Listing(
        f"{dataset.site}-{dataset.name}-variables",
        "Variables",
        (
            Column("name", "Name", lambda each: each.variable.name, lambda each: f"{here}/variable/{each.number}"),
            Column("meaning", "What it means", lambda each: each.variable.description or each.variable.title),
            Column("type", "Type", lambda each: DATATYPES[each.variable.datatype]),
            Column("people", "People with a value", lambda each: _people(each.profile), numeric=True, shown=words.number),
            Column("missing", "Without a value", lambda each: _missing(each.profile), numeric=True),
        ),
        numbered,
        "This record does not list its variables yet. Ask the contact below.",
    )
    drawn = [each for each in numbered if profiles.drawable(each.profile)]
    use = measured(given, _history(visit, dataset), visit.now.date()).explain()
    actor = visit.viewer
    acts = visit.records.allowed(actor, dataset, visit.now) if actor else []
    return visit.list(
        "catalogue/record.jinja",
        listing,
        dataset=dataset,
        record=given,
        here=here,
        use=[(DIMENSIONS[name], text) for name, text in use.items()],
        approvers=[APPROVERS[each] for each in given.approvers],
        permissions=[each.explain() for each in given.conditions if each.term.permission],
        limits=[each.explain() for each in given.conditions if not each.term.permission],
        categories=[CATEGORIES[each] for each in given.health_categories],
        gallery=drawn[:GALLERY],
        undrawn=max(0, len(drawn) - GALLERY),
        alt=profiles.describe,
        acts=acts,
    )


def _people(profile: VariableProfile | None) -> int | None:
    return profile.people if profile else None


def _missing(profile: VariableProfile | None) -> str | None:
    if profile is None:
        return None
    if profile.missing is None:
        return f"fewer than {profile.missing_below}" if profile.missing_below is not None else "hidden"
    percent = profile.missing_percent
    return f"{profile.missing:,}" if percent is None else f"{profile.missing:,} ({percent:g}%)"


def _history(visit: Visit, dataset: DataSet) -> History:
    """What the register says of the last projects that asked for a data set."""
    register = visit.hub.register
    where = {"site": dataset.site, "dataset": dataset.name}
    asked = register.page(MOST_PROJECTS, None, "", kind="application_submitted", **where).entries
    projects = {str(getattr(shown.leaf.entry, "project", "")) for shown in asked if shown.leaf} - {""}
    found: dict[int, Leaf] = {shown.index: shown.leaf for shown in asked if shown.leaf}
    for project in projects:
        for kind in ("decision", "permit", "run", "result"):
            page = register.page(200, None, "", kind=kind, project=project)
            found |= {shown.index: shown.leaf for shown in page.entries if shown.leaf}
    return history(dataset.site, dataset.name, [found[index] for index in sorted(found)])


def variable(visit: Visit) -> Response:
    dataset, each = _numbered(visit)
    profile = each.profile
    return visit.show(
        "catalogue/variable.jinja",
        dataset=dataset,
        here=f"/catalogue/{dataset.id}",
        each=each,
        profile=profile,
        kind=DATATYPES[each.variable.datatype],
        missing=_missing(profile),
        drawable=profiles.drawable(profile),
        alt=profiles.describe,
        rows=_rows(profile) if profile else [],
    )


def _numbered(visit: Visit) -> tuple[DataSet, Numbered]:
    dataset, raw = _dataset(visit), visit.path("number")
    found = [each for each in _variables(dataset.record) if str(each.number) == raw]
    if not found:
        raise Missing("This data set has no such variable. Go to the page of the data set: it lists them.")
    return dataset, found[0]


def _rows(profile: VariableProfile) -> list[tuple[str, str]]:
    """The counts of a profile as the table beside its figure has them."""
    if profile.bins:
        return [(profiles.between(each), words.number(each.people)) for each in profile.bins]
    return [
        (
            f"{each.level}{' (and levels with few people)' if each.others else ''}",
            "too few to show" if each.people is None else words.number(each.people),
        )
        for each in profile.levels
    ]


def plot(visit: Visit) -> Response:
    _, each = _numbered(visit)
    profile = each.profile
    if profile is None or not profiles.drawable(profile):
        raise Missing("There is nothing to draw of this variable. Its page says what is known of it.")
    title = f"{each.variable.title or each.variable.name}: how many people"
    answer = Response(_drawn(profile, title), 200, {"content-security-policy": DRAWN}, "image/svg+xml")
    answer.headers["cache-control"] = "public, max-age=300"
    return answer


@functools.lru_cache(512)
def _drawn(profile: VariableProfile, title: str) -> str:
    return profiles.svg(profile, title)


def download(visit: Visit) -> Response:
    dataset, base = _dataset(visit), f"{visit.hub.address}/catalogue/"
    named = visit.path("file")
    given = dataset.record
    name = f"{dataset.site}-{dataset.name}"
    if named == "healthdcat.ttl":
        return visit.file(healthdcat.write(healthdcat.graph([given], base)), "text/turtle", f"{name}.ttl")
    if named == "healthdcat.jsonld":
        text = healthdcat.write(healthdcat.graph([given], base), "json-ld")
        return visit.file(text, "application/ld+json", f"{name}.jsonld")
    if named == "hdruk.json":
        text = json.dumps(to_hdruk(given, base), indent=2, ensure_ascii=False) + "\n"
        return visit.file(text, "application/json", f"{name}.json")
    raise Missing("There is no such file of this data set. Its page lists those that there are.")


# --- publishing ----------------------------------------------------------------------------------------------------------


def publishing(visit: Visit) -> Response:
    return _asked(visit, ())


def published(visit: Visit) -> Response:
    raw = visit.uploads.get("file", b"")
    if not raw:
        return _asked(visit, ("Choose the file that “civicgrid node describe --out” has written.",))
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return _asked(visit, ("This file is not text. Choose the JSON file of a record.",))
    try:
        lacks = lacking(read(text, visit.now.date()))
        if lacks:
            return _asked(visit, lacks)
        made = visit.perform(ACTS[0].name, "", {"record": text})
    except CivicGridError as error:
        return _asked(visit, (str(error),))
    return visit.go(f"/catalogue/{made.id}")


def _asked(visit: Visit, faults: tuple[str, ...]) -> Response:
    sites = sorted(visit.actor.scopes("custodian"))
    return visit.show("catalogue/publish.jinja", 422 if faults else 200, faults=faults, sites=sites)


def withdrawing(visit: Visit) -> Response:
    return visit.show("catalogue/withdraw.jinja", dataset=_dataset(visit))


def withdrawn(visit: Visit) -> Response:
    visit.perform(ACTS[1].name, _dataset(visit).id, {})
    return visit.go("/catalogue")


ONE = "/catalogue/{site}/{name}"
PAGES = (
    Page("/catalogue", "anyone", find),
    Page("/catalogue/publish", "custodian", publishing, published),
    Page(ONE, "anyone", record),
    Page(f"{ONE}/withdraw", "custodian", withdrawing, withdrawn),
    Page(f"{ONE}/variable/{{number}}", "anyone", variable),
    Page(f"{ONE}/plot/{{number}}", "anyone", plot, file=True),
    Page(f"{ONE}/download/{{file}}", "anyone", download, file=True),
)
