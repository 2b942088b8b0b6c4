"""Loading a CDM: read every table, check it, set aside what cannot be used, and write the rest in its order.

Everything happens inside the caller's transaction, so that a fault at any point leaves the earlier load as it was.
Each table is read once into a typed, temporary copy; structure is judged on all of them before anything is numbered
or written. Rows are streamed by DuckDB and never come to Python.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import Literal

import duckdb

from civicgrid.curation.cast import Cast, cast
from civicgrid.curation.faults import MOST_PER_COLUMN, Fault, Faults
from civicgrid.curation.formats.source import Source, SourceTable, literal, quote
from civicgrid.curation.persons import SITE, number_persons
from civicgrid.curation.report import Loaded, TableReport, counted, known_by
from civicgrid.curation.snapshot import Content, content, no_content, row_digest, snapshot_id
from civicgrid.errors import DataError
from civicgrid.omop.cdm import CDM, DUCKDB_TYPE, FORMER_NAMES, CdmTable

SET_ASIDE = "_set_aside"
"""The table, in a data set's schema, of what was set aside: table, row, column, reason."""

RepeatedIds = Literal["refuse", "keep"]
PERSON_KEYS = ("person_id", "person_source_value")
"""The columns of `person` by which a site may know people."""

_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "text": "text",
    "date": "a date (YYYY-MM-DD or YYYYMMDD)",
    "datetime": "a date with a time (YYYY-MM-DD hh:mm:ss)",
}


@dataclass
class _Staged:
    """A table in its typed, temporary copy."""

    table: CdmTable
    source: SourceTable
    casts: dict[str, Cast]
    rows: int = 0
    wrong: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def copy(self) -> str:
        return f"temp.{quote('staged ' + self.table.name)}"

    @property
    def needed(self) -> tuple[str, ...]:
        """The columns without which a row says nothing."""
        table = self.table
        named = [table.primary_key, table.person_column, table.start]
        named.append(table.concept if table.concept and table[table.concept].required else None)
        named.append(table.end if table.name == "observation_period" else None)
        if not table.person and table.primary_key is None:
            named += [column.name for column in table.columns if column.required and column.type == "int"]
        return tuple(dict.fromkeys(name for name in named if name and name in self.casts))


def load_cdm(
    connection: duckdb.DuckDBPyConnection,
    dataset: str,
    source: Source,
    repeated_ids: RepeatedIds | None = None,
    person_key: str = "person_id",
    identifier: str = SITE,
) -> Loaded:
    """Build the data set's schema from the source, or raise DataError with every fault of structure.

    `person_key` is the column of `person` by which the site knows people, `identifier` what it holds: see
    `curation.persons`.
    """
    if person_key not in PERSON_KEYS:
        raise DataError(f"Expected {' or '.join(PERSON_KEYS)} as the person key; {person_key[:80]!r} came.")
    faults, notes = Faults(), []
    wanted = [name for name in source.names() if name in CDM]
    for name in source.names():
        if name not in CDM:
            near = difflib.get_close_matches(name, CDM, 1, 0.85)
            notes.append(f"{name} was left out: it is no CDM table" + (f"; is it {near[0]}?" if near else "."))
    if "person" not in wanted:
        faults.add(Fault(source.label, "there is no person table; a CDM needs one"))
        faults.raise_if_any(dataset)
    keep = source.repeated_ids if repeated_ids is None else repeated_ids == "keep"
    staged = {}
    for name in sorted(wanted, key=lambda name: (name != "person", name)):
        stage = _stage(connection, CDM[name], source.open(name), faults)
        if stage is not None:
            staged[name] = stage
            _check_values(connection, stage, faults)
            _check_keys(connection, stage, faults, keep)
            if name == "person" and person_key != CDM["person"].primary_key:
                _check_person_key(connection, stage, faults, person_key)
    faults.raise_if_any(dataset)
    persons, new = _number(connection, staged["person"], person_key, identifier)
    notes.append(known_by(identifier, new))
    schema = quote(dataset)
    connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
    connection.execute(f"CREATE SCHEMA {schema}")
    connection.execute(
        f'CREATE TABLE {schema}.{SET_ASIDE} ("table" VARCHAR, "row" BIGINT, "column" VARCHAR, reason VARCHAR)'
    )
    reports, contents = [], []
    for table in CDM.values():
        if table.name not in staged:
            _create(connection, schema, table)
            continue
        stage = staged[table.name]
        known = persons if table.name == "person" else f"(SELECT person_id AS key, person_number FROM {schema}.person)"
        contents.append(_write(connection, schema, stage, known))
        reports.append(_account(connection, schema, stage))
        notes += stage.notes
        connection.execute(f"DROP TABLE {stage.copy}")
    connection.execute(f"DROP TABLE {persons}")
    nameless = [name for name, stage in staged.items() if stage.source.named_by_first_row]
    if nameless:
        notes.append(f"The first row of these held the column names and was used so: {', '.join(sorted(nameless))}.")
    return Loaded(snapshot_id("omop", contents), tuple(reports), tuple(notes), identifier=identifier)


