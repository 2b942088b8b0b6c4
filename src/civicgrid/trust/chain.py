"""Hash chains: entries each of which holds the hash of the one before, so that none can be changed or taken
out unseen.

The rule alone: node and hub keep their links in their own databases, in the transaction of what each link speaks of.
A chain shows tampering to whoever remembers a later *head*; it does not stop somebody from cutting off the end or writing
all of it anew, so heads are kept elsewhere too (at the hub, on the register, on paper).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydantic import ValidationError, field_validator

from civicgrid.canonical import Node, describe, dumps
from civicgrid.errors import TrustError

START = "0" * 64
"""What the first entry has for the hash before it."""

MAX_FIELDS = 40

Detail = bool | int | str | tuple[str, ...]

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_ACTION = re.compile(r"[a-z][a-z0-9_.]{0,79}")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+-]{0,199}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_LARGEST = 2**53 - 1


class Entry(Node):
    """What happened: the number in the log, when (UTC), who did it, what they did, and to what.

    `details` holds ids, digests, whole numbers and lists of ids. Free text, addresses and decimal numbers are
    refused, so that a person's data cannot slip into a log that is never erased.
    """

    seq: int
    time: str
    actor: str
    action: str
    details: dict[str, Detail] = {}

    @field_validator("seq")
    @classmethod
    def _counted(cls, seq: int) -> int:
        if not 1 <= seq <= _LARGEST:
            raise TrustError("Expected log entries to be numbered from 1.")
        return seq

    @field_validator("time")
    @classmethod
    def _utc(cls, time: str) -> str:
        if not _TIME.fullmatch(time):
            raise TrustError("Expected the time of a log entry as 2026-01-31T12:00:00.000000Z.")
        return time

    @field_validator("actor")
    @classmethod
    def _who(cls, actor: str) -> str:
        if not _ID.fullmatch(actor):
            raise TrustError("Expected the actor of a log entry by id: letters, digits and . _ : / + - only, no name.")
        return actor

    @field_validator("action")
    @classmethod
    def _what(cls, action: str) -> str:
        if not _ACTION.fullmatch(action):
            raise TrustError("Expected the action of a log entry as words such as permit.granted.")
        return action

    @field_validator("details")
    @classmethod
    def _allowed(cls, details: dict[str, Detail]) -> dict[str, Detail]:
        if len(details) > MAX_FIELDS:
            raise TrustError(f"Expected at most {MAX_FIELDS} details in a log entry; {len(details)} came.")
        for name, value in details.items():
            if not _NAME.fullmatch(name):
                raise TrustError("Expected the details of a log entry under short lower-case names.")
            whole = isinstance(value, int) and abs(value) <= _LARGEST
            texts = (value,) if isinstance(value, str) else value if isinstance(value, tuple) else ()
            if not whole and (isinstance(value, int) or not all(_ID.fullmatch(text) for text in texts)):
                raise TrustError(
                    f"Expected the detail {name!r} of a log entry to be an id, a digest, a whole number or "
                    "a list of ids; "
                    "it is something else. Log a digest of it instead."
                )
        return details


class Link(Entry):
    """An entry in its place: with the hash of the link before it, and its own."""

    previous: str
    hash: str


class Head(Node):
    """The end of a chain at some moment: what to remember elsewhere."""

    seq: int
    hash: str


@dataclass(frozen=True)
class Fault:
    """Where a chain does not hold, and how."""

    line: int
    words: str


@dataclass(frozen=True)
class Report:
    """What reading a whole chain found."""

    lines: int
    head: Head
    faults: tuple[Fault, ...]

    @property
    def ok(self) -> bool:
        return not self.faults

    def words(self) -> str:
        """The report as an auditor reads it."""
        if self.ok:
            head = f"Head: {self.head.seq} {self.head.hash}."
            return f"{self.lines} lines, none changed, removed or reordered. {head}"
        return "\n".join(f"Line {fault.line}: {fault.words}" for fault in self.faults)


def link(previous: str, entry: Entry) -> str:
    """The hash of an entry that follows `previous`: SHA-256 of its canonical JSON with that hash in it."""
    said: dict[str, object] = {name: getattr(entry, name) for name in ("seq", "time", "actor", "action")}
    said["previous"] = previous
    if entry.details:
        said["details"] = entry.details
    return hashlib.sha256(dumps(said)).hexdigest()


def follow(head: Head | None, time: float, actor: str, action: str, details: Mapping[str, Detail] | None = None) -> Link:
    """The next link after a head (None for the first). `time` is in seconds since 1970."""
    previous = START if head is None else head.hash
    try:
        entry = Entry(
            seq=1 if head is None else head.seq + 1,
            time=dt.datetime.fromtimestamp(time, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            actor=actor,
            action=action,
            details=dict(details or {}),
        )
    except ValidationError as error:
        raise TrustError(f"Expected ids, digests and whole numbers in a log entry: {describe(error)}.") from None
    # What is in it has just been checked.
    return Link.model_construct(**entry.__dict__, previous=previous, hash=link(previous, entry))


def check(links: Iterable[Link | None], remembered: Iterable[Head] = ()) -> Report:
    """Read a chain from its start: which links were changed, removed, reordered or, by remembered heads, cut
    off.

    None stands for a line that could not be read as a link.
    """
    heads = {head.seq: head.hash for head in remembered}
    faults: list[Fault] = []
    last: Head | None = Head(seq=0, hash=START)
    end, number = Head(seq=0, hash=START), 0
    for number, item in enumerate(links, 1):
        if item is None:
            faults.append(Fault(number, "cannot be read as an entry of this log: it was changed."))
            last = None
            continue
        if link(item.previous, item) != item.hash:
            faults.append(Fault(number, "was changed: what it says is not what its hash was taken of."))
        elif last is not None and (item.seq, item.previous) != (last.seq + 1, last.hash):
            faults.append(Fault(number, _place(item, last, number)))
        if heads.pop(item.seq, item.hash) != item.hash:
            faults.append(Fault(number, f"is not the entry {item.seq} that was remembered: the log was written anew."))
        last = end = Head(seq=item.seq, hash=item.hash)
    if heads:
        faults.append(
            Fault(
                number + 1,
                f"is missing: the log ends before the remembered entry {max(heads)}. It was cut off.",
            )
        )
    return Report(number, end, tuple(faults))


def _place(item: Link, last: Head, number: int) -> str:
    before = f"line {number - 1}" if number > 1 else "the start of the log"
    gap = item.seq - last.seq - 1
    if gap > 0:
        return f"has entry {item.seq}, not {last.seq + 1}: {gap} removed between {before} and it, or moved."
    if gap < 0:
        return f"has entry {item.seq}, not {last.seq + 1}: lines were reordered or repeated."
    return f"does not follow {before}: what stood before it was changed and given a new hash."
