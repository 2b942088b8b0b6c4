"""A fit over sites against statsmodels on the pooled records, to 1e-8 and mostly far closer."""

from __future__ import annotations

import lifelines.datasets
import numpy as np
import pandas as pd
import pytest

from civicgrid.disclosure.codes import Withheld
from civicgrid.disclosure.thresholds import Thresholds
from civicgrid.methods.glm import GLM, interaction, poly
from civicgrid.query.types import BOOL, FLOAT, INT, ColumnType
from unit.methods.pooled import masked, opened, run_frame, run_pooled, schema_of, table_of
from unit.methods.regressions import FAMILIES, SCHEMA, N, assert_equal, dummies, estimates, oracle, simulated


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_with_every_kind_of_term_equals_the_pooled_fit(family: str) -> None:
    frame = simulated()
    method = GLM(
        outcome=FAMILIES[family],
        predictors=["age", "sex", "stage", "smoker", interaction("age", "sex"), poly("age", 2)],
        family=family,
    )
    output = run_frame(method, frame, SCHEMA)
    x = dummies(frame)
    design = np.column_stack([np.ones(N), frame.age, x, frame.age * x["sex[male]"], frame.age**2])
    assert estimates(output).terms == (
        "(Intercept)", "age", "sex[male]", "stage[II]", "stage[III]", "stage[IV]", "smoker", "age:sex[male]", "age^2",
    )  # fmt: skip
    assert_equal(output, oracle(family, frame[FAMILIES[family]], design))
    assert (output.counts, output.left_out) == ({"people_used": N}, {"people_dropped": 0})


@pytest.mark.parametrize("family", FAMILIES)
def test_offset_and_prior_weights_equal_the_pooled_fit(family: str) -> None:
    frame = simulated(seed=1)
    method = GLM(
        outcome=FAMILIES[family], predictors=["age", "smoker"], family=family, offset="log_years", weights="weight"
    )
    design = np.column_stack([np.ones(N), frame.age, frame.smoker])
    output = run_frame(method, frame, SCHEMA)
    assert_equal(output, oracle(family, frame[FAMILIES[family]], design, frame.log_years, frame.weight))
    assert "null_deviance" not in output.facts


@pytest.mark.parametrize("family", FAMILIES)
def test_badly_scaled_columns_lose_no_digits(family: str) -> None:
    frame = simulated(seed=2)
    method = GLM(outcome=FAMILIES[family], predictors=["income", "dose"], family=family)
    output = run_frame(method, frame, SCHEMA)
    # statsmodels gets the columns in comfortable units, and its answer is turned back.
    design = np.column_stack([np.ones(N), (frame.income - 1e6) / 3e5, frame.dose * 1e6])
    fit = oracle(family, frame[FAMILIES[family]], design)
    back = np.array([[1, -1e6 / 3e5, 0], [0, 1 / 3e5, 0], [0, 0, 1e6]])
    np.testing.assert_allclose(estimates(output).values[:, 0], back @ fit.params, rtol=1e-9)
    error = np.sqrt(np.diag(back @ fit.cov_params() @ back.T))
    np.testing.assert_allclose(estimates(output).values[:, 1], error, rtol=1e-9)


@pytest.mark.parametrize("unit", [1e-12, 1e-6, 1e6])
def test_the_unit_of_the_outcome_makes_no_difference(unit: float) -> None:
    frame = simulated(seed=32)
    frame["cost"] *= unit
    method = GLM(outcome="cost", predictors=["age", "smoker"], family="gaussian")
    values = estimates(run_frame(method, frame, SCHEMA)).values
    fit = oracle("gaussian", frame.cost / unit, np.column_stack([np.ones(N), frame.age, frame.smoker]))
    np.testing.assert_allclose(values[:, 0] / unit, fit.params, rtol=1e-9)
    np.testing.assert_allclose(values[:, 1] / unit, fit.bse, rtol=1e-9)
    np.testing.assert_allclose(values[:, 5], fit.pvalues, rtol=1e-6, atol=1e-300)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("unit", [1e-12, 1e-6, 1e6, 1e9])
def test_the_unit_of_the_weights_makes_no_difference_to_the_estimates(family: str, unit: float) -> None:
    frame = simulated(seed=33)
    frame["weight"] *= unit
    output = run_frame(GLM(outcome=FAMILIES[family], predictors=["age"], family=family, weights="weight"), frame, SCHEMA)
    fit = oracle(family, frame[FAMILIES[family]], np.column_stack([np.ones(N), frame.age]), weights=frame.weight / unit)
    np.testing.assert_allclose(estimates(output).values[:, 0], fit.params, rtol=1e-9)
    error = fit.bse if family == "gaussian" else fit.bse / np.sqrt(unit)
    np.testing.assert_allclose(estimates(output).values[:, 1], error, rtol=1e-9)


