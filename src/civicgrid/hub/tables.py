"""Lists on pages: sorted, searched, paged and exported by the server, so that they need no script."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from civicgrid.present.tables import safe_cell

PAGE = 50


@dataclass(frozen=True)
class Column:
    """One column: its heading, the value it shows and sorts by, and where a click on it goes."""

    name: str
    heading: str
    value: Callable[[Any], Any]
    link: Callable[[Any], str] | None = None
    numeric: bool = False
    shown: Callable[[Any], str] = str


@dataclass(frozen=True)
class Cell:
    text: str
    link: str
    numeric: bool


@dataclass(frozen=True)
class Shown:
    """One page of a list, as a template draws it."""

    listing: Listing
    rows: list[list[Cell]]
    count: int
    page: int
    pages: int
    sort: str
    descending: bool
    search: str


@dataclass(frozen=True)
class Listing:
    """A list of things. `name` is that of the file when it is exported; `empty` says what to do where there is nothing."""

    name: str
    caption: str
    columns: Sequence[Column]
    things: Sequence[Any]
    empty: str
    sort: str = ""
    descending: bool = False

    def shown(self, query: Mapping[str, str]) -> Shown:
        """The page that the query asks for: `q` searches, `sort` and `order` sort, `page` counts from 1."""
        search = query.get("q", "")[:200].strip()
        things = [thing for thing in self.things if self._holds(thing, search)]
        known = {column.name: column for column in self.columns}
        sort = query.get("sort", "") if query.get("sort", "") in known else self.sort
        descending = query.get("order", "desc" if self.descending else "asc") == "desc"
        if sort:
            things.sort(key=lambda thing: _key(known[sort].value(thing)), reverse=descending)
        pages = max(1, math.ceil(len(things) / PAGE))
        asked = query.get("page", "1")
        page = min(max(1, int(asked)), pages) if asked.isdecimal() and len(asked) < 9 else 1
        rows = [
            [
                Cell(_text(column, thing), column.link(thing) if column.link else "", column.numeric)
                for column in self.columns
            ]
            for thing in things[(page - 1) * PAGE : page * PAGE]
        ]
        return Shown(self, rows, len(things), page, pages, sort, descending, search)

    def csv(self) -> str:
        """The whole list; what a spreadsheet would take for a formula is kept from being one."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\r\n")
        writer.writerow([column.heading for column in self.columns])
        for thing in self.things:
            writer.writerow([safe_cell(_text(column, thing)) for column in self.columns])
        return out.getvalue()

    def _holds(self, thing: Any, search: str) -> bool:
        if not search:
            return True
        text = " ".join(_text(column, thing) for column in self.columns).casefold()
        return all(word in text for word in search.casefold().split())


def _text(column: Column, thing: Any) -> str:
    value = column.value(thing)
    return "" if value is None else column.shown(value)


def _key(value: Any) -> tuple[bool, Any]:
    """Nothing sorts last; text without regard to case."""
    return (value is None, value.casefold() if isinstance(value, str) else value if value is not None else 0)
