"""The formats that data comes in. `open_cdm` chooses one by what is at the path."""

from __future__ import annotations

from pathlib import Path

import duckdb

from civicgrid.curation.formats.database import DatabaseFile
from civicgrid.curation.formats.delimited import DelimitedFolder, is_delimited
from civicgrid.curation.formats.parquet import ParquetFolder, parts
from civicgrid.curation.formats.source import Source
from civicgrid.errors import DataError

EXPECTED = "Expected a DuckDB file, a folder of CSV files, or a folder of Parquet files with the CDM's table names"


def open_cdm(connection: duckdb.DuckDBPyConnection, path: Path, schema: str | None = None) -> Source:
    """The CDM tables at this path. The caller closes the source."""
    if path.is_file():
        if is_delimited(path) or path.suffix.lower() == ".parquet":
            raise DataError(f"{EXPECTED}; {path.name} is one file. Give the folder that it is in.")
        return DatabaseFile(connection, path, schema)
    if not path.is_dir():
        raise DataError(f"{EXPECTED}; there is nothing at {path}. Check the path.")
    parquet, delimited = parts(path), any(is_delimited(inside) for inside in path.iterdir())
    if parquet and delimited:
        raise DataError(f"{EXPECTED}; {path.name} holds both CSV and Parquet. Move one kind elsewhere.")
    if parquet:
        return ParquetFolder(connection, path)
    if delimited:
        return DelimitedFolder(connection, path)
    raise DataError(f"{EXPECTED}; {path.name} holds neither. Check the path.")
