"""A real hub at its door: what is refused unread, and what stands on every answer."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from civicgrid.canonical import MAX_BYTES
from civicgrid.hub.door import HEADERS, Broken, Door, headers, place
from civicgrid.hub.limits import Limits
from civicgrid.transport import Connection
from civicgrid.trust.keys import SigningKey
from civicgrid.trust.requests import sign
from civicgrid.wire import MAX_FRAME
from unit.hub.serving import Served, served
from unit.hub.test_limits import SETTINGS

pytestmark = pytest.mark.xdist_group("hub")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("door"), address_requests=30, person_requests=40) as running:
        yield running


def raw(hub: Served, *parts: bytes) -> tuple[int, dict[str, str], bytes]:
    """What comes back for these very bytes: status, headers, body."""
    with hub.connect() as connection:
        for part in parts:
            connection.sendall(part)
        got = b""
        while b"\r\n\r\n" not in got or len(got.partition(b"\r\n\r\n")[2]) < length(got):
            more = connection.recv(65536)
            assert more, got
            got += more
    head, _, body = got.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    return int(status.split()[1]), {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}, body


def length(got: bytes) -> int:
    found = re.search(rb"content-length: (\d+)", got)
    return int(found.group(1)) if found else 0


@pytest.mark.parametrize(
    ("method", "path", "signed", "status"),
    [
        ("GET", "/healthz", False, 200),
        ("GET", "/openapi.json", False, 200),
        ("GET", "/api/network", True, 200),
        ("GET", "/api/network", False, 401),
        ("GET", "/api/studies/" + "0" * 64, True, 404),
        ("POST", "/api/studies", True, 422),
        ("POST", "/node/hello", False, 401),
        ("GET", "/node/hello", False, 405),
        ("OPTIONS", "/api/studies", False, 405),
        ("HEAD", "/healthz", False, 405),
        ("TRACE", "/healthz", False, 405),
        ("DELETE", "/api/network", False, 405),
        ("GET", "/nowhere", False, 404),
        ("GET", "/api/studies/%2e%2e/x", False, 404),
        ("GET", "/../../etc/passwd", False, 404),
    ],
)
def test_every_answer_is_dressed_alike(hub: Served, method: str, path: str, signed: bool, status: int) -> None:
    answer = hub.ask(method, path, hub.people[0] if signed else None)
    assert answer.status_code == status, answer.text
    for name, value in HEADERS.items():
        assert answer.headers[name] == value
    assert "server" not in answer.headers
    assert "strict-transport-security" not in answer.headers, "this hub is at an http address"
    assert not [name for name in answer.headers if name.startswith("access-control") or name == "set-cookie"]
    assert answer.headers["content-type"] == "application/json"
    if status >= 400 and method != "HEAD":
        assert set(answer.json()) == {"error"}
        assert len(answer.json()["error"]) > 20
    if status == 405:
        assert answer.headers["allow"] in ("GET", "POST")


def test_over_https_a_browser_is_told_to_stay_there() -> None:
    assert dict(headers("https://hub.example"))[b"strict-transport-security"].startswith(b"max-age=31536000")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x00\x01\x02\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"POST /api/studies HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /api/studies HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400),
        (b"POST /api/studies HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\n" + b"A: b\r\n" * 101 + b"\r\n", 431),
        (b"GET /healthz HTTP/1.1\r\nA: " + b"b" * 17_000 + b"\r\n\r\n", 431),
        (b"GET /healthz HTTP/1.1\r\nA: " + b"b" * 100_000, 431),
        (b"GET /" + b"a" * 17_000 + b" HTTP/1.1\r\n\r\n", 431),
        (b"GET /" + b"a" * 100_000, 431),
    ],
)
def test_what_is_no_request_or_has_too_large_a_head_is_refused_and_the_connection_ends(
    hub: Served, sent: bytes, status: int
) -> None:
    got, given, body = raw(hub, sent)
    assert got == status
    assert set(json.loads(body)) == {"error"}
    for name, value in HEADERS.items():
        assert given[name] == value
    assert given["connection"] == "close"
    assert "server" not in given


def test_a_body_too_large_is_refused_before_it_is_sent(hub: Served) -> None:
    head = b"POST /node/exchange HTTP/1.1\r\nContent-Length: %d\r\n\r\n"
    status, given, body = raw(hub, head % (MAX_FRAME + 1))
    assert (status, given["connection"]) == (413, "close")
    assert "at most 64,000,000 bytes" in json.loads(body)["error"]
    assert raw(hub, head % 10**18)[0] == 413
    assert raw(hub, head % 10**30)[0] == 400


def test_a_person_sends_little_and_a_stranger_nothing(hub: Served) -> None:
    before = hub.stored()
    body = bytes(2 * MAX_BYTES + 1)
    answer = hub.ask("POST", "/api/studies", hub.people[0], body)
    assert answer.status_code == 413
    assert "at most 2,000,000 bytes" in answer.json()["error"]
    assert hub.ask("POST", "/node/exchange", SigningKey.generate(), body).status_code == 401
    assert hub.stored() == before


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "gzip, identity", "x"])
def test_a_compressed_body_is_not_unpacked(hub: Served, coding: str) -> None:
    for _ in range(5):
        # The hub answers and closes without reading: a client that still writes may find the line cut before the answer.
        with contextlib.suppress(httpx2.TransportError):
            answer = hub.ask("POST", "/api/studies", hub.people[0], b"\x1f\x8b" + bytes(100), content_encoding=coding)
            break
    assert answer.status_code == 415
    assert "without Content-Encoding" in answer.json()["error"]


def test_an_upgrade_is_not_made(hub: Served) -> None:
    status, _, body = raw(hub, b"GET /healthz HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
    assert (status, json.loads(body)) == (200, {"status": "ok"})


@pytest.mark.parametrize("offset", [3600, -3600, 45, -400])
def test_a_clock_that_is_off_is_told_by_how_much_and_what_to_do(hub: Served, offset: int) -> None:
    answer = hub.ask("GET", "/api/network", hub.people[0], now=time.time() + offset)
    assert answer.status_code == 400
    words = answer.json()["error"]
    seconds = re.search(r"(\d+) seconds (ahead|ago)", words)
    assert seconds is not None, words
    assert abs(int(seconds.group(1)) - abs(offset)) <= 10
    assert seconds.group(2) == ("ahead" if offset > 0 else "ago")
    assert "NTP" in words


def test_a_person_who_asks_too_often_waits_and_a_node_does_not(hub: Served) -> None:
    """Sent at once over one connection; the answers come in order."""
    key = hub.people[1]
    answers = [hub.ask("GET", "/api/network", key) for _ in range(450)]
    refused = [answer for answer in answers if answer.status_code == 429]
    if not refused:
        # A machine so slow that nobody can ask more than 40 times a second.
        pytest.skip("too slow to be throttled")
    assert {answer.status_code for answer in answers} == {200, 429}
    assert refused[0].headers["retry-after"] == "1"
    assert "under this key" in refused[0].json()["error"]
    assert hub.ask("GET", "/api/network", hub.people[0]).status_code == 200
    assert hub.ask("POST", "/node/exchange", hub.sites["leeds"]).status_code == 400


def test_a_flood_without_signatures_is_turned_away_and_the_signed_go_through(hub: Served) -> None:
    """Forgeries under a node's name among them: they cost the forger."""
    forged = sign("POST", hub.address, b"another", hub.sites["leeds"], hub.sites["leeds"].public)
    more = {name.replace("-", "_"): value for name, value in forged.items()}
    statuses: list[int] = []
    while 429 not in statuses:
        answer = hub.ask("POST", "/node/exchange", None, b"one", **more)
        statuses.append(answer.status_code)
        assert len(statuses) < 3000, "a machine so slow that nobody can be throttled"
    assert set(statuses) == {401, 429}
    assert answer.headers["retry-after"] == "1"
    with Connection(hub.address, hub.people[0]) as patient:
        assert json.loads(patient.get("/api/network"))["network"] == "local"


