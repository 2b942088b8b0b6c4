"""A disk that is full in the middle of a study, at the hub and at a node: waited out, and nothing is lost."""

from __future__ import annotations

import resource
from typing import Any

import psutil
import pytest

from civicgrid.client.connect import RemoteGrid
from faults.network import FaultyNetwork, Running, same, study

pytestmark = [
    pytest.mark.xdist_group("faults"),
    pytest.mark.skipif(
        not hasattr(psutil.Process, "rlimit"), reason="limits of another process can be set on Linux only"
    ),
]
SAYS = ("cannot be written", "cannot be used", "cannot be stored", "disk full")
ROOM_TO_SAY_SO = 16_384


@pytest.mark.parametrize("who", ["hub", "ash"])
def test_a_full_disk_is_waited_out(
    who: str, network: FaultyNetwork, grid: RemoteGrid, undisturbed: dict[str, Any]
) -> None:
    """No file of the process may grow, as if the disk were full, until it has said so; then there is room again."""
    process = psutil.Process(network.processes[who].pid)
    log = network.folder / f"{who}.log"
    before = log.stat().st_size
    running = Running(grid, study(counts=45))
    assert running.deep.wait(30)
    # Room is left for the log alone, so that the process can still say what is wrong.
    process.rlimit(psutil.RLIMIT_FSIZE, (before + ROOM_TO_SAY_SO, resource.RLIM_INFINITY))
    try:
        network.until(
            lambda: any(words in network.said(who)[before:] for words in SAYS), "nobody said that the disk was full"
        )
    finally:
        process.rlimit(psutil.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    same(running.answer(), undisturbed["trial"])
