"""Table 1 over sites against NumPy and pandas on the pooled records."""

from __future__ import annotations

from typing import Any

import lifelines.datasets
import numpy as np
import pandas as pd
import pytest

from civicgrid.disclosure.publish import publish
from civicgrid.disclosure.rules import open_histogram
from civicgrid.disclosure.shapes import Counts, Derived, Histogram, Measures, RawOutput, Received
from civicgrid.disclosure.thresholds import Thresholds
from civicgrid.errors import PlanError
from civicgrid.methods.describe import Describe, differences
from civicgrid.methods.describe.quantiles import Below, grid
from civicgrid.methods.method import Ask
from civicgrid.query.types import BOOL, DATE, FLOAT, INT, ColumnType, category
from unit.methods.pooled import add, masked, run_frame, run_pooled, schema_of, table_of

SCHEMA = schema_of(
    age=ColumnType(kind="int", low=18, high=100),
    bmi=ColumnType(kind="float", low=10, high=70),
    income=FLOAT,
    visits=INT,
    sex=category("female", "male"),
    stage=category("I", "II", "III"),
    smoker=BOOL,
    drug=category("a", "b", "c"),
)
NUMBERS = ["age", "bmi", "income", "visits"]


def simulated(n: int = 2000, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "age": rng.integers(18, 101, n).astype(float),
            "bmi": rng.normal(27, 5, n),
            "income": rng.lognormal(10, 1, n) * rng.choice([-1, 1], n, p=[0.05, 0.95]),
            "visits": rng.poisson(4, n).astype(float),
            "sex": rng.choice(["female", "male"], n),
            "stage": rng.choice(["I", "II", "III"], n, p=[0.5, 0.3, 0.2]),
            "smoker": (rng.random(n) < 0.3).astype(object),
            "drug": rng.choice(["a", "b", "c"], n, p=[0.5, 0.3, 0.2]),
        }
    )
    for name in ("age", "bmi", "stage", "smoker"):
        frame.loc[rng.random(n) < 0.05, name] = None
    return frame


def numbers(output: RawOutput) -> Measures:
    block = output.blocks[0]
    assert isinstance(block, Measures)
    return block


def counted(output: RawOutput, name: str) -> np.ndarray:
    return next(block.values for block in output.blocks if isinstance(block, Counts) and block.name == name)


def assert_row(block: Measures, row: int, values: pd.Series, bound: float) -> None:
    """Mean and sd to rounding; each quartile within its own bound, which is at most `bound` of the
    quartiles' range.
    """
    values = values.dropna()
    np.testing.assert_allclose(block.values[row, :2], [values.mean(), values.std()], rtol=1e-12)
    assert block.bounds is not None
    truth = np.quantile(values, [0.25, 0.5, 0.75])
    off = np.abs(block.values[row, 2:5] - truth)
    assert (off <= block.bounds[row, 2:5] + 1e-9 * np.abs(truth)).all()
    assert (block.bounds[row, 2:5] <= bound * max(truth[2] - truth[0], 1e-12)).all()
    assert block.support[row].tolist() == [len(values)] * block.values.shape[1]


def test_numbers_equal_pandas_and_quartiles_lie_within_their_bounds() -> None:
    frame = simulated()
    output = run_frame(Describe(columns=NUMBERS), frame, SCHEMA)
    block = numbers(output)
    assert block.rows == tuple(NUMBERS) and block.columns == ("mean", "sd", "q1", "median", "q3")
    for row, (name, bound) in enumerate(zip(NUMBERS, (0, 0.05, 0.05, 0), strict=True)):
        assert_row(block, row, frame[name], bound)


@pytest.mark.parametrize(
    ("column", "most"),
    [
        (ColumnType(kind="float", low=0, high=40), 40 / 2048),
        (ColumnType(kind="float", low=-3, high=99), 102 / 2048),
        (ColumnType(kind="float", low=0, high=4096), 2.0),
        (FLOAT, None),
    ],
)
def test_with_many_people_the_bound_is_half_a_bin_of_the_grid(column: ColumnType, most: float | None) -> None:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"x": rng.gamma(2, 3, 60_000)})
    block = numbers(run_frame(Describe(columns="x"), frame, schema_of(x=column)))
    truth = np.quantile(frame.x, [0.25, 0.5, 0.75])
    assert block.bounds is not None
    assert (block.bounds[0, 2:5] <= (truth / 64 * 1.05 if most is None else most)).all()
    assert_row(block, 0, frame.x, np.inf)


