"""What a method gets to read: typed columns, one row a person, in batches that can be read again.

How the kinds of `query.types` appear in a batch: bool as Arrow bool, int as int64, float as float64, date as
date32, and a category as int32 codes into its levels. Null is missing. A value that is not among a category's
levels is missing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from civicgrid.query.types import Schema

ARROW = {
    "bool": pa.bool_(),
    "int": pa.int64(),
    "float": pa.float64(),
    "date": pa.date32(),
    "category": pa.int32(),
}

PERSON = "person_number"
"""The dense person number (int64, never null): for the release ledger alone, in no schema and seen by no
method.
"""


class Table(ABC):
    """A re-readable source of Arrow record batches with the id of the snapshot it was read from."""

    schema: Schema
    snapshot: str

    @cached_property
    def whole(self) -> set[tuple[str, ...]]:
        """Sets of columns in which nothing has been found missing: a cache, since the rows of a table never change."""
        return set()

    @cached_property
    def numbers(self) -> npt.NDArray[np.uint32]:
        """All person numbers in the order of the rows, read once: for the release ledger alone."""
        parts = [np.from_dlpack(part) for part in self.persons()]
        return np.concatenate([np.zeros(0, dtype=np.uint32), *parts]).astype(np.uint32)

    @cached_property
    def measured(self) -> dict[bytes, object]:
        """What a method has worked out about the rows alone and needs again in every round: a cache like `whole`."""
        return {}

    @property
    @abstractmethod
    def rows(self) -> int:
        """How many rows, that is persons, the table has."""

    @abstractmethod
    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The named columns in order, batch after batch; the same batches at every call."""

    @abstractmethod
    def persons(self) -> Iterator[pa.Array]:
        """The dense person numbers, in the order of the rows."""

    def close(self) -> None:
        """Let go of what the table holds. It is not read afterwards."""
        return


class ArrowTable(Table):
    """A table held in memory: what a simulation reads, and what a node caches between rounds."""

    def __init__(self, data: pa.Table, schema: Schema, snapshot: str) -> None:
        self.data, self.schema, self.snapshot = data, schema, snapshot

    @property
    def rows(self) -> int:
        return int(self.data.num_rows)

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        yield from self.data.select(list(columns)).to_batches()

    def persons(self) -> Iterator[pa.Array]:
        yield from self.data.column(PERSON).chunks


class Nobody(Table):
    """The same columns without a row: what a method reads for a site that sits an analysis out."""

    def __init__(self, schema: Schema, snapshot: str) -> None:
        self.schema, self.snapshot = schema, snapshot

    @property
    def rows(self) -> int:
        return 0

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        yield from ()

    def persons(self) -> Iterator[pa.Array]:
        yield from ()
