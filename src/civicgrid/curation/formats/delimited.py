"""A folder of delimited text: CDM exports (comma, quoted) and Athena downloads (tab, never quoted).

Nothing is guessed from the data: the header gives the names, the delimiter decides about quoting, and every column is
read as text and cast by the loader. DuckDB's own messages quote lines of the file, so none of them is passed on.
"""

from __future__ import annotations

import csv
import gzip
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import IO, Literal

import duckdb

from civicgrid.curation.faults import Fault
from civicgrid.curation.formats.source import Source, SourceTable, literal, quote
from civicgrid.errors import DataError

SUFFIXES = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz")
LIMIT = 1000
"""Up to how many unreadable lines of a file are told apart."""

ROW = "(row_number() OVER () - 1)"
"""The number of a row in the order of the file: a rowid would not do, since it starts anywhere until it is committed."""

_REJECTS = {
    "MISSING COLUMNS": "fewer values than the header has columns; check delimiters and quotes on this line",
    "TOO MANY COLUMNS": "more values than the header has columns; check delimiters and quotes on this line, and that the "
    "first line of the file holds the names",
    "UNQUOTED VALUE": "a quote that is not closed; double it inside a quoted value",
    "INVALID ENCODING": "bytes that are not UTF-8; save the file as UTF-8 (in Excel: “CSV UTF-8”)",
    "LINE SIZE OVER MAXIMUM": "a line of more than 2 MB; a quote is probably not closed",
}


def stem(path: Path) -> str:
    """The table's name in a file name: lower case, without its endings."""
    return path.name.split(".", 1)[0].lower()


def is_delimited(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".") and path.name.lower().endswith(SUFFIXES)


