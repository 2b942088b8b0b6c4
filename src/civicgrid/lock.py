"""One program at a time: a lock on a file, held for as long as the process lives.

The operating system lets go of it when the process ends, however it ends: after a kill or a power cut there is nothing to
tidy up, and the file that stays behind means nothing by itself.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import IO

from civicgrid.errors import ConfigError


class Lock:
    """Held from its making until `release`. ConfigError with `otherwise` where another process holds it."""

    def __init__(self, path: Path, otherwise: str) -> None:
        try:
            self._file = path.open("a+", encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"The lock file {path} cannot be opened ({error.strerror}). Check its folder.") from None
        try:
            _take(self._file)
        except OSError:
            self._file.seek(0)
            holder = self._file.read(20).strip()
            self._file.close()
            raise ConfigError(otherwise + (f" It is process {holder}." if holder.isdigit() else "")) from None
        try:
            self._file.truncate(0)
            self._file.write(f"{os.getpid()}\n")
            self._file.flush()
        except OSError:
            # A full disk: the lock holds without saying whose it is.
            pass

    def release(self) -> None:
        self._file.close()


def _take(file: IO[str]) -> None:
    """Lock a file at once or raise OSError."""
    if sys.platform == "win32":
        import msvcrt

        # A byte far behind what is written, since Windows lets nobody read a locked one.
        file.seek(1 << 20)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
