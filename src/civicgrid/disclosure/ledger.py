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
"""


class Ledger:
    """The memory of one node.

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
        """The different Asks that have been answered about these people."""
        found = self.connection.execute("select distinct ask from answers where rows = ?", (rows,))
        return {str(row[0]) for row in found}

    def record(self, task: str, context: str, ask: str, rows: str, roster: str, reply: bytes, at: float) -> None:
        """Enter an answer. The caller commits, together with its outbox."""
        self.connection.execute(
            "insert into answers values (?, ?, ?, ?, ?, ?, ?)", (task, context, ask, rows, roster, reply, at)
        )
