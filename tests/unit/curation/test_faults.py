"""Bad input: faults of structure are named and stop the load; faults of content are set aside and counted."""

import re

import pytest

from civicgrid.curation.store import Store
from civicgrid.errors import DataError
from unit.curation.cdm_files import CONDITION, PERIOD, PERSON, lines, small, write


def refusal(folder, **options) -> str:
    with Store() as store:
        with pytest.raises(DataError) as refused:
            store.load_omop("leeds", folder, **options)
        assert store.datasets() == ()
    return str(refused.value)


def test_a_missing_required_column_is_named_with_what_it_may_be_called(tmp_path):
    folder = write(tmp_path, person=lines(PERSON.replace("year_of_birth", "year_of_brith"), "1,8507,1970,0,0"))
    words = refusal(folder)
    assert "person.csv, line 1, column year_of_birth: this required column of person is missing" in words
    assert "is it the one called year_of_brith?" in words


def test_a_wrong_value_is_named_by_line_and_column_and_never_quoted(tmp_path):
    folder = write(tmp_path, person=lines(PERSON, "1,8507,1970,0,0", "", "2,8507,nineteen,0,0"))
    words = refusal(folder)
    assert "person.csv, line 4, column year_of_birth: expected a whole number" in words
    assert "nineteen" not in words


@pytest.mark.parametrize("value", ["1.5", "0x1F", "1_000", "12a", "9999999999999999999999"])
def test_what_is_not_a_whole_number_is_not_taken_for_one(tmp_path, value):
    folder = write(tmp_path, person=lines(PERSON, f"1,8507,{value},0,0"))
    assert "column year_of_birth: expected a whole number" in refusal(folder)


@pytest.mark.parametrize("value", ["31/12/2020", "epoch", "infinity", "2020", "Dec 31 2020"])
def test_what_is_not_a_date_is_not_taken_for_one(tmp_path, value):
    folder = small(tmp_path)
    path = folder / "condition_occurrence.csv"
    path.write_text(path.read_text().replace("20200201", value))
    assert "condition_occurrence.csv, line 3, column condition_start_date: expected a date" in refusal(folder)


def test_a_line_with_too_few_or_too_many_values_is_named(tmp_path):
    folder = write(tmp_path, person=lines(PERSON, "1,8507,1970,0,0", "2,8507", "3,8507,1970,0,0,77", "4,8507,x,0,0"))
    words = refusal(folder)
    assert "person.csv, line 3: fewer values" in words
    assert "person.csv, line 4: more values" in words
    assert "person.csv, line 5, column year_of_birth" in words


def test_a_line_break_inside_quotes_does_not_shift_the_line(tmp_path):
    header = PERSON + ",person_source_value"
    folder = write(tmp_path, person=lines(header, '1,8507,1970,0,0,"two', 'lines"', "2,8507,x,0,0,b"))
    assert "person.csv, line 4, column year_of_birth" in refusal(folder)


def test_a_repeated_person_is_a_fault_in_every_format(tmp_path):
    folder = write(tmp_path / "csv", person=lines(PERSON, "7,8507,1970,0,0", "8,8507,1970,0,0", "7,8532,1971,0,0"))
    assert "person.csv, line 4, column person_id: this key has come before" in refusal(folder)
    assert "this key has come before" in refusal(folder, repeated_ids="keep")


def test_a_repeated_event_id_is_a_fault_in_csv_unless_two_numberings_were_merged(tmp_path):
    folder = small(tmp_path)
    path = folder / "condition_occurrence.csv"
    path.write_text(path.read_text().replace("4,30,200", "1,30,200"))
    words = refusal(folder)
    assert "condition_occurrence.csv, line 5, column condition_occurrence_id: this key has come before" in words
    assert "repeated_ids='keep'" in words
    with Store() as store:
        report = store.load_omop("leeds", folder, repeated_ids="keep")
    assert report["condition_occurrence"].loaded == 4
    assert "1 row repeating the condition_occurrence_id of a different record kept" in str(report)


def test_the_same_record_twice_is_a_fault_even_where_ids_may_repeat(tmp_path):
    folder = small(tmp_path)
    path = folder / "condition_occurrence.csv"
    path.write_text(path.read_text() + "1,10,201,2020-01-01,2020-01-05,0\n")
    assert "line 6, column condition_occurrence_id" in refusal(folder, repeated_ids="keep")


def test_all_faults_are_reported_at_once_up_to_a_limit(tmp_path):
    bad = [f"{n},8507,x,y,0" for n in range(500)]
    folder = write(
        tmp_path, person=lines(PERSON, *bad), observation_period=lines(PERIOD.replace("person_id", "patient"), "1,1,x,x,x")
    )
    words = refusal(folder)
    assert "1,001 faults of structure" in words
    assert len(words.splitlines()) < 60
    assert "observation_period.csv, line 1, column person_id" in words
    assert re.search(r"and 990 more", words)


def test_a_column_that_comes_twice_is_a_fault(tmp_path):
    folder = write(tmp_path, person=lines(PERSON + ",Person_ID", "1,8507,1970,0,0,1"))
    assert "person.csv, line 1, column person_id: the header has this column twice" in refusal(folder)


