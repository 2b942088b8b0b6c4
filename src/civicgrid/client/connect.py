"""A real grid, through its hub."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from civicgrid.canonical import describe
from civicgrid.client.grid import Grid, Progress
from civicgrid.client.results import Answer
from civicgrid.errors import CivicGridError, WireError
from civicgrid.methods.plan import Plan
from civicgrid.query.types import Schema
from civicgrid.transport import Connection, Unreachable
from civicgrid.trust.keys import SigningKey
from civicgrid.wire import Holding, StudyRequest, StudyResult

JSON = "application/json"
WAIT = 10
PATIENCE = 30.0


class RemoteGrid(Grid):
    """A network reached through its hub. Every request and every study is signed with the researcher's own key."""

    def __init__(self, address: str, key: SigningKey, project: str, hub_ca: str | Path | None = None) -> None:
        self.key, self.project = key, project
        self.connection = Connection(address, key, hub_ca)
        self.network = str(self._network()["network"])

    def __repr__(self) -> str:
        return f"<the grid {self.network!r} at {self.connection.address}, for project {self.project!r}>"

    def _network(self) -> dict[str, Any]:
        data: dict[str, Any] = json.loads(self.connection.get("/api/network"))
        return data

    def sites(self) -> list[dict[str, Any]]:
        """The sites: name, organisation, whether connected, and what they hold."""
        return list(self._network()["sites"])

    def dictionaries(self) -> dict[str, Schema]:
        found: dict[str, Schema] = {}
        for site in self._network()["sites"]:
            for raw in site["holdings"]:
                held = Holding.from_bytes(json.dumps(raw))
                if held.dictionary is None:
                    continue
                if found.setdefault(held.name, held.dictionary) != held.dictionary:
                    raise CivicGridError(
                        f"The sites describe the data set {held.name!r} differently. Give its types in the study: "
                        f"cg.dataset({held.name!r}, {{…}})."
                    )
        return found

    def _submit(self, study: bytes) -> str:
        """The run's id. The same signed study is one run, so it may be sent again where it is not known to have come."""
        started = time.monotonic()
        while True:
            try:
                return str(json.loads(self.connection.post("/api/studies", study, JSON))["run"])
            except Unreachable:
                if time.monotonic() - started > PATIENCE:
                    raise
                time.sleep(0.5)

    def _execute(self, plan: Plan, sites: Sequence[str], progress: Progress | None) -> Answer:
        started = time.monotonic()
        request = StudyRequest(
            network=self.network,
            project=self.project,
            person=self.key.public,
            plan=plan,
            sites=tuple(sites),
            nonce=secrets.token_hex(16),
        )
        body = request.signed(self.key).canonical()
        run = self._submit(body)
        submitted = time.monotonic()
        marks = {"submit": submitted - started}
        after, previous, phase = 0, submitted, "enrol"
        while True:
            try:
                state = json.loads(self.connection.get(f"/api/studies/{run}?after={after}&wait={WAIT}", WAIT + 20))
            except Unreachable:
                # The study is at the hub; a restart of the hub takes nothing from it.
                time.sleep(0.5)
                continue
            for line in state["progress"]:
                after = max(after, int(line["seq"]))
                if progress is not None:
                    progress({**line, **line.get("details", {})})
                details = line.get("details", {})
                if line["action"] == "asked" and details.get("kind") == "round":
                    name = str(details.get("analysis", phase))
                    if name != phase:
                        now = time.monotonic()
                        marks[phase] = marks.get(phase, 0.0) + now - previous
                        previous, phase = now, name
            if state["state"] != "running":
                break
        marks[phase] = marks.get(phase, 0.0) + time.monotonic() - previous
        if state["state"] == "failed":
            raise CivicGridError(str(state["result"].get("failure", "The run failed at the hub.")))
        try:
            result = StudyResult.from_bytes(json.dumps(state["result"]))
        except ValidationError as error:
            raise WireError(f"The hub's answer cannot be read: {describe(error)}") from None
        return Answer(plan, result, marks)


def connect(
    address: str, *, key: str | Path | SigningKey, project: str, hub_ca: str | Path | None = None
) -> RemoteGrid:
    """The grid behind a hub: `cg.connect("https://hub.example", key="me.key", project="P-7")`.

    `key` is the file of your signing key, or the key itself; the hub must know it, and the sites' permits for the
    project must name it. `hub_ca` is a file of certificates to check the hub's against, where its network has its own.
    """
    return RemoteGrid(address, key if isinstance(key, SigningKey) else SigningKey.load(key), project, hub_ca)
