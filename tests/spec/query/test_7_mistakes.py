"""Mistakes: what Python would let pass, or what has no meaning, is refused with what to write instead."""

import pytest

from civicgrid.errors import PlanError
from civicgrid.query.language import case, cdm, cohort, concept_set, dataset, days, follow_up, run_date, when
from civicgrid.query.types import FLOAT

gp = cdm("gp")
drugs, bleeds, person = gp.drug_exposure, gp.condition_occurrence, gp.person
old = person.year_of_birth < 1950
first = drugs.sort_by(drugs.start_date).first_for_person()
taken = drugs.where(drugs.concept == 3)

MISTAKES = {
    "`and` between conditions": (lambda: old and old, "write &"),
    "`or` between conditions": (lambda: old or old, "write &, | and ~"),
    "`not` before a condition": (lambda: not old, "write &, | and ~"),
    "`if` on a series": (lambda: 1 if old else 0, "write case"),
    "a chained comparison": (lambda: 1900 < person.year_of_birth < 1950, r"\(a < b\) & \(b < c\)"),
    "`in` a list": (lambda: person.year_of_birth in [1950], "instead of `in` write is_in"),
    "`in` a series": (lambda: 1950 in person.year_of_birth, "series == value"),
    "no brackets round &": (lambda: person.year_of_birth == 1950 & person.gender_concept_id, "brackets round each"),
    "comparing with None": (lambda: old == None, "is_null"),  # noqa: E711
    "text with a number": (lambda: person.year_of_birth == "1950", "cannot be compared"),
    "a level that is not there": (lambda: person.sex == "Female", "It has: female, male"),
    "order in a category": (lambda: person.sex > "female", "without an order"),
    "a number added to a date": (lambda: first.start_date + 3, r"date \+ days\(3\)"),
    "a difference without a unit": (lambda: (first.end_date - first.start_date) > 3, r"\.days"),
    "a date that is none": (lambda: first.start_date > "1/2/2020", "YYYY-MM-DD"),
    "a sum of yes and no": (lambda: old + old, "as_int"),
    "a table that is not there": (lambda: gp.drugs, "Choose one of: .*drug_exposure"),
    "a column that is not there": (lambda: drugs.startdate, "It has: .*start_date"),
    "who a person is": (lambda: drugs.person_id, "no column 'person_id'"),
    "a time of day": (lambda: drugs.drug_exposure_start_datetime, "no column"),
    "a method of another kind": (lambda: old.within(0, 1), "There is no 'within'"),
    "rows of another table": (lambda: drugs.where(bleeds.concept == 3), "on the rows of condition_occurrence"),
    "rows of another selection": (lambda: drugs.where(taken.quantity > 1), "another selection"),
    "two selections in one sum": (
        lambda: taken.quantity + drugs.where(drugs.concept == 4).quantity, "two different selections"),
    "two tables in one expression": (lambda: drugs.start_date > bleeds.start_date, "rows of two tables"),
    "a frame as a condition": (lambda: drugs.where(taken), "Expected a series"),
    "a frame as a truth": (lambda: not taken, "exists_for_person"),
    "a frame as a population": (lambda: cohort(population=taken), "exists_for_person"),
    "many values a person in a column": (lambda: cohort(population=old, when=drugs.start_date), "many values a person"),
    "text in a column": (lambda: cohort(population=old, why=first.stop_reason), "to_category"),
    "a number as a population": (lambda: cohort(population=person.year_of_birth), "needs yes or no"),
    "two data sets": (lambda: cohort(population=old, x=cdm("other").person.year_of_birth), "reads one data set"),
    "a follow-up as a column": (
        lambda: cohort(population=old, f=follow_up(first.start_date, event=bleeds)), r"\.days, \.event"),
    "follow-up without an end": (
        lambda: follow_up(dataset("t", {"a": FLOAT}).a, event=dataset("t", {"a": FLOAT}).a, max_days=3), "needs a date"),
    "an arm without a value": (lambda: case(when(old)), "arms such as"),
    "values of two kinds": (lambda: case(when(old).then(1), otherwise="x"), "values of one kind"),
    "a concept by name": (lambda: concept_set("celecoxib", name="celecoxib"), "whole numbers such as 1118084"),
    "a length that is too long": (lambda: first.start_date + days(10**6), "at most"),
    "a run for two days": (
        lambda: cohort(first.start_date > run_date("2026-11-23"), age=person.age_on(run_date("2026-11-24"))),
        "one day; this cohort has .* 2026-11-23 and 2026-11-24"),
    "a run for no day": (lambda: run_date("today"), "YYYY-MM-DD"),
    "a value of Python's own": (lambda: person.year_of_birth > [1950], "list came"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_says_what_to_write_instead(mistake):
    """Each of these is an error when it is written, not an empty answer months later."""
    write, words = MISTAKES[mistake]
    with pytest.raises(PlanError, match=words):
        write()
