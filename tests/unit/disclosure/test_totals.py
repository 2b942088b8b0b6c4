"""Totals under several lists of sites give nothing away that one list does not: held against plain linear algebra."""

from __future__ import annotations

import itertools
import random
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from pyroaring import BitMap

from civicgrid.disclosure.row_sets import Load, RowSet
from civicgrid.disclosure.totals import PLACES, PRIME, Totals, rank
from civicgrid.errors import ConfigError
from civicgrid.trust.seal import Seal

LOAD = Load("trial", "snapshot", 0)
ABC, ABW, ABCW = ("a", "b", "c"), ("a", "b", "w"), ("a", "b", "c", "w")


def totals(connection: sqlite3.Connection | None = None, seal: Seal | None = None) -> Totals:
    return Totals(connection or sqlite3.connect(":memory:", isolation_level=None), seal or Seal.generate())


def people(*numbers: int) -> RowSet:
    return RowSet(BitMap(numbers))


def test_a_list_by_itself_meets_nothing() -> None:
    held = totals()
    for first in range(20):
        assert held.overlap(LOAD, ABC, True, [people(*range(first, 30))]) is False
        held.enter(LOAD, ABC, True, [people(*range(first, 30))])


@pytest.mark.parametrize("weak", [(True, False), (False, True), (True, True)])
def test_the_same_people_are_kept_from_a_second_list_where_either_is_weak(weak: tuple[bool, bool]) -> None:
    held = totals()
    held.enter(LOAD, ABW, weak[0], [people(1, 2, 3)])
    assert held.overlap(LOAD, ABC, weak[1], [people(1, 2, 3)]) is None
    assert held.overlap(LOAD, ABC, weak[1], [people(1, 2, 3, 4)]) is False


def test_lists_on_which_all_stand_alone_may_overlap() -> None:
    held = totals()
    held.enter(LOAD, ABW, False, [people(1, 2, 3)])
    assert held.overlap(LOAD, ABC, False, [people(1, 2, 3)]) is True
    assert held.overlap(LOAD, ABC, False, [people(4, 5)]) is False


def test_a_weak_set_is_answered_where_only_others_overlap() -> None:
    held = totals()
    held.enter(LOAD, ABW, False, [people(1, 2, 3)])
    held.enter(LOAD, ABC, False, [people(1, 2, 3)])
    assert held.overlap(LOAD, ABW, True, [people(7, 8)]) is False
    assert held.overlap(LOAD, ABW, True, [people(1, 2)]) is False
    held.enter(LOAD, ABW, True, [people(1, 2)])
    assert held.overlap(LOAD, ABW, False, [people(3)]) is False, "its own list gives that away, and it is nobody's part"
    assert held.overlap(LOAD, ABC, False, [people(3)]) is None, "all three less one are the two, under the other list too"


def test_sets_that_add_up_are_the_same_people() -> None:
    held = totals()
    held.enter(LOAD, ABCW, True, [people(1, 2, 3, 4, 5), people(1, 2)])
    assert held.overlap(LOAD, ABC, False, [people(3, 4, 5)]) is None
    held.enter(LOAD, ABC, False, [people(3, 4)])
    assert held.overlap(LOAD, ABC, False, [people(5)]) is None, "with those that were answered there before"


def test_three_lists_are_held_together_not_in_pairs() -> None:
    held = totals()
    held.enter(LOAD, ABW, True, [people(1, 2)])
    held.enter(LOAD, ABC, False, [people(3, 4)])
    assert held.overlap(LOAD, ABCW, False, [people(1, 2, 3, 4)]) is None


def test_nobody_meets_nobody() -> None:
    held = totals()
    held.enter(LOAD, ABW, True, [people()])
    assert held.overlap(LOAD, ABC, True, [people()]) is False


def test_another_epoch_is_another_matter_and_another_data_set_is_not() -> None:
    held = totals()
    held.enter(LOAD, ABW, True, [people(1, 2)])
    assert held.overlap(Load("trial", "later", 1), ABC, True, [people(1, 2)]) is False
    for load in Load("trial", "refreshed", 0), Load("other", "snapshot", 0), Load("other", "snapshot", 0, 1):
        assert held.overlap(load, ABC, True, [people(1, 2)]) is None


def test_what_was_answered_since_a_load_was_made_counts_and_is_entered_in_the_epoch_that_runs() -> None:
    held = totals()
    held.enter(Load("trial", "early", 0, 2), ABW, True, [people(1, 2)])
    held.enter(Load("trial", "early", 0, 3), ABW, True, [people(1, 2)])
    for epoch, meets in (0, None), (2, None), (3, None), (4, False):
        assert held.overlap(Load("other", "later", epoch, 4), ABC, True, [people(1, 2)]) is meets


