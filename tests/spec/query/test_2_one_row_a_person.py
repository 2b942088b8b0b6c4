"""One row a person: sorting, then the first or the last."""

import datetime as dt

from civicgrid.query.language import cdm

gp = cdm("gp")
drugs = gp.drug_exposure


def test_first_and_last(ask):
    """`sort_by(...).first_for_person()` keeps the first row; its columns are missing for a person without any."""
    tables = {"person": "person | year_of_birth\n1 | 1950\n2 | 1960", "drug_exposure": """
        person | drug_exposure_id | concept | start_date
        1      | 1                | 20      | 2020-02-01
        1      | 2                | 10      | 2020-01-01
    """}
    ordered = drugs.sort_by(drugs.start_date)
    assert ask(ordered.first_for_person().concept, **tables) == {1: 10, 2: None}
    assert ask(ordered.last_for_person().concept, **tables) == {1: 20, 2: None}
    assert ask(ordered.last_for_person().start_date, **tables) == {1: dt.date(2020, 2, 1), 2: None}


def test_ties(ask):
    """Rows with the same sort values: first takes the lowest primary key, last the highest."""
    table = """
        person | drug_exposure_id | concept | start_date
        1      | 7                | 70      | 2020-01-01
        1      | 5                | 50      | 2020-01-01
        1      | 6                | 60      | 2020-01-01
    """
    ordered = drugs.sort_by(drugs.start_date)
    assert ask(ordered.first_for_person().concept, drug_exposure=table) == {1: 50}
    assert ask(ordered.last_for_person().concept, drug_exposure=table) == {1: 70}


def test_missing_sort_values_come_last_either_way(ask):
    """A row without the sort value is taken only where there is no other, by first and by last alike."""
    table = """
        person | drug_exposure_id | concept | start_date
        1      | 1                | 10      | -
        1      | 2                | 20      | 2020-01-01
        2      | 3                | 30      | -
    """
    ordered = drugs.sort_by(drugs.start_date)
    assert ask(ordered.first_for_person().concept, drug_exposure=table) == {1: 20, 2: 30}
    assert ask(ordered.last_for_person().concept, drug_exposure=table) == {1: 20, 2: 30}


def test_several_keys(ask):
    """Further keys decide where the first are equal."""
    table = """
        person | drug_exposure_id | quantity | start_date
        1      | 1                | 9        | 2020-01-01
        1      | 2                | 3        | 2020-01-01
    """
    assert ask(drugs.sort_by(drugs.start_date, drugs.quantity).first_for_person().quantity, drug_exposure=table) == {
        1: 3.0}
