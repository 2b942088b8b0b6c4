"""What comes of bad input on a running network: an error that says what to do, nothing stored, nothing lost."""

from __future__ import annotations

import json
import secrets
import sqlite3

import httpx2
import pytest

import civicgrid as cg
from civicgrid.cli.local import PROJECT, LocalNetwork
from civicgrid.client.connect import RemoteGrid, connect
from civicgrid.client.results import NoAnswer
from civicgrid.errors import CivicGridError, PlanError, TrustError, WireError
from civicgrid.methods.plan import read_plan
from civicgrid.query.types import INT, Column, Schema
from civicgrid.transport import Connection
from civicgrid.trust.envelope import Envelope
from civicgrid.trust.keys import SigningKey
from civicgrid.trust.requests import sign
from civicgrid.wire import STUDY, Exchange, Frame, StudyRequest
from integration.conftest import SIZES, people, rounded

pytestmark = pytest.mark.xdist_group("network")


def counts(network: LocalNetwork) -> tuple[int, int, int]:
    """How many runs, tasks and replies the hub has stored."""
    with sqlite3.connect(network.hub.path / "hub.sqlite") as database:
        return tuple(database.execute(f"select count(*) from {t}").fetchone()[0] for t in ("runs", "tasks", "replies"))  # type: ignore[return-value]


def request(network: LocalNetwork, grid: RemoteGrid, **changes: object) -> StudyRequest:
    fields = {
        "network": network.name,
        "project": PROJECT,
        "person": network.researcher.public,
        "plan": grid.plan(cg.Count(cg.dataset("trial"))),
        "nonce": secrets.token_hex(16),
    }
    return StudyRequest(**(fields | changes))


def test_an_unknown_column_names_those_there_are(grid: RemoteGrid) -> None:
    with pytest.raises(PlanError, match=r"has no column 'wieght'.*It has: age, died"):
        grid.run(cg.GLM(cg.dataset("trial"), outcome="died", predictors=["wieght"], family="binomial"))


def test_a_data_set_that_nobody_has_names_those_there_are(grid: RemoteGrid) -> None:
    with pytest.raises(CivicGridError, match=r"called 'tril'. It has: .*trial"):
        grid.run(cg.Count(cg.dataset("tril")))


def test_an_unknown_data_set_in_a_complete_plan_is_refused_by_the_hub(grid: RemoteGrid, network: LocalNetwork) -> None:
    before = counts(network)
    gone = cg.cdm("elsewhere")
    with pytest.raises(WireError, match=r"No site of local holds a data set called 'elsewhere'. There is: .*trial"):
        grid.run(cg.Count(cg.cohort(gi_everyone(gone))))
    assert counts(network) == before


def gi_everyone(handle: object) -> object:
    return handle.everyone  # type: ignore[attr-defined]


def test_a_column_described_otherwise_at_the_sites_is_refused_with_a_code(grid: RemoteGrid) -> None:
    wrong = Schema(columns=(Column(name="died", type=INT), Column(name="height", type=INT)))
    with pytest.raises(NoAnswer, match="does not hold what the plan asks for"):
        grid.run(cg.Count(cg.cohort(cg.dataset("trial", wrong)["height"] > 1)))


def test_a_plan_of_a_later_version_says_to_update(network: LocalNetwork, grid: RemoteGrid) -> None:
    asked = request(network, grid).to_data()
    asked["plan"]["format"] = 2
    with pytest.raises(PlanError, match=r"format 2; this version of Civic Grid reads up to format 1. Update it"):
        read_plan(json.dumps(asked["plan"]))
    before = counts(network)
    study = Envelope.sign(STUDY, json.dumps(asked).encode(), network.researcher)
    with pytest.raises(WireError, match="format 2"):
        grid.connection.post("/api/studies", study.canonical(), "application/json")
    assert counts(network) == before


def test_a_tampered_message_is_refused_and_nothing_is_stored(network: LocalNetwork, grid: RemoteGrid) -> None:
    body = request(network, grid).signed(network.researcher).canonical()
    url = f"{network.address}/api/studies"
    headers = sign("POST", url, body, network.researcher, network.researcher.public)
    before = counts(network)
    answer = httpx2.post(url, content=body.replace(b"payload", b"paylaod"), headers=headers)
    assert answer.status_code == 401
    assert "signature does not hold" in answer.json()["error"]
    assert counts(network) == before


