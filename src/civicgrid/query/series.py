"""The wording of series: what a researcher writes to compare, calculate and choose.

Each object here wraps one node of `query.nodes`, which checks what it is given. What Python would let pass
silently (`and`, `or`, `not`, `if`, a chained comparison, `in`) is an error that says what to write instead.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

from civicgrid.errors import PlanError
from civicgrid.query import nodes
from civicgrid.query.concepts import Concepts
from civicgrid.query.kinds import WORDS, SeriesType


class NoSuchName(PlanError, AttributeError):
    """A column, table or method that is not there; an AttributeError too, as Python's own tools expect."""


@dataclass(frozen=True)
class Source:
    """Which data set an expression reads, and which of its two sides."""

    dataset: str
    kind: Literal["omop", "records"]


class Series:
    """A value for each person, or for each row of an event frame."""

    def __init__(
        self,
        node: nodes.Series,
        source: Source | None,
        frame: nodes.EventFrame | None = None,
        range_: tuple[float, float] | None = None,
    ) -> None:
        self.node, self.source, self.frame, self.range = node, source, frame, range_

    # --- comparing

    def __eq__(self, other: object) -> Bool:  # type: ignore[override]  # a question to the data, not an answer
        return self._compare("==", other)

    def __ne__(self, other: object) -> Bool:  # type: ignore[override]
        return self._compare("!=", other)

    def __lt__(self, other: object) -> Bool:
        return self._compare("<", other)

    def __le__(self, other: object) -> Bool:
        return self._compare("<=", other)

    def __gt__(self, other: object) -> Bool:
        return self._compare(">", other)

    def __ge__(self, other: object) -> Bool:
        return self._compare(">=", other)

    __hash__ = None  # type: ignore[assignment]

    def is_in(self, values: Iterable[object] | Concepts) -> Bool:
        """Whether it is one of these values, or in this concept set; missing when it is missing."""
        if isinstance(values, Concepts):
            return _bool(nodes.InConceptSet(part=self.node, concepts=values.node), self)
        if isinstance(values, str | Series) or not isinstance(values, Iterable):
            raise PlanError("is_in() expects a list of values or a concept set. For one value write ==.")
        every = tuple(constant(value, self.node.returns) for value in values)
        return _bool(nodes.IsIn(part=self.node, values=every), self)

    def is_not_in(self, values: Iterable[object] | Concepts) -> Bool:
        return ~self.is_in(values)

    def is_between(self, low: object, high: object) -> Bool:
        """Whether it lies from `low` to `high`, both included."""
        return (self >= low) & (self <= high)

    def is_null(self) -> Bool:
        """Whether it is missing."""
        return _bool(nodes.IsNull(part=self.node), self)

    def is_not_null(self) -> Bool:
        return ~self.is_null()

    def if_null_then(self, other: object) -> Series:
        """Itself, or `other` where it is missing."""
        instead = as_series(other, self.node.returns)
        return wrap(nodes.IfNull(part=self.node, otherwise=instead.node), self, instead)

    def to_category(self, levels: Mapping[Any, str], otherwise: str | None = None) -> Label:
        """A category: `{value: level}`. What is missing or not listed becomes `otherwise`, or stays missing."""
        lines = tuple(
            nodes.Level(value=constant(value, self.node.returns), level=level)
            for value, level in levels.items()
        )
        made = wrap(nodes.ToCategory(part=self.node, levels=lines, otherwise=otherwise), self)
        assert isinstance(made, Label)
        return made

    # --- calculating: the node refuses what has no meaning, in words

    def __add__(self, other: object) -> Series:
        return self._calculate("+", self, other)

    def __radd__(self, other: object) -> Series:
        return self._calculate("+", other, self)

    def __sub__(self, other: object) -> Any:  # a Difference between dates, else a series
        return self._calculate("-", self, other)

    def __rsub__(self, other: object) -> Any:
        return self._calculate("-", other, self)

    def __mul__(self, other: object) -> Series:
        return self._calculate("*", self, other)

    def __rmul__(self, other: object) -> Series:
        return self._calculate("*", other, self)

    def __truediv__(self, other: object) -> Series:
        return self._calculate("/", self, other)

    def __rtruediv__(self, other: object) -> Series:
        return self._calculate("/", other, self)

    # --- from rows to persons

    def count_distinct_for_person(self) -> Number:
        """How many different values the person's rows have."""
        return _number(self._aggregate("count_distinct"), self)

    def minimum_for_person(self) -> Series:
        """The smallest or earliest value in the person's rows; missing without any."""
        return wrap(self._aggregate("min"), self, flat=True)

    def maximum_for_person(self) -> Series:
        """The largest or latest value in the person's rows; missing without any."""
        return wrap(self._aggregate("max"), self, flat=True)

    def sum_for_person(self) -> Number:
        """The sum over the person's rows; missing without any."""
        return _number(self._aggregate("sum"), self)

    def mean_for_person(self) -> Number:
        """The mean over the person's rows; missing without any."""
        return _number(self._aggregate("mean"), self)

    # --- the traps

    def __bool__(self) -> NoReturn:
        raise PlanError(
            "A series has a value for each person, so Python cannot decide on it here. Instead of `and`, `or` "
            "and `not` write &, | and ~ with brackets round each part; instead of `if` write "
            "case(when(...).then(...)); instead of `a < b < c` write (a < b) & (b < c); instead of `in` write is_in()."
        )

    def __and__(self, other: object) -> Bool:
        raise PlanError(
            "& and | join conditions, and bind tighter than comparisons: put brackets round each part, as in "
            f"(a == 3) & (b > 50). Here {self.node.returns.words()} came."
        )

    __or__ = __rand__ = __ror__ = __and__

    def __invert__(self) -> Bool:
        raise PlanError(
            f"~ turns a condition round; {self.node.returns.words()} came. Compare it with something."
        )

    def __contains__(self, value: object) -> NoReturn:
        raise PlanError("`in` cannot ask a series. Write series == value, or series.is_in([...]).")

    def __iter__(self) -> Iterator[NoReturn]:
        raise PlanError(
            "A series cannot be looped over: its values stay at the sites. Build an expression instead."
        )

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("_"):
            raise AttributeError(name)
        offers = ", ".join(each for each in dir(type(self)) if not each.startswith("_"))
        kind = WORDS[self.node.returns.kind]
        raise NoSuchName(f"There is no {name!r} for a series of the kind {kind!r}. It has: {offers}.")

    def __repr__(self) -> str:
        return f"<series: {self.node.returns.words()}>"

    def _compare(self, op: Any, other: object) -> Bool:
        if other is None:
            raise PlanError("Nothing compares with None. Write is_null() or is_not_null().")
        right = as_series(other, self.node.returns)
        return _bool(nodes.Compare(op=op, left=self.node, right=right.node), self, right)

    def _calculate(self, op: Any, left: object, right: object) -> Series:
        one, two = as_series(left, self.node.returns), as_series(right, self.node.returns)
        return wrap(nodes.Arithmetic(op=op, left=one.node, right=two.node), one, two)

    def _aggregate(self, how: nodes.Aggregator) -> nodes.Aggregate:
        if self.frame is None:
            raise PlanError(
                "Only a column of an event frame can be reduced; this already is one value a person."
            )
        return nodes.Aggregate(how=how, frame=self.frame, of=self.node)


