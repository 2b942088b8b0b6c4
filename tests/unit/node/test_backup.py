"""A node's backup: everything but the data, whole or refused, and never over something else."""

from __future__ import annotations

import datetime as dt
import io
import json
import shutil
import sqlite3
import tarfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from civicgrid.cli import app
from civicgrid.config import NodeSettings
from civicgrid.errors import ConfigError
from civicgrid.governance.permit import Permit, Person
from civicgrid.node.backup import LIST, back_up, restore
from civicgrid.node.home import Home
from civicgrid.node.state import State
from civicgrid.trust.chain import check
from civicgrid.trust.keys import SigningKey
from civicgrid.trust.roster import Member

TIME = "2026-11-24T12:00:00+00:00"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A node with a permit that stands, one that is revoked, peers, an audit log, and a reply that waits."""
    made = Home(tmp_path / "york")
    member = made.create(
        NodeSettings(network="n", site="york", organisation="York", hub="http://127.0.0.1:1", hub_key="k")
    )
    custodian = SigningKey.generate()
    made.add_custodian(custodian.public, "Cass")
    other = Home(tmp_path / "hull").create(made.settings().model_copy(update={"site": "hull"}))
    made.pin([Member(**{**other.to_data(), "organisation": "Hull"}), member])
    now = dt.datetime.now(dt.UTC)
    for project in ("P-1", "P-2"):
        permit = Permit(
            network="n", site="york", project=project, title="T", people=(Person(name="Ada", key="ada"),),
            datasets=("trial",), columns=("*",), methods=("count",), purpose="x",
            valid_from=now.isoformat(), valid_until=(now + dt.timedelta(days=1)).isoformat(),
        )  # fmt: skip
        made.add_permit(permit.signed(custodian))
    made.revoke_permit(next(digest for digest, permit in made.permits() if permit.project == "P-2"))
    state = State(made.state)
    for number in range(5):
        with state.transaction("released"):
            state.audit("released", number=number)
            state.put_out(f"task{number}", b"header", b"share")
    state.close()
    made.data.write_bytes(b"people's records")
    (made.path / "data.duckdb.wal").write_bytes(b"more records")
    return made


def kept(home: Home) -> dict[str, bytes]:
    return {
        path.relative_to(home.path).as_posix(): path.read_bytes()
        for path in home.path.rglob("*")
        if path.is_file() and not path.name.startswith(("data.duckdb", "state.sqlite"))
    }


def test_what_comes_back_is_the_node_without_its_data(home: Home, tmp_path: Path) -> None:
    back_up(home, tmp_path / "b.tar", TIME)
    made = restore(tmp_path / "b.tar", tmp_path / "again")
    again = Home(tmp_path / "again")
    assert kept(again) == kept(home)
    assert again.permits() == home.permits()
    assert [permit.project for _, permit in again.permits()] == ["P-1"]
    assert (again.member(), again.peers(), again.policy()) == (home.member(), home.peers(), home.policy())
    assert not list(again.path.glob("data.duckdb*"))
    assert b"records" not in (tmp_path / "b.tar").read_bytes()
    state = State(again.state)
    assert [reply.task for reply in state.outgoing()] == [f"task{number}" for number in range(5)]
    lines = list(state.log())
    state.close()
    assert check(lines, [made.head]).ok
    assert [line.action for line in lines if line] == ["released"] * 5 + ["node.restored"]


def test_its_owner_alone_can_read_the_backup_and_what_is_made_of_it(home: Home, tmp_path: Path) -> None:
    back_up(home, tmp_path / "b.tar", TIME)
    restore(tmp_path / "b.tar", tmp_path / "again")
    for path in [tmp_path / "b.tar", tmp_path / "again", *(tmp_path / "again").rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_node_that_is_writing_is_backed_up_at_one_moment(home: Home, tmp_path: Path) -> None:
    """A transaction that is not over is not in it; one that is over is, though only in SQLite's journal so far."""
    state = State(home.state)
    with state.transaction("released"):
        state.audit("released", number=5)
    assert Path(f"{home.state}-wal").stat().st_size > 0
    with state.transaction("released"):
        state.audit("released", number=6)
        made = back_up(home, tmp_path / "b.tar", TIME)
    state.close()
    assert made.lines == 6
    restore(tmp_path / "b.tar", tmp_path / "again")


def test_nothing_is_overwritten(home: Home, tmp_path: Path) -> None:
    back_up(home, tmp_path / "b.tar", TIME)
    before = (tmp_path / "b.tar").read_bytes()
    with pytest.raises(ConfigError, match="never overwritten"):
        back_up(home, tmp_path / "b.tar", TIME)
    with pytest.raises(ConfigError, match="never overwritten"):
        restore(tmp_path / "b.tar", home.path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="never overwritten"):
        restore(tmp_path / "b.tar", tmp_path / "file")
    assert (tmp_path / "b.tar").read_bytes() == before
    with pytest.raises(ConfigError, match="outside the node's folder"):
        back_up(home, home.path / "b.tar", TIME)
    with pytest.raises(ConfigError, match="cannot be written"):
        back_up(home, tmp_path / "no" / "b.tar", TIME)


