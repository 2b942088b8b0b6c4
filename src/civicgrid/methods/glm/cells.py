"""How many people stand in each group that a model tells apart: what the disclosure rules judge a fit by.

The sums of a fit hold the totals of every such group, so a group of one person would be that person's record.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from civicgrid.disclosure.shapes import Combined, Counts, Dimension, IntArray
from civicgrid.methods.glm.model import Model
from civicgrid.methods.people import Array, People
from civicgrid.methods.row_sets import Coding, by_levels
from civicgrid.query.table import Table

OUTCOME = Dimension("outcome", ("no", "yes"))


class Cells:
    """Counts, over the blocks of a table, of the groups that the estimates of a model tell apart.

    They are: the classes of a yes/no outcome; for each set of categories that a term joins, their joint
    levels, by outcome; for each number, an outcome among them, the people for whom it is not nought, by outcome (a
    number that is nought for all but a few tells those few apart).
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        by = (OUTCOME,) if model.family.binary else ()
        self.parts: dict[str, tuple[tuple[Dimension, ...], IntArray]] = {}
        if by:
            self._add("outcome", by)
        for names in model.design.factor_sets():
            self._add(table_name(names), (*(Dimension(n, model.design.factors[n]) for n in names), *by))
        for name in self.numbers:
            self._add(nonzero_name(name), by)

    @property
    def numbers(self) -> tuple[str, ...]:
        """The numbers of the design, and an outcome that is one."""
        own = () if self.model.family.binary else (self.model.outcome,)
        return (*self.model.design.numbers, *own)

    def _add(self, name: str, dimensions: tuple[Dimension, ...]) -> None:
        self.parts[name] = dimensions, np.zeros([len(d.levels) for d in dimensions], dtype=np.int64)

    def count(self, people: People) -> None:
        """Add one block."""
        design = self.model.design
        event = self.model.response(people) == 1.0 if self.model.family.binary else None
        outcome = [] if event is None else [event]
        if outcome:
            self._count("outcome", outcome)
        for names in design.factor_sets():
            self._count(table_name(names), [*(people.arrays[name] for name in names), *outcome])
        with_event = 0 if event is None else int(np.count_nonzero(event))
        for name in self.numbers:
            there = people.arrays[name] != 0.0
            count = int(np.count_nonzero(there))
            counts = self.parts[nonzero_name(name)][1]
            if event is None:
                counts += count
            else:
                events = with_event if count == people.count else int(np.count_nonzero(there & event))
                counts += (count - events, events)

    def _count(self, name: str, codes: list[Array]) -> None:
        _, counts = self.parts[name]
        place = np.ravel_multi_index([code.astype(np.intp) for code in codes], counts.shape)
        counts += np.bincount(place, minlength=counts.size).reshape(counts.shape)

    def counts(self) -> list[Counts]:
        """As parts of a share."""
        return [Counts(name, counts, dimensions) for name, (dimensions, counts) in self.parts.items()]


def codings(model: Model) -> list[Coding]:
    """The groups of the terms as the release ledger keeps them: joint levels of categories, by outcome if that is yes or
    no, and each category by itself.
    """
    factors = model.design.factors
    names = dict.fromkeys([*model.design.factor_sets(), *((name,) for name in factors)])
    found = [by_levels(those, [len(factors[name]) for name in those]) for those in names]
    if not model.family.binary:
        return found

    outcome = Coding((model.outcome,), (2,), lambda people: np.asarray(model.response(people) == 1.0, dtype=np.intp))

    def crossed(coding: Coding) -> Coding:
        names, shape = (*coding.names, *outcome.names), (*coding.shape, 2)
        return Coding(names, shape, lambda people: 2 * coding.code(people) + outcome.code(people))

    return [outcome, *found, *(crossed(coding) for coding in found)]


def table_name(names: tuple[str, ...]) -> str:
    return "levels of " + " by ".join(names)


def nonzero_name(number: str) -> str:
    return f"{number} other than nought"


def shown_cells(model: Model, received: Combined) -> IntArray:
    """The pooled cells that every site showed, in one row."""
    names = [part.name for part in Cells(model).counts()]
    parts = [received[name] for name in names]
    flat = [np.asarray(part.values, dtype=np.int64).reshape(-1) for part in parts]
    kept = [v if p.hidden is None else v[~p.hidden.reshape(-1)] for p, v in zip(parts, flat, strict=True)]
    return np.concatenate([np.zeros(0, dtype=np.int64), *kept])


def evidence(model: Model, table: Table) -> Callable[[], IntArray]:
    """What the gate may ask before the sums of one pass leave open: every cell that they hold, at this site.

    Each product of two design columns is a sum over the joint levels of their categories, by outcome;
    these tables, over the occupied cells, and one nought where there are empty ones. A number with two
    values counts as a yes/no column.
    """

    def cells() -> IntArray:
        two_valued = _two_valued(model, table)
        sets = model.design.information_sets(frozenset(two_valued))
        found: list[dict[int, int]] = [{} for _ in sets]
        levels = {name: len(every) for name, every in model.design.factors.items()}
        levels |= dict.fromkeys(two_valued, 2)
        shapes = [tuple(levels[name] for name in names) for names in sets]
        classes = np.zeros(2, dtype=np.int64)
        for people in model.people(table):
            binary = model.family.binary
            event = (model.response(people) == 1.0).astype(np.intp) if binary else np.zeros(people.count, np.intp)
            classes += np.bincount(event, minlength=2)
            for names, shape, counts in zip(sets, shapes, found, strict=True):
                arrays = {name: people.arrays[name] for name in names}
                arrays |= {name: arrays[name] == high for name, high in two_valued.items() if name in arrays}
                codes = [arrays[name].astype(np.intp) for name in names]
                place = np.ravel_multi_index(codes, shape) * 2 + event
                for cell, count in zip(*np.unique(place, return_counts=True), strict=True):
                    counts[int(cell)] = counts.get(int(cell), 0) + int(count)
        outcomes = 2 if model.family.binary else 1
        occupied = [count for counts in found for count in counts.values()]
        empty = any(len(c) < int(np.prod(shape)) * outcomes for c, shape in zip(found, shapes, strict=True))
        return np.array([*classes[:outcomes], *occupied, *([0] if empty else [])], dtype=np.int64)

    return cells


def _two_valued(model: Model, table: Table) -> dict[str, float]:
    """The numbers of the design with at most two values at this site, and the greater of the two."""
    ends: dict[str, tuple[float, float]] = dict.fromkeys(model.design.numbers, (np.inf, -np.inf))
    between: set[str] = set()
    for people in model.people(table):
        for name, (low, high) in ends.items():
            if people.count:
                array = people.arrays[name]
                ends[name] = min(low, float(array.min())), max(high, float(array.max()))
    for people in model.people(table):
        for name, (low, high) in ends.items():
            array = people.arrays[name]
            if name not in between and bool(((array != low) & (array != high)).any()):
                between.add(name)
    return {name: high for name, (_, high) in ends.items() if name not in between}
