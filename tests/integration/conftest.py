"""One real network for the integration tests: a hub and six nodes as processes on loopback, with small made-up data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pytest

from civicgrid.cli.local import LocalNetwork
from civicgrid.client.connect import RemoteGrid

SIZES = {"cambridge": 301, "london": 220, "midlands": 150, "oxford": 97, "scotland": 44, "wales": 4}
TOTAL = sum(SIZES.values())
SITES = tuple(SIZES)


DATASETS = ("trial", "down", "unpermitted", "late", "lists")
"""Other people in each. A site holds answers about the same people against each other: what a test disturbs has its own."""


def frame(size: int, youngest: int = 0) -> pd.DataFrame:
    return pd.DataFrame({"age": range(youngest, youngest + size), "died": [i % 2 for i in range(size)]})


def people(result: Any) -> Any:
    """The published count."""
    return result.output.tables[0].rows[0][-1]


def rounded(value: int) -> int:
    return (value + 2) // 5 * 5


@dataclass
class Running:
    network: LocalNetwork
    grid: RemoteGrid


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with LocalNetwork(tmp_path_factory.mktemp("network"), reply_seconds=30, connected_seconds=10) as network:
        network.lay_out(SITES, list(DATASETS))
        for site, size in SIZES.items():
            for youngest, dataset in enumerate(DATASETS):
                network.load_table(site, frame(size, youngest), dataset)
        yield Running(network, network.start(SITES))


@pytest.fixture
def network(running: Running) -> LocalNetwork:
    return running.network


@pytest.fixture
def grid(running: Running) -> RemoteGrid:
    """The researcher's connection, once every node is connected again after whatever the last test did."""
    for site in SITES:
        if site not in running.network.processes:
            running.network.start_node(site)
    running.network.wait_connected(running.grid, SITES)
    return running.grid
