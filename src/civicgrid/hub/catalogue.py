"""The catalogue of a hub, in memory: ready to be searched, and made anew when a record has changed."""

from __future__ import annotations

import threading

import sqlalchemy as sa

from civicgrid.catalogue.search import Index
from civicgrid.hub import database as db
from civicgrid.hub.records import Records

_STAMP = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(db.records.c.version), 0)).where(
    db.records.c.kind == "dataset"
)


class Catalogue:
    """The published records. Several workers of a hub each hold their own, and see each other's changes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._index = Index(())

    def index(self, records: Records) -> Index:
        """The index of what is published now. Every change of a record raises the sum of the versions."""
        with records.engine.connect() as connection:
            count, versions = connection.execute(_STAMP).one()
        stamp = (int(count), int(versions))
        with self._lock:
            if stamp != self._stamp:
                self._index = Index(each.record for each in records.find("dataset", state="published"))
                self._stamp = stamp
            return self._index
