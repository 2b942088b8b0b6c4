"""The people behind every answer: no answer is given whose people are nearly those of an earlier one.

Two answers about people that differ by a few give, subtracted, an answer about those few: each passes the rules by
itself. So a site keeps the set of people behind everything that it has released, and refuses what comes too near. A set
is a bitmap of dense person numbers (`curation.persons`), encrypted at rest.

Two sets are *near* when they differ by 1 to `within` people (the cell threshold less one). A near pair is a conflict when

    both gave sums of the same columns over their people, whatever the answers, or
    the number of people in one is news to the other's answer: neither answer holds the other's set itself, so that the
    difference was never judged by the rules on small cells.

A cohort of just the same people as an earlier cohort or cell, but made by other conditions, is refused like one of nearly
the same: were it answered, whoever leaves one person out if a secret of theirs is true would read the secret from whether
the site refuses.

Of two cells a count matters only where one holds the other: small groups by different columns often differ by a few, and
what the numbers differ by is then about nobody in particular.

A set of fewer people than a cell may hold counts only if it is all the people of an answer, and only against what holds
it: two different handfuls give nothing away by subtraction. Nobody counts against nothing: what a total gains or loses
elsewhere is held against what was answered there.

What two sets leave over when one is taken from the other is known too, so *differences* of up to ten times as many people
are kept like sets of their own: else four answers far apart (A, A without P, B, B without P and one more) give the one.

*Three* sets, one of them the other two together but for a few (`three_sets`), are judged like pairs: a conflict if all
three gave sums of one column, or if the number of the few is news: no answer holds all three sets, and no set is known that
the few make of another of the three. Three that go together exactly are a conflict unless their conditions say so
themselves.

At another load of the data in the same epoch the same people count as near as well, since their values may have changed.

People have one number in all data sets of a site, so the sets of all are held against each other.

So that not every earlier set is opened, each has its size and its *profile* beside it: how many of its people fall
into each of 64 classes. The profiles of two sets differ by no more than the sets do, so that what is skipped is not near.

The file is long: what a pair and what three sets tell is judged over the same sets and stands in one place with them.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pyroaring import BitMap

from civicgrid.disclosure.three_sets import CLASSES, MOST_OFF, Profiles, Sieve, Three
from civicgrid.query.conditions import of_text, share_out
from civicgrid.trust.seal import Seal

SCHEMA = """
create table if not exists row_sets (
    id integer primary key, epoch integer not null, snapshot text not null, digest text not null,
    size integer not null, profile blob not null, people blob not null, unique (epoch, snapshot, digest));
create table if not exists released_sets (
    answer text not null, row_set integer not null references row_sets, columns text not null, role text not null,
    definition text not null, primary key (answer, row_set, columns, role, definition));
