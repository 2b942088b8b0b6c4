"""A fit over sites against statsmodels on the pooled records, to 1e-8 and mostly far closer."""

from __future__ import annotations

from typing import Any

import lifelines.datasets
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from civicgrid.disclosure.codes import Withheld
from civicgrid.disclosure.publish import publish
from civicgrid.disclosure.shapes import Estimates, ModelSums, RawOutput
from civicgrid.disclosure.thresholds import Thresholds
from civicgrid.errors import FitError, PlanError
from civicgrid.methods.glm import GLM, interaction, poly
from civicgrid.methods.glm.site import Place
from civicgrid.methods.method import Ask
from civicgrid.query.types import BOOL, DATE, FLOAT, INT, ColumnType, category
from unit.methods.pooled import masked, opened, run_frame, run_pooled, schema_of, table_of

N = 1500


def simulated(n: int = N, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "age": rng.normal(60, 12, n),
            "sex": rng.choice(["female", "male"], n),
            "stage": rng.choice(["I", "II", "III", "IV"], n, p=[0.4, 0.3, 0.2, 0.1]),
            "smoker": rng.random(n) < 0.3,
            "income": 1e6 + 3e5 * rng.normal(size=n),
            "dose": 1e-6 * rng.gamma(2, 1, n),
            "years": rng.uniform(0.2, 8, n),
            "weight": rng.uniform(0.5, 3, n),
        }
    )
    eta = -0.4 + 0.04 * (frame.age - 60) + 0.5 * (frame.sex == "male") - 0.6 * (frame.stage == "IV")
    eta += 0.3 * frame.smoker + 1e-6 * (frame.income - 1e6) + 1e5 * (frame.dose - 2e-6)
    frame["log_years"] = np.log(frame.years)
    frame["died"] = rng.random(n) < 1 / (1 + np.exp(-eta))
    frame["cost"] = 5000 + 800 * eta + rng.normal(0, 400, n)
    frame["visits"] = rng.poisson(frame.years * np.exp(eta / 2))
    return frame


SCHEMA = schema_of(
    age=ColumnType(kind="float", low=18, high=110),
    sex=category("female", "male"),
    stage=category("I", "II", "III", "IV"),
    smoker=BOOL,
    income=FLOAT,
    dose=FLOAT,
    years=FLOAT,
    weight=FLOAT,
    log_years=FLOAT,
    died=BOOL,
    cost=FLOAT,
    visits=INT,
)
FAMILIES = {"binomial": "died", "gaussian": "cost", "poisson": "visits"}


def estimates(output: RawOutput) -> Estimates:
    block = output.blocks[0]
    assert isinstance(block, Estimates)
    return block


def oracle(family: str, y: Any, design: Any, offset: Any = None, weights: Any = None, confidence: float = 0.95) -> Any:
    distribution = getattr(sm.families, family.capitalize())()
    model = sm.GLM(np.asarray(y, float), np.asarray(design, float), family=distribution, offset=offset, var_weights=weights)
    return model.fit(tol=1e-14, maxiter=200, use_t=family == "gaussian")


def assert_equal(output: RawOutput, fit: Any, tolerance: float = 1e-9) -> None:
    values = estimates(output).values
    np.testing.assert_allclose(values[:, 0], fit.params, rtol=tolerance)
    np.testing.assert_allclose(values[:, 1], fit.bse, rtol=tolerance)
    np.testing.assert_allclose(values[:, 2:4], fit.conf_int(), rtol=tolerance, atol=1e-12)
    np.testing.assert_allclose(values[:, 4], fit.tvalues, rtol=tolerance)
    np.testing.assert_allclose(values[:, 5], fit.pvalues, rtol=1e-6, atol=1e-300)
    facts = output.facts
    for name, expected in (
        ("deviance", fit.deviance),
        ("log_likelihood", fit.llf),
        ("aic", fit.aic),
        ("dispersion", fit.scale),
    ):
        assert facts[name] == pytest.approx(expected, rel=1e-9)
    if "null_deviance" in facts:
        assert facts["null_deviance"] == pytest.approx(fit.null_deviance, rel=1e-9)
    np.testing.assert_allclose(estimates(output).covariance, fit.cov_params(), rtol=1e-6, atol=1e-300)


def dummies(frame: pd.DataFrame) -> pd.DataFrame:
    levels = pd.get_dummies(frame.stage)[["II", "III", "IV"]]
    return pd.concat([(frame.sex == "male").rename("sex[male]"), levels, frame.smoker], axis=1).astype(float)


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


