"""Frozen, typed values and their one byte form.

Everything that travels, is signed or is hashed is a `Node`: immutable, closed to unknown fields, and strict about types.
Its canonical form is RFC 8785 JSON with default values left out, so that a field added later with a default leaves the
hash of every earlier value as it was.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from functools import cache
from json.encoder import encode_basestring
from typing import Any, Self

import rfc8785
from pydantic import BaseModel, ConfigDict, ValidationError

from civicgrid.errors import PlanError

MAX_BYTES = 1_000_000
MAX_DEPTH = 64
MAX_ITEMS = 150_000
MAX_FAULTS = 1_000


class Node(BaseModel):
    """An immutable value with a canonical form. `kind`, where a node has one, is always written."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    def to_data(self) -> dict[str, Any]:
        """The value as plain JSON data, defaults left out."""
        return {name: _plain(value) for name, value in _written(self)}

    def canonical(self) -> bytes:
        """RFC 8785 bytes: the form that is hashed and signed."""
        return dumps(self)

    def digest(self) -> str:
        """SHA-256 of the canonical form, in hexadecimal."""
        return hashlib.sha256(self.canonical()).hexdigest()

    @classmethod
    def from_bytes(cls, raw: bytes | str) -> Self:
        """Read a value back, refusing what is too large, too deep, or not of this type."""
        parse(raw)
        try:
            return cls.model_validate_json(raw)
        except ValidationError as error:
            raise PlanError(f"This is not a valid {cls.__name__}: {describe(error)}") from None


def parse(raw: bytes | str) -> Any:
    """JSON to plain data, under the limits on size and depth that hold before anything is built from it."""
    if len(raw) > MAX_BYTES:
        raise PlanError(f"Expected at most {MAX_BYTES:,} bytes of JSON; {len(raw):,} came. Make the plan smaller.")
    if crowded(raw):
        raise PlanError(f"Expected at most {MAX_ITEMS:,} values in one message; more came. Make the plan smaller.")
    try:
        text = raw.decode("utf-8") if isinstance(raw, bytes) else raw
    except UnicodeDecodeError:
        raise PlanError("Expected JSON in UTF-8; these bytes are in another encoding. Send UTF-8.") from None
    depth = deepest = 0
    inside = escaped = False
    for char in text:
        if inside:
            if escaped:
                escaped = False
            elif char == "\\":
                escaped = True
            elif char == '"':
                inside = False
        elif char == '"':
            inside = True
        elif char in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif char in "]}":
            depth -= 1
    if deepest > 2 * MAX_DEPTH:
        raise PlanError(f"Expected a plan nested at most {2 * MAX_DEPTH} deep; this one is {deepest} deep.")
    try:
        # What is read is the very text whose depth was counted: left to itself, json guesses at UTF-16 and UTF-32.
        return json.loads(text, object_pairs_hook=_once)
    except ValueError as error:
        raise PlanError(f"Expected JSON; it could not be read: {error}") from None


def crowded(raw: bytes | str) -> bool:
    """Whether JSON may hold more values than are ever built from one: each fault in a value costs a kilobyte to say."""
    if len(raw) <= MAX_ITEMS:
        return False
    text = raw if isinstance(raw, bytes) else raw.encode("utf-8", "replace")
    return text.count(b",") + text.count(b"[") + text.count(b"{") > MAX_ITEMS


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose names differ, as RFC 8785 asks: of two values under one name, readers may take either."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def dumps(data: Any) -> bytes:
    """Plain data as RFC 8785 JSON. PlanError for what not every reader of JSON takes alike."""
    try:
        return _text(data).encode()
    except (rfc8785.CanonicalizationError, UnicodeEncodeError):
        raise PlanError(
            "Expected whole numbers within ±(2^53 - 1), finite numbers and whole characters, which every reader of JSON "
            "takes alike; something else is in this message."
        ) from None


def _text(data: Any) -> str:
    """What most values hold, written here in one pass; decimal numbers, names beyond ASCII and all else by `rfc8785`."""
    kind = type(data)
    if kind is str:
        return encode_basestring(data)
    if isinstance(data, Node):
        return "{" + ",".join([f'"{name}":{_text(value)}' for name, value in _written(data)]) + "}"
    if kind is int and -(2**53) < data < 2**53:
        return str(data)
    if kind is tuple or kind is list:
        return "[" + ",".join([_text(item) for item in data]) + "]"
    if kind is dict and all(type(key) is str and key.isascii() for key in data):
        return "{" + ",".join([f"{encode_basestring(key)}:{_text(data[key])}" for key in sorted(data)]) + "}"
    if kind is bool:
        return "true" if data else "false"
    if data is None:
        return "null"
    written: bytes = rfc8785.dumps(_plain(data))
    return written.decode()


@cache
def _fields(kind: type[Node]) -> tuple[tuple[str, str, bool, Any], ...]:
    """A node's fields in the order in which they are written: attribute, name, whether always written, default."""
    found = []
    for attribute, field in kind.model_fields.items():
        always = attribute == "kind" or field.is_required()
        default = None if always else field.get_default(call_default_factory=True)
        if not field.exclude:
            found.append((attribute, field.alias or attribute, always, default))
    return tuple(sorted(found, key=lambda entry: entry[1]))


def _written(node: Node) -> list[tuple[str, Any]]:
    """Names and values of the fields that are not at their defaults, in order of name."""
    values = node.__dict__
    return [
        (name, values[attribute])
        for attribute, name, always, default in _fields(type(node))
        if always or (values[attribute] is not default and values[attribute] != default)
    ]


def describe(error: ValidationError, most: int = 3) -> str:
    """The first few faults of a validation, in words, without the values that came."""
    if error.error_count() > MAX_FAULTS:
        return f"there are {error.error_count():,} faults in it"
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    words = [f"{'.'.join(str(part) for part in fault['loc']) or 'value'}: {fault['msg']}" for fault in faults[:most]]
    if len(faults) > most:
        words.append(f"and {len(faults) - most} more")
    return "; ".join(words)


def digest(data: bytes) -> str:
    """SHA-256 in hexadecimal, as everything here is named."""
    return hashlib.sha256(data).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, Node):
        return value.to_data()
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, frozenset):
        return sorted(_plain(item) for item in value)
    if isinstance(value, dt.date | dt.datetime):
        return value.isoformat()
    return value
