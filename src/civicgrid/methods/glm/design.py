"""The columns of a model's design: built from terms and schema alone, filled in blocks, read back in raw
units.

Every site builds the same design, since levels and ranges come from the plan. Numbers are centred at
public values while the model is fitted, so that sums over people with large values lose no digits; `raw`
turns the answer back.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from civicgrid.disclosure.shapes import FloatArray
from civicgrid.errors import PlanError
from civicgrid.methods.glm.terms import ColumnTerm, Interaction, Polynomial
from civicgrid.methods.people import levels_of
from civicgrid.query.types import Schema

MAX_COLUMNS = 300

INTERCEPT = "(Intercept)"


@dataclass(frozen=True)
class DesignColumn:
    """A product of powers of numbers and of level indicators; of nothing, for the intercept.

    `numbers` holds (column, power), `levels` (column, code), each in order of the name, so that equal
    columns compare equal whatever term they come from.
    """

    name: str
    numbers: tuple[tuple[str, int], ...] = ()
    levels: tuple[tuple[str, int], ...] = ()

    @property
    def key(self) -> tuple[tuple[tuple[str, int], ...], tuple[tuple[str, int], ...]]:
        return self.numbers, self.levels

    @property
    def simple(self) -> bool:
        """Whether it is one number or one level, not a product."""
        return sum(power for _, power in self.numbers) + len(self.levels) == 1


@dataclass(frozen=True)
class Design:
    """The columns of the design in order, the source columns behind them, and the levels of the
    categories.
    """

    columns: tuple[DesignColumn, ...]
    sources: tuple[str, ...]
    numbers: tuple[str, ...]
    factors: Mapping[str, tuple[str, ...]]
    reference: Mapping[str, int]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def size(self) -> int:
        return len(self.columns)

    @property
    def intercept(self) -> bool:
        return bool(self.columns) and not self.columns[0].numbers and not self.columns[0].levels

    def centred(self, number: str) -> bool:
        """Whether this number can be centred without changing the model: each product with it has its
        lower power.
        """
        keys = {column.key for column in self.columns}
        for column in self.columns:
            powers = dict(column.numbers)
            if number in powers:
                powers[number] -= 1
                lower = tuple((name, power) for name, power in column.numbers if name != number)
                if powers[number]:
                    lower = tuple(sorted([*lower, (number, powers[number])]))
                if (lower, column.levels) not in keys:
                    return False
        return True

    def factor_sets(self) -> tuple[tuple[str, ...], ...]:
        """The categories and yes/no columns whose joint cells the model tells apart, as sets, largest
        only.
        """
        found = {tuple(name for name, _ in column.levels) for column in self.columns if column.levels}
        return tuple(sorted(s for s in found if not any(set(s) < set(other) for other in found)))

    def information_sets(self, two_valued: frozenset[str]) -> tuple[tuple[str, ...], ...]:
        """The same for products of two design columns: the finest tables that the sums of one pass can hold.

        `two_valued` names numbers that take two values only, and so tell people apart as a yes/no column
        does.
        """
        sets = {
            frozenset({name for name, _ in column.levels} | {name for name, _ in column.numbers if name in two_valued})
            for column in self.columns
        }
        pairs = {a | b for a in sets for b in sets}
        return tuple(sorted(tuple(sorted(s)) for s in pairs if s and not any(s < other for other in pairs)))

    def sizes(self, spread: Mapping[str, int]) -> npt.NDArray[np.int64]:
        """The size of each design column as a power of two, from that of each number."""
        return np.array(
            [sum(power * spread[name] for name, power in column.numbers) for column in self.columns], dtype=np.int64
        )

    def degrees(self) -> npt.NDArray[np.int64]:
        """How many numbers are multiplied in each design column."""
        return np.array([sum(power for _, power in column.numbers) for column in self.columns], dtype=np.int64)

    def raw(self, centre: Mapping[str, float]) -> FloatArray:
        """The matrix that turns coefficients on centred numbers into coefficients on the numbers as they are.

        (x - c)^p = sum over q of C(p, q) (-c)^(p - q) x^q, in each number of each product.
        """
        place = {column.key: index for index, column in enumerate(self.columns)}
        matrix = np.zeros((self.size, self.size))
        for index, column in enumerate(self.columns):
            choices = [
                [(name, q, math.comb(power, q) * (-centre[name]) ** (power - q)) for q in range(power + 1)]
                for name, power in column.numbers
            ]
            for choice in itertools.product(*choices):
                coefficient = math.prod(part[2] for part in choice)
                if coefficient:
                    numbers = tuple((name, q) for name, q, _ in choice if q)
                    matrix[place[numbers, column.levels], index] += coefficient
        return matrix


def build(
    terms: Sequence[ColumnTerm | Interaction | Polynomial],
    schema: Schema,
    reference: Mapping[str, str],
    intercept: bool,
) -> Design:
    """The design of a model, or PlanError with what to write instead."""
    levels = _levels(terms, schema)
    base = _reference(levels, schema, reference)
    columns: dict[Any, DesignColumn] = {}
    if intercept:
        columns[(), ()] = DesignColumn(INTERCEPT)
    alone = {name for term in terms if not isinstance(term, Interaction) for name in term.columns()}
    for term in terms:
        if isinstance(term, Interaction) and (lone := [name for name in term.of if name not in alone]):
            raise PlanError(
                f"An interaction needs its columns as predictors of their own, or its estimates have no "
                f"clear "
                f"meaning. Add {', '.join(map(repr, lone))} to the predictors."
            )
        # Counted before they are made: four categories of a thousand levels would be a million million columns.
        _check_size(_width(term, levels))
        for column in _expand(term, schema, base):
            columns.setdefault(column.key, column)
        _check_size(len(columns))
    if not columns:
        raise PlanError("A model without an intercept needs a predictor. Give at least one.")
    sources = tuple(dict.fromkeys(name for term in terms for name in term.columns()))
    numbers = tuple(name for name in sources if name not in levels)
    return Design(tuple(columns.values()), sources, numbers, levels, base)


def _check_size(columns: int) -> None:
    if columns > MAX_COLUMNS:
        raise PlanError(f"Expected at most {MAX_COLUMNS} coefficients; {columns:,} came. Group levels or drop terms.")


def _width(term: ColumnTerm | Interaction | Polynomial, levels: Mapping[str, tuple[str, ...]]) -> int:
    if isinstance(term, Polynomial):
        return term.degree
    return math.prod(len(levels[name]) - 1 if name in levels else 1 for name in term.columns())


def _levels(terms: Sequence[ColumnTerm | Interaction | Polynomial], schema: Schema) -> dict[str, tuple[str, ...]]:
    levels: dict[str, tuple[str, ...]] = {}
    for term in terms:
        for name in term.columns():
            column = schema[name]
            if column.kind == "date":
                raise PlanError(f"{name!r} is a date. Use a number made from it, such as the age or days since a start.")
            if column.kind == "category" and len(column.levels) < 2:
                raise PlanError(
                    f"{name!r} is a category with fewer than two levels. Give its levels in the data "
                    f"dictionary or "
                    f"the plan, or leave it out."
                )
            if not column.numeric:
                if isinstance(term, Polynomial):
                    raise PlanError(f"poly needs a number; {name!r} is {column.words()}. Name the column by itself.")
                levels[name] = levels_of(column)
    return levels


def _reference(levels: Mapping[str, tuple[str, ...]], schema: Schema, reference: Mapping[str, str]) -> dict[str, int]:
    for name, level in reference.items():
        if name not in levels or schema[name].kind != "category":
            raise PlanError(f"A reference level is for a category among the predictors; {name!r} is not one.")
        if level not in levels[name]:
            raise PlanError(f"{name!r} has no level {level!r}. It has: {', '.join(levels[name])}.")
    return {name: every.index(reference[name]) if name in reference else 0 for name, every in levels.items()}


def _expand(term: ColumnTerm | Interaction | Polynomial, schema: Schema, base: Mapping[str, int]) -> list[DesignColumn]:
    if isinstance(term, Polynomial):
        return [
            DesignColumn(term.column if power == 1 else f"{term.column}^{power}", ((term.column, power),))
            for power in range(1, term.degree + 1)
        ]
    return [
        DesignColumn(
            ":".join(part.name for part in parts),
            tuple(sorted(number for part in parts for number in part.numbers)),
            tuple(sorted(level for part in parts for level in part.levels)),
        )
        for parts in itertools.product(*(_simple(name, schema, base) for name in term.columns()))
    ]


def _simple(name: str, schema: Schema, base: Mapping[str, int]) -> list[DesignColumn]:
    if schema[name].numeric:
        return [DesignColumn(name, ((name, 1),))]
    if schema[name].kind == "bool":
        return [DesignColumn(name, (), ((name, 1),))]
    return [
        DesignColumn(f"{name}[{level}]", (), ((name, code),))
        for code, level in enumerate(schema[name].levels)
        if code != base[name]
    ]


class Filler:
    """Writes the design of a block of people into a buffer that is used again: shape (columns, people)."""

    def __init__(self, design: Design, centre: Mapping[str, float], most: int) -> None:
        self.buffer = np.empty((design.size, most))
        self.simple: list[tuple[int, int, int | None, float]] = []
        self.products: list[tuple[int, list[int]]] = []
        row: dict[tuple[str, int | None], int] = {}
        for index, column in enumerate(design.columns):
            if column.simple:
                name, code = column.levels[0] if column.levels else (column.numbers[0][0], None)
                row[name, code] = index
                self.simple.append((index, design.sources.index(name), code, centre.get(name, 0.0)))
        for index, column in enumerate(design.columns):
            if not column.numbers and not column.levels:
                self.buffer[index] = 1.0
            elif not column.simple:
                parts = [row[name, None] for name, power in column.numbers for _ in range(power)]
                self.products.append((index, parts + [row[name, code] for name, code in column.levels]))

    def fill(self, arrays: Sequence[npt.NDArray[Any]], people: int) -> FloatArray:
        """The design of these people, as a view into the buffer: valid until the next call."""
        design = self.buffer[:, :people]
        for index, source, code, centre in self.simple:
            if code is None:
                np.subtract(arrays[source], centre, out=design[index])
            else:
                np.equal(arrays[source], code, out=design[index])
        for index, parts in self.products:
            np.multiply(design[parts[0]], design[parts[1]], out=design[index])
            for part in parts[2:]:
                design[index] *= design[part]
        return design
