"""MessagePack is counted before it is built: the count agrees with what is built, and bombs are not built at all."""

from __future__ import annotations

import tracemalloc
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from civicgrid.packed import count, unpack

SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=60)
LONG = st.sampled_from([bytes(300), bytes(70_000), "x" * 300, "x" * 70_000, [None] * 20, [1] * 70_000])


def items(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + sum(1 + items(inner) for inner in value.values())
    return 1 + (sum(items(inner) for inner in value) if isinstance(value, list) else 0)


@given(VALUES | LONG)
def test_as_many_items_as_are_built_afterwards(value: Any) -> None:
    raw = msgpack.packb(value)
    assert count(raw, 10**6) == items(value)
    assert repr(unpack(raw, 10**6)) == repr(value)
    assert count(raw, items(value)) == items(value)
    if items(value) > 1:
        with pytest.raises(ValueError, match="expected at most"):
            count(raw, items(value) - 1)


@given(st.binary(max_size=80))
def test_what_is_counted_is_built_or_refused_with_one_kind_of_error(raw: bytes) -> None:
    try:
        built = unpack(raw, 1000)
    except ValueError:
        return
    assert count(raw, 1000) >= items(built)


@given(VALUES, st.data())
def test_a_message_cut_short_is_refused_before_it_is_built(value: Any, data: st.DataObject) -> None:
    raw = msgpack.packb(value)
    with pytest.raises(ValueError, match="these bytes end before the message does"):
        count(raw[: data.draw(st.integers(0, len(raw) - 1))], 10**6)


@pytest.mark.parametrize(
    "raw",
    [
        msgpack.packb(msgpack.ExtType(5, b"x")),
        msgpack.packb([msgpack.ExtType(1, bytes(300))]),
        msgpack.packb(msgpack.Timestamp(1, 1)),
        b"\xc1",
    ],
)
def test_types_of_an_application_s_own_are_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match="a type of an application's own"):
        unpack(raw, 1000)


@pytest.mark.parametrize(
    "raw",
    [
        b"\xdd" + (3_000_000).to_bytes(4, "big") + b"\x90" * 3_000_000,
        b"\x92" * 3_000_000,
        b"\x91" * 3_000_000,
        b"\xdf" + (1_000_000).to_bytes(4, "big") + b"\x01\x80" * 1_000_000,
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xdc\xff\xff" * 100_000,
    ],
)
def test_a_bomb_costs_no_memory(raw: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"expected at most 1,000 items|end before the message does"):
            unpack(raw, 1000)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
