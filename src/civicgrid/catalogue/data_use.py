"""A use of data in the fields of the HDR UK data use register, version 2.

One table of fields, in the register's order, each with what the use has for it: page, CSV and the public register read it.
The CSV is the table of `table`, written by `present.tables.as_csv`, which keeps a spreadsheet from running what a field
holds.

A use names people only where they have agreed to be named: what goes here is public.

Source: UK Health Data Research Alliance, Data Use Registers white paper and the register's standard, version 2.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, model_validator

from civicgrid.canonical import Node
from civicgrid.disclosure.output import OutputColumn, OutputTable
from civicgrid.errors import PlanError

LAY_SUMMARY_WORDS = 300

Sector = Literal[
    "NHS organisation", "Academic institution", "Charity or not for profit", "Commercial", "Local authority",
    "Government", "Other",
]  # fmt: skip
Access = Literal["TRE/SDE", "Release"]
Sensitivity = Literal["Anonymous", "De-personalised", "Personally identifiable"]
OptOut = Literal["Yes", "No", "Not applicable"]
Again = Literal["One-off", "Recurring"]
Line = Annotated[str, Field(max_length=500)]
Words = Annotated[str, Field(max_length=10_000)]


class DataUse(Node):
    """One project's use of data. Everything but the recommended fields may be left empty."""

    kind: Literal["data_use"] = "data_use"
    organisation: Line
    organisation_id: Line = ""
    sector: Sector | None = None
    applicants: tuple[Line, ...] = ()
    orcids: tuple[Annotated[str, Field(pattern=r"^\d{4}-\d{4}-\d{4}-\d{3}[\dX]$")], ...] = ()
    funders: tuple[Line, ...] = ()
    accredited: Line = ""
    sub_licence: Line = ""
    project: Line = ""
    title: Line
    lay_summary: Words
    public_benefit: Words
    category: Line = ""
    technical_summary: Words = ""
    other_approvals: tuple[Line, ...] = ()
    begins: dt.date | None = None
    ends: dt.date | None = None
    approved: dt.date
    datasets: Annotated[tuple[Line, ...], Field(min_length=1)]
    sensitivity: Sensitivity | None = None
    article_6: Line = ""
    article_9: Line = ""
    confidentiality: Line = ""
    opt_out: OptOut | None = None
    frequency: Again | None = None
    linkage: Words = ""
    linked_assets: Words = ""
    confidential_fields: Words = ""
    access_date: dt.date | None = None
    access: Access = "TRE/SDE"
    privacy: Words = ""
    outputs: tuple[Line, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> DataUse:
        for field in FIELDS:
            if field.recommended and not field.value(self).strip():
                raise PlanError(f"Expected “{field.label}” for the data use register; it is empty. Fill it in.")
        words = len(self.lay_summary.split())
        if words > LAY_SUMMARY_WORDS:
            raise PlanError(f"Expected a lay summary of at most {LAY_SUMMARY_WORDS} words; {words} came. Shorten it.")
        if self.begins is not None and self.ends is not None and self.ends < self.begins:
            raise PlanError("Expected the project to end on or after the day that it begins; it ends before.")
        return self


@dataclass(frozen=True)
class UseField:
    """A field of the register: its heading, the part of the Five Safes it stands under, and what a use has for it."""

    label: str
    safe: Literal["people", "projects", "data", "setting", "outputs"]
    value: Callable[[DataUse], str]
    recommended: bool = False


def _day(day: dt.date | None) -> str:
    return "" if day is None else day.isoformat()


def _listed(values: Iterable[str]) -> str:
    return "; ".join(values)


FIELDS: tuple[UseField, ...] = (
    UseField("Lead organisation", "people", lambda use: use.organisation, True),
    UseField("Organisation ID", "people", lambda use: use.organisation_id),
    UseField("Organisation sector", "people", lambda use: use.sector or ""),
    UseField("Applicants", "people", lambda use: _listed(use.applicants)),
    UseField("Applicants' ORCID", "people", lambda use: _listed(use.orcids)),
    UseField("Funders or sponsors", "people", lambda use: _listed(use.funders)),
    UseField("Accredited researcher status", "people", lambda use: use.accredited),
    UseField("Sub-licence arrangements", "people", lambda use: use.sub_licence),
    UseField("Project ID", "projects", lambda use: use.project),
    UseField("Project title", "projects", lambda use: use.title, True),
    UseField("Lay summary", "projects", lambda use: use.lay_summary, True),
    UseField("Public benefit statement", "projects", lambda use: use.public_benefit, True),
    UseField("Request category type", "projects", lambda use: use.category),
    UseField("Technical summary", "projects", lambda use: use.technical_summary),
    UseField("Other approval committees", "projects", lambda use: _listed(use.other_approvals)),
    UseField("Project start date", "projects", lambda use: _day(use.begins)),
    UseField("Project end date", "projects", lambda use: _day(use.ends)),
    UseField("Latest approval date", "projects", lambda use: _day(use.approved), True),
    UseField("Data sets", "data", lambda use: _listed(use.datasets), True),
    UseField("Data sensitivity level", "data", lambda use: use.sensitivity or ""),
    UseField("Legal basis under Article 6", "data", lambda use: use.article_6),
    UseField("Lawful condition under Article 9", "data", lambda use: use.article_9),
    UseField("Common law duty of confidentiality", "data", lambda use: use.confidentiality),
    UseField("National data opt-out applied", "data", lambda use: use.opt_out or ""),
    UseField("Request frequency", "data", lambda use: use.frequency or ""),
    UseField("How linkage takes place", "data", lambda use: use.linkage),
    UseField("How linked assets are handled", "data", lambda use: use.linked_assets),
    UseField("Confidential fields", "data", lambda use: use.confidential_fields),
    UseField("Access date", "data", lambda use: _day(use.access_date)),
    UseField("Access type", "setting", lambda use: use.access, True),
    UseField("How privacy is enhanced", "setting", lambda use: use.privacy),
    UseField("Links to outputs", "outputs", lambda use: _listed(use.outputs)),
)


def table(uses: Iterable[DataUse]) -> OutputTable:
    """The uses as a table, a row a use, in the order of the register's fields."""
    return OutputTable(
        name="data_uses",
        title="Uses of data",
        columns=tuple(OutputColumn(name=field.label, format="text", label=field.label) for field in FIELDS),
        rows=tuple(tuple(field.value(use) for field in FIELDS) for use in uses),
    )
