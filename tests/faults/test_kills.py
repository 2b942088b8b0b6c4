"""Real processes killed and starved of disk in the middle of a study: it ends with the same answer, counted once."""

from __future__ import annotations

import resource
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest

import civicgrid as cg
from civicgrid.cli.local import LocalNetwork
from civicgrid.client.connect import RemoteGrid
from civicgrid.hub.journal import Journal
from civicgrid.trust.chain import check

pytestmark = pytest.mark.xdist_group("faults")

SITES = ("ash", "birch", "cedar")
ROWS = 120


def frame(seed: int) -> pd.DataFrame:
    ages = [20 + (7 * i + seed) % 60 for i in range(ROWS)]
    return pd.DataFrame({"age": ages, "died": [(i * i + seed) % 3 == 0 for i in range(ROWS)]})


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LocalNetwork, RemoteGrid]]:
    with LocalNetwork(tmp_path_factory.mktemp("faults"), reply_seconds=60, connected_seconds=30) as network:
        network.lay_out(SITES, ["trial"])
        for number, site in enumerate(SITES):
            network.load_table(site, frame(number), "trial")
        yield network, network.start(SITES)


def study() -> Any:
    return cg.study(
        cg.dataset("trial"),
        people=cg.Count(),
        fit=cg.GLM(outcome="died", predictors=["age"], family="binomial"),
    )


def long_study() -> Any:
    """The same, with so many rounds before it that there is time to disturb it."""
    counts = {f"count{number}": cg.Count() for number in range(45)}
    return cg.study(cg.dataset("trial"), **counts, **study().methods)


def run_and(
    disturb: Callable[[], None], network: LocalNetwork, grid: RemoteGrid, rounds: int = 2, long: bool = False
) -> Any:
    """Run the study; once `rounds` rounds have been asked, disturb it; give back the answer."""
    network.wait_connected(grid, SITES)
    outcome: dict[str, Any] = {}
    deep_enough = threading.Event()
    seen = [0]

    def watch(line: Any) -> None:
        seen[0] += line.get("kind") == "round"
        if seen[0] >= rounds:
            deep_enough.set()

    def work() -> None:
        try:
            outcome["answer"] = grid.run(long_study() if long else study(), progress=watch)
        except Exception as error:
            outcome["error"] = error

    runner = threading.Thread(target=work)
    runner.start()
    assert deep_enough.wait(30)
    disturb()
    runner.join(90)
    assert not runner.is_alive(), "the study did not end"
    if "error" in outcome:
        raise outcome["error"]
    return outcome["answer"]


@pytest.fixture(scope="module")
def undisturbed(running: tuple[LocalNetwork, RemoteGrid]) -> Any:
    return running[1].run(study())


def same(answer: Any, undisturbed: Any) -> None:
    assert {s.status for s in answer["fit"].sites} == {"answered"}
    assert answer["people"].output == undisturbed["people"].output
    assert answer["fit"].output == undisturbed["fit"].output


def answers_once(network: LocalNetwork) -> None:
    """Ledger, audit and the hub's replies agree: each site has answered each task once."""
    with sqlite3.connect(network.hub.path / "hub.sqlite") as database:
        twice = database.execute("select count(*) from (select 1 from replies group by task, site having count(*) > 1)")
        assert twice.fetchone()[0] == 0
    engine = network.hub.engine()
    assert check(Journal(engine).log()).ok
    engine.dispose()
    for site in SITES:
        with sqlite3.connect(network.node(site).state) as database:
            ledger = database.execute("select count(*) from answers").fetchone()[0]
            audit = database.execute("select count(*) from audit where entry like '%\"released\"%'").fetchone()[0]
            assert ledger == audit


def test_a_node_killed_in_the_middle_comes_back_and_answers(
    running: tuple[LocalNetwork, RemoteGrid], undisturbed: Any
) -> None:
    network, grid = running

    def disturb() -> None:
        network.kill("birch")
        network.start_node("birch")

    same(run_and(disturb, network, grid), undisturbed)
    answers_once(network)


def test_a_hub_killed_in_the_middle_comes_back_and_goes_on(
    running: tuple[LocalNetwork, RemoteGrid], undisturbed: Any
) -> None:
    network, grid = running

    def disturb() -> None:
        network.kill("hub")
        network.start_hub()

    same(run_and(disturb, network, grid), undisturbed)
    answers_once(network)


def test_hub_and_node_killed_together(running: tuple[LocalNetwork, RemoteGrid], undisturbed: Any) -> None:
    network, grid = running

    def disturb() -> None:
        network.kill("cedar")
        network.kill("hub")
        network.start_hub()
        network.start_node("cedar")

    same(run_and(disturb, network, grid), undisturbed)
    answers_once(network)


@pytest.mark.skipif(not hasattr(psutil.Process, "rlimit"), reason="limits of another process can be set on Linux only")
@pytest.mark.parametrize("who", ["hub", "ash"])
def test_a_full_disk_is_waited_out(running: tuple[LocalNetwork, RemoteGrid], undisturbed: Any, who: str) -> None:
    """The process may not make any file grow for three seconds, as if the disk were full; then there is room again."""
    network, grid = running
    process = psutil.Process(network.processes[who].pid)
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)

    log = network.folder / f"{who}.log"

    def starve() -> None:
        # Room is left for the log alone, so that the process can still say what is wrong.
        process.rlimit(psutil.RLIMIT_FSIZE, (log.stat().st_size + 4096, resource.RLIM_INFINITY))

        def relieve() -> None:
            time.sleep(3)
            process.rlimit(psutil.RLIMIT_FSIZE, unlimited)

        threading.Thread(target=relieve).start()

    same(run_and(starve, network, grid, rounds=1, long=True), undisturbed)
    answers_once(network)
    said = log.read_text("utf-8")
    assert "cannot be written" in said or "cannot be used" in said or "cannot be stored" in said


def test_no_log_holds_a_value_of_anybody(running: tuple[LocalNetwork, RemoteGrid]) -> None:
    network, _ = running
    for path in Path(network.folder).glob("*.log"):
        assert "Traceback" not in path.read_text("utf-8"), path.name
