"""Connections that take and give nothing: cut off after their time, while honest slow ones go on."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn

from civicgrid.hub import protocol
from civicgrid.hub.protocol import Protocol, sweep

BODY = bytes(4_000_000)


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Reads a whole request; answers with its size, or with much where the path says so."""
    if scope["type"] != "http":
        return
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    body = BODY if scope["path"] == "/much" else str(size).encode()
    head = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": body})


@contextmanager
def serving(**limits: Any) -> Iterator[tuple[tuple[str, int], uvicorn.Server]]:
    """A server under these limits, swept twenty times a second."""
    its = type("Its", (Protocol,), {**limits, "by_address": protocol.Counter()})
    config = uvicorn.Config(application, port=0, http=its, ws="none", log_level="error", lifespan="off")
    server = uvicorn.Server(config)

    async def run() -> None:
        async def watch() -> None:
            while True:
                await asyncio.sleep(0.05)
                sweep(server.server_state.connections, asyncio.get_running_loop().time())

        watching = asyncio.create_task(watch())
        await server._serve()
        watching.cancel()

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        address = listening.getsockname()
    config.host, config.port = address
    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    until(lambda: server.started)
    try:
        yield address, server
    finally:
        server.should_exit = True
        thread.join(20)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)


def fetched(connection: socket.socket) -> bytes:
    """One whole answer with a short body."""
    got = connection.recv(65536)
    while b"\r\n\r\n" not in got or len(got.partition(b"\r\n\r\n")[2]) < int(got.split(b"content-length: ")[1].split()[0]):
        more = connection.recv(65536)
        assert more, got
        got += more
    return got


def ends(connection: socket.socket) -> bytes:
    """Everything that still comes until the other side ends the connection."""
    got = b""
    connection.settimeout(30)
    try:
        while more := connection.recv(65536):
            got += more
    except ConnectionResetError:
        pass
    return got


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"\r\n",
        b"GET",
        b"GET / HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: ",
        b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nhalf",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ],
)
def test_a_request_that_never_comes_whole_ends_its_connection(sent: bytes) -> None:
    with serving(seconds=0.2) as (address, _), socket.create_connection(address) as slow:
        slow.sendall(sent)
        assert ends(slow) == b""


def test_so_does_a_second_request_that_never_comes_whole() -> None:
    with serving(seconds=0.2) as (address, _), socket.create_connection(address) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert fetched(slow).startswith(b"HTTP/1.1 200")
        slow.sendall(b"\r\n")
        assert ends(slow) == b""


def test_a_slow_line_that_keeps_sending_is_not_cut_off() -> None:
    """Every byte buys it a second here, and it has no other time at all."""
    with serving(seconds=0.0, slowest=1.0) as (address, _), socket.create_connection(address) as slow:
        slow.sendall(b"POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\n")
        for _ in range(10):
            threading.Event().wait(0.02)
            slow.sendall(bytes(10))
        assert fetched(slow).endswith(b"100")


def test_one_that_waits_between_requests_is_not_cut_off() -> None:
    with serving(seconds=0.1) as (address, _), socket.create_connection(address) as patient:
        for _ in range(3):
            patient.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert fetched(patient).startswith(b"HTTP/1.1 200")
            threading.Event().wait(0.2)


def test_an_answer_that_nobody_fetches_is_dropped() -> None:
    with serving(stalled_seconds=0.1) as (address, server), socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(address)
        deaf.sendall(b"GET /much HTTP/1.1\r\n\r\n" * 3)
        until(lambda: bool(server.server_state.connections))
        until(lambda: not server.server_state.connections)
        assert len(ends(deaf)) < 3 * len(BODY)


def test_only_so_many_connections_are_open_at_a_time() -> None:
    with serving(most=3) as (address, _):
        kept = [socket.create_connection(address) for _ in range(3)]
        for connection in kept:
            connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert fetched(connection).startswith(b"HTTP/1.1 200")
        with socket.create_connection(address) as fourth:
            assert ends(fourth) == b""
        kept.pop().close()
        kept[0].sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert fetched(kept[0]).startswith(b"HTTP/1.1 200")
        for connection in kept:
            connection.close()


def test_one_address_has_a_quarter_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "is_loopback", lambda address: False)
    with serving(most=8) as (address, _):
        kept = [socket.create_connection(address) for _ in range(2)]
        for connection in kept:
            connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert fetched(connection).startswith(b"HTTP/1.1 200")
        with socket.create_connection(address) as third:
            assert ends(third) == b""
        for connection in kept:
            connection.close()


def test_what_is_sent_after_a_refusal_is_not_taken_without_end() -> None:
    async def refusing(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    global application
    before, application = application, refusing
    try:
        with serving() as (address, _), socket.create_connection(address) as stubborn:
            stubborn.sendall(b"POST / HTTP/1.1\r\nContent-Length: 60000000\r\n\r\n")
            assert fetched(stubborn).startswith(b"HTTP/1.1 401")
            with pytest.raises(OSError):
                for _ in range(600):
                    stubborn.sendall(bytes(100_000))
    finally:
        application = before
