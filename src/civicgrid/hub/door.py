"""The hub's door: what is turned away before a message is read, and what stands on every answer.

Plain ASGI, so that it costs a node's message a few microseconds. The headers follow OWASP's REST and secure-headers cheat
sheets: an answer of this hub is data, so a browser may run, frame, guess at or keep nothing of it. A page may bring a
Content-Security-Policy of its own; the other headers are the same for all.
"""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from civicgrid.hub.limits import Limits, Throttled
from civicgrid.wire import MAX_FRAME

log = logging.getLogger("civicgrid.hub")

POLICY = "default-src 'none'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
HSTS = "max-age=31536000; includeSubDomains"

Pairs = list[tuple[bytes, bytes]]


def headers(address: str) -> Pairs:
    """What stands on every answer of a hub at this public address."""
    given = HEADERS | ({"strict-transport-security": HSTS} if address.startswith("https://") else {})
    return [(name.encode(), value.encode()) for name, value in given.items()]


class Door:
    """Before the application and after it."""

    def __init__(self, app: ASGIApp, limits: Limits, address: str) -> None:
        self.app, self.limits = app, limits
        self._always = headers(address)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        address = scope["client"][0] if scope["client"] else ""
        started = ended = False

        async def dressed(message: Message) -> None:
            nonlocal started, ended
            if message["type"] == "http.response.body":
                ended = not message.get("more_body", False)
            else:
                started = True
                if message["status"] >= 400:
                    self.limits.refused(message["status"], address)
                own: Pairs = message["headers"]
                names = {name for name, _ in own}
                message["headers"] = own + [pair for pair in self._always if pair[0] not in names]
            await send(message)

        try:
            self.limits.knock(address)
            refused = _refusal(scope["headers"])
            if refused is None:
                await self.app(scope, receive, dressed)
                return
            answer = refused
        except Throttled as error:
            answer = 429, str(error), [(b"retry-after", str(error.seconds).encode()), (b"connection", b"close")]
        except Exception as error:
            log.error("a request ended in %s", place(error))
            if ended:
                return
            if started:
                raise Broken from None
            answer = 500, "The hub could not do this. Its operator finds the kind of fault in the log.", []
        await _say(dressed, *answer)


class Broken(Exception):
    """An answer that was begun cannot be ended; the connection is closed. It holds nothing of what went wrong."""


def place(error: BaseException) -> str:
    """The kind of an error and where it was raised, without its words, in which a value might stand."""
    frames = traceback.extract_tb(error.__traceback__)
    at = f" at {frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{at}"


def _refusal(given: Iterable[tuple[bytes, bytes]]) -> tuple[int, str, Pairs] | None:
    """Why a request with these headers is not read at all."""
    for name, value in given:
        if name == b"content-encoding" and value.strip().lower() != b"identity":
            return 415, "Expected a body as it is, without Content-Encoding. Send it uncompressed.", []
        if name == b"content-length" and (not value.isdigit() or int(value[:20]) > MAX_FRAME):
            return 413, f"Expected a message of at most {MAX_FRAME:,} bytes. Send less.", [(b"connection", b"close")]
    return None


async def _say(send: Send, status: int, words: str, more: Pairs) -> None:
    body = json.dumps({"error": words}).encode()
    given = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *more]
    await send({"type": "http.response.start", "status": status, "headers": given})
    await send({"type": "http.response.body", "body": body, "more_body": False})
