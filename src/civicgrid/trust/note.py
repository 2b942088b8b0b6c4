"""Signed notes, checkpoints of a log, and what witnesses sign beside them: the C2SP formats, on Ed25519.

    c2sp.org/signed-note       text, a blank line, and signature lines: a name, and base64 of key id and signature
    c2sp.org/tlog-checkpoint   a note of three lines: which log, how many entries, the tree head
    c2sp.org/tlog-cosignature  a witness's signature (version 1): with the time at which it had seen no larger log

A note's text is only what its signatures make of it: nothing comes out of `opened` but under a key that was asked for.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import struct
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace

from civicgrid.errors import TrustError
from civicgrid.trust.keys import SIGNING, SigningKey, raw, verify

LOG, WITNESS = 1, 4
"""The signature types of signed-note: plain Ed25519, and the timestamped cosignature."""

MAX_NOTE = 500_000
MAX_SIGNATURES = 1_000
_DASH = "— "
_NUMBER = re.compile(r"0|[1-9]\d{0,17}")


@dataclass(frozen=True)
class NoteKey:
    """A public key under its name, for one type of signature. `public` is the key's text as everywhere here."""

    name: str
    public: str
    type: int = LOG

    def __post_init__(self) -> None:
        if not self.name or "+" in self.name or any(char.isspace() or not char.isprintable() for char in self.name):
            raise TrustError("Expected the name of a key without spaces and without a plus sign.")
        if self.type not in (LOG, WITNESS):
            raise TrustError("Expected a key that signs a log's checkpoints, or one of a witness; this is neither.")
        raw(self.public, SIGNING)

    @property
    def id(self) -> bytes:
        """The four bytes that say in a note which key signed."""
        named = f"{self.name}\n".encode() + bytes([self.type]) + raw(self.public, SIGNING)
        return hashlib.sha256(named).digest()[:4]

    def __str__(self) -> str:
        """The key as it is given to others: name, id and key in one word (a "vkey")."""
        key = base64.b64encode(bytes([self.type]) + raw(self.public, SIGNING)).decode()
        return f"{self.name}+{self.id.hex()}+{key}"

    @classmethod
    def parse(cls, text: str) -> NoteKey:
        """A key from its one word."""
        name, _, rest = text.strip().partition("+")
        number, _, encoded = rest.partition("+")
        key = _decoded(encoded)
        if len(key) == 33:
            public = f"{SIGNING}:{base64.urlsafe_b64encode(key[1:]).decode().rstrip('=')}"
            found = cls(name, public, key[0])
            if found.id.hex() == number:
                return found
        raise TrustError("Expected a key as NAME+ID+KEY in one word, as the register shows it; this one is not whole.")


@dataclass(frozen=True)
class Line:
    """One signature line of a note."""

    name: str
    id: bytes
    signature: bytes

    def __str__(self) -> str:
        return f"{_DASH}{self.name} {base64.b64encode(self.id + self.signature).decode()}\n"

    @classmethod
    def parse(cls, text: str) -> Line:
        """A line from its text, with or without the end of the line."""
        text = text.removesuffix("\n")
        parts = text.removeprefix(_DASH).split(" ")
        if not text.startswith(_DASH) or len(parts) != 2 or not parts[0] or not _name(parts[0]):
            raise TrustError("Expected each signature of a note as a dash, a name and a signature.")
        signature = _decoded(parts[1])
        if len(signature) <= 4:
            raise TrustError("Expected a key id and a signature in each signature line of a note.")
        return cls(parts[0], signature[:4], signature[4:])


