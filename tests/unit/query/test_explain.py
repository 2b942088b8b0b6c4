"""The words that a panel reads."""

from __future__ import annotations

from civicgrid.query import expressions, nodes
from civicgrid.query.cohort import whole_table
from civicgrid.query.explain import _say, explain
from civicgrid.query.language import cdm, cohort, concept_set
from civicgrid.query.types import ColumnType, Schema, category

gp = cdm("gp")
drugs = gp.drug_exposure


def test_a_cohort_in_words():
    codes = concept_set(1118084, name="celecoxib").with_descendants().excluding(7)
    taken = drugs.where(drugs.concept.is_in(codes))
    first = taken.sort_by(taken.start_date).first_for_person()
    plan = cohort(
        population=first.exists_for_person() & (gp.person.age_on(first.start_date) >= 18), sex=gp.person.sex)
    assert explain(plan) == """\
This reads the health records (OMOP tables) of the data set “gp”.

Who is included: each person for whom this is true:
  - all of these are true:
    - the person has at least one record in List 1
    - (the person's age in whole years on the drug exposure start date of Record 2) is at least 18

What is worked out for each person:
  - “sex”: Category 3.

List 1: the records in the table “drug exposure”, in steps:
  - keep the records for which this is true:
    - the record's drug concept id is in Codes 4 (“celecoxib”)

Record 2: for each person the first record in List 1, sorted by the record's drug exposure start date. A record where \
this is missing comes after the others. Where several are equal, the one with the lowest drug exposure id is taken.

Category 3: a category made from the person's gender concept id:
  - 8532 becomes “female”
  - 8507 becomes “male”
  - anything else, or something missing, becomes “other or unknown”.

Codes 4, called “celecoxib”: 1118084 and everything below it; but not 7.

About dates of birth: where the month is not known, 1 July is taken; where the day is not known, the 15th; where the \
year is not known, the date of birth is missing.

About missing values: a question about something that is missing has no answer, and turning the question round does not \
give it one. A person or a record is kept only where the answer is yes."""


def test_a_research_table_in_words():
    schema = Schema.of({"age": ColumnType(kind="int", low=0, high=120), "arm": category("control", "treated")})
    words = explain(whole_table("trial", schema, ["age", "arm"]))
    assert "Who is included: everyone." in words
    assert "- “age”: a whole number, expected to lie from 0 to 120" in words
    assert "one of “control”, “treated” (anything else counts as missing)" in words


def test_a_name_cannot_close_its_quotation_marks():
    codes = concept_set(1, name="x”; everyone agreed. “")
    words = explain(cohort(population=drugs.where(drugs.concept.is_in(codes)).exists_for_person()))
    assert "“x””; everyone agreed. “”" in words


def test_every_series_has_sql_and_words():
    every = {
        kind for kind in vars(nodes).values()
        if isinstance(kind, type) and issubclass(kind, nodes.SeriesNode) and kind is not nodes.SeriesNode
    }
    for writer in (expressions._write, _say):
        assert every <= set(writer.registry), writer
