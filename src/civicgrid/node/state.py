"""What a node must not forget: its ledger, its outbox, the runs it has signed up to, and its audit log.

One SQLite file in WAL mode with full synchronisation. An answer, its ledger entry, its place in the outbox and its audit
line are one transaction: after a kill there are all of them or none.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from civicgrid.disclosure.columns import ReleasedColumns
from civicgrid.disclosure.epochs import Epochs
from civicgrid.disclosure.ledger import Ledger
from civicgrid.disclosure.row_sets import RowSets
from civicgrid.disclosure.totals import Totals
from civicgrid.errors import CivicGridError, ConfigError
from civicgrid.killpoint import reach
from civicgrid.trust.chain import Head, Link, follow
from civicgrid.trust.seal import Seal

SCHEMA = """
create table if not exists runs (
    run text primary key, study text not null, snapshot text not null, rows text not null, permit text not null,
    at real not null);
create table if not exists rosters (
    digest text primary key, run text not null, attempt integer not null, roster text not null,
    signed integer not null default 0);
create table if not exists standings (
    rows text not null, members text not null, site text not null, alone integer not null,
    primary key (rows, members, site));
create table if not exists closed (
    run text not null, analysis text not null, code text not null, primary key (run, analysis));
create table if not exists rounds (
    run text not null, analysis text not null, answered integer not null, primary key (run, analysis));
create table if not exists outbox (
    task text primary key, header blob not null, share blob not null, at real not null);
create table if not exists register (
    id integer primary key check (id = 1), origin text not null, key text not null, size integer not null,
    root blob not null, checkpoint text not null, at real not null);
create table if not exists register_faults (
    digest text primary key, words text not null, checkpoint text not null, at real not null);
create table if not exists audit (
    seq integer primary key, entry text not null, hash text not null);
"""


FORM = 2
"""The form of the file, as SQLite's `user_version`. In the first, a site's people were numbered by data set."""


@dataclass(frozen=True)
class Outgoing:
    """A reply that the hub has not yet confirmed."""

    task: str
    header: bytes
    share: bytes


class State:
    """The node's own database. `path` None keeps it in memory, for a simulation, under a seal of its own.

    `seal` is the site's key for the release ledger; without it a state on disk shows everything but that.
    """

    def __init__(self, path: Path | None, seal: Seal | None = None, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        try:
            self.connection = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
            self.connection.execute("pragma journal_mode = wal")
            self.connection.execute("pragma synchronous = full")
            self._check_form(path)
            self.connection.executescript(SCHEMA)
        except sqlite3.Error as error:
            raise ConfigError(
                f"The node's state at {path} cannot be opened: {error}. Check the disk, or restore it from a backup."
            ) from None
        self.ledger = Ledger(self.connection)
        self._confirmed: set[str] = set()
        if seal is None and path is None:
            seal = Seal.generate()
        self._seal = seal
        self._row_sets = None if seal is None else RowSets(self.connection, seal)
        self._epochs = None if seal is None else Epochs(self.connection, seal)
        self._released_columns = None if seal is None else ReleasedColumns(self.connection, seal)
        self._totals = None if seal is None else Totals(self.connection, seal)

    def _check_form(self, path: Path | None) -> None:
        """ConfigError for a file of another form: its ledger would be held against people whom it is not about."""
        (form,) = self.connection.execute("pragma user_version").fetchone()
        (tables,) = self.connection.execute("select count(*) from sqlite_master").fetchone()
        if tables and form != FORM:
            self.connection.close()
            raise ConfigError(
                f"The node's state at {path} is of form {form}, and this version reads form {FORM} alone. Run the version "
                "that wrote it, or lay the node out anew, with new keys and a new card."
            )
        self.connection.execute(f"pragma user_version = {FORM}")

    @property
    def seal(self) -> Seal:
        """The site's key for the release ledger. ConfigError where the state was opened without it."""
        if self._seal is None:
            raise ConfigError("The release ledger was opened without its key, for looking at the rest only.")
        return self._seal

    @property
    def row_sets(self) -> RowSets:
        """The people behind earlier answers. ConfigError where the state was opened without the site's seal."""
        if self._row_sets is None:
            raise ConfigError("The release ledger was opened without its key, for looking at the rest only.")
        return self._row_sets

    @property
    def epochs(self) -> Epochs:
        """The epochs of the data sets. ConfigError where the state was opened without the site's seal."""
        if self._epochs is None:
            raise ConfigError("The release ledger was opened without its key, for looking at the rest only.")
        return self._epochs

    @property
    def released_columns(self) -> ReleasedColumns:
        """The numbers behind earlier answers. ConfigError where the state was opened without the site's seal."""
        if self._released_columns is None:
            raise ConfigError("The release ledger was opened without its key, for looking at the rest only.")
        return self._released_columns

    @property
    def totals(self) -> Totals:
        """The lists of sites of earlier answers. ConfigError where the state was opened without the site's seal."""
        if self._totals is None:
            raise ConfigError("The release ledger was opened without its key, for looking at the rest only.")
        return self._totals

    @contextmanager
    def transaction(self, write: str) -> Iterator[sqlite3.Connection]:
        """All or nothing, on disk when it ends. `write` is the name of its kill points."""
        self.connection.execute("begin immediate")
        try:
            self.connection.executemany("delete from outbox where task = ?", [(task,) for task in self._confirmed])
            yield self.connection
            reach("node", write, "before")
            self.connection.execute("commit")
        except BaseException:
            # SQLite has rolled back by itself after some faults of the disk, and not after others.
            if self.connection.in_transaction:
                self.connection.execute("rollback")
            if self._row_sets is not None:
                self._row_sets.forget()
            if self._totals is not None:
                self._totals.forget()
            raise
        reach("node", write, "after")
        self._confirmed.clear()

    def audit(self, action: str, **details: str | int) -> None:
        """Add a line to the hash-chained log. The caller's transaction commits it."""
        last = self.connection.execute("select seq, hash from audit order by seq desc limit 1").fetchone()
        head = None if last is None else Head(seq=last[0], hash=last[1])
        line = follow(head, self.clock(), "node", action, details)
        self.connection.execute("insert into audit values (?, ?, ?)", (line.seq, line.canonical().decode(), line.hash))

    def log(self) -> Iterator[Link | None]:
        """The audit log from its start; None for a line that is no entry any more."""
        for (text,) in self.connection.execute("select entry from audit order by rowid"):
            try:
                yield Link.from_bytes(text)
            except CivicGridError:
                yield None

    def put_out(self, task: str, header: bytes, share: bytes) -> None:
        """Place a reply in the outbox. The caller's transaction commits it."""
        self.connection.execute(
            "insert or replace into outbox values (?, ?, ?, ?)", (task, header, share, self.clock())
        )

    def outgoing(self, most: int = 32) -> list[Outgoing]:
        """Replies that wait to be confirmed, oldest first."""
        rows = self.connection.execute("select task, header, share from outbox order by at").fetchall()
        waiting = [Outgoing(str(task), bytes(header), bytes(share)) for task, header, share in rows]
        return [reply for reply in waiting if reply.task not in self._confirmed][:most]

    def confirmed(self, tasks: tuple[str, ...]) -> None:
        """The hub has these replies for good. They leave the outbox with the next transaction: no write of its own."""
        self._confirmed.update(tasks)

    def close(self) -> None:
        self.connection.close()