@pytest.mark.parametrize("family", FAMILIES)
def test_without_an_intercept(family: str) -> None:
    frame = simulated(seed=3)
    frame["age"] = frame.age / 10
    schema = schema_of(**{c.name: (FLOAT if c.name == "age" else c.type) for c in SCHEMA.columns})
    method = GLM(outcome=FAMILIES[family], predictors=["age", "sex"], family=family, intercept=False)
    design = np.column_stack([frame.age, frame.sex == "male"])
    assert_equal(run_frame(method, frame, schema), oracle(family, frame[FAMILIES[family]], design), 1e-8)


def test_interactions_of_categories_and_numbers() -> None:
    frame = simulated(seed=4)
    method = GLM(
        outcome="cost",
        predictors=["sex", "smoker", "age", "income", interaction("smoker", "sex"), interaction("age", "income")],
        family="gaussian",
    )
    male, smoker = frame.sex == "male", frame.smoker
    design = np.column_stack([np.ones(N), male, smoker, frame.age, frame.income, male & smoker, frame.age * frame.income])
    output = run_frame(method, frame, SCHEMA)
    small = design / np.abs(design).max(axis=0)
    fit = oracle("gaussian", frame.cost, small)
    np.testing.assert_allclose(estimates(output).values[:, 0], fit.params / np.abs(design).max(axis=0), rtol=1e-7)
    assert estimates(output).terms[5:] == ("smoker:sex[male]", "age:income")


def test_a_three_way_interaction_without_its_two_way_ones_is_fitted_as_written() -> None:
    frame = simulated(seed=5)
    method = GLM(
        outcome="cost", predictors=["sex", "smoker", "age", interaction("smoker", "sex", "age")], family="gaussian"
    )
    male, smoker = frame.sex == "male", frame.smoker
    design = np.column_stack([np.ones(N), male, smoker, frame.age, (male & smoker) * frame.age])
    assert_equal(run_frame(method, frame, SCHEMA), oracle("gaussian", frame.cost, design))


def test_missing_values_drop_the_person_and_are_counted() -> None:
    frame = simulated(seed=6)
    rng = np.random.default_rng(6)
    frame.loc[rng.random(N) < 0.05, "age"] = np.nan
    frame.loc[rng.random(N) < 0.05, "stage"] = None
    frame["smoker"] = frame.smoker.astype(object).mask(rng.random(N) < 0.05, None)
    frame.loc[frame.index[:3], "income"] = np.inf
    whole = frame[np.isfinite(frame.income)].dropna()
    method = GLM(outcome="died", predictors=["age", "stage", "smoker", "income"], family="binomial")
    output = run_frame(method, frame, SCHEMA)
    x = dummies(whole)
    scaled = (whole.income - 1e6) / 3e5
    design = np.column_stack([np.ones(len(whole)), whole.age, x[["II", "III", "IV"]], x.smoker, scaled])
    fit = oracle("binomial", whole.died, design)
    np.testing.assert_allclose(estimates(output).values[1:6, 0], fit.params[1:6], rtol=1e-9)
    assert output.counts["people_used"] == len(whole)
    assert output.left_out["people_dropped"] == N - len(whole)


def test_lung_by_institution_equals_the_pooled_fit() -> None:
    lung = lifelines.datasets.load_lung()
    lung = lung[lung["inst"].notna()].copy()
    lung["dead"] = lung["status"] == 1
    columns = ["age", "sex", "ph.karno"]
    schema = schema_of(age=ColumnType(kind="int", low=18, high=110), sex=INT, **{"ph.karno": INT}, dead=BOOL, time=INT)
    whole = lung.dropna(subset=columns)
    design = np.column_stack([np.ones(len(whole)), whole[columns]])
    for family, outcome in (("binomial", "dead"), ("gaussian", "time"), ("poisson", "time")):
        method = GLM(outcome=outcome, predictors=columns, family=family)
        output = run_frame(method, lung, schema, sites=lung["inst"].to_numpy())
        assert_equal(output, oracle(family, whole[outcome], design), 1e-8)


