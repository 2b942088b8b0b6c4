"""The bend of the score: exact where the score bends as it says, and fewer passes for the same answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from civicgrid.methods.glm import GLM
from civicgrid.methods.glm.bend import Bend
from civicgrid.query.types import FLOAT
from unit.methods.pooled import add, run_frame, schema_of, table_of
from unit.methods.regressions import estimates

N = 20_000


def made(family: str, predictors: str, seed: int) -> pd.DataFrame:
    """Five normal or lognormal predictors, and a count or an uncommon event."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(N, 5))
    x = np.exp(0.6 * x) if predictors == "skewed" else x
    eta = (x - x.mean(axis=0)) @ ((0.15 if predictors == "skewed" else 0.3) * rng.normal(size=5)) - 2.0
    y = rng.random(N) < 1 / (1 + np.exp(-eta)) if family == "binomial" else rng.poisson(np.exp(eta))
    return pd.DataFrame(x, columns=list("abcde")).assign(y=y.astype(float))


SCHEMA = schema_of(**dict.fromkeys([*"abcde", "y"], FLOAT))


def plain_newton(family: str, y: Any, x: Any, tolerance: float = 1e-10) -> tuple[int, Any, Any]:
    """How many passes plain Newton takes from the fit with nothing but an intercept, and where it ends."""
    beta, taken = np.zeros(x.shape[1]), 0
    beta[0] = np.log(y.mean() / (1 - y.mean()) if family == "binomial" else y.mean())
    for passes in range(1, 15):
        mean = 1 / (1 + np.exp(-x @ beta)) if family == "binomial" else np.exp(x @ beta)
        weight = mean * (1 - mean) if family == "binomial" else mean
        information = x.T @ (x * weight[:, None])
        step, error = np.linalg.solve(information, x.T @ (y - mean)), np.sqrt(np.diag(np.linalg.inv(information)))
        if not taken and passes > 1 and np.abs(step / error).max() < tolerance:
            taken = passes
        beta = beta + step
    return taken, beta, error


def passes(method: GLM, frame: pd.DataFrame) -> int:
    table, talk, count = table_of(frame, SCHEMA), method.coordinate(SCHEMA), 0
    ask = next(talk)
    try:
        while True:
            count += ask.step == "pass"
            ask = talk.send(add([method.site(table, ask)]))
    except StopIteration:
        return count


@pytest.mark.parametrize("family", ["binomial", "poisson"])
@pytest.mark.parametrize("predictors", ["even", "skewed"])
def test_fewer_passes_give_the_pooled_answer(family: str, predictors: str) -> None:
    ours, plain = [], []
    for seed in range(4):
        frame = made(family, predictors, seed)
        method = GLM(outcome="y", predictors=list("abcde"), family=family)
        design = np.column_stack([np.ones(N), frame[list("abcde")]])
        taken, beta, error = plain_newton(family, frame.y.to_numpy(), design)
        values = estimates(run_frame(method, frame, SCHEMA)).values
        np.testing.assert_allclose(values[:, 0], beta, rtol=1e-11)
        np.testing.assert_allclose(values[:, 1], error, rtol=1e-10)
        ours.append(passes(method, frame))
        plain.append(taken)
    assert all(mine <= theirs for mine, theirs in zip(ours, plain, strict=True))
    assert sum(ours) < sum(plain)


def test_a_score_that_bends_along_one_line_is_solved_in_one_step() -> None:
    """f(b) = sum of a cubic in one direction and straight lines across it: two passes say all of it."""
    turn, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(4, 4)))
    along = turn[:, 0]

    def score(beta: Any) -> Any:
        t, rest = along @ beta, turn[:, 1:].T @ beta
        return along * (3.0 - 2.0 * t - 0.3 * t**2 - 0.05 * t**3) + turn[:, 1:] @ (np.array([1.0, -2.0, 0.5]) - rest)

    def information(beta: Any) -> Any:
        t = along @ beta
        return np.outer(along, along) * (2.0 + 0.6 * t + 0.15 * t**2) + turn[:, 1:] @ turn[:, 1:].T

    beta = 0.8 * along
    bend = Bend.between(score(0 * beta), information(0 * beta), score(beta), information(beta), beta)
    assert bend is not None
    covariance = np.linalg.inv(information(beta))
    newton = covariance @ score(beta)
    step = bend.step(newton, covariance)
    assert np.abs(score(beta + newton)).max() > 1e-3
    # The step is found by repetition, each of which gains a digit here.
    assert np.abs(score(beta + step)).max() < 1e-6


def test_a_step_that_two_passes_say_too_little_of_stays_newtons() -> None:
    one, score = np.eye(1), np.array([1.0])
    bend = Bend.between(np.array([5.0]), one, score, 9 * one, np.array([0.1]))
    assert bend is not None
    np.testing.assert_array_equal(bend.step(np.array([2.0]), one / 9), [2.0])


def test_no_bend_is_taken_from_an_information_without_a_direction() -> None:
    nothing = np.zeros((2, 2))
    assert Bend.between(np.ones(2), np.eye(2), np.ones(2), nothing, np.ones(2)) is None
    assert Bend.between(np.ones(2), np.eye(2), np.ones(2), np.ones((2, 2)) - 1e-9 * np.eye(2), np.ones(2)) is None


def test_what_lies_ahead_is_the_change_of_the_information() -> None:
    bend = Bend.between(np.array([1.0]), np.array([[4.0]]), np.array([0.1]), np.array([[5.0]]), np.array([0.2]))
    assert bend is not None
    # A fifth of the information over a step of 0.2, with ten times that for other directions.
    assert bend.ahead(np.array([0.02])) == pytest.approx(10 * 0.2 * 0.1)
