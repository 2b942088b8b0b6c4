"""DuckDB, embedded: the default engine.

A step that is read once becomes a view, one that is read more often a table, both in a private in-memory
database beside the node's own, which is never written to. A cohort that needs no step is read straight from
its table, with nothing copied and nothing sorted when the rows already stand in the order of the person
numbers.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Self

import duckdb
import pyarrow as pa
from sqlglot import exp

from civicgrid.errors import DataError
from civicgrid.query.cohort import Cohort
from civicgrid.query.compile import BASE, Compiled, Places, compile_cohort
from civicgrid.query.sql import column
from civicgrid.query.table import ARROW, PERSON, Table
from civicgrid.query.types import Schema

BATCH_ROWS = 122_880
"""Rows in a batch: DuckDB's row group, so that a batch is cut where the storage is."""

ABOUT_NAMES = (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException)
"""Errors whose text speaks of tables and columns, never of a record's values."""

Read = Callable[[list[str]], exp.Select]


class DuckDBEngine:
    """Runs cohorts over the data sets of one DuckDB database, through a cursor of its store."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection) -> None:
        self.cursor = cursor

    def table(self, cohort: Cohort, snapshot: str, schema_name: str) -> DuckDBTable:
        """The cohort's rows over the tables in the schema `schema_name`. Close the table to free what it
        holds.
        """
        row = self.cursor.execute("SELECT current_catalog()").fetchone()
        home, scratch = str(row[0]) if row else "", f"cohort_{secrets.token_hex(8)}"
        compiled = compile_cohort(
            cohort,
            Places(
                table=lambda name: _table(name, schema_name, home),
                step=lambda name: _table(name, "main", scratch),
            ),
        )
        self._check_tables(compiled, schema_name)
        if not compiled.steps and compiled.base is not None:
            return DuckDBTable(self.cursor, self._straight(compiled, compiled.base), cohort.schema, snapshot)
        attach = exp.Attach(this=exp.alias_(exp.Literal.string(":memory:"), scratch, quoted=True))
        run(self.cursor, "make room for the steps", attach)
        try:
            self._materialise(compiled, scratch)
            return DuckDBTable(
                self.cursor, lambda names: _projected(names, scratch), cohort.schema, snapshot, scratch
            )
        except BaseException:
            run(self.cursor, "free the steps", exp.Detach(this=_name(scratch)))
            raise

    def _straight(self, compiled: Compiled, base: exp.Expr) -> Read:
        """How to read a cohort of one table: as it stands, or sorted when its rows are out of order."""
        before = exp.Window(this=exp.Lag(this=column(PERSON, BASE)))
        pairs = exp.select(exp.alias_(column(PERSON, BASE), "number"), exp.alias_(before, "before")).from_(
            base
        )
        rising = exp.Or(
            this=exp.Paren(this=exp.Is(this=exp.column("before"), expression=exp.null())),
            expression=exp.LT(this=exp.column("before"), expression=exp.column("number")),
        )
        query = exp.select(exp.func("bool_and", rising)).from_(pairs.subquery("pairs"))
        row = run(self.cursor, "look at the order of the rows", query).fetchone()
        if row is None or row[0] is not False:
            return compiled.select
        return lambda names: compiled.select(names).order_by(column(PERSON, BASE))

    def _materialise(self, compiled: Compiled, scratch: str) -> None:
        """Run the steps and keep the result alone."""
        kinds = {step.name: "TABLE" if step.uses > 1 else "VIEW" for step in compiled.steps}
        for step in compiled.steps:
            place = _table(step.name, "main", scratch)
            run(self.cursor, step.name, exp.Create(this=place, kind=kinds[step.name], expression=step.tree))
        last = compiled.select(list(compiled.columns)).order_by(column(PERSON, BASE))
        run(
            self.cursor,
            "cohort",
            exp.Create(this=_table("cohort", "main", scratch), kind="TABLE", expression=last),
        )
        for name, kind in reversed(kinds.items()):
            run(self.cursor, f"drop {name}", exp.Drop(tables=[_table(name, "main", scratch)], kind=kind))

    def _check_tables(self, compiled: Compiled, schema_name: str) -> None:
        found = self.cursor.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = ? "
            "AND table_catalog = current_catalog()",
            [schema_name],
        ).fetchall()
        have = sorted(name for (name,) in found)
        missing = sorted(set(compiled.tables) - set(have))
        if missing:
            raise DataError(
                f"The cohort needs {', '.join(missing)}, which the data set {schema_name!r} does not have "
                f"here. It has: {', '.join(have) or 'nothing'}. Load the table, or leave it out of the cohort."
            )


class DuckDBTable(Table):
    """A cohort's rows in a DuckDB database, streamed as Arrow in the order of the person numbers.

    `read` gives the query for some of its columns. Each call of `batches` reads on a cursor of its own, so
    that two can be read side by side. A table with `scratch` owns that database and drops it when it is
    closed.
    """

    def __init__(
        self,
        cursor: duckdb.DuckDBPyConnection,
        read: Read,
        schema: Schema,
        snapshot: str,
        scratch: str | None = None,
    ) -> None:
        self.schema, self.snapshot = schema, snapshot
        self._cursor, self._read, self._scratch = cursor, read, scratch
        self._closed = False
        query = exp.select(exp.Count(this=exp.Star())).from_(read([PERSON]).subquery("counted"))
        row = run(cursor, "count the rows", query).fetchone()
        self._rows = int(row[0]) if row else 0

    @property
    def rows(self) -> int:
        return self._rows

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        names = list(columns)
        kinds = [ARROW[self.schema[name].kind] for name in names]
        if not names:
            raise DataError("Expected at least one column to read. Use persons() or rows for none.")
        yield from self._stream(names, pa.schema(list(zip(names, kinds, strict=True))))

    @property
    def plain(self) -> bool:
        """Whether the table is read as it lies in its data set, and nothing had to be made for it."""
        return self._scratch is None

    def persons(self) -> Iterator[pa.Array]:
        for batch in self._stream([PERSON], pa.schema([(PERSON, pa.int64())])):
            yield batch.column(0)

    def _stream(self, names: list[str], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        if self._closed:
            raise DataError("This table has been closed. Ask the engine for it again.")
        cursor = self._cursor.cursor()
        try:
            text = self._read(names).sql(dialect="duckdb")
            try:
                reader = cursor.sql(text).to_arrow_reader(BATCH_ROWS)
                for batch in reader:
                    yield batch.cast(schema) if batch.schema != schema else batch
            except (duckdb.Error, pa.ArrowException, OSError) as error:
                # What goes wrong after the first batch comes through Arrow: too little memory as an OSError.
                raise failure("read the cohort", text, error) from None
        finally:
            cursor.close()

    def close(self) -> None:
        """Free what the table holds; it cannot be read afterwards."""
        self._closed = True
        if self._scratch is not None:
            run(self._cursor, "free the cohort", exp.Detach(this=_name(self._scratch)))
            self._scratch = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def run(cursor: duckdb.DuckDBPyConnection, step: str, tree: exp.Expr) -> duckdb.DuckDBPyConnection:
    """Run one statement; a failure shows the step and its SQL."""
    text = tree.sql(dialect="duckdb")
    try:
        return cursor.execute(text)
    except duckdb.Error as error:
        raise failure(step, text, error) from None


def failure(step: str, text: str, error: Exception) -> DataError:
    """The error to show. The database's own words are left out where they could quote a record."""
    words = str(error).splitlines()[0] if isinstance(error, ABOUT_NAMES) else type(error).__name__
    return DataError(f"The step “{step}” failed: {words}. Its SQL was:\n{text}")


def _name(name: str) -> exp.Identifier:
    return exp.to_identifier(name, quoted=True)


def _table(name: str, schema: str, catalog: str) -> exp.Table:
    return exp.Table(this=_name(name), db=_name(schema), catalog=_name(catalog))


def _projected(names: list[str], scratch: str) -> exp.Select:
    return exp.select(*(exp.column(_name(name)) for name in names)).from_(_table("cohort", "main", scratch))
