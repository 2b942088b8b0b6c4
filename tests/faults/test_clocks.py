"""A clock that is an hour off, at a node, the hub or a researcher's: refused with the offset, and over once it is right.

The programs are the real ones; a script before them has their clock follow a file.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest

from civicgrid import transport
from civicgrid.client.connect import RemoteGrid
from civicgrid.errors import WireError
from civicgrid.trust.requests import sign
from faults.network import SITES, FaultyNetwork, same, study

pytestmark = pytest.mark.xdist_group("faults")

HOUR = 3600


def clock(file: Path) -> str:
    return f"""
import time
import time
from pathlib import Path
right = time.time
time.time = lambda: right() + float(Path({str(file)!r}).read_text())
"""


@pytest.mark.parametrize(("offset", "words"), [(HOUR, "ahead of this one"), (-HOUR, "behind: set both clocks")])
def test_a_node_says_so_in_its_log_and_recovers(
    offset: int, words: str, network: FaultyNetwork, grid: RemoteGrid, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "clock").write_text(str(offset))
    before = len(network.said("birch"))
    network.kill("birch")
    network.launch("birch", changed=clock(tmp_path / "clock"))
    network.until(lambda: words in network.said("birch")[before:], "the node did not say that its clock is wrong")
    line = next(line for line in network.said("birch")[before:].splitlines() if words in line)
    assert re.search(r"clock is 3[56]\d\d seconds .*[Ss]et both clocks \(NTP\).* Trying again in", line)
    (tmp_path / "clock").write_text("0")
    network.until(lambda: greeted(network, before), "the node did not recover")
    same(grid.run(study()), undisturbed["trial"])
    network.replace("birch")


def greeted(network: FaultyNetwork, before: int) -> bool:
    return "takes this node's messages" in network.said("birch")[before:]


def test_a_hub_refuses_everybody_with_the_offset_and_all_come_back(
    network: FaultyNetwork, grid: RemoteGrid, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "clock").write_text(str(HOUR))
    network.kill("hub")
    network.launch("hub", changed=clock(tmp_path / "clock"))
    refused: list[str] = []

    def answered() -> bool:
        try:
            return bool(grid.sites())
        except transport.Unreachable:
            return False
        except WireError as error:
            refused.append(str(error))
            return True

    network.until(answered, "the hub did not answer")
    assert refused and "signed 36" in refused[0] and "seconds behind: set both clocks (NTP)" in refused[0]
    (tmp_path / "clock").write_text("0")
    network.wait_connected(grid, SITES)
    same(grid.run(study()), undisturbed["trial"])
    network.replace("hub")


@pytest.mark.parametrize(("offset", "words"), [(HOUR, "ahead of this one"), (-HOUR, "behind: set both clocks")])
def test_a_researcher_is_told_the_offset(
    offset: int, words: str, network: FaultyNetwork, grid: RemoteGrid, monkeypatch: pytest.MonkeyPatch, undisturbed: Any
) -> None:
    off = time.time() + offset
    with monkeypatch.context() as patch:
        patch.setattr(transport, "sign", lambda *arguments: sign(*arguments, now=off))
        with pytest.raises(WireError, match=rf"clock is 3[56]\d\d seconds {words}"):
            grid.run(study())
    same(grid.run(study()), undisturbed["trial"])
