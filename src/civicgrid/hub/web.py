"""Pages: what one request to a page is, and how it is answered. The pages themselves are in `hub/pages`.

Server-rendered, in the NHS design system's look, without anything that needs a script. A page is a row: its address, who
may open it, and a function from a `Visit` to an answer. Forms come with a token of the sign-in that they were made for; a
page that shows a form stands under a policy that lets it be sent to this hub alone.
"""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import hmac
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote, urlencode

from jinja2 import ChainableUndefined, ChoiceLoader, Environment, PackageLoader
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from civicgrid.errors import CivicGridError, ConfigError, DataError, Missing, NotAllowed, PlanError, StateError
from civicgrid.governance.people import Account, Role
from civicgrid.hub import words
from civicgrid.hub.catalogue import Catalogue
from civicgrid.hub.records import FormError, Records
from civicgrid.hub.sign_in import COOKIE, SignIns
from civicgrid.hub.tables import Listing

if TYPE_CHECKING:
    from civicgrid.hub.app import Hub

log = logging.getLogger("civicgrid.hub")

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; object-src 'none'"
)
MOST_FORM = 2_000_000
"""Bytes of a form: an application with its plans fits."""

Who = Literal["anyone", "signed in"] | Role

STATUS: dict[type[CivicGridError], int] = {
    NotAllowed: 403, Missing: 404, FormError: 422, StateError: 409, PlanError: 422, DataError: 422, ConfigError: 503
}  # fmt: skip
TITLES = {
    403: "You cannot do this",
    404: "Page not found",
    409: "This has changed",
    413: "This is too large",
    422: "There is a problem",
    429: "Too many requests",
    503: "The service cannot do this now",
}


MENU: tuple[tuple[str, str, Who | None], ...] = (
    ("/register", "Register", None),
    ("/catalogue", "Catalogue", None),
    ("/tasks", "Tasks", "signed in"),
    ("/applications", "Applications", "signed in"),
    ("/checking", "Checking", "checker"),
    ("/panels", "Citizen panels", None),
    ("/status", "Status", None),
    ("/about", "About", None),
    ("/people", "People", "operator"),
)
"""Address, words, and who sees it (None for everybody)."""

DOORS: tuple[tuple[str, str, str, Who | None], ...] = (
    ("/register", "Public register", "Who asked to use data, who said yes or no, and what was learnt.", None),
    ("/catalogue", "Catalogue", "Which data there are, what they may be used for, and who decides.", None),
    ("/tasks", "Your tasks", "What waits for you: to write, to decide, to vote on, to check.", "signed in"),
    ("/applications", "Applications", "Ask to use data, and follow what becomes of it.", "signed in"),
    ("/checking", "Results to check", "What waits for an output checker before anybody sees it.", "checker"),
    ("/panels", "Citizen panels", "Who decides as a citizen, how they were chosen, and what they said.", None),
    ("/about", "How it works", "What happens to people's data, and what never happens.", None),
    ("/status", "Sites", "Who takes part, and when each was last heard of.", None),
    ("/people", "People", "Open accounts, give roles and note accreditations.", "operator"),
)


@dataclass(frozen=True)
class Service:
    """What all pages share."""

    hub: Hub
    records: Records
    sign_ins: SignIns
    oidc: bool = False
    catalogue: Catalogue = field(default_factory=Catalogue)

    def now(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC)


@dataclass
class Visit:
    """One request to a page: who came, with which form, and the means to answer."""

    request: Request
    service: Service
    page: Page
    viewer: Account | None
    token: str
    now: dt.datetime
    form: dict[str, list[str]] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)

    @property
    def actor(self) -> Account:
        """Whoever is signed in. The page's row says that somebody must be."""
        if self.viewer is None:
            raise NotAllowed("Sign in first.")
        return self.viewer

    @property
    def hub(self) -> Hub:
        return self.service.hub

    @property
    def records(self) -> Records:
        return self.service.records

    def path(self, name: str) -> str:
        """A part of the address."""
        return str(self.request.path_params[name])

    def query(self, name: str, default: str = "") -> str:
        return self.request.query_params.get(name, default)

    def value(self, name: str, default: str = "") -> str:
        """What was filled in."""
        return self.form.get(name, [default])[-1]

    def menu(self) -> list[tuple[str, str]]:
        """What the menu holds for this visitor."""
        return [(path, text) for path, text, who in MENU if who is None or who in self._may_be()]

    def doors(self) -> list[tuple[str, str, str]]:
        """What the first page offers this visitor."""
        return [(path, heading, text) for path, heading, text, who in DOORS if who is None or who in self._may_be()]

    def _may_be(self) -> set[str]:
        return {"signed in", *(grant.role for grant in self.viewer.grants)} if self.viewer else set()

    def with_query(self, **changed: str | int | None) -> str:
        """This address, with some of its query changed; None takes a name out."""
        pairs = dict(self.request.query_params.items())
        pairs |= {name: str(value) for name, value in changed.items() if value is not None}
        kept = {name: value for name, value in pairs.items() if changed.get(name, "") is not None and value != ""}
        return f"{self.request.url.path}?{urlencode(kept)}" if kept else self.request.url.path

    def perform(self, action: str, id: str, data: Mapping[str, Any]) -> Any:
        """Do an act as whoever is signed in. `seen`, where the form has it, is the version that they had before them."""
        seen = self.value("seen")
        return self.records.perform(self.actor, action, id, data, self.now, int(seen) if seen.isdigit() else None)

    def show(self, template: str, status: int = 200, **context: Any) -> Response:
        """A page. Whatever a template is given is escaped."""
        language = self.viewer.language if self.viewer else self.request.cookies.get("language", "en")
        text = _environment(language).get_template(template).render(
            visit=self,
            viewer=self.viewer,
            network=self.hub.settings.network,
            language=language,
            csrf=self.service.sign_ins.form_token(self.token),
            notices=self.records.unread(self.viewer.id) if self.viewer else 0,
            demo=self.hub.settings.demo_people,
            assets=ASSETS,
            **context,
        )
        return Response(text, status, {"content-security-policy": POLICY}, "text/html")

    def list(self, template: str, listing: Listing, **context: Any) -> Response:
        """A page that holds one list; `?format=csv` gives the whole list as a file."""
        if self.query("format") == "csv":
            named = f'attachment; filename="{listing.name}.csv"'
            return Response(listing.csv(), 200, {"content-disposition": named}, "text/csv")
        return self.show(template, listing=listing.shown(self.request.query_params), **context)

    def go(self, path: str) -> Response:
        """To another page of this service, once something has been done."""
        return RedirectResponse(path, 303)

    def file(self, content: bytes | str, media: str, name: str = "") -> Response:
        headers = {"content-security-policy": POLICY}
        if name:
            headers["content-disposition"] = f"attachment; filename*=UTF-8''{quote(name)}"
        return Response(content, 200, headers, media)


