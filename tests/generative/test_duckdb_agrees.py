"""Random cohorts over random data: DuckDB and plain Python give the same answers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, note, settings

from civicgrid.query.cohort import Cohort

from .databases import answers, complete, load
from .evaluator import Data, evaluate
from .plans import cohorts, data


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 1}) as made:
        yield made


def same(left: Any, right: Any) -> bool:
    if isinstance(left, float) and isinstance(right, float | int):
        return math.isclose(left, right, rel_tol=1e-12, abs_tol=1e-12)
    return type(left) is type(right) and left == right


@given(data=data, cohort=cohorts)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_both_give_the_same_answers(connection: duckdb.DuckDBPyConnection, data: Data, cohort: Cohort) -> None:
    load(connection, "d", data)
    expected = evaluate(cohort, complete(data))
    came = answers(connection, "d", cohort)
    note(f"expected {expected}\ncame {came}")
    assert len(came) == len(expected)
    for one, other in zip(came, expected, strict=True):
        assert all(same(one[name], other[name]) for name in other)


@given(cohort=cohorts)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_cohort_survives_its_bytes(cohort: Cohort) -> None:
    again = Cohort.from_bytes(cohort.canonical())
    assert again == cohort
    assert again.digest() == cohort.digest()
