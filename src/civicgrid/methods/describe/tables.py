"""The tables of a description: one of all numbers, one of counts a variable, one of differences in
categories.
"""

from __future__ import annotations

import numpy as np

from civicgrid.disclosure.shapes import Counts, Derived, Measures, RawOutput
from civicgrid.methods.describe import differences
from civicgrid.methods.describe.layout import ALL, Layout
from civicgrid.methods.describe.summary import Summary

STATISTICS = ("mean", "sd", "q1", "median", "q3")
DIFFERENCE = "std_difference"


def tables(layout: Layout, summary: Summary) -> RawOutput:
    """The answer, exact, before the output rules."""
    blocks: list[Counts | Measures | Derived] = []
    notes: list[str] = []
    if layout.numbers:
        blocks.append(_numbers(layout, summary))
        notes.append(
            "The median and quartiles come from counts between public edges and are off by at most the "
            "bound beside them; "
            "without a bound they are exact."
        )
    for name in layout.variables:
        received = summary.counts[name]
        values = np.asarray(received.values, dtype=np.int64)
        blocks.append(Counts(name, values, layout.dimensions(name), received.hidden, left_out=True))
    left_out: dict[str, int] = {}
    if layout.by is not None:
        reference = layout.groups.levels[0]
        notes.append(
            f"Standardised differences are from {layout.by} = {reference}, among people with a value: "
            f"differences in means "
            "or proportions over the root of the mean of the two variances (Austin 2009; Yang and Dalton "
            "2012)."
        )
        if layout.categories and len(layout.groups.levels) > 1:
            blocks.append(_category_differences(layout, summary))
        if summary.ungrouped is not None and summary.ungrouped.complete:
            left_out["people_without_group"] = int(summary.ungrouped.values)
        else:
            notes.append(f"Not every site could show how many people have no value of {layout.by}.")
    return RawOutput(tuple(blocks), notes=tuple(notes), left_out=left_out)


def _numbers(layout: Layout, summary: Summary) -> Measures:
    rows, groups, values, bounds, support = [], [], [], [], []
    grouped = layout.by is not None
    for index, name in enumerate(layout.numbers):
        for group, label in enumerate(summary.groups):
            quantiles = summary.quantiles[group, index]
            line = [summary.mean[group, index], summary.sd[group, index], *(q.value for q in quantiles)]
            off = [0.0, 0.0, *(q.bound for q in quantiles)]
            if grouped:
                line.append(_difference(summary, index, group) if label != ALL and group else np.nan)
                off.append(0.0)
            rows.append(name)
            groups.append(label)
            values.append(line)
            bounds.append(off)
            support.append([summary.support[group, index]] * len(line))
    return Measures(
        "numbers",
        f"Numbers by {layout.by}" if grouped else "Numbers",
        tuple(rows),
        (*STATISTICS, DIFFERENCE) if grouped else STATISTICS,
        np.array(values, dtype=np.float64),
        np.array(support, dtype=np.int64),
        np.array(bounds, dtype=np.float64),
        tuple(groups) if grouped else (),
        ALL,
        (DIFFERENCE,),
    )


def _difference(summary: Summary, index: int, group: int) -> float:
    return differences.of_numbers(
        float(summary.mean[group, index]),
        float(summary.sd[group, index]),
        float(summary.mean[0, index]),
        float(summary.sd[0, index]),
    )


def _category_differences(layout: Layout, summary: Summary) -> Derived:
    """A row a variable, a column a group but the first; people without a value are left out of both sides."""
    others = layout.groups.levels[1:]
    values = np.full((len(layout.categories), len(others)), np.nan)
    for i, name in enumerate(layout.categories):
        known = np.asarray(summary.counts[name].values, dtype=np.int64)[:, :-1]
        for j in range(len(others)):
            values[i, j] = differences.of_categories(known[j + 1], known[0])
    return Derived(
        "differences",
        f"Standardised differences from {layout.by} = {layout.groups.levels[0]}",
        layout.categories,
        layout.categories,
        others,
        values,
    )
