"""What a node writes down: all of a transaction or none, also when it is the commit that fails."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import civicgrid as cg
from civicgrid.disclosure.codes import Code
from civicgrid.errors import ConfigError
from civicgrid.node.state import FORM, State
from civicgrid.trust.chain import check
from civicgrid.trust.seal import Seal
from civicgrid.wire import Refused, read_reply
from unit.node.sites import World, frame


def test_a_commit_that_fails_leaves_nothing_and_the_next_one_works(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    # A constraint that is checked at the commit stands for a disk that is full at the commit.
    state.connection.executescript(
        "pragma foreign_keys = on; create table parent (id primary key);"
        "create table child (parent references parent deferrable initially deferred)"
    )
    with pytest.raises(sqlite3.IntegrityError), state.transaction("released") as connection:
        connection.execute("insert into child values (1)")
        state.put_out("task", b"header", b"share")
        state.audit("released")
    with state.transaction("released"):
        state.put_out("other", b"header", b"share")
        state.audit("released")
    assert [reply.task for reply in state.outgoing()] == ["other"]
    report = check(state.log())
    assert report.ok and report.lines == 1
    state.close()


def test_a_state_of_another_form_is_refused_before_anything_is_changed(tmp_path: Path) -> None:
    State(tmp_path / "state").close()
    State(tmp_path / "state").close()
    for form in 0, 99:
        with closing(sqlite3.connect(tmp_path / "state")) as connection:
            connection.execute(f"pragma user_version = {form}")
        with pytest.raises(ConfigError, match=f"is of form {form}, and this version reads form {FORM} alone"):
            State(tmp_path / "state")


def test_what_is_confirmed_leaves_with_the_next_transaction_that_holds(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    with state.transaction("released"):
        state.put_out("task", b"header", b"share")
    state.confirmed(("task",))
    with pytest.raises(RuntimeError), state.transaction("released"):
        raise RuntimeError
    assert state.outgoing() == []
    assert state.connection.execute("select count(*) from outbox").fetchone() == (1,)
    with state.transaction("released"):
        pass
    assert state.connection.execute("select count(*) from outbox").fetchone() == (0,)
    state.close()


def test_a_reply_of_another_version_is_replaced_by_a_refusal() -> None:
    at = World({"a": frame(60), "b": frame(50), "c": frame(40)})
    enrolled = at.enrol(at.request(at.plan(cg.Count(cg.dataset("trial")))), ("a", "b", "c"))
    assert len(enrolled.accepted) == 3
    site = at.sites["a"]
    (waiting,) = site.state.outgoing()
    site.outdated(waiting.task)
    (instead,) = site.state.outgoing()
    assert read_reply(instead.header) == Refused(task=waiting.task, code=Code.LATE)
    assert instead.share == b""
    assert check(site.state.log()).ok


def test_without_its_key_the_release_ledger_is_not_read_and_the_rest_is(tmp_path: Path) -> None:
    State(tmp_path / "state", Seal.generate()).close()
    state = State(tmp_path / "state")
    for name in ("seal", "row_sets", "epochs"):
        with pytest.raises(ConfigError, match="opened without its key"):
            getattr(state, name)
    assert state.outgoing() == []


def test_a_line_of_the_audit_log_that_was_spoilt_is_told_apart(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    for _ in range(3):
        with state.transaction("released"):
            state.audit("released")
    state.connection.execute("update audit set entry = 'spoilt' where rowid = 2")
    log = list(state.log())
    assert [line is None for line in log] == [False, True, False]
    assert not check(log).ok


def test_a_state_that_is_no_database_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"not a database at all" * 100)
    with pytest.raises(ConfigError, match=r"cannot be opened: .* restore it from a backup"):
        State(tmp_path / "state")
