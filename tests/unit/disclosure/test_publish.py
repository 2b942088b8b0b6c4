"""What people see: nothing small, nothing from which a small number follows, and words that say what was
hidden.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from civicgrid.disclosure.output import Output, OutputTable
from civicgrid.disclosure.publish import publish
from civicgrid.disclosure.shapes import Block, Counts, Derived, Dimension, Estimates, Measures, RawOutput
from civicgrid.disclosure.thresholds import Thresholds

SHIPPED = Thresholds()
OPEN = Thresholds.open()
ZEROS = Thresholds(zeros=True)
EXACT = Thresholds(round_to=1)


def shown(*blocks: Block, thresholds: Thresholds = SHIPPED, **parts: Any) -> Output:
    return publish(RawOutput(blocks, **parts), thresholds, "test", 1)


def counts(values: Any, hidden: Any = None) -> Counts:
    array = np.array(values, dtype=np.int64)
    dimensions = tuple(
        Dimension(name, tuple(f"{name}{i}" for i in range(size))) for name, size in zip("abc", array.shape, strict=False)
    )
    return Counts("people", array, dimensions, None if hidden is None else np.array(hidden))


def column(table: OutputTable, name: str) -> list[Any]:
    place = [c.name for c in table.columns].index(name)
    return [row[place] for row in table.rows]


def assert_marked(table: OutputTable) -> None:
    """Every hidden place is empty."""
    for row, place in table.hidden:
        assert table.rows[row][place] is None


def test_counts_are_rounded_with_total_and_percentages_from_the_rounded() -> None:
    table = shown(counts([12, 33, 57])).tables[0]
    assert column(table, "people") == [10, 35, 55, 100]
    assert column(table, "percent") == [10.0, 35.0, 55.0, 100.0]
    assert table.rows[-1][0] == "total"
    assert table.title == "People by a"


def test_a_small_count_is_hidden_with_another_and_explained_without_a_number() -> None:
    output = shown(counts([3, 33, 57]))
    table = output.tables[0]
    assert column(table, "people") == [None, None, 55, 95]
    assert column(table, "percent") == [None, None, 57.89, 100.0]
    assert_marked(table)
    (words,) = output.suppressed
    assert "fewer than 10 people" in words and "worked out" in words
    assert not re.search(r"\b3\b|\b33\b|\b2 ", words)


def test_a_single_number_below_the_threshold_is_hidden() -> None:
    output = shown(counts(7))
    assert output.tables[0].rows == ((None,),)
    assert output.tables[0].hidden == ((0, 0),)
    assert shown(counts(17)).tables[0].rows == ((15,),)


def test_a_two_way_table_has_margins_and_row_percentages() -> None:
    table = shown(counts([[10, 30], [20, 40]])).tables[0]
    assert [c.name for c in table.columns] == ["a", "b0", "b0 %", "b1", "b1 %", "total"]
    assert table.rows == (
        ("a0", 10, 25.0, 30, 75.0, 40),
        ("a1", 20, 33.33, 40, 66.67, 60),
        ("total", 30, 30.0, 70, 70.0, 100),
    )


def test_what_is_hidden_in_a_two_way_table_does_not_follow_from_its_margins() -> None:
    table = shown(counts([[3, 30, 50], [20, 40, 60]])).tables[0]
    grid = [[row[1], row[3], row[5], row[7]] for row in table.rows]
    for line in (*grid, *zip(*grid, strict=True)):
        assert sum(value is None for value in line) != 1
    assert_marked(table)


def test_more_than_two_ways_are_written_out_cell_by_cell() -> None:
    values = np.arange(20, 28).reshape(2, 2, 2)
    table = shown(counts(values), thresholds=OPEN).tables[0]
    assert [c.name for c in table.columns] == ["a", "b", "c", "people"]
    assert column(table, "people") == list(range(20, 28))


def test_what_a_site_did_not_show_stays_hidden_with_its_margins() -> None:
    output = shown(counts([[20, 0], [30, 40]], [[False, True], [False, False]]))
    table = output.tables[0]
    assert [table.rows[0][i] for i in (1, 3, 5)] == [20, None, None]
    assert [table.rows[2][i] for i in (1, 3, 5)] == [50, None, None]
    assert "not every site" in output.suppressed[0]


def measures(support: list[list[int]], **extra: Any) -> Measures:
    array = np.array(support, dtype=np.int64)
    values = np.linspace(1.23456789, 2.3456789, array.size).reshape(array.shape)
    columns = tuple(f"m{i}" for i in range(array.shape[1]))
    rows = extra.pop("rows", tuple(f"r{i}" for i in range(array.shape[0])))
    return Measures("numbers", "Numbers", rows, columns, values, array, **extra)


def test_a_measure_on_few_people_is_hidden_and_the_others_have_limited_digits() -> None:
    output = shown(measures([[50, 4], [0, 50]]))
    table = output.tables[0]
    assert table.hidden == ((0, 2), (1, 1)), "nobody looks like a few"
    output = shown(measures([[50, 4], [0, 50]]), thresholds=ZEROS)
    table = output.tables[0]
    assert table.rows[0] == ("r0", 1.23457, None)
    assert table.rows[1][1] is not None
    assert table.hidden == ((0, 2),)
    assert "Numbers: some values are hidden" in output.suppressed[0]


def test_a_hidden_group_takes_another_with_it_so_that_the_total_does_not_give_it_away() -> None:
    block = measures([[4], [50], [70], [124]], rows=("age",) * 4, groups=("x", "y", "z", "all"), total="all")
    table = shown(block).tables[0]
    assert [c.name for c in table.columns] == ["variable", "group", "m0"]
    assert [value is None for value in column(table, "m0")] == [True, True, False, False]


def test_bounds_stand_beside_their_values_and_still_hold_after_rounding() -> None:
    bounds = np.array([[0.0123456, 0.0]])
    block = measures([[50, 50]], bounds=bounds)
    table = shown(block, thresholds=Thresholds(digits=3)).tables[0]
    assert [c.name for c in table.columns] == ["variable", "m0", "m1", "m0_bound"]
    value, bound = float(table.rows[0][1]), float(table.rows[0][3])
    assert abs(value - block.values[0, 0]) + bounds[0, 0] <= bound <= 0.02


def derived() -> Derived:
    return Derived("tests", "Tests", "people", ("chi-square",), ("value", "p_value"), np.array([[3.14159265, 0.012345678]]))


def test_a_statistic_is_hidden_with_a_count_that_it_rests_on() -> None:
    output = shown(counts([[10, 30], [20, 40]]), derived())
    assert output.tables[1].rows == (("chi-square", 3.14, 0.0123),)
    assert output.tables[1].columns[2].format == "p"
    output = shown(counts([[3, 30], [20, 40]]), derived())
    assert output.tables[1].rows == (("chi-square", None, None),)
    assert "Tests: hidden" in output.suppressed[1]


def test_a_statistic_without_its_counts_is_hidden() -> None:
    assert shown(derived()).tables[0].rows[0][1] is None


def estimates(rows: int = 100, cells: tuple[int, ...] = (50, 50)) -> Estimates:
    return Estimates(
        "estimates",
        "Model",
        ("(Intercept)", "age"),
        ("estimate", "p_value"),
        np.array([[1.23456789, 0.5], [np.nan, 0.1]]),
        rows,
        2,
        np.array(cells, dtype=np.int64),
        np.eye(2),
    )


def test_a_model_that_passes_is_shown_with_limited_digits_and_no_covariance() -> None:
    output = shown(estimates(), facts={"deviance": 12.3456789, "iterations": 4}, counts={"people_used": 98})
    (table,) = output.tables
    assert table.rows == (("(Intercept)", 1.23457, 0.5), ("age", None, 0.1))
    assert output.facts == {"people_used": 100, "df_residual": 98, "deviance": 12.3, "iterations": 4}
    assert output.suppressed == ()


@pytest.mark.parametrize(
    ("block", "words"),
    [
        (estimates(rows=19), "2 coefficients need at least 20"),
        (estimates(cells=(50, 4)), "has nobody or fewer than 10 people"),
        (estimates(cells=(50, 0)), "has nobody or fewer than 10 people"),
    ],
)
def test_a_model_that_breaks_a_rule_is_withheld_with_its_facts(block: Estimates, words: str) -> None:
    output = shown(block, facts={"deviance": 12.3})
    assert all(value is None for row in output.tables[0].rows for value in row[1:])
    assert output.facts == {"deviance": None}
    assert words in output.suppressed[0] and not re.search(r"\b(19|4)\b", output.suppressed[0])


def test_one_sentence_stands_for_every_number_of_people_that_is_too_small() -> None:
    said = {shown(estimates(rows=rows, cells=())).suppressed for rows in (0, 1, 9, 10, 11, 19)}
    assert said == {
        (
            "Model: withheld, because there are too few people for the model, or one who weighs too much: 2 "
            "coefficients need at least 20 people.",
        )
    }
    assert shown(estimates(rows=20, cells=())).suppressed == ()


def test_facts_cannot_give_back_a_number_of_people() -> None:
    output = shown(estimates(rows=102), counts={"people_used": 102}, facts={"dispersion": 1.2345678, "deviance": 123.45678})
    assert output.facts == {"people_used": 100, "df_residual": 98, "dispersion": 1.23, "deviance": 123.0}


def test_nobody_left_out_looks_like_a_few_in_everything_that_is_said_of_a_fit() -> None:
    said = {
        shown(estimates(), counts={"people_used": 99}, left_out={"people_dropped": few}, facts={"x": 1.3}).canonical()
        for few in range(10)
    }
    assert len(said) == 1
    output = shown(estimates(), counts={"people_used": 100}, left_out={"people_dropped": 0}, facts={"deviance": 12.3})
    assert output.facts == {"people_used": 100, "people_dropped": None, "df_residual": 98, "deviance": 12.3}


def test_a_note_goes_with_its_block() -> None:
    counted = derived()
    said = replace(counted, notes=("too few expected",))
    assert shown(counts([[10, 30], [20, 40]]), said).notes == ("too few expected",)
    assert shown(counts([[3, 30], [20, 40]]), said, notes=("for all",)).notes == ("for all",)
    assert shown(replace(estimates(), notes=("one site",))).notes == ("one site",)
    assert shown(replace(estimates(rows=5), notes=("one site",))).notes == ()


def test_a_count_among_the_facts_obeys_the_rule_on_counts() -> None:
    output = shown(counts={"people_with": 3, "people_used": 52}, left_out={"people_dropped": 3, "people_missing": 12})
    assert output.facts == {"people_with": None, "people_used": 50, "people_dropped": None, "people_missing": 10}
    (words,) = output.suppressed
    assert words.startswith("People with: hidden")
    assert "how many is not shown" in output.notes[0]


def test_the_open_thresholds_show_everything_exactly() -> None:
    block = estimates(rows=3, cells=(1,))
    output = shown(counts([1, 2]), measures([[1]]), block, thresholds=OPEN, facts={"x": 1 / 3, "y": float("nan")})
    assert column(output.tables[0], "people") == [1, 2, 3]
    assert output.tables[1].rows[0][1] == 1.23456789
    assert output.tables[2].rows[0][1] == 1.23456789
    assert output.tables[3].name == "estimates_covariance"
    assert output.facts == {"df_residual": 1, "x": 1 / 3, "y": None}
    assert output.suppressed == ()


def test_a_cell_with_nobody_in_it_looks_like_one_with_a_few() -> None:
    said = {shown(counts([few, 45 - few, 60]), derived(), thresholds=EXACT).canonical() for few in range(10)}
    assert len(said) == 1
    output = shown(counts([0, 40, 60]))
    assert column(output.tables[0], "people") == [None, None, 60, 100]
    assert "nobody or fewer than 10" in output.suppressed[0]


def test_zeros_are_shown_where_policy_and_permits_let_them_be() -> None:
    output = shown(counts([0, 40, 60]), derived(), thresholds=ZEROS)
    assert column(output.tables[0], "people") == [0, 40, 60, 100]
    assert output.suppressed == ()
    assert "nobody" not in shown(counts([3, 40, 60]), thresholds=ZEROS).suppressed[0]


def with_missing(values: Any, hidden: Any = None) -> Counts:
    array = np.array(values, dtype=np.int64)
    dimensions = (Dimension("drug", ("a", "b")), Dimension("sex", ("f", "m", "(missing)")))
    return Counts("people", array, dimensions, None if hidden is None else np.array(hidden), left_out=True)


def test_a_few_without_a_value_or_nobody_leave_the_table_of_the_others_as_it_is() -> None:
    said = {shown(with_missing([[40, 50, few], [60, 30, 25]]), derived()).canonical() for few in range(10)}
    assert len(said) == 1
    output = shown(with_missing([[40, 50, 0], [60, 30, 25]]), derived())
    assert column(output.tables[0], "f") == [40, 60, 100]
    assert column(output.tables[0], "(missing)") == [None, None, None]
    assert column(output.tables[0], "total") == [90, 90, 180], "of those with a value"
    assert output.tables[1].rows[0][1] is not None
    assert "or nobody, have no value" in output.notes[0] and output.suppressed == ()
    assert_marked(output.tables[0])


def test_many_without_a_value_are_part_of_the_table() -> None:
    output = shown(with_missing([[40, 50, 10], [60, 30, 25]]))
    assert column(output.tables[0], "total") == [100, 115, 215]
    assert output.notes == ()
    shown_too = shown(with_missing([[40, 50, 0], [60, 30, 25]]), thresholds=ZEROS)
    assert column(shown_too.tables[0], "(missing)") == [0, 25, 25]


def test_a_small_cell_beside_those_without_a_value_is_protected_among_those_with_one() -> None:
    output = shown(with_missing([[4, 50, 0], [60, 30, 25]]))
    assert [output.tables[0].rows[0][i] for i in (1, 3, 5)] == [None, None, None]
    assert "some counts are hidden" in output.suppressed[0]


def test_what_one_site_did_not_show_of_those_without_a_value_is_no_more_than_that() -> None:
    unseen = [[False, False, True], [False, False, False]]
    output = shown(with_missing([[40, 50, 30], [60, 30, 25]], unseen))
    assert column(output.tables[0], "total") == [90, 90, 180]
    assert output.suppressed == ()


def test_what_comes_out_is_canonical() -> None:
    output = shown(counts([[3, 30], [20, 40]]), measures([[5, 50]]), derived(), estimates())
    assert Output.from_bytes(output.canonical()) == output


@pytest.mark.parametrize("seed", range(10))
def test_no_shown_table_of_counts_holds_a_small_number(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.poisson(rng.gamma(0.7, 20, (3, 3)))
    table = shown(counts(values), thresholds=Thresholds(round_to=1)).tables[0]
    for row in table.rows:
        for value, spec in itertools.islice(zip(row, table.columns, strict=True), 1, None):
            assert spec.format != "count" or value is None or value == 0 or value >= 10


def test_the_columns_of_a_table_have_different_names() -> None:
    output = shown(counts([[10, 30], [20, 40]]), derived(), measures([[50]]), estimates())
    for table in output.tables:
        names = [spec.name for spec in table.columns]
        assert len(set(names)) == len(names)


def test_a_table_named_after_its_variable_is_titled_by_the_other() -> None:
    block = Counts("age", np.full((2, 2), 50), (Dimension("drug", ("a", "b")), Dimension("age", ("known", "(missing)"))))
    assert shown(block).tables[0].title == "Age by drug"


def test_a_level_called_like_another_column_gets_a_longer_name() -> None:
    block = Counts("people", np.full((2, 2), 50), (Dimension("drug", ("a", "b")), Dimension("end", ("drug", "total"))))
    assert [c.name for c in shown(block).tables[0].columns] == [
        "drug", "end: drug", "end: drug %", "end: total", "end: total %", "total",
    ]  # fmt: skip
