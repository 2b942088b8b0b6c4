"""One hub over a database, one node on a folder: a second one is refused, and a dead one is in nobody's way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from civicgrid.client.connect import RemoteGrid
from civicgrid.errors import ConfigError
from civicgrid.hub.home import HubHome
from civicgrid.lock import Lock
from faults.network import FaultyNetwork, free_port, same, study

pytestmark = pytest.mark.xdist_group("faults")


def second(kind: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "civicgrid", kind, "serve", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_second_hub_over_the_same_database_is_refused(
    network: FaultyNetwork, grid: RemoteGrid, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    """Also one from another folder, on another port: what counts is the database."""
    other = HubHome(tmp_path / "other")
    database = (network.hub.path / "hub.sqlite").absolute()
    changes = {"port": free_port(), "database": f"sqlite:///{database}"}
    other.create(network.hub.settings().model_copy(update=changes))
    for folder in (network.hub.path, other.path):
        done = second("hub", folder)
        assert done.returncode == 1
        assert "A hub is running over this database already. Stop it first" in done.stderr
        assert f"process {network.processes['hub'].pid}." in done.stderr
        assert "Traceback" not in done.stderr
    same(grid.run(study()), undisturbed["trial"])


def test_a_second_node_on_the_same_folder_is_refused(
    network: FaultyNetwork, grid: RemoteGrid, undisturbed: dict[str, Any]
) -> None:
    done = second("node", network.node("ash").path)
    assert done.returncode == 1
    assert f"already. Stop it first. It is process {network.processes['ash'].pid}." in done.stderr
    assert "Traceback" not in done.stderr
    same(grid.run(study()), undisturbed["trial"])


def test_nothing_is_in_the_way_after_a_kill(
    network: FaultyNetwork, grid: RemoteGrid, undisturbed: dict[str, Any]
) -> None:
    for who in ("hub", "ash"):
        network.kill(who)
        network.launch(who)
    network.wait_connected(grid, ("ash", "birch", "cedar"))
    same(grid.run(study()), undisturbed["trial"])


def test_a_lock_is_held_by_one_and_let_go_of(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_text("what a dead process left\n")
    lock = Lock(path, "Somebody has it.")
    with pytest.raises(ConfigError, match=r"^Somebody has it\. It is process \d+\.$"):
        Lock(path, "Somebody has it.")
    lock.release()
    Lock(path, "Somebody has it.").release()


def test_a_lock_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be opened"):
        Lock(tmp_path / "nowhere" / "lock", "Somebody has it.")
