"""kill -9 at every durable write: the study ends with the same answer, each share counted once, all logs in agreement.

The process ends by itself, at the write it was told of; it is started again, to die right after that write when it comes to
it anew, and started once more. `network` checks after each test that nothing is amiss.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from civicgrid.client.connect import RemoteGrid
from civicgrid.node.state import State
from civicgrid.node.witness import faults, seen
from civicgrid.transport import Unreachable
from faults import test_page_kills
from faults.network import SITES, FaultyNetwork, Running, same, stopped, study
from faults.writes import durable_writes
from unit.governance.entries import EXAMPLES

pytestmark = pytest.mark.xdist_group("faults")

# Which writes each test below dies at. While a study runs, with the data set asked of and which of its writes it is:
STUDYING = {
    ("node", "accepted"): ("trial", 1),
    ("node", "epoch"): ("fresh", 1),
    ("node", "signed"): ("trial", 1),
    ("node", "released"): ("trial", 3),
    ("node", "refused"): ("closed", 1),
    ("hub", "submitted"): ("trial", 1),
    ("hub", "asked"): ("trial", 3),
    ("hub", "ended"): ("trial", 1),
}
HANGING = [("hub", "answered")]
STARTING = [("hub", "schema"), ("nonces", "floor"), ("nonces", "boot")]
HEARING = [("nonces", "mark"), ("nonces", "pruned"), ("nonces", "seen")]
LEAVING = [("nonces", "closed")]
GREETED = [("hub", "hello")]
RESTORED = [("node", "resent")]
ON_PAGES = [("hub", write) for write in test_page_kills.WRITES]
WITNESSED = [("hub", "checkpoint"), ("node", "witnessed"), ("hub", "cosigned")]
REFUSED = [("node", "register-refused")]
EVERY = [STUDYING, HANGING, STARTING, HEARING, LEAVING, GREETED, RESTORED, ON_PAGES, WITNESSED, REFUSED]


def test_every_durable_write_has_a_name_and_is_died_at() -> None:
    found = durable_writes()
    assert not found.faults
    tested = {write for writes in EVERY for write in writes}
    assert set(found.named) - tested == set(), "a durable write that no test dies at"
    assert tested - set(found.named) == set(), "a write that is not there any more"


def named(write: tuple[str, str]) -> str:
    return "-".join(write)


@pytest.mark.parametrize("write", STUDYING, ids=named)
def test_in_the_middle_of_a_study(
    write: tuple[str, str], network: FaultyNetwork, grid: RemoteGrid, undisturbed: dict[str, Any]
) -> None:
    dataset, times = STUDYING[write]
    who = "birch" if write[0] == "node" else "hub"
    network.replace(who, f"{write[0]} {write[1]} before {times}")
    network.wait_connected(grid, SITES)
    running = Running(grid, study(dataset))
    network.died(who)
    network.launch(who, f"{write[0]} {write[1]} after 1")
    network.died(who)
    network.launch(who)
    same(running.answer(), undisturbed[dataset])


def test_the_hub_while_it_waits_for_a_node_that_hangs(
    network: FaultyNetwork, grid: RemoteGrid, undisturbed: dict[str, Any]
) -> None:
    """The replies that have come are stored without waiting for the last one."""
    network.replace("hub", "hub answered before 1")
    network.wait_connected(grid, SITES)
    with stopped(network, "cedar"):
        running = Running(grid, study())
        network.died("hub")
        network.launch("hub", "hub answered after 1")
        network.died("hub")
        network.launch("hub")
    same(running.answer(), undisturbed["trial"])


def test_the_hub_as_it_starts_hears_the_first_message_and_leaves(
    network: FaultyNetwork, grid: RemoteGrid, undisturbed: dict[str, Any]
) -> None:
    """One death after another, with nothing put right in between."""
    network.kill("hub")
    for program, write in (*STARTING, *HEARING, *LEAVING):
        for side in ("before", "after"):
            if write == "mark":
                # What is flushed about every ten seconds is flushed at once where there is no file yet.
                for path in network.hub.path.glob("nonces.sqlite*"):
                    path.unlink()
            network.launch("hub", f"{program} {write} {side} 1")
            if (program, write) in LEAVING:
                network.until(lambda: heard(grid), "the hub did not answer")
                network.processes["hub"].terminate()
            network.died("hub", meanwhile=lambda: heard(grid))
    network.launch("hub")
    network.wait_connected(grid, SITES)
    same(grid.run(study()), undisturbed["trial"])


def heard(grid: RemoteGrid) -> bool:
    """Whether a signed message gets an answer."""
    try:
        return bool(grid.sites())
    except Unreachable:
        return False


def test_the_hub_as_nodes_come_back(network: FaultyNetwork, grid: RemoteGrid, undisturbed: dict[str, Any]) -> None:
    network.kill("hub")
    for side in ("before", "after"):
        network.launch("hub", f"hub hello {side} 1")
        network.died("hub")
    network.launch("hub")
    network.wait_connected(grid, SITES)
    same(grid.run(study()), undisturbed["trial"])


def test_a_hub_from_a_backup_asks_again_and_gets_the_same_bytes(
    network: FaultyNetwork, grid: RemoteGrid, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    """A hub that has forgotten what it was told is told the same; the node that tells it again dies at that, too."""
    network.replace("hub", "hub asked before 4")
    network.wait_connected(grid, SITES)
    running = Running(grid, study())
    network.died("hub")
    for path in network.hub.path.glob("hub.sqlite*"):
        shutil.copy(path, tmp_path)
    network.launch("hub")
    first = running.answer()
    same(first, undisturbed["trial"])
    network.kill("hub")
    for path in network.hub.path.glob("hub.sqlite*"):
        path.unlink()
    for path in tmp_path.glob("hub.sqlite*"):
        shutil.copy(path, network.hub.path)
    network.replace("birch", "node resent before 1")
    network.launch("hub")
    network.died("birch")
    network.launch("birch", "node resent after 1")
    network.died("birch")
    network.launch("birch")
    network.wait_connected(grid, SITES)
    again: dict[str, Any] = {}

    def ended() -> bool:
        again.update(json.loads(grid.connection.get(f"/api/studies/{first.run}")))
        return bool(again["state"] != "running")

    network.until(ended, "the run did not end a second time")
    by_name = {analysis["name"]: analysis for analysis in again["result"]["analyses"]}
    assert by_name["fit"]["output"] == first["fit"].output.to_data()


def grow(network: FaultyNetwork) -> int:
    """One more entry on the register; how many there are."""
    engine = network.hub.engine()
    register = network.hub.register(engine)
    with engine.begin() as connection:
        register.append(connection, EXAMPLES[:1], time.time())
    size = register.size()
    engine.dispose()
    return size


def seen_at(network: FaultyNetwork, site: str) -> tuple[int, int]:
    """How many entries a site's node has witnessed, and how many registers it has refused."""
    state = State(network.node(site).state)
    last, refused = seen(state), len(faults(state))
    state.close()
    return last.size if last else -1, refused


