"""A data dictionary: what each column of a research table means and may hold.

It is written by whoever knows the data, before anybody reads the records, and it is the same at every site. Levels
and ranges in a study come from here, never from what a site happens to hold.
"""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, get_args

import duckdb
import pyarrow as pa
from pydantic import ValidationError, model_validator

from civicgrid.canonical import Node, describe
from civicgrid.curation.formats.source import SourceTable
from civicgrid.curation.inference import Found, infer, missing_list
from civicgrid.curation.persons import SITE, check_identifier
from civicgrid.curation.records_source import open_records
from civicgrid.errors import CivicGridError, DataError, PlanError
from civicgrid.query.types import Column, ColumnType, Kind, Schema

if TYPE_CHECKING:
    import pandas as pd

MOST_LEVELS = 50
"""Up to how many distinct strings `infer` takes for the levels of a category."""

_FIELDS = ("name", "type", "levels", "low", "high", "missing", "description")


class DictionaryColumn(Node):
    """One column: its name and type, in words what it means, and which codes stand for "missing"."""

    name: str
    type: ColumnType
    description: str = ""
    missing: tuple[str, ...] = ()


class Dictionary(Node):
    """The columns of a research table. `person` names the column that identifies a person, which no study can read, and
    `identifier` says by what: data sets of a site that name the same one have the same people under the same keys.
    """

    columns: tuple[DictionaryColumn, ...]
    person: str | None = None
    identifier: str = SITE

    @model_validator(mode="after")
    def _check(self) -> Dictionary:
        names = [column.name.lower() for column in self.columns]
        if self.person is not None:
            names.append(self.person.lower())
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise PlanError(f"Expected each column of a dictionary once; {', '.join(repeated)} came twice.")
        if "person_number" in names:
            raise PlanError("A column cannot be called person_number: the store uses that name. Rename it.")
        if not self.columns:
            raise PlanError("Expected at least one column in a dictionary; none came.")
        try:
            check_identifier(self.identifier)
        except DataError as error:
            raise PlanError(str(error)) from None
        return self

    @property
    def schema(self) -> Schema:  # type: ignore[override]
        """The columns as a table's schema."""
        return Schema(columns=tuple(Column(name=column.name, type=column.type) for column in self.columns))

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """A dictionary from a JSON file (this model's form) or a CSV file with the columns
        name, type, levels (a|b|c), low, high, missing (a|b), description. The type `person` marks the key, and
        `person nhs-number` says of which identifier."""
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8-sig")
        except OSError as error:
            raise DataError(f"The dictionary {path} could not be read: {error.strerror}. Check the path.") from None
        except UnicodeDecodeError:
            raise DataError(f"The dictionary {path} is not in UTF-8. Save it as UTF-8 (in Excel: “CSV UTF-8”).") from None
        try:
            if path.suffix.lower() == ".json":
                return cls.model_validate_json(json.dumps(json.loads(text)))
            lines = text.splitlines()
            delimiter = ";" if lines and lines[0].count(";") > lines[0].count(",") else ","
            return cls._from_rows(path.name, list(csv.DictReader(lines, delimiter=delimiter)))
        except ValidationError as error:
            raise DataError(f"{path.name} is not a valid dictionary: {describe(error)}") from None
        except (PlanError, ValueError) as error:
            raise DataError(f"{path.name} is not a valid dictionary: {error}") from None

    @classmethod
    def _from_rows(cls, name: str, rows: list[dict[str, Any]]) -> Self:
        missing = [field for field in ("name", "type") if rows and field not in rows[0]]
        unknown = [str(field) for field in (rows[0] if rows else {}) if field not in _FIELDS]
        if not rows or missing or unknown:
            problem = f"{', '.join(missing)} missing" if missing else f"{', '.join(unknown) or 'no rows'} came"
            raise DataError(f"{name}: expected a header with {', '.join(_FIELDS)}; {problem}.")
        columns, person, identifier = [], None, SITE
        for line, row in enumerate(rows, start=2):
            word = (row["type"] or "").strip().lower()
            title = (row["name"] or "").strip()
            if word.split() and word.split()[0] == "person":
                if person is not None:
                    raise DataError(f"{name}, line {line}: expected one column of type person; a second one came.")
                person, identifier = title, " ".join(word.split()[1:]) or SITE
                continue
            if word not in get_args(Kind):
                kinds = ", ".join((*get_args(Kind), "person"))
                raise DataError(f"{name}, line {line}, column type: expected one of {kinds}; {word!r} came.")
            try:
                kind: Any = word
                columns.append(
                    DictionaryColumn(
                        name=title,
                        type=ColumnType(
                            kind=kind,
                            levels=_split(row.get("levels")),
                            low=_number(row.get("low")),
                            high=_number(row.get("high")),
                        ),
                        missing=_split(row.get("missing")),
                        description=(row.get("description") or "").strip(),
                    )
                )
            except (CivicGridError, ValueError) as error:
                raise DataError(f"{name}, line {line}: {error}") from None
        return cls(columns=tuple(columns), person=person, identifier=identifier)

    @classmethod
    def infer(cls, *tables: Path | str | pd.DataFrame | pa.Table, person: str | None = None) -> Self:
        """A dictionary from the tables' own values, for a simulation over a researcher's own data.

        Levels are the distinct strings of all tables in sorted order; a range is rounded out to powers of two. A site
        never does this: its levels would tell what it holds.
        """
        with duckdb.connect() as connection:
            opened: list[tuple[SourceTable, dict[str, Found]]] = []
            for table in tables:
                source, text_file, _ = open_records(connection, table, f"inferred_{len(opened)}")
                for fault in source.faults:
                    raise DataError(f"The dictionary could not be inferred. {fault}")
                opened.append((source, {found.key: found for found in infer(connection, source, text_file)}))
            if not opened:
                raise DataError("Expected at least one table to infer a dictionary from; none came.")
            columns = []
            for key, first in opened[0][1].items():
                kinds = {found[key].kind for _, found in opened if key in found}
                if len([1 for _, found in opened if key in found]) < len(opened):
                    continue
                kind = _widest(kinds)
                if kind is None or (person is not None and key == person.lower()):
                    continue
                sources = [source for source, _ in opened]
                columns.append(DictionaryColumn(name=first.name, type=_typed(connection, sources, key, kind)))
        return cls(columns=tuple(columns), person=person)