create table if not exists numbers (answer text primary key, given integer not null);
create index if not exists released_sets_row_set on released_sets (row_set);
"""

KEPT_APART = 10
"""Differences of up to this many times `within` are kept."""

Role = Literal["cohort", "whole", "cell", "number", "difference", "rough"]
WHOLE = ("cohort", "whole")
APART = ("difference", "rough")
"""What is not itself answered for with numbers: such sets are no part of three."""


@dataclass(frozen=True)
class RowSet:
    """A set of people in an answer, and of which source columns the answer gives sums or counts by level over them.

    They are everybody in a `cohort`; or all the people that an answer, or one of its variables, used (`whole`); or a cell
    among others; or those for whom a number that the plan makes has one of its only two values (`number`); or what a set of
    the first two kinds holds beyond another that was answered (`difference`). `definition` names the conditions that a
    cohort or cell is made by; `levels` are those of a cell, as a method gives it: columns and codes. The people of a cohort
    of which was only told roughly how many they are (`rough`) stand apart from all others.
    """

    people: BitMap
    columns: frozenset[str] = frozenset()
    role: Role = "cell"
    definition: str = ""
    levels: tuple[tuple[str, int], ...] = ()

    @cached_property
    def size(self) -> int:
        return len(self.people)

    @cached_property
    def digest(self) -> str:
        return digest_of(self.people)

    @cached_property
    def profile(self) -> npt.NDArray[np.int32]:
        return np.bincount(_numbers(self.people) & (CLASSES - 1), minlength=CLASSES).astype(np.int32)


@dataclass(frozen=True)
class Load:
    """Which data an answer is about: the data set, its snapshot, the epoch that the snapshot falls into, and the one that
    runs. The answer is entered in that one, and held against those given since the load was made, about whatever data set.
    """

    dataset: str
    snapshot: str
    epoch: int
    running: int = 0

    @property
    def entered(self) -> int:
        """The epoch that an answer about this load is entered in."""
        return max(self.epoch, self.running)


@dataclass(frozen=True)
class Answered:
    """One answer that is to be given: the name of the question (plan, analysis and snapshot) and its sets."""

    name: str
    sets: tuple[RowSet, ...]

    @cached_property
    def digests(self) -> frozenset[str]:
        return frozenset(part.digest for part in self.sets)

    @cached_property
    def given(self) -> int:
        """Of how many variables the answer gives sums over its people."""
        return sum(part.role == "whole" and bool(part.columns) for part in self.sets)

    def definitions(self, digest: str) -> set[str]:
        """By which conditions the answer has this set of people."""
        return {part.definition for part in self.sets if part.definition and part.digest == digest}

    def columns(self, digest: str) -> frozenset[str]:
        """Of which columns the answer gives sums over this set of people."""
        return frozenset[str]().union(*(part.columns for part in self.sets if part.digest == digest))


@dataclass
class _Index:
    """Size, profile and name of every set since one epoch began, in memory."""

    ids: list[int] = field(default_factory=list)
    digests: dict[int, str] = field(default_factory=dict)
    sizes: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    profiles: Profiles = field(default_factory=lambda: np.zeros((0, CLASSES), np.int32))
    sieves: dict[int, Sieve] = field(default_factory=dict)

    def add(self, found: Sequence[tuple[int, int, npt.NDArray[np.int32], str]]) -> None:
        if not found:
            return
        ids, sizes, profiles, digests = zip(*found, strict=True)
        self.ids += ids
        self.digests |= dict(zip(ids, digests, strict=True))
        self.sizes = np.concatenate([self.sizes, np.array(sizes, dtype=np.int64)])
        self.profiles = np.concatenate([self.profiles, np.stack(profiles)])

    def sieve(self, within: int) -> Sieve:
        """The profiles as they are searched for three sets."""
        sieve = self.sieves.setdefault(within, Sieve(within))
        if len(sieve) < len(self.ids):
            sieve.add(self.profiles[len(sieve) :])
        return sieve

    def near(self, part: RowSet, within: int) -> list[int]:
        """The ids of the sets that may differ from this one by at most `within` people."""
        places = np.flatnonzero(np.abs(self.sizes - part.size) <= within)
        if len(places):
            apart = np.abs(self.profiles[places] - part.profile).sum(axis=1)
            places = places[apart <= within]
        return [self.ids[place] for place in places]


class RowSets:
    """The sets behind a site's answers, in the node's own database. The caller's transaction commits what is entered.

    `entered` counts the answers entered or forgotten: while it stands still, what was held against them still holds.
    """

    def __init__(self, connection: sqlite3.Connection, seal: Seal) -> None:
        self.connection, self.seal = connection, seal
        connection.executescript(SCHEMA)
        self.entered = 0
        self._indices: dict[int, _Index] = {}

    def conflict(self, load: Load, answers: Iterable[Answered], within: int) -> bool:
        """Whether one of these answers comes too near to what was released in this epoch, to one before it among them,
        or to itself.
        """
        if within < 1:
            return False
        given: list[Answered] = []
        for stated in answers:
            if self.answered(stated.name):
                # The same question about the same people gives the same numbers, whatever has been answered since.
                given.append(stated)
                continue
            if any(part.role == "number" and 0 < part.size <= within for part in stated.sets):
                return True
            answer = self._with_differences(load, stated, given, within)
            for part in answer.sets:
                if part.role == "rough" or (part.role == "cell" and part.size <= within):
                    continue
                if self._clashes(load, answer, part, within):
                    return True
                if any(
                    _clash(answer, part, other, mine, within)
                    for other in (*given, answer)
                    for mine in other.sets
                ):
                    return True
            if self._three(load, answer, given, within):
                return True
            given.append(answer)
        return False

    def _three(self, load: Load, answer: Answered, given: Sequence[Answered], within: int) -> bool:
        """Whether a set of this answer is, with two others, one that is the other two together but for a few."""
        index, together = self._index(load), _Together(self, load, (*given, answer), within)
        sieve = index.sieve(min(within, MOST_OFF))
        places: list[int | str] = [*index.ids, *together.own]
        with sieve.with_more([part.profile for part in together.own.values()]):
            pairs: dict[str, set[tuple[int, int, bool]]] = {}
            for part in answer.sets:
                if not _may_be_of_three(part, within):
                    continue
                if part.digest not in pairs:
                    pairs[part.digest] = sieve.pairs(part.profile)
                if any(together.clash(part, places[one], places[other], whole)
                       for one, other, whole in pairs[part.digest]):  # fmt: skip
                    return True
        return False

    def answered(self, name: str) -> bool:
        """Whether the question has been answered before."""
        found = self.connection.execute("select 1 from numbers where answer = ?", (name,)).fetchone()
        return found is not None

    def _clashes(self, load: Load, answer: Answered, part: RowSet, within: int) -> bool:
        for number in self._index(load).near(part, within):
            snapshot, people = self.opened(number)
            for name, columns, role, definition in self.stands(number):
                earlier = RowSet(people, columns, role, definition)
                if _clash(answer, part, self._earlier(name), earlier, within, snapshot == load.snapshot):
                    return True
        return False

    def stands(self, number: int) -> list[_Stand]:
        """What has been answered over a set."""
        found = self.connection.execute(
            "select answer, columns, role, definition from released_sets where row_set = ?", (number,)
        )
        return [_Stand(name, _columns(columns), role, definition) for name, columns, role, definition in found]

    def opened(self, number: int) -> tuple[str, BitMap]:
        """The snapshot and the people of one set."""
        epoch, snapshot, digest, closed = self.connection.execute(
            "select epoch, snapshot, digest, people from row_sets where id = ?", (number,)
        ).fetchone()
        return snapshot, BitMap.deserialize(self.seal.open(closed, _about(epoch, digest)))

    def named(self, number: int) -> tuple[str, str]:
        """The digest and the snapshot of one set."""
        digest, snapshot = self.connection.execute(
            "select digest, snapshot from row_sets where id = ?", (number,)
        ).fetchone()
        return str(digest), str(snapshot)

    def knows(self, load: Load, digest: str) -> bool:
        """Whether just these people stand in the ledger."""
        found = self.connection.execute(
            "select 1 from row_sets where epoch >= ? and snapshot = ? and digest = ?",
            (load.epoch, load.snapshot, digest),
        ).fetchone()
        return found is not None

    def _earlier(self, answer: str) -> _Earlier:
        return _Earlier(self.connection, answer)

    def _with_differences(self, load: Load, answer: Answered, given: Sequence[Answered], within: int) -> Answered:
        """The answer with what its sets and earlier ones leave over, taken one from the other."""
        most, found = KEPT_APART * within, dict[str, RowSet]()
        for part in answer.sets:
            if part.role not in WHOLE:
                continue
            others = [mine for other in given for mine in other.sets if mine.role in WHOLE]
            index = self._index(load)
            for number in index.near(part, most):
                if index.digests[number] == part.digest:
                    continue
                read = self.connection.execute(
                    "select columns from released_sets where row_set = ? and role in ('cohort', 'whole')",
                    (number,),
                ).fetchall()
                if read:
                    columns = frozenset[str]().union(*(_columns(row[0]) for row in read))
                    others.append(RowSet(self.opened(number)[1], columns, "whole"))
            for other in others:
                if not within < part.people.symmetric_difference_cardinality(other.people) <= most:
                    continue
                more, less = (part, other) if part.size >= other.size else (other, part)
                if less.people.issubset(more.people):
                    rest = RowSet(more.people - less.people, part.columns & other.columns, "difference")
                    known = found.get(rest.digest, rest)
                    found[rest.digest] = RowSet(rest.people, rest.columns | known.columns, "difference")
        return Answered(answer.name, (*answer.sets, *found.values())) if found else answer

    def enter(self, load: Load, answer: Answered, within: int) -> None:
        """Write down the sets of an answer that is being released. The same question adds nothing."""
        self.entered += 1
        added = []
        for part in self._with_differences(load, answer, (), within).sets:
            if part.role == "cell" and part.size <= within:
                continue
            row = self.connection.execute(
                "select id from row_sets where epoch = ? and snapshot = ? and digest = ?",
                (load.entered, load.snapshot, part.digest),
            ).fetchone()
            if row is None:
                about = _about(load.entered, part.digest)
                row = self.connection.execute(
                    "insert into row_sets (epoch, snapshot, digest, size, profile, people) "
                    "values (?, ?, ?, ?, ?, ?) returning id",
                    (
                        load.entered, load.snapshot, part.digest, part.size,
                        self.seal.close(part.profile.tobytes(), "profile of " + about),
                        self.seal.close(part.people.serialize(), about),
                    ),
                ).fetchone()  # fmt: skip
                added.append((int(row[0]), part.size, part.profile, part.digest))
            self.connection.execute(
                "insert or ignore into released_sets values (?, ?, ?, ?, ?)",
                (answer.name, row[0], "\n".join(sorted(part.columns)), part.role, part.definition),
            )
        self.connection.execute("insert or ignore into numbers values (?, ?)", (answer.name, answer.given))
        for since, index in self._indices.items():
            if since <= load.entered:
                index.add(added)

    def rough(self, load: Load, part: RowSet, within: int) -> int:
        """How many other cohorts of just these people, or of nearly these, have been told of roughly in this epoch."""
        found: set[tuple[str, str]] = set()
        for number in self._index(load).near(part, within):
            stands = self.connection.execute(
                "select definition from released_sets where row_set = ? and role = 'rough'", (number,)
            ).fetchall()
            if stands:
                people = self.opened(number)[1]
                if part.people.symmetric_difference_cardinality(people) <= within:
                    digest = digest_of(people)
                    found |= {(digest, str(definition)) for (definition,) in stands}
        return len(found - {(part.digest, part.definition)})

    def answers(self, load: Load, part: RowSet) -> dict[str, int]:
        """The questions that have been answered about just these people in this epoch, and of how many variables each gave
        sums.
        """
        found = self.connection.execute(
            "select distinct answer, given from released_sets join row_sets on id = row_set join numbers using (answer) "
            "where epoch >= ? and digest = ? and role = 'cohort'",
            (load.epoch, part.digest),
        )
        return {str(answer): int(given) for answer, given in found}

    def forget(self) -> None:
        """Drop what is held in memory: a transaction in which sets were entered has been rolled back."""
        self.entered += 1
        self._indices.clear()

    def _index(self, load: Load) -> _Index:
        if load.epoch not in self._indices:
            index = _Index()
            rows = self.connection.execute(
                "select id, epoch, size, profile, digest from row_sets where epoch >= ?", (load.epoch,)
            ).fetchall()
            index.add(
                [
                    (int(number), int(size), np.frombuffer(self._profile(epoch, closed, digest), np.int32), str(digest))
                    for number, epoch, size, closed, digest in rows
                ]
            )
            self._indices[load.epoch] = index
        return self._indices[load.epoch]

    def _profile(self, epoch: int, closed: bytes, digest: str) -> bytes:
        return self.seal.open(closed, "profile of " + _about(epoch, digest))


@dataclass(frozen=True)
class _Earlier:
    """An answer that was given before, of which is looked up what is asked for."""

    connection: sqlite3.Connection
    name: str

    @cached_property
    def digests(self) -> frozenset[str]:
        return frozenset(digest for digest, _, _ in self._sets())

    def definitions(self, digest: str) -> set[str]:
        return {definition for found, definition, _ in self._sets() if definition and found == digest}

    def columns(self, digest: str) -> frozenset[str]:
        return frozenset[str]().union(*(_columns(columns) for found, _, columns in self._sets() if found == digest))

    def _sets(self) -> list[tuple[str, str, str]]:
        return self.connection.execute(
            "select digest, definition, columns from row_sets join released_sets on id = row_set where answer = ?",
            (self.name,),
        ).fetchall()


class _Stand(NamedTuple):
    """What one answer has a set for."""

    answer: str
    columns: frozenset[str]
    role: Role
    definition: str


@dataclass(frozen=True)
class _Member:
    """A set as one of three, with all that stands over it. It is opened when somebody looks at its people."""

    snapshot: str
    digest: str
    stands: tuple[_Stand, ...]
    open: Callable[[], BitMap]

    @cached_property
    def people(self) -> BitMap:
        return self.open()

    @cached_property
    def roles(self) -> set[str]:
        return {stand.role for stand in self.stands}

    @cached_property
    def names(self) -> set[str]:
        return {stand.answer for stand in self.stands}

    @cached_property
    def definitions(self) -> set[str]:
        return {stand.definition for stand in self.stands if stand.definition}

    def columns(self, answer: str | None = None) -> frozenset[str]:
        """Of which columns sums are given over it: by one answer, or by any."""
        return frozenset[str]().union(*(stand.columns for stand in self.stands if answer in (None, stand.answer)))


class _Together:
    """Earlier sets and those of the answers that are about to be given, as members of threes."""

    def __init__(self, ledger: RowSets, load: Load, answers: Sequence[Answered], within: int) -> None:
        self.ledger, self.load, self.within = ledger, load, within
        self.own: dict[str, RowSet] = {}
        self._stands: dict[str, list[_Stand]] = {}
        for answer in answers:
            for part in answer.sets:
                if _may_be_of_three(part, within):
                    self.own.setdefault(part.digest, part)
                    stand = _Stand(answer.name, part.columns, part.role, part.definition)
                    self._stands.setdefault(part.digest, []).append(stand)
        self._members: dict[int | str, _Member] = {}

    def member(self, place: int | str) -> _Member:
        """A set by its id in the ledger, or by its digest among those about to be given."""
        if place not in self._members:
            self._members[place] = self._stored(place) if isinstance(place, int) else self._own(place)
        return self._members[place]

    def _own(self, digest: str) -> _Member:
        rows = self.ledger.connection.execute(
            "select id from row_sets where epoch >= ? and snapshot = ? and digest = ?",
            (self.load.epoch, self.load.snapshot, digest),
        ).fetchall()
        before = [stand for (number,) in rows for stand in self.ledger.stands(number)]
        people = self.own[digest].people
        return _Member(self.load.snapshot, digest, (*self._stands[digest], *before), lambda: people)

    def _stored(self, number: int) -> _Member:
        ledger, load = self.ledger, self.load
        digest, snapshot = ledger.named(number)
        own = self._stands.get(digest, ()) if snapshot == load.snapshot else ()
        return _Member(snapshot, digest, (*ledger.stands(number), *own), lambda: ledger.opened(number)[1])

    def known(self, people: BitMap) -> bool:
        digest = digest_of(people)
        return digest in self.own or self.ledger.knows(self.load, digest)

    def clash(self, part: RowSet, one: int | str, other: int | str, whole: bool) -> bool:
        """Whether a set and two others, the first of the three being the whole or the last, tell of a few."""
        members = [self.member(place) for place in (part.digest, one, other)]
        if any(member.roles <= set(APART) for member in members) or len({m.digest for m in members}) < 3:
            return False
        shared = part.columns & members[1].columns() & members[2].columns()
        names = set.intersection(*(member.names for member in members))
        cells = [part.role == "cell", *(member.roles <= {"cell"} for member in members[1:])]
        same_load = len({member.snapshot for member in members}) == 1
        judged = any(cells) and any(all(shared <= member.columns(name) for member in members) for name in names)
        if same_load and names and (judged or not shared):
            # One answer has all three: what they leave over is under the rules on cells there.
            return False
        mine, first, second = (member.people for member in members)
        three = Three.of(mine, first, second) if whole else Three.of(second, mine, first)
        if len(three.few) > self.within:
            return False
        if not three.few:
            if not same_load:
                return bool(shared)
            return not names and self._other_words(members, whole)
        if not self._counts(three, members) or (all(cells) and not three.nested):
            return False
        if shared:
            return True
        return not names and not any(self.known(people) for people in three.counterparts())

    def _counts(self, three: Three, members: Sequence[_Member]) -> bool:
        """A handful counts where it is all the people of an answer, and lies in what the other two leave over."""
        small = [member for member in members if len(member.people) <= self.within]
        if not small:
            return True
        two = [member.people for member in members if len(member.people) > self.within]
        if len(small) > 1 or not small[0].roles & set(WHOLE) or not three.nested:
            return False
        return two[0].symmetric_difference_cardinality(two[1]) > self.within

    @staticmethod
    def _other_words(members: Sequence[_Member], whole: bool) -> bool:
        """Whether three groups, one of them a cohort, go together exactly, and not by what their conditions say."""
        if not any("cohort" in member.roles for member in members) or not all(m.definitions for m in members):
            return False
        one, two, three = members if whole else (members[2], members[0], members[1])
        return not any(
            share_out(of_text(a), of_text(b), of_text(c))
            for a in one.definitions
            for b in two.definitions
            for c in three.definitions
        )


def _may_be_of_three(part: RowSet, within: int) -> bool:
    return part.size > 0 and part.role not in APART and (part.role in WHOLE or part.size > within)


def _clash(
    answer: Answered,
    part: RowSet,
    other: Answered | _Earlier,
    earlier: RowSet,
    within: int,
    same_load: bool = True,
) -> bool:
    """Whether a set of this answer comes too near to a set that stands in the other."""
    if earlier.role == "rough":
        return False
    if abs(part.size - earlier.size) > within:
        return False
    apart = part.people.symmetric_difference_cardinality(earlier.people)
    if apart > within:
        return False
    if apart == 0:
        named = part.definition and earlier.definition and part.size
        if named and "cohort" in (part.role, earlier.role):
            mine = answer.definitions(part.digest)
            # The earlier set stands in the other answer itself: the database is asked only where its own conditions differ.
            if earlier.definition not in mine and not mine & other.definitions(part.digest):
                return True
        if same_load:
            return False
    nested = part.people.issubset(earlier.people) or earlier.people.issubset(part.people)
    less = part if part.size <= earlier.size else earlier
    if apart and less.size <= within and not (less.size and less.role in WHOLE and nested):
        return False
    shared = part.columns & earlier.columns
    # Of a group in an answer that gives these sums over the other set too, the rules on cells have judged.
    judged = "cell" in (part.role, earlier.role) and (
        shared <= answer.columns(earlier.digest) or shared <= other.columns(part.digest)
    )
    if shared and not judged and (nested or not part.role == earlier.role == "cell"):
        return True
    if part.role == earlier.role == "cell" and not nested:
        return False
    return bool(apart) and earlier.digest not in answer.digests and part.digest not in other.digests


def digest_of(people: BitMap) -> str:
    """The name of a set: of its numbers, since the bytes of a bitmap tell how it was made too."""
    return hashlib.sha256(_numbers(people).tobytes()).hexdigest()


def _numbers(people: BitMap) -> npt.NDArray[np.uint32]:
    return np.array(people.to_array(), dtype=np.uint32)


def _columns(text: str) -> frozenset[str]:
    return frozenset(text.split("\n")) - {""}


def _about(epoch: int, digest: str) -> str:
    return f"{epoch} {digest}"

