"""Which numbers that a plan makes a site answers for: those of honest work, and none that speaks of a few people."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import civicgrid as cg
from civicgrid.node.columns import making
from unit.node.sites import DATASET, World, described

SIZE = 300


def people() -> pd.DataFrame:
    rng = np.random.default_rng(17)
    return pd.DataFrame(
        {
            "age": rng.integers(20, 90, SIZE),
            "weight": np.round(rng.normal(75, 12, SIZE), 1),
            "height": np.round(rng.normal(1.7, 0.1, SIZE), 2),
            "sex": rng.choice(["female", "male"], SIZE),
            "died": rng.random(SIZE) < 0.3,
            "visits": rng.poisson(2, SIZE),
        }
    )


FRAME = people()
T = cg.dataset(DATASET, described(FRAME).schema)


def answers(*methods: Any, at: World | None = None) -> list[str]:
    """What one site of two says to one study after another."""
    world = at or World({"a": FRAME, "b": FRAME})
    found = []
    for method in methods:
        (analysis,) = world.run(world.plan(method)).analyses
        found.append({site.site: site.status for site in analysis.sites}["a"])
    return found


def describe(**columns: Any) -> cg.Describe:
    return cg.Describe(cg.cohort(T.age > 0, **columns), columns=list(columns))


def test_an_honest_notebook_is_answered() -> None:
    bmi = T.weight / (T.height * T.height)
    band = cg.case(cg.when(T.age < 40).then(0), cg.when(T.age < 60).then(1), cg.when(T.age < 75).then(2), otherwise=3)
    everything = {"age": T.age, "bmi": bmi, "band": band, "old": (T.age >= 65).as_int(), "died": T.died, "sex": T.sex}
    both = cg.cohort(T.age > 0, **everything)
    assert answers(
        describe(age=T.age, weight=T.weight),
        describe(years=T.age - 50, bmi=bmi),
        cg.Describe(both, columns=["age", "bmi", "band", "old", "sex"], by="died"),
        cg.GLM(both, outcome="died", predictors=["age", "bmi", "old", "sex"], family="binomial"),
        cg.GLM(cg.cohort(T.age > 0, age=T.age, bmi=bmi, heavy=cg.case(cg.when(T.sex == "male").then(1.2), otherwise=0.8)),
               outcome="bmi", predictors=["age"], family="gaussian", weights="heavy"),
        cg.GLM(cg.cohort(T.age > 0, visits=T.visits, age=T.age, time=(T.age - 20) * 0.1),
               outcome="visits", predictors=["age"], family="poisson"),
        describe(age=T.age, weight=T.weight),
    ) == ["answered"] * 7  # fmt: skip


def test_all_the_men_and_the_women_are_answered_in_any_order() -> None:
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        groups = [T.age > 0, (T.age > 0) & (T.sex == "male"), (T.age > 0) & (T.sex == "female")]
        methods = [cg.Describe(cg.cohort(groups[place], age=T.age), columns=["age"]) for place in order]
        assert answers(*methods) == ["answered"] * 3


Made = Callable[[Any], Any]

FEW = T.age == 20


@pytest.mark.parametrize(
    "number",
    [
        lambda few: cg.case(cg.when(few).then(0.0), otherwise=T.weight),
        lambda few: T.weight * 2 + few.as_int(),
        lambda few: few.as_int(),
        lambda few: T.weight + T.age * cg.case(cg.when(few).then(2), otherwise=1),
    ],
)
def test_a_number_that_differs_for_few_or_for_nobody_is_refused(number: Made) -> None:
    """Before and after the column that it is near to; alike whether anybody is among the few."""
    assert 0 < int((FRAME["age"] == 20).sum()) < 10
    nobody = (T.age == 20) & (T.weight < 0)
    known = describe(weight=T.weight, age=T.age)
    for few in (FEW, nobody):
        assert answers(known, describe(it=number(few))) == ["answered", "suppressed"]
    assert answers(describe(weight=T.weight, age=T.age, it=number(FEW))) == ["suppressed"]


def test_a_number_of_three_values_one_of_which_few_have_is_refused() -> None:
    number = cg.case(cg.when(FEW).then(3), cg.when(T.died).then(2), otherwise=1)
    assert answers(describe(it=number)) == ["suppressed"]
    assert answers(describe(it=cg.case(cg.when(T.age < 40).then(3), cg.when(T.died).then(2), otherwise=1))) == ["answered"]


def test_what_a_rule_for_one_column_changes_for_nobody_is_no_secret() -> None:
    """Cleaning that finds nothing to clean. A band that nobody is in is another matter: a count of nobody is hidden."""
    cleaned = cg.case(cg.when(T.weight < 10).then(10), otherwise=T.weight)
    assert answers(describe(weight=T.weight), describe(it=cleaned)) == ["answered"] * 2
    assert answers(describe(it=(T.age > 100).as_int())) == ["suppressed"]


def test_a_column_is_held_against_a_number_that_came_before_it() -> None:
    moved = cg.case(cg.when(FEW).then(0.0), otherwise=T.weight)
    assert answers(describe(it=moved), describe(weight=T.weight)) == ["answered", "suppressed"]
    assert answers(describe(it=moved), describe(it=moved), describe(height=T.height)) == ["answered"] * 3
    assert answers(describe(a=moved, b=T.weight)) == ["suppressed"]


def test_it_is_remembered_over_a_restart(tmp_path: Any) -> None:
    at = World({"a": FRAME, "b": FRAME}, states=tmp_path)
    moved = cg.case(cg.when(FEW).then(0.0), otherwise=T.weight)
    assert answers(describe(weight=T.weight), at=at) == ["answered"]
    at.reopen("a")
    assert answers(describe(it=moved), describe(height=T.height * 2), at=at) == ["suppressed", "answered"]


def test_how_a_number_is_made() -> None:
    made = {
        "field": [T.age],
        "linear": [T.age + 1, 2 * T.age - T.visits, (T.age - 20) / 3, T.age.as_float()],
        "records": [T.died.as_int(), T.age * T.age, cg.case(cg.when(T.died).then(1), otherwise=0), T.weight.as_int(),
                    T.age + T.died.as_int(), (T.age < 40).as_int() - T.died.as_int()],
        "conditions": [T.weight / T.height, T.age * T.died.as_int(), (T.died & (T.age < 40)).as_int()],
    }  # fmt: skip
    for how, numbers in made.items():
        for number in numbers:
            assert making(cg.cohort(T.died, it=number).columns[0].series) == how
