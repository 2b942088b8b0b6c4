"""Figures of published outputs. One code for notebook, page and report; only published numbers are ever drawn."""

from __future__ import annotations

import textwrap
import threading
from collections.abc import Callable
from io import StringIO
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from civicgrid.disclosure.output import Output, OutputTable, Value
from civicgrid.errors import CivicGridError
from civicgrid.present.tables import trimmed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which people with any colour vision can tell apart (jfly.uni-koeln.de/color).
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
ESTIMATES = ("estimate", "conf_low", "conf_high")
MOST_ROWS = 300
INK, FAINT = "#212b32", "#768692"
WIDTH, LONGEST = 5.4, 24
"""Inches of a figure, and letters of a name on one line."""

RATIOS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.8, 1, 1.25, 1.5, 2, 3, 5, 10, 20, 50, 100)
"""Where a logarithmic axis is marked."""

Row = tuple[Value, ...]
_DRAWING = threading.Lock()


def figure(output: Output) -> Figure:
    """The figure that suits what was published: estimates with intervals, shares of categories, or counts."""
    for table in output.tables:
        if drawable(table):
            return draw(table)
    raise CivicGridError("There is nothing to draw: no published table holds estimates or counts. Print it instead.")


def drawable(table: OutputTable) -> bool:
    """Whether the table has a figure: estimates with intervals, or at least two counts, none of them hidden away.

    A table from a hub that is not honest may hold words where numbers stand, or a million rows: it has none.
    """
    table = trimmed(table)
    names = [column.name for column in table.columns]
    if len(table.rows) > MOST_ROWS:
        return False
    if set(ESTIMATES) <= set(names):
        at = [names.index(name) for name in ESTIMATES]
        return _numbers(table, at) and any(row[at[1]] is not None for row in table.rows)
    percents = [j for j, column in enumerate(table.columns) if column.format == "percent"]
    if "conf_low" in names or not _numbers(table, percents):
        return False
    shown = [row[j] for row in table.rows for j in percents if row[j] is not None]
    return bool(percents) and any(value != 100.0 for value in shown)


def _numbers(table: OutputTable, at: list[int]) -> bool:
    return not any(isinstance(row[j], str) for row in table.rows for j in at)


def draw(table: OutputTable) -> Figure:
    """The figure of one table. Names are drawn as they are: a level such as "$5 to $10" is no formula."""
    from matplotlib.figure import Figure

    table = trimmed(table)
    names = [column.name for column in table.columns]
    parts = _scales(table, names) if "conf_low" in names else [list(table.rows)]
    heights = [max(2, len(rows)) for rows in parts]
    # So narrow that its words can still be read on a phone.
    drawn = Figure(figsize=(WIDTH, 0.6 + sum(0.55 + 0.36 * rows for rows in heights)), layout="constrained")
    every = drawn.subplots(len(parts), squeeze=False, height_ratios=heights)[:, 0]
    for axes, rows in zip(every, parts, strict=True):
        if "conf_low" in names:
            _intervals(axes, rows, names)
        else:
            _shares(axes, table)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        axes.tick_params(colors=INK, labelsize=9)
        axes.tick_params(axis="y", length=0)
    title = "\n".join(textwrap.wrap(table.title or table.name, 52))
    drawn.suptitle(title, x=0.02, ha="left", fontsize=11, color=INK, parse_math=False)
    return drawn


def _scales(table: OutputTable, names: list[str]) -> list[list[Row]]:
    """The rows to draw, apart by what no effect is on their scale: one for ratios, nought for all else."""
    at = names.index("estimate")
    there = [row for row in table.rows if row[at] is not None]
    rows = [row for row in there if row[0] != "(Intercept)"] or there
    parts = [[row for row in rows if _is_ratio(row)], [row for row in rows if not _is_ratio(row)]]
    return [part for part in parts if part]


def _is_ratio(row: Row) -> bool:
    return str(row[0]).endswith("ratio")


def svg(table: OutputTable) -> str:
    """The figure as SVG for a page: with a title and a description that a screen reader reads, and no fixed size."""
    return framed(lambda: draw(table), table.title or table.name, describe(table))