# What has no answer is explained.


def refusal(method: GLM, frame: pd.DataFrame, schema: Any = SCHEMA) -> str:
    with pytest.raises(FitError) as caught:
        run_frame(method, frame, schema)
    return str(caught.value)


def test_separation_by_a_level_is_explained_from_the_survey() -> None:
    frame = simulated(seed=20)
    frame.loc[frame.stage == "IV", "died"] = True
    words = refusal(GLM(outcome="died", predictors=["age", "stage"], family="binomial"), frame)
    assert "stage = IV" in words and "separation" in words and "Merge" in words


def test_what_a_few_people_have_in_common_is_not_said() -> None:
    frame = simulated(seed=20)
    frame.loc[frame.index[frame.stage == "IV"][5:], "stage"] = "I"
    frame.loc[frame.stage == "IV", "died"] = True
    words = refusal(GLM(outcome="died", predictors=["age", "stage"], family="binomial"), frame)
    assert "stage = IV" in words and "too few" in words and "same" not in words


def test_separation_by_the_reference_level_is_explained() -> None:
    frame = simulated(seed=20)
    frame.loc[frame.stage == "I", "died"] = False
    assert "stage = I " in refusal(GLM(outcome="died", predictors=["stage"], family="binomial"), frame)


def test_separation_by_a_joint_cell_is_explained() -> None:
    frame = simulated(seed=20)
    frame.loc[(frame.sex == "male") & frame.smoker, "died"] = True
    method = GLM(outcome="died", predictors=["sex", "smoker", interaction("sex", "smoker")], family="binomial")
    assert "sex = male with smoker = yes" in refusal(method, frame)
    run_frame(GLM(outcome="died", predictors=["sex", "smoker"], family="binomial"), frame, SCHEMA)


@pytest.mark.parametrize("noise", [False, True])
def test_separation_by_a_number_is_explained(noise: bool) -> None:
    frame = simulated(seed=21)
    frame["died"] = frame.age > 60
    if noise:
        # Quasi-complete: the outcome varies at one value of the predictor only.
        frame.loc[:40, "age"] = 60.0
        frame.loc[:20, "died"] = True
    words = refusal(GLM(outcome="died", predictors=["age", "smoker"], family="binomial"), frame)
    assert "separation" in words and "age" in words


def test_a_poisson_level_without_any_event_is_explained() -> None:
    frame = simulated(seed=22)
    frame.loc[frame.stage == "IV", "visits"] = 0
    words = refusal(GLM(outcome="visits", predictors=["stage"], family="poisson"), frame)
    assert "stage[IV]" in words and "separation" in words


def test_collinear_columns_are_named() -> None:
    frame = simulated(seed=23)
    frame["income"] = 3 * frame.age - 7
    words = refusal(GLM(outcome="cost", predictors=["age", "income", "smoker"], family="gaussian"), frame)
    assert "collinearity" in words and "age, income" in words and "smoker" not in words


def test_a_constant_number_is_named() -> None:
    frame = simulated(seed=24)
    frame["income"] = 1234.5678
    words = refusal(GLM(outcome="cost", predictors=["age", "income"], family="gaussian"), frame)
    assert "'income' is the same number for everybody" in words and "1234" not in words


def test_a_level_that_nobody_has_is_named() -> None:
    frame = simulated(seed=25)
    frame.loc[frame.stage == "III", "stage"] = "IV"
    assert "stage = III" in refusal(GLM(outcome="cost", predictors=["stage"], family="gaussian"), frame)
    frame["stage"] = "II"
    words = refusal(GLM(outcome="cost", predictors=["stage"], family="gaussian"), frame)
    assert "stage = I," in words and "reference" in words


def test_an_outcome_without_variation_is_explained() -> None:
    frame = simulated(seed=26).assign(died=False, cost=3.0, visits=0)
    for family, outcome in FAMILIES.items():
        words = refusal(GLM(outcome=outcome, predictors=["age"], family=family), frame)
        assert "same for everybody" in words


def test_too_few_people_and_nobody_at_all_are_explained() -> None:
    frame = simulated(seed=27)
    method = GLM(outcome="cost", predictors=["age", "stage"], family="gaussian")
    assert "coefficients" in refusal(method, frame[:4])
    assert "Nobody" in refusal(method, frame.assign(age=np.nan))


def test_outcomes_that_the_family_cannot_have_are_explained() -> None:
    frame = simulated(seed=28)
    frame.loc[:9, "visits"] = -1
    assert "0 or greater" in refusal(GLM(outcome="visits", predictors=["age"], family="poisson"), frame)
    assert "either 0 or 1" in refusal(GLM(outcome="visits", predictors=["age"], family="binomial"), frame)


