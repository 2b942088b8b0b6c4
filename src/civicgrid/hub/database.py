"""The hub's tables, and nothing of any data subject in them.

SQLAlchemy Core over SQLite (WAL, full synchronisation) or PostgreSQL. The schema is brought up to date by Alembic when a
hub starts. Every table that holds what a network does names the network.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy import event

from civicgrid.errors import ConfigError
from civicgrid.killpoint import reach
from civicgrid.lock import Lock

metadata = sa.MetaData()

sites = sa.Table(
    "sites",
    metadata,
    sa.Column("site", sa.Text, primary_key=True),
    sa.Column("member", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False, unique=True),
    sa.Column("hello", sa.Text),
    sa.Column("seen", sa.Float),
    sa.Column("session", sa.Text),
)

people = sa.Table(
    "people",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
)

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("run", sa.Text, primary_key=True),
    sa.Column("network", sa.Text, nullable=False),
    sa.Column("project", sa.Text, nullable=False),
    sa.Column("person", sa.Text, nullable=False),
    sa.Column("plan", sa.Text, nullable=False),
    sa.Column("study", sa.Text, nullable=False),
    sa.Column("members", sa.Text, nullable=False),
    sa.Column("offline", sa.Text, nullable=False),
    sa.Column("submitted", sa.Float, nullable=False),
    sa.Column("state", sa.Text, nullable=False, index=True),
    sa.Column("result", sa.Text),
    sa.Column("finished", sa.Float),
)

tasks = sa.Table(
    "tasks",
    metadata,
    sa.Column("run", sa.Text, primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("digest", sa.Text, nullable=False, index=True),
    sa.Column("signed", sa.LargeBinary, nullable=False),
    sa.Column("targets", sa.Text, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
)

replies = sa.Table(
    "replies",
    metadata,
    sa.Column("task", sa.Text, primary_key=True),
    sa.Column("site", sa.Text, primary_key=True),
    sa.Column("header", sa.LargeBinary),
    sa.Column("share", sa.LargeBinary),
    sa.Column("at", sa.Float, nullable=False),
)
"""A header of NULL says that the site did not answer in time."""

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("run", sa.Text, index=True),
    sa.Column("entry", sa.Text, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
)

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""A key that counts beyond 2^31; in SQLite the rowid itself."""

register = sa.Table(
    "register",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("origin", sa.Text, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
)
"""One row: the register's name, how many entries it has, and when the last was taken. Whoever appends holds it."""

register_entries = sa.Table(
    "register_entries",
    metadata,
    sa.Column("entry", NUMBER, primary_key=True, autoincrement=False),
    sa.Column("leaf", sa.Text, nullable=False),
)

register_nodes = sa.Table(
    "register_nodes",
    metadata,
    sa.Column("position", NUMBER, primary_key=True, autoincrement=False),
    sa.Column("hash", sa.LargeBinary, nullable=False),
)
"""The complete subtrees of the register's tree, by their position when the tree is read from the left."""

register_marks = sa.Table(
    "register_marks",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, primary_key=True),
    sa.Column("entry", sa.BigInteger, primary_key=True),
    sqlite_with_rowid=False,
)
"""What entries are found by: kind, project, site, data set, organisation, word."""

register_people = sa.Table(
    "register_people",
    metadata,
    sa.Column("commitment", sa.Text, primary_key=True),
    sa.Column("account", sa.Text, nullable=False, index=True),
    sa.Column("project", sa.Text, nullable=False),
    sa.Column("salt", sa.LargeBinary, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
)
"""Whose commitments stand on the register. The rows can be erased; the register stays as it is."""

checkpoints = sa.Table(
    "checkpoints",
    metadata,
    sa.Column("size", NUMBER, primary_key=True, autoincrement=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
)

cosignatures = sa.Table(
    "cosignatures",
    metadata,
    sa.Column("site", sa.Text, primary_key=True),
    sa.Column("size", sa.BigInteger, primary_key=True),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("line", sa.Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Index("cosignatures_size", "size"),
)
"""What witnesses have said of checkpoints, each site once of each size."""


records = sa.Table(
    "records",
    metadata,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("changed", sa.Float, nullable=False),
    sa.Index("records_state", "kind", "state", "changed"),
)

versions = sa.Table(
    "versions",
    metadata,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("act", sa.Text, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
)
"""Every form that a record has had. An account has one version alone, the present one, so that it can be emptied."""

marks = sa.Table(
    "marks",
    metadata,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, primary_key=True),
    sa.Index("marks_value", "kind", "name", "value"),
)
"""What records are looked up by, beside their id and state."""

counters = sa.Table(
    "counters",
    metadata,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("last", sa.Integer, nullable=False),
)

notices = sa.Table(
    "notices",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("account", sa.Text, nullable=False, index=True),
    sa.Column("words", sa.Text, nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("read", sa.Float),
    sa.Column("mailed", sa.Float),
)

sign_ins = sa.Table(
    "sign_ins",
    metadata,
    sa.Column("token", sa.Text, primary_key=True),
    sa.Column("account", sa.Text, nullable=False, index=True),
    sa.Column("began", sa.Float, nullable=False),
    sa.Column("seen", sa.Float, nullable=False),
)
"""Who is signed in: by the digest of the token that the browser holds, never by the token."""


def connect(url: str) -> sa.Engine:
    """The hub's database, brought to the newest schema. ConfigError where it cannot be opened."""
    try:
        engine = sa.create_engine(url)
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _pragmas)
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        with engine.connect() as connection:
            # Python's sqlite3 begins no transaction before a `create table`; a process killed between two of them would
            # leave half a schema.
            if engine.dialect.name == "sqlite":
                connection.exec_driver_sql("begin immediate")
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            reach("hub", "schema", "before")
            connection.commit()
            reach("hub", "schema", "after")
    except (sa.exc.SQLAlchemyError, ImportError) as error:
        raise ConfigError(_unopened(error)) from None
    return engine


RUNNING = "A hub is running over this database already. Stop it first: one process serves a network."
ADVISORY = 0x63697669636772  # "civicgr": what the lock is called in PostgreSQL


class Claim(Protocol):
    """Held until it is released, or until the process ends, however it ends."""

    def release(self) -> None: ...


@dataclass(frozen=True)
class _Advisory:
    """A lock of PostgreSQL's, which lasts as long as its connection."""

    connection: sa.Connection

    def release(self) -> None:
        self.connection.close()
        self.connection.engine.dispose()


def claim(url: str) -> Claim:
    """The right to run over a database, before anything in it is touched. ConfigError while another process has it."""
    where = sa.make_url(url)
    if where.get_backend_name() == "sqlite":
        return Lock(Path(f"{Path(where.database or 'hub.sqlite').resolve()}.lock"), RUNNING)
    try:
        connection = sa.create_engine(url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT").connect()
        if connection.execute(sa.select(sa.func.pg_try_advisory_lock(ADVISORY))).scalar():
            return _Advisory(connection)
        connection.close()
    except (sa.exc.SQLAlchemyError, ImportError) as error:
        raise ConfigError(_unopened(error)) from None
    raise ConfigError(RUNNING)


def _unopened(error: Exception) -> str:
    return (
        f"The hub's database cannot be opened ({type(error).__name__}). Check `database` in hub.toml: expected "
        "something like sqlite:///hub.sqlite or postgresql+psycopg://user@host/name."
    )


def _pragmas(connection: Any, record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("pragma journal_mode = wal")
    cursor.execute("pragma synchronous = full")
    cursor.execute("pragma busy_timeout = 5000")
    cursor.close()
