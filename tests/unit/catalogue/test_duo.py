"""The terms are those of the ontology, and a use is judged by each of them."""

from __future__ import annotations

import csv
import datetime as dt
from typing import Any

import pytest

from civicgrid.catalogue.duo import _VERDICTS, TERMS, Condition, Use, judge
from civicgrid.errors import PlanError
from unit.catalogue.samples import STANDARDS, needs_standards

GENERAL = Condition(code="DUO:0000042")
PLAIN: dict[str, Any] = {
    "purpose": "health",
    "commercial": False,
    "for_profit": False,
    "countries": ("GB",),
    "ethics_approved": True,
    "diseases": ("Asthma",),
    "organisations": ("Leeds Trust",),
    "genetic": True,
    "collaborates": True,
    "returns": True,
    "until": dt.date(2027, 1, 1),
}


@needs_standards
def test_identifiers_and_labels_are_those_of_the_ontology() -> None:
    with (STANDARDS / "duo.csv").open(encoding="utf-8") as file:
        published = {row["id"]: (row["shorthand"], row["label"]) for row in csv.DictReader(file)}
    assert {code: (term.short, term.label) for code, term in TERMS.items()} == published


def test_every_term_is_judged_and_has_words() -> None:
    assert set(_VERDICTS) == set(TERMS)
    for term in TERMS.values():
        assert ("{detail}" in term.words) == bool(term.about), term.code
        assert term.hdruk, term.code


# What each term says to a use that keeps it, and to one that does not (None: a person decides).
CASES = {
    "DUO:0000004": ("", {}, True, {}, True),
    "DUO:0000042": ("", {}, True, {"purpose": "care"}, False),
    "DUO:0000006": ("", {}, True, {"purpose": "ancestry"}, False),
    "DUO:0000007": ("asthma, COPD", {}, True, {"purpose": "other"}, False),
    "DUO:0000011": ("", {"purpose": "ancestry"}, True, {}, False),
    "DUO:0000043": ("", {"purpose": "care"}, True, {}, False),
    "DUO:0000012": ("lung health", {}, None, {}, None),
    "DUO:0000015": ("", {}, True, {"purpose": "methods"}, False),
    "DUO:0000016": ("", {}, True, {"genetic": False}, False),
    "DUO:0000018": ("", {}, True, {"commercial": True}, False),
    "DUO:0000045": ("", {"commercial": True}, True, {"for_profit": True}, False),
    "DUO:0000046": ("", {"for_profit": True}, True, {"commercial": True}, False),
    "DUO:0000044": ("", {}, True, {"purpose": "ancestry"}, False),
    "DUO:0000019": ("", {}, True, {"publishes": False}, False),
    "DUO:0000020": ("", {}, True, {"collaborates": False}, False),
    "DUO:0000021": ("", {}, True, {"ethics_approved": False}, False),
    "DUO:0000022": ("GB, IE", {}, True, {"countries": ("GB", "US")}, False),
    "DUO:0000024": ("2027-06-01", {}, None, {}, None),
    "DUO:0000025": ("2027-01-01", {}, True, {"until": dt.date(2027, 1, 2)}, False),
    "DUO:0000026": ("Ada Lee", {}, None, {}, None),
    "DUO:0000027": ("P-7", {}, None, {}, None),
    "DUO:0000028": ("Leeds Trust", {}, True, {"organisations": ("York Trust",)}, None),
    "DUO:0000029": ("", {}, True, {"returns": False}, False),
}


def test_every_term_has_a_case() -> None:
    assert set(CASES) == set(TERMS)


@pytest.mark.parametrize("code", sorted(CASES))
def test_a_use_is_judged_by_each_term(code: str) -> None:
    detail, keeps, first, breaks, second = CASES[code]
    condition = Condition(code=code, detail=detail)
    for changes, expected in ((keeps, first), (breaks, second)):
        beside = () if TERMS[code].permission else (Condition(code="DUO:0000004"),)
        judged = judge((*beside, condition), Use(**(PLAIN | changes)))
        assert judged.within == (expected is True), (code, changes)
        assert bool(judged.undecided) == (expected is None), (code, changes)
        assert bool(judged.against) == (expected is False), (code, changes)


def test_one_of_several_permissions_is_enough_and_none_is_for_a_person() -> None:
    either = (Condition(code="DUO:0000043"), Condition(code="DUO:0000006"))
    assert judge(either, Use(**PLAIN)).within
    assert judge((), Use(**PLAIN)).undecided == ("The data set does not say what kind of research may use it.",)


def test_the_words_are_plain() -> None:
    ireland, ada = Condition(code="DUO:0000022", detail="IE"), Condition(code="DUO:0000026", detail="Ada")
    judged = judge((GENERAL, ireland, ada), Use(**PLAIN))
    assert judged.explain() == (
        "This use is not within the conditions: It may be used only in: IE.\n"
        "A person has to decide: Only these people may use it: Ada."
    )
    assert Condition(code="DUO:0000025", detail="2027-02-01").explain() == "It may be used until 1 February 2027."
    assert judge((GENERAL,), Use(**PLAIN)).explain() == "This use is within the conditions that the data set states."


def test_another_name_of_a_disease_is_for_a_person_to_see() -> None:
    only = (Condition(code="DUO:0000007", detail="asthma"),)
    assert judge(only, Use(**(PLAIN | {"diseases": ("wheeze",)}))).undecided


@pytest.mark.parametrize(
    ("code", "detail", "words"),
    [
        ("DUO:9999999", "", "Expected a term of the Data Use Ontology"),
        ("DUO:0000007", " ", "has to name the disease"),
        ("DUO:0000042", "asthma", "names nothing"),
        ("DUO:0000025", "next year", "has to name the last day, as YYYY-MM-DD"),
    ],
)
def test_a_condition_says_what_it_lacks(code: str, detail: str, words: str) -> None:
    with pytest.raises(PlanError, match=words):
        Condition(code=code, detail=detail)
