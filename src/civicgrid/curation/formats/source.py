"""What every format gives to the loader: relations with named, typed columns, and the way back to a place in the file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field

from civicgrid.curation.faults import Fault


def quote(name: str) -> str:
    """An identifier as SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A string as SQL."""
    return "'" + text.replace("'", "''") + "'"


@dataclass(frozen=True)
class SourceTable:
    """One table of a source.

    `relation` is what follows FROM; `row` the expression that numbers its rows from 0; `columns` its column names in
    lower case to (name as SQL, DuckDB type), in order, and `spelled` to the name as the source spells it. `line` turns
    a row number into a line of the file, where the format has lines. `faults` are those found while opening it.
    `named_by_first_row`: the columns had no names of their own, and the first row, which held them, was used.
    """

    name: str
    file: str
    relation: str
    row: str
    columns: dict[str, tuple[str, str]]
    line: Callable[[int], int] | None = None
    faults: tuple[Fault, ...] = ()
    named_by_first_row: bool = False
    spelled: dict[str, str] = field(default_factory=dict)

    def fault(self, what: str, row: int | None = None, column: str | None = None) -> Fault:
        """A fault at a row (from 0) and column of this table."""
        if row is None:
            return Fault(self.file, what, line=1 if self.line else None, column=column)
        if self.line:
            return Fault(self.file, what, line=self.line(row), column=column)
        return Fault(self.file, what, row=row + 1, column=column)


class Source(ABC):
    """A place that tables come from. Opened before the transaction of a load, closed after it."""

    label: str
    repeated_ids: bool
    """Whether event ids may repeat unless told otherwise: see docs/decisions/repeated-event-ids.md."""

    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """The tables that there are, in lower case."""

    @abstractmethod
    def open(self, name: str) -> SourceTable:
        """One table, ready to be read."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what the source holds open."""
