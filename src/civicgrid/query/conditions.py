"""The conditions that a group of people is made by, in one form, so that the same group is known again in other words.

What a population and a level of a column say is taken apart at every "and" and written the same way where wording alone
differs: order and brackets; "not" before a comparison, a list, an "and" or an "or"; which side of a comparison the constant
stands on; bounds of whole numbers and of days (over 64 and at least 65); one of some levels and none of the others; a level
and what it is made from. Nothing here looks at data: two groups have the same conditions or not, whoever is in them; and
two groups share another between them, or may not. What comes out the same picks the same people from any data, also where
values are missing; the reverse does not hold.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Self

from civicgrid.query.condition_names import AMONG, LIST, NOBODY, ONE_OF, OUTSIDE, Names, closest, either, merged, named_list
from civicgrid.query.fields import is_known, only_one_field
from civicgrid.query.nodes import And, Case, Compare, IsIn, Not, Or, RunDate, Series, ToCategory, Value

Constant = bool | int | float | str

NEGATED = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
TURNED = {"==": "==", "!=": "!=", "<": ">", ">": "<", "<=": ">=", ">=": "<="}


@dataclass(frozen=True)
class Condition:
    """One condition by its name, which says it in the one form; with the names of what is true where it is false, joined by
    "&", if a person for whom it is neither lacks a value in the data; and the column of the data that it alone hangs on, if
    it is one. Names hold no blank, no line end and no "&"; the same name has the same opposite and the same column.
    """

    name: str
    opposite: str = ""
    field: str = ""

    def __str__(self) -> str:
        return " ".join((self.name, self.opposite or "-", self.field or "-"))

    def about(self, dataset: str) -> Self:
        """The condition as one about the people of a data set: the same words say something else of another one's."""
        opposite = "&".join(f"{dataset}.{name}" for name in self.opposites)
        return type(self)(f"{dataset}.{self.name}", opposite, f"{dataset}.{self.field}" if self.field else "")

    @property
    def opposites(self) -> list[str]:
        """The names of what is true where this is false; none, where they are not known."""
        return self.opposite.split("&") if self.opposite else []

    @classmethod
    def read(cls, text: str) -> Self:
        """A condition written as above. Of older entries, which hold a name alone, nothing more is known."""
        name, opposite, field = (*text.split(" "), "-", "-")[:3]
        return cls(name, *("" if part == "-" else part for part in (opposite, field)))


Conditions = frozenset[Condition]


def text_of(conditions: Conditions) -> str:
    """Conditions as one text, the same for the same ones."""
    return "\n".join(sorted(map(str, conditions))) or "everybody"


def of_text(text: str) -> Conditions:
    return frozenset() if text == "everybody" else frozenset(Condition.read(line) for line in text.split("\n"))


def share_out(whole: Conditions, one: Conditions, other: Conditions) -> bool:
    """Whether it follows from the words alone that two groups have all people of a third between them and nobody in common,
    but for those who lack a value: what they have beyond it is a condition and its opposite, or hangs on one column.
    """
    if _parted(whole, one, other) or _parted(whole, other, one):
        return True
    common = whole & one & other
    fields = {condition.field for group in (whole, one, other) for condition in group - common}
    return len(fields) == 1 and "" not in fields


def _parted(whole: Conditions, one: Conditions, other: Conditions) -> bool:
    """Whether one group is those of a third for whom some condition is true, and the other those for whom it is false."""
    names, true, false = _names(whole), _names(one), _names(other)
    return any(
        closest({*names, each.name}) == true and closest({*names, *each.opposites}) == false
        for each in one
        if each.opposite
    )


def of_population(population: Series) -> Conditions:
    """What must be true of a person in this population; nothing, for everybody."""
    return together(_parts(population, True))


def of_level(column: Series, level: str) -> Conditions:
    """What must be true of a person who has this level of a category, or "yes" or "no" of a yes/no column."""
    if column.returns.kind == "bool":
        return together(_parts(column, level == "yes"))
    return together(_among(column, {level}))


def together(parts: Iterable[Condition]) -> Conditions:
    """Conditions that must hold at once: of several lists of one series what they share, of several bounds the closest."""
    known = {part.name: part for part in parts}
    return frozenset(_named(name, known) for name in closest(known))


# --- taking a plan's words apart -----------------------------------------------------------------------------------------


def _parts(node: Series, wanted: bool) -> Iterator[Condition]:
    """What must hold so that a condition is yes (`wanted`), or so that it is no. Missing is neither."""
    match node:
        case Value(of="bool", value=value):
            if value is not wanted:
                yield Condition(NOBODY)
        case Not(part=inside):
            yield from _parts(inside, not wanted)
        case And() | Or():
            if isinstance(node, And) is wanted:
                for part in node.parts:
                    yield from _parts(part, wanted)
            else:
                yield from _any_of(list(_alternatives(node, wanted)))
        case Compare():
            yield from _compared(node, node.op if wanted else NEGATED[node.op])
        case IsIn(part=part, values=values):
            yield from _among(part, {value.value for value in values}, wanted)
        case _:
            yes, no = node.digest(), f"not:{node.digest()}"
            yield _condition(yes if wanted else no, no if wanted else yes, node)


