"""A cohort at a site, open for the rounds of one run: the plan compiled, the table ready to be read again and again."""

from __future__ import annotations

import datetime as dt
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import pyarrow as pa
from pyroaring import BitMap

from civicgrid.curation.store import Store
from civicgrid.disclosure.codes import Code, Withheld
from civicgrid.disclosure.row_sets import Answered, RowSet
from civicgrid.disclosure.shapes import Share
from civicgrid.disclosure.thresholds import Thresholds
from civicgrid.errors import DataError
from civicgrid.methods.plan import Plan, reads
from civicgrid.node.columns import Numbers
from civicgrid.omop.vocabulary import unknown_concepts
from civicgrid.query.cohort import Cohort
from civicgrid.query.engines.duckdb import DuckDBEngine
from civicgrid.query.nodes import ConceptSet, RecordField, walk
from civicgrid.query.table import Table
from civicgrid.query.types import Schema
from civicgrid.wire import Holding, StudyRequest


class Data(ABC):
    """What a site's data looks like to the node, wherever it is kept."""

    @abstractmethod
    def holdings(self) -> tuple[Holding, ...]:
        """The data sets, as the site announces them."""

    def names(self) -> tuple[str, ...]:
        """The names of the data sets."""
        return tuple(held.name for held in self.holdings())

    @abstractmethod
    def numbering(self) -> str:
        """Names the numbers that people have here: under another name they are other people's."""

    @abstractmethod
    def tables(self, dataset: str) -> tuple[str, ...]:
        """For an OMOP data set: the tables that the load held."""

    @abstractmethod
    def people(self, dataset: str) -> BitMap:
        """The numbers of all people of a data set, for the release ledger alone."""

    @abstractmethod
    def loaded(self, dataset: str) -> dt.datetime:
        """When the present load of a data set was made."""

    @abstractmethod
    def open(self, cohort: Cohort) -> Table:
        """The cohort's table. DataError where the data set, a column or a concept is not there."""


class Stored(Data):
    """The data in a node's own DuckDB file.

    Of the cohorts that are done with, the last `keep` are kept with the columns that were read, for whoever asks about
    the same people again.
    """

    def __init__(self, store: Store, cache_bytes: int, keep: int = 0) -> None:
        self.store, self.cache_bytes, self.keep = store, cache_bytes, keep
        self._kept: dict[tuple[str, str], Cached] = {}

    def holdings(self) -> tuple[Holding, ...]:
        return tuple(
            Holding(name=held.name, kind=held.kind, snapshot=held.snapshot, dictionary=held.schema)
            for held in self.store.datasets()
        )

    def numbering(self) -> str:
        return self.store.numbering

    def tables(self, dataset: str) -> tuple[str, ...]:
        return self.store.dataset(dataset).tables

    def people(self, dataset: str) -> BitMap:
        return self.store.people(dataset)

    def loaded(self, dataset: str) -> dt.datetime:
        return self.store.loaded(dataset)

    def open(self, cohort: Cohort) -> Table:
        held = self.store.dataset(cohort.dataset)
        if (held.kind == "table") != (cohort.source == "records"):
            raise DataError(f"The data set {held.name} is of another kind than the plan expects.")
        key = (cohort.digest(), held.snapshot)
        if key in self._kept:
            return self._kept.pop(key)
        cursor = self.store.cursor()
        if held.kind == "omop":
            unread = {read.split(".", 1)[0] for read in reads(cohort)} - set(held.tables)
            if unread:
                raise DataError(f"The load of {held.name} had no table {', '.join(sorted(unread))}.")
        ids = {concept.id for node in walk(cohort) if isinstance(node, ConceptSet) for concept in node.concepts}
        if ids and unknown_concepts(cursor, held.name, sorted(ids)):
            raise DataError("The plan names concepts that are not in this site's vocabulary.")
        table = DuckDBEngine(cursor).table(cohort, held.snapshot, held.name)
        reading = self.store.frugal if table.plain else freely
        return Cached(table, self.cache_bytes, reading, lambda cached: self._done(key, cached))

    def _done(self, key: tuple[str, str], cached: Cached) -> None:
        """Keep a table that is done with, and let go of the one that has been kept longest."""
        twin = self._kept.pop(key, None)
        if twin is not None:
            twin.free()
        self._kept[key] = cached
        while len(self._kept) > self.keep:
            self._kept.pop(next(iter(self._kept))).free()


def freely(columns: int) -> AbstractContextManager[None]:
    """In as much memory as there is."""
    return nullcontext()


