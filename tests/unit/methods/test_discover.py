"""Roughly how many people each site has: the same at every asking, blurred, rounded, and never of a few."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

import civicgrid as cg
from civicgrid.disclosure.release import Terms, combine, release
from civicgrid.disclosure.rules import ROUGHEST, rough_count
from civicgrid.disclosure.shapes import RoughCount
from civicgrid.disclosure.thresholds import Thresholds
from civicgrid.errors import WireError
from civicgrid.trust.seal import Seal
from unit.node.sites import World, frame

PLAIN = Thresholds(round_to=1)


def told(count: int, people: bytes, seal: Seal, thresholds: Thresholds = PLAIN) -> int | None:
    return rough_count(RoughCount("people", count, people), thresholds, seal.tag)


def test_the_noise_has_the_mean_nought_and_is_bounded() -> None:
    seal = Seal.generate()
    away = np.array([(told(500, str(number).encode(), seal) or 0) - 500 for number in range(20_000)])
    expected = np.array([math.exp(-(k**2) / 8) for k in range(-ROUGHEST, ROUGHEST + 1)])
    expected /= expected.sum()
    variance = float((expected * np.arange(-ROUGHEST, ROUGHEST + 1) ** 2).sum())
    assert abs(away.mean()) < 5 * math.sqrt(variance / len(away))
    assert away.var() == pytest.approx(variance, rel=0.05)
    assert np.abs(away).max() <= ROUGHEST


def test_the_same_people_get_the_same_number_and_no_other_site_can_foretell_it() -> None:
    one, other = Seal.generate(), Seal.generate()
    assert len({told(500, b"these", one) for _ in range(5)}) == 1
    assert [told(500, str(n).encode(), one) for n in range(50)] != [told(500, str(n).encode(), other) for n in range(50)]


@pytest.mark.parametrize("count", range(10))
def test_nobody_and_a_few_are_never_told(count: int) -> None:
    seal = Seal.generate()
    assert {told(count, str(number).encode(), seal, Thresholds()) for number in range(200)} == {None}


def test_numbers_are_rounded_after_the_noise() -> None:
    seal = Seal.generate()
    found = {told(52, str(number).encode(), seal, Thresholds()) for number in range(300)}
    assert {50, 55} <= found <= {45, 50, 55, 60}


def sites() -> dict[str, pd.DataFrame]:
    return {"ash": frame(200), "birch": frame(120), "cedar": frame(6)}


def test_each_site_is_named_with_its_own_number() -> None:
    grid = cg.simulate(sites(), dataset="trial")
    result = grid.run(cg.Discover(cg.dataset("trial")))
    table = result.to_pandas().set_index("site")["people"]
    assert result.mode == "open"
    assert abs(table["ash"] - 200) <= ROUGHEST + 3
    assert abs(table["birch"] - 120) <= ROUGHEST + 3
    assert math.isnan(table["cedar"])
    assert table["all that are shown"] == table["ash"] + table["birch"]
    assert result.to_pandas().equals(grid.run(cg.Discover(cg.dataset("trial"))).to_pandas())


def test_it_is_exact_over_ones_own_data() -> None:
    grid = cg.simulate(sites(), dataset="trial", policy=cg.Policy.open())
    table = grid.run(cg.Discover(cg.dataset("trial"))).to_pandas().set_index("site")["people"]
    assert table.to_dict() == {"ash": 200, "birch": 120, "cedar": 6, "all that are shown": 326}


def test_it_stands_in_nobodys_way_and_is_limited_by_itself() -> None:
    """Exact counts are not refused for it; of five cohorts within nine people of each other a site tells, no more."""
    grid = cg.simulate({"ash": frame(240), "birch": frame(240), "cedar": frame(240)}, dataset="trial")
    t = grid.dataset("trial")
    statuses = []
    for age in range(20, 27):
        # One age is four people at each site.
        result = grid.run(cg.study(cg.cohort((t.age != age) | (t.age > 78)), people=cg.Discover()))["people"]
        statuses.append({site.status for site in result.sites})
    assert statuses == [{"answered"}] * 5 + [{"suppressed"}] * 2
    assert {site.status for site in grid.run(cg.Count(t)).sites} == {"answered"}


def test_a_site_that_tells_what_is_no_count_is_noticed() -> None:
    terms = Terms(Thresholds(), False, 1, None, Seal.generate().tag)
    good = release((RoughCount("people", 100, b""),), terms)
    assert combine([good, good], ["a", "b"])["people"].sites == ("a", "b")
    import msgpack

    for told_ in (-1, 1 << 50, 1.5, "many"):
        bad = msgpack.packb([2, "rough", [["RoughCount", "people", [], told_, False]]])
        with pytest.raises(WireError):
            combine([good, bad], ["a", "b"])
    with pytest.raises(WireError):
        combine([good, good], ["a"])


def test_a_rough_count_needs_no_roster_and_is_not_held_against_one() -> None:
    at = World({"a": frame(60), "b": frame(50), "c": frame(40), "w": frame(14)})
    plan = at.plan(cg.Discover(cg.dataset("trial")))
    for chosen in (["a", "b", "w"], ["a", "b", "c", "w"], ["w"]):
        assert {site.status for site in at.run(plan, chosen).analyses[0].sites} == {"answered"}
