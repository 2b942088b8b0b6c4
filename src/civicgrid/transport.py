"""Signed requests to a hub: what a node and a researcher's client dial with."""

from __future__ import annotations

import ipaddress
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx2

from civicgrid.errors import CivicGridError, ConfigError, TrustError, WireError
from civicgrid.trust.keys import SigningKey
from civicgrid.trust.requests import sign
from civicgrid.wire import MAX_FRAME, MEDIA


class Unreachable(CivicGridError):
    """The hub did not answer: try again, nothing was lost."""


class Connection:
    """One party's connection to one hub. Every request is signed; errors come back as this project's own."""

    def __init__(self, address: str, key: SigningKey) -> None:
        self.address = check_address(address)
        self.key = key
        # trust_env off: a proxy named in the environment must not see or move a site's traffic unasked.
        self._client = httpx2.Client(trust_env=False, timeout=httpx2.Timeout(30.0), follow_redirects=False)

    def post(self, path: str, body: bytes, media: str = MEDIA, patience: float = 30.0) -> bytes:
        """Send bytes, give back the answer's. `patience` is how many seconds to wait for it."""
        return self._send("POST", path, body, media, patience)

    def get(self, path: str, patience: float = 30.0) -> bytes:
        return self._send("GET", path, b"", "", patience)

    def _send(self, method: str, path: str, body: bytes, media: str, patience: float) -> bytes:
        url = self.address + path
        headers = sign(method, url, body, self.key, self.key.public)
        if media:
            headers["Content-Type"] = media
        try:
            response = self._client.request(
                method, url, content=body, headers=headers, timeout=httpx2.Timeout(patience, connect=10.0)
            )
        except httpx2.HTTPError as error:
            raise Unreachable(
                f"The hub at {self.address} did not answer ({type(error).__name__}). Check the address and that the "
                "hub is running; nothing was lost."
            ) from None
        if len(response.content) > MAX_FRAME:
            raise WireError(f"The hub sent more than {MAX_FRAME:,} bytes. Nothing was read.")
        if response.status_code != 200:
            _raise(response.status_code, _message(response))
        content: bytes = response.content
        return content

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()


def check_address(address: str) -> str:
    """The address of a hub: https, or plain http on this very machine alone."""
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ConfigError(f"Expected a hub's address such as https://hub.example; {address!r} came.")
    if parts.scheme == "http" and not _loopback(parts.hostname):
        raise ConfigError(
            f"Expected an https address; {address!r} is not encrypted. Plain http is for this machine (127.0.0.1) only."
        )
    return address.rstrip("/")


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _message(response: Any) -> str:
    try:
        return str(response.json()["error"])
    except (ValueError, KeyError, TypeError):
        return f"The hub answered with status {response.status_code}."


def _raise(status: int, message: str) -> None:
    if status in (401, 403, 409):
        raise TrustError(message)
    if status >= 500:
        raise Unreachable(message)
    raise WireError(message)
