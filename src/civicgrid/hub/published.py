"""The public register over HTTP, for anybody and without signing in: JSON, the signed checkpoint, CSV, an Atom feed.

What is read here is read beside the hub's own work, in threads, since strangers decide how much of it there is.
"""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Awaitable, Callable
from typing import Any
from xml.sax.saxutils import escape, quoteattr  # nosec B406 - escapes, parses nothing

from fastapi import Request, Response

from civicgrid.errors import TrustError, WireError
from civicgrid.governance import data_uses
from civicgrid.hub.answers import as_json
from civicgrid.hub.register import Page, Register, Shown
from civicgrid.present.tables import safe_cell

MARKS = ("kind", "project", "site", "dataset", "organisation")
LARGEST = 2**53
FEED = 50
CHANGED = "This entry cannot be read: it was changed after it was written, or a later version wrote it."

Reader = Callable[[Register, Request], Response]


def _log(register: Register, request: Request) -> Response:
    key = register.key
    return as_json(
        {
            "network": register.network,
            "origin": key.name,
            "key": str(key),
            "size": register.size(),
            "statement": register.statement().to_data(),
            "witnesses": [
                {"site": each.site, "key": each.key, "size": each.size, "at": each.at} for each in register.witnesses()
            ],
        }
    )


def _checkpoint(register: Register, request: Request) -> Response:
    return Response(str(register.checkpoint(_number(request, "size"))), media_type="text/plain; charset=utf-8")


def _entries(register: Register, request: Request) -> Response:
    start = _number(request, "start") or 0
    end = _number(request, "end")
    texts = register.texts(start, LARGEST if end is None else end)
    # The leaves as they are stored: whoever checks hashes these values.
    body = f'{{"start":{start},"size":{register.size()},"entries":[{",".join(texts)}]}}'
    return Response(body, media_type="application/json")


def _entry(register: Register, request: Request) -> Response:
    index = _whole("index", request.path_params["index"])
    return as_json(_told(register, [register.entry(index)])[0])


def _search(register: Register, request: Request) -> Response:
    most = _number(request, "most")
    page = _page(register, request, 20 if most is None else min(max(most, 1), 100), _number(request, "before"))
    return as_json({"entries": _told(register, page.entries), "older": page.older})


def _inclusion(register: Register, request: Request) -> Response:
    index, size = _wanted(request, "index"), _number(request, "size")
    size = register.size() if size is None else size
    proof = register.inclusion(index, size)
    leaf = register.entry(index).hash.hex()
    return as_json({"index": index, "size": size, "leaf": leaf, "proof": [part.hex() for part in proof]})


def _consistency(register: Register, request: Request) -> Response:
    first, second = _wanted(request, "first"), _number(request, "second")
    second = register.size() if second is None else second
    proof = register.consistency(first, second)
    return as_json({"first": first, "second": second, "proof": [part.hex() for part in proof]})


def _data_uses(register: Register, request: Request) -> Response:
    projects = register.approved()
    held = io.StringIO()
    writer = csv.writer(held)
    for row in data_uses.rows(projects, register.names()):
        writer.writerow([safe_cell(value) for value in row])
    named = {"Content-Disposition": 'attachment; filename="data-uses.csv"'}
    return Response(held.getvalue(), media_type="text/csv; charset=utf-8", headers=named)


def _feed(register: Register, request: Request) -> Response:
    page = _page(register, request, FEED, None)
    base = request.app.state.hub.address
    here = base + request.url.path + (f"?{request.url.query}" if request.url.query else "")
    latest = next((shown.leaf.at for shown in page.entries if shown.leaf), "1970-01-01T00:00:00Z")
    items = "".join(_item(shown, f"{base}/register") for shown in page.entries)
    body = (
        '<?xml version="1.0" encoding="utf-8"?>\n<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="en-GB">\n'
        f"<title>{escape(f'Public register of {register.network}')}</title>\n<id>{escape(here)}</id>\n"
        f'<link rel="self" href={quoteattr(here)}/>\n<updated>{latest}</updated>\n'
        f"<author><name>{escape(register.network)}</name></author>\n{items}</feed>\n"
    )
    return Response(body, media_type="application/atom+xml; charset=utf-8")


def _item(shown: Shown, register: str) -> str:
    """An entry of the feed: it goes by its JSON, and leads to its page."""
    address, page = f"{register}/entries/{shown.index}", f"{register}/entry/{shown.index}"
    leaf = shown.leaf
    title = leaf.entry.sentence() if leaf else CHANGED
    at = leaf.at if leaf else "1970-01-01T00:00:00Z"
    return (
        f"<entry><title>{escape(title)}</title><id>{escape(address)}</id><link href={quoteattr(page)}/>"
        f"<updated>{at}</updated><summary>{escape(title)}</summary></entry>\n"
    )


def _page(register: Register, request: Request, most: int, before: int | None) -> Page:
    given = request.query_params
    where = {name: given[name] for name in MARKS if given.get(name)}
    return register.page(most, before, given.get("q", "")[:500], **where)


def _told(register: Register, entries: Any) -> list[dict[str, Any]]:
    """Entries as JSON: in words, with the names that have not been erased, and as they are hashed."""
    people = {person for shown in entries if shown.leaf for person in people_of(shown)}
    names = register.names(people) if people else {}
    return [
        {
            "index": shown.index,
            "hash": shown.hash.hex(),
            "at": shown.leaf.at if shown.leaf else None,
            "kind": shown.leaf.entry.kind if shown.leaf else None,
            "sentence": shown.leaf.entry.sentence() if shown.leaf else CHANGED,
            "names": {person: names[person] for person in people_of(shown) if person in names},
            "leaf": shown.leaf.to_data() if shown.leaf else None,
        }
        for shown in entries
    ]


def people_of(shown: Shown) -> tuple[str, ...]:
    """The commitments in an entry."""
    given = shown.leaf.entry.__dict__ if shown.leaf else {}
    lead = given.get("lead")
    return (*((lead,) if lead else ()), *given.get("people", ()))


# --- requests and answers ---------------------------------------------------------------------------------------------


def _number(request: Request, name: str) -> int | None:
    raw = request.query_params.get(name)
    return None if raw is None else _whole(name, raw)


def _wanted(request: Request, name: str) -> int:
    found = _number(request, name)
    if found is None:
        raise WireError(f"Expected a number for {name!r}; none came.")
    return found


def _whole(name: str, raw: str) -> int:
    if not (raw.isascii() and raw.isdigit() and len(raw) <= 16 and int(raw) <= LARGEST):
        raise WireError(f"Expected a whole number from 0 for {name!r}; something else came.")
    return int(raw)


def _threaded(read: Reader) -> Callable[[Register, Request], Awaitable[Response]]:
    async def answer(register: Register, request: Request) -> Response:
        try:
            return await asyncio.to_thread(read, register, request)
        except TrustError as error:
            # Nobody signs here: what does not hold is what was asked for.
            raise WireError(str(error)) from None

    return answer


PUBLISHED = {
    path: _threaded(read)
    for path, read in (
        ("/register/log", _log),
        ("/register/checkpoint", _checkpoint),
        ("/register/entries", _entries),
        ("/register/entries/{index}", _entry),
        ("/register/search", _search),
        ("/register/proof/inclusion", _inclusion),
        ("/register/proof/consistency", _consistency),
        ("/register/data-uses.csv", _data_uses),
        ("/register/feed.atom", _feed),
    )
}