@pytest.mark.parametrize("low", [0.0, -37.0, 1e-6, 1e9])
@pytest.mark.parametrize("width", [1e-3, 1.0, 92.0, 1000.0, 1e12])
def test_a_grid_has_a_thousand_bins_within_the_range_and_shares_its_edges_with_every_finer_one(
    low: float, width: float
) -> None:
    column, narrower = (ColumnType(kind="float", low=low, high=low + part * width) for part in (1.0, 0.25))
    edges, finer = grid(column), grid(narrower)
    inside = edges[(edges >= low) & (edges <= low + width)]
    assert 1000 < len(inside) <= 2049
    assert np.diff(inside).max() / 2 <= width / 2048 * (1 + 1e-6)
    both = (edges >= finer[(finer >= low)][0]) & (edges >= low) & (edges <= low + width / 4)
    assert np.isin(edges[both], finer).all()


@pytest.mark.parametrize(("low", "high"), [(-1.7e308, 1.7e308), (0.0, 5e-324), (1e18, 1e18 + 128), (-1e300, -9.9e299)])
def test_a_grid_can_be_had_for_every_range(low: float, high: float) -> None:
    for kind in ("int", "float"):
        edges = grid(ColumnType(kind=kind, low=low, high=high))
        assert np.isfinite(edges).all() and (np.diff(edges) > 0).all() and 0 < len(edges) <= 3000


def test_whole_numbers_come_exact_even_without_a_range() -> None:
    frame = simulated(n=5000, seed=2)
    block = numbers(run_frame(Describe(columns=["visits", "age"]), frame, SCHEMA))
    for row, name in enumerate(("visits", "age")):
        np.testing.assert_array_equal(block.values[row, 2:5], np.quantile(frame[name].dropna(), [0.25, 0.5, 0.75]))
    assert block.bounds is not None and not block.bounds.any()


def test_large_values_with_a_small_spread_lose_no_digits() -> None:
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"x": 1e9 + rng.normal(0, 1e-3, 900)})
    block = numbers(run_frame(Describe(columns=["x"]), frame, schema_of(x=FLOAT)))
    np.testing.assert_allclose(block.values[0, :2], [frame.x.mean(), (frame.x - 1e9).std()], rtol=1e-11)


def test_values_outside_the_declared_range_are_described_as_well() -> None:
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"x": rng.normal(500, 50, 3000)})
    schema = schema_of(x=ColumnType(kind="float", low=0, high=10))
    assert_row(numbers(run_frame(Describe(columns=["x"]), frame, schema)), 0, frame.x, 1.0)


def test_masked_sums_lose_nothing_to_the_fixed_point() -> None:
    frame = simulated(seed=4)
    frame["visits"] *= 1e-7
    method = Describe(columns=[*NUMBERS, "sex"], by="drug")
    schema = schema_of(**{c.name: FLOAT if c.name == "visits" else c.type for c in SCHEMA.columns})
    plain, through = (numbers(run_frame(method, frame, schema, 6, adder)).values for adder in (add, masked))
    np.testing.assert_allclose(through, plain, rtol=1e-9, atol=1e-15)


def test_groups_stand_beside_all_together() -> None:
    frame = simulated(seed=5)
    frame.loc[:24, "drug"] = None
    output = run_frame(Describe(columns=NUMBERS, by="drug"), frame, SCHEMA)
    block = numbers(output)
    grouped = frame[frame.drug.notna()]
    assert block.groups[:4] == ("a", "b", "c", "all")
    for row, (name, group) in enumerate(zip(block.rows, block.groups, strict=True)):
        people = grouped if group == "all" else grouped[grouped.drug == group]
        assert_row(block, row, people[name], 0.25)
    assert output.left_out == {"people_without_group": 25}


def test_standardised_differences_of_numbers_follow_austin() -> None:
    frame = simulated(seed=6)
    block = numbers(run_frame(Describe(columns=["bmi"], by="drug"), frame, SCHEMA))
    bmi = frame.groupby("drug").bmi
    expected = (bmi.mean() - bmi.mean()["a"]) / np.sqrt((bmi.var() + bmi.var()["a"]) / 2)
    np.testing.assert_allclose(block.values[1:3, 5], expected[["b", "c"]], rtol=1e-12)
    assert np.isnan(block.values[[0, 3], 5]).all()


