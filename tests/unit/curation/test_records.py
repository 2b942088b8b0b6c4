"""Research tables, with and without a data dictionary."""

import datetime as dt

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from civicgrid.curation.dictionary import Dictionary, DictionaryColumn
from civicgrid.curation.store import Store
from civicgrid.errors import DataError
from civicgrid.query.types import BOOL, DATE, ColumnType, category

CSV = """patient,Age,sex,smoker,bmi,joined,zip,score
A1,34,F,true,22.5,2020-01-01,01234,1
A2,51,M,false,-9,2020-02-28,99999,2
A3,,F,true,20,2020-03-01,00001,3
"""

TRIAL = Dictionary(
    person="patient",
    columns=(
        DictionaryColumn(name="Age", type=ColumnType(kind="int", low=0, high=50)),
        DictionaryColumn(name="sex", type=category("F", "M")),
        DictionaryColumn(name="smoker", type=BOOL),
        DictionaryColumn(name="bmi", type=ColumnType(kind="float"), missing=("-9",)),
        DictionaryColumn(name="joined", type=DATE),
        DictionaryColumn(name="score", type=category("1", "2", "3")),
    ),
)


def records(store, name="trial"):
    return store.cursor().execute(f'SELECT * FROM "{name}".records').fetchall()


@pytest.fixture
def trial(tmp_path):
    path = tmp_path / "trial.csv"
    path.write_text(CSV)
    return path


def test_kinds_are_inferred_and_levels_are_not(trial):
    with Store() as store:
        store.load_table("trial", trial)
        schema = store.dataset("trial").schema
        kinds = {column.name: column.type.kind for column in schema.columns}
        assert kinds == {
            "patient": "category",
            "Age": "int",
            "sex": "category",
            "smoker": "bool",
            "bmi": "float",
            "joined": "date",
            "zip": "category",
            "score": "int",
        }
        assert all(column.type.levels == () and column.type.low is None for column in schema.columns)
        assert records(store)[2] == (2, "A3", None, "F", True, 20.0, dt.date(2020, 3, 1), "00001", 3)


def test_a_dictionary_sets_types_missing_codes_and_the_key(trial):
    with Store() as store:
        report = store.load_table("trial", trial, TRIAL)
        assert store.dataset("trial").schema == TRIAL.schema
        assert records(store) == [
            (0, 34, "F", True, 22.5, dt.date(2020, 1, 1), "1"),
            (1, 51, "M", False, None, dt.date(2020, 2, 28), "2"),
            (2, None, "F", True, 20.0, dt.date(2020, 3, 1), "3"),
        ]
    assert "does not declare them: zip" in str(report)
    assert "Age: 1 value outside the dictionary's range was kept." in report.notes


def test_values_that_do_not_fit_become_missing_and_are_written_down(trial):
    trial.write_text(CSV.replace("34,F,true", "old,X,perhaps").replace("2020-02-28", "2020-02-30"))
    with Store() as store:
        report = store.load_table("trial", trial, TRIAL)
        aside = store.cursor().execute('SELECT "row", "column", reason FROM "trial"._set_aside ORDER BY 1, 2').fetchall()
        assert records(store)[0] == (0, None, None, None, 22.5, dt.date(2020, 1, 1), "1")
    assert aside == [
        (1, "Age", "not a whole number"),
        (1, "sex", "not among the levels"),
        (1, "smoker", "not true or false"),
        (2, "joined", "not a date as YYYY-MM-DD"),
    ]
    assert report["records"].loaded == 3 and sum(report["records"].values_set_aside.values()) == 4
    assert "perhaps" not in str(report) + report._repr_html_()


def test_rows_of_nobody_and_blank_rows_are_set_aside(trial):
    trial.write_text(CSV + ",30,F,true,20,2020-01-01,0,1\n,,,,,,,\n")
    with Store() as store:
        report = store.load_table("trial", trial, TRIAL)
    assert report["records"].set_aside == {"it names no person": 1, "a blank row": 1}
    assert report["records"].read == 5 and report["records"].loaded == 3


