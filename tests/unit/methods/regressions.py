"""Made-up people, and the pooled fit of statsmodels that a regression over their sites is held against."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from civicgrid.disclosure.shapes import Estimates, RawOutput
from civicgrid.disclosure.thresholds import Thresholds
from civicgrid.errors import FitError
from civicgrid.methods.glm import GLM
from civicgrid.query.types import BOOL, FLOAT, INT, ColumnType, category
from unit.methods.pooled import run_frame, schema_of

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
SHIPPED = Thresholds()
"""The thresholds as they come."""
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


def refusal(method: GLM, frame: pd.DataFrame, schema: Any = SCHEMA) -> str:
    with pytest.raises(FitError) as caught:
        run_frame(method, frame, schema)
    return str(caught.value)
