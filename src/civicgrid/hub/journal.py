"""The hub's audit log: what was asked of whom, who answered, what was published, each line chained to the one before.

Lines are added inside the transaction of what they speak of, so that log and database cannot disagree. The progress that
a researcher watches is read from the same lines.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from civicgrid.errors import CivicGridError
from civicgrid.hub.database import audit
from civicgrid.killpoint import reach
from civicgrid.trust.chain import Detail, Head, Link, follow

_INSERT = sa.insert(audit)


class Journal:
    """The log of one hub. `transaction` opens a database transaction in which `add` may be called."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine
        self._turn = threading.Lock()
        self._last: Head | None = None
        self._lines: list[dict[str, object]] = []

    @contextmanager
    def transaction(self, write: str) -> Iterator[sa.Connection]:
        """All or nothing: the caller's writes and the lines about them. `write` is the name of its kill points."""
        # Pages are answered beside the rounds of studies, in threads of their own.
        self._turn.acquire()
        before = self._last
        try:
            with self.engine.begin() as connection:
                yield connection
                if self._lines:
                    connection.execute(_INSERT, self._lines)
                reach("hub", write, "before")
            reach("hub", write, "after")
        except BaseException:
            self._last = before
            raise
        finally:
            self._lines = []
            self._turn.release()

    def add(self, connection: sa.Connection, run: str | None, action: str, **details: Detail) -> None:
        """A line: what happened (`action`), to which run, with digests, names of sites and numbers of messages."""
        if self._last is None:
            row = connection.execute(sa.select(audit.c.seq, audit.c.hash).order_by(audit.c.seq.desc()).limit(1)).first()
            self._last = Head(seq=row[0], hash=row[1]) if row else None
        given = {name: value for name, value in details.items() if value not in ("", ())}
        line = follow(self._last, time.time(), "hub", action, given if run is None else {"run": run, **given})
        self._last = Head(seq=line.seq, hash=line.hash)
        self._lines.append({"seq": line.seq, "run": run, "entry": line.canonical().decode(), "hash": line.hash})

    def lines(self, run: str, after: int = 0) -> list[dict[str, object]]:
        """What happened in a run since line `after`."""
        with self.engine.connect() as connection:
            rows = connection.execute(
                sa.select(audit.c.entry).where(audit.c.run == run, audit.c.seq > after).order_by(audit.c.seq)
            )
            return [json.loads(row[0]) for row in rows]

    def log(self) -> Iterator[Link | None]:
        """The whole log from its start; None for a line that is no entry any more."""
        with self.engine.connect() as connection:
            for (text,) in connection.execute(sa.select(audit.c.entry).order_by(audit.c.seq)):
                try:
                    yield Link.from_bytes(text)
                except CivicGridError:
                    yield None
