"""Standardised differences between two groups: how far apart they are in units of their spread, whatever
their size.

Sources: P.C. Austin (2009), Balance diagnostics for comparing the distribution of baseline covariates
between treatment groups in propensity-score matched samples, Statistics in Medicine 28(25):3083-3107
(numbers and yes/no); D. Yang and J.E. Dalton (2012), A unified approach to measuring the effect size
between two groups using SAS, SAS Global Forum, paper 335 (categories).
"""

from __future__ import annotations

import math

import numpy as np

from civicgrid.disclosure.shapes import FloatArray, IntArray


def of_numbers(mean: float, sd: float, other_mean: float, other_sd: float) -> float:
    """(m1 - m2) / sqrt((s1^2 + s2^2) / 2); NaN where neither group varies.

    >>> of_numbers(3.0, 1.0, 2.0, 1.0)
    1.0
    """
    spread = math.sqrt((sd**2 + other_sd**2) / 2)
    return (mean - other_mean) / spread if spread > 0 else math.nan


def of_categories(counts: IntArray, other: IntArray) -> float:
    """The distance of two distributions over the same levels; NaN where one is empty or neither varies.

    For two levels (p1 - p2) / sqrt((p1 q1 + p2 q2) / 2) of the second level, with its sign. For more the
    Mahalanobis distance of the proportions of all levels but the first, which has no sign.

    >>> round(of_categories(np.array([50, 50]), np.array([80, 20])), 4)
    0.6626
    """
    held = (counts + other) > 0
    if not counts.sum() or not other.sum() or held.sum() < 2:
        return math.nan
    p, q = counts[held] / counts.sum(), other[held] / other.sum()
    gap, spread = (p - q)[1:], (_covariance(p) + _covariance(q)) / 2
    if len(counts) == 2:
        return float(gap[0] / math.sqrt(spread[0, 0])) if spread[0, 0] > 0 else math.nan
    if np.linalg.matrix_rank(spread) < len(gap):
        return math.nan
    return float(np.sqrt(gap @ np.linalg.solve(spread, gap)))


def _covariance(share: FloatArray) -> FloatArray:
    """Of the indicators of all levels but the first."""
    rest = share[1:]
    return np.asarray(np.diag(rest) - np.outer(rest, rest))
