"""Epochs: how long the sets behind earlier answers are held against new ones, when a site loads its data anew.

A refreshed load changes who is in a cohort by a few people. Were every set compared with all earlier ones, a weekly
refresh would soon refuse everything; were none, each refresh would show what a few new people changed. So the rule is
declared, and hangs on nothing that is asked: an epoch ends with the first load that comes at least `days` after it began
and in which at least `fewest` people of the data set came or went. Loads before that belong to the epoch that runs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from pyroaring import BitMap

from civicgrid.disclosure.row_sets import Load
from civicgrid.trust.seal import Seal

SCHEMA = """
create table if not exists epochs (
    dataset text not null, epoch integer not null, began real not null, people blob not null,
    over integer not null default 0, primary key (dataset, epoch));
create table if not exists loads (
    dataset text not null, snapshot text not null, epoch integer not null, primary key (dataset, snapshot));
"""

DAY = 86_400.0


class Epochs:
    """The epochs of every data set of one site, in the node's own database."""

    def __init__(self, connection: sqlite3.Connection, seal: Seal) -> None:
        self.connection, self.seal = connection, seal
        connection.executescript(SCHEMA)

    def known(self, dataset: str, snapshot: str) -> Load | None:
        """The load of a snapshot that has been seen before."""
        row = self.connection.execute(
            "select epoch from loads where dataset = ? and snapshot = ?", (dataset, snapshot)
        ).fetchone()
        return None if row is None else Load(dataset, snapshot, int(row[0]))

    def enter(
        self, dataset: str, snapshot: str, people: Callable[[], BitMap], now: float, days: float, fewest: int
    ) -> Load:
        """The load of a snapshot seen for the first time, by the rule above. The caller's transaction commits it.

        `people` gives all people of the data set; it is called when the rule has to look at them.
        """
        row = self.connection.execute(
            "select epoch, began, people, over from epochs where dataset = ? order by epoch desc limit 1", (dataset,)
        ).fetchone()
        epoch = 0 if row is None else int(row[0])
        held: BitMap | None = None
        if row is not None and (row[3] or now - row[1] >= days * DAY):
            held = people()
            before = BitMap.deserialize(self.seal.open(row[2], _about(dataset, epoch)))
            if row[3] or held.symmetric_difference_cardinality(before) >= fewest:
                epoch += 1
        if row is None or epoch > int(row[0]):
            closed = self.seal.close((held or people()).serialize(), _about(dataset, epoch))
            self.connection.execute("insert into epochs values (?, ?, ?, ?, 0)", (dataset, epoch, now, closed))
        self.connection.execute("insert into loads values (?, ?, ?)", (dataset, snapshot, epoch))
        return Load(dataset, snapshot, epoch)

    def end(self, dataset: str) -> bool:
        """A custodian's own decision that the running epoch is over; whether there was one. The caller commits."""
        ended = self.connection.execute(
            "update epochs set over = 1 where dataset = ? and epoch = (select max(epoch) from epochs where dataset = ?)",
            (dataset, dataset),
        )
        self.connection.execute("delete from loads where dataset = ?", (dataset,))
        return ended.rowcount > 0


def _about(dataset: str, epoch: int) -> str:
    return f"people of {dataset} {epoch}"
