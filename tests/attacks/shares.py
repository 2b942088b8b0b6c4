"""Attacks on what one site sends: by a hub that reads a share or chooses what it holds, and by a node that lies."""

from __future__ import annotations

from functools import partial

import msgpack
import numpy as np
import pandas as pd

import civicgrid as cg
from attacks.attack import Attack
from attacks.rosters import OPEN, TRIAL
from civicgrid.disclosure.release import Terms, combine, release
from civicgrid.disclosure.shapes import Counts, Dimension, Received
from civicgrid.disclosure.thresholds import Thresholds
from civicgrid.errors import WireError
from civicgrid.methods.glm.site import Place
from civicgrid.methods.method import Ask
from civicgrid.wire import Shared
from unit.node.sites import World, frame

# --- a regression's sums ---------------------------------------------------------------------------------------------

DEATHS = 3


def _score(defended: bool) -> int:
    """How many women died at hull, from the score of a logistic regression at zero coefficients in a roster of two."""
    held = frame(60)
    held["died"] = [int(i in (1, 3, 5) or (i % 2 == 0 and i < 40)) for i in range(60)]
    sites = {"hull": held, "york": frame(60)}
    at = World(sites) if defended else World(sites, policy=OPEN)
    fit = cg.GLM(TRIAL, outcome="died", predictors=["sex"], family="binomial")
    enrolled = at.enrol(at.request(at.plan(fit)), ("hull", "york"))
    none = np.zeros(0)
    ask = Place(np.zeros(2), none, none.astype(np.int64), 0).ask()
    reply, share = at.tell("hull", at.round(enrolled, ask))
    if not isinstance(reply, Shared):
        return 0
    values = combine([share])["pass"].values
    # The score is the sum of x·(y - 1/2), the information that of x·x/4; women are the reference level.
    deaths, men_who_died = values[0] + 2 * values[2], values[1] + 2 * values[4]
    return DEATHS if round(float(deaths - men_who_died)) == DEATHS else 0


# --- edges that the hub chooses --------------------------------------------------------------------------------------

PARTS = (1 / 3, 5 / 12, 1 / 2, 7 / 12)
STEPS = 16


def _bisection(defended: bool, sites: int) -> int:
    """How many costs the hub finds by moving an edge: between two edges where the count below changes lies a value.

    In the open it sees counts in multiples of five, so it looks for every fifth person; masked it sees exact totals.
    """
    rng = np.random.default_rng(7)
    names = ("hull", "leeds", "york")[:sites]
    frames = {name: pd.DataFrame({"cost": np.round(rng.normal(100, 20, 60), 3)}) for name in names}
    # A permit as it is unless a custodian says more: every share must pass by itself.
    at = World(frames, pooled=False) if defended else World(frames, policy=OPEN, pooled=False)
    read = names if sites == 3 else names[:1]
    costs = np.sort(np.concatenate([frames[name]["cost"] for name in read]))
    plan = at.plan(cg.Describe(TRIAL, columns=["cost"]))
    enrolled = at.enrol(at.request(plan), list(frames))
    turn = 0

    def below(edge: float) -> int | None:
        nonlocal turn
        ask = Ask("refine" if turn else "survey", {"edges 0": np.array([edge])})
        said = [at.tell(name, at.round(enrolled, ask, turn)) for name in enrolled.accepted]
        turn += 1
        if not said or not all(isinstance(reply, Shared) for reply, _ in said):
            return None
        counts = combine([share for _, share in said[: len(read)]])["histogram of cost"]
        return None if counts.low is None else int(np.asarray(counts.low)[0, 1])

    found = 0
    for rank in (round(part * len(costs)) for part in PARTS):
        low, high = 88.0, 112.0
        for _ in range(STEPS):
            middle = (low + high) / 2
            count = below(middle)
            if count is None:
                return 0
            low, high = (low, middle) if count >= rank else (middle, high)
        # With `rank` people or more below `high` and fewer below `low`, the one of this rank lies between.
        found += int(low <= costs[rank - 1] <= high and high - low < 0.01)
    return found


