"""Attacks on published tables: by a researcher who sees rounded counts, margins, percentages, statistics and quartiles."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

import civicgrid as cg
from attacks.attack import Attack
from attacks.trial import DATASET, FRAMES, SECRET, TARGETS, grid, known, number
from civicgrid.client.results import Result
from civicgrid.client.simulate import Simulation
from civicgrid.errors import CivicGridError
from unit.node.sites import frame

DATA = cg.dataset(DATASET)

# --- a site of four people -------------------------------------------------------------------------------------------

SMALL = 4
SIZES = {"hull": 163, "leeds": 152, "wales": SMALL, "york": 141}


def people(made: Simulation, sites: Iterable[str]) -> float | None:
    """The published count of these sites."""
    try:
        value = made.run(cg.Count(DATA), sites=list(sites)).output.tables[0].rows[0][-1]
    except CivicGridError:
        return None
    return None if value is None else float(value)


def _four_person_site(defended: bool) -> int:
    """Ask it alone; ask all, and all but it, in both orders; ask every pair with it."""
    sites = {site: frame(size) for site, size in SIZES.items()}
    others = [site for site in SIZES if site != "wales"]
    read = [people(grid(defended, sites), ["wales"])]
    pairs = [(list(SIZES), others), (others, list(SIZES))]
    pairs += [both for other in others for both in (([other], [other, "wales"]), ([other, "wales"], [other]))]
    for one, two in pairs:
        made = grid(defended, sites)
        seen = [people(made, chosen) for chosen in sorted((one, two), key=len, reverse=len(one) > len(two))]
        read.append(None if None in seen else abs(float(seen[0] or 0) - float(seen[1] or 0)))
    found = {value for value in read if value}
    return SMALL if found == {float(SMALL)} else 0


# --- margins ---------------------------------------------------------------------------------------------------------

CELLS = np.array([[3, 40, 35], [50, 61, 44], [48, 7, 52]])
HELD_IN_SMALL_CELLS = int(CELLS[CELLS < 10].sum())


def crossed(cells: np.ndarray) -> pd.DataFrame:
    """A frame with so many people in each cell."""
    rows = [(f"r{i}", f"c{j}") for i, j in np.ndindex(cells.shape) for _ in range(int(cells[i, j]))]
    return pd.DataFrame(rows, columns=["down", "across"])


def shown(result: Result) -> np.ndarray:
    """The published table with its margins; NaN where a cell is hidden."""
    table = result.to_pandas()
    counts = [column.name for column in next(iter(result.tables.values())).columns if column.format == "count"]
    return table[counts].to_numpy(dtype=float)


def subtracted(table: np.ndarray) -> np.ndarray:
    """The table again, every cell that a line of cells and its total determine filled in, until nothing more comes."""
    table, size = table.copy(), table.shape
    lines = [[(i, j) for j in range(size[1])] for i in range(size[0])] + [
        [(i, j) for i in range(size[0])] for j in range(size[1])
    ]
    for _ in range(table.size):
        for line in lines:
            gone = [place for place in line if np.isnan(table[place])]
            if len(gone) == 1:
                parts = [table[place] for place in line[:-1] if place != gone[0]]
                table[gone[0]] = table[line[-1]] - sum(parts) if gone[0] != line[-1] else sum(parts)
    return table


def _margins(defended: bool) -> int:
    """A hidden cell is its row's total less the cells that are shown, however the people lie at one site or three.

    The defence that is off is complementary suppression: small cells are hidden alone, and counts are as they are.
    """
    most = 0
    for sites in (1, 2, 3):
        parts = {f"s{number}": crossed(CELLS).iloc[number::sites] for number in range(sites)}
        table = shown(grid(defended, parts).run(cg.Crosstab(DATA, rows="down", columns="across")))
        if not defended:
            table = np.where(table < 10, np.nan, table)
        inside = subtracted(table)[:3, :3]
        guesses = [None if np.isnan(value) else value for value in inside[CELLS < 10]]
        right = known(guesses, CELLS[CELLS < 10])
        most = max(most, HELD_IN_SMALL_CELLS if right == len(guesses) else 0)
    return most


def _less_single_sites(defended: bool) -> int:
    """The table of all sites, less the tables of all sites but one, each asked alone: what the last site did not show."""
    many = frame(400)
    few = frame(61).assign(sex=["male"] * 57 + ["female"] * 4)
    parts = {
        site: part.assign(half=["a" if (i // 2) % 2 else "b" for i in range(len(part))])
        for site, part in {"hull": many, "leeds": many, "wales": few, "york": many}.items()
    }
    others = [["hull"], ["leeds"], ["york"]]
    for order in ([list(parts), *others], [*others, list(parts)]):
        made, read = grid(defended, parts), {}
        for sites in order:
            try:
                result = made.run(cg.Crosstab(DATA, rows="sex", columns="half"), sites=sites)
            except CivicGridError:
                continue
            if all(site.status == "answered" for site in result.sites):
                read[tuple(sites)] = shown(result)
        if len(read) == len(order):
            rest = read[tuple(parts)] - sum(read[tuple(sites)] for sites in others)
            cells = list(rest[:2, :2].ravel())
            if sorted(cells)[:2] == [2.0, 2.0]:
                return 4
    return 0


# --- asking again ----------------------------------------------------------------------------------------------------

ASKED = 60


def _averaging(defended: bool) -> int:
    """The same count in sixty plans, under other titles and with other conditions that say the same; then the mean.

    The defence that is off is that nothing is drawn at random: noise anew for every answer, as some systems add it.
    """
    truth = int((FRAMES["ash"]["positive"]).sum())
    made = grid(defended, {"ash": FRAMES["ash"]})
    t = made.dataset(DATASET)
    noise, read = np.random.default_rng(5), []
    for asked in range(ASKED):
        words = (t.positive & (t.year > 1800), t.positive & ~(t.year <= 1800), (t.year < 2100 + asked) & t.positive)
        try:
            answer = made.run(cg.study(cg.cohort(words[asked % 3]), title=f"Try {asked}", it=cg.Count()))["it"]
            value = answer.output.tables[0].rows[0][-1]
        except CivicGridError:
            continue
        if isinstance(value, int):
            read.append(value + (0.0 if defended else noise.laplace(0, 2)))
    if len(set(read)) < 2:
        return 0  # one number, a multiple of five: the exact one is any of five
    return truth if round(float(np.mean(read))) == truth else 0


# --- a small group in a description ----------------------------------------------------------------------------------

FEW, VALUE = 3, 88.125


def _small_group(defended: bool) -> int:
    """The mean of a hidden group: as it stands, or the sum of everybody less the sums of the groups that are shown."""
    held = {f"s{number}": frame(120).assign(group="many") for number in range(3)}
    for part in held.values():
        part["cost"] = [50.0 + i % 11 for i in range(len(part))]
    held["s0"].loc[[3, 4, 5], "group"] = "few"
    held["s0"].loc[[3, 4, 5], "cost"] = VALUE
    result = grid(defended, held).run(cg.Describe(DATA, columns=["cost"], by="group"))
    published = list(numbers(result.to_dict()))
    whole, many = 360, 357
    direct = any(abs(value - VALUE) < 0.01 for value in published)
    taken = any(abs(one * whole - two * many - FEW * VALUE) < 1e-2 for one, two in itertools.permutations(published, 2))
    return FEW if direct or taken else 0


def numbers(value: object) -> Iterable[float]:
    """Every number in plain data."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for inner in value:
            yield from numbers(inner)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield float(value)