def _number(
    connection: duckdb.DuckDBPyConnection, stage: _Staged, person_key: str, identifier: str
) -> tuple[str, int]:
    """A temporary table from the CDM's own person id (`key`) to the person number; how many people are new to the site."""
    loaded = f"SELECT person_id, person_source_value FROM {stage.copy} AS s WHERE ({_reason(stage)}) IS NULL"
    key = f"trim(CAST({quote(person_key)} AS VARCHAR))"
    # People of numbered ids are numbered in the order of their ids, which is the order in which events lie at most sites.
    order = "TRY_CAST(key AS BIGINT), key"
    numbers, new = number_persons(connection, identifier, f"SELECT {key} AS key FROM ({loaded})", order)
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE numbered_persons AS "
        f"SELECT s.person_id AS key, n.person_number FROM ({loaded}) AS s JOIN {numbers} AS n ON n.key = {key}"
    )
    return "temp.numbered_persons", new


def _stage(connection: duckdb.DuckDBPyConnection, table: CdmTable, source: SourceTable, faults: Faults) -> _Staged | None:
    """Copy a table into its types. None if its columns are not there."""
    for fault in source.faults:
        faults.add(fault)
    if not source.columns:
        return None
    former = FORMER_NAMES.get(table.name, {})
    columns: dict[str, tuple[str, str]] = {}
    extra = []
    for name, place in source.columns.items():
        today = former.get(name, name)
        if today in table and today not in columns:
            columns[today] = place
        else:
            extra.append(name)
    missing = [c.name for c in table.columns if c.required and c.since == "5.3" and c.name not in columns]
    for name in missing:
        near = difflib.get_close_matches(name, extra, 1, 0.8)
        hint = f"; is it the one called {near[0]}?" if near else ""
        faults.add(source.fault(f"this required column of {table.name} is missing{hint}", column=name))
    if missing:
        return None
    stage = _Staged(table, source, {n: cast(*place, table[n].type) for n, place in columns.items()})
    if extra:
        stage.notes.append(f"{table.name}: left out {_some(extra)}, which the CDM does not have.")
    floats = [n for n, (_, kind) in columns.items() if table[n].type == "int" and kind in ("DOUBLE", "FLOAT")]
    if floats:
        stage.notes.append(f"{table.name}: {_some(floats)} held whole numbers as decimals; made whole.")
    typed = [
        f"{stage.casts[c.name].value if c.name in columns else 'NULL'}::{DUCKDB_TYPE[c.type]} AS "
        f"{quote(c.name)}"
        for c in table.columns
    ]
    asked = [c.wrong for c in stage.casts.values() if not c.exact]
    same = " AND ".join(
        f"lower(trim(CAST({place} AS VARCHAR))) = {literal(name)}" for name, (place, _) in source.columns.items()
    )
    positional = all(kind == "VARCHAR" for _, kind in source.columns.values())
    connection.execute(
        f"CREATE TEMP TABLE {stage.copy.removeprefix('temp.')} AS SELECT {source.row} AS _row, "
        f"{', '.join(typed)}, "
        f"{' OR '.join(asked) or 'false'} AS _wrong, {same if positional else 'false'} AS _names "
        f"FROM {source.relation}"
    )
    stage.rows, stage.wrong = connection.execute(
        f"SELECT count(*), count(*) FILTER (WHERE _wrong AND NOT coalesce(_names, false)) FROM {stage.copy}"
    ).fetchall()[0]
    return stage