# --- a node that lies ------------------------------------------------------------------------------------------------

FEW, ADDED = 3, 40


def women(few: int) -> pd.DataFrame:
    """Sixty men, and so many women."""
    return frame(60 + few).assign(sex=["male"] * 60 + ["female"] * few)


def _lifted(defended: bool) -> int:
    """A node works with a researcher. It adds women to its own data until the total is shown, one more in each run. Where
    the rounded total steps, the exact number of women at the other sites is known.

    Off: permits with a pooled threshold, under which a few people leave in a mask, on trust that the total holds many.
    """
    at = World({"hull": women(FEW), "leeds": women(0), "york": women(ADDED)}, pooled=not defended)
    sex = at.sites["hull"].data.holdings()[0].dictionary
    assert sex is not None
    plan = at.plan(cg.Count(cg.cohort(cg.dataset("trial", sex)["sex"] == "female")))
    # It is the liar's own node: what it refuses is in its own hand.
    at.trust["york"].own_policy = OPEN
    shown = []
    for more in range(6):
        at.reload("york", women(ADDED + more))
        result = at.run(plan).analyses[0]
        if result.output is None or any(site.status != "answered" for site in result.sites):
            return 0
        shown.append(int(result.output.tables[0].rows[0][-1] or 0))  # type: ignore[arg-type]
    steps = [more for more in range(1, 6) if shown[more] > shown[more - 1]]
    # Counts are rounded half up to multiples of five: at the step the total is two short of what is shown.
    exact = shown[steps[0]] - 2 - steps[0] - ADDED if steps else -1
    return FEW if exact == FEW else 0


OTHERS = 60


def _falsified(defended: bool) -> int:
    """A node sends something else than its count, to spoil what is published about the others: another part, another
    size, less than nobody. Off: a hub that adds up whatever numbers come.
    """
    terms = Terms(Thresholds(), True, 2, None)

    def sent(name: str, people: list[int]) -> bytes:
        dimensions = (Dimension("sex", tuple(str(i) for i in range(len(people)))),)
        return release((Counts(name, np.array(people, dtype=np.int64), dimensions),), terms)

    honest = sent("people", [OTHERS, OTHERS])
    lies = [sent("women", [OTHERS, OTHERS]), sent("people", [OTHERS]), _below_nought(honest)]
    spoilt = 0
    for lie in lies:
        try:
            parts = [combine([honest, lie])] if defended else [combine([honest]), {"": _added(lie)}]
        except WireError:
            continue
        values = np.concatenate([np.ravel(received.values) for part in parts for received in part.values()])
        spoilt = 2 * OTHERS if values.sum() != 4 * OTHERS or not defended else spoilt
    return spoilt


def _below_nought(honest: bytes) -> bytes:
    """The share with counts that no people can have."""
    form, mode, ((kind, name, shape, _, hidden),) = msgpack.unpackb(honest)
    packed: bytes = msgpack.packb([form, mode, [[kind, name, shape, np.array([-500, 10]).tobytes(), hidden]]])
    return packed


def _added(share: bytes) -> Received:
    """What a share says it is, unread."""
    _, _, ((_, name, _, values, _),) = msgpack.unpackb(share)
    return Received(name, np.frombuffer(values, "<i8"))


ATTACKS = [
    Attack("a score that gives a suppressed cell away", "hub", "model rules: cells", DEATHS, _score),
    Attack("a node that lifts a small total", "node", "permit without a pooled threshold", FEW, _lifted),
    Attack("a node that sends what cannot be", "node", "form of a share", 2 * OTHERS, _falsified),
]

STANDING = [
    Attack("histogram bisection, in the open", "hub", "", len(PARTS), partial(_bisection, sites=2)),
    Attack("histogram bisection, masked", "hub", "", len(PARTS), partial(_bisection, sites=3)),
]
