"""Profiles of a site's data sets for the catalogue, and what keeps two of them from giving away the people between them.

A profile is seen by everybody and for good. So what was told last of each variable is kept here with the people in each
of its groups, and a variable is told anew only if every group has either the same people as before or differs from it by
as many people as a cell must hold; otherwise the old numbers stand, with their date. The comparison is with what was last
told and not with the last load, so that people who come one by one are told of once they are enough. How many people there
are at all is held against every variable that stands, since each adds up to it.

Beside that a profile goes through the release ledger like any answer: it is held against what was answered about nearly the
same people, and later answers are held against it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgpack
from pyroaring import BitMap

from civicgrid.canonical import digest
from civicgrid.catalogue.profile import EVERYBODY, Part, VariableProfile, everybody, part_of, read, read_count, told
from civicgrid.disclosure.policy import Policy
from civicgrid.disclosure.row_sets import Answered, RowSet
from civicgrid.disclosure.thresholds import Thresholds
from civicgrid.errors import DataError
from civicgrid.node.releases import Definitions, Releases
from civicgrid.node.session import Data
from civicgrid.node.state import State
from civicgrid.omop.cdm import CDM
from civicgrid.packed import unpack
from civicgrid.query.cohort import Cohort, whole_table
from civicgrid.query.frames import Omop
from civicgrid.query.language import cohort as cohort_of
from civicgrid.query.types import Schema

SCHEMA = """
create table if not exists profiles (
    dataset text not null, part text not null, kind text not null, as_of text not null, told blob not null,
    groups blob not null, thresholds text not null, primary key (dataset, part));
"""

MOST_GROUPS = 100_000
EARLIEST, LATEST = 1900, 2039
"""Between which years OMOP's years of birth are counted: public, and the same at every site."""


@dataclass(frozen=True)
class Profile:
    """What a site tells of a data set. `renewed` names the variables that were told anew, `kept` those whose old numbers
    stand, `withheld` those of which nothing can be told yet.
    """

    dataset: str
    as_of: dt.date
    people: int | None
    variables: dict[str, VariableProfile]
    renewed: tuple[str, ...]
    kept: tuple[str, ...]
    withheld: tuple[str, ...]


@dataclass(frozen=True)
class _Standing:
    """What was last told of a variable, and the people in its groups then."""

    kind: str
    as_of: dt.date
    told: bytes
    groups: tuple[BitMap, ...]
    thresholds: Thresholds

    @property
    def everybody(self) -> BitMap:
        return BitMap.union(*self.groups) if self.groups else BitMap()


class Profiles:
    """The profiles of one site, in the node's own database."""

    def __init__(self, state: State, data: Data, policy: Callable[[], Policy]) -> None:
        self.state, self.data, self.policy = state, data, policy
        self.releases = Releases(state, lambda: data, policy)
        state.connection.executescript(SCHEMA)

    def make(self, dataset: str, anew: bool = False) -> Profile:
        """The profile of a data set now. `anew` is a custodian's own decision to tell everything again, whatever a few
        people's difference to the last profile says.
        """
        cohort = cohort_for(self.data, dataset)
        table = self.data.open(cohort)
        try:
            thresholds = self.policy().thresholds
            as_of = self.data.loaded(dataset).date()
            parts = [everybody(table)]
            parts += [part_of(table, name, thresholds.min_cell) for name in cohort.schema.names]
            standing = {} if anew else self._standing(dataset)
            renewed = self._renewable(parts, cohort.schema, standing, thresholds)
            renewed = self._answerable(renewed, cohort, dataset, table.snapshot, thresholds, standing)
            for part in renewed:
                standing[part.name] = _Standing(
                    _kind(cohort.schema, part.name),
                    as_of,
                    told(part, thresholds),
                    part.as_told,
                    thresholds,
                )
            self._write_down(dataset, cohort, table.snapshot, renewed, standing, thresholds)
        finally:
            table.close()
        names = {part.name for part in renewed}
        return Profile(
            dataset=dataset,
            as_of=as_of,
            people=read_count(standing[EVERYBODY].told) if EVERYBODY in standing else None,
            variables={
                name: read(found.told, name, cohort.schema[name], found.as_of, found.thresholds)
                for name in cohort.schema.names
                if (found := standing.get(name)) is not None and found.kind == _kind(cohort.schema, name)
            },
            renewed=tuple(name for name in cohort.schema.names if name in names),
            kept=tuple(name for name in cohort.schema.names if name in standing and name not in names),
            withheld=tuple(name for name in cohort.schema.names if name not in standing),
        )

    def _renewable(
        self, parts: Sequence[Part], schema: Schema, standing: dict[str, _Standing], thresholds: Thresholds
    ) -> list[Part]:
        """The parts that can be told anew: none of their groups is nearly one that was told before."""
        fewest = thresholds.min_cell
        now = parts[0].groups[0][0]
        if any(_near(now, before.everybody, fewest) for before in standing.values()):
            return []
        found = []
        for part in parts:
            before = standing.get(part.name)
            if before is None or not _nearly(part.as_told, before.groups, fewest):
                found.append(part)
        return found

    def _answerable(
        self,
        parts: Sequence[Part],
        cohort: Cohort,
        dataset: str,
        snapshot: str,
        thresholds: Thresholds,
        standing: dict[str, _Standing],
    ) -> list[Part]:
        """The parts that the release ledger lets through beside what was answered in this epoch."""
        within = thresholds.min_cell - 1
        if within < 1 or not parts:
            return list(parts)
        load = self.releases.load(dataset, snapshot, thresholds)

        def clashes(chosen: Sequence[Part]) -> bool:
            return self.state.row_sets.conflict(load, [answered(chosen, cohort, dataset, snapshot)], within)

        if not clashes(parts):
            return list(parts)
        # One by one, each beside those before it: what is too near to an answer is left out, and the rest is told.
        found: list[Part] = []
        for part in parts:
            if not clashes([*found, part]):
                found.append(part)
            elif part.name == EVERYBODY:
                return []
        return found

    def _standing(self, dataset: str) -> dict[str, _Standing]:
        rows = self.state.connection.execute(
            "select part, kind, as_of, told, groups, thresholds from profiles where dataset = ?", (dataset,)
        )
        return {
            str(part): _Standing(
                str(kind),
                dt.date.fromisoformat(as_of),
                bytes(raw),
                tuple(map(BitMap.deserialize, unpack(self.state.seal.open(closed, _about(dataset, part)), MOST_GROUPS))),
                Thresholds.from_bytes(rules),
            )
            for part, kind, as_of, raw, closed, rules in rows
        }

    def _write_down(
        self,
        dataset: str,
        cohort: Cohort,
        snapshot: str,
        parts: Sequence[Part],
        standing: dict[str, _Standing],
        thresholds: Thresholds,
    ) -> None:
        """Write down what is told, before anybody sees it."""
        if not parts:
            return
        within = thresholds.min_cell - 1
        load = self.releases.load(dataset, snapshot, thresholds) if within >= 1 else None
        with self.state.transaction("profiled") as connection:
            for part in parts:
                found = standing[part.name]
                packed: bytes = msgpack.packb([people.serialize() for people in found.groups])
                connection.execute(
                    "insert or replace into profiles values (?, ?, ?, ?, ?, ?, ?)",
                    (
                        dataset,
                        part.name,
                        found.kind,
                        found.as_of.isoformat(),
                        found.told,
                        self.state.seal.close(packed, _about(dataset, part.name)),
                        found.thresholds.canonical().decode(),
                    ),
                )
            if load is not None:
                self.state.row_sets.enter(load, answered(parts, cohort, dataset, snapshot), within)
            self.state.audit("profiled", dataset=dataset, snapshot=snapshot, variables=len(parts))


