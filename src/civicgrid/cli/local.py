"""A whole network on this machine: a hub and its nodes, each a process of its own with its own folder, keys and policy.

What the demonstration runs on, and the tests. Every step goes through what an operator, a custodian and a researcher would
use; only the people are played by this file.
"""

from __future__ import annotations

import datetime as dt
import os
import signal
import socket
import subprocess  # nosec B404 - starts this program's own services, with fixed arguments
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from civicgrid.client.connect import RemoteGrid, connect
from civicgrid.config import HubSettings, NodeSettings
from civicgrid.curation.dictionary import Dictionary
from civicgrid.curation.report import LoadReport
from civicgrid.curation.store import Store
from civicgrid.errors import CivicGridError
from civicgrid.governance.permit import Permit, Person
from civicgrid.hub.home import HubHome, admit_person, admit_site
from civicgrid.methods import METHODS
from civicgrid.node.home import Home
from civicgrid.transport import Unreachable
from civicgrid.trust.keys import SigningKey

PROJECT = "P-1"


class NotReady(CivicGridError):
    """A service did not come up in time."""


@dataclass
class LocalNetwork:
    """A network laid out under one folder. Use it as a context manager: leaving it ends every process it started."""

    folder: Path
    name: str = "local"
    reply_seconds: float = 60.0
    connected_seconds: float = 20.0
    port: int = 0
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def lay_out(
        self,
        sites: Sequence[str],
        datasets: Sequence[str],
        *,
        organisations: Mapping[str, str] | None = None,
        pooled_threshold: bool = True,
        methods: Sequence[str] = tuple(METHODS),
    ) -> None:
        """Folders, keys, cards exchanged, permits signed; nothing runs yet."""
        self.port = self.port or free_port()
        self.hub.create(
            HubSettings(
                network=self.name,
                port=self.port,
                reply_seconds=self.reply_seconds,
                connected_seconds=self.connected_seconds,
            )
        )
        engine = self.hub.engine()
        researcher = SigningKey.generate()
        researcher.save(self.folder / "researcher.pem")
        admit_person(engine, "Demo researcher", researcher.public)
        members = []
        for site in sites:
            settings = NodeSettings(
                network=self.name,
                site=site,
                organisation=(organisations or {}).get(site, f"Demo organisation {site}"),
                hub=self.address,
                hub_key=self.hub.key().public,
            )
            members.append(self.node(site).create(settings))
            admit_site(engine, members[-1])
        engine.dispose()
        for site in sites:
            home = self.node(site)
            home.pin([member for member in members if member.site != site])
            custodian = SigningKey.generate()
            custodian.save(home.path / "keys" / "custodian.pem")
            home.add_custodian(custodian.public, f"Demo custodian of {site}")
            self.grant(site, datasets, pooled_threshold=pooled_threshold, methods=methods)

    def grant(
        self,
        site: str,
        datasets: Sequence[str],
        *,
        pooled_threshold: bool = True,
        methods: Sequence[str] = tuple(METHODS),
        valid: dt.timedelta = dt.timedelta(days=30),
    ) -> Path:
        """Sign the site's permit for the researcher's project."""
        home = self.node(site)
        # To the microsecond: a permit like one that was revoked a moment ago must still be another one.
        now = dt.datetime.now(dt.UTC)
        permit = Permit(
            network=self.name,
            site=site,
            project=PROJECT,
            title="Demonstration project",
            people=(Person(name="Demo researcher", key=self.researcher.public),),
            datasets=tuple(datasets),
            columns=("*",),
            methods=tuple(methods),
            purpose="To show how a study is run.",
            valid_from=(now - dt.timedelta(minutes=1)).isoformat(),
            valid_until=(now + valid).isoformat(),
            pooled_threshold=pooled_threshold,
        )
        return home.add_permit(permit.signed(SigningKey.load(home.path / "keys" / "custodian.pem")))

    @property
    def hub(self) -> HubHome:
        return HubHome(self.folder / "hub")

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def researcher(self) -> SigningKey:
        return SigningKey.load(self.folder / "researcher.pem")

    def node(self, site: str) -> Home:
        return Home(self.folder / "nodes" / site)

    def load_omop(self, site: str, source: Path, dataset: str) -> LoadReport:
        with Store(self.node(site).data) as store:
            return store.load_omop(dataset, source)

    def load_table(self, site: str, source: object, dataset: str, dictionary: Dictionary | None = None) -> LoadReport:
        with Store(self.node(site).data) as store:
            return store.load_table(dataset, source, dictionary)

    # --- processes ---------------------------------------------------------------------------------------------------

    def start_hub(self) -> None:
        self._start("hub", "hub", "serve", str(self.hub.path))
        self._until(self._hub_answers, "the hub did not answer")

    def start_node(self, site: str) -> None:
        self._start(site, "node", "serve", str(self.node(site).path))

    def start(self, sites: Sequence[str]) -> RemoteGrid:
        """Start the hub and these nodes, wait until all are connected, and connect as the researcher."""
        for site in sites:
            self.start_node(site)
        self.start_hub()
        grid = connect(self.address, key=self.researcher, project=PROJECT)
        self.wait_connected(grid, sites)
        return grid

    def wait_connected(self, grid: RemoteGrid, sites: Sequence[str]) -> None:
        wanted = set(sites)

        def all_there() -> bool:
            try:
                return wanted <= {site["site"] for site in grid.sites() if site["connected"]}
            except Unreachable:
                return False

        self._until(all_there, "the nodes did not connect")

    def kill(self, who: str) -> None:
        """kill -9, and wait until the process is gone."""
        process = self.processes.pop(who)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        """End every process, kindly first."""
        for process in self.processes.values():
            process.terminate()
        deadline = time.monotonic() + 5
        for process in self.processes.values():
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes.clear()

    def _start(
        self, who: str, *arguments: str, program: Sequence[str] = ("-m", "civicgrid"), **environment: str
    ) -> None:
        with (self.folder / f"{who}.log").open("ab") as log:
            self.processes[who] = subprocess.Popen(  # nosec B603 - fixed program and arguments
                [sys.executable, *program, *arguments],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
                start_new_session=True,
            )

    def _hub_answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=0.2):
                return True
        except OSError:
            return False

    def _until(self, condition: Callable[[], bool], otherwise: str, seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            for who, process in self.processes.items():
                if process.poll() is not None:
                    tail = (self.folder / f"{who}.log").read_text("utf-8", "replace")[-800:]
                    raise NotReady(f"The process of {who} ended with code {process.returncode}. Its log ends:\n{tail}")
            if time.monotonic() > deadline:
                raise NotReady(f"Waited {seconds:.0f} s, but {otherwise}. See the logs in {self.folder}.")
            time.sleep(0.05)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.stop()


def free_port() -> int:
    """A port on the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
