"""Acts: the only way in which a record changes.

An act is a row: its name, the kind of record, the form that is filled in, the states it starts from, and a pure function.
The function gets what it may look at, the moment included, and gives back an `Outcome`: the records as they are from then
on, what goes on the public register, and who is told. Whoever calls it has checked the permission and the state, and
stores all of the outcome or none of it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from civicgrid.canonical import Node
from civicgrid.errors import StateError
from civicgrid.governance.entry import Entry
from civicgrid.governance.people import Account
from civicgrid.governance.permissions import NOTHING, Subject


class Record(Protocol):
    """What the service keeps: a frozen node with a kind, an id and a state."""

    @property
    def kind(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def state(self) -> str: ...
    def canonical(self) -> bytes: ...


class Look(Protocol):
    """What an act may read of other records. `get` raises Missing for what is not there."""

    def get(self, kind: str, id: str) -> Any: ...
    def find(self, kind: str, **where: str) -> list[Any]: ...


@dataclass(frozen=True)
class Notice:
    """What somebody is told: on their page, and by e-mail where one is set up. `path` is the page to go to."""

    account: str
    words: str
    path: str


@dataclass(frozen=True)
class Asked:
    """What an act is asked to do: by whom, with what form, to which record (None where it makes one), when.

    `commit` gives the commitment that stands for an account on the public register in what concerns a project; `network`
    is the network's name.
    """

    actor: Account
    form: Any
    record: Any
    now: dt.datetime
    look: Look
    new_id: Callable[[str], str]
    commit: Callable[[str, str], str]
    network: str


@dataclass(frozen=True)
class Outcome:
    """What comes of an act. `public` are entries for the register, in order. The first record is the one acted on."""

    records: tuple[Record, ...]
    public: tuple[Entry, ...] = ()
    notices: tuple[Notice, ...] = ()


class Nothing(Node):
    """The form of an act that needs no more said."""


@dataclass(frozen=True)
class Act:
    """One row. `before` are the states that the record may be in; empty where the act makes the record."""

    name: str
    words: str
    do: Callable[[Asked], Outcome]
    form: type[Node] = Nothing
    before: frozenset[str] = frozenset()
    about: Callable[[Any, Look], Subject] = field(default=lambda record, look: NOTHING)

    @property
    def kind(self) -> str:
        return self.name.split(".")[0]

    def check_state(self, record: Record) -> None:
        """Raise StateError unless the record is in a state that this act starts from."""
        if record.state not in self.before:
            states = ", ".join(sorted(state.replace("_", " ") for state in self.before))
            raise StateError(
                f"Expected {record.id} to be {states} for this; it is {record.state.replace('_', ' ')}. "
                "It may have been changed while you looked at it."
            )


def table(*groups: tuple[Act, ...]) -> Mapping[str, Act]:
    """All acts by name. A name that stands twice is a mistake in the code."""
    found: dict[str, Act] = {}
    for act in (act for group in groups for act in group):
        if act.name in found:
            raise ValueError(f"the act {act.name} stands twice")
        found[act.name] = act
    return found
