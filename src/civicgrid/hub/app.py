"""The hub's HTTP service: one face to nodes, one to researchers, one to everybody. What is not public is signed.

    POST /node/hello       a node announces what its site holds
    POST /node/exchange    replies in, confirmations and tasks out (waits for a task)
    POST /node/witness     what the node has seen of the public register in, its newest checkpoint out
    GET  /api/network      who is on the network, and which data sets they hold
    POST /api/studies      a signed study; gives the run's id
    GET  /api/studies/{run}  the state, the progress since a line, and the result when there is one
    GET  /register/…       the public register, for anybody and unsigned: see `published.py`
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import logging
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import sqlalchemy as sa
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from civicgrid import __version__
from civicgrid.canonical import MAX_BYTES
from civicgrid.config import HubSettings
from civicgrid.errors import CivicGridError, DataError, TrustError, WireError
from civicgrid.hub import database as db
from civicgrid.hub.answers import as_json, explain, fault, framed, plain, refused, unwritable
from civicgrid.hub.governed import Governed
from civicgrid.hub.home import HubHome
from civicgrid.hub.journal import Journal
from civicgrid.hub.limits import Limits
from civicgrid.hub.openapi import DESCRIPTION, ROUTES
from civicgrid.hub.pages import mount
from civicgrid.hub.published import PUBLISHED
from civicgrid.hub.records import Records
from civicgrid.hub.register import Register
from civicgrid.hub.runs import Runs
from civicgrid.hub.sign_in import SignIns
from civicgrid.hub.web import Service
from civicgrid.methods import METHODS
from civicgrid.trust.envelope import Envelope
from civicgrid.trust.nonces import Nonces
from civicgrid.trust.note import Checkpoint, Note
from civicgrid.trust.requests import verify
from civicgrid.wire import (
    MAX_FRAME,
    Exchange,
    Frame,
    Hello,
    Member,
    RegisterHead,
    Tasks,
    Witnessing,
    read_frame,
    read_study,
)

log = logging.getLogger("civicgrid.hub")

CLOCKS_SECONDS = 3600.0
"""How often the hub looks whose time is up."""

KEYID = re.compile(r'keyid="([A-Za-z0-9._:/@+-]{1,200})"')
T = TypeVar("T")


@dataclass
class Hub:
    """What the requests of one hub share."""

    settings: HubSettings
    address: str
    engine: sa.Engine
    runs: Runs
    journal: Journal
    nonces: Nonces
    limits: Limits
    register: Register
    governed: Governed
    members: dict[str, Member] = field(default_factory=dict)
    hellos: dict[str, Hello] = field(default_factory=dict)
    by_key: dict[str, str] = field(default_factory=dict)
    people: dict[str, str] = field(default_factory=dict)
    reloaded: float = 0.0
    started: float = field(default_factory=time.monotonic)

    def reload(self) -> None:
        """Read who is registered: at the start, and when an unknown key knocks. An admission needs no restart."""
        with self.engine.connect() as connection:
            for row in connection.execute(sa.select(db.sites)).mappings():
                self.members[row["site"]] = Member.from_bytes(row["member"])
                self.by_key[row["key"]] = row["site"]
                if row["hello"] and row["site"] not in self.hellos:
                    # What another version stored may not be readable. The node says hello again.
                    with suppress(CivicGridError, ValueError):
                        self.hellos[row["site"]] = Hello.from_bytes(row["hello"])
            for row in connection.execute(sa.select(db.people)).mappings():
                self.people[row["key"]] = row["name"]

    def known(self, key: str) -> str | None:
        """The key itself where it is registered, for the check of a signature."""
        if key not in self.by_key and key not in self.people and time.monotonic() - self.reloaded > 1.0:
            self.reloaded = time.monotonic()
            self.reload()
        return key if key in self.by_key or key in self.people else None

    def last_seen(self, site: str) -> float | None:
        """When the site's node last said hello, as far as is written down."""
        with self.engine.connect() as connection:
            seen = connection.execute(sa.select(db.sites.c.seen).where(db.sites.c.site == site)).scalar()
        return None if seen is None else float(seen)

    def connected(self, site: str) -> bool:
        line = self.runs.lines.get(site)
        return line is not None and time.monotonic() - line.seen < self.settings.connected_seconds

    def expected(self, site: str) -> bool:
        """Connected, or likely to be: a hub that has just started has not heard from the nodes that were there before."""
        line = self.runs.lines.get(site)
        unheard = site in self.hellos and (line is None or not line.seen)
        young = time.monotonic() - self.started < self.settings.connected_seconds
        return self.connected(site) or (unheard and young)

    async def signed(self, request: Request) -> tuple[str, bytes]:
        """The key that signed this request, and its body."""
        said = KEYID.search(request.headers.get("signature-input", ""))
        if said is None or self.known(said.group(1)) is None:
            raise TrustError(
                "No key is registered here under that id. Ask the hub's operator to admit your site or you with your "
                "public key, and check that this is the key you gave."
            )
        # Nothing long is read from somebody who is not registered, and only nodes send much.
        most = MAX_FRAME if said.group(1) in self.by_key else 2 * MAX_BYTES
        address = request.client.host if request.client else ""
        body = await self.limits.read(request.stream(), address, most)
        path = request.scope["raw_path"].decode("latin-1")
        query = request.scope["query_string"].decode("latin-1")
        url = self.address + path + (f"?{query}" if query else "")
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.scope["headers"]]
        key = verify(request.method, url, headers, body, self.known, self.nonces)
        self.limits.proven(address, key, key in self.by_key)
        return key, body

    async def site(self, request: Request) -> tuple[str, bytes]:
        key, body = await self.signed(request)
        if key not in self.by_key:
            raise TrustError("Expected a registered node's key; this key belongs to a person. Use the node's own.")
        return self.by_key[key], body

    async def person(self, request: Request) -> tuple[str, bytes]:
        key, body = await self.signed(request)
        if key not in self.people:
            raise TrustError("Expected a registered person's key; this key belongs to a node. Use your own.")
        return key, body


