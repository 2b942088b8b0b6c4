"""Five hundred studies from eight researchers at once: the processes are no larger afterwards, and nothing is left open."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

import civicgrid as cg
from civicgrid.cli.local import PROJECT
from civicgrid.client.connect import RemoteGrid
from faults.network import SITES, FaultyNetwork, agree, same, study

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("soak")]

CLIENTS = 8
WARM_UP, STUDIES = 100, 500

# What a process may grow by between the hundredth study and the five hundredth: SQLite fills its page cache (2 MB), the
# allocator is uneven. A leak of a share or a table in each study would be more.
MEGABYTES = 8
HANDLES = 3


@dataclass(frozen=True)
class Size:
    """What a process holds."""

    megabytes: float
    handles: int
    threads: int


def size(network: FaultyNetwork, who: str) -> Size:
    process = psutil.Process(network.processes[who].pid)
    return Size(process.memory_info().rss / 1e6, process.num_fds(), process.num_threads())


@pytest.fixture
def soaked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[FaultyNetwork, RemoteGrid]]:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    with FaultyNetwork(tmp_path / "grid", reply_seconds=60, connected_seconds=30) as network:
        network.folder.mkdir()
        network.furnish()
        yield network, network.start(SITES)


def test_nothing_grows(soaked: tuple[FaultyNetwork, RemoteGrid], tmp_path: Path) -> None:
    network, grid = soaked
    expected = grid.run(study())
    researchers = [cg.connect(network.address, key=network.researcher, project=PROJECT) for _ in range(CLIENTS)]

    def one(number: int) -> Any:
        return researchers[number % CLIENTS].run(study())

    def files() -> set[str]:
        """Every file of the network and of its processes' own, but for the write-ahead logs of their databases."""
        found = [path for path in tmp_path.rglob("*") if path.is_file()]
        return {str(path.relative_to(tmp_path)) for path in found if not path.name.endswith(("-wal", "-shm"))}

    with ThreadPoolExecutor(CLIENTS) as pool:
        for answer in pool.map(one, range(WARM_UP)):
            same(answer, expected)
        before, there = {who: size(network, who) for who in network.processes}, files()
        for answer in pool.map(one, range(WARM_UP, STUDIES)):
            same(answer, expected)
    after = {who: size(network, who) for who in network.processes}
    print(*(f"{who}: {before[who]} -> {after[who]}" for who in before), sep="\n")
    for who, was in before.items():
        assert after[who].megabytes - was.megabytes < MEGABYTES, f"{who} has grown: {was} to {after[who]}"
        assert after[who].handles - was.handles <= HANDLES, f"{who} keeps files or connections open: {was} to {after[who]}"
        assert after[who].threads - was.threads <= HANDLES, f"{who} keeps threads: {was} to {after[who]}"
    assert files() == there, "files are left behind"
    agree(network)
    with sqlite3.connect(network.hub.path / "hub.sqlite") as database:
        ended = database.execute("select state, count(*) from runs group by state").fetchall()
    assert ended == [("finished", STUDIES + 1)]
