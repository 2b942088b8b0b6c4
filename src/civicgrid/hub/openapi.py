"""The hub's interface as an OpenAPI 3.1 document: what each address takes and gives, and what may be refused.

FastAPI serves it at `/openapi.json`. Schemas are pydantic's own, of the very models that read the messages.
"""

from __future__ import annotations

from typing import Any

from civicgrid.trust.envelope import Envelope
from civicgrid.trust.requests import HEADERS
from civicgrid.wire import MEDIA

DESCRIPTION = """Every request but `GET /healthz` and `GET /openapi.json` is signed: HTTP Message Signatures (RFC 9421) with
Ed25519 over the method, the full address and the body's digest (RFC 9530), with time, nonce and key id. A refusal is JSON
with a sentence under `error`."""

_ERROR: dict[str, Any] = {
    "type": "object",
    "properties": {"error": {"type": "string"}},
    "required": ["error"],
    "additionalProperties": False,
}
_WORDS = {
    400: "The message is malformed, too old, from a clock that is off (the offset is stated), or was received before.",
    401: "No registered key signed this, or the signature does not hold.",
    404: "There is no such run of the sender's.",
    409: "Another process of this node has said hello since.",
    413: "The message is larger than its sender may send.",
    415: "The body came compressed.",
    422: "The message is signed and well-formed, but the plan, data set or site that it names does not hold.",
    429: "Too many requests; `Retry-After` says how many seconds to wait.",
    431: "The request's head is too large.",
    503: "The hub cannot write to its disk or database now; nothing was stored.",
}
_SIGNED = (400, 401, 413, 415, 429, 431, 503)
_PARAMETERS: list[dict[str, Any]] = [
    {"name": name.title(), "in": "header", "required": True, "schema": {"type": "string", "maxLength": 2048}}
    for name in HEADERS
]
_RUN = {"type": "string", "pattern": "^[0-9a-f]{64}$"}


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": sorted(properties)}


_NETWORK = _object(
    network={"type": "string"},
    sites={
        "type": "array",
        "items": _object(
            site={"type": "string"},
            organisation={"type": "string"},
            connected={"type": "boolean"},
            holdings={"type": "array", "items": {"type": "object"}},
        ),
    },
    methods={"type": "object", "additionalProperties": {"type": "integer"}},
)
_STATE = _object(
    run=_RUN,
    state={"enum": ["running", "finished", "failed"]},
    result={"type": ["object", "null"]},
    progress={"type": "array", "items": {"type": "object"}},
)
_WHOLE = {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}


def _envelope() -> dict[str, Any]:
    """The schema of a signed envelope, with nothing in it that points elsewhere."""
    schema = Envelope.model_json_schema()
    schema["properties"]["signatures"]["items"] = schema.pop("$defs")["Signature"]
    return schema


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _refusals(*codes: int) -> dict[int | str, dict[str, Any]]:
    return {code: {"description": _WORDS[code], "content": _json(_ERROR)} for code in sorted(codes)}


def _described(
    name: str,
    summary: str,
    answer: dict[str, Any],
    refusals: tuple[int, ...],
    *,
    body: dict[str, Any] | None = None,
    parameters: tuple[dict[str, Any], ...] = (),
) -> dict[str, Any]:
    """What FastAPI's `add_api_route` takes to describe a route that reads its request by itself."""
    extra: dict[str, Any] = {"parameters": [*parameters, *_PARAMETERS]}
    if body is not None:
        extra["requestBody"] = {"required": True, "content": body}
    return {
        "operation_id": name,
        "summary": summary,
        "response_model": None,
        "openapi_extra": extra,
        "responses": {200: {"description": "As asked.", "content": answer}, **_refusals(*_SIGNED, *refusals)},
    }


def _query(name: str, words: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": words, "schema": _WHOLE}


_FRAME = {MEDIA: {"schema": {"type": "string", "contentMediaType": MEDIA}}}

ROUTES: dict[str, tuple[str, dict[str, Any]]] = {
    "/node/hello": (
        "POST",
        _described("hello", "A node says what its site holds.", _FRAME, (422,), body=_FRAME),
    ),
    "/node/exchange": (
        "POST",
        _described("exchange", "Replies in; confirmations and tasks out.", _FRAME, (409, 422), body=_FRAME),
    ),
    "/api/network": (
        "GET",
        _described("network", "Who is on the network, and which data sets they hold.", _json(_NETWORK), ()),
    ),
    "/api/studies": (
        "POST",
        _described(
            "submit",
            "A signed study (a DSSE envelope of type application/vnd.civicgrid.study+json); gives the run's id.",
            _json(_object(run=_RUN)),
            (422,),
            body=_json(_envelope()),
        ),
    ),
    "/api/studies/{run}": (
        "GET",
        _described(
            "study",
            "The state of a run of one's own, its progress since a line, and the result when there is one.",
            _json(_STATE),
            (404,),
            parameters=(
                {"name": "run", "in": "path", "required": True, "schema": {"type": "string"}},
                _query("after", "Progress after this line of the log."),
                _query("wait", "How many seconds to wait for news; at most 30."),
            ),
        ),
    ),
}
"""Method and description, by path."""
