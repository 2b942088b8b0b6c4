"""The draft of a record that a node writes from its own data set: what it can know, for a person to complete.

What a person has written in an earlier draft stays: the node puts in the number of people, the day of the load, the names
and types of variables and their profiles, and nothing else.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from civicgrid.catalogue.profile import VariableProfile
from civicgrid.catalogue.record import ROUNDED, Datatype, Model, Record, Variable, VariableTable
from civicgrid.query.types import Kind, Schema

DATATYPES: dict[Kind, Datatype] = {
    "bool": "boolean", "int": "integer", "float": "double", "category": "string", "date": "date",
}  # fmt: skip


def drafted(
    identifier: str,
    table: str,
    schema: Schema,
    profiles: Mapping[str, VariableProfile],
    *,
    people: int | None,
    loaded: dt.date,
    model: Model,
    descriptions: Mapping[str, str] | None = None,
    earlier: Record | None = None,
) -> Record:
    """The record of a data set with what its site tells of it. `descriptions` are those of a data dictionary.

    `people` comes rounded by the site; it is left out where its rounding is finer than a record may be.
    """
    record = earlier or Record(identifier=identifier)
    known = {each.name: each for each in record.variables()}
    variables = []
    for column in schema.columns:
        before = known.get(column.name) or Variable(name=column.name, title=column.name.replace("_", " ").capitalize())
        words = before.description or (descriptions or {}).get(column.name, "")
        changes = {
            "description": words,
            "datatype": DATATYPES[column.type.kind],
            "profile": profiles.get(column.name),
        }
        variables.append(before.model_copy(update=changes))
    others = tuple(each for each in record.tables if each.name != table)
    title = next((each.title for each in record.tables if each.name == table), "")
    told = people if people is not None and people % ROUNDED == 0 else None
    data = {
        "identifier": identifier,
        "people": told if told is not None else record.people,
        "refreshed": loaded,
        "model": model,
        "tables": (VariableTable(name=table, title=title, variables=tuple(variables)), *others),
    }
    # Checked again as a whole: a copy is not.
    return Record.from_bytes(record.model_copy(update=data).canonical())