def test_more_sets_than_a_sketch_can_tell_apart_are_refused() -> None:
    held, draw = totals(), random.Random(1)
    held.enter(LOAD, ABW, True, [people(*draw.sample(range(5000), 2000)) for _ in range(PLACES + 20)])
    assert held.overlap(LOAD, ABC, False, [people(*range(6000, 6010))]) is None


def test_what_was_entered_outlives_a_restart_and_needs_its_key() -> None:
    connection, seal = sqlite3.connect(":memory:", isolation_level=None), Seal.generate()
    totals(connection, seal).enter(LOAD, ABW, True, [people(1, 2)])
    assert totals(connection, seal).overlap(LOAD, ABC, False, [people(1, 2)]) is None
    with pytest.raises(ConfigError):
        totals(connection).overlap(LOAD, ABC, False, [people(1, 2)])


def test_a_sketch_is_linear() -> None:
    held = totals()
    one, other, both = (held.sketch(people(*numbers)) for numbers in ((1, 70_000), (2, 3), (1, 2, 3, 70_000)))
    assert ((one + other) % PRIME == both).all()


@pytest.mark.parametrize("seed", range(20))
def test_rank_is_that_of_the_whole_numbers(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 2, (rng.integers(1, 12), 8)).astype(np.int64)
    assert rank(rows) == np.linalg.matrix_rank(rows)


@dataclass
class Total:
    """One total that was had: under which list, and who of each site was in it."""

    party: tuple[str, ...]
    weak: bool
    people: dict[str, frozenset[int]]


PEOPLE = 5
SITES = ("a", "b", "c", "w")
HELD = {"a": range(PEOPLE), "b": range(PEOPLE), "c": range(PEOPLE), "w": range(2)}
"""Of which kinds each site has a person: the small one of two of them."""


def had(draw: random.Random, asked: int) -> list[Total]:
    """Random questions to random lists; those that every member answers."""
    ledgers, found = {site: totals() for site in SITES}, []
    for _ in range(asked):
        party = tuple(sorted(draw.sample(SITES, draw.choice([3, 3, 4]))))
        kinds = {n for n in range(PEOPLE) if draw.random() < 0.6}
        chosen = {site: frozenset(kinds & set(HELD[site])) for site in party}
        weak = any(len(chosen[site]) < 2 for site in party)
        if all(ledgers[site].overlap(LOAD, party, weak, [people(*chosen[site])]) is not None for site in party):
            for site in party:
                ledgers[site].enter(LOAD, party, weak, [people(*chosen[site])])
            found.append(Total(party, weak, chosen))
    return found


def left_over(known: Sequence[Total], site: str) -> np.ndarray:
    """What every combination of these totals that cancels at all other sites leaves over at this one, as rows."""
    def vectors(at: str) -> np.ndarray:
        return np.array([[float(n in total.people.get(at, ())) for n in range(PEOPLE)] for total in known])

    others = np.concatenate([vectors(other) for other in SITES if other != site], axis=1)
    _, sizes, right = np.linalg.svd(others.T)
    free = right[int((sizes > 1e-9).sum()) :]
    return np.asarray(free @ vectors(site))


def by_list(known: Sequence[Total]) -> Iterator[list[Total]]:
    for _, under in itertools.groupby(sorted(known, key=lambda total: total.party), lambda total: total.party):
        yield list(under)


@pytest.mark.parametrize("seed", range(40))
def test_several_lists_leave_over_nothing_that_one_does_not(seed: int) -> None:
    tries = (had(random.Random(100 * more + seed), 14) for more in itertools.count())
    known = next(had_ for had_ in tries if len({total.party for total in had_}) > 1)
    for site in SITES:
        # Where all stand alone, each part may come out by itself.
        strong = [[float(n in total.people.get(site, ())) for n in range(PEOPLE)] for total in known if not total.weak]
        single = [np.array(strong).reshape(-1, PEOPLE), *(left_over(under, site) for under in by_list(known))]
        allowed = np.concatenate(single)
        several = left_over(known, site)
        rows = np.concatenate([allowed, several])
        assert np.linalg.matrix_rank(rows, tol=1e-6) == np.linalg.matrix_rank(allowed, tol=1e-6)


def test_without_the_rule_several_lists_leave_more_over() -> None:
    known = [
        Total(ABCW, True, {"a": frozenset({1}), "b": frozenset({1}), "c": frozenset(), "w": frozenset({3})}),
        Total(ABC, False, {"a": frozenset({2}), "b": frozenset({2}), "c": frozenset({2})}),
        Total(ABC, False, {"a": frozenset({1, 2}), "b": frozenset({1, 2}), "c": frozenset({2})}),
    ]
    assert np.linalg.matrix_rank(left_over(known, "w")) == 1
    assert all(np.linalg.matrix_rank(left_over(under, "w"), tol=1e-6) == 0 for under in by_list(known))
