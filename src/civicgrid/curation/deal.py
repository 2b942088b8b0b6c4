"""Dealing one CDM's persons to several sites, for demonstrations and tests.

A person goes to a site by the SHA-256 of the person id alone, so that the deal is the same whatever the order of rows,
the format or the machine. Everything of a person goes along; the vocabulary goes everywhere. Rows that belong to
nobody in `person` are dealt by the same hash, so that every row of the source is at exactly one site.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from civicgrid.curation.formats import open_cdm
from civicgrid.curation.formats.source import SourceTable, literal, quote
from civicgrid.errors import DataError
from civicgrid.omop.cdm import CDM

SIX_SITES: dict[str, float] = {
    "cambridge": 0.17,
    "london": 0.31,
    "midlands": 0.23,
    "oxford": 0.14,
    "scotland": 0.11,
    "wales-northern-ireland": 0.04,
}
"""Six deliberately unequal shares: the smallest site's own cells are too small to leave it."""


def site_of(person_id: int, shares: dict[str, float]) -> str:
    """The site of a person: the share in which the hash of the id, as a fraction of 1, falls."""
    fraction = int.from_bytes(hashlib.sha256(str(person_id).encode()).digest()[:8], "big") / 2**64
    edges = np.cumsum(list(shares.values()))
    index = int(np.searchsorted(edges / edges[-1], fraction, side="right"))
    return list(shares)[min(index, len(shares) - 1)]


def deal(source: Path, shares: dict[str, float], to: Path) -> dict[str, Path]:
    """Write one folder of Parquet files for each site and give back their paths.

    `source` is anything `Store.load_omop` takes; column names and values are passed on as they are, faults and all.
    """
    if not shares or any(share <= 0 for share in shares.values()):
        raise DataError("Expected at least one site, each with a share above 0. Correct the shares.")
    folders = {site: Path(to) / site for site in shares}
    with duckdb.connect() as connection:
        opened = open_cdm(connection, Path(source))
        try:
            tables = {name: opened.open(name) for name in opened.names() if name in CDM}
            _place(connection, tables, shares)
            for folder in folders.values():
                folder.mkdir(parents=True, exist_ok=True)
            for name, table in tables.items():
                for site, folder in folders.items():
                    connection.execute(
                        f"COPY ({_rows(name, table, site, next(iter(shares)))}) "
                        f"TO {literal(str(folder / (name + '.parquet')))} (FORMAT parquet)"
                    )
        finally:
            opened.close()
    return folders


def _rows(name: str, table: SourceTable, site: str, first: str) -> str:
    """SQL for the rows of a table that go to a site: all of a table that belongs to nobody, else its persons'.

    A row without a usable person id goes to the first site.
    """
    chosen = ", ".join(f"t.{place} AS {quote(column)}" for column, (place, _) in table.columns.items())
    key = _key(name, table)
    if key is None:
        return f"SELECT {chosen} FROM {table.relation} AS t"
    return (
        f"SELECT {chosen} FROM (SELECT *, {table.row} AS _row, {key} AS _key FROM {table.relation}) AS t "
        f"LEFT JOIN placed ON t._key = placed.key WHERE coalesce(site, {literal(first)}) = {literal(site)} "
        "ORDER BY t._row"
    )


def _key(name: str, table: SourceTable) -> str | None:
    person = CDM[name].person_column
    return f"TRY_CAST({table.columns[person][0]} AS BIGINT)" if person in table.columns else None


def _place(connection: duckdb.DuckDBPyConnection, tables: dict[str, SourceTable], shares: dict[str, float]) -> None:
    """Make the temporary table `placed` of every person id and its site."""
    keyed = {name: _key(name, table) for name, table in tables.items()}
    queries = [f"SELECT {key} AS key FROM {tables[name].relation}" for name, key in keyed.items() if key]
    found = connection.execute(f"SELECT DISTINCT key FROM ({' UNION ALL '.join(queries)}) WHERE key IS NOT NULL").fetchall()
    keys = [key for (key,) in found]
    data = pa.table({"key": pa.array(keys, pa.int64()), "site": [site_of(key, shares) for key in keys]})
    connection.register("dealt", data)
    connection.execute("CREATE TEMP TABLE placed AS SELECT * FROM dealt")
    connection.unregister("dealt")
