"""Data dictionaries: read from a file, or inferred from a researcher's own tables."""

import numpy as np
import pandas as pd
import pytest

from civicgrid.curation.dictionary import Dictionary
from civicgrid.errors import DataError, PlanError
from civicgrid.query.types import BOOL, DATE, INT, ColumnType, category

ROWS = """name,type,levels,low,high,missing,description
id,person,,,,,
age,int,,0,120,999,Age at entry in years
sex,category,F|M,,,,
dead,bool,,,,,
seen,date,,,,,
"""


def test_a_csv_dictionary_is_read(tmp_path):
    (tmp_path / "d.csv").write_text(ROWS)
    found = Dictionary.read(tmp_path / "d.csv")
    assert found.person == "id"
    assert [(c.name, c.type) for c in found.columns] == [
        ("age", ColumnType(kind="int", low=0, high=120)),
        ("sex", category("F", "M")),
        ("dead", BOOL),
        ("seen", DATE),
    ]
    assert found.columns[0].missing == ("999",)
    assert found.columns[0].description == "Age at entry in years"


@pytest.mark.parametrize(
    ("word", "identifier"),
    [("person", "site"), ("person nhs-number", "nhs-number"), (" Person  nhs-number ", "nhs-number")],
)
def test_the_person_column_says_by_which_identifier(tmp_path, word, identifier):
    (tmp_path / "d.csv").write_text(f"name,type\nkey,{word}\nage,int\n")
    read = Dictionary.read(tmp_path / "d.csv")
    assert (read.person, read.identifier) == ("key", identifier)


def test_a_dictionary_with_semicolons_is_read_too(tmp_path):
    (tmp_path / "d.csv").write_text("name;type;levels\nsex;category;F|M\n", encoding="utf-8-sig")
    assert Dictionary.read(tmp_path / "d.csv").columns[0].type.levels == ("F", "M")


def test_a_dictionary_in_json_is_its_canonical_form(tmp_path):
    (tmp_path / "d.csv").write_text(ROWS)
    found = Dictionary.read(tmp_path / "d.csv")
    (tmp_path / "d.json").write_bytes(found.canonical())
    assert Dictionary.read(tmp_path / "d.json") == found


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("name,kind\nage,int\n", "type missing"),
        ("name,type,color\nage,int,red\n", "color came"),
        ("name,type\nage,integer\n", "line 2, column type: expected one of"),
        ("name,type,low,high\nage,int,5,\n", "line 2: .*both ends"),
        ("name,type,low,high\nage,int,five,6\n", "line 2"),
        ("name,type\nage,int\nAge,float\n", "age came twice"),
        ("name,type\nid,person\nother,person\n", "line 3: expected one column of type person"),
        ("name,type\nperson_number,int\n", "cannot be called person_number"),
        ("name,type\n", "no rows"),
    ],
)
def test_a_wrong_dictionary_says_where(tmp_path, rows, words):
    (tmp_path / "d.csv").write_text(rows)
    with pytest.raises((DataError, PlanError), match=words):
        Dictionary.read(tmp_path / "d.csv")


def test_a_dictionary_that_is_not_there_or_not_json_says_so(tmp_path):
    with pytest.raises(DataError, match="could not be read"):
        Dictionary.read(tmp_path / "none.csv")
    (tmp_path / "d.json").write_text("{")
    with pytest.raises(DataError, match="not a valid dictionary"):
        Dictionary.read(tmp_path / "d.json")


def test_inferred_levels_are_sorted_and_come_from_all_tables():
    leeds = pd.DataFrame({"sex": ["M", "M"], "age": [20, 70], "y": [0, 0], "w": [-3.0, 5.0]})
    york = pd.DataFrame({"sex": ["F", None], "age": [1, 2], "y": [1, 0], "w": [np.nan, 0.1], "only here": [1, 2]})
    found = {column.name: column.type for column in Dictionary.infer(leeds, york).columns}
    assert found == {
        "sex": category("F", "M"),
        "age": ColumnType(kind="int", low=0, high=128),
        "y": ColumnType(kind="int", low=0, high=1),
        "w": ColumnType(kind="float", low=-4, high=8),
    }


def test_more_than_fifty_strings_are_a_category_without_levels():
    found = Dictionary.infer(pd.DataFrame({"name": [f"n{i}" for i in range(51)]}))
    assert found.columns[0].type == category()


def test_inference_is_careful_with_text(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(
        "zip,code,flag,day,when,mixed,empty,big\n"
        "01234,1,true,2020-01-31,01/02/2020,1,,12345678901234567890\n"
        "99999,NA,False,NA,02/02/2020,x,NA,1\n"
    )
    found = {column.name: column.type.kind for column in Dictionary.infer(path).columns}
    assert found == {
        "zip": "category",
        "code": "int",
        "flag": "bool",
        "day": "date",
        "when": "category",
        "mixed": "category",
        "empty": "float",
        "big": "float",
    }


def test_a_site_whose_file_is_whole_numbers_and_one_with_decimals_make_a_number():
    found = Dictionary.infer(pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"a": [0.5, 2]}))
    assert found.columns[0].type == ColumnType(kind="float", low=0, high=2)


def test_the_person_column_is_kept_out_of_an_inferred_dictionary():
    found = Dictionary.infer(pd.DataFrame({"id": ["a", "b"], "n": [3, 3]}), person="id")
    assert found.person == "id" and [column.name for column in found.columns] == ["n"]


def test_a_range_cannot_be_given_to_text():
    assert INT.low is None
    with pytest.raises(PlanError, match="Only a number has a range"):
        ColumnType(kind="bool", low=0, high=1)
