"""A hub's operator who means to rewrite history, with the database, the keys and the programs all in hand.

Real hub, real HTTP; the operator works in the database file. What is found out is found by those who are not the operator:
`civicgrid register verify`, run as its own process, and the nodes that witness.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from civicgrid.canonical import dumps
from civicgrid.cli import app
from civicgrid.config import NodeSettings
from civicgrid.errors import CivicGridError
from civicgrid.governance.register import moment
from civicgrid.hub.register import position
from civicgrid.node.home import Home
from civicgrid.node.service import Service
from civicgrid.node.witness import faults, seen
from civicgrid.trust.keys import SigningKey
from civicgrid.trust.merkle import Memory, leaf_hash
from unit.governance.entries import APPLICATION, APPROVED, EXAMPLES, REFUSED
from unit.hub.serving import NETWORK, Served, served

pytestmark = pytest.mark.xdist_group("register")
DAY = 86_400
BEGAN = 1_795_000_000


@dataclass
class Operator:
    """The hub, and what its operator does in the database."""

    hub: Served
    folder: Path

    @property
    def database(self) -> sqlite3.Connection:
        return sqlite3.connect(self.hub.home.path / "hub.sqlite", timeout=30)

    def add(self, *entries: object, now: float = BEGAN) -> None:
        """As the hub itself adds entries."""
        engine = self.hub.home.engine()
        with engine.begin() as connection:
            self.hub.home.register(engine).append(connection, entries, now)  # type: ignore[arg-type]
        engine.dispose()

    def texts(self) -> list[str]:
        with self.database as database:
            return [row[0] for row in database.execute("select leaf from register_entries order by entry")]

    def rewrite(self, texts: list[str], *, tree: bool, checkpoints: bool = True) -> None:
        """Put these entries in the place of all there are; with `tree`, and a tree over them that agrees."""
        with self.database as database:
            database.execute("delete from register_entries")
            database.executemany("insert into register_entries values (?, ?)", list(enumerate(texts)))
            if tree:
                nodes = Memory()
                for text in texts:
                    nodes.append(leaf_hash(text.encode()))
                database.execute("delete from register_nodes")
                rows = [(position(place), value) for place, value in nodes.items()]
                database.executemany("insert into register_nodes values (?, ?)", rows)
                database.execute("update register set size = ?", (len(texts),))
            if checkpoints:
                # The hub signs anew when it is asked.
                database.execute("delete from checkpoints")

    def changed(self, number: int, **changes: object) -> list[str]:
        """The entries, one of them changed."""
        texts = self.texts()
        leaf = json.loads(texts[number])
        leaf["entry"] |= changes
        texts[number] = dumps(leaf).decode()
        return texts

    def verify(self, *arguments: str) -> tuple[int, str]:
        """What somebody who runs `civicgrid register verify` reads, and the exit code."""
        done = CliRunner().invoke(app, ["register", "verify", self.hub.address, *arguments])
        assert done.exception is None or isinstance(done.exception, SystemExit | CivicGridError), done.exception
        return done.exit_code, f"{done.output}{done.exception or ''}"

    @property
    def kept(self) -> Path:
        """Where a citizen keeps what they saw."""
        return self.folder / "seen.json"

    def remember(self) -> None:
        code, words = self.verify("--remember", str(self.kept))
        assert code == 0, words


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[Operator]:
    with served(tmp_path) as hub:
        made = Operator(hub, tmp_path)
        made.add(*EXAMPLES, REFUSED)
        yield made


@pytest.fixture
def node(operator: Operator) -> Iterator[Service]:
    """A node of the site york, which has looked at the register once."""
    home = Home(operator.folder / "york")
    home.create(
        NodeSettings(
            network=NETWORK, site="york", organisation="York", hub=operator.hub.address,
            hub_key=operator.hub.home.key().public,
        )
    )  # fmt: skip
    (home.path / "keys" / "signing.pem").unlink()
    operator.hub.sites["york"].save(home.path / "keys" / "signing.pem")
    service = Service(home)
    service.witness.look()
    yield service
    service.connection.close()
    service.state.close()
    service.store.close()
    service.lock.release()


LAST = len(EXAMPLES)

# --- an honest operator ------------------------------------------------------------------------------------------------


def test_an_honest_register_holds(operator: Operator, node: Service) -> None:
    log = operator.hub.ask("GET", "/register/log").json()
    witness = log["witnesses"][0]["key"]
    keys = ("--key", log["key"], "--witness", witness, "--remember", str(operator.kept))
    code, words = operator.verify(*keys, "--entry", "4")
    assert code == 0, words
    assert f"Holds: The first {LAST + 1} entries give the tree head that was signed." in words
    assert f"Holds: The first {LAST + 1} entries are those of {log['origin']}/york" in words
    assert 'Holds: Entry 4 is in the register: {"body": "York Hospital"' in words
    operator.add(APPLICATION, now=time.time())
    node.witness.look()
    code, words = operator.verify(*keys)
    assert code == 0, words
    assert f"Holds: The first {LAST + 1} entries are those of what was remembered" in words
    assert f"Holds: The first {LAST + 2} entries are those of {log['origin']}/york" in words
    assert "FAULT" not in words and "Not checked" not in words
    assert faults(node.state) == []
    hub_key = operator.hub.home.key().public
    assert operator.verify("--key", hub_key)[0] == 0
    assert operator.verify("--key", SigningKey.generate().public)[0] == 1
    command = [sys.executable, "-m", "civicgrid", "register", "verify", operator.hub.address]
    assert subprocess.run([*command, "--key", hub_key], capture_output=True, check=False).returncode == 0
    assert subprocess.run([*command, "--witness", log["key"]], capture_output=True, check=False).returncode == 1


def test_a_hub_s_own_folder_is_checked_too(operator: Operator) -> None:
    command = [sys.executable, "-m", "civicgrid", "register", "verify", str(operator.hub.home.path), "--entry", "2"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    operator.rewrite(operator.changed(4, reasons="None."), tree=False, checkpoints=False)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, "FAULT" in done.stdout) == (1, True)


# --- crude: found by anybody -------------------------------------------------------------------------------------------

CRUDE: dict[str, Callable[[Operator], list[str]]] = {
    "edits": lambda at: at.changed(4, outcome="approved"),
    "removes": lambda at: [text for number, text in enumerate(at.texts()) if number != 4],
    "removes the last": lambda at: at.texts()[:-1],
    "reorders": lambda at: [at.texts()[1], at.texts()[0], *at.texts()[2:]],
    "back-dates": lambda at: [*at.texts()[:-1], at.texts()[-1].replace(moment(BEGAN), moment(BEGAN - 30 * DAY))],
    "writes no JSON": lambda at: [*at.texts()[:-1], '"gone"'],
}


@pytest.mark.parametrize("done", CRUDE)
def test_entries_changed_and_the_tree_left_as_it_was(done: str, operator: Operator) -> None:
    before = operator.texts()
    operator.rewrite(CRUDE[done](operator), tree=False)
    assert operator.texts() != before
    code, words = operator.verify()
    assert code == 1 and "FAULT" in words, words


# --- careful, with a new tree and a new signature: found by whoever remembers -------------------------------------------

CAREFUL = CRUDE | {
    "rewrites a refusal": lambda at: at.changed(LAST, outcome="approved"),
    "begins anew": lambda at: at.texts()[:1],
}


@pytest.mark.parametrize("done", CAREFUL)
def test_a_register_written_anew_is_seen_by_who_remembers_and_by_the_witness(
    done: str, operator: Operator, node: Service, caplog: pytest.LogCaptureFixture
) -> None:
    operator.remember()
    operator.rewrite(CAREFUL[done](operator), tree=True)
    code, words = operator.verify("--remember", str(operator.kept))
    assert code == 1 and "FAULT" in words, words
    before = seen(node.state)
    with caplog.at_level(logging.WARNING):
        node.witness.look()
    assert "THE PUBLIC REGISTER WAS NOT COSIGNED" in caplog.text, operator.hub.log
    assert seen(node.state) == before, "the witness keeps what it saw"
    assert operator.hub.ask("GET", "/register/log").json()["witnesses"][0]["size"] == LAST + 1
    told = CliRunner().invoke(app, ["node", "status", str(node.home.path)]).output
    assert "PUBLIC REGISTER REFUSED" in told
    (found,) = faults(node.state)
    assert found.checkpoint in told, "the evidence: what the hub signed"
    # Whoever checks for the first time has the witness's word to go by: it is of another register than the one shown.
    code, words = operator.verify()
    assert code == 1 and "york" in words, words


def test_it_is_refused_again_and_written_down_once_until_the_site_has_dealt_with_it(
    operator: Operator, node: Service
) -> None:
    operator.rewrite(operator.changed(4, outcome="approved"), tree=True)
    node.witness.look()
    node.witness.look()
    assert len(faults(node.state)) == 1
    assert [line.action for line in node.state.log() if line].count("register.refused") == 1
    command = [sys.executable, "-m", "civicgrid", "node", "forget-register", str(node.home.path), "--yes"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    node.witness.look()
    assert faults(node.state) == []
    assert [line.action for line in node.state.log() if line].count("register.forgotten") == 1


def test_two_registers_for_two_readers(operator: Operator, node: Service) -> None:
    """The operator shows the public one register and the node another. Each alone holds; the witness's line tells."""
    operator.remember()
    shared = operator.texts()
    operator.add(REFUSED, now=time.time())
    node.witness.look()
    line = operator.database.execute("select line from cosignatures order by size desc").fetchone()[0]
    other = [*shared, operator.texts()[-1].replace("refused", "approved")]
    operator.rewrite(other, tree=True, checkpoints=False)
    with operator.database as database:
        database.execute("delete from checkpoints where size = ?", (len(other),))
    code, words = operator.verify("--remember", str(operator.kept))
    assert code == 1 and "york" in words, words
    with operator.database as database:
        database.execute("delete from cosignatures where line = ?", (line,))
    witness = operator.hub.ask("GET", "/register/log").json()["witnesses"][0]["key"]
    code, words = operator.verify("--witness", witness)
    # With the line gone, that witness vouches for the shared part alone: the reader sees how far, and when.
    assert code == 0 and f"The first {LAST + 1} entries are those of" in words
    node.witness.look()
    assert faults(node.state), "and the node is shown another register than before"