class DelimitedFolder(Source):
    """The delimited files in one folder, one table a file."""

    repeated_ids = False

    def __init__(self, connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
        self.connection, self.label = connection, folder.resolve().name
        self.files: dict[str, Path] = {}
        for path in sorted(folder.iterdir()):
            if not is_delimited(path):
                continue
            if stem(path) in self.files:
                first = self.files[stem(path)].name
                raise DataError(f"Expected one file for each table; {first} and {path.name} are both {stem(path)!r}.")
            self.files[stem(path)] = path
        self.raw: list[str] = []

    def names(self) -> tuple[str, ...]:
        return tuple(self.files)

    def open(self, name: str) -> SourceTable:
        raw = f"raw_{name}"
        self.raw.append(raw)
        return open_delimited(self.connection, self.files[name], name, raw)

    def close(self) -> None:
        for raw in self.raw:
            self.connection.execute(f"DROP TABLE IF EXISTS temp.{quote(raw)}")
        self.raw.clear()


def open_delimited(connection: duckdb.DuckDBPyConnection, path: Path, name: str, raw: str) -> SourceTable:
    """Read a delimited file into the temporary table `raw`, every column as text, rows in the file's order."""
    if _utf16(path):
        fault = Fault(path.name, "the file is in UTF-16; save it as UTF-8 (in Excel: “CSV UTF-8”)")
        return SourceTable(name, path.name, "", "", {}, None, (fault,))
    header, delimiter = _header(path)
    if not header:
        fault = Fault(path.name, "the file is empty; expected a header line with the column names", line=1)
        return SourceTable(name, path.name, "", "", {}, lambda row: row + 2, (fault,))
    spelled = [word.strip().strip('"') or f"column {index + 1}" for index, word in enumerate(header)]
    names = [word.lower() for word in spelled]
    repeated = sorted({word for word in names if names.count(word) > 1})
    if repeated:
        faults = tuple(Fault(path.name, "the header has this column twice", line=1, column=word) for word in repeated)
        return SourceTable(name, path.name, "", "", {}, lambda row: row + 2, faults)
    quoting = '"' if delimiter != "\t" else ""
    columns = ", ".join(f"{literal(word)}: 'VARCHAR'" for word in names)
    options = (
        f"auto_detect = false, header = true, delim = {literal(delimiter)}, quote = {literal(quoting)}, "
        f"escape = {literal(quoting)}, columns = {{{columns}}}, store_rejects = true, rejects_table = "
        "'rejected', "
        "rejects_scan = 'rejected_scan', nullstr = ''"
    )
    for table in ("rejected", "rejected_scan", raw):
        connection.execute(f"DROP TABLE IF EXISTS temp.{quote(table)}")
    try:
        connection.execute(f"CREATE TEMP TABLE {quote(raw)} AS SELECT * FROM read_csv({literal(str(path))}, {options})")
    except (duckdb.InvalidInputException, duckdb.ConversionException):
        fault = Fault(path.name, "it cannot be read as delimited text; check its encoding (UTF-8) and its quotes")
        return SourceTable(name, path.name, "", "", {}, None, (fault,))
    rejected = connection.execute(
        f"SELECT line, min(line_byte_position), min(error_type::VARCHAR) FROM rejected GROUP BY line ORDER BY line "
        f"LIMIT {LIMIT}"
    ).fetchall()
    for table in ("rejected", "rejected_scan"):
        connection.execute(f"DROP TABLE IF EXISTS temp.{quote(table)}")
    places = _Lines(path, delimiter)
    kinds = {places.of_byte(byte) if byte is not None else line: kind for line, byte, kind in rejected}
    places.left_out = set(kinds)
    faults = tuple(
        Fault(path.name, _REJECTS.get(kind, "a line that does not fit the header"), line=line)
        for line, kind in kinds.items()
    )
    return SourceTable(
        name,
        path.name,
        f"temp.{quote(raw)}",
        ROW,
        {word: (quote(word), "VARCHAR") for word in names},
        places.of_row,
        faults,
        spelled=dict(zip(names, spelled, strict=True)),
    )


def _open(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if path.name.lower().endswith(".gz") else path.open("rb")  # type: ignore[return-value]


def _utf16(path: Path) -> bool:
    """Whether the file begins as Excel's “Unicode text” does."""
    with _open(path) as file:
        return file.read(2) in (BOM_UTF16_LE, BOM_UTF16_BE)


def _header(path: Path) -> tuple[list[str], str]:
    with _open(path) as file:
        line = file.readline(1_000_000).decode("utf-8-sig", "replace").rstrip("\r\n")
    if not line:
        return [], ","
    delimiter = max("\t,;|", key=line.count) if any(mark in line for mark in "\t,;|") else ","
    return next(csv.reader([line], delimiter=delimiter, quoting=_style(delimiter))), delimiter


def _style(delimiter: str) -> Literal[0, 3]:
    return csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL


class _Lines:
    """Where a record or a byte stands, as a line number. Read only when there is a fault to report."""

    def __init__(self, path: Path, delimiter: str) -> None:
        self.path, self.delimiter = path, delimiter
        self.left_out: set[int] = set()

    def of_row(self, row: int) -> int:
        """The line on which the record `row` (from 0, after the header, but for lines left out) begins."""
        kept = (line for line in self._starts() if line not in self.left_out)
        return next(islice(kept, row + 1, None), row + 2)

    def of_byte(self, byte: int) -> int:
        with _open(self.path) as file:
            head = file.read(byte)
            rest = file.read(2)
        # DuckDB places the start of a record at the line break before it.
        skipped = len(rest) - len(rest.lstrip(b"\r\n"))
        return (head + rest[:skipped]).count(b"\n") + 1

    def _starts(self) -> Iterator[int]:
        with _open(self.path) as file:
            text = TextIOWrapper(file, encoding="utf-8-sig", errors="replace", newline="")
            reader = csv.reader(text, delimiter=self.delimiter, quoting=_style(self.delimiter))
            last = 0
            for record in reader:
                if record:
                    yield last + 1
                last = reader.line_num
