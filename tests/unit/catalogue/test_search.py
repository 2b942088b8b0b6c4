"""Free text and facets find what a person would point at, in an order that they would expect."""

from __future__ import annotations

import numpy as np
import pytest

from civicgrid.catalogue.duo import Condition
from civicgrid.catalogue.record import Agent, Place, Record, Variable, VariableTable
from civicgrid.catalogue.search import FACETS, Index, words_of
from unit.catalogue.samples import full


def record(identifier: str, title: str, **given: object) -> Record:
    return Record.model_validate({"identifier": identifier, "title": title, **given})


LEEDS = Agent(name="Leeds Trust")
ASTHMA = record("a", "Asthma registry", keywords=("lungs",), custodian=LEEDS, health_categories=("MRMR",))
COPD = record("b", "COPD clinic", description="Some also have asthma.", custodian=Agent(name="York Trust"), model="OMOP")
CAFE = record("c", "Café study", places=(Place(name="Wales"),), custodian=LEEDS, model="OMOP")
BLOODS = record(
    "d",
    "Blood tests",
    tables=(VariableTable(name="t", variables=(Variable(name="serum_potassium", description="In mmol/l."),)),),
    conditions=(Condition(code="DUO:0000007", detail="asthma"),),
)
INDEX = Index((BLOODS, CAFE, COPD, ASTHMA))


def found(text: str = "", **chosen: list[str]) -> list[str]:
    return [each.identifier for each in INDEX.search(text, chosen).records]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("asthma", ["a", "d", "b"]),
        ("ASTHMA registry", ["a"]),
        ("asth", ["a", "d", "b"]),
        ("cafe", ["c"]),
        ("potassium", ["d"]),
        ("leeds", ["a", "c"]),
        ("leeds wales", ["c"]),
        ("wales york", []),
        ("nothing", []),
        ("", ["a", "d", "c", "b"]),
        ("!?", ["a", "d", "c", "b"]),
    ],
)
def test_every_word_must_be_found_and_the_title_comes_first(text: str, expected: list[str]) -> None:
    assert found(text) == expected


def test_a_whole_word_comes_before_the_beginning_of_one() -> None:
    index = Index((record("a", "Carers"), record("b", "Care"), record("c", "Careful study")))
    assert index.search("care").records[0].identifier == "b"


def test_facets_narrow_down_and_count_beside_each_other() -> None:
    assert found(custodian=["Leeds Trust"]) == ["a", "c"]
    assert found(custodian=["Leeds Trust", "York Trust"]) == ["a", "c", "b"], "any of one facet"
    assert found(custodian=["Leeds Trust"], model=["OMOP"]) == ["c"], "each of several"
    assert found("asthma", model=["OMOP"]) == ["b"]
    assert found(custodian=["Nobody"]) == found(unknown=["x"]) == []
    facets = INDEX.search("", {"custodian": ["Leeds Trust"]}).facets
    counts = {each.value: (each.count, each.chosen) for each in facets["custodian"]}
    assert counts == {"Leeds Trust": (2, True), "York Trust": (1, False)}, "of its own facet, what a further choice adds"
    assert {each.value: each.count for each in facets["model"]} == {"OMOP": 1, "local": 1}
    assert facets["category"][0].words == "medical registries and registries of deaths"


def test_facets_count_what_a_plain_loop_counts() -> None:
    rng = np.random.default_rng(2)
    records = [
        record(
            f"r{n}", f"Data {n % 7}", model=str(rng.choice(["OMOP", "local"])), places=(Place(name=f"P{rng.integers(3)}"),)
        )
        for n in range(60)
    ]
    shown = Index(records).search("data", {"model": ["OMOP"]}).facets["place"]
    by_hand = {f"P{n}": sum(r.model == "OMOP" and r.places[0].name == f"P{n}" for r in records) for n in range(3)}
    assert {each.value: each.count for each in shown} == by_hand


def test_pages_follow_each_other() -> None:
    records = [record(f"r{n:02}", f"Title {n:02}") for n in range(45)]
    index = Index(records)
    pages = [index.search("title", start=start, size=20) for start in (0, 20, 40, 60)]
    assert [len(page.records) for page in pages] == [20, 20, 5, 0] and {page.total for page in pages} == {45}
    assert [each.identifier for page in pages for each in page.records] == [each.identifier for each in records]


def test_a_full_record_is_found_by_all_that_it_says() -> None:
    index = Index((full(), record("z", "Other")))
    for text in ("registry of leeds", "diagnosis", "age", "COPD", "surroundings", "leeds/trial"):
        assert [each.identifier for each in index.search(text).records] == ["leeds/trial"], text
    assert set(index.search().facets) == set(FACETS)


def test_a_hostile_query_is_only_text() -> None:
    assert found("<script>" * 1000) == [] and found("a " * 10_000) == found("a")
    assert words_of("Größe_ÉTÉ 3") == ["grosse", "ete", "3"]


def test_an_empty_catalogue_finds_nothing() -> None:
    assert Index(()).search("anything").total == 0
