"""Dealing Eunomia to six sites: every row at exactly one site, by a hash that never changes."""

import duckdb
import pytest

from civicgrid.curation.deal import SIX_SITES, deal, site_of
from civicgrid.curation.store import Store
from civicgrid.errors import DataError
from unit.curation.cdm_files import eunomia


@pytest.fixture(scope="module")
def dealt(tmp_path_factory):
    return deal(eunomia(), SIX_SITES, tmp_path_factory.mktemp("sites"))


@pytest.fixture(scope="module")
def source():
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{eunomia()}' AS src (READ_ONLY)")
        connection.execute("USE src")
        yield connection


def rows(folders, table, what="*"):
    with duckdb.connect() as connection:
        files = [str(folder / f"{table}.parquet") for folder in folders.values()]
        return connection.execute(f"SELECT {what} FROM read_parquet({files}) ORDER BY ALL").fetchall()


@pytest.mark.parametrize("table", ["person", "drug_exposure", "observation_period", "visit_occurrence"])
def test_every_row_is_at_exactly_one_site(dealt, source, table):
    columns = ", ".join(c for c, *_ in source.execute(f"DESCRIBE {table}").fetchall())
    assert rows(dealt, table, columns) == source.execute(f"SELECT {columns} FROM {table} ORDER BY ALL").fetchall()


def test_the_vocabulary_is_everywhere(dealt, source):
    theirs = source.execute("SELECT count(*) FROM concept_ancestor").fetchall()
    for folder in dealt.values():
        assert rows({"": folder}, "concept_ancestor", "count(*)") == theirs


def test_shares_are_unequal_and_the_smallest_is_about_four_per_cent(dealt):
    shares = {site: len(rows({"": folder}, "person", "person_id")) / 2694 for site, folder in dealt.items()}
    assert 0.025 < shares["wales-northern-ireland"] < 0.05
    assert all(abs(shares[site] - share) < 0.03 for site, share in SIX_SITES.items())


def test_the_deal_is_the_same_everywhere_and_always():
    # SHA-256 of "6" begins e7f6c011…: 0.906 of the way, which is past the first five shares' 0.85.
    assert site_of(6, {"a": 0.85, "b": 0.15}) == "b"
    assert site_of(6, {"a": 0.91, "b": 0.09}) == "a"
    assert site_of(6, {"a": 91, "b": 9}) == "a"


def test_a_dealt_site_loads(dealt):
    with Store() as store:
        report = store.load_omop("eunomia", dealt["wales-northern-ireland"])
        events = store.cursor().execute('SELECT count(*) FROM "eunomia".drug_exposure').fetchall()[0][0]
    assert report["person"].loaded == len(rows({"": dealt["wales-northern-ireland"]}, "person", "person_id"))
    assert events == report["drug_exposure"].read == len(rows({"": dealt["wales-northern-ireland"]}, "drug_exposure", "1"))


@pytest.mark.parametrize("shares", [{}, {"a": 0.0}, {"a": -1, "b": 2}])
def test_shares_are_checked(tmp_path, shares):
    with pytest.raises(DataError, match="each with a share above 0"):
        deal(eunomia(), shares, tmp_path)
