"""The one byte form: RFC 8785, whichever encoder writes it."""

from __future__ import annotations

import datetime as dt
import json
from enum import StrEnum
from typing import Literal

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ConfigDict, Field

from civicgrid.canonical import MAX_BYTES, Node, dumps, parse
from civicgrid.errors import PlanError

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(plain)
def test_both_encoders_write_the_same_bytes(data: object) -> None:
    try:
        expected = rfc8785.dumps(data)  # type: ignore[arg-type]
    except (UnicodeEncodeError, rfc8785.CanonicalizationError):
        return
    assert dumps(data) == expected


def test_the_published_example_of_the_standard() -> None:
    """RFC 8785, section 3.2.2 and 3.2.3."""
    numbers = [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001]
    data = {"numbers": numbers, "literals": [None, True, False]}
    assert dumps(data) == b'{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27]}'


class Level(StrEnum):
    LOW = "low"
    HIGH = "high"


class Old(Node):
    name: str


class Later(Node):
    name: str
    added: int = 3


def test_a_field_added_with_a_default_leaves_the_digest_as_it_was() -> None:
    assert Old(name="a").digest() == Later(name="a").digest()
    assert Later(name="a", added=4).digest() != Later(name="a").digest()


class Inner(Node):
    z: str
    a: float = 0.5


class Outer(Node):
    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

    kind: Literal["outer"] = "outer"
    inner: Inner
    renamed: tuple[Inner, ...] = Field(default=(), alias="Before")
    named: dict[str, int | float | str | bool | None] = {}
    level: Level = Level.LOW
    born: dt.date = dt.date(2000, 1, 1)
    choice: frozenset[str] = frozenset()


@given(
    st.builds(
        Outer,
        inner=st.builds(Inner, z=st.text(), a=st.floats(allow_nan=False, allow_infinity=False)),
        renamed=st.lists(st.builds(Inner, z=st.text()), max_size=3).map(tuple),
        named=st.dictionaries(
            st.text(max_size=3), st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(), max_size=4
        ),
        level=st.sampled_from(Level),
        born=st.dates(),
        choice=st.frozensets(st.text(max_size=3), max_size=3),
    )
)
def test_a_node_is_written_as_its_plain_data_is(node: Outer) -> None:
    try:
        expected = rfc8785.dumps(node.to_data())
    except (UnicodeEncodeError, rfc8785.CanonicalizationError):
        return
    assert node.canonical() == expected
    assert Outer.model_validate_json(expected, strict=False) == node


@pytest.mark.parametrize("data", [2**53, -(2**53), float("nan"), {1: 2}, "\ud800", {"\ud800": 1}, object()])
def test_what_the_standard_cannot_write_is_refused(data: object) -> None:
    for wrong in (data, [data], {"name": data}):
        with pytest.raises(PlanError):
            dumps(wrong)


@pytest.mark.parametrize("raw", [b"{", b"\xff", b"[" * 200 + b"]" * 200, b" " * (MAX_BYTES + 1)])
def test_bytes_beyond_the_limits_are_refused_before_anything_is_built(raw: bytes) -> None:
    with pytest.raises(PlanError):
        parse(raw)


def test_unknown_fields_and_loose_types_are_refused() -> None:
    for wrong in ({"name": "a", "more": 1}, {"name": 1}, {}):
        with pytest.raises(PlanError, match="not a valid Old"):
            Old.from_bytes(json.dumps(wrong))
