"""Numbers that tell people apart as a yes/no column does, found from sums alone, and how many people weights leave.

Of all distributions those on two values, and only those, have kurtosis = skewness^2 + 1 (K. Pearson (1916), Philosophical
Transactions A 216:429-457); the skewness then says how many people have the rarer value. So a column coded 1 and 2, or one
with a single person so far out that nobody else matters, obeys the rule on cells like any other group, though no site
says which values it holds. The sums are taken with the first pass.

Prior weights leave (sum w)^2 / (sum w^2) people in effect (L. Kish (1965), Survey Sampling, Wiley, section 11.7).
"""

from __future__ import annotations

import math

import numpy as np

from civicgrid.disclosure.shapes import Combined, Dimension, FloatArray, IntArray, Sums
from civicgrid.methods.glm.model import Model
from civicgrid.methods.method import BLOCK
from civicgrid.methods.people import People

NAME = "moments"

_SUMS = 6
"""For each number: powers 1 to 4 of the distance from its mean, the distance of those with the outcome, and how many
those are.
"""

_ROOM = np.array([0, 0, 24, 40, 0, 0], dtype=np.int64)
"""Room for a cube or fourth power that one person alone makes, among millions."""

_TWO = 1e-3
"""A kurtosis this near to its least, relatively, is that of two values."""


class Moments:
    """The site's half: sums about public means, block by block."""

    def __init__(self, model: Model, means: FloatArray, sizes: IntArray, weight_size: int) -> None:
        self.model, self.means, self.weight_scale = model, means, math.ldexp(1.0, -weight_size)
        powers = np.array([1, 2, 3, 4, 1, 0], dtype=np.int64)
        self.exponents = np.append((np.asarray(sizes)[:, None] * powers + _ROOM).reshape(-1), 0).astype(np.int64)
        self.total = np.zeros((len(means), _SUMS))
        self.squares, self.people = 0.0, 0
        self.away, self.square = (np.empty((len(means), BLOCK)) for _ in range(2))

    def count(self, people: People) -> None:
        """Add one block."""
        self.people += people.count
        if self.model.measured:
            self._add(people)
        weights = people.number(self.model.weights)
        self.squares += people.count if weights is None else float(weights @ weights) * self.weight_scale**2

    def _add(self, people: People) -> None:
        away, square = self.away[:, : people.count], self.square[:, : people.count]
        for row, name in enumerate(self.model.measured):
            np.subtract(people.arrays[name], self.means[row], out=away[row])
        np.multiply(away, away, out=square)
        event = self.model.response(people) if self.model.family.binary else np.zeros(people.count)
        sums = away @ np.column_stack([np.ones(people.count), event])
        powers = [square.sum(axis=1), np.vecdot(square, away), np.vecdot(square, square)]
        self.total += np.column_stack([sums[:, 0], *powers, sums[:, 1], np.full(len(away), event.sum())])

    def part(self) -> Sums:
        """As a part of a share."""
        values = np.append(self.total.reshape(-1), self.squares)[None, :]
        return Sums(NAME, values, np.array([self.people]), self.exponents, Dimension("people", ("all",)))


def told_apart(model: Model, received: Combined, people: float) -> IntArray:
    """The coordinator's half: the pooled cells of every number that has two values in effect."""
    values = np.asarray(received[NAME].values, dtype=np.float64)[0, :-1].reshape(-1, _SUMS)
    cells: list[int] = []
    for sums in values:
        cells += _cells(sums, people, model.family.binary)
    return np.array(cells, dtype=np.int64)


def effective_people(received: Combined, weight: float, weight_size: int) -> float:
    """How many people of equal weight would tell as much."""
    squares = float(np.asarray(received[NAME].values, dtype=np.float64)[0, -1])
    return math.ldexp(weight, -weight_size) ** 2 / squares if squares > 0.0 else 0.0


def _cells(sums: FloatArray, people: float, binary: bool) -> list[int]:
    """People with the rarer and with the other value, by outcome where that is yes or no; none unless there are two."""
    one, two, three, four, with_event, events = (float(value) / people for value in sums)
    variance = two - one**2
    third = three - 3 * one * two + 2 * one**3
    fourth = four - 4 * one * three + 6 * one**2 * two - 3 * one**4
    if not variance > 0.0:
        return []
    skewness, kurtosis = third / variance**1.5, fourth / variance**2
    if not abs(kurtosis - skewness**2 - 1.0) <= _TWO * kurtosis:
        return []
    rare = (1.0 - math.sqrt(1.0 - 4.0 / (skewness**2 + 4.0))) / 2.0
    if not binary:
        return [round(rare * people), round((1.0 - rare) * people)]
    side = 1.0 if skewness >= 0 else -1.0
    far = side * math.sqrt(variance * (1.0 - rare) / rare)
    near = -side * math.sqrt(variance * rare / (1.0 - rare))
    both = (with_event - one * events - near * events) / (far - near)
    shares = (rare - both, both, 1.0 - rare - events + both, events - both)
    return [max(0, round(share * people)) for share in shares]