def test_a_person_twice_is_a_fault_by_line(trial):
    trial.write_text(CSV + "A1,30,F,true,20,2020-01-01,0,1\n")
    with Store() as store, pytest.raises(DataError, match=r"trial\.csv, line 5, column patient: this person has come"):
        store.load_table("trial", trial, TRIAL)


def test_only_the_persons_who_came_before_are_counted(trial):
    trial.write_text(CSV + "".join(f"A{n},30,F,true,20,2020-01-01,0,1\n" for n in range(1, 9)))
    with Store() as store, pytest.raises(DataError, match=r"not loaded: 3 faults of structure") as refused:
        store.load_table("trial", trial, TRIAL)
    assert "more" not in str(refused.value)


@pytest.mark.parametrize(
    ("was", "now", "words"),
    [
        ("2020-0", "01/0", "column joined: every value is not a date as YYYY-MM-DD"),
        (",F,", ",f,", "column sex: every value is not among the levels"),
    ],
)
def test_a_column_of_which_no_value_can_be_read_is_a_fault(trial, was, now, words):
    trial.write_text(CSV.replace(",M,", ",F,").replace(was, now))
    with Store() as store, pytest.raises(DataError) as refused:
        store.load_table("trial", trial, TRIAL)
    assert f"trial.csv, line 1, {words}; correct the file or the data dictionary" in str(refused.value)


def test_a_column_without_any_value_is_no_fault(trial):
    trial.write_text(CSV.replace("true", "").replace("false", ""))
    with Store() as store:
        assert store.load_table("trial", trial, TRIAL).loaded == 3


def test_a_load_without_a_dictionary_says_what_studies_cannot_use(trial):
    trial.write_text(CSV.replace("00001,3", "00001,0").replace("99999,2", "99999,0"))
    with Store() as store:
        notes = " ".join(store.load_table("trial", trial).notes)
    assert "a column that identifies a person can be read by studies. Write one" in notes
    assert "No method can read text without declared levels, or dates but as YYYY-MM-DD: patient, sex, zip." in notes
    assert "If 0 and 1 mean no and yes, declare as bool: score." in notes


def test_a_file_in_utf_16_is_said_to_be(trial):
    trial.write_bytes(CSV.encode("utf-16"))
    with Store() as store, pytest.raises(DataError, match=r"trial\.csv: the file is in UTF-16; save it as UTF-8"):
        store.load_table("trial", trial, TRIAL)


def test_the_same_fault_on_many_lines_is_listed_a_few_times(trial):
    trial.write_text("Report of admissions\n" + CSV * 10)
    with Store() as store, pytest.raises(DataError, match=r"that the first line of the file holds the names") as refused:
        store.load_table("trial", trial, TRIAL)
    assert str(refused.value).count("more values than the header has") == 5
    assert "… and 35 more" in str(refused.value)


def test_a_declared_column_that_is_missing_is_a_fault(trial):
    trial.write_text(CSV.replace("smoker", "smokes").replace("patient", "pseudonym"))
    with Store() as store, pytest.raises(DataError) as refused:
        store.load_table("trial", trial, TRIAL)
    assert "trial.csv, line 1, column smoker: the data dictionary declares this column" in str(refused.value)
    assert "column patient: the data dictionary says that this column identifies a person, and it" in str(refused.value)


def test_a_person_keeps_the_number_whatever_else_changes(trial):
    with Store() as store:
        store.load_table("trial", trial, TRIAL)
        header, *rows = CSV.splitlines()
        trial.write_text(
            "\n".join([header, "A0,1,F,true,20,2020-01-01,0,1", rows[2].replace("20,", "21,"), rows[0]]) + "\n"
        )
        store.load_table("trial", trial, TRIAL)
        assert [(row[0], row[4]) for row in records(store)] == [(3, 20.0), (2, 21.0), (0, 22.5)]


def test_without_a_key_a_row_that_is_unchanged_keeps_its_number():
    frame = pd.DataFrame({"age": [1, 2, 2, 3], "sex": ["a", "b", "b", None]})
    with Store() as store:
        store.load_table("trial", frame)
        store.load_table("trial", frame.iloc[[3, 1, 0]])
        assert records(store) == [(3, 3, None), (1, 2, "b"), (0, 1, "a")]
        store.load_table("trial", pd.concat([frame.iloc[[0]], pd.DataFrame({"age": [9], "sex": ["z"]})]))
        assert records(store) == [(0, 1, "a"), (4, 9, "z")]


