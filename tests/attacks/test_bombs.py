"""Messages made to be costly to read: too deep, too large, too many, or two things at once.

Each is sent as its adversary would send it: to a real hub by a person or a node that it knows, and to a site by a hostile
hub. It must end in words (or a code of the closed list), in little memory, and leave nothing behind.
"""

from __future__ import annotations

import json
import re
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest

import civicgrid as cg
from civicgrid.canonical import MAX_BYTES
from civicgrid.disclosure.codes import Code
from civicgrid.disclosure.release import combine
from civicgrid.errors import CivicGridError, WireError
from civicgrid.methods.method import Ask
from civicgrid.methods.plan import bind, read_plan
from civicgrid.query.types import INT, Schema, category
from civicgrid.trust.envelope import Envelope
from civicgrid.trust.keys import SigningKey
from civicgrid.wire import STUDY, Exchange, Prepare, SignedTask, StudyRequest, read_frame, read_study, unframe
from unit.hub.serving import Served, served
from unit.node.sites import NETWORK, World, code, frame

pytestmark = pytest.mark.xdist_group("bombs")

SMALL = 90_000_000
"""What a hub or a site may use more for one hostile message than for an honest one, in bytes."""


# --- plans -----------------------------------------------------------------------------------------------------------


def nested(depth: int, inside: str = '{"kind":"value","of":"bool","value":true}') -> str:
    return '{"kind":"not","part":' * depth + inside + "}" * depth


def wide(parts: int) -> str:
    one = '{"kind":"value","of":"bool","value":true}'
    return '{"kind":"or","parts":[' + ",".join([one] * parts) + "]}"


def place(text: str) -> Callable[[str], str]:
    """The plan with this as its population."""
    return lambda plan: re.sub(r'"population":\{.*?\}(?=[,}])', lambda _: f'"population":{text}', plan, count=1)


def swap(old: str, new: str) -> Callable[[str], str]:
    return lambda plan: plan.replace(old, new, 1)


PLANS: dict[str, Callable[[str], str]] = {
    "a population 130 deep": place(nested(130)),
    "a population 60,000 deep": place(nested(15_000)),
    "brackets that never close": lambda plan: "[" * 900_000,
    "20,000 conditions": place(wide(20_000)),
    "a title of a megabyte": swap('"a title"', json.dumps("x" * MAX_BYTES)),
    "a title of 201 letters": swap('"a title"', json.dumps("x" * 201)),
    "a whole number of 17 digits": place('{"kind":"value","of":"int","value":9007199254740992}'),
    "a float written as 400 digits": place('{"kind":"value","of":"float","value":-' + "9" * 400 + "}"),
    "a whole number of 400 digits": place('{"kind":"value","of":"int","value":' + "9" * 400 + "}"),
    "a whole number of 100,000 digits": place('{"kind":"value","of":"int","value":' + "9" * 100_000 + "}"),
    "a number beyond all numbers": place('{"kind":"value","of":"float","value":1e999}'),
    "NaN": place('{"kind":"value","of":"float","value":NaN}'),
    "minus Infinity": place('{"kind":"value","of":"float","value":-Infinity}'),
    "a number of 100,000 places": place('{"kind":"value","of":"float","value":0.' + "0" * 100_000 + "1e99999}"),
    "half a character": swap('"a title"', '"\\ud83d"'),
    "half a character in a name": swap('"trial"', '"\\udc00"'),
    "a null byte in a name": swap('"trial"', '"tri\\u0000al"'),
    "raw control characters": swap('"a title"', '"a\ntitle"'),
    "a name that turns the line round": swap('"trial"', '"\\u202etrial"'),
    "a title twice": swap('"title"', '"title":"other","title"'),
    "a population twice": swap('"population"', '"population":1,"population"'),
    "a kind twice": swap('"kind":"plan"', '"kind":"plan","kind":"plan"'),
    "a data set twice": swap('"dataset"', '"dataset":"other","dataset"'),
    "a field too many": swap('"kind":"plan"', '"kind":"plan","also":1'),
    "100,000 fields too many": swap('"kind":"plan"', '"kind":"plan",' + ",".join(f'"x{i}":1' for i in range(60_000))),
    "300,000 columns": swap('"population"', '"columns":[' + ",".join(["{}"] * 300_000) + '],"population"'),
    "70,000 faults": swap('"population"', '"columns":[' + ",".join(["{}"] * 70_000) + '],"population"'),
    "10,000 analyses": swap('"analyses":[', '"analyses":[' + '{"name":"a","method":{"kind":"count"}},' * 10_000),
    "a word where a list stands": swap('"analyses":[', '"analyses":"many","x":['),
    "true where a number stands": place('{"kind":"value","of":"int","value":true}'),
    "a list of itself": place("[[[[]]]]"),
    "nothing": lambda plan: "null",
    "a mark of byte order": lambda plan: "\ufeff" + plan,
    "two plans": lambda plan: plan + plan,
    "a comment": lambda plan: "/* */" + plan,
}


