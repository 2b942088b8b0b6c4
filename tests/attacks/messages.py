"""Attacks on messages: recorded and sent again, or changed on their way, by somebody without a key."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

import civicgrid as cg
from attacks.attack import Attack
from attacks.rosters import COUNT, TRIAL, sent
from civicgrid.disclosure.release import combine
from civicgrid.errors import CivicGridError
from civicgrid.trust import requests
from civicgrid.trust.keys import SigningKey
from civicgrid.trust.nonces import Nonces
from civicgrid.wire import Shared, SignedTask
from unit.node.sites import World, frame

PEOPLE = 60
URL = "https://hub.example/api/studies/S-1/result"
NOW = 1_700_000_000.0


def _replayed(defended: bool) -> int:
    """A researcher's request for a result, recorded and sent again: at once, from another connection, and much later.

    Off: a hub that forgets which requests it has seen.
    """
    key, result = SigningKey.generate(), PEOPLE
    recorded = requests.sign("GET", URL, b"", key, "person:ada", NOW)
    read = 0
    with tempfile.TemporaryDirectory() as folder:
        for attempt, later in enumerate((0.0, 1.0, 60.0, 299.0, 400.0, 86_400.0)):
            name = "nonces" if defended else f"nonces{attempt}"
            with Nonces(Path(folder) / name) as nonces:
                try:
                    requests.verify("GET", URL, recorded, b"", {"person:ada": key.public}.get, nonces, NOW + later)
                except CivicGridError:
                    continue
                # The first is the researcher's own.
                read = max(read, result if attempt else 0)
    return read


def _readdressed(defended: bool) -> int:
    """The same request with another address, method or body in its place. Off: the key alone is asked for."""
    key, read = SigningKey.generate(), 0
    recorded = requests.sign("GET", URL, b"", key, "person:ada", NOW)
    elsewhere = URL.replace("S-1", "S-2")
    others = (("GET", elsewhere, b""), ("POST", URL, b""), ("GET", URL, b"more"), ("GET", URL + "?all=1", b""))
    with tempfile.TemporaryDirectory() as folder, Nonces(Path(folder) / "nonces") as nonces:
        for method, url, body in others:
            headers = recorded if defended else requests.sign(method, url, body, key, "person:ada", NOW)
            try:
                requests.verify(method, url, headers, body, {"person:ada": key.public}.get, nonces, NOW)
            except CivicGridError:
                continue
            read = PEOPLE
    return read


def _tampered(defended: bool) -> int:
    """An outsider between hub and site changes a task, or makes one, without the hub's key. Off: tasks are not verified."""
    at = World({"hull": frame(PEOPLE)})
    outsider, read = SigningKey.generate(), 0
    if not defended:
        site = at.sites["hull"]
        site.identity = type(site.identity)(*(
            outsider.public if name == "hub_key" else getattr(site.identity, name)
            for name in ("network", "member", "signing", "exchange", "hub_key")
        ))  # fmt: skip
    honest, at.hub = at.hub, outsider
    try:
        enrolled = at.enrol(at.request(at.plan(cg.Count(TRIAL))), ["hull"])
        read = sum(int(combine([share])["people"].values) for share in sent(at, enrolled).values())
    except CivicGridError:
        pass
    if defended:
        at.hub = honest
        task = at.round(at.enrol(at.request(at.plan(cg.Count(TRIAL))), ["hull"]), COUNT)
        for place in np.linspace(0, len(task.payload) - 1, 60).astype(int):
            changed = bytearray(task.payload)
            changed[place] ^= 1
            try:
                reply, _ = at.tell("hull", SignedTask(bytes(changed), task.signature))
                read = max(read, PEOPLE if isinstance(reply, Shared) else 0)
            except CivicGridError:
                continue
    return read


ATTACKS = [
    Attack("replayed requests", "outsider", "nonces", PEOPLE, _replayed),
    Attack("requests sent elsewhere", "outsider", "signed requests", PEOPLE, _readdressed),
    Attack("tampered and invented tasks", "outsider", "signed tasks", PEOPLE, _tampered),
]