def test_a_new_entry_with_an_old_date(operator: Operator, node: Service) -> None:
    """Dated as if it had been there when others looked. The order of dates holds, and the register only grew."""
    operator.remember()
    operator.add(APPLICATION, now=BEGAN + DAY)
    node.witness.look()
    assert faults(node.state) == [], "heads and proofs alone do not show this"
    for arguments in ((), ("--remember", str(operator.kept))):
        code, words = operator.verify(*arguments)
        if arguments:
            assert code == 1 and f"FAULT: Entry {LAST + 1} is back-dated" in words, words
    # Once more, and the witness's own time, of before, tells whoever remembers nothing.
    operator.add(APPROVED, now=BEGAN + 2 * DAY)
    code, words = operator.verify()
    assert code == 1 and f"FAULT: Entry {LAST + 2} is back-dated" in words, words


def test_an_entry_with_a_date_to_come(operator: Operator, node: Service) -> None:
    operator.add(APPLICATION, now=time.time() + 30 * DAY)
    node.witness.look()
    code, words = operator.verify()
    assert code == 1 and f"FAULT: Entry {LAST + 1} is dated later than" in words, words


def test_keys_that_are_swapped(operator: Operator, node: Service) -> None:
    operator.remember()
    before = seen(node.state)
    (operator.hub.home.path / "register.pem").unlink()
    SigningKey.generate().save(operator.hub.home.path / "register.pem")
    operator.rewrite(operator.texts(), tree=True)
    other = served_again(operator)
    try:
        code, words = operator.verify("--remember", str(operator.kept))
        assert code == 1 and "another register" in words, words
        node.witness.look()
        assert seen(node.state) == before and faults(node.state)
    finally:
        other.terminate()
        other.wait()


def served_again(operator: Operator) -> subprocess.Popen[bytes]:
    """The hub, stopped and started again."""
    operator.hub.process.terminate()
    operator.hub.process.wait()
    with (operator.hub.home.path / "log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "civicgrid", "hub", "serve", str(operator.hub.home.path)], stdout=log, stderr=log
        )
    while True:
        try:
            operator.hub.connect().close()
            return process
        except OSError:
            assert process.poll() is None, operator.hub.log[-2000:]

