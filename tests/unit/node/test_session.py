"""The table of a run: read from the store once, in little memory, and kept for its rounds."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from civicgrid.curation.store import READING, READING_COLUMN, Store
from civicgrid.errors import DataError
from civicgrid.node.session import Cached, Stored
from civicgrid.query.cohort import Cohort
from civicgrid.query.frames import dataset
from civicgrid.query.language import cohort
from civicgrid.query.table import ArrowTable
from civicgrid.query.types import Column, ColumnType, Schema

ROWS, COLUMNS = 300_000, tuple(f"x{number}" for number in range(8))


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A store on disk that holds more columns than it may keep blocks of."""
    rng = np.random.default_rng(3)
    frame = pa.table({name: rng.standard_normal(ROWS) for name in COLUMNS})
    with Store(tmp_path_factory.mktemp("store") / "data.duckdb") as store:
        store.load_table("trial", frame)
        yield store


class Told(ArrowTable):
    """A table that tells how often it was read, and fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        schema = Schema(columns=(Column(name="x", type=ColumnType(kind="float")),))
        batches = [pa.record_batch({"x": np.arange(start, start + 5.0)}) for start in (0, 5, 10)]
        super().__init__(pa.Table.from_batches(batches), schema, "snapshot")
        self.read, self.failures = 0, failures

    def batches(self, columns):
        self.read += 1
        if self.read <= self.failures:
            raise DataError("The step “read the cohort” failed: OSError.")
        yield from super().batches(columns)


def blocks_kept(store: Store) -> tuple[int, int]:
    """KiB in memory of the file's blocks, and KiB of anything that was written out to make room."""
    found = store.cursor().execute(
        "SELECT sum(memory_usage_bytes) FILTER (tag = 'BASE_TABLE') // 1024, sum(temporary_storage_bytes) // 1024 "
        "FROM duckdb_memory()"
    )
    return found.fetchall()[0]


def test_a_table_that_one_reader_leaves_early_is_not_read_again():
    table = Told()
    cached = Cached(table, limit=10_000)
    first = next(iter(cached.batches(["x"])))
    assert first.column(0).to_pylist() == [0, 1, 2, 3, 4]
    assert sum(batch.num_rows for batch in cached.batches(["x"])) == 15
    assert table.read == 1


def test_a_table_beyond_the_cache_is_read_anew_every_time():
    table = Told()
    cached = Cached(table, limit=15 * 8 - 1)
    assert [sum(batch.num_rows for batch in cached.batches(["x"])) for _ in range(2)] == [15, 15]
    assert table.read == 2 and not cached.kept


def test_a_table_that_needs_more_memory_than_expected_is_read_with_all_there_is():
    table = Told(failures=1)
    cached = Cached(table, limit=10_000)
    assert sum(batch.num_rows for batch in cached.batches(["x"])) == 15
    with pytest.raises(DataError, match="read the cohort"):
        list(Cached(Told(failures=2), limit=10_000).batches(["x"]))


def test_the_store_keeps_no_second_copy_of_the_columns_that_a_run_keeps(stored):
    table = Stored(stored, cache_bytes=10**9).open(_cohort(stored))
    before = stored.cursor().execute("SELECT current_setting('memory_limit')").fetchall()
    read = pa.Table.from_batches(table.batches(COLUMNS))
    kept, _ = blocks_kept(stored)
    assert read.num_rows == ROWS and read.nbytes > 2 * READING * 1024
    assert kept <= READING
    assert stored.cursor().execute("SELECT current_setting('memory_limit')").fetchall() == before


def test_tables_made_for_other_cohorts_stay_in_memory_meanwhile(stored):
    cursor = stored.cursor()
    cursor.execute("ATTACH ':memory:' AS other")
    cursor.execute('CREATE TABLE other.main.made AS SELECT * FROM "trial".records')
    list(Stored(stored, cache_bytes=10**9).open(_cohort(stored)).batches(COLUMNS))
    assert blocks_kept(stored)[1] == 0
    cursor.execute("DETACH other")


def test_a_wide_table_may_use_more_than_a_narrow_one(stored):
    def limit() -> str:
        return stored.cursor().execute("SELECT current_setting('memory_limit')").fetchall()[0][0]

    with stored.frugal(1):
        narrow = limit()
    with stored.frugal(400):
        wide = limit()
    assert narrow.endswith("MiB") and wide.endswith("MiB")
    assert float(wide.split()[0]) - float(narrow.split()[0]) >= 399 * READING_COLUMN / 1024 - 1


def _cohort(store: Store) -> Cohort:
    trial = dataset("trial", store.dataset("trial").schema)
    return cohort(trial.everyone, **{name: trial[name] for name in COLUMNS})
