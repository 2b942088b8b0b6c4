"""What a load did, table by table, as a site engineer reads it."""

from __future__ import annotations

import html
from dataclasses import dataclass, field

from civicgrid.query.types import Column


def counted(n: int, thing: str) -> str:
    """A number of things in words: 1 row, 2,000 rows."""
    return f"{n:,} {thing}" if n == 1 else f"{n:,} {thing}s"


NO_KEY = (
    "No column identifies a person: each row counts as a person whom the site holds nowhere else. If another data set has "
    "the same people, name the column in the data dictionary, or the release ledger cannot see it."
)


def known_by(identifier: str, new: int) -> str:
    """How the people of a load were known again, for the engineer to see whether the identifier is the right one."""
    return f"People are known by the identifier {identifier!r}. New to this site: {new:,}."


@dataclass(frozen=True)
class TableReport:
    """One table: every row that was read was either loaded or set aside for a stated reason.

    `values_set_aside` counts single values that were replaced by "missing" in a row that was loaded.
    """

    table: str
    read: int
    loaded: int
    set_aside: dict[str, int] = field(default_factory=dict)
    values_set_aside: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        aside = sum(self.set_aside.values())
        if self.read != self.loaded + aside:
            raise AssertionError(
                f"{self.table}: {self.read:,} rows were read, but {self.loaded:,} loaded and {aside:,} set "
                "aside"
            )

    @property
    def aside(self) -> int:
        """Rows set aside, for whatever reason."""
        return sum(self.set_aside.values())


@dataclass(frozen=True)
class Loaded:
    """What a loader has built inside its transaction, before the store commits it."""

    snapshot: str
    tables: tuple[TableReport, ...]
    notes: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    identifier: str | None = None
    """By what the people were known; None where each row was taken for one person."""


@dataclass(frozen=True)
class LoadReport:
    """A finished load. `changed` is false where the data set already held exactly this content."""

    dataset: str
    kind: str
    snapshot: str
    changed: bool
    seconds: float
    tables: tuple[TableReport, ...]
    notes: tuple[str, ...] = ()

    def __getitem__(self, table: str) -> TableReport:
        for report in self.tables:
            if report.table == table:
                return report
        raise KeyError(f"No table {table!r} was loaded. There are: {', '.join(r.table for r in self.tables)}.")

    @property
    def read(self) -> int:
        return sum(report.read for report in self.tables)

    @property
    def loaded(self) -> int:
        return sum(report.loaded for report in self.tables)

    @property
    def aside(self) -> int:
        return sum(report.aside for report in self.tables)

    def headline(self) -> str:
        """The load in one sentence."""
        if not self.changed:
            return f"{self.dataset}: already holds exactly this content; nothing changed ({self.seconds:.1f} s)."
        aside = f", {self.aside:,} set aside" if self.aside else ", none set aside"
        values = sum(sum(report.values_set_aside.values()) for report in self.tables)
        aside += f", {counted(values, 'value')} set to missing" if values else ""
        return (
            f"{self.dataset}: {self.loaded:,} of {self.read:,} rows loaded{aside}, "
            f"in {counted(len(self.tables), 'table')} ({self.seconds:.1f} s)."
        )

    def reasons(self) -> tuple[tuple[str, str, int], ...]:
        """Table, reason and count of everything set aside, rows first."""
        rows = [(r.table, reason, n) for r in self.tables for reason, n in r.set_aside.items()]
        values = [
            (r.table, f"value set to missing, {reason}", n) for r in self.tables for reason, n in r.values_set_aside.items()
        ]
        return (*rows, *values)

    def __str__(self) -> str:
        width = max([len(report.table) for report in self.tables] + [5])
        lines = [self.headline(), f"snapshot {self.snapshot[:16]}…", ""]
        lines.append(f"{'table':<{width}}  {'read':>11}  {'loaded':>11}  {'set aside':>11}")
        lines += [f"{r.table:<{width}}  {r.read:>11,}  {r.loaded:>11,}  {r.aside:>11,}" for r in self.tables if r.read]
        if self.reasons():
            lines += ["", "Set aside:"]
            lines += [f"  {table}: {n:,} × {reason}" for table, reason, n in self.reasons()]
        if self.notes:
            lines += ["", "Notes:"]
            lines += [f"  {note}" for note in self.notes]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        cells = [(html.escape(r.table), r.read, r.loaded, r.aside) for r in self.tables if r.read]
        rows = "".join(
            f"<tr><td>{table}</td><td>{read:,}</td><td>{loaded:,}</td><td>{aside:,}</td></tr>"
            for table, read, loaded, aside in cells
        )
        aside = "".join(
            f"<li>{html.escape(table)}: {n:,} × {html.escape(reason)}</li>" for table, reason, n in self.reasons()
        )
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
        return (
            f"<p><strong>{html.escape(self.headline())}</strong> Snapshot "
            f"<code>{self.snapshot[:16]}…</code></p>"
            "<table><thead><tr><th>table</th><th>read</th><th>loaded</th><th>set aside</th></tr></thead>"
            f"<tbody>{rows}</tbody></table>"
            + (f"<p>Set aside</p><ul>{aside}</ul>" if aside else "")
            + (f"<p>Notes</p><ul>{notes}</ul>" if notes else "")
        )
