"""A line that is cut in either direction, held up, or carries messages twice, late and out of order; a node that hangs."""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import civicgrid as cg
from civicgrid.client.connect import RemoteGrid
from civicgrid.config import write_settings
from faults.network import SITES, FaultyNetwork, Running, agree, frame, free_port, same, stopped, study
from faults.wire import Message, Wire

pytestmark = pytest.mark.xdist_group("cuts")

REPLY_SECONDS = 40
ALONE = {"hang": 100, "cut": 200}


class WiredNetwork(FaultyNetwork):
    """Nodes and researcher reach the hub through a wire."""

    wire: Wire

    def furnish(self) -> None:
        self.wire = Wire(hub=free_port())
        self.port = self.wire.port
        super().furnish()
        settings = self.hub.settings().model_copy(update={"port": self.wire.hub, "address": self.address})
        write_settings(settings, self.hub.path / "hub.toml")
        for site in SITES:
            # People of whom nothing else is asked: the same ones under another list of sites may rightly be refused.
            for dataset, seed in ALONE.items():
                self.load_table(site, frame(seed), dataset)
            self.grant(site, ["trial", *ALONE])

    def key(self, site: str) -> str:
        return self.node(site).member().signing


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[WiredNetwork, RemoteGrid]]:
    folder = tmp_path_factory.mktemp("cuts")
    with WiredNetwork(folder, reply_seconds=REPLY_SECONDS, connected_seconds=REPLY_SECONDS) as network:
        network.furnish()
        for who in ("hub", *SITES):
            network.launch(who)
        network.until(lambda: "takes this node's messages" in network.said("cedar"), "the hub did not answer")
        grid = cg.connect(network.address, key=network.researcher, project="P-1")
        network.wait_connected(grid, SITES)
        yield network, grid
        network.stop()
        network.wire.close()


@pytest.fixture(scope="module")
def undisturbed(started: tuple[WiredNetwork, RemoteGrid]) -> dict[str, Any]:
    return {"trial": started[1].run(study())}


@pytest.fixture
def grid(started: tuple[WiredNetwork, RemoteGrid], undisturbed: dict[str, Any]) -> RemoteGrid:
    return started[1]


@pytest.fixture
def network(started: tuple[WiredNetwork, RemoteGrid], grid: RemoteGrid) -> Iterator[WiredNetwork]:
    network = started[0]
    network.well(grid)
    network.wire.seen.clear()
    network.wire.copies.clear()
    yield network
    network.wire.rule = lambda message: "pass"
    network.well(grid)
    agree(network)


def every(network: WiredNetwork, site: str, number: int, fate: str) -> Any:
    """A rule: this fate for every so manieth message of a site."""
    counter = itertools.count(1)
    key = network.key(site)

    def rule(message: Message) -> str:
        return fate if message.key == key and next(counter) % number == 0 else "pass"

    return rule


@pytest.mark.parametrize("fate", ["lost", "unanswered"])
def test_a_line_cut_again_and_again_in_the_middle_of_a_message(
    fate: str, network: WiredNetwork, grid: RemoteGrid, undisturbed: dict[str, Any]
) -> None:
    """The node cannot know whether its message came; it sends it again, and the share is counted once."""
    network.wire.rule = every(network, "birch", 3, fate)
    same(grid.run(study(counts=6)), undisturbed["trial"])
    assert network.said("birch").count("did not answer") >= 2


@pytest.mark.parametrize("fate", ["lost", "unanswered"])
def test_a_study_whose_submission_is_cut_off_is_one_run(
    fate: str, network: WiredNetwork, grid: RemoteGrid, undisturbed: dict[str, Any]
) -> None:
    def runs() -> int:
        with sqlite3.connect(network.hub.path / "hub.sqlite") as database:
            return int(database.execute("select count(*) from runs").fetchone()[0])

    before = runs()
    cut = iter([fate])
    network.wire.rule = lambda message: next(cut, "pass") if message.path == "/api/studies" else "pass"
    same(grid.run(study()), undisturbed["trial"])
    assert runs() == before + 1


@pytest.mark.parametrize("fate", ["twice", "copied first"])
def test_messages_that_come_twice_count_once(
    fate: str, network: WiredNetwork, grid: RemoteGrid, undisturbed: dict[str, Any]
) -> None:
    """The second of the two is refused by its nonce, be it the copy or the node's own, which then signs anew."""
    network.wire.rule = every(network, "birch", 4, fate)
    same(grid.run(study(counts=6)), undisturbed["trial"])
    if fate == "twice":
        network.until(lambda: bool(network.wire.copies), "no copy was answered")
        # A copy can overtake its original on a busy machine: then the node's own is the second.
        copies = [b" 400 " in answer and b"received before" in answer for answer in network.wire.copies]
        assert all(copies) or "This message has been received before" in network.said("birch")
    else:
        assert "This message has been received before" in network.said("birch")


