"""The id of a load: a SHA-256 of what was loaded, whatever file, format or time it came from.

A CDM export comes in any order. So each row is written as text (column by column, a missing value as nothing, text with
its length, so that no two different rows share a text) and hashed, and the row hashes are added modulo 2^64 in four
lanes (AdHash: Bellare & Micciancio, EUROCRYPT 1997). It tells one load from another at an honest site; it is not
meant to hold against a site that forges its own data.

A research table keeps its order of rows, and each of its columns is hashed as it streams by, which is ten times
quicker for wide numeric tables.

The id is the SHA-256 of the canonical list of tables with their columns, row counts and sums.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import rfc8785

_BATCH = 100_000


@dataclass(frozen=True)
class Content:
    """One table's part of a snapshot."""

    table: str
    columns: tuple[tuple[str, str], ...]
    rows: int
    total: str

    def data(self) -> dict[str, Any]:
        return {"columns": [list(pair) for pair in self.columns], "rows": self.rows, "sum": self.total}


def row_digest(columns: Sequence[tuple[str | None, bool]]) -> str:
    """SQL for the SHA-256 of a row. `columns`: the expression, None for one that the source lacks, and whether it is
    text. A missing value is written as nothing, which no value of any type is."""
    parts: list[str] = []
    for source, text in columns:
        if source is not None and text:
            parts += [f"length({source})", "':'"]
        if source is not None:
            parts.append(source)
        parts.append("'|'")
    return f"unhex(sha256(concat({', '.join(parts)})))"


def no_content(table: str, columns: Sequence[tuple[str, str]]) -> Content:
    """The part of a table without rows."""
    return Content(table, tuple(columns), 0, "0" * 64)


def content(connection: duckdb.DuckDBPyConnection, table: str, columns: Sequence[tuple[str, str]], digests: str) -> Content:
    """Sum the row digests that the query `digests` gives as its one column."""
    lanes = np.zeros(4, dtype=np.uint64)
    rows = 0
    for batch in connection.sql(digests).to_arrow_reader(_BATCH):
        if not batch.num_rows:
            continue
        values = np.frombuffer(b"".join(batch.column(0).to_pylist()), dtype="<u8").reshape(-1, 4)
        lanes += values.sum(axis=0, dtype=np.uint64)
        rows += batch.num_rows
    return Content(table, tuple(columns), rows, lanes.astype("<u8").tobytes().hex())


def snapshot_id(kind: str, contents: Sequence[Content]) -> str:
    """SHA-256 in hexadecimal over the canonical description of all tables."""
    described: Any = {"format": "civicgrid snapshot 1", "kind": kind, "tables": {c.table: c.data() for c in contents}}
    return hashlib.sha256(rfc8785.dumps(described)).hexdigest()


def ordered_content(
    connection: duckdb.DuckDBPyConnection, table: str, columns: Sequence[tuple[str, str]], rows: str
) -> Content:
    """Hash the columns that the query `rows` gives, in its order. `columns`: name and a description of the type."""
    hashes = [(hashlib.sha256(), hashlib.sha256()) for _ in columns]
    count = 0
    for batch in connection.sql(rows).to_arrow_reader(_BATCH):
        count += batch.num_rows
        for column, (values, shape) in zip(batch.columns, hashes, strict=True):
            present = column.is_valid()
            if pa.types.is_large_string(column.type) or pa.types.is_string(column.type):
                values.update("".join(text for text in column.to_pylist() if text is not None).encode())
                shape.update(pc.fill_null(pc.binary_length(column), -1).cast(pa.int64()).to_numpy().data)
            else:
                bare = column.cast(pa.int32()) if pa.types.is_date(column.type) else column
                filled = pc.fill_null(bare.cast(pa.int8()) if pa.types.is_boolean(bare.type) else bare, 0)
                values.update(np.ascontiguousarray(filled.to_numpy()).data)
                shape.update(present.cast(pa.int8()).to_numpy().data)
    total = hashlib.sha256("".join(v.hexdigest() + s.hexdigest() for v, s in hashes).encode()).hexdigest()
    return Content(table, tuple(columns), count, total)
