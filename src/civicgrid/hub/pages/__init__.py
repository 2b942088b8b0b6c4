"""The pages of the service, an area a module. All that there are stand in `PAGES`."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.responses import Response

from civicgrid.errors import Missing
from civicgrid.hub.pages import account, applications, catalogue, checking, deciding, home, panels, people, register
from civicgrid.hub.web import Page, Service, Visit, asset, endpoint

PAGES: tuple[Page, ...] = (
    *home.PAGES,
    *account.PAGES,
    *people.PAGES,
    *register.PAGES,
    *catalogue.PAGES,
    *applications.PAGES,
    *deciding.PAGES,
    *panels.PAGES,
    *checking.PAGES,
)


def _nowhere(visit: Visit) -> Response:
    raise Missing("There is nothing at this address. If you typed it, look at it again.")


def mount(app: FastAPI, service: Service) -> None:
    """Put every page at its address."""
    for page in PAGES:
        methods = ["GET", "HEAD", *(["POST"] if page.post else [])]
        app.add_route(page.path, endpoint(service, page), methods=methods, include_in_schema=False)
    app.state.not_found = endpoint(service, Page("", "anyone", _nowhere))
    app.add_route("/assets/{version}/{name:path}", asset, methods=["GET"], include_in_schema=False)
