"""Table 1: who the people of a cohort are, altogether and by group."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from civicgrid.disclosure.row_sets import RowSet
from civicgrid.disclosure.shapes import Dimension, Share
from civicgrid.disclosure.thresholds import Thresholds
from civicgrid.errors import PlanError
from civicgrid.methods.describe.layout import ALL, MISSING, Layout
from civicgrid.methods.describe.site import row_sets, squares, survey
from civicgrid.methods.describe.summary import summarise
from civicgrid.methods.describe.tables import tables
from civicgrid.methods.method import OPEN, Ask, Coordination, Method
from civicgrid.methods.people import as_tuple, levels_of
from civicgrid.query.table import Table
from civicgrid.query.types import Schema

MAX_COLUMNS = 100
MAX_GROUPS = 50


class Describe(Method):
    """The people of a cohort in numbers, altogether or in groups side by side: the first table of most
    papers.

    A number: mean, standard deviation (denominator n - 1), median and quartiles. A category or yes/no
    column: people and percentages by level. Each with how many people have no value. With `by`, the same
    for each group and for all groups together, and how far each group is from the first one as a
    standardised difference (Austin 2009; for categories of more than two levels Yang and Dalton 2012).

    The standard deviation takes two rounds: sums of squares are about the mean of the first, so large
    values with a small spread lose no digits. Quartiles come from counts between public edges that follow from the
    declared range alone, taken together until as many people lie between two as a cell must hold; beside each stands how
    far off it can be at most. With many people that is 1/2048 of the declared range, nothing for a whole number with a
    range below 1024, and without a range 1/64 of the value. There are no minima and no maxima: each is one person's value.

    People without a group are left out, and counted. Dates are not described: make a number of them, such
    as an age.

    >>> Describe(columns=["age", "sex"], by="drug").columns()
    ('age', 'sex', 'drug')
    """

    version: ClassVar[int] = 2

    kind: Literal["describe"] = "describe"
    # The contract's own columns() has the name, so the parameter is `variables` inside and `columns` to
    # everybody else.
    variables: Annotated[tuple[str, ...], BeforeValidator(as_tuple), Field(min_length=1, max_length=MAX_COLUMNS)] = Field(
        alias="columns", description="The columns to describe."
    )
    by: str | None = Field(default=None, description="A category or yes/no column that makes the groups.")

    def columns(self) -> tuple[str, ...]:
        return self.variables if self.by is None else (*self.variables, self.by)

    def check(self, schema: Schema) -> None:
        if len(set(self.columns())) != len(self.columns()):
            raise PlanError("Expected each column once, and the grouping column not among the described; one is twice.")
        for name in self.columns():
            column = schema[name]
            if column.kind == "date":
                raise PlanError(f"{name!r} is a date. Describe a number made from it, such as the age on a day.")
            if column.kind == "category" and not column.levels:
                raise PlanError(f"{name!r} has no levels. Give them in the data dictionary or the plan.")
            if MISSING in column.levels:
                raise PlanError(f"{name!r} has a level called {MISSING!r}, which stands for no value. Rename the level.")
        if self.by is not None:
            if schema[self.by].numeric:
                raise PlanError(
                    f"Groups are made by a category or a yes/no column; {self.by!r} is a number. Make one of it in a "
                    f"cohort, such as {self.by}=t.{self.by} == 1, or a category with case()."
                )
            groups = levels_of(schema[self.by])
            if len(groups) > MAX_GROUPS or ALL in groups:
                raise PlanError(
                    f"Expected at most {MAX_GROUPS} groups, none of them called {ALL!r}; {self.by!r} has "
                    f"{len(groups)}. "
                    "Group or rename levels first."
                )

    def explain(self, schema: Schema) -> str:
        layout = self._layout(schema)
        words = []
        if layout.numbers:
            words.append(f"give mean, standard deviation, median and quartiles of {', '.join(layout.numbers)}")
        if layout.categories:
            words.append(f"count the people at each level of {', '.join(layout.categories)}")
        what = " and ".join(words)
        groups = f", by {self.by} and altogether, with standardised differences" if self.by else ""
        order = f" Columns in order: {', '.join(self.variables)}." if len(self.variables) > 1 else ""
        return f"{what[0].upper()}{what[1:]}{groups}. Say how many people have no value.{order}"

    def _layout(self, schema: Schema) -> Layout:
        groups = Dimension("people", (ALL,)) if self.by is None else Dimension(self.by, levels_of(schema[self.by]))
        return Layout(self.variables, self.by, groups, schema)

    def site(self, table: Table, ask: Ask) -> Share:
        layout = self._layout(table.schema)
        if ask.step == "survey":
            return survey(layout, table, ask)
        if ask.step == "squares":
            return squares(layout, table, ask)
        raise PlanError(f"A description has the rounds survey and squares; {ask.step!r} came. Update the node.")

    def row_sets(self, table: Table) -> tuple[RowSet, ...]:
        return row_sets(self._layout(table.schema), table)

    def coordinate(self, schema: Schema, thresholds: Thresholds = OPEN) -> Coordination:
        layout = self._layout(schema)
        summary = yield from summarise(layout, thresholds.min_cell)
        return tables(layout, summary)
