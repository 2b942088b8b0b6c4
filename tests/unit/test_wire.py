"""Messages: there and back unchanged; anything else refused in words, whatever bytes come."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import civicgrid as cg
from civicgrid import wire
from civicgrid.canonical import MAX_BYTES, parse
from civicgrid.disclosure.codes import Code
from civicgrid.disclosure.thresholds import Thresholds
from civicgrid.errors import CivicGridError, PlanError, TrustError, WireError
from civicgrid.methods.method import Ask
from civicgrid.methods.plan import Plan, bind
from civicgrid.query.types import INT, Schema
from civicgrid.trust.envelope import Envelope
from civicgrid.trust.keys import ExchangeKey, SigningKey
from civicgrid.wire import (
    Accepted,
    AnalysisResult,
    Exchange,
    Finish,
    Frame,
    Hello,
    Holding,
    Member,
    Prepare,
    Refused,
    Roster,
    Round,
    Shared,
    SignedTask,
    SiteOutcome,
    Standing,
    StudyRequest,
    StudyResult,
    Tasks,
    read_frame,
    read_reply,
    read_study,
    unframe,
)

KEY = SigningKey.generate()
DIGEST = "ab" * 32
MEMBER = Member(site="york", organisation="York", signing=KEY.public, exchange=ExchangeKey.generate().public)
ROSTER = Roster(network="n", study=DIGEST, run=DIGEST, attempt=0, plan=DIGEST, members=(MEMBER,))
SCHEMA = Schema.of({"age": INT})


def plan() -> Plan:
    return bind(cg.dataset("trial"), {"people": cg.Count()}, {"trial": SCHEMA}, "How many?")


def study() -> StudyRequest:
    return StudyRequest(network="n", project="P-1", person=KEY.public, plan=plan(), nonce="0" * 16)


ENVELOPE = study().signed(KEY)
STANDING = Standing(roster=DIGEST, site="york", alone=True)
OUTCOME = SiteOutcome(site="york", status="refused", code=Code.LATE)
MESSAGES = (
    Prepare(network="n", run=DIGEST, study=ENVELOPE, roster=ROSTER),
    Round(network="n", run=DIGEST, attempt=3, analysis="fit", version=1, round=7, roster=DIGEST),
    Round(network="n", run=DIGEST, attempt=0, analysis="fit", version=1, round=0, roster=DIGEST, signed=ENVELOPE),
    Finish(network="n", run=DIGEST),
    Accepted(task=DIGEST, signature=ENVELOPE, standing=STANDING.signed(KEY), thresholds=Thresholds(min_cell=7)),
    Shared(task=DIGEST),
    Refused(task=DIGEST, code=Code.DISCLOSURE),
    Hello(
        network="n",
        member=MEMBER,
        holdings=(Holding(name="trial", kind="table", snapshot=DIGEST, dictionary=SCHEMA),),
        methods={"count": 1},
        software="0.1",
        session="s",
    ),
    Exchange(session="s", replies=(Shared(task=DIGEST), Refused(task=DIGEST, code=Code.LATE)), wait=0.5),
    Tasks(stored=(DIGEST,), tasks=2),
    wire.RegisterKey(network="n", origin="example.org", key="example.org+01234567+AAAA"),
    wire.Witnessing(size=7, line="— example.org/york AAAA"),
    wire.RegisterHead(statement=ENVELOPE, checkpoint="example.org", proof=(DIGEST, DIGEST)),
    StudyResult(run=DIGEST, plan=DIGEST, analyses=(AnalysisResult(name="people", failure="none", sites=(OUTCOME,)),)),
    STANDING,
    Holding(name="trial", kind="omop", snapshot=DIGEST),
    study(),
)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.kind)
def test_a_message_comes_back_as_it_went(message: Any) -> None:
    blobs = {"ask": b"\x00\xff", "1": b""}
    came, came_blobs = read_frame(type(message), Frame(message, blobs).to_bytes())
    assert (came, came_blobs) == (message, blobs)
    assert came.digest() == message.digest()


def test_every_message_is_tried_here() -> None:
    kinds = {
        kind
        for kind in vars(wire).values()
        if isinstance(kind, type) and issubclass(kind, wire.Node) and kind.__module__ == wire.__name__
        if "kind" in kind.model_fields
    }
    assert kinds == {type(message) for message in MESSAGES}


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.kind)
def test_an_extra_field_or_a_wrong_type_is_refused(message: Any) -> None:
    data = message.to_data()
    for name in data:
        wrong = {**data, name: [[[]]]}
        with pytest.raises((WireError, TrustError)):
            read_frame(type(message), msgpack.packb([json.dumps(wrong).encode(), {}]))
    with pytest.raises(WireError, match="Extra inputs are not permitted"):
        read_frame(type(message), msgpack.packb([json.dumps({**data, "also": 1}).encode(), {}]))


@pytest.mark.parametrize(
    "body",
    [
        [b"{}", []],
        ["{}", {}],
        [b"{}", {"a": "text"}],
        [b"{}", {"a": 1}],
        [b"{}"],
        [b"{}", {}, {}],
        {},
        7,
        None,
        [b"x" * (wire.MAX_HEADER + 1), {}],
        [b"{}", {str(i): b"" for i in range(wire.MAX_BLOBS + 1)}],
    ],
    ids=lambda body: str(body)[:24],
)
def test_a_frame_of_another_form_is_refused(body: Any) -> None:
    with pytest.raises(WireError):
        unframe(msgpack.packb(body))


def test_an_oversized_frame_is_refused_before_it_is_read() -> None:
    with pytest.raises(WireError, match="at most 64,000,000 bytes"):
        unframe(bytes(wire.MAX_FRAME + 1))


def test_a_deeply_nested_message_is_refused() -> None:
    with pytest.raises(WireError):
        unframe(b"\x91" * 100_000)
    with pytest.raises(WireError):
        read_frame(Finish, msgpack.packb([b"[" * 1_000_000, {}]))
    with pytest.raises(WireError):
        SignedTask.from_bytes(b"\x91" * 100_000)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-32-be"])
def test_deeply_nested_json_is_refused_in_any_encoding(encoding: str) -> None:
    # U+2200 holds the byte of a quotation mark in UTF-16, which hid what came after it from the count of depth.
    deep = '["\u2200", ' + "[" * 20_000 + "]" * 20_000 + "]"
    with pytest.raises(PlanError):
        parse(deep.encode(encoding))


def test_an_oversized_plan_is_refused() -> None:
    with pytest.raises(PlanError, match="Make the plan smaller"):
        parse(b" " * (MAX_BYTES + 1))


# --- signed tasks ----------------------------------------------------------------------------------------------------


def test_a_signed_task_opens_under_the_hub_s_key_alone() -> None:
    task = SignedTask.from_bytes(SignedTask.sign(Frame(MESSAGES[3], {"ask": b"1"}), KEY).to_bytes())
    assert task.open(KEY.public) == (MESSAGES[3], {"ask": b"1"})
    with pytest.raises(TrustError, match="the signature does not hold"):
        task.open(SigningKey.generate().public)
    for changed in (SignedTask(task.payload + b"\x00", task.signature), SignedTask(task.payload, task.signature[:-1])):
        with pytest.raises(TrustError, match="the signature does not hold"):
            changed.open(KEY.public)


def test_a_reply_under_the_hub_s_signature_is_no_task() -> None:
    with pytest.raises(WireError, match="not a task that this node understands"):
        SignedTask.sign(Frame(Shared(task=DIGEST)), KEY).open(KEY.public)


# --- a signed study --------------------------------------------------------------------------------------------------


def test_a_signed_study_is_read_once_its_own_person_has_signed_it() -> None:
    assert read_study(ENVELOPE) == study()
    with pytest.raises(TrustError, match="valid signature"):
        read_study(study().signed(SigningKey.generate()))


def test_a_study_edited_after_signing_is_refused() -> None:
    edited = study().model_copy(update={"project": "P-2"}).canonical()
    with pytest.raises(TrustError, match="changed after signing"):
        read_study(ENVELOPE.model_copy(update={"payload": base64.b64encode(edited).decode()}))


def test_a_plan_of_a_later_format_says_to_update() -> None:
    data = study().to_data()
    data["plan"]["format"] = 2
    with pytest.raises(PlanError, match="Update it"):
        read_study(Envelope.sign(wire.STUDY, json.dumps(data).encode(), KEY))


# --- Asks ------------------------------------------------------------------------------------------------------------

NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
ARRAYS = st.builds(
    lambda values, columns: np.array(values[: len(values) // columns * columns]).reshape(-1, columns),
    st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=12),
    st.integers(1, 3),
)


@given(
    st.text(max_size=8),
    st.dictionaries(st.text(max_size=4), ARRAYS, max_size=3),
    st.dictionaries(st.text(max_size=4), NUMBERS | st.booleans() | st.text(max_size=4), max_size=3),
)
def test_an_ask_comes_back_as_it_went(step: str, arrays: dict[str, Any], values: dict[str, Any]) -> None:
    ask = Ask(step, arrays, values)
    back = Ask.from_bytes(ask.to_bytes())
    assert (back.step, back.values, back.digest()) == (step, values, ask.digest())
    assert set(back.arrays) == set(arrays)
    assert all(np.array_equal(back.arrays[name], arrays[name]) for name in arrays)


@pytest.mark.parametrize(
    "form",
    [
        ["s", [], {}],
        ["s", {}, []],
        [b"s", {}, {}],
        ["s", {}, {"k": [1]}],
        ["s", {}, {"k": {"deep": 1}}],
        ["s", {}, {"k": None}],
        ["s", {}, {"k": float("nan")}],
        ["s", {"a": 1}, {}],
        ["s", {"a": ["|O", [1], bytes(8)]}, {}],
        ["s", {"a": [["<f8"], [1], bytes(8)]}, {}],
        ["s", {"a": ["<f8", [-1], bytes(8)]}, {}],
        ["s", {"a": ["<f8", [2], bytes(8)]}, {}],
        ["s", {"a": ["<f8", [0, 2**62], b""]}, {}],
        ["s", {"a": ["<f8", [2**63 - 1], b""]}, {}],
        ["s", {"a": ["<f8", [1.0], bytes(8)]}, {}],
        ["s", {"a": ["<f8", [True], bytes(8)]}, {}],
        ["s", {"a": ["<f8", [1] * 40, bytes(8)]}, {}],
        ["s", {"a": ["<f8", [1], "12345678"]}, {}],
        ["s", {"a": ["<f8", [1], np.array([np.inf]).tobytes()]}, {}],
        ["s", {"a": ["<f8", [1], np.array([np.nan]).tobytes()]}, {}],
        [],
        7,
    ],
    ids=str,
)
def test_an_ask_of_another_form_is_refused(form: Any) -> None:
    with pytest.raises(ValueError):
        Ask.from_bytes(msgpack.packb(form))


# --- any bytes at all ------------------------------------------------------------------------------------------------

PLAIN = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=6)
ANY = st.recursive(
    PLAIN | st.binary(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5) | st.integers(0, 9), inner, max_size=4),
    max_leaves=10,
)
JSON = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.sampled_from(["kind", "plan", "person", "run", "payload", "sites"]), inner, max_size=4),
    max_leaves=10,
).map(lambda value: json.dumps(value).encode())


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A real message with some bytes changed, cut off or put in twice."""
    raw = bytearray(Frame(draw(st.sampled_from(MESSAGES)), {"a": b"1"}).to_bytes())
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(raw) - 1))
        raw[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
        raw = raw or bytearray(1)
    return bytes(raw)


HOSTILE = st.binary(max_size=64) | ANY.map(lambda value: msgpack.packb(value)) | mutated()
HOSTILE |= JSON.map(lambda header: msgpack.packb([header, {}]))


def only(read: Callable[[bytes], object], raw: bytes, *allowed: type[Exception]) -> None:
    try:
        read(raw)
    except allowed:
        return


@settings(max_examples=200, deadline=None)
@given(HOSTILE)
@example(b"\x81\x80\x00")
@example(b"\x81\x90\x00")
@example(b"\xd6\xff\xff\xff\xff\xff")
def test_whatever_comes_is_read_or_refused_in_words(raw: bytes) -> None:
    only(unframe, raw, WireError)
    for message in (Exchange, Hello, Prepare, Round, StudyResult):
        only(lambda data, kind=message: read_frame(kind, data), raw, CivicGridError)  # type: ignore[misc]
    only(lambda data: SignedTask.from_bytes(data).open(KEY.public), raw, CivicGridError)
    only(lambda data: SignedTask.sign(_Raw(data), KEY).open(KEY.public), raw, CivicGridError)  # type: ignore[arg-type]
    only(Ask.from_bytes, raw, ValueError)
    only(read_reply, raw, CivicGridError)


class _Raw:
    """A frame of any bytes, under the hub's own signature: what a hostile hub can send."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    def to_bytes(self) -> bytes:
        return self.raw


@settings(max_examples=120, deadline=None)
@given(st.binary(max_size=40) | JSON | mutated(), st.booleans())
def test_whatever_is_in_an_envelope_is_a_study_or_refused_in_words(payload: bytes, signed: bool) -> None:
    envelope = Envelope.sign(wire.STUDY, payload, KEY)
    if not signed:
        envelope = envelope.model_copy(update={"payload": payload.decode("latin-1")})
    only(lambda _: read_study(envelope), b"", CivicGridError)


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_a_study_with_any_part_put_wrong_is_refused_in_words(data: st.DataObject) -> None:
    value: Any = study().to_data()
    place = value
    while True:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        inner = place[key]
        if isinstance(inner, dict | list) and inner and data.draw(st.booleans()):
            place = inner
            continue
        wrong = PLAIN | st.lists(PLAIN, max_size=2) | st.dictionaries(st.text(max_size=4), PLAIN, max_size=2)
        place[key] = data.draw(wrong)
        break
    envelope = Envelope.sign(wire.STUDY, json.dumps(value).encode(), KEY)
    only(lambda _: read_study(envelope).digest(), b"", CivicGridError)
