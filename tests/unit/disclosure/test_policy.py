"""Policies and thresholds: what a node may load, that the stricter wins in any order, and that every code has words."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civicgrid.disclosure.codes import WORDS, Code
from civicgrid.disclosure.policy import EXAMPLE, FLOOR, Policy
from civicgrid.disclosure.thresholds import COARSEST, Thresholds
from civicgrid.errors import ConfigError

THRESHOLDS = st.builds(
    Thresholds,
    min_cell=st.integers(0, 1000).filter(lambda n: n != 1),
    round_to=st.integers(1, 1000) | st.just(COARSEST),
    interval=st.integers(0, 1000),
    rows_per_parameter=st.floats(0, 1000),
    residual_df=st.integers(0, 1000),
    leverage=st.floats(0.01, 1),
    zeros=st.booleans(),
    digits=st.integers(0, 17),
    covariance=st.booleans(),
)


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    return tmp_path / "policy.toml"


def test_the_example_is_the_default_policy(policy: Path) -> None:
    policy.write_text(EXAMPLE)
    assert Policy.load(policy) == Policy()


def test_the_floor_itself_may_be_loaded(policy: Path) -> None:
    policy.write_text("[thresholds]\n" + "\n".join(f"{k} = {v}" for k, v in FLOOR.to_data().items()))
    assert Policy.load(policy).thresholds.min_cell == 3


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("min_cell = 2", "min_cell at least 3"),
        ("min_cell = 0", "min_cell at least 3"),
        ("interval = 2", "interval at least 3"),
        ("rows_per_parameter = 1.9", "rows_per_parameter at least 2"),
        ("residual_df = 0", "residual_df at least 1"),
        ("leverage = 0.91", "leverage at most 0.9"),
        ("digits = 0", "digits at least 1"),
        ("residual_df = 0\nleverage = 1.0\ndigits = 0", "residual_df at least 1, leverage at most 0.9, digits at least 1"),
    ],
)
def test_a_policy_below_the_floor_is_not_loaded(policy: Path, line: str, words: str) -> None:
    policy.write_text(f"[thresholds]\n{line}\n")
    with pytest.raises(ConfigError, match=f"looser than a node may be. Expected {words}"):
        Policy.load(policy)


def test_zeros_are_not_a_threshold_of_the_policy_file(policy: Path) -> None:
    policy.write_text("[thresholds]\nzeros = true\n")
    with pytest.raises(ConfigError, match="zeros at the top of the file and in a permit"):
        Policy.load(policy)
    policy.write_text("zeros = false\n[thresholds]\nzeros = false\n")
    assert not Policy.load(policy).zeros


def test_an_open_policy_cannot_be_loaded(policy: Path) -> None:
    fields = {name: getattr(Thresholds.open(), name) for name in Thresholds.model_fields}
    policy.write_text("[thresholds]\n" + "\n".join(f"{k} = {str(v).lower()}" for k, v in fields.items()))
    with pytest.raises(ConfigError, match="looser than a node may be"):
        Policy.load(policy)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[thresholds", "not valid TOML"),
        ("\xff\xfe", "does not hold|not valid TOML"),
        ("openness = true", "openness: Extra inputs are not permitted"),
        ("[thresholds]\nminimum = 3", "minimum: Extra inputs are not permitted"),
        ("[thresholds]\nmin_cell = 'ten'", "thresholds.min_cell"),
        ("organisations = 2", "organisations: Input should be greater than or equal to 3"),
        ("[thresholds]\nmin_cell = 1", "min_cell = 1 hides nothing"),
        ("[thresholds]\nrows_per_parameter = nan", "rows_per_parameter"),
    ],
)
def test_a_policy_that_does_not_hold_says_where(policy: Path, text: str, words: str) -> None:
    policy.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=words):
        Policy.load(policy)


def test_without_a_policy_a_node_runs_nothing(policy: Path) -> None:
    with pytest.raises(ConfigError, match=r"no policy at .*A node runs nothing without one"):
        Policy.load(policy)


@given(THRESHOLDS, THRESHOLDS)
def test_the_order_does_not_matter(a: Thresholds, b: Thresholds) -> None:
    assert a.stricter(b) == b.stricter(a)


@given(THRESHOLDS, THRESHOLDS, THRESHOLDS)
def test_nor_does_the_grouping(a: Thresholds, b: Thresholds, c: Thresholds) -> None:
    assert a.stricter(b).stricter(c) == a.stricter(b.stricter(c))


@given(THRESHOLDS)
def test_the_stricter_of_one_is_itself_and_the_open_one_changes_nothing(a: Thresholds) -> None:
    assert a.stricter(a) == a
    assert a.stricter(Thresholds.open()) == a


@given(THRESHOLDS, THRESHOLDS)
def test_the_stricter_is_as_strict_as_each(a: Thresholds, b: Thresholds) -> None:
    both = a.stricter(b)
    for one in (a, b):
        assert both.min_cell >= one.min_cell
        assert both.interval >= one.interval
        assert both.residual_df >= one.residual_df
        assert both.leverage <= one.leverage
        assert both.rows_per_parameter >= one.rows_per_parameter
        assert both.round_to % one.round_to == 0 or both.round_to == COARSEST
        assert not one.digits or 0 < both.digits <= one.digits
        assert both.zeros <= one.zeros
        assert both.covariance <= one.covariance


def test_every_code_has_words_and_none_is_left_over() -> None:
    assert set(WORDS) == set(Code)
    assert all(words.endswith(".") for words in WORDS.values())
    assert len(set(WORDS.values())) == len(WORDS)
