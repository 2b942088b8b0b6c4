"""The records of a hub, and the one way in which they change: `perform`.

An act's outcome, the line in the audit log, the entries on the register and the notices are stored in one transaction, or
not at all. A record that somebody else has changed in the meantime is not overwritten.
"""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from pydantic import ValidationError

from civicgrid.canonical import Node, describe
from civicgrid.errors import Missing, StateError
from civicgrid.governance.acts import Act, Asked, Outcome, Record
from civicgrid.governance.people import Account
from civicgrid.governance.permissions import NOTHING, check, may
from civicgrid.governance.table import ACTS, IDS, RECORDS
from civicgrid.hub import database as db
from civicgrid.hub.journal import Journal
from civicgrid.hub.register import Register

ERASABLE = frozenset({"account", "volunteer"})
"""Kinds of which only the present form is kept."""


class FormError(StateError):
    """A form in which something is missing or wrong. `faults` has the words for each field."""

    def __init__(self, faults: Mapping[str, str]) -> None:
        each = "; ".join(f"{name}: {words}" for name, words in faults.items())
        super().__init__(f"There is a problem with the form: {each}")
        self.faults = dict(faults)


@dataclass(frozen=True)
class Version:
    """One form that a record has had, and how it came about."""

    version: int
    act: str
    actor: str
    state: str
    at: float
    record: Any