def framed(drawn: Callable[[], Figure], title: str, description: str) -> str:
    """A figure as SVG, with its title and description in it. One at a time: Matplotlib's settings are everybody's."""
    from matplotlib import rc_context

    with _DRAWING, rc_context({"svg.fonttype": "none", "svg.hashsalt": "civicgrid", "font.family": "sans-serif"}):
        held = StringIO()
        drawn().savefig(held, format="svg", metadata={"Date": None, "Creator": None})
    text = held.getvalue()
    start = text.index("<svg")
    end = text.index(">", start)
    opening = text[start:end]
    box = opening.split('viewBox="', 1)[1].split('"', 1)[0]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="{box}" role="img">'
        f"<title>{escape(title)}</title><desc>{escape(description)}</desc>{text[end + 1 :]}"
    )


def describe(table: OutputTable) -> str:
    """The figure in a sentence. The numbers stand in the table beside it."""
    names = [column.name for column in table.columns]
    if "conf_low" in names:
        return f"Estimates with confidence intervals for {', '.join(str(row[0]) for row in table.rows)}."
    shown = ", ".join(str(row[0]) for row in table.rows if row[0] != "total")
    return f"Bars of 100% for {shown}, each divided by {len([c for c in table.columns if c.format == 'percent'])} levels."


def _intervals(axes: Axes, rows: list[Row], names: list[str]) -> None:
    at = [names.index(name) for name in ESTIMATES]
    ratios = _is_ratio(rows[0])
    # An end that does not exist is drawn as no line at all.
    values = [[float(row[at[0]] or 0) if row[j] is None else float(row[j] or 0) for j in at] for row in rows]
    for place, (estimate, low, high) in enumerate(values):
        axes.plot([low, high], [place, place], color=COLOURS[0], linewidth=2)
        axes.plot([estimate], [place], "o", color=COLOURS[0], markersize=6)
    axes.axvline(1 if ratios else 0, color=FAINT, linewidth=1, linestyle="--")
    axes.set_yticks(range(len(rows)), [_wrapped(str(row[0])) for row in rows], parse_math=False)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    what = "ratio" if ratios else "difference" if str(rows[0][0]).endswith("difference") else "estimate"
    words = f"{what} and its confidence interval"
    least, most = min(map(min, values)), max(map(max, values))
    ticks = [tick for tick in RATIOS if min(least, 1) / 1.15 <= tick <= max(most, 1) * 1.15] if ratios and least > 0 else []
    if len(ticks) > 1:
        # A ratio and its inverse are as far from one.
        axes.set_xscale("log")
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.set_xticks([], minor=True)
        words += ", on a logarithmic scale"
    axes.set_xlabel(words, color=INK, fontsize=9)


def _shares(axes: Axes, table: OutputTable) -> None:
    percents = [j for j, column in enumerate(table.columns) if column.format == "percent"]
    rows = [row for row in table.rows if row[0] != "total"]
    left = [0.0] * len(rows)
    for number, j in enumerate(percents):
        widths = [float(row[j] or 0) for row in rows]
        label = (table.columns[j].label or table.columns[j].name).removesuffix(", % of row")
        axes.barh(range(len(rows)), widths, left=left, color=COLOURS[number % len(COLOURS)], label=label, height=0.6)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    axes.set_yticks(range(len(rows)), [_wrapped(str(row[0])) for row in rows], parse_math=False)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(0, 100)
    axes.set_xlabel("% of people", color=INK, fontsize=9)
    if len(percents) > 1:
        handles, names = axes.get_legend_handles_labels()
        drawn = axes.figure
        legend = drawn.legend(
            handles, names, loc="outside lower left", ncols=2, frameon=False, fontsize=9, labelcolor=INK
        )
        for text in legend.get_texts():
            text.set_parse_math(False)


def _wrapped(name: str) -> str:
    """A name that is to stand beside the axis: long ones take more than one line."""
    return name if len(name) <= LONGEST else "\n".join(textwrap.wrap(name, LONGEST))
