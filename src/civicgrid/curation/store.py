"""A node's own database: one DuckDB file, one schema for each data set.

An OMOP data set holds the CDM's tables, `"<data set>"."person"` and so on; a research table is
`"<data set>"."records"`. Every row of a person carries `person_number`, a small dense integer; the site's own person
id stands in `person` alone, and a research table's key nowhere in the data set: what a study reads cannot name
anybody, and joins and person sets are over small integers.

A load happens in one transaction: readers see the old data set until it commits, and a fault or a crash leaves the
old one in place.
"""

from __future__ import annotations

import datetime as dt
import re
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import duckdb
import numpy as np
import pyarrow as pa
from pyroaring import BitMap

from civicgrid.canonical import Node
from civicgrid.curation.cdm_load import RepeatedIds, load_cdm
from civicgrid.curation.dictionary import Dictionary
from civicgrid.curation.formats import open_cdm
from civicgrid.curation.formats.source import literal, quote
from civicgrid.curation.persons import HOME, SITE, check_identifier
from civicgrid.curation.records import load_records
from civicgrid.curation.records_source import open_records
from civicgrid.curation.report import Loaded, LoadReport
from civicgrid.errors import CivicGridError, DataError
from civicgrid.query.types import Column, Schema

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["omop", "table"]

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
RENUMBERED = (
    "People are known by another identifier than before, so all of them have new numbers: answers until now are not held "
    "against later ones about the same people."
)
CATALOG = "_store"
"""What the store's database is called inside its own connection."""

READING, READING_COLUMN = 8192, 512
"""KiB in which a table is read: some, and for each column and thread two of the database's blocks (it took 12 MB for 21
columns, 128 for 300, on one thread, and twice that on two).
"""

_RESERVED = {"main", "memory", "temp", "system", "information_schema", "pg_catalog"}


class DataSet(Node):
    """A data set as others may know it. Nothing here tells how many people it holds or who they are."""

    name: str
    kind: Kind
    snapshot: str
    columns: tuple[Column, ...] = ()
    tables: tuple[str, ...] = ()
    """For OMOP: the tables that the load held. The others exist too, empty; a study that reads one should be told."""

    @property
    def schema(self) -> Schema | None:  # type: ignore[override]
        """The columns of a research table; None for OMOP, whose columns are `omop.cdm.CDM`."""
        return Schema(columns=self.columns) if self.kind == "table" else None


def check_name(name: str) -> str:
    """A data set's name as it may be, or a DataError that says how it should look."""
    if not _NAME.fullmatch(name) or name in _RESERVED:
        raise DataError(
            "Expected a data set name of at most 63 lower-case letters, digits, '-' and '_' that begins "
            "with a letter "
            f"and is none of {', '.join(sorted(_RESERVED))}; {name[:80]!r} came. Choose another."
        )
    return name


