"""One number for a person in all data sets of a site, wherever these know people by the same identifier."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pandas as pd
import pytest

from civicgrid.curation.dictionary import Dictionary, DictionaryColumn
from civicgrid.curation.report import NO_KEY
from civicgrid.curation.store import Store
from civicgrid.errors import DataError, PlanError
from civicgrid.query.types import ColumnType
from unit.curation.cdm_files import PERSON, lines, small, write

AGE = DictionaryColumn(name="age", type=ColumnType(kind="int"))
NHS = PERSON + ",person_source_value"


def dictionary(identifier: str = "site") -> Dictionary:
    return Dictionary(columns=(AGE,), person="nhs", identifier=identifier)


def table(*keys: object) -> pd.DataFrame:
    return pd.DataFrame({"nhs": keys, "age": range(30, 30 + len(keys))})


def numbers(store: Store, dataset: str) -> list[int]:
    """The person numbers of a data set, in its own order of rows."""
    return [n for (n,) in store.cursor().execute(f'SELECT person_number FROM "{dataset}".records').fetchall()]


def by_id(store: Store, dataset: str) -> dict[int, int]:
    rows = store.cursor().execute(f'SELECT person_id, person_number FROM "{dataset}".person').fetchall()
    return dict(rows)


def test_people_known_by_the_same_identifier_have_one_number_in_two_tables():
    with Store() as store:
        first = store.load_table("trial", table("a", "b", "c"), dictionary("nhs-number"))
        second = store.load_table("registry", table("d", "c", " a "), dictionary("nhs-number"))
        assert numbers(store, "trial") == [0, 1, 2]
        assert numbers(store, "registry") == [3, 2, 0]
    assert "People are known by the identifier 'nhs-number'. New to this site: 3." in first.notes
    assert "People are known by the identifier 'nhs-number'. New to this site: 1." in second.notes


def test_people_known_by_different_identifiers_have_numbers_of_their_own():
    with Store() as store:
        store.load_table("trial", table("a", "b", "c"), dictionary("nhs-number"))
        store.load_table("registry", table("c", "a"), dictionary("hospital-number"))
        assert set(numbers(store, "trial")) & set(numbers(store, "registry")) == set()


def test_nothing_said_means_the_site_s_own_person_id_in_tables_and_omop_alike(tmp_path: Path):
    """Ids are the same whether a column holds them as text, as whole numbers or as decimals."""
    with Store() as store:
        store.load_omop("gp", small(tmp_path / "cdm"))
        assert by_id(store, "gp") == {10: 0, 20: 1, 30: 2}
        for name, keys in ("text", ("30", "10", "x")), ("whole", (30, 10, 9)), ("decimal", (30.0, 10.0, 8.5)):
            store.load_table(name, table(*keys), dictionary())
            assert numbers(store, name)[:2] == [2, 0]
            assert numbers(store, name)[2] >= 3


def test_omop_people_may_be_known_by_their_source_value(tmp_path: Path):
    rows = ["1,8507,1970,0,0,c", "2,8507,1970,0,0,a", "3,8507,1970,0,0, z "]
    with Store() as store:
        store.load_table("trial", table("a", "b", "c"), dictionary("nhs-number"))
        source = write(tmp_path / "cdm", person=lines(NHS, *rows))
        store.load_omop("gp", source, person_key="person_source_value", identifier="nhs-number")
        assert by_id(store, "gp") == {1: 2, 2: 0, 3: 3}
        write(tmp_path / "cdm", person=lines(NHS, *rows, "4,8507,1970,0,0,b"))
        store.load_omop("gp", source, person_key="person_source_value", identifier="nhs-number")
        assert by_id(store, "gp") == {1: 2, 2: 0, 3: 3, 4: 1}


@pytest.mark.parametrize(
    ("header", "rows", "words"),
    [
        (NHS, ["1,8507,1970,0,0,a", "2,8507,1970,0,0,"], "line 3, column person_source_value: .* it is empty"),
        (NHS, ["1,8507,1970,0,0,a", "2,8507,1970,0,0,a"], "line 3, column person_source_value: .* has come before"),
        (PERSON, ["1,8507,1970,0,0"], "column person_source_value: .* it is missing"),
    ],
)
def test_a_source_value_that_does_not_tell_people_apart_is_a_fault(tmp_path: Path, header, rows, words):
    with Store() as store, pytest.raises(DataError, match=words):
        source = write(tmp_path / "cdm", person=lines(header, *rows))
        store.load_omop("gp", source, person_key="person_source_value", identifier="nhs-number")


def test_rows_without_a_key_are_nobody_else_s(tmp_path: Path):
    bare = Dictionary(columns=(AGE,))
    with Store() as store:
        store.load_table("trial", table("a", "b"), dictionary())
        report = store.load_table("survey", pd.DataFrame({"age": [30, 31, 32]}), bare)
        assert numbers(store, "survey") == [2, 3, 4]
        assert NO_KEY in report.notes
        store.load_table("registry", table("b", "c"), dictionary())
        store.load_table("survey", pd.DataFrame({"age": [31, 40, 30]}), bare)
        assert numbers(store, "survey") == [3, 6, 2]
        assert numbers(store, "registry") == [1, 5]


def test_another_identifier_for_a_data_set_counts_as_a_change_and_is_said():
    with Store() as store:
        store.load_table("trial", table("a", "b"), dictionary())
        store.load_table("registry", table("b", "a"), dictionary("nhs-number"))
        assert set(numbers(store, "trial")) & set(numbers(store, "registry")) == set()
        again = store.load_table("trial", table("a", "b"), dictionary("nhs-number"))
        assert again.changed and any("all of them have new numbers" in note for note in again.notes)
        assert numbers(store, "trial") == list(reversed(numbers(store, "registry")))
        assert not store.load_table("trial", table("a", "b"), dictionary("nhs-number")).changed


def test_numbers_outlive_the_store_being_closed_and_a_load_that_fails(tmp_path: Path):
    with Store(tmp_path / "data.duckdb") as store:
        store.load_table("trial", table("a", "b"), dictionary())
        name = store.numbering
    with Store(tmp_path / "data.duckdb") as store:
        with pytest.raises(DataError):
            store.load_table("registry", table("c", "c"), dictionary())
        store.load_table("registry", table("d", "b"), dictionary())
        assert (numbers(store, "registry"), store.numbering) == ([2, 1], name)
    with Store() as other:
        assert other.numbering != name


def test_the_map_from_keys_to_numbers_stands_in_no_data_set(tmp_path: Path):
    with Store(tmp_path / "data.duckdb") as store:
        store.load_table("trial", table("a", "b"), dictionary())
    with duckdb.connect(str(tmp_path / "data.duckdb")) as connection:
        holders = connection.execute(
            "SELECT DISTINCT schema_name FROM duckdb_columns() WHERE column_name IN ('key', 'nhs')"
        ).fetchall()
    assert ("trial",) not in holders and ("_civicgrid",) in holders


def test_a_store_of_the_earlier_form_is_refused_with_what_to_do(tmp_path: Path):
    with duckdb.connect(str(tmp_path / "data.duckdb")) as connection:
        connection.execute("CREATE SCHEMA _civicgrid; CREATE TABLE _civicgrid.data_sets (name VARCHAR)")
    with pytest.raises(DataError, match=r"earlier version, .* Put the file away and load the data again"):
        Store(tmp_path / "data.duckdb")


def test_an_identifier_s_name_is_checked(tmp_path: Path):
    with pytest.raises(PlanError, match="Expected an identifier's name"):
        dictionary("NHS number")
    with Store() as store:
        with pytest.raises(DataError, match="Expected an identifier's name"):
            store.load_omop("gp", small(tmp_path / "cdm"), identifier='x"; DROP')
        with pytest.raises(DataError, match="Expected person_id or person_source_value"):
            store.load_omop("gp", tmp_path / "cdm", person_key="gender_concept_id")
