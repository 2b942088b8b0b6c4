"""A record says what it lacks in plain words, and cannot be built from what does not fit together."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from pydantic import ValidationError

from civicgrid.catalogue.duo import Condition
from civicgrid.catalogue.record import CATEGORIES, Agent, Contact, Record, Variable, VariableTable, fields, missing
from civicgrid.errors import PlanError
from unit.catalogue.samples import full


def test_every_field_is_described_once() -> None:
    described = fields()
    assert set(described) == set(Record.model_fields) - {"kind"}
    assert len({field.label for field in described.values()}) == len(described)
    for name, field in described.items():
        assert field.healthdcat or field.hdruk, f"{name} becomes nothing in either standard"


def test_a_full_record_lacks_nothing_and_keeps_its_form() -> None:
    record = full()
    assert missing(record) == ()
    assert Record.from_bytes(record.canonical()) == record


def test_an_empty_draft_says_all_that_it_lacks() -> None:
    words = missing(Record(identifier="leeds/draft"))
    needed = {field.label for field in fields().values() if field.needed}
    assert {each.split(":")[0] for each in words} == needed - {"Identifier", "Legislation", "Who may approve"}
    assert "Custodian: give its name." in words
    assert "Title: What people call the data set." in words


def test_what_is_inside_is_asked_for_too() -> None:
    bare = Variable(name="age", title="Age", datatype="integer")
    changes = {
        "conditions": (Condition(code="DUO:0000021"),),
        "tables": (VariableTable(name="trial", variables=(bare,)),),
        "publisher": Agent(name="North"),
        "contact": Contact(),
    }
    assert missing(full().model_copy(update=changes)) == (
        "Publisher: give an e-mail address or a page to ask it by.",
        "Contact: give an e-mail address or a page.",
        "Purposes allowed: say what kind of research may use the data; so far there are only conditions.",
        "Variables: 1 of 1 in trial have no description, beginning with age.",
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"people": 1234}, "rounded to 5"),
        ({"begins": dt.date(2020, 1, 2), "ends": dt.date(2020, 1, 1)}, "on or after the first"),
        ({"youngest": 50, "oldest": 40}, "higher typical age"),
        ({"health_categories": ("XXXX",)}, "codes of Article 51"),
        ({"keywords": ("a", "a")}, "each keyword once"),
        ({"tables": ({"name": "t", "variables": ({"name": "a"}, {"name": "a"})},)}, "each column of t once"),
        ({"contact": {"email": "not an address"}}, "an e-mail address such as"),
        ({"contact": {"page": "javascript:alert(1)"}}, "begins with https://"),
        ({"contact": {"page": "https://a.example/><script>"}}, "begins with https://"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(given: dict[str, Any], words: str) -> None:
    with pytest.raises(PlanError, match=words):
        Record(identifier="a", **given)


@pytest.mark.parametrize("identifier", ["", "Leeds", "a/b/c", "../etc", "a b", "leeds/"])
def test_an_identifier_can_stand_in_an_address(identifier: str) -> None:
    with pytest.raises(ValidationError):
        Record(identifier=identifier)


def test_order_means_nothing_where_it_means_nothing() -> None:
    one = Record(identifier="a", keywords=("b", "a"), health_categories=("RQSH", "EHRS"))
    assert one == Record(identifier="a", keywords=("a", "b"), health_categories=("EHRS", "RQSH"))
    assert len(CATEGORIES) == 17, "Article 51(1)(a) to (q)"