class Store:
    """One node's data sets. `path` is a DuckDB file, made if it is not there; None keeps everything in memory."""

    def __init__(self, path: Path | str | None = None, memory: str | None = None) -> None:
        self.path = Path(path) if path is not None else None
        self._loading = threading.Lock()
        self._datasets: tuple[DataSet, ...] | None = None
        self._scratch: str | None = None
        # What is set back to is kept as it was given: the setting read from the database is rounded down every time.
        self._memory = "RESET memory_limit" if memory is None else f"SET memory_limit = {literal(memory)}"
        # Attached under a name that no data set can have: DuckDB would call the database after its file, and a data
        # set of that name would then be ambiguous.
        self._connection = duckdb.connect()
        try:
            self._connection.execute(f"ATTACH {literal(str(self.path or ':memory:'))} AS {CATALOG}")
        except duckdb.Error as error:
            self._connection.close()
            raise DataError(
                f"The store {self.path} could not be opened ({type(error).__name__}). Expected a DuckDB file that no "
                "other program has open. Stop the node that uses it, or check the path and its permissions."
            ) from None
        self._connection.execute(f"USE {CATALOG}")
        if self.path is None:
            self._scratch = tempfile.mkdtemp(prefix="civicgrid-")
        self._connection.execute("SET temp_directory = ?", [self._scratch or f"{self.path}.tmp"])
        self._connection.execute(self._memory)
        try:
            self._numbering = self._lay_out()
        except DataError:
            self.close()
            raise

    def _lay_out(self) -> str:
        """Make the store's own tables where they are not; the id of its numbering of people."""
        home, cursor = quote(HOME), self.cursor()
        known = {
            name
            for (name,) in cursor.execute(
                "SELECT table_name FROM duckdb_tables() WHERE database_name = ? AND schema_name = ?", [CATALOG, HOME]
            ).fetchall()
        }
        if known and "numbering" not in known:
            raise DataError(
                f"The store {self.path} was written by an earlier version, which numbered the people of each data set "
                "apart. Put the file away and load the data again."
            )
        if not known:
            cursor.execute("BEGIN")
            cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {home}")
            cursor.execute(
                f"CREATE TABLE {home}.data_sets (name VARCHAR PRIMARY KEY, record VARCHAR NOT NULL, "
                "loaded_at TIMESTAMP NOT NULL, identifier VARCHAR)"
            )
            cursor.execute(f"CREATE TABLE {home}.numbering (id VARCHAR NOT NULL, next_number INTEGER NOT NULL)")
            cursor.execute(f"INSERT INTO {home}.numbering VALUES (?, 0)", [secrets.token_hex(16)])
            cursor.execute("COMMIT")
        (found,) = cursor.execute(f"SELECT id FROM {home}.numbering").fetchall()[0]
        return str(found)

    def load_omop(
        self,
        name: str,
        source: Path | str,
        *,
        repeated_ids: RepeatedIds | None = None,
        schema: str | None = None,
        person_key: str = "person_id",
        identifier: str = SITE,
    ) -> LoadReport:
        """Load a CDM from a DuckDB file, or a folder of CSV or Parquet files, in place of what `name` held.

        `schema` chooses among several in a DuckDB file. `repeated_ids` says what to do about event ids that come
        twice (docs/decisions/repeated-event-ids.md). `person_key` is the column of `person` by which the site knows
        people, `identifier` what stands in it: data sets that name the same one have people in common under the same
        keys (docs/decisions/person-numbers.md). Raises DataError, and loads nothing, on a fault of structure.
        """
        path = Path(source)
        if self.path is not None and path.exists() and self.path.exists() and path.samefile(self.path):
            raise DataError(f"{path.name} is this store's own file. Give the file that the data comes from.")

        def build(connection: duckdb.DuckDBPyConnection) -> Loaded:
            opened = open_cdm(connection, path, schema)
            closing.append(opened.close)
            return load_cdm(connection, name, opened, repeated_ids, person_key, check_identifier(identifier))

        closing: list[Callable[[], object]] = []
        return self._load(check_name(name), "omop", build, closing)

    def load_table(
        self,
        name: str,
        source: Path | str | pd.DataFrame | pa.Table,
        dictionary: Dictionary | None = None,
    ) -> LoadReport:
        """Load a research table, one row a person, from a CSV or Parquet file, a DataFrame or an Arrow table.

        With a dictionary, its columns and types hold, and values outside them are set aside. Without, the kinds
        are inferred, and categories have no levels and numbers no range.
        """

        def build(connection: duckdb.DuckDBPyConnection) -> Loaded:
            opened, text_file, close = open_records(connection, source)
            closing.append(close)
            return load_records(connection, name, opened, text_file, dictionary)

        closing: list[Callable[[], object]] = []
        return self._load(check_name(name), "table", build, closing)

    def datasets(self) -> tuple[DataSet, ...]:
        """Every data set, by name. Looked up once: while a store is open, nobody but itself can load."""
        if self._datasets is None:
            self._datasets = self._read_datasets()
        return self._datasets

    def _read_datasets(self) -> tuple[DataSet, ...]:
        rows = self.cursor().execute(f"SELECT record FROM {quote(HOME)}.data_sets ORDER BY name").fetchall()
        return tuple(DataSet.from_bytes(record) for (record,) in rows)

    def dataset(self, name: str) -> DataSet:
        """The data set of this name; DataError with the names there are."""
        for found in self.datasets():
            if found.name == name:
                return found
        have = ", ".join(found.name for found in self.datasets()) or "none yet; load one first"
        raise DataError(f"There is no data set {name!r} here. There is: {have}.")

    def loaded(self, name: str) -> dt.datetime:
        """When the present load of a data set was made."""
        self.dataset(name)
        row = self.cursor().execute(f"SELECT loaded_at FROM {quote(HOME)}.data_sets WHERE name = ?", [name]).fetchone()
        assert row is not None
        at: dt.datetime = row[0]
        return at.replace(tzinfo=dt.UTC)

    def identifier(self, name: str) -> str | None:
        """By what the people of a data set are known; None where each row was taken for one person, or for no data set."""
        asked = f"SELECT identifier FROM {quote(HOME)}.data_sets WHERE name = ?"
        found = self.cursor().execute(asked, [name]).fetchone()
        return None if found is None else found[0]

    def people(self, name: str) -> BitMap:
        """The numbers of all people of a data set."""
        table = "person" if self.dataset(name).kind == "omop" else "records"
        rows = self.cursor().execute(f"SELECT person_number FROM {quote(name)}.{table}").fetchnumpy()
        return BitMap(np.asarray(rows["person_number"], dtype=np.uint32).data)

    @property
    def numbering(self) -> str:
        """Names the numbers that this store gives to people: those of another store are other people's."""
        return self._numbering

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A connection of its own to the same database, for one thread to read with.

        Ask here for every one: a cursor's own cursor does not know which database it is in.
        """
        cursor = self._connection.cursor()
        cursor.execute(f"USE {CATALOG}")
        return cursor

    @contextmanager
    def frugal(self, columns: int) -> Iterator[None]:
        """While so many columns of a plain table are read once from end to end: the database keeps hardly more of its
        blocks than it reads at a time, and next to none afterwards. The reader keeps the columns; twice is once too many.
        """
        cursor = self.cursor()
        threads = cursor.execute("SELECT current_setting('threads')").fetchall()[0][0]
        # What else is in memory, such as the tables made for other cohorts, would be written out to make room.
        others = "SELECT coalesce(sum(memory_usage_bytes), 0) // 1024 FROM duckdb_memory() WHERE tag <> 'BASE_TABLE'"
        held = cursor.execute(others).fetchall()[0][0] + READING
        _quietly(lambda: cursor.execute(f"SET memory_limit = '{held + columns * threads * READING_COLUMN} KiB'"))
        try:
            yield
        finally:
            _quietly(lambda: cursor.execute(f"SET memory_limit = '{held} KiB'"))
            cursor.execute(self._memory)

    def close(self) -> None:
        """Write everything out and let go of the file."""
        _quietly(lambda: self._connection.execute(f"CHECKPOINT {CATALOG}"))
        self._connection.close()
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _load(
        self,
        name: str,
        kind: Kind,
        build: Callable[[duckdb.DuckDBPyConnection], Loaded],
        closing: list[Callable[[], object]],
    ) -> LoadReport:
        started = time.perf_counter()
        with self._loading, self._transaction(name, closing) as connection:
            before = next((found for found in self.datasets() if found.name == name), None)
            if before is not None and before.kind != kind:
                raise DataError(
                    f"The data set {name!r} is {_words(before.kind)}; {_words(kind)} came. Choose another "
                    "name."
                )
            loaded = build(connection)
            known_by = self.identifier(name)
            changed = before is None or before.snapshot != loaded.snapshot or known_by != loaded.identifier
            record = DataSet(
                name=name,
                kind=kind,
                snapshot=loaded.snapshot,
                columns=loaded.columns,
                tables=tuple(report.table for report in loaded.tables) if kind == "omop" else (),
            )
            if changed:
                connection.execute(
                    f"INSERT OR REPLACE INTO {quote(HOME)}.data_sets VALUES (?, ?, ?, ?)",
                    [
                        name,
                        record.canonical().decode(),
                        dt.datetime.now(dt.UTC).replace(tzinfo=None),
                        loaded.identifier,
                    ],
                )
                connection.execute("COMMIT")
                self._datasets = None
            else:
                connection.execute("ROLLBACK")
        return LoadReport(
            dataset=name,
            kind=kind,
            snapshot=loaded.snapshot,
            changed=changed,
            seconds=time.perf_counter() - started,
            tables=loaded.tables,
            notes=loaded.notes if before is None or known_by == loaded.identifier else (*loaded.notes, RENUMBERED),
        )

    @contextmanager
    def _transaction(self, name: str, closing: list[Callable[[], object]]) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection inside a transaction that is rolled back on any fault, whose words are then made safe."""
        connection = self.cursor()
        open_ = False
        try:
            connection.execute("BEGIN")
            open_ = True
            yield connection
            open_ = False
        except CivicGridError:
            raise
        except (duckdb.OutOfMemoryException, duckdb.FatalException, duckdb.IOException, OSError, MemoryError) as error:
            raise DataError(_no_room(name, error)) from None
        except duckdb.Error as error:
            # DuckDB quotes the values it stumbled over: its message goes no further.
            raise DataError(
                f"The data set {name!r} was not loaded: the database refused the source "
                f"({type(error).__name__}). "
                "What was loaded before is untouched. Check that the source is complete and of the "
                "expected format."
            ) from None
        finally:
            if open_:
                _quietly(lambda: connection.execute("ROLLBACK"))
            for close in closing:
                _quietly(close)
            connection.close()


def _quietly(act: Callable[[], object]) -> None:
    """Clean up after a fault without hiding it behind a second one."""
    try:
        act()
    except duckdb.Error:
        return


def _no_room(name: str, error: Exception) -> str:
    """What to say of a disk or a memory that failed, without the database's own words, which may quote a record."""
    told = str(error).lower()
    unread = isinstance(error, duckdb.IOException | OSError) and not any(
        word in told for word in ("write", "space", "too large", "quota", "resize", "fsync", "truncate")
    )
    if unread:
        return (
            f"The data set {name!r} was not loaded: a file could not be read ({type(error).__name__}). What was loaded "
            "before is untouched. Check that the source is complete and that this program may read it."
        )
    return (
        f"The data set {name!r} was not loaded: there was not enough room on disk or in memory ({type(error).__name__}). "
        "What was loaded before is untouched. Free some space where the store and its temporary files are, start the "
        "program again if it does not go on, and load again."
    )


def _words(kind: Kind) -> str:
    return "an OMOP database" if kind == "omop" else "a research table"
