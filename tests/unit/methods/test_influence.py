"""Leverage, effective people and steepness at a site, against the hat matrix and by hand; and honest fits, which pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from civicgrid.disclosure.rules import singles_out
from civicgrid.disclosure.shapes import ModelSums, Share
from civicgrid.disclosure.thresholds import Thresholds
from civicgrid.errors import FitError
from civicgrid.methods.glm import GLM, interaction, poly
from civicgrid.methods.glm.site import Place
from civicgrid.methods.method import BLOCK
from civicgrid.query.types import FLOAT
from unit.methods.pooled import add, schema_of, table_of

N = 400
SCHEMA = schema_of(**dict.fromkeys(["a", "b", "c", "y", "weight", "offset"], FLOAT))
SHIPPED = Thresholds()


def people(family: str, n: int = N, seed: int = 0, x: Any = None, eta: Any = None) -> pd.DataFrame:
    """Three numbers, an outcome that hangs on them, survey weights and the logarithm of person-time."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3)) if x is None else x
    eta = 0.5 * x[:, 0] - 0.3 * x[:, 1] - 1.0 if eta is None else eta
    time = rng.uniform(0.5, 5.0, n)
    outcome = {
        "binomial": lambda: rng.random(n) < 1 / (1 + np.exp(-eta)),
        "poisson": lambda: rng.poisson(np.exp(eta) * time),
        "gaussian": lambda: eta + rng.normal(size=n),
    }[family]()
    frame = pd.DataFrame(x, columns=list("abc")).assign(weight=rng.uniform(0.5, 2.0, n), offset=np.log(time))
    return frame.assign(y=outcome.astype(float))


def one_pass(method: GLM, frame: pd.DataFrame, beta: Any, chunk: int | None = None, size: int = 0) -> ModelSums:
    measured = len(method._model(SCHEMA).measured)
    place = Place(np.asarray(beta, float), np.zeros(measured), np.full(measured, size), 1 if method.weights else 0)
    part = method.site(table_of(frame, SCHEMA, chunk), place.ask())[0]
    assert isinstance(part, ModelSums)
    return part


def working(family: str, frame: pd.DataFrame, beta: Any) -> Any:
    eta = np.column_stack([np.ones(len(frame)), frame[list("abc")]]) @ beta + frame.offset
    mean = 1 / (1 + np.exp(-eta)) if family == "binomial" else np.exp(eta)
    return frame.weight * {"binomial": mean * (1 - mean), "poisson": mean, "gaussian": 1.0}[family]


@pytest.mark.parametrize("family", ["binomial", "poisson", "gaussian"])
@pytest.mark.parametrize("beta", [[0.0, 0.0, 0.0, 0.0], [-1.0, 0.8, -0.3, 0.5]])
def test_leverage_and_effective_people_are_those_of_the_hat_matrix(family: str, beta: list[float]) -> None:
    frame = people(family)
    method = GLM(outcome="y", predictors=["a", "b", "c"], family=family, weights="weight", offset="offset")
    weight = np.asarray(working(family, frame, beta))
    design = np.column_stack([np.ones(N), frame[list("abc")], *([frame.y - frame.offset] if family == "gaussian" else [])])
    if family == "gaussian":
        design[:, -1] -= design[:, :4] @ beta  # any coefficients give the same column space
    root = design * np.sqrt(weight)[:, None]
    hat = np.sum(np.linalg.qr(root)[0] ** 2, axis=1)
    part = one_pass(method, frame, beta)
    kish = [w.sum() ** 2 / (w**2).sum() for w in (weight, frame.weight)]
    assert part.rows == round(min(kish))
    assert part.leverage(0.0) == pytest.approx(hat.max(), rel=1e-9)
    # A bound, where one is enough; never below the truth.
    assert hat.max() - 1e-12 <= part.leverage(1.0) <= 1.0 + 1e-9


@pytest.mark.parametrize("chunk", [100, 399])
def test_how_the_records_are_batched_makes_no_difference(chunk: int) -> None:
    method = GLM(outcome="y", predictors=["a", "b", "c"], family="binomial")
    frame = people("binomial")
    one, many = (one_pass(method, frame, [-1, 1, 0, 0], size) for size in (None, chunk))
    assert one.rows == many.rows
    assert one.leverage(0.0) == pytest.approx(many.leverage(0.0))


def test_the_one_person_far_out_is_found_among_many_blocks() -> None:
    """In the last block, in a unit far from the sizes asked for: only the bound of that block fails, and it is right."""
    n = 3 * BLOCK
    frame = people("binomial", n)
    frame["a"] *= 1e6
    method = GLM(outcome="y", predictors=["a", "b", "c"], family="binomial")
    assert one_pass(method, frame, [0, 0, 0, 0], size=20).leverage(0.5) < 0.05
    frame.loc[n - 5, "a"] = 1e9
    for size in (0, 20, 40):
        part = one_pass(method, frame, [0, 0, 0, 0], size=size)
        design = np.column_stack([np.ones(n), frame[list("abc")]])
        assert part.leverage(0.5) == pytest.approx(np.sum(np.linalg.qr(design)[0] ** 2, axis=1).max(), rel=1e-6)


def test_columns_that_nobody_has_or_that_say_the_same_have_no_leverage() -> None:
    frame = people("gaussian").assign(b=0.0, c=lambda d: 2 * d.a)
    part = one_pass(GLM(outcome="y", predictors=["a", "b", "c"], family="gaussian"), frame, [0, 0, 0, 0])
    design = np.column_stack([np.ones(N), frame.a, frame.y])
    assert part.leverage(0.0) == pytest.approx(np.sum(np.linalg.qr(design)[0] ** 2, axis=1).max(), rel=1e-6)