def answered(parts: Iterable[Part], cohort: Cohort, dataset: str, snapshot: str) -> Answered:
    """The sets behind a profile, everybody first, as the release ledger keeps them."""
    made_by = Definitions(cohort)
    sets: list[RowSet] = []
    names = []
    for part in parts:
        names.append(part.name)
        if part.name == EVERYBODY:
            sets.append(RowSet(part.groups[0][0], role="cohort", definition=made_by.cell(())))
            continue
        *groups, (nobody, _) = part.groups
        if nobody or not groups:
            sets.append(RowSet(BitMap.union(*(people for people, _ in groups)) if groups else BitMap(), role="whole"))
        sets += [
            RowSet(people, definition=made_by.cell(levels) if levels else "", levels=levels)
            for people, levels in groups
            if people
        ]
    return Answered(digest(f"profile {dataset} {snapshot} {' '.join(names)}".encode()), tuple(sets))


def cohort_for(data: Data, dataset: str) -> Cohort:
    """What a profile is of: all columns of a research table; of an OMOP data set sex, year of birth, and whether a person
    has any row in each table that the load held.
    """
    held = next((each for each in data.holdings() if each.name == dataset), None)
    if held is None:
        have = ", ".join(sorted(each.name for each in data.holdings())) or "none yet; load one first"
        raise DataError(f"There is no data set {dataset!r} here. There is: {have}.")
    if held.dictionary is not None:
        columns_held = held.dictionary.columns
        described = [column.name for column in columns_held if column.type.kind != "category" or column.type.levels]
        if not described:
            raise DataError(
                f"No column of {dataset} is described so that people can be counted by it. Load it with a data dictionary."
            )
        return whole_table(dataset, held.dictionary, described)
    tables = Omop(dataset)
    columns: dict[str, Any] = {
        "sex": tables.person.sex,
        "year_of_birth": tables.person.year_of_birth.within(EARLIEST, LATEST),
    }
    for name in data.tables(dataset):
        if CDM[name].group == "clinical" and name not in ("person", "death") and "person_id" in CDM[name]:
            columns[f"any_{name}"] = getattr(tables, name).exists_for_person()
    return cohort_of(population=tables.everyone, **columns)


def _near(one: BitMap, other: BitMap, fewest: int) -> bool:
    """Whether two sets differ by a few people."""
    return abs(len(one) - len(other)) < fewest and 0 < one.symmetric_difference_cardinality(other) < fewest


def _nearly(now: Sequence[BitMap], before: Sequence[BitMap], fewest: int) -> bool:
    """Whether a group is nearly one that was told before: the group in the same place, or any where both are large.

    Small bins of a number are groups too, since they are told within a larger one; two of them in different places differ
    by a few people whatever has changed.
    """
    same = zip(now, before, strict=True) if len(now) == len(before) else ()
    if any(_near(one, other, fewest) for one, other in same):
        return True
    large = [people for people in before if len(people) >= fewest]
    return any(_near(people, other, fewest) for people in now if len(people) >= fewest for other in large)


def _kind(schema: Schema, name: str) -> str:
    """How a variable is described: under another description its old numbers mean something else."""
    return "" if name == EVERYBODY else schema[name].digest()


def _about(dataset: str, part: str) -> str:
    return f"profile of {dataset} {part}"
