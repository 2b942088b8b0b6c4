"""An append-only log as a Merkle tree: RFC 9162, section 2.1, with SHA-256.

The hashes of complete subtrees are kept, each by its level and its place in that level: the subtree (level, index) holds
the leaves from index * 2^level on. A new leaf completes on average two of them, and they never change, so an append is a
few small writes. Tree heads and proofs are put together from at most twice as many of them as the tree has levels.

`Nodes` is all that is asked of whatever keeps them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol

from civicgrid.errors import TrustError

Place = tuple[int, int]
"""Level and index of a complete subtree."""

EMPTY = hashlib.sha256(b"").digest()
"""The head of a tree without leaves (section 2.1.1)."""

SIZE = 32


class Nodes(Protocol):
    """Where the hashes of complete subtrees are kept."""

    def hashes(self, places: Collection[Place]) -> Mapping[Place, bytes]: ...


def leaf_hash(entry: bytes) -> bytes:
    """The hash of an entry."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two subtrees side by side."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def appended(size: int, leaves: Iterable[bytes], nodes: Nodes) -> dict[Place, bytes]:
    """The subtrees that are completed by adding these leaf hashes to a tree of `size` leaves: what is to be kept."""
    ends = dict(nodes.hashes(subtrees(0, size)))
    made: dict[Place, bytes] = {}
    for index, leaf in enumerate(leaves, size):
        place, value = (0, index), leaf
        made[place] = value
        while place[1] % 2:
            left = (place[0], place[1] - 1)
            value = node_hash(made[left] if left in made else ends[left], value)
            place = (place[0] + 1, place[1] // 2)
            made[place] = value
    return made


def head(size: int, nodes: Nodes) -> bytes:
    """The tree head over the first `size` leaves."""
    return _fold(0, size, nodes.hashes(subtrees(0, size))) if size else EMPTY


def inclusion(index: int, size: int, nodes: Nodes) -> tuple[bytes, ...]:
    """The proof that leaf `index` is in the tree of `size` leaves (section 2.1.3.1)."""
    if not 0 <= index < size:
        raise TrustError(f"Expected an entry from 0 to {size - 1} of a log of {size}; {index} was asked for.")
    return _hashed(_path(index, size), nodes)


def consistency(first: int, second: int, nodes: Nodes) -> tuple[bytes, ...]:
    """The proof that the tree of `second` leaves begins with that of `first` (section 2.1.4.1)."""
    if not 0 < first <= second:
        raise TrustError(f"Expected two sizes of a log, from 1 up and the smaller first; {first} and {second} came.")
    return _hashed(_subproof(first, second), nodes)


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Raise TrustError unless the proof leads from the leaf hash to the tree head (section 2.1.3.2)."""
    _check_hashes((leaf, root, *proof))
    if not 0 <= index < size:
        raise TrustError(f"Expected an entry from 0 to {size - 1}; the proof is for {index}.")
    number, last, value = index, size - 1, leaf
    for part in proof:
        if last == 0:
            raise TrustError("The proof of inclusion is longer than the log is high.")
        if number & 1 or number == last:
            value = node_hash(part, value)
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            value = node_hash(value, part)
        number, last = number >> 1, last >> 1
    if last or value != root:
        raise TrustError(f"The entry {index} is not in the log of {size} entries that was signed.")


def verify_consistency(first: int, second: int, old: bytes, new: bytes, proof: Sequence[bytes]) -> None:
    """Raise TrustError unless the log of `second` entries begins with that of `first` (section 2.1.4.2).

    Every log begins with the empty one, and that takes no proof.
    """
    _check_hashes((old, new, *proof))
    if not 0 <= first <= second:
        raise TrustError(f"The log has shrunk: it had {first} entries, and has {second}.")
    if first in (0, second):
        if proof or (old != new if first else old != EMPTY) or (not second and new != EMPTY):
            raise TrustError(f"The log of {second} entries is not the one that was seen before.")
        return
    parts = list(proof)
    if not first & (first - 1):
        parts.insert(0, old)
    if not parts:
        raise TrustError("Expected a proof of consistency; an empty one came.")
    number, last = first - 1, second - 1
    while number & 1:
        number, last = number >> 1, last >> 1
    older = newer = parts[0]
    for part in parts[1:]:
        if last == 0:
            raise TrustError("The proof of consistency is longer than the log is high.")
        if number & 1 or number == last:
            older, newer = node_hash(part, older), node_hash(part, newer)
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            newer = node_hash(newer, part)
        number, last = number >> 1, last >> 1
    if last or older != old or newer != new:
        raise TrustError(f"The log of {second} entries does not begin with the {first} that were seen before.")


def subtrees(start: int, end: int) -> list[Place]:
    """The complete subtrees that the leaves from start to before end fall into, from the left, the largest possible.

    `start` is a multiple of the largest, as every split of section 2.1 has it.
    """
    places = []
    while start < end:
        level = (end - start).bit_length() - 1
        places.append((level, start >> level))
        start += 1 << level
    return places


Range = tuple[int, int]


def _split(start: int, end: int) -> int:
    """Where section 2.1.1 divides these leaves: after the largest power of two that is smaller than their number."""
    return start + (1 << ((end - start - 1).bit_length() - 1))


def _path(index: int, size: int) -> list[Range]:
    found: list[Range] = []
    start, end = 0, size
    while end - start > 1:
        middle = _split(start, end)
        if index < middle:
            found.append((middle, end))
            end = middle
        else:
            found.append((start, middle))
            start = middle
    return found[::-1]


def _subproof(first: int, second: int) -> list[Range]:
    found: list[Range] = []
    start, end, whole = 0, second, True
    while first != end:
        middle = _split(start, end)
        if first <= middle:
            found.append((middle, end))
            end = middle
        else:
            found.append((start, middle))
            start, whole = middle, False
    if not whole:
        found.append((start, end))
    return found[::-1]


def _hashed(ranges: Sequence[Range], nodes: Nodes) -> tuple[bytes, ...]:
    """The head over each range, all subtrees asked for at once."""
    places = [place for start, end in ranges for place in subtrees(start, end)]
    found = nodes.hashes(places) if places else {}
    return tuple(_fold(start, end, found) for start, end in ranges)


def _fold(start: int, end: int, found: Mapping[Place, bytes]) -> bytes:
    *others, value = [_known(found, place) for place in subtrees(start, end)]
    for left in reversed(others):
        value = node_hash(left, value)
    return value


def _known(found: Mapping[Place, bytes], place: Place) -> bytes:
    try:
        return found[place]
    except KeyError:
        raise TrustError(
            f"The log's tree is damaged: the hash of its subtree {place[1]} at level {place[0]} is missing."
        ) from None


def _check_hashes(values: Iterable[bytes]) -> None:
    if any(len(value) != SIZE for value in values):
        raise TrustError(f"Expected hashes of {SIZE} bytes in a proof; something else came.")


class Growing:
    """The head of a tree whose leaves come one after another and are not kept."""

    def __init__(self) -> None:
        self.size = 0
        self._ends: list[tuple[int, bytes]] = []

    def append(self, leaf: bytes) -> None:
        level, value = 0, leaf
        while self._ends and self._ends[-1][0] == level:
            value = node_hash(self._ends.pop()[1], value)
            level += 1
        self._ends.append((level, value))
        self.size += 1

    @property
    def head(self) -> bytes:
        if not self._ends:
            return EMPTY
        *others, (_, value) = self._ends
        for _, left in reversed(others):
            value = node_hash(left, value)
        return value


class Memory(dict[Place, bytes]):
    """Subtrees in memory: what somebody who checks a log builds from its entries."""

    def __init__(self) -> None:
        super().__init__()
        self.size = 0

    def hashes(self, places: Collection[Place]) -> Mapping[Place, bytes]:
        return self

    def append(self, leaf: bytes) -> None:
        self.update(appended(self.size, (leaf,), self))
        self.size += 1
