"""Which pairs of sets of people are too near, and that none that is goes unnoticed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyroaring import BitMap

from civicgrid.disclosure.row_sets import Answered, Load, Role, RowSet, RowSets
from civicgrid.errors import ConfigError
from civicgrid.trust.seal import Seal

LOAD = Load("trial", "a" * 64, 0)
WITHIN = 9


def people(*ranges: range | Iterable[int]) -> BitMap:
    return BitMap([number for part in ranges for number in part])


def whole(*ranges: range | Iterable[int], columns: Iterable[str] = ()) -> RowSet:
    return RowSet(people(*ranges), frozenset(columns), "whole")


def cohort(*ranges: range | Iterable[int], words: str = "") -> RowSet:
    return RowSet(people(*ranges), frozenset(), "cohort", words)


def cell(*ranges: range | Iterable[int]) -> RowSet:
    return RowSet(people(*ranges))


class Asked:
    """A ledger that is asked one thing after another, as a site asks it."""

    def __init__(self, connection: sqlite3.Connection | None = None, seal: Seal | None = None) -> None:
        self.connection = connection or sqlite3.connect(":memory:")
        self.seal = seal or Seal.generate()
        self.ledger = RowSets(self.connection, self.seal)
        self.number = 0

    def __call__(self, *sets: RowSet, load: Load = LOAD, name: str = "") -> bool:
        """Whether the answer was given."""
        self.number += 1
        answer = Answered(name or f"answer {self.number}", sets)
        if self.ledger.conflict(load, [answer], WITHIN):
            return False
        self.ledger.enter(load, answer, WITHIN)
        return True


@pytest.mark.parametrize("apart", range(12))
def test_sets_that_differ_by_one_to_nine_people_are_too_near(apart: int) -> None:
    for first, second in (range(100), range(100 - apart)), (range(100 - apart), range(100)):
        asked = Asked()
        assert asked(whole(first))
        assert asked(whole(second)) is (apart == 0 or apart > WITHIN)


def test_people_exchanged_for_others_count_on_both_sides() -> None:
    asked = Asked()
    assert asked(whole(range(100)))
    assert not asked(whole(range(4, 104))), "eight differ, though there are as many"
    assert asked(whole(range(5, 105))), "ten differ"


def test_a_cell_of_an_earlier_answer_counts() -> None:
    asked = Asked()
    assert asked(whole(range(100)), cell(range(40)), cell(range(40, 100)))
    assert not asked(whole(range(39)))
    assert not asked(whole(range(200, 300)), cell(range(41, 100)), cell(range(300, 340)))
    assert asked(whole(range(40)))


def test_of_two_cells_a_count_matters_where_one_holds_the_other() -> None:
    asked = Asked()
    assert asked(whole(range(100)), cell(range(20)), cell(range(20, 100)))
    assert asked(whole(range(100)), cell(range(4, 24)), cell(range(30, 100)), cell([*range(4), *range(24, 30)]))
    assert not asked(whole(range(100)), cell(range(17)), cell(range(17, 60)), cell(range(60, 100)))


def test_what_one_answer_held_both_of_may_be_asked_again() -> None:
    """Three have no value: the first answer said how many, under the rule on cells. A count of all adds nothing."""
    asked = Asked()
    assert asked(whole(range(100)), whole(range(97), columns=["bmi"]))
    assert asked(whole(range(100)))
    assert asked(whole(range(100)), whole(range(100), columns=["age"]))


def test_sums_of_one_column_over_nearly_the_same_people_are_refused_whatever_else() -> None:
    asked = Asked()
    assert asked(whole(range(100)), whole(range(100), columns=["age", "sex"]))
    assert not asked(whole(range(100)), whole(range(97), columns=["bmi", "age"]))
    assert asked(whole(range(100)), whole(range(97), columns=["bmi"]))
    assert not Asked()(whole(range(100), columns=["age"]), whole(range(97), columns=["age"])), "in one answer too"


def test_handfuls_count_against_what_holds_them_alone() -> None:
    asked = Asked()
    assert asked(whole([1, 2, 3]))
    assert asked(whole([4, 5])), "other people altogether"
    assert not asked(whole([1, 2]))
    assert not asked(whole([1, 2, 3, 6]))
    assert asked(whole([])), "nobody is held against nothing"


def test_a_handful_counts_against_a_cell_and_a_difference_that_hold_it() -> None:
    """The sums of a cell of ten, and of nine of them in another answer, give the tenth."""
    asked = Asked()
    assert asked(whole(range(100)), cell(range(10)), cell(range(10, 100)))
    assert not asked(cohort(range(9), words="nine of them"))
    asked = Asked()
    assert asked(whole(range(100)))
    assert asked(whole(range(90)))
    assert not asked(cohort(range(90, 99), words="nine of the ten left over"))


def test_cohorts_of_nobody_are_answered_whatever_the_words() -> None:
    asked = Asked()
    for words in ("over 70", "over 80", "over 90"):
        assert asked(cohort([], words=words))
    assert asked(cohort(range(3), words="over 60"))


def test_the_same_question_is_answered_again_whatever_came_between() -> None:
    rng = np.random.default_rng(8)
    for _ in range(20):
        asked = Asked()
        held = set(range(200))
        given_: dict[str, RowSet] = {}
        for number in range(8):
            # Each leaves some out of one before it, as a notebook does.
            source = held if not given_ else set(given_[str(rng.choice(list(given_)))].people)
            rest = source - set(rng.choice(200, int(rng.integers(0, 40)), replace=False).tolist())
            if asked(whole(rest, columns=["wt"]), name=f"question {number}"):
                given_[f"question {number}"] = whole(rest, columns=["wt"])
        assert len(given_) > 1
        for name, part in given_.items():
            assert asked(part, name=name)


def test_four_answers_far_apart_do_not_give_one_person() -> None:
    """A less (A without P) is P; B less (B without P and x) is P and x."""
    first, second, ten, target = range(200), range(100, 400), range(150, 160), 160
    asked = Asked()
    assert asked(whole(first))
    assert asked(whole(set(first) - set(ten)))
    assert asked(whole(second))
    assert not asked(whole(set(second) - set(ten) - {target}))


def test_at_another_load_of_an_epoch_the_same_people_are_too_near_for_sums() -> None:
    asked, again = Asked(), Load("trial", "b" * 64, 0)
    assert asked(whole(range(100), columns=["age"]))
    assert not asked(whole(range(100), columns=["age"]), load=again)
    assert asked(whole(range(100), columns=["sex"]), load=again)
    assert asked(whole(range(100)), load=again), "their number has not changed"
    assert asked(whole(range(99), columns=["age"]), load=Load("trial", "c" * 64, 1)), "another epoch"


def test_the_data_sets_of_a_site_are_held_against_each_other() -> None:
    asked, other = Asked(), Load("other", "b" * 64, 0)
    assert asked(whole(range(100), columns=["trial.age"]))
    assert not asked(whole(range(99), columns=["other.age"]), load=other), "counts are counts"
    assert asked(whole(range(100), columns=["other.age"]), load=other), "another column, over the very same people"


def test_the_same_people_by_other_conditions_are_refused_whatever_data_they_are_from() -> None:
    for load in Load("other", "b" * 64, 0), Load("trial", "b" * 64, 0):
        asked = Asked()
        assert asked(cohort(range(100), words="all who are positive"))
        assert asked(cohort(range(100), words="all who are positive"), load=load)
        assert not asked(cohort(range(100), words="all who are positive but one"), load=load)


def test_a_budget_is_of_the_people_whatever_the_data_set() -> None:
    """A table that is loaded twice under two names gives no second set of equations."""
    asked, other = Asked(), Load("other", "b" * 64, 0)
    everyone = cohort(range(100), words="everyone")
    assert asked(everyone, whole(range(100), columns=["trial.age"]), name="ages")
    assert asked(everyone, whole(range(100), columns=["other.age"]), load=other, name="ages again")
    assert asked.ledger.answers(other, everyone) == asked.ledger.answers(LOAD, everyone) == {"ages": 1, "ages again": 1}


def test_a_load_is_held_against_all_that_was_answered_since_it_was_made() -> None:
    """The registry was loaded once, the trial again and again."""
    asked = Asked()
    assert asked(whole(range(100)), load=Load("trial", "a" * 64, 0, 0))
    assert asked(whole(range(99)), load=Load("trial", "b" * 64, 1, 1)), "of an earlier epoch"
    assert not asked(whole(range(98)), load=Load("registry", "c" * 64, 0, 1))
    assert asked(whole(range(200, 300)), load=Load("registry", "c" * 64, 0, 1))
    assert not asked(whole(range(200, 299)), load=Load("trial", "b" * 64, 1, 1)), "entered in the epoch that runs"
    again = Asked(asked.connection, asked.seal)
    assert not again(whole(range(200, 299)), load=Load("trial", "b" * 64, 1, 1), name="after a restart")
    assert again(whole(range(200, 299)), load=Load("trial", "d" * 64, 2, 2), name="in another epoch")


def test_a_refusal_does_not_say_whether_one_person_is_in() -> None:
    """The cohort of all who have it, and then all of them but one person, if that one has it."""
    for first in (range(100), range(99)):
        asked = Asked()
        assert asked(cohort(first, words="have it"))
        assert not asked(cohort(range(99), words="have it and are not that person"))
        assert asked(cohort(first, words="have it"))


def test_a_set_has_one_name_however_it_was_made() -> None:
    whole_ = BitMap(range(100_000))
    taken = whole_ - BitMap(range(50, 100_000))
    assert RowSet(taken).digest == RowSet(BitMap(range(50))).digest
    asked = Asked()
    assert asked(whole(range(200)), cell(range(100)), cell(range(100, 200)), cell(range(96)))
    assert asked(cohort(range(100, 200), words="the others"), name="what is left is the first cell")


def test_answers_of_one_plan_are_held_against_each_other() -> None:
    ledger = RowSets(sqlite3.connect(":memory:"), Seal.generate())
    one, two = Answered("one", (whole(range(100)),)), Answered("two", (whole(range(95)),))
    assert not ledger.conflict(LOAD, [one], WITHIN)
    assert not ledger.conflict(LOAD, [two], WITHIN)
    assert ledger.conflict(LOAD, [one, two], WITHIN)


def test_the_ledger_outlives_the_process_and_nobody_reads_it_without_the_key() -> None:
    connection, seal = sqlite3.connect(":memory:"), Seal.generate()
    assert Asked(connection, seal)(whole(range(5_000, 5_100)))
    asked = Asked(connection, seal)
    assert not asked(whole(range(5_001, 5_100)), name="later")
    blobs = [bytes(row[0]) for row in connection.execute("select people from row_sets")]
    assert blobs and not any(people(range(5_000, 5_100)).serialize() in blob for blob in blobs)
    with pytest.raises(ConfigError, match="ledger key is another"):
        Asked(connection, Seal.generate())(whole(range(5_001, 5_100)), name="later")


def test_the_same_question_adds_nothing() -> None:
    asked = Asked()
    for _ in range(3):
        assert asked(whole(range(100)), cell(range(50)), name="same")
    assert asked.connection.execute("select count(*) from row_sets").fetchone() == (2,)


SETS = st.sets(st.integers(0, 60), min_size=0, max_size=60)


@settings(max_examples=200, deadline=None)
@given(st.lists(SETS, min_size=2, max_size=6), st.sampled_from(["whole", "cell"]))
def test_no_near_pair_is_ever_answered(drawn: list[set[int]], role: Role) -> None:
    """Judged apart from the product: among all sets that were answered, no two of ten people and more are 1 to 9 apart."""
    asked = Asked()
    everybody = range(1_000, 1_200)
    given_ = [found for found in drawn if asked(whole(everybody), RowSet(BitMap(found), role=role))]
    for number, one in enumerate(given_):
        for other in given_[:number]:
            if min(len(one), len(other)) > WITHIN and (role == "whole" or one < other or other < one):
                assert not 1 <= len(one ^ other) <= WITHIN


def test_profiles_skip_nothing_that_is_near() -> None:
    """How far two profiles are apart is at most how far the sets are."""
    rng = np.random.default_rng(3)
    for _ in range(50):
        one, two = (BitMap(rng.choice(5_000, rng.integers(1, 900), replace=False).astype(np.uint32)) for _ in range(2))
        apart = np.abs(RowSet(one).profile - RowSet(two).profile).sum()
        assert apart <= one.symmetric_difference_cardinality(two)
