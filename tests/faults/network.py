"""A network whose processes can be made to die, hang and starve, and what must hold once it is well again."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pandas as pd

import civicgrid as cg
from civicgrid.canonical import digest
from civicgrid.cli.local import LocalNetwork, free_port
from civicgrid.client.connect import RemoteGrid
from civicgrid.hub.journal import Journal
from civicgrid.killpoint import ENVIRONMENT
from civicgrid.node.site import _split
from civicgrid.node.state import State
from civicgrid.trust.chain import check

SITES = ("ash", "birch", "cedar")
ROWS = 120
PATIENCE = 60.0


class FaultyNetwork(LocalNetwork):
    """A hub and three nodes on loopback."""

    def furnish(self) -> None:
        """Lay out, and load three data sets: "fresh" is "trial" once more, and "closed" is so to everybody at birch."""
        self.lay_out(SITES, ["trial", "fresh"])
        for number, site in enumerate(SITES):
            for dataset in ("trial", "fresh"):
                self.load_table(site, frame(number), dataset)
            self.load_table(site, frame(number + 7), "closed")
            if site != "birch":
                self.grant(site, ["trial", "fresh", "closed"])

    def launch(self, who: str, kill_at: str = "", changed: str = "") -> None:
        """Start a process, to die at a kill point if one is given; wait for nothing.

        `changed` is Python that is run before the real command: what another version, or another clock, would be.
        """
        kind, folder = ("hub", self.hub.path) if who == "hub" else ("node", self.node(who).path)
        program = ("-c", f"{changed}\nfrom civicgrid.cli import main; main()") if changed else ("-m", "civicgrid")
        self._start(who, kind, "serve", str(folder), program=program, **({ENVIRONMENT: kill_at} if kill_at else {}))

    def replace(self, who: str, kill_at: str = "") -> None:
        """End a process by kill -9, if it runs, and start it anew."""
        if who in self.processes:
            self.kill(who)
        self.launch(who, kill_at)

    def died(self, who: str, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Wait until a process has ended at its kill point, doing something meanwhile that brings it there."""
        process = self.processes.pop(who)
        deadline = time.monotonic() + PATIENCE
        while process.returncode is None:
            meanwhile()
            try:
                process.wait(0.05)
            except subprocess.TimeoutExpired:
                if time.monotonic() > deadline:
                    process.kill()
                    raise
        assert process.returncode == -signal.SIGKILL, self.said(who)[-800:]

    def well(self, grid: RemoteGrid) -> None:
        """Every process runs and every node is connected."""
        for who in ("hub", *SITES):
            if who not in self.processes or self.processes[who].poll() is not None:
                self.launch(who)
        self.wait_connected(grid, SITES)

    def until(self, condition: Callable[[], bool], otherwise: str) -> None:
        self._until(condition, otherwise, PATIENCE)

    def said(self, who: str) -> str:
        """The log of a process and of those before it."""
        return (self.folder / f"{who}.log").read_text("utf-8", "replace")


def frame(seed: int) -> pd.DataFrame:
    ages = [20 + (7 * i + seed) % 60 for i in range(ROWS)]
    return pd.DataFrame({"age": ages, "died": [(5 * i + seed + i // 4) % 3 == 0 for i in range(ROWS)]})


def study(dataset: str = "trial", counts: int = 1) -> Any:
    """A few rounds; with many counts before them, enough to disturb it in the middle."""
    many = {f"people{number}": cg.Count() for number in range(counts)}
    return cg.study(cg.dataset(dataset), **many, fit=cg.GLM(outcome="died", predictors=["age"], family="binomial"))


class Running:
    """A study under way in a thread. `rounds` counts what has been asked, `answer` waits for the end."""

    def __init__(self, grid: RemoteGrid, what: Any, rounds: int = 1, sites: tuple[str, ...] = ()) -> None:
        self.asked, self.wanted = 0, rounds
        self.deep = threading.Event()
        self._outcome: Any = None
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, args=(grid, what, sites))
        self._thread.start()

    def _run(self, grid: RemoteGrid, what: Any, sites: tuple[str, ...]) -> None:
        try:
            self._outcome = grid.run(what, sites=list(sites), progress=self._watch)
        except Exception as error:
            self._error = error

    def _watch(self, line: Any) -> None:
        self.asked += line.get("kind") == "round"
        if self.asked >= self.wanted:
            self.deep.set()

    def answer(self) -> Any:
        self._thread.join(PATIENCE + 30)
        assert not self._thread.is_alive(), "the study did not end"
        if self._error is not None:
            raise self._error
        return self._outcome


@contextmanager
def stopped(network: LocalNetwork, who: str) -> Iterator[None]:
    """A process hangs: it keeps its connections and does nothing."""
    network.processes[who].send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        network.processes[who].send_signal(signal.SIGCONT)


def same(answer: Any, undisturbed: Any) -> None:
    """The very same numbers, from the very same sites."""
    for name, expected in undisturbed.items():
        assert answer[name].output == expected.output, name
        assert answer[name].sites == expected.sites, name


def agree(network: LocalNetwork) -> None:
    """Every audit log holds, ledger and log speak of the same answers, and the hub has counted each of them once."""
    engine = network.hub.engine()
    log = list(Journal(engine).log())
    engine.dispose()
    assert check(log).ok
    with sqlite3.connect(network.hub.path / "hub.sqlite") as database:
        assert not database.execute("select run from runs where state = 'running'").fetchall()
        rows = database.execute("select task, site, share from replies where header is not null").fetchall()
    counted = Counter(
        (line.details["task"], site)
        for line in log
        if line is not None and line.action == "answered"
        for site in line.details["sites"]  # type: ignore[union-attr]
    )
    assert counted == Counter((task, site) for task, site, _ in rows), "an answer was counted twice, or is not written down"
    for site in SITES:
        state = State(network.node(site).state)
        lines = list(state.log())
        assert check(lines).ok
        released = Counter(str(line.details["digest"]) for line in lines if line is not None and line.action == "released")
        kept = {}
        for (task,) in state.connection.execute("select task from answers").fetchall():
            kept[str(task)] = _split(state.ledger.recall(task) or b"")[1]
        state.close()
        assert Counter(digest(share) for share in kept.values()) == released, f"ledger and log of {site} differ"
        stored = {task: share for task, at, share in rows if at == site and share}
        assert stored.items() <= kept.items(), f"the hub holds a share that {site} has not entered in its ledger"


__all__ = ["ROWS", "SITES", "FaultyNetwork", "Running", "agree", "frame", "free_port", "same", "stopped", "study"]