def honest_plan() -> str:
    plan = bind(cg.dataset("trial", Schema.of({"age": INT})), {"n": cg.Count()}, {}, "a title")
    return plan.canonical().decode()


def test_the_plan_that_all_of_them_are_made_from_is_read() -> None:
    assert read_plan(honest_plan()).title == "a title"
    for name, make in PLANS.items():
        assert make(honest_plan()) != honest_plan(), name


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_made_to_be_costly_is_refused_in_words_and_little_memory(name: str) -> None:
    text = PLANS[name](honest_plan())
    tracemalloc.start()
    try:
        with pytest.raises(CivicGridError) as refused:
            read_plan(text)
        assert tracemalloc.get_traced_memory()[1] < SMALL + 8 * len(text)
    finally:
        tracemalloc.stop()
    assert 10 < len(str(refused.value)) < 2_000
    assert "xxxxx" not in str(refused.value)


def test_two_spellings_of_one_word_are_two_words() -> None:
    """No text is normalised on the way, so what is shown, signed and run are the same letters; and never the same plan."""
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    plans = [
        bind(cg.cohort(trial["drink"] == word), {"n": cg.Count()}, {})
        for word in (composed, decomposed)
        for trial in [cg.dataset("trial", Schema.of({"drink": category(word, "tea")}))]
    ]
    assert plans[0].digest() != plans[1].digest()
    assert plans[0].explain() != plans[1].explain()
    for plan in plans:
        assert read_plan(plan.canonical()) == plan


# --- at a hub --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("bombs"), address_requests=1000) as running:
        yield running


def study(hub: Served, plan: str) -> bytes:
    """The plan in a study that its person has signed."""
    request = {"kind": "study", "network": "local", "project": "P-1", "person": hub.people[0].public, "nonce": "n" * 16}
    text = json.dumps(request)[:-1] + ',"plan":' + plan + "}"
    return Envelope.sign(STUDY, text.encode("utf-8", "surrogatepass"), hub.people[0]).canonical()


