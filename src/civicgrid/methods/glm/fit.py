"""The coordinator's half of a regression: Newton's method on the summed score and information of all sites.

With a canonical link Newton's method is iteratively reweighted least squares (McCullagh and Nelder 1989,
section 2.5). From the second pass on, a step also follows the bend of the score along the step before (`bend`). A step
that does not lower the deviance is halved. What has no finite or no unique answer ends in a `FitError` that
says which columns are behind it.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from civicgrid.disclosure.rules import STEEPEST
from civicgrid.disclosure.shapes import Combined, FloatArray, Received
from civicgrid.errors import FitError
from civicgrid.methods.glm.bend import Bend
from civicgrid.methods.glm.design import INTERCEPT
from civicgrid.methods.glm.model import Model
from civicgrid.methods.glm.survey import Survey
from civicgrid.methods.method import Ask

MAX_PASSES = 25
TOLERANCE = 1e-10
"""The fit stops once a step has been evaluated and the next is below this many standard errors in every coefficient, or
is foreseen to change the information, relatively, by less than this (`bend.Bend.ahead`): it is still taken.
"""

_FIRST, _CHANGE = 0.25, 1.0
_DEPENDENT = 1e-11
_LARGE = 12.0

_EXACT = (
    "The predictors give the outcome exactly, so no standard errors can be had. Check whether a predictor "
    "is the "
    "outcome under another name."
)


@dataclass(frozen=True)
class Fit:
    """The answer in raw units: coefficients, their unscaled covariance (inverse information), and the
    whole's facts.
    """

    estimate: FloatArray
    covariance: FloatArray
    deviance: float
    null_deviance: float | None
    people: int
    steps: int


@dataclass(frozen=True)
class Pass:
    """The sums of one pass over all sites."""

    score: FloatArray
    information: FloatArray
    deviance: float
    people: int

    @classmethod
    def of(cls, received: Received, size: int) -> Pass:
        values = np.asarray(received.values, dtype=np.float64)
        information = np.zeros((size, size))
        information[np.triu_indices(size)] = values[size:-2]
        information = information + np.triu(information, 1).T
        return cls(values[:size], information, float(values[-2]), round(values[-1]))


Rounds = Generator[Ask, Combined, Fit]


def newton(model: Model, survey: Survey, received: Combined) -> Rounds:
    """Passes until the coefficients stand still, from that of the fit with nothing but an intercept."""
    names, size = model.design.names, model.design.size
    beta = survey.start()
    first = current = Pass.of(received["pass"], size)
    _check_rank(first.information, names)
    steps, passes = 0, 1
    bend: Bend | None = None
    while True:
        step, covariance = _newton_step(current, beta, names, survey)
        error = np.sqrt(np.diag(covariance))
        if steps and model.family.estimated_dispersion and current.deviance < survey.exact:
            raise FitError(_EXACT)
        if steps and float(np.max(np.abs(step) / error)) < TOLERANCE * _noise(model, survey, current):
            break
        if bend is not None and bend.ahead(step) < TOLERANCE:
            break
        if passes >= MAX_PASSES or (model.family.binary and current.deviance < survey.exact):
            raise _no_convergence(model, survey, beta, step)
        if bend is not None:
            step = bend.step(step, covariance)
        if model.family.counts:
            step = step * _careful(step, current, bend, survey.totals["outcome"])
        if not model.family.estimated_dispersion and _runs_away(beta + step, survey):
            raise _no_convergence(model, survey, beta + step, step)
        trial = Pass.of((yield survey.place(beta + step).ask())["pass"], size)
        passes += 1
        while not trial.deviance <= current.deviance + 1e-9 * (abs(current.deviance) + 1e-300):
            step = step / 2
            if passes >= MAX_PASSES:
                raise _no_convergence(model, survey, beta, step)
            trial = Pass.of((yield survey.place(beta + step).ask())["pass"], size)
            passes += 1
        bend = Bend.between(current.score, current.information, trial.score, trial.information, step)
        beta, current, steps = beta + step, trial, steps + 1
    beta = beta + step
    raw = model.design.raw(survey.centres)
    shift = np.zeros(size)
    if model.family.estimated_dispersion and model.design.intercept:
        shift[0] = survey.centres[model.outcome]
    null = None
    if model.design.intercept and model.offset is None:
        null = first.deviance - float(first.score[0] ** 2 / first.information[0, 0])
    covariance = raw @ _inverse(current.information) @ raw.T
    return Fit(raw @ beta + shift, covariance, current.deviance, null, current.people, steps + 1)


def _careful(step: FloatArray, current: Pass, bend: Bend | None, weight: float) -> float:
    """How much of a step is taken where fitted means grow without end (at most all of it).

    A step too far gives a few people far out nearly all of the weight; it would have to be taken back, and a site does
    not answer there. So the first step moves fitted logarithms by a quarter in root mean square, as weighted by the
    information (whose weights, being fitted means, then add up to the outcome: `weight`), and no later one is foreseen to
    change the information more than twofold in any direction.
    """
    if bend is None:
        moved = math.sqrt(float(step @ current.information @ step) / weight)
        return min(1.0, _FIRST / moved) if moved > 0.0 else 1.0
    return min(1.0, _CHANGE / found) if (found := bend.relative(step)) > 0.0 else 1.0


def _inverse(information: FloatArray) -> FloatArray:
    """The inverse by way of the matrix with ones on its diagonal, so that units do not matter."""
    scale = np.sqrt(np.diag(information))
    factor = cho_factor(information / np.outer(scale, scale))
    inverse = cho_solve(factor, np.eye(len(scale)))
    return np.asarray((inverse + inverse.T) / 2 / np.outer(scale, scale))


def _noise(model: Model, survey: Survey, current: Pass) -> float:
    """What turns standard errors at dispersion 1 into those of the data, whatever unit outcome and weights have.

    The root of the dispersion where it is estimated; otherwise that of the mean weight, as if people had weight 1.
    """
    if model.family.estimated_dispersion:
        return math.sqrt(max(current.deviance, 0.0) / max(current.people - model.design.size, 1))
    return math.sqrt(survey.totals["weight"] / survey.totals["people"])


def _newton_step(current: Pass, beta: FloatArray, names: tuple[str, ...], survey: Survey) -> tuple[FloatArray, FloatArray]:
    """The next step and the covariance (dispersion 1) that it is measured in."""
    scale = np.sqrt(np.diag(current.information))
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        raise _separated(_growing(beta, beta, names, survey))
    try:
        covariance = _inverse(current.information)
    except np.linalg.LinAlgError:
        raise _separated(_growing(beta, beta, names, survey)) from None
    return covariance @ current.score, covariance


def _check_rank(information: FloatArray, names: tuple[str, ...]) -> None:
    """FitError for a column that is the same for everybody, or that follows from the others."""
    diagonal = np.diag(information)
    empty = [name for name, value in zip(names, diagonal, strict=True) if not value > 0.0]
    if empty:
        raise FitError(
            f"{_list(empty)} is nought for everybody in the cohort, so there is nothing to estimate. Leave "
            f"it out, "
            "merge the level with another, or choose another cohort."
        )
    scale = np.sqrt(diagonal)
    values, vectors = np.linalg.eigh(information / np.outer(scale, scale))
    if values[0] < _DEPENDENT:
        weight = np.abs(vectors[:, 0])
        involved = [name for name, w in zip(names, weight, strict=True) if w > 1e-3 * weight.max()]
        raise FitError(
            f"These columns say the same thing twice (collinearity): {', '.join(involved)}. Each can be "
            f"worked out from the "
            "others, so their effects cannot be told apart. Leave one of them out."
        )


def _no_convergence(model: Model, survey: Survey, beta: FloatArray, step: FloatArray) -> FitError:
    growing = _growing(beta, step, model.design.names, survey)
    if growing and not model.family.estimated_dispersion:
        return _separated(growing)
    return FitError(
        f"The fit did not settle within {MAX_PASSES} passes over the data. Look at the spread of the "
        f"predictors: "
        "one with a few very large values can cause it; take its logarithm, or leave it out."
    )


def _runs_away(beta: FloatArray, survey: Survey) -> bool:
    """Whether a coefficient other than the intercept is near what no site answers (`disclosure.rules.STEEPEST`)."""
    sizes = np.ldexp(1.0, survey.model.design.sizes(survey.sizes).astype(np.intc))
    apart = np.array([name != INTERCEPT for name in survey.model.design.names])
    return bool((np.abs(beta) * sizes * apart > STEEPEST / 2).any())


def _growing(beta: FloatArray, step: FloatArray, names: tuple[str, ...], survey: Survey) -> list[str]:
    """The coefficients that run away: those that still grow by a good part of the spread of their column."""
    sizes = np.ldexp(1.0, survey.model.design.sizes(survey.sizes).astype(np.intc))
    moving = (np.abs(step) * sizes > 0.1) | (np.abs(beta) * sizes > _LARGE)
    return [name for name, moves in zip(names, moving, strict=True) if moves and name != INTERCEPT]


def _separated(names: list[str]) -> FitError:
    found = ", ".join(names) if names else "the predictors together"
    return FitError(
        f"The estimates have no finite value (separation): {found} tells the outcome of some group of "
        f"people exactly. "
        "Merge levels, leave the column out, or widen the cohort."
    )


def _list(names: list[str]) -> str:
    return ", ".join(names)
