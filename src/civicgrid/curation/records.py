"""Loading a research table: one row a person, columns as the data dictionary says or as their values suggest.

A value that is not of its column's type, or not among its levels, becomes "missing" in `records` and is written down
in the set-aside table by row and column. The column that identifies a person is turned into the dense person number
and kept nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from civicgrid.curation.cast import cast
from civicgrid.curation.cdm_load import SET_ASIDE
from civicgrid.curation.dictionary import Dictionary
from civicgrid.curation.faults import MOST_PER_COLUMN, Faults
from civicgrid.curation.formats.source import SourceTable, quote
from civicgrid.curation.inference import MISSING, infer, missing_list
from civicgrid.curation.persons import next_number, number_persons, number_rows, take_numbers
from civicgrid.curation.report import NO_KEY, Loaded, TableReport, counted, known_by
from civicgrid.curation.snapshot import ordered_content, snapshot_id
from civicgrid.query.types import Column, ColumnType, Kind

STAGED = "staged_records"

STORED: dict[Kind, str] = {
    "bool": "BOOLEAN",
    "int": "BIGINT",
    "float": "DOUBLE",
    "category": "VARCHAR",
    "date": "DATE",
}
"""How a kind is stored in `records`."""

_TRUE, _FALSE = "'true', 't', 'yes', 'y', '1'", "'false', 'f', 'no', 'n', '0'"

_EXPECTED: dict[Kind, str] = {
    "bool": "not true or false",
    "int": "not a whole number",
    "float": "not a number (decimals take a point)",
    "date": "not a date as YYYY-MM-DD",
    "category": "not among the levels",
}


@dataclass(frozen=True)
class _Reading:
    """A column to be stored: the value and whether it is wrong, as SQL over the source."""

    column: Column
    value: str
    wrong: str


def load_records(
    connection: duckdb.DuckDBPyConnection,
    dataset: str,
    source: SourceTable,
    text_file: bool,
    dictionary: Dictionary | None,
) -> Loaded:
    """Build the data set's schema from the table, or raise DataError with every fault of structure."""
    faults = Faults()
    for fault in source.faults:
        faults.add(fault)
    faults.raise_if_any(dataset)
    notes: list[str] = []
    if dictionary is None:
        readings = _inferred(connection, source, text_file, notes)
    else:
        readings = _declared(source, text_file, dictionary, faults, notes)
    if not readings and not faults.found:
        faults.add(source.fault("there is no column that a study could use"))
    faults.raise_if_any(dataset)
    key = _person_key(source, dictionary)
    total = _stage(connection, source, readings, key)
    _check_persons(connection, source, dictionary, faults)
    _check_values(connection, source, readings, faults)
    if dictionary is None:
        notes += _noughts_and_ones(connection, readings)
    faults.raise_if_any(dataset)
    numbers = _numbers(connection, dataset, readings, dictionary, notes)
    schema = quote(dataset)
    connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
    connection.execute(f"CREATE SCHEMA {schema}")
    connection.execute(
        f'CREATE TABLE {schema}.{SET_ASIDE} ("table" VARCHAR, "row" BIGINT, "column" VARCHAR, reason VARCHAR)'
    )
    _write(connection, schema, readings, key is not None, numbers)
    values = _set_values_aside(connection, schema, readings, key is not None)
    report = _account(connection, schema, readings, total, values, notes)
    columns = tuple(reading.column for reading in readings)
    described = [(column.name, column.type.canonical().decode()) for column in columns]
    listed = ", ".join(quote(column.name) for column in columns)
    held = ordered_content(connection, "records", described, f"SELECT {listed} FROM {schema}.records")
    connection.execute(f"DROP TABLE temp.{STAGED}")
    identifier = None if key is None or dictionary is None else dictionary.identifier
    return Loaded(snapshot_id("table", [held]), (report,), tuple(notes), columns, identifier)