@pytest.mark.parametrize("form", ["frame", "arrow", "parquet", "parts"])
def test_every_form_of_a_table_gives_the_same_records_and_snapshot(form, tmp_path):
    frame = pd.DataFrame(
        {
            "age": [1, 2, 3],
            "w": [1.5, np.nan, -0.25],
            "b": [True, False, True],
            "s": ["x", None, "long text, é"],
            "d": [dt.date(2020, 1, 1), None, dt.date(1969, 12, 31)],
        }
    )
    table = pa.Table.from_pandas(frame)
    pq.write_table(table, tmp_path / "t.parquet")
    (tmp_path / "parts").mkdir()
    pq.write_table(table.slice(0, 2), tmp_path / "parts" / "a.parquet")
    pq.write_table(table.slice(2), tmp_path / "parts" / "b.parquet")
    source = {"frame": frame, "arrow": table, "parquet": tmp_path / "t.parquet", "parts": tmp_path / "parts"}[form]
    with Store() as a, Store() as b:
        report = a.load_table("t", source)
        assert report.snapshot == b.load_table("t", frame).snapshot
        assert records(a, "t") == [
            (0, 1, 1.5, True, "x", dt.date(2020, 1, 1)),
            (1, 2, None, False, None, None),
            (2, 3, -0.25, True, "long text, é", dt.date(1969, 12, 31)),
        ]


@pytest.mark.parametrize("change", [("w", 0, 1.25), ("w", 1, 0.0), ("s", 0, "y"), ("s", 1, ""), ("b", 0, False)])
def test_a_changed_value_or_a_missing_one_changes_the_snapshot(change):
    frame = pd.DataFrame({"w": [1.5, np.nan], "b": [True, False], "s": ["x", None]})
    column, row, value = change
    with Store() as store:
        first = store.load_table("t", frame)
        other = frame.copy()
        other.loc[row, column] = value
        changed = store.load_table("t", other)
    assert changed.changed is (value != ""), "an empty text is a missing one"
    assert (changed.snapshot != first.snapshot) is changed.changed


def test_a_dictionary_that_changes_is_a_new_snapshot(trial):
    levels = TRIAL.model_copy(update={"columns": (TRIAL.columns[1].model_copy(update={"type": category("M", "F")}),)})
    with Store() as store:
        first = store.load_table("trial", trial, TRIAL.model_copy(update={"columns": (TRIAL.columns[1],)}))
        assert store.load_table("trial", trial, levels).snapshot != first.snapshot


def test_categories_written_as_numbers_fit_their_levels():
    frame = pd.DataFrame({"grade": [1.0, 2.0, np.nan, 3.5]})
    dictionary = Dictionary(columns=(DictionaryColumn(name="grade", type=category("1", "2")),))
    with Store() as store:
        report = store.load_table("t", frame, dictionary)
        assert [value for _, value in records(store, "t")] == ["1", "2", None]
    assert report["records"].values_set_aside == {"grade: not among the levels": 1}
    assert report["records"].set_aside == {"a blank row": 1}


def test_a_frame_with_mixed_types_names_the_column():
    with Store() as store, pytest.raises(DataError, match=r"mixes types within a column \(a\)"):
        store.load_table("t", pd.DataFrame({"a": [1, "x", dt.date(2020, 1, 1)], "b": [1, 2, 3]}))


def test_a_column_of_lists_is_left_out_and_reported():
    with Store() as store:
        report = store.load_table("t", pa.table({"a": [1], "b": [[1, 2]]}))
        assert store.dataset("t").schema.names == ("a",)
    assert "b was left out: its type cannot be used in a study." in report.notes


def test_a_path_that_is_no_table_says_what_is_expected(tmp_path):
    (tmp_path / "x.xlsx").write_text("")
    with Store() as store, pytest.raises(DataError, match=r"Expected a CSV or Parquet file.*x\.xlsx is none"):
        store.load_table("t", tmp_path / "x.xlsx")
