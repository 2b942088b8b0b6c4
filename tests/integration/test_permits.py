"""Permits where it counts: node processes that are running, a study under way, a hub's database that lies."""

from __future__ import annotations

import signal
import sqlite3
import threading
import time
from collections.abc import Callable

import pytest

import civicgrid as cg
from civicgrid.cli.local import LocalNetwork
from civicgrid.client.connect import RemoteGrid
from civicgrid.disclosure.codes import Code
from civicgrid.node.home import Home
from civicgrid.node.state import State
from integration.conftest import DATASETS, SIZES, people, rounded

pytestmark = pytest.mark.xdist_group("network")

# Every study here is of people who differ by ten or more at each site from those of any other test of this network: the
# release ledger would rightly hold a nearer one back.
LARGE = ["cambridge", "london", "midlands", "oxford"]


def until(true: Callable[[], bool]) -> None:
    """Wait for another process to have done something: its own files are the only event it gives."""
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


def accepted(home: Home) -> int:
    state = State(home.state)
    lines = [line for line in state.log() if line is not None and line.action == "accepted"]
    state.close()
    return len(lines)


def test_a_permit_revoked_while_a_study_runs_stops_its_next_round(network: LocalNetwork, grid: RemoteGrid) -> None:
    home, slow = network.node("oxford"), network.processes["cambridge"]
    before = accepted(home)
    outcome = {}

    def run() -> None:
        study = cg.Count(cg.cohort(grid.dataset("trial")["age"] >= 40))
        outcome["result"] = grid.run(study, sites=LARGE)

    # With one site stopped, the run stands between Oxford's word and the first round.
    slow.send_signal(signal.SIGSTOP)
    try:
        runner = threading.Thread(target=run)
        runner.start()
        until(lambda: accepted(home) > before)
        home.revoke_permit(home.permits()[0][0], "Stopped in the middle of a study.")
    finally:
        slow.send_signal(signal.SIGCONT)
    try:
        runner.join(60)
        result = outcome["result"]
    finally:
        network.grant("oxford", list(DATASETS))
    assert {site.site: site.code for site in result.sites if site.status == "refused"} == {"oxford": Code.NOT_PERMITTED}
    assert {site.site for site in result.sites if site.status == "answered"} == {*LARGE} - {"oxford"}
    assert people(result) == rounded(sum(SIZES[site] - 40 for site in LARGE if site != "oxford"))


def test_a_row_set_to_approved_in_the_hub_s_database_permits_nothing(network: LocalNetwork, grid: RemoteGrid) -> None:
    home = network.node("oxford")
    home.revoke_permit(home.permits()[0][0])
    try:
        with sqlite3.connect(network.hub.path / "hub.sqlite") as hub:
            hub.execute("create table permits (site text, project text, status text)")
            hub.execute("insert into permits values ('oxford', 'P-1', 'approved')")
            for table, column in hub.execute(
                "select m.name, c.name from sqlite_master m, pragma_table_info(m.name) c where m.type = 'table' "
                "and c.name in ('approved', 'permitted', 'permit')"
            ).fetchall():
                hub.execute(f'update "{table}" set "{column}" = 1')
        result = grid.run(cg.Count(cg.cohort(grid.dataset("trial")["age"] >= 55)), sites=LARGE)
        refused = {site.site: site.code for site in result.sites if site.status == "refused"}
        assert refused == {"oxford": Code.NOT_PERMITTED}
    finally:
        network.grant("oxford", list(DATASETS))
    # With a new permit of its own custodian it answers again.
    result = grid.run(cg.Count(cg.cohort(grid.dataset("trial")["age"] >= 70)), sites=LARGE)
    assert {site.status for site in result.sites} == {"answered"}
