"""Dense person numbers: 0, 1, 2, … in place of a site's own person ids.

A number, once given, belongs to that person of that data set for good: a refreshed load finds it again, a person who
is gone keeps it, and a new person gets the next. The release ledger counts on it, since it compares sets of persons
across loads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import duckdb

from civicgrid.curation.formats.source import quote
from civicgrid.curation.snapshot import row_digest

HOME = "_civicgrid"
"""The schema of the store's own tables. No data set can be called so: their names begin with a letter."""


def map_of(dataset: str) -> str:
    """The table from a data set's person keys to person numbers."""
    return f"{quote(HOME)}.{quote('persons of ' + dataset)}"


def number_persons(
    connection: duckdb.DuckDBPyConnection, dataset: str, keys: str, kind: Literal["BIGINT", "VARCHAR"]
) -> str:
    """Give every key of the query `keys` (one column, `key`) its number, in order of key; the map's name."""
    table = map_of(dataset)
    connection.execute(f"CREATE TABLE IF NOT EXISTS {table} (key {kind} NOT NULL, person_number INTEGER NOT NULL)")
    first = _next(connection, dataset)
    connection.execute(
        f"INSERT INTO {table} SELECT key, {first - 1} + row_number() OVER (ORDER BY key) "
        f"FROM (SELECT DISTINCT key FROM ({keys}) WHERE key IS NOT NULL) AS found "
        f"ANTI JOIN {table} AS known USING (key) ORDER BY key"
    )
    _taken(connection, dataset, f"SELECT max(person_number) FROM {table}")
    return table


def number_rows(
    connection: duckdb.DuckDBPyConnection, dataset: str, rows: str, columns: Sequence[tuple[str, bool]]
) -> str | None:
    """Numbers for a table without a person key, where a row that holds what it held before is taken for the same
    person. The rows come from the query `rows` (`_row` and the columns: name, and whether it is text).

    None if this is the first load, which is numbered in order of rows; else a temporary table of `_row` and number.
    """
    first = _next(connection, dataset)
    if first == 0:
        return None
    before = {
        name
        for (name,) in connection.execute(
            "SELECT column_name FROM duckdb_columns() "
            "WHERE database_name = current_database() AND schema_name = ? AND table_name = 'records'",
            [dataset],
        ).fetchall()
    }
    digest = row_digest([(quote(name), text) for name, text in columns])
    old = "SELECT NULL::BLOB AS digest, NULL::BIGINT AS nth, NULL::INTEGER AS person_number WHERE false"
    if {name for name, _ in columns} <= before:
        old = (
            "SELECT digest, row_number() OVER (PARTITION BY digest ORDER BY person_number) AS nth, "
            "person_number "
            f"FROM (SELECT {digest} AS digest, person_number FROM {quote(dataset)}.records)"
        )
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE numbered_rows AS WITH found AS (SELECT _row, digest, row_number() "
        "OVER "
        f"(PARTITION BY digest ORDER BY _row) AS nth FROM (SELECT _row, {digest} AS digest FROM ({rows}))), "
        f"matched AS (SELECT _row, person_number FROM found LEFT JOIN ({old}) USING (digest, nth)) "
        f"SELECT _row, CAST(coalesce(person_number, {first - 1} + "
        f"row_number() OVER (PARTITION BY person_number IS NULL ORDER BY _row)) AS INTEGER) AS person_number "
        f"FROM matched"
    )
    _taken(connection, dataset, "SELECT max(person_number) FROM numbered_rows")
    return "temp.numbered_rows"


def first_rows_taken(connection: duckdb.DuckDBPyConnection, dataset: str) -> None:
    """Remember the numbers that a first load without a person key has given out."""
    _taken(connection, dataset, f"SELECT max(person_number) FROM {quote(dataset)}.records")


def _next(connection: duckdb.DuckDBPyConnection, dataset: str) -> int:
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS {quote(HOME)}.numbers (data_set VARCHAR PRIMARY KEY, next_number "
        "INTEGER)"
    )
    found = connection.execute(f"SELECT next_number FROM {quote(HOME)}.numbers WHERE data_set = ?", [dataset]).fetchone()
    return int(found[0]) if found else 0


def _taken(connection: duckdb.DuckDBPyConnection, dataset: str, highest: str) -> None:
    connection.execute(
        f"INSERT OR REPLACE INTO {quote(HOME)}.numbers SELECT ?, greatest(?, coalesce(({highest}), -1) + 1)",
        [dataset, _next(connection, dataset)],
    )