def peak(hub: Served) -> int:
    """The most memory that the hub has ever held, in bytes."""
    status = Path(f"/proc/{hub.process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)) * 1024  # type: ignore[union-attr]


@pytest.mark.parametrize("name", PLANS)
def test_a_study_made_to_be_costly_is_refused_by_the_hub(hub: Served, name: str) -> None:
    before, stored = peak(hub), hub.stored()
    answer = hub.ask("POST", "/api/studies", hub.people[0], study(hub, PLANS[name](honest_plan())))
    assert answer.status_code in (400, 401, 413, 422), answer.text
    assert 10 < len(answer.json()["error"]) < 2_000
    assert "Traceback" not in answer.text
    assert hub.stored() == stored
    assert peak(hub) - before < SMALL + 20_000_000


def nils(size: int) -> bytes:
    return b"\xdd" + size.to_bytes(4, "big") + b"\xc0" * size


FRAMES: dict[str, bytes] = {
    "30 million nothings": nils(30_000_000),
    "10 million empty lists": b"\xdd" + (10_000_000).to_bytes(4, "big") + b"\x90" * 10_000_000,
    "lists of two, 10 million": b"\x92" * 10_000_000,
    "lists of one, 10 million deep": b"\x91" * 10_000_000,
    "a map of 2 million": b"\x92\xc4\x00\xdf" + (2_000_000).to_bytes(4, "big") + b"\xa1a\xc0" * 2_000_000,
    "four thousand million declared": b"\xdd\xff\xff\xff\xff",
    "a buffer of 4 GB declared": b"\x92\xc6\xff\xff\xff\xff",
    "a map of 4 thousand million declared": b"\x92\xc4\x00\xdf\xff\xff\xff\xff",
    "a type of its own": msgpack.packb([b"{}", {"a": msgpack.ExtType(9, bytes(100))}]),
    "a time": msgpack.packb([b"{}", msgpack.Timestamp(1, 1)]),
    "two thousand buffers": msgpack.packb([b"{}", {str(i): b"" for i in range(2_000)}]),
    "a name that is no text": b"\x92\xc4\x02{}\x81\xa1\xff\xc4\x00",
    "a number for a name": msgpack.packb([b"{}", {1: b""}]),
    "one name twice": b"\x92\xc4\x02{}\x82\xa1a\xc4\x00\xa1a\xc4\x00",
    "a header 100,000 deep": msgpack.packb([b"[" * 100_000, {}]),
    "a header of 4 MB": msgpack.packb([b'"' + b"x" * 4_000_001 + b'"', {}]),
    "a million faults": msgpack.packb(
        [b'{"kind":"exchange","session":"x","replies":[' + b"{}," * 1_000_000 + b"{}]}", {}]
    ),
    "70,000 replies": msgpack.packb(
        [b'{"kind":"exchange","session":"x","replies":[' + b"{}," * 70_000 + b"{}]}", {}]
    ),
    "a zip of zeros": bytes.fromhex("1f8b0800000000000003") + bytes(1000),
}


WELL_FRAMED = {"one name twice", "a header 100,000 deep", "70,000 replies"}
"""Frames in themselves, of nothing that anybody understands."""


@pytest.mark.parametrize("path", ["/node/hello", "/node/exchange"])
@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_made_to_be_costly_is_refused_by_the_hub(hub: Served, name: str, path: str) -> None:
    before, stored = peak(hub), hub.stored()
    answer = hub.ask("POST", path, hub.sites["leeds"], FRAMES[name])
    assert answer.status_code == 400, answer.text
    assert "Traceback" not in answer.text
    assert hub.stored() == stored
    assert peak(hub) - before < SMALL + 6 * len(FRAMES[name])


def test_a_body_of_chunks_without_end_is_cut_off(hub: Served) -> None:
    """Nothing says how long it will be; a person may send 2 MB."""
    key = hub.people[0].public.encode()
    head = b'POST /api/studies HTTP/1.1\r\nTransfer-Encoding: chunked\r\nSignature-Input: x=();keyid="%s"\r\n\r\n' % key
    with hub.connect() as connection:
        connection.sendall(head)
        got = b""
        with pytest.raises(OSError):
            for _ in range(1000):
                connection.sendall(b"10000\r\n" + bytes(65536) + b"\r\n")
            got = connection.recv(1000)
    assert b" 200 " not in got
    assert hub.ask("GET", "/healthz").status_code == 200


def test_the_hub_s_log_has_no_traceback_after_all_this(hub: Served) -> None:
    assert hub.process.poll() is None
    assert "Traceback" not in hub.log


# --- at a site -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def at() -> World:
    return World({site: frame(size) for site, size in (("hull", 60), ("leeds", 50), ("york", 40))})


def left(at: World, site: str) -> dict[str, int]:
    """How much a site has written down of what it accepted and released."""
    read = at.sites[site].state.connection.execute
    return {table: read(f"select count(*) from {table}").fetchone()[0] for table in ("runs", "answers")}


@pytest.mark.parametrize("name", PLANS)
def test_a_study_made_to_be_costly_is_refused_by_a_site_with_a_code(name: str, at: World) -> None:
    """Under a permit for everything; the task itself is signed by the network's hub."""
    request = at.request(at.plan(cg.Count(cg.dataset("trial"))))
    outer = json.dumps(request.to_data() | {"plan": None})
    text = outer.replace('"plan": null', '"plan":' + PLANS[name](honest_plan()))
    study = Envelope.sign(STUDY, text.encode("utf-8", "surrogatepass"), at.person)
    roster = at.roster(request, list(at.sites))
    before = left(at, "york")
    try:
        reply, share = at.tell("york", at.task(Prepare(network=NETWORK, run=request.digest(), study=study, roster=roster)))
    except WireError:
        # The task as a whole is beyond the limits: it is not opened, and not answered.
        assert len(text) > MAX_BYTES // 2
        return
    assert code(reply) in (Code.NOT_UNDERSTOOD, Code.NOT_PERMITTED)
    assert share == b""
    assert left(at, "york") == before


def ask(**arrays: Any) -> bytes:
    return msgpack.packb(["fit", arrays, {}])  # type: ignore[no-any-return]


ASKS: dict[str, bytes] = FRAMES | {
    "a shape of 10^24": ask(a=["<f8", [10**6] * 4, b""]),
    "a side of 2^63": ask(a=["<f8", [2**63], b""]),
    "a negative side": ask(a=["<f8", [-1], bytes(80)]),
    "five dimensions": ask(a=["<f8", [1] * 5, bytes(8)]),
    "a type of Python": ask(a=["|O", [1], bytes(8)]),
    "text of 4 GB": ask(a=["<U1000000000", [0], b""]),
    "half a number": ask(a=["<f8", [1], bytes(7)]),
    "not a number": ask(a=["<f8", [1], b"\xff" * 8]),
    "200,000 arrays": ask(**{f"a{i}": ["<f8", [0], b""] for i in range(50_000)}),
}


@pytest.mark.parametrize("name", ASKS)
def test_an_ask_made_to_be_costly_is_refused_by_a_site_with_a_code(name: str, at: World) -> None:
    enrolled = at.enrol(at.request(at.plan(cg.Count(cg.dataset("trial")))), list(at.sites))
    before = left(at, "york")
    tracemalloc.start()
    try:
        reply, share = at.tell("york", _round(at, enrolled, ASKS[name]))
        assert tracemalloc.get_traced_memory()[1] < SMALL + 6 * len(ASKS[name])
    finally:
        tracemalloc.stop()
    assert code(reply) is Code.NOT_UNDERSTOOD
    assert share == b""
    assert left(at, "york") == before


def _round(at: World, enrolled: Any, raw: bytes) -> SignedTask:
    honest = at.round(enrolled, Ask("count"))
    task, _ = honest.open(at.hub.public)
    return at.task(task, ask=raw)


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize("read", [unframe, SignedTask.from_bytes, lambda raw: read_frame(Exchange, raw)])
def test_a_frame_is_refused_in_little_memory_wherever_one_is_read(name: str, read: Callable[[bytes], object]) -> None:
    tracemalloc.start()
    try:
        if read is not unframe or name not in WELL_FRAMED:
            with pytest.raises(WireError):
                read(FRAMES[name])
        assert tracemalloc.get_traced_memory()[1] < SMALL
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "raw",
    [
        *FRAMES.values(),
        msgpack.packb([2, "open", [["Counts", "n", [10**9, 10**9], b"", b""]]]),
        msgpack.packb([2, "open", [["Histogram", "n", [10**18, 2], b"", b""]]]),
        msgpack.packb([2, "masked", [["Counts", "n", [10**9], None]], bytes(16)]),
        msgpack.packb([2, "masked", [["Sums", "n", [10**9, 10**9], bytes(8)]], bytes(16)]),
        msgpack.packb([2, "masked", [["Sums", "n", [-1], bytes(8)]], bytes(16)]),
        msgpack.packb([2, "open", [["Counts", "n", [2**63], b"", b""]]]),
    ],
)
def test_shares_made_to_be_costly_are_not_added(raw: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(WireError):
            combine([raw, raw, raw])
        assert tracemalloc.get_traced_memory()[1] < SMALL
    finally:
        tracemalloc.stop()


def test_a_person_named_twice_signs_for_neither(at: World) -> None:
    """Readers of JSON may take either of two values under one name: one would check the signature, the other the permit."""
    mallory = SigningKey.generate()
    honest = at.request(at.plan(cg.Count(cg.dataset("trial")))).to_data()
    for first, second in ((mallory.public, at.person.public), (at.person.public, mallory.public)):
        text = json.dumps(honest | {"person": first})[:-1] + f', "person": "{second}"}}'
        with pytest.raises(CivicGridError):
            StudyRequest.from_bytes(text)
        with pytest.raises(CivicGridError):
            read_study(Envelope.sign(STUDY, text.encode(), mallory))
