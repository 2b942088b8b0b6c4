"""What a round costs when there is nothing to work out, and what its parts cost."""

from __future__ import annotations

import datetime as dt
import itertools
import secrets
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import psutil

import civicgrid as cg
from benchmarks.data import SITES
from benchmarks.tables import markdown
from civicgrid.cli.local import LocalNetwork
from civicgrid.node.state import State
from civicgrid.trust.keys import SigningKey, verify
from civicgrid.trust.nonces import Nonces
from civicgrid.trust.requests import sign
from civicgrid.trust.requests import verify as verify_request
from civicgrid.wire import Exchange, Frame, Round, Shared, SignedTask, read_frame


@dataclass(frozen=True)
class Rounds:
    """Milliseconds from one Ask to the next over six nodes; and the processor's, a round, of the hub and of one node."""

    gaps: list[float]
    hub: float
    node: float


def rounds() -> Rounds:
    gaps: list[float] = []
    with LocalNetwork(Path(tempfile.mkdtemp(prefix="bench-"))) as network:
        network.lay_out(SITES, ["tiny"])
        for site in SITES:
            network.load_table(site, pd.DataFrame({"x": range(100)}), "tiny")
        grid = network.start(SITES)
        counts = {f"c{number}": cg.Count() for number in range(50)}
        used: dict[str, float] = {}
        for repeat in range(5):
            asked: list[float] = []
            if repeat == 1:
                used = _used(network)

            def watch(line: Any, asked: list[float] = asked) -> None:
                if line["action"] == "asked" and line.get("kind") == "round":
                    asked.append(dt.datetime.fromisoformat(line["time"]).timestamp())

            grid.run(cg.study(cg.dataset("tiny"), **counts), progress=watch)
            if repeat:
                gaps += [1000 * (after - before) for before, after in itertools.pairwise(asked)]
        spent = {who: (after - used[who]) / (4 * len(counts)) for who, after in _used(network).items()}
    return Rounds(gaps, spent["hub"], statistics.mean(spent[site] for site in SITES))


def _used(network: LocalNetwork) -> dict[str, float]:
    """Milliseconds of processor time that each process has used."""
    times = {who: psutil.Process(process.pid).cpu_times() for who, process in network.processes.items()}
    return {who: 1000 * (spent.user + spent.system) for who, spent in times.items()}


def parts() -> list[tuple[str, float]]:
    """Microseconds of each part of a message's way."""
    key = SigningKey.generate()
    url = "http://127.0.0.1:8700/node/exchange"
    exchange = Exchange(session=secrets.token_hex(16), replies=(Shared(task="a" * 64),))
    body = Frame(exchange, {"a" * 64: secrets.token_bytes(120)}).to_bytes()
    task = SignedTask.sign(
        Frame(Round(network="n", run="a" * 64, attempt=0, analysis="fit", version=1, round=1, roster="b" * 64)), key
    )
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    state, nonces = State(folder / "state"), Nonces(folder / "nonces")
    signature = key.sign(body)

    def write() -> None:
        name = secrets.token_hex(32)
        with state.transaction("released"):
            state.put_out(name, b"header", b"share")
            state.ledger.record(name, name, name, "rows", "roster", b"reply", 0.0)
            state.audit("released", run="a" * 64, round=1)

    def signed() -> None:
        headers = sign("POST", url, body, key, key.public)
        verify_request("POST", url, headers, body, lambda keyid: keyid, nonces)

    return [
        ("Ed25519 signature", _micro(lambda: key.sign(body))),
        ("Ed25519 verification", _micro(lambda: verify(key.public, signature, body))),
        ("HTTP message signature", _micro(lambda: sign("POST", url, body, key, key.public))),
        ("HTTP message signature and its verification, nonce stored", _micro(signed)),
        ("framing and reading a reply", _micro(lambda: read_frame(Exchange, Frame(exchange, {}).to_bytes()))),
        ("opening a signed task", _micro(lambda: SignedTask.from_bytes(task.to_bytes()).open(key.public))),
        ("durable write of a reply, ledger, outbox and audit line", _micro(write)),
    ]


def _micro(work: Callable[[], object], times: int = 300) -> float:
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return 1e6 * statistics.median(taken)


def run() -> str:
    found = rounds()
    median, tenth = statistics.median(found.gaps), statistics.quantiles(found.gaps, n=10)[-1]
    lines = [[f"a no-op round over six nodes, from Ask to Ask (median of {len(found.gaps)})", f"{1000 * median:.0f}"]]
    lines += [["the slowest tenth of such rounds begins at", f"{1000 * tenth:.0f}"]]
    lines += [["processor time of the hub, a round", f"{1000 * found.hub:.0f}"]]
    lines += [["processor time of a node, a round", f"{1000 * found.node:.0f}"]]
    lines += [[name, f"{micro:.0f}"] for name, micro in parts()]
    return markdown("A round", ["", "microseconds"], lines, ["Target for the round: 10,000. A round has six messages."])
