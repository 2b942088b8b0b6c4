"""Signed requests to a hub: what a node and a researcher's client dial with."""

from __future__ import annotations

import ipaddress
import json
import select
import socket
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from civicgrid.errors import CivicGridError, ConfigError, TrustError, WireError
from civicgrid.trust.keys import SigningKey
from civicgrid.trust.requests import sign
from civicgrid.wire import MAX_FRAME, MEDIA

CONNECT_SECONDS = 10.0
WRITE_SECONDS = 30.0
IDLE_SECONDS = 60.0
"""A connection that has not been used for longer is not used again."""


LONGEST_LATER = 60.0

Answer = tuple[int, bytes, float]


class Unreachable(CivicGridError):
    """The hub did not answer: try again, nothing was lost."""


class Connection:
    """One party's connection to one hub. Every request is signed, but for somebody without a key, who may ask for what is
    public; errors come back as this project's own.

    It uses the standard library's HTTP: no redirects, cookies or proxies from the environment can move a site's traffic,
    and a message costs a node less than half of what a full client does (docs/decisions/transport.md).
    """

    def __init__(self, address: str, key: SigningKey | None, hub_ca: str | Path | None = None) -> None:
        self.address = check_address(address)
        self.key = key
        self._context = trusted(hub_ca) if self.address.startswith("https://") else None
        # Open, and waiting for a next request. One, except where several threads ask at once.
        self._idle: list[_Plain] = []

    def post(self, path: str, body: bytes, media: str = MEDIA, patience: float = 30.0) -> bytes:
        """Send bytes, give back the answer's. `patience` is how many seconds to wait for it."""
        return self._send("POST", path, body, media, patience)

    def get(self, path: str, patience: float = 30.0) -> bytes:
        return self._send("GET", path, b"", "", patience)

    def _send(self, method: str, path: str, body: bytes, media: str, patience: float) -> bytes:
        """As often as the hub asks to be asked again later, within the patience there is. Each time signed anew."""
        until = time.monotonic() + patience
        while True:
            status, content, later = self._once(method, path, body, media, patience)
            if status == 200:
                return content
            if status != 429 or time.monotonic() + later > until:
                _raise(status, _message(status, content))
            time.sleep(later)

    def _once(self, method: str, path: str, body: bytes, media: str, patience: float) -> Answer:
        headers = {} if self.key is None else sign(method, self.address + path, body, self.key, self.key.public)
        if media:
            headers["Content-Type"] = media
        try:
            return self._ask(method, path, headers, body, patience)
        except (OSError, HTTPException) as error:
            raise Unreachable(_no_answer(self.address, error)) from None

    def _ask(self, method: str, path: str, headers: Mapping[str, str], body: bytes, patience: float) -> Answer:
        connection = self._connection()
        try:
            answer = connection.ask(method, path, headers, body, patience)
        except BaseException:
            connection.close()
            raise
        connection.used = time.monotonic()
        self._idle.append(connection)
        return answer

    def _connection(self) -> _Plain:
        """One that is open still, or else a new one."""
        with suppress(IndexError):
            while True:
                kept = self._idle.pop()
                if kept.fresh():
                    return kept
                kept.close()
        parts = urlsplit(self.address)
        host = parts.hostname or ""
        if parts.scheme == "http":
            return _Plain(host, parts.port, timeout=CONNECT_SECONDS)
        return _Encrypted(host, parts.port, timeout=CONNECT_SECONDS, context=self._context)

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()


class _Plain(HTTPConnection):
    """A connection that writes head and body of a request at once: one packet, and one wake-up of the hub.

    Each phase has a time limit of its own: to connect, to write, and to wait for each piece of the answer.
    """

    used = 0.0

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._waiting: list[bytes] = []

    def send(self, data: Any) -> None:
        self._waiting.append(data)

    def ask(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, patience: float
    ) -> Answer:
        """Status and content of the answer, and after how many seconds the hub wants to be asked again."""
        if self.sock is None:
            self.connect()
        self.putrequest(method, path, skip_accept_encoding=True)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.putheader(name, value)
        self.endheaders(body)
        left, self._waiting = memoryview(b"".join(self._waiting)), []
        self.sock.settimeout(WRITE_SECONDS)
        # A hub may answer, and hang up, before it has read all of a request: its answer is read in any case.
        with suppress(BrokenPipeError, ConnectionResetError):
            while left:
                left = left[self.sock.send(left) :]
        self.sock.settimeout(patience)
        answer = self.getresponse()
        if answer.length is None:
            content = answer.read(MAX_FRAME + 1)
        else:
            content = answer.read() if answer.length <= MAX_FRAME else b""
        if len(content) > MAX_FRAME or answer.length:
            raise WireError(f"The hub sent more than {MAX_FRAME:,} bytes. Nothing was read.")
        later = answer.getheader("Retry-After", "")
        return answer.status, content, min(float(later), LONGEST_LATER) if later.isdigit() else 1.0

    def fresh(self) -> bool:
        """Whether a next request can be sent: the hub has not hung up, and nothing unasked for has come."""
        return self.sock is not None and time.monotonic() - self.used < IDLE_SECONDS and not _readable(self.sock)


class _Encrypted(_Plain, HTTPSConnection):
    """The same over TLS."""


def _readable(connection: socket.socket) -> bool:
    if not hasattr(select, "poll"):
        return bool(select.select([connection], [], [], 0)[0])
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))


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
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigError(
            f"Expected an https address; {address!r} is not encrypted. Plain http is for this machine (127.0.0.1) only."
        )
    return address.rstrip("/")


def trusted(hub_ca: str | Path | None) -> ssl.SSLContext:
    """What a hub's certificate is checked against: this file of certificates alone, or else the machine's own list."""
    try:
        if hub_ca:
            context = ssl.create_default_context(cafile=str(hub_ca))
        else:
            from httpcore2 import default_ssl_context

            context = default_ssl_context()
    except OSError as error:
        raise ConfigError(
            f"The hub's certificate authority {hub_ca} cannot be read: {error.strerror or error}. Expected certificates in "
            "PEM; check hub_ca."
        ) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _no_answer(address: str, error: BaseException) -> str:
    """Why there was no answer. What TLS says of a certificate is shown; it is about the hub, not about anybody's data."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"The hub at {address} showed a certificate that is not trusted here: {cause.verify_message}. Nothing was "
                "sent. If the hub's certificate comes from your network's own authority, give its file as hub_ca."
            )
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, ssl.SSLError):
        return (
            f"What is at {address} does not speak TLS as a hub does ({type(error).__name__}). Check the address and its "
            "port; nothing was lost."
        )
    return (
        f"The hub at {address} did not answer ({type(error).__name__}). Check the address and that the hub is running; "
        "nothing was lost."
    )


def is_loopback(host: str) -> bool:
    """Whether a host's name or address is this very machine's."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _message(status: int, content: bytes) -> str:
    try:
        # Without what steers a terminal: the words may be a hostile hub's.
        return "".join(char if char.isprintable() else " " for char in str(json.loads(content)["error"]))
    except (ValueError, KeyError, TypeError):
        return f"The hub answered with status {status}. Its operator finds the reason in the hub's log."


def _raise(status: int, message: str) -> None:
    if status in (401, 403, 409):
        raise TrustError(message)
    if status >= 500 or status == 429:
        raise Unreachable(message)
    raise WireError(message)
