"""Attacks that take one answer from another: two cohorts, cells within cohorts, two fits, four answers far apart."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

import civicgrid as cg
from attacks.attack import Attack
from attacks.trial import COSTS, DATASET, FRAMES, SECRET, TARGETS, grid, known, number
from civicgrid.disclosure.policy import LedgerRules
from civicgrid.disclosure.release import combine
from civicgrid.errors import CivicGridError
from civicgrid.trust.seal import Seal
from civicgrid.wire import Shared
from unit.node.sites import World


def _two_cohorts(defended: bool) -> int:
    """All who are positive, and all of them but the target."""
    guesses: list[bool | None] = []
    for target in range(TARGETS):
        made = grid(defended)
        t = made.dataset(DATASET)
        whole = number(made, cg.Count(cg.cohort(t.positive)))
        rest = number(made, cg.Count(cg.cohort(t.positive & (t.year != 1900 + target))))
        guesses.append(None if whole is None or rest is None else whole - rest == 1)
    return known(guesses, SECRET)


def _nested_cells(defended: bool) -> int:
    """A cell of a cross-table, and the same people but the target."""
    guesses: list[bool | None] = []
    for target in range(TARGETS):
        made = grid(defended)
        t = made.dataset(DATASET)
        early = cg.cohort(t.year < 2100, early=t.year < 1970, positive=t.positive)
        try:
            table = made.run(cg.Crosstab(early, rows="early", columns="positive")).to_pandas()
        except CivicGridError:
            guesses.append(None)
            continue
        cell = table.loc[table["early"] == "yes", "yes"].item()
        rest = number(made, cg.Count(cg.cohort((t.year < 1970) & t.positive & (t.year != 1900 + target))))
        guesses.append(None if rest is None or np.isnan(cell) else cell - rest == 1)
    return known(guesses, SECRET)


def _n_against_n_minus_one(defended: bool) -> int:
    """The mean cost of everybody, and of everybody but the target: two fits with nothing but an intercept."""
    found = 0
    for target in range(TARGETS):
        made = grid(defended)
        t = made.dataset(DATASET)
        sums = []
        for population in (t.year < 2100, (t.year < 2100) & (t.year != 1900 + target)):
            try:
                fit = made.run(cg.GLM(cg.cohort(population, cost=t.cost), outcome="cost", family="gaussian"))
            except CivicGridError:
                break
            people = sum(len(frame) for frame in FRAMES.values()) - len(sums)
            answered = all(site.status == "answered" for site in fit.sites)
            sums.append(people * float(fit.to_pandas()["estimate"].iloc[0]) if answered else np.nan)
        # Six digits of a mean are three of one cost: near enough for anybody who knows roughly what it is.
        found += len(sums) == 2 and abs(sums[0] - sums[1] - COSTS[target]) < 0.5
    return found


def _missing_for_one(defended: bool) -> int:
    """One plan with two tables: the cost, and the cost with the target's left out."""
    found = 0
    for target in range(TARGETS):
        made = grid(defended)
        t = made.dataset(DATASET)
        without = cg.case(cg.when(t.year != 1900 + target).then(t.cost))
        cohort = cg.cohort(t.year < 2100, all=t.cost.within(0, 200), rest=without.within(0, 200))
        try:
            table = made.run(cg.Describe(cohort, columns=["all", "rest"])).to_pandas().set_index("variable")
        except CivicGridError:
            continue
        people = sum(len(frame) for frame in FRAMES.values())
        means = [float(table.loc[name, "mean"]) for name in ("all", "rest")]
        found += abs(people * means[0] - (people - 1) * means[1] - COSTS[target]) < 0.5
    return found


def _four_answers(defended: bool) -> int:
    """A less (A without some) are those some; B less (B without those and the target) are those and the target. No two of
    the four are near.
    """
    guesses: list[bool | None] = []
    for target in range(TARGETS):
        made = grid(defended)
        t = made.dataset(DATASET)
        some = (t.year >= 1950) & (t.year < 1960)
        person = t.year == 1900 + target
        counts = [
            number(made, cg.Count(cg.cohort(t.positive & population)))
            for population in (
                t.year < 1990,
                (t.year < 1990) & ~some,
                t.year < 1980,
                (t.year < 1980) & ~(some | person),
            )
        ]
        if None in counts:
            guesses.append(None)
            continue
        one, two, three, four = (float(count or 0) for count in counts)
        guesses.append((three - four) - (one - two) == 1)
    return known(guesses, SECRET)


def _refusals(defended: bool, early: bool) -> int:
    """Leave the target out of those who are positive, in a cohort or in a cell, and see whether the answer is refused."""
    if not defended:
        return _refusals_of_a_plain_ledger()
    guesses: list[bool | None] = []
    for target in range(TARGETS):
        made = grid(True)
        t = made.dataset(DATASET)
        person = t.year == 1900 + target
        if early:
            cohort = cg.cohort(t.ward < 9, early=t.year < 1970, positive=t.positive)
            made.run(cg.Crosstab(cohort, rows="early", columns="positive"))
            population = (t.year < 1970) & t.positive & ~person
        else:
            number(made, cg.Count(cg.cohort(t.positive)))
            population = t.positive & ~person
        try:
            result = made.run(cg.Count(cg.cohort(population)))
            guesses.append({site.site: site.status for site in result.sites}["ash"] != "answered")
        except CivicGridError:
            guesses.append(True)
    return known(guesses, SECRET)


