"""How many people there are."""

from __future__ import annotations

from typing import Literal

import numpy as np

from civicgrid.disclosure.row_sets import RowSet
from civicgrid.disclosure.shapes import Counts, RawOutput, Share
from civicgrid.disclosure.thresholds import Thresholds
from civicgrid.errors import PlanError
from civicgrid.methods.method import OPEN, Ask, Coordination, Method
from civicgrid.query.table import Table
from civicgrid.query.types import Schema


class Count(Method):
    """The number of people in the cohort.

    A person whose records lie at two sites is counted at both. The published number is rounded and, below the
    threshold, hidden, as the policy says.

    >>> Count().kind
    'count'
    """

    kind: Literal["count"] = "count"

    def columns(self) -> tuple[str, ...]:
        return ()

    def check(self, schema: Schema) -> None:
        if not isinstance(schema, Schema):
            raise PlanError("Count needs a cohort or a data set to count.")

    def explain(self, schema: Schema) -> str:
        return "Count the people."

    def site(self, table: Table, ask: Ask) -> Share:
        ask.only()
        return (Counts("people", np.array(table.rows, dtype=np.int64)),)

    def row_sets(self, table: Table) -> tuple[RowSet, ...]:
        return ()

    def coordinate(self, schema: Schema, thresholds: Thresholds = OPEN) -> Coordination:
        people = (yield Ask("count"))["people"]
        return RawOutput((Counts("people", np.asarray(people.values, dtype=np.int64), (), people.hidden),))
