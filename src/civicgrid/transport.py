"""Signed requests to a hub: what a node and a researcher's client dial with."""

from __future__ import annotations

import ipaddress
import json
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

    def __init__(self, address: str, key: SigningKey) -> None:
        self.address = check_address(address)
        self.key = key
        self._pool = httpcore2.ConnectionPool(max_connections=4, keepalive_expiry=60.0)

    def post(self, path: str, body: bytes, media: str = MEDIA, patience: float = 30.0) -> bytes:
        """Send bytes, give back the answer's. `patience` is how many seconds to wait for it."""
        return self._send("POST", path, body, media, patience)

    def get(self, path: str, patience: float = 30.0) -> bytes:
        return self._send("GET", path, b"", "", patience)

    def _send(self, method: str, path: str, body: bytes, media: str, patience: float) -> bytes:
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
            raise Unreachable(
                f"The hub at {self.address} did not answer ({type(error).__name__}). Check the address and that the "
                "hub is running; nothing was lost."
            ) from None
        content: bytes = response.content
        if len(content) > MAX_FRAME:
            raise WireError(f"The hub sent more than {MAX_FRAME:,} bytes. Nothing was read.")
        if response.status != 200:
            _raise(response.status, _message(response.status, content))
        return content

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
