"""The rules on shares, judged by an attacker written apart from them: an integer program over tables."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.optimize import LinearConstraint, milp

from civicgrid.disclosure.codes import Code, Withheld
from civicgrid.disclosure.release import Terms, release
from civicgrid.disclosure.rules import (
    UNKNOWN,
    hide,
    hide_with_margins,
    model_refusal,
    open_counts,
    open_histogram,
    open_model,
    open_sums,
    round_counts,
    singles_out,
    stands_alone,
    with_margins,
)
from civicgrid.disclosure.shapes import Counts, Dimension, Histogram, ModelSums, Part, Sums
from civicgrid.disclosure.thresholds import Thresholds

SHIPPED = Thresholds()
OPEN = Thresholds.open()
ZEROS = Thresholds(zeros=True)


def ints(*values: object) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def dimension(size: int, name: str = "d") -> Dimension:
    return Dimension(name, tuple(f"level {i}" for i in range(size)))


def attack(values: np.ndarray, hidden: np.ndarray, target: tuple[int, ...]) -> tuple[int, int]:
    """The least and the greatest value of one cell over all tables of whole numbers that agree with every shown cell and
    every shown margin.
    """
    cells = list(np.ndindex(values.shape))
    full = with_margins(values)
    rows, known = [], []
    for place in np.ndindex(full.shape):
        if hidden[place]:
            continue
        inside = [
            float(all(p in (size, c) for p, c, size in zip(place, cell, values.shape, strict=True)))
            for cell in cells
        ]
        rows.append(inside)
        known.append(float(full[place]))
    weight = [
        float(all(p in (size, c) for p, c, size in zip(target, cell, values.shape, strict=True)))
        for cell in cells
    ]
    ends = []
    for sign in (1.0, -1.0):
        constraints = LinearConstraint(np.array(rows), known, known) if rows else ()
        found = milp(sign * np.array(weight), constraints=constraints, integrality=np.ones(len(cells)))
        ends.append(10**6 if found.status == 3 else round(sign * found.fun))
    return ends[0], ends[1]


def spread(ends: tuple[int, int]) -> int:
    return ends[1] - ends[0]


def assert_protected(values: np.ndarray, thresholds: Thresholds) -> np.ndarray:
    hidden = hide_with_margins(values, thresholds)
    full = with_margins(values)
    few = (full < thresholds.min_cell) & ((full > 0) | (not thresholds.zeros))
    assert hidden[few].all()
    for target in np.argwhere(few):
        if not hidden.all():
            ends = attack(values, hidden, tuple(target))
            assert spread(ends) >= thresholds.interval
            assert ends[0] == 0 or thresholds.zeros, "somebody is known to be in the cell"
    return hidden


@pytest.mark.parametrize("seed", range(25))
def test_an_attacker_who_knows_the_margins_cannot_narrow_a_small_cell(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(2, 5, size=rng.integers(1, 3)))
    values = rng.poisson(rng.gamma(0.7, 25, shape)).astype(np.int64)
    assert_protected(values, SHIPPED)


@pytest.mark.parametrize("seed", range(15))
def test_nor_where_a_permit_lets_zeros_be_shown(seed: int) -> None:
    rng = np.random.default_rng(seed)
    assert_protected(rng.poisson(rng.gamma(0.4, 25, (3, 4))).astype(np.int64), ZEROS)


def test_three_dimensions_are_protected_too() -> None:
    values = np.random.default_rng(3).poisson(14, (2, 3, 2)).astype(np.int64)
    assert_protected(values, SHIPPED)


def test_one_small_cell_takes_the_smallest_neighbour_with_it() -> None:
    assert hide(ints(5, 100, 200, 12), SHIPPED).tolist() == [True, False, False, True]


def test_a_table_without_small_cells_is_shown_whole() -> None:
    assert not hide(ints([10, 20], [15, 30]), SHIPPED).any()
    assert not hide(ints([10, 20], [0, 30]), ZEROS).any()


def test_everything_is_hidden_when_the_total_is_small() -> None:
    assert hide_with_margins(ints(3, 4), SHIPPED).all()


def test_a_small_margin_is_hidden_and_cannot_be_worked_out_from_the_others() -> None:
    hidden = assert_protected(ints([3, 0], [50, 40]), SHIPPED)
    assert hidden[:, 2].tolist() == [True, True, False]


def test_no_more_is_hidden_than_the_best_choice_hides_in_a_small_table() -> None:
    values = ints([3, 20, 30], [50, 40, 11], [11, 60, 70])
    hidden = assert_protected(values, SHIPPED)
    least = min(
        int(values[mask].sum())
        for bits in itertools.product((False, True), repeat=8)
        if (mask := np.array((True, *bits)).reshape(3, 3)).any()
        and spread(attack(values, np.pad(mask, ((0, 1), (0, 1))), (0, 0))) >= SHIPPED.interval
    )
    assert values[hidden[:3, :3]].sum() <= 1.5 * least


def test_nobody_in_a_cell_looks_like_a_few() -> None:
    seen = {tuple(hide(ints(few, 50, 60), SHIPPED).tolist()) for few in range(10)}
    assert seen == {(True, True, False)}
    assert not hide(ints(0, 50, 60), ZEROS).any()
    assert hide(ints(1, 50, 60), ZEROS).tolist() == [True, True, False]


def test_a_hidden_cell_may_be_empty_for_all_that_the_others_tell() -> None:
    """With the four corners hidden alone the first would be at least 1, since the last cannot fall below nought."""
    values = ints([1, 15, 30], [20, 0, 40], [50, 60, 70])
    corners = np.zeros((4, 4), dtype=bool)
    corners[:2, :2] = True
    assert attack(values, corners, (0, 0)) == (1, 16)
    assert_protected(values, SHIPPED)


def test_the_mask_is_the_same_every_time() -> None:
    values = np.random.default_rng(0).poisson(12, (9, 9)).astype(np.int64)
    assert (hide(values, SHIPPED) == hide(values, SHIPPED)).all()


def test_a_very_large_table_with_a_small_cell_is_hidden_whole() -> None:
    values = np.full((60, 60), 50, dtype=np.int64)
    assert not hide(values, SHIPPED).any()
    values[0, 0] = 1
    assert hide(values, SHIPPED).all()


def test_interval_nought_switches_complementary_suppression_off() -> None:
    assert hide(ints(5, 100, 12), Thresholds(interval=0)).tolist() == [True, False, False]


@pytest.mark.parametrize(("value", "rounded"), [(0, 0), (12, 10), (13, 15), (17, 15), (18, 20)])
def test_counts_are_rounded_to_the_nearest_multiple(value: int, rounded: int) -> None:
    assert round_counts(ints(value), 5).tolist() == [rounded]


def test_open_counts_show_rounded_values_and_nothing_of_what_is_hidden() -> None:
    values, hidden = open_counts(Counts("c", ints(4, 13, 102), (dimension(3),)), SHIPPED)
    assert hidden.tolist() == [True, True, False]
    assert values.tolist() == [0, 0, 100]


def test_a_single_number_of_people_is_hidden_below_the_threshold() -> None:
    few, many = np.array(9, dtype=np.int64), np.array(10, dtype=np.int64)
    assert open_counts(Counts("n", few), SHIPPED)[1] and open_counts(Counts("n", 0 * few), SHIPPED)[1]
    assert not open_counts(Counts("n", many), SHIPPED)[1]
    assert not stands_alone(Counts("n", few), SHIPPED)
    assert stands_alone(Counts("n", many), SHIPPED)


def test_how_many_have_no_value_is_judged_by_itself() -> None:
    """Hidden beside a table that stands as it is, in all groups or in none; and nobody is no reason to refuse."""
    groups, levels = dimension(2, "g"), Dimension("x", ("a", "b", "(missing)"))

    def counts(*values: object) -> Counts:
        return Counts("x", ints(*values), (groups, levels), left_out=True)

    for few in (0, 1, 9):
        values, hidden = open_counts(counts([40, 60, few], [30, 50, 25]), SHIPPED)
        assert hidden.tolist() == [[False, False, True]] * 2
        assert values.tolist() == [[40, 60, 0], [30, 50, 0]]
        assert stands_alone(counts([40, 60, few], [30, 50, 25]), SHIPPED) == (few == 0)
        alone = Counts("dropped", np.array(few, dtype=np.int64), left_out=True)
        assert open_counts(alone, SHIPPED)[1] and stands_alone(alone, SHIPPED) == (few == 0)
    assert not open_counts(counts([40, 60, 10], [30, 50, 25]), SHIPPED)[1].any()
    assert not open_counts(counts([40, 60, 0], [30, 50, 25]), ZEROS)[1].any()
    assert not stands_alone(counts([40, 0, 10], [30, 50, 25]), SHIPPED)


def histogram(*rows: list[int]) -> Histogram:
    values = np.array(rows, dtype=np.int64)
    return Histogram("h", values, np.arange(values.shape[1] - 1, dtype=np.float64), dimension(len(rows)))


@pytest.mark.parametrize("seed", range(30))
def test_the_bounds_of_an_open_histogram_hold_and_give_no_small_bin_away(seed: int) -> None:
    rng = np.random.default_rng(seed)
    counts = rng.poisson(rng.gamma(0.4, 12, (3, 12))).astype(np.int64)
    low, high = open_histogram(histogram(*counts.tolist()), SHIPPED)
    below = np.concatenate([np.zeros((3, 1), dtype=np.int64), np.cumsum(counts, axis=1)], axis=1)
    assert ((low <= below) & (below <= high)).all()
    assert (np.diff(low, axis=1) >= 0).all() and (np.diff(high, axis=1) >= 0).all()
    exact_low, exact_high = open_histogram(histogram(*counts.tolist()), Thresholds(round_to=1))
    for group in range(3):
        known = np.flatnonzero(exact_low[group] == exact_high[group])
        steps = np.diff(below[group][known])
        assert not ((steps > 0) & (steps < 10)).any()


def test_an_open_histogram_shows_no_minimum_and_no_maximum() -> None:
    low, high = open_histogram(histogram([0, 0, 20, 20, 0, 0]), Thresholds(round_to=1))
    assert low.tolist() == [[0, 0, 0, 20, 20, 20, 40]]
    assert high.tolist() == [[0, 20, 20, 20, 40, 40, 40]]


def test_a_group_too_small_to_show_has_unknown_bounds_and_takes_another_with_it() -> None:
    low, high = open_histogram(histogram([2, 3], [30, 30], [90, 80]), SHIPPED)
    assert high[0].tolist() == high[1].tolist() == [0, UNKNOWN, UNKNOWN]
    assert low[0].tolist() == [0, 0, 0]
    assert low[2].tolist() == high[2].tolist() == [0, 90, 170]


def test_an_empty_histogram_looks_like_that_of_a_few_people() -> None:
    for few in ([0, 0], [3, 1]):
        low, high = open_histogram(histogram(few), SHIPPED)
        assert (low.tolist(), high.tolist()) == ([[0, 0, 0]], [[0, UNKNOWN, UNKNOWN]])


def test_no_boundary_of_a_merged_bin_is_where_one_person_stands() -> None:
    """Gathered from the left until there are ten, the first bin would end at the tenth person, wherever that one is."""
    seen = set()
    for place in range(7, 25):
        counts = np.zeros(64, dtype=np.int64)
        counts[[6, place, 40, 50]] += np.array([9, 1, 20, 20])
        low, high = open_histogram(histogram(counts.tolist()), SHIPPED)
        seen.add((low.tobytes(), high.tobytes()))
    assert len(seen) == 1


def test_sums_leave_open_only_where_enough_people_stand_behind_each() -> None:
    def sums(*support: int) -> Sums:
        values = np.ones((len(support), 2))
        return Sums("s", values, ints(*support), ints(1, 1), dimension(len(support)))

    assert open_sums(sums(10, 10), SHIPPED) is not None
    assert open_sums(sums(10, 0), SHIPPED) is None
    assert open_sums(sums(10, 0), ZEROS) is not None
    assert open_sums(sums(10, 9), ZEROS) is None
    assert open_sums(sums(10, 9), OPEN) is not None


def model(
    rows: int, parameters: int, *cells: int, steepness: float = 1.0, share: float = 0.0, leverage: float = 0.1
) -> ModelSums:
    return ModelSums(
        "m", np.ones(3), ints(0, 0, 0), rows, parameters, lambda: ints(*cells), steepness, share, lambda enough: leverage
    )


def test_a_model_leaves_open_only_with_enough_rows_and_no_small_cell() -> None:
    assert open_model(model(100, 10, 50, 0), SHIPPED) is not None
    assert open_model(model(99, 10, 50), SHIPPED) is None
    assert open_model(model(10, 1, 10), SHIPPED) is None
    assert open_model(model(100, 10, 50, 3), SHIPPED) is None


def test_at_one_site_a_model_may_have_cells_of_nobody_but_what_is_published_may_not() -> None:
    assert stands_alone(model(100, 10, 50, 0), SHIPPED)
    assert model_refusal(100, 10, ints(50, 0), SHIPPED) == model_refusal(100, 10, ints(50, 1), SHIPPED) is not None
    assert model_refusal(100, 10, ints(50, 0), ZEROS) is None


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (model(100, 10, 3), None),
        (model(99, 10), "too few people carry the sums"),
        (model(0, 1), "too few people carry the sums"),
        (model(100, 10, steepness=32.1), "a coefficient is beyond"),
        (model(100, 10, share=0.51), "most of the outcome"),
        (model(100, 10, leverage=0.51), "most of the leverage"),
        (model(100, 10, steepness=32.0, share=0.5, leverage=0.5), None),
        (Sums("s", np.ones((1, 1)), ints(60), ints(0), dimension(1), effective=9), "outweigh"),
        (Sums("s", np.ones((1, 1)), ints(60), ints(0), dimension(1), effective=10), None),
        (Sums("s", np.ones((1, 1)), ints(60), ints(0), dimension(1)), None),
        (Counts("c", ints(3), (dimension(1),)), None),
    ],
)
def test_what_singles_a_person_out_leaves_under_no_mask(part: Part, words: str | None) -> None:
    found = singles_out(part, SHIPPED)
    assert found is words if words is None else found is not None and words in found
    assert singles_out(part, OPEN) is None
    terms = Terms(SHIPPED, False, 3, lambda limbs: limbs)
    if words is None:
        release((part,), terms)
    else:
        assert not stands_alone(part, SHIPPED)
        assert stands_alone(part, OPEN)
        with pytest.raises(Withheld) as refused:
            release((part,), terms)
        assert refused.value.code is Code.DISCLOSURE


def test_the_leverage_is_worked_out_only_where_the_rule_stands() -> None:
    def asked(enough: float) -> float:
        raise AssertionError

    part = ModelSums("m", np.ones(1), ints(0), 100, 1, lambda: ints(50), 1.0, 0.0, asked)
    assert singles_out(part, OPEN) is None


def test_the_open_thresholds_let_everything_pass_exactly() -> None:
    assert open_model(model(0, 10, 1), OPEN) is not None
    values, hidden = open_counts(Counts("c", ints(1, 2, 3), (dimension(3),)), OPEN)
    assert values.tolist() == [1, 2, 3] and not hidden.any()
    low, high = open_histogram(histogram([1, 0, 2], [0, 0, 0]), OPEN)
    assert low.tolist() == high.tolist() == [[0, 1, 1, 3], [0, 0, 0, 0]]
    assert stands_alone(histogram([1, 0, 2]), OPEN)
