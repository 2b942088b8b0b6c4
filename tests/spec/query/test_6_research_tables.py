"""Research tables: a registry, a trial, a cohort study; one row a person, with a data dictionary."""

import pytest

from civicgrid.errors import PlanError
from civicgrid.query.cohort import whole_table
from civicgrid.query.language import case, cohort, dataset, when
from civicgrid.query.types import BOOL, FLOAT, INT, ColumnType, Schema, category

SCHEMA = Schema.of({
    "age": ColumnType(kind="int", low=0, high=120), "arm": category("control", "treated"), "died": BOOL, "bmi": FLOAT,
    "visits": INT,
})
trial = dataset("trial", SCHEMA)
RECORDS = """
    person | age | arm     | died | bmi  | visits
    1      | 70  | treated | yes  | 21.5 | 3
    2      | 40  | control | no   | -    | 0
    3      | -   | other   | no   | 30.5 | 1
"""


def test_columns_are_attributes_and_items(ask):
    """With a schema, a column is an attribute, and an item where its name is not a plain word."""
    assert ask(trial.age > 50, records=RECORDS) == {1: True, 2: False, 3: None}
    assert (trial["age"] > 50).node == (trial.age > 50).node


def test_a_value_outside_the_levels_is_missing(ask):
    """A category has the levels of the data dictionary; anything else counts as missing."""
    assert ask(trial.arm.is_null(), records=RECORDS) == {1: False, 2: False, 3: True}
    assert ask(trial.arm == "treated", records=RECORDS) == {1: True, 2: False, 3: None}


def test_a_population_and_columns(ask):
    """A cohort of a research table is written like any other."""
    old = cohort(
        population=trial.age.if_null_then(0) >= 40, arm=trial.arm, died=trial.died,
        weight=case(when(trial.bmi > 25).then("high"), when(trial.bmi <= 25).then("normal")))
    assert ask(old, records=RECORDS) == {
        1: {"arm": "treated", "died": True, "weight": "normal"}, 2: {"arm": "control", "died": False, "weight": None}}


def test_the_whole_table(ask):
    """`whole_table` is everyone with these columns, as the schema declares them."""
    everyone = whole_table("trial", SCHEMA, ["age", "arm"])
    assert ask(everyone, records=RECORDS) == {
        1: {"age": 70, "arm": "treated"}, 2: {"age": 40, "arm": "control"}, 3: {"age": None, "arm": None}}
    assert everyone.schema["age"] == SCHEMA["age"]


def test_everyone_and_out_of_order(ask):
    """The answers come in the order of the person numbers, however the rows lie."""
    shuffled = "person | age\n3 | 30\n1 | 10\n2 | 20"
    assert list(ask(whole_table("trial", SCHEMA, ["age"]), records=shuffled)) == [1, 2, 3]


def test_without_a_schema():
    """A data set named without a schema can be used in a method by column name, not in an expression."""
    with pytest.raises(PlanError, match="named without its columns' types"):
        _ = dataset("trial").age
