"""The hub's tables, and nothing of any data subject in them.

SQLAlchemy Core over SQLite (WAL, full synchronisation) or PostgreSQL. The schema is brought up to date by Alembic when a
hub starts. Every table that holds what a network does names the network.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy import event

from civicgrid.errors import ConfigError

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


def connect(url: str) -> sa.Engine:
    """The hub's database, brought to the newest schema. ConfigError where it cannot be opened."""
    try:
        engine = sa.create_engine(url)
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _pragmas)
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except sa.exc.SQLAlchemyError as error:
        raise ConfigError(
            f"The hub's database cannot be opened ({type(error).__name__}). Check `database` in hub.toml: expected "
            "something like sqlite:///hub.sqlite or postgresql+psycopg://user@host/name."
        ) from None
    return engine


def _pragmas(connection: Any, record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("pragma journal_mode = wal")
    cursor.execute("pragma synchronous = full")
    cursor.execute("pragma busy_timeout = 5000")
    cursor.close()
