"""Figures of published outputs. One code for notebook, page and report; only published numbers are ever drawn."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from civicgrid.disclosure.output import Output, OutputTable
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
    rows = max(2, len(table.rows))
    drawn = Figure(figsize=(7.2, 1.1 + 0.38 * rows), layout="constrained")
    axes = drawn.add_subplot()
    if any(column.name == "conf_low" for column in table.columns):
        _intervals(axes, table)
    else:
        _shares(axes, table)
    axes.set_title(table.title or table.name, loc="left", fontsize=11, color=INK, parse_math=False)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(colors=INK, labelsize=9)
    axes.tick_params(axis="y", length=0)
    return drawn


def svg(table: OutputTable) -> str:
    """The figure as SVG for a page: with a title and a description that a screen reader reads, and no fixed size."""
    from matplotlib import rc_context

    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "civicgrid", "font.family": "sans-serif"}):
        held = StringIO()
        draw(table).savefig(held, format="svg", metadata={"Date": None, "Creator": None})
    text = held.getvalue()
    start = text.index("<svg")
    end = text.index(">", start)
    opening = text[start:end]
    box = opening.split('viewBox="', 1)[1].split('"', 1)[0]
    name = escape(table.title or table.name)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="{box}" role="img">'
        f"<title>{name}</title><desc>{escape(describe(table))}</desc>{text[end + 1 :]}"
    )


def describe(table: OutputTable) -> str:
    """The figure in a sentence. The numbers stand in the table beside it."""
    names = [column.name for column in table.columns]
    if "conf_low" in names:
        return f"Estimates with confidence intervals for {', '.join(str(row[0]) for row in table.rows)}."
    return f"Bars for {', '.join(str(row[0]) for row in table.rows)}."


def _intervals(axes: Axes, table: OutputTable) -> None:
    names = [column.name for column in table.columns]
    at = [names.index(name) for name in ESTIMATES]
    rows = [row for row in table.rows if row[0] != "(Intercept)" and row[at[0]] is not None]
    rows = rows or [row for row in table.rows if row[at[0]] is not None]
    for place, row in enumerate(rows):
        estimate, low, high = (row[j] for j in at)
        axes.plot([float(low or 0), float(high or 0)], [place, place], color=COLOURS[0], linewidth=2)
        axes.plot([float(estimate or 0)], [place], "o", color=COLOURS[0], markersize=6)
    axes.axvline(0, color=FAINT, linewidth=1, linestyle="--")
    axes.set_yticks(range(len(rows)), [str(row[0]) for row in rows], parse_math=False)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel("estimate with its confidence interval", color=INK, fontsize=9)


def _shares(axes: Axes, table: OutputTable) -> None:
    percents = [j for j, column in enumerate(table.columns) if column.format == "percent"]
    rows = [row for row in table.rows if row[0] != "total"]
    left = [0.0] * len(rows)
    for number, j in enumerate(percents):
        widths = [float(row[j] or 0) for row in rows]
        label = (table.columns[j].label or table.columns[j].name).removesuffix(", % of row")
        axes.barh(range(len(rows)), widths, left=left, color=COLOURS[number % len(COLOURS)], label=label, height=0.6)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    axes.set_yticks(range(len(rows)), [str(row[0]) for row in rows], parse_math=False)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(0, 100)
    axes.set_xlabel("% of people", color=INK, fontsize=9)
    if len(percents) > 1:
        legend = axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=9)
        for text in legend.get_texts():
            text.set_parse_math(False)
