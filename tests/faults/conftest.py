"""One real network for the faults: a hub and three nodes as processes on loopback, with small made-up data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from civicgrid.client.connect import RemoteGrid
from faults.network import SITES, FaultyNetwork, agree, study


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FaultyNetwork, RemoteGrid]]:
    with FaultyNetwork(tmp_path_factory.mktemp("faults"), reply_seconds=60, connected_seconds=30) as network:
        network.furnish()
        yield network, network.start(SITES)


@pytest.fixture(scope="session")
def undisturbed(started: tuple[FaultyNetwork, RemoteGrid]) -> dict[str, Any]:
    """What each study answers while nothing goes wrong."""
    answers = {dataset: started[1].run(study(dataset)) for dataset in ("trial", "closed")}
    # The same people under another name, of whom nothing has been asked yet.
    return {**answers, "fresh": answers["trial"]}


@pytest.fixture
def grid(started: tuple[FaultyNetwork, RemoteGrid], undisturbed: dict[str, Any]) -> RemoteGrid:
    return started[1]


@pytest.fixture
def network(started: tuple[FaultyNetwork, RemoteGrid], grid: RemoteGrid) -> Iterator[FaultyNetwork]:
    """The network, well before the test; and after it, whatever the test did, all that is written down must agree."""
    network = started[0]
    network.well(grid)
    yield network
    network.well(grid)
    agree(network)