Handler = Callable[[Visit], Response]


@dataclass(frozen=True)
class Page:
    """One address of the service, who may open it, and what answers it. `posts` answers its form."""

    path: str
    who: Who
    get: Handler
    post: Handler | None = None
    file: bool = False
    """Whether it answers with a file, not with a page to be looked at."""
    heavy: bool = False
    """Whether its form takes long: it is then answered beside the rounds of studies, not between them."""


def endpoint(service: Service, page: Page) -> Callable[[Request], Awaitable[Response]]:
    """What Starlette calls for a page: knows the visitor, checks who may, reads the form, and explains what went wrong."""

    async def answer(request: Request) -> Response:
        token = request.cookies.get(COOKIE[service.sign_ins.secure], "")
        viewer = service.sign_ins.viewer(token, service.records)
        visit = Visit(request, service, page, viewer, token, service.now())
        try:
            if not admitted(page, viewer):
                if viewer is None:
                    return visit.go(f"/sign-in?{urlencode({'to': request.url.path})}")
                raise NotAllowed(f"This page is for people with the role of {page.who.replace('_', ' ')}.")
            if request.method != "POST":
                return await run_in_threadpool(page.get, visit)
            if page.post is None:
                raise Missing("Nothing can be sent to this page.")
            await _read_form(visit)
            return await run_in_threadpool(page.post, visit) if page.heavy else page.post(visit)
        except CivicGridError as error:
            return _explained(visit, error)

    return answer


def admitted(page: Page, viewer: Account | None) -> bool:
    """Whether this visitor may open the page at all. What they may do there is the permissions' to say."""
    if page.who == "anyone":
        return True
    return viewer is not None and (page.who == "signed in" or viewer.has(page.who))


async def _read_form(visit: Visit) -> None:
    if int(visit.request.headers.get("content-length", "0") or 0) > MOST_FORM:
        raise StateError(f"Expected at most {MOST_FORM:,} bytes. Send less.")
    async with visit.request.form(max_files=20, max_fields=1000, max_part_size=MOST_FORM) as form:
        for name, value in form.multi_items():
            if isinstance(value, str):
                visit.form.setdefault(name, []).append(value.replace("\r\n", "\n").strip())
            elif value.filename:
                visit.uploads[name] = await value.read()
    given = visit.form.pop("csrf", [""])[0]
    if not hmac.compare_digest(given, visit.service.sign_ins.form_token(visit.token)):
        raise NotAllowed("This form was made for another sign-in, or too long ago. Open the page again and send it anew.")


def _explained(visit: Visit, error: CivicGridError) -> Response:
    status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 400)
    return visit.show("problem.jinja", status, title=TITLES.get(status, "There is a problem"), words=str(error))


# --- templates -----------------------------------------------------------------------------------------------------


@functools.cache
def _environment(language: str) -> Environment:
    made = Environment(
        loader=ChoiceLoader([PackageLoader("civicgrid.hub"), PackageLoader("nhsuk_frontend_jinja")]),
        autoescape=True,
        undefined=ChainableUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    made.install_gettext_translations(words.translations(language), newstyle=True)  # type: ignore[attr-defined]
    made.filters.update(words.FILTERS)
    return made


def _asset_files() -> dict[str, tuple[bytes, str]]:
    kinds = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
    found: dict[str, tuple[bytes, str]] = {}
    root = files("civicgrid.hub") / "assets"
    for folder, prefix in ((root, ""), (root / "images", "images/")):
        for file in folder.iterdir():
            kind = file.name.rpartition(".")[2]
            if kind in kinds:
                found[prefix + file.name] = (file.read_bytes(), kinds[kind])
    return found


FILES = _asset_files()
ASSETS = f"/assets/{hashlib.sha256(b''.join(content for content, _ in FILES.values())).hexdigest()[:12]}"
"""Where a page finds its style sheets: under the digest of all of them, so that a browser may keep them for good."""


async def asset(request: Request) -> Response:
    """A style sheet, script or picture."""
    found = FILES.get(request.path_params["name"])
    if found is None or request.path_params["version"] != ASSETS.rpartition("/")[2]:
        return Response("There is no such file.", 404, media_type="text/plain")
    return Response(found[0], 200, {"cache-control": "public, max-age=31536000, immutable"}, found[1])