def test_weights_must_be_positive() -> None:
    frame = simulated(seed=29)
    frame.loc[:9, "weight"] = 0.0
    words = refusal(GLM(outcome="cost", predictors=["age"], family="gaussian", weights="weight"), frame)
    assert "weight in 'weight' to be greater than 0" in words


def test_weights_too_small_to_add_up_are_explained() -> None:
    frame = simulated(seed=29).assign(weight=1e-30)
    method = GLM(outcome="cost", predictors=["age"], family="gaussian", weights="weight")
    with pytest.raises(FitError, match="too small to add up"):
        run_frame(method, frame, SCHEMA, adder=masked)


@pytest.mark.parametrize(("column", "value"), [("visits", -1), ("weight", 0.0)])
def test_an_impossible_value_of_a_few_is_left_out_and_counted_with_the_missing(column: str, value: float) -> None:
    frame = simulated(seed=28)
    frame.loc[:8, column] = value
    frame.loc[9, "age"] = np.nan
    method = GLM(outcome="visits", predictors=["age"], family="poisson", weights="weight")
    output = run_frame(method, frame, SCHEMA)
    rest = frame[10:]
    design = np.column_stack([np.ones(len(rest)), rest.age])
    assert_equal(output, oracle("poisson", rest.visits, design, weights=rest.weight))
    assert output.left_out["people_dropped"] == 10


SHIPPED = Thresholds()


@pytest.mark.parametrize("wrong", ["nothing", "nobody", "impossible", "constant", "separated", "no outcome", "collinear"])
@pytest.mark.parametrize("people", [0, 1, 29])
def test_of_too_few_people_one_sentence_is_said_whatever_is_wrong(people: int, wrong: str) -> None:
    frame = simulated(seed=31)[:people]
    changes: dict[str, Any] = {
        "nobody": {"age": np.nan}, "impossible": {"visits": -1}, "constant": {"age": 50.0}, "separated": {"visits": 0},
        "no outcome": {"visits": np.nan}, "collinear": {"dose": frame.age},
    }  # fmt: skip
    frame = frame.assign(**changes.get(wrong, {}))
    for family in ("poisson", "gaussian"):
        method = GLM(outcome="visits", predictors=["age", "dose"], family=family)
        output = publish(run_frame(method, frame, SCHEMA, thresholds=SHIPPED), SHIPPED, "glm", 1)
        assert [words.split(": ", 1)[1] for words in output.suppressed] == [
            "withheld, because there are too few people for the model: 3 coefficients need at least 30."
        ]
        assert output.facts == {} and output.notes == ()


@pytest.mark.parametrize("same", [False, True])
def test_a_small_group_is_not_said_to_be_alike_or_not(same: bool) -> None:
    frame = simulated(seed=20)
    frame.loc[frame.index[frame.stage == "IV"][5:], "stage"] = "I"
    frame.loc[frame.stage == "IV", "died"] = True
    if not same:
        frame.loc[frame.index[frame.stage == "IV"][0], "died"] = False
    method = GLM(outcome="died", predictors=["age", "stage"], family="binomial")
    output = publish(run_frame(method, frame, SCHEMA, thresholds=SHIPPED), SHIPPED, "glm", 1)
    assert len(output.suppressed) == 1 and "a group that the model tells apart" in output.suppressed[0]
    assert output.facts == {} and output.notes == ()


def test_predictors_that_give_the_outcome_exactly_are_explained() -> None:
    frame = simulated(seed=30)
    frame["cost"] = 2 * frame.age + 1
    words = refusal(GLM(outcome="cost", predictors=["age"], family="gaussian"), frame)
    assert "exactly" in words


