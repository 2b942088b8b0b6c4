"""The reading of the source finds a durable write that nobody has named, wherever it hides."""

from __future__ import annotations

from pathlib import Path

import pytest

from faults.writes import BY_COMMAND, SOURCE, durable_writes

GOOD = """
def answer(self):
    with self.state.transaction("released") as connection:
        connection.execute("insert into answers values (?)", (1,))
        self.state.audit("released")
"""


def found(tmp_path: Path, text: str) -> list[str]:
    (tmp_path / "node").mkdir()
    (tmp_path / "node" / "site.py").write_text(text)
    return durable_writes(tmp_path, ("node",)).faults


def test_a_named_transaction_is_found_with_its_name(tmp_path: Path) -> None:
    assert found(tmp_path, GOOD) == []
    assert set(durable_writes(tmp_path, ("node",)).named) == {("node", "released")}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('self.connection.execute("insert into answers values (1)")', "'insert' outside a named transaction"),
        ('self.connection.execute(f"delete from {table}")', "'delete' outside a named transaction"),
        ('self.connection.executemany("  UPDATE t SET a = ?", rows)', "'UPDATE' outside a named transaction"),
        ("connection.execute(sa.update(runs).values(state=1))", "sa.update outside a named transaction"),
        ("with engine.begin() as connection: pass", "a transaction of its own"),
        ('self.state.audit("released")', "state.audit outside a named transaction"),
        ("self.state.put_out(task, header, share)", "state.put_out outside a named transaction"),
        ('path.write_text("x")', "a file (write_text)"),
        ('open(path, "ab").write(b"x")', "a file (open)"),
        ("with self.state.transaction(name): pass", "without a name written out"),
        ('reach("node", "mine", "before")', "not one before and one after"),
    ],
)
def test_what_is_outside_is_a_fault(line: str, words: str, tmp_path: Path) -> None:
    faults = found(tmp_path, f"def work(self):\n    {line}\n")
    assert faults and any(words in fault for fault in faults)


@pytest.mark.parametrize("built", ["sa.insert(audit)", "'insert into audit values (?)'"])
def test_a_statement_that_was_built_before_is_a_write_where_it_is_executed(built: str, tmp_path: Path) -> None:
    faults = found(tmp_path, f"LINE = {built}\ndef work(self, connection):\n    connection.execute(LINE, (1,))\n")
    assert len(faults) == 1 and "LINE outside a named transaction" in faults[0]


def test_a_schema_that_may_be_made_again_at_every_start_needs_no_name(tmp_path: Path) -> None:
    text = 'SCHEMA = "create table if not exists a (b); create index if not exists c on a (b); {}"\n'
    text += "def opened(self, connection):\n    connection.executescript(SCHEMA)\n"
    assert found(tmp_path, text.format("insert or ignore into a values (0)")) == []
    (tmp_path / "node" / "site.py").write_text(text.format("insert into a values (0)"))
    assert durable_writes(tmp_path, ("node",)).faults


def test_two_writes_of_one_name_are_a_fault(tmp_path: Path) -> None:
    again = GOOD.replace("answer", "resend")
    assert any("names a write at" in fault for fault in found(tmp_path, GOOD + again))


def test_reading_is_no_write(tmp_path: Path) -> None:
    assert found(tmp_path, 'def read(self):\n    self.connection.execute("select 1")\n    open(path, "rb").read()\n') == []


def test_every_exception_is_still_there() -> None:
    for place in BY_COMMAND:
        file, function = place.split(":")
        assert f"def {function}(" in (SOURCE / file).read_text("utf-8"), place
