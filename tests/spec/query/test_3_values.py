"""Values: missing ones, comparing, calculating, choosing."""

import pytest

from civicgrid.query.language import case, cdm, concept_set, days, maximum_of, minimum_of, when

gp = cdm("gp")
person = gp.person
drugs = gp.drug_exposure
PERSONS = """
    person | year_of_birth | gender
    1      | 1950          | 8532
    2      | 2000          | 8507
    3      | -             | 0
    4      | 1980          | -
"""


@pytest.mark.parametrize(("question", "answers"), [
    (person.year_of_birth < 1980, {1: True, 2: False, 3: None, 4: False}),
    (person.year_of_birth != 1980, {1: True, 2: True, 3: None, 4: False}),
    (person.year_of_birth.is_in([1950, 1980]), {1: True, 2: False, 3: None, 4: True}),
    (person.year_of_birth.is_between(1950, 1980), {1: True, 2: False, 3: None, 4: True}),
    (person.year_of_birth.is_null(), {1: False, 2: False, 3: True, 4: False}),
])
def test_comparing_with_something_missing_is_missing(ask, question, answers):
    """A comparison with a missing value has no answer; only `is_null` always answers."""
    assert ask(question, person=PERSONS) == answers


def test_and_or_not(ask):
    """`&` is no if one part is no, `|` is yes if one part is yes, whatever is missing; `~` of missing is missing."""
    old, woman = person.year_of_birth < 1980, person.gender_concept_id == 8532
    assert ask(old & woman, person=PERSONS) == {1: True, 2: False, 3: False, 4: False}
    assert ask(old | woman, person=PERSONS) == {1: True, 2: False, 3: None, 4: None}
    assert ask(~old, person=PERSONS) == {1: False, 2: True, 3: None, 4: True}


def test_if_null_then(ask):
    """`if_null_then` puts a value where there is none."""
    assert ask(person.year_of_birth.if_null_then(1900), person=PERSONS) == {1: 1950, 2: 2000, 3: 1900, 4: 1980}


def test_calculating(ask):
    """Sums keep whole numbers whole; a division gives a decimal, and a division by zero is missing."""
    year = person.year_of_birth
    assert ask(2020 - year, person=PERSONS) == {1: 70, 2: 20, 3: None, 4: 40}
    assert ask(year / 100, person=PERSONS) == {1: 19.5, 2: 20.0, 3: None, 4: 19.8}
    assert ask(1 / (year - 2000), person=PERSONS) == {1: -0.02, 2: None, 3: None, 4: -0.05}


def test_what_is_too_large_is_missing(ask):
    """A whole number beyond 64 bits, or a date beyond the calendar, is missing; it never stops a study."""
    year = person.year_of_birth
    assert ask((year - 1949) * (2**53 - 1) * 1000, person=PERSONS) == {
        1: 9007199254740991000, 2: None, 3: None, 4: None}
    far = person.birth_date + days((year - 1950) * 10_000_000_000)
    assert ask(far.is_null(), person=PERSONS) == {1: False, 2: True, 3: True, 4: True}


def test_numbers_of_the_other_kind(ask):
    """`as_int` counts yes as 1 and rounds a decimal down; `as_float` makes a decimal."""
    year = person.year_of_birth
    assert ask((year > 1960).as_int(), person=PERSONS) == {1: 0, 2: 1, 3: None, 4: 1}
    assert ask(((1950 - year) / 100).as_int(), person=PERSONS) == {1: 0, 2: -1, 3: None, 4: -1}


def test_case(ask):
    """`case` takes the first arm whose condition is yes, then `otherwise`, else it is missing. Texts are levels."""
    band = case(
        when(person.year_of_birth < 1960).then("older"), when(person.year_of_birth < 1990).then("middle"),
        otherwise="younger")
    assert ask(band, person=PERSONS) == {1: "older", 2: "younger", 3: "younger", 4: "middle"}
    assert band.node.returns.levels == ("older", "middle", "younger")
    assert ask(case(when(person.year_of_birth < 1960).then(1)), person=PERSONS) == {1: 1, 2: None, 3: None, 4: None}