def rebuilt(source: Path, change: Callable[[dict[str, bytes]], None]) -> None:
    """The archive written anew by somebody who knows its form, after a change to its entries."""
    with tarfile.open(source) as archive:
        entries = {each.name: archive.extractfile(each).read() for each in archive}  # type: ignore[union-attr]
    change(entries)
    with tarfile.open(source, "w") as archive:
        for name, raw in entries.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(raw)
            archive.addfile(entry, io.BytesIO(raw))


def relisted(entries: dict[str, bytes]) -> None:
    import hashlib

    contents = json.loads(entries[LIST])
    contents["files"] = {name: hashlib.sha256(raw).hexdigest() for name, raw in entries.items() if name != LIST}
    entries[LIST] = json.dumps(contents).encode()


def changed_log(entries: dict[str, bytes], folder: Path, how: str) -> None:
    path = folder / "changed.sqlite"
    path.write_bytes(entries["state.sqlite"])
    with closing(sqlite3.connect(path)) as database:
        database.execute("pragma journal_mode = delete")
        database.execute(how)
        database.commit()
    entries["state.sqlite"] = path.read_bytes()
    relisted(entries)


FALSE: dict[str, Callable[[dict[str, bytes], Path], object]] = {
    "a file changed": lambda entries, folder: entries.update({"policy.toml": entries["policy.toml"] + b"\n"}),
    "a file left out": lambda entries, folder: entries.pop("custodians.keys"),
    "a file more": lambda entries, folder: entries.update({"permits/x.json": b"{}"}),
    "no list": lambda entries, folder: entries.pop(LIST),
    "a path that leads out": lambda entries, folder: (entries.update({"../out": b"x"}), relisted(entries)),
    "an absolute path": lambda entries, folder: (entries.update({f"{folder}/out": b"x"}), relisted(entries)),
    "a line of the log changed": lambda entries, folder: changed_log(
        entries, folder, """update audit set entry = replace(entry, '"number":2', '"number":7')"""
    ),
    "a line of the log cut off": lambda entries, folder: changed_log(entries, folder, "delete from audit where seq = 5"),
    "no state": lambda entries, folder: (entries.pop("state.sqlite"), relisted(entries)),
    "another node's settings": lambda entries, folder: (
        entries.update({"node.toml": entries["node.toml"].replace(b'"york"', b'"hull"')}), relisted(entries)
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", FALSE)
def test_a_backup_that_is_not_whole_puts_nothing_in_place(home: Home, tmp_path: Path, what: str) -> None:
    back_up(home, tmp_path / "b.tar", TIME)
    rebuilt(tmp_path / "b.tar", lambda entries: None)
    restore(tmp_path / "b.tar", tmp_path / "first")
    rebuilt(tmp_path / "b.tar", lambda entries: FALSE[what](entries, tmp_path) and None)
    (tmp_path / "changed.sqlite").unlink(missing_ok=True)
    before = set(tmp_path.rglob("*"))
    with pytest.raises(ConfigError):
        restore(tmp_path / "b.tar", tmp_path / "again")
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("size", [0, 100, 1000, 20_000])
def test_a_backup_that_was_cut_short(home: Home, tmp_path: Path, size: int) -> None:
    back_up(home, tmp_path / "b.tar", TIME)
    raw = (tmp_path / "b.tar").read_bytes()
    assert len(raw) > size
    (tmp_path / "b.tar").write_bytes(raw[:size])
    with pytest.raises(ConfigError, match=r"no whole backup|cannot be read"):
        restore(tmp_path / "b.tar", tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_a_link_in_a_node_s_folder_is_not_followed(home: Home, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("not the node's")
    (home.path / "keys" / "link.pem").symlink_to(tmp_path / "secret")
    back_up(home, tmp_path / "b.tar", TIME)
    assert b"not the node's" not in (tmp_path / "b.tar").read_bytes()


def test_a_log_that_does_not_hold_is_not_backed_up_as_if_it_did(home: Home, tmp_path: Path) -> None:
    with closing(sqlite3.connect(home.state)) as database:
        database.execute("delete from audit where seq = 2")
        database.commit()
    with pytest.raises(ConfigError, match="audit log does not hold"):
        back_up(home, tmp_path / "b.tar", TIME)
    assert not (tmp_path / "b.tar").exists()


def test_the_commands_say_what_a_restored_node_has_forgotten(home: Home, tmp_path: Path) -> None:
    said = CliRunner().invoke(app, ["node", "backup", str(home.path), str(tmp_path / "b.tar")])
    assert said.exit_code == 0
    assert "its audit log has 5 lines" in said.output
    shutil.rmtree(home.path)
    said = CliRunner().invoke(app, ["node", "restore", str(tmp_path / "b.tar"), str(home.path)])
    assert said.exit_code == 0, said.exception
    for words in ("york is restored", "forgotten what it released since", "two nodes under one key", "node load"):
        assert words in said.output
    assert home.permits()
