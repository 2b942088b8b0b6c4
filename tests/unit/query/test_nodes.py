"""What a plan may be: closed, bounded, readable, and the same bytes for the same meaning."""

from __future__ import annotations

import json

import pytest

from civicgrid.canonical import MAX_BYTES
from civicgrid.errors import PlanError
from civicgrid.query import nodes as n
from civicgrid.query.cohort import Cohort, OutputColumn, whole_table
from civicgrid.query.language import cdm, cohort, concept_set
from civicgrid.query.types import FLOAT, INT, Schema, category

gp = cdm("gp")
PLAN = cohort(population=gp.person.year_of_birth > 1950, sex=gp.person.sex)
YES = n.Value(of="bool", value=True)


def test_bytes_and_back():
    assert Cohort.from_bytes(PLAN.canonical()) == PLAN
    assert PLAN.digest() == Cohort.from_bytes(json.dumps(json.loads(PLAN.canonical()), indent=2)).digest()


def test_the_digest_of_a_plan_stays():
    """A plan's identity stands in permits and registers, so that it must never change with the code."""
    assert whole_table("trial", Schema.of({"age": INT}), ["age"]).canonical() == (
        b'{"columns":[{"name":"age","series":{"column":"age","kind":"record_field","type":{"kind":"int"}}}],'
        b'"dataset":"trial","kind":"cohort","population":{"kind":"value","of":"bool","value":true},"source":"records"}')


@pytest.mark.parametrize(("change", "words"), [
    ({"unknown": 1}, "unknown"),
    ({"kind": "other"}, "kind"),
    ({"population": {"kind": "eval", "text": "1"}}, "population"),
    ({"population": {"kind": "value", "of": "bool", "value": 1}}, "Expected a constant that is bool"),
    ({"source": "sql"}, "source"),
    ({"columns": [{"name": "a b", "series": {"kind": "birth_date"}}]}, "letters, digits and _"),
    ({"dataset": "a\nb"}, "printable"),
    ({"dataset": "a\u202eb"}, "printable"),
])
def test_what_is_not_a_plan_is_refused(change, words):
    with pytest.raises(PlanError, match=words):
        Cohort.from_bytes(json.dumps({**json.loads(PLAN.canonical()), **change}))


def test_a_plan_that_is_too_large():
    raw = PLAN.canonical().replace(b'"gp"', b'"' + b"g" * MAX_BYTES + b'"')
    with pytest.raises(PlanError, match="at most 1,000,000 bytes"):
        Cohort.from_bytes(raw)


def test_a_plan_that_is_too_deep():
    node = {"kind": "value", "of": "bool", "value": True}
    for _ in range(200):
        node = {"kind": "not", "part": node}
    with pytest.raises(PlanError, match="nested at most"):
        Cohort.from_bytes(json.dumps({**json.loads(PLAN.canonical()), "population": node}))


def test_what_can_be_built_can_travel():
    deepest = YES
    with pytest.raises(PlanError, match="nested too deeply to travel"):
        for _ in range(200):
            deepest = n.Not(part=deepest)
    plan = Cohort(dataset="gp", population=YES, columns=(OutputColumn(name="x", series=deepest),))
    assert Cohort.from_bytes(plan.canonical()) == plan


def test_a_plan_that_doubles_itself():
    year = gp.person.year_of_birth
    with pytest.raises(PlanError, match="parts"):
        for _ in range(40):
            year = year + year


def test_the_same_meaning_is_the_same_plan():
    one, other = concept_set(2, 1, 1, name="x"), concept_set(1, 2, name="x")
    assert one.node == other.node
    assert gp.person.year_of_birth.is_in([3, 1]).node == gp.person.year_of_birth.is_in([1, 3]).node


def test_names_of_columns():
    for columns, words in (({"A": FLOAT, "a": FLOAT}, "once"), ({"person_number": FLOAT}, "taken")):
        with pytest.raises(PlanError, match=words):
            whole_table("trial", Schema.of(columns), list(columns))
    with pytest.raises(PlanError, match="no column 'b'"):
        whole_table("trial", Schema.of({"a": FLOAT}), ["b"])
    with pytest.raises(PlanError, match=r"without levels\. Declare them in the data dictionary; write dates as 2020-12-31"):
        whole_table("trial", Schema.of({"a": category()}), ["a"])


def test_the_first_of_rows_in_no_order_is_said_to_need_one():
    with pytest.raises(PlanError, match=r"Sort them: frame.sort_by\(frame.start_date\).first_for_person\(\)"):
        _ = gp.drug_exposure.first_for_person
    with pytest.raises(PlanError, match=r"is_in\(\) expects a list of values or a concept set. For one value write =="):
        gp.drug_exposure.concept.is_in(1118084)


def test_one_column_one_type():
    columns = tuple(
        OutputColumn(name=name, series=n.RecordField(column="age", type=kind)) for name, kind in (("a", INT), ("b", FLOAT)))
    with pytest.raises(PlanError, match="declared in two ways"):
        Cohort(dataset="trial", source="records", population=YES, columns=columns)


def test_a_cohort_reads_one_side():
    age = n.RecordField(column="age", type=INT)
    with pytest.raises(PlanError, match="either OMOP tables or a research table"):
        Cohort(dataset="trial", population=YES, columns=(OutputColumn(name="age", series=age),))


@pytest.mark.parametrize("number", [2**53, -(2**53)])
def test_numbers_that_json_cannot_hold(number):
    with pytest.raises(PlanError, match="2\\^53"):
        n.Value(of="int", value=number)
