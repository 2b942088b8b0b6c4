"""The numbers of a plan as the release ledger keeps them: how each is made, and its sums over the people of an answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from pyroaring import BitMap

from civicgrid.canonical import Node
from civicgrid.disclosure.columns import (
    CLASSES,
    FEW_VALUES,
    Making,
    NumberColumn,
    ReleasedColumns,
    Sums,
    classes_of,
    of_few_people,
)
from civicgrid.disclosure.row_sets import Load, RowSet
from civicgrid.methods.method import blocks
from civicgrid.methods.row_sets import bitmap
from civicgrid.query.cohort import Cohort, OutputColumn
from civicgrid.query.fields import fields_of, name_of, only_one_field
from civicgrid.query.nodes import (
    Aggregate,
    Arithmetic,
    BirthDate,
    Convert,
    CountRows,
    DateAdd,
    DateDifference,
    DatePart,
    FollowUpField,
    PersonField,
    PickField,
    RecordField,
    RunDate,
    Series,
    Value,
    nodes_in,
)
from civicgrid.query.table import Table
from civicgrid.trust.seal import Seal

_RANK: tuple[Making, ...] = ("field", "linear", "records", "conditions")


def making(series: Series) -> Making:
    """How a number is made. Sums and multiples of columns tell nobody apart whom the columns do not; what hangs on one
    column alone does not join who somebody is with what is secret about them.
    """
    match series:
        case RecordField() | PersonField():
            return "field"
        case Arithmetic(op="+" | "-") | Arithmetic(op="*" | "/", right=Value()) | Arithmetic(op="*", left=Value()):
            sides = [making(side) for side in (series.left, series.right) if not isinstance(side, Value)]
            return max(("linear", *sides), key=_RANK.index)
        case Convert(to="float") if series.part.returns.numeric:
            return max(("linear", making(series.part)), key=_RANK.index)
        case Aggregate() | CountRows() | PickField() | FollowUpField():
            return "records"
        case DatePart() | DateDifference() if _of_dates(series):
            return "records"
    return "records" if only_one_field(series) else "conditions"


def _of_dates(node: Node) -> bool:
    """Whether a date, or a part of one, is worked out of dates in the data and of nothing else."""
    if isinstance(node, RecordField | PersonField | BirthDate | PickField | RunDate | Value):
        return True
    return isinstance(node, DateAdd | DatePart | DateDifference) and all(_of_dates(part) for part, _ in nodes_in(node))


@dataclass
class Numbers:
    """The columns of numbers of one session."""

    cohort: Cohort
    table: Table
    seal: Seal
    open: Callable[[Cohort], Table]
    series: dict[str, Series] = field(init=False)
    _read: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    _sums: dict[tuple[str, str], Sums] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.series = {column.name: column.series for column in self.cohort.columns if column.type.numeric}

    def made(self, names: Iterable[str]) -> list[str]:
        """Those of the columns that are numbers, and no columns of the data as they stand."""
        return [name for name in names if name in self.series and making(self.series[name]) != "field"]

    def groups(self, part: RowSet, sources: Mapping[str, frozenset[str]]) -> list[RowSet]:
        """The people at each value of a number that has a few values only, and is made by conditions."""
        found: list[RowSet] = []
        for name in self.made(part.columns):
            if making(self.series[name]) == "linear":
                continue
            inside = self._inside(part.people)
            values = self._values(name)[inside]
            levels = np.unique(values[: 10 * FEW_VALUES])
            if len(levels) <= FEW_VALUES and len(levels := np.unique(values)) <= FEW_VALUES:
                numbers = self.table.numbers[inside]
                found += [RowSet(bitmap(numbers[values == level]), sources[name], "number") for level in levels]
        return found

    def clash(self, load: Load, released: ReleasedColumns, people: BitMap, over: str, names: set[str], within: int) -> bool:
        """Whether one of these columns, given over these people, is nearly another or a constant."""
        before = released.over(load, over)
        asked = {name_of(self.series[name]): name for name in names if name in self.series}
        new = [name for known_as, name in asked.items() if known_as not in before]
        if not new or not (self.made(new) or any(column.sums is not None for column in before.values())):
            return False
        sums = {name: column.sums for name, column in before.items() if column.sums is not None}
        sums |= {known_as: self.sums(name, people, over) for known_as, name in asked.items()}
        sums |= self._of_fields(people, {name for name in before if name not in sums}, asked.values())
        how = {name: column.making for name, column in before.items()}
        how |= {known_as: making(self.series[name]) for known_as, name in asked.items()}
        there = np.bincount(self._classes[self._inside(people)], minlength=CLASSES).astype(np.float64)
        return any(
            of_few_people(sums[name], [s for other, s in sums.items() if other != name], there, how[name], within)
            for name in sums
            if how[name] in ("records", "conditions")
        )

    def columns(self, people: BitMap, over: str, names: Iterable[str]) -> list[NumberColumn]:
        """What is to be written down of these columns once they are given over these people."""
        return [
            NumberColumn(
                name_of(self.series[name]), how, None if how == "field" else self.sums(name, people, over)
            )
            for name in names
            if name in self.series
            for how in (making(self.series[name]),)
        ]

    def sums(self, name: str, people: BitMap, over: str) -> Sums:
        """The sums of a column over each class of these people, worked out once."""
        if (name, over) not in self._sums:
            inside = self._inside(people)
            self._sums[name, over] = _added(self._classes[inside], self._values(name)[inside])
        return self._sums[name, over]

    def forget(self) -> None:
        """Let go of values; the sums stay."""
        self._read.clear()

    def _of_fields(self, people: BitMap, released: set[str], names: Iterable[str]) -> dict[str, Sums]:
        """The sums of columns of the data that have been given, and that one of these is made from: read for this alone."""
        wanted = {
            digest: series
            for name in names
            for digest, series in fields_of(self.series[name]).items()
            if digest in released
        }
        if not wanted:
            return {}
        columns = tuple(OutputColumn(name=f"c{place}", series=series) for place, series in enumerate(wanted.values()))
        cohort = Cohort(
            dataset=self.cohort.dataset, source=self.cohort.source, population=self.cohort.population, columns=columns
        )
        table = self.open(cohort)
        try:
            inside = _are_in(table.numbers, people)
            classes = classes_of(table.numbers[inside], self.seal)
            return {
                digest: _added(classes, _values(table, column.name)[inside])
                for digest, column in zip(wanted, columns, strict=True)
            }
        finally:
            table.close()

    @property
    def _classes(self) -> npt.NDArray[np.intp]:
        return classes_of(self.table.numbers, self.seal)

    def _inside(self, people: BitMap) -> npt.NDArray[np.bool_]:
        return _are_in(self.table.numbers, people)

    def _values(self, name: str) -> npt.NDArray[np.float64]:
        if name not in self._read:
            self._read[name] = _values(self.table, name)
        return self._read[name]


def _values(table: Table, name: str) -> npt.NDArray[np.float64]:
    parts = [np.asarray(arrays[0], dtype=np.float64) for arrays in blocks(table, (name,))]
    return np.concatenate([np.zeros(0), *parts])


def _are_in(numbers: npt.NDArray[np.uint32], people: BitMap) -> npt.NDArray[np.bool_]:
    """Which of these are among the people."""
    if len(people) == len(numbers):
        return np.ones(len(numbers), dtype=bool)
    marks = np.zeros(int(numbers.max(initial=0)) + 1, dtype=bool)
    marks[np.array(people.to_array(), dtype=np.intp)] = True
    return marks[numbers]


def _added(classes: npt.NDArray[np.intp], values: npt.NDArray[np.float64]) -> Sums:
    """Sums by class. Who has no value adds nothing."""
    known = np.where(np.isfinite(values), values, 0.0)
    return np.bincount(classes, known, minlength=CLASSES).astype(np.float64)
