"""The page about the catalogue leaves nothing out: every field of a record, every term, every measure."""

from __future__ import annotations

import re
from pathlib import Path

from civicgrid.catalogue.duo import TERMS
from civicgrid.catalogue.record import fields
from civicgrid.catalogue.search import FACETS
from civicgrid.catalogue.use import History, measured
from unit.catalogue.samples import LOADED, full

PAGE = (Path(__file__).parents[2] / "docs" / "catalogue.md").read_text("utf-8")


def test_every_field_of_a_record_with_what_it_becomes() -> None:
    shown = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \| (.*?) \| (.*?) \|$", PAGE, re.M)
    described = [(n, f.label, "yes" if f.needed else "", f.healthdcat, f.hdruk) for n, f in fields().items()]
    assert [tuple(cell.strip() for cell in row) for row in shown] == described


def test_every_term_in_plain_english() -> None:
    for term in TERMS.values():
        assert f"| {term.code} | {term.short} | {term.words.replace('{detail}', '…')} |" in PAGE, term.code


def test_every_measure_and_every_facet() -> None:
    for word in measured(full(), History(), LOADED).explain():
        assert f"| {word} |" in PAGE
    facets = PAGE.split("## Finding data sets")[1].split("##")[0].lower()
    for facet in FACETS.values():
        assert facet.label.lower().split(" and ")[0] in " ".join(facets.split()), facet.label
