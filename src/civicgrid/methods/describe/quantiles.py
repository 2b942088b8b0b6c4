"""Quantiles from counts below public edges, each with the largest amount by which it can be off.

No value of a person leaves a site, only how many people lie below each edge. The edges are a grid that every site works out
by itself from the column's kind and declared range (`grid`): no Ask carries edges, and there is one grid a column, so that
nobody can move an edge about between two people.

- Within a declared range the edges are the multiples of a power of two, 1024 to 2048 bins in all. Of a whole number with a
  narrower range, one edge lies between each two numbers, and its quantiles come out exact.
- Without one they are the same for every column: 32 to the octave from 2^-7 to 2^24 on both sides of nought.
- Beyond either, coarser octaves up to 2^50.

Multiples of powers of two, so that two plans which declare different ranges of one column have no edges but those of
the finer one.

A published quantile lies in a bin that holds as many people as a cell must: in a closer one it could be one person's
value. So neighbouring bins are taken together, and the bound beside the quantile says so. Where no bins need be, that is
with many people, it is half of a bin: within the declared range at most 1/2048 of the range, without one at most 1/64 of
the value (from 2^-7 to 2^24), and for whole numbers below 32, or with a range below 1024, nothing.

The quantile is that of R's type 7 and NumPy's default: between the order statistics around (n - 1) q. Source:
R.J. Hyndman and Y. Fan (1996), Sample quantiles in statistical packages, The American Statistician
50(4):361-365.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from civicgrid.disclosure.rules import UNKNOWN
from civicgrid.disclosure.shapes import FloatArray, IntArray
from civicgrid.query.types import ColumnType

FEWEST_BINS = 1024
"""Within a declared range, and less than twice as many."""

_NARROWEST = -900


def _octaves(steps: int, first: int, last: int) -> FloatArray:
    """Edges from 2^first to 2^last, so many to the octave."""
    return np.ldexp(1.0 + np.arange(steps) / steps, np.arange(first, last)[:, None]).ravel()


_BEYOND = _octaves(4, -30, 50)
_UNDECLARED = np.concatenate([_octaves(2, -30, -7), _octaves(32, -7, 24), _octaves(4, 24, 50)])


def grid(column: ColumnType) -> FloatArray:
    """The public edges of a column, from its kind and declared range alone."""
    if column.low is None or column.high is None:
        return _between(np.concatenate([-_UNDECLARED[::-1], [0.0], _UNDECLARED]), column)
    half = max(column.high / 2 - column.low / 2, math.ldexp(1.0, _NARROWEST))
    step = math.ldexp(1.0, math.floor(math.log2(half)) + 1 - int(math.log2(FEWEST_BINS)))
    if column.kind == "int":
        step = max(step, 1.0)
    inside = np.arange(math.floor(column.low / step), math.ceil(column.high / step) + 1) * step
    if column.kind == "int":
        inside = np.append(inside[0] - step, inside)
    beyond = np.concatenate([-_BEYOND[::-1], [0.0], _BEYOND])
    return _between(np.concatenate([beyond[(beyond < inside[0]) | (beyond > inside[-1])], inside]), column)


def _between(edges: FloatArray, column: ColumnType) -> FloatArray:
    """In order, each once; for whole numbers, half-way between two of them."""
    return np.unique(np.floor(edges) + 0.5 if column.kind == "int" else edges)


def rarer(bins: IntArray) -> IntArray:
    """By row, how many people are in the rarer of two occupied bins: of a yes/no column coded as a number the mean gives
    them away. Nobody, where one bin holds all: a column that is yes for nobody looks so. With three and more, everybody.
    """
    occupied = (bins > 0).sum(axis=1)
    least = np.where(bins > 0, bins, UNKNOWN).min(axis=1)
    return np.asarray(np.where(occupied > 2, UNKNOWN, np.where(occupied == 2, least, 0)), dtype=np.int64)


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
