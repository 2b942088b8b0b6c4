"""The meaning of a cohort: small frozen nodes that check their types when they are built.

A *series* has one value for each person, or one for each row of an event table; an *event frame* is a
selection of an event table's rows; a *person frame* is one row a person (`Pick`, the person table, a research
table). Nothing here names a site or knows SQL. Missing values follow SQL's three-valued logic: a comparison
or sum with something missing is missing; "and" is no if one part is no, "or" is yes if one part is yes, else
missing if any part is. A condition keeps what is *yes*: neither no nor missing.

The shape follows ehrQL's query model (OpenSAFELY, github.com/opensafely-core/ehrql, "layers: ehrQL, query
model, query engine"). This file is long because the nodes refer to one another in a circle: frames hold
series, series frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Annotated, Literal

from pydantic import AfterValidator, model_validator
from pydantic import Field as Setting

from civicgrid.canonical import MAX_DEPTH, Node
from civicgrid.errors import PlanError
from civicgrid.omop.cdm import CDM
from civicgrid.query.kinds import (
    NUMERIC,
    ORDERED,
    SeriesKind,
    SeriesType,
    comparable,
    expect,
    together,
)
from civicgrid.query.rules import check_level, column_type, event_table, parse_date, printable
from civicgrid.query.types import ColumnType

Unit = Literal["days", "months", "years"]
Aggregator = Literal["sum", "mean", "min", "max", "count_distinct"]

LARGEST_INT = 2**53 - 1
MOST_IDS = 50_000
MOST_PARTS = 10_000

YES_NO = SeriesType("bool")
WHOLE = SeriesType("int")
NUMBER = SeriesType("float")
DAY = SeriesType("date")


def nodes_in(node: Node) -> Iterator[tuple[Node, int]]:
    """The nodes directly inside a node, each with the number of JSON levels between them."""
    for name in type(node).model_fields:
        value = getattr(node, name)
        if isinstance(value, Node):
            yield value, 1
        elif isinstance(value, tuple):
            for item in value:
                if isinstance(item, Node):
                    yield item, 2


def walk(node: Node) -> Iterator[Node]:
    """A node and every node inside it."""
    yield node
    for inside, _ in nodes_in(node):
        yield from walk(inside)


class PlanNode(Node):
    """A node that is checked as a whole when it is built."""

    @model_validator(mode="after")
    def _whole(self) -> PlanNode:
        # An expression leaves room for the column and the cohort around it.
        room = 6 if isinstance(self, SeriesNode) else 0
        if self.levels_deep > 2 * MAX_DEPTH - room:
            raise PlanError("This expression is nested too deeply to travel. Split it into simpler parts.")
        if self.weight > MOST_PARTS:
            raise PlanError(f"This expression has more than {MOST_PARTS:,} parts. Write it in a simpler way.")
        self.check()
        return self

    @cached_property
    def levels_deep(self) -> int:
        inside = (getattr(node, "levels_deep", 1) + levels for node, levels in nodes_in(self))
        return max(inside, default=1)

    @cached_property
    def weight(self) -> int:
        """How many parts its SQL has, roughly; a node that an engine writes out several times counts each time."""
        return 1 + sum(getattr(node, "weight", 1) for node, _ in nodes_in(self))

    def check(self) -> None:
        """Raise PlanError when the parts do not fit together."""


class SeriesNode(PlanNode):
    """A value for each person, or, when `rows_of` names an event table, for each of its rows."""

    def check(self) -> None:
        _ = self.rows_of
        _ = self.returns

    @cached_property
    def returns(self) -> SeriesType:
        return self.typed()

    @cached_property
    def rows_of(self) -> str | None:
        tables = {node.rows_of for node, _ in nodes_in(self) if isinstance(node, SeriesNode | When)} - {None}
        if len(tables) > 1:
            names = ", ".join(sorted(map(str, tables)))
            raise PlanError(
                f"One expression cannot walk through the rows of two tables ({names}). "
                "Reduce one to a value for each person first, with first_for_person() or an aggregate."
            )
        return tables.pop() if tables else None

    def typed(self) -> SeriesType:
        raise AssertionError(f"{type(self).__name__} does not say what it returns")


# --- values and columns


class Value(SeriesNode):
    """A constant. A date is written YYYY-MM-DD."""

    kind: Literal["value"] = "value"
    of: Literal["bool", "int", "float", "text", "date"]
    value: bool | int | float | str

    def typed(self) -> SeriesType:
        fits = {
            "bool": isinstance(self.value, bool),
            "int": isinstance(self.value, int) and not isinstance(self.value, bool),
            "float": isinstance(self.value, int | float) and not isinstance(self.value, bool),
            "text": isinstance(self.value, str),
            "date": isinstance(self.value, str),
        }
        if not fits[self.of]:
            raise PlanError(f"Expected a constant that is {self.of}; {type(self.value).__name__} came.")
        if isinstance(self.value, int) and abs(self.value) > LARGEST_INT:
            raise PlanError("Expected a whole number within ±(2^53 - 1), which every engine holds exactly.")
        if self.of == "text":
            printable("text", str(self.value))
        if self.of == "date":
            parse_date(str(self.value))
        return SeriesType(self.of)


class RunDate(SeriesNode):
    """The day that a run is for, as a constant YYYY-MM-DD: one day in all of a plan.

    A plan with another day here is another plan and the same template, so that a permit can allow a standing study.
    """

    kind: Literal["run_date"] = "run_date"
    day: str

    def typed(self) -> SeriesType:
        parse_date(self.day)
        return DAY


class RowField(SeriesNode):
    """A column of an event table, in the row that the surrounding frame is looking at."""

    kind: Literal["row_field"] = "row_field"
    table: str
    column: str

    @cached_property
    def rows_of(self) -> str | None:
        return event_table(self.table).name

    def typed(self) -> SeriesType:
        return column_type(event_table(self.table), self.column)


class PersonField(SeriesNode):
    """A column of the OMOP person table."""

    kind: Literal["person_field"] = "person_field"
    column: str

    def typed(self) -> SeriesType:
        return column_type(CDM["person"], self.column)


class BirthDate(SeriesNode):
    """The date of birth. No year: missing. No month: 1 July. No day: the 15th. A day past the month's end
    runs on.
    """

    kind: Literal["birth_date"] = "birth_date"

    def typed(self) -> SeriesType:
        return DAY


class RecordField(SeriesNode):
    """A column of a research table with the type its data dictionary declares."""

    kind: Literal["record_field"] = "record_field"
    column: str
    type: ColumnType

    def typed(self) -> SeriesType:
        printable("a column's name", self.column)
        for level in self.type.levels:
            printable("a category's level", level)
        return SeriesType(self.type.kind, self.type.levels)


class PickField(SeriesNode):
    """A column of the one row that a `Pick` keeps for each person; missing where it keeps none."""

    kind: Literal["pick_field"] = "pick_field"
    frame: Pick
    column: str

    @cached_property
    def rows_of(self) -> str | None:
        return None

    def typed(self) -> SeriesType:
        return column_type(CDM[self.frame.table], self.column)


# --- logic


class And(SeriesNode):
    """Yes when every part is yes; no when any is no."""

    kind: Literal["and"] = "and"
    parts: tuple[Series, ...]

    def typed(self) -> SeriesType:
        return _logic("and", self.parts)


class Or(SeriesNode):
    """Yes when any part is yes; no when every part is no."""

    kind: Literal["or"] = "or"
    parts: tuple[Series, ...]

    def typed(self) -> SeriesType:
        return _logic("or", self.parts)


class Not(SeriesNode):
    """Yes for no, no for yes, missing for missing."""

    kind: Literal["not"] = "not"
    part: Series

    def typed(self) -> SeriesType:
        return _logic("not", (self.part, self.part))


class IsNull(SeriesNode):
    """Whether a value is missing; never missing itself."""

    kind: Literal["is_null"] = "is_null"
    part: Series

    def typed(self) -> SeriesType:
        return YES_NO


class Compare(SeriesNode):
    """How two values compare; missing when either is."""

    kind: Literal["compare"] = "compare"
    op: Literal["==", "!=", "<", "<=", ">", ">="]
    left: Series
    right: Series

    def typed(self) -> SeriesType:
        left, right = self.left.returns, self.right.returns
        if not comparable(left, right):
            raise PlanError(
                f"{left.words()} cannot be compared with {right.words()}. Compare values of the same kind; "
                'a date is written "2020-12-31", a concept as a whole number.'
            )
        if self.op not in ("==", "!="):
            for side in (left, right):
                expect(
                    f"Comparing with {self.op}",
                    side,
                    ORDERED,
                    "Use == or is_in() for anything without an order.",
                )
        for category, other in ((left, self.right), (right, self.left)):
            if category.kind == "category" and isinstance(other, Value):
                check_level(category, str(other.value))
        return YES_NO


def _values_in_order(values: tuple[Value, ...]) -> tuple[Value, ...]:
    """Each value once and in order, so that the same question is the same plan however it was typed."""
    return tuple(sorted(set(values), key=_place))


def _place(one: Value) -> tuple[str, float, str]:
    return one.of, 0.0 if isinstance(one.value, str) else one.value, str(one.value)


class IsIn(SeriesNode):
    """Whether a value is one of these constants; missing when it is missing."""

    kind: Literal["is_in"] = "is_in"
    part: Series
    values: Annotated[tuple[Value, ...], AfterValidator(_values_in_order)]

    @cached_property
    def weight(self) -> int:
        return 1 + self.part.weight

    def typed(self) -> SeriesType:
        came = self.part.returns
        expect(
            "is_in()",
            came,
            ("int", "text", "category", "date"),
            "For a number with decimals compare with < and >.",
        )
        if not 1 <= len(self.values) <= MOST_IDS:
            raise PlanError(f"is_in() expects 1 to {MOST_IDS:,} values; {len(self.values)} came.")
        for value in self.values:
            if not comparable(came, value.returns) or (came.kind == "int" and value.of != "int"):
                raise PlanError(
                    f"is_in() on {came.words()} got {value.returns.words()}. Give values of the same kind."
                )
            if came.kind == "category":
                check_level(came, str(value.value))
        return YES_NO


class Concept(Node):
    """One entry of a concept set: a concept, with what lies below it or without, put in or taken out."""

    id: Annotated[int, Setting(ge=0, le=LARGEST_INT)]
    descendants: bool = False
    excluded: bool = False


def _concepts_in_order(concepts: tuple[Concept, ...]) -> tuple[Concept, ...]:
    return tuple(sorted(set(concepts), key=lambda one: (one.id, one.excluded, one.descendants)))


class ConceptSet(PlanNode):
    """Concepts under a name. What is taken out wins; descendants are those of the site's own vocabulary.

    The entries are OHDSI's concept set expressions (Book of OHDSI, section 10.3).
    """

    name: str
    concepts: Annotated[tuple[Concept, ...], AfterValidator(_concepts_in_order)]

    @cached_property
    def weight(self) -> int:
        return 1

    def check(self) -> None:
        printable("a concept set's name", self.name)
        if not 1 <= len(self.concepts) <= MOST_IDS:
            raise PlanError(f"A concept set expects 1 to {MOST_IDS:,} concepts; {len(self.concepts)} came.")
        if all(concept.excluded for concept in self.concepts):
            raise PlanError("This concept set only takes concepts out. Put at least one in.")


class InConceptSet(SeriesNode):
    """Whether a concept id is in a concept set; missing when it is missing."""

    kind: Literal["in_concept_set"] = "in_concept_set"
    part: Series
    concepts: ConceptSet

    def typed(self) -> SeriesType:
        expect("A concept set", self.part.returns, ("int",), "Use the column that holds the concept's id.")
        return YES_NO


# --- choices


class When(PlanNode):
    """One arm of a case: this value where the condition is yes."""

    condition: Series
    then: Series

    @cached_property
    def rows_of(self) -> str | None:
        if {self.condition.rows_of, self.then.rows_of} - {None} == set():
            return None
        return And(parts=(self.condition, IsNull(part=self.then))).rows_of

    def check(self) -> None:
        expect("when()", self.condition.returns, ("bool",), "Give a comparison such as age > 50.")


class Case(SeriesNode):
    """The value of the first arm whose condition is yes, else `otherwise`, else missing."""

    kind: Literal["case"] = "case"
    whens: tuple[When, ...]
    otherwise: Series | None = None

    def typed(self) -> SeriesType:
        if not self.whens:
            raise PlanError("case() expects at least one when(...).then(...).")
        values = [when.then for when in self.whens] + ([self.otherwise] if self.otherwise is not None else [])
        return together("case()", choices(values))


class IfNull(SeriesNode):
    """The first series, or the second where the first is missing."""

    kind: Literal["if_null"] = "if_null"
    part: Series
    otherwise: Series

    def typed(self) -> SeriesType:
        return together("if_null_then()", choices([self.part, self.otherwise]))


class Level(PlanNode):
    """One line of a `ToCategory`: the value and the level it becomes."""

    value: Value
    level: str

    def check(self) -> None:
        printable("a category's level", self.level)


class ToCategory(SeriesNode):
    """A category from a table of values; what is missing or not listed becomes `otherwise`, or stays missing."""

    kind: Literal["to_category"] = "to_category"
    part: Series
    levels: tuple[Level, ...]
    otherwise: str | None = None

    def typed(self) -> SeriesType:
        came = self.part.returns
        expect(
            "to_category()", came, ("int", "bool", "text", "category"), "For a range of numbers use case()."
        )
        if not self.levels:
            raise PlanError("to_category() expects at least one value and its level.")
        seen = set()
        for line in self.levels:
            if not comparable(came, line.value.returns) or line.value.of == "float":
                raise PlanError(
                    f"to_category() on {came.words()} got {line.value.returns.words()}. Use the same kind."
                )
            if came.kind == "category":
                check_level(came, str(line.value.value))
            if line.value.value in seen:
                raise PlanError("to_category() expects each value once; one is listed twice.")
            seen.add(line.value.value)
        if self.otherwise is not None:
            printable("a category's level", self.otherwise)
        names = [line.level for line in self.levels] + (
            [self.otherwise] if self.otherwise is not None else []
        )
        return SeriesType("category", tuple(dict.fromkeys(names)))


# --- numbers and dates


class Arithmetic(SeriesNode):
    """Sums with numbers. Missing when either side is, and for a division by zero. A division gives a decimal."""

    kind: Literal["arithmetic"] = "arithmetic"
    op: Literal["+", "-", "*", "/"]
    left: Series
    right: Series

    def typed(self) -> SeriesType:
        for side in (self.left.returns, self.right.returns):
            instead = "For dates use + days(3) or (end - start).days; for yes or no use as_int()."
            expect(f"Calculating with {self.op}", side, NUMERIC, instead)
        if self.op == "/":
            return NUMBER
        return together(f"Calculating with {self.op}", (self.left.returns, self.right.returns))


class Convert(SeriesNode):
    """A number of the other kind: yes is 1 and no is 0; a decimal becomes the whole number at or below it."""

    kind: Literal["convert"] = "convert"
    part: Series
    to: Literal["int", "float"]

    def typed(self) -> SeriesType:
        expect(f"as_{self.to}()", self.part.returns, ("bool", "int", "float"), "Use case() for other kinds.")
        return SeriesType(self.to)


class DateAdd(SeriesNode):
    """A date moved by days, months or years; past the end of a month it stops at the last day (31 January + 1
    month).
    """

    kind: Literal["date_add"] = "date_add"
    date: Series
    amount: Series
    unit: Unit

    def typed(self) -> SeriesType:
        expect(f"Adding {self.unit}", self.date.returns, ("date",), "Only a date can be moved.")
        expect(f"Adding {self.unit}", self.amount.returns, ("int",), "Use a whole number, or as_int().")
        if isinstance(self.amount, Value) and abs(int(self.amount.value)) > MOST_IDS:
            raise PlanError(f"Expected at most {MOST_IDS:,} {self.unit}.")
        return DAY


class DateDifference(SeriesNode):
    """Whole days, calendar months or years from one date to another, rounded down; negative when it goes
    back.
    """

    kind: Literal["date_difference"] = "date_difference"
    start: Series
    end: Series
    unit: Unit

    @cached_property
    def weight(self) -> int:
        # Year, month and day are each taken from both dates.
        return 20 + 3 * (self.start.weight + self.end.weight)

    def typed(self) -> SeriesType:
        for side in (self.start, self.end):
            expect(
                "A difference between dates",
                side.returns,
                ("date",),
                'Write a constant date as "2020-12-31".',
            )
        return WHOLE


class DatePart(SeriesNode):
    """The calendar year, month (1 to 12) or day of the month (1 to 31) of a date."""

    kind: Literal["date_part"] = "date_part"
    part: Literal["year", "month", "day"]
    date: Series

    def typed(self) -> SeriesType:
        expect(f"The {self.part}", self.date.returns, ("date",), "Only a date has one.")
        return WHOLE


class Extreme(SeriesNode):
    """The smallest or largest (earliest or latest) of several series, leaving out what is missing."""

    kind: Literal["extreme"] = "extreme"
    which: Literal["smallest", "largest"]
    parts: tuple[Series, ...]

    def typed(self) -> SeriesType:
        if len(self.parts) < 2:
            raise PlanError("minimum_of() and maximum_of() expect at least two series.")
        for part in self.parts:
            expect("minimum_of() and maximum_of()", part.returns, ORDERED, "Use case() for other kinds.")
        return together("minimum_of() and maximum_of()", (part.returns for part in self.parts))


# --- frames


class FrameNode(PlanNode):
    """A selection of the rows of one event table."""

    table: str


class Events(FrameNode):
    """Every row of an OMOP event table."""

    kind: Literal["events"] = "events"
    table: str

    def check(self) -> None:
        event_table(self.table)


class Selection(PlanNode):
    """Some of the rows of another event frame."""

    source: EventFrame

    @cached_property
    def table(self) -> str:
        return self.source.table


class Where(Selection):
    """The rows for which the condition is yes."""

    kind: Literal["where"] = "where"
    condition: Series

    def check(self) -> None:
        _condition("where()", self.table, self.condition)


class ExceptWhere(Selection):
    """The rows for which the condition is not yes: those where it is no and those where it is missing."""

    kind: Literal["except_where"] = "except_where"
    condition: Series

    def check(self) -> None:
        _condition("except_where()", self.table, self.condition)


class Washout(Selection):
    """The rows that start something new: no row of the same frame on any of the `days` days before the row's
    own date.

    With `observed`, one of the person's observation periods must also cover that date and the `days` before
    it. Rows without a date are left out. The date is the table's start date.
    """

    kind: Literal["washout"] = "washout"
    days: Annotated[int, Setting(ge=1, le=MOST_IDS)]
    observed: bool = True

    def check(self) -> None:
        if event_table(self.table).start is None:
            raise PlanError(f"A washout needs a date; {self.table} has none.")


class Pick(PlanNode):
    """The first or last row of each person. Rows with the sort value missing come after all the others either
    way.

    Ties go to the lowest primary key for first and the highest for last; in a table without one, the other
    columns decide in their order.
    """

    source: EventFrame
    by: tuple[Series, ...]
    position: Literal["first", "last"]

    @cached_property
    def table(self) -> str:
        return self.source.table

    def check(self) -> None:
        if not self.by:
            raise PlanError("sort_by() expects at least one series to sort by.")
        for key in self.by:
            expect("sort_by()", key.returns, ORDERED, "Sort by a number or a date.")
            if key.rows_of not in (None, self.table):
                raise PlanError(
                    f"sort_by() on {self.table} got a series of {key.rows_of}. Use the same frame's columns."
                )


# --- from rows to persons


class Exists(SeriesNode):
    """Whether a person has any row in the frame; never missing."""

    kind: Literal["exists"] = "exists"
    frame: EventFrame

    def typed(self) -> SeriesType:
        return YES_NO


class CountRows(SeriesNode):
    """How many rows a person has in the frame; 0 for none."""

    kind: Literal["count"] = "count"
    frame: EventFrame

    def typed(self) -> SeriesType:
        return WHOLE


class Aggregate(SeriesNode):
    """One value from all of a person's rows, leaving out what is missing; missing if nothing is left.

    A count of different values is 0 if nothing is left.
    """

    kind: Literal["aggregate"] = "aggregate"
    how: Aggregator
    frame: EventFrame
    of: Series

    @cached_property
    def rows_of(self) -> str | None:
        if self.of.rows_of != self.frame.table:
            raise PlanError(f"An aggregate over {self.frame.table} needs one of its columns.")
        return None

    def typed(self) -> SeriesType:
        came = self.of.returns
        if self.how == "count_distinct":
            expect(
                "count_distinct_for_person()",
                came,
                ("int", "text", "category", "date"),
                "Count whole values.",
            )
            return WHOLE
        numbers = NUMERIC if self.how in ("sum", "mean") else ORDERED
        expect(f"{self.how}_for_person()", came, numbers, "Use count_for_person() or exists_for_person().")
        return NUMBER if self.how == "mean" else came


class FollowUp(PlanNode):
    """Time at risk, from a start to the earliest of the event and everything that ends observation.

    An event counts from `first_day` days after the start and up to the day observation ends, that day
    included. The end is the earliest of the event, death, the end of observation, the end of the study and
    `max_days` after the start, leaving out what is missing. Every part is missing for a person without a
    start, or whose end of observation is asked for and missing, or falls before the start, or for whom all of
    these dates are missing.
    """

    start: Series
    event: Series
    death: Series | None = None
    observed_until: Series | None = None
    until: Series | None = None
    max_days: Annotated[int, Setting(ge=1, le=MOST_IDS)] | None = None
    first_day: Annotated[int, Setting(ge=0, le=MOST_IDS)] = 1

    def check(self) -> None:
        for series in (self.start, self.event, self.death, self.observed_until, self.until):
            if series is not None:
                expect("follow_up()", series.returns, ("date",), "Every end of follow-up is a date.")
                if series.rows_of is not None:
                    raise PlanError(
                        "follow_up() needs one date for each person. Use first_for_person() first."
                    )
        if (
            self.death is None
            and self.observed_until is None
            and self.until is None
            and self.max_days is None
        ):
            raise PlanError(
                "Follow-up must end somewhere for people without the event: give until= or max_days=."
            )


class FollowUpField(SeriesNode):
    """A part of a follow-up: its length in days, whether the event ended it, what did, or its last day."""

    kind: Literal["follow_up_field"] = "follow_up_field"
    follow_up: FollowUp
    part: Literal["days", "event", "reason", "end"]

    def typed(self) -> SeriesType:
        if self.part == "reason":
            return SeriesType("category", self.reasons)
        kinds: dict[str, SeriesKind] = {"days": "int", "event": "bool", "end": "date"}
        return SeriesType(kinds[self.part])

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why a follow-up can end, the first in this order where several fall on one day."""
        plan = self.follow_up
        ends = {
            "death": plan.death, "end of observation": plan.observed_until, "end of study": plan.until,
            "end of follow-up": plan.max_days,
        }  # fmt: skip
        return ("event", *(reason for reason, given in ends.items() if given is not None))


