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
    def heading(self) -> str:
        """The analysis by its name, and what the first table shows."""
        name = self.name.replace("_", " ")
        title = self.output.tables[0].title if self.output is not None and self.output.tables else ""
        return name[:1].upper() + name[1:] + (f": {title}" if title and title.lower() != name.lower() else "")

    @property
    def shown(self) -> list[tuple[str, Markup, Markup | None]]:
        """Each table under its title, with its figure where it has one."""
        # html_table and svg escape every text that they are given.
        return [
            (
                table.title or table.name,
                Markup(html_table(table)),  # nosec B704
                Markup(svg(table)) if drawable(table) else None,  # nosec B704
            )
            for table in ([] if self.output is None else self.output.tables)
        ]

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