class Records:
    """The records in a hub's database, and the public register beside them."""

    def __init__(self, engine: sa.Engine, journal: Journal, register: Register) -> None:
        self.engine, self.journal, self.register = engine, journal, register

    # --- reading

    def get(self, kind: str, id: str) -> Any:
        """The record as it is now. Missing where there is none."""
        with self.engine.connect() as connection:
            body = connection.execute(
                sa.select(db.records.c.body).where(db.records.c.kind == kind, db.records.c.id == id)
            ).scalar()
        if body is None:
            raise Missing(f"There is no {kind} called {id[:80]!r}.")
        return _read(kind, body)

    def find(self, kind: str, **where: str) -> list[Any]:
        """The records of a kind that have all these marks, the last changed first. `id` and `state` are marks of all."""
        return [_read(kind, body) for body in self._rows(kind, where, None, 0)]

    def page(self, kind: str, most: int, after: int = 0, **where: str) -> tuple[list[Any], int]:
        """As `find`, a page of them, and how many there are in all."""
        with self.engine.connect() as connection:
            count = connection.execute(sa.select(sa.func.count()).select_from(_where(kind, where).subquery())).scalar_one()
        return [_read(kind, body) for body in self._rows(kind, where, most, after)], count

    def history(self, kind: str, id: str) -> list[Version]:
        """Every form that a record has had, the first first."""
        table = db.versions.c
        with self.engine.connect() as connection:
            rows = connection.execute(
                sa.select(db.versions).where(table.kind == kind, table.id == id).order_by(table.version)
            ).mappings()
            return [
                Version(row["version"], row["act"], row["actor"], row["state"], row["at"], _read(kind, row["body"]))
                for row in rows
            ]

    @staticmethod
    def act(name: str) -> Act:
        """The act of this name. Missing where there is none."""
        if name not in ACTS:
            raise Missing(f"There is nothing called {name[:80]!r} to do.")
        return ACTS[name]

    def unread(self, account: str) -> int:
        """How many notices somebody has not read yet."""
        table = db.notices.c
        query = sa.select(sa.func.count()).select_from(db.notices).where(table.account == account, table.read.is_(None))
        with self.engine.connect() as connection:
            return int(connection.execute(query).scalar_one())

    def notices(self, account: str) -> list[Mapping[str, Any]]:
        """What somebody has been told, the latest first."""
        query = sa.select(db.notices).where(db.notices.c.account == account).order_by(db.notices.c.at.desc())
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def read_notices(self, account: str, now: dt.datetime) -> None:
        """Somebody has seen all that they were told."""
        own = (db.notices.c.account == account) & db.notices.c.read.is_(None)
        with self.journal.transaction("notices") as connection:
            connection.execute(sa.update(db.notices).where(own).values(read=now.timestamp()))

    def allowed(self, actor: Account, record: Record, now: dt.datetime) -> list[Act]:
        """What this person may do to the record as it stands: what the page offers."""
        return [
            act
            for act in ACTS.values()
            if act.kind == record.kind
            and record.state in act.before
            and may(actor, act.name, act.about(record, self), now)
        ]

    def _rows(self, kind: str, where: Mapping[str, str], most: int | None, after: int) -> list[str]:
        query = _where(kind, where).order_by(db.records.c.changed.desc(), db.records.c.id).limit(most).offset(after)
        with self.engine.connect() as connection:
            return [row[0] for row in connection.execute(query)]

    # --- changing

    def perform(
        self, actor: Account, action: str, id: str, data: Mapping[str, Any], now: dt.datetime, seen: int | None = None
    ) -> Any:
        """Do an act and give back the record that it was done to, as it is now.

        `id` is empty for an act that makes a record; `seen` is the version that the person had before them. NotAllowed,
        StateError, FormError or Missing where it cannot be done: then nothing is stored.
        """
        act = self.act(action)
        record, version = self._present(act.kind, id) if act.before else (None, 0)
        check(actor, action, act.about(record, self) if act.before else NOTHING, now)
        if record is not None:
            act.check_state(record)
            if seen is not None and seen != version:
                raise StateError(f"{id} has been changed since you opened it. Look at it again before you go on.")
        form = filled(act.form, data)
        with self.journal.transaction("act") as connection:
            asked = Asked(
                actor,
                form,
                record,
                now,
                self,
                lambda kind: self._next_id(connection, kind),
                lambda account, project: self._commitment(connection, account, project),
                self.register.network,
            )
            try:
                outcome = act.do(asked)
            except ValidationError as error:
                # Free text from a signed file or a name, say, that the public register does not take.
                raise StateError(f"This cannot be stored: {describe(error)}. Change it and try again.") from None
            self._commit(connection, act, actor, outcome, {(act.kind, id): version} if act.before else {}, now)
        return outcome.records[0]

    def seed(self, records: tuple[Record, ...], now: dt.datetime) -> None:
        """Put records there as they are, when a network is set up from the hub's own folder."""
        with self.journal.transaction("seed") as connection:
            for record in records:
                self._write(connection, record, 0, "seed", "hub", now)
                self.journal.add(connection, None, "record.seed", kind=record.kind, id=record.id)

    def _present(self, kind: str, id: str) -> tuple[Any, int]:
        with self.engine.connect() as connection:
            row = connection.execute(
                sa.select(db.records.c.body, db.records.c.version).where(db.records.c.kind == kind, db.records.c.id == id)
            ).first()
        if row is None:
            raise Missing(f"There is no {kind} called {id[:80]!r}.")
        return _read(kind, row[0]), int(row[1])

    def _commit(
        self,
        connection: sa.Connection,
        act: Act,
        actor: Account,
        outcome: Outcome,
        known: Mapping[tuple[str, str], int],
        now: dt.datetime,
    ) -> None:
        for record in outcome.records:
            place = (record.kind, record.id)
            version = known.get(place)
            if version is None:
                version = connection.execute(
                    sa.select(db.records.c.version).where(db.records.c.kind == record.kind, db.records.c.id == record.id)
                ).scalar()
            self._write(connection, record, version or 0, act.name, actor.id, now)
        for notice in outcome.notices:
            connection.execute(
                sa.insert(db.notices).values(
                    id=secrets.token_hex(8),
                    account=notice.account,
                    words=notice.words,
                    path=notice.path,
                    at=now.timestamp(),
                )
            )
        if outcome.public:
            self.register.append(connection, outcome.public, now.timestamp())
        for record in outcome.records:
            if record.kind == "account" and record.state == "closed":
                self.register.erase(connection, record.id)
        first = outcome.records[0]
        self.journal.add(connection, None, act.name, kind=first.kind, id=first.id, person=actor.id)

    def _write(
        self, connection: sa.Connection, record: Record, version: int, act: str, actor: str, now: dt.datetime
    ) -> None:
        body, at = record.canonical().decode(), now.timestamp()
        values = {"version": version + 1, "state": record.state, "body": body, "changed": at}
        own = (db.records.c.kind == record.kind) & (db.records.c.id == record.id)
        if version:
            changed = connection.execute(sa.update(db.records).where(own, db.records.c.version == version).values(**values))
            if changed.rowcount != 1:
                raise StateError(f"{record.id} has been changed by somebody else just now. Nothing was stored; look again.")
        else:
            connection.execute(sa.insert(db.records).values(kind=record.kind, id=record.id, **values))
        if record.kind in ERASABLE:
            mine = (db.versions.c.kind == record.kind) & (db.versions.c.id == record.id)
            connection.execute(sa.delete(db.versions).where(mine))
        connection.execute(
            sa.insert(db.versions).values(
                kind=record.kind,
                id=record.id,
                version=version + 1,
                act=act,
                actor=actor,
                state=record.state,
                body=body,
                at=at,
            )
        )
        connection.execute(sa.delete(db.marks).where(db.marks.c.kind == record.kind, db.marks.c.id == record.id))
        found = [
            {"kind": record.kind, "id": record.id, "name": name, "value": value} for name, value in sorted(_marks(record))
        ]
        if found:
            connection.execute(sa.insert(db.marks), found)

    def _commitment(self, connection: sa.Connection, account: str, project: str) -> str:
        """How somebody stands on the public register in what concerns a project."""
        return self.register.commit(connection, account, self.get("account", account).name, project)

    @staticmethod
    def _next_id(connection: sa.Connection, kind: str) -> str:
        last = connection.execute(sa.select(db.counters.c.last).where(db.counters.c.kind == kind)).scalar()
        if last is None:
            connection.execute(sa.insert(db.counters).values(kind=kind, last=1))
        else:
            connection.execute(sa.update(db.counters).where(db.counters.c.kind == kind).values(last=last + 1))
        return f"{IDS[kind]}{(last or 0) + 1}"


