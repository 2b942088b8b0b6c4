"""Opening a research table: a CSV or Parquet file, a folder of Parquet parts, a DataFrame or an Arrow table."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard

import duckdb
import pyarrow as pa

from civicgrid.curation.formats.delimited import is_delimited, open_delimited
from civicgrid.curation.formats.parquet import open_parquet
from civicgrid.curation.formats.source import SourceTable, quote
from civicgrid.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

EXPECTED = "Expected a CSV or Parquet file, a folder of Parquet parts, a pandas DataFrame or an Arrow table"


def open_records(
    connection: duckdb.DuckDBPyConnection, source: Path | str | pd.DataFrame | pa.Table, name: str = "given"
) -> tuple[SourceTable, bool, Callable[[], object]]:
    """The table, whether its values are all text, and how to let go of it again."""
    # Whoever holds a DataFrame has loaded pandas; a node that reads files never pays for it.
    if "pandas" in sys.modules and _is_frame(source):
        return _in_memory(connection, _arrow(source), name)
    if isinstance(source, pa.Table):
        return _in_memory(connection, source, name)
    if not isinstance(source, str | Path):
        raise DataError(f"{EXPECTED}; {type(source).__name__} came. Give one of these.")
    path = Path(source)
    if path.is_dir() and (inside := tuple(sorted(path.glob("*.parquet")))):
        return open_parquet(connection, inside, path.name), False, lambda: None
    if not path.is_file():
        raise DataError(f"{EXPECTED}; there is nothing of the kind at {path}. Check the path.")
    if path.suffix.lower() == ".parquet":
        return open_parquet(connection, (path,), path.stem), False, lambda: None
    if is_delimited(path):
        raw = f"raw_{name}"
        opened = open_delimited(connection, path, path.stem, raw)
        return opened, True, lambda: connection.execute(f"DROP TABLE IF EXISTS temp.{quote(raw)}")
    raise DataError(f"{EXPECTED}; {path.name} is none of them. Export it to CSV or Parquet.")


def _in_memory(
    connection: duckdb.DuckDBPyConnection, data: pa.Table, name: str
) -> tuple[SourceTable, bool, Callable[[], object]]:
    names = [str(column).strip().lower() for column in data.column_names]
    repeated = sorted({column for column in names if names.count(column) > 1})
    if repeated:
        raise DataError(f"Expected each column once (letter case aside); {', '.join(repeated)} came twice.")
    connection.register(name, data)
    described = connection.execute(f"DESCRIBE SELECT * FROM {quote(name)}").fetchall()
    columns = {column.strip().lower(): (quote(column), kind) for column, kind, *_ in described}
    spelled = {column.strip().lower(): column.strip() for column, *_ in described}
    table = SourceTable("records", "the table", quote(name), "(row_number() OVER () - 1)", columns, spelled=spelled)
    return table, False, lambda: connection.unregister(name)


def _is_frame(source: object) -> TypeGuard[pd.DataFrame]:
    return isinstance(source, sys.modules["pandas"].DataFrame)


def _arrow(frame: pd.DataFrame) -> pa.Table:
    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError):
        mixed = [str(name) for name in frame.columns if frame[name].map(type).nunique() > 1]
        raise DataError(
            f"The DataFrame mixes types within a column ({', '.join(mixed) or 'or repeats a name'}). Give "
            "each column "
            "one type, for instance with frame.astype."
        ) from None