def test_to_category(ask):
    """`to_category` names the values of a column; what is missing or not listed becomes `otherwise` or stays missing."""
    named = person.gender_concept_id.to_category({8507: "man", 8532: "woman"})
    assert ask(named, person=PERSONS) == {1: "woman", 2: "man", 3: None, 4: None}


def test_sex(ask):
    """`person.sex` has three levels, the same at every site."""
    assert ask(person.sex, person=PERSONS) == {
        1: "female", 2: "male", 3: "other or unknown", 4: "other or unknown"}
    assert person.sex.node.returns.levels == ("female", "male", "other or unknown")


def test_minimum_and_maximum_of(ask):
    """`minimum_of` and `maximum_of` compare series person by person, leaving out what is missing."""
    year, limit = person.year_of_birth, person.year_of_birth * 0 + 1970
    assert ask(minimum_of(year, limit), person=PERSONS) == {1: 1950, 2: 1970, 3: None, 4: 1970}
    assert ask(maximum_of(year, person.gender_concept_id), person=PERSONS) == {1: 8532, 2: 8507, 3: 0, 4: 1980}


def test_aggregates(ask):
    """Sums, means, smallest and largest leave out what is missing, and are missing where nothing is left."""
    table = """
        person | drug_exposure_id | quantity | days_supply
        1      | 1                | 1.5      | 10
        1      | 2                | 2.5      | 10
        1      | 3                | -        | 30
        2      | 4                | -        | -
    """
    assert ask(drugs.quantity.sum_for_person(), drug_exposure=table) == {1: 4.0, 2: None}
    assert ask(drugs.quantity.mean_for_person(), drug_exposure=table) == {1: 2.0, 2: None}
    assert ask(drugs.days_supply.maximum_for_person(), drug_exposure=table) == {1: 30, 2: None}
    assert ask(drugs.days_supply.minimum_for_person(), drug_exposure=table) == {1: 10, 2: None}
    assert ask(drugs.days_supply.count_distinct_for_person(), drug_exposure=table) == {1: 2, 2: 0}


CONCEPTS = """
    person | drug_exposure_id | concept
    1      | 1                | 100
    2      | 2                | 101
    3      | 3                | 102
    4      | 4                | -
"""
BELOW = """
    ancestor_concept_id | descendant_concept_id
    100                 | 101
    100                 | 102
    101                 | 102
"""


@pytest.mark.parametrize(("codes", "found"), [
    (concept_set(100, name="one"), {1}),
    (concept_set(100, name="all").with_descendants(), {1, 2, 3}),
    (concept_set(100, name="not 101").with_descendants().excluding(101), {1, 3}),
    (concept_set(100, name="not below").with_descendants().excluding(
        concept_set(101, name="101").with_descendants()), {1}),
    (concept_set(103, name="unknown here").with_descendants(), set()),
])
def test_concept_sets(ask, codes, found):
    """A concept set holds its ids exactly; `with_descendants` adds what the site's vocabulary puts below them.

    What is taken out wins. An id is in its own set whether or not the vocabulary knows it.
    """
    has = drugs.where(drugs.concept.is_in(codes)).exists_for_person()
    assert ask(has, drug_exposure=CONCEPTS, concept_ancestor=BELOW) == {number: number in found for number in (1, 2, 3, 4)}


def test_a_missing_concept_is_in_no_set_and_out_of_none(ask):
    """A row without a concept is neither in a set nor outside it."""
    codes = concept_set(100, name="all").with_descendants().excluding(100, 101, 102)
    outside = drugs.where(drugs.concept.is_not_in(codes)).exists_for_person()
    assert ask(outside, drug_exposure=CONCEPTS, concept_ancestor=BELOW) == {1: True, 2: True, 3: True, 4: False}