Series = Annotated[
    Value
    | RunDate
    | RowField
    | PersonField
    | BirthDate
    | RecordField
    | PickField
    | And
    | Or
    | Not
    | IsNull
    | Compare
    | IsIn
    | InConceptSet
    | Case
    | IfNull
    | ToCategory
    | Arithmetic
    | Convert
    | DateAdd
    | DateDifference
    | DatePart
    | Extreme
    | Exists
    | CountRows
    | Aggregate
    | FollowUpField,
    Setting(discriminator="kind"),
]
EventFrame = Annotated[Events | Where | ExceptWhere | Washout, Setting(discriminator="kind")]


def choices(values: list[Series]) -> list[SeriesType]:
    """The types of the values to choose between; constants of text among categories, or alone, are levels."""
    constants = [isinstance(value, Value) and value.of == "text" for value in values]
    category = all(constants) or any(value.returns.kind == "category" for value in values)
    return [
        SeriesType("category", (str(value.value),))
        if category and isinstance(value, Value) and value.of == "text"
        else value.returns
        for value in values
    ]


def _logic(word: str, parts: tuple[Series, ...]) -> SeriesType:
    if len(parts) < 2:
        raise PlanError(f'"{word}" expects at least two parts; {len(parts)} came.')
    for part in parts:
        expect(f'"{word}"', part.returns, ("bool",), "Give a comparison such as age > 50, in brackets.")
    return YES_NO


def _condition(what: str, table: str, condition: Series) -> None:
    expect(what, condition.returns, ("bool",), "Give a comparison such as events.start_date > date.")
    if condition.rows_of not in (None, table):
        raise PlanError(
            f"{what} on {table} got a condition on the rows of {condition.rows_of}. Use the frame's columns."
        )
