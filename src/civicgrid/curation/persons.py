"""Dense person numbers: 0, 1, 2, … in place of a site's own person ids, one for each person of the site.

A number, once given, belongs to that person for good: a refreshed load finds it again, a person who is gone keeps it, a
new person gets the next, and another data set that knows people by the same *identifier* gives them the same numbers. The
release ledger counts on it, since it compares sets of persons across loads and data sets.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import duckdb

from civicgrid.curation.formats.source import quote
from civicgrid.curation.snapshot import row_digest
from civicgrid.errors import DataError

HOME = "_civicgrid"
"""The schema of the store's own tables. No data set can be called so: their names begin with a letter."""

SITE = "site"
"""The identifier of data sets that do not say by which one they know people: the site's own."""

_IDENTIFIER = re.compile(r"[a-z][a-z0-9_-]{0,62}")


def check_identifier(name: str) -> str:
    """An identifier's name as it may be, or a DataError that says how it should look."""
    if not _IDENTIFIER.fullmatch(name):
        raise DataError(
            "Expected an identifier's name of at most 63 lower-case letters, digits, '-' and '_' that begins with a "
            f"letter, such as nhs-number; {name[:80]!r} came. Choose another."
        )
    return name


def number_persons(
    connection: duckdb.DuckDBPyConnection, identifier: str, keys: str, order: str = "key"
) -> tuple[str, int]:
    """Give every key of the query `keys` (one column, `key`: text, each once) its number, in this order; the map from keys
    to numbers, as a relation, and how many people are new to the site.
    """
    table = f"{quote(HOME)}.{quote('persons by ' + check_identifier(identifier))}"
    connection.execute(f"CREATE TABLE IF NOT EXISTS {table} (key VARCHAR NOT NULL, person_number INTEGER NOT NULL)")
    first = next_number(connection)
    new = connection.execute(
        f"INSERT INTO {table} SELECT key, {first - 1} + row_number() OVER (ORDER BY {order}) "
        f"FROM ({keys}) AS found "
        f"ANTI JOIN {table} AS known USING (key) ORDER BY {order}"
    ).fetchall()[0][0]
    take_numbers(connection, int(new))
    return table, int(new)


def number_rows(
    connection: duckdb.DuckDBPyConnection, dataset: str, rows: str, columns: Sequence[tuple[str, bool]]
) -> str | None:
    """Numbers for a table without a person key, where a row that holds what it held before is taken for the same
    person. The rows come from the query `rows` (`_row` and the columns: name, and whether it is text).

    None where there were no such rows before, so that all take the next numbers in order; else a temporary table of
    `_row` and number.
    """
    first = next_number(connection)
    before = {
        name
        for (name,) in connection.execute(
            "SELECT column_name FROM duckdb_columns() "
            "WHERE database_name = current_database() AND schema_name = ? AND table_name = 'records'",
            [dataset],
        ).fetchall()
    }
    if not {name for name, _ in columns} <= before:
        return None
    digest = row_digest([(quote(name), text) for name, text in columns])
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
    new = connection.execute("SELECT count(*) FROM numbered_rows WHERE person_number >= ?", [first]).fetchall()[0][0]
    take_numbers(connection, int(new))
    return "temp.numbered_rows"


def next_number(connection: duckdb.DuckDBPyConnection) -> int:
    """The first number that nobody has."""
    found = connection.execute(f"SELECT next_number FROM {quote(HOME)}.numbering").fetchone()
    assert found is not None
    return int(found[0])


def take_numbers(connection: duckdb.DuckDBPyConnection, many: int) -> None:
    """So many numbers from the next on are given out, for good."""
    connection.execute(f"UPDATE {quote(HOME)}.numbering SET next_number = next_number + ?", [many])
