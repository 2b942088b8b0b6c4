"""kill -9 at every durable write of the pages: what was done is there whole or not at all, and can be done again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from browser.world import NOW, person
from civicgrid.cli.local import free_port
from civicgrid.config import HubSettings
from civicgrid.hub import database as db
from civicgrid.hub.home import HubHome
from civicgrid.hub.journal import Journal
from civicgrid.hub.records import Records
from civicgrid.killpoint import ENVIRONMENT
from civicgrid.trust.chain import check

pytestmark = pytest.mark.xdist_group("page_kills")

WRITES = ("act", "signed_in", "signed_out", "seen", "notices")


class Pages:
    """A hub's folder, and the process that serves it."""

    def __init__(self, folder: Path) -> None:
        self.home = HubHome(folder / "hub")
        self.home.create(HubSettings(network="local", port=free_port(), demo_people=True))
        self.process: subprocess.Popen[bytes] | None = None
        with self.records() as records:
            records.seed((person("operator"), person("researcher")), NOW)
            with records.engine.begin() as connection:
                connection.execute(
                    db.notices.insert().values(id="n", account="a-operator", words="Something", path="/", at=0.0)
                )

    def records(self) -> _Opened:
        return _Opened(self.home)

    def serve(self, kill_at: str = "") -> httpx2.Client:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "civicgrid", "hub", "serve", str(self.home.path)],
            env={**os.environ, ENVIRONMENT: kill_at},
            stderr=subprocess.DEVNULL,
        )
        client = httpx2.Client(base_url=self.home.settings().public, timeout=20)
        for _ in range(600):
            try:
                client.get("/healthz")
                return client
            except httpx2.TransportError:
                time.sleep(0.05)
        raise AssertionError("the hub did not listen")

    def died(self) -> None:
        assert self.process is not None and self.process.wait(20) == -signal.SIGKILL


class _Opened:
    def __init__(self, home: HubHome) -> None:
        self.home, self.engine = home, home.engine()

    def __enter__(self) -> Records:
        return Records(self.engine, Journal(self.engine), self.home.register(self.engine))

    def __exit__(self, *error: object) -> None:
        self.engine.dispose()


@pytest.fixture
def pages(tmp_path: Path) -> Iterator[Pages]:
    made = Pages(tmp_path)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.process.kill()
        made.process.wait()


def post(client: httpx2.Client, path: str, **data: str) -> int:
    token = client.get(path).text.split('name="csrf" value="')[1].split('"')[0]
    return client.post(path, data={"csrf": token, **data}).status_code


def sign_in(client: httpx2.Client) -> None:
    assert post(client, "/sign-in", person="a-operator", to="/") == 303


def open_account(client: httpx2.Client) -> None:
    assert post(client, "/people/open", name="Demo newcomer") == 303


DOING: dict[str, Callable[[httpx2.Client], object]] = {
    "act": open_account,
    "signed_in": sign_in,
    "signed_out": lambda client: post(client, "/sign-out"),
    "seen": lambda client: client.get("/account"),
    "notices": lambda client: client.get("/notices"),
}


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("write", WRITES)
def test_killed(pages: Pages, write: str, side: str) -> None:
    first = pages.serve()
    sign_in(first)
    cookies = dict(first.cookies)
    assert pages.process is not None
    pages.process.kill()
    pages.process.wait()
    with pages.records() as records, records.engine.begin() as connection:
        # As if the last click had been a while ago, so that the next one is written down.
        connection.execute(db.sign_ins.update().values(seen=db.sign_ins.c.seen - 120 * (write == "seen")))
    client = pages.serve(f"hub {write} {side} 1")
    if write != "signed_in":
        client.cookies.update(cookies)
    with pytest.raises(httpx2.TransportError):
        DOING[write](client)
    pages.died()
    again = pages.serve()
    again.cookies.update(cookies)
    with pages.records() as records:
        newcomers = [account for account in records.find("account") if account.name == "Demo newcomer"]
        assert len(newcomers) == (write == "act" and side == "after")
        assert check(records.journal.log()).ok
    if write == "signed_out" and side == "after":
        assert again.get("/account").status_code == 303
        sign_in(again)
    DOING[write](again)
    with pages.records() as records:
        assert check(records.journal.log()).ok
        assert (records.unread("a-operator") == 0) == (write == "notices")
