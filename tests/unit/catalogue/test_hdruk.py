"""Records as HDR UK metadata hold against the published schema 4.0.0."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from civicgrid.catalogue.duo import TERMS, Condition
from civicgrid.catalogue.hdruk import CODINGS, FREQUENCIES, to_hdruk
from civicgrid.catalogue.healthdcat import CODINGS as EU_CODINGS
from civicgrid.catalogue.healthdcat import FREQUENCIES as EU_FREQUENCIES
from civicgrid.catalogue.record import Agent, Contact, Place, Record
from civicgrid.errors import DataError
from unit.catalogue.samples import BASE, STANDARDS, full, needs_standards


def schema() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((STANDARDS / "hdruk-4.0.0" / "schema.json").read_text("utf-8"))
    return found


def faults(data: Any) -> list[str]:
    # Through JSON, so that what is checked is what a reader gets.
    checker = Draft202012Validator(schema(), format_checker=Draft202012Validator.FORMAT_CHECKER)
    return sorted(error.json_path for error in checker.iter_errors(json.loads(json.dumps(data))))


@needs_standards
def test_the_published_example_holds_and_a_broken_one_does_not() -> None:
    example = json.loads((STANDARDS / "hdruk-4.0.0" / "example.json").read_text("utf-8"))
    assert faults(example) == []
    del example["summary"]["title"]
    assert faults(example) == ["$.summary"]


@needs_standards
@pytest.mark.parametrize("part", ["all", "least", "no places", "no tables"])
def test_a_record_holds(part: str) -> None:
    record = full()
    if part == "least":
        record = Record(
            identifier="a", title="Some data", abstract="Some data.", people=50, issued=record.issued,
            custodian=Agent(name="Trust", contact=Contact(email="a@b.example")),
        )  # fmt: skip
    elif part == "no places":
        record = record.model_copy(update={"places": ()})
    elif part == "no tables":
        record = record.model_copy(update={"tables": ()})
    assert faults(to_hdruk(record, BASE)) == []


@needs_standards
def test_every_word_that_we_use_is_one_of_the_schemas() -> None:
    kinds = schema()["$defs"]
    assert set(FREQUENCIES.values()) <= set(kinds["PeriodicityV2"]["enum"])
    assert set(CODINGS.values()) <= set(kinds["ControlledVocabularyEnum"]["enum"])
    limits, requirements = kinds["DataUseLimitationV2"]["enum"], kinds["DataUseRequirementsV2"]["enum"]
    for term in TERMS.values():
        assert term.hdruk in (limits if term.limits else requirements), term.code
        detail = "2027-01-01" if "day" in term.about else "GB" if term.about else ""
        record = full().model_copy(update={"conditions": (Condition(code=term.code, detail=detail),)})
        assert faults(to_hdruk(record, BASE)) == [], term.code
    assert set(FREQUENCIES) == set(EU_FREQUENCIES) and set(CODINGS) == set(EU_CODINGS)


def test_what_is_in_it() -> None:
    data = to_hdruk(full().model_copy(update={"places": (Place(name="Leeds, and around"),)}), BASE)
    assert data["summary"]["populationSize"] == data["observations"][0]["measuredValue"] == 12_340
    assert data["coverage"]["spatial"] == "Leeds  and around"
    assert data["accessibility"]["usage"] == {
        "dataUseLimitation": ["Research-specific restrictions"],
        "dataUseRequirements": ["Ethics approval required", "Geographical restrictions"],
    }
    assert "Only research into this may use it: asthma, COPD." in data["accessibility"]["access"]["accessRights"]
    age, sex = data["structuralMetadata"]["tables"][0]["columns"]
    assert "values" not in age, "a number's bins are no list of its values"
    assert sex["values"] == [{"name": "female", "frequency": 6_340}, {"name": "other"}], "a hidden level has no number"


def test_what_the_schema_cannot_do_without_is_said() -> None:
    with pytest.raises(DataError, match="asks for a title of 2 or more characters, a summary"):
        to_hdruk(Record(identifier="leeds/draft"), BASE)
