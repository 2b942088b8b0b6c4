"""The conditions that a group of people is made by, in one form, so that the same group is known again in other words.

What a population and a level of a column say is taken apart at every "and" and written the same way where wording alone
differs. Nothing here looks at data: two groups have the same conditions or not, whoever is in them; and two groups share
another between them, or may not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from civicgrid.canonical import Node
from civicgrid.query.nodes import (
    And,
    BirthDate,
    Case,
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
    ToCategory,
    Value,
    nodes_in,
    walk,
)

FIELDS = (RecordField, PersonField, BirthDate)
"""The columns of the data, one value a person, that nobody who writes a plan has a hand in."""

_READS = (*FIELDS, Events, Pick, FollowUp)
_KNOWN_AS_THEY_STAND = (Exists, CountRows, Value, RunDate, *FIELDS)
_MISSING_WITH_A_FIELD = (And, Or, Not, Compare, IsIn, IsNull, DateAdd, DateDifference, DatePart)


@dataclass(frozen=True)
class Condition:
    """One condition by its digest; with the digest of its opposite, where a person for whom it is neither true nor false
    lacks a value in the data; and the column of the data that it alone hangs on, if it is one.
    """

    name: str
    opposite: str = ""
    field: str = ""

    def __str__(self) -> str:
        return " ".join((self.name, self.opposite or "-", self.field or "-"))

    def about(self, dataset: str) -> Self:
        """The condition as one about the people of a data set: the same words say something else of another one's."""
        parts = (self.name, self.opposite, self.field)
        return type(self)(*(f"{dataset}.{part}" if part else "" for part in parts))

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
    common = whole & one & other
    rests = [group - common for group in (whole, one, other)]
    if not rests[0] and len(rests[1]) == len(rests[2]) == 1:
        (mine,), (theirs,) = rests[1:]
        if mine.opposite == theirs.name or theirs.opposite == mine.name:
            return True
    fields = {condition.field for rest in rests for condition in rest}
    return len(fields) == 1 and "" not in fields


def of_population(population: Series) -> Conditions:
    """What must be true of a person in this population; nothing, for everybody."""
    return frozenset(_parts(population))


def of_level(column: Series, level: str) -> Conditions:
    """What must be true of a person who has this level of a category, or "yes" or "no" of a yes/no column."""
    if column.returns.kind == "bool":
        return frozenset(_parts(column if level == "yes" else Not(part=column)))
    return frozenset(_parts(Compare(op="==", left=column, right=Value(of="text", value=level))))


def _parts(node: Series) -> Iterator[Condition]:
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
            yield _condition(node)


def _equal(part: Series, value: Value) -> Iterator[Condition]:
    """That a value is this one: asked of what a category is made from, where that is the same question."""
    match part:
        case ToCategory(otherwise=otherwise) if otherwise != value.value:
            made = tuple(line.value for line in part.levels if line.level == value.value)
            if len(made) == 1:
                yield from _equal(part.part, made[0])
                return
            if made:
                yield _condition(IsIn(part=part.part, values=made))
                return
        case Case(whens=whens) if isinstance(whens[0].then, Value) and whens[0].then.value == value.value:
            others = [when.then for when in whens[1:]] + ([part.otherwise] if part.otherwise is not None else [])
            if all(isinstance(other, Value) and other.value != value.value for other in others):
                yield from _parts(whens[0].condition)
                return
    yield _condition(Compare(op="==", left=part, right=value))


def _condition(node: Series) -> Condition:
    opposite = node.part if isinstance(node, Not) else Not(part=node)
    return Condition(node.digest(), opposite.digest() if _is_known(node) else "", only_one_field(node))


def only_one_field(series: Series) -> str:
    """The digest of the column of the data that a series alone hangs on, if it is one."""
    found = {
        inside.digest() if isinstance(inside, FIELDS) else "" for inside in walk(series) if isinstance(inside, _READS)
    }
    return found.pop() if len(found) == 1 else ""


def _is_known(node: Node) -> bool:
    """Whether a value is missing only where a column of the data is."""
    if isinstance(node, _KNOWN_AS_THEY_STAND):
        return True
    return isinstance(node, _MISSING_WITH_A_FIELD) and all(_is_known(inside) for inside, _ in nodes_in(node))


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