class _Front(FastAPI):
    """FastAPI for people and programs; the nodes' messages, six a round, go straight to their functions."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = self.state.direct.get(scope["path"]) if scope["type"] == "http" else None
        if call is None or scope["method"] != "POST":
            await super().__call__(scope, receive, send)
            return
        request = Request(scope, receive, send)
        try:
            response = await call(request)
        except CivicGridError as error:
            response = await explain(request, error)
        except sa.exc.SQLAlchemyError as error:
            response = await unwritable(request, error)
        await response(scope, receive, send)


def create(home: HubHome, address: str | None = None) -> FastAPI:
    """The application of the hub in this folder."""
    settings = home.settings()
    engine = home.engine()
    journal = Journal(engine)
    register = home.register(engine)
    governed = Governed(Records(engine, journal, register), settings.governed)
    runs = Runs(
        engine,
        home.key(),
        journal,
        reply_seconds=settings.reply_seconds,
        connected_seconds=settings.connected_seconds,
        ended=governed.ended,
    )
    nonces = Nonces(home.path / "nonces.sqlite")
    hub = Hub(settings, address or settings.public, engine, runs, journal, nonces, Limits(settings), register, governed)

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        hub.reload()
        resumed = hub.runs.resume()
        if resumed:
            log.info("resumed %d run(s)", resumed)
        watch = asyncio.create_task(_watch(hub))
        yield
        watch.cancel()
        _log_refusals(hub)
        hub.nonces.close()
        hub.engine.dispose()

    app: FastAPI = _Front(
        title="Civic Grid hub",
        description=DESCRIPTION,
        version=__version__,
        lifespan=life,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.hub = hub
    endpoints = {path: _bound(hub, endpoint) for path, endpoint in ENDPOINTS.items()}
    endpoints |= {path: _bound(hub.register, endpoint) for path, endpoint in PUBLISHED.items()}
    app.state.direct = {path: endpoint for path, endpoint in endpoints.items() if path.startswith("/node/")}
    app.add_exception_handler(CivicGridError, explain)
    app.add_exception_handler(HTTPException, plain)
    app.add_exception_handler(sa.exc.SQLAlchemyError, unwritable)
    app.add_exception_handler(Exception, fault)
    app.add_api_route("/healthz", _healthz, methods=["GET"])
    for path, (method, described) in ROUTES.items():
        app.add_api_route(path, endpoints[path], methods=[method], **described)
    mount(app, Service(hub, governed.records, SignIns(journal, settings)))
    return app


def _bound(
    what: T, endpoint: Callable[[T, Request], Awaitable[Response]]
) -> Callable[[Request], Awaitable[Response]]:
    async def call(request: Request) -> Response:
        return await endpoint(what, request)

    return call


async def _watch(hub: Hub) -> None:
    said, clocked = time.monotonic(), 0.0
    while True:
        if not clocked or time.monotonic() - clocked > CLOCKS_SECONDS:
            clocked = time.monotonic()
            hub.governed.keep_clocks(dt.datetime.now(dt.UTC))
        await asyncio.sleep(0.5)
        if time.monotonic() - said > 60.0:
            said = time.monotonic()
            _log_refusals(hub)
        try:
            hub.runs.overdue()
        except Exception as error:
            log.error("watching runs failed: %s", type(error).__name__)


def _log_refusals(hub: Hub) -> None:
    words = hub.limits.refusals()
    if words:
        log.warning("refused since the last such line: %s", words)


async def _healthz() -> dict[str, str]:
    return {"status": "ok"}


# --- nodes ---------------------------------------------------------------------------------------------------------


async def _hello(hub: Hub, request: Request) -> Response:
    site, body = await hub.site(request)
    hello, _ = read_frame(Hello, body)
    if hello.network != hub.settings.network or hello.member != hub.members[site]:
        raise TrustError(
            f"Expected the card under which {site} is registered in {hub.settings.network}; another came. Register the "
            "site's present card, or mend node.toml."
        )
    hub.hellos[site] = hello
    hub.runs.greeted(site)
    with hub.journal.transaction("hello") as connection:
        connection.execute(
            sa.update(db.sites)
            .where(db.sites.c.site == site)
            .values(hello=hello.canonical().decode(), seen=time.time(), session=hello.session)
        )
        hub.journal.add(connection, None, "hello", site=site, software=hello.software)
    return framed(Frame(Tasks()))


async def _exchange(hub: Hub, request: Request) -> Response:
    site, body = await hub.site(request)
    exchange, blobs = read_frame(Exchange, body)
    hello = hub.hellos.get(site)
    if hello is None or hello.session != exchange.session:
        return refused(409, "Another process of this node has said hello since. Only one may run: stop this one.")
    for reply in exchange.replies:
        share = blobs.get(reply.task, b"")
        hub.runs.take(site, reply, reply.canonical(), share)
    with hub.limits.waiting(site):
        stored, tasks = await hub.runs.line(site).next_tasks(
            exchange.session, exchange.wait, hub.settings.connected_seconds / 3
        )
    return framed(Frame(Tasks(stored=stored, tasks=len(tasks)), {str(i): task for i, task in enumerate(tasks)}))


async def _witness(hub: Hub, request: Request) -> Response:
    site, body = await hub.site(request)
    said, _ = read_frame(Witnessing, body)
    if said.line:
        hub.register.cosign(site, hub.members[site].signing, said.size, said.line)
    note = hub.register.checkpoint()
    size = Checkpoint.parse(note.text).size
    proof = hub.register.consistency(said.size, size) if said.size <= size else ()
    return framed(
        Frame(
            RegisterHead(
                statement=hub.register.statement(),
                checkpoint=str(Note(note.text, note.lines[:1])),
                proof=tuple(part.hex() for part in proof),
            )
        )
    )


# --- researchers ---------------------------------------------------------------------------------------------------


async def _network(hub: Hub, request: Request) -> Response:
    await hub.person(request)
    return as_json(
        {
            "network": hub.settings.network,
            "sites": [
                {
                    "site": site,
                    "organisation": member.organisation,
                    "connected": hub.connected(site),
                    "holdings": [held.to_data() for held in hub.hellos[site].holdings] if site in hub.hellos else [],
                }
                for site, member in sorted(hub.members.items())
            ],
            "methods": {kind: method.version for kind, method in sorted(METHODS.items())},
        }
    )


async def _submit(hub: Hub, request: Request) -> Response:
    person, body = await hub.person(request)
    study = Envelope.from_bytes(body)
    asked = read_study(study)
    if asked.person != person:
        raise TrustError("Expected a study signed by the person who sends it. Send your own, signed with your key.")
    if asked.network != hub.settings.network:
        raise WireError(f"This hub serves {hub.settings.network!r}; the study is for {asked.network!r}.")
    hub.governed.check(asked.project, person, dt.datetime.now(dt.UTC))
    dataset = asked.plan.dataset
    holding = {
        site for site, hello in hub.hellos.items() if any(held.name == dataset for held in hello.holdings)
    }
    if not holding:
        known = sorted({held.name for hello in hub.hellos.values() for held in hello.holdings})
        raise DataError(
            f"No site of {hub.settings.network} holds a data set called {dataset!r}. "
            f"There is: {', '.join(known) or 'none yet; no node has connected'}."
        )
    unknown = sorted(set(asked.sites) - set(hub.members))
    if unknown:
        raise DataError(
            f"There is no site called {', '.join(unknown)}. The network has: {', '.join(sorted(hub.members))}."
        )
    wanted = set(asked.sites) & holding if asked.sites else holding
    ready = {site: hub.members[site] for site in wanted if hub.expected(site)}
    offline = tuple(hub.members[site] for site in sorted(wanted - set(ready)))
    return as_json({"run": hub.runs.start(asked, study, ready, offline)})


async def _study(hub: Hub, request: Request) -> Response:
    person, _ = await hub.person(request)
    run = request.path_params["run"]
    after = _number(request, "after", -1)
    wait = min(_number(request, "wait", 0), 30)
    row = _row(hub, run, person)
    if row["state"] == "running" and wait:
        with hub.limits.waiting(person):
            await _news(hub, run, after, wait)
        row = _row(hub, run, person)
    return as_json(
        {
            "run": run,
            "state": row["state"],
            "result": json.loads(row["result"]) if row["result"] else None,
            "progress": hub.journal.lines(run, after),
        }
    )


async def _news(hub: Hub, run: str, after: int, wait: float) -> None:
    """Wait until the run has ended, or something has happened in it, or `wait` seconds are over."""
    done = hub.runs.finished.setdefault(run, asyncio.Event())
    until = time.monotonic() + wait
    # A watcher gets what has happened four times a second, and the end at once: a round costs no message of its own.
    while time.monotonic() < until and not done.is_set():
        try:
            await asyncio.wait_for(done.wait(), 0.25)
        except TimeoutError:
            if hub.journal.lines(run, after):
                break


def _row(hub: Hub, run: str, person: str) -> Any:
    with hub.engine.connect() as connection:
        row = connection.execute(sa.select(db.runs).where(db.runs.c.run == run)).mappings().first()
    if row is None or row["person"] != person:
        raise HTTPException(404, "There is no such run of yours.")
    return row


def _number(request: Request, name: str, default: int) -> int:
    raw = request.query_params.get(name)
    try:
        return default if raw is None else int(raw)
    except ValueError:
        raise WireError(f"Expected a whole number for {name!r}; something else came.") from None


ENDPOINTS = {
    "/node/hello": _hello,
    "/node/exchange": _exchange,
    "/node/witness": _witness,
    "/api/network": _network,
    "/api/studies": _submit,
    "/api/studies/{run}": _study,
}
