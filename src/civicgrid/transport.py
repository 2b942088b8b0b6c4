"""Signed requests to a hub: what a node and a researcher's client dial with."""

from __future__ import annotations

import ipaddress
import json
import ssl
import time
from pathlib import Path
from types import TracebackType
from typing import Self
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

    It uses the transport of httpx2 (httpcore2) as it is: no redirects, cookies or proxies from the environment can move a
    site's traffic, and a round costs half the time.
    """

    def __init__(self, address: str, key: SigningKey, hub_ca: str | Path | None = None) -> None:
        self.address = check_address(address)
        self.key = key
        context = trusted(hub_ca) if self.address.startswith("https://") else None
        self._pool = httpcore2.ConnectionPool(ssl_context=context, max_connections=4, keepalive_expiry=60.0)

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

    def _once(self, method: str, path: str, body: bytes, media: str, patience: float) -> tuple[int, bytes, float]:
        url = self.address + path
        headers = {
            "Host": urlsplit(url).netloc,
            "Content-Length": str(len(body)),
            **sign(method, url, body, self.key, self.key.public),
        }
        if media:
            headers["Content-Type"] = media
        timeout = {"connect": 10.0, "read": patience, "write": 30.0, "pool": 10.0}
        try:
            response = self._pool.request(
                method, url, headers=list(headers.items()), content=body, extensions={"timeout": timeout}
            )
        except (httpcore2.NetworkError, httpcore2.TimeoutException, httpcore2.ProtocolError) as error:
            raise Unreachable(_no_answer(self.address, error)) from None
        content: bytes = response.content
        if len(content) > MAX_FRAME:
            raise WireError(f"The hub sent more than {MAX_FRAME:,} bytes. Nothing was read.")
        later = next((value for name, value in response.headers if name.lower() == b"retry-after"), b"")
        return response.status, content, min(float(later), 60.0) if later.isdigit() else 1.0

    def close(self) -> None:
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()


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
        context = ssl.create_default_context(cafile=str(hub_ca)) if hub_ca else httpcore2.default_ssl_context()
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