def test_categories_are_counted_with_missing_and_compared() -> None:
    frame = simulated(seed=7)
    output = run_frame(Describe(columns=["sex", "stage", "smoker"], by="drug"), frame, SCHEMA)
    stage = frame.stage.fillna("(missing)")
    table = pd.crosstab(frame.drug, stage)[["I", "II", "III", "(missing)"]]
    assert counted(output, "stage").tolist() == table.to_numpy().tolist()
    derived = output.blocks[-1]
    assert isinstance(derived, Derived) and derived.rows == ("sex", "stage", "smoker")
    share = (frame[frame.sex.notna()].sex == "male").groupby(frame.drug).mean()
    spread = share * (1 - share)
    expected = (share - share["a"]) / np.sqrt((spread + spread["a"]) / 2)
    np.testing.assert_allclose(derived.values[0], expected[["b", "c"]], rtol=1e-12)


def test_the_difference_of_three_levels_is_a_mahalanobis_distance() -> None:
    """Yang and Dalton (2012), by the inverse of the mean covariance, written out."""
    p, q = np.array([40, 35, 25]), np.array([60, 30, 110])
    t, c = (p / p.sum())[1:], (q / q.sum())[1:]
    s = sum(np.diag(x) - np.outer(x, x) for x in (t, c)) / 2
    expected = np.sqrt((t - c) @ np.linalg.inv(s) @ (t - c))
    assert differences.of_categories(p, q) == pytest.approx(expected)
    assert np.isnan(differences.of_categories(np.array([5, 0, 0]), np.array([0, 4, 0])))
    assert np.isnan(differences.of_categories(np.array([0, 0]), np.array([3, 4])))
    assert np.isnan(differences.of_numbers(1.0, 0.0, 2.0, 0.0))


def test_without_groups_a_variable_has_one_row_of_counts() -> None:
    frame = simulated(seed=8)
    output = run_frame(Describe(columns=["bmi", "smoker"]), frame, SCHEMA)
    assert counted(output, "bmi").tolist() == [frame.bmi.notna().sum(), frame.bmi.isna().sum()]
    smokers = frame.smoker == True  # noqa: E712
    assert counted(output, "smoker")[1] == smokers.sum()


def test_a_column_that_does_not_vary_has_no_spread_and_no_difference() -> None:
    frame = simulated(seed=11).assign(income=0.1)
    block = numbers(run_frame(Describe(columns=["income"], by="sex"), frame, SCHEMA))
    assert block.values[:, 1].tolist() == [0.0, 0.0, 0.0]
    assert np.isnan(block.values[:, 5]).all()


def test_nobody_at_all_gives_no_values_and_no_error() -> None:
    tables = [table_of(simulated()[:0], SCHEMA)] * 2
    output = run_pooled(Describe(columns=[*NUMBERS, "sex"], by="drug"), tables, SCHEMA)
    assert np.isnan(numbers(output).values).all()
    assert counted(output, "sex").sum() == 0


def test_one_person_has_a_mean_and_no_spread() -> None:
    output = run_pooled(Describe(columns=["income"]), [table_of(simulated()[:1], SCHEMA)], SCHEMA)
    assert np.isfinite(numbers(output).values[0, 0]) and np.isnan(numbers(output).values[0, 1])


def test_lung_by_sex_equals_pandas() -> None:
    lung = lifelines.datasets.load_lung()
    schema = schema_of(age=ColumnType(kind="int", low=18, high=110), time=INT, sex=category("1", "2"))
    lung = lung.assign(sex=lung.sex.astype(str))
    output = run_frame(Describe(columns=["age", "time"], by="sex"), lung, schema, sites=lung["inst"].fillna(0))
    block = numbers(output)
    for row, (name, group) in enumerate(zip(block.rows, block.groups, strict=True)):
        assert_row(block, row, (lung if group == "all" else lung[lung.sex == group])[name], 0.15)


