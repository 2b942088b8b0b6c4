"""The families of a generalised linear model, each with its canonical link.

A family says, for a block of people, how far each outcome is from its fitted mean, how much weight each
person has in the information, and what the deviance is. Source: P. McCullagh and J.A. Nelder (1989),
Generalized Linear Models, 2nd edition, tables 2.1 and 2.3. A new family is one class and one row of
`FAMILIES`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln, xlogy

from civicgrid.disclosure.shapes import FloatArray

BoolArray = npt.NDArray[np.bool_]

FamilyName = Literal["binomial", "gaussian", "poisson"]

LARGEST_COUNT = 2.0**36
"""A greater count, or count times weight, cannot be: its logarithms and products would outgrow the masked sums."""

_GROUP = 64
_LARGEST_ETA = 30.0


class Family(ABC):
    """One distribution with its canonical link. `weights` are prior weights, None for all 1."""

    words: ClassVar[str]
    outcomes: ClassVar[str]
    """What the outcome has to be, in words."""
    scale: ClassVar[str]
    """What an estimate is, in words."""
    binary: ClassVar[bool] = False
    estimated_dispersion: ClassVar[bool] = False
    counts: ClassVar[bool] = False
    size: ClassVar[int] = 0
    """The size of one person's contribution as a power of two, beside that of the design: room for the
    masked sum.
    """

    @abstractmethod
    def working(
        self, y: FloatArray, eta: FloatArray, weights: FloatArray | None
    ) -> tuple[FloatArray, FloatArray | None, float]:
        """Weighted residuals y - mu, weights of the information (None: all 1), and the deviance of the
        block.
        """

    @abstractmethod
    def possible(self, y: FloatArray) -> BoolArray | None:
        """Which outcomes the family can have; None for all."""

    @abstractmethod
    def saturated(self, y: FloatArray, weights: FloatArray | None) -> float:
        """The part of the log-likelihood of the block that no coefficient changes, so that the rest is
        -deviance / 2.
        """

    @abstractmethod
    def start(self, mean: float) -> float:
        """The linear predictor at a mean outcome."""

    def log_likelihood(self, deviance: float, people: int, saturated: float) -> float:
        """The maximised log-likelihood."""
        return saturated - deviance / 2.0


def _total(values: FloatArray, weights: FloatArray | None) -> float:
    return float(values.sum() if weights is None else values @ weights)


class Binomial(Family):
    """Yes or no; logit link. Estimates are log odds ratios."""

    words = "logistic regression"
    outcomes = "either 0 or 1"
    scale = "log odds ratios"
    binary = True

    def working(
        self, y: FloatArray, eta: FloatArray, weights: FloatArray | None
    ) -> tuple[FloatArray, FloatArray | None, float]:
        tail = np.exp(-np.abs(eta))
        whole = 1.0 + tail
        share = 1.0 / whole
        variance = tail * share * share
        residual = y - np.where(eta >= 0.0, share, tail * share)
        loss = np.maximum(eta, 0.0) - y * eta
        if weights is None:
            return residual, variance, 2.0 * (float(loss.sum()) + _log_of_product(whole))
        return residual * weights, variance * weights, 2.0 * float((loss + np.log1p(tail)) @ weights)

    def possible(self, y: FloatArray) -> BoolArray | None:
        return np.asarray((y == 0.0) | (y == 1.0))

    def saturated(self, y: FloatArray, weights: FloatArray | None) -> float:
        return 0.0

    def start(self, mean: float) -> float:
        return float(np.log(mean) - np.log1p(-mean))


class Gaussian(Family):
    """A number; identity link. Estimates are differences in means."""

    words = "linear regression"
    outcomes = "a number"
    scale = "differences in means"
    estimated_dispersion = True

    def working(
        self, y: FloatArray, eta: FloatArray, weights: FloatArray | None
    ) -> tuple[FloatArray, FloatArray | None, float]:
        residual = y - eta
        if weights is None:
            return residual, None, float(residual @ residual)
        weighted = residual * weights
        return weighted, weights, float(weighted @ residual)

    def possible(self, y: FloatArray) -> BoolArray | None:
        return None

    def saturated(self, y: FloatArray, weights: FloatArray | None) -> float:
        return 0.0 if weights is None else 0.5 * float(np.log(weights).sum())

    def start(self, mean: float) -> float:
        return 0.0

    def log_likelihood(self, deviance: float, people: int, saturated: float) -> float:
        return saturated - people / 2.0 * (float(np.log(2.0 * np.pi * deviance / people)) + 1.0)


class Poisson(Family):
    """A count; log link. Estimates are log rate ratios. Room for counts and weights far above 1 in the
    masked sum.
    """

    words = "Poisson regression"
    outcomes = "0 or greater"
    scale = "log rate ratios"
    counts = True
    size = 16

    def working(
        self, y: FloatArray, eta: FloatArray, weights: FloatArray | None
    ) -> tuple[FloatArray, FloatArray | None, float]:
        # A trial step may overshoot; its deviance must come out large, not infinite, so that it is halved.
        mean = np.exp(np.minimum(eta, _LARGEST_ETA))
        residual = y - mean
        log_count = np.log(np.maximum(y, 1e-300))
        deviance = 2.0 * _total(np.where(y > 0.0, y * (log_count - eta), 0.0) - residual, weights)
        if weights is None:
            return residual, mean, deviance
        return residual * weights, mean * weights, deviance

    def possible(self, y: FloatArray) -> BoolArray | None:
        return np.asarray((y >= 0.0) & (y <= LARGEST_COUNT))

    def saturated(self, y: FloatArray, weights: FloatArray | None) -> float:
        return _total(xlogy(y, y) - y - gammaln(y + 1.0), weights)

    def start(self, mean: float) -> float:
        return float(np.log(mean))


FAMILIES: dict[FamilyName, Family] = {
    "binomial": Binomial(),
    "gaussian": Gaussian(),
    "poisson": Poisson(),
}


def _log_of_product(values: FloatArray) -> float:
    """The sum of the logarithms of numbers from 1 to 2, with one logarithm for 64 of them."""
    whole = len(values) // _GROUP * _GROUP
    products = np.multiply.reduce(values[:whole].reshape(_GROUP, -1), axis=0)
    return float(np.log(products).sum() + np.log(np.multiply.reduce(values[whole:])))
