"""The wording of frames: event tables to select from, the person table, and a research table."""

from __future__ import annotations

from typing import Any, NoReturn

from civicgrid.errors import PlanError
from civicgrid.omop.cdm import CDM, CdmTable
from civicgrid.query import nodes
from civicgrid.query.kinds import SeriesType
from civicgrid.query.rules import event_table, usable_columns
from civicgrid.query.series import (
    Bool,
    Date,
    Difference,
    Label,
    NoSuchName,
    Number,
    Series,
    Source,
    as_series,
    lineage,
    wrap,
)
from civicgrid.query.types import ColumnType, Schema

SEX = {8532: "female", 8507: "male"}
"""OMOP's standard concepts of the domain Gender."""

EVERYONE = nodes.Value(of="bool", value=True)


class EventFrame:
    """Rows of an OMOP event table: none, one or many a person. Its columns are attributes.

    Beside the CDM's names there are short ones: `start_date` (or `date`), `end_date`, `concept`, and the name
    of any column without the table's own prefix or `_concept_id`.
    """

    def __init__(self, node: nodes.EventFrame, source: Source) -> None:
        self._node, self._source, self._cdm = node, source, event_table(node.table)

    def where(self, *conditions: Bool) -> EventFrame:
        """The rows for which every condition is yes."""
        frame = self._node
        for condition in conditions:
            frame = nodes.Where(source=frame, condition=self._own(condition))
        return EventFrame(frame, self._source)

    def except_where(self, *conditions: Bool) -> EventFrame:
        """The rows without those for which a condition is yes; a row where it is missing stays."""
        frame = self._node
        for condition in conditions:
            frame = nodes.ExceptWhere(source=frame, condition=self._own(condition))
        return EventFrame(frame, self._source)

    def with_washout(self, days: int, observed: bool = True) -> EventFrame:
        """The rows that start something new: none of these rows in the `days` days before.

        Unless `observed` is False, an observation period must cover the date and the `days` before it.
        """
        return EventFrame(nodes.Washout(source=self._node, days=days, observed=observed), self._source)

    def sort_by(self, *keys: Series) -> SortedFrame:
        """The rows in the order of these columns, missing ones after all the others."""
        return SortedFrame(self, tuple(self._own(key) for key in keys))

    def exists_for_person(self) -> Bool:
        """Whether the person has any of these rows."""
        return _bool(nodes.Exists(frame=self._node), self._source)

    def count_for_person(self) -> Number:
        """How many of these rows the person has."""
        made = wrap(nodes.CountRows(frame=self._node), Series(EVERYONE, self._source))
        assert isinstance(made, Number)
        return made

    def _own(self, series: object) -> nodes.Series:
        """A series that this frame may use: of its own rows or of those it was selected from, or one a
        person.
        """
        if not isinstance(series, Series):
            raise PlanError(
                'Expected a series such as events.start_date > "2020-12-31". Did `and` or `==` slip in?'
            )
        wrap(EVERYONE, series, Series(EVERYONE, self._source))
        same_table = series.frame is not None and series.frame.table == self._node.table
        if same_table and series.frame not in lineage(self._node):
            raise PlanError(
                "This condition looks at another selection of rows. "
                "Use the columns of the frame that it filters."
            )
        return series.node

    def __getattr__(self, name: str) -> Series:
        if name.startswith("_"):
            raise AttributeError(name)
        if name in ("first_for_person", "last_for_person"):
            raise NoSuchName(f"Which row comes first? Sort them: frame.sort_by(frame.start_date).{name}().")
        node = nodes.RowField(table=self._cdm.name, column=column_called(self._cdm, name))
        return wrap(node, Series(node, self._source, self._node))

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *usable_columns(self._cdm), *short_names(self._cdm)]

    def __bool__(self) -> NoReturn:
        raise PlanError("A frame is neither true nor false. Write exists_for_person().")

    def __repr__(self) -> str:
        return f"<rows of {self._cdm.name}>"


class SortedFrame:
    """A frame in an order, from which to keep one row a person.

    Ties go to the lowest primary key for first and to the highest for last.
    """

    def __init__(self, frame: EventFrame, by: tuple[nodes.Series, ...]) -> None:
        self._frame, self._by = frame, by

    def first_for_person(self) -> PersonRow:
        return self._pick("first")

    def last_for_person(self) -> PersonRow:
        return self._pick("last")

    def _pick(self, position: Any) -> PersonRow:
        pick = nodes.Pick(source=self._frame._node, by=self._by, position=position)
        return PersonRow(pick, self._frame._source)


class PersonRow:
    """One row of an event table for each person who has any. Its columns are attributes, as in the event
    frame.
    """

    def __init__(self, node: nodes.Pick, source: Source) -> None:
        self._node, self._source, self._cdm = node, source, CDM[node.table]

    def exists_for_person(self) -> Bool:
        """Whether the person has such a row."""
        return _bool(nodes.Exists(frame=self._node.source), self._source)

    def __getattr__(self, name: str) -> Series:
        if name.startswith("_"):
            raise AttributeError(name)
        node = nodes.PickField(frame=self._node, column=column_called(self._cdm, name))
        return wrap(node, Series(node, self._source))

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *usable_columns(self._cdm), *short_names(self._cdm)]

    def __repr__(self) -> str:
        return f"<{self._node.position} row of {self._cdm.name} for each person>"