def _numbers(
    connection: duckdb.DuckDBPyConnection,
    dataset: str,
    readings: list[_Reading],
    dictionary: Dictionary | None,
    notes: list[str],
) -> str | None:
    """A relation of `_row` and person number; None where rows simply take the next numbers in order."""
    keyed = dictionary is not None and dictionary.person is not None
    rows = f"SELECT * FROM {STAGED} WHERE ({_reason(readings, keyed)}) IS NULL"
    if dictionary is not None and keyed:
        keys = f"SELECT _key AS key FROM ({rows})"
        numbers, new = number_persons(connection, dictionary.identifier, keys)
        notes.append(known_by(dictionary.identifier, new))
        return f"(SELECT s._row, p.person_number FROM {STAGED} AS s JOIN {numbers} AS p ON s._key = p.key)"
    notes.append(NO_KEY)
    columns = [(r.column.name, r.column.type.kind == "category") for r in readings]
    return number_rows(connection, dataset, rows, columns)


def _inferred(
    connection: duckdb.DuckDBPyConnection, source: SourceTable, text_file: bool, notes: list[str]
) -> list[_Reading]:
    readings, text = [], []
    for found in infer(connection, source, text_file):
        if found.kind is None:
            notes.append(f"{found.name} was left out: its type cannot be used in a study.")
            continue
        place, declared = source.columns[found.key]
        column = Column(name=found.name, type=ColumnType(kind=found.kind))
        if found.kind == "category":
            text.append(found.name)
        readings.append(_read(column, place, declared, MISSING if text_file else ()))
    notes.append(
        "There was no data dictionary: kinds were inferred, numbers have no range, and a column that identifies a person "
        "can be read by studies. Write one, and load again."
    )
    if text:
        notes.append(f"No method can read text without declared levels, or dates but as YYYY-MM-DD: {', '.join(text)}.")
    return readings


def _declared(
    source: SourceTable, text_file: bool, dictionary: Dictionary, faults: Faults, notes: list[str]
) -> list[_Reading]:
    readings = []
    for entry in dictionary.columns:
        if entry.name.lower() not in source.columns:
            faults.add(source.fault("the data dictionary declares this column, and it is missing", column=entry.name))
            continue
        place, declared = source.columns[entry.name.lower()]
        codes = entry.missing or (MISSING if text_file else ())
        readings.append(_read(Column(name=entry.name, type=entry.type), place, declared, codes))
    if dictionary.person is not None and dictionary.person.lower() not in source.columns:
        what = "the data dictionary says that this column identifies a person, and it is missing"
        faults.add(source.fault(what, column=dictionary.person))
    known = {entry.name.lower() for entry in dictionary.columns} | {(dictionary.person or "").lower()}
    extra = [source.spelled.get(name, name) for name in source.columns if name not in known]
    if extra:
        notes.append(f"Left out, since the data dictionary does not declare them: {', '.join(extra)}.")
    return readings


def _read(column: Column, place: str, declared: str, codes: tuple[str, ...]) -> _Reading:
    """How to read one column as its type."""
    kind, word = column.type.kind, declared.split("(", 1)[0].upper()
    text = _text(place, declared)
    given = f"CASE WHEN {text} IN ({missing_list(codes)}) THEN NULL ELSE {place} END" if codes else place
    if kind in ("int", "float", "date"):
        if kind == "int" and word == "BOOLEAN":
            return _Reading(column, f"CAST({place} AS BIGINT)", "false")
        read = cast(given, declared, "float" if kind == "float" else "int" if kind == "int" else "date")
        return _Reading(column, read.value, read.wrong)
    there = f"nullif({text}, '')" + (f" NOT IN ({missing_list(codes)})" if codes else " IS NOT NULL")
    present = f"coalesce({there}, false)" + (f" AND NOT isnan({place})" if word in ("DOUBLE", "FLOAT") else "")
    if kind == "bool":
        if word == "BOOLEAN":
            return _Reading(column, place, "false")
        value = f"CASE WHEN lower({text}) IN ({_TRUE}) THEN true WHEN lower({text}) IN ({_FALSE}) THEN false END"
        value = f"CASE WHEN {present} THEN {value} END"
        return _Reading(column, value, f"({present}) AND ({value}) IS NULL")
    if not column.type.levels:
        return _Reading(column, f"CASE WHEN {present} THEN {text} END", "false")
    inside = f"{text} IN ({missing_list(column.type.levels)})"
    return _Reading(column, f"CASE WHEN {present} AND {inside} THEN {text} END", f"({present}) AND NOT ({inside})")


