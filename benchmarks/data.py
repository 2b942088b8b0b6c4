"""Made-up data for the benchmarks: a logistic outcome on twenty numbers, dealt to six sites of unequal size."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from civicgrid.curation.dictionary import Dictionary, DictionaryColumn
from civicgrid.query.types import ColumnType

SITES = ("cambridge", "london", "midlands", "oxford", "scotland", "wales")
SHARES = (0.17, 0.31, 0.23, 0.14, 0.11, 0.04)
PREDICTORS = 20

Array = npt.NDArray[np.float64]


def logistic(rows: int, seed: int = 20) -> tuple[Array, Array]:
    """Predictors of shape (rows, 20) in column order, standard normal with some correlation, and a 0/1 outcome."""
    rng = np.random.default_rng(seed)
    x = np.empty((rows, PREDICTORS), order="F")
    common = rng.standard_normal(rows)
    for column in range(PREDICTORS):
        x[:, column] = 0.9 * rng.standard_normal(rows) + 0.4 * common
    slopes = np.linspace(-0.5, 0.5, PREDICTORS)
    y = (rng.random(rows) < 1 / (1 + np.exp(1.5 - x @ slopes))).astype(np.float64)
    return x, y


def dictionary() -> Dictionary:
    """Public ranges, as a data dictionary declares them."""
    number = ColumnType(kind="float", low=-8.0, high=8.0)
    columns = [DictionaryColumn(name=f"x{i}", type=number) for i in range(PREDICTORS)]
    return Dictionary(columns=(*columns, DictionaryColumn(name="y", type=ColumnType(kind="float", low=0.0, high=1.0))))


def dealt(x: Array, y: Array) -> dict[str, pa.Table]:
    """The rows in six unequal shares, as Arrow tables over the same memory."""
    ends = np.round(np.cumsum(SHARES) / sum(SHARES) * len(y)).astype(int)
    tables, start = {}, 0
    for site, end in zip(SITES, ends, strict=True):
        columns = {f"x{i}": pa.array(x[start:end, i]) for i in range(PREDICTORS)}
        tables[site] = pa.table({**columns, "y": pa.array(y[start:end])})
        start = end
    return tables
