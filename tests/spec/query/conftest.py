"""The specification of the query language: a file is a chapter, a test a paragraph.

Each paragraph has tiny tables, a question, and the answer worked out by hand. `ask` puts the question to every engine
and to the plain Python evaluator, which must agree, and gives the answer for each person.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

import duckdb
import pytest

from civicgrid.omop.cdm import CDM
from civicgrid.query.cohort import Cohort
from civicgrid.query.engines.duckdb import DuckDBEngine
from civicgrid.query.frames import column_called
from civicgrid.query.language import cohort
from civicgrid.query.series import Bool, Series
from generative.databases import complete, load
from generative.evaluator import Data, Row, evaluate

Ask = Callable[..., dict[int, Any]]


def rows(table: str, text: str) -> list[Row]:
    """A table drawn in text: names in the first line, `-` for missing, `person` for the person number."""
    head, *lines = [[cell.strip() for cell in line.split("|")] for line in text.strip().splitlines()]
    return [
        dict(_cell(table, name, cell) for name, cell in zip(head, line, strict=True)) for line in lines
    ]


def _cell(table: str, name: str, cell: str) -> tuple[str, Any]:
    if name == "person":
        return "person_number", int(cell)
    if table == "records":
        return name, _research_value(cell)
    column = name if table == "concept_ancestor" else column_called(CDM[table], name)
    kinds: dict[str, Callable[[str], Any]] = {
        "int": int, "float": float, "date": dt.date.fromisoformat, "text": str, "datetime": str,
    }  # fmt: skip
    return column, None if cell == "-" else kinds[CDM[table][column].type](cell)


def _research_value(cell: str) -> Any:
    if cell in ("yes", "no", "-"):
        return {"yes": True, "no": False, "-": None}[cell]
    for read in (int, float, dt.date.fromisoformat):
        try:
            return read(cell)
        except ValueError:
            continue
    return cell


@pytest.fixture(scope="session")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 1}) as made:
        yield made


@pytest.fixture
def ask(connection: duckdb.DuckDBPyConnection) -> Ask:
    """ask(question, table=text, ...): the answer of each person, by number; for a cohort, a row of answers."""

    def answer(question: Series | Cohort, **tables: str) -> dict[int, Any]:
        data: Data = {table: rows(table, text) for table, text in tables.items()}
        if "records" not in data and "person" not in data:
            numbers = sorted({row["person_number"] for each in data.values() for row in each if "person_number" in row})
            data["person"] = [{"person_number": number} for number in numbers]
        plan = question if isinstance(question, Cohort) else _everyone(question)
        load(connection, "spec", data)
        with DuckDBEngine(connection.cursor()).table(plan, "snapshot", "spec") as table:
            persons = [number for part in table.persons() for number in part.to_pylist()]
            came = [row for batch in table.batches(plan.schema.names) for row in batch.to_pylist()]
        decoded = [{name: _level(plan, name, value) for name, value in row.items()} for row in came]
        assert decoded == evaluate(plan, complete(data)), "the engine and the plain evaluator disagree"
        if isinstance(question, Cohort):
            return dict(zip(persons, decoded, strict=True))
        return {person: row["answer"] for person, row in zip(persons, decoded, strict=True)}

    return answer


def _everyone(question: Series) -> Cohort:
    population = question.is_null() | question.is_not_null()
    assert isinstance(population, Bool)
    return cohort(population=population, answer=question)


def _level(plan: Cohort, name: str, value: Any) -> Any:
    type_ = plan.schema[name]
    return type_.levels[value] if type_.kind == "category" and value is not None else value
