"""What a round costs when there is nothing to work out, and what its parts cost."""

from __future__ import annotations

import datetime as dt
import itertools
import secrets
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

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


def rounds() -> tuple[float, float, int]:
    """Median and 90th percentile of the milliseconds from one Ask to the next, over six nodes; and how many."""
    gaps: list[float] = []
    with LocalNetwork(Path(tempfile.mkdtemp(prefix="bench-"))) as network:
        network.lay_out(SITES, ["tiny"])
        for site in SITES:
            network.load_table(site, pd.DataFrame({"x": range(100)}), "tiny")
        grid = network.start(SITES)
        counts = {f"c{number}": cg.Count() for number in range(50)}
        for repeat in range(5):
            asked: list[float] = []

            def watch(line: Any, asked: list[float] = asked) -> None:
                if line["action"] == "asked" and line.get("kind") == "round":
                    asked.append(dt.datetime.fromisoformat(line["time"]).timestamp())

            grid.run(cg.study(cg.dataset("tiny"), **counts), progress=watch)
            if repeat:
                gaps += [1000 * (after - before) for before, after in itertools.pairwise(asked)]
    return statistics.median(gaps), statistics.quantiles(gaps, n=10)[-1], len(gaps)


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
        with state.transaction():
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
    median, tenth, number = rounds()
    lines = [[f"a no-op round over six nodes, from Ask to Ask (median of {number})", f"{1000 * median:.0f}"]]
    lines += [["the slowest tenth of such rounds begins at", f"{1000 * tenth:.0f}"]]
    lines += [[name, f"{micro:.0f}"] for name, micro in parts()]
    return markdown("A round", ["", "microseconds"], lines, ["Target for the round: 10,000. A round has six messages."])