def test_the_reference_level_is_the_first_or_the_one_named() -> None:
    frame = simulated(seed=7)
    method = GLM(outcome="cost", predictors=["stage"], family="gaussian", reference={"stage": "III"})
    output = run_frame(method, frame, SCHEMA)
    assert estimates(output).terms == ("(Intercept)", "stage[I]", "stage[II]", "stage[IV]")
    means = frame.groupby("stage").cost.mean()
    np.testing.assert_allclose(
        estimates(output).values[:, 0], [means.III, means.I - means.III, means.II - means.III, means.IV - means.III]
    )


def test_an_empty_site_and_a_site_without_variation_change_nothing() -> None:
    frame = simulated(seed=8)
    method = GLM(outcome="died", predictors=["age", "sex"], family="binomial")
    sites = np.where(frame.died & (frame.age > 65), 0, 1 + np.arange(N) % 2)
    tables = [table_of(part, SCHEMA) for _, part in frame.groupby(sites)]
    output = run_pooled(method, [*tables, table_of(frame[:0], SCHEMA)], SCHEMA)
    design = np.column_stack([np.ones(N), frame.age, frame.sex == "male"])
    assert_equal(output, oracle("binomial", frame.died, design))
    assert estimates(output).notes == (), "what is so at one site is about its people"


def test_how_the_records_are_batched_makes_no_difference() -> None:
    frame = simulated(n=20_000, seed=9)
    method = GLM(outcome="died", predictors=["age", "sex"], family="binomial")
    one = run_pooled(method, [table_of(frame, SCHEMA)], SCHEMA)
    many = run_pooled(method, [table_of(frame, SCHEMA, chunk=777)], SCHEMA)
    np.testing.assert_allclose(estimates(one).values, estimates(many).values, rtol=1e-11)


def test_a_rare_outcome_and_steep_effects_converge() -> None:
    rng = np.random.default_rng(10)
    x = rng.normal(0, 1, 4000)
    frame = pd.DataFrame({"x": x, "y": rng.random(4000) < 1 / (1 + np.exp(6 - 3 * x))})
    output = run_frame(GLM(outcome="y", predictors=["x"], family="binomial"), frame, schema_of(x=FLOAT, y=BOOL))
    assert_equal(output, oracle("binomial", frame.y, np.column_stack([np.ones(4000), x])))


def test_a_two_level_category_as_outcome_models_its_second_level() -> None:
    frame = simulated(seed=11)
    output = run_frame(GLM(outcome="sex", predictors=["age"], family="binomial"), frame, SCHEMA)
    assert_equal(output, oracle("binomial", frame.sex == "male", np.column_stack([np.ones(N), frame.age])))


def test_the_intervals_follow_the_level_asked_for() -> None:
    frame = simulated(seed=12)
    values = estimates(
        run_frame(GLM(outcome="cost", predictors=["age"], family="gaussian", confidence=0.9), frame, SCHEMA)
    ).values
    fit = oracle("gaussian", frame.cost, np.column_stack([np.ones(N), frame.age]))
    np.testing.assert_allclose(values[:, 2:4], fit.conf_int(0.1), rtol=1e-9)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_masked_fit_loses_nothing_to_the_fixed_point(family: str) -> None:
    frame = simulated(seed=13)
    method = GLM(
        outcome=FAMILIES[family],
        predictors=["income", "dose", "age", "sex", poly("age", 2)],
        family=family,
        weights="weight",
        offset="log_years",
    )
    plain = estimates(run_frame(method, frame, SCHEMA, 6)).values
    through = estimates(run_frame(method, frame, SCHEMA, 6, masked)).values
    np.testing.assert_allclose(through, plain, rtol=1e-9, atol=1e-300)


def test_two_sites_answer_in_the_open_where_each_passes_alone() -> None:
    frame = simulated(seed=14)
    method = GLM(outcome="died", predictors=["age", "sex"], family="binomial")
    plain = estimates(run_frame(method, frame, SCHEMA, 2)).values
    in_the_open = estimates(run_frame(method, frame, SCHEMA, 2, opened(Thresholds()))).values
    np.testing.assert_allclose(in_the_open, plain, rtol=1e-10)
    few = frame.iloc[:30]
    with pytest.raises(Withheld):
        run_frame(method, few, SCHEMA, 2, opened(Thresholds()))


def test_a_step_that_overshoots_is_halved() -> None:
    rng = np.random.default_rng(50)
    frame = pd.DataFrame({"x": rng.uniform(0.5, 1.5, 400)})
    frame["y"] = rng.poisson(np.exp(4 * frame.x))
    method = GLM(outcome="y", predictors=["x"], family="poisson", intercept=False)
    output = run_frame(method, frame, schema_of(x=FLOAT, y=INT))
    assert_equal(output, oracle("poisson", frame.y, frame[["x"]]), 1e-9)