class Bool(Series):
    """Yes, no or missing."""

    def __and__(self, other: object) -> Bool:
        return self._join(nodes.And, other)

    def __or__(self, other: object) -> Bool:
        return self._join(nodes.Or, other)

    __rand__ = __and__
    __ror__ = __or__

    def __invert__(self) -> Bool:
        return _bool(nodes.Not(part=self.node), self)

    def as_int(self) -> Number:
        """1 for yes, 0 for no."""
        return _number(nodes.Convert(part=self.node, to="int"), self)

    def _join(self, kind: type[nodes.And] | type[nodes.Or], other: object) -> Bool:
        two = as_series(other, self.node.returns)
        parts: list[nodes.Series] = []
        for node in (self.node, two.node):
            parts.extend(node.parts if isinstance(node, kind) else [node])
        return _bool(kind(parts=tuple(parts)), self, two)


class Number(Series):
    """A whole number or a decimal."""

    def __neg__(self) -> Series:
        return self._calculate("-", 0, self)

    def as_int(self) -> Number:
        """The whole number at or below it."""
        return _number(nodes.Convert(part=self.node, to="int"), self)

    def as_float(self) -> Number:
        return _number(nodes.Convert(part=self.node, to="float"), self)

    def within(self, low: float, high: float) -> Number:
        """The same, declared to lie from `low` to `high`: the public range that histograms and masks may use."""
        return Number(self.node, self.source, self.frame, (float(low), float(high)))


class Label(Series):
    """A category or a text."""


