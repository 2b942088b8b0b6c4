"""MessagePack from somebody who may mean harm, counted before anything is built of it.

Each byte of such a message can stand for an object of 56 bytes or more, so that 60 MB of empty lists would fill 4 GB. The
items that a message is made of are counted first (MessagePack specification, "Formats"), which touches a few bytes of an
honest one: what is large in it is a buffer.
"""

from __future__ import annotations

from typing import Any

import msgpack

# By first byte from 0xC0: how many bytes follow that belong to the item's form, and what the number in them counts.
_NOTHING, _BYTES, _ITEMS, _PAIRS = range(4)
_FORMS: list[tuple[int, int] | None] = [(0, _NOTHING)] * 256
_FORMS[0xC1] = None
for _first, _size in ((0xC4, 1), (0xD9, 1), (0xC5, 2), (0xDA, 2), (0xC6, 4), (0xDB, 4)):
    _FORMS[_first] = (_size, _BYTES)
for _first, _size in ((0xCA, 4), (0xCB, 8), (0xCC, 1), (0xCD, 2), (0xCE, 4), (0xCF, 8)):
    _FORMS[_first] = (_size, _NOTHING)
for _first, _size in ((0xD0, 1), (0xD1, 2), (0xD2, 4), (0xD3, 8)):
    _FORMS[_first] = (_size, _NOTHING)
for _first, _size in ((0xDC, 2), (0xDD, 4)):
    _FORMS[_first] = (_size, _ITEMS)
for _first, _size in ((0xDE, 2), (0xDF, 4)):
    _FORMS[_first] = (_size, _PAIRS)
for _first in (0xC7, 0xC8, 0xC9, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8):
    _FORMS[_first] = None


def unpack(raw: bytes, most: int) -> Any:
    """What these bytes hold. ValueError where it is over `most` items, of an application's own type, or not MessagePack."""
    count(raw, most)
    try:
        return msgpack.unpackb(raw)
    except (ValueError, TypeError, msgpack.UnpackException, msgpack.StackError) as error:
        raise ValueError(f"these bytes are not a message ({type(error).__name__})") from None


def count(raw: bytes, most: int) -> int:
    """How many items these bytes declare, without building any. ValueError as `unpack` has it."""
    at, end, left, items = 0, len(raw), 1, 0
    while left:
        if at >= end:
            raise ValueError("these bytes end before the message does")
        first = raw[at]
        at += 1
        left -= 1
        items += 1
        if first < 0x80 or first >= 0xE0:
            continue
        if first < 0xC0:
            if first >= 0xA0:
                at += first & 31
            else:
                left += (first & 15) * (2 if first < 0x90 else 1)
        else:
            form = _FORMS[first]
            if form is None:
                raise ValueError("these bytes hold a type of an application's own, which no message has")
            size, counts = form
            if counts != _NOTHING:
                length = int.from_bytes(raw[at : at + size], "big")
                if counts == _BYTES:
                    at += length
                else:
                    left += length if counts == _ITEMS else 2 * length
            at += size
        if items + left > most:
            raise ValueError(f"expected at most {most:,} items in this message")
    if at > end:
        raise ValueError("these bytes end before the message does")
    return items