def test_an_empty_file_and_a_missing_person_table_are_faults(tmp_path):
    assert "the file is empty" in refusal(write(tmp_path / "a", person=""))
    assert "there is no person table" in refusal(write(tmp_path / "b", condition_occurrence=lines(CONDITION)))


def test_a_file_that_is_not_utf_8_is_refused_without_quoting_it(tmp_path):
    folder = write(tmp_path, person="")
    (folder / "person.csv").write_bytes(
        (PERSON + ",person_source_value\n1,8507,1970,0,0,Zo\xeb Secret\n").encode("latin-1")
    )
    words = refusal(folder)
    assert "UTF-8" in words and "person.csv" in words
    assert "Secret" not in words


@pytest.mark.parametrize("place", ["nothing-here", "person.csv", "empty"])
def test_a_wrong_path_says_what_is_expected(tmp_path, place):
    (tmp_path / "empty").mkdir()
    (tmp_path / "person.csv").write_text(lines(PERSON))
    with Store() as store, pytest.raises(DataError, match="Expected a DuckDB file, a folder of CSV files"):
        store.load_omop("leeds", tmp_path / place)


def test_faults_of_content_are_set_aside_by_row_and_reason(tmp_path):
    folder = write(
        tmp_path,
        person=lines(PERSON, "1,8507,1970,0,0", "2,8532,1980,0,0", ",8532,1980,0,0", ",,,,"),
        condition_occurrence=lines(
            CONDITION,
            "1,1,201,2020-01-01,2020-01-05,0",
            "2,9,201,2020-01-01,,0",
            "3,1,201,2020-02-30,,0",
            "4,1,201,2020-02-03,2020-02-01,0",
            "5,1,,2020-02-03,,0",
            "6,1,201,,,0",
            ",,,,,",
            CONDITION,
            "7,2,201,2020-01-01,,",
        ),
    )
    with Store() as store:
        report = store.load_omop("leeds", folder)
        aside = (
            store.cursor().execute('SELECT "row", reason FROM "leeds"._set_aside ORDER BY "table" DESC, "row"').fetchall()
        )
        loaded = store.cursor().execute('SELECT condition_occurrence_id FROM "leeds".condition_occurrence').fetchall()
    assert report["person"].set_aside == {"a blank row": 1, "person_id is missing": 1}
    assert sorted(loaded) == [(1,), (7,)]
    assert aside == [
        (3, "person_id is missing"),
        (4, "a blank row"),
        (2, "the person is not in the person table"),
        (3, "an impossible date"),
        (4, "it ends before it starts"),
        (5, "condition_concept_id is missing"),
        (6, "condition_start_date is missing"),
        (7, "a blank row"),
        (8, "a row of column names"),
    ]
    assert report["condition_occurrence"].read == 9
    assert "1 row without condition_type_concept_id, which the CDM requires" in str(report)


def test_observation_periods_of_nobody_are_counted(tmp_path):
    folder = write(
        tmp_path,
        person=lines(PERSON, "1,8507,1970,0,0"),
        observation_period=lines(PERIOD, "1,1,2020-01-01,2020-12-31,0", "2,2,2020-01-01,2020-12-31,0"),
    )
    with Store() as store:
        report = store.load_omop("leeds", folder)
    assert report["observation_period"].set_aside == {"the person is not in the person table": 1}


def test_tables_and_columns_the_cdm_does_not_have_are_reported(tmp_path):
    folder = write(tmp_path, person=lines(PERSON + ",nhs_number", "1,8507,1970,0,0,5"), devices_exposure="a,b\n1,2\n")
    with Store() as store:
        words = str(store.load_omop("leeds", folder))
    assert "person: left out nhs_number, which the CDM does not have." in words
    assert "devices_exposure was left out: it is no CDM table; is it device_exposure?" in words


def test_names_of_5_3_are_read_as_those_of_5_4(tmp_path):
    visit = (
        "visit_occurrence_id,person_id,visit_concept_id,visit_start_date,visit_end_date,visit_type_concept_id,"
        "admitting_source_value"
    )
    folder = write(
        tmp_path,
        person=lines(PERSON, "1,8507,1970,0,0"),
        visit_occurrence=lines(visit, "1,1,9201,2020-01-01,2020-01-02,0,GP"),
    )
    with Store() as store:
        store.load_omop("leeds", folder)
        assert store.cursor().execute('SELECT admitted_from_source_value FROM "leeds".visit_occurrence').fetchall() == [
            ("GP",)
        ]


def test_an_athena_file_is_tab_separated_and_its_quotes_are_letters(tmp_path):
    folder = write(tmp_path, person=lines(PERSON, "1,8507,1970,0,0"))
    header = (
        "concept_id\tconcept_name\tdomain_id\tvocabulary_id\tconcept_class_id\tstandard_concept\tconcept_code\t"
        "valid_start_date\tvalid_end_date\tinvalid_reason"
    )
    (folder / "CONCEPT.csv").write_text(
        lines(header, '1\t"Quoted" name, 5" long\tDrug\tNone\tX\tS\t007\t19700101\t20991231\t')
    )
    with Store() as store:
        store.load_omop("leeds", folder)
        found = (
            store.cursor()
            .execute('SELECT concept_name, concept_code, valid_end_date::VARCHAR FROM "leeds".concept')
            .fetchall()
        )
    assert found == [('"Quoted" name, 5" long', "007", "2099-12-31")]
