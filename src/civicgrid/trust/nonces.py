"""Which messages have been seen: what stops one that was recorded from being sent again.

A nonce matters for as long as its message would be accepted by its age, a few minutes. It must outlive a
killed process; after a power cut there is a cheaper way to be safe than a disk flush a message: a *mark*,
flushed about every ten seconds, that lies ahead of every time of signing accepted so far. A store that opens
after the machine has stopped refuses what was signed up to its mark, since it may have forgotten it, and that
is seconds. See docs/decisions/signed-requests.md.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from civicgrid.errors import ConfigError, WireError
from civicgrid.killpoint import reach

MAX_AGE = 300
MAX_SKEW = 30
AHEAD = 10
PRUNE_EVERY = 60

_CLOSED = "closed"
_TABLES = """
CREATE TABLE IF NOT EXISTS nonce (name BLOB PRIMARY KEY, created INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS nonce_created ON nonce (created);
CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
INSERT OR IGNORE INTO fact VALUES ('mark', 0), ('floor', 0), ('boot', 'closed');
"""


class Nonces:
    """The nonces of one program, in a file of its own; threads may share it, other processes may not.

    `max_age` and `max_skew` (seconds) say which messages are accepted at all, so how long a nonce is kept.
    """

    def __init__(self, path: str | Path, max_age: int = MAX_AGE, max_skew: int = MAX_SKEW) -> None:
        self.max_age, self.max_skew = max_age, max_skew
        self._lock = threading.Lock()
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.executescript(_TABLES)
        except sqlite3.Error as error:
            raise ConfigError(f"The file of seen messages {path} could not be opened: {error}. Check its folder.") from None
        facts = dict(self._db.execute("SELECT name, value FROM fact").fetchall())
        self._mark, self._floor = int(facts["mark"]), int(facts["floor"])
        boot = _boot()
        if facts["boot"] != _CLOSED and (facts["boot"] != boot or not boot):
            self._floor = max(self._floor, self._mark)
        # The floor first: a process killed between the two must find the power cut still to be dealt with.
        with _write("floor"):
            self._keep("floor", self._floor)
        with _write("boot"):
            self._keep("boot", boot)
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._pruned = 0.0

    def use(self, keyid: str, nonce: str, created: int, now: float) -> None:
        """Remember this nonce of this key, or raise WireError where it was seen before or may have been."""
        name = hashlib.sha256(f"{len(keyid)} {keyid} {nonce}".encode()).digest()[:20]
        with self._lock:
            if created <= self._floor:
                raise WireError(
                    f"This message was signed {now - created:.0f} seconds ago, before this program was last "
                    "started or "
                    "set its clock, and may have been seen then. Sign it again and send it "
                    f"{max(self._floor + 1 - now, 0):.0f} seconds from now."
                )
            try:
                self._remember(name, created, now)
            except sqlite3.IntegrityError:
                raise WireError(
                    "This message has been received before; it is accepted once. To repeat a request, sign it again."
                ) from None
            except sqlite3.OperationalError as error:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise ConfigError(
                    f"A message was refused because the file of seen messages could not be written: {error}. "
                    "Free space on its disk; the sender tries again."
                ) from None

    def close(self) -> None:
        """Flush, so that the next start has nothing to fear, whatever happens to the machine in between."""
        with self._lock:
            with _write("closed"):
                self._durably("boot", _CLOSED)
            self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __len__(self) -> int:
        with self._lock:
            return int(self._db.execute("SELECT count(*) FROM nonce").fetchone()[0])

    def _remember(self, name: bytes, created: int, now: float) -> None:
        if created > self._mark:
            with _write("mark"):
                self._durably("mark", created + AHEAD)
            self._mark = created + AHEAD
        if not 0 <= now - self._pruned < PRUNE_EVERY:
            self._prune(now)
        with _write("seen"):
            self._db.execute("INSERT INTO nonce VALUES (?, ?)", (name, created))

    def _prune(self, now: float) -> None:
        """Forget what is too old to be accepted, and refuse it from here on even if the clock is set back."""
        oldest = int(now) - self.max_age - self.max_skew - 1
        self._floor = max(self._floor, oldest)
        self._db.execute("BEGIN IMMEDIATE")
        self._keep("floor", self._floor)
        self._db.execute("DELETE FROM nonce WHERE created <= ?", (self._floor,))
        reach("nonces", "pruned", "before")
        self._db.execute("COMMIT")
        reach("nonces", "pruned", "after")
        self._pruned = now

    def _durably(self, name: str, value: int | str) -> None:
        """Set a fact and flush it, and with it every nonce so far."""
        self._db.execute("PRAGMA synchronous = FULL")
        self._keep(name, value)
        self._db.execute("PRAGMA synchronous = NORMAL")

    def _keep(self, name: str, value: int | str) -> None:
        self._db.execute("UPDATE fact SET value = ? WHERE name = ?", (value, name))


@contextmanager
def _write(write: str) -> Iterator[None]:
    """Around the statement that makes something durable: its kill points."""
    reach("nonces", write, "before")
    yield
    reach("nonces", write, "after")


def _boot() -> str:
    """What names this start of the machine; empty where the system gives no such name."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