# --- a quantile that is one person's value ---------------------------------------------------------------------------

WARDS = [int(value) for value in FRAMES["ash"]["ward"].iloc[:TARGETS]]


def _median(defended: bool) -> int:
    """A column that is low for one half of the people, high for the other, and the target's secret for the target.

    Where the halves balance, the median is the secret, or half-way between it and an end. The balance is searched for.
    """
    guesses: list[int | None] = []
    for target in range(TARGETS):
        made = grid(defended)
        t = made.dataset(DATASET)
        columns = {
            f"split{place}": cg.case(
                cg.when(t.year == 1900 + target).then(t.ward), cg.when(t.cost < 99 + place / 50).then(-100), otherwise=100
            ).within(-100, 100)
            for place in range(13)
        }
        guess = None
        try:
            table = made.run(cg.Describe(cg.cohort(t.ward < 9, **columns), columns=list(columns))).to_pandas()
        except CivicGridError:
            table = pd.DataFrame()
        for row in table.to_dict("records"):
            for value in (row["median"], 2 * row["median"] - 100, 2 * row["median"] + 100):
                if 0 <= value <= 4 and value == round(value):
                    guess = int(value)
        guesses.append(guess)
    return known(guesses, WARDS)


# --- two projects ----------------------------------------------------------------------------------------------------


def _asked_first(defended: bool) -> int:
    """A rival asks for all who are positive but one, before another project asks for all; the other one's answer is read
    where it is published, and the rival's own is taken from it.
    """
    guesses: list[bool | None] = []
    for target in range(TARGETS):
        made = grid(defended)
        t = made.dataset(DATASET)
        own = number(made, cg.Count(cg.cohort(t.positive & (t.year != 1900 + target))))
        published = number(made, cg.Count(cg.cohort(t.positive)))
        guesses.append(None if own is None or published is None else published - own == 1)
    return known(guesses, SECRET)


ATTACKS = [
    Attack("a site of four people", "researcher", "small sites, rosters, rounding", SMALL, _four_person_site),
    Attack("margin subtraction", "researcher", "complementary suppression", HELD_IN_SMALL_CELLS, _margins),
    Attack("a total less single sites", "researcher", "rosters, suppression", 4, _less_single_sites),
    Attack("averaging repeated answers", "researcher", "nothing is drawn at random",
           int(FRAMES["ash"]["positive"].sum()), _averaging),
    Attack("a small group beside the whole", "researcher", "suppression of statistics", FEW, _small_group),
    Attack("a median that is one person's value", "researcher", "quantiles between ten people", TARGETS, _median),
    Attack("ledger poisoning, to read the other's answer", "researcher", "release ledger", TARGETS, _asked_first),
]  # fmt: skip

