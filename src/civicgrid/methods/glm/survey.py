"""What the coordinator reads from the survey: whether a fit is possible, where it starts, and in which
coordinates.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from civicgrid.disclosure.shapes import Combined, FloatArray, IntArray
from civicgrid.methods.bounds import square_sizes
from civicgrid.methods.glm.cells import shown_cells
from civicgrid.methods.glm.checks import check_cells, check_constant, check_people, check_unit
from civicgrid.methods.glm.model import Model
from civicgrid.methods.glm.site import TOTALS, Place
from civicgrid.methods.method import Ask


@dataclass(frozen=True)
class Survey:
    """The survey of all sites together. `means`, `centres` and `sizes` are by number; `cells` are those that every
    site showed. `without` is how many sites gave the sums of nobody, as far as they showed it.
    """

    model: Model
    totals: dict[str, float]
    used: int
    dropped: int | None
    without: int
    cells: IntArray
    means: dict[str, float]
    centres: dict[str, float]
    sizes: dict[str, int]

    @property
    def exact(self) -> float:
        """A deviance below this is nought but for rounding: the predictors give the outcome away."""
        if self.model.family.estimated_dispersion:
            return float(1e-20 * self.totals["weight"] * 4.0 ** self.sizes[self.model.outcome])
        return 1e-9 * self.totals["weight"]

    def start(self) -> FloatArray:
        """The coefficients of the fit with nothing but an intercept; nought without one."""
        beta = np.zeros(self.model.design.size)
        if self.model.design.intercept:
            exposed = self.model.offset is not None and self.totals["exposure"] > 0
            below = self.totals["exposure" if exposed and not self.model.family.binary else "weight"]
            beta[0] = self.model.family.start(self.totals["outcome"] / below)
        return beta

    def first(self) -> Ask:
        """The first pass, from the fit with nothing but an intercept, with the moments of the numbers."""
        ask = self.place(self.start()).ask()
        means = np.array([self.means[name] for name in self.model.measured], dtype=np.float64)
        return Ask(ask.step, {**ask.arrays, "means": means}, ask.values)

    def place(self, beta: FloatArray) -> Place:
        """Where a pass with these coefficients is evaluated."""
        measured = self.model.measured
        weight = self.totals["weight"] / max(self.totals["people"], 1.0)
        return Place(
            beta,
            np.array([self.centres[name] for name in measured], dtype=np.float64),
            np.array([self.sizes[name] for name in measured], dtype=np.int64),
            _power(weight),
        )


def totals_of(received: Combined) -> dict[str, float]:
    """The totals of the survey by name. ValueError where they are no numbers."""
    values = np.asarray(received["totals"].values, dtype=np.float64)[0]
    if not np.isfinite(values).all():
        raise ValueError("expected finite totals")
    return dict(zip(TOTALS, (float(v) for v in values), strict=True))


def survey_of(model: Model, received: Combined, fewest: int) -> Generator[Ask, Combined, Survey]:
    """What the answer to the first round says, with a second round where that needs one.

    FitError where it already shows that there is no fit. Nothing is said of fewer than `fewest` people.
    """
    totals = totals_of(received)
    check_people(model, received, totals, fewest)
    check_cells(model, received)
    people = totals["people"]
    places = np.asarray(received["places"].values, dtype=np.float64)[0].reshape(-1, 2) / people
    means, centres, spreads = {}, {}, {}
    for name, (mean, away) in zip(model.measured, places, strict=True):
        free = model.can_be_centred(name)
        means[name] = model.middle(name) + float(mean)
        centres[name] = means[name] if free else 0.0
        spreads[name] = float(away)
    # The middle is close enough to the mean for the distance from it to be the spread; else the spread is
    # asked for.
    if any(abs(mean) > away / 2 for mean, away in places) or not all(
        model.can_be_centred(name) for name in model.measured
    ):
        centre = np.array([centres[name] for name in model.measured])
        farthest = places[:, 1] + np.abs(centre - [model.middle(name) for name in model.measured])
        sizes = square_sizes(farthest, np.array(people), [model.schema[name] for name in model.measured])
        ask = Ask("spread", {"centre": centre, "sizes": sizes})
        squares = np.asarray((yield ask)["spread"].values, dtype=np.float64)[0] / people
        spreads = dict(zip(model.measured, (math.sqrt(max(float(v), 0.0)) for v in squares), strict=True))
    check_constant(model, centres, spreads)
    check_unit(model, spreads)
    dropped, without = received["dropped"], received["without"]
    return Survey(
        model,
        totals,
        round(people),
        int(dropped.values) if dropped.complete else None,
        int(without.values) if without.complete else 0,
        shown_cells(model, received),
        means,
        centres,
        {name: _power(value) for name, value in spreads.items()},
    )


def _power(value: float) -> int:
    return int(np.clip(np.round(np.log2(value)), -300, 300)) if value > 0 else 0
