"""Attacks by what a researcher writes into a plan: each works as shipped, against a permit for any plan.

A permit that lists the digests of plans which somebody has read (`civicgrid node permit --plan`) is what stands against
these today. They are kept here so that it is known what they recover, and noticed when a rule stops them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

import civicgrid as cg
from attacks.attack import Attack
from attacks.trial import DATASET, FRAMES, OPEN, SECRET, frames, grid, known, number
from civicgrid.client.simulate import Simulation
from civicgrid.curation.store import Store
from civicgrid.errors import CivicGridError
from civicgrid.node.session import Stored
from unit.node.sites import CACHE, World

AIMED = range(2, 6)
TARGETS = len(AIMED)


Shown = Callable[[Simulation, Any, Any], Any]
"""What a researcher sees of a column or condition that only the target can have, in one way of asking."""


def _described(made: Simulation, t: Any, both: Any) -> Any:
    return made.run(cg.Describe(cg.cohort(t.ward < 9, both=both), columns=["both"])).output


def _as_a_number(made: Simulation, t: Any, both: Any) -> Any:
    return made.run(cg.Describe(cg.cohort(t.ward < 9, both=both.as_int()), columns=["both"])).output


def _no_value(made: Simulation, t: Any, both: Any) -> Any:
    """Without a value for the target alone."""
    missing = cg.case(cg.when(~both & (t.ward < 2)).then("early"), cg.when(~both).then("late"))
    return made.run(cg.Describe(cg.cohort(t.ward < 9, missing=missing), columns=["missing"])).output


def _as_a_group(made: Simulation, t: Any, both: Any) -> Any:
    return made.run(cg.Describe(cg.cohort(t.ward < 9, both=both, ward=t.ward), columns=["ward"], by="both")).output


def _crossed(made: Simulation, t: Any, both: Any) -> Any:
    cohort = cg.cohort(t.ward < 9, both=both, low=t.ward < 2)
    return made.run(cg.Crosstab(cohort, rows="low", columns="both")).output


def _crossed_apart(made: Simulation, t: Any, both: Any) -> Any:
    """Two columns of many people each, which only the target can have together."""
    early, late = (t.year < 1940) & (both | (t.year > 1907)), (t.year >= 1940) | both
    cohort = cg.cohort(t.ward < 9, early=early | (t.ward < 1), late=late & ((t.ward > 0) | both))
    return made.run(cg.Crosstab(cohort, rows="early", columns="late")).output


def _as_a_predictor(made: Simulation, t: Any, both: Any) -> Any:
    cohort = cg.cohort(t.ward < 9, both=both, cost=t.cost)
    return made.run(cg.GLM(cohort, outcome="cost", predictors=["both"], family="gaussian")).output


def _as_a_number_in_a_model(made: Simulation, t: Any, both: Any) -> Any:
    cohort = cg.cohort(t.ward < 9, both=both.as_int() + 1, cost=t.cost)
    return made.run(cg.GLM(cohort, outcome="cost", predictors=["both"], family="gaussian")).output


def _as_an_outcome(made: Simulation, t: Any, both: Any) -> Any:
    cohort = cg.cohort(t.ward < 9, both=both, cost=t.cost)
    return made.run(cg.GLM(cohort, outcome="both", predictors=["cost"], family="binomial")).output


def _roughly(made: Simulation, t: Any, both: Any) -> Any:
    return made.run(cg.Discover(cg.cohort(both))).output


WAYS: tuple[Shown, ...] = (
    _described, _as_a_number, _no_value, _as_a_group, _crossed, _crossed_apart, _as_a_predictor, _as_a_number_in_a_model,
    _as_an_outcome, _roughly,
)  # fmt: skip


def _nobody_or_one(defended: bool) -> int:
    """How many people are the target and positive, in every way of asking: what is seen for one who is positive and for
    one who is not differs in what is hidden and what is said. The attacker makes both cases up and compares.
    """
    return max(_told_apart(defended, way) for way in WAYS)


def _told_apart(defended: bool, way: Shown) -> int:
    guesses: list[bool | None] = []
    for target in AIMED:
        made = grid(defended)
        t = made.dataset(DATASET)
        seen = _outline(made, way, t, (t.year == 1900 + target) & t.positive)
        like = []
        for sure in (t.positive | ~t.positive, t.positive & ~t.positive):
            # A simulation of the attacker's own, in which the target is positive, or is not.
            own = grid(defended)
            like.append(_outline(own, way, t, (t.year == 1900 + target) & sure))
        guesses.append(None if like[0] == like[1] or seen not in like else seen == like[0])
    return known(guesses, [SECRET[target] for target in AIMED])


def _outline(made: Simulation, way: Shown, t: Any, both: Any) -> Any:
    """What is hidden and what is said; with nothing hidden, the numbers as well."""
    try:
        output = way(made, t, both)
    except CivicGridError as error:
        return str(error)
    if made.policy == OPEN:
        return output
    facts = {name: value is None for name, value in output.facts.items()}
    return [(table.name, table.hidden) for table in output.tables], facts, output.suppressed, output.notes


Numbers = Callable[[Any, Any], tuple[Any, Any]]
"""Two numbers made from the data set and the condition that only the target can meet, and meets if positive."""

MOVED: list[Numbers] = [
    lambda t, person: (t.ward, cg.case(cg.when(person).then(t.ward + 100), otherwise=t.ward)),
    lambda t, person: (t.ward, t.ward * 3 + cg.case(cg.when(person).then(100), otherwise=7)),
    lambda t, person: (t.ward + t.cost, t.ward * 2 + t.cost * 2 + person.as_int() * 1000),
    lambda t, person: (cg.case(cg.when(t.ward < 2).then(5), otherwise=t.ward), _banded(t, person)),
    lambda t, person: (t.ward, person.as_int() * 100),
    lambda t, person: (t.ward, t.ward * (cg.case(cg.when(person).then(100), otherwise=1))),
]


def _banded(t: Any, person: Any) -> Any:
    return cg.case(cg.when(person).then(500), cg.when(t.ward < 2).then(5), otherwise=t.ward)


def _moved_mean(defended: bool, at_once: bool) -> int:
    """Two means over the same people, of a number and of the same number but for a hundred more if the target is positive;
    where one of them is refused, by whether it is. The best of several numbers.
    """
    best = 0
    for numbers in MOVED:
        moves: list[float | None] = []
        refusals: list[bool] = []
        for target in AIMED:
            made = grid(defended)
            t = made.dataset(DATASET)
            one, two = numbers(t, (t.year == 1900 + target) & t.positive)
            cohorts = [cg.cohort(t.ward < 9, one=one, two=two)] if at_once else [
                cg.cohort(t.ward < 9, one=one), cg.cohort(t.ward < 9, two=two)
            ]  # fmt: skip
            means: dict[str, float] = {}
            refused = False
            for cohort in cohorts:
                names = [column.name for column in cohort.columns]
                found = _means(made, cohort, names)
                refused |= found is None
                means |= found or {}
            moves.append(means["two"] - means["one"] if len(means) == 2 else None)
            refusals.append(refused)
        truth = [SECRET[target] for target in AIMED]
        if None not in moves:
            least = min(moves)  # type: ignore[type-var]
            best = max(best, known([move > least + 1e-9 for move in moves], truth))  # type: ignore[operator]
        best = max(best, known(refusals, truth))
    return best


def _exact_counts(defended: bool) -> int:
    """How many have no value of a column: nobody, or the target if positive. Two tables of two by two, one of them of a
    column that the target has no value in; the odds ratio and the risks of each fix the exact counts behind its rounded
    ones, and the totals differ by the answer.
    """
    guesses: list[bool | None] = []
    for target in AIMED:
        made = grid(defended)
        t = made.dataset(DATASET)
        person = (t.year == 1900 + target) & t.positive
        totals = [
            _total(made, cg.cohort(t.ward < 9, rows=t.ward < 2, across=t.cost > 100)),
            _total(made, cg.cohort(t.ward < 9, rows=_missing_for(t, person), across=t.cost > 100)),
        ]
        guesses.append(None if None in totals else totals[0] != totals[1])
    return known(guesses, [SECRET[target] for target in AIMED])


def _missing_for(t: Any, person: Any) -> Any:
    """Whether somebody is in an early ward, without a value for the person."""
    return cg.case(cg.when(~person & (t.ward < 2)).then("early"), cg.when(~person).then("late"))


def _total(made: Any, cohort: Any) -> int | None:
    """The exact number of people in a table of two by two, from its rounded counts and its statistics."""
    try:
        result = made.run(cg.Crosstab(cohort, rows="rows", columns="across"))
    except CivicGridError:
        return None
    table = result.to_pandas()
    names = [name for name in table.columns if not name.endswith("%")][1:3]
    rounded = table[names].to_numpy(dtype=float)[:2]
    effects = result.to_pandas("effects")["estimate"].to_numpy(dtype=float)
    chi = result.to_pandas("association")["statistic"].item()
    if np.isnan(rounded).any() or np.isnan(effects).any():
        return None
    found = {
        int(cells.sum())
        for off in itertools.product(range(-2, 3), repeat=4)
        for cells in [rounded + np.array(off).reshape(2, 2)]
        if _agrees(cells, effects, chi)
    }
    return found.pop() if len(found) == 1 else None


def _agrees(cells: np.ndarray, effects: np.ndarray, chi: float) -> bool:
    (a, b), (c, d) = cells
    p, q, n = b / (a + b), d / (c + d), cells.sum()
    statistic = n * (a * d - b * c) ** 2 / ((a + b) * (c + d) * (a + c) * (b + d))
    said = np.array([*effects, chi])
    return bool(np.allclose([d * a / (b * c), q / p, q - p, statistic], said, rtol=2e-5, atol=2e-6))


def _nine_and_one(defended: bool) -> int:
    """A count of nine people whom the attacker knows, and of the target if positive: nine are hidden, ten are shown."""
    guesses: list[bool | None] = []
    for target in AIMED:
        made = grid(defended)
        t = made.dataset(DATASET)
        nine = [float(cost) for cost in FRAMES["ash"]["cost"].iloc[20:29]]
        known_to_all = t.cost == nine[0]
        for cost in nine[1:]:
            known_to_all = known_to_all | (t.cost == cost)
        try:
            result = made.run(cg.Count(cg.cohort(known_to_all | ((t.year == 1900 + target) & t.positive))))
            value = result.output.tables[0].rows[0][-1]
            guesses.append(value == 10)
        except CivicGridError:
            guesses.append(False if defended else None)
    return known(guesses, [SECRET[target] for target in AIMED])


TWO = ("trial", "registry")


def _two_data_sets(defended: bool, keyed: bool = True) -> int:
    """The same people in two data sets of a site: who is positive, from the one; and all of them but the target, from the
    other. The rows name the people by the same key, or by none.
    """
    guesses: list[bool | None] = []
    for target in AIMED:
        read = []
        at = _with_two_data_sets(defended, keyed)
        for t in _tables(at):
            condition = t.positive & (t.year != 1900 + target) if read else t.positive
            means = cg.cohort(condition, ward=t.ward)
            result = at.run(at.plan(cg.Describe(means, columns=["ward"]))).analyses[0]
            if result.output is None or any(site.status != "answered" for site in result.sites):
                break
            read.append(result.output.tables[0].rows[0][1])
        guesses.append(read[0] != read[1] if len(read) == 2 else None)
    return known(guesses, [SECRET[target] for target in AIMED])


def _refused_for_the_other(defended: bool) -> int:
    """Whether the second of these questions is refused, as an oracle. Without the rule on conditions, a ledger refuses what
    differs by one, and answers what does not differ.
    """
    guesses: list[bool | None] = []
    for target in AIMED:
        if not defended:
            people = FRAMES["ash"]
            rest = people["positive"] & (people["year"] != 1900 + target)
            guesses.append(1 <= (people["positive"] ^ rest).sum() <= 9)
            continue
        at = _with_two_data_sets(True, keyed=True)
        first, second = _tables(at)
        at.run(at.plan(cg.Count(cg.cohort(first.positive))))
        asked = cg.cohort(second.positive & (second.year != 1900 + target))
        result = at.run(at.plan(cg.Count(asked))).analyses[0]
        guesses.append({site.site: site.status for site in result.sites}["ash"] != "answered")
    return known(guesses, [SECRET[target] for target in AIMED])


def _with_two_data_sets(defended: bool, keyed: bool) -> World:
    at = World(FRAMES) if defended else World(FRAMES, policy=OPEN)
    for name, site in at.sites.items():
        store = Store(None)
        for dataset in TWO:
            # Each data set has its own order of rows.
            frame = FRAMES[name].assign(nhs=range(len(FRAMES[name]))).sample(frac=1, random_state=len(dataset))
            store.load_table(dataset, frame, at.dictionary.model_copy(update={"person": "nhs"}) if keyed else at.dictionary)
        site.data = Stored(store, CACHE)
        at.trust[name].own_permits = [at.permit(name, datasets=TWO, pooled_threshold=True)]
    return at


def _tables(at: World) -> list[Any]:
    schema = at.sites["ash"].data.holdings()[0].dictionary
    assert schema is not None
    return [cg.dataset(dataset, schema) for dataset in TWO]


# --- exact means -----------------------------------------------------------------------------------------------------


def _means(made: Any, cohort: Any, names: list[str]) -> dict[str, float] | None:
    """The published means, if all sites are in them and none is hidden."""
    try:
        result = made.run(cg.Describe(cohort, columns=names))
    except CivicGridError:
        return None
    found = {str(row[0]): row[1] for row in result.output.tables[0].rows}
    if any(site.status != "answered" for site in result.sites) or None in found.values():
        return None
    return {name: float(mean) for name, mean in found.items()}  # type: ignore[arg-type]


def _far_out(defended: bool) -> int:
    """One mean, of a small number that is a thousand more if the target is positive: no other is needed beside it."""
    guesses: list[bool | None] = []
    for target in AIMED:
        made = grid(defended)
        t = made.dataset(DATASET)
        person = (t.year == 1900 + target) & t.positive
        means = _means(made, cg.cohort(t.ward < 9, number=t.ward + person.as_int() * 10_000), ["number"])
        guesses.append(None if means is None else means["number"] > 5)
    return known(guesses, [SECRET[target] for target in AIMED])


HIDDEN = 3


def _hidden_cell(defended: bool) -> int:
    """A ward of three people is hidden in every table. But the means of "in the first ward" and "in the second", as numbers
    0 and 1, are exact: what they leave over is the third, and both are fractions of one number of people.
    """
    sizes = {"ash": (21, 15, HIDDEN), "birch": (20, 15, 0), "cedar": (20, 16, 0)}
    held = {
        name: pd.DataFrame({"ward": ["north"] * north + ["south"] * south + ["third"] * third})
        for name, (north, south, third) in sizes.items()
    }
    made = grid(defended, held)
    ward = made.dataset(DATASET).ward
    cohort = cg.cohort(ward.is_not_null(), north=(ward == "north").as_int(), south=(ward == "south").as_int())
    means = _means(made, cohort, ["north", "south"])
    if means is None:
        return 0
    rest = 1 - means["north"] - means["south"]
    fits = [n for n in range(50, 200) if all(abs(n * m - round(n * m)) < 1e-4 * n / 50 for m in (*means.values(), rest))]
    return HIDDEN if fits and round(fits[0] * rest) == HIDDEN else 0


def _hidden_in_one_number(defended: bool) -> int:
    """The same from one number, 1, 2 or 0 by ward: mean and standard deviation fix how many are 1 and how many 2."""
    sizes = {"ash": (21, 15, HIDDEN), "birch": (20, 15, 0), "cedar": (20, 16, 0)}
    held = {
        name: pd.DataFrame({"ward": ["north"] * north + ["south"] * south + ["third"] * third})
        for name, (north, south, third) in sizes.items()
    }
    made = grid(defended, held)
    ward = made.dataset(DATASET).ward
    number = cg.case(cg.when(ward == "north").then(1), cg.when(ward == "south").then(2), otherwise=0)
    try:
        result = made.run(cg.Describe(cg.cohort(ward.is_not_null(), number=number), columns=["number"]))
    except CivicGridError:
        return 0
    row = result.to_pandas().iloc[0]
    if not all(site.status == "answered" for site in result.sites) or np.isnan(row["mean"]):
        return 0
    people = sum(sum(part) for part in sizes.values())
    total, squares = people * row["mean"], (people - 1) * row["sd"] ** 2 + people * row["mean"] ** 2
    south = (squares - total) / 2
    return HIDDEN if round(people - (total - 2 * south) - south) == HIDDEN else 0


def _three_answers(defended: bool) -> int:
    """All who were born early, all who were born late and the target with them, and everybody: the first two less the third
    are the target. No two are near, and at sites of some size what one leaves of another is more than is kept.
    """
    found, large = 0, frames(400)
    for target in AIMED:
        made = grid(defended, large)
        t = made.dataset(DATASET)
        person = t.year == 1900 + target
        sums = []
        for population in (t.year < 1968, (t.year >= 1968) | person, t.year < 2100):
            # The mean of whole numbers says how many people there are, among the five that the rounded count allows.
            cohort = cg.cohort(population, cost=t.cost - 100, year=t.year - 1968, ward=t.ward)
            means = _means(made, cohort, ["cost", "year", "ward"])
            shown = number(made, cg.Count(cg.cohort(population)))
            if means is None or shown is None:
                break
            whole = [means["year"], means["ward"]]
            people = min(
                (int(shown) + off for off in range(-2, 3)), key=lambda n: sum(abs(n * m - round(n * m)) for m in whole)
            )
            sums.append(people * means["cost"])
        found += len(sums) == 3 and abs(sums[0] + sums[1] - sums[2] + 100 - large["ash"]["cost"].iloc[target]) < 0.5
    return found


def _three_refusals(defended: bool) -> int:
    """The same with the target among the late only if positive: see whether the last answer is refused."""
    guesses: list[bool | None] = []
    large = frames(400)
    for target in AIMED:
        made = grid(defended, large)
        t = made.dataset(DATASET)
        person = (t.year == 1900 + target) & t.positive
        counts: list[float | None] = []
        refused = False
        for population in (t.year < 1968, (t.year >= 1968) | person, t.year < 2100):
            try:
                result = made.run(cg.Count(cg.cohort(population)))
                refused = {site.site: site.status for site in result.sites}["ash"] != "answered"
                counts.append(result.output.tables[0].rows[0][-1])
            except CivicGridError:
                refused = True
        guesses.append(refused if defended else counts[0] + counts[1] - counts[2] == 1)  # type: ignore[operator]
    return known(guesses, [bool(large["ash"]["positive"].iloc[target]) for target in AIMED])


ATTACKS = [
    Attack("nobody or one", "researcher", "cells of nobody are hidden", TARGETS, _nobody_or_one),
    Attack("three answers, apart and together", "researcher", "release ledger", TARGETS, _three_answers),
    Attack("three answers, to see which is refused", "researcher", "release ledger", TARGETS, _three_refusals),
    Attack("a hidden cell from means", "researcher", "numbers as cells", HIDDEN, _hidden_cell),
    Attack("a hidden cell from one mean and its spread", "researcher", "numbers as cells", HIDDEN, _hidden_in_one_number),
    Attack("a mean that one person moves", "researcher", "numbers held together", TARGETS,
           partial(_moved_mean, at_once=True)),
    Attack("a mean that one person moves, in two plans", "researcher", "numbers held together", TARGETS,
           partial(_moved_mean, at_once=False)),
    Attack("exact counts from statistics", "researcher", "three digits", TARGETS, _exact_counts),
    Attack("two data sets of the same people", "researcher", "one number a person", TARGETS, _two_data_sets),
    Attack("refusal as an oracle, by a data set", "researcher", "one number a person", TARGETS, _refused_for_the_other),
]

STANDING = [
    Attack("nine known people and one", "researcher", "", TARGETS, _nine_and_one),
    Attack("two data sets without a person key", "researcher", "", TARGETS, partial(_two_data_sets, keyed=False)),
    Attack("a number far out for one person", "researcher", "", TARGETS, _far_out),
]
