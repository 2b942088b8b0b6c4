"""What text, dates, tables and columns a plan may name."""

from __future__ import annotations

import datetime as dt
import re

from civicgrid.errors import PlanError
from civicgrid.omop.cdm import CDM, CdmTable
from civicgrid.query.kinds import SeriesType

LONGEST_TEXT = 500


def printable(what: str, text: str) -> str:
    """Text that a person can read: no control or direction marks, which could make an explanation lie."""
    if not text or len(text) > LONGEST_TEXT or not text.isprintable():
        raise PlanError(f"Expected {what} of 1 to {LONGEST_TEXT} printable characters. Write plain text.")
    return text


def event_table(name: str) -> CdmTable:
    """A table with many rows a person, or an error that lists them."""
    table = CDM.get(name)
    if table is None or "person_id" not in table or name == "person":
        events = ", ".join(sorted(each for each in CDM if "person_id" in CDM[each] and each != "person"))
        raise PlanError(f"{name!r} is not an event table of the OMOP CDM. Choose one of: {events}.")
    return table


def usable_columns(table: CdmTable) -> list[str]:
    """The columns that a plan may read: not who a person is, and not the time of day."""
    return [
        column.name for column in table.columns if column.name != "person_id" and column.type != "datetime"
    ]


def column_type(table: CdmTable, name: str) -> SeriesType:
    """The type of a column of the CDM; identifiers of persons and times of day are not for analysis."""
    usable = usable_columns(table)
    if name not in usable:
        why = (
            "is a time of day: use the date"
            if name in table and name != "person_id"
            else "is not a column to use"
        )
        raise PlanError(f"{table.name}.{name} {why}. The table has: {', '.join(usable)}.")
    kind = table[name].type
    if kind == "datetime":
        raise AssertionError("times of day were refused above")
    return SeriesType(kind)


def parse_date(text: str) -> dt.date:
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            return dt.date.fromisoformat(text)
    except ValueError:
        pass
    raise PlanError('Expected a date as YYYY-MM-DD, such as "2020-12-31".')


def check_level(category: SeriesType, level: str) -> None:
    if category.levels and level not in category.levels:
        raise PlanError(f"{level!r} is not a level of this category. It has: {', '.join(category.levels)}.")
