"""A folder of Parquet: `person.parquet`, or a folder `person/` of parts."""

from __future__ import annotations

from pathlib import Path

import duckdb

from civicgrid.curation.faults import Fault
from civicgrid.curation.formats.source import Source, SourceTable, literal, quote


def parts(folder: Path) -> dict[str, tuple[Path, ...]]:
    """Table to its files, for every table in this folder."""
    found: dict[str, tuple[Path, ...]] = {}
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix.lower() == ".parquet":
            found[path.stem.lower()] = (*found.get(path.stem.lower(), ()), path)
        elif path.is_dir():
            inside = tuple(sorted(path.glob("*.parquet")))
            if inside:
                found[path.name.lower()] = inside
    return found


class ParquetFolder(Source):
    """The Parquet tables in one folder."""

    repeated_ids = True

    def __init__(self, connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
        self.connection, self.label, self.files = connection, folder.resolve().name, parts(folder)

    def names(self) -> tuple[str, ...]:
        return tuple(self.files)

    def open(self, name: str) -> SourceTable:
        return open_parquet(self.connection, self.files[name], name)

    def close(self) -> None:
        """Parquet files are opened for each query alone."""


def open_parquet(connection: duckdb.DuckDBPyConnection, files: tuple[Path, ...], name: str) -> SourceTable:
    """The parts of one table as one relation; rows are numbered in the order of the parts' names."""
    label = files[0].name if len(files) == 1 else files[0].parent.name
    listed = ", ".join(literal(str(path)) for path in files)
    relation = f"read_parquet([{listed}], union_by_name = true)"
    if len(files) == 1:
        relation = f"read_parquet({listed}, file_row_number = true)"
    try:
        described = connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
    except duckdb.Error:
        fault = Fault(label, "it is not a Parquet file, or it is damaged; write it again")
        return SourceTable(name, label, "", "", {}, None, (fault,))
    columns: dict[str, tuple[str, str]] = {}
    spelled: dict[str, str] = {}
    faults = []
    for column, kind, *_ in described:
        if column == "file_row_number":
            continue
        key = column.strip().lower()
        if key in columns:
            faults.append(Fault(label, "this column is there twice, in other letters", column=key))
        columns[key], spelled[key] = (quote(column), kind), column.strip()
    row = "file_row_number" if len(files) == 1 else "(row_number() OVER () - 1)"
    return SourceTable(name, label, relation, row, columns, None, tuple(faults), spelled=spelled)