def test_what_vanishes_or_overflows_has_no_people() -> None:
    frame = people("binomial")
    method = GLM(outcome="y", predictors=["a", "b", "c"], family="binomial")
    assert one_pass(method, frame, [2000, 0, 0, 0]).rows == 0
    assert one_pass(method, frame[:0], [0, 0, 0, 0]).rows == 0
    assert one_pass(method, frame[:0], [0, 0, 0, 0]).leverage(0.0) == 0.0


def test_steepness_is_in_spreads_of_the_column_at_the_site() -> None:
    frame = people("binomial")
    method = GLM(outcome="y", predictors=["a", "b", "c"], family="binomial")
    for size in (-3, 0, 30):
        part = one_pass(method, frame, [1.0, -7.0, 0.0, 0.0], size=size)
        assert part.steepness == pytest.approx(7.0 * np.sqrt((frame.a**2).mean()))
    linear = GLM(outcome="y", predictors=["a", "b", "c"], family="gaussian")
    assert one_pass(linear, frame, [1e9, 0, 0, 0]).steepness == 0.0


def test_one_person_has_a_share_of_a_count_beyond_one_event() -> None:
    frame = people("poisson").assign(y=0.0)
    method = GLM(outcome="y", predictors=["a"], family="poisson")
    assert one_pass(method, frame, [0, 0]).share == 0.0
    frame.loc[3, "y"] = 1.0
    assert one_pass(method, frame, [0, 0]).share == 0.0
    frame.loc[[3, 4], "y"] = [9.0, 1.0]
    assert one_pass(method, frame, [0, 0]).share == pytest.approx(0.8)


# Honest fits pass at every site, from the first round to the last.


def refusals(method: GLM, frame: pd.DataFrame, sites: int, at_once: bool = False) -> set[str]:
    """Which rules the fit breaks on its way, at any site; with `at_once` that fails there and then."""
    tables = [table_of(part, SCHEMA) for _, part in frame.groupby(np.arange(len(frame)) % sites)]
    talk = method.coordinate(SCHEMA)
    ask, found = next(talk), set()
    try:
        while True:
            shares: list[Share] = [method.site(table, ask) for table in tables]
            found |= {words for share in shares for part in share if (words := singles_out(part, SHIPPED))}
            assert not (at_once and found)
            ask = talk.send(add(shares))
    except StopIteration:
        return found


def lognormal(n: int, sigma: float = 1.0) -> Any:
    return np.exp(sigma * np.random.default_rng(7).normal(size=(n, 3)))


def normal(n: int) -> Any:
    return np.random.default_rng(8).normal(size=(n, 3))


ABC = ["a", "b", "c"]
HONEST: dict[str, tuple[dict[str, Any], pd.DataFrame, int]] = {
    "an outcome of one in a thousand": (
        {"family": "binomial"},
        people("binomial", 12_000, x=normal(12_000), eta=-7 + 0.5 * normal(12_000)[:, 0]),
        6,
    ),
    "a count of one in a thousand, by person-time": (
        {"family": "poisson", "offset": "offset"},
        people("poisson", 12_000, x=normal(12_000), eta=-8 + 0.5 * normal(12_000)[:, 0]),
        6,
    ),
    "strong effects": (
        {"family": "binomial"}, people("binomial", 3000, x=normal(3000), eta=normal(3000) @ [2.5, -2.0, 1.0]), 3,
    ),
    "a steep effect on a rare outcome": (
        {"family": "binomial"}, people("binomial", 6000, x=normal(6000), eta=-6 + 3 * normal(6000)[:, 0]), 3,
    ),
    "lognormal predictors": ({"family": "binomial"}, people("binomial", 3000, x=lognormal(3000)), 3),
    "lognormal costs": (
        {"family": "gaussian"}, people("gaussian", 3000).assign(y=1000 * lognormal(3000, 1.5)[:, 0]), 3,
    ),
    "survey weights": ({"family": "binomial", "weights": "weight"}, people("binomial", 900), 3),
    "rates with weights": ({"family": "poisson", "weights": "weight", "offset": "offset"}, people("poisson", 3000), 3),
    "a cubic": ({"family": "gaussian", "predictors": [*ABC, poly("a", 3)]}, people("gaussian", 3000), 3),
    "a cubic on the logit": ({"family": "binomial", "predictors": [*ABC, poly("a", 3)]}, people("binomial", 3000), 3),
    "a product": ({"family": "binomial", "predictors": [*ABC, interaction("a", "b")]}, people("binomial", 1500), 3),
    "a site of 94 with four coefficients": ({"family": "binomial"}, people("binomial", 94 * 3), 3),
    "a count at a site of 94": ({"family": "poisson"}, people("poisson", 94 * 3), 3),
    "a number at a site of 94": ({"family": "gaussian"}, people("gaussian", 94 * 3), 3),
}


@pytest.mark.parametrize("what", HONEST)
def test_an_honest_fit_passes_at_every_site(what: str) -> None:
    more, frame, sites = HONEST[what]
    method = GLM(**{"outcome": "y", "predictors": ABC} | more)
    assert refusals(method, frame, sites) == set()


@pytest.mark.parametrize("kind", ["complete", "quasi-complete"])
def test_a_separated_fit_is_explained_before_any_site_would_refuse(kind: str) -> None:
    frame = people("binomial", 1500)
    frame["y"] = (frame.a > 0.0).astype(float)
    if kind == "quasi-complete":
        frame.loc[:40, "a"] = 0.0
        frame.loc[:20, "y"] = 1.0
    method = GLM(outcome="y", predictors=["a", "b"], family="binomial")
    with pytest.raises(FitError, match=r"separation.*: a"):
        refusals(method, frame, 3, at_once=True)
