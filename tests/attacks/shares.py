"""Attacks on what one site sends: by a hub that reads a share or chooses what it holds, and by a node that lies."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from unittest.mock import patch

import msgpack
import numpy as np
import pandas as pd

import civicgrid as cg
from attacks.attack import Attack
from attacks.rosters import OPEN, TRIAL
from civicgrid.disclosure.release import Terms, combine, release
from civicgrid.disclosure.shapes import Counts, Dimension, Received, Share, Sums
from civicgrid.disclosure.thresholds import Thresholds
from civicgrid.errors import WireError
from civicgrid.methods.describe import site
from civicgrid.methods.describe.quantiles import grid
from civicgrid.methods.glm.model import Model
from civicgrid.methods.glm.site import Place
from civicgrid.methods.method import Ask
from civicgrid.query.table import Table
from civicgrid.wire import Shared
from unit.node.sites import Enrolled, World, frame

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


# --- edges and centres that the hub chooses --------------------------------------------------------------------------

PARTS = (1 / 3, 5 / 12, 1 / 2, 7 / 12)
STEPS = 16
NEAR = 0.01
"""A cost is found when it is known to lie within so much: costs are about 100, and spread by 20."""


def _costs(sites: int) -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(7)
    names = ("hull", "leeds", "york")[:sites]
    return {name: pd.DataFrame({"cost": np.round(rng.normal(100, 20, 60), 3)}) for name in names}


def _sorted(frames: dict[str, pd.DataFrame]) -> np.ndarray:
    """The costs of all whose sums can be read together: of three sites, which are masked, or of one in the open."""
    return np.sort(np.concatenate([frame["cost"] for frame in list(frames.values())[: 3 if len(frames) == 3 else 1]]))


def _bisection(defended: bool, sites: int) -> int:
    """How many costs the hub finds by moving an edge: between two edges where the count below changes lies a value.

    In the open it sees counts in multiples of five, so it looks for every fifth person; masked it sees exact totals. As
    shipped it also reads what an honest Ask gives, with and without a pooled threshold, between whichever edges are there.
    Off: sites that count between whatever edges an Ask names.
    """
    frames = _costs(sites)
    if defended:
        read = [_honest(frames, pooled) for pooled in (False, True)]
        return max(*read, _moved_edges(World(frames), frames), _moved_edges(World(frames, pooled=False), frames))
    asked = [np.zeros(1)]

    def taken(ask: Ask, *names: str) -> None:
        asked[0] = ask.arrays.get("edges 0", asked[0])

    with patch.object(Ask, "only", taken), patch.object(site, "grid", lambda column: asked[0]):
        return _moved_edges(World(frames, policy=OPEN, pooled=False), frames)


def _moved_edges(at: World, frames: dict[str, pd.DataFrame]) -> int:
    costs = _sorted(frames)
    enrolled = at.enrol(at.request(at.plan(cg.Describe(TRIAL, columns=["cost"]))), list(frames))
    turn = 0

    def below(edge: float) -> int | None:
        nonlocal turn
        ask = Ask("survey", {"edges 0": np.array([edge])})
        said = [at.tell(name, at.round(enrolled, ask, turn)) for name in enrolled.accepted]
        turn += 1
        if not said or not all(isinstance(reply, Shared) for reply, _ in said):
            return None
        counts = combine([share for _, share in said[: 3 if len(frames) == 3 else 1]])["histogram of cost"]
        return None if counts.low is None else int(np.asarray(counts.low)[0, 1])

    return _bisected(costs, lambda rank, edge: None if (count := below(edge)) is None else count >= rank, STEPS)


def _bisected(costs: np.ndarray, reached: Callable[[int, float], bool | None], steps: int) -> int:
    """How many values are found, where it can be asked whether so many people lie below an edge."""
    found = 0
    for rank in (round(part * len(costs)) for part in PARTS):
        low, high = 88.0, 112.0
        for _ in range(steps):
            middle = (low + high) / 2
            there = reached(rank, middle)
            if there is None:
                return found
            low, high = (low, middle) if there else (middle, high)
        # With `rank` people or more below `high` and fewer below `low`, the one of this rank lies between.
        found += int(low <= costs[rank - 1] <= high and high - low < NEAR)
    return found


def _honest(frames: dict[str, pd.DataFrame], pooled: bool) -> int:
    """The costs that lie between two near edges of the grid with a count that says so."""
    at, costs, found = World(frames, pooled=pooled), _sorted(frames), 0
    plan = at.plan(cg.Describe(TRIAL, columns=["cost"]))
    enrolled = at.enrol(at.request(plan), list(frames))
    ask = next(plan.analyses[0].method.coordinate(plan.schema))
    said = [at.tell(name, at.round(enrolled, ask)) for name in enrolled.accepted]
    read = combine([share for _, share in said[: 3 if len(frames) == 3 else 1]])["histogram of cost"]
    edges = np.concatenate([[-np.inf], grid(plan.schema["cost"]), [np.inf]])
    assert read.low is not None and read.high is not None
    for rank in range(len(costs)):
        low, high = edges[read.high[0] <= rank][-1], edges[read.low[0] > rank][:1]
        assert low <= costs[rank] and (not len(high) or costs[rank] <= high[0])
        found += bool(len(high) and high[0] - low < NEAR)
    return found


def _moved_centre(defended: bool) -> int:
    """The same by way of a regression, which asks how far the numbers lie from a centre. A sum of distances without
    regard to sign grows, as the centre moves by a little, by as many as lie below it less as many as lie above.

    Off: sites that add such distances up, and not their squares.
    """
    frames = _costs(3)
    costs, at = _sorted(frames), World(frames) if defended else World(frames, policy=OPEN)
    plan, step = at.plan(cg.GLM(TRIAL, outcome="cost", family="gaussian")), 1e-6
    runs: dict[int, tuple[Enrolled, list[int]]] = {}

    def distance(rank: int, centre: float) -> float | None:
        if rank not in runs:
            runs[rank] = at.enrol(at.request(plan), list(frames)), []
        enrolled, turns = runs[rank]
        ask = Ask("spread", {"centre": np.array([centre]), "sizes": np.array([8])})
        said = [at.tell(name, at.round(enrolled, ask, len(turns))) for name in enrolled.accepted]
        turns.append(1)
        if not said or not all(isinstance(reply, Shared) for reply, _ in said):
            return None
        return float(np.asarray(combine([share for _, share in said])["spread"].values)[0, 0])

    def reached(rank: int, edge: float) -> bool | None:
        here, beyond = distance(rank, edge), distance(rank, edge + step)
        return None if here is None or beyond is None else round(((beyond - here) / step + len(costs)) / 2) >= rank

    if defended:
        return _bisected(costs, reached, 12)

    def bent(model: Model, table: Table, ask: Ask) -> Share:
        away = [np.abs(people.arrays["cost"] - ask.arrays["centre"][0]).sum() for people in model.people(table)]
        sums, people = np.array([[sum(away)]]), np.array([table.rows])
        return (Sums("spread", sums, people, np.array([8]), Dimension("people", ("all",))),)

    with patch("civicgrid.methods.glm.glm.spread", bent):
        return _bisected(costs, reached, 12)


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
    Attack("histogram bisection, in the open", "hub", "edges follow from the plan", len(PARTS),
           partial(_bisection, sites=2)),
    Attack("histogram bisection, masked", "hub", "edges follow from the plan", len(PARTS), partial(_bisection, sites=3)),
    Attack("bisection by a centre that moves", "hub", "sums of squares alone", len(PARTS), _moved_centre),
    Attack("a node that lifts a small total", "node", "permit without a pooled threshold", FEW, _lifted),
    Attack("a node that sends what cannot be", "node", "form of a share", 2 * OTHERS, _falsified),
]  # fmt: skip
