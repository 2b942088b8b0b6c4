"""Concept sets resolved against Eunomia's vocabulary, held against its own tables read directly."""

import duckdb
import pytest

from civicgrid.curation.store import Store
from civicgrid.omop.vocabulary import resolve, unknown_concepts
from unit.curation.cdm_files import eunomia

BLEEDING = 192671
CELECOXIB = 1118084


@pytest.fixture(scope="module")
def cursor():
    with Store() as store:
        store.load_omop("eunomia", eunomia())
        yield store.cursor()


@pytest.fixture(scope="module")
def ancestors():
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{eunomia()}' AS src (READ_ONLY)")
        pairs = connection.execute("SELECT ancestor_concept_id, descendant_concept_id FROM src.concept_ancestor").fetchall()
    return {int(a): {int(d) for x, d in pairs if x == a} for a in (BLEEDING, CELECOXIB, 441840)}


@pytest.mark.parametrize("concept", [BLEEDING, CELECOXIB, 441840])
def test_descendants_are_those_of_the_sites_vocabulary(cursor, ancestors, concept):
    assert set(resolve(cursor, "eunomia", [concept]).concepts) == ancestors[concept] | {concept}


def test_without_descendants_a_set_is_what_it_lists(cursor):
    assert resolve(cursor, "eunomia", [CELECOXIB, BLEEDING], descendants=False).concepts == (BLEEDING, CELECOXIB)


def test_what_is_excluded_goes_with_its_descendants(cursor, ancestors):
    found = resolve(cursor, "eunomia", [441840], excluded=[BLEEDING]).concepts
    assert set(found) == (ancestors[441840] | {441840}) - ancestors[BLEEDING] - {BLEEDING}


def test_mapped_concepts_come_when_asked_for(cursor):
    assert 35208414 in resolve(cursor, "eunomia", [BLEEDING], mapped=True).concepts
    assert 35208414 not in resolve(cursor, "eunomia", [BLEEDING]).concepts


def test_an_id_the_vocabulary_does_not_hold_is_named(cursor):
    assert unknown_concepts(cursor, "eunomia", [BLEEDING, 99, 7, 99]) == (7, 99)
    found = resolve(cursor, "eunomia", [BLEEDING, 99])
    assert found.unknown == (99,)
    assert 99 in found.concepts