@pytest.mark.parametrize("write", WITNESSED, ids=named)
def test_the_register_as_nodes_witness_it(
    write: tuple[str, str], network: FaultyNetwork, grid: RemoteGrid, undisturbed: dict[str, Any]
) -> None:
    """Whoever dies at it: no node signs two registers of one size, and whoever comes back has signed the newest."""
    who = "birch" if write[0] == "node" else "hub"
    network.kill(who)
    for side in ("before", "after"):
        size = grow(network)
        network.launch(who, f"{write[0]} {write[1]} {side} 1")
        network.died(who)
    network.launch(who)
    back = SITES if who == "hub" else (who,)
    network.until(lambda: all(seen_at(network, site) == (size, 0) for site in back), "not all have seen the register")
    network.wait_connected(grid, SITES)
    same(grid.run(study()), undisturbed["trial"])


def test_a_node_as_it_refuses_a_register_that_was_cut(
    network: FaultyNetwork, grid: RemoteGrid, undisturbed: dict[str, Any]
) -> None:
    """The refusal is written down whole, studies go on, and a register put right is witnessed again."""
    network.kill("hub")
    size = grow(network)
    network.launch("hub")
    network.until(lambda: seen_at(network, "birch")[0] == size, "the register was not witnessed")
    for who in ("birch", "hub"):
        network.kill(who)
    with sqlite3.connect(network.hub.path / "hub.sqlite") as database:
        database.execute("update register set size = size - 1")
        database.execute("delete from checkpoints where size = ?", (size,))
    network.launch("hub")
    for side in ("before", "after"):
        network.launch("birch", f"node register-refused {side} 1")
        network.died("birch")
        assert seen_at(network, "birch") == (size, int(side == "after"))
    network.kill("hub")
    with sqlite3.connect(network.hub.path / "hub.sqlite") as database:
        database.execute("update register set size = size + 1")
    network.launch("hub")
    network.launch("birch")
    network.wait_connected(grid, SITES)
    same(grid.run(study()), undisturbed["trial"])
    assert seen_at(network, "birch") == (size, 1)


@pytest.mark.parametrize(
    ("hub", "nodes"),
    [
        ("hub answered before 1", {"birch": "node accepted after 1"}),
        ("hub answered after 1", {"birch": "node accepted before 1"}),
        ("hub answered before 1", {"birch": "node accepted before 1", "cedar": "node accepted after 1"}),
    ],
    ids=["before-after", "after-before", "two-nodes"],
)
def test_hub_and_nodes_together(
    hub: str, nodes: dict[str, str], network: FaultyNetwork, grid: RemoteGrid, undisturbed: dict[str, Any]
) -> None:
    for who, point in {"hub": hub, **nodes}.items():
        network.replace(who, point)
    network.wait_connected(grid, SITES)
    running = Running(grid, study())
    for who in ("hub", *nodes):
        network.died(who)
    for who in (*nodes, "hub"):
        network.launch(who)
    same(running.answer(), undisturbed["trial"])
