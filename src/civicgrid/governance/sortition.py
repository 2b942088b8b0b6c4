"""Drawing a panel by lot from volunteers, so that anybody can draw it again and get the same people.

The list of volunteers is fixed and its digest published before the seed is known. Volunteers of one group (those who
declared the same values) are put in the order of SHA-256(seed, panel, volunteer), and the first take the group's seats.
Seats that a group cannot fill go to the others in one common order. Within a group everybody has the same chance; nobody
who knows the list can steer it without the seed, nor can whoever gives the seed without the list.

Source of the idea of stratified lots: B. Flanigan et al. (2021), Fair algorithms for selecting citizens' assemblies, Nature
596:548-552. Theirs balances several attributes at once; here a group is a whole combination, which is simpler to check.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from civicgrid.canonical import Node, digest, dumps
from civicgrid.errors import StateError


class Candidate(Node):
    """A volunteer on the list: the id of their offer and the group that they declared."""

    id: str
    group: tuple[str, ...] = ()


class Quota(Node):
    """How many seats a group has."""

    group: tuple[str, ...] = ()
    seats: int


@dataclass(frozen=True)
class Drawing:
    """Who was drawn, in which order the others follow if a seat falls free, and which groups were too few."""

    drawn: tuple[Candidate, ...]
    reserve: tuple[Candidate, ...]
    short: tuple[Quota, ...]


def list_digest(candidates: Sequence[Candidate]) -> str:
    """What is published of the list before the seed is known. The order of the list means nothing."""
    return digest(dumps(sorted([each.id, list(each.group)] for each in candidates)))


def place(seed: str, panel: str, candidate: Candidate) -> str:
    """Where a candidate stands in the order: SHA-256 over seed, panel and id, each after its length in 4 bytes."""
    told = b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in (seed, panel, candidate.id))
    return hashlib.sha256(told).hexdigest()


def draw(seed: str, panel: str, candidates: Sequence[Candidate], quotas: Sequence[Quota]) -> Drawing:
    """The people that the seed gives. StateError where there are fewer volunteers than seats, or a quota stands twice."""
    if len({quota.group for quota in quotas}) != len(quotas):
        raise StateError("Expected each group once among the quotas; one stands twice.")
    if len({each.id for each in candidates}) != len(candidates):
        raise StateError("Expected each volunteer once; one stands twice on the list.")
    seats = sum(quota.seats for quota in quotas)
    if len(candidates) < seats:
        raise StateError(f"Expected at least {seats} volunteers, one a seat; there are {len(candidates)}. Ask for more.")
    order = sorted(candidates, key=lambda each: place(seed, panel, each))
    drawn: list[Candidate] = []
    short: list[Quota] = []
    for quota in quotas:
        found = [each for each in order if each.group == quota.group][: quota.seats]
        drawn += found
        if len(found) < quota.seats:
            short.append(Quota(group=quota.group, seats=quota.seats - len(found)))
    taken = {each.id for each in drawn}
    others = [each for each in order if each.id not in taken]
    left = seats - len(drawn)
    return Drawing((*drawn, *others[:left]), tuple(others[left:]), tuple(short))


def follower(drawing: Drawing, group: tuple[str, ...], seated: frozenset[str]) -> Candidate | None:
    """Who takes a seat that falls free: the next of the same group, or else the next of all; None if nobody is left."""
    free = [each for each in drawing.reserve if each.id not in seated]
    return next((each for each in free if each.group == group), free[0] if free else None)
