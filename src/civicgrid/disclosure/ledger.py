"""What a site has released, and what it has been asked: so that the same question gets the same bytes.

The ledger stands in the node's own SQLite database and takes part in the node's transactions: an answer and its entry
are written together or not at all.
"""

from __future__ import annotations

import sqlite3

SCHEMA = """
create table if not exists answers (
    task text primary key, context text not null, ask text not null, rows text not null, roster text not null,
    reply blob not null, at real not null);
create unique index if not exists answers_context on answers (context);
create index if not exists answers_rows on answers (rows, roster);
create table if not exists prepared (rows text not null, ask text not null, primary key (rows, ask));
create table if not exists rough (
    project text not null, epoch integer not null, cohort text not null, primary key (project, epoch, cohort));
"""


class Ledger:
    """The memory of one node.

    `prepared` holds the proposals of studies that were answered: whether a site takes part hangs on its people too.

    `task` is the digest of a signed task, `context` names a mask (run, attempt, roster, round), `ask` is the digest of
    what was asked, `rows` names the people (snapshot and population), `roster` the members whose masks were to cancel.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        connection.executescript(SCHEMA)

    def recall(self, task: str) -> bytes | None:
        """The bytes with which this very task was answered before."""
        row = self.connection.execute("select reply from answers where task = ?", (task,)).fetchone()
        return None if row is None else bytes(row[0])

    def asked(self, context: str) -> str | None:
        """The digest of what was asked under this context before: a second, different Ask would bare the mask."""
        row = self.connection.execute("select ask from answers where context = ?", (context,)).fetchone()
        return None if row is None else str(row[0])

    def asks(self, rows: str) -> set[str]:
        """The different Asks that have been answered about these people, and proposals of studies of them."""
        found = self.connection.execute(
            "select ask from answers where rows = :rows union select ask from prepared where rows = :rows", {"rows": rows}
        )
        return {str(row[0]) for row in found}

    def prepare(self, rows: str, ask: str) -> None:
        """Enter a proposal that is being answered, by yes or no. The caller commits."""
        self.connection.execute("insert or ignore into prepared values (?, ?)", (rows, ask))

    def rough(self, project: str, epoch: int) -> set[str]:
        """The cohorts of which a project was told roughly how many people they hold, since an epoch began."""
        found = self.connection.execute("select cohort from rough where project = ? and epoch >= ?", (project, epoch))
        return {str(row[0]) for row in found}

    def told(self, project: str, epoch: int, cohort: str) -> None:
        """Enter such a cohort, in the epoch that runs. The caller commits."""
        self.connection.execute("insert or ignore into rough values (?, ?, ?)", (project, epoch, cohort))

    def record(self, task: str, context: str, ask: str, rows: str, roster: str, reply: bytes, at: float) -> None:
        """Enter an answer. The caller commits, together with its outbox."""
        self.connection.execute(
            "insert into answers values (?, ?, ?, ?, ?, ?, ?)", (task, context, ask, rows, roster, reply, at)
        )
