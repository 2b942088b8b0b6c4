"""What the hub answers: frames to nodes, JSON to people, and for every error its status and a sentence on what to do."""

from __future__ import annotations

import json
import logging
from typing import Any

from fastapi import Request, Response
from starlette.exceptions import HTTPException

from civicgrid.errors import ConfigError, DataError, Missing, NotAllowed, PlanError, StateError, TrustError, WireError
from civicgrid.hub.limits import Throttled, TooLarge
from civicgrid.wire import MEDIA, Frame

log = logging.getLogger("civicgrid.hub")

STATUS = {
    Throttled: 429, TooLarge: 413, NotAllowed: 403, StateError: 409, Missing: 404, TrustError: 401, PlanError: 422,
    DataError: 422, WireError: 400, ConfigError: 503,
}  # fmt: skip


def framed(frame: Frame) -> Response:
    return Response(frame.to_bytes(), media_type=MEDIA)


def as_json(data: Any, status: int = 200) -> Response:
    return Response(json.dumps(data), status, media_type="application/json")


def refused(status: int, message: str) -> Response:
    """Why a request was not done, in words for whoever sent it."""
    return as_json({"error": message}, status)


async def explain(request: Request, error: Exception) -> Response:
    """An error that Civic Grid raised on purpose."""
    status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 400)
    if status == 503:
        log.error("a message was turned away: the hub's files cannot be written (%s)", type(error).__name__)
    answer = refused(status, str(error))
    if isinstance(error, Throttled):
        answer.headers["Retry-After"] = str(error.seconds)
    return answer


async def unwritable(request: Request, error: Exception) -> Response:
    """The database cannot be used: a full disk, a lock that lasts."""
    log.error("the database cannot be used: %s", type(error).__name__)
    return refused(503, "The hub cannot write to its database now. Nothing was stored; try again.")


async def plain(request: Request, error: Exception) -> Response:
    """No such address, or not by this method."""
    assert isinstance(error, HTTPException)
    if error.status_code == 404 and "text/html" in request.headers.get("accept", ""):
        page: Response = await request.app.state.not_found(request)
        return page
    headers = error.headers or {}
    words = {"Not Found": "There is nothing at this address. What there is stands in /openapi.json."}
    if error.status_code == 405:
        words[error.detail] = f"Expected {headers.get('Allow', 'another method')} here; {request.method} came."
    answer = refused(error.status_code, words.get(error.detail, error.detail))
    answer.headers.update(headers)
    return answer


async def fault(request: Request, error: Exception) -> Response:
    """A fault of the program. Its text may quote anything, so none of it is sent."""
    return refused(500, "The hub could not do this. Its operator finds the kind of fault in the log.")
