"""What the gate reads from a pass: the groups that it tells apart, people who count for all others, and numbers that would
outgrow a sum.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from civicgrid.disclosure.publish import publish
from civicgrid.disclosure.shapes import ModelSums
from civicgrid.disclosure.thresholds import Thresholds
from civicgrid.errors import FitError, PlanError
from civicgrid.methods.glm import GLM, poly
from civicgrid.methods.glm.site import Place
from civicgrid.methods.method import Ask
from civicgrid.query.types import FLOAT
from unit.methods.pooled import masked, run_frame, schema_of, table_of
from unit.methods.regressions import FAMILIES, SCHEMA, SHIPPED, N, estimates, refusal, simulated


def pass_at_zero(method: GLM, frame: pd.DataFrame, schema: Any = SCHEMA) -> ModelSums:
    model = method._model(schema)
    measured = len(model.measured)
    place = Place(np.zeros(model.design.size), np.zeros(measured), np.zeros(measured, dtype=np.int64), 0)
    part = method.site(table_of(frame, schema), place.ask())[0]
    assert isinstance(part, ModelSums)
    return part


def test_the_cells_of_a_pass_hold_every_joint_level_by_outcome() -> None:
    frame = simulated(seed=40)
    part = pass_at_zero(GLM(outcome="died", predictors=["age", "sex", "stage"], family="binomial"), frame)
    expected = [*frame.died.value_counts().sort_index(), *frame.groupby(["sex", "stage", "died"]).size()]
    assert sorted(part.cells()) == sorted(expected)
    assert (part.rows, part.parameters) == (N, 6)


def test_a_number_that_singles_a_person_out_counts_as_a_cell() -> None:
    frame = simulated(seed=41)
    frame["income"] = 0.0
    frame.loc[17, "income"] = 1.0
    part = pass_at_zero(GLM(outcome="cost", predictors=["age", "income"], family="gaussian"), frame)
    assert sorted(part.cells())[:2] == [1, N - 1]
    output = run_frame(GLM(outcome="cost", predictors=["age", "income"], family="gaussian"), frame, SCHEMA)
    assert 1 in estimates(output).cells


def test_the_values_of_a_pass_are_of_the_public_size_that_goes_with_them() -> None:
    frame = simulated(seed=42)
    for family, outcome in FAMILIES.items():
        method = GLM(outcome=outcome, predictors=["income", "dose", "sex"], family=family)
        model = method._model(SCHEMA)
        centre = {"income": 1e6, "dose": 2e-6, "cost": 5000.0}
        size = {"income": 18, "dose": -20, "cost": 9}
        place = Place(
            np.zeros(model.design.size),
            np.array([centre[name] for name in model.measured]),
            np.array([size[name] for name in model.measured]),
            0,
        )
        part = method.site(table_of(frame, SCHEMA), place.ask())[0]
        assert isinstance(part, ModelSums)
        quanta = np.abs(part.values) / np.ldexp(1.0, part.exponents.astype(np.intc))
        assert quanta.max() < 2.0**40 and quanta[quanta > 0].min() > 2.0**-20


def test_a_round_that_is_not_of_the_method_is_refused() -> None:
    method = GLM(outcome="cost", predictors=["age"], family="gaussian")
    table = table_of(simulated(50), SCHEMA)
    with pytest.raises(PlanError, match="survey, spread and pass"):
        method.site(table, Ask("other"))
    with pytest.raises(PlanError, match="Expected 2 numbers as 'centre'"):
        method.site(table, Ask("spread", {"centre": np.zeros(7)}))


# Numbers that tell a few people apart.


def withheld(method: GLM, frame: pd.DataFrame) -> bool:
    output = publish(run_frame(method, frame, SCHEMA, adder=masked, thresholds=SHIPPED), SHIPPED, "glm", 1)
    assert bool(output.suppressed) == all(value is None for row in output.tables[0].rows for value in row[1:])
    return bool(output.suppressed)


@pytest.mark.parametrize(("low", "high"), [(1.0, 2.0), (-3.0, 7e5), (1e6, 1e6 + 1)])
@pytest.mark.parametrize(("people", "hidden"), [(1, True), (9, True), (10, False), (400, False)])
@pytest.mark.parametrize("part", ["income", "cost"])
def test_a_number_with_two_values_obeys_the_rule_on_cells(
    low: float, high: float, people: int, hidden: bool, part: str
) -> None:
    frame = simulated(seed=60)
    frame[part] = np.where(np.arange(N) < people, high, low)
    assert withheld(GLM(outcome="cost", predictors=["age", "income"], family="gaussian"), frame) == hidden


def test_a_number_with_two_values_is_judged_by_outcome() -> None:
    frame = simulated(seed=61)
    frame["income"] = np.where(frame.died & (np.arange(N) < 100), 2.0, 1.0)
    method = GLM(outcome="died", predictors=["age", "income"], family="binomial")
    frame.loc[frame.index[(frame.income == 1.0) & ~frame.died][:5], "income"] = 2.0
    assert withheld(method, frame)
    frame.loc[frame.index[(frame.income == 1.0) & ~frame.died][:5], "income"] = 2.0
    assert not withheld(method, frame)


def test_one_person_so_far_out_that_nobody_else_matters_is_a_group_of_one() -> None:
    frame = simulated(seed=62)
    method = GLM(outcome="cost", predictors=["age", "dose"], family="gaussian")
    assert not withheld(method, frame)
    frame.loc[17, "dose"] = 1.0
    assert withheld(method, frame)


def test_numbers_of_every_usual_spread_are_fitted() -> None:
    frame = simulated(seed=63)
    rng = np.random.default_rng(63)
    for values in (rng.lognormal(0, 2, N), rng.integers(0, 3, N), rng.exponential(size=N), rng.uniform(size=N)):
        assert not withheld(GLM(outcome="cost", predictors=["age", "dose"], family="gaussian"), frame.assign(dose=values))


def test_weights_that_single_people_out_withhold_a_fit() -> None:
    frame = simulated(seed=64)
    method = GLM(outcome="cost", predictors=["age"], family="gaussian", weights="weight")
    assert not withheld(method, frame)
    frame.loc[17, "weight"] = 1e9
    assert withheld(method, frame)


def test_a_count_that_few_people_have_is_withheld() -> None:
    frame = simulated(seed=65)
    frame["visits"] = np.where(np.arange(N) < 9, 3, 0)
    assert withheld(GLM(outcome="visits", predictors=[], family="poisson"), frame)


def test_a_site_counts_the_people_that_its_weights_leave() -> None:
    frame = simulated(seed=66)
    method = GLM(outcome="cost", predictors=["age"], family="gaussian", weights="weight")
    kish = frame.weight.sum() ** 2 / (frame.weight**2).sum()
    assert pass_at_zero(method, frame).rows == round(kish)
    frame.loc[17, "weight"] = 1e9
    assert pass_at_zero(method, frame).rows == 1


# Numbers that would outgrow a masked sum.


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("value", [1e16, 1e30, 1e300, -1e200])
@pytest.mark.parametrize("part", ["income", "weight", "visits", "log_years"])
def test_a_number_beyond_reach_is_missing_and_no_site_refuses_over_it(family: str, value: float, part: str) -> None:
    frame = simulated(seed=70).astype({"visits": float})
    schema = schema_of(**{c.name: FLOAT if c.name == "visits" else c.type for c in SCHEMA.columns})
    frame.loc[17, part] = value
    outcome = FAMILIES[family]
    method = GLM(outcome=outcome, predictors=["age", "income"], family=family, offset="log_years", weights="weight")
    whole = frame.drop(17) if part in ("income", "weight", "log_years", outcome) else frame
    output = run_frame(method, frame, schema, adder=masked)
    assert output.left_out["people_dropped"] == N - len(whole)
    plain = estimates(run_frame(method, whole, schema)).values
    np.testing.assert_allclose(estimates(output).values, plain, rtol=1e-7, atol=1e-300)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("value", [1e9, 1e12, 1e15, 6e10])
@pytest.mark.parametrize("part", ["income", "weight", "visits", "cost"])
def test_one_person_within_reach_makes_no_site_refuse(family: str, value: float, part: str) -> None:
    frame = simulated(seed=71).astype({"visits": float})
    schema = schema_of(**{c.name: FLOAT if c.name == "visits" else c.type for c in SCHEMA.columns})
    frame.loc[17, part] = value
    method = GLM(outcome=FAMILIES[family], predictors=["age", poly("income", 2)], family=family, weights="weight")
    try:
        run_frame(method, frame, schema, adder=masked)
    except FitError as error:
        assert "settle" in str(error) or "finite value" in str(error) or "collinear" in str(error)


def test_a_hub_may_not_ask_in_sizes_that_overflow() -> None:
    method = GLM(outcome="cost", predictors=["age"], family="gaussian")
    table = table_of(simulated(50), SCHEMA)
    for size in ((-60, 9), (4, -300)):
        arrays = {"beta": np.zeros(2), "centre": np.zeros(2), "size": np.array(size)}
        with pytest.raises(PlanError, match="public sizes"):
            method.site(table, Ask("pass", arrays, {"weight_size": 0}))
    arrays = {"beta": np.zeros(2), "centre": np.zeros(2), "size": np.array((4, 9))}
    with pytest.raises(PlanError, match="public sizes"):
        method.site(table, Ask("pass", arrays, {"weight_size": -100}))


def test_a_spread_too_small_for_the_sums_is_explained() -> None:
    frame = simulated(seed=72)
    frame["cost"] *= 1e-30
    words = refusal(GLM(outcome="cost", predictors=["age"], family="gaussian"), frame)
    assert "too small for its unit" in words and "Multiply" in words


def test_a_level_of_nobody_is_withheld_like_one_of_a_few() -> None:
    said = set()
    for few in (0, 1, 9):
        frame = simulated(seed=81)
        frame["smoker"] = np.arange(len(frame)) < few
        for outcome, predictor in (("cost", "smoker"), ("smoker", "age")):
            family: Any = "gaussian" if outcome == "cost" else "binomial"
            method = GLM(outcome=outcome, predictors=[predictor], family=family)
            output = publish(run_frame(method, frame, SCHEMA, adder=masked, thresholds=SHIPPED), SHIPPED, "glm", 1)
            assert all(value is None for row in output.tables[0].rows for value in row[1:])
            said.add((outcome, output.canonical()))
    assert len(said) == 2


def test_where_zeros_may_be_shown_the_reason_is() -> None:
    frame = simulated(seed=82)
    frame["smoker"] = False
    zeros = Thresholds(zeros=True)
    with pytest.raises(FitError, match="Nobody who can be used has smoker = yes"):
        run_frame(GLM(outcome="cost", predictors=["smoker"], family="gaussian"), frame, SCHEMA, thresholds=zeros)


def test_a_spread_tells_no_more_whatever_centre_a_hub_names() -> None:
    """Third differences of a polynomial of degree two are nought; sums of distances would bend at each value."""
    table = table_of(simulated(60), SCHEMA)
    method = GLM(outcome="cost", family="gaussian")

    def spread(centre: float) -> float:
        ask = Ask("spread", {"centre": np.array([centre]), "sizes": np.array([8])})
        return float(method.site(table, ask)[0].values[0, 0])

    told = np.array([spread(centre) for centre in np.linspace(0, 10, 30)])
    np.testing.assert_allclose(np.diff(told, 3), 0.0, atol=1e-9 * np.abs(told).max())


@pytest.mark.parametrize(
    "ask",
    [
        Ask("survey", {"edges 0": np.zeros(1)}),
        Ask("spread", {"centre": np.full(1, 1e30), "sizes": np.array([8])}),
        Ask("spread", {"centre": np.zeros(1), "sizes": np.array([-700])}),
        Ask("spread", {"centre": np.zeros(1), "sizes": np.array([8]), "more": np.zeros(1)}),
        Ask("pass", {"beta": np.zeros(1), "centre": np.full(1, 1e30), "size": np.array([8])}),
        Ask("pass", {"beta": np.zeros(1), "centre": np.zeros(1), "size": np.array([8]), "means": np.full(1, 1e30)}),
        Ask("pass", {"beta": np.zeros(1), "centre": np.zeros(1), "size": np.array([8])}, {"rows": 1}),
    ],
)
def test_a_site_answers_no_ask_with_numbers_beyond_what_the_plan_allows(ask: Ask) -> None:
    with pytest.raises(PlanError, match="Nothing was sent"):
        GLM(outcome="cost", family="gaussian").site(table_of(simulated(60), SCHEMA), ask)
