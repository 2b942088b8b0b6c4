"""From the exact blocks of a method's answer to what people see: the rules against a hostile researcher.

What is hidden is marked and explained by its rule, never by the number that was hidden. The rules on counts
are in `suppression`; a statistic is hidden with the counts that it rests on; a model is shown whole or not
at all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from civicgrid.disclosure.count_tables import Settled, count_table, settled
from civicgrid.disclosure.output import Format, Output, OutputColumn, OutputTable, Value
from civicgrid.disclosure.rules import Mask, hide, model_refusal, round_counts, small
from civicgrid.disclosure.shapes import (
    Counts,
    Derived,
    Estimates,
    FloatArray,
    Measures,
    PerSite,
    RawOutput,
)
from civicgrid.disclosure.thresholds import Thresholds

FORMATS: Mapping[str, Format] = {"p_value": "p", "percent": "percent"}

FACT_DIGITS = 3
"""Significant digits of a fact about a fit. With more the exact number of people could be worked out from several."""


def publish(raw: RawOutput, thresholds: Thresholds, method: str, version: int) -> Output:
    """The answer under these thresholds.

    Facts about a fit whose table is withheld are withheld with it. Otherwise they have at most `FACT_DIGITS` digits, and
    the residual degrees of freedom are those of the rounded number of people, since a log-likelihood grows with every
    person. Whether the number of people left out is hidden changes nothing: it is for a few and for nobody.
    """
    tables: list[OutputTable] = []
    suppressed: list[str] = []
    notes = list(raw.notes)
    freedom: dict[str, int | float | None] = {}
    withheld = left_out = False
    for block in raw.blocks:
        if isinstance(block, Counts):
            settled_table = settled(block, thresholds)
            tables.append(count_table(block, settled_table, thresholds))
            words = _count_words(block, settled_table, thresholds)
            left_out = left_out or settled_table.without_left_out
        elif isinstance(block, Measures):
            masked = _hidden_measures(block, thresholds)
            tables.append(_measures_table(block, masked, thresholds))
            words = _few_words(block.title, thresholds) if masked.any() else ""
        elif isinstance(block, Derived):
            gone = _sources_hidden(block, raw, thresholds)
            tables.append(_derived_table(block, gone, thresholds))
            notes += () if any(gone) else block.notes
            words = _derived_words(block.title, gone)
        elif isinstance(block, PerSite):
            table = _per_site_table(block, thresholds)
            tables.append(table)
            words = f"{block.title}: some sites hold too few people to say how many." if table.hidden else ""
        else:
            rule = model_refusal(block.rows, block.parameters, block.cells, thresholds)
            withheld = withheld or rule is not None
            if rule is None:
                notes += block.notes
                people = int(round_counts(np.array(block.rows), thresholds.round_to))
                freedom["df_residual"] = people - block.parameters
            tables += _estimates_tables(block, rule is not None, thresholds)
            words = f"{block.title}: withheld, because {rule}." if rule else ""
        if words:
            suppressed.append(words)
    facts: dict[str, int | float | None] = {}
    for name, count in (raw.counts | raw.left_out).items():
        few = bool(small(np.array(count), thresholds))
        facts[name] = None if few else int(round_counts(np.array(count), thresholds.round_to))
        if few and name in raw.left_out:
            left_out = True
        elif few:
            suppressed.append(f"{_words(name)}: hidden, because {_rule(thresholds)}.")
    for name, value in (freedom | raw.facts).items():
        facts[name] = None if withheld or value is None else _limited(value, min(thresholds.digits, FACT_DIGITS))
    if left_out:
        notes.append(
            f"Where fewer than {thresholds.min_cell} people{'' if thresholds.zeros else ', or nobody,'} have no value, how "
            "many is not shown, and totals are of those with a value."
        )
    return Output(
        method=method,
        version=version,
        tables=tuple(tables),
        facts=facts,
        notes=tuple(notes),
        suppressed=tuple(suppressed),
    )


def _rule(thresholds: Thresholds) -> str:
    fewest = "" if thresholds.zeros else "nobody or "
    return f"numbers that rest on {fewest}fewer than {thresholds.min_cell} people are not shown"


def _count_words(block: Counts, table: Settled, thresholds: Thresholds) -> str:
    if table.whole:
        return ""
    if block.hidden is not None and block.hidden.any():
        return f"{_words(block.name)}: some counts are hidden, because not every site could show its part."
    if table.hidden.all():
        return f"{_words(block.name)}: hidden, because {_rule(thresholds)}."
    return (
        f"{_words(block.name)}: some counts are hidden, because {_rule(thresholds)}, nor are counts from "
        f"which "
        "such a number could be worked out."
    )


def _few_words(title: str, thresholds: Thresholds) -> str:
    return (
        f"{title}: some values are hidden, because {_rule(thresholds)}, nor are those of groups from which "
        f"such "
        "a group could be worked out."
    )


def _words(name: str) -> str:
    words = name.replace("_", " ")
    return words[0].upper() + words[1:]


def _hidden_measures(block: Measures, thresholds: Thresholds) -> Mask:
    """Values on too few people; and where rows are groups beside their total, what keeps a hidden group
    hidden.
    """
    hidden = small(block.support, thresholds)
    if not block.groups:
        return hidden & ~np.isnan(block.values) if thresholds.zeros else hidden
    for label in dict.fromkeys(block.rows):
        places = [i for i, row in enumerate(block.rows) if row == label and block.groups[i] != block.total]
        for column in range(len(block.columns)):
            hidden[places, column] = hide(block.support[places, column], thresholds)
            if block.columns[column] in block.contrasts and hidden[places, column].any():
                hidden[places, column] = True
    return hidden


def _measures_table(block: Measures, hidden: Mask, thresholds: Thresholds) -> OutputTable:
    label = [OutputColumn(name="variable", format="text")]
    if block.groups:
        label.append(OutputColumn(name="group", format="text"))
    bounds = np.zeros(block.values.shape) if block.bounds is None else block.bounds
    bounded = [j for j in range(len(block.columns)) if (np.nan_to_num(bounds[:, j]) > 0).any()]
    columns = [_column(name) for name in block.columns]
    columns += [
        OutputColumn(name=f"{block.columns[j]}_bound", label=f"{block.columns[j]}: off by at most") for j in bounded
    ]
    rows: list[tuple[Value, ...]] = []
    places: list[tuple[int, int]] = []
    for i, name in enumerate(block.rows):
        row: list[Value] = [name, block.groups[i]] if block.groups else [name]
        for j in range(len(block.columns)):
            if hidden[i, j]:
                places.append((i, len(row)))
            row.append(None if hidden[i, j] else _limited(float(block.values[i, j]), thresholds.digits))
        for j in bounded:
            if hidden[i, j]:
                places.append((i, len(row)))
            row.append(None if hidden[i, j] else _bound(block.values[i, j], bounds[i, j], thresholds.digits))
        rows.append(tuple(row))
    return OutputTable(
        name=block.name, title=block.title, columns=(*label, *columns), rows=tuple(rows), hidden=tuple(places)
    )


def _bound(value: float, bound: float, digits: int) -> float | None:
    """The bound rounded up, with what the rounding of the value adds to it."""
    value, bound = float(value), float(bound)
    if not math.isfinite(value) or not math.isfinite(bound):
        return None
    bound += abs(value - (_limited(value, digits) or 0.0))
    if not digits or not bound:
        return bound
    unit = 10.0 ** (math.floor(math.log10(bound)) - 1)
    return _limited(math.ceil(bound / unit) * unit, 3)


def _sources_hidden(block: Derived, raw: RawOutput, thresholds: Thresholds) -> list[bool]:
    """For each row, whether its table of counts has a hidden cell, or is not there."""
    hidden = {b.name: not settled(b, thresholds).whole for b in raw.blocks if isinstance(b, Counts)}
    sources = (block.source,) * len(block.rows) if isinstance(block.source, str) else block.source
    return [hidden.get(source, True) for source in sources]


def _derived_words(title: str, gone: list[bool]) -> str:
    if not any(gone):
        return ""
    which = "hidden" if all(gone) else "some rows are hidden"
    return f"{title}: {which}, because a count that they are worked out from is hidden."


def _derived_table(block: Derived, gone: list[bool], thresholds: Thresholds) -> OutputTable:
    few = thresholds.model_copy(update={"digits": min(thresholds.digits, FACT_DIGITS)})
    return _plain_table(block.name, block.title, "measure", block.rows, block.columns, block.values, gone, few)


def _estimates_tables(block: Estimates, withheld: bool, thresholds: Thresholds) -> list[OutputTable]:
    gone = [withheld] * len(block.terms)
    tables = [_plain_table(block.name, block.title, "term", block.terms, block.columns, block.values, gone, thresholds)]
    if block.covariance is not None and thresholds.covariance:
        title = f"{block.title}: covariance of the estimates"
        name = f"{block.name}_covariance"
        tables.append(_plain_table(name, title, "term", block.terms, block.terms, block.covariance, gone, thresholds))
    return tables


def _plain_table(
    name: str,
    title: str,
    label: str,
    rows: tuple[str, ...],
    columns: tuple[str, ...],
    values: FloatArray,
    gone: list[bool],
    thresholds: Thresholds,
) -> OutputTable:
    """Labelled rows of numbers, each shown or hidden as a whole."""
    return OutputTable(
        name=name,
        title=title,
        columns=(OutputColumn(name=label, format="text"), *(_column(column) for column in columns)),
        rows=tuple(
            (row, *(None if hidden else _limited(float(value), thresholds.digits) for value in line))
            for row, line, hidden in zip(rows, values, gone, strict=True)
        ),
        hidden=tuple((i, j + 1) for i in range(len(rows)) for j in range(len(columns)) if gone[i]),
    )


def _per_site_table(block: PerSite, thresholds: Thresholds) -> OutputTable:
    """A row a site, each as it was told or coarser, and the sum of those that are shown."""
    hidden = block.hidden | small(block.values, thresholds)
    shown = np.where(hidden, 0, round_counts(block.values, thresholds.round_to))
    rows = [(site, None if gone else int(value)) for site, value, gone in zip(block.sites, shown, hidden, strict=True)]
    return OutputTable(
        name=block.name,
        title=block.title,
        columns=(OutputColumn(name="site", format="text"), OutputColumn(name=block.name, format="count")),
        rows=(*rows, ("all that are shown", int(shown.sum()))),
        hidden=tuple((place, 1) for place in np.flatnonzero(hidden).tolist()),
    )


def _column(name: str) -> OutputColumn:
    return OutputColumn(name=name, format=FORMATS.get(name, "number"))


def _limited(value: int | float, digits: int) -> int | float | None:
    """To so many significant digits; whole numbers that count something (iterations) as they are."""
    if isinstance(value, int):
        return value
    if not math.isfinite(value):
        return None
    return float(f"{value:.{digits}g}") if digits else float(value)
