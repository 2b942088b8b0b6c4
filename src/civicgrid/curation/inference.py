"""What kind of column the values of a file make, where nobody has said.

Careful rather than clever: a code with a leading zero is text, a date is ISO 8601 only, and yes-or-no only what is
written true or false. Nothing about the values leaves these functions but the kind, unless the caller asks for
levels and ranges of its own data (`Dictionary.infer`).
"""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from civicgrid.curation.formats.source import SourceTable
from civicgrid.query.types import Kind

MISSING = ("", "NA", "N/A", "NaN", "nan", "NULL", "null")
"""What a text file may write for a missing value when no dictionary says otherwise."""

_KINDS: dict[str, Kind] = {
    "BOOLEAN": "bool",
    "DATE": "date",
    "DOUBLE": "float",
    "FLOAT": "float",
    "DECIMAL": "float",
    "VARCHAR": "category",
    "ENUM": "category",
    "UUID": "category",
    "TINYINT": "int",
    "SMALLINT": "int",
    "INTEGER": "int",
    "BIGINT": "int",
    "HUGEINT": "int",
    "UTINYINT": "int",
    "USMALLINT": "int",
    "UINTEGER": "int",
    "UBIGINT": "int",
}

_WHOLE = "[+-]?(0|[1-9][0-9]{0,17})"
_NUMBER = "[+-]?((0|[1-9][0-9]*)([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]{1,3})?"
_DATE = "[0-9]{4}-[0-9]{2}-[0-9]{2}"


@dataclass(frozen=True)
class Found:
    """A column of a source: its name in lower case and as spelled, and its kind; None if it is of no usable kind."""

    key: str
    name: str
    kind: Kind | None


def missing_list(codes: tuple[str, ...] = MISSING) -> str:
    """Codes as an SQL list."""
    return ", ".join("'" + code.replace("'", "''") + "'" for code in codes)


def infer(connection: duckdb.DuckDBPyConnection, source: SourceTable, text_file: bool) -> tuple[Found, ...]:
    """The kind of every column. Only a text file's values are looked at; other formats carry their types."""
    found = []
    for key, (place, declared) in source.columns.items():
        kind = kind_of(declared)
        if text_file and kind == "category":
            kind = _of_text(connection, source.relation, place)
        found.append(Found(key, source.spelled.get(key, key), kind))
    return tuple(found)


def kind_of(declared: str) -> Kind | None:
    """The kind of a DuckDB type; a moment in time counts as its date."""
    word = declared.split("(", 1)[0].strip('" ').upper()
    if declared.endswith("]"):
        return None
    if word.startswith("TIMESTAMP"):
        return "date"
    return "float" if word == "NULL" else _KINDS.get(word)


def _of_text(connection: duckdb.DuckDBPyConnection, relation: str, place: str) -> Kind:
    count, words, whole, number, dates = connection.execute(
        f"SELECT count(*), count(*) FILTER (WHERE lower(v) IN ('true', 'false')), "
        f"count(*) FILTER (WHERE regexp_full_match(v, '{_WHOLE}')), "
        f"count(*) FILTER (WHERE regexp_full_match(v, '{_NUMBER}')), "
        f"count(*) FILTER (WHERE regexp_full_match(v, '{_DATE}') AND TRY_CAST(v AS DATE) IS NOT NULL) "
        f"FROM (SELECT trim({place}) AS v FROM {relation}) WHERE v NOT IN ({missing_list()})"
    ).fetchall()[0]
    if not count:
        return "float"
    kinds: tuple[tuple[int, Kind], ...] = ((words, "bool"), (whole, "int"), (number, "float"), (dates, "date"))
    return next((kind for matched, kind in kinds if matched == count), "category")