def filled(form: type[Node], data: Mapping[str, Any]) -> Node:
    """The form with what was filled in, text read as what each field takes. FormError with words for each field."""
    try:
        return form.model_validate(dict(data), strict=False)
    except ValidationError as error:
        faults: dict[str, str] = {}
        for fault in error.errors(include_url=False, include_context=False, include_input=False):
            name = str(fault["loc"][0]) if fault["loc"] else "form"
            faults.setdefault(name, _words(fault["type"], fault["msg"]))
        raise FormError(faults) from None


def _words(kind: str, given: str) -> str:
    known = {
        "missing": "Fill this in",
        "string_too_short": "Fill this in",
        "literal_error": "Choose one of the options",
        "extra_forbidden": "There is no such field",
        "date_from_datetime_parsing": "Enter a date such as 27 3 2027",
        "date_parsing": "Enter a date such as 27 3 2027",
    }
    return known.get(kind, given.removeprefix("Value error, "))


def _marks(record: Record) -> set[tuple[str, str]]:
    given = getattr(record, "marks", None)
    return {(name, value) for name, value in (given() if given else ()) if value}


def _where(kind: str, where: Mapping[str, str]) -> sa.Select[Any]:
    table = db.records
    query = sa.select(table.c.body).where(table.c.kind == kind)
    for name, value in where.items():
        if name in ("id", "state"):
            query = query.where(table.c[name] == value)
        else:
            mark = db.marks.c
            query = query.where(
                table.c.id.in_(sa.select(mark.id).where(mark.kind == kind, mark.name == name, mark.value == value))
            )
    return query


def _read(kind: str, body: str) -> Any:
    try:
        return RECORDS[kind].model_validate_json(body)
    except ValidationError as error:
        raise StateError(f"What is stored of a {kind} cannot be read: {describe(error)}. The operator must look.") from None