class Date(Series):
    """A calendar date."""

    @property
    def year(self) -> Number:
        return _number(nodes.DatePart(part="year", date=self.node), self)

    @property
    def month(self) -> Number:
        return _number(nodes.DatePart(part="month", date=self.node), self)

    @property
    def day(self) -> Number:
        return _number(nodes.DatePart(part="day", date=self.node), self)

    def __add__(self, other: object) -> Date:
        return self._move(other, 1)

    __radd__ = __add__

    def __sub__(self, other: object) -> Any:
        if isinstance(other, Duration):
            return self._move(other, -1)
        return Difference(as_series(other, self.node.returns), self)

    def __rsub__(self, other: object) -> Any:
        return Difference(self, as_series(other, self.node.returns))

    def _move(self, other: object, sign: int) -> Date:
        if not isinstance(other, Duration):
            raise PlanError(
                "Only a length of time can be added to a date: write date + days(3), or months or years."
            )
        amount = as_series(other.amount if sign > 0 else -other.amount, SeriesType("int"))
        moved = wrap(nodes.DateAdd(date=self.node, amount=amount.node, unit=other.unit), self, amount)
        assert isinstance(moved, Date)
        return moved


@dataclass(frozen=True, eq=False)
class Duration:
    """A length of time to add to a date."""

    amount: Any
    unit: nodes.Unit

    def __add__(self, date: object) -> Date:
        if not isinstance(date, Date):
            raise PlanError("A length of time is added to a date: write date + days(3).")
        return date + self


@dataclass(frozen=True, eq=False)
class Difference:
    """The time between two dates; `.days`, `.months` and `.years` are whole numbers, rounded down."""

    start: Series
    end: Series

    @property
    def days(self) -> Number:
        return self._in("days")

    @property
    def months(self) -> Number:
        return self._in("months")

    @property
    def years(self) -> Number:
        return self._in("years")

    def _in(self, unit: nodes.Unit) -> Number:
        node = nodes.DateDifference(start=self.start.node, end=self.end.node, unit=unit)
        return _number(node, self.start, self.end)

    def __lt__(self, other: object) -> NoReturn:
        raise PlanError(
            "A difference between dates needs a unit: write (end - start).days, .months or .years."
        )

    __le__ = __gt__ = __ge__ = __eq__ = __ne__ = __lt__


CLASSES: dict[str, type[Series]] = {
    "bool": Bool,
    "int": Number,
    "float": Number,
    "date": Date,
    "category": Label,
    "text": Label,
}


def wrap(node: nodes.Series, *parts: Series, flat: bool = False) -> Series:
    """The wording of a node made of these parts; `flat` when it is one value a person whatever they were."""
    sources = list(dict.fromkeys(part.source for part in parts if part.source is not None))
    if len(sources) > 1:
        names = " and ".join(f"{source.dataset!r} ({source.kind})" for source in sources)
        raise PlanError(f"One expression cannot read two data sets: {names}. Write two cohorts.")
    flat = flat or node.rows_of is None
    frame = None if flat else deepest([part.frame for part in parts if part.frame is not None])
    return CLASSES[node.returns.kind](node, sources[0] if sources else None, frame)


def deepest(frames: list[nodes.EventFrame]) -> nodes.EventFrame:
    """Of selections made one from another, the last; an error when they were made apart."""
    best = frames[0]
    for frame in frames[1:]:
        if best in lineage(frame):
            best = frame
        elif frame not in lineage(best):
            raise PlanError(
                "This mixes columns of two different selections of rows. Take both columns from the same "
                "frame, or reduce one to a value for each person first."
            )
    return best


def lineage(frame: nodes.EventFrame) -> list[nodes.EventFrame]:
    """A frame and every frame that it was selected from."""
    chain = [frame]
    while not isinstance(frame, nodes.Events):
        frame = frame.source
        chain.append(frame)
    return chain


def constant(value: object, like: SeriesType) -> nodes.Value:
    """A Python value as a constant; text stands for a date beside a date."""
    if isinstance(value, bool):
        return nodes.Value(of="bool", value=value)
    if isinstance(value, int):
        return nodes.Value(of="int", value=value)
    if isinstance(value, float):
        return nodes.Value(of="float", value=value)
    if isinstance(value, str):
        return nodes.Value(of="date" if like.kind == "date" else "text", value=value)
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return nodes.Value(of="date", value=value.isoformat())
    raise PlanError(
        f"Expected a series, a number, a text, a date or True or False; {type(value).__name__} came. "
        'A date is datetime.date or "2020-12-31"; missing is asked for with is_null().'
    )


def as_series(value: object, like: SeriesType) -> Series:
    if isinstance(value, Series):
        return value
    if isinstance(value, Difference):
        raise PlanError(
            "A difference between dates needs a unit: write (end - start).days, .months or .years."
        )
    if isinstance(value, Duration):
        raise PlanError(f"A length of time is added to a date; this is {like.words()}.")
    return wrap(constant(value, like))


def _bool(node: nodes.Series, *parts: Series) -> Bool:
    made = wrap(node, *parts)
    assert isinstance(made, Bool)
    return made


def _number(node: nodes.Series, *parts: Series) -> Number:
    made = wrap(node, *parts)
    assert isinstance(made, Number)
    return made
