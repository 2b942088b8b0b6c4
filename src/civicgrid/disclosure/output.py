"""What people see: tables of text and numbers after the output rules, with what was hidden marked."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from civicgrid.canonical import Node
from civicgrid.errors import WireError

Number = Annotated[int, Field(ge=-(2**63), lt=2**63)] | float
Value = str | Number | None
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

    def model_post_init(self, context: Any) -> None:
        wide, high = len(self.columns), len(self.rows)
        if any(len(row) != wide for row in self.rows):
            raise WireError(f"Expected {wide} values in every row of a table, one a column; a row has another number.")
        if not all(0 <= row < high and 0 <= column < wide for row, column in self.hidden):
            raise WireError("Expected only places of the table itself to be hidden; one is outside it.")


class Output(Node):
    """The published answer of one method: tables, facts about the whole, notes for the reader.

    `suppressed` says in words what the rules hid and why ("2 cells below 10").
    """

    method: str
    version: int
    tables: tuple[OutputTable, ...]
    facts: dict[str, Number | None] = {}
    notes: tuple[str, ...] = ()
    suppressed: tuple[str, ...] = ()
