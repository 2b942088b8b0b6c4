"""Rows of the CDM as a DuckDB database laid out as a node's store is, and a cohort's answers read back from it."""

from __future__ import annotations

from typing import Any

import duckdb
import pyarrow as pa

from civicgrid.omop.cdm import CDM
from civicgrid.query.cohort import Cohort
from civicgrid.query.engines.duckdb import DuckDBEngine

from .evaluator import Data, Row

ARROW = {"int": pa.int64(), "float": pa.float64(), "text": pa.string(), "date": pa.date32(),
         "datetime": pa.timestamp("us")}
TABLES = ("person", "observation_period", "drug_exposure", "condition_occurrence", "measurement", "death",
          "concept_ancestor")


def load(connection: duckdb.DuckDBPyConnection, schema: str, data: Data) -> None:
    """Make the tables of `data` in a schema, every CDM column present, missing ones null."""
    name = '"' + schema.replace('"', '""') + '"'
    connection.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE; CREATE SCHEMA {name}")
    for table in TABLES:
        columns = {column.name: ARROW[column.type] for column in CDM[table].columns if column.name != "person_id"}
        if table != "concept_ancestor":
            columns = {"person_number": pa.int32(), **columns}
        rows = data.get(table, [])
        made = pa.table({column: pa.array([row.get(column) for row in rows], kind) for column, kind in columns.items()})
        connection.register("rows_to_load", made)
        connection.execute(f"CREATE TABLE {name}.{table} AS FROM rows_to_load")
        connection.unregister("rows_to_load")
    if "records" in data:
        connection.register("rows_to_load", pa.Table.from_pylist(data["records"]))
        connection.execute(f"CREATE TABLE {name}.records AS FROM rows_to_load")
        connection.unregister("rows_to_load")


def complete(data: Data) -> Data:
    """The same rows with every column of their table, missing ones None."""
    return {
        table: rows if table == "records" else [
            {**{column.name: None for column in CDM[table].columns}, **row} for row in rows]
        for table, rows in data.items()
    }


def answers(connection: duckdb.DuckDBPyConnection, schema: str, cohort: Cohort) -> list[Row]:
    """What DuckDB says, categories by their level."""
    with DuckDBEngine(connection.cursor()).table(cohort, "snapshot", schema) as table:
        if not cohort.columns:
            return [{} for _ in range(table.rows)]
        rows: list[Row] = []
        for batch in table.batches(cohort.schema.names):
            rows += batch.to_pylist()
        assert len(rows) == table.rows
    return [{name: _decoded(cohort, name, value) for name, value in row.items()} for row in rows]


def _decoded(cohort: Cohort, name: str, value: Any) -> Any:
    type_ = cohort.schema[name]
    return type_.levels[value] if type_.kind == "category" and value is not None else value
