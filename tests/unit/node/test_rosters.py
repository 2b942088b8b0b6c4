"""One population under several rosters: no small site may come out as a difference, a sum, or any combination of totals."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

import civicgrid as cg
from civicgrid.disclosure.codes import Code
from civicgrid.methods.method import Ask
from civicgrid.wire import Shared
from unit.node.sites import World, code, frame

COUNT = Ask("count")
MIN_CELL = 10


def count() -> cg.Count:
    return cg.Count(cg.dataset("trial"))


def ask(at: World, sites: Sequence[str]) -> dict[str, Code | None]:
    """Propose this roster for the same question, ask all who sign; what each said in the end."""
    enrolled = at.enrol(at.request(at.plan(count())), sites)
    said = {site: code(reply) for site, reply in enrolled.replies.items()}
    if any(said.values()):
        return said
    return {site: code(at.tell(site, at.round(enrolled, COUNT))[0]) for site in sites}


def learnt(at: World, sites: Sequence[str]) -> list[set[str]]:
    """What the hub can read after asking this roster: the sum of all, or single sites where they answer in the open."""
    enrolled = at.enrol(at.request(at.plan(count())), sites)
    if len(enrolled.accepted) < len(sites):
        return []
    shared = {site for site in sites if isinstance(at.tell(site, at.round(enrolled, COUNT))[0], Shared)}
    if enrolled.roster.mode == "open":
        return [{site} for site in shared]
    return [shared] if shared == set(sites) else []


def isolated(totals: Sequence[set[str]], sizes: Mapping[str, int]) -> Iterator[tuple[str, ...]]:
    """Every group of sites with 1 to 9 people whose own total is a linear combination of the totals."""
    names = sorted(sizes)
    rows = np.array([[float(name in total) for name in names] for total in totals]).reshape(-1, len(names))
    rank = np.linalg.matrix_rank(rows) if len(rows) else 0
    for number in range(1, len(names) + 1):
        for group in itertools.combinations(names, number):
            if sum(sizes[site] for site in group) >= MIN_CELL:
                continue
            one = np.array([[float(name in group) for name in names]])
            if len(rows) and np.linalg.matrix_rank(np.concatenate([rows, one])) == rank:
                yield group


def test_a_small_site_refuses_a_second_roster_over_the_same_people() -> None:
    at = World({"a": frame(60), "b": frame(50), "c": frame(40), "w": frame(4)})
    assert set(ask(at, ["a", "b", "w"]).values()) == {None}
    assert ask(at, ["a", "b", "c", "w"])["w"] is Code.DISCLOSURE


def test_the_others_refuse_when_a_small_site_was_left_out() -> None:
    at = World({"a": frame(60), "b": frame(50), "c": frame(40), "w": frame(4)})
    assert set(ask(at, ["a", "b", "c", "w"]).values()) == {None}
    assert set(ask(at, ["a", "b", "c"]).values()) == {Code.DISCLOSURE}


def test_the_others_refuse_when_a_small_site_comes_in() -> None:
    at = World({"a": frame(60), "b": frame(50), "c": frame(40), "w": frame(4)})
    assert set(ask(at, ["a", "b", "c"]).values()) == {None}
    said = ask(at, ["a", "b", "c", "w"])
    assert {site for site, refused in said.items() if refused is Code.DISCLOSURE} == {"a", "b", "c"}


def test_rosters_in_which_everybody_stands_alone_are_answered() -> None:
    at = World({"a": frame(60), "b": frame(50), "c": frame(40), "d": frame(30)})
    for sites in (["a", "b", "c", "d"], ["a", "b", "c"], ["b", "c", "d"], ["a"], ["a", "b", "c", "d"]):
        assert set(ask(at, sites).values()) == {None}


def test_the_same_roster_is_answered_again() -> None:
    at = World({"a": frame(60), "b": frame(50), "w": frame(4)})
    for _ in range(3):
        assert set(ask(at, ["a", "b", "w"]).values()) == {None}


def test_another_population_is_another_question() -> None:
    at = World({"a": frame(60), "b": frame(50), "c": frame(40), "w": frame(4)})
    trial = cg.dataset("trial", at.sites["a"].data.holdings()[0].dictionary)
    for sex, sites in ("female", ["a", "b", "w"]), ("male", ["a", "b", "c", "w"]):
        plan = at.plan(cg.Count(cg.cohort(trial["sex"] == sex)))
        enrolled = at.enrol(at.request(plan), sites)
        assert isinstance(at.tell("w", at.round(enrolled, COUNT))[0], Shared)


SMALL = {"a": 60, "b": 50, "c": 40, "w": 4}


def counted(at: World, sites: Sequence[str], population: object) -> set[Code | None]:
    """What the sites say to a count of this population under this roster."""
    enrolled = at.enrol(at.request(at.plan(cg.Count(cg.cohort(population)))), sites)  # type: ignore[arg-type]
    return {code(at.tell(site, at.round(enrolled, COUNT))[0]) for site in enrolled.accepted}


def test_a_cell_is_the_same_people_as_a_cohort() -> None:
    at = World({site: frame(size) for site, size in SMALL.items()})
    trial = cg.dataset("trial", at.sites["a"].data.holdings()[0].dictionary)
    everybody = trial["age"] >= 0
    crossed = cg.Crosstab(
        cg.cohort(everybody, sex=trial["sex"], died=trial["died"] == 1), rows="sex", columns="died"
    )
    plan = at.plan(crossed)
    enrolled = at.enrol(at.request(plan), sorted(SMALL))
    ask_ = next(crossed.coordinate(plan.schema))
    assert {code(at.tell(site, at.round(enrolled, ask_))[0]) for site in SMALL} == {None}
    dead_women = everybody & (trial["sex"] == "female") & (trial["died"] == 1)
    assert counted(at, ["a", "b", "c"], dead_women) == {Code.DISCLOSURE}


def test_cohorts_that_add_up_to_an_earlier_one_are_the_same_people() -> None:
    at = World({site: frame(size) for site, size in SMALL.items()})
    sex = cg.dataset("trial", at.sites["a"].data.holdings()[0].dictionary)["sex"]
    assert counted(at, ["a", "b", "c", "w"], sex.is_in(["female", "male"])) == {None}
    assert counted(at, ["a", "b", "c"], sex == "female") == {None}
    assert counted(at, ["a", "b", "c"], sex == "male") == {Code.DISCLOSURE}


def test_on_the_day_that_a_site_is_away_others_are_asked_about() -> None:
    at = World({site: frame(size) for site, size in SMALL.items()})
    trial = cg.dataset("trial", at.sites["a"].data.holdings()[0].dictionary)
    women, old, men = trial["sex"] == "female", trial["age"] >= 45, trial["sex"] == "male"
    for sites, population in (["a", "b", "c", "w"], women), (["a", "b", "c"], old), (["a", "b", "c", "w"], men):
        assert counted(at, sites, population) == {None}


def test_lists_of_sites_are_remembered_by_a_node_that_starts_again(tmp_path: Path) -> None:
    at = World({site: frame(size) for site, size in SMALL.items()}, states=tmp_path)
    assert set(ask(at, ["a", "b", "w"]).values()) == {None}
    at.reopen("a")
    assert ask(at, ["a", "b", "c"])["a"] is Code.DISCLOSURE


def test_sites_that_answered_by_themselves_do_not_then_give_the_small_one_away() -> None:
    at = World({"a": frame(60), "b": frame(50), "w": frame(4)})
    totals = [*learnt(at, ["a"]), *learnt(at, ["b"])]
    assert totals == [{"a"}, {"b"}]
    totals += learnt(at, ["a", "b", "w"])
    assert not list(isolated(totals, {"a": 60, "b": 50, "w": 4}))


def test_three_rosters_combined_do_not_give_the_small_site_away() -> None:
    sizes = {"a": 60, "b": 50, "c": 40, "d": 30, "w": 4}
    rosters = (["a", "b", "w"], ["c", "d", "w"], ["a", "b", "c", "d", "w"])
    everything = [set(roster) for roster in rosters]
    assert ("w",) in isolated(everything, sizes), "the attack works where all is answered"
    for order in itertools.permutations(rosters):
        at = World({site: frame(size) for site, size in sizes.items()})
        totals = [total for roster in order for total in learnt(at, roster)]
        assert totals
        assert not list(isolated(totals, sizes))


@pytest.mark.parametrize("seed", range(12))
def test_no_sequence_of_rosters_gives_a_small_group_away(seed: int) -> None:
    draw = random.Random(seed)
    sizes = {"a": 60, "b": 50, "c": 40, "v": 4, "w": 3}
    at = World({site: frame(size) for site, size in sizes.items()})
    totals: list[set[str]] = []
    for _ in range(6):
        totals += learnt(at, sorted(draw.sample(sorted(sizes), draw.randint(1, len(sizes)))))
    assert not list(isolated(totals, sizes))
