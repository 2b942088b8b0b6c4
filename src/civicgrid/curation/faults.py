"""Faults of structure: what is wrong with a file, where, and what to do. One fault stops a load.

A fault names file, line and column. It never holds the value: that is a person's data.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from civicgrid.errors import DataError

MOST = 50
"""How many faults a message lists, and how many of one kind in one column of one file."""

MOST_PER_COLUMN = 5


@dataclass(frozen=True)
class Fault:
    """One fault. `line` counts from 1 in a text file; `row` is used where a format has no lines."""

    file: str
    what: str
    line: int | None = None
    row: int | None = None
    column: str | None = None

    def __str__(self) -> str:
        where = [self.file]
        if self.line is not None:
            where.append(f"line {self.line}")
        elif self.row is not None:
            where.append(f"row {self.row}")
        if self.column is not None:
            where.append(f"column {self.column}")
        return f"{', '.join(where)}: {self.what}"


@dataclass
class Faults:
    """The faults found so far. All of them are collected before the load is refused."""

    found: list[Fault] = field(default_factory=list)
    unlisted: int = 0

    def add(self, fault: Fault) -> None:
        alike = sum((one.file, one.what, one.column) == (fault.file, fault.what, fault.column) for one in self.found)
        if alike < MOST_PER_COLUMN and len(self.found) < MOST:
            self.found.append(fault)
        else:
            self.unlisted += 1

    def more(self, count: int) -> None:
        """Faults that were counted but not located."""
        self.unlisted += count

    def raise_if_any(self, name: str) -> None:
        """Refuse the load of this data set with everything that was found."""
        if not self.found:
            return
        total = len(self.found) + self.unlisted
        lines = [
            f"The data set {name!r} was not loaded: {total:,} {'fault' if total == 1 else 'faults'} of "
            "structure. "
            "What was loaded before is untouched. Correct the source and load it again.",
            *(f"  {fault}" for fault in self.found),
        ]
        if self.unlisted:
            lines.append(f"  … and {self.unlisted:,} more")
        raise DataError("\n".join(lines))
