"""Checking a public register, as anybody can: nothing is believed but signatures under keys that one has, and arithmetic.

The whole register is read, its tree head is worked out from the entries alone and held against the signed checkpoint,
against what each witness signed, and against what was remembered from an earlier time. An operator who changes, removes,
reorders or back-dates an entry, or shows one register to some and another to others, cannot make all of these agree.
"""

from __future__ import annotations

import datetime as dt
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from civicgrid.canonical import Node, dumps
from civicgrid.errors import CivicGridError, ConfigError, DataError, TrustError
from civicgrid.hub.home import HubHome
from civicgrid.transport import Connection
from civicgrid.trust.envelope import Envelope
from civicgrid.trust.keys import SIGNING
from civicgrid.trust.merkle import Growing, leaf_hash, verify_inclusion
from civicgrid.trust.note import WITNESS, Checkpoint, Note, NoteKey
from civicgrid.wire import REGISTER, RegisterKey

AT_ONCE = 1000
SKEW = 600
"""Seconds that the clocks of a hub, a witness and this machine may be apart."""
MOST_FAULTS = 20


class Source(ABC):
    """Where a register is read from. What comes from it is believed in nothing."""

    @abstractmethod
    def log(self) -> dict[str, Any]: ...

    @abstractmethod
    def checkpoint(self, size: int | None = None) -> str: ...

    @abstractmethod
    def leaves(self, size: int) -> Iterator[Any]:
        """The first `size` entries as JSON values, or as many as there are."""

    @abstractmethod
    def inclusion(self, index: int, size: int) -> list[str]: ...


@dataclass
class Published(Source):
    """A register at a hub's public address."""

    connection: Connection

    def log(self) -> dict[str, Any]:
        return self._json("/register/log")

    def checkpoint(self, size: int | None = None) -> str:
        path = "/register/checkpoint" + ("" if size is None else f"?size={size}")
        return self.connection.get(path).decode("utf-8", "replace")

    def leaves(self, size: int) -> Iterator[Any]:
        start = 0
        while start < size:
            path = f"/register/entries?start={start}&end={min(start + AT_ONCE, size)}"
            entries = self._json(path).get("entries")
            if not isinstance(entries, list) or not entries:
                return
            yield from entries
            start += len(entries)

    def inclusion(self, index: int, size: int) -> list[str]:
        return list(self._json(f"/register/proof/inclusion?index={index}&size={size}")["proof"])

    def _json(self, path: str) -> dict[str, Any]:
        try:
            found = json.loads(self.connection.get(path))
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise TrustError(f"What is published at {path} cannot be read: it was changed, or this is no register.")
        return found


class Kept(Source):
    """The register in a hub's own folder: what its operator, or whoever restores it from a backup, checks."""

    def __init__(self, folder: Path) -> None:
        home = HubHome(folder)
        self._register = home.register(home.engine())

    def log(self) -> dict[str, Any]:
        key = self._register.key
        return {
            "origin": key.name,
            "key": str(key),
            "statement": self._register.statement().to_data(),
            "witnesses": [vars(each) for each in self._register.witnesses()],
        }

    def checkpoint(self, size: int | None = None) -> str:
        return str(self._register.checkpoint(size))

    def leaves(self, size: int) -> Iterator[Any]:
        for start in range(0, size, AT_ONCE):
            for text in self._register.texts(start, min(start + AT_ONCE, size)):
                try:
                    yield json.loads(text)
                except (ValueError, RecursionError):
                    yield None

    def inclusion(self, index: int, size: int) -> list[str]:
        return [part.hex() for part in self._register.inclusion(index, size)]


def source(where: str, hub_ca: Path | None = None) -> Source:
    """The register at an address, or in a hub's folder."""
    if "://" in where:
        return Published(Connection(where, None, hub_ca))
    if (Path(where) / "hub.toml").exists():
        return Kept(Path(where))
    raise ConfigError(f"Expected a hub's address such as https://hub.example, or a hub's folder; {where!r} is neither.")


class Remembered(Node):
    """What to keep from one check for the next: the register's name, key, size and head, and when they were seen."""

    origin: str
    key: str
    size: int
    root: str
    at: int


