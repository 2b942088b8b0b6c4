"""Small changes to a plan: one field of one node, anywhere in it."""

from __future__ import annotations

import random
import typing
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import ValidationError

from civicgrid.canonical import Node
from civicgrid.errors import PlanError
from civicgrid.query import nodes as n
from civicgrid.query.types import ColumnType

Path = tuple[tuple[str, int | None], ...]
"""The way from a plan to one of its nodes: field after field, with a place where the field holds several."""

DATE = n.Value(of="date", value="2031-05-06")
SPARES: tuple[Any, ...] = (
    DATE, n.Value(of="bool", value=True), n.Value(of="int", value=77), n.Value(of="text", value="spare"),
    n.IsNull(part=DATE), n.BirthDate(), n.RunDate(day="2031-05-06"),
    n.PersonField(column="race_concept_id"), n.Events(table="measurement"),
)  # fmt: skip


def mutants(plan: Any, rng: random.Random, tries: int) -> Iterator[Any]:
    """Plans that differ from this one in one place; changes that are not valid are passed over."""
    paths = list(_paths(plan, ()))
    for _ in range(tries):
        path = rng.choice(paths)
        node = _at(plan, path)
        name = rng.choice(list(type(node).model_fields))
        options = list(_instead(node, name, getattr(node, name)))
        if options:
            try:
                yield _changed(plan, path, name, rng.choice(options))
            except (PlanError, ValidationError):
                continue


def _paths(node: Any, here: Path) -> Iterator[Path]:
    yield here
    for name in type(node).model_fields:
        value = getattr(node, name)
        if isinstance(value, Node):
            yield from _paths(value, (*here, (name, None)))
        elif isinstance(value, tuple):
            for index, item in enumerate(value):
                if isinstance(item, Node):
                    yield from _paths(item, (*here, (name, index)))


def _at(node: Any, path: Path) -> Any:
    for name, index in path:
        node = getattr(node, name) if index is None else getattr(node, name)[index]
    return node


def _changed(node: Any, path: Path, name: str, other: Any) -> Any:
    """The plan again, built from the changed node upwards, so that every check is made."""
    if path:
        field, index = path[0]
        inside = getattr(node, field)
        made = _changed(inside if index is None else inside[index], path[1:], name, other)
        name, other = field, made if index is None else (*inside[:index], made, *inside[index + 1 :])
    return type(node)(**{**{each: getattr(node, each) for each in type(node).model_fields}, name: other})


def _instead(node: Any, name: str, value: Any) -> Iterator[Any]:
    if name == "kind" and not isinstance(node, ColumnType):
        return
    choices = _literals(type(node).model_fields[name].annotation)
    if choices:
        yield from choices
    elif isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield from (value + 1, -value)
    elif isinstance(value, str):
        yield from (value + "x", value + "”", "2021-02-03", "quantity", "death", "refills", "days_supply")
    elif value is None:
        yield from (3, 2.5, "other", *SPARES)
    elif isinstance(value, tuple):
        yield from (value[1:], value[::-1], (*value, *value[:1]))
    elif isinstance(value, Node):
        yield from (None, *SPARES)


def _literals(annotation: Any) -> tuple[Any, ...]:
    found = [annotation, *typing.get_args(annotation)]
    return tuple(
        option for each in found if typing.get_origin(each) is Literal for option in typing.get_args(each)
    )
