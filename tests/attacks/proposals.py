"""Attacks by a hub that only proposes studies and never asks for a number: what a site's yes or no says of its people.

A researcher with a permit signs whatever the hub needs. The hub reads whether the site takes part, and whether it says that
it can stand alone. Nobody in the network but a target has the target's year; whether the target is positive is secret.
"""

from __future__ import annotations

import itertools
from typing import Any

import civicgrid as cg
from attacks.attack import Attack
from attacks.trial import DATASET, FRAMES, SECRET, TARGETS, known
from civicgrid.wire import STANDING, Accepted, Standing
from unit.node.sites import World


class Proposer:
    """A hub that proposes counts of cohorts to the first site, under a roster of all three."""

    def __init__(self, defended: bool, pooled: bool) -> None:
        self.at = World(FRAMES, pooled=pooled)
        if not defended:
            releases = self.at.sites["ash"].releases
            releases.prepared = lambda *_: None  # type: ignore[method-assign]
            releases.enter = lambda *_: None  # type: ignore[method-assign]
        held = self.at.sites["ash"].data.holdings()[0].dictionary
        assert held is not None
        self.t: Any = cg.dataset(DATASET, held)

    def many(self, population: Any) -> bool | None:
        """Whether the site says that its people of this cohort are enough; None where it does not take part."""
        request = self.at.request(self.at.plan(cg.Count(cg.cohort(population))))
        roster = self.at.roster(request, sorted(FRAMES))
        reply, _ = self.at.tell("ash", self.at.prepare(request, roster))
        if not isinstance(reply, Accepted):
            return None
        own = self.at.member("ash").signing
        return Standing.from_bytes(reply.standing.verify(STANDING, [own])).alone


def _nine(hub: Proposer, ward: int, step: int, spare: int) -> Any:
    """A group of exactly nine people in a ward, found by yes and no alone; None where none is found."""
    t = hub.t
    for limit in [*range(1950, 1980)][::step]:
        group = (t.ward == ward) & (t.year < limit) & (t.year >= 1940)
        one_more = hub.many(group | (t.year == 1900 + spare))
        if one_more and not hub.many(group):
            return group
        if step > 0 and one_more:
            break
    return None


def _proposals_alone(defended: bool) -> int:
    """Find nine people by proposals, then propose them together with the target, if positive.

    Searched over permits with a pooled threshold and without, and the steps in which the nine are looked for.
    """
    best = 0
    for pooled, step in itertools.product((True, False), (1, 3, -1)):
        if best == TARGETS:
            break
        guesses: list[bool | None] = []
        for target in range(TARGETS):
            hub = Proposer(defended, pooled)
            groups = (_nine(hub, ward, step, (target + 1) % TARGETS) for ward in range(5))
            group = next((found for found in groups if found is not None), None)
            if group is None:
                guesses.append(None)
                continue
            t = hub.t
            said = hub.many(group | ((t.year == 1900 + target) & t.positive))
            # Without a pooled threshold too few people are a refusal; with one, a site that does not stand alone.
            guesses.append(None if said is None and pooled else bool(said))
        best = max(best, known(guesses, SECRET))
    return best


ATTACKS = [
    Attack("proposals alone", "hub", "proposals enter the ledger", TARGETS, _proposals_alone),
]
