"""Attacks on the profiles in the catalogue: by anybody, since everybody sees them, with nothing but what they show."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd

from attacks.attack import Attack
from attacks.trial import FRAMES, OPEN, SECRET, TARGETS, known
from civicgrid.curation.dictionary import Dictionary
from civicgrid.curation.store import Store
from civicgrid.disclosure.policy import Policy
from civicgrid.node.profiles import Profile, Profiles
from civicgrid.node.session import Stored
from civicgrid.node.state import State
from civicgrid.query.types import ColumnType
from unit.node.sites import DATASET

DICTIONARY = Dictionary.model_validate_json(
    json.dumps(
        {
            "columns": [
                {"name": "year", "type": ColumnType(kind="int", low=1890.0, high=2020.0).to_data()},
                {"name": "ward", "type": ColumnType(kind="int", low=0.0, high=4.0).to_data()},
                {"name": "positive", "type": ColumnType(kind="bool").to_data()},
                {"name": "code", "type": ColumnType(kind="category", levels=("usual", "other", "rare")).to_data()},
            ],
            "person": "key",
        }
    )
)


class Watched:
    """A site whose catalogue page somebody reads after each load."""

    def __init__(self, defended: bool) -> None:
        self.store, self.state = Store(None), State(None)
        policy = Policy() if defended else OPEN
        self.profiles = Profiles(self.state, Stored(self.store, 1_000_000), lambda: policy)

    def after(self, frame: pd.DataFrame) -> Profile:
        self.store.load_table(DATASET, frame, DICTIONARY)
        # The best case for whoever watches: an epoch has ended since, so that no answer is held against earlier ones.
        with self.state.transaction("epoch-ended"):
            self.state.epochs.end(self.state.clock())
        return self.profiles.make(DATASET)


def people() -> pd.DataFrame:
    frame = FRAMES["ash"].drop(columns="cost").copy()
    frame["key"] = [f"P{number:04}" for number in range(len(frame))]
    frame["code"] = np.where(np.arange(len(frame)) % 2, "usual", "other")
    return frame


def _seen(profile: Profile, name: str, level: str) -> int | None:
    variable = profile.variables.get(name)
    return None if variable is None else {each.level: each.people for each in variable.levels}.get(level)


def _two_loads(defended: bool) -> int:
    """The page before and after one known person leaves: how many are positive, the one less the other."""
    guesses: list[Any] = []
    for target in range(TARGETS):
        watched, frame = Watched(defended), people()
        before, after = watched.after(frame), watched.after(frame.drop(index=target))
        one, two = _seen(before, "positive", "yes"), _seen(after, "positive", "yes")
        same = before.people == after.people and before.variables == after.variables
        guesses.append(None if same or one is None or two is None else one - two > 0)
    return known(guesses, SECRET)


def _lonely_level(defended: bool) -> int:
    """A level that the known person alone can have: whether the page shows somebody, nobody, or hides it."""
    guesses: list[Any] = []
    for target in range(TARGETS):
        pages = {}
        for secret in (SECRET[target], False, True):
            frame = people()
            if secret:
                frame.loc[target, "code"] = "rare"
            pages[secret] = _seen(Watched(defended).after(frame), "code", "rare")
        # What the page would show in either case is known to whoever knows everybody else.
        guesses.append(None if pages[True] == pages[False] else pages[SECRET[target]] == pages[True])
    return known(guesses, SECRET)


ATTACKS: list[Attack] = [
    Attack(
        "profiles of two loads", "outsider", "a variable is told anew once enough people have changed", TARGETS, _two_loads
    ),
    Attack("a level in a profile", "outsider", "nobody and a few look the same in a profile", TARGETS, _lonely_level),
]
