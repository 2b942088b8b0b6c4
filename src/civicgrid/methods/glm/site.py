"""The site's half of a regression: what each round adds up over the people of one table.

The survey says who can be used, how they fall into the groups that the model tells apart, and where the
numbers lie; the spread, how far they lie from public centres; each pass, score, information and deviance
at public coefficients. A table without people gives sums of nought.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from civicgrid.disclosure.shapes import Counts, Dimension, FloatArray, IntArray, ModelSums, Share, Sums
from civicgrid.errors import PlanError
from civicgrid.methods.bounds import smallest_size, smallest_square, within
from civicgrid.methods.glm.cells import Cells, evidence
from civicgrid.methods.glm.design import Filler
from civicgrid.methods.glm.influence import Influence
from civicgrid.methods.glm.model import Model
from civicgrid.methods.glm.moments import Moments
from civicgrid.methods.method import BLOCK, Ask
from civicgrid.methods.people import People
from civicgrid.query.table import Table

ALL = Dimension("people", ("all",))

_PIECE = 1024

TOTALS = ("people", "weight", "outcome", "exposure", "saturated")
"""What the survey adds up beside the numbers: people; weights; weighted outcome; weights by exp(offset);
and the saturated log-likelihood.
"""


TOTAL_SIZES = [0, 0, 2, 9, 7]
"""Their public sizes as powers of two: each holds the most that `bounds`, `LARGEST_COUNT` and `LARGEST_WEIGHT` allow,
from four thousand million people.
"""

_LARGEST_EXPOSURE = 2.0**43

_LEAST_WEIGHT_SIZE = -60
"""Smaller mean weights are lost in the survey."""


def survey(model: Model, table: Table) -> Share:
    """Round one."""
    cells = Cells(model)
    used = dropped = invalid = 0
    totals, places, squares = np.zeros(len(TOTALS)), np.zeros((len(model.measured), 2)), 0.0
    middles, scratch = [(name, model.middle(name)) for name in model.measured], np.empty(BLOCK)
    for people in model.people(table):
        dropped += people.dropped
        invalid += people.invalid
        if not people.count:
            continue
        used += people.count
        y, offset, weights = model.response(people), people.number(model.offset), people.number(model.weights)
        exposure = _exposure(offset, weights)
        totals += _totals(model, y, exposure, weights)
        squares += 0.0 if exposure is None else float(exposure @ exposure)
        for index, (name, middle) in enumerate(middles):
            away = np.subtract(people.arrays[name], middle, out=scratch[: people.count]) if middle else people.arrays[name]
            places[index] += away.sum(), np.abs(away, out=scratch[: people.count]).sum()
        cells.count(people)
    sizes = [model.magnitude(name) for name in model.measured for _ in range(2)]
    exposed = totals[TOTALS.index("exposure")]
    effective = round(exposed**2 / squares) if squares > 0.0 else None
    return (
        _count("used", used),
        _count("dropped", dropped, left_out=True),
        _count("invalid", invalid, left_out=True),
        _count("without", int(used == 0), left_out=True),
        _sums("totals", totals, used, TOTAL_SIZES, effective),
        _sums("places", places.ravel(), used, sizes),
        *cells.counts(),
    )


def _exposure(offset: FloatArray | None, weights: FloatArray | None) -> FloatArray | None:
    if offset is None:
        return None
    rate = np.exp(np.minimum(offset, 30.0))
    return np.asarray(np.minimum(rate if weights is None else rate * weights, _LARGEST_EXPOSURE))


def _totals(model: Model, y: FloatArray, exposure: FloatArray | None, weights: FloatArray | None) -> FloatArray:
    whole = np.ones(len(y)) if weights is None else weights
    saturated = model.family.saturated(y, weights)
    # A linear regression starts at nought and needs no mean.
    outcome = 0.0 if model.family.estimated_dispersion else whole @ y
    exposed = 0.0 if exposure is None else exposure.sum()
    return np.array([len(y), whole.sum(), outcome, exposed, saturated])


def _count(name: str, value: int, left_out: bool = False) -> Counts:
    return Counts(name, np.array(value, dtype=np.int64), left_out=left_out)


def _sums(
    name: str, values: FloatArray, support: int, exponents: list[int], effective: int | None = None
) -> Sums:
    return Sums(name, values[None, :], np.array([support]), np.array(exponents, dtype=np.int64), ALL, effective)


def spread(model: Model, table: Table, ask: Ask) -> Share:
    """Round two: how far the numbers lie from their centres, as sums of squares.

    These are polynomials in the centres, so that no centre tells more than another. Sums of distances without regard to
    sign would bend at each person's value, and a hub that moved the centre would find them.
    """
    ask.only("centre", "sizes")
    centre, sizes = _centre(ask, model), _read(ask, "sizes", len(model.measured))
    if (sizes < [smallest_square(model.schema[name]) for name in model.measured]).any() or (sizes > 900).any():
        raise PlanError("Expected public sizes that the declared ranges allow; others came. Nothing was sent.")
    totals, used = np.zeros(len(model.measured)), 0
    for people in model.people(table):
        used += people.count
        for index, name in enumerate(model.measured):
            totals[index] += np.square(people.arrays[name] - centre[index]).sum()
    return (_sums("spread", totals, used, [int(size) for size in sizes]),)


def _centre(ask: Ask, model: Model) -> FloatArray:
    """The centres of the numbers: nought where centring would change the model, and else where the numbers can lie."""
    centre = _read(ask, "centre", len(model.measured))
    for name, value in zip(model.measured, centre, strict=True):
        if not (within(value, model.schema[name]) if model.can_be_centred(name) else value == 0.0):
            raise PlanError("Expected centres where the numbers can lie; others came. Nothing was sent.")
    return centre


@dataclass(frozen=True)
class Place:
    """Where one pass is evaluated, all of it public: coefficients, centres of the numbers, sizes as powers
    of two.
    """

    beta: FloatArray
    centre: FloatArray
    size: IntArray
    weight_size: int

    def ask(self) -> Ask:
        arrays = {"beta": self.beta, "centre": self.centre, "size": self.size}
        return Ask("pass", arrays, {"weight_size": self.weight_size})

    @classmethod
    def unfitted(cls, model: Model) -> Place:
        """Before anything is known: no effects, the middles and sizes of the declared ranges."""
        sizes = [model.magnitude(name) for name in model.measured]
        return cls(
            np.zeros(model.design.size),
            np.array([model.middle(name) for name in model.measured], dtype=np.float64),
            np.array(sizes, dtype=np.int64),
            0,
        )

    @classmethod
    def read(cls, ask: Ask, model: Model) -> Place:
        size = _read(ask, "size", len(model.measured))
        weight_size = int(ask.values.get("weight_size", 0))
        least = [smallest_size(model.schema[name]) for name in model.measured]
        weights = weight_size == 0 if model.weights is None else weight_size >= _LEAST_WEIGHT_SIZE
        if (size < least).any() or not weights:
            raise PlanError("Expected public sizes that the declared ranges allow; smaller ones came. Nothing was sent.")
        return cls(
            _read(ask, "beta", model.design.size),
            _centre(ask, model),
            size.astype(np.int64),
            weight_size,
        )

    def units(self, model: Model) -> FloatArray:
        """What brings each design column to about 1."""
        spread = dict(zip(model.measured, (int(s) for s in self.size), strict=True))
        return np.ldexp(1.0, np.clip(-model.design.sizes(spread), -450, 450).astype(np.intc))

    def key(self, model: Model) -> bytes:
        """Names the design that these centres and sizes give, and the people that it is of."""
        columns = repr((model.design.columns, model.columns, model.family.words)).encode()
        return columns + self.centre.tobytes() + self.size.tobytes()

    def exponents(self, model: Model) -> IntArray:
        """The public size of each sum of a pass: score, upper triangle of the information, deviance,
        people.
        """
        spread = dict(zip(model.measured, (int(s) for s in self.size), strict=True))
        columns, degrees = model.design.sizes(spread), model.design.degrees()
        own = model.family.estimated_dispersion
        outcome = spread[model.outcome] if own else 0
        extra = model.family.size + self.weight_size
        upper = np.triu_indices(len(columns))
        information = columns[upper[0]] + columns[upper[1]] + extra
        sizes = np.concatenate([columns + outcome + extra, information, np.array([2 * outcome + extra, 0])])
        factors = np.concatenate([degrees + own, degrees[upper[0]] + degrees[upper[1]], np.array([2 * own, 0])])
        factors[:-1] += model.weights is not None
        return np.asarray(np.clip(sizes + _room(factors, model.family.size), -900, 900), dtype=np.int64)


def _room(factors: IntArray, there: int) -> IntArray:
    """What a sum of products of so many numbers needs beside its size and the room already there, as a power of two.

    A number is at most as many of its mean sizes from the centre as there are people, if one person alone makes that
    mean: among four million, 2^23. Two such factors fit as they are.
    """
    return np.asarray(np.clip(23 * factors - 52, there, 30) - there)


@dataclass(frozen=True)
class _Block:
    """One block of people at the coefficients of a pass."""

    people: People
    design: FloatArray
    y: FloatArray
    eta: FloatArray
    weights: FloatArray | None


def _blocks(model: Model, table: Table, place: Place) -> Iterator[_Block]:
    """Block after block, each valid until the next."""
    centre = dict(zip(model.measured, place.centre, strict=True))
    shift = centre[model.outcome] if model.family.estimated_dispersion else 0.0
    filler = Filler(model.design, centre, BLOCK)
    for people in model.people(table):
        if not people.count:
            continue
        design = filler.fill([people.arrays[name] for name in model.design.sources], people.count)
        eta = place.beta @ design
        if (offset := people.number(model.offset)) is not None:
            eta += offset
        y = model.response(people) - shift if shift else model.response(people)
        yield _Block(people, design, y, eta, people.number(model.weights))


def one_pass(model: Model, table: Table, ask: Ask) -> Share:
    """Each further round: the sums that one Newton step needs, with the moments of the numbers where the Ask has means."""
    ask.only("beta", "centre", "size", "weight_size", "means")
    place = Place.read(ask, model)
    size, family = model.design.size, model.family
    moments = None
    if "means" in ask.arrays:
        means = _read(ask, "means", len(model.measured))
        if not all(within(mean, model.schema[name]) for name, mean in zip(model.measured, means, strict=True)):
            raise PlanError("Expected means where the numbers can lie; others came. Nothing was sent.")
        moments = Moments(model, means, place.size, place.weight_size)
    influence = Influence.of(table, place.key(model), place.units(model), family.estimated_dispersion)
    scratch = np.empty((size, _PIECE))
    weight, outcome = np.zeros(2), np.zeros(2)
    score, information, deviance, used = np.zeros(size), np.zeros((size, size)), 0.0, 0
    for block in _blocks(model, table, place):
        used += block.people.count
        if moments is not None:
            moments.count(block.people)
        if block.weights is not None:
            weight += block.weights.sum(), block.weights @ block.weights
        if family.counts:
            counts = block.y if block.weights is None else block.y * block.weights
            outcome = np.array([outcome[0] + counts.sum(), max(outcome[1], counts.max())])
        residual, variance, part = family.working(block.y, block.eta, block.weights)
        deviance += part
        influence.add(block.design, variance, block.y - block.eta if influence.linear else residual)
        score += block.design @ residual
        _add_information(information, block.design, variance, scratch)
    extent = influence.measured(table, place.key(model))

    def again() -> Iterator[tuple[FloatArray, FloatArray | None, FloatArray]]:
        for block in _blocks(model, table, place):
            residual, variance, _ = family.working(block.y, block.eta, block.weights)
            yield block.design, variance, block.y - block.eta if influence.linear else residual

    values = np.concatenate([score, information[np.triu_indices(size)], [deviance, float(used)]])
    kish = round(weight[0] ** 2 / weight[1]) if weight[1] > 0.0 else used
    sums = ModelSums(
        "pass",
        values,
        place.exponents(model),
        min(used, kish, influence.effective()),
        size,
        evidence(model, table),
        influence.steepness(extent, place.beta),
        # One event is a cell, and the rules on cells are for those; what one person has beyond it is theirs alone.
        max(outcome[1] - 1.0, 0.0) / outcome[0] if outcome[0] > 0.0 else 0.0,
        influence.leverage(extent, information, score, deviance, again),
    )
    return (sums,) if moments is None else (sums, moments.part())


def _add_information(total: FloatArray, design: FloatArray, variance: FloatArray | None, scratch: FloatArray) -> None:
    """Add X W X' of a block to the total, piece by piece: both factors of a product stay in cache."""
    for start in range(0, design.shape[1], _PIECE):
        piece = design[:, start : start + _PIECE]
        weighted = piece
        if variance is not None:
            weighted = np.multiply(piece, variance[start : start + _PIECE], out=scratch[:, : piece.shape[1]])
        total += weighted @ piece.T


def _read(ask: Ask, name: str, length: int) -> FloatArray:
    array = ask.arrays.get(name)
    if array is None or array.shape != (length,) or not np.isfinite(array).all():
        raise PlanError(f"Expected {length} numbers as {name!r} in the round {ask.step!r}; they did not come so.")
    return np.asarray(array, dtype=np.float64)
