"""The store: data sets, person numbers, snapshots, and loads that are all or nothing."""

import os
import subprocess
import sys
import textwrap

import duckdb
import pandas as pd
import pytest

from civicgrid.curation.store import DataSet, Store
from civicgrid.errors import DataError
from unit.curation.cdm_files import CONDITION, PERSON, lines, small, write


def test_dates_in_every_accepted_form_are_read(tmp_path):
    with Store() as store:
        store.load_omop("leeds", small(tmp_path / "cdm"))
        found = (
            store.cursor()
            .execute(
                'SELECT condition_occurrence_id, condition_start_date::VARCHAR FROM "leeds".condition_occurrence ORDER BY 1'
            )
            .fetchall()
        )
    assert found == [(1, "2020-01-01"), (2, "2020-02-01"), (3, "2020-03-01"), (4, "2019-01-07")]


def test_person_numbers_are_dense_and_only_person_holds_the_id(tmp_path):
    with Store() as store:
        store.load_omop("leeds", small(tmp_path / "cdm"))
        cursor = store.cursor()
        numbers = cursor.execute('SELECT person_id, person_number FROM "leeds".person ORDER BY 1').fetchall()
        holders = cursor.execute(
            "SELECT table_name FROM duckdb_columns() WHERE schema_name = 'leeds' "
            "AND column_name IN ('person_id', 'subject_id')"
        ).fetchall()
    assert numbers == [(10, 0), (20, 1), (30, 2)]
    assert holders == [("person",)]


def test_a_refreshed_load_keeps_every_persons_number(tmp_path):
    with Store() as store:
        store.load_omop("leeds", small(tmp_path / "cdm"))
        (tmp_path / "cdm" / "person.csv").write_text(
            lines(PERSON, "5,8507,1970,0,0", "30,8507,1970,0,0", "10,8532,1980,0,0")
        )
        report = store.load_omop("leeds", tmp_path / "cdm")
        numbers = store.cursor().execute('SELECT person_id, person_number FROM "leeds".person ORDER BY 1').fetchall()
    assert numbers == [(5, 3), (10, 0), (30, 2)]
    assert report.changed
    assert report["condition_occurrence"].set_aside == {"the person is not in the person table": 1}


def test_events_lie_by_concept_then_person_then_date(tmp_path):
    with Store() as store:
        store.load_omop("leeds", small(tmp_path / "cdm"))
        rows = (
            store.cursor()
            .execute('SELECT condition_concept_id, person_number, condition_start_date FROM "leeds".condition_occurrence')
            .fetchall()
        )
    assert rows == sorted(rows)


def test_the_same_content_again_changes_nothing_and_says_so(tmp_path):
    with Store() as store:
        first = store.load_omop("leeds", small(tmp_path / "a"))
        again = store.load_omop("leeds", small(tmp_path / "elsewhere"))
    assert first.changed and not again.changed
    assert first.snapshot == again.snapshot
    assert "nothing changed" in str(again)


def test_a_snapshot_does_not_depend_on_order_path_or_what_was_loaded_before(tmp_path):
    one = small(tmp_path / "one")
    other = small(tmp_path / "other")
    header, *rows = (other / "condition_occurrence.csv").read_text().splitlines()
    (other / "condition_occurrence.csv").write_text(lines(header, *reversed(rows)))
    with Store() as a, Store() as b:
        b.load_omop("leeds", write(tmp_path / "before", person=lines(PERSON, "99,8507,1970,0,0")))
        assert a.load_omop("leeds", one).snapshot == b.load_omop("leeds", other).snapshot


@pytest.mark.parametrize(("old", "new"), [("1,10,201", "1,10,203"), ("2020-01-05", "2020-01-06"), ("10,8532", "10,8507")])
def test_any_changed_value_changes_the_snapshot(tmp_path, old, new):
    with Store() as store:
        first = store.load_omop("leeds", small(tmp_path / "cdm"))
        for path in (tmp_path / "cdm").iterdir():
            path.write_text(path.read_text().replace(old, new))
        assert store.load_omop("leeds", tmp_path / "cdm").snapshot != first.snapshot