def _averages(defended: bool) -> int:
    """Ask how many there are with and without the target, each time with another few people left out, and average."""
    made = grid(defended)
    t = made.dataset(DATASET)
    truth = SECRET[0]

    def average(population: Any) -> float | None:
        told = []
        for other in range(1, TARGETS):
            try:
                found = made.run(cg.Discover(cg.cohort(population & (t.year != 1900 + other)))).to_pandas()
            except CivicGridError:
                continue
            value = found.set_index("site")["people"].get("ash", np.nan)
            # What leaving out somebody known changes, the attacker knows.
            told.append(float(value) + SECRET[other])
        told = [value for value in told if not np.isnan(value)]
        return float(np.mean(told)) if len(told) == TARGETS - 1 else None

    whole, rest = average(t.positive), average(t.positive & (t.year != 1900))
    if whole is None or rest is None:
        return 0
    return int((whole - rest > 0.5) == truth)


PAIRS, SURE, SPREAD = 1000, 3.0, 3.4
"""So many differences of rough counts are taken, each with about this standard deviation; the attacker says something once
the mean is so many standard errors from the middle between nobody and one.
"""


def _averages_far_apart(defended: bool) -> int:
    """Half of all years, drawn anew each time, with and without the target if positive: cohorts too far apart for the rule
    on nearly the same people. Two pairs a cohort, the second with somebody else who is known.

    Searched over how many pairs are taken, up to what is given.
    """
    rules = LedgerRules() if defended else LedgerRules(rough=10_000)
    at, draw = World({"ash": FRAMES["ash"]}, policy=cg.Policy(ledger=rules)), np.random.default_rng(5)
    # What the site draws differs from key to key: this one is always the same.
    at.seals["ash"] = Seal(b"the same key for every attempt. ")
    at.reopen("ash")
    held = at.sites["ash"].data.holdings()[0].dictionary
    assert held is not None
    t = cg.dataset(DATASET, held)
    target, other = (t.year == 1900) & t.positive, t.year == 1901
    apart: list[int] = []
    while len(apart) < PAIRS:
        years = [int(year) for year in draw.permutation(np.arange(1940, 2000))[:30]]
        for some in (t.year.is_in(years), t.year.is_in(years) | other):
            told = [_told(at, some | target), _told(at, some)]
            if told[0] is None or told[1] is None:
                return 0
            apart.append(told[0] - told[1])
            away = (float(np.mean(apart)) - 0.5) * np.sqrt(len(apart)) / SPREAD
            if abs(away) >= SURE:
                return int((away > 0) == SECRET[0])
    return 0


def _told(at: World, population: Any) -> int | None:
    """About how many people of a cohort the one site says it has."""
    plan = at.plan(cg.Discover(cg.cohort(population)))
    enrolled = at.enrol(at.request(plan), ["ash"])
    if not enrolled.accepted:
        return None
    reply, share = at.tell("ash", at.round(enrolled, next(plan.analyses[0].method.coordinate(plan.schema))))
    return int(combine([share], ["ash"])["people"].values[0]) if isinstance(reply, Shared) else None


def _refusals_of_a_plain_ledger() -> int:
    """The same against a ledger that refuses what differs by one to nine, and answers what does not differ at all."""
    people = FRAMES["ash"]
    guesses = []
    for target in range(TARGETS):
        first = set(people.index[people["positive"]])
        second = set(people.index[people["positive"] & (people["year"] != 1900 + target)])
        guesses.append(1 <= len(first ^ second) <= 9)
    return known(guesses, SECRET)


ATTACKS = [
    Attack("averaging rough counts", "researcher", "cell keys, few askings", 1, _averages),
    Attack("averaging rough counts far apart", "researcher", "a budget for rough counts", 1, _averages_far_apart),
    Attack("differencing two cohorts", "researcher", "release ledger", TARGETS, _two_cohorts),
    Attack("differencing a cell and a cohort", "researcher", "release ledger", TARGETS, _nested_cells),
    Attack("n against n-1 regression", "researcher", "release ledger", TARGETS, _n_against_n_minus_one),
    Attack("a column that is missing for one person", "researcher", "release ledger", TARGETS, _missing_for_one),
    Attack("four answers far apart", "researcher", "release ledger", TARGETS, _four_answers),
    Attack("refusal as an oracle", "researcher", "release ledger", TARGETS, partial(_refusals, early=False)),
    Attack("refusal as an oracle, by a cell", "researcher", "release ledger", TARGETS, partial(_refusals, early=True)),
]
