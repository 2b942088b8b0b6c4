"""A real hub under requests made from its own description of itself (`/openapi.json`), signed and unsigned.

Never a 5xx, never a traceback, never an answer that the description does not have, and nothing stored from what was
refused.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx2
import msgpack
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

import civicgrid as cg
from civicgrid.hub.openapi import PUBLIC, ROUTES
from civicgrid.hub.pages import PAGES
from civicgrid.methods.plan import bind
from civicgrid.query.types import Schema, category
from civicgrid.trust.envelope import Envelope
from civicgrid.trust.keys import SigningKey
from civicgrid.trust.requests import sign
from civicgrid.wire import (
    MEDIA,
    STUDY,
    Exchange,
    Frame,
    Hello,
    Holding,
    Refused,
    Shared,
    SignedTask,
    StudyRequest,
    Tasks,
    read_frame,
)
from unit.hub.serving import NETWORK, Served, served

from .hostile import harmed_json, harmed_packed

pytestmark = pytest.mark.xdist_group("api")
fuzz = settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
SCHEMA = Schema.of({"sex": category("female", "male")})
EXCHANGE = Exchange(session="s", replies=(Shared(task="a" * 64),), wait=0)
SEEDS = st.integers(0, 2**40)
FRAMES = SEEDS.map(lambda seed: harmed_packed(Frame(EXCHANGE, {"a" * 64: bytes(8)}).to_bytes(), random.Random(seed)))

schemathesis.openapi.media_type(MEDIA, st.binary(max_size=60) | FRAMES)


@schemathesis.serializer(MEDIA)
def as_it_is(context: Any, value: Any) -> bytes:
    return bytes(value)


class Signed(requests.auth.AuthBase):
    """Signs each request as it stands, so that it gets past the signature."""

    def __init__(self, key: SigningKey) -> None:
        self.key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        body = request.body or b""
        raw = body.encode() if isinstance(body, str) else bytes(body)
        assert request.url is not None and request.method is not None
        request.headers.update(sign(request.method, request.url, raw, self.key, self.key.public))
        return request


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    limits = {"address_requests": 1e6, "person_requests": 1e6, "node_requests": 1e6}
    with served(tmp_path_factory.mktemp("api"), **limits) as running:
        yield running


@pytest.fixture(scope="module")
def description(hub: Served) -> Any:
    document = hub.ask("GET", "/openapi.json").json()
    assert {path for path in document["paths"] if path != "/healthz"} == set(ROUTES)
    return document


def unharmed(hub: Served) -> None:
    assert hub.process.poll() is None, hub.log[-2000:]
    assert "Traceback" not in hub.log
    assert " ended in " not in hub.log


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("path", ROUTES)
def test_requests_as_described_and_otherwise(hub: Served, description: Any, path: str, mode: GenerationMode) -> None:
    before = hub.stored()
    if mode is GenerationMode.NEGATIVE and not description["paths"][path][ROUTES[path][0].lower()].get("parameters"):
        pytest.skip("nothing is asked for here that could be asked for wrongly")
    operation = schemathesis.openapi.from_dict(description)[path][ROUTES[path][0]]
    signers = st.sampled_from([None, hub.people[0], hub.sites["leeds"], SigningKey.generate()])
    session = requests.Session()
    session.trust_env = False

    @fuzz
    @given(operation.as_strategy(generation_mode=mode), signers)
    def each(case: Any, key: SigningKey | None) -> None:
        if "wait" in (case.query or {}):
            case.query["wait"] = 0
        answer = case.call(base_url=hub.address, session=session, auth=None if key is None else Signed(key), timeout=30)
        case.validate_response(answer, checks=CHECKS)
        if answer.status_code >= 400:
            assert set(answer.json()) == {"error"}
            assert "Traceback" not in answer.text
        if key is None and path not in PUBLIC:
            assert answer.status_code in (400, 401, 404)

    each()
    session.close()
    assert hub.stored() == before
    unharmed(hub)


WORDS = st.text(max_size=20).map(quote) | st.sampled_from(["../x", "%2e%2e", "//", "a?b", "healthz", "node/hello/", ";x=1"])


@fuzz
@given(st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]), WORDS, st.booleans())
def test_any_method_and_any_path(hub: Served, method: str, path: str, signed: bool) -> None:
    answer = hub.ask(method, "/" + path, hub.people[0] if signed else None)
    assert answer.status_code in (200, 401, 404, 405)
    if answer.status_code == 200:
        known = {page.path.lstrip("/") for page in PAGES if page.who == "anyone"} | {"healthz", "openapi.json"}
        assert path.partition("?")[0] in known


NAMES = st.sampled_from(
    ["content-length", "transfer-encoding", "expect", "host", "connection", "content-type", "signature", "x"]
    + ["signature-input", "content-digest", "x-forwarded-for", "cookie", "authorization", "range", "accept", "te"]
)
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=40) | (
    st.sampled_from(["chunked", "100-continue", "close", "identity", "-1", "5", "127.0.0.1", 'x=();keyid="a"', "x=::"])
)


@fuzz
@given(st.lists(st.tuples(NAMES, VALUES), max_size=6), st.binary(max_size=20))
def test_any_headers(hub: Served, given_headers: list[tuple[str, str]], body: bytes) -> None:
    lines = [f"{name}: {value}".encode("latin-1") for name, value in given_headers]
    head = b"\r\n".join([b"POST /api/studies HTTP/1.1", *lines, b"connection: close", b"", b""])
    with hub.connect() as connection:
        connection.sendall(head + body)
        # What would still be to come never comes: the connection's other half is closed.
        connection.shutdown(1)
        got = b""
        while more := connection.recv(65536):
            got += more
    assert b" 500 " not in got[:20]
    assert b" 200 " not in got[:20]
    unharmed(hub)


def hello(hub: Served, session: str) -> None:
    said = Hello(
        network=NETWORK,
        member=hub.members["leeds"],
        holdings=(Holding(name="trial", kind="table", snapshot="a" * 64, dictionary=SCHEMA),),
        methods={"count": 1},
        software="1",
        session=session,
    )
    answer = hub.ask("POST", "/node/hello", hub.sites["leeds"], Frame(said).to_bytes())
    assert answer.status_code == 200, answer.text


def exchanged(hub: Served, raw: bytes) -> httpx2.Response:
    return hub.ask("POST", "/node/exchange", hub.sites["leeds"], raw)


def test_studies_put_wrong_and_a_node_that_answers_wrongly(hub: Served) -> None:
    """A node is connected, so a study that holds begins a run: one for each that was taken, none for any other."""
    hello(hub, "s")
    before = hub.stored()
    key = hub.people[0]
    taken: set[str] = set()

    @settings(fuzz, max_examples=120)
    @given(SEEDS)
    def each(seed: int) -> None:
        rng = random.Random(seed)
        plan = bind(cg.dataset("trial", SCHEMA), {"n": cg.Count(), "t": cg.Describe(columns=["sex"])}, {}, "a title")
        request = StudyRequest(
            network=NETWORK, project="P-1", person=key.public, plan=plan, nonce=f"{seed:016d}", sites=("leeds",)
        )
        text = request.canonical().decode()
        study = Envelope.sign(STUDY, harmed_json(text, rng) if rng.random() < 0.8 else text.encode(), key)
        answer = hub.ask("POST", "/api/studies", key, study.canonical())
        assert answer.status_code < 500, answer.text
        if answer.status_code == 200:
            taken.add(answer.json()["run"])
        else:
            assert len(answer.json()["error"]) < 5_000
        _answer_wrongly(hub, rng)

    each()
    after = hub.stored()
    assert {row[0] for row in after["runs"]} == taken
    assert len(taken) > 5
    assert after["people"] == before["people"]
    assert [row[:4] for row in after["sites"]] == [row[:4] for row in before["sites"]]
    states = {hub.ask("GET", f"/api/studies/{run}", key).json()["state"] for run in taken}
    assert states <= {"running", "finished", "failed"}
    others = {hub.ask("GET", f"/api/studies/{run}", hub.people[1]).status_code for run in taken}
    assert others == {404}, "another person's runs are not there"
    unharmed(hub)


def _answer_wrongly(hub: Served, rng: random.Random) -> None:
    answer = exchanged(hub, Frame(Exchange(session="s", wait=0)).to_bytes())
    assert answer.status_code == 200, answer.text
    tasks, signed = read_frame(Tasks, answer.content)
    for number in range(tasks.tasks):
        task = SignedTask.from_bytes(signed[str(number)])
        replies = (Refused(task=task.digest, code="failed"), Shared(task=task.digest), Shared(task="b" * 64))  # type: ignore[arg-type]
        message = Exchange(session="s", replies=(rng.choice(replies),), wait=0)
        blobs = {task.digest: rng.randbytes(rng.randrange(40))}
        raw = Frame(message, blobs).to_bytes()
        if rng.random() < 0.5:
            raw = harmed_packed(raw, rng)
        assert exchanged(hub, raw).status_code in (200, 400, 409)


def test_hellos_put_wrong_change_no_site(hub: Served) -> None:
    hello(hub, "t")
    kept = [(row[0], json.loads(row[3]) if row[3] else None) for row in hub.stored()["sites"]]

    @fuzz
    @given(SEEDS)
    def each(seed: int) -> None:
        rng = random.Random(seed)
        said = kept[0][1] | {"session": "t"}
        header = harmed_json(json.dumps(said), rng)
        answer = hub.ask("POST", "/node/hello", hub.sites["leeds"], msgpack.packb([header, {}]))
        assert answer.status_code in (200, 400, 401, 422), answer.text
        for site, before in [(row[0], row[3]) for row in hub.stored()["sites"]]:
            if site == "york":
                assert before is None
            elif answer.status_code != 200:
                assert json.loads(before)["member"] == said["member"]

    each()
    unharmed(hub)
