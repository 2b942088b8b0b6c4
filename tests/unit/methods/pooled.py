"""A driver that runs a method over several tables in one process, adding the parts exactly: no gate, no
network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from civicgrid.disclosure.release import Terms, combine, release
from civicgrid.disclosure.shapes import Combined, Histogram, RawOutput, Received, Share
from civicgrid.disclosure.thresholds import Thresholds
from civicgrid.methods.method import Ask, Method
from civicgrid.query.table import ARROW, ArrowTable, Table
from civicgrid.query.types import Column, ColumnType, Schema


def schema_of(**types: ColumnType) -> Schema:
    return Schema(columns=tuple(Column(name=name, type=kind) for name, kind in types.items()))


def table_of(frame: pd.DataFrame, schema: Schema, chunk: int | None = None) -> ArrowTable:
    """A frame as a method gets it: text as codes into the declared levels, NaN and None as null."""
    arrays = []
    for column in schema.columns:
        values = frame[column.name]
        if column.type.kind == "category":
            codes = pd.Categorical(values, categories=list(column.type.levels)).codes.astype(np.int32)
            arrays.append(pa.array(codes, type=pa.int32(), mask=codes < 0))
        else:
            arrays.append(pa.Array.from_pandas(values, type=ARROW[column.type.kind]))
    data = pa.table(arrays, names=list(schema.names))
    if chunk:
        data = pa.Table.from_batches(data.to_batches(max_chunksize=chunk))
    return ArrowTable(data, schema, "snapshot")


def add(shares: Sequence[Share]) -> Combined:
    """The sum of the sites' parts, as masking gives it."""
    combined: Combined = {}
    for parts in zip(*shares, strict=True):
        assert len({(part.name, part.values.shape) for part in parts}) == 1
        total = np.sum([part.values for part in parts], axis=0).astype(parts[0].values.dtype)
        name = parts[0].name
        if isinstance(parts[0], Histogram):
            below = np.concatenate([np.zeros((len(total), 1), np.int64), np.cumsum(total, axis=1)], axis=1)
            combined[name] = Received(name, total, None, below, below)
        else:
            combined[name] = Received(name, np.asarray(total))
    return combined


def masked(shares: Sequence[Share]) -> Combined:
    """The sum by way of the gate and its fixed point, under masks of nought and no rule."""
    terms = Terms(Thresholds.open(), False, len(shares), lambda limbs: limbs)
    return combine([release(share, terms) for share in shares])


def opened(thresholds: Thresholds) -> Adder:
    """The sum of shares that each went open under these thresholds."""

    def add_open(shares: Sequence[Share]) -> Combined:
        return combine([release(share, Terms(thresholds, False, len(shares), None)) for share in shares])

    return add_open


OPEN = Thresholds.open()

Adder = Callable[[Sequence[Share]], Combined]


def run_pooled(
    method: Method, tables: Sequence[Table], schema: Schema, adder: Adder = add, thresholds: Thresholds = OPEN
) -> RawOutput:
    """Both halves of a method, every Ask by way of its bytes."""
    method.check(schema)
    method = type(method).from_bytes(method.canonical())
    rounds = method.coordinate(schema, thresholds)
    try:
        ask = next(rounds)
        while True:
            ask = Ask.from_bytes(ask.to_bytes())
            ask = rounds.send(adder([method.site(table, ask) for table in tables]))
    except StopIteration as stop:
        output: Any = stop.value
    assert isinstance(output, RawOutput)
    return output


def run_frame(
    method: Method,
    frame: pd.DataFrame,
    schema: Schema,
    sites: Any = 3,
    adder: Adder = add,
    thresholds: Thresholds = OPEN,
) -> RawOutput:
    """A method over a frame dealt to sites: by a column of site names, or in turn to so many."""
    groups = np.arange(len(frame)) % sites if isinstance(sites, int) else sites
    tables = [table_of(part, schema) for _, part in frame.groupby(groups)] or [table_of(frame, schema)]
    return run_pooled(method, tables, schema, adder, thresholds)