def _text(place: str, declared: str) -> str:
    """A value as text, whole numbers without decimals however they are stored."""
    text = f"trim(CAST({place} AS VARCHAR))"
    if declared.split("(", 1)[0].upper() not in ("DOUBLE", "FLOAT", "DECIMAL"):
        return text
    whole = f"{place} = floor({place}) AND abs({place}) < 1e15"
    return f"(CASE WHEN {whole} THEN CAST(CAST({place} AS BIGINT) AS VARCHAR) ELSE {text} END)"


def _person_key(source: SourceTable, dictionary: Dictionary | None) -> str | None:
    if dictionary is None or dictionary.person is None:
        return None
    place, declared = source.columns[dictionary.person.lower()]
    return f"nullif({_text(place, declared)}, '')"


def _stage(connection: duckdb.DuckDBPyConnection, source: SourceTable, readings: list[_Reading], key: str | None) -> int:
    """Copy the table into its types; how many rows it has."""
    chosen = [f"{source.row} AS _row", f"{key or 'NULL::VARCHAR'} AS _key"]
    for index, reading in enumerate(readings):
        stored = STORED[reading.column.type.kind]
        chosen.append(f"CAST({reading.value} AS {stored}) AS {quote(reading.column.name)}")
        if reading.wrong != "false":
            chosen.append(f"coalesce({reading.wrong}, false) AS _wrong_{index}")
    connection.execute(f"CREATE TEMP TABLE {STAGED} AS SELECT {', '.join(chosen)} FROM {source.relation}")
    return int(connection.execute(f"SELECT count(*) FROM {STAGED}").fetchall()[0][0])


def _check_persons(
    connection: duckdb.DuckDBPyConnection, source: SourceTable, dictionary: Dictionary | None, faults: Faults
) -> None:
    if dictionary is None or dictionary.person is None:
        return
    found = connection.execute(
        f"WITH again AS (SELECT _row FROM {STAGED} WHERE _key IS NOT NULL "
        "QUALIFY row_number() OVER (PARTITION BY _key ORDER BY _row) > 1) "
        f"SELECT _row, count(*) OVER () FROM again ORDER BY _row LIMIT {MOST_PER_COLUMN}"
    ).fetchall()
    for row, _ in found:
        what = "this person has come before; a research table has one row a person"
        faults.add(source.fault(what, row, dictionary.person))
    if found:
        faults.more(found[0][1] - len(found))


def _check_values(
    connection: duckdb.DuckDBPyConnection, source: SourceTable, readings: list[_Reading], faults: Faults
) -> None:
    """A column of which not one value can be read is of another type than the dictionary says."""
    asked = [(index, reading) for index, reading in enumerate(readings) if reading.wrong != "false"]
    if not asked:
        return
    counts = ", ".join(f"count(*) FILTER (WHERE _wrong_{index}), count({quote(r.column.name)})" for index, r in asked)
    found = connection.execute(f"SELECT {counts} FROM {STAGED}").fetchall()[0]
    for (_, reading), wrong, read in zip(asked, found[::2], found[1::2], strict=True):
        if wrong and not read:
            what = f"every value is {_EXPECTED[reading.column.type.kind]}; correct the file or the data dictionary"
            faults.add(source.fault(what, column=reading.column.name))


def _noughts_and_ones(connection: duckdb.DuckDBPyConnection, readings: list[_Reading]) -> list[str]:
    """A note on whole numbers that may stand for no and yes, which a dictionary has to say."""
    whole = [reading.column.name for reading in readings if reading.column.type.kind == "int"]
    if not whole:
        return []
    asked = ", ".join(f"coalesce(min({quote(name)}) = 0 AND max({quote(name)}) = 1, false)" for name in whole)
    found = connection.execute(f"SELECT {asked} FROM {STAGED}").fetchall()[0]
    names = ", ".join(name for name, two in zip(whole, found, strict=True) if two)
    return [f"If 0 and 1 mean no and yes, declare as bool: {names}."] if names else []


