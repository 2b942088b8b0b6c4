"""What both halves of a regression know before any person is read: design, family, and the columns' parts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from civicgrid.disclosure.shapes import FloatArray
from civicgrid.methods.bounds import magnitude, middle
from civicgrid.methods.glm.design import Design
from civicgrid.methods.glm.family import LARGEST_COUNT, Family
from civicgrid.methods.people import People, complete
from civicgrid.query.table import Table
from civicgrid.query.types import Schema

LARGEST_WEIGHT = 2.0**33
"""A greater weight counts as impossible: with the bounds on numbers and counts, every total of the survey fits."""


@dataclass(frozen=True)
class Model:
    """The design and family of a fit, and which columns are outcome, offset and weights."""

    design: Design
    family: Family
    schema: Schema
    outcome: str
    offset: str | None
    weights: str | None

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that is read, each once."""
        extra = [name for name in (self.outcome, self.offset, self.weights) if name]
        return tuple(dict.fromkeys((*self.design.sources, *extra)))

    @property
    def measured(self) -> tuple[str, ...]:
        """The numbers whose place and spread are surveyed: those of the design, and an outcome with a
        unit.
        """
        outcome = (self.outcome,) if self.family.estimated_dispersion else ()
        return tuple(dict.fromkeys((*self.design.numbers, *outcome)))

    def can_be_centred(self, name: str) -> bool:
        """Whether this number can be centred without changing the model."""
        return self.design.centred(name) if name in self.design.numbers else self.design.intercept

    def middle(self, name: str) -> float:
        """The middle of a number's declared range; nought without one."""
        return middle(self.schema[name])

    def magnitude(self, name: str) -> int:
        """The public size of a number's distance from the middle, as a power of two."""
        return magnitude(self.schema[name])

    def people(self, table: Table) -> Iterator[People]:
        """Block after block of the people that a fit can use: nothing missing, an outcome that the family can have, a
        weight above nought.

        Who is not is left out like a person with a missing value, not complained of: a complaint about one person
        would tell that person's value.
        """
        for people in complete(table, self.columns, self.schema):
            y = self.response(people)
            keep = self.family.possible(y)
            weights = people.number(self.weights)
            if weights is not None:
                usable = (weights > 0.0) & (weights <= LARGEST_WEIGHT)
                if self.family.counts:
                    usable &= weights * y <= LARGEST_COUNT
                keep = usable if keep is None else keep & usable
            yield people if keep is None or keep.all() else people.only(keep)

    def response(self, people: People) -> FloatArray:
        """The outcome as a number: yes and the second of two levels are 1."""
        return np.asarray(people.arrays[self.outcome], dtype=np.float64)
