"""Three sets of people of which one is the other two put together, but for a few: found among many without opening them.

Of two answers taken together a third one may be nearly the sum: all who were born early, all who were born late and one
person with them, everybody. No two of the three are near.

Every set has its profile: how many of its people fall into each of 64 classes. Where a set is two others together but for
`within` people, so is its profile but for as many classes; and of any `within` + 1 groups of classes one at least is
touched by none of those people. So the profiles are added up to one number for each group, and in each group are looked
up, among all numbers, those that are exactly the sum or the difference of two: time grows with how many sets there are,
not with how many pairs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pyroaring import BitMap

CLASSES = 64

MOST_OFF = 31
"""Sets that are two others together but for more people than this are not looked for: there would be a class a group."""

_SPARE = 8
"""Places of a table for each number in it, at least: so that few of those looked up are found by accident."""

Profiles = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Three:
    """Three sets, the first of which is nearly the other two together. `few` are the people for whom that is not so."""

    whole: BitMap
    one: BitMap
    other: BitMap
    few: BitMap

    @classmethod
    def of(cls, whole: BitMap, one: BitMap, other: BitMap) -> Three:
        return cls(whole, one, other, (whole ^ (one | other)) | (one & other))

    @property
    def nested(self) -> bool:
        """Whether the few are a group, beside or within the rest, and not some people less some others."""
        return self.few.issubset(self.whole) or not self.few & (self.whole - (self.one & self.other))

    def counterparts(self) -> Iterator[BitMap]:
        """For each of the three, what it would be without the few: near to it, and made of the other two exactly."""
        if not self.one & self.other:
            yield self.one | self.other
        if self.one.issubset(self.whole):
            yield self.whole - self.one
        if self.other.issubset(self.whole):
            yield self.whole - self.other


class Sieve:
    """The profiles of many sets, to be searched for pairs that make up a third with one that is given."""

    def __init__(self, within: int) -> None:
        self.within, self.groups = within, within + 1
        draw = np.random.default_rng(64)
        self._factors = np.zeros((CLASSES, self.groups), dtype=np.uint32)
        numbers = draw.integers(0, 2**31, CLASSES, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
        self._factors[np.arange(CLASSES), np.arange(CLASSES) % self.groups] = numbers
        self.profiles: Profiles = np.zeros((0, CLASSES), np.int32)
        self._keys = np.zeros((self.groups, 0), dtype=np.uint32)
        self._stay, self._bits = 0, 12
        self._table = np.zeros((self.groups, 2, 1 << self._bits), dtype=bool)
        self._sorted: tuple[npt.NDArray[np.intp], npt.NDArray[np.uint64]] | None = None

    def __len__(self) -> int:
        return len(self.profiles)

    def add(self, profiles: Profiles) -> None:
        """Take in more sets, for good."""
        self._add(profiles)
        self._stay = len(self)
        self._sorted = None

    def _add(self, profiles: Profiles) -> None:
        self.profiles = np.concatenate([self.profiles, profiles])
        keys = self._numbers(profiles)
        self._keys = np.concatenate([self._keys, keys], axis=1)
        if len(self) * _SPARE > 1 << self._bits:
            self._bits = (2 * len(self) * _SPARE).bit_length()
            self._table = np.zeros((self.groups, 2, 1 << self._bits), dtype=bool)
            keys = self._keys
        for table, row in zip(self._table, keys, strict=True):
            table[0, self._high(row)] = table[1, self._low(row)] = True

    @contextmanager
    def with_more(self, profiles: Sequence[Profiles]) -> Iterator[None]:
        """Search these too for a while, after those that are in."""
        before = self.profiles, self._keys
        if profiles:
            self._add(np.stack(profiles))
        try:
            yield
        finally:
            # What stays marked in the table costs a look and no more.
            self.profiles, self._keys = before

    def pairs(self, profile: Profiles) -> set[tuple[int, int, bool]]:
        """The places of two sets that may, with the given one, be such three: the given one the whole (True), or the second
        of the two.
        """
        own = self._numbers(profile[None, :])[:, 0]
        found: set[tuple[int, int, bool]] = set()
        for is_whole in (True, False):
            looked_up: list[npt.NDArray[np.intp]] = []
            numbers: list[npt.NDArray[np.uint64]] = []
            for group, (keys, table) in enumerate(zip(self._keys, self._table, strict=True)):
                wanted = own[group] - keys if is_whole else own[group] + keys
                places = table[0].take(self._high(wanted)).nonzero()[0]
                wanted = wanted[places]
                there = table[1].take(self._low(wanted))
                looked_up.append(places[there])
                numbers.append(_tagged(group, wanted[there]))
            first, second = self._equal(np.concatenate(looked_up), np.concatenate(numbers))
            keep = first < second if is_whole else first != second
            first, second = first[keep], second[keep]
            rest = self.profiles[second] + self.profiles[first] * (1 if is_whole else -1) - profile
            # Somebody who is in both parts and not in the whole counts twice.
            near = np.abs(rest).sum(axis=1) <= 2 * self.within
            found |= {(int(i), int(j), is_whole) for i, j in zip(first[near], second[near], strict=True)}
        return found

    def _numbers(self, profiles: Profiles) -> npt.NDArray[np.uint32]:
        return np.ascontiguousarray((profiles.astype(np.uint32) @ self._factors).T)

    def _high(self, numbers: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
        return numbers >> np.uint32(32 - self._bits)

    def _low(self, numbers: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
        return numbers & np.uint32((1 << self._bits) - 1)

    def _equal(
        self, places: npt.NDArray[np.intp], wanted: npt.NDArray[np.uint64]
    ) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """Pairs of a place and where the number stands that is wanted for it."""
        if self._sorted is None:
            numbers = np.concatenate([_tagged(group, keys[: self._stay]) for group, keys in enumerate(self._keys)])
            order = np.argsort(numbers)
            self._sorted = order % max(self._stay, 1), numbers[order]
        order, numbers = self._sorted
        low = np.searchsorted(numbers, wanted, "left")
        count = np.searchsorted(numbers, wanted, "right") - low
        step = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        first, second = np.repeat(places, count), order[np.repeat(low, count) + step]
        if len(self) > self._stay:
            late = np.concatenate([_tagged(group, keys[self._stay :]) for group, keys in enumerate(self._keys)])
            at, more = np.nonzero(wanted[:, None] == late)
            first = np.concatenate([first, places[at]])
            second = np.concatenate([second, self._stay + more % (len(self) - self._stay)])
        return first, second


def _tagged(group: int, numbers: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint64]:
    """The numbers of a group, that are none of another's."""
    return numbers.astype(np.uint64) | np.uint64(group << 32)
