"""Attacks by a researcher with a permit, who sees published answers alone and chooses what is asked of which sites.

Each attack first works under an open policy, then yields nothing under the shipped defaults.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest

import civicgrid as cg
from civicgrid.client.results import NoAnswer, Result
from civicgrid.client.simulate import Simulation
from civicgrid.errors import CivicGridError
from unit.disclosure.test_rules import attack as widest
from unit.node.sites import described, frame, stored

DATA = cg.dataset("trial")
OPEN = cg.Policy.open()


def grid(sites: dict[str, pd.DataFrame], policy: cg.Policy | None) -> Simulation:
    """These frames as sites; what was loaded before is not loaded again."""
    held = described(*sites.values())
    return cg.simulate({site: stored(part, held) for site, part in sites.items()}, dataset="trial", policy=policy)


def people(made: Simulation, sites: list[str]) -> int | None:
    """The published count of these sites."""
    try:
        value = made.run(cg.Count(DATA), sites=sites).output.tables[0].rows[0][-1]
    except NoAnswer:
        return None
    return None if value is None else int(value)  # type: ignore[arg-type]


# --- a site of four --------------------------------------------------------------------------------------------------

SIZES = {"hull": 163, "leeds": 152, "wales": 4, "york": 141}


@pytest.mark.parametrize("policy", [OPEN, None], ids=["off", "on"])
def test_a_site_of_four_people(policy: cg.Policy | None) -> None:
    """Ask it alone; ask all and all but it, in both orders; ask every pair with it."""
    sites = {site: frame(size) for site, size in SIZES.items()}
    others = [site for site in SIZES if site != "wales"]

    def attacks() -> list[int]:
        read = [people(grid(sites, policy), ["wales"])]
        for order in (list(SIZES), others), (others, list(SIZES)):
            made = grid(sites, policy)
            seen = {len(chosen): people(made, chosen) for chosen in order}
            whole, rest = seen[len(SIZES)], seen[len(others)]
            read.append(None if whole is None or rest is None else whole - rest)
        for other in others:
            made = grid(sites, policy)
            alone, both = people(made, [other]), people(made, [other, "wales"])
            read.append(None if alone is None or both is None else both - alone)
        return [number for number in read if number]

    assert attacks() == ([4] * 6 if policy is OPEN else [])


def test_the_answer_of_all_says_nothing_of_a_site_of_four() -> None:
    """Where the total is shown, it is rounded, and no number stands beside it for any one site."""
    made = grid({site: frame(size) for site, size in SIZES.items()}, None)
    result = made.run(cg.Count(DATA))
    assert result.to_pandas()["people"].item() == 460
    assert set(result.sites.to_pandas().columns) == {"site", "status", "code", "words"}
    assert not [number for number in _numbers(result.to_dict()) if number in (4, 163, 152, 141)]


def _numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [number for inner in value.values() for number in _numbers(inner)]
    if isinstance(value, list | tuple):
        return [number for inner in value for number in _numbers(inner)]
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else []


# --- margins ---------------------------------------------------------------------------------------------------------

CELLS = np.array([[3, 40, 35], [50, 61, 44], [48, 7, 52]])


def crossed(cells: np.ndarray) -> pd.DataFrame:
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
                known = [table[place] for place in line[:-1] if place != gone[0]]
                table[gone[0]] = table[line[-1]] - sum(known) if gone[0] != line[-1] else sum(known)
    return table


@pytest.mark.parametrize("sites", [1, 3], ids=["open", "masked"])
def test_margin_subtraction(sites: int) -> None:
    """A hidden cell is its row's total less the cells that are shown."""
    parts = {f"s{number}": crossed(CELLS) for number in range(sites)}
    parts = {name: part.iloc[number::sites] for number, (name, part) in enumerate(parts.items())}
    method = cg.Crosstab(DATA, rows="down", columns="across")
    exact = shown(grid(parts, OPEN).run(method))
    naive = np.where(exact < 10, np.nan, exact)
    assert subtracted(naive)[0, 0] == 3, "small cells hidden alone come back by subtraction"
    assert subtracted(naive)[2, 1] == 7

    table = shown(grid(parts, None).run(method))
    hidden = np.isnan(table)
    assert hidden[0, 0]
    assert hidden[2, 1]
    assert np.isnan(subtracted(table)[[0, 2], [0, 1]]).all()
    if sites == 3:
        # Judged apart from the product: over all tables that agree with what is shown, each stays uncertain by ten.
        for cell in ((0, 0), (2, 1)):
            assert widest(CELLS, hidden, cell) >= 10


