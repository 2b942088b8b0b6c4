"""Attacks on published models: by a researcher who chooses outcome, predictors, weights and offset, and reads estimates.

Steering the coefficients of a fit is a hub's attack, and not in here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

import civicgrid as cg
from attacks.attack import Attack
from attacks.trial import COSTS, DATASET, FRAMES, SECRET, grid, known
from civicgrid.client.simulate import Simulation
from civicgrid.errors import CivicGridError

AIMED = range(2, 6)
"""The targets, fewer than elsewhere: two who are positive and two who are not."""

TARGETS = len(AIMED)
PEOPLE = sum(len(part) for part in FRAMES.values())
NEAR = 0.5
"""A cost is known when it is known to half a unit: costs are about 100, and spread by 20."""


def estimates(made: Simulation, method: cg.GLM, sites: Sequence[str] = ()) -> pd.DataFrame | None:
    """The published estimates by term, or None unless all sites asked are in them."""
    try:
        fit = made.run(method, sites=sites)
        table = fit.to_pandas().set_index("term")
    except CivicGridError:
        return None
    answered = all(site.status == "answered" for site in fit.sites)
    return table if answered and not table["estimate"].isna().any() else None


def costs_read(guesses: list[float | None]) -> int:
    """How many costs were stated to within half a unit; none if one of those stated is wrong."""
    stated = [(guess, COSTS[target]) for guess, target in zip(guesses, AIMED, strict=True) if guess is not None]
    right = sum(abs(guess - cost) < NEAR for guess, cost in stated)
    return right if right == len(stated) else 0


# --- two fits --------------------------------------------------------------------------------------------------------


def _two_fits(defended: bool) -> int:
    """A logistic regression with and without the target. Each fit gives the events in each of its groups: the standard
    error says how many people a group has, the estimate which part of them. The groups of two fits differ by the target.
    """
    guesses: list[bool | None] = []
    for target in AIMED:
        made = grid(defended)
        t = made.dataset(DATASET)
        events = []
        for population in (t.year < 2100, (t.year < 2100) & (t.year != 1900 + target)):
            cohort = cg.cohort(population, late=t.year >= 1970, positive=t.positive)
            fit = estimates(made, cg.GLM(cohort, outcome="positive", predictors=["late"], family="binomial"))
            if fit is None:
                break
            share = 1 / (1 + np.exp(-fit["estimate"].iloc[0]))
            people = 1 / (fit["std_error"].iloc[0] ** 2 * share * (1 - share))
            events.append(round(people * share))
        guesses.append(events[0] - events[1] == 1 if len(events) == 2 else None)
    return known(guesses, [SECRET[target] for target in AIMED])


# --- one person apart ------------------------------------------------------------------------------------------------

Columns = Callable[[Any, Any], dict[str, Any]]
"""Made from the data set and the condition that only the target meets."""


ALL: tuple[Sequence[str], ...] = ((),)
ALL_AND_FEWER = ((), ("ash", "birch"), ("ash",))
"""All three sites, whose sums are masked; and those whose shares are read in the open."""


def _apart(
    defended: bool, ways: Sequence[tuple[Columns, dict[str, Any]]], rosters: Sequence[Sequence[str]] = ALL
) -> int:
    """The cost of one person whom the model tells from everybody else, so that the fit goes through that person: the
    estimates add up to the secret. The best of several ways.
    """
    return max(
        costs_read([_sum(defended, target, sites, *way) for target in AIMED]) for sites in rosters for way in ways
    )


def _sum(
    defended: bool, target: int, sites: Sequence[str], columns: Columns, parameters: dict[str, Any]
) -> float | None:
    made = grid(defended)
    t = made.dataset(DATASET)
    try:
        cohort = cg.cohort(t.ward < 9, cost=t.cost, **columns(t, t.year == 1900 + target))
        fit = estimates(made, cg.GLM(cohort, outcome="cost", family="gaussian", **parameters), sites)
    except CivicGridError:
        return None
    return None if fit is None else float(fit["estimate"].sum())


def one_for(person: Any, here: float = 1.0, elsewhere: float = 0.0) -> Any:
    """A number with one value for the target and another for everybody else."""
    return cg.case(cg.when(person).then(here), otherwise=elsewhere)


def _dummy(t: Any, person: Any) -> dict[str, Any]:
    return {"one": person}


def _level(t: Any, person: Any) -> dict[str, Any]:
    return {"place": cg.case(cg.when(person).then("the lone ward"), otherwise="elsewhere")}


def _thirds(t: Any, person: Any) -> dict[str, Any]:
    """Three groups of many people, every two of which have many in common, and all three the target alone."""
    groups = [(t.ward == 0) | (t.ward == 1), (t.ward == 1) | (t.ward == 2), (t.ward == 2) | (t.ward == 0)]
    return {name: person | group for name, group in zip("abc", groups, strict=True)}


def _product(t: Any, person: Any) -> dict[str, Any]:
    """The same as a number that is nought for everybody else."""
    a, b, c = (condition.as_int() for condition in _thirds(t, person).values())
    return {"abc": a * b * c}


def _far(spread: float) -> Columns:
    """A number, not a group: the target far out, everybody else spread about nought."""
    return lambda t, person: {"far": one_for(person) + (t.ward - 2) * spread}


def _heavy(weight: float, spread: float) -> Columns:
    """A weight that leaves nobody but the target."""
    return lambda t, person: {"weight": one_for(person, weight, 1.0) + t.ward * spread}


DUMMIES = [(_dummy, {"predictors": ["one"]})]
LEVELS = [(_level, {"predictors": ["place"]}), (_level, {"predictors": ["place"], "reference": {"place": "elsewhere"}})]
INTERACTIONS = [
    (_thirds, {"predictors": [cg.interaction("a", "b", "c")]}),
    (_thirds, {"predictors": ["a", "b", "c", cg.interaction("a", "b", "c")]}),
    (_product, {"predictors": ["abc"]}),
]
FAR_OUT = [(_far(spread), {"predictors": ["far"]}) for spread in (1e-4, 1e-3, 1.5e-3, 2e-3)]
WEIGHTS = [(_heavy(weight, spread), {"weights": "weight"}) for weight in (1e4, 1e6) for spread in (0.0, 0.1)]


# --- two fits to the same people -------------------------------------------------------------------------------------

EXTRA = 5.0


def _light(defended: bool) -> int:
    """Two mean costs of the same people, the second with a somewhat greater weight for the target."""
    guesses: list[float | None] = []
    for target in AIMED:
        means = _intercepts(defended, target, "weights", lambda t, person: (1.0, one_for(person, 1 + EXTRA, 1.0)))
        guesses.append(means and 100 + ((PEOPLE + EXTRA) * means[1] - PEOPLE * means[0]) / EXTRA)
    return costs_read(guesses)


PART = 0.2
"""How much of a cost the offset holds: little, so that no rule on outliers sees it."""


def _offset(defended: bool) -> int:
    """Two mean costs of the same people, each less an offset that varies among them all; the second offset holds a part of
    the target's cost as well.
    """

    def offsets(t: Any, person: Any) -> tuple[Any, Any]:
        known = (t.ward - 2) * 10.0
        return known, known + cg.case(cg.when(person).then((t.cost - 100) * PART), otherwise=0.0)

    guesses: list[float | None] = []
    for target in AIMED:
        means = _intercepts(defended, target, "offset", offsets)
        guesses.append(means and 100 + PEOPLE * (means[0] - means[1]) / PART)
    return costs_read(guesses)


Two = Callable[[Any, Any], tuple[Any, Any]]


def _intercepts(defended: bool, target: int, use: str, columns: Two) -> list[float] | None:
    """The mean of the costs less 100, with the one column and with the other."""
    made = grid(defended)
    t = made.dataset(DATASET)
    one, two = columns(t, t.year == 1900 + target)
    plain = isinstance(one, float)
    cohort = cg.cohort(t.ward < 9, cost=t.cost - 100, two=two, **({} if plain else {"one": one}))
    found = []
    for parameters in ({} if plain else {use: "one"}, {use: "two"}):
        fit = estimates(made, cg.GLM(cohort, outcome="cost", family="gaussian", **parameters))
        if fit is None:
            return None
        found.append(float(fit["estimate"].iloc[0]))
    return found


# --- as many coefficients as people ----------------------------------------------------------------------------------


ALONE = 20


def _saturated(defended: bool) -> int:
    """A level for each of twenty people, and one for the rest: the fit is the data."""
    people = pd.DataFrame({"visits": [1 + i * 7 % 11 for i in range(30)]})
    people["who"] = [f"p{min(i, ALONE):02}" for i in range(30)]
    parts = {name: people.iloc[place::3] for place, name in enumerate("abc")}
    method = cg.GLM(cg.dataset(DATASET), outcome="visits", predictors=["who"], family="poisson", intercept=True)
    fit = estimates(grid(defended, parts), method)
    if fit is None:
        return 0
    logs = fit["estimate"].to_numpy()[:ALONE]
    read = np.exp(np.append(logs[0], logs[0] + logs[1:]))
    return known([round(float(value)) for value in read], people["visits"][:ALONE])


# --- many queries ----------------------------------------------------------------------------------------------------

QUERIES = 200
MANY = 102
PATIENCE = 20
"""After so many refusals the attacker believes that the budget is used up."""


def _accumulated(defended: bool, together: bool) -> int:
    """Sums of one secret column against two hundred columns that the attacker makes of what is known of everybody, one
    query each, or all of them in one description; then as many equations as there are people, solved.
    """
    rng = np.random.default_rng(3)
    people = pd.DataFrame({"year": 1900 + np.arange(MANY), "cost": np.round(rng.normal(100, 20, MANY), 3)})
    made = grid(defended, {"ash": people})
    t = made.dataset(DATASET)
    chosen = rng.random((QUERIES, MANY)) < 0.5
    columns = {
        f"q{query}": cg.case(cg.when(t.year.is_in([int(y) for y in people["year"][own]])).then(t.cost), otherwise=0.0)
        for query, own in enumerate(chosen)
    }
    equations: list[int] = []
    sums: list[float] = []
    step, refused = 50 if together else 1, 0
    for first in range(0, QUERIES if defended and not together else MANY + 8, step):
        names = list(columns)[first : first + step]
        cohort = cg.cohort(t.year < 2100, **{name: columns[name] for name in names})
        try:
            table = made.run(cg.Describe(cohort, columns=names)).to_pandas()
        except CivicGridError:
            refused += 1
            if refused == PATIENCE:
                break
            continue
        for name, mean in zip(table["variable"], table["mean"], strict=True):
            if not np.isnan(mean):
                equations.append(int(name[1:]))
                sums.append(MANY * mean)
    if len(equations) < MANY or np.linalg.matrix_rank(chosen[equations].astype(float)) < MANY:
        return 0
    read = np.linalg.lstsq(chosen[equations].astype(float), np.array(sums), rcond=None)[0]
    off = np.abs(read - people["cost"].to_numpy())
    return int((off < NEAR).sum()) if (off < NEAR).all() else 0


ATTACKS = [
    Attack("final-output differencing of two fits", "researcher", "release ledger", TARGETS, _two_fits),
    Attack("a dummy for one person", "researcher", "model rules: cells", TARGETS,
           partial(_apart, ways=DUMMIES, rosters=ALL_AND_FEWER)),
    Attack("a level that only one person has", "researcher", "model rules: cells", TARGETS, partial(_apart, ways=LEVELS)),
    Attack("interactions that isolate a person", "researcher", "model rules: cells", TARGETS,
           partial(_apart, ways=INTERACTIONS)),
    Attack("a number with one person far out", "researcher", "model rules: leverage", TARGETS,
           partial(_apart, ways=FAR_OUT)),
    Attack("a weight that leaves one person", "researcher", "model rules: effective people", TARGETS,
           partial(_apart, ways=WEIGHTS)),
    Attack("as many coefficients as people", "researcher", "model rules: people", ALONE, _saturated),
    Attack("covariance accumulation, 200 queries", "researcher", "budget of answers", MANY,
           partial(_accumulated, together=False)),
    Attack("covariance accumulation in one description", "researcher", "budget of variables", MANY,
           partial(_accumulated, together=True)),
    Attack("a somewhat greater weight for one person", "researcher", "numbers held together", TARGETS, _light),
    Attack("an offset that differs for one person", "researcher", "numbers held together", TARGETS, _offset),
]  # fmt: skip