def test_everything_said_in_one_study_said_again_in_the_next(
    network: WiredNetwork, grid: RemoteGrid, undisturbed: dict[str, Any]
) -> None:
    same(grid.run(study()), undisturbed["trial"])
    old = list(network.wire.seen)
    assert {message.key for message in old} >= {network.key(site) for site in SITES}
    running = Running(grid, study(counts=10))
    answers = [network.wire.deliver(message) for message in reversed(old)]
    same(running.answer(), undisturbed["trial"])
    assert all(b" 400 " in answer and b"received before" in answer for answer in answers)


def test_messages_that_arrive_late_and_out_of_order(
    network: WiredNetwork, grid: RemoteGrid, undisturbed: dict[str, Any]
) -> None:
    """Two messages never came, the node said all of it anew; then they come after all, the later one first."""
    kept: list[Message] = []
    counter = itertools.count(1)
    key = network.key("birch")

    def rule(message: Message) -> str:
        if message.key == key and message.path == "/node/exchange" and next(counter) in (3, 5):
            kept.append(message)
            return "lost"
        return "pass"

    network.wire.rule = rule
    running = Running(grid, study(counts=10), rounds=9)
    assert running.deep.wait(60)
    assert len(kept) == 2
    with ThreadPoolExecutor(2) as both:
        late = [both.submit(network.wire.deliver, message) for message in reversed(kept)]
        same(running.answer(), undisturbed["trial"])
        # They are the node's own words, said once: heard, and nothing in them counts again.
        assert [answer.result().split(b" ", 2)[1] for answer in late] == [b"200", b"200"]


def test_a_line_held_up_in_both_directions(
    network: WiredNetwork, grid: RemoteGrid, undisturbed: dict[str, Any]
) -> None:
    running = Running(grid, study(counts=10), rounds=3)
    assert running.deep.wait(60)
    network.wire.hold(network.key("birch"))
    # The others have answered and the hub waits for one site: nothing happens any more.
    network.until(lambda: waits_for_birch(network), "the round did not come to wait for one site")
    network.wire.release()
    same(running.answer(), undisturbed["trial"])


def waits_for_birch(network: WiredNetwork) -> bool:
    with sqlite3.connect(network.hub.path / "hub.sqlite") as database:
        last = database.execute("select digest from tasks order by at desc limit 1").fetchone()[0]
        answered = database.execute("select site from replies where task = ?", (last,)).fetchall()
    return {site for (site,) in answered} == {"ash", "cedar"}


def test_a_cut_that_lasts_is_named_and_healed(
    network: WiredNetwork, grid: RemoteGrid, undisturbed: dict[str, Any]
) -> None:
    key = network.key("birch")
    running = Running(grid, study("cut", counts=10), rounds=3)
    assert running.deep.wait(60)
    network.wire.rule = lambda message: "lost" if message.key == key else "pass"
    network.wire.hold(key)
    answer = running.answer()
    network.wire.release()
    gone_in_the_middle(answer)
    network.wire.rule = lambda message: "pass"
    network.wait_connected(grid, SITES)
    same(grid.run(study()), undisturbed["trial"])


def test_a_node_that_hangs_is_named_and_its_late_reply_is_not_counted(
    network: WiredNetwork, grid: RemoteGrid, undisturbed: dict[str, Any]
) -> None:
    running = Running(grid, study("hang", counts=10), rounds=3)
    assert running.deep.wait(60)
    with stopped(network, "birch"):
        answer = running.answer()
    gone_in_the_middle(answer)
    network.wait_connected(grid, SITES)
    same(grid.run(study()), undisturbed["trial"])
    progress = json.loads(grid.connection.get(f"/api/studies/{answer.run}"))["progress"]
    lost = [line for line in progress if line["action"] == "lost"]
    assert [line["details"]["sites"] for line in lost] == [["birch"]]
    task = lost[0]["details"]["task"]
    assert not [
        line
        for line in progress
        if line["action"] == "answered" and line["details"]["task"] == task and "birch" in line["details"]["sites"]
    ]


def gone_in_the_middle(answer: Any) -> None:
    """The study ended; birch answered the first analyses, and is named as offline in the last."""
    assert {site.site: site.status for site in answer["people0"].sites} == dict.fromkeys(SITES, "answered")
    assert {site.site: site.status for site in answer["fit"].sites} == {
        "ash": "answered", "birch": "offline", "cedar": "answered",
    }  # fmt: skip
    assert answer["fit"].output.facts["people_used"] == 240


def test_no_log_holds_a_traceback(network: WiredNetwork) -> None:
    for path in sorted(Path(network.folder).glob("*.log")):
        assert "Traceback" not in path.read_text("utf-8"), path.name