class PersonTable:
    """The OMOP person table: one row a person."""

    def __init__(self, source: Source) -> None:
        self._source = source

    @property
    def sex(self) -> Label:
        """female, male, or other or unknown, from the gender concept (8532, 8507, anything else or nothing)."""
        return self.gender_concept_id.to_category(SEX, otherwise="other or unknown")

    @property
    def birth_date(self) -> Date:
        """The date of birth. Month missing: 1 July. Day missing: the 15th. Year missing: missing."""
        made = wrap(nodes.BirthDate(), Series(EVERYONE, self._source))
        assert isinstance(made, Date)
        return made

    def age_on(self, date: object) -> Number:
        """The age in whole years on a date."""
        return Difference(self.birth_date, as_series(date, SeriesType("date"))).years

    def __getattr__(self, name: str) -> Series:
        if name.startswith("_"):
            raise AttributeError(name)
        node = nodes.PersonField(column=column_called(CDM["person"], name))
        return wrap(node, Series(node, self._source))

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *usable_columns(CDM["person"]), *short_names(CDM["person"])]

    def __repr__(self) -> str:
        return "<the person table>"


class Omop:
    """An OMOP data set: one attribute for each table of the CDM that says something about persons."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._source = Source(name, "omop")

    @property
    def person(self) -> PersonTable:
        return PersonTable(self._source)

    @property
    def everyone(self) -> Bool:
        """Every person of the data set, as a population."""
        return _bool(EVERYONE, self._source)

    def observed_at(self, date: object, days_before: int = 0, days_after: int = 0) -> Bool:
        """Whether one observation period covers the date, the days before it and the days after it."""
        day = as_series(date, SeriesType("date"))
        periods = EventFrame(nodes.Events(table="observation_period"), self._source)
        first, last = (
            wrap(nodes.DateAdd(date=day.node, amount=nodes.Value(of="int", value=count), unit="days"), day)
            if count
            else day
            for count in (-days_before, days_after)
        )
        covers = periods.where((periods.start_date <= first) & (periods.end_date >= last))
        return covers.exists_for_person()

    def __getattr__(self, name: str) -> EventFrame:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return EventFrame(nodes.Events(table=name), self._source)
        except PlanError as error:
            raise NoSuchName(str(error)) from None

    def __repr__(self) -> str:
        return f"<OMOP data set {self.name!r}>"


class ResearchTable:
    """A research table: one row a person. With a schema its columns are attributes and items."""

    def __init__(self, name: str, schema: Schema | None = None) -> None:
        self.name, self.schema = name, schema
        self._source = Source(name, "records")

    @property
    def everyone(self) -> Bool:
        """Everyone in the table, as a population."""
        return _bool(EVERYONE, self._source)

    def __getitem__(self, name: str) -> Series:
        if self.schema is None:
            raise NoSuchName(
                f"The data set {self.name!r} was named without its columns' types, so {name!r} cannot be used in "
                f"an expression. Give them: dataset({self.name!r}, schema={{{name!r}: FLOAT, ...}}), or the "
                "catalogue's schema. A method needs only the name of a column."
            )
        if name not in self.schema:
            raise NoSuchName(f"There is no column {name!r}. The table has: {', '.join(self.schema.names)}.")
        node = nodes.RecordField(column=name, type=self.schema[name])
        return wrap(node, Series(node, self._source))

    def __getattr__(self, name: str) -> Series:
        if name.startswith("_"):
            raise AttributeError(name)
        return self[name]

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(self.schema.names if self.schema is not None else ())]

    def __repr__(self) -> str:
        return f"<research table {self.name!r}>"


def dataset(name: str, schema: Schema | dict[str, ColumnType] | None = None) -> ResearchTable:
    """A research table by its name; with a schema, its columns can be used in expressions."""
    return ResearchTable(name, Schema.of(schema) if isinstance(schema, dict) else schema)


def cdm(name: str) -> Omop:
    """An OMOP data set by its name."""
    return Omop(name)


def short_names(table: CdmTable) -> dict[str, str]:
    """The short names of a table's columns, where they are not ambiguous and not columns themselves."""
    usable = usable_columns(table)
    found: dict[str, list[str]] = {}
    for name in usable:
        rest = name
        for prefix in (f"{table.name}_", f"{table.name.split('_')[0]}_"):
            if name.startswith(prefix) and name != table.primary_key:
                rest = name.removeprefix(prefix)
                break
        for alias in {rest, rest.removesuffix("_concept_id")}:
            found.setdefault(alias, []).append(name)
    short = {alias: names[0] for alias, names in found.items() if len(names) == 1 and alias not in usable}
    main = {"start_date": table.start, "date": table.start, "end_date": table.end, "concept": table.concept}
    short |= {alias: name for alias, name in main.items() if name is not None}
    if "value_as_number" in usable:
        short["value"] = "value_as_number"
    return short


def column_called(table: CdmTable, name: str) -> str:
    if name in usable_columns(table):
        return name
    short = short_names(table)
    if name in short:
        return short[name]
    offers = ", ".join([*usable_columns(table), *sorted(short)])
    raise NoSuchName(f"{table.name} has no column {name!r} to use here. It has: {offers}.")


def _bool(node: nodes.Series, source: Source) -> Bool:
    made = wrap(node, Series(EVERYONE, source))
    assert isinstance(made, Bool)
    return made
