"""The contract of a statistical method: frozen parameters, a half that runs at the site, a half that runs
at the hub.

    class Count(Method):
        def site(self, table, ask): ...      at the node: reads the table, gives back sums, never rows
        def coordinate(self, schema): ...    at the hub: yields Asks, gets the sums of all sites, returns a
        RawOutput

The parameters are pydantic fields: client, API, form, documentation and node all read them from the class.
Both halves take what they need about the columns (types, levels, public ranges) from the plan's schema,
never from the data, so that every site gives back arrays of the same shape. Between rounds a site keeps no
state; it may keep a cache.
"""

from __future__ import annotations

import hashlib
import math
from abc import abstractmethod
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import msgpack
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, PrivateAttr, ValidationError

from civicgrid.canonical import Node
from civicgrid.disclosure.row_sets import RowSet
from civicgrid.disclosure.shapes import Combined, RawOutput, Share
from civicgrid.disclosure.thresholds import Thresholds
from civicgrid.errors import PlanError
from civicgrid.packed import unpack
from civicgrid.query.table import Table
from civicgrid.query.types import Schema

Array = npt.NDArray[Any]

BLOCK = 8192
"""Rows a block: a model's design of 20 columns stays in a second-level cache; 65,536 cost six times as
much.
"""

MOST_ROUNDS = 100
"""Rounds of one analysis, unless its method says fewer."""

MOST_FAULTS = 5
"""Faults of a method's parameters that a message lists."""

MAX_DIMENSIONS, MAX_SIDE = 4, 1_000_000
MAX_ITEMS = 100_000


@dataclass(frozen=True)
class Ask:
    """What the hub asks of every site in one round: a step of the method, with the numbers that it needs.

    Everything in it is public to all sites of the roster. `arrays` hold float64 or int64.
    """

    step: str
    arrays: Mapping[str, Array] = field(default_factory=dict)
    values: Mapping[str, int | float | str | bool] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """One byte form: keys in order, arrays as raw little-endian buffers."""
        arrays = {
            name: [array.dtype.str, list(array.shape), np.ascontiguousarray(array).tobytes()]
            for name, array in sorted(self.arrays.items())
        }
        packed: bytes = msgpack.packb([self.step, arrays, dict(sorted(self.values.items()))])
        return packed

    @classmethod
    def from_bytes(cls, raw: bytes) -> Ask:
        """Read an Ask back. ValueError for anything but the form above: it comes from a hub that may be hostile."""
        try:
            step, arrays, values = unpack(raw, MAX_ITEMS)
        except TypeError:
            raise ValueError("expected a step, arrays and values") from None
        if not isinstance(step, str) or not isinstance(arrays, dict) or not isinstance(values, dict):
            raise ValueError("expected a step, arrays and values")
        if not all(isinstance(name, str) for name in (*arrays, *values)):
            raise ValueError("expected every array and value under a name")
        if not all(isinstance(value, int | float | str | bool) and _finite(value) for value in values.values()):
            raise ValueError("expected finite numbers, text or booleans as values")
        return cls(step, {name: _array(form) for name, form in arrays.items()}, values)

    def only(self, *names: str) -> None:
        """PlanError where there is more in the Ask than these arrays and values: a site reads what it expects, no more."""
        if more := sorted({*self.arrays, *self.values} - set(names)):
            raise PlanError(f"Expected nothing else in the round {self.step!r}; {len(more)} more came. Nothing was sent.")

    def digest(self) -> str:
        return hashlib.sha256(self.to_bytes()).hexdigest()


def _finite(value: int | float | str | bool) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def _array(form: Any) -> Array:
    """An array from its data type, shape and buffer. ValueError where the three do not agree, or a number is not finite."""
    if not isinstance(form, list) or len(form) != 3:
        raise ValueError("expected an array as its data type, shape and buffer")
    dtype, shape, data = form
    if dtype not in ("<f8", "<i8"):
        raise ValueError("expected an array of <f8 or <i8")
    if not isinstance(data, bytes) or not isinstance(shape, list) or len(shape) > MAX_DIMENSIONS:
        raise ValueError(f"expected a buffer, and a shape of at most {MAX_DIMENSIONS} dimensions")
    if not all(type(size) is int and 0 <= size <= MAX_SIDE for size in shape):
        raise ValueError(f"expected sides from 0 to {MAX_SIDE:,}")
    read = np.frombuffer(data, dtype=dtype).reshape(shape)
    if not np.isfinite(read).all():
        raise ValueError("expected finite numbers in every array")
    return read


Coordination = Generator[Ask, Combined, RawOutput]

OPEN = Thresholds.open()


