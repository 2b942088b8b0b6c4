"""The audit log of a node or hub: a file of JSON lines, each chained to the one before (see `trust.chain`).

Append-only, canonical JSON, readable by its owner alone, one writer at a time. A line that a killed process
left unfinished was never reported as written: the next start cuts it off and says so in the log.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from civicgrid.errors import CivicGridError, ConfigError
from civicgrid.trust.chain import Detail, Head, Link, Report, check, follow

MAX_LINE = 16_384


class AuditLog:
    """An audit log open for writing; threads may share it. `clock` gives seconds since 1970."""

    def __init__(self, path: str | Path, clock: Callable[[], float] = time.time) -> None:
        self.path = Path(path)
        self._clock = clock
        self._lock = threading.Lock()
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as error:
            raise ConfigError(f"The audit log {path} could not be opened: {error.strerror}. Check its folder.") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._head, torn = self._end()
            self._size = os.fstat(self._file).st_size
            if torn:
                os.ftruncate(self._file, self._size - len(torn))
                self._size -= len(torn)
                lost: dict[str, Detail] = {"bytes": len(torn), "sha256": hashlib.sha256(torn).hexdigest()}
                self.append("system", "log.recovered", lost)
        except BlockingIOError:
            os.close(self._file)
            raise ConfigError(f"Another program writes the audit log {path}. Stop it first, or use another file.") from None
        except CivicGridError:
            os.close(self._file)
            raise

    @property
    def head(self) -> Head | None:
        """The last entry's number and hash, to be remembered elsewhere; None while the log is empty."""
        return self._head

    def append(self, actor: str, action: str, details: Mapping[str, Detail] | None = None, durable: bool = True) -> Head:
        """Write one entry and give back the new head.

        `durable` flushes it to disk; a caller that writes several entries for one change flushes with the
        last.
        """
        with self._lock:
            entry = follow(self._head, self._clock(), actor, action, details)
            line = entry.canonical() + b"\n"
            if len(line) > MAX_LINE:
                raise ConfigError(f"Expected a log entry of at most {MAX_LINE} bytes; {len(line)} came. Log a digest.")
            try:
                written = os.write(self._file, line)
                if written < len(line):
                    raise OSError(28, "no space left on the device")
                if durable:
                    os.fsync(self._file)
            except OSError as error:
                os.ftruncate(self._file, self._size)
                raise ConfigError(
                    f"The audit log {self.path} could not be written: {error.strerror}. Free space on its "
                    "disk; nothing "
                    "goes on without its entry."
                ) from None
            self._size += len(line)
            self._head = Head(seq=entry.seq, hash=entry.hash)
            return self._head

    def close(self) -> None:
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _end(self) -> tuple[Head | None, bytes]:
        """The last whole line's number and hash, and the bytes of an unfinished line after it."""
        size = os.fstat(self._file).st_size
        tail = os.pread(self._file, 2 * MAX_LINE, max(0, size - 2 * MAX_LINE))
        whole, newline, torn = tail.rpartition(b"\n")
        if not newline:
            if size > MAX_LINE:
                raise ConfigError(self._damaged())
            return None, torn
        last = _link(whole.rpartition(b"\n")[2] + b"\n")
        if last is None:
            raise ConfigError(self._damaged())
        return Head(seq=last.seq, hash=last.hash), torn

    def _damaged(self) -> str:
        return (
            f"The end of the audit log {self.path} is not an entry. Run `civicgrid audit verify`, keep the "
            "file as evidence, "
            "and start a new one."
        )


def verify(path: str | Path, remembered: Iterable[Head] = ()) -> Report:
    """Read the whole log: every line that was changed, removed or reordered, or cut off before a remembered
    head.
    """
    torn: list[int] = []
    try:
        report = check(_links(Path(path), torn), remembered)
    except OSError as error:
        raise ConfigError(f"The audit log {path} could not be read: {error.strerror}. Give the log's path.") from None
    return Report(report.lines, report.head, report.faults, sum(torn))


def _links(path: Path, torn: list[int]) -> Iterator[Link | None]:
    with path.open("rb") as file:
        while line := file.readline(MAX_LINE + 1):
            if line.endswith(b"\n"):
                yield _link(line)
            elif len(line) > MAX_LINE:
                while line and not line.endswith(b"\n"):
                    line = file.readline(MAX_LINE)
                yield None
            else:
                torn.append(len(line))


def _link(line: bytes) -> Link | None:
    """The link that a line holds, if it is one and stands there in its one proper form."""
    try:
        found = Link.from_bytes(line)
    except CivicGridError:
        return None
    return found if found.canonical() + b"\n" == line else None
