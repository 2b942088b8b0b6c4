"""Secrets planted where they belong, and looked for everywhere else: in logs, answers, databases and what a program prints.

A private key's bytes, the values and the names of people, a message's nonce. A real network is taken through what succeeds
and what fails.
"""

from __future__ import annotations

import base64
import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pandas as pd
import pytest

import civicgrid as cg
from civicgrid.cli.local import LocalNetwork
from civicgrid.client.connect import RemoteGrid, connect
from civicgrid.curation.dictionary import Dictionary
from civicgrid.disclosure.codes import Code
from civicgrid.errors import CivicGridError
from civicgrid.methods import Count
from civicgrid.methods.method import Ask
from civicgrid.trust.requests import sign
from unit.node.sites import World, code, frame

pytestmark = pytest.mark.xdist_group("canaries")

SITES = ("hull", "leeds", "york")
PERSON = "Wilhelmina-Canary"
VALUE = "731991.8125"
LEVEL = "sarcoidosis-canary"
DICTIONARY = "name,type,levels,low,high\nnhs,person,,,\nage,int,,0,120\npay,float,,0,1000000\nsex,category,f|m,,\n"


def rows(size: int, site: str) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "nhs": [f"{PERSON}-{site}-{i}" for i in range(size)],
            "age": [20 + i % 60 for i in range(size)],
            "pay": [float(VALUE) if i == 7 else 20_000.0 + i for i in range(size)],
            "sex": ["f" if i % 2 else "m" for i in range(size)],
        }
    )


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNetwork]:
    folder = tmp_path_factory.mktemp("canaries")
    (folder / "dictionary.csv").write_text(DICTIONARY)
    with LocalNetwork(folder, reply_seconds=30, connected_seconds=10) as made:
        made.lay_out(SITES, ["trial"])
        for number, site in enumerate(SITES):
            made.load_table(site, rows(60 + number, site), "trial", Dictionary.read(folder / "dictionary.csv"))
        yield made


@pytest.fixture(scope="module")
def grid(network: LocalNetwork) -> RemoteGrid:
    return network.start(SITES)


def keys(network: LocalNetwork) -> list[bytes]:
    """Every private key of the network in the forms in which it might be written: PEM, base64, hexadecimal, raw."""
    found = []
    files = [*network.folder.rglob("*.pem"), *network.folder.rglob("ledger.key")]
    assert len(files) == 3 + 4 * len(SITES)
    for path in files:
        whole = path.read_bytes()
        inside = b"".join(whole.splitlines()[1:-1]) if path.suffix == ".pem" else base64.b64encode(whole)
        raw = base64.b64decode(inside)[-32:]
        found += [inside, raw, raw.hex().encode(), base64.b64encode(raw).rstrip(b"="), repr(raw)[2:-1].encode()]
    return found


def written(network: LocalNetwork) -> dict[str, bytes]:
    """Everything that was written down, but for the data and the keys themselves."""
    return {
        str(path.relative_to(network.folder)): path.read_bytes()
        for path in network.folder.rglob("*")
        if path.is_file() and path.suffix not in (".pem", ".key", ".duckdb") and not path.name.endswith(".duckdb.wal")
    }


def clean(where: str, text: bytes, secrets: list[bytes]) -> None:
    for secret in secrets:
        assert secret not in text, f"{where} holds a secret"


