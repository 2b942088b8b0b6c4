"""A regression that has no answer says why, and of few people nothing more than that they are too few."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from civicgrid.disclosure.publish import publish
from civicgrid.errors import FitError
from civicgrid.methods.glm import GLM, interaction
from unit.methods.pooled import masked, run_frame
from unit.methods.regressions import FAMILIES, SCHEMA, SHIPPED, assert_equal, oracle, refusal, simulated


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
            "withheld, because there are too few people for the model, or one who weighs too much: 3 coefficients need at "
            "least 30 people."
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