# What cannot mean anything is refused when the plan is made.


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"outcome": "cost", "family": "binomial", "predictors": ["nope"]}, "no column 'nope'"),
        ({"outcome": "stage", "family": "binomial"}, "yes/no outcome"),
        ({"outcome": "died", "family": "gaussian"}, "family='binomial'"),
        ({"outcome": "sex", "family": "poisson"}, "choose a number"),
        ({"outcome": "cost", "family": "gaussian", "offset": "sex"}, "offset must be a number"),
        ({"outcome": "cost", "family": "gaussian", "predictors": ["cost"]}, "cannot explain itself"),
        ({"outcome": "cost", "family": "gaussian", "predictors": ["age", "age"]}, "once"),
        ({"outcome": "cost", "family": "gaussian", "predictors": ["when"]}, "is a date"),
        ({"outcome": "cost", "family": "gaussian", "predictors": [poly("sex", 2)]}, "poly needs a number"),
        ({"outcome": "cost", "family": "gaussian", "intercept": False}, "needs a predictor"),
        ({"outcome": "cost", "family": "gaussian", "predictors": ["only"]}, "fewer than two levels"),
        (
            {"outcome": "cost", "family": "gaussian", "predictors": ["sex"], "reference": {"sex": "none"}},
            "no level 'none'",
        ),
        ({"outcome": "cost", "family": "gaussian", "reference": {"age": "1"}}, "'age' is not one"),
        (
            {"outcome": "cost", "family": "gaussian", "predictors": ["age", interaction("age", "sex")]},
            "Add 'sex' to the predictors",
        ),
        ({"outcome": "cost", "family": "gaussian", "predictors": ["many"]}, "at most 300 coefficients"),
    ],
)
def test_what_cannot_be_fitted_is_refused_with_advice(parameters: dict[str, Any], words: str) -> None:
    extra = {"when": DATE, "only": category("one"), "many": category(*(f"l{i}" for i in range(400)))}
    schema = schema_of(**{c.name: c.type for c in SCHEMA.columns}, **extra)
    with pytest.raises(PlanError, match=words.replace("(", r"\(")):
        GLM(**parameters).check(schema)


def test_a_parameter_left_out_or_misspelt_is_said_in_one_line() -> None:
    with pytest.raises(PlanError, match="not a valid GLM: family: Field required"):
        GLM(outcome="died")
    with pytest.raises(PlanError, match="offsett: Extra inputs"):
        GLM(outcome="died", family="binomial", offsett="x")


def test_terms_are_checked_when_they_are_written() -> None:
    with pytest.raises(PlanError, match="different columns"):
        interaction("age", "age")
    with pytest.raises(PlanError, match="at most 4"):
        interaction("a", "b", "c", "d", "e")
    with pytest.raises(PlanError, match="degree"):
        poly("age", 1)


def test_a_method_survives_its_canonical_form() -> None:
    method = GLM(
        outcome="died",
        predictors=["age", interaction("age", "sex"), poly("age", 3)],
        family="binomial",
        reference={"sex": "male"},
        intercept=False,
    )
    assert GLM.from_bytes(method.canonical()) == method


def test_any_change_of_a_parameter_changes_the_words() -> None:
    base: dict[str, Any] = {"outcome": "visits", "predictors": ["age", "sex"], "family": "poisson"}
    changes: list[dict[str, Any]] = [
        {},
        {"outcome": "cost"},
        {"predictors": ["age"]},
        {"predictors": ["age", "sex", interaction("age", "sex")]},
        {"predictors": ["age", "sex", poly("age", 2)]},
        {"predictors": ["age", "sex", poly("age", 3)]},
        {"predictors": []},
        {"family": "gaussian"},
        {"offset": "log_years"},
        {"weights": "weight"},
        {"reference": {"sex": "male"}},
        {"intercept": False},
        {"confidence": 0.9},
    ]
    words = [GLM(**{**base, **change}).explain(SCHEMA) for change in changes]
    assert len(set(words)) == len(words)
    assert words[0] == (
        "Fit a Poisson regression of visits on age, sex (compared with female). People with a missing "
        "value are "
        "left out. Give each estimate with its 95% confidence interval."
    )


# What the gate asks for.


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


def test_a_step_that_overshoots_is_halved() -> None:
    rng = np.random.default_rng(50)
    frame = pd.DataFrame({"x": rng.uniform(0.5, 1.5, 400)})
    frame["y"] = rng.poisson(np.exp(4 * frame.x))
    method = GLM(outcome="y", predictors=["x"], family="poisson", intercept=False)
    output = run_frame(method, frame, schema_of(x=FLOAT, y=INT))
    assert_equal(output, oracle("poisson", frame.y, frame[["x"]]), 1e-9)


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


def test_a_design_too_large_is_refused_before_it_is_made() -> None:
    wide = {name: category(*(f"l{i}" for i in range(1000))) for name in "abcd"}
    schema = schema_of(**wide, **{column.name: column.type for column in SCHEMA.columns})
    with pytest.raises(PlanError, match="at most 300 coefficients"):
        GLM(outcome="cost", predictors=[interaction("a", "b", "c", "d"), *"abcd"], family="gaussian").check(schema)


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