def test_percentages_and_statistics_do_not_give_a_hidden_cell_back() -> None:
    parts = {f"s{number}": crossed(CELLS).iloc[number::3] for number in range(3)}
    result = grid(parts, None).run(cg.Crosstab(DATA, rows="down", columns="across"))
    table = result.to_pandas()
    columns = next(iter(result.tables.values())).columns
    counts = [column.name for column in columns if column.format == "count"]
    for name in counts[:-1]:
        assert table.loc[table[name].isna(), f"{name} %"].isna().all()
    assert not any(value for value in _numbers(result.facts) if value == pytest.approx(_chi_square(CELLS), rel=1e-6))


def _chi_square(cells: np.ndarray) -> float:
    from scipy.stats import chi2_contingency

    return float(chi2_contingency(cells, correction=False).statistic)


# --- models ----------------------------------------------------------------------------------------------------------

SECRET = 91234.5


def with_one_apart(size: int = 200) -> pd.DataFrame:
    """People whose costs are spread about a hundred, and one who can be told apart and whose cost is the secret."""
    held = frame(size).assign(cost=[100.0 + i % 17 for i in range(size)], odd=[False] * size)
    held.loc[5, ["cost", "odd"]] = [SECRET, True]
    return held


def fitted(made: Simulation, method: cg.GLM) -> list[float]:
    """Every number that is published of a fit, but for rounded counts of people."""
    try:
        result = made.run(method)
        tables, facts = result.to_dict()["tables"], result.facts
    except CivicGridError:
        return []
    return _numbers(tables) + [number for number in _numbers(facts) if number % 5]


def dummy(policy: cg.Policy | None, sites: int) -> float | None:
    """The one person's cost: where a column marks that person alone, the fit goes through it."""
    parts = {"a": with_one_apart()} | {f"s{number}": frame(150).assign(cost=120.0, odd=False) for number in range(1, sites)}
    for part in parts.values():
        part["cost"] = part["cost"].astype(float) + np.arange(len(part)) % 3
        part["odd"] = part["odd"].astype(bool)
    method = cg.GLM(DATA, outcome="cost", predictors=["odd"], family="gaussian")
    if not fitted(grid(parts, policy), method):
        return None
    return float(grid(parts, policy).run(method).to_pandas()["estimate"].sum())


@pytest.mark.parametrize("sites", [1, 2, 3], ids=["one site", "two sites, open", "three sites, masked"])
def test_a_dummy_for_one_person(sites: int) -> None:
    assert dummy(OPEN, sites) == pytest.approx(SECRET + 5 % 3, abs=0.01)
    assert dummy(None, sites) is None


def test_a_category_level_that_one_person_has() -> None:
    held = {f"s{number}": with_one_apart().assign(odd=False) for number in range(3)}
    for part in held.values():
        part["ward"] = ["north" if i % 2 else "south" for i in range(len(part))]
        part["cost"] = [100.0 + i % 17 for i in range(len(part))]
    held["s0"].loc[5, ["ward", "cost"]] = ["the lone ward", SECRET]
    method = cg.GLM(DATA, outcome="cost", predictors=["ward"], family="gaussian")
    fit = grid(held, OPEN).run(method).to_pandas()
    assert fit["estimate"].abs().max() > SECRET / 2
    assert fitted(grid(held, None), method) == []


def test_a_model_that_is_saturated() -> None:
    """As many coefficients as people: the fit is the data."""
    held = frame(24).assign(ward=[f"w{i % 8}" for i in range(24)], cost=[float(i) for i in range(24)])
    parts = {"a": held.iloc[:8], "b": held.iloc[8:16], "c": held.iloc[16:]}
    method = cg.GLM(DATA, outcome="cost", predictors=["ward"], family="gaussian")
    assert len(grid(parts, OPEN).run(method).to_pandas()) == 8
    assert fitted(grid(parts, None), method) == []


def test_a_suppressed_cell_is_not_in_a_description_either() -> None:
    """Describe by a group of few: no mean, spread or quartile of theirs, and none of the others' that gives them away."""
    held = {f"s{number}": frame(120).assign(cost=50.0, group="many") for number in range(3)}
    for part in held.values():
        part["cost"] = [50.0 + i % 11 for i in range(len(part))]
    held["s0"].loc[[3, 4, 5], "group"] = "few"
    held["s0"].loc[[3, 4, 5], "cost"] = 88.125
    method = cg.Describe(DATA, columns=["cost"], by="group")
    exact = _numbers(grid(held, OPEN).run(method).to_dict())
    assert any(number == pytest.approx(88.125) for number in exact)
    published = _numbers(grid(held, None).run(method).to_dict())
    assert not any(number == pytest.approx(88.125, abs=0.01) for number in published)
    # Nor may total and the large group both show their sums: the difference is the small group.
    whole, many = 360, 357
    for one, other in itertools.permutations(published, 2):
        assert one * whole - other * many != pytest.approx(3 * 88.125, abs=1e-3)