def _check_values(connection: duckdb.DuckDBPyConnection, stage: _Staged, faults: Faults) -> None:
    """Faults for every value that is not of its column's type and no impossible date either."""
    if not stage.wrong:
        return
    asked = {name: c for name, c in stage.casts.items() if not c.exact}
    suspects = f"{stage.source.relation} AS source"
    rows = f"SELECT _row FROM {stage.copy} WHERE _wrong AND NOT coalesce(_names, false)"
    for name, c in asked.items():
        found = connection.execute(
            f"SELECT _at, count(*) OVER () FROM (SELECT {stage.source.row} AS _at, "
            f"({c.wrong}) AND NOT ({c.dated}) AS _is FROM {suspects}) "
            f"WHERE _is AND _at IN ({rows}) ORDER BY _at LIMIT {MOST_PER_COLUMN}"
        ).fetchall()
        for row, _ in found:
            faults.add(stage.source.fault(f"expected {_WORDS[stage.table[name].type]}", row, name))
        if found:
            faults.more(found[0][1] - len(found))


def _check_keys(connection: duckdb.DuckDBPyConnection, stage: _Staged, faults: Faults, keep: bool) -> None:
    """Faults for keys that come twice; see docs/decisions/repeated-event-ids.md for those that may."""
    table, key = stage.table, stage.table.primary_key
    if key is None or key not in stage.casts:
        return
    repeated, rows = connection.execute(
        f"SELECT count(*), coalesce(sum(n - 1), 0) FROM "
        f"(SELECT count(*) AS n FROM {stage.copy} WHERE {quote(key)} IS NOT NULL GROUP BY {quote(key)} "
        "HAVING n > 1)"
    ).fetchall()[0]
    if not repeated:
        return
    record = [key]
    if keep and not _referred_to(table):
        record += [name for name in (table.person_column, table.concept, table.start) if name]
    by = ", ".join(quote(name) for name in record)
    found = connection.execute(
        f"SELECT _row, count(*) OVER () FROM {stage.copy} WHERE {quote(key)} IS NOT NULL "
        f"QUALIFY row_number() OVER (PARTITION BY {by} ORDER BY _row) > 1 ORDER BY _row LIMIT "
        f"{MOST_PER_COLUMN}"
    ).fetchall()
    what = "this key has come before; every row needs its own"
    if not keep and not _referred_to(table):
        what += " (or load with repeated_ids='keep', if two numberings were merged)"
    for row, _ in found:
        faults.add(stage.source.fault(what, row, key))
    if found:
        faults.more(found[0][1] - len(found))
    else:
        stage.notes.append(
            f"{table.name}: {counted(int(rows), 'row')} repeating the {key} of a different record kept, since "
            "nothing refers to it."
        )


def _check_person_key(
    connection: duckdb.DuckDBPyConnection, stage: _Staged, faults: Faults, person_key: str
) -> None:
    """Faults for people without the key by which the site is to know them, or with somebody else's."""
    if person_key not in stage.casts:
        faults.add(stage.source.fault("people are to be known by this column, and it is missing", column=person_key))
        return
    key = f"nullif(trim(CAST({quote(person_key)} AS VARCHAR)), '')"
    for fault, which in (
        ("people are to be known by this column, and it is empty", f"{key} IS NULL"),
        (
            "this person has come before; every row of person needs a key of its own",
            f"{key} IS NOT NULL QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY _row) > 1",
        ),
    ):
        found = connection.execute(
            f"SELECT _row, count(*) OVER () FROM (SELECT _row FROM {stage.copy} AS s "
            f"WHERE ({_reason(stage)}) IS NULL AND {which}) ORDER BY _row LIMIT {MOST_PER_COLUMN}"
        ).fetchall()
        for row, _ in found:
            faults.add(stage.source.fault(fault, row, person_key))
        if found:
            faults.more(found[0][1] - len(found))


def _referred_to(table: CdmTable) -> bool:
    """Whether other tables point at this one by its key."""
    others = (other for other in CDM.values() if other is not table)
    return table.group == "vocabulary" or any(table.primary_key in other.names for other in others)


def _reason(stage: _Staged) -> str:
    """SQL for why a staged row is set aside, or NULL. `p` is the join to the known persons."""
    table = stage.table
    empty = " AND ".join(f"s.{quote(name)} IS NULL" for name in stage.casts)
    cases = [
        ("s._names", "a row of column names"),
        (f"NOT s._wrong AND {empty}", "a blank row"),
        ("s._wrong", "an impossible date"),
        *((f"s.{quote(name)} IS NULL", f"{name} is missing") for name in stage.needed),
    ]
    if table.person and table.name != "person":
        cases.append(("p.person_number IS NULL", "the person is not in the person table"))
    if table.start and table.end and table.end in stage.casts:
        cases.append((f"s.{quote(table.end)} < s.{quote(table.start)}", "it ends before it starts"))
    return "CASE " + " ".join(f"WHEN {when} THEN {literal(why)}" for when, why in cases) + " END"


