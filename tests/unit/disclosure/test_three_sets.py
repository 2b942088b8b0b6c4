"""Three sets of which one is the other two together but for a few: all are found, and those that tell of a few refused."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyroaring import BitMap

from civicgrid.disclosure.row_sets import Load, RowSet
from civicgrid.disclosure.three_sets import Sieve, Three
from unit.disclosure.test_row_sets import WITHIN, Asked, cell, people, whole

ALL, EARLY, LATE = range(400), range(200), range(200, 400)

# Conditions as texts: a name, the name of the opposite, and the one column that it hangs on.
BORN_EARLY, BORN_LATE, OTHERWISE = "early late year", "late early year", "late-or-ada - -"


def cohort(*ranges: object, words: str = "") -> RowSet:
    return RowSet(people(*ranges), frozenset(), "cohort", words)  # type: ignore[arg-type]


def off(one: BitMap, two: BitMap, three: BitMap) -> int:
    """Judged person by person: for how many the first is not the sum of the other two."""
    everybody = one | two | three
    return sum((p in one) - (p in two) - (p in three) != 0 for p in everybody)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_apart_and_together_is_refused_in_any_order(order: tuple[int, ...]) -> None:
    sets = [whole(EARLY), whole([7], LATE), whole(ALL)]
    asked = Asked()
    assert [asked(sets[place]) for place in order] == [True, True, False]


@pytest.mark.parametrize("few", range(12))
def test_from_one_to_nine_people_too_few_or_too_many(few: int) -> None:
    for late in ([*range(few), *LATE], LATE[few:]):
        asked = Asked()
        assert asked(whole(EARLY)) and asked(whole(late))
        assert asked(whole(ALL)) is (few == 0 or few > WITHIN)


def test_the_parts_of_one_answer_count() -> None:
    asked = Asked()
    assert asked(whole(ALL), cell(range(100)), cell(range(100, 200)), cell(LATE))
    assert asked(whole(range(200)), name="two of them")
    assert not Asked()(whole(ALL, columns=["age"]), whole(EARLY, columns=["age"]), whole([7], LATE, columns=["age"]))
    asked = Asked()
    assert asked(whole(ALL), cell(range(100)), cell(range(100, 200)), cell(LATE))
    assert not asked(whole(range(200), [300]))


def test_who_has_no_value_is_known_from_one_answer() -> None:
    """Three have no sex: the answer that had all, the women and the men was judged with it."""
    asked = Asked()
    assert asked(whole(ALL), cell(range(198)), cell(range(201, 400)))
    assert asked(whole(ALL, columns=["age"])), "asked of all again"
    asked = Asked()
    assert asked(cohort(range(198), words="a - -")) and asked(cohort(range(201, 400), words="b - -"))
    assert not asked(cohort(ALL, words="c - -")), "three answers"


def test_a_missing_value_that_an_answer_has_shown_is_no_news() -> None:
    """Of the men three have no index; then all, men and women are answered for by turns."""
    asked = Asked()
    assert asked(cohort(EARLY, words=BORN_EARLY), whole(range(197), columns=["index"]))
    assert asked(cohort(LATE, words=BORN_LATE), whole(LATE, columns=["index"]))
    assert asked(cohort(ALL, words="everybody"), whole(ALL[:197], LATE, columns=["index"]))


def test_an_exact_whole_is_answered_where_words_alone_say_so() -> None:
    """Else whoever puts a person with others if a secret is true would read it from the refusal."""
    for late, is_given in ((BORN_LATE, True), (OTHERWISE, False)):
        asked = Asked()
        assert asked(cohort(EARLY, words=BORN_EARLY)) and asked(cohort(LATE, words=late))
        assert asked(cohort(ALL, words="everybody")) is is_given


def test_at_another_load_an_exact_whole_counts_for_sums() -> None:
    asked = Asked()
    assert asked(whole(EARLY, columns=["age"])) and asked(whole(LATE, columns=["age"]))
    assert not asked(whole(ALL, columns=["age"]), load=Load("trial", "b" * 64, 0))
    assert asked(whole(ALL, columns=["sex"]), load=Load("trial", "b" * 64, 0))


def test_a_restart_forgets_none() -> None:
    first = Asked()
    assert first(whole(EARLY)) and first(whole([7], LATE))
    assert not Asked(first.connection, first.seal)(whole(ALL), name="later")


SETS = st.sets(st.integers(0, 40), min_size=10, max_size=41)


@settings(max_examples=150, deadline=None)
@given(st.lists(SETS, min_size=3, max_size=7))
def test_no_three_are_ever_answered(drawn: list[set[int]]) -> None:
    """Judged apart from the product, with sums of one column over each."""
    asked = Asked()
    given_ = [BitMap(found) for found in drawn if asked(RowSet(BitMap(found), frozenset({"age"}), "whole"))]
    for one, two, three in itertools.permutations({frozenset(found) for found in given_}, 3):
        assert not 1 <= off(BitMap(one), BitMap(two), BitMap(three)) <= WITHIN


def test_the_sieve_lets_none_through() -> None:
    """Made threes of up to nine people too few or too many, among many sets, are all found, for any threshold."""
    rng = np.random.default_rng(12)
    for within in (2, 9, 31):
        dealt = [rng.integers(0, 10, 3_000) for _ in range(6)]
        sets = [BitMap(np.flatnonzero(groups == group).astype(np.uint32)) for groups in dealt for group in range(10)]
        sieve = Sieve(within)
        sieve.add(np.stack([RowSet(found).profile for found in sets]))
        for made in range(60):
            one, other = sorted(int(place) + made // 10 * 10 for place in rng.choice(10, 2, replace=False))
            joint = sets[one] | sets[other]
            joint ^= BitMap(rng.choice(3_000, within, replace=False).astype(np.uint32))
            assert len(Three.of(joint, sets[one], sets[other]).few) == off(joint, sets[one], sets[other]) == within
            assert (one, other, True) in sieve.pairs(RowSet(joint).profile)
            with sieve.with_more([RowSet(joint).profile]):
                assert (other, 60, False) in sieve.pairs(RowSet(sets[one]).profile)
        assert len(sieve) == 60
