"""Epochs: how long the sets behind earlier answers are held against new ones, when a site loads its data anew.

A refreshed load changes who is in a cohort by a few people. Were every set compared with all earlier ones, a weekly
refresh would soon refuse everything; were none, each refresh would show what a few new people changed. So the rule is
declared, and hangs on nothing that is asked: an epoch ends with the first load that comes at least `days` after it began
and in which at least `fewest` people of the data set came or went. Loads before that belong to the epoch that runs.

A site has one epoch at a time, whatever its data sets, since they may hold the same people. A load belongs for good to the
epoch that ran when it was made: once another data set has begun a new epoch, an answer about this one is still held against
all that was answered since its own load.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Protocol

from pyroaring import BitMap

from civicgrid.disclosure.row_sets import Load
from civicgrid.trust.seal import Seal

SCHEMA = """
create table if not exists epochs (
    epoch integer primary key, began real not null, numbering text not null, afresh integer not null);
create table if not exists epoch_people (
    epoch integer not null references epochs, dataset text not null, people blob not null, primary key (epoch, dataset));
create table if not exists loads (
    dataset text not null, snapshot text not null, epoch integer not null, primary key (dataset, snapshot));
"""

DAY = 86_400.0


class Held(Protocol):
    """What a site holds at this moment. `numbering` names its person numbers: under another they are other people's."""

    def numbering(self) -> str: ...
    def names(self) -> Iterable[str]: ...
    def people(self, dataset: str) -> BitMap: ...


class Epochs:
    """The epochs of one site, in the node's own database. Nothing from before one that began `afresh` counts after it."""

    def __init__(self, connection: sqlite3.Connection, seal: Seal) -> None:
        self.connection, self.seal = connection, seal
        connection.executescript(SCHEMA)

    def known(self, dataset: str, snapshot: str, numbering: str) -> Load | None:
        """The load of a snapshot that has been seen before, its people numbered as they are now."""
        running = self._running()
        if running is None or running[2] != numbering:
            return None
        row = self.connection.execute(
            "select epoch from loads where dataset = ? and snapshot = ?", (dataset, snapshot)
        ).fetchone()
        return None if row is None else Load(dataset, snapshot, int(row[0]), running[0])

    def enter(self, dataset: str, snapshot: str, held: Held, made: float, days: float, fewest: int) -> Load:
        """The load of a snapshot seen for the first time, by the rule above. The caller's transaction commits it.

        `made` is when the load was made. `held` is asked for people where the rule has to look at them.
        """
        running, numbering = self._running(), held.numbering()
        afresh = running is not None and running[2] != numbering
        if running is None or afresh or self._over(running, dataset, held, made, days, fewest):
            epoch = 0 if running is None else running[0] + 1
            self.connection.execute("insert into epochs values (?, ?, ?, ?)", (epoch, made, numbering, afresh))
            if afresh:
                self.connection.execute("delete from loads")
            for name in held.names():
                self._hold(epoch, name, held.people(name))
            load = Load(dataset, snapshot, epoch, epoch)
        else:
            load = Load(dataset, snapshot, self._ran(made), running[0])
            if self._people(running[0], dataset) is None:
                self._hold(running[0], dataset, held.people(dataset))
        self.connection.execute("insert into loads values (?, ?, ?)", (dataset, snapshot, load.epoch))
        return load

    def end(self, now: float) -> bool:
        """A custodian's own decision that the running epoch is over; whether there was one. The caller commits."""
        running = self._running()
        if running is None:
            return False
        self.connection.execute("insert into epochs values (?, ?, ?, 1)", (running[0] + 1, now, running[2]))
        self.connection.execute("delete from loads")
        return True

    def _running(self) -> tuple[int, float, str] | None:
        """The epoch that runs, when it began, and how people were numbered."""
        row = self.connection.execute(
            "select epoch, began, numbering from epochs order by epoch desc limit 1"
        ).fetchone()
        return None if row is None else (int(row[0]), float(row[1]), str(row[2]))

    def _over(
        self, running: tuple[int, float, str], dataset: str, held: Held, made: float, days: float, fewest: int
    ) -> bool:
        """Whether this load ends the epoch that runs. A data set that was not there when it began does not."""
        if made - running[1] < days * DAY:
            return False
        before = self._people(running[0], dataset)
        return before is not None and held.people(dataset).symmetric_difference_cardinality(before) >= fewest

    def _ran(self, made: float) -> int:
        """The epoch that ran at this time, or the earliest that counts still."""
        row = self.connection.execute(
            "select max(epoch) from epochs where epoch = 0 or afresh or began <= ?", (made,)
        ).fetchone()
        return int(row[0])

    def _people(self, epoch: int, dataset: str) -> BitMap | None:
        """Who was in a data set when an epoch began."""
        row = self.connection.execute(
            "select people from epoch_people where epoch = ? and dataset = ?", (epoch, dataset)
        ).fetchone()
        return None if row is None else BitMap.deserialize(self.seal.open(row[0], _about(epoch, dataset)))

    def _hold(self, epoch: int, dataset: str, people: BitMap) -> None:
        """Remember who is in a data set as an epoch begins. The caller's transaction commits it."""
        closed = self.seal.close(people.serialize(), _about(epoch, dataset))
        self.connection.execute("insert or ignore into epoch_people values (?, ?, ?)", (epoch, dataset, closed))


def _about(epoch: int, dataset: str) -> str:
    return f"people of {dataset} {epoch}"
