"""Numbers that a plan makes, held against each other: none may be another one, or a constant, but for a few people.

Two means over the same people, of a column and of the same column with another value for one person, give that person's
value; so do two weights, offsets, outcomes or predictors. Who is in the answers does not tell them apart. So of every
number that is no column of the data as it stands, the site keeps the sum over the people in each of 256 classes, drawn
by a key. These sums add up as the columns do: where a column is a combination of others but for a few people, its sums
are the same combination but for the classes that those are in. The combination is found as the one with the least
absolute deviation, which a few wrong classes do not move.

A column that tells nobody apart from what is known already is refused like one that does, where conditions make it: whoever
gives one person another value if a secret of theirs is true would read the secret from the refusal.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from civicgrid.disclosure.row_sets import Load
from civicgrid.trust.seal import Seal

SCHEMA = """
create table if not exists released_columns (
    dataset text not null, epoch integer not null, snapshot text not null, people text not null, name text not null,
    making text not null, sums blob, primary key (dataset, epoch, snapshot, people, name));
"""

CLASSES = 256

FEW_VALUES = 3
"""A number with so many values at most is a table of counts: mean and spread say how many people have each."""

Sums = npt.NDArray[np.float64]

Making = Literal["field", "linear", "records", "conditions"]
"""A column of the data as it stands; sums and multiples of such; the same with values worked out of a person's records, or
of one column each; or anything else.
"""


@dataclass(frozen=True)
class NumberColumn:
    """A column of numbers over one set of people. Of a column of the data the sums are worked out when they are needed."""

    name: str
    making: Making
    sums: Sums | None = None


class ReleasedColumns:
    """The columns of numbers behind a site's answers, in the node's own database. The caller's transaction commits."""

    def __init__(self, connection: sqlite3.Connection, seal: Seal) -> None:
        self.connection, self.seal = connection, seal
        connection.executescript(SCHEMA)

    def over(self, load: Load, people: str) -> dict[str, NumberColumn]:
        """By name, the columns of which sums have been given over just these people."""
        found: dict[str, NumberColumn] = {}
        for epoch, name, making, closed in self.connection.execute(
            "select epoch, name, making, sums from released_columns "
            "where dataset = ? and epoch >= ? and snapshot = ? and people = ?",
            (load.dataset, load.epoch, load.snapshot, people),
        ):
            about = _about(load, epoch, people, name)
            sums = None if closed is None else np.frombuffer(self.seal.open(closed, about))
            found[name] = NumberColumn(name, making, sums)
        return found

    def enter(self, load: Load, people: str, columns: Iterable[NumberColumn]) -> None:
        """Write down columns that are being given over these people. The same column adds nothing."""
        rows = []
        for column in columns:
            closed = None
            if column.sums is not None:
                closed = self.seal.close(column.sums.tobytes(), _about(load, load.entered, people, column.name))
            rows.append((load.dataset, load.entered, load.snapshot, people, column.name, column.making, closed))
        self.connection.executemany("insert or ignore into released_columns values (?, ?, ?, ?, ?, ?, ?)", rows)


def classes_of(numbers: npt.NDArray[np.uint32], seal: Seal) -> npt.NDArray[np.intp]:
    """The class of each person, the same at each load, and foretold by nobody: the numbers, mixed as by SplitMix64 (Steele,
    Lea and Flood 2014, OOPSLA, figure 17) with a key in between.
    """
    start, between = np.frombuffer(seal.tag(b"classes of people")[:16], dtype="<u8")
    mixed = numbers.astype(np.uint64) + start
    for shift, factor in (30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor) ^ between
    return np.asarray(mixed >> np.uint64(56), dtype=np.intp)


def of_few_people(column: Sums, others: Sequence[Sums], people: Sums, making: Making, within: int) -> bool:
    """Whether a column is a constant, or a combination of others, but for 1 to `within` people; or for nobody, where it is
    made by conditions. `people` are how many there are in each class.
    """
    there = people > 0
    least = 0 if making == "conditions" else 1
    tried: list[Sequence[Sums]] = [(), others] if others else [()]
    if np.count_nonzero(there) < 4 * (len(others) + 1) + within:
        # Too few people to find many coefficients at once.
        tried += [(other,) for other in others]
    for known in tried:
        wrong = exceptions(column[there], np.stack([people, *known], axis=1)[there], within)
        right = int(np.count_nonzero(there)) - wrong
        if least <= wrong <= within and right > wrong + len(known) + 1:
            return True
    return False


def exceptions(wanted: Sums, columns: Sums, within: int) -> int:
    """In how many places a vector is not the combination of columns that fits it best elsewhere.

    Least absolute deviations by reweighted least squares (E.J. Candes and T. Tao 2005, IEEE Transactions on Information
    Theory 51:4203-4215, on why a few wrong places do not move them), then least squares over the best places.
    """
    columns = columns / np.maximum(np.abs(columns).max(axis=0), 1e-300)
    wanted = wanted / max(float(np.abs(wanted).max()), 1e-300)
    weights = np.ones(len(wanted))
    away = weights
    for step in range(_STEPS):
        solution = np.linalg.lstsq(columns * weights[:, None], wanted * weights, rcond=None)[0]
        away = np.abs(wanted - columns @ solution)
        weights = 1.0 / np.sqrt(np.maximum(away, 10.0 ** -min(2 + step, 12)))
    best = np.argsort(away, kind="stable")[: max(len(wanted) - 2 * within, columns.shape[1] + 1)]
    solution = np.linalg.lstsq(columns[best], wanted[best], rcond=None)[0]
    away = np.abs(wanted - columns @ solution)
    return int(np.count_nonzero(away > _ROUNDING * (1.0 + np.abs(solution).sum())))


_STEPS, _ROUNDING = 25, 1e-10


def _about(load: Load, epoch: int, people: str, name: str) -> str:
    return f"sums of {name} over {load.dataset} {epoch} {load.snapshot} {people}"