def test_a_replayed_message_is_refused_and_counts_once(network: LocalNetwork, grid: RemoteGrid) -> None:
    body = request(network, grid).signed(network.researcher).canonical()
    url = f"{network.address}/api/studies"
    headers = sign("POST", url, body, network.researcher, network.researcher.public)
    first = httpx2.post(url, content=body, headers=headers)
    assert first.status_code == 200
    again = httpx2.post(url, content=body, headers=headers)
    assert again.status_code == 400
    assert "before" in again.json()["error"] or "twice" in again.json()["error"]
    resent = json.loads(grid.connection.post("/api/studies", body, "application/json"))
    run = first.json()["run"]
    assert resent["run"] == run, "the same signed study is one run"
    while json.loads(grid.connection.get(f"/api/studies/{run}?wait=5"))["state"] == "running":
        continue


def test_a_study_signed_by_somebody_else_is_refused(network: LocalNetwork, grid: RemoteGrid) -> None:
    stranger = SigningKey.generate()
    study = Envelope.sign(STUDY, request(network, grid).canonical(), stranger)
    with pytest.raises(TrustError):
        grid.connection.post("/api/studies", study.canonical(), "application/json")


def test_a_person_whom_the_hub_does_not_know_is_told_what_to_do(network: LocalNetwork, grid: RemoteGrid) -> None:
    with pytest.raises(TrustError, match="No key is registered here"):
        connect(network.address, key=SigningKey.generate(), project=PROJECT)


def test_a_node_with_an_unknown_key_is_turned_away(network: LocalNetwork, grid: RemoteGrid) -> None:
    with (
        Connection(network.address, SigningKey.generate()) as stranger,
        pytest.raises(TrustError, match="Ask the hub's operator to admit your site or you"),
    ):
        stranger.post("/node/exchange", Frame(Exchange(session="x", wait=0)).to_bytes())


def test_a_second_process_of_one_node_is_turned_away(network: LocalNetwork, grid: RemoteGrid) -> None:
    home = network.node("oxford")
    with (
        Connection(network.address, home.signing()) as second,
        pytest.raises(TrustError, match="Another process of this node"),
    ):
        second.post("/node/exchange", Frame(Exchange(session="another", wait=0)).to_bytes())


def test_a_clock_that_is_off_is_told_by_how_much(network: LocalNetwork, grid: RemoteGrid) -> None:
    import time

    url = f"{network.address}/api/network"
    headers = sign("GET", url, b"", network.researcher, network.researcher.public, now=time.time() + 3600)
    answer = httpx2.get(url, headers=headers)
    assert answer.status_code == 400
    assert "3600 seconds ahead" in answer.json()["error"] or "3599 seconds ahead" in answer.json()["error"]


@pytest.mark.parametrize("body", [b"", b"\x00", b"{}", b"[" * 10_000, b'{"payload":1}', b"\xc1" * 100])
def test_bytes_that_are_no_message_get_a_sentence_not_a_traceback(
    network: LocalNetwork, grid: RemoteGrid, body: bytes
) -> None:
    before = counts(network)
    for path in ("/api/studies", "/node/hello", "/node/exchange"):
        key = network.researcher if path.startswith("/api") else network.node("oxford").signing()
        url = network.address + path
        answer = httpx2.post(url, content=body, headers=sign("POST", url, body, key, key.public))
        assert 400 <= answer.status_code < 500, path
        assert "Traceback" not in answer.text
        assert answer.json()["error"]
    assert counts(network) == before


def test_a_site_that_answers_too_late_is_named_and_its_late_answer_counts_nowhere(
    network: LocalNetwork, grid: RemoteGrid
) -> None:
    import os
    import signal

    process = network.processes["scotland"]
    os.kill(process.pid, signal.SIGSTOP)
    try:
        result = grid.run(cg.Count(cg.dataset("late")))
    finally:
        os.kill(process.pid, signal.SIGCONT)
    assert {s.site: s.status for s in result.sites}["scotland"] == "offline"
    assert people(result) == rounded(sum(size for site, size in SIZES.items() if site != "scotland"))
    network.wait_connected(grid, ["scotland"])
    young = cg.cohort(grid.dataset("late")["age"] < 33)
    again = grid.run(cg.Count(young), sites=["cambridge", "london", "midlands", "scotland"])
    assert people(again) == 4 * 30


def test_the_same_people_under_another_list_of_sites_are_not_answered_for(grid: RemoteGrid) -> None:
    """The small site's part would be the difference: docs/decisions/rosters.md."""
    whole = grid.run(cg.Count(cg.dataset("lists")))
    assert people(whole) == rounded(sum(SIZES.values()))
    with pytest.raises(NoAnswer, match="Held back by disclosure control"):
        grid.run(cg.Count(cg.dataset("lists")), sites=[site for site in SIZES if site != "wales"])
