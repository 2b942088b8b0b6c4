"""The register as a data use register: one row for each approved project, in the fields of HDR UK's standard, version 2.

The headings are those of the Health Data Research Gateway's upload form; a star marks what it requires. What nobody said is
left empty, never guessed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from civicgrid.governance.register import (
    ApplicationSubmitted,
    Decision,
    Leaf,
    PermitGranted,
    ResultPublished,
)

READ = ("application_submitted", "decision", "permit", "result")
"""The kinds of entry that a data use is put together from."""


@dataclass
class Project:
    """What the register says of one project, as far as the fields ask."""

    application: ApplicationSubmitted
    approved: dt.date | None = None
    access: dt.date | None = None
    results: list[str] = field(default_factory=list)


def _day(date: dt.date | None) -> str:
    return f"{date:%d/%m/%Y}" if date else ""


Cell = Callable[[Project, Mapping[str, str]], str]
COLUMNS: dict[str, Cell] = {
    "Project title*": lambda p, names: p.application.title,
    "Project ID": lambda p, names: p.application.project,
    "Dataset(s) name*": lambda p, names: ", ".join(p.application.datasets),
    "Organisation name*": lambda p, names: p.application.organisation,
    "Organisation ID": lambda p, names: p.application.use.organisation_id,
    "Organisation sector": lambda p, names: p.application.use.sector,
    "Applicant name(s)": lambda p, names: ", ".join(
        names[person] for person in dict.fromkeys((p.application.lead, *p.application.people)) if person in names
    ),
    "Applicant ID": lambda p, names: "",
    "Funders/ Sponsors": lambda p, names: ", ".join(p.application.funders),
    "DEA accredited researcher?": lambda p, names: p.application.use.accredited,
    "Sub-licence arrangements (if any)?": lambda p, names: p.application.use.sublicence,
    "Lay summary*": lambda p, names: p.application.summary,
    "Public benefit statement*": lambda p, names: p.application.benefit,
    "Request category type": lambda p, names: p.application.use.category,
    "Technical summary": lambda p, names: p.application.use.technical_summary,
    "Other approval committees": lambda p, names: p.application.use.other_approvals,
    "Project start date": lambda p, names: _day(p.application.use.start),
    "Project end date": lambda p, names: _day(p.application.use.end),
    "Latest approval date*": lambda p, names: _day(p.approved),
    "Data sensitivity level": lambda p, names: p.application.use.sensitivity,
    "Legal basis for provision of data under Article 6": lambda p, names: p.application.use.article_6,
    "Lawful conditions for provision of data under Article 9": lambda p, names: p.application.use.article_9,
    "Common Law Duty of Confidentiality": lambda p, names: p.application.use.confidentiality,
    "National data opt-out applied?": lambda p, names: p.application.use.opt_out,
    "Request frequency": lambda p, names: p.application.use.frequency,
    "For linked datasets, specify how the linkage will take place": lambda p, names: p.application.use.linkage,
    "Description of the confidential data being used": lambda p, names: p.application.use.confidential,
    "Release/Access date": lambda p, names: _day(p.access),
    "Access type*": lambda p, names: p.application.use.access_type or FEDERATED,
    "How has data been processed to enhance privacy?": lambda p, names: p.application.use.privacy or CHECKED,
    "Link to research outputs": lambda p, names: ", ".join(p.results),
}
"""Each heading, and what stands under it. `names` are those of people whose names have not been erased."""

FEDERATED = "Federated analysis: the study goes to the data, no record leaves its site"
CHECKED = "Only sums that passed the site's own disclosure rules leave it"


class Projects:
    """The projects of a register, put together as its entries come: each is read once."""

    def __init__(self) -> None:
        self._found: dict[str, Project] = {}

    def add(self, leaves: Iterable[Leaf]) -> None:
        """Take in further entries, in their order."""
        for leaf in leaves:
            entry, date = leaf.entry, dt.date.fromisoformat(leaf.at[:10])
            if isinstance(entry, ApplicationSubmitted):
                self._found.setdefault(entry.project, Project(entry)).application = entry
            elif isinstance(entry, Decision | PermitGranted | ResultPublished) and entry.project in self._found:
                project = self._found[entry.project]
                if isinstance(entry, Decision) and entry.outcome == "approved":
                    project.approved = date
                elif isinstance(entry, PermitGranted):
                    project.access = project.access or date
                elif isinstance(entry, ResultPublished) and entry.link:
                    project.results.append(entry.link)

    def approved(self) -> list[Project]:
        """Those that somebody has approved, in the order of their first application."""
        return [replace(each, results=[*each.results]) for each in self._found.values() if each.approved]


def rows(given: Sequence[Project], names: Mapping[str, str]) -> list[list[str]]:
    """The table, headings first."""
    return [list(COLUMNS), *([cell(project, names) for cell in COLUMNS.values()] for project in given)]