def _reason(readings: list[_Reading], keyed: bool) -> str:
    """SQL for why a staged row is set aside, or NULL."""
    right = [f"NOT _wrong_{index}" for index, reading in enumerate(readings) if reading.wrong != "false"]
    empty = [*right, *(f"{quote(reading.column.name)} IS NULL" for reading in readings)]
    cases = [f"WHEN _key IS NULL AND {' AND '.join(empty)} THEN 'a blank row'"]
    if keyed:
        cases.append("WHEN _key IS NULL THEN 'it names no person'")
    return f"CASE {' '.join(cases)} END"


def _write(
    connection: duckdb.DuckDBPyConnection, schema: str, readings: list[_Reading], keyed: bool, numbers: str | None
) -> None:
    """Fill `records` in the order of the file, and the set-aside table with whole rows."""
    names = ", ".join(quote(reading.column.name) for reading in readings)
    typed = ", ".join(f"{quote(r.column.name)} {STORED[r.column.type.kind]}" for r in readings)
    reason = _reason(readings, keyed)
    connection.execute(f"CREATE TABLE {schema}.records (person_number INTEGER NOT NULL, {typed})")
    if numbers is None:
        loaded = connection.execute(
            f"INSERT INTO {schema}.records SELECT {next_number(connection) - 1} + row_number() OVER (), {names} "
            f"FROM {STAGED} WHERE ({reason}) IS NULL"
        ).fetchall()[0][0]
        take_numbers(connection, int(loaded))
    else:
        connection.execute(
            f"INSERT INTO {schema}.records SELECT person_number, {names} FROM {STAGED} "
            f"JOIN {numbers} USING (_row) WHERE ({reason}) IS NULL ORDER BY _row"
        )
    connection.execute(
        f"INSERT INTO {schema}.{SET_ASIDE} SELECT 'records', _row + 1, NULL, reason FROM "
        f"(SELECT _row, {reason} AS reason FROM {STAGED}) WHERE reason IS NOT NULL ORDER BY _row"
    )


def _set_values_aside(
    connection: duckdb.DuckDBPyConnection, schema: str, readings: list[_Reading], keyed: bool
) -> dict[str, int]:
    """Write down the values that became missing, by row and column; how many of each."""
    asked = [(i, r) for i, r in enumerate(readings) if r.wrong != "false"]
    if not asked:
        return {}
    kept = f"({_reason(readings, keyed)}) IS NULL"
    counts = connection.execute(
        f"SELECT {', '.join(f'count(*) FILTER (WHERE _wrong_{i} AND {kept})' for i, _ in asked)} FROM "
        f"{STAGED}"
    ).fetchall()[0]
    values = {}
    for (index, reading), count in zip(asked, counts, strict=True):
        if not count:
            continue
        name, reason = reading.column.name, _EXPECTED[reading.column.type.kind]
        connection.execute(
            f"INSERT INTO {schema}.{SET_ASIDE} SELECT 'records', _row + 1, ?, ? FROM {STAGED} "
            f"WHERE _wrong_{index} AND {kept} ORDER BY _row",
            [name, reason],
        )
        values[f"{name}: {reason}"] = count
    return values


def _account(
    connection: duckdb.DuckDBPyConnection,
    schema: str,
    readings: list[_Reading],
    total: int,
    values: dict[str, int],
    notes: list[str],
) -> TableReport:
    """Count what went where, and note the numbers outside their range."""
    loaded = connection.execute(f"SELECT count(*) FROM {schema}.records").fetchall()[0][0]
    aside = connection.execute(
        f'SELECT reason, count(*) FROM {schema}.{SET_ASIDE} WHERE "column" IS NULL GROUP BY 1 ORDER BY 2 DESC, 1'
    ).fetchall()
    for reading in readings:
        type_ = reading.column.type
        if type_.low is None:
            continue
        outside = connection.execute(
            f"SELECT count(*) FROM {schema}.records WHERE {quote(reading.column.name)} NOT BETWEEN ? AND ?",
            [type_.low, type_.high],
        ).fetchall()[0][0]
        if outside:
            notes.append(f"{reading.column.name}: {counted(outside, 'value')} outside the dictionary's range "
                f"{'was' if outside == 1 else 'were'} kept.")
    return TableReport("records", total, loaded, dict(aside), values)