def test_bounds_hold_when_sites_answer_in_the_open() -> None:
    """Each site merges and rounds under the shipped rules; the quartiles must still lie within their
    bounds.
    """
    frame = simulated(n=9000, seed=9).dropna()
    method = Describe(columns=["bmi", "income"])
    tables = [table_of(frame[i::3], SCHEMA) for i in range(3)]
    rounds = method.coordinate(SCHEMA)
    ask = next(rounds)
    try:
        while True:
            combined: dict[str, Received] = {}
            for parts in zip(*(method.site(table, ask) for table in tables), strict=True):
                name = parts[0].name
                total = np.sum([part.values for part in parts], axis=0)
                if isinstance(parts[0], Histogram):
                    ends = [open_histogram(part, Thresholds()) for part in parts]  # type: ignore[arg-type]
                    low, high = (np.sum([end[i] for end in ends], axis=0) for i in (0, 1))
                    combined[name] = Received(name, np.diff(low), None, low, high)
                else:
                    combined[name] = Received(name, np.asarray(total))
            ask = rounds.send(combined)
    except StopIteration as stop:
        block = numbers(stop.value)
    assert block.bounds is not None
    for row, name in enumerate(("bmi", "income")):
        truth = np.quantile(frame[name], [0.25, 0.5, 0.75])
        assert (np.abs(block.values[row, 2:5] - truth) <= block.bounds[row, 2:5]).all()
        assert (block.bounds[row, 2:5] < 0.5 * (truth[2] - truth[0])).all()


@pytest.mark.parametrize("seed", range(20))
def test_a_quantile_is_in_a_bin_with_ten_people_and_off_by_no_more_than_it_says(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = np.rint(rng.normal(50, rng.choice([1, 5, 20]), rng.integers(10, 80)))
    edges = np.concatenate([[-np.inf], np.arange(-50, 151) - 0.5, [np.inf]])
    counts = np.array([(values < edge).sum() for edge in edges])
    for share in (0.25, 0.5, 0.75):
        found = Below(edges, counts, counts).quantile(share, True, 1 << 40, 10)
        assert abs(found.value - np.quantile(values, share)) <= found.bound
        assert all(((values >= low) & (values <= high)).sum() == people >= 10 for low, high, people in found.bins)


def test_whoever_is_alone_in_the_middle_does_not_move_the_median() -> None:
    """The target between two halves far apart: the ends are sought at public places, not outwards from that person."""
    edges = np.concatenate([[-np.inf], np.arange(-100, 102) - 0.5, [np.inf]])
    medians = set()
    for secret in range(5):
        values = np.array([-100] * 50 + [secret] + [100] * 50)
        counts = np.array([(values < edge).sum() for edge in edges])
        medians.add(Below(edges, counts, counts).quantile(0.5, True, 1 << 40, 10).value)
    assert len(medians) == 1


def test_a_small_group_is_hidden_in_every_table() -> None:
    frame = simulated(seed=10)
    frame.loc[frame.index[frame.drug == "c"][4:], "drug"] = "a"
    output = publish(run_frame(Describe(columns=["bmi", "sex"], by="drug"), frame, SCHEMA), Thresholds(), "describe", 1)
    by_group = {row[1]: row[2:] for row in output.tables[0].rows}
    assert all(value is None for value in by_group["c"]) and all(value is None for value in by_group["b"])
    assert by_group["a"][0] is not None and by_group["all"][0] is not None
    assert all(row[7] is None for row in output.tables[0].rows)
    assert all(value is None for row in output.tables[-1].rows for value in row[1:])


@pytest.mark.parametrize("column", [FLOAT, INT, *(SCHEMA[name] for name in NUMBERS)])
def test_the_edges_rise_and_depend_on_the_type_alone(column: ColumnType) -> None:
    edges = grid(column)
    assert (np.diff(edges) > 0).all() and np.isfinite(edges).all() and len(edges) <= 3000
    if column.kind == "int":
        assert (edges % 1 == 0.5).all()


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"columns": ["age", "age"]}, "once"),
        ({"columns": ["age"], "by": "age"}, "once"),
        ({"columns": ["when"]}, "is a date"),
        ({"columns": ["bare"]}, "has no levels"),
        ({"columns": ["odd"]}, "stands for no value"),
        ({"columns": ["age"], "by": "bmi"}, "is a number"),
        ({"columns": ["age"], "by": "many"}, "at most 50 groups"),
        ({"columns": ["nope"]}, "no column 'nope'"),
    ],
)
def test_what_cannot_be_described_is_refused_with_advice(parameters: dict[str, Any], words: str) -> None:
    extra = {
        "when": DATE,
        "bare": category(),
        "odd": category("(missing)", "x"),
        "many": category(*(str(i) for i in range(60))),
    }
    schema = schema_of(**{c.name: c.type for c in SCHEMA.columns}, **extra)
    with pytest.raises(PlanError, match=words):
        Describe(**parameters).check(schema)


