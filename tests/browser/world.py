"""A service with people of every role, to be looked at: a hub as a process of its own, and what stands in it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

import httpx2

from civicgrid.governance.cataloguing import DataSet
from civicgrid.governance.people import SCOPED, TERMS, Account, Accreditation, Grant, Organisation, Role
from civicgrid.hub.home import HubHome
from civicgrid.hub.journal import Journal
from civicgrid.hub.pages import PAGES
from civicgrid.hub.records import Records
from civicgrid.hub.web import Page
from unit.catalogue.samples import full
from unit.governance.entries import EXAMPLES as ENTRIES
from unit.hub.serving import Served, served

from . import story
from .story import KEYS

NOW = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)
SCOPES = {"site": "leeds", "panel": "yorkshire", "sector": "community"}

EXAMPLES: dict[str, str] = {
    "/people/{id}": "/people/a-researcher",
    "/people/{id}/{act}": "/people/a-researcher/accredit",
    "/catalogue/{site}/{name}": "/catalogue/leeds/trial",
    "/catalogue/{site}/{name}/withdraw": "/catalogue/leeds/trial/withdraw",
    "/catalogue/{site}/{name}/variable/{number}": "/catalogue/leeds/trial/variable/1",
    "/catalogue/{site}/{name}/plot/{number}": "/catalogue/leeds/trial/plot/0",
    "/catalogue/{site}/{name}/download/{file}": "/catalogue/leeds/trial/download/healthdcat.ttl",
    "/register/entry/{index}": "/register/entry/0",
    "/register/project/{project}": "/register/project/P-7",
    "/register/site/{site}": "/register/site/leeds",
    "/applications/{id}": "/applications/P-4",
    "/applications/{id}/file": "/applications/P-4/file",
    "/applications/{id}/edit/{section}": "/applications/P-1/edit/project",
    "/applications/{id}/do/{act}": "/applications/P-2/do/withdraw",
    "/benefits/{id}/do/{act}": "/benefits/B-1/do/deliver",
    "/decisions/{id}": "/decisions/P-4.leeds",
    "/decisions/{id}/do/{act}": "/decisions/P-2.leeds/do/approve",
    "/deliberations/{id}": "/deliberations/P-4.yorkshire",
    "/deliberations/{id}/ballots": "/deliberations/P-4.yorkshire/ballots",
    "/deliberations/{id}/do/{act}": "/deliberations/P-3.yorkshire/do/vote",
    "/results/{id}": "/results/R-1",
    "/results/{id}/do/{act}": "/results/R-1/do/ask",
    "/panels/{id}": "/panels/yorkshire",
    "/panels/{id}/roll": "/panels/yorkshire/roll",
    "/panels/{id}/volunteers": "/panels/yorkshire/volunteers",
}
"""For each page whose address has a part that varies, one address. tests/browser/test_pages.py holds it complete."""

_READERS: tuple[Role, ...] = (
    "researcher", "lead", "custodian", "panel_member", "panel_chair", "checker", "operator", "auditor",
)  # fmt: skip
SEEN_BY: dict[str, tuple[Role, ...]] = {
    "/applications/start": ("researcher", "lead"),
    "/applications/{id}": _READERS,
    "/applications/{id}/file": _READERS,
    "/applications/{id}/edit/{section}": ("researcher", "lead"),
    "/applications/{id}/do/{act}": ("researcher",),
    "/benefits/{id}/do/{act}": ("researcher",),
    "/decisions/{id}": _READERS,
    "/decisions/{id}/do/{act}": ("custodian",),
    "/deliberations/{id}": _READERS,
    "/deliberations/{id}/ballots": _READERS,
    "/deliberations/{id}/do/{act}": ("panel_member", "panel_chair"),
    "/results/{id}": _READERS,
    "/results/{id}/do/{act}": ("checker",),
}
"""Pages that are for whoever is signed in, whose example only some may see: to others it is not there, or refused."""

FILES = frozenset(
    {"/applications/{id}/file", "/deliberations/{id}/ballots", "/panels/{id}/roll", "/panels/{id}/volunteers"}
)
"""Addresses that give a file and no page."""


def person(role: Role) -> Account:
    """Somebody who has this role and no other."""
    place = SCOPED.get(role)
    return Account(
        id=f"a-{role.replace('_', '-')}",
        name=f"Demo {role.replace('_', ' ')}",
        organisation="demo-hospital",
        grants=(Grant(role=role, scope=SCOPES[place] if place else ""),),
        terms=TERMS,
        keys=(KEYS[f"a-{role.replace('_', '-')}"].public,),
        accreditation=Accreditation(scheme="Demo accreditation", until=dt.date(2030, 1, 31)),
    )


PEOPLE = {role: person(role) for role in get_args(Role)}


def data_sets() -> tuple[DataSet, DataSet]:
    """One data set with everything said, and one that says as little as a record may."""
    whole = full()
    bare = whole.model_copy(
        update={
            "identifier": "york/visits", "title": "Visits to York’s emergency department", "model": "OMOP", "places": (),
            "abstract": "Who came, when and why, since 2019.", "conditions": whole.conditions[:1], "tables": (),
            "custodian": whole.custodian.model_copy(update={"name": "York Trust"}), "people": None, "refreshed": None,
        }
    )  # fmt: skip
    return DataSet(id=whole.identifier, record=whole), DataSet(id=bare.identifier, record=bare)


def seed(home: HubHome) -> None:
    """People, data sets, a register with an entry of each kind, and what `story` tells besides."""
    furnish(home)
    engine = home.engine()
    story.fill(Records(engine, Journal(engine), home.register(engine)))
    engine.dispose()


def furnish(home: HubHome) -> None:
    """People, data sets, and a register with an entry of each kind."""
    engine = home.engine()
    records = Records(engine, Journal(engine), home.register(engine))
    hospital = Organisation(id="demo-hospital", name="Demo Hospital", sector="health service")
    records.seed((hospital, *PEOPLE.values(), *data_sets()), NOW)
    with engine.begin() as connection:
        # One entry of each kind, and some again, so that there is a second page.
        records.register.append(connection, (*ENTRIES, *ENTRIES[8:14]), NOW.timestamp())
    engine.dispose()


@contextmanager
def service(folder: Path, prepare: Callable[[HubHome], None] | None = seed) -> Iterator[Served]:
    """The hub, running; empty of records, or with what `seed` or `furnish` puts there."""
    with served(folder, demo_people=True, prepare=prepare) as hub:
        yield hub


def address(page: Page) -> str:
    return EXAMPLES.get(page.path, page.path)


def signed_in(hub: Served, account: str) -> httpx2.Client:
    """A client with the cookie of somebody who has signed in, as a browser has it."""
    client = httpx2.Client(base_url=hub.address, follow_redirects=False, timeout=30)
    answer = client.post("/sign-in", data={"person": account, "to": "/"})
    assert answer.status_code == 303, answer.text
    return client


PATHS = {page.path: page for page in PAGES}
