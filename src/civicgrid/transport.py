"""Signed requests to a hub: what a node and a researcher's client dial with."""

from __future__ import annotations

import ipaddress
import json
import ssl
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpcore2

from civicgrid.errors import CivicGridError, ConfigError, TrustError, WireError
from civicgrid.trust.keys import SigningKey
from civicgrid.trust.requests import sign
from civicgrid.wire import MAX_FRAME, MEDIA


class Unreachable(CivicGridError):
    """The hub did not answer: try again, nothing was lost."""


class Connection:
    """One party's connection to one hub. Every request is signed; errors come back as this project's own.

    It uses the connections of httpx2 (httpcore2) as they are: no redirects, cookies or proxies from the environment can
    move a site's traffic, and a round costs half the time.
    """

    def __init__(self, address: str, key: SigningKey) -> None:
        self.address = check_address(address)
        self.key = key
        parts = urlsplit(self.address)
        self._host = parts.netloc.encode()
        self._origin = httpcore2.URL(self.address).origin
        # Open, and waiting for a next request. One, except where several threads ask at once.
        self._idle: list[httpcore2.HTTPConnection] = []

    def post(self, path: str, body: bytes, media: str = MEDIA, patience: float = 30.0) -> bytes:
        """Send bytes, give back the answer's. `patience` is how many seconds to wait for it."""
        return self._send("POST", path, body, media, patience)

    def get(self, path: str, patience: float = 30.0) -> bytes:
        return self._send("GET", path, b"", "", patience)

    def _send(self, method: str, path: str, body: bytes, media: str, patience: float) -> bytes:
        url = self.address + path
        headers = [(b"Host", self._host), (b"Content-Length", b"%d" % len(body))]
        signed = sign(method, url, body, self.key, self.key.public)
        headers += [(name.encode(), value.encode()) for name, value in signed.items()]
        if media:
            headers.append((b"Content-Type", media.encode()))
        origin = self._origin
        request = httpcore2.Request(
            method.encode(),
            httpcore2.URL(scheme=origin.scheme, host=origin.host, port=origin.port, target=path.encode()),
            headers=headers,
            content=body,
            extensions={"timeout": {"connect": 10.0, "read": patience, "write": 30.0}},
        )
        try:
            status, content = self._exchange(request)
        except (httpcore2.NetworkError, httpcore2.TimeoutException, httpcore2.ProtocolError) as error:
            raise Unreachable(
                f"The hub at {self.address} did not answer ({type(error).__name__}). Check the address and that the "
                "hub is running; nothing was lost."
            ) from None
        if status != 200:
            _raise(status, _message(status, content))
        return content

    def _exchange(self, request: httpcore2.Request) -> tuple[int, bytes]:
        connection = self._connection()
        response = connection.handle_request(request)
        content = bytearray()
        try:
            for chunk in response.iter_stream():
                content += chunk
                if len(content) > MAX_FRAME:
                    raise WireError(f"The hub sent more than {MAX_FRAME:,} bytes. Nothing was read.")
        finally:
            response.close()
        if connection.is_available():
            self._idle.append(connection)
        return response.status, bytes(content)

    def _connection(self) -> httpcore2.HTTPConnection:
        """One that is open still, or else a new one."""
        with suppress(IndexError):
            while True:
                kept = self._idle.pop()
                if not kept.has_expired():
                    return kept
                kept.close()
        return httpcore2.HTTPConnection(self._origin, keepalive_expiry=60.0, network_backend=_Backend())

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()


class _Gathered(httpcore2.NetworkStream):
    """A stream that writes the head and the body of a request at once: one packet, and one wake-up of the hub."""

    def __init__(self, stream: httpcore2.NetworkStream) -> None:
        self._stream = stream
        self._waiting: list[bytes] = []
        self._patience: float | None = None

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._waiting.append(buffer)
        self._patience = timeout

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._waiting:
            whole, self._waiting = b"".join(self._waiting), []
            # A hub may answer, and hang up, before it has read all of a request: its answer is read in any case.
            with suppress(httpcore2.WriteError):
                self._stream.write(whole, self._patience)
        return self._stream.read(max_bytes, timeout)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        return _Gathered(self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Backend(httpcore2.SyncBackend):
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        return _Gathered(super().connect_tcp(host, port, timeout, local_address, socket_options))


def check_address(address: str) -> str:
    """The address of a hub: https, or plain http on this very machine alone."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        parts, host, port = urlsplit(""), "", None
    more = "@" in parts.netloc or parts.path.strip("/") or parts.query or parts.fragment
    if parts.scheme not in ("http", "https") or not host or more or port == 0:
        raise ConfigError(f"Expected a hub's address such as https://hub.example; {address!r} came.")
    if parts.scheme == "http" and not _loopback(host):
        raise ConfigError(
            f"Expected an https address; {address!r} is not encrypted. Plain http is for this machine (127.0.0.1) only."
        )
    return address.rstrip("/")


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _message(status: int, content: bytes) -> str:
    try:
        return str(json.loads(content)["error"])
    except (ValueError, KeyError, TypeError):
        return f"The hub answered with status {status}. Its operator finds the reason in the hub's log."


def _raise(status: int, message: str) -> None:
    if status in (401, 403, 409):
        raise TrustError(message)
    if status >= 500:
        raise Unreachable(message)
    raise WireError(message)
