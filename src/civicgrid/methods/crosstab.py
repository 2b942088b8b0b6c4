"""Two groupings of people against each other, with a test and the size of the association."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field
from scipy import special

from civicgrid.disclosure.row_sets import RowSet
from civicgrid.disclosure.shapes import Counts, Derived, Dimension, FloatArray, IntArray, RawOutput, Share
from civicgrid.disclosure.thresholds import Thresholds
from civicgrid.errors import PlanError
from civicgrid.methods.method import OPEN, Ask, Coordination, Method
from civicgrid.methods.people import complete, levels_of
from civicgrid.methods.row_sets import by_levels, used_sets
from civicgrid.query.table import Table
from civicgrid.query.types import Schema

MAX_CELLS = 10_000


class Crosstab(Method):
    """How many people are in each combination of two categories, and whether the two hang together.

    Pearson's chi-square compares the counts with those expected if rows and columns had nothing to do with
    each other, without Yates' correction: X2 = sum of (observed - expected)^2 / expected, on (r - 1)(c - 1)
    degrees of freedom; levels with nobody in them are left out of it. Cramer's V = sqrt(X2 / (n min(r - 1,
    c - 1))) is its size from 0 to 1.

    A table of two by two also gets, for the second column level in the second row level against the first,

        odds ratio       (n22 n11) / (n21 n12),  log standard error sqrt(sum of 1 / n)           (Woolf 1955)
        risk ratio       p2 / p1,  log standard error sqrt(1/n22 - 1/n2. + 1/n12 - 1/n1.)        (Katz 1978)
        risk difference  p2 - p1,  standard error sqrt(p2 q2 / n2. + p1 q1 / n1.)                (Wald)

    with intervals from the normal distribution. Where a cell is empty a ratio or its interval may not
    exist: it is left out, and no half person is added to the cell. People with either value missing are
    left out, and counted.

    >>> Crosstab(rows="sex", columns="died").columns()
    ('sex', 'died')

    Sources: A. Agresti (2013), Categorical Data Analysis, 3rd edition, Wiley, sections 2.2 and 3.1-3.2; B.
    Woolf (1955), Annals of Human Genetics 19:251-253; D. Katz and others (1978), Biometrics 34:469-474.
    """

    kind: Literal["crosstab"] = "crosstab"
    rows: str = Field(description="The category or yes/no column down the side: the exposure.")
    # The contract's own columns() has the name, so the parameter is `across` inside and `columns` for
    # everybody else.
    across: str = Field(alias="columns", description="The category or yes/no column along the top: the outcome.")
    confidence: Annotated[float, Field(gt=0.0, lt=1.0)] = Field(
        default=0.95, description="The level of the confidence intervals."
    )

    def columns(self) -> tuple[str, ...]:
        return (self.rows, self.across)

    def check(self, schema: Schema) -> None:
        if self.rows == self.across:
            raise PlanError(f"A cross-table is of two different columns; {self.rows!r} came twice.")
        for name in self.columns():
            if schema[name].kind not in ("bool", "category"):
                raise PlanError(
                    f"A cross-table needs categories or yes/no columns; {name!r} is {schema[name].words()}. Make one of it "
                    f"in a cohort, such as {name}=t.{name} == 1, or bands with case(); or use Describe."
                )
            if not levels_of(schema[name]):
                raise PlanError(f"{name!r} has no levels. Give them in the data dictionary or the plan.")
        cells = len(levels_of(schema[self.rows])) * len(levels_of(schema[self.across]))
        if cells > MAX_CELLS:
            raise PlanError(f"Expected a table of at most {MAX_CELLS:,} cells; this has {cells:,}. Group levels first.")

    def explain(self, schema: Schema) -> str:
        two = self._shape(schema) == (2, 2)
        extra = "odds ratio, risk ratio and risk difference" if two else "Cramer's V"
        return (
            f"Count the people by {self.rows} and {self.across}, leaving out those with either missing. "
            f"Test with Pearson's "
            f"chi-square whether the two are related, and give the {extra} with {100 * self.confidence:.6g}% "
            "confidence where an interval applies."
        )

    def _dimensions(self, schema: Schema) -> tuple[Dimension, Dimension]:
        return (
            Dimension(self.rows, levels_of(schema[self.rows])),
            Dimension(self.across, levels_of(schema[self.across])),
        )

    def _shape(self, schema: Schema) -> tuple[int, int]:
        down, across = self._dimensions(schema)
        return len(down.levels), len(across.levels)

    def site(self, table: Table, ask: Ask) -> Share:
        ask.only()
        shape = self._shape(table.schema)
        counts = np.zeros(shape, dtype=np.int64)
        missing = 0
        for people in complete(table, self.columns(), table.schema):
            missing += people.dropped
            codes = [people.arrays[name].astype(np.intp) for name in self.columns()]
            place = np.ravel_multi_index(codes, shape)
            counts += np.bincount(place, minlength=counts.size).reshape(shape)
        return (
            Counts("people", counts, self._dimensions(table.schema)),
            Counts("missing", np.array(missing, dtype=np.int64), left_out=True),
        )

    def row_sets(self, table: Table) -> tuple[RowSet, ...]:
        shape = self._shape(table.schema)
        joint = ((self.columns(), shape), ((self.rows,), shape[:1]), ((self.across,), shape[1:]))
        codings = [by_levels(names, sizes) for names, sizes in joint]
        return used_sets(table, complete(table, self.columns(), table.schema), self.columns(), codings)

    def coordinate(self, schema: Schema, thresholds: Thresholds = OPEN) -> Coordination:
        received = yield Ask("count")
        people, missing = received["people"], received["missing"]
        values = np.asarray(people.values, dtype=np.int64)
        title = f"{self.rows} by {self.across}"
        tests, cautions = _association(values)
        notes: list[str] = []
        blocks: list[Counts | Derived] = [
            Counts("people", values, self._dimensions(schema), people.hidden),
            Derived(
                "association",
                f"Association of {self.rows} with {self.across}",
                "people",
                ("Pearson chi-square",),
                ("statistic", "df", "p_value", "cramers_v"),
                tests[None, :],
                tuple(cautions),
            ),
        ]
        if values.shape == (2, 2):
            (_, exposed), (_, event) = (d.levels for d in self._dimensions(schema))
            blocks.append(
                Derived(
                    "effects",
                    f"{self.across} = {event} where {self.rows} = {exposed}, against the rest",
                    "people",
                    ("odds ratio", "risk ratio", "risk difference"),
                    ("estimate", "conf_low", "conf_high"),
                    _effects(values, self.confidence),
                )
            )
            notes.append(
                "Intervals are of Woolf (odds ratio), Katz (risk ratio) and Wald (risk difference). A "
                "ratio or interval "
                "that is not there does not exist, because a cell is empty; nothing was added to the cell."
            )
        if people.hidden is not None:
            notes.append(
                f"The counts of {title} came from each site under its own rules. Where those round, the "
                f"statistics are "
                "those of rounded counts."
            )
        left_out = {"people_missing": int(missing.values)} if missing.complete else {}
        if not missing.complete:
            notes.append("Not every site could show how many people it left out for missing values.")
        return RawOutput(tuple(blocks), notes=tuple(notes), left_out=left_out)


def _association(table: IntArray) -> tuple[FloatArray, list[str]]:
    """Statistic, degrees of freedom, p-value and Cramer's V of the levels that have people, with notes."""
    held = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0].astype(np.float64)
    if min(held.shape, default=0) < 2:
        return np.full(4, np.nan), ["A test of association needs people in two levels or more of each column."]
    total = held.sum()
    expected = np.outer(held.sum(axis=1), held.sum(axis=0)) / total
    statistic = float(((held - expected) ** 2 / expected).sum())
    freedom = (held.shape[0] - 1) * (held.shape[1] - 1)
    strength = np.sqrt(statistic / (total * (min(held.shape) - 1)))
    notes = []
    if (expected < 1).any() or (expected < 5).mean() > 0.2:
        notes.append(
            "Too many expected counts are small (below 5 in more than a fifth of the cells, or below 1 in "
            "one) for the "
            "p-value of the chi-square to be relied on (Cochran 1954). Merge levels."
        )
    return np.array([statistic, freedom, special.chdtrc(freedom, statistic), strength]), notes


