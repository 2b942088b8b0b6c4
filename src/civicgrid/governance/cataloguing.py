"""Data sets in the catalogue: a site's custodian publishes a record, and can withdraw it.

The record itself is the catalogue's (`catalogue.record`), written from what `civicgrid node describe` puts out. It is
public as soon as it is published, so one that lacks something is refused with what it lacks. How a data set has been used
is read from the public register.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from civicgrid.canonical import Node
from civicgrid.catalogue.record import Record, missing
from civicgrid.catalogue.use import Decision as Decided
from civicgrid.catalogue.use import History
from civicgrid.errors import NotAllowed, PlanError, StateError
from civicgrid.governance.acts import Act, Asked, Look, Nothing, Outcome
from civicgrid.governance.permissions import Subject
from civicgrid.governance.register import (
    ApplicationSubmitted,
    Decision,
    Leaf,
    PermitGranted,
    ResultPublished,
    Run,
)

MOST_RECORD = 900_000
"""Characters of a record: one with some thousands of variables fits."""


class DataSet(Node):
    """A data set as the catalogue has it. It goes by the identifier of its record, which begins with its site's name."""

    kind: Literal["dataset"] = "dataset"
    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}/[a-z][a-z0-9_-]{0,62}$")]
    state: Literal["published", "withdrawn"] = "published"
    record: Record

    @property
    def site(self) -> str:
        return self.id.partition("/")[0]

    @property
    def name(self) -> str:
        return self.id.partition("/")[2]

    def marks(self) -> Iterator[tuple[str, str]]:
        """What data sets are looked up by."""
        yield "site", self.site
        yield "name", self.name


class Publish(Node):
    """The form: a record as JSON."""

    record: Annotated[
        str,
        Field(title="Record", description="The file that “civicgrid node describe --out” has written", min_length=1,
              max_length=MOST_RECORD, json_schema_extra={"widget": "long"}),
    ]  # fmt: skip


def read(text: str, today: dt.date) -> Record:
    """The record in a file, dated today where it has not been published before. StateError where it is none."""
    try:
        record = Record.from_bytes(text)
    except PlanError as error:
        raise StateError(f"This file is not a record of a data set. {error}") from None
    return record if record.issued else Record.from_bytes(record.model_copy(update={"issued": today}).canonical())


def lacking(record: Record) -> tuple[str, ...]:
    """What a record lacks before the catalogue takes it, a sentence each."""
    where = () if "/" in record.identifier else ("Identifier: begin it with the name of the site, such as leeds/trial.",)
    return (*where, *missing(record))


def about(dataset: Any, look: Look) -> Subject:
    """The site that holds it."""
    return Subject(sites=frozenset({dataset.site}))


def _publish(asked: Asked) -> Outcome:
    record = read(asked.form.record, asked.now.date())
    lacks = lacking(record)
    if lacks:
        raise StateError(f"This record cannot be published yet. {' '.join(lacks)}")
    dataset = DataSet(id=record.identifier, record=record)
    if not asked.actor.has("custodian", dataset.site):
        raise NotAllowed(f"You may not publish a data set of {dataset.site}. It can be done by a custodian of that site.")
    return Outcome((dataset,))


def _withdraw(asked: Asked) -> Outcome:
    return Outcome((asked.record.model_copy(update={"state": "withdrawn"}),))


ACTS = (
    Act("dataset.publish", "Publish a data set", _publish, Publish),
    Act("dataset.withdraw", "Take out of the catalogue", _withdraw, Nothing, frozenset({"published"}), about),
)


def history(site: str, name: str, leaves: Iterable[Leaf]) -> History:
    """How a site's data set was used, from the register's entries on the projects that asked for it, the oldest first.

    A permit is a yes at the site; the first no of its custodian, or of whoever decides for all sites, is a no. A study
    counts when it has finished, an output when it belongs to a project that has run one here.
    """
    asked: dict[str, dt.date] = {}
    ended: dict[str, tuple[dt.date, bool]] = {}
    here: dict[str, str] = {}
    studies: dict[str, dt.date] = {}
    outputs: list[dt.date] = []
    for leaf in leaves:
        entry, day = leaf.entry, dt.date.fromisoformat(leaf.at[:10])
        if isinstance(entry, ApplicationSubmitted) and site in entry.sites and name in entry.datasets:
            asked.setdefault(entry.project, day)
        elif isinstance(entry, Decision) and entry.outcome == "refused" and entry.site in ("", site):
            ended.setdefault(entry.project, (day, False))
        elif isinstance(entry, PermitGranted) and entry.site == site and _speaks(entry.datasets, name):
            ended[entry.project] = (day, True)
        elif isinstance(entry, Run):
            if site in entry.sites and _speaks(entry.datasets, name):
                here[entry.run] = entry.project
            if entry.state == "finished" and entry.run in here:
                studies.setdefault(entry.run, day)
        elif isinstance(entry, ResultPublished) and entry.project in here.values():
            outputs.append(day)
    decisions = tuple(
        Decided(day, *ended[project]) if project in ended else Decided(day) for project, day in asked.items()
    )
    return History(decisions, tuple(studies.values()), tuple(outputs))


def _speaks(named: tuple[str, ...], name: str) -> bool:
    """An entry that names no data set speaks of all that the project asked for."""
    return not named or name in named