@dataclass(frozen=True)
class Note:
    """A text and its signature lines, as they came. Nothing of it is to be believed before `opened`."""

    text: str
    lines: tuple[Line, ...]

    def __str__(self) -> str:
        return f"{self.text}\n{''.join(map(str, self.lines))}"

    def with_lines(self, more: Iterable[Line]) -> Note:
        return replace(self, lines=(*self.lines, *more))

    @classmethod
    def parse(cls, note: bytes | str) -> Note:
        """A note from its form in text. TrustError for what is none."""
        if len(note) > MAX_NOTE:
            raise TrustError(f"Expected a signed note of at most {MAX_NOTE:,} bytes; a longer one came.")
        try:
            whole = note.decode("utf-8") if isinstance(note, bytes) else note
        except UnicodeDecodeError:
            raise TrustError("Expected a signed note in UTF-8; these bytes are in another encoding.") from None
        text, found, signatures = whole.rpartition("\n\n")
        if not found or any(char < " " and char != "\n" for char in whole) or not signatures.endswith("\n"):
            raise TrustError("Expected a signed note: a text, a blank line, and signature lines.")
        lines = signatures[:-1].split("\n")
        if len(lines) > MAX_SIGNATURES:
            raise TrustError(f"Expected at most {MAX_SIGNATURES:,} signatures on a note; {len(lines):,} came.")
        return cls(f"{text}\n", tuple(map(Line.parse, lines)))

    def opened(self, keys: Iterable[NoteKey]) -> dict[NoteKey, int]:
        """Which of these keys signed the text, each with the time that a witness gave (seconds since 1970; 0 of a log).

        Lines of other keys are left aside. TrustError where a line is under a key's own name and id, and does not hold.
        """
        known = {(key.name, key.id): key for key in keys}
        found: dict[NoteKey, int] = {}
        for line in self.lines:
            key = known.get((line.name, line.id))
            if key is None:
                continue
            if key in found:
                raise TrustError(f"Expected one signature of {key.name} on the note; there are more.")
            found[key] = _checked(self.text, line, key)
        return found


@dataclass(frozen=True)
class Checkpoint:
    """What a log says of itself at one size."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """A checkpoint from a note's text. Extension lines are refused: nobody could audit them."""
        lines = text.split("\n")
        if len(lines) != 4 or lines[3] or not lines[0] or not _NUMBER.fullmatch(lines[1]):
            raise TrustError("Expected a checkpoint of three lines: the log's name, its size, its tree head.")
        root = _decoded(lines[2])
        if len(root) != 32:
            raise TrustError("Expected a tree head of 32 bytes in a checkpoint.")
        return cls(lines[0], int(lines[1]), root)


def signed(text: str, key: SigningKey, name: str) -> Note:
    """A note over the text under a log's key."""
    line = Line(name, NoteKey(name, key.public, LOG).id, key.sign(text.encode()))
    return Note(text, (line,))


def cosigned(text: str, key: SigningKey, name: str, time: int) -> Line:
    """A witness's line for a checkpoint: at this time it had seen no larger log of that name."""
    signature = struct.pack(">Q", time) + key.sign(_witnessed(text, time))
    return Line(name, NoteKey(name, key.public, WITNESS).id, signature)


def _witnessed(text: str, time: int) -> bytes:
    return f"cosignature/v1\ntime {time}\n{text}".encode()


def _checked(text: str, line: Line, key: NoteKey) -> int:
    time, signature, message = 0, line.signature, text.encode()
    if key.type == WITNESS:
        time = int.from_bytes(signature[:8], "big")
        if time >= 2**63:
            raise TrustError(f"The time in the signature of {key.name} is none.")
        signature, message = signature[8:], _witnessed(text, time)
    try:
        verify(key.public, signature, message)
    except TrustError:
        raise TrustError(f"The signature of {key.name} on this note does not hold: the note was changed.") from None
    return time


def _name(name: str) -> bool:
    return "+" not in name and not any(unicodedata.category(char) in ("Zs", "Zl", "Zp", "Cc") for char in name)


def _decoded(text: str) -> bytes:
    """Base64 in its one proper spelling, or nothing."""
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
    return value if base64.b64encode(value).decode() == text else b""
