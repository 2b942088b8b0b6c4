"""Forms on pages, made from the very models that check them: label, hint, limits and choices stand there once."""

from __future__ import annotations

import datetime as dt
import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from civicgrid.canonical import Node

Widget = Literal["text", "long", "choice", "select", "choices", "yes", "date", "lines", "number", "file"]
MANY = 7
"""From this many options on a choice is a drop-down list."""


@dataclass(frozen=True)
class Field:
    """One field as a template draws it."""

    name: str
    label: str
    hint: str
    widget: Widget
    required: bool
    value: Any
    options: tuple[tuple[str, str], ...]
    fault: str
    most: int | None
    words: int | None

    @property
    def items(self) -> list[dict[str, Any]]:
        """The options as the design system's macros take them."""
        chosen = self.value if isinstance(self.value, list) else [self.value]
        return [
            {"value": value, "text": text, "checked": value in chosen, "selected": value in chosen}
            for value, text in self.options
        ]

    @property
    def anchor(self) -> str:
        """The element to which a fault leads."""
        return f"{self.name}-day" if self.widget == "date" else self.name


@dataclass(frozen=True)
class Form:
    """A form with what has been filled in so far and what is wrong with it."""

    fields: tuple[Field, ...]

    @property
    def faults(self) -> list[dict[str, str]]:
        """What the summary at the top of the page lists, each with the field to go to."""
        wrong = [field for field in self.fields if field.fault]
        return [{"text": f"{field.label}: {field.fault}", "href": f"#{field.anchor}"} for field in wrong]


def form(
    model: type[Node],
    values: Mapping[str, Any] | None = None,
    faults: Mapping[str, str] | None = None,
    options: Mapping[str, Mapping[str, str]] | None = None,
    only: tuple[str, ...] = (),
) -> Form:
    """The fields of a model. `options` gives choices that the model does not know; `only` picks fields, in that order."""
    values, faults, options = values or {}, faults or {}, options or {}
    names = only or tuple(name for name in model.model_fields if name != "kind")
    return Form(
        tuple(
            _field(name, model.model_fields[name], values.get(name), faults.get(name, ""), options.get(name))
            for name in names
        )
    )


def data(model: type[Node], given: Mapping[str, list[str]], only: tuple[str, ...] = ()) -> dict[str, Any]:
    """What was filled in, as the model takes it: lists for lists, a date from three fields, nothing for what is empty."""
    found: dict[str, Any] = {}
    for name in only or tuple(model.model_fields):
        info = model.model_fields[name]
        widget, kind = _widget(info)
        if widget == "date":
            parts = [given.get(f"{name}-{part}", [""])[-1].strip() for part in ("year", "month", "day")]
            if any(parts):
                found[name] = "-".join(part.zfill(4 if at == 0 else 2) for at, part in enumerate(parts))
        elif widget == "choices":
            found[name] = [value for value in given.get(name, []) if value]
        elif widget == "lines":
            # One text of lines, or a value for each box that was ticked where the page knew what may be chosen.
            lines = (line.strip() for value in given.get(name, []) for line in value.split("\n"))
            found[name] = [line for line in lines if line]
        elif widget == "yes":
            found[name] = given.get(name, [""])[-1] == "yes"
        elif name in given:
            value = given[name][-1]
            if value != "" or kind is str:
                found[name] = value
    return found


def _field(name: str, info: FieldInfo, value: Any, fault: str, options: Mapping[str, str] | None) -> Field:
    widget, kind = _widget(info)
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    if options is not None and widget in ("text", "lines", "number"):
        widget = "choices" if widget == "lines" else ("select" if len(options) >= MANY else "choice")
    known = options if options is not None else {str(each): _named(each, extra) for each in _choices(kind)}
    most = next((limit.max_length for limit in info.metadata if hasattr(limit, "max_length")), None)
    if value is None:
        value = None if info.is_required() else info.get_default(call_default_factory=True)
    return Field(
        name,
        info.title or name.replace("_", " ").capitalize(),
        info.description or "",
        widget,
        bool(info.is_required() or extra.get("needed") or extra.get("only_if")),
        _plain(value),
        tuple(known.items()),
        fault,
        most,
        extra.get("words") if isinstance(extra.get("words"), int) else None,  # type: ignore[arg-type]
    )


def _widget(info: FieldInfo) -> tuple[Widget, Any]:
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    kind = _bare(info.annotation)
    said = extra.get("widget")
    if isinstance(said, str):
        return said, kind  # type: ignore[return-value]
    if get_origin(kind) is tuple:
        inner = _bare(get_args(kind)[0])
        return ("choices", inner) if get_origin(inner) is Literal else ("lines", inner)
    if get_origin(kind) is Literal:
        return ("select" if len(get_args(kind)) >= MANY else "choice"), kind
    if kind is bool:
        return "yes", kind
    if kind is dt.date:
        return "date", kind
    if kind in (int, float):
        return "number", kind
    return "text", kind


def _bare(kind: Any) -> Any:
    """A type without Optional and Annotated around it."""
    while True:
        if get_origin(kind) in (Union, types.UnionType):
            kind = next(part for part in get_args(kind) if part is not type(None))
        elif hasattr(kind, "__metadata__"):
            kind = get_args(kind)[0]
        else:
            return kind


def _choices(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) is Literal else ()


def _named(value: Any, extra: Mapping[str, Any]) -> str:
    names = extra.get("names")
    return str(names[value]) if isinstance(names, dict) and value in names else str(value).replace("_", " ").capitalize()


def _plain(value: Any) -> Any:
    if isinstance(value, dt.date):
        return {"day": str(value.day), "month": str(value.month), "year": str(value.year)}
    if isinstance(value, tuple | frozenset):
        return [str(each) for each in value]
    return value
