"""A Count, permitted, signed, masked, through a hub and node processes over real sockets; and the same after kills."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

import civicgrid as cg
from civicgrid.cli.local import LocalNetwork
from civicgrid.client.connect import RemoteGrid
from civicgrid.client.results import NoAnswer
from civicgrid.disclosure.codes import Code
from civicgrid.errors import CivicGridError
from civicgrid.node.state import State
from civicgrid.trust.chain import check
from integration.conftest import DATASETS, SITES, SIZES, TOTAL, people, rounded

pytestmark = pytest.mark.xdist_group("network")


def test_a_masked_count_is_the_pooled_count(grid: RemoteGrid) -> None:
    result = grid.run(cg.Count(cg.dataset("trial")))
    assert people(result) == rounded(TOTAL)
    assert result.mode == "masked"
    assert {site.site: site.status for site in result.sites} == dict.fromkeys(SITES, "answered")


def test_no_site_s_share_can_be_read_in_what_the_hub_stores(network: LocalNetwork, grid: RemoteGrid) -> None:
    grid.run(cg.Count(cg.dataset("trial")))
    with sqlite3.connect(network.hub.path / "hub.sqlite") as database:
        shares = [bytes(row[0]) for row in database.execute("select share from replies where length(share) > 0")]
    assert len(shares) >= len(SITES)
    limbs = [share[-16:] for share in shares]
    small = [limb for limb in limbs if int.from_bytes(limb, "little") < 2**64]
    assert not small, "an unmasked count would be a small number"


def test_audit_logs_hold_together_and_agree_with_the_ledger(network: LocalNetwork, grid: RemoteGrid) -> None:
    grid.run(cg.Count(cg.dataset("trial")))
    for site in SITES:
        state = State(network.node(site).state)
        lines = list(state.log())
        assert check(lines).ok
        released = [line for line in lines if line is not None and line.action == "released"]
        assert len(released) == state.connection.execute("select count(*) from answers").fetchone()[0]
        state.close()


def test_a_killed_hub_resumes_the_run(network: LocalNetwork, grid: RemoteGrid) -> None:
    seen = threading.Event()
    outcome: dict[str, object] = {}

    def run() -> None:
        outcome["result"] = grid.run(cg.Count(cg.dataset("trial")), progress=lambda line: seen.set())

    network.kill("wales")
    runner = threading.Thread(target=run)
    runner.start()
    assert seen.wait(10), "the run did not begin"
    network.kill("hub")
    network.start_node("wales")
    network.start_hub()
    runner.join(60)
    result = outcome["result"]
    assert people(result) == rounded(TOTAL)


def test_a_site_that_is_down_is_named_and_the_study_ends(network: LocalNetwork, grid: RemoteGrid) -> None:
    network.kill("london")
    try:
        # People of whom no other test asks: the same ones under another list of sites would rightly be refused.
        result = grid.run(cg.Count(cg.dataset("down")))
    finally:
        network.start_node("london")
    statuses = {site.site: site.status for site in result.sites}
    assert statuses.pop("london") == "offline"
    assert set(statuses.values()) == {"answered"}
    assert people(result) == rounded(sum(size for site, size in SIZES.items() if site != "london"))


def test_a_site_without_a_permit_refuses_with_a_code_and_nothing_else(network: LocalNetwork, grid: RemoteGrid) -> None:
    home = network.node("oxford")
    for digest, _ in home.permits():
        home.revoke_permit(digest)
    try:
        result = grid.run(cg.Count(cg.dataset("unpermitted")))
    finally:
        network.grant("oxford", list(DATASETS))
    refused = {site.site: site.code for site in result.sites if site.status == "refused"}
    assert refused == {"oxford": Code.NOT_PERMITTED}


def test_a_single_small_site_shows_nothing(grid: RemoteGrid) -> None:
    with pytest.raises(NoAnswer) as error:
        grid.run(cg.Count(cg.dataset("trial")), sites=["wales"])
    assert [site.status for site in error.value.sites] == ["suppressed"]


def test_a_data_set_that_nobody_has_is_an_error_that_names_those_there_are(grid: RemoteGrid) -> None:
    with pytest.raises(CivicGridError, match="trial"):
        grid.run(cg.Count(cg.dataset("tril")))


def test_files_are_where_the_operator_looks(network: LocalNetwork) -> None:
    for site in SITES:
        names = {path.name for path in Path(network.node(site).path).iterdir()}
        assert {"node.toml", "policy.toml", "custodians.keys", "peers.json", "permits", "keys", "data.duckdb"} <= names