def _split(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split("|") if part.strip())


def _number(text: str | None) -> float | None:
    return float(text) if text is not None and text.strip() else None


def _widest(kinds: set[Kind | None]) -> Kind | None:
    """The kind that holds all of these: whole numbers are numbers, and anything else that is mixed is a category."""
    if len(kinds) == 1:
        return next(iter(kinds))
    if kinds == {"int", "float"}:
        return "float"
    return None if None in kinds else "category"


def _typed(connection: duckdb.DuckDBPyConnection, sources: list[SourceTable], key: str, kind: Kind) -> ColumnType:
    if kind == "category":
        text = [f"SELECT trim(CAST({s.columns[key][0]} AS VARCHAR)) AS v FROM {s.relation}" for s in sources]
        levels = connection.execute(
            f"SELECT DISTINCT v FROM ({' UNION ALL '.join(text)}) WHERE v NOT IN ({missing_list()}) "
            f"ORDER BY v LIMIT {MOST_LEVELS + 1}"
        ).fetchall()
        few = len(levels) <= MOST_LEVELS
        return ColumnType(kind="category", levels=tuple(level for (level,) in levels) if few else ())
    if kind in ("int", "float"):
        # TRY_CAST of a word that stands for a missing value gives NULL or NaN, which the filter leaves out.
        numbers = [f"SELECT TRY_CAST({s.columns[key][0]} AS DOUBLE) AS n FROM {s.relation}" for s in sources]
        low, high = connection.execute(
            f"SELECT min(n), max(n) FROM ({' UNION ALL '.join(numbers)}) WHERE isfinite(n)"
        ).fetchall()[0]
        if low is None:
            return ColumnType(kind=kind)
        bottom, top = (0.0 if low >= 0 else -_power(-low)), (0.0 if high <= 0 else _power(high))
        return ColumnType(kind=kind, low=bottom, high=top if top > bottom else 1.0)
    return ColumnType(kind=kind)


def _power(value: float) -> float:
    """The smallest power of two that is at least `value`."""
    return 2.0 ** math.ceil(math.log2(value)) if value > 0 else 1.0
