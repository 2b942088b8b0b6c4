"""A hub as a process of its own on loopback, with two people and two sites registered and no node running."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from civicgrid.cli.local import free_port
from civicgrid.config import HubSettings
from civicgrid.hub.home import HubHome, admit_person, admit_site
from civicgrid.trust.keys import ExchangeKey, SigningKey
from civicgrid.trust.requests import sign
from civicgrid.trust.roster import Member

NETWORK = "local"


@dataclass
class Served:
    """The hub, the keys of those it knows, and what it has stored."""

    home: HubHome
    address: str
    people: tuple[SigningKey, ...]
    sites: dict[str, SigningKey]
    members: dict[str, Member]
    process: subprocess.Popen[bytes]
    client: httpx2.Client

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    @property
    def log(self) -> str:
        return (self.home.path / "log").read_text("utf-8", "replace")

    def stored(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every row of the tables that a message could change."""
        with sqlite3.connect(self.home.path / "hub.sqlite") as database:
            return {
                table: database.execute(f"select * from {table}").fetchall()
                for table in ("sites", "people", "runs", "tasks", "replies", "audit")
            }

    def ask(
        self,
        method: str,
        path: str,
        key: SigningKey | None = None,
        body: bytes = b"",
        *,
        now: float | None = None,
        **more: str,
    ) -> httpx2.Response:
        """One request, signed where there is a key; `more` are headers (x_y for X-Y)."""
        url = self.address + path
        signed = {} if key is None else sign(method, url, body, key, key.public, now)
        headers = signed | {name.replace("_", "-"): value for name, value in more.items()}
        return self.client.request(method, url, content=body, headers=headers)

    def connect(self) -> socket.socket:
        """A bare connection, which fails a test rather than hang it."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)


@contextmanager
def served(folder: Path, prepare: Callable[[HubHome], None] | None = None, **settings: Any) -> Iterator[Served]:
    """The hub, running. `prepare` puts more into its database before it starts."""
    home = HubHome(folder / "hub")
    port = free_port()
    home.create(HubSettings(network=NETWORK, port=port, **settings))
    engine = home.engine()
    people = (SigningKey.generate(), SigningKey.generate())
    for number, person in enumerate(people):
        admit_person(engine, f"Person {number}", person.public)
    sites = {"leeds": SigningKey.generate(), "york": SigningKey.generate()}
    members = {}
    for site, key in sites.items():
        members[site] = Member(
            site=site, organisation=f"{site} Trust", signing=key.public, exchange=ExchangeKey.generate().public
        )
        admit_site(engine, members[site])
    engine.dispose()
    if prepare is not None:
        prepare(home)
    with (home.path / "log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "civicgrid", "hub", "serve", str(home.path)],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
    try:
        with httpx2.Client(trust_env=False, timeout=60) as client:
            hub = Served(home, home.settings().public, people, sites, members, process, client)
            _until_it_listens(hub)
            yield hub
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _until_it_listens(hub: Served) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            hub.connect().close()
            return
        except OSError:
            assert hub.process.poll() is None, hub.log[-2000:]
            assert time.monotonic() < deadline, "the hub did not listen"
            time.sleep(0.05)
