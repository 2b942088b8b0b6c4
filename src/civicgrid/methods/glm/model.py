"""What both halves of a regression know before any person is read: design, family, and the columns' parts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from civicgrid.disclosure.shapes import FloatArray
from civicgrid.methods.glm.design import Design
from civicgrid.methods.glm.family import Family
from civicgrid.methods.people import People, complete
from civicgrid.query.table import Table
from civicgrid.query.types import Schema


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

    def middle(self, name: str) -> float:
        """The middle of a number's declared range; nought without one."""
        column = self.schema[name]
        return 0.0 if column.low is None or column.high is None else (column.low + column.high) / 2

    def magnitude(self, name: str) -> int:
        """Half the declared range as a power of two. Without one 0: a masked sum keeps 60 bits below and
        66 above.
        """
        column = self.schema[name]
        if column.low is None or column.high is None:
            return 0
        return int(np.ceil(np.log2((column.high - column.low) / 2)))

    def people(self, table: Table) -> Iterator[People]:
        """Block after block of the people that a fit can use: nothing missing, an outcome that the family can have, a
        weight above nought.

        Who is not is left out like a person with a missing value, not complained of: a complaint about one person
        would tell that person's value.
        """
        for people in complete(table, self.columns, self.schema):
            keep = self.family.possible(self.response(people))
            weights = people.number(self.weights)
            if weights is not None:
                keep = weights > 0.0 if keep is None else keep & (weights > 0.0)
            yield people if keep is None or keep.all() else people.only(keep)

    def response(self, people: People) -> FloatArray:
        """The outcome as a number: yes and the second of two levels are 1."""
        return np.asarray(people.arrays[self.outcome], dtype=np.float64)
