"""What cannot mean anything is refused when the plan is made; what is written reads back and explains itself."""

from __future__ import annotations

from typing import Any

import pytest

from civicgrid.errors import PlanError
from civicgrid.methods.glm import GLM, interaction, poly
from civicgrid.query.types import DATE, ColumnType, category
from unit.methods.pooled import schema_of
from unit.methods.regressions import SCHEMA


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
    with pytest.raises(PlanError, match="not a valid GLM: family is missing: binomial for yes/no, gaussian for"):
        GLM(outcome="died")
    with pytest.raises(PlanError, match=r"it has no parameter 'offsett'\. Write GLM\(table, outcome=…, predictors=…"):
        GLM(outcome="died", family="binomial", offsett="x")
    with pytest.raises(PlanError, match="family: expected 'binomial', 'gaussian' or 'poisson'"):
        GLM(outcome="died", family="logistic")
    with pytest.raises(PlanError, match=r"GLM takes the table alone without a name\. Write GLM\(table, outcome=…"):
        GLM(None, "died ~ age", family="binomial")


def test_a_logistic_regression_of_a_number_that_is_no_share_is_refused() -> None:
    with pytest.raises(PlanError, match="or a number from 0 to 1; 'age' is a whole number from 0 to 128"):
        GLM(outcome="age", family="binomial").check(schema_of(age=ColumnType(kind="int", low=0, high=128)))
    GLM(outcome="age", family="binomial").check(schema_of(age=ColumnType(kind="int", low=0, high=1)))


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


def test_a_design_too_large_is_refused_before_it_is_made() -> None:
    wide = {name: category(*(f"l{i}" for i in range(1000))) for name in "abcd"}
    schema = schema_of(**wide, **{column.name: column.type for column in SCHEMA.columns})
    with pytest.raises(PlanError, match="at most 300 coefficients"):
        GLM(outcome="cost", predictors=[interaction("a", "b", "c", "d"), *"abcd"], family="gaussian").check(schema)
