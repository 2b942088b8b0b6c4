"""About how many people each site has: enough to find out where a study could be done, and not enough to find a person."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from civicgrid.disclosure.row_sets import RowSet
from civicgrid.disclosure.shapes import PerSite, RawOutput, RoughCount, Share
from civicgrid.disclosure.thresholds import Thresholds
from civicgrid.errors import PlanError
from civicgrid.methods.method import OPEN, Ask, Coordination, Method
from civicgrid.query.table import Table
from civicgrid.query.types import Schema


class Discover(Method):
    """About how many people of the cohort each site has.

    Each site answers by itself, in the open. To its number it adds a few people or takes a few away, drawn at random from a
    key that only the site has, from just these people and the conditions that they are made by (a cell key), rounds, and
    hides what is small. Asking again gives the same number; asking about one person fewer draws anew, so that the
    difference says little about that person. How often a site answers for nearly the same people is limited. For exact
    numbers of all sites together use Count.

    >>> Discover().kind
    'discover'

    Source: B. Fraser and J. Wooton (2005), A proposed method for confidentialising tabular output to protect against
    differencing, UNECE work session on statistical data confidentiality, Geneva.
    """

    rough: ClassVar[bool] = True

    kind: Literal["discover"] = "discover"

    def columns(self) -> tuple[str, ...]:
        return ()

    def check(self, schema: Schema) -> None:
        if not isinstance(schema, Schema):
            raise PlanError("Discover needs a cohort or a data set to look for.")

    def explain(self, schema: Schema) -> str:
        return "Say about how many people each site has: a few added or taken away at random, then rounded."

    def site(self, table: Table, ask: Ask) -> Share:
        ask.only()
        return (RoughCount("people", table.rows, table.numbers.tobytes()),)

    def row_sets(self, table: Table) -> tuple[RowSet, ...]:
        return ()

    def coordinate(self, schema: Schema, thresholds: Thresholds = OPEN) -> Coordination:
        people = (yield Ask("discover"))["people"]
        hidden = np.zeros(len(people.sites), dtype=bool) if people.hidden is None else people.hidden
        counts = np.asarray(people.values, dtype=np.int64)
        return RawOutput((PerSite("people", "About how many people, by site", people.sites, counts, hidden),))
