"""Cross-tables over sites against scipy and statsmodels on the pooled records."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2_contingency
from statsmodels.stats.contingency_tables import Table2x2

from civicgrid.disclosure.publish import publish
from civicgrid.disclosure.shapes import Counts, Derived, RawOutput, Received
from civicgrid.disclosure.thresholds import Thresholds
from civicgrid.errors import PlanError
from civicgrid.methods.crosstab import Crosstab
from civicgrid.query.types import BOOL, FLOAT, category
from unit.methods.pooled import run_frame, run_pooled, schema_of, table_of

SCHEMA = schema_of(drug=category("celecoxib", "diclofenac"), grade=category("low", "mid", "high"), bled=BOOL, age=FLOAT)


def simulated(n: int = 900, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    drug = rng.choice(["celecoxib", "diclofenac"], n)
    bled = rng.random(n) < np.where(drug == "diclofenac", 0.3, 0.2)
    return pd.DataFrame({"drug": drug, "grade": rng.choice(["low", "mid", "high"], n), "bled": bled, "age": 1.0})


def blocks(output: RawOutput) -> tuple[Counts, Derived]:
    counts, derived = output.blocks[0], output.blocks[1]
    assert isinstance(counts, Counts) and isinstance(derived, Derived)
    return counts, derived


def test_counts_and_chi_square_equal_scipy_on_the_pooled_table() -> None:
    frame = simulated()
    counts, derived = blocks(run_frame(Crosstab(rows="grade", columns="bled"), frame, SCHEMA))
    table = pd.crosstab(frame.grade, frame.bled).loc[["low", "mid", "high"]].to_numpy()
    assert counts.values.tolist() == table.tolist()
    assert [d.levels for d in counts.dimensions] == [("low", "mid", "high"), ("no", "yes")]
    expected = chi2_contingency(table, correction=False)
    np.testing.assert_allclose(derived.values[0, :3], [expected.statistic, expected.dof, expected.pvalue], rtol=1e-12)
    np.testing.assert_allclose(derived.values[0, 3], np.sqrt(expected.statistic / len(frame)), rtol=1e-12)


def test_a_two_by_two_table_equals_statsmodels() -> None:
    frame = simulated(seed=1)
    output = run_frame(Crosstab(rows="drug", columns="bled", confidence=0.9), frame, SCHEMA)
    effects = output.blocks[2]
    assert isinstance(effects, Derived) and effects.title.startswith("bled = yes where drug = diclofenac")
    table = pd.crosstab(frame.drug, frame.bled).to_numpy()
    # statsmodels compares the first row's risk of the first column with the second's.
    oracle = Table2x2(table[::-1, ::-1], shift_zeros=False)
    expected = [
        (oracle.oddsratio, *oracle.oddsratio_confint(0.1)),
        (oracle.riskratio, *oracle.riskratio_confint(0.1)),
    ]
    np.testing.assert_allclose(effects.values[:2], expected, rtol=1e-12)
    p1, p2 = table[:, 1] / table.sum(axis=1)
    assert effects.values[2, 0] == pytest.approx(p2 - p1)


def test_the_published_worked_example_of_agresti() -> None:
    """Agresti (2013), table 3.1: aspirin and myocardial infarction, odds ratio 1.83, 95% interval 1.44 to
    2.33.
    """
    frame = pd.DataFrame(
        {
            "drug": ["celecoxib"] * 11037 + ["diclofenac"] * 11034,
            "bled": [True] * 104 + [False] * 10933 + [True] * 189 + [False] * 10845,
        }
    )
    schema = schema_of(drug=SCHEMA["drug"], bled=BOOL)
    effects = run_frame(Crosstab(rows="drug", columns="bled"), frame, schema).blocks[2]
    assert isinstance(effects, Derived)
    np.testing.assert_allclose(effects.values[0], [1.83, 1.44, 2.33], atol=0.005)
    np.testing.assert_allclose(effects.values[1], [1.82, 1.43, 2.31], atol=0.005)
    np.testing.assert_allclose(effects.values[2], [0.008, 0.005, 0.011], atol=0.0005)


def test_missing_values_are_left_out_and_counted() -> None:
    frame = simulated(seed=2)
    frame.loc[:19, "grade"] = None
    frame["bled"] = frame.bled.astype(object)
    frame.loc[10:29, "bled"] = None
    output = run_frame(Crosstab(rows="grade", columns="bled"), frame, SCHEMA)
    assert blocks(output)[0].values.sum() == len(frame) - 30
    assert output.left_out == {"people_missing": 30}


def test_an_empty_cell_leaves_out_what_does_not_exist() -> None:
    frame = simulated(seed=3)
    frame.loc[frame.drug == "celecoxib", "bled"] = False
    effects = run_frame(Crosstab(rows="drug", columns="bled"), frame, SCHEMA).blocks[2]
    assert isinstance(effects, Derived)
    assert np.isnan(effects.values[:2]).all() and np.isfinite(effects.values[2]).all()
    frame["bled"] = ~frame.bled & (frame.drug == "celecoxib")
    effects = run_frame(Crosstab(rows="drug", columns="bled"), frame, SCHEMA).blocks[2]
    assert isinstance(effects, Derived)
    assert effects.values[:2, 0].tolist()[1] == 0.0 and np.isnan(effects.values[:2, 1:]).all()


def test_empty_levels_are_left_out_of_the_test_and_nobody_at_all_is_said() -> None:
    frame = simulated(seed=4)
    frame.loc[frame.grade == "mid", "grade"] = "low"
    derived = blocks(run_frame(Crosstab(rows="grade", columns="bled"), frame, SCHEMA))[1]
    assert derived.values[0, 1] == 1
    output = run_frame(Crosstab(rows="grade", columns="bled"), frame.assign(grade="low"), SCHEMA)
    assert np.isnan(blocks(output)[1].values).all()
    assert any("two levels or more" in note for note in cautions(output))
    nobody = run_pooled(Crosstab(rows="grade", columns="bled"), [table_of(frame[:0], SCHEMA)], SCHEMA)
    assert blocks(nobody)[0].values.sum() == 0


def cautions(output: RawOutput) -> tuple[str, ...]:
    return next(block.notes for block in output.blocks if isinstance(block, Derived) and block.name == "association")


def test_small_expected_counts_are_noted() -> None:
    frame = simulated(n=12, seed=5)
    output = run_frame(Crosstab(rows="grade", columns="bled"), frame, SCHEMA)
    assert any("expected counts are small" in note for note in cautions(output))


def test_hidden_cells_hide_the_statistics_with_them() -> None:
    method = Crosstab(rows="drug", columns="bled")
    rounds = method.coordinate(SCHEMA)
    next(rounds)
    hidden = np.array([[True, False], [False, False]])
    people = Received("people", np.array([[0, 50], [40, 30]]), hidden)
    with pytest.raises(StopIteration) as stop:
        rounds.send({"people": people, "missing": Received("missing", np.array(0), np.array(True))})
    output = publish(stop.value.value, Thresholds(), "crosstab", 1)
    assert all(value is None for row in output.tables[1].rows for value in row[1:])
    assert any("under its own rules" in note for note in output.notes)
    assert any("Not every site" in note for note in output.notes)


@pytest.mark.parametrize(
    ("rows", "columns", "words"),
    [
        ("drug", "drug", "came twice"),
        ("drug", "age", "such as age=t.age == 1, or bands with case"),
        ("drug", "nope", "no column 'nope'"),
        ("drug", "bare", "has no levels"),
        ("many", "more", "at most 10,000 cells"),
    ],
)
def test_what_cannot_be_tabulated_is_refused_with_advice(rows: str, columns: str, words: str) -> None:
    many = category(*(str(i) for i in range(200)))
    schema = schema_of(**{c.name: c.type for c in SCHEMA.columns}, bare=category(), many=many, more=many)
    with pytest.raises(PlanError, match=words):
        Crosstab(rows=rows, columns=columns).check(schema)


def test_any_change_of_a_parameter_changes_the_words() -> None:
    methods = [
        Crosstab(rows="drug", columns="bled"),
        Crosstab(rows="grade", columns="bled"),
        Crosstab(rows="drug", columns="grade"),
        Crosstab(rows="drug", columns="bled", confidence=0.9),
        Crosstab(rows="grade", columns="bled", confidence=0.9),
    ]
    assert len({method.explain(SCHEMA) for method in methods}) == len(methods)
