"""The coordinator's half of a description: the rounds, and the statistics of each group and of all
together.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from civicgrid.disclosure.rules import UNKNOWN
from civicgrid.disclosure.shapes import Combined, FloatArray, IntArray, Received
from civicgrid.methods.bounds import square_sizes
from civicgrid.methods.describe.layout import ALL, Layout, counts_name, histogram_name
from civicgrid.methods.describe.quantiles import Below, Quantile, grid, rarer
from civicgrid.methods.describe.site import SUMS
from civicgrid.methods.method import Ask

SHARES = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Summary:
    """Numbers by (group, number), the groups followed by all together where there are several; counts by
    variable.

    `support` is how many people a statistic rests on: those with a value, but where the values lie in two places, as
    a yes/no column coded as a number does, those in the rarer one, since the mean gives their number away; where they lie
    in one, nobody.
    """

    groups: tuple[str, ...]
    people: IntArray
    support: IntArray
    mean: FloatArray
    sd: FloatArray
    quantiles: dict[tuple[int, int], list[Quantile]]
    counts: dict[str, Received]
    ungrouped: Received | None


def summarise(layout: Layout, together: int = 0) -> Generator[Ask, Combined, Summary]:
    """The survey, then sums of squares about its means. A quantile is given between edges that hold `together` people.
    """
    numbers = layout.numbers
    received = yield Ask("survey")
    counts = {name: received[counts_name(name)] for name in layout.variables}
    groups = layout.groups.levels if layout.by is None else (*layout.groups.levels, ALL)
    ungrouped = received.get("no group")
    if not numbers:
        empty = np.zeros((len(groups), 0))
        none = empty.astype(np.int64)
        return Summary(groups, none, none, empty, empty, {}, counts, ungrouped)

    sums = np.asarray(received["sums"].values, dtype=np.float64).reshape(len(layout.groups.levels), -1, SUMS)
    people, away = sums[:, :, 0], sums[:, :, 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        # About the middle of the range, where the sums are, so that no digits are lost in the sums of
        # squares.
        mean = away / people
        size = sums[:, :, 2].sum(axis=0) / people.sum(axis=0)
    below = {name: _below(received[histogram_name(name)], grid(layout.schema[name])) for name in numbers}
    carrying = np.stack([_rarer(received[histogram_name(name)]) for name in numbers], axis=1)
    known, columns = np.nan_to_num(mean) + layout.middles(), [layout.schema[name] for name in numbers]
    arrays = {"means": known, "sizes": square_sizes(size, people.sum(axis=0), columns)}
    squared = (yield Ask("squares", arrays))["squares"]
    about = np.asarray(squared.values, dtype=np.float64).reshape(*people.shape, 2)
    mean = mean + np.nan_to_num(about[:, :, 0] / np.maximum(people, 1.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        # The rounding of the means that the distances are from, taken out again (Chan, Golub and LeVeque
        # 1983).
        squares = about[:, :, 1] - np.nan_to_num(about[:, :, 0] ** 2 / people)
    if layout.by is not None:
        people, mean, squares = _with_all(people, mean, squares)
    whole_mean = mean + layout.middles()
    with np.errstate(divide="ignore", invalid="ignore"):
        sd = np.sqrt(np.maximum(squares, 0.0) / (people - 1))
        # A column that does not vary differs from its mean by the rounding of the mean alone.
        sd[sd <= 4 * np.finfo(np.float64).eps * np.abs(whole_mean)] = 0.0
    sd[people < 2] = np.nan
    quantiles = {
        (group, index): _quantiles(layout, name, below[name][group], together)
        for index, name in enumerate(numbers)
        for group in range(len(groups))
    }
    whole = people.round().astype(np.int64)
    support = np.minimum(whole, carrying)
    return Summary(groups, whole, support, whole_mean, sd, quantiles, counts, ungrouped)


def _rarer(histogram: Received) -> IntArray:
    """By group, and all together where there are several: `rarer` of the bins; everybody where a site merged them, having
    judged them itself.
    """
    bins = np.asarray(histogram.values, dtype=np.int64)
    rows = bins if len(bins) == 1 else np.vstack([bins, bins.sum(axis=0)])
    if histogram.low is not None and not np.array_equal(histogram.low, np.asarray(histogram.high)):
        return np.full(len(rows), UNKNOWN)
    return rarer(rows)


def _below(received: Received, edges: FloatArray) -> list[Below]:
    """What a histogram says of each group and, where there are several, of all together."""
    values = np.asarray(received.values, dtype=np.int64)
    exact = np.concatenate([np.zeros((len(values), 1), np.int64), np.cumsum(values, axis=1)], axis=1)
    low = exact if received.low is None else np.asarray(received.low, dtype=np.int64)
    high = exact if received.high is None else np.asarray(received.high, dtype=np.int64)
    ends = np.concatenate([[-np.inf], edges, [np.inf]])
    found = [Below(ends, a, b) for a, b in zip(low, high, strict=True)]
    return found if len(found) == 1 else [*found, Below(ends, low.sum(axis=0), high.sum(axis=0))]


def _quantiles(layout: Layout, name: str, below: Below, together: int = 0) -> list[Quantile]:
    whole = layout.schema[name].kind == "int"
    return [below.quantile(share, whole, UNKNOWN, together) for share in SHARES]


def _with_all(people: FloatArray, mean: FloatArray, squares: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The statistics of all groups together as a last row: squares within plus squares between, nothing
    subtracted.
    """
    total = people.sum(axis=0)
    known = np.nan_to_num(mean)
    with np.errstate(divide="ignore", invalid="ignore"):
        overall = (people * known).sum(axis=0) / total
    between = (people * (known - np.nan_to_num(overall)) ** 2).sum(axis=0)
    return (
        np.vstack([people, total]),
        np.vstack([mean, overall]),
        np.vstack([squares, squares.sum(axis=0) + between]),
    )
