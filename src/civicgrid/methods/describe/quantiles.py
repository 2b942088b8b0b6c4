"""Quantiles from counts below public edges, each with the largest amount by which it can be off.

No value of a person leaves a site, only how many people lie below each edge. The first edges are public: an
even grid over the declared range and, beyond it or without one, eight to the octave from 2^-30 to 2^50 on
both sides of nought. Further edges divide the bins in which the quantiles lie, as long as a part still
holds ten people on average. The edges of a whole number lie between the whole numbers, so that its
quantiles can come out exact.

A published quantile lies in a bin that holds as many people as a cell must: in a closer one it could be one person's
value. So neighbouring bins are taken together, and the bound beside the quantile says so.

The quantile is that of R's type 7 and NumPy's default: between the order statistics around (n - 1) q. Source:
R.J. Hyndman and Y. Fan (1996), Sample quantiles in statistical packages, The American Statistician
50(4):361-365.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from civicgrid.disclosure.shapes import FloatArray, IntArray
from civicgrid.query.types import ColumnType

MAX_EDGES = 4096
BINS = 128
MOST_WHOLE = 256
PEOPLE_PER_BIN = 10
PARTS = 64
CLOSE_ENOUGH = 1e-4
"""A bound below this part of the range between the quartiles is not refined further."""

FARTHEST = 2.0**50
"""Beyond the first and last of the first edges."""

FINEST = 2.0**-20
"""How close two edges may lie, as a part of the declared range."""

_OCTAVES = np.ldexp(1.0 + np.arange(8) / 8, np.arange(-30, 50)[:, None]).ravel()


def first_edges(column: ColumnType) -> FloatArray:
    """The public edges that a column starts with, by its kind and declared range alone."""
    beyond = np.concatenate([-_OCTAVES[::-1], [0.0], _OCTAVES])
    if column.low is None or column.high is None:
        return _between(beyond, column)
    steps = BINS
    if column.kind == "int" and column.high - column.low < MOST_WHOLE:
        steps = math.ceil(column.high - column.low) + 1
        inside = np.floor(column.low) - 0.5 + np.arange(steps + 1)
    else:
        inside = np.linspace(column.low, column.high, steps + 1)
    outside = beyond[(beyond < inside[0]) | (beyond > inside[-1])]
    return _between(np.concatenate([outside, inside]), column)


def closest(column: ColumnType) -> float:
    """How close two edges within the declared range may lie: closer ones close in on a person, and a site refuses."""
    return 0.0 if column.low is None or column.high is None else (column.high - column.low) * FINEST


def _between(edges: FloatArray, column: ColumnType) -> FloatArray:
    """In order, each once; for whole numbers, half-way between two of them."""
    return np.unique(np.floor(edges) + 0.5 if column.kind == "int" else edges)


@dataclass(frozen=True)
class Quantile:
    """A quantile, how far off it can be, and the bins (low end, high end, people at most) in which it was
    found.
    """

    value: float
    bound: float
    bins: tuple[tuple[float, float, int], ...] = ()


NOT_AVAILABLE = Quantile(math.nan, math.nan)


@dataclass(frozen=True)
class Below:
    """At least `low` and at most `high` people lie below each of `edges`, which begin at -inf and end at
    inf.
    """

    edges: FloatArray
    low: IntArray
    high: IntArray

    def joined(self, other: Below) -> Below:
        """What both say together."""
        edges, place = np.unique(np.concatenate([self.edges, other.edges]), return_inverse=True)
        low = np.zeros(len(edges), dtype=np.int64)
        high = np.full(len(edges), np.iinfo(np.int64).max)
        np.maximum.at(low, place, np.concatenate([self.low, other.low]))
        np.minimum.at(high, place, np.concatenate([self.high, other.high]))
        return Below(edges, low, high)

    def quantile(self, share: float, whole: bool, unknown: int, together: int = 0) -> Quantile:
        """The quantile of this share of people, from bins that hold `together` people or more; not available where the
        number of people is not known to be under `unknown`.
        """
        fewest, most = int(self.low[-1]), int(self.high[-1])
        if fewest <= 0 or most >= unknown:
            return NOT_AVAILABLE
        place = (fewest - 1) * share
        first, part = math.floor(place), place - math.floor(place)
        last = math.ceil(place)
        if fewest != most:
            last = math.ceil((most - 1) * share)
            part = 0.5
        bins = [self._bin(first, whole, together), self._bin(last, whole, together)]
        if fewest != most:
            bins = [(bins[0][0], bins[1][1], bins[1][2])]
        if not all(math.isfinite(low) and math.isfinite(high) for low, high, _ in bins):
            return NOT_AVAILABLE
        weights = [1.0] if len(bins) == 1 else [1.0 - part, part]
        value = sum(w * (low + high) / 2 for w, (low, high, _) in zip(weights, bins, strict=True))
        bound = sum(w * (high - low) / 2 for w, (low, high, _) in zip(weights, bins, strict=True))
        return Quantile(value, bound, tuple(dict.fromkeys(bins)))

    def _bin(self, rank: int, whole: bool, together: int) -> tuple[float, float, int]:
        """Between which edges the person of this rank (from 0) lies for certain with as many others as make `together`,
        and how many people lie there.
        """
        start = int(np.flatnonzero(self.high <= rank)[-1])
        ends = np.flatnonzero(self.low > rank)
        if not len(ends):
            return float(self.edges[start]), math.inf, 0
        end = int(ends[0])
        start, end = self._block(start, end, together)
        low, high = float(self.edges[start]), float(self.edges[end])
        people = int(self.high[end] - self.low[start])
        if whole and math.isfinite(low) and math.isfinite(high):
            return math.ceil(low), math.floor(high), people
        return low, high, people

    def _block(self, start: int, end: int, together: int) -> tuple[int, int]:
        """The bins from `start` to `end` with their neighbours, until `together` people are there.

        They are the halves of the edges, halves of these, and so on. Ends that were sought outwards from one person would
        have that person in their middle.
        """
        most, size = len(self.edges) - 1, 1
        first, last = start, end
        while self.low[last] - self.high[first] < together and last - first < most:
            size *= 2
            first, last = start // size * size, min(-(-end // size) * size, most)
        return first, last


def further_edges(found: list[Quantile], column: ColumnType) -> FloatArray:
    """Edges that divide the bins of these quantiles (of several groups, say); none where that would not
    help.
    """
    values = [quantile.value for quantile in found if math.isfinite(quantile.value)]
    close = CLOSE_ENOUGH * (max(values) - min(values)) / 2 if values else 0.0
    bins = {bin for quantile in found for bin in quantile.bins if quantile.bound > close}
    edges = []
    most = max(2, min(PARTS, MAX_EDGES // max(len(bins), 1) - 1))
    for low, high, people in sorted(bins):
        parts = min(people // PEOPLE_PER_BIN, most)
        if (least := closest(column)) > 0.0:
            parts = min(parts, int((high - low) / least))
        if parts >= 2 and high > low:
            edges.append(np.linspace(low, high, parts + 1))
    return _between(np.concatenate(edges), column)[:MAX_EDGES] if edges else np.zeros(0)
