"""A trial at three sites, and the count that the tests of single refusals begin with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import civicgrid as cg
from civicgrid.methods.method import Ask
from unit.node.sites import World, frame

COUNT = Ask("count")
SITES = ("hull", "leeds", "york")
Why = Callable[[], str]
"""The fixture that reads the reason for the latest refusal out of the site's own log."""


def world(**options: Any) -> World:
    return World({"hull": frame(60), "leeds": frame(50), "york": frame(40)}, **options)


def count() -> cg.Count:
    return cg.Count(cg.dataset("trial"))


def of_the_dead(at: World) -> cg.Count:
    """A count whose cohort reads one column."""
    trial = cg.dataset("trial", at.sites["hull"].data.holdings()[0].dictionary)
    return cg.Count(cg.cohort(trial["died"] == 1))