def test_a_refused_load_leaves_the_earlier_one_and_its_numbers(tmp_path):
    with Store(tmp_path / "node.duckdb") as store:
        first = store.load_omop("leeds", small(tmp_path / "cdm"))
        (tmp_path / "cdm" / "person.csv").write_text(lines(PERSON, "1,x,1970,0,0"))
        with pytest.raises(DataError, match=r"person\.csv, line 2, column gender_concept_id: expected a whole number"):
            store.load_omop("leeds", tmp_path / "cdm")
        assert store.dataset("leeds").snapshot == first.snapshot
        assert store.cursor().execute('SELECT count(*) FROM "leeds".person').fetchall() == [(3,)]


def test_a_reader_keeps_its_view_while_a_load_swaps(tmp_path):
    with Store(tmp_path / "node.duckdb") as store:
        store.load_omop("leeds", small(tmp_path / "cdm"))
        reader = store.cursor()
        reader.execute("BEGIN")
        before = reader.execute('SELECT count(*) FROM "leeds".person').fetchall()
        (tmp_path / "cdm" / "person.csv").write_text(lines(PERSON, "10,8507,1970,0,0"))
        store.load_omop("leeds", tmp_path / "cdm")
        assert reader.execute('SELECT count(*) FROM "leeds".person').fetchall() == before == [(3,)]
        reader.execute("COMMIT")
        assert reader.execute('SELECT count(*) FROM "leeds".person').fetchall() == [(1,)]


def run(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)], capture_output=True, text=True, timeout=120
    )


def test_a_process_killed_in_the_middle_of_a_load_leaves_the_earlier_one(tmp_path):
    path = tmp_path / "node.duckdb"
    with Store(path) as store:
        first = store.load_omop("leeds", small(tmp_path / "cdm"))
    (tmp_path / "cdm" / "person.csv").write_text(lines(PERSON, "10,8507,1970,0,0"))
    killed = run(
        """
        import os, sys
        from civicgrid.curation import cdm_load
        from civicgrid.curation.store import Store
        cdm_load.snapshot_id = lambda *_: os._exit(9)
        Store(sys.argv[1]).load_omop("leeds", sys.argv[2])
        """,
        path,
        tmp_path / "cdm",
    )
    assert killed.returncode == 9, killed.stderr
    with Store(path) as store:
        assert store.dataset("leeds").snapshot == first.snapshot
        assert store.cursor().execute('SELECT count(*) FROM "leeds".person').fetchall() == [(3,)]


@pytest.mark.skipif(os.name != "posix", reason="needs a limit on the size of a file")
def test_a_full_disk_is_a_clear_error_and_loses_nothing(tmp_path):
    path = tmp_path / "node.duckdb"
    with Store(path) as store:
        first = store.load_table("trial", pd.DataFrame({"age": [1, 2, 3]}))
    result = run(
        """
        import resource, sys
        import numpy as np, pandas as pd
        from civicgrid.curation.store import Store
        from civicgrid.errors import DataError
        store = Store(sys.argv[1])
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, resource.RLIM_INFINITY))
        noise = pd.DataFrame(np.random.default_rng(1).random((400_000, 4)), columns=list("abcd"))
        try:
            store.load_table("trial", noise)
        except DataError as error:
            print(error)
        """,
        path,
    )
    assert "not enough room on disk" in result.stdout, result.stderr
    assert "Free some space" in result.stdout
    with Store(path) as store:
        assert store.dataset("trial").snapshot == first.snapshot
        assert store.cursor().execute('SELECT age FROM "trial".records').fetchall() == [(1,), (2,), (3,)]
        assert store.load_table("trial", pd.DataFrame({"age": [4]})).changed


@pytest.mark.parametrize(
    "name", ["", "Leeds", "1st", "a b", "main", "memory", "temp", "x" * 64, 'a"b', "information_schema"]
)
def test_a_data_set_name_is_checked(name):
    with Store() as store, pytest.raises(DataError, match="Expected a data set name"):
        store.load_table(name, pd.DataFrame({"a": [1]}))