def test_any_change_of_a_parameter_changes_the_words() -> None:
    methods = [
        Describe(columns=["age"]),
        Describe(columns=["age", "bmi"]),
        Describe(columns=["bmi", "age"]),
        Describe(columns=["age", "sex"]),
        Describe(columns=["sex", "age"]),
        Describe(columns=["sex"]),
        Describe(columns=["age"], by="sex"),
        Describe(columns=["age"], by="drug"),
    ]
    assert len({method.explain(SCHEMA) for method in methods}) == len(methods)


def test_a_round_that_is_not_of_the_method_is_refused() -> None:
    table, method = table_of(simulated(), SCHEMA), Describe(columns=["bmi"])
    with pytest.raises(PlanError, match="survey and squares"):
        method.site(table, Ask("other"))
    for step in ("survey", "squares"):
        with pytest.raises(PlanError, match="nothing else in the round"):
            method.site(table, Ask(step, {"edges 0": np.array([50.0])}))
    with pytest.raises(PlanError, match="mean for each group"):
        method.site(table, Ask("squares", {"means": np.zeros((3, 1))}))
    with pytest.raises(PlanError, match="size for each number"):
        method.site(table, Ask("squares", {"means": np.zeros((1, 1))}))
    with pytest.raises(PlanError, match="where the numbers can lie"):
        method.site(table, Ask("squares", {"means": np.full((1, 1), 1e30), "sizes": np.array([0])}))


@pytest.mark.parametrize(("low", "high"), [(0, 1), (1, 2), (7, 8)])
@pytest.mark.parametrize(("people", "shown"), [(1, False), (9, False), (10, True), (1000, True)])
def test_a_yes_or_no_coded_as_a_number_is_shown_only_if_both_have_enough_people(
    low: int, high: int, people: int, shown: bool
) -> None:
    frame = pd.DataFrame({"visits": np.where(np.arange(2000) < people, high, low), "drug": ["a", "b"] * 1000})
    frame["drug"] = frame.drug.where(np.arange(2000) >= people, "a")
    for by in (None, "drug"):
        output = run_frame(Describe(columns=["visits"], by=by), frame, schema_of(visits=INT, drug=category("a", "b")))
        table = publish(output, Thresholds(), "describe", 1).tables[0]
        assert [row[-1 if by is None else 2] is not None for row in table.rows][-1] == shown


@pytest.mark.parametrize("value", [1e16, 1e30, 1e300, -1e200, 1e14, 1e9])
@pytest.mark.parametrize("column", ["income", "bmi"])
def test_no_site_refuses_over_one_number(column: str, value: float) -> None:
    frame = simulated(seed=20)
    frame[column] = frame[column].fillna(1.0)
    frame.loc[17, column] = value
    output = run_frame(Describe(columns=[column]), frame, SCHEMA, adder=masked)
    missing = abs(value) > 2.0**50 or (column == "bmi" and abs(value) > 2.0**26)
    assert counted(output, column).tolist() == [len(frame) - missing, missing]
    if missing:
        rest = frame[column].drop(17)
        np.testing.assert_allclose(numbers(output).values[0, :2], [rest.mean(), rest.std()], rtol=1e-9)


def test_small_units_lose_nothing_to_the_fixed_point() -> None:
    frame = simulated(seed=21)
    frame["income"] = 1.5e-11 + 3e-12 * np.random.default_rng(21).normal(size=len(frame))
    block = numbers(run_frame(Describe(columns=["income"]), frame, SCHEMA, adder=masked))
    np.testing.assert_allclose(block.values[0, :2], [frame.income.mean(), frame.income.std()], rtol=1e-9)


def test_a_hub_may_not_ask_for_squares_in_sizes_that_overflow() -> None:
    method = Describe(columns=["bmi"])
    arrays = {"means": np.zeros((1, 1)), "sizes": np.array([-200])}
    with pytest.raises(PlanError, match="sizes that the declared ranges allow"):
        method.site(table_of(simulated(50), SCHEMA), Ask("squares", arrays))
