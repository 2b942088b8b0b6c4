"""What people see: tables of text and numbers after the output rules, with what was hidden marked."""

from __future__ import annotations

from typing import Literal

from civicgrid.canonical import Node

Value = str | int | float | None
Format = Literal["text", "count", "percent", "number", "p"]


class OutputColumn(Node):
    """A column of a published table: its name in code, and how its values are written."""

    name: str
    format: Format = "number"
    label: str = ""


class OutputTable(Node):
    """A published table. `hidden` lists the (row, column) places that disclosure control left empty."""

    name: str
    title: str
    columns: tuple[OutputColumn, ...]
    rows: tuple[tuple[Value, ...], ...]
    hidden: tuple[tuple[int, int], ...] = ()


class Output(Node):
    """The published answer of one method: tables, facts about the whole, notes for the reader.

    `suppressed` says in words what the rules hid and why ("2 cells below 10").
    """

    method: str
    version: int
    tables: tuple[OutputTable, ...]
    facts: dict[str, int | float | None] = {}
    notes: tuple[str, ...] = ()
    suppressed: tuple[str, ...] = ()
