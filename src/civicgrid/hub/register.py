"""The public register in the hub's database: appended to, proven, signed, searched.

Entries are appended inside the transaction of what they speak of, so that what was done and what is public cannot disagree.
Whoever appends holds the register's one row until that transaction ends: several workers of a hub take turns, and the
entries' times never go back. A checkpoint is signed when somebody asks for one and the register has grown since the last.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from civicgrid.errors import Missing, TrustError, WireError
from civicgrid.governance.data_uses import READ, Project, Projects
from civicgrid.governance.entry import Entry, commitment, words
from civicgrid.governance.register import Leaf, moment, read_leaf
from civicgrid.hub import database as db
from civicgrid.killpoint import reach
from civicgrid.trust import merkle
from civicgrid.trust.envelope import Envelope
from civicgrid.trust.keys import SigningKey
from civicgrid.trust.merkle import Place, leaf_hash
from civicgrid.trust.note import WITNESS, Checkpoint, Line, Note, NoteKey, signed
from civicgrid.wire import REGISTER, RegisterKey, witness_name

MOST = 1000
"""The most entries that are given at once."""
LOOKED_THROUGH = 20_000
"""The most entries of the rarest mark that one page looks through. A page says where to look on from."""
COUNTED = 2_000
AHEAD_SECONDS = 300

_ROW = db.register.c
_NOW, _MORE = sa.bindparam("now", type_=sa.BigInteger), sa.bindparam("more", type_=sa.BigInteger)
_ORIGIN = sa.bindparam("named", type_=sa.Text)
_GROW = (
    sa.update(db.register)
    .values(
        size=_ROW.size + _MORE,
        at=sa.case((_ROW.at > _NOW, _ROW.at), else_=_NOW),
        origin=sa.case((_ROW.origin == "", _ORIGIN), else_=_ROW.origin),
    )
    .returning(_ROW.size, _ROW.at)
)
_HEAD = sa.select(_ROW.origin, _ROW.size)
_NODES = sa.select(db.register_nodes).where(db.register_nodes.c.position.in_(sa.bindparam("positions", expanding=True)))
_INSERT_ENTRY, _INSERT_NODE = sa.insert(db.register_entries), sa.insert(db.register_nodes)
_INSERT_MARK = sa.insert(db.register_marks)
_LAST_CHECKPOINT = sa.select(db.checkpoints.c.size).order_by(db.checkpoints.c.size.desc()).limit(1)


@dataclass(frozen=True)
class Shown:
    """An entry as it is stored. `leaf` is None where it cannot be read: it was changed, or a later version wrote it."""

    index: int
    text: str
    leaf: Leaf | None

    @property
    def hash(self) -> bytes:
        return leaf_hash(self.text.encode())


@dataclass(frozen=True)
class Page:
    """Entries, the newest first, and the number to ask for as `before` to see older ones; None where there are none."""

    entries: tuple[Shown, ...]
    older: int | None


@dataclass(frozen=True)
class Witness:
    """What one site last said of the register: how many entries it had seen, and when."""

    site: str
    key: str
    size: int
    at: int


class Register:
    """The register of one hub. `origin` is the name that it takes when it begins, and keeps from then on."""

    def __init__(self, engine: sa.Engine, network: str, origin: str, key: SigningKey, hub: SigningKey) -> None:
        self.engine, self.network = engine, network
        self._origin, self._key, self._hub = origin, key, hub
        self._projects, self._read, self._reading = Projects(), 0, threading.Lock()

    # --- writing, in the caller's transaction ------------------------------------------------------------------------

    def append(self, connection: sa.Connection, entries: Sequence[Entry], now: float) -> range:
        """Add entries, in this order; their numbers. The caller's transaction commits them with what they speak of."""
        if not entries:
            return range(0)
        # Before anything is read: from here on nobody else appends until this transaction ends.
        grown, at = connection.execute(
            _GROW, {"more": len(entries), "now": int(now), "named": self._origin}
        ).one()
        size = grown - len(entries)
        dated = moment(at)
        texts = [
            Leaf.model_construct(network=self.network, index=index, at=dated, entry=entry).canonical().decode()
            for index, entry in enumerate(entries, size)
        ]
        leaves = (leaf_hash(text.encode()) for text in texts)
        nodes = merkle.appended(size, leaves, _Stored(connection))
        connection.execute(_INSERT_ENTRY, [{"entry": index, "leaf": text} for index, text in enumerate(texts, size)])
        connection.execute(_INSERT_NODE, [{"position": position(place), "hash": value} for place, value in nodes.items()])
        connection.execute(
            _INSERT_MARK,
            [
                {"name": name, "value": value, "entry": index}
                for index, entry in enumerate(entries, size)
                for name, value in sorted(set(entry.marks()))
            ],
        )
        return range(size, grown)

    def commit(self, connection: sa.Connection, account: str, name: str, project: str = "") -> str:
        """How a person stands on the register in what concerns a project: always the same, and another in every project."""
        people = db.register_people.c
        found = connection.execute(
            sa.select(people.commitment).where(people.account == account, people.project == project)
        ).scalar()
        if found is not None:
            return str(found)
        salt = secrets.token_bytes(32)
        made = commitment(salt, account)
        connection.execute(
            sa.insert(db.register_people).values(commitment=made, account=account, project=project, salt=salt, name=name)
        )
        return made

    def erase(self, connection: sa.Connection, account: str) -> int:
        """Forget the salts and names of a person: from then on nobody can tell which commitments were theirs."""
        return connection.execute(sa.delete(db.register_people).where(db.register_people.c.account == account)).rowcount

    # --- checkpoints and what witnesses say ---------------------------------------------------------------------------

    @property
    def key(self) -> NoteKey:
        """The register's public key, under the register's name."""
        with self.engine.connect() as connection:
            return NoteKey(self._named(connection)[0], self._key.public)

    def statement(self) -> Envelope:
        """What the hub says, under the key that sites pin, of which key signs its register."""
        key = self.key
        said = RegisterKey(network=self.network, origin=key.name, key=str(key))
        return Envelope.sign(REGISTER, said.canonical(), self._hub)

    def size(self) -> int:
        with self.engine.connect() as connection:
            return self._named(connection)[1]

    def checkpoint(self, size: int | None = None) -> Note:
        """The newest checkpoint, or the one that was signed at a size, with every witness's line. Missing if none was."""
        with self.engine.connect() as connection:
            last = connection.execute(_LAST_CHECKPOINT).scalar()
            grown = self._named(connection)[1]
        if size is None:
            size = grown if last is None or last < grown else int(last)
            if size != last:
                self._sign()
        with self.engine.connect() as connection:
            note = connection.execute(sa.select(db.checkpoints.c.note).where(db.checkpoints.c.size == size)).scalar()
            if note is None:
                raise Missing(f"No checkpoint was signed when the register had {size} entries. Ask for the newest.")
            table = db.cosignatures.c
            lines = connection.execute(sa.select(table.line).where(table.size == size).order_by(table.site))
            return Note.parse(note).with_lines(Line.parse(row[0]) for row in lines)

    def _sign(self) -> None:
        try:
            with self.engine.begin() as connection:
                origin, size = self._named(connection)
                root = merkle.head(size, _Stored(connection))
                note = str(signed(Checkpoint(origin, size, root).text, self._key, origin))
                connection.execute(sa.insert(db.checkpoints).values(size=size, note=note, at=int(time.time())))
                if not connection.execute(sa.select(_ROW.origin)).scalar():
                    connection.execute(sa.update(db.register).values(origin=origin))
                reach("hub", "checkpoint", "before")
            reach("hub", "checkpoint", "after")
        except sa.exc.IntegrityError:
            # Another worker has signed the same in the meantime.
            return

    def cosign(self, site: str, public: str, size: int, line: str) -> None:
        """Keep what a site's node says of a checkpoint. TrustError unless it is this register's, under that node's key."""
        note = self.checkpoint(size)
        key = NoteKey(witness_name(Checkpoint.parse(note.text).origin, site), public, WITNESS)
        given = Line.parse(line)
        found = Note(note.text, (given,)).opened([key])
        if key not in found:
            raise TrustError(f"Expected the signature of {key.name} on the checkpoint of {size} entries; another came.")
        if found[key] > time.time() + AHEAD_SECONDS:
            raise WireError("The witness's clock is ahead of this one. Set both clocks (NTP) and sign again.")
        own = (db.cosignatures.c.site == site) & (db.cosignatures.c.size == size)
        with self.engine.begin() as connection:
            connection.execute(sa.delete(db.cosignatures).where(own))
            connection.execute(
                sa.insert(db.cosignatures).values(site=site, size=size, key=str(key), line=str(given), at=found[key])
            )
            reach("hub", "cosigned", "before")
        reach("hub", "cosigned", "after")

    def witnesses(self) -> list[Witness]:
        """What each site last said."""
        table = db.cosignatures.c
        last = sa.select(table.site, sa.func.max(table.size).label("size")).group_by(table.site).subquery()
        query = sa.select(table.site, table.key, table.size, table.at).join(
            last, (table.site == last.c.site) & (table.size == last.c.size)
        )
        with self.engine.connect() as connection:
            return [Witness(*row) for row in connection.execute(query.order_by(table.site))]

    # --- proofs ---------------------------------------------------------------------------------------------------------

    def inclusion(self, index: int, size: int) -> tuple[bytes, ...]:
        with self.engine.connect() as connection:
            self._check_size(connection, size)
            return merkle.inclusion(index, size, _Stored(connection))

    def consistency(self, first: int, second: int) -> tuple[bytes, ...]:
        """The proof between two sizes; none is needed from the empty register."""
        with self.engine.connect() as connection:
            self._check_size(connection, second)
            return merkle.consistency(first, second, _Stored(connection)) if first else ()

    def _check_size(self, connection: sa.Connection, size: int) -> None:
        now = self._named(connection)[1]
        if not 0 <= size <= now:
            raise Missing(f"The register has {now} entries; a proof for {size} cannot be given.")

    def _named(self, connection: sa.Connection) -> tuple[str, int]:
        origin, size = connection.execute(_HEAD).one()
        return origin or self._origin, int(size)

    # --- reading --------------------------------------------------------------------------------------------------------

    def entry(self, index: int) -> Shown:
        found = self.entries(index, index + 1)
        if not found:
            raise Missing(f"The register has no entry {index}.")
        return found[0]

    def texts(self, start: int, end: int) -> list[str]:
        """The leaves from start to before end as they are stored, `MOST` of them at most."""
        table = db.register_entries.c
        query = sa.select(table.leaf).where(table.entry >= start, table.entry < min(end, start + MOST))
        with self.engine.connect() as connection:
            return list(connection.execute(query.order_by(table.entry)).scalars())

    def entries(self, start: int, end: int) -> list[Shown]:
        table = db.register_entries.c
        query = sa.select(table.entry, table.leaf).where(table.entry >= start, table.entry < min(end, start + MOST))
        with self.engine.connect() as connection:
            return [_shown(*row) for row in connection.execute(query.order_by(table.entry))]

    def page(self, most: int = 20, before: int | None = None, text: str = "", **where: str) -> Page:
        """The newest entries that have all these marks, and all words of the text, below the number `before`.

        `where` names kind, project, site, dataset or organisation. One call looks through a bounded part of the register;
        where that was not enough to fill the page, `older` says from where to go on.
        """
        wanted = [(name, value.casefold() if name == "organisation" else value) for name, value in where.items() if value]
        wanted += [("word", word) for word in words(text)]
        with self.engine.connect() as connection:
            if text.strip() and not words(text):
                return Page((), None)
            numbers, older = self._numbers(connection, wanted, most, before)
            rows = connection.execute(
                sa.select(db.register_entries).where(db.register_entries.c.entry.in_(numbers))
            ).all()
        stored = {row[0]: row[1] for row in rows}
        return Page(tuple(_shown(number, stored[number]) for number in numbers if number in stored), older)

    def _numbers(
        self, connection: sa.Connection, wanted: Sequence[tuple[str, str]], most: int, before: int | None
    ) -> tuple[list[int], int | None]:
        limit = self._named(connection)[1] if before is None else before
        if not wanted:
            numbers = list(range(limit - 1, max(limit - most, 0) - 1, -1)) if limit > 0 else []
            return numbers, numbers[-1] if numbers and numbers[-1] > 0 else None
        marks = db.register_marks
        first, *others = sorted(wanted, key=lambda mark: _count(connection, mark, limit)) if len(wanted) > 1 else wanted
        near = (
            sa.select(marks.c.entry)
            .where(marks.c.name == first[0], marks.c.value == first[1], marks.c.entry < limit)
            .order_by(marks.c.entry.desc())
            .limit(LOOKED_THROUGH if others else most)
            .subquery()
        )
        query = sa.select(near.c.entry).order_by(near.c.entry.desc()).limit(most)
        for name, value in others:
            other = marks.alias()
            query = query.where(
                sa.exists().where(other.c.name == name, other.c.value == value, other.c.entry == near.c.entry)
            )
        numbers = list(connection.execute(query).scalars())
        if len(numbers) == most:
            return numbers, numbers[-1] or None
        looked, last = connection.execute(sa.select(sa.func.count(), sa.func.min(near.c.entry))).one()
        return numbers, (int(last) or None) if others and looked == LOOKED_THROUGH else None

    def approved(self) -> list[Project]:
        """The projects that somebody has approved. What was read for an earlier question is not read again."""
        with self._reading:
            # Whoever appends waits for whoever appended before, so all entries below the size are there.
            size = self.size()
            self._projects.add(self.of_kinds(READ, self._read, size))
            self._read = size
            return self._projects.approved()

    def of_kinds(self, kinds: Iterable[str], start: int, end: int) -> list[Leaf]:
        """The entries of some kinds from start to before end, the oldest first; what cannot be read is left out."""
        marks, entries = db.register_marks.c, db.register_entries.c
        numbers = sa.select(marks.entry).where(
            marks.name == "kind", marks.value.in_(list(kinds)), marks.entry >= start, marks.entry < end
        )
        with self.engine.connect() as connection:
            rows = connection.execute(
                sa.select(entries.entry, entries.leaf).where(entries.entry.in_(numbers)).order_by(entries.entry)
            )
            return [leaf for leaf in (_shown(*row).leaf for row in rows) if leaf is not None]

    def names(self, commitments: Collection[str] | None = None) -> dict[str, str]:
        """The names behind commitments, of those people whose names have not been erased; None asks for all."""
        people = db.register_people.c
        query = sa.select(people.commitment, people.name)
        if commitments is not None:
            query = query.where(people.commitment.in_(list(commitments)))
        with self.engine.connect() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}


def position(place: Place) -> int:
    """Where a subtree stands when the tree is read from the left: every one has a number of its own."""
    level, index = place
    return ((2 * index + 1) << level) - 1


@dataclass(frozen=True)
class _Stored:
    """The subtrees in the database, through one connection."""

    connection: sa.Connection

    def hashes(self, places: Collection[Place]) -> Mapping[Place, bytes]:
        if not places:
            return {}
        by_position = {position(place): place for place in places}
        rows: Any = self.connection.execute(_NODES, {"positions": list(by_position)})
        return {by_position[row[0]]: bytes(row[1]) for row in rows}


def _shown(index: int, text: str) -> Shown:
    try:
        return Shown(index, text, read_leaf(text))
    except WireError:
        return Shown(index, text, None)


def _count(connection: sa.Connection, mark: tuple[str, str], limit: int) -> int:
    """How many entries have a mark; no more than `COUNTED` are counted."""
    marks = db.register_marks.c
    some = sa.select(marks.entry).where(marks.name == mark[0], marks.value == mark[1], marks.entry < limit)
    return int(connection.execute(sa.select(sa.func.count()).select_from(some.limit(COUNTED).subquery())).scalar_one())