class Cached(Table):
    """A table that keeps a column in memory once it has been read, as long as all of them together fit."""

    def __init__(
        self,
        table: Table,
        limit: int,
        reading: Callable[[int], AbstractContextManager[None]] = freely,
        done: Callable[[Cached], None] | None = None,
    ) -> None:
        self.table, self.limit, self.reading, self.done = table, limit, reading, done
        self.schema, self.snapshot = table.schema, table.snapshot
        self.kept: dict[tuple[str, ...], list[pa.RecordBatch]] = {}

    @property
    def rows(self) -> int:
        return self.table.rows

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        key = tuple(columns)
        if key in self.kept:
            yield from self.kept[key]
            return
        if self.rows * 8 * max(len(key), 1) > self.limit:
            yield from self.table.batches(columns)
            return
        # One set of columns at a time: a node's memory stays near the size of the table that is being read.
        self.kept.clear()
        self.kept[key] = self._read(key)
        yield from self.kept[key]

    def _read(self, columns: tuple[str, ...]) -> list[pa.RecordBatch]:
        """All batches at once: a reader who stops early would leave the rest to be read again."""
        try:
            with self.reading(len(columns)):
                return list(self.table.batches(columns))
        except DataError:
            # The little memory that it was to be read in was too little. For any other reason it fails again.
            return list(self.table.batches(columns))

    def persons(self) -> Iterator[pa.Array]:
        yield from self.table.persons()

    def close(self) -> None:
        if self.done is None:
            self.free()
        else:
            self.done(self)

    def free(self) -> None:
        """Let go of columns and table."""
        self.kept.clear()
        self.table.close()


@dataclass
class Session:
    """One run at one site. `rows` names the people, whatever words picked them out and whatever is asked of them.

    `first` keeps, by analysis, the first Ask of its method and this site's share, worked out when the roster was signed;
    for the ledger, `answers` keeps the sets of people behind each, `entered` which of these are written down, by epoch,
    `summed` those over which there are sums of columns of the cohort, `numbers` the sums of these columns, `asks` the
    digests of what has been asked about `rows`, and `checked` at which state of the ledger, and under which thresholds, all
    analyses were held against it; `fitting` which analyses can be answered here at all.
    """

    request: StudyRequest
    table: Table
    rows: str
    first: dict[str, tuple[bytes, Share]] = field(default_factory=dict)
    answers: dict[str, Answered] = field(default_factory=dict)
    entered: set[tuple[int, str]] = field(default_factory=set)
    numbers: Numbers | None = None
    summed: dict[str, tuple[RowSet, ...]] = field(default_factory=dict)
    asks: set[str] | None = None
    checked: tuple[int, Thresholds] | None = None
    fitting: dict[tuple[str, Thresholds], bool] = field(default_factory=dict)

    def enough(self, analysis: str, thresholds: Thresholds) -> bool:
        """Whether an analysis can be answered here at all, worked out once. See `Method.enough`."""
        key = (analysis, thresholds)
        if key not in self.fitting:
            self.fitting[key] = self.request.plan.methods[analysis].enough(self.table, thresholds)
        return self.fitting[key]


def open_session(request: StudyRequest, data: Data) -> Session:
    """The session of a study, or Withheld(NO_DATA) where the site does not hold what its plan asks for."""
    try:
        _agree(request.plan, data.holdings())
        table = data.open(request.plan.cohort)
    except DataError as error:
        raise Withheld(Code.NO_DATA, str(error)) from None
    return Session(request, table, rows_of(table))


def rows_of(table: Table) -> str:
    """The digest that names these people at this snapshot: of their numbers, not of the words that picked them out."""
    name = hashlib.sha256(table.snapshot.encode())
    name.update(table.numbers.tobytes())
    return name.hexdigest()


def _agree(plan: Plan, holdings: tuple[Holding, ...]) -> None:
    """The plan's columns are typed as this site's dictionary types them. Ranges are public guesses and may differ."""
    held = {holding.name: holding for holding in holdings}.get(plan.dataset)
    if held is None:
        raise DataError("The site does not hold the data set.")
    if held.dictionary is None or plan.cohort.source != "records":
        return
    for name, kind, levels in _record_columns(plan):
        if name not in held.dictionary:
            raise DataError(f"The data set has no column {name!r}.")
        own = held.dictionary[name]
        if own.kind != kind or (own.levels and set(levels) - set(own.levels)):
            raise DataError(f"The column {name!r} is described otherwise in this site's dictionary.")


def _record_columns(plan: Plan) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    for node in walk(plan.cohort):
        if isinstance(node, RecordField):
            yield node.column, node.type.kind, node.type.levels


def schemas(holdings: Sequence[Holding]) -> dict[str, Schema]:
    """The dictionaries among some holdings, by data set."""
    return {holding.name: holding.dictionary for holding in holdings if holding.dictionary is not None}
