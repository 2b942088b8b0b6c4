"""The conditions that a group of people is made by, in one form, so that the same group is known again in other words.

What a population and a level of a column say is taken apart at every "and" and written the same way where wording alone
differs: order and brackets; "not" before a comparison, a list, an "and" or an "or"; which side of a comparison the constant
stands on; bounds of whole numbers and of days (over 64 and at least 65); one of some levels and none of the others; a level
and what it is made from. Nothing here looks at data: two groups have the same conditions or not, whoever is in them. What
comes out the same picks the same people from any data, also where values are missing; the reverse does not hold.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import re
from collections.abc import Iterable, Iterator

from civicgrid.canonical import digest
from civicgrid.query.nodes import And, Case, Compare, IsIn, Not, Or, RunDate, Series, ToCategory, Value

Conditions = frozenset[str]
Constant = bool | int | float | str

NOBODY, AMONG, OUTSIDE = "nobody", " in ", " outside "

_LIST = re.compile(f"([0-9a-f]{{64}})({AMONG}|{OUTSIDE})(.*)", re.DOTALL)
# A least whole number or day, or the first one beyond.
_BOUND = re.compile(r"([0-9a-f]{64}) (>=|<) (-?\d{1,18}|\d{4}-\d{2}-\d{2})")

NEGATED = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
TURNED = {"==": "==", "!=": "!=", "<": ">", ">": "<", "<=": ">=", ">=": "<="}


def of_population(population: Series) -> Conditions:
    """What must be true of a person in this population; nothing, for everybody."""
    return together(_parts(population, True))


def together(parts: Iterable[str]) -> Conditions:
    """Conditions that must hold at once: of several lists of one series what they share, of several bounds the closest."""
    lists: dict[tuple[str, str], set[str]] = {}
    bounds: dict[tuple[str, str], int | str] = {}
    others = set()
    for part in parts:
        listed = _LIST.fullmatch(part)
        if listed is not None:
            series, kind, values = listed.groups()
            named = set(json.loads(values))
            known = lists.get((series, kind), named)
            lists[series, kind] = known & named if kind == AMONG else known | named
        elif (found := _BOUND.fullmatch(part)) is not None:
            series, op, end = found.groups()
            bound = end if "-" in end[1:] else int(end)
            closest = max if op == ">=" else min
            bounds[series, op] = closest(bounds.get((series, op), bound), bound)
        else:
            others.add(part)
    return frozenset(
        others
        | {f"{series}{kind}{json.dumps(sorted(values))}" for (series, kind), values in lists.items()}
        | {f"{series} {op} {bound}" for (series, op), bound in bounds.items()}
    )


def of_level(column: Series, level: str) -> Conditions:
    """What must be true of a person who has this level of a category, or "yes" or "no" of a yes/no column."""
    if column.returns.kind == "bool":
        return together(_parts(column, level == "yes"))
    return together(_among(column, {level}))


def _parts(node: Series, wanted: bool) -> Iterator[str]:
    """What must hold so that a condition is yes (`wanted`), or so that it is no. Missing is neither."""
    match node:
        case Value(of="bool", value=value):
            if value is not wanted:
                yield NOBODY
        case Not(part=inside):
            yield from _parts(inside, not wanted)
        case And() | Or():
            if isinstance(node, And) is wanted:
                for part in node.parts:
                    yield from _parts(part, wanted)
            else:
                yield from _any_of(_alternatives(node, wanted))
        case Compare():
            yield from _compared(node, node.op if wanted else NEGATED[node.op])
        case IsIn(part=part, values=values):
            yield from _among(part, {value.value for value in values}, wanted)
        case _:
            yield node.digest() if wanted else f"not {node.digest()}"


def _alternatives(node: Series, wanted: bool) -> Iterator[Conditions]:
    """The conditions of which one is enough."""
    if isinstance(node, Not):
        yield from _alternatives(node.part, not wanted)
    elif isinstance(node, And | Or) and isinstance(node, Or) is wanted:
        for part in node.parts:
            yield from _alternatives(part, wanted)
    else:
        yield together(_parts(node, wanted))


def _any_of(alternatives: Iterable[Conditions]) -> Iterator[str]:
    every = _merged({each for each in alternatives if NOBODY not in each})
    if frozenset() in every:
        return
    if not every:
        yield NOBODY
    elif len(every) == 1:
        yield from every.pop()
    else:
        yield "one of " + digest(json.dumps(sorted(sorted(each) for each in every)).encode())


def _merged(alternatives: set[Conditions]) -> set[Conditions]:
    """Values of one series that are enough apart from each other, as one list of values."""
    lists: dict[str, set[str]] = {}
    others = set()
    for each in alternatives:
        listed = _LIST.fullmatch(next(iter(each))) if len(each) == 1 else None
        if listed is not None and listed[2] == AMONG:
            lists.setdefault(listed[1], set()).update(json.loads(listed[3]))
        else:
            others.add(each)
    return others | {frozenset({f"{part}{AMONG}{json.dumps(sorted(values))}"}) for part, values in lists.items()}


def _compared(node: Compare, op: str) -> Iterator[str]:
    left, right = node.left, node.right
    if isinstance(left, Value | RunDate):
        left, right, op = right, left, TURNED[op]
    if isinstance(left, Value | RunDate) or not isinstance(right, Value | RunDate):
        if op in (">", ">=") or (op in ("==", "!=") and right.digest() < left.digest()):
            left, right, op = right, left, TURNED[op]
        yield f"{left.digest()} {op} {right.digest()}"
        return
    value: Constant = right.day if isinstance(right, RunDate) else right.value
    if op in ("==", "!="):
        yield from _among(left, {value}, op == "==")
    elif left.returns.kind == "int" and math.isfinite(float(value)):
        # At least, or less than, a whole number.
        least = math.floor(float(value)) + 1 if op in (">", "<=") else math.ceil(float(value))
        yield f"{left.digest()} {'>=' if op in ('>', '>=') else '<'} {least}"
    elif left.returns.kind == "date" and (day := dt.date.fromisoformat(str(value))) < dt.date.max:
        first = day + dt.timedelta(days=op in (">", "<="))
        yield f"{left.digest()} {'>=' if op in ('>', '>=') else '<'} {first.isoformat()}"
    else:
        yield f"{left.digest()} {op} {_written(value)}"


def _among(part: Series, values: set[Constant], wanted: bool = True) -> Iterator[str]:
    """That a value is one of these, or is none of them: asked of what a category is made from, where that is the same."""
    kind, levels = part.returns.kind, set(part.returns.levels)
    if kind == "bool" and len(values) == 1:
        yield from _parts(part, values.pop() is wanted)
        return
    if kind == "category" and levels and not wanted:
        values, wanted = {*levels - values}, True
    match part:
        case ToCategory(otherwise=otherwise) if wanted and values and otherwise not in values:
            made = {line.value.value for line in part.levels if line.level in values}
            if made:
                yield from _among(part.part, made)
                return
        case Case(whens=whens) if wanted and len(values) == 1 and isinstance(whens[0].then, Value):
            others = [when.then for when in whens[1:]] + ([part.otherwise] if part.otherwise is not None else [])
            if whens[0].then.value in values and all(
                isinstance(other, Value) and other.value not in values for other in others
            ):
                yield from _parts(whens[0].condition, True)
                return
    yield f"{part.digest()}{AMONG if wanted else OUTSIDE}{json.dumps(sorted(map(_written, values)))}"


def _written(value: Constant) -> str:
    """A constant in one form: 65 and 65.0 are the same number."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value)