def read_remembered(path: Path) -> Remembered | None:
    """What an earlier check has left in this file; None where there is no file yet."""
    if not path.exists():
        return None
    try:
        return Remembered.from_bytes(path.read_bytes())
    except CivicGridError:
        raise ConfigError(f"Expected what an earlier check has left at {path}; it cannot be read. Take another.") from None


@dataclass
class Report:
    """What a check has found, in words: what holds, what does not, and what could not be looked at."""

    held: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    now: Remembered | None = None

    @property
    def ok(self) -> bool:
        return not self.faults

    def fault(self, words: str) -> None:
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(words)


@dataclass(frozen=True)
class _Seen:
    """A size of the register that somebody vouches for: who, with which head, when."""

    who: str
    size: int
    root: bytes
    at: int


def verify(
    where: Source,
    *,
    key: str = "",
    witnesses: Sequence[str] = (),
    remembered: Remembered | None = None,
    entry: int | None = None,
    progress: Callable[[Iterator[Any], int], Iterator[Any]] = lambda leaves, size: leaves,
) -> Report:
    """Read and check a whole register.

    `key` is the register's public key, or the hub's (`ed25519:…`), under which it names that key. Without one the key that
    was remembered counts, or else the one that is published: then the report says so.
    """
    report, log = Report(), where.log()
    own = _key(log, key, remembered, report)
    note = Note.parse(where.checkpoint())
    head = _signed(note, own)
    report.held.append(f"The checkpoint of {head.size:,} entries is signed by {own.name}.")
    vouched = [_Seen("the checkpoint", head.size, head.root, int(time.time()))]
    vouched += _witnessed(where, log, own, witnesses, report)
    if remembered is not None:
        if (remembered.origin, remembered.key) != (own.name, str(own)):
            report.fault("The register has another name or key than the one that was remembered.")
        elif remembered.size > head.size:
            report.fault(f"The register was cut: it had {remembered.size:,} entries, and has {head.size:,}.")
        else:
            vouched.append(_Seen("what was remembered", remembered.size, bytes.fromhex(remembered.root), remembered.at))
    else:
        report.open.append("Nothing was remembered from an earlier check. Give --remember FILE, and check again later.")
    _walk(progress(where.leaves(head.size), head.size), head.size, vouched, report)
    if entry is not None:
        _included(where, head, entry, report)
    report.now = Remembered(origin=own.name, key=str(own), size=head.size, root=head.root.hex(), at=int(time.time()))
    return report


def _key(log: dict[str, Any], given: str, remembered: Remembered | None, report: Report) -> NoteKey:
    """The key that checkpoints must be signed with."""
    if given and not given.startswith(f"{SIGNING}:"):
        return NoteKey.parse(given)
    if given:
        try:
            statement = Envelope.from_bytes(json.dumps(log.get("statement")))
        except CivicGridError:
            raise TrustError("The hub does not say which key its register is signed with.") from None
        return NoteKey.parse(RegisterKey.from_bytes(statement.verify(REGISTER, [given])).key)
    if remembered is not None:
        return NoteKey.parse(remembered.key)
    published = NoteKey.parse(str(log.get("key")))
    report.open.append(
        f"The register's key was taken from the register itself: {published}. Compare it with one that you have from "
        "elsewhere, and give it as --key."
    )
    return published


def _signed(note: Note, key: NoteKey) -> Checkpoint:
    if key not in note.opened([key]):
        raise TrustError(f"Expected a checkpoint signed under the key {key}; this one is not. It is another register.")
    head = Checkpoint.parse(note.text)
    if head.origin != key.name:
        raise TrustError(f"Expected a checkpoint of {key.name}; one of {head.origin!r} came.")
    return head


