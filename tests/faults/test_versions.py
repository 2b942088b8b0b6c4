"""A hub or a node that comes back as a newer version: what was under way ends in words, and the next run works.

A newer version is the real program, started by a script that first changes what a new version would change.
"""

from __future__ import annotations

from typing import Any

import pytest

from civicgrid.client.connect import RemoteGrid
from civicgrid.disclosure.codes import Code
from civicgrid.errors import CivicGridError
from faults.network import SITES, FaultyNetwork, Running, same, study

pytestmark = pytest.mark.xdist_group("faults")

METHOD = "from civicgrid.methods import METHODS; METHODS['glm'].version = 99"

# A reply's next version: the older ones, which wait to be sent, cannot be read.
REPLY = """
import civicgrid.wire as wire
from civicgrid.errors import WireError
real = wire.read_reply
def read_reply(header):
    if b'"shared"' in header:
        raise WireError('This is not a valid reply: it is of an earlier version.')
    return real(header)
wire.read_reply = read_reply
"""

# A study's next version: what the hub stored of the run cannot be read.
STUDY = """
import civicgrid.wire as wire
def read_study(study):
    raise KeyError('a field that studies did not have then')
wire.read_study = read_study
"""


def restart(network: FaultyNetwork, *who: str, changed: str = "") -> None:
    for one in who:
        if one in network.processes:
            network.kill(one)
    for one in who:
        network.launch(one, changed=changed)


def test_a_hub_with_a_newer_method_ends_the_run_and_goes_on_when_the_nodes_follow(
    network: FaultyNetwork, grid: RemoteGrid, undisturbed: dict[str, Any]
) -> None:
    network.replace("hub", "hub asked before 5")
    network.wait_connected(grid, SITES)
    running = Running(grid, study())
    network.died("hub")
    restart(network, "hub", changed=METHOD)
    with pytest.raises(CivicGridError, match=r"begun by another version of the software. Run the study again\."):
        running.answer()
    network.wait_connected(grid, SITES)
    behind = grid.run(study())
    assert {site.code for site in behind["fit"].sites} == {Code.NOT_UNDERSTOOD}
    assert behind["people0"].output == undisturbed["trial"]["people0"].output
    restart(network, *SITES, changed=METHOD)
    network.wait_connected(grid, SITES)
    answer = grid.run(study())
    assert [site.status for site in answer["fit"].sites] == ["answered"] * 3
    assert answer["fit"].output.tables == undisturbed["trial"]["fit"].output.tables
    restart(network, "hub", *SITES)


def test_a_node_with_a_newer_method_refuses_in_words_and_the_others_go_on(
    network: FaultyNetwork, grid: RemoteGrid, undisturbed: dict[str, Any]
) -> None:
    network.replace("birch", "node released before 3")
    running = Running(grid, study())
    network.died("birch")
    restart(network, "birch", changed=METHOD)
    answer = running.answer()
    outcomes = {site.site: site for site in answer["fit"].sites}
    assert (outcomes["birch"].status, outcomes["birch"].code) == ("refused", Code.NOT_UNDERSTOOD)
    assert outcomes["birch"].words() == "The site cannot read this plan or method version. The site or you need an update."
    assert answer["people0"].output == undisturbed["trial"]["people0"].output
    restart(network, "birch")
    network.wait_connected(grid, SITES)
    same(grid.run(study()), undisturbed["trial"])


def test_a_reply_that_the_newer_node_cannot_read_becomes_a_refusal(
    network: FaultyNetwork, grid: RemoteGrid, undisturbed: dict[str, Any]
) -> None:
    network.replace("birch", "node released after 3")
    running = Running(grid, study())
    network.died("birch")
    restart(network, "birch", changed=REPLY)
    answer = running.answer()
    outcomes = {site.site: site for site in answer["fit"].sites}
    assert (outcomes["birch"].status, outcomes["birch"].code) == ("refused", Code.LATE)
    assert outcomes["birch"].words().endswith("Run it again.")
    restart(network, "birch")
    network.wait_connected(grid, SITES)
    same(grid.run(study()), undisturbed["trial"])


def test_a_hub_that_cannot_read_what_it_stored_starts_and_says_to_run_it_again(
    network: FaultyNetwork, grid: RemoteGrid, undisturbed: dict[str, Any]
) -> None:
    network.replace("hub", "hub asked before 3")
    network.wait_connected(grid, SITES)
    running = Running(grid, study())
    network.died("hub")
    restart(network, "hub", changed=STUDY)
    with pytest.raises(CivicGridError, match=r"Run the study again\."):
        running.answer()
    restart(network, "hub")
    network.wait_connected(grid, SITES)
    same(grid.run(study()), undisturbed["trial"])
