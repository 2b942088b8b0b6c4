"""One self-contained HTML page of a study: what was asked, what came out, who answered, what was held back.

No script, no font, no picture from elsewhere: the file can be mailed, archived and read without a network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from civicgrid.disclosure.output import Output
from civicgrid.present.plots import drawable, svg
from civicgrid.present.tables import fact_lines, html_table
from civicgrid.wire import SiteOutcome


@dataclass(frozen=True)
class Section:
    """One analysis on the page: its name, its words, its output or why there is none, and the sites."""

    name: str
    words: str
    output: Output | None
    failure: str
    mode: str
    sites: Sequence[SiteOutcome]

    @property
    def tables(self) -> list[Markup]:
        # html_table and svg escape every text that they are given.
        return [] if self.output is None else [Markup(html_table(table)) for table in self.output.tables]  # nosec B704

    @property
    def figures(self) -> list[Markup]:
        shown = [] if self.output is None else [table for table in self.output.tables if drawable(table)]
        return [Markup(svg(table)) for table in shown]  # nosec B704

    @property
    def lines(self) -> list[str]:
        return [] if self.output is None else fact_lines(self.output)


def report(
    *,
    title: str,
    explanation: str,
    plan: str,
    sections: Sequence[Section],
    seconds: Mapping[str, float],
    remarks: Sequence[str] = (),
) -> str:
    """The page as HTML. `explanation` is the study in plain English, `plan` its digest."""
    environment = Environment(
        loader=PackageLoader("civicgrid.present"), autoescape=select_autoescape(), undefined=StrictUndefined
    )
    return environment.get_template("report.html").render(
        title=title,
        paragraphs=_paragraphs(explanation),
        plan=plan,
        sections=sections,
        seconds={name: f"{value:.2f}" for name, value in seconds.items()},
        remarks=remarks,
    )


def _paragraphs(text: str) -> Markup:
    """Plain text with its indented lists kept, as HTML."""
    lines = []
    for line in text.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        lines.append(f'<p class="in{min(depth, 6)}">{escape(line.strip())}</p>' if line.strip() else "")
    return Markup("\n".join(lines))  # nosec B704 - every line is escaped above
