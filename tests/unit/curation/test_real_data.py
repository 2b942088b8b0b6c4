"""The two public data sets, with all their quirks: every count held against one made from the source by other means."""

import csv

import duckdb
import pytest

from civicgrid.curation.store import Store
from unit.curation.cdm_files import eunomia, synthetic

EVENTS = ("condition_occurrence", "drug_exposure", "procedure_occurrence", "measurement", "observation", "drug_era")


@pytest.fixture(scope="module")
def source():
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{eunomia()}' AS src (READ_ONLY)")
        connection.execute("USE src")
        yield connection


@pytest.fixture(scope="module")
def loaded():
    with Store() as store:
        yield store, store.load_omop("eunomia", eunomia())


@pytest.mark.parametrize("table", EVENTS)
def test_every_event_of_eunomia_is_loaded(loaded, source, table):
    store, report = loaded
    rows = source.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0]
    assert report[table].loaded == rows
    concept = f"{table.split('_')[0]}_concept_id"
    date = {
        "condition_occurrence": "condition_start_date",
        "drug_exposure": "drug_exposure_start_date",
        "drug_era": "drug_era_start_date",
    }.get(table, f"{table.split('_')[0]}_date")
    by_concept = f"SELECT {concept}, count(*), min({date}), max({date}) FROM {{}}{table} GROUP BY 1 ORDER BY 1"
    theirs = source.execute(by_concept.format("")).fetchall()
    ours = store.cursor().execute(by_concept.format('"eunomia".')).fetchall()
    assert ours == theirs


def test_events_stay_with_their_person(loaded, source):
    store, _ = loaded
    theirs = source.execute(
        "SELECT person_id, drug_concept_id, drug_exposure_start_date FROM drug_exposure ORDER BY ALL"
    ).fetchall()
    ours = (
        store.cursor()
        .execute(
            'SELECT person_id, drug_concept_id, drug_exposure_start_date FROM "eunomia".drug_exposure '
            'JOIN "eunomia".person USING (person_number) ORDER BY ALL'
        )
        .fetchall()
    )
    assert ours == theirs


def test_observation_periods_of_nobody_are_set_aside(loaded, source):
    _, report = loaded
    nobody = source.execute(
        "SELECT count(*) FROM observation_period WHERE person_id NOT IN (SELECT person_id FROM person)"
    ).fetchall()[0][0]
    assert report["observation_period"].set_aside == {"the person is not in the person table": nobody}
    assert nobody == 2649


def test_person_numbers_are_dense(loaded):
    store, _ = loaded
    assert store.cursor().execute(
        'SELECT count(*), count(DISTINCT person_number), min(person_number), max(person_number) FROM "eunomia".person'
    ).fetchall() == [(2694, 2694, 0, 2693)]


def test_empty_tables_that_hold_only_their_column_names_are_empty(loaded):
    _, report = loaded
    for table in ("death", "visit_detail", "device_exposure", "cost", "note", "provider"):
        assert report[table].loaded == 0
        assert report[table].set_aside == {"a row of column names": 1}


def test_ids_stored_as_decimals_are_whole_again(loaded, source):
    store, report = loaded
    kind = "SELECT typeof(ancestor_concept_id) FROM {}concept_ancestor LIMIT 1"
    assert source.execute(kind.format("")).fetchall() == [("DOUBLE",)]
    assert store.cursor().execute(kind.format('"eunomia".')).fetchall() == [("BIGINT",)]
    pairs = "SELECT ancestor_concept_id::BIGINT AS a, descendant_concept_id AS d FROM {}concept_ancestor ORDER BY a, d"
    assert store.cursor().execute(pairs.format('"eunomia".')).fetchall() == source.execute(pairs.format("")).fetchall()
    assert "concept_ancestor: ancestor_concept_id held whole numbers as decimals" in str(report)


def test_events_that_share_an_id_are_kept_and_reported(loaded, source):
    _, report = loaded
    shared = source.execute("SELECT count(*) - count(DISTINCT drug_exposure_id) FROM drug_exposure").fetchall()[0][0]
    assert f"drug_exposure: {shared:,} rows repeating the drug_exposure_id" in str(report)


def test_what_is_no_cdm_table_is_reported(loaded):
    _, report = loaded
    assert {"cohort_attribute", "ontime"} == {note.split()[0] for note in report.notes if "no CDM table" in note}


def test_a_second_load_changes_nothing(loaded):
    store, report = loaded
    again = store.load_omop("eunomia", eunomia())
    assert not again.changed and again.snapshot == report.snapshot


@pytest.fixture(scope="module")
def synthetic_1001():
    with Store() as store:
        yield store, store.load_omop("synthetic", synthetic("1001"))


def check_every_row(size, report):
    folder, tables = synthetic(size), {table.table: table for table in report.tables}
    for path in folder.glob("*.csv"):
        with path.open(newline="") as file:
            tab = "\t" in file.readline()
            rows = sum(1 for _ in csv.reader(file, delimiter="\t" if tab else ",", quoting=3 if tab else 0))
        if path.stem == "DEVICES_EXPOSURE":
            assert any("is it device_exposure?" in note for note in report.notes)
            continue
        assert (tables[path.stem.lower()].read, tables[path.stem.lower()].loaded) == (rows, rows), path.name


@pytest.mark.parametrize("size", ["100", "1000"])
def test_the_smaller_synthetic_sets_load_in_full(size):
    with Store() as store:
        check_every_row(size, store.load_omop("synthetic", synthetic(size)))


def test_the_largest_synthetic_set_loads_in_full(synthetic_1001):
    check_every_row("1001", synthetic_1001[1])


def test_measured_values_arrive_as_they_were_written(synthetic_1001):
    store, _ = synthetic_1001
    with (synthetic("1001") / "MEASUREMENT.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    values = {int(row["measurement_id"]): float(row["value_as_number"]) for row in rows if row["value_as_number"]}
    assert len(rows) == 199_514
    ours = (
        store.cursor()
        .execute('SELECT measurement_id, value_as_number FROM "synthetic".measurement WHERE value_as_number IS NOT NULL')
        .fetchall()
    )
    assert dict(ours) == values
