"""How much of a pass is one person's: what the gate at a site reads before the sums leave, masked or open.

Whoever chooses the coefficients of a pass can make nearly every working weight w vanish but one; whoever chooses the
columns can give a person a coefficient of their own. Both show at the site, in its own rows:

    effective people  (sum w)^2 / (sum w^2)    L. Kish (1965), Survey Sampling, section 11.7
    leverage          w x' (sum w x x')^-1 x   R.D. Cook and S. Weisberg (1982), Residuals and Influence in Regression, 2.1

A person of leverage 1 alone decides a coefficient. In a linear regression the sums hold those of the outcome squared too,
whatever the coefficients, so there the outcome stands as a column more.

For every block h <= max w max |x|^2 / smallest eigenvalue, and max |x|^2 is the same in every pass, so that most tables are
never looked at again. Only the people of a block for whom that is not enough get their exact leverage.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from civicgrid.disclosure.shapes import FloatArray
from civicgrid.methods.method import BLOCK
from civicgrid.query.table import Table

_NOTHING = 1e-13
"""A direction with less of the information than this, relatively, holds nothing but rounding."""

Rows = Callable[[], Iterator[tuple[FloatArray, FloatArray | None, FloatArray]]]
"""The blocks of a pass once more: design, working weights, and the residual without its weight."""


@dataclass(frozen=True)
class Extent:
    """How far the design columns reach at this site: the same in every pass about the same centres.

    `squares` is the mean square of each column, `largest` the largest |x|^2 in each block, in the units of the Ask.
    """

    squares: FloatArray
    largest: FloatArray


@dataclass
class Influence:
    """Gathers a pass block by block. `units` turns the columns of the design into those of the Ask's sizes."""

    units: FloatArray
    linear: bool
    extent: Extent | None
    weight: list[tuple[float, float, float]] = field(default_factory=list)
    residual: list[float] = field(default_factory=list)
    _squares: list[FloatArray] = field(default_factory=list)
    _largest: list[float] = field(default_factory=list)
    people: int = 0

    def __post_init__(self) -> None:
        self._scratch = np.empty((len(self.units), BLOCK if self.extent is None else 0))

    @classmethod
    def of(cls, table: Table, key: bytes, units: FloatArray, linear: bool) -> Influence:
        """With what an earlier pass about the same centres has found out about the rows."""
        known = table.measured.get(key)
        return cls(units, linear, known if isinstance(known, Extent) else None)

    def add(self, design: FloatArray, variance: FloatArray | None, residual: FloatArray) -> None:
        """One block: design of shape (columns, people), working weights (None: all 1), and y - mu without prior weights."""
        count = design.shape[1]
        self.people += count
        if variance is None:
            self.weight.append((float(count), float(count), 1.0))
        else:
            self.weight.append((float(variance.sum()), float(variance @ variance), float(variance.max())))
        if self.linear:
            square = residual * residual
            self.residual.append(float((square if variance is None else square * variance).max()))
        if self.extent is None:
            square = np.multiply(design, design, out=self._scratch[:, :count])
            self._squares.append(square.sum(axis=1))
            self._largest.append(float((self.units**2 @ square).max()))

    def measured(self, table: Table, key: bytes) -> Extent:
        """What is known of the rows, kept with the table for the next pass."""
        if self.extent is None:
            total = np.sum(self._squares, axis=0) if self._squares else np.zeros(len(self.units))
            self.extent = Extent(total / max(self.people, 1), np.array(self._largest))
            table.measured.clear()
            table.measured[key] = self.extent
        return self.extent

    def effective(self) -> int:
        """How many people of equal weight would tell as much as the working weights do."""
        sums = np.sum(self.weight, axis=0) if self.weight else np.zeros(3)
        with np.errstate(over="ignore"):
            found = sums[0] ** 2 / sums[1] if sums[1] > 0.0 else 0.0
        return round(found) if math.isfinite(found) else 0

    def steepness(self, extent: Extent, beta: FloatArray) -> float:
        """The largest coefficient times the spread of its column; nought in a linear regression, which never saturates."""
        if self.linear or not len(beta):
            return 0.0
        return float(np.max(np.abs(beta) * np.sqrt(extent.squares)))

    def leverage(
        self, extent: Extent, information: FloatArray, score: FloatArray, deviance: float, rows: Rows
    ) -> Callable[[float], float]:
        """The largest leverage of one person, or a bound on it that is below the argument."""

        def largest(enough: float) -> float:
            if not self.people:
                return 0.0
            whole, units = information, self.units
            if self.linear:
                whole = np.block([[information, score[:, None]], [score[None, :], np.array([[deviance]])]])
                units = np.append(units, 1.0)
            scale = np.sqrt(np.maximum(np.diag(whole), 0.0))
            there = scale > 0.0
            if not np.isfinite(whole).all() or not there.any():
                return 1.0
            found = np.linalg.eigh(whole[np.ix_(there, there)] / np.outer(scale[there], scale[there]))
            values, vectors = np.asarray(found.eigenvalues), np.asarray(found.eigenvectors)
            # |x|^2 in the units of the Ask against that in units of the diagonal of the information.
            stretch = float(np.max(1.0 / (units * scale)[there][: int(there[: len(self.units)].sum())], initial=0.0)) ** 2
            weights = np.array([most for _, _, most in self.weight])
            bound = weights * extent.largest * stretch
            if self.linear and scale[-1] > 0.0:
                bound = bound + np.array(self.residual) / whole[-1, -1]
            if values[0] > _NOTHING:
                bound = bound / values[0]
            else:
                bound = np.full(len(bound), np.inf)
            if bool((bound <= enough).all()):
                return float(bound.max())
            kept = values > _NOTHING
            root = vectors[:, kept] / np.asarray(np.sqrt(values[kept])) / scale[there, None]
            most = float(bound[bound <= enough].max(initial=0.0))
            for block, (design, variance, residual) in enumerate(rows()):
                if not bound[block] <= enough:
                    x = np.vstack([design, residual]) if self.linear else design
                    exact = np.square(root.T @ x[there]).sum(axis=0)
                    here = float((exact if variance is None else exact * variance).max())
                    if math.isnan(here):
                        return 1.0
                    most = max(most, here)
            return most

        return largest
