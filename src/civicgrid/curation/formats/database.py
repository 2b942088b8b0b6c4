"""A DuckDB file that already holds CDM tables, in whichever schema. It is only ever read."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb

from civicgrid.curation.formats.source import Source, SourceTable, literal, quote
from civicgrid.errors import DataError
from civicgrid.omop.cdm import CDM

ALIAS = "_source"
"""A name that no data set can have."""

_POSITIONAL = re.compile(r"column\d+")


class DatabaseFile(Source):
    """The tables of a DuckDB file: those beside its `person` table, then CDM tables found in one other schema only."""

    repeated_ids = True

    def __init__(self, connection: duckdb.DuckDBPyConnection, path: Path, schema: str | None = None) -> None:
        self.connection, self.label = connection, path.name
        try:
            connection.execute(f"ATTACH {literal(str(path))} AS {ALIAS} (READ_ONLY)")
        except duckdb.Error as error:
            raise DataError(
                f"{path.name} could not be opened as a DuckDB database ({type(error).__name__}). Expected "
                "a DuckDB "
                "file that no other program has open for writing. Close it there, or export it to Parquet."
            ) from None
        try:
            self.tables = self._find(schema)
        except BaseException:
            self.close()
            raise

    def names(self) -> tuple[str, ...]:
        return tuple(self.tables)

    def open(self, name: str) -> SourceTable:
        schema, table = self.tables[name]
        relation = f"{ALIAS}.{quote(schema)}.{quote(table)}"
        described = self.connection.execute(f"DESCRIBE {relation}").fetchall()
        columns = {column.strip().lower(): (quote(column), kind) for column, kind, *_ in described}
        view = self.connection.execute(
            "SELECT count(*) FROM duckdb_views() WHERE database_name = ? AND schema_name = ? AND view_name "
            "= ?",
            [ALIAS, schema, table],
        ).fetchall()[0][0]
        row = "(row_number() OVER () - 1)" if view else "rowid"
        named = self._names_in_first_row(relation, columns)
        if named:
            columns = dict(zip(named, columns.values(), strict=True))
        file = f"{self.label} {schema}.{table}"
        return SourceTable(name, file, relation, row, columns, named_by_first_row=bool(named))

    def close(self) -> None:
        self.connection.execute(f"DETACH DATABASE IF EXISTS {ALIAS}")

    def _find(self, wanted: str | None) -> dict[str, tuple[str, str]]:
        found = self.connection.execute(
            "SELECT table_schema, table_name FROM information_schema.tables WHERE table_catalog = ? ORDER "
            "BY 1, 2",
            [ALIAS],
        ).fetchall()
        homes = sorted({schema for schema, table in found if table.lower() == "person"})
        if wanted is not None:
            homes = [schema for schema in homes if schema == wanted]
        if len(homes) != 1:
            seen = sorted({schema for schema, _ in found})
            raise DataError(
                f"Expected one schema with a person table in {self.label}; {len(homes)} came "
                f"({', '.join(homes) or 'none'}). Its schemas are: {', '.join(seen) or 'none'}. Name one: "
                "schema=…"
            )
        tables = {table.lower(): (schema, table) for schema, table in found if schema == homes[0]}
        for name in CDM:
            elsewhere = [(schema, table) for schema, table in found if table.lower() == name]
            if name not in tables and len(elsewhere) == 1:
                tables[name] = elsewhere[0]
        return tables

    def _names_in_first_row(self, relation: str, columns: dict[str, tuple[str, str]]) -> list[str]:
        """Column names that an importer took for data: `column0`, `column1`, … above a row of CDM names."""
        if not all(_POSITIONAL.fullmatch(name) for name in columns):
            return []
        first = self.connection.execute(f"SELECT * FROM {relation} LIMIT 1").fetchone()
        words = [str(word).strip().lower() for word in first or ()]
        known = {column for table in CDM.values() for column in table.names}
        return words if words and len(set(words)) == len(words) and known & set(words) else []
