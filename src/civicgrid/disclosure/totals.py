"""Totals under several lists of sites: whether the part of a site that cannot stand alone comes out of them together.

A masked total is known for one set of people and one list of sites. Whoever holds several can multiply, add and
subtract them. As long as all are under one list, each site's part goes in by the same factors, and what is left over is
for the site's own ledger of sets (`disclosure.row_sets`) to judge. Under several lists a site may cancel against itself:
out comes the part of another one, which was on one of the lists alone.

To a site its own part of a total is a vector with a 1 for each of its people in the set. A set is *weak* under a list once
it was answered there though some member could not stand alone; else it is strong. The rule, for every list: no combination
of its weak sets is one of the sets under other lists; and if one is made of strong sets of the list and of others, it is
made of the strong sets of the list alone (men are everybody less women). Then, where one site has people of every kind that
the questions tell apart, what comes out of several lists is made of answers in which everybody stood alone.

People have one number in all data sets of a site, so a list of sites is one list whatever the data set.

Vectors are kept as sketches: 512 sums, modulo a prime, of factors of the people that only this site can work out. A sketch
is linear, so it keeps every way in which vectors add up to others. Two spaces may seem to meet that do not, once they hold
close to 512 different sets together; that is refused too.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from civicgrid.disclosure.row_sets import Load, RowSet
from civicgrid.trust.seal import Seal

SCHEMA = """
create table if not exists totals (
    epoch integer not null, party text not null, digest text not null, weak integer not null, sketch blob not null,
    primary key (epoch, party, digest));
"""

PRIME = 2**31 - 1
PLACES = 512

Sketch = npt.NDArray[np.int64]
Party = tuple[str, ...]


class Totals:
    """The lists under which a site has answered, in the node's own database. The caller's transaction commits.

    `entered` counts what was entered or forgotten: while it stands still, a judgement holds.
    """

    def __init__(self, connection: sqlite3.Connection, seal: Seal) -> None:
        self.connection, self.seal = connection, seal
        connection.executescript(SCHEMA)
        self.entered = 0
        self._factors = np.zeros(0, dtype=np.uint32)
        self._places = np.zeros(0, dtype=np.uint16)

    def overlap(self, load: Load, party: Party, weak: bool, sets: Sequence[RowSet]) -> bool | None:
        """Whether these sets, answered under this list, meet what other lists span; None where the rule would be broken.

        `weak` says that a member of the list cannot stand alone in this answer.
        """
        lists = self._lists(load)
        if not set(lists) - {party}:
            return False
        spans = {other: self._sketches(load, other) for other in lists}
        new = _together(self.sketch(part)[None] for part in sets)
        before = _together(spans.get(party, ()))
        strong, weaker = spans.get(party, (_none(), _none()))
        spans[party] = (strong, _together([weaker, new])) if weak else (_together([strong, new]), weaker)
        for one, (strong, weaker) in spans.items():
            others = _together(part for other, both in spans.items() if other != one for part in both)
            if _common(weaker, others) or _common(weaker, _together([strong, others])) > _common(weaker, strong):
                return None
        others = _together(part for other, both in spans.items() if other != party for part in both)
        return bool(_common(new, others)) or _common(new, _together([before, others])) > _common(new, before)

    def enter(self, load: Load, party: Party, weak: bool, sets: Iterable[RowSet]) -> None:
        """Write down an answer that is being released."""
        self.entered += 1
        for part in sets:
            key = (load.entered, " ".join(party), part.digest)
            found = self.connection.execute(
                "update totals set weak = max(weak, ?) where epoch = ? and party = ? and digest = ?",
                (int(weak), *key),
            )
            if not found.rowcount:
                sketch = self.sketch(part).astype("<u4").tobytes()
                closed = self.seal.close(sketch, _about(*key))
                self.connection.execute("insert into totals values (?, ?, ?, ?, ?)", (*key, int(weak), closed))

    def forget(self) -> None:
        """A transaction in which something was entered has been rolled back."""
        self.entered += 1

    def sketch(self, part: RowSet) -> Sketch:
        """The sums of the factors of a set's people, each person in one of the places."""
        numbers = np.array(part.people.to_array(), dtype=np.uint32)
        if len(numbers) and numbers[-1] >= len(self._factors):
            self._draw(int(numbers[-1]) + 1)
        # Exact in floating point: below 2^53 for as many people as there are numbers.
        sums = np.bincount(self._places[numbers], weights=self._factors[numbers], minlength=PLACES)
        return sums.astype(np.int64) % PRIME

    def _draw(self, people: int) -> None:
        """Place and factor of every number below this one, by the mixing function of SplitMix64 from a secret start.

        Source: G. Steele, D. Lea and C. Flood (2014), Fast splittable pseudorandom number generators, OOPSLA.
        """
        start = int.from_bytes(self.seal.tag(b"sketches of totals")[:8], "little")
        step, first, second = (np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
        drawn = np.arange(people, dtype=np.uint64) * step + np.uint64(start)
        drawn = (drawn ^ (drawn >> np.uint64(30))) * first
        drawn = (drawn ^ (drawn >> np.uint64(27))) * second
        drawn ^= drawn >> np.uint64(31)
        self._places = (drawn % np.uint64(PLACES)).astype(np.uint16)
        self._factors = ((drawn >> np.uint64(16)) % np.uint64(PRIME - 1) + np.uint64(1)).astype(np.uint32)

    def _lists(self, load: Load) -> set[Party]:
        found = self.connection.execute("select distinct party from totals where epoch >= ?", (load.epoch,))
        return {tuple(str(party).split()) for (party,) in found}

    def _sketches(self, load: Load, party: Party) -> tuple[Sketch, Sketch]:
        """The strong sets under a list, and the weak ones."""
        named = " ".join(party)
        found = self.connection.execute(
            "select epoch, digest, max(weak), sketch from totals where epoch >= ? and party = ? group by digest",
            (load.epoch, named),
        ).fetchall()
        opened = [(weak, self.seal.open(closed, _about(epoch, named, digest))) for epoch, digest, weak, closed in found]
        strong, weaker = (b"".join(raw for weak, raw in opened if bool(weak) is which) for which in (False, True))
        return _read(strong), _read(weaker)


def _read(raw: bytes) -> Sketch:
    return np.frombuffer(raw, "<u4").astype(np.int64).reshape(-1, PLACES)


def _common(one: Sketch, other: Sketch) -> int:
    """How many dimensions two spaces have in common."""
    return rank(one) + rank(other) - rank(_together([one, other])) if len(one) and len(other) else 0


def rank(rows: Sketch) -> int:
    """How many of the rows are independent modulo the prime, by elimination."""
    left, found = np.unique(rows, axis=0), 0
    for column in range(rows.shape[1]):
        there = np.flatnonzero(left[found:, column])
        if not len(there):
            continue
        pivot = found + int(there[0])
        left[[found, pivot]] = left[[pivot, found]]
        first = left[found] * pow(int(left[found, column]), PRIME - 2, PRIME) % PRIME
        below = found + 1 + np.flatnonzero(left[found + 1 :, column])
        left[below, column:] = (left[below, column:] - left[below, column, None] * first[column:]) % PRIME
        found += 1
        if found == len(left):
            break
    return found


def _none() -> Sketch:
    return np.zeros((0, PLACES), dtype=np.int64)


def _together(spans: Iterable[Sketch]) -> Sketch:
    return np.concatenate([_none(), *spans])


def _about(epoch: int, party: str, digest: str) -> str:
    return f"total of {epoch} {party} {digest}"