class Method(Node):
    """A statistical method with its parameters. Subclasses say what they estimate, with formula and source.

    The first positional argument is the table that the method is run on: a cohort, or a data set by its
    handle. It is not a parameter: in a plan it stands once for all methods. `version` rises with any
    change to what travels.
    """

    version: ClassVar[int] = 1
    rough: ClassVar[bool] = False
    """Whether each site answers by itself and roughly: then no answer is exact enough to be taken from another."""
    _source: Any = PrivateAttr(default=None)

    kind: str = Field(description="The method's name.")

    def __init__(self, source: Any = None, /, *unnamed: Any, **parameters: Any) -> None:
        name = type(self).__name__
        if unnamed:
            raise PlanError(f"{name} takes the table alone without a name. {self._parameters()}")
        try:
            super().__init__(**parameters)
        except ValidationError as error:
            raise PlanError(f"This is not a valid {name}: {self._faults(error)}. {self._parameters()}") from None
        self._source = source

    @classmethod
    def _described(cls) -> dict[str, str]:
        """What each parameter is, by the name that it is written under."""
        fields = {info.alias or field: info for field, info in cls.model_fields.items() if field != "kind"}
        return {name: info.description or "" for name, info in fields.items()}

    @classmethod
    def _parameters(cls) -> str:
        names = [f"{name}=…" for name in cls._described()]
        return f"Write {cls.__name__}({', '.join(['table', *names])})."

    @classmethod
    def _faults(cls, error: ValidationError) -> str:
        """What is wrong with which parameter, without the values that came."""
        words, known = [], cls._described()
        for fault in error.errors(include_url=False, include_context=False, include_input=False):
            name = str(fault["loc"][0]) if fault["loc"] else "value"
            if fault["type"] == "missing":
                words.append(f"{name} is missing: {known.get(name, '').rstrip('.')}")
            elif fault["type"] == "extra_forbidden":
                words.append(f"it has no parameter {name!r}")
            else:
                words.append(f"{name}: {fault['msg'].replace('Input should be', 'expected')}")
        return "; ".join(words[:MOST_FAULTS])

    @property
    def source(self) -> Any:
        """The table that the method was written for, or None inside a plan."""
        return self._source

    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """The columns that the method reads, each once."""

    @abstractmethod
    def check(self, schema: Schema) -> None:
        """Raise PlanError, saying what to write instead, unless the method makes sense on these columns."""

    @abstractmethod
    def explain(self, schema: Schema) -> str:
        """What is worked out, in one or two plain sentences. Any change of a parameter changes the words."""

    def most_rounds(self) -> int:
        """How many rounds of one run a site answers at most."""
        return MOST_ROUNDS

    def enough(self, table: Table, thresholds: Thresholds) -> bool:
        """Whether this site's people are so many, and none of them so far out, that what it gives can pass its rules.

        Where not, it sits the analysis out under a pooled threshold: it gives the sums of nobody.
        """
        return True

    @abstractmethod
    def site(self, table: Table, ask: Ask) -> Share:
        """At a node: the sums that this round asks for, over this site's people."""

    @abstractmethod
    def row_sets(self, table: Table) -> tuple[RowSet, ...]:
        """At a node: the people behind the answer, beside everybody in the cohort, for the release ledger.

        `methods.row_sets` builds them. `RowSet.columns` names columns of the cohort.
        """

    @abstractmethod
    def coordinate(self, schema: Schema, thresholds: Thresholds = OPEN) -> Coordination:
        """At the hub: yield an Ask, get the sum of the sites' shares, until there is an output to return.

        `thresholds` are those that the output will be published under, for a method that can fail: below them it says
        only that, since why a fit to a few people fails is about those people.

        FitError where there is no finite or no unique answer, with the reason. Must be deterministic:
        after a restart it is run again over the stored sums, and its Asks must come out the same to the byte.
        """


def blocks(table: Table, columns: tuple[str, ...], size: int = BLOCK) -> Iterator[list[Array]]:
    """The columns as NumPy arrays, at most `size` rows at a time, small enough to stay in cache.

    bool comes as float64 (0, 1, NaN missing), int and float as float64 (NaN missing), category as int32
    codes (-1 missing). Floats and codes without missing values are views into the batch; the rest is
    converted block by block.
    """
    for batch in table.batches(columns):
        sources = [batch.column(i) for i in range(batch.num_columns)]
        views = [_view(column) for column in sources]
        for start in range(0, batch.num_rows, size):
            stop = min(start + size, batch.num_rows)
            yield [
                _converted(column.slice(start, stop - start)) if view is None else view[start:stop]
                for column, view in zip(sources, views, strict=True)
            ]


def _view(column: pa.Array) -> Array | None:
    if column.null_count or not (pa.types.is_int32(column.type) or pa.types.is_float64(column.type)):
        return None
    return _numpy(column)


def _converted(column: pa.Array) -> Array:
    if pa.types.is_int32(column.type):
        return _numpy(pc.call_function("coalesce", [column, _NO_LEVEL]))
    return _numpy(pc.call_function("coalesce", [column.cast(pa.float64(), safe=False), _NOT_A_NUMBER]))


def _numpy(column: pa.Array) -> Array:
    """The column's buffer as it lies. By DLPack: `to_numpy`, `scalar` and `fill_null` load pandas into every node."""
    return np.from_dlpack(column)


def _constant(value: Array, kind: pa.DataType) -> pa.Scalar:
    return pa.Array.from_buffers(kind, 1, [None, pa.py_buffer(value.tobytes())])[0]


_NO_LEVEL = _constant(np.array([-1], dtype=np.int32), pa.int32())
_NOT_A_NUMBER = _constant(np.array([np.nan]), pa.float64())