def _columns(table: CdmTable) -> tuple[str, ...]:
    """The columns as stored: the person's own id stands in `person` alone."""
    hidden = None if table.name == "person" else table.person_column
    return tuple(name for name in table.names if name != hidden)


def _order(table: CdmTable) -> str:
    """The physical order: see docs/decisions/physical-order.md."""
    key = table.primary_key
    if table.name in ("person", "observation_period") or (table.person and table.concept is None):
        order = ["person_number", *([table.start] if table.start else [])]
    elif table.person:
        order = [str(table.concept), "person_number", str(table.start), *([key] if key else [])]
    else:
        order = [key] if key else list(table.names[:2])
    return ", ".join(f"{quote(name)} NULLS LAST" for name in order)


def _create(connection: duckdb.DuckDBPyConnection, schema: str, table: CdmTable) -> None:
    typed = [f"{quote(name)} {DUCKDB_TYPE[table[name].type]}" for name in _columns(table)]
    if table.person:
        typed.insert(0, "person_number INTEGER NOT NULL")
    connection.execute(f"CREATE TABLE {schema}.{quote(table.name)} ({', '.join(typed)})")


def _write(connection: duckdb.DuckDBPyConnection, schema: str, stage: _Staged, persons: str) -> Content:
    """Fill the table and the set-aside table; the digest of what was loaded."""
    table = stage.table
    _create(connection, schema, table)
    described = [(column.name, column.type) for column in table.columns]
    joined = f"{stage.copy} AS s"
    if table.person:
        joined += f" LEFT JOIN {persons} AS p ON s.{quote(str(table.person_column))} = p.key"
    reason = _reason(stage)
    chosen = (["p.person_number"] if table.person else []) + [f"s.{quote(name)}" for name in _columns(table)]
    loaded = connection.execute(
        f"INSERT INTO {schema}.{quote(table.name)} SELECT {', '.join(chosen)} FROM {joined} "
        f"WHERE ({reason}) IS NULL ORDER BY {_order(table)}"
    ).fetchall()[0][0]
    if loaded < stage.rows:
        connection.execute(
            f"INSERT INTO {schema}.{SET_ASIDE} SELECT {literal(table.name)}, _row + 1, NULL, reason FROM "
            f"(SELECT s._row, {reason} AS reason FROM {joined}) WHERE reason IS NOT NULL ORDER BY _row"
        )
    if not loaded:
        return no_content(table.name, described)
    columns = [
        (f"s.{quote(column.name)}" if column.name in stage.casts else None, column.type == "text")
        for column in table.columns
    ]
    digests = f"SELECT {row_digest(columns)} FROM {joined} WHERE ({reason}) IS NULL"
    return content(connection, table.name, described, digests)


def _account(connection: duckdb.DuckDBPyConnection, schema: str, stage: _Staged) -> TableReport:
    """Count what went where, and note the required values that are missing from rows that were loaded."""
    name = stage.table.name
    loaded = connection.execute(f"SELECT count(*) FROM {schema}.{quote(name)}").fetchall()[0][0]
    aside = connection.execute(
        f'SELECT reason, count(*) FROM {schema}.{SET_ASIDE} WHERE "table" = ? GROUP BY 1 ORDER BY 2 DESC, 1', [name]
    ).fetchall()
    stored = set(_columns(stage.table)) & set(stage.casts)
    required = [column.name for column in stage.table.columns if column.required and column.name in stored]
    if loaded and required:
        counts = connection.execute(
            f"SELECT {', '.join(f'count(*) - count({quote(n)})' for n in required)} FROM "
            f"{schema}.{quote(name)}"
        ).fetchall()[0]
        stage.notes += [
            f"{name}: {counted(n, 'row')} without {column}, which the CDM requires; loaded as missing."
            for column, n in zip(required, counts, strict=True)
            if n
        ]
    return TableReport(name, stage.rows, loaded, dict(aside))


def _some(names: list[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
