"""Random cohorts over random data: DuckDB and plain Python give the same answers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings

from civicgrid.query.cohort import Cohort

from .databases import answers, complete, load
from .evaluator import Data, evaluate
from .plans import any_cohort, cohorts, data, people


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 1}) as made:
        yield made


def same(left: Any, right: Any) -> bool:
    if isinstance(left, float) and isinstance(right, float | int):
        return math.isclose(left, right, rel_tol=1e-12, abs_tol=1e-12)
    return type(left) is type(right) and left == right


def agree(connection: duckdb.DuckDBPyConnection, data: Data, cohort: Cohort) -> None:
    load(connection, "d", data)
    expected = evaluate(cohort, complete(data))
    came = answers(connection, "d", cohort)
    words = f"{cohort.canonical()!r}\nexpected {expected}\ncame {came}"
    assert len(came) == len(expected), words
    for one, other in zip(came, expected, strict=True):
        assert all(same(one[name], other[name]) for name in other), words


@given(data=data, cohort=cohorts)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_both_give_the_same_answers(connection: duckdb.DuckDBPyConnection, data: Data, cohort: Cohort) -> None:
    agree(connection, data, cohort)


@pytest.mark.parametrize("seed", range(20))
def test_both_give_the_same_answers_to_the_same_plans_every_time(connection: duckdb.DuckDBPyConnection, seed: int) -> None:
    people_here = people(seed, 6)
    for depth in (1, 2, 3, 4):
        agree(connection, people_here, any_cohort(100 * seed + depth, depth))


@given(cohort=cohorts)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_cohort_survives_its_bytes(cohort: Cohort) -> None:
    again = Cohort.from_bytes(cohort.canonical())
    assert again == cohort
    assert again.digest() == cohort.digest()