def test_a_data_set_that_is_not_there_is_answered_with_those_that_are():
    with Store() as store:
        with pytest.raises(DataError, match="none yet"):
            store.dataset("trial")
        store.load_table("trial-2", pd.DataFrame({"a": [1]}))
        with pytest.raises(DataError, match=r"There is: trial-2\."):
            store.dataset("trial")


def test_a_data_set_tells_nothing_about_how_many_people_it_holds(tmp_path):
    with Store() as store:
        store.load_omop("leeds", small(tmp_path / "cdm"))
        found = store.dataset("leeds")
    assert set(DataSet.model_fields) == {"name", "kind", "snapshot", "columns", "tables"}
    assert found.tables == ("person", "condition_occurrence")
    assert found.schema is None
    assert DataSet.from_bytes(found.canonical()) == found


def test_tables_the_source_lacks_are_there_and_empty(tmp_path):
    with Store() as store:
        store.load_omop("leeds", small(tmp_path / "cdm"))
        assert store.cursor().execute('SELECT count(*) FROM "leeds".measurement').fetchall() == [(0,)]


def test_a_name_keeps_its_kind(tmp_path):
    with Store() as store:
        store.load_table("leeds", pd.DataFrame({"a": [1]}))
        with pytest.raises(DataError, match="is a research table; an OMOP database came"):
            store.load_omop("leeds", small(tmp_path / "cdm"))


def test_a_store_opens_again_with_what_it_held(tmp_path):
    with Store(tmp_path / "node.duckdb") as store:
        store.load_table("trial", pd.DataFrame({"a": [1]}))
        held = store.datasets()
    with Store(tmp_path / "node.duckdb") as store:
        assert store.datasets() == held


@pytest.mark.parametrize("name", ["node", "records", "person", "select"])
def test_a_data_set_may_be_called_like_its_file_or_a_table(tmp_path, name):
    for path in (tmp_path / "node.duckdb", None):
        with Store(path) as store:
            store.load_table(name, pd.DataFrame({"a": [1]}))
            assert store.cursor().execute(f'SELECT a FROM "{name}".records').fetchall() == [(1,)]


def test_a_store_that_another_program_has_open_says_so(tmp_path):
    path = tmp_path / "node.duckdb"
    with Store(path):
        result = run(
            """
            import sys
            from civicgrid.curation.store import Store
            from civicgrid.errors import DataError
            try:
                Store(sys.argv[1])
            except DataError as error:
                print(error)
            """,
            path,
        )
    assert "no other program has open" in result.stdout.replace("\n", " "), result.stderr


def test_a_database_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "x.duckdb").write_text("not a database at all")
    with Store() as store, pytest.raises(DataError, match="could not be opened as a DuckDB database"):
        store.load_omop("leeds", tmp_path / "x.duckdb")


def test_a_cdm_split_over_two_schemas_of_a_database_is_found(tmp_path):
    path = tmp_path / "warehouse.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE SCHEMA cdm; CREATE SCHEMA vocab")
        connection.execute(
            "CREATE TABLE cdm.PERSON AS SELECT 1 AS PERSON_ID, 8507 AS GENDER_CONCEPT_ID, 1970 AS YEAR_OF_BIRTH, "
            "0 AS RACE_CONCEPT_ID, 0 AS ETHNICITY_CONCEPT_ID"
        )
        connection.execute(
            "CREATE TABLE vocab.concept_ancestor AS SELECT 1.0::DOUBLE AS ancestor_concept_id, "
            "2 AS descendant_concept_id, 1 AS min_levels_of_separation, 1 AS max_levels_of_separation"
        )
    with Store() as store:
        report = store.load_omop("leeds", path)
    assert report["person"].loaded == report["concept_ancestor"].loaded == 1
    assert "held whole numbers as decimals" in str(report)


def test_the_header_alone_is_an_empty_table(tmp_path):
    folder = write(tmp_path / "cdm", person=lines(PERSON, "1,8507,1970,0,0"), condition_occurrence=lines(CONDITION))
    with Store() as store:
        assert store.load_omop("leeds", folder)["condition_occurrence"].read == 0
