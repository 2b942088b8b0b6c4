"""The hub's database: opened whole or not at all, and by one hub at a time."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from civicgrid.errors import ConfigError
from civicgrid.hub import database as db

DIE_IN_THE_SCHEMA = """
import os, signal, sys
from alembic import op
from civicgrid.hub import database
made, real = [], op.create_table
def create(name, *columns):
    made.append(name)
    if len(made) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    return real(name, *columns)
op.create_table = create
database.connect(sys.argv[1])
"""


@pytest.mark.parametrize("table", [1, 4])
def test_a_kill_between_two_tables_leaves_no_half_schema(table: int, tmp_path: Path) -> None:
    path = tmp_path / "hub.sqlite"
    command = [sys.executable, "-c", DIE_IN_THE_SCHEMA, f"sqlite:///{path}", str(table)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    with sqlite3.connect(path) as database:
        assert database.execute("select name from sqlite_master where type = 'table'").fetchall() == []
    engine = db.connect(f"sqlite:///{path}")
    assert {*db.metadata.tables, "alembic_version"} == set(sa.inspect(engine).get_table_names())
    engine.dispose()
    db.connect(f"sqlite:///{path}").dispose()


def test_one_hub_a_database_by_whatever_path(tmp_path: Path) -> None:
    (tmp_path / "other").symlink_to(tmp_path)
    claim = db.claim(f"sqlite:///{tmp_path / 'hub.sqlite'}")
    with pytest.raises(ConfigError, match=r"A hub is running over this database already\. Stop it first"):
        db.claim(f"sqlite:///{tmp_path / 'other' / 'hub.sqlite'}")
    db.claim(f"sqlite:///{tmp_path / 'second.sqlite'}").release()
    claim.release()
    db.claim(f"sqlite:///{tmp_path / 'hub.sqlite'}").release()


@pytest.mark.parametrize("url", ["postgresql+nothing://there/hub", "mysql+nothing://there/hub"])
def test_a_database_without_a_driver_is_an_error_in_words(url: str) -> None:
    for opened in (db.connect, db.claim):
        with pytest.raises(ConfigError, match=r"cannot be opened .* Check `database` in hub\.toml"):
            opened(url)
