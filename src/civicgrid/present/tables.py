"""Published tables as people read them, in a terminal, in a notebook, on a page; how a number is written."""

from __future__ import annotations

import csv
import unicodedata
from html import escape
from io import StringIO
from typing import Literal

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from civicgrid.disclosure.output import Output, OutputColumn, OutputTable, Value

HIDDEN = "[hidden]"
MISSING = "–"
UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
NOBODY = "(missing)"
WIDTH = 110


def plain(text: str) -> str:
    """Text without characters that steer a terminal or turn a line round: it may come from a hub that means harm."""
    return "".join("\ufffd" if unicodedata.category(char) in UNSEEN else char for char in text)


def write(value: Value, column: OutputColumn) -> str:
    """One value as text: counts with thousands separators, numbers to four significant digits, p values to three."""
    if value is None:
        return MISSING
    if isinstance(value, str):
        return plain(value)
    if column.format == "count":
        return f"{round(value):,}"
    if column.format == "percent":
        return f"{value:.1f}%"
    if column.format == "p":
        return "< 0.001" if value < 0.001 else f"{value:.3f}"
    if isinstance(value, int) or (float(value).is_integer() and abs(value) < 1e6):
        return f"{int(value):,}"
    return f"{value:,.4g}" if 1e-4 <= abs(value) < 1e6 else f"{value:.3e}"


def label(column: OutputColumn) -> str:
    """The heading of a column."""
    return plain(column.label or column.name.replace("_", " "))


def cells(table: OutputTable) -> list[list[str]]:
    """The table's values as text, hidden ones marked."""
    hidden = set(table.hidden)
    return [
        [
            HIDDEN if (i, j) in hidden else write(value, column)
            for j, (value, column) in enumerate(zip(row, table.columns, strict=True))
        ]
        for i, row in enumerate(table.rows)
    ]


def trimmed(table: OutputTable) -> OutputTable:
    """The table without columns for missing values where nobody has any: they stay in the data, not on the page."""
    names = [column.name.removesuffix(" %") for column in table.columns]
    empty = {
        j
        for j, name in enumerate(names)
        if name == NOBODY and table.rows and all(row[j] == 0 for row in table.rows)
    }
    if not empty:
        return table
    kept = [j for j in range(len(names)) if j not in empty]
    return table.model_copy(
        update={
            "columns": tuple(table.columns[j] for j in kept),
            "rows": tuple(tuple(row[j] for j in kept) for row in table.rows),
            "hidden": tuple((i, kept.index(j)) for i, j in table.hidden if j in kept),
        }
    )


def rich_table(table: OutputTable) -> RichTable:
    """The table for a terminal."""
    table = trimmed(table)
    drawn = RichTable(header_style="bold")
    for column in table.columns:
        justify: Literal["left", "right"] = "left" if column.format == "text" else "right"
        # As Text: names may hold square brackets, which are markup in a plain string.
        longest = max((len(word) for word in label(column).split()), default=1)
        drawn.add_column(Text(label(column)), justify=justify, overflow="fold", min_width=min(longest, 14))
    for row in cells(table):
        drawn.add_row(*[Text(text, style="dim" if text == HIDDEN else "") for text in row])
    return drawn


def heading(table: OutputTable) -> Text:
    """The table's title, for a line of its own, so that a narrow table does not break it."""
    return Text(plain(table.title or table.name), style="bold")


def as_text(output: Output, width: int = WIDTH) -> str:
    """A whole output as plain text."""
    console = Console(file=StringIO(), width=width, force_terminal=False, color_system=None)
    for table in output.tables:
        console.print(heading(table))
        console.print(rich_table(table))
    for line in fact_lines(output):
        console.print(line, highlight=False, markup=False)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue().rstrip()


def fact_lines(output: Output) -> list[str]:
    """Facts, notes and what was suppressed, a line each."""
    lines = []
    if output.facts:
        fact = OutputColumn(name="fact")
        # By name, since that is the order in which they come back from a hub.
        lines.append(", ".join(f"{k.replace('_', ' ')} {write(v, fact)}" for k, v in sorted(output.facts.items())))
    if any(column.format == "percent" for table in output.tables for column in table.columns):
        lines.append("Note: Counts are rounded as the policy says, and percentages are worked out from the rounded counts.")
    lines += [f"Note: {note}" for note in output.notes]
    lines += [f"Suppressed: {words}" for words in output.suppressed]
    return [plain(line) for line in lines]


def html_table(table: OutputTable) -> str:
    """The table for a page: a caption, headings with scope, hidden cells said in words."""
    table = trimmed(table)
    heads = "".join(
        f'<th scope="col"{"" if c.format == "text" else " class=num"}>{escape(label(c))}</th>' for c in table.columns
    )
    body = []
    for row in cells(table):
        line = []
        for text, column in zip(row, table.columns, strict=True):
            kind = "hidden" if text == HIDDEN else "" if column.format == "text" else "num"
            shown = "hidden" if text == HIDDEN else escape(text)
            line.append(f'<td class="{kind}">{shown}</td>' if kind else f"<td>{shown}</td>")
        body.append(f"<tr>{''.join(line)}</tr>")
    title = escape(table.title or table.name)
    return f"<table><caption>{title}</caption><thead><tr>{heads}</tr></thead><tbody>{''.join(body)}</tbody></table>"


FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What a spreadsheet takes for the beginning of a formula."""


def safe_cell(value: object) -> object:
    """A value for a cell of a CSV file: text that a spreadsheet would run is kept from it by an apostrophe (OWASP, CSV
    Injection), since names and levels come from others.
    """
    return f"'{value}" if isinstance(value, str) and value.lstrip(" ").startswith(FORMULAS) else value


def as_csv(table: OutputTable) -> str:
    """The table for a file: values as published, hidden and missing ones empty."""
    held = StringIO()
    writer = csv.writer(held, lineterminator="\n")
    for row in ([column.name for column in table.columns], *table.rows):
        writer.writerow([safe_cell(value) for value in row])
    return held.getvalue()


def as_html(output: Output) -> str:
    """A whole output as a fragment of HTML."""
    parts = [html_table(table) for table in output.tables]
    lines = fact_lines(output)
    if lines:
        parts.append("<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>")
    return '<div class="civicgrid">' + "".join(parts) + "</div>"
