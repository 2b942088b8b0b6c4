"""Any change to a plan that alters its meaning alters the words that people decide by."""

from __future__ import annotations

import random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from civicgrid.query import nodes as n
from civicgrid.query.cohort import Cohort, whole_table
from civicgrid.query.explain import explain
from civicgrid.query.types import DATE, FLOAT, ColumnType, Schema, category

from .mutations import mutants
from .plans import any_cohort

SCHEMA = Schema.of({
    "age": ColumnType(kind="int", low=0, high=120), "arm": category("control", "treated", "a, “b”"), "bmi": FLOAT,
    "entry": DATE,
})


def tell_apart(cohort: Cohort, seed: int, tries: int) -> int:
    words, plan = explain(cohort), cohort.canonical()
    changed = 0
    for other in mutants(cohort, random.Random(seed), tries):
        if other.canonical() != plan:
            changed += 1
            assert explain(other) != words, f"{plan!r}\nand\n{other.canonical()!r}\nread the same:\n{words}"
    return changed


@given(seed=st.integers(0, 2**32), depth=st.integers(0, 4))
@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_changed_plan_reads_differently(seed: int, depth: int) -> None:
    tell_apart(any_cohort(seed, depth), seed, 40)


def test_a_changed_research_table_reads_differently() -> None:
    assert tell_apart(whole_table("trial", SCHEMA, ["age", "arm", "bmi"]), 1, 600) > 100


@given(one=st.integers(0, 2**32), two=st.integers(0, 2**32), depth=st.integers(0, 2))
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
def test_two_plans_read_the_same_only_if_they_are(one: int, two: int, depth: int) -> None:
    first, second = any_cohort(one, depth), any_cohort(two, depth)
    assert (explain(first) == explain(second)) == (first.canonical() == second.canonical())


def test_every_kind_of_node_has_words_and_a_field_that_is_changed() -> None:
    met: set[type] = set()
    for seed in range(60):
        met |= {type(node) for node in n.walk(any_cohort(seed, 4))}
    met |= {type(node) for node in n.walk(whole_table("trial", SCHEMA, ["age"]))}
    every = {kind for kind in vars(n).values() if isinstance(kind, type) and issubclass(kind, n.PlanNode)}
    bases = {n.PlanNode, n.SeriesNode, n.FrameNode, n.Selection}
    assert every - bases - met == set()