def _effects(table: IntArray, confidence: float) -> FloatArray:
    """Odds ratio, risk ratio, risk difference of the second row against the first; NaN for what does not
    exist.
    """
    (n11, n12), (n21, n22) = table.astype(np.float64)
    n1, n2 = n11 + n12, n21 + n22
    reach = float(special.ndtri(0.5 + confidence / 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        odds = _ratio(n22 * n11 / (n21 * n12), reach * np.sqrt(1 / n11 + 1 / n12 + 1 / n21 + 1 / n22))
        risk = _ratio((n22 / n2) / (n12 / n1), reach * np.sqrt(1 / n22 - 1 / n2 + 1 / n12 - 1 / n1))
        p1, p2 = n12 / n1, n22 / n2
        error = reach * np.sqrt(p2 * (1 - p2) / n2 + p1 * (1 - p1) / n1)
    return np.array([odds, risk, (p2 - p1, p2 - p1 - error, p2 - p1 + error)])


def _ratio(estimate: float, reach: float) -> tuple[float, float, float]:
    if not np.isfinite(estimate):
        return np.nan, np.nan, np.nan
    if not np.isfinite(reach) or estimate == 0:
        return float(estimate), np.nan, np.nan
    return float(estimate), float(estimate * np.exp(-reach)), float(estimate * np.exp(reach))
