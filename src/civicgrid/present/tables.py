"""Published tables as people read them, in a terminal, in a notebook, on a page; how a number is written."""

from __future__ import annotations

import csv
import itertools
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
    """The table without columns for missing values where nobody has any, or all are hidden: they stay in the data."""
    names, hidden = [column.name.removesuffix(" %") for column in table.columns], set(table.hidden)
    empty = {
        j
        for j, name in enumerate(names)
        if name == NOBODY and table.rows and all(row[j] == 0 or (i, j) in hidden for i, row in enumerate(table.rows))
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


def read(table: OutputTable) -> tuple[list[tuple[str, bool]], list[list[str]]]:
    """The table as people read it: headings, each with whether numbers stand below it, and rows of text.

    A count and its percentage share a column, as in the tables of a paper: "725 (85.3%)".
    """
    table = trimmed(table)
    columns = table.columns
    joined = {
        j
        for j, (this, after) in enumerate(itertools.pairwise(columns))
        if (this.format, after.format) == ("count", "percent") and after.name == f"{this.name} %"
    }
    kept = [j for j in range(len(columns)) if j - 1 not in joined]
    heads = []
    for j in kept:
        words = label(columns[j])
        if j in joined:
            words += f", n ({label(columns[j + 1]).removeprefix(words).lstrip(', ') or '%'})"
        heads.append((words, columns[j].format != "text"))

    def cell(row: list[str], j: int) -> str:
        share = row[j + 1] if j in joined else HIDDEN
        return row[j] if HIDDEN in (row[j], share) else f"{row[j]} ({share})"

    return heads, [[cell(row, j) for j in kept] for row in cells(table)]


def rich_table(table: OutputTable) -> RichTable:
    """The table for a terminal."""
    drawn = RichTable(header_style="bold")
    heads, rows = read(table)
    for place, (words, number) in enumerate(heads):
        justify: Literal["left", "right"] = "right" if number else "left"
        # In a narrow terminal a heading of two words takes two lines before a name is broken.
        parts = words.split() if number else [*words.split(), *(row[place] for row in rows)]
        longest = max(map(len, parts), default=1)
        # As Text: names may hold square brackets, which are markup in a plain string.
        drawn.add_column(Text(words), justify=justify, overflow="fold", min_width=min(longest, 14 if number else 22))
    for row in rows:
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
    columns, rows = read(table)
    heads = "".join(f'<th scope="col"{" class=num" if number else ""}>{escape(words)}</th>' for words, number in columns)
    body = []
    for row in rows:
        line = []
        for place, (text, (_, number)) in enumerate(zip(row, columns, strict=True)):
            kind = "hidden" if text == HIDDEN else "num" if number else ""
            shown = "hidden" if text == HIDDEN else escape(text)
            if place == 0 and not kind:
                line.append(f'<th scope="row">{shown}</th>')
            else:
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