def _alternatives(node: Series, wanted: bool) -> Iterator[Conditions]:
    """The conditions of which one is enough."""
    if isinstance(node, Not):
        yield from _alternatives(node.part, not wanted)
    elif isinstance(node, And | Or) and isinstance(node, Or) is wanted:
        for part in node.parts:
            yield from _alternatives(part, wanted)
    else:
        yield together(_parts(node, wanted))


def _any_of(alternatives: Collection[Conditions]) -> Iterator[Condition]:
    known = {part.name: part for each in alternatives for part in each}
    every = merged(map(_names, alternatives))
    for name in either(every):
        if name.startswith(ONE_OF) and name not in known:
            parts = [[_named(inside, known) for inside in each] for each in every]
            fields = {part.field for each in parts for part in each}
            yield Condition(name, _none_of(parts), fields.pop() if len(fields) == 1 else "")
        else:
            yield _named(name, known)


def _none_of(alternatives: Collection[Collection[Condition]]) -> str:
    """What must be true so that none of these is, each of them several conditions at once."""
    found: set[str] = set()
    for each in alternatives:
        if not all(part.opposite for part in each):
            return ""
        found |= either(merged(frozenset(part.opposites) for part in each))
    return "&".join(sorted(closest(found)))


def _compared(node: Compare, op: str) -> Iterator[Condition]:
    left, right = node.left, node.right
    if isinstance(left, Value | RunDate):
        left, right, op = right, left, TURNED[op]
    if isinstance(left, Value | RunDate) or not isinstance(right, Value | RunDate):
        if op in (">", ">=") or (op in ("==", "!=") and right.digest() < left.digest()):
            left, right, op = right, left, TURNED[op]
        against, turned = NEGATED[op], (left, right)
        if against in (">", ">="):
            against, turned = TURNED[against], (right, left)
        yield _condition(
            f"{left.digest()}{op}{right.digest()}", f"{turned[0].digest()}{against}{turned[1].digest()}", left, right
        )
        return
    value: Constant = right.day if isinstance(right, RunDate) else right.value
    if op in ("==", "!="):
        yield from _among(left, {value}, op == "==")
        return
    if left.returns.kind == "int" and math.isfinite(float(value)):
        # At least, or less than, a whole number.
        least = math.floor(float(value)) + 1 if op in (">", "<=") else math.ceil(float(value))
        op, bound = ">=" if op in (">", ">=") else "<", str(least)
    elif left.returns.kind == "date" and (day := dt.date.fromisoformat(str(value))) < dt.date.max:
        bound = (day + dt.timedelta(days=op in (">", "<="))).isoformat()
        op = ">=" if op in (">", ">=") else "<"
    else:
        bound = _written(value)
    yield _condition(f"{left.digest()}{op}{bound}", f"{left.digest()}{NEGATED[op]}{bound}", left)


def _among(part: Series, values: set[Constant], wanted: bool = True) -> Iterator[Condition]:
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
    written = set(map(_written, values))
    name = named_list(part.digest(), AMONG if wanted else OUTSIDE, written)
    if kind == "category" and levels:
        yield _condition(name, named_list(part.digest(), AMONG, set(map(_written, levels)) - written), part)
    else:
        yield _condition(name, named_list(part.digest(), OUTSIDE if wanted else AMONG, written), part)


def _condition(name: str, opposite: str, *about: Series) -> Condition:
    return Condition(name, opposite if all(map(is_known, about)) else "", only_one_field(*about))


def _written(value: Constant) -> str:
    """A constant in one form: 65 and 65.0 are the same number."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value)


def _names(conditions: Iterable[Condition]) -> Names:
    return frozenset(each.name for each in conditions)


def _named(name: str, known: Mapping[str, Condition]) -> Condition:
    """The condition of this name: one of those known, or nobody, or a list put together from lists of that series."""
    listed = LIST.fullmatch(name)
    if name in known or listed is None:
        return known.get(name, Condition(name))
    like = next(each for each in known.values() if each.name.startswith(listed[1] + listed[2]))
    against = LIST.fullmatch(like.opposite)
    if against is None:
        return Condition(name, "", like.field)
    rest = set(json.loads(listed[3]))
    if listed[2] == against[2]:
        # Of a category: what is not among these levels is among the others.
        rest = (set(json.loads(like.name[len(listed[1] + listed[2]) :])) | set(json.loads(against[3]))) - rest
    return Condition(name, named_list(listed[1], against[2], rest), like.field)
