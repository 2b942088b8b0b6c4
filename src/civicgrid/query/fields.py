"""The columns of the data that a series hangs on, and where a value of it is missing."""

from __future__ import annotations

from civicgrid.canonical import Node
from civicgrid.query.nodes import (
    And,
    BirthDate,
    Compare,
    CountRows,
    DateAdd,
    DateDifference,
    DatePart,
    Events,
    Exists,
    FollowUp,
    IsIn,
    IsNull,
    Not,
    Or,
    PersonField,
    Pick,
    RecordField,
    RunDate,
    Series,
    Value,
    nodes_in,
    walk,
)

FIELDS = (RecordField, PersonField, BirthDate)
"""The columns of the data, one value a person, that nobody who writes a plan has a hand in."""

_READS = (*FIELDS, Events, Pick, FollowUp)
_KNOWN_AS_THEY_STAND = (Exists, CountRows, Value, RunDate, *FIELDS)
_MISSING_WITH_A_FIELD = (And, Or, Not, Compare, IsIn, IsNull, DateAdd, DateDifference, DatePart)


def only_one_field(*series: Series) -> str:
    """The digest of the column of the data that some series alone hang on, if it is one."""
    found = {
        inside.digest() if isinstance(inside, FIELDS) else ""
        for each in series
        for inside in walk(each)
        if isinstance(inside, _READS)
    }
    return found.pop() if len(found) == 1 else ""


def is_known(node: Node) -> bool:
    """Whether a value is missing only where a column of the data is."""
    if isinstance(node, _KNOWN_AS_THEY_STAND):
        return True
    return isinstance(node, _MISSING_WITH_A_FIELD) and all(is_known(inside) for inside, _ in nodes_in(node))


def fields_of(series: Series) -> dict[str, Series]:
    """The columns of the data with a number in them that a series is made from, by name."""
    return {
        name_of(node): node for node in walk(series) if isinstance(node, RecordField | PersonField) and node.returns.numeric
    }


def name_of(series: Series) -> str:
    """The same for the same series: of a column of the data its name, which takes no time, else the digest."""
    match series:
        case RecordField(column=column):
            return f"records.{column}"
        case PersonField(column=column):
            return f"person.{column}"
    return series.digest()
