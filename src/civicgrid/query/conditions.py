"""The conditions that a group of people is made by, in one form, so that the same group is known again in other words.

What a population and a level of a column say is taken apart at every "and" and written the same way where wording alone
differs. Nothing here looks at data: two groups have the same conditions or not, whoever is in them.
"""

from __future__ import annotations

from collections.abc import Iterator

from civicgrid.query.nodes import And, Case, Compare, IsIn, Not, Series, ToCategory, Value

Conditions = frozenset[str]


def of_population(population: Series) -> Conditions:
    """What must be true of a person in this population; nothing, for everybody."""
    return frozenset(_parts(population))


def of_level(column: Series, level: str) -> Conditions:
    """What must be true of a person who has this level of a category, or "yes" or "no" of a yes/no column."""
    if column.returns.kind == "bool":
        return frozenset(_parts(column if level == "yes" else Not(part=column)))
    return frozenset(_parts(Compare(op="==", left=column, right=Value(of="text", value=level))))


def _parts(node: Series) -> Iterator[str]:
    match node:
        case Value(of="bool", value=True):
            return
        case And():
            for part in node.parts:
                yield from _parts(part)
        case Not(part=Not(part=inside)):
            yield from _parts(inside)
        case Compare(op="==", left=Value() as value, right=other) | Compare(op="==", left=other, right=Value() as value):
            yield from _equal(other, value)
        case IsIn(part=part, values=(value,)):
            yield from _equal(part, value)
        case _:
            yield node.digest()


def _equal(part: Series, value: Value) -> Iterator[str]:
    """That a value is this one: asked of what a category is made from, where that is the same question."""
    match part:
        case ToCategory(otherwise=otherwise) if otherwise != value.value:
            made = tuple(line.value for line in part.levels if line.level == value.value)
            if len(made) == 1:
                yield from _equal(part.part, made[0])
                return
            if made:
                yield IsIn(part=part.part, values=made).digest()
                return
        case Case(whens=whens) if isinstance(whens[0].then, Value) and whens[0].then.value == value.value:
            others = [when.then for when in whens[1:]] + ([part.otherwise] if part.otherwise is not None else [])
            if all(isinstance(other, Value) and other.value != value.value for other in others):
                yield from _parts(whens[0].condition)
                return
    yield Compare(op="==", left=part, right=value).digest()
