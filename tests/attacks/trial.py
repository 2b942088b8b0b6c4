"""The trial that researchers attack: three sites, people whom the attacker knows, and what is secret about them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

import civicgrid as cg
from civicgrid.client.simulate import Simulation
from civicgrid.errors import CivicGridError
from unit.node.sites import DATASET, described, stored

OPEN = cg.Policy.open()
TARGETS = 6


def frames(size: int = 150) -> dict[str, pd.DataFrame]:
    """Three sites. The first has the targets: the attacker knows each by the year; whether they are positive is secret."""
    rng = np.random.default_rng(11)
    made = {}
    for site in ("ash", "birch", "cedar"):
        made[site] = pd.DataFrame(
            {
                "year": rng.integers(1940, 2000, size),
                "ward": rng.integers(0, 5, size),
                "positive": rng.random(size) < 0.5,
                "cost": np.round(rng.normal(100, 20, size), 3),
            }
        )
    # Nobody else in the network has the year of a target.
    first = made["ash"]
    first.loc[: TARGETS - 1, "year"] = 1900 + np.arange(TARGETS)
    return made


FRAMES = frames()
SECRET = [bool(value) for value in FRAMES["ash"]["positive"].iloc[:TARGETS]]
COSTS = [float(value) for value in FRAMES["ash"]["cost"].iloc[:TARGETS]]


def grid(defended: bool, frames: Mapping[str, pd.DataFrame] = FRAMES) -> Simulation:
    """A fresh network for each attempt, so that each target is attacked under the best conditions."""
    held = described(*frames.values())
    sites = {site: stored(frame, held) for site, frame in frames.items()}
    return cg.simulate(sites, dataset=DATASET, policy=None if defended else OPEN)


def number(made: Simulation, method: Any) -> float | None:
    """The one number of a count, or None where it is not had from all three sites."""
    try:
        result = made.run(method)
    except CivicGridError:
        return None
    if any(site.status != "answered" for site in result.sites):
        return None
    value = result.output.tables[0].rows[0][-1]
    return None if value is None else float(value)


def known(guesses: Iterable[Any], truth: Iterable[Any]) -> int:
    """How many rows were recovered: guesses that were made, and are right."""
    made = [(guess, true) for guess, true in zip(guesses, truth, strict=True) if guess is not None]
    right = sum(guess == true for guess, true in made)
    # A coin would be right half of the time: only a method that is never wrong has recovered anything.
    return right if right == len(made) else 0
