"""The DuckDB engine: what it streams, what it leaves alone, and what it says when a step fails."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pyarrow as pa
import pytest
from sqlglot import exp

from civicgrid.errors import DataError
from civicgrid.query import nodes as n
from civicgrid.query.cohort import Cohort, OutputColumn, whole_table
from civicgrid.query.compile import Compiled, Places, compile_cohort
from civicgrid.query.engines.duckdb import BATCH_ROWS, DuckDBEngine
from civicgrid.query.language import case, cdm, cohort, concept_set, when
from civicgrid.query.sql import name
from civicgrid.query.types import BOOL, DATE, FLOAT, INT, Schema, category
from generative.databases import load

SCHEMA = Schema.of({"age": INT, "arm": category("a", "b"), "died": BOOL, "bmi": FLOAT, "seen": DATE})
gp = cdm("gp")
HOSTILE = ["x'; DROP TABLE person; --", 'x"; DROP TABLE person; --', "\\'", "');--", "${x}", "%s", "{x}", "/*", "''"]


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 2}) as made:
        load(made, "gp", {"person": [{"person_number": number, "year_of_birth": 1950 + number} for number in range(4)]})
        made.execute(f"""
            CREATE TABLE gp.records AS
            SELECT i::INTEGER AS person_number, i % 90 AS age, ['a', 'b', 'c'][i % 3 + 1] AS arm,
                i % 2 = 0 AS died, i / 7 AS bmi, DATE '2020-01-01' AS seen
            FROM range({BATCH_ROWS * 2 + 5}) t(i)""")
        yield made


def compiled(plan: Cohort) -> Compiled:
    def place(of: str) -> exp.Table:
        return exp.Table(this=name(of))

    return compile_cohort(plan, Places(table=place, step=place))


def test_types_are_those_that_methods_expect(connection):
    with DuckDBEngine(connection.cursor()).table(whole_table("gp", SCHEMA, SCHEMA.names), "s1", "gp") as table:
        batch = next(table.batches(["arm", "age", "died", "bmi", "seen"]))
        assert batch.schema.types == [pa.int32(), pa.int64(), pa.bool_(), pa.float64(), pa.date32()]
        assert batch.column("arm").to_pylist()[:4] == [0, 1, None, 0]
        assert table.snapshot == "s1"
        assert table.schema == SCHEMA
        assert next(table.persons()).type == pa.int64()


def test_batches_can_be_read_again_and_side_by_side(connection):
    with DuckDBEngine(connection.cursor()).table(whole_table("gp", SCHEMA, ["age", "bmi"]), "s1", "gp") as table:
        assert table.rows == BATCH_ROWS * 2 + 5
        sizes = [batch.num_rows for batch in table.batches(["age"])]
        for one, other, persons in zip(table.batches(["age"]), table.batches(["bmi", "age"]), table.persons(), strict=True):
            assert one.column("age") == other.column("age")
            assert len(persons) == one.num_rows == sizes.pop(0)


def test_a_whole_table_is_a_plain_scan():
    plan = compiled(whole_table("gp", SCHEMA, ["age", "bmi"]))
    assert plan.steps == ()
    assert plan.select(["age"]).sql(dialect="duckdb") == (
        'SELECT CAST("p"."age" AS BIGINT) AS "age" FROM "records" AS "p"')


def test_a_table_in_order_is_not_sorted(connection):
    engine = DuckDBEngine(connection.cursor())
    with engine.table(whole_table("gp", SCHEMA, ["age"]), "s1", "gp") as table:
        assert table._read(["age"]).args.get("order") is None
    connection.execute("CREATE OR REPLACE TABLE gp.records AS FROM gp.records ORDER BY person_number DESC")
    with engine.table(whole_table("gp", SCHEMA, ["age"]), "s1", "gp") as table:
        assert next(table.persons()).to_pylist()[:3] == [0, 1, 2]


def test_nothing_is_left_behind(connection):
    drugs = gp.drug_exposure
    plan = cohort(population=drugs.with_washout(30).exists_for_person() | gp.everyone, n=drugs.count_for_person())
    before = connection.execute("SELECT count(*) FROM duckdb_databases()").fetchone()
    tables = connection.execute("SELECT count(*) FROM duckdb_tables()").fetchone()
    table = DuckDBEngine(connection.cursor()).table(plan, "s1", "gp")
    assert [row["n"] for batch in table.batches(["n"]) for row in batch.to_pylist()] == [0, 0, 0, 0]
    table.close()
    table.close()
    assert connection.execute("SELECT count(*) FROM duckdb_databases()").fetchone() == before
    assert connection.execute("SELECT count(*) FROM duckdb_tables()").fetchone() == tables
    with pytest.raises(DataError, match="has been closed"):
        next(table.batches(["n"]))


def test_a_table_that_is_not_there_is_named(connection):
    connection.execute("DROP TABLE gp.death")
    with pytest.raises(DataError, match=r"needs death, which the data set 'gp' does not have.*It has: concept_ancestor"):
        DuckDBEngine(connection.cursor()).table(cohort(population=gp.death.exists_for_person()), "s1", "gp")


def test_a_failing_step_is_shown_without_a_value(connection):
    connection.execute("ALTER TABLE gp.person ALTER year_of_birth TYPE VARCHAR")
    connection.execute("UPDATE gp.person SET year_of_birth = 'secret'")
    plan = cohort(population=gp.everyone, next_year=gp.person.year_of_birth)
    with pytest.raises(DataError, match="failed: ConversionException") as caught:
        table = DuckDBEngine(connection.cursor()).table(plan, "s1", "gp")
        list(table.batches(["next_year"]))
    assert '"p"."year_of_birth"' in str(caught.value)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_failure_while_the_steps_are_made_leaves_nothing(connection):
    connection.execute("ALTER TABLE gp.drug_exposure DROP COLUMN quantity")
    plan = cohort(population=gp.everyone, most=gp.drug_exposure.quantity.maximum_for_person())
    with pytest.raises(DataError, match=r"“persons_with_drug_exposure_1” failed: Binder Error.*quantity"):
        DuckDBEngine(connection.cursor()).table(plan, "s1", "gp")
    left = connection.execute("SELECT count(*) FROM duckdb_databases() WHERE database_name LIKE 'cohort%'").fetchone()
    assert left == (0,)


@pytest.mark.parametrize("text", HOSTILE)
def test_no_name_or_value_becomes_sql(connection, text):
    drugs = gp.drug_exposure
    codes = concept_set(1, name=text).with_descendants()
    plan = cohort(
        population=(gp.person.gender_source_value != text) | gp.everyone,
        label=case(when(gp.person.gender_source_value == text).then(text), otherwise=text + "!"),
        listed=gp.person.gender_source_value.is_in([text]),
        coded=drugs.where(drugs.concept.is_in(codes)).exists_for_person(),
    )
    connection.execute("UPDATE gp.person SET gender_source_value = ?", [text])
    with DuckDBEngine(connection.cursor()).table(plan, "s1", "gp") as table:
        rows = [row for batch in table.batches(plan.schema.names) for row in batch.to_pylist()]
    assert rows == [{"label": 0, "listed": True, "coded": False}] * 4


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_schema_or_column_name_is_only_a_name(connection, text):
    quoted = '"' + text.replace('"', '""') + '"'
    connection.execute(f"CREATE SCHEMA {quoted}; CREATE TABLE {quoted}.records AS SELECT 1 AS person_number, 2 AS {quoted}")
    column = n.RecordField(column=text, type=INT)
    plan = Cohort(
        dataset=text, source="records", population=n.Value(of="bool", value=True),
        columns=(OutputColumn(name="x", series=column),))
    with DuckDBEngine(connection.cursor()).table(plan, "s1", text) as table:
        assert [batch.to_pylist() for batch in table.batches(["x"])] == [[{"x": 2}]]


def test_a_schema_with_the_name_of_the_database(tmp_path):
    with duckdb.connect(str(tmp_path / "gp.duckdb")) as made:
        made.execute("CREATE SCHEMA gp.gp; CREATE TABLE gp.gp.person AS SELECT 0 AS person_number")
        with DuckDBEngine(made.cursor()).table(cohort(population=gp.everyone), "s1", "gp") as table:
            assert table.rows == 1
