"""Small harm done to real messages: to their bytes, to their JSON, to their MessagePack, anywhere in them.

Like the random plans, it grows from a seed that Hypothesis draws: choice by choice it would rarely reach
deep into a message.
"""

from __future__ import annotations

import copy
import json
import random
from typing import Any

import msgpack

WORDS: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**31, 2**53, 2**63, 2**64, -(2**63), 10**30, 10**400, 0.5, -0.0, 1e308, 5e-324, "",
    "a", "\0", "\x1b[31m", "../../etc/passwd", "'; drop table runs; --", "=1+1", "<script>", "\u202e", "\ufffd", "e\u0301",
    "x" * 300, "ed25519:" + "A" * 43, "kind", "count", "2026-02-30", "9999-12-31", "0001-01-01", "NaN", "0" * 64, [], {},
    [[]], [None], {"kind": "value"}, {"kind": "count"}, {"": ""}, [0] * 40,
)  # fmt: skip
LITERALS = ("NaN", "Infinity", "-Infinity", "1e999", "-1e999", '"\\ud800"', '"\\u0000"', "9" * 5000, "1.0", "[" * 200)
BYTES = (b"", b"\xff", b"\x00", b"\xdd\xff\xff\xff\xff", b"\x80", b'"', b"\xc4\x08")


def harmed_json(text: str, rng: random.Random) -> bytes:
    """JSON with a few values put wrong, names changed, parts left out, put twice or moved, or odd literals."""
    data = json.loads(text)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        data = _harm(data, rng, WORDS)
    written = json.dumps(data, ensure_ascii=rng.random() < 0.5)
    if rng.random() < 0.2:
        places = [at for at, char in enumerate(written) if char in ":,["]
        if places:
            at = rng.choice(places) + 1
            end = at + 1
            while end < len(written) and written[end] not in ",]}":
                end += 1
            written = written[:at] + rng.choice(LITERALS) + written[end:]
    if rng.random() < 0.1:
        written = written.replace('":', f'":{rng.choice(("0", "null", "{}"))},"kind":', 1)
    raw = written.encode("utf-8", "surrogatepass")
    return harmed_bytes(raw, rng) if rng.random() < 0.15 else raw


def harmed_packed(raw: bytes, rng: random.Random) -> bytes:
    """A MessagePack message with a few values put wrong."""
    data = msgpack.unpackb(raw)
    for _ in range(rng.choice((1, 1, 2))):
        data = _harm(data, rng, (*(word for word in WORDS if not _large(word)), b"", b"\xff" * 8, bytes(7), bytes(16)))
    try:
        written: bytes = msgpack.packb(data)
    except (ValueError, TypeError, OverflowError):
        written = raw
    return harmed_bytes(written, rng) if rng.random() < 0.2 else written


def harmed_bytes(raw: bytes, rng: random.Random) -> bytes:
    """Bytes changed, cut off, or put in twice."""
    out = bytearray(raw)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(out) + 1)
        out[at : at + rng.randint(0, 3)] = rng.choice((*BYTES, rng.randbytes(3), out[:9]))
    return bytes(out)


def _large(word: Any) -> bool:
    return isinstance(word, int) and not -(2**63) <= word < 2**64


def _harm(data: Any, rng: random.Random, words: tuple[Any, ...]) -> Any:
    places = list(_places(data, ()))
    if not places:
        return rng.choice(words)
    path = rng.choice(places)
    data = copy.deepcopy(data)
    holder = data
    for step in path[:-1]:
        holder = holder[step]
    last = path[-1]
    what = rng.randrange(8)
    if what == 0:
        del holder[last]
    elif what == 1 and isinstance(holder, dict):
        holder[rng.choice(("kind", "also", "", str(last).upper(), "x" * 70))] = holder.pop(last)
    elif what == 2 and isinstance(holder, list):
        holder.extend([holder[last]] * rng.choice((1, 2, 60)))
    elif what == 3:
        other = data
        for step in rng.choice(places):
            other = other[step] if isinstance(other, dict | list) else other
        holder[last] = copy.deepcopy(other)
    elif what == 4 and isinstance(holder, dict):
        holder["also"] = rng.choice(words)
    elif what == 5 and isinstance(holder[last], str) and holder[last]:
        at = rng.randrange(len(holder[last]))
        holder[last] = holder[last][:at] + rng.choice(("\0", "é", "'", '"', " ", "")) + holder[last][at + 1 :]
    else:
        holder[last] = rng.choice(words)
    return data


def _places(data: Any, here: tuple[Any, ...]) -> Any:
    inner = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in inner:
        yield (*here, key)
        yield from _places(value, (*here, key))
