"""The ledger's memory: by task, by the context of a mask, and by people; one with the transaction it stands in."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from civicgrid.disclosure.ledger import Ledger


@pytest.fixture
def connection(tmp_path: Path) -> sqlite3.Connection:
    return sqlite3.connect(tmp_path / "state.sqlite", isolation_level=None)


def test_what_was_released_is_recalled_byte_for_byte(connection: sqlite3.Connection) -> None:
    ledger = Ledger(connection)
    assert ledger.recall("task") is None
    ledger.record("task", "context", "ask", "people", "hull york", b"\x00reply\xff", 1.0)
    assert ledger.recall("task") == b"\x00reply\xff"
    assert Ledger(connection).recall("task") == b"\x00reply\xff"


def test_a_context_remembers_its_one_question(connection: sqlite3.Connection) -> None:
    ledger = Ledger(connection)
    assert ledger.asked("context") is None
    ledger.record("task", "context", "ask", "people", "hull", b"", 1.0)
    assert ledger.asked("context") == "ask"
    with pytest.raises(sqlite3.IntegrityError):
        ledger.record("another task", "context", "another ask", "people", "hull", b"", 2.0)


def test_what_is_rolled_back_was_never_released(connection: sqlite3.Connection) -> None:
    ledger = Ledger(connection)
    connection.execute("begin")
    ledger.record("task", "context", "ask", "people", "hull", b"reply", 1.0)
    connection.execute("rollback")
    assert (ledger.recall("task"), ledger.asked("context"), ledger.asks("people")) == (None, None, set())
