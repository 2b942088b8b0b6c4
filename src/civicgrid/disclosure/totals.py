"""Totals under several lists of sites: whether the part of a site that cannot stand alone comes out of them together.

A masked total is known for one set of people and one list of sites. Whoever holds several can multiply, add and
subtract them. As long as all are under one list, each site's part goes in by the same factors, and what is left over is
for the site's own ledger of sets (`disclosure.row_sets`) to judge. Under several lists a site may cancel against itself:
out comes the part of another one, which was on one of the lists alone.

To a site its own part of a total is a vector with a 1 for each of its people in the set. For each list it keeps the space
that the vectors of its answers span. A list is *weak* once anything was answered under it in which some member could not
stand alone. The rule: the space of a weak list has nothing in common with what all other lists span together. Then what is
subtracted so that nothing of this site is left over cancels under every weak list by itself, so that several lists give
nothing that one of them does not give. Lists on which everybody stands alone may overlap.

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
create table if not exists lists (
    dataset text not null, epoch integer not null, party text not null, weak integer not null,
    primary key (dataset, epoch, party));
create table if not exists totals (
    dataset text not null, epoch integer not null, party text not null, digest text not null, sketch blob not null,
    primary key (dataset, epoch, party, digest));
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
        """Whether these sets, answered under this list, would meet what other lists span; None where they may not.

        `weak` says that a member of the list cannot stand alone in this answer.
        """
        known = self._lists(load)
        if not set(known) - {party}:
            return False
        spans = {other: self._sketches(load, other) for other in known}
        spans[party] = np.concatenate([spans.get(party, _none()), *(self.sketch(part)[None] for part in sets)])
        known[party] = weak or known.get(party, False)
        strong = [spans[other] for other in known if not known[other]]
        apart = sum(rank(spans[other]) for other in known if known[other]) + rank(_together(strong))
        if rank(_together(spans.values())) < apart:
            return None
        if known[party]:
            return False
        others = _together(spans[other] for other in known if not known[other] and other != party)
        return rank(_together(strong)) < rank(spans[party]) + rank(others)

    def enter(self, load: Load, party: Party, weak: bool, sets: Iterable[RowSet]) -> None:
        """Write down an answer that is being released."""
        self.entered += 1
        key = (load.dataset, load.epoch, " ".join(party))
        self.connection.execute(
            "insert into lists values (?, ?, ?, ?) on conflict do update set weak = max(weak, excluded.weak)",
            (*key, int(weak)),
        )
        for part in sets:
            held = self.connection.execute(
                "select 1 from totals where dataset = ? and epoch = ? and party = ? and digest = ?", (*key, part.digest)
            ).fetchone()
            if held is None:
                sketch = self.sketch(part).astype("<u4").tobytes()
                self.connection.execute(
                    "insert into totals values (?, ?, ?, ?, ?)",
                    (*key, part.digest, self.seal.close(sketch, _about(load, party, part.digest))),
                )

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

    def _lists(self, load: Load) -> dict[Party, bool]:
        found = self.connection.execute(
            "select party, weak from lists where dataset = ? and epoch = ?", (load.dataset, load.epoch)
        )
        return {tuple(str(party).split()): bool(weak) for party, weak in found}

    def _sketches(self, load: Load, party: Party) -> Sketch:
        found = self.connection.execute(
            "select digest, sketch from totals where dataset = ? and epoch = ? and party = ?",
            (load.dataset, load.epoch, " ".join(party)),
        )
        opened = [self.seal.open(closed, _about(load, party, digest)) for digest, closed in found]
        return np.frombuffer(b"".join(opened), "<u4").astype(np.int64).reshape(-1, PLACES)


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


def _about(load: Load, party: Party, digest: str) -> str:
    return f"total of {load.dataset} {load.epoch} {' '.join(party)} {digest}"
