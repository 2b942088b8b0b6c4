"""The hub's interface as an OpenAPI 3.1 document: what each address takes and gives, and what may be refused.

FastAPI serves it at `/openapi.json`. Schemas are pydantic's own, of the very models that read the messages.
"""

from __future__ import annotations

from typing import Any

from civicgrid.trust.envelope import Envelope
from civicgrid.trust.requests import HEADERS
from civicgrid.wire import MEDIA

DESCRIPTION = """Every request but `GET /healthz`, `GET /openapi.json` and those below `/register/` is signed: HTTP Message
Signatures (RFC 9421) with Ed25519 over the method, the full address and the body's digest (RFC 9530), with time, nonce and
key id. A refusal is JSON with a sentence under `error`."""

_ERROR: dict[str, Any] = {
    "type": "object",
    "properties": {"error": {"type": "string"}},
    "required": ["error"],
    "additionalProperties": False,
}
_WORDS = {
    400: "The message is malformed, too old, from a clock that is off (the offset is stated), or was received before.",
    401: "No registered key signed this, or the signature does not hold.",
    403: "The project or the person may not run a study now; the sentence says why.",
    404: "There is no such run of the sender's, or the register has no such entry or size.",
    409: "Another process of this node has said hello since.",
    413: "The message is larger than its sender may send.",
    415: "The body came compressed.",
    422: "The message is signed and well-formed, but the plan, data set or site that it names does not hold.",
    429: "Too many requests; `Retry-After` says how many seconds to wait.",
    431: "The request's head is too large.",
    503: "The hub cannot write to its disk or database now; nothing was stored.",
}
_UNSIGNED = (400, 413, 415, 429, 431, 503)
_SIGNED = (401, *_UNSIGNED)
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
    signed: bool = True,
) -> dict[str, Any]:
    """What FastAPI's `add_api_route` takes to describe a route that reads its request by itself."""
    extra: dict[str, Any] = {"parameters": [*parameters, *(_PARAMETERS if signed else ())]}
    if body is not None:
        extra["requestBody"] = {"required": True, "content": body}
    always = _SIGNED if signed else _UNSIGNED
    return {
        "operation_id": name,
        "summary": summary,
        "response_model": None,
        "openapi_extra": extra,
        "responses": {200: {"description": "As asked.", "content": answer}, **_refusals(*always, *refusals)},
    }


def _query(name: str, words: str, required: bool = False) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": required, "description": words, "schema": _WHOLE}


def _word(name: str, words: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": words, "schema": {"type": "string"}}


def _public(
    name: str, summary: str, answer: dict[str, Any], refusals: tuple[int, ...] = (), *parameters: dict[str, Any]
) -> tuple[str, dict[str, Any]]:
    """A route of the public register, which anybody may ask for without a signature."""
    return "GET", _described(name, summary, answer, refusals, parameters=parameters, signed=False)


_FRAME = {MEDIA: {"schema": {"type": "string", "contentMediaType": MEDIA}}}

_HASH = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_LEAF = {"type": "object"}
_ENTRY = _object(
    index={"type": "integer"},
    hash=_HASH,
    at={"type": ["string", "null"]},
    kind={"type": ["string", "null"]},
    sentence={"type": "string"},
    names={"type": "object", "additionalProperties": {"type": "string"}},
    leaf={"type": ["object", "null"]},
)
_SOUGHT = (
    _word("q", "Words that all stand in it."),
    _word("kind", "The kind of entry."),
    _word("project", "The project's id."),
    _word("site", "A site's name."),
    _word("dataset", "A data set's name."),
    _word("organisation", "An organisation's full name."),
)
_PROOF = {"type": "array", "items": _HASH}

PUBLIC: dict[str, tuple[str, dict[str, Any]]] = {
    "/register/log": _public(
        "register_log",
        "The register's name, size and public key (as the hub states it under its own key), and who witnesses it.",
        _json(
            _object(
                network={"type": "string"},
                origin={"type": "string"},
                key={"type": "string"},
                size={"type": "integer"},
                statement=_envelope(),
                witnesses={
                    "type": "array",
                    "items": _object(
                        site={"type": "string"}, key={"type": "string"}, size={"type": "integer"}, at={"type": "integer"}
                    ),
                },
            )
        ),
    ),
    "/register/checkpoint": _public(
        "register_checkpoint",
        "The newest checkpoint, or the one at a size: a C2SP signed note with the witnesses' cosignatures.",
        {"text/plain": {"schema": {"type": "string"}}},
        (404,),
        _query("size", "The number of entries; the newest where it is left out."),
    ),
    "/register/entries": _public(
        "register_entries",
        "Entries by number, the oldest first, 1,000 at most. Hashed is a zero byte and an entry's RFC 8785 form.",
        _json(_object(start={"type": "integer"}, size={"type": "integer"}, entries={"type": "array", "items": _LEAF})),
        (),
        _query("start", "The first number; 0 where it is left out."),
        _query("end", "The number before which to stop."),
    ),
    "/register/entries/{index}": _public(
        "register_entry",
        "One entry, in plain English and as it is hashed.",
        _json(_ENTRY),
        (404,),
        {"name": "index", "in": "path", "required": True, "schema": _WHOLE},
    ),
    "/register/search": _public(
        "register_search",
        "Entries that have all that is asked for, the newest first; `older` is what to give as `before` for more.",
        _json(_object(entries={"type": "array", "items": _ENTRY}, older={"type": ["integer", "null"]})),
        (),
        *_SOUGHT,
        _query("before", "Only entries below this number."),
        _query("most", "How many; 20 where it is left out, 100 at most."),
    ),
    "/register/proof/inclusion": _public(
        "register_inclusion",
        "The proof that an entry is in the register of a size (RFC 9162, section 2.1.3).",
        _json(_object(index={"type": "integer"}, size={"type": "integer"}, leaf=_HASH, proof=_PROOF)),
        (404,),
        _query("index", "The entry's number.", required=True),
        _query("size", "The register's size; its present one where it is left out."),
    ),
    "/register/proof/consistency": _public(
        "register_consistency",
        "The proof that the register of one size begins with that of another (RFC 9162, section 2.1.4).",
        _json(_object(first={"type": "integer"}, second={"type": "integer"}, proof=_PROOF)),
        (404,),
        _query("first", "The smaller size.", required=True),
        _query("second", "The larger size; the present one where it is left out."),
    ),
    "/register/data-uses.csv": _public(
        "register_data_uses",
        "Every approved project, in the fields of HDR UK's data use register.",
        {"text/csv": {"schema": {"type": "string"}}},
    ),
    "/register/feed.atom": _public(
        "register_feed",
        "The newest entries as an Atom feed, narrowed as a search is.",
        {"application/atom+xml": {"schema": {"type": "string"}}},
        (),
        *_SOUGHT,
    ),
}
"""The public register: what anybody may read."""

ROUTES: dict[str, tuple[str, dict[str, Any]]] = {
    **PUBLIC,
    "/node/hello": (
        "POST",
        _described("hello", "A node says what its site holds.", _FRAME, (422,), body=_FRAME),
    ),
    "/node/exchange": (
        "POST",
        _described("exchange", "Replies in; confirmations and tasks out.", _FRAME, (409, 422), body=_FRAME),
    ),
    "/node/witness": (
        "POST",
        _described(
            "witness",
            "What the node has seen of the public register, with its cosignature; gives the newest checkpoint and a proof.",
            _FRAME,
            (422,),
            body=_FRAME,
        ),
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
            (403, 422),
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
