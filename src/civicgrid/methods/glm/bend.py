"""How the score of a fit bends along the last step, from two passes: a longer way in one step, and fewer passes.

Newton's method takes the score for a straight line. Score and information at both ends of the step s before say how it
bends in that direction:

    score(beta + a s + r)  =  score - information (a s + r) - a^2/2 A s - a D r - a^3/3 B s,        information r across s

where D is the change of the information over s; A s and B s make the score agree at both ends of s. A tensor method in
one direction (R.B. Schnabel and P.D. Frank (1984), SIAM Journal on Numerical Analysis 21:815-843). Since each score is
exact, where the fit ends does not hang on any of this; only how many passes it takes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from civicgrid.disclosure.shapes import FloatArray

_REPEATS = 8
_MOST = 0.5
"""The bend may change a step by this much of its length; beyond, two passes do not tell enough."""

_OTHER_DIRECTION = 10.0
"""The next step may lie where the information changes this much faster than along the step before."""


@dataclass(frozen=True)
class Bend:
    """The bend at the end of the step `along`: the information and its change, A s and B s, and the relative change of the
    information for each unit of length, which is measured by the information.
    """

    along: FloatArray
    information: FloatArray
    change: FloatArray
    second: FloatArray
    third: FloatArray
    rate: float

    @classmethod
    def between(
        cls,
        score: FloatArray,
        information: FloatArray,
        next_score: FloatArray,
        next_information: FloatArray,
        along: FloatArray,
    ) -> Bend | None:
        """From the passes before and after a step; None where the information says nothing of one."""
        change = next_information - information
        scale = np.asarray(np.sqrt(np.diag(next_information)))
        length = float(along @ next_information @ along)
        if not (np.isfinite(scale).all() and (scale > 0).all() and length > 0.0):
            return None
        found = np.linalg.eigh(next_information / np.outer(scale, scale))
        values, vectors = np.asarray(found.eigenvalues), np.asarray(found.eigenvectors)
        if not values[0] > 0.0:
            return None
        root = vectors / np.asarray(np.sqrt(values)) / scale[:, None]
        relative = float(np.abs(np.linalg.eigvalsh(root.T @ change @ root)).max())
        third = 6.0 * ((information + next_information) @ along / 2.0 - (score - next_score))
        return cls(along, next_information, change, change @ along + third, third, relative / math.sqrt(length))

    def length(self, step: FloatArray) -> float:
        return math.sqrt(max(float(step @ self.information @ step), 0.0))

    def ahead(self, step: FloatArray) -> float:
        """The largest relative change of the information that this step may bring, with room for other directions.

        After the step the coefficients are off by about half of that much of the step, standard errors by half of it.
        """
        return _OTHER_DIRECTION * self.relative(step)

    def relative(self, step: FloatArray) -> float:
        """The same if the information changes as fast as over the step before."""
        return self.rate * self.length(step)

    def step(self, newton: FloatArray, covariance: FloatArray) -> FloatArray:
        """The step to where the bent score is nought; the Newton step where the bend would change it too much."""
        step, reach = newton, self.length(newton)
        whole = self.along @ self.information
        for _ in range(_REPEATS):
            part = float(whole @ step) / float(whole @ self.along)
            across = step - part * self.along
            bent = part**2 / 2.0 * self.second + part * (self.change @ across) + part**3 / 3.0 * self.third
            step = newton - covariance @ bent
            if not self.length(step - newton) <= _MOST * reach:
                return newton
        return np.asarray(step)