def _witnessed(
    where: Source, log: dict[str, Any], own: NoteKey, wanted: Sequence[str], report: Report
) -> Iterator[_Seen]:
    """What each witness vouches for: of those whose keys were given, or else of all that the register names."""
    named = [each for each in log.get("witnesses") or [] if isinstance(each, dict)]
    keys = [NoteKey.parse(text) for text in wanted or [str(each.get("key")) for each in named]]
    sizes = {str(each.get("key")): each.get("size") for each in named}
    if keys and not wanted:
        report.open.append("The witnesses' keys were taken from the register. Give those that you know as --witness.")
    if not keys:
        report.open.append("No witness has signed yet: only what you remember yourself shows a register that was cut.")
    for key in keys:
        size = sizes.get(str(key))
        if not isinstance(size, int):
            report.fault(f"There is no signature of the witness {key.name}.")
            continue
        try:
            note = Note.parse(where.checkpoint(size))
            head, found = _signed(note, own), note.opened([key])
        except CivicGridError as error:
            report.fault(f"The checkpoint of {size} entries that {key.name} signed does not hold: {error}")
            continue
        if key.type != WITNESS or key not in found or head.size != size:
            report.fault(f"There is no signature of the witness {key.name} on the checkpoint of {size} entries.")
            continue
        yield _Seen(key.name, head.size, head.root, found[key])


def _walk(leaves: Iterator[Any], size: int, vouched: Sequence[_Seen], report: Report) -> None:
    """Read the entries once: each in its place, none dated before one before it, and the heads that they give."""
    at_size: dict[int, list[_Seen]] = {}
    for each in vouched:
        at_size.setdefault(each.size, []).append(each)
    tree, before, network = Growing(), 0, ""
    # Entries that came after a witness had signed were made after that; those that it signed, before.
    earliest = 0
    latest = sorted(vouched, key=lambda each: each.size)
    agree: list[_Seen] = []

    def compare() -> None:
        nonlocal earliest
        for each in at_size.get(tree.size, ()):
            if tree.head == each.root:
                agree.append(each)
                earliest = max(earliest, each.at - SKEW)
            else:
                report.fault(f"The first {each.size:,} entries are not those of {each.who}: they were changed.")

    compare()
    for leaf in leaves:
        index = tree.size
        at = _moment(leaf)
        if at is None or leaf.get("index") != index:
            report.fault(f"Entry {index} cannot be read as such: it was changed, removed or moved.")
        else:
            network = network or str(leaf.get("network"))
            while latest and latest[0].size <= index:
                latest.pop(0)
            if at < before:
                report.fault(f"Entry {index} is dated before the one before it.")
            elif at < earliest:
                report.fault(f"Entry {index} is back-dated: it was not there at a time later than its date.")
            elif latest and at > latest[0].at + SKEW:
                report.fault(f"Entry {index} is dated later than the time at which {latest[0].who} had seen it.")
            if str(leaf.get("network")) != network:
                report.fault(f"Entry {index} is of another network.")
            before = max(before, at)
        tree.append(_hash(leaf))
        compare()
    for each in vouched:
        if each.size > tree.size and each.who != "the checkpoint":
            report.fault(f"The register was cut: {each.who} had seen {each.size:,} entries.")
    if tree.size != size:
        report.fault(f"Entries are missing: the checkpoint says {size:,}, and {tree.size:,} are published.")
    for each in agree:
        words = "give the tree head that was signed" if each.who == "the checkpoint" else f"are those of {each.who}"
        when = "" if each.who == "the checkpoint" else f", on {_day(each.at)}"
        report.held.append(f"The first {each.size:,} entries {words}{when}.")


def _included(where: Source, head: Checkpoint, entry: int, report: Report) -> None:
    for index, leaf in enumerate(where.leaves(min(entry + 1, head.size))):
        if index == entry:
            try:
                proof = [bytes.fromhex(part) for part in where.inclusion(entry, head.size)]
                verify_inclusion(_hash(leaf), entry, head.size, proof, head.root)
            except (CivicGridError, ValueError, KeyError, TypeError) as error:
                report.fault(f"The proof that entry {entry} is in the register does not hold: {error}")
                return
            report.held.append(f"Entry {entry} is in the register: {json.dumps(leaf.get('entry'), ensure_ascii=True)}")
            return
    raise DataError(f"The register has no entry {entry}; it has {head.size:,}.")


def _hash(leaf: Any) -> bytes:
    try:
        return leaf_hash(dumps(leaf))
    except CivicGridError:
        return leaf_hash(b"")


def _moment(leaf: Any) -> int | None:
    try:
        return int(dt.datetime.strptime(leaf["at"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=dt.UTC).timestamp())
    except (TypeError, ValueError, KeyError):
        return None


def _day(at: int) -> str:
    moment = dt.datetime.fromtimestamp(at, dt.UTC)
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"
