"""A use of data in the register's fields: the recommended ones are there, in order, and a spreadsheet runs nothing."""

from __future__ import annotations

import csv
import datetime as dt
import io
from typing import Any

import pytest

from civicgrid.catalogue.data_use import FIELDS, DataUse, table
from civicgrid.errors import PlanError
from civicgrid.present.tables import as_csv

USE: dict[str, Any] = {
    "organisation": "University of the North",
    "title": "Asthma and the weather",
    "lay_summary": "We want to know whether cold days bring people with asthma to hospital.",
    "public_benefit": "Hospitals can plan for cold days.",
    "approved": dt.date(2026, 11, 24),
    "datasets": ("leeds/trial", "york/trial"),
}

# From the list in the folder of standards: version 2 of the register, in its order, * recommended.
LISTED = """
*lead organisation, organisation id, sector, applicants, ORCID, funders, accredited, sub-licence,
project id, *title, *lay summary, *public benefit, request category, technical summary, other approval, start, end,
*latest approval date, *data sets, sensitivity, Article 6, Article 9, common law, opt-out, frequency, linkage,
linked assets, confidential fields, access date, *access type, privacy, outputs
"""


def test_the_fields_are_those_of_the_register_in_its_order() -> None:
    listed = [each.strip() for each in LISTED.replace("\n", " ").split(",")]
    assert len(listed) == len(FIELDS)
    for words, field in zip(listed, FIELDS, strict=True):
        assert words.strip("*").lower() in field.label.lower(), field.label
        assert words.startswith("*") == field.recommended, field.label
    safes = [field.safe for field in FIELDS]
    assert list(dict.fromkeys(safes)) == ["people", "projects", "data", "setting", "outputs"]


def test_every_part_of_a_use_is_in_one_field() -> None:
    full = {
        "organisation_id": "grid.1", "sector": "NHS organisation", "applicants": ("Ada",),
        "orcids": ("0000-0002-1825-0097",),
        "funders": ("NIHR",), "accredited": "ONS", "sub_licence": "none", "project": "P-7", "category": "Health services",
        "technical_summary": "Poisson", "other_approvals": ("REC",), "begins": dt.date(2026, 1, 1),
        "ends": dt.date(2027, 1, 1), "sensitivity": "De-personalised", "article_6": "6(1)(e)", "article_9": "9(2)(j)",
        "confidentiality": "s251", "opt_out": "Yes", "frequency": "Recurring", "linkage": "by NHS number",
        "linked_assets": "kept apart", "confidential_fields": "postcode", "access_date": dt.date(2026, 2, 1),
        "access": "Release", "privacy": "masked sums", "outputs": ("https://doi.example/1",),
    }  # fmt: skip
    assert set(full) | set(USE) == set(DataUse.model_fields) - {"kind"}
    plain = [field.value(DataUse(**USE)) for field in FIELDS]
    for name, value in full.items():
        changed = [field.value(DataUse(**USE, **{name: value})) for field in FIELDS]
        assert sum(one != two for one, two in zip(plain, changed, strict=True)) == 1, name


def test_as_csv_it_can_be_read_and_a_spreadsheet_runs_nothing() -> None:
    hostile = DataUse(**(USE | {"title": '=HYPERLINK("http://a.example")', "outputs": ("@SUM(A1)", "b")}))
    text = as_csv(table([DataUse(**USE), hostile]))
    head, first, second = list(csv.reader(io.StringIO(text)))
    assert head == [field.label for field in FIELDS]
    assert first[head.index("Data sets")] == "leeds/trial; york/trial"
    assert first[head.index("Latest approval date")] == "2026-11-24"
    assert second[head.index("Project title")].startswith("'=")
    assert second[head.index("Links to outputs")].startswith("'@")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lay_summary": "word " * 301}, "at most 300 words; 301 came"),
        ({"title": " "}, "Expected “Project title”"),
        ({"begins": dt.date(2026, 2, 1), "ends": dt.date(2026, 1, 1)}, "ends before"),
    ],
)
def test_what_is_missing_is_said(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(PlanError, match=words):
        DataUse(**(USE | changes))


def test_empty_register_has_its_headings() -> None:
    assert as_csv(table([])).startswith("Lead organisation,Organisation ID")