def test_nothing_of_all_this_is_in_the_log(hub: Served) -> None:
    assert "Traceback" not in hub.log
    assert "ERROR" not in hub.log


def test_what_was_refused_stands_in_the_log_with_its_address_and_nothing_else(tmp_path: Path) -> None:
    with served(tmp_path) as stopped:
        for _ in range(3):
            stopped.ask("GET", "/api/network", SigningKey.generate())
        stopped.ask("GET", "/api/network", stopped.people[0])
        stopped.ask("GET", "/nothing/" + "secret" * 3)
    assert "refused since the last such line: 401 to 127.0.0.1 3 time(s); 404 to 127.0.0.1 1 time(s)" in stopped.log
    assert "secret" not in stopped.log


# --- faults of the program ------------------------------------------------------------------------------------------


class Ask:
    """One request to a door, without a server; what it sends is in `sent`."""

    def __init__(self) -> None:
        self.sent: list[dict] = []

    def __call__(self, app: object) -> list[dict]:
        import asyncio

        async def receive() -> dict:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: dict) -> None:
            self.sent.append(message)

        scope = {"type": "http", "headers": [], "client": ("192.0.2.1", 1), "method": "GET", "path": "/"}
        asyncio.run(Door(app, Limits(SETTINGS), "http://127.0.0.1:1")(scope, receive, send))  # type: ignore[arg-type]
        return self.sent


def test_a_fault_is_answered_with_a_sentence_and_logged_without_its_words(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(scope: object, receive: object, send: object) -> None:
        raise ValueError("name of a person")

    start, body = Ask()(broken)
    assert start["status"] == 500
    assert (b"x-content-type-options", b"nosniff") in start["headers"]
    assert set(json.loads(body["body"])) == {"error"}
    assert "person" not in body["body"].decode() + caplog.text
    assert "ValueError at test_door.py:" in caplog.text


def test_a_fault_after_the_answer_was_begun_ends_the_connection_without_its_words() -> None:
    async def broken(scope: object, receive: object, send: object) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})  # type: ignore[operator]
        raise ValueError("name of a person")

    with pytest.raises(Broken) as raised:
        Ask()(broken)
    assert raised.value.__suppress_context__
    assert str(raised.value) == ""


def test_a_page_may_bring_a_policy_of_its_own() -> None:
    async def page(scope: object, receive: object, send: object) -> None:
        own = [(b"content-security-policy", b"default-src 'self'")]
        await send({"type": "http.response.start", "status": 200, "headers": own})  # type: ignore[operator]
        await send({"type": "http.response.body", "body": b"x"})  # type: ignore[operator]

    start, _ = Ask()(page)
    assert [value for name, value in start["headers"] if name == b"content-security-policy"] == [b"default-src 'self'"]
    assert (b"cache-control", b"no-store") in start["headers"]


def test_the_place_of_an_error_is_its_kind_file_and_line() -> None:
    try:
        {}["a person"]
    except KeyError as error:
        assert re.fullmatch(r"KeyError at test_door\.py:\d+", place(error))
    assert place(KeyError("a person")) == "KeyError"


def test_the_settings_folder_is_the_hub_s_own(hub: Served) -> None:
    for path in (hub.home.path / "hub.pem", *Path(hub.home.path).glob("*.pem")):
        assert path.stat().st_mode & 0o077 == 0