def test_nothing_that_is_written_or_answered_holds_a_secret(network: LocalNetwork, grid: RemoteGrid) -> None:
    secrets = [*keys(network), PERSON.encode(), VALUE.encode(), b"731991"]
    answers: list[str] = []
    trial = grid.dataset("trial")

    def told(what: object, **more: object) -> None:
        try:
            answers.append(str(grid.run(what, **more)))  # type: ignore[arg-type]
        except CivicGridError as error:
            answers.append(str(error))

    told(cg.Count(trial))
    told(cg.Describe(trial, columns=["age", "pay"], by="sex"))
    told(cg.GLM(trial, outcome="age", predictors=["sex"], family="gaussian"))
    assert len([answer for answer in answers if "sites answered" in answer]) == 3, answers
    told(cg.Count(cg.cohort(trial["pay"] > 731_000)))
    told(cg.Describe(cg.cohort(trial["pay"] > 731_000, pay=trial["pay"]), columns=["pay"]))
    told(cg.Count(cg.cohort((trial["age"] * 9_007_199_254_740_991) * 9_007_199_254_740_991 > 0)))
    told(cg.Count(cg.cohort(trial["age"] / (trial["age"] - trial["age"]) > 0)))
    told(cg.Count(cg.dataset("nothing")))
    told(cg.GLM(trial, outcome="pay", predictors=["age"], family="binomial"))
    with_no_permit = connect(network.address, key=network.researcher, project="P-99")
    with pytest.raises(CivicGridError) as refused:
        with_no_permit.run(cg.Count(cg.cohort(trial["age"] > 31)))
    answers.append(str(refused.value))
    clean("an answer", "\n".join(answers).encode(), secrets)

    nonces = []
    for body in (b"", b"{}", b'{"payload":"' + PERSON.encode() + b'"}', PERSON.encode(), b"\xff" + VALUE.encode()):
        for path in ("/api/studies", "/node/hello", "/node/exchange"):
            key = network.researcher if path.startswith("/api") else network.node("york").signing()
            url = network.address + path
            headers = sign("POST", url, body, key, key.public)
            nonces.append(re.search(r'nonce="([^"]+)"', headers["Signature-Input"]).group(1).encode())  # type: ignore[union-attr]
            for _ in range(2):
                answer = httpx2.post(url, content=body, headers=headers, trust_env=False)
                assert 400 <= answer.status_code < 500
                clean(f"the answer of {path}", answer.content + str(answer.headers).encode(), [*secrets, *nonces])
    for where, text in written(network).items():
        clean(where, text, [*secrets, *nonces])
    logs = b"".join((network.folder / f"{who}.log").read_bytes() for who in ("hub", *SITES))
    assert b"refused task" in logs, "the failures were logged"
    assert b"Traceback" not in logs


@pytest.mark.parametrize(
    ("csv", "words"),
    [
        (f"nhs,age,pay,sex\n{PERSON},30,{VALUE}x,f\n", "pay"),
        (f"nhs,age,pay,sex\n{PERSON},30,1,{LEVEL}\n", "sex"),
        (f"nhs,age,pay,sex\n{PERSON},{PERSON},1,f\n", "age"),
        (f"nhs,age,pay,sex\n{PERSON},30,1,f\n{PERSON},31,1,f\n", "nhs"),
        (f'nhs,age,pay,sex\n"{PERSON},30,1,f\n', ""),
        (f"nhs,age,pay,sex\n{PERSON},30,1,f,{LEVEL},{LEVEL}\n", ""),
    ],
)
def test_a_load_that_fails_says_where_and_quotes_nobody(
    network: LocalNetwork, tmp_path: Path, csv: str, words: str
) -> None:
    """As a site engineer runs it: a process of its own, with everything it prints."""
    (tmp_path / "bad.csv").write_text(csv)
    home = LocalNetwork(tmp_path / "net")
    home.lay_out(["hull"], ["trial"])
    done = subprocess.run(
        [sys.executable, "-m", "civicgrid", "node", "load", str(home.node("hull").path), str(tmp_path / "bad.csv")]
        + ["--dataset", "trial", "--dictionary", str(network.folder / "dictionary.csv")],
        capture_output=True,
        check=False,
        timeout=120,
    )
    printed = done.stdout + done.stderr
    assert words.encode() in printed
    assert b"Traceback" not in printed
    clean("what was printed", printed, [PERSON.encode(), VALUE.encode(), LEVEL.encode()])


def test_a_method_that_crashes_over_a_record_says_its_kind_and_place_alone(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(self: object, table: object, ask: object) -> None:
        raise ValueError(f"invalid literal for int(): {PERSON!r}")

    at = World({site: frame(60) for site in SITES})
    plan = at.plan(cg.Count(cg.dataset("trial")))
    enrolled = at.enrol(at.request(plan), list(at.sites))
    monkeypatch.setattr(Count, "site", crash)
    with caplog.at_level(logging.DEBUG):
        reply, share = at.tell("york", at.round(enrolled, Ask("another")))
    assert (code(reply), share) == (Code.FAILED, b"")
    assert "task failed: ValueError at" in caplog.text
    kept = json.dumps([str(line) for line in at.sites["york"].state.connection.iterdump()])
    assert PERSON not in caplog.text + reply.canonical().decode() + kept


def test_the_folders_of_hub_and_node_are_their_owner_s_alone(network: LocalNetwork) -> None:
    for folder in (network.hub.path, network.node("york").path, network.node("york").path / "keys"):
        assert folder.stat().st_mode & 0o077 == 0, folder
    for key in network.folder.rglob("*.pem"):
        assert key.stat().st_mode & 0o077 == 0, key
