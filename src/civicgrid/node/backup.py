"""A node's folder in one file: everything that it must not lose, but for the data, which come from elsewhere.

The file is a tar archive that its owner alone may read. SQLite files are copied by SQLite's own online backup, so that the
node may run meanwhile. A list of digests and the head of the audit log go with them, so that a damaged or cut file is found
before anything is put in place.

What has been released since a backup is not in it. A node that goes on from an old state has forgotten it, and cannot hold
later questions against it.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import sqlite3
import tarfile
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Literal

from civicgrid.canonical import MAX_BYTES, Node
from civicgrid.errors import CivicGridError, ConfigError
from civicgrid.node.home import Home
from civicgrid.node.state import State
from civicgrid.trust.chain import START, Head, check

LIST = "backup.json"
JOURNALS = ("-wal", "-shm", "-journal")
LARGEST = 10**12


class Contents(Node):
    """What is in a backup: of which node, when it was made, the audit log's head, and each file's SHA-256."""

    format: Literal[1] = 1
    network: str
    site: str
    time: str
    lines: int
    head: Head
    files: dict[str, str]


@dataclass(frozen=True)
class _Found:
    name: str
    path: Path


def back_up(home: Home, target: Path, time: str) -> Contents:
    """Write everything but the data to a new file. ConfigError where there is one already, or it cannot be written."""
    settings = home.settings()
    if home.path.resolve() in target.resolve().parents:
        raise ConfigError("Expected a place for the backup outside the node's folder. Choose one on another disk.")
    try:
        handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigError(f"There is a file at {target}; a backup is never overwritten. Choose another name.") from None
    except OSError as error:
        raise ConfigError(f"The backup cannot be written to {target}: {error.strerror}. Choose another place.") from None
    try:
        with os.fdopen(handle, "wb") as file, tempfile.TemporaryDirectory(dir=target.parent) as beside:
            found = [_copied(each, Path(beside)) for each in _files(home.path)]
            lines, head = _log(next((each.path for each in found if each.name == "state.sqlite"), None))
            contents = Contents(
                network=settings.network,
                site=settings.site,
                time=time,
                lines=lines,
                head=head,
                files={each.name: _digest(each.path) for each in found},
            )
            with tarfile.open(fileobj=file, mode="w") as archive:
                raw = contents.canonical()
                _put(archive, LIST, io.BytesIO(raw), len(raw))
                for each in found:
                    with each.path.open("rb") as kept:
                        _put(archive, each.name, kept, each.path.stat().st_size)
            file.flush()
            os.fsync(file.fileno())
    except BaseException as error:
        target.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise ConfigError(f"The backup could not be made: {error.strerror or 'the disk failed'}.") from None
        raise
    return contents


def restore(source: Path, folder: Path) -> Contents:
    """Lay the node out again in a new folder, once the backup is found whole. ConfigError otherwise; nothing is left."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"There is something at {folder} already; a node is never overwritten. Choose a new folder.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        contents = _unpacked(source, beside)
        _checked(contents, beside)
        if folder.exists():
            folder.rmdir()
        beside.rename(folder)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    return contents


# --- making ----------------------------------------------------------------------------------------------------------


def _files(folder: Path) -> list[_Found]:
    """The files of a node's folder by name, without the data, half-written files and SQLite's journals."""
    found = []
    for path in sorted(folder.rglob("*")):
        # DuckDB keeps a journal and a folder of its own beside the data file, under its name.
        data = path.relative_to(folder).parts[0].startswith("data.duckdb")
        left_out = data or path.name.endswith((".part", *JOURNALS))
        if path.is_file() and not path.is_symlink() and not left_out:
            found.append(_Found(path.relative_to(folder).as_posix(), path))
    return found


def _copied(found: _Found, beside: Path) -> _Found:
    """A copy that nobody changes any more; of a SQLite file, one consistent moment of it."""
    copy = beside / found.name
    copy.parent.mkdir(parents=True, exist_ok=True)
    if not found.name.endswith(".sqlite"):
        shutil.copyfile(found.path, copy)
        return _Found(found.name, copy)
    with closing(sqlite3.connect(found.path)) as live, closing(sqlite3.connect(copy)) as kept:
        live.backup(kept)
        # One file, without the journal that the live one has beside it.
        kept.execute("pragma journal_mode = delete")
    return _Found(found.name, copy)


def _log(state: Path | None) -> tuple[int, Head]:
    if state is None:
        return 0, Head(seq=0, hash=START)
    opened = State(state)
    try:
        report = check(opened.log())
    finally:
        opened.close()
    if not report.ok:
        raise ConfigError(f"The audit log does not hold: {report.words()} Find out why before you back it up.")
    return report.lines, report.head


def _put(archive: tarfile.TarFile, name: str, file: IO[bytes], size: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o600
    archive.addfile(entry, file)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- taking back -----------------------------------------------------------------------------------------------------


def _unpacked(source: Path, folder: Path) -> Contents:
    try:
        with tarfile.open(source, mode="r:") as archive:
            contents: Contents | None = None
            for entry in archive:
                file = archive.extractfile(entry) if entry.isreg() else None
                if file is None or not 0 <= entry.size <= LARGEST or not _plain(entry.name):
                    raise _damaged(source)
                if contents is None:
                    if entry.name != LIST:
                        raise _damaged(source)
                    contents = Contents.from_bytes(file.read(MAX_BYTES + 1))
                else:
                    _take(file, folder / entry.name)
    except OSError as error:
        raise ConfigError(f"The backup at {source} cannot be read: {error.strerror or 'it is damaged'}.") from None
    except (tarfile.TarError, CivicGridError):
        raise _damaged(source) from None
    if contents is None or {each.name: _digest(each.path) for each in _everything(folder)} != contents.files:
        raise _damaged(source)
    return contents


def _plain(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return bool(parts) and not name.startswith("/") and ".." not in parts and "\\" not in name and "\0" not in name


def _take(file: IO[bytes], path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as kept:
        shutil.copyfileobj(file, kept)
        kept.flush()
        os.fsync(kept.fileno())


def _everything(folder: Path) -> list[_Found]:
    return [_Found(path.relative_to(folder).as_posix(), path) for path in folder.rglob("*") if path.is_file()]


def _checked(contents: Contents, folder: Path) -> None:
    """The folder is a node's that can start, and its audit log is the one that was backed up."""
    home = Home(folder)
    settings = home.settings()
    home.policy()
    home.member()
    (folder / "permits").mkdir(mode=0o700, exist_ok=True)
    lines, head = _log(home.state if home.state.exists() else None)
    if (settings.network, settings.site, lines, head) != (contents.network, contents.site, contents.lines, contents.head):
        raise ConfigError("The backup is not whole: its files are not those of its list. Take an earlier backup.")
    if home.state.exists():
        state = State(home.state)
        with state.transaction("restored"):
            state.audit("node.restored", lines=lines, head=head.hash)
        state.close()


def _damaged(source: Path) -> ConfigError:
    return ConfigError(f"The file at {source} is no whole backup of a node. Take another; nothing was put in place.")
