"""HTTP as the hub reads it off a connection: uvicorn's reader, with limits on what a stranger can make it hold.

A request's head is at most 16 kB in 100 lines; a request comes within 30 seconds, and a second more for every 20 kB that it
has sent, so that a slow line may send much and nobody can hold a connection open with nothing; an answer that is not
fetched for a minute is dropped. One address has at most a quarter of the connections, this machine itself excepted.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from civicgrid.hub.limits import client
from civicgrid.transport import is_loopback

MAX_HEAD = 16_384
MAX_LINES = 100
MAX_WASTED = 1_000_000


class Protocol(HttpToolsProtocol):
    """One connection."""

    seconds: ClassVar[float] = 30.0
    slowest: ClassVar[float] = 20_000.0
    stalled_seconds: ClassVar[float] = 60.0
    most: ClassVar[int] = 1000
    always: ClassVar[list[tuple[bytes, bytes]]] = []
    by_address: ClassVar[Counter[str]] = Counter()

    _status, _words = 400, "Expected an HTTP request; this is none."
    _counted = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._since: float | None = self.loop.time()
        self._came, self._head, self._wasted, self._stalled = 0, 0, 0, 0.0
        address = self.client[0] if self.client else ""
        if not is_loopback(address):
            self._counted = client(address)
            self.by_address[self._counted] += 1
        if len(self.connections) > self.most or self.by_address[self._counted] > max(self.most // 4, 1):
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._counted:
            self.by_address[self._counted] -= 1
            if not self.by_address[self._counted]:
                del self.by_address[self._counted]
            self._counted = ""

    def data_received(self, data: bytes) -> None:
        if self._since is None:
            self._since, self._came, self._head = self.loop.time(), 0, 0
        self._came += len(data)
        super().data_received(data)
        if self._head >= 0 and self._since is not None and self._came > 4 * MAX_HEAD and not self.transport.is_closing():
            # One line without an end: the parser keeps it, and no callback has seen it.
            self._status, self._words = 431, f"Expected a request's head in at most {MAX_HEAD:,} bytes."
            self.send_400_response("")

    def on_url(self, url: bytes) -> None:
        self._measure(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._measure(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._head = -1
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self.cycle.response_complete:
            self._wasted += len(body)
            if self._wasted > MAX_WASTED:
                self.transport.abort()
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._since, self._head = None, 0
        super().on_message_complete()

    def _measure(self, more: int) -> None:
        if self._head < 0:
            return
        self._head += more
        if self._head > MAX_HEAD or len(self.headers) >= MAX_LINES:
            self._status = 431
            self._words = f"Expected a request's head in at most {MAX_HEAD:,} bytes and {MAX_LINES} lines."
            raise ValueError(self._words)

    def send_400_response(self, msg: str) -> None:
        """What cannot be read is answered as everything else is: in JSON, under the same headers."""
        body = json.dumps({"error": self._words}).encode()
        reason = "Bad Request" if self._status == 400 else "Request Header Fields Too Large"
        lines = [f"HTTP/1.1 {self._status} {reason}".encode()]
        lines += [name + b": " + value for name, value in [*self.server_state.default_headers, *self.always]]
        lines += [b"content-type: application/json", b"content-length: %d" % len(body), b"connection: close", b"", body]
        self.transport.write(b"\r\n".join(lines))
        self.transport.close()

    def _unsupported_upgrade_warning(self) -> None:
        """An Upgrade header is ignored (RFC 9110, section 7.8) and no reason to fill the log."""

    def overdue(self, now: float) -> bool:
        """Whether this connection has kept the hub waiting for too long, with its request or with fetching its answer."""
        if not self.flow.write_paused:
            self._stalled = 0.0
        elif not self._stalled:
            self._stalled = now
        elif now - self._stalled > self.stalled_seconds:
            return True
        return self._since is not None and now > self._since + self.seconds + self._came / self.slowest


def sweep(connections: set[Any], now: float) -> None:
    """End every connection that is overdue."""
    for connection in list(connections):
        if connection.overdue(now):
            connection.transport.abort()
