"""Attacks on the sums of a regression: by a hub that steers the coefficients, and by columns that single a person out.

Each share goes under a mask whose other parts the attacker knows, so that nothing but the site's own rules stands between
it and one person's row. Each attack first works with the rules switched off, its parameters tried by the hundred.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

import civicgrid as cg
from civicgrid.disclosure.codes import Code, Withheld
from civicgrid.disclosure.release import Terms, combine, release
from civicgrid.disclosure.thresholds import Thresholds
from civicgrid.methods.glm import GLM, interaction
from civicgrid.methods.glm.fit import MAX_PASSES, Pass
from civicgrid.methods.glm.site import Place
from civicgrid.methods.method import Ask, Method
from civicgrid.query.types import BOOL, FLOAT, category
from civicgrid.wire import Shared
from unit.methods.pooled import schema_of, table_of
from unit.node.sites import World, code, frame

ROWS, TRIES = 500, 300
OFF, ON = Thresholds.open(), Thresholds()
NEAR = 1e-3
"""A row is recovered when every value of it is within this much, in standard deviations."""


def victims(seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(ROWS, 3))
    y = rng.random(ROWS) < 1 / (1 + np.exp(1 - x[:, 0]))
    return pd.DataFrame(x, columns=["a", "b", "c"]).assign(y=y)


SCHEMA = schema_of(a=FLOAT, b=FLOAT, c=FLOAT, y=BOOL)
LOGISTIC = GLM(outcome="y", predictors=["a", "b", "c"], family="binomial")


class Victim:
    """A site, as the attacker sees it: an Ask goes in, the sums or nothing come out."""

    def __init__(self, method: GLM, data: pd.DataFrame, schema: Any, thresholds: Thresholds) -> None:
        self.method, self.thresholds = method, thresholds
        self.table, self.size = table_of(data, schema), method._model(schema).design.size
        self.measured = len(method._model(schema).measured)

    def sums(self, beta: Any, size: int = 0) -> Pass | None:
        sizes = np.full(self.measured, size, dtype=np.int64)
        ask = Place(np.asarray(beta, dtype=float), np.zeros(self.measured), sizes, 0).ask()
        ask = Ask(ask.step, ask.arrays, {"weight_size": 1 if self.method.weights else 0})
        terms = Terms(self.thresholds, False, 3, lambda limbs: limbs)
        try:
            share = release(self.method.site(self.table, ask), terms)
        except Withheld as decision:
            assert decision.code is Code.DISCLOSURE
            return None
        return Pass.of(combine([share])["pass"], self.size)


def recovered(candidates: Iterator[Any], rows: Any) -> int:
    """How many of the rows some candidate is."""
    found: set[int] = set()
    spread = rows.std(axis=0)
    for candidate in candidates:
        if np.isfinite(candidate).all():
            away = np.abs((rows - candidate) / spread).max(axis=1)
            if away.min() < NEAR:
                found.add(int(away.argmin()))
    return len(found)


# --- a hub that steers -----------------------------------------------------------------------------------------------


def planes(steepness: float, seed: int = 1) -> Iterator[Any]:
    """Coefficients that put the steep part of the curve at a plane anywhere: near the middle, or far out."""
    rng = np.random.default_rng(seed)
    for _ in range(TRIES):
        direction = rng.normal(size=3)
        direction /= np.linalg.norm(direction)
        yield steepness * np.concatenate([[-rng.uniform(-4.0, 4.0)], direction])


def by_weight(victim: Victim, steepness: float) -> Iterator[Any]:
    """Nearly all of the working weight is one person's: their row stands in the information."""
    for beta in planes(steepness):
        if (sums := victim.sums(beta)) is not None:
            with np.errstate(all="ignore"):
                yield sums.information[0, 1:] / sums.information[0, 0]


def by_shift(victim: Victim, steepness: float) -> Iterator[Any]:
    """A plane moved a little: the scores before and after differ by whoever it passed over."""
    for beta in planes(steepness):
        before, after = victim.sums(beta), victim.sums(beta + steepness * np.array([0.01, 0, 0, 0]))
        if before is not None and after is not None:
            left = before.score - after.score
            with np.errstate(all="ignore"):
                yield left[1:] / left[0]


STEEP = (1.0, 3.0, 10.0, 30.0, 300.0, 3000.0)
STEERING = {"weight": by_weight, "shift": by_shift}


@pytest.mark.parametrize("attack", STEERING)
def test_steered_coefficients(attack: str) -> None:
    data = victims()
    rows = data[["a", "b", "c"]].to_numpy()

    def best(thresholds: Thresholds) -> int:
        victim = Victim(LOGISTIC, data, SCHEMA, thresholds)
        return max(recovered(STEERING[attack](victim, steepness), rows) for steepness in STEEP)

    assert best(OFF) >= {"weight": 60, "shift": 30}[attack]
    assert best(ON) == 0


def test_tiny_sizes_do_not_hide_a_steep_coefficient() -> None:
    """The sizes are the hub's to choose; how steep a coefficient is, the site finds in its own rows."""
    victim = Victim(LOGISTIC, victims(), SCHEMA, ON)
    for size in (-4, 0, 40):
        assert victim.sums(np.zeros(4), size) is not None
        assert victim.sums([0.0, 40.0, 0.0, 0.0], size) is None


def test_a_poisson_mean_that_one_person_dominates() -> None:
    data = victims().assign(n=lambda d: np.random.default_rng(5).poisson(2, len(d)).astype(float))
    method = GLM(outcome="n", predictors=["a", "b", "c"], family="poisson")
    schema = schema_of(a=FLOAT, b=FLOAT, c=FLOAT, n=FLOAT)
    rows = data[["a", "b", "c"]].to_numpy()

    def best(thresholds: Thresholds) -> int:
        victim = Victim(method, data, schema, thresholds)
        tries = [np.concatenate([[-4.0], beta[1:]]) for beta in planes(1.0)]
        return max(recovered(_means(victim, tries, steepness), rows) for steepness in (1.0, 5.0, 30.0, 100.0))

    assert best(OFF) >= 5
    assert best(ON) == 0


def _means(victim: Victim, tries: list[Any], steepness: float) -> Iterator[Any]:
    for beta in tries:
        if (sums := victim.sums(steepness * beta)) is not None:
            yield sums.information[0, 1:] / sums.information[0, 0]


# --- columns that single a person out --------------------------------------------------------------------------------

TARGET = 17


def crafted(what: str) -> tuple[GLM, pd.DataFrame, Any]:
    """A model in which one person stands alone, and the data where they do."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(ROWS, 2))
    data = pd.DataFrame(x, columns=["a", "b"]).assign(
        level=np.where(np.arange(ROWS) % 2, "one", "two"),
        p=rng.random(ROWS) < 0.5, q=rng.random(ROWS) < 0.5, r=rng.random(ROWS) < 0.5,
        number=rng.normal(size=ROWS), weight=1.0, offset=0.0, y=rng.normal(size=ROWS),
        n=rng.poisson(2, ROWS).astype(float),
    )  # fmt: skip
    number = dict.fromkeys(("a", "b", "number", "weight", "offset", "y", "n"), FLOAT)
    schema = schema_of(**number, **dict.fromkeys("pqr", BOOL), level=category("one", "two", "three"))
    more: dict[str, Any] = {"outcome": "y", "family": "gaussian"}
    predictors: list[Any] = ["a", "b"]
    if what == "a level that one person has":
        data.loc[TARGET, "level"] = "three"
        predictors.append("level")
    elif what == "an interaction that one person has":
        data.loc[data.p & data.q & data.r, "r"] = False
        data.loc[TARGET, ["p", "q", "r"]] = True
        predictors += ["p", "q", "r", interaction("p", "q", "r")]
    elif what == "a number of two values":
        data["number"] = 1.0
        data.loc[TARGET, "number"] = 2.0
        predictors.append("number")
    elif what == "a number far out":
        data.loc[TARGET, "number"] = 1e5
        predictors.append("number")
    elif what == "products with a number far out":
        data.loc[TARGET, "number"] = 1e5
        predictors += ["number", "p", interaction("number", "p"), interaction("a", "number")]
    elif what == "a weight":
        data.loc[TARGET, "weight"] = 1e6
        more["weights"] = "weight"
    elif what == "an offset":
        data.loc[TARGET, "offset"] = 25.0
        more = {"outcome": "n", "family": "poisson", "offset": "offset"}
    elif what == "an outcome far out":
        data.loc[TARGET, "y"] = 1e6
    else:
        data.loc[TARGET, "n"] = 1e8
        more = {"outcome": "n", "family": "poisson"}
    return GLM(predictors=predictors, **more), data, schema


CRAFTED = (
    "a level that one person has", "an interaction that one person has", "a number of two values", "a number far out",
    "products with a number far out", "a weight", "an offset", "an outcome far out", "a count far out",
)  # fmt: skip


def columns(sums: Pass) -> Iterator[Any]:
    """Every column's products with a and b over its sum, and those of the residual: rows, where one person is all of it."""
    with np.errstate(all="ignore"):
        for products in (*sums.information, sums.score):
            yield products[1:3] / products[0]


@pytest.mark.parametrize("what", CRAFTED)
def test_columns_that_single_a_person_out(what: str) -> None:
    method, data, schema = crafted(what)
    rows = data[["a", "b"]].to_numpy()
    size = Victim(method, data, schema, OFF).size
    start = np.zeros(size)
    if what == "a number of two values":
        # About the lower of the two values, which the hub may choose as centre, nobody else has any.
        data["number"] -= 1.0
    sums = Victim(method, data, schema, OFF).sums(start)
    assert sums is not None
    assert recovered(columns(sums), rows) == 1
    assert Victim(method, data, schema, ON).sums(start) is None


@pytest.mark.parametrize("what", CRAFTED)
def test_the_same_columns_without_that_person_are_fitted(what: str) -> None:
    method, data, schema = crafted(what)
    # The level and the values that nobody else has are gone with the person.
    assert Victim(method, data.drop(TARGET), schema, ON).sums(np.zeros(Victim(method, data, schema, ON).size)) is not None


# --- at a real site --------------------------------------------------------------------------------------------------


def conversation(method: Method, data: dict[str, pd.DataFrame]) -> tuple[World, Any]:
    at = World(data)
    enrolled = at.enrol(at.request(at.plan(method)), list(data))
    assert set(enrolled.accepted) == set(data)
    return at, enrolled


def died() -> GLM:
    return cg.GLM(cg.dataset("trial"), outcome="died", predictors=["age"], family="binomial")


def asked(at: World, enrolled: Any, beta: list[float], number: int) -> Code | None:
    ask = Place(np.array(beta), np.array([50.0]), np.array([4]), 0).ask()
    reply, _ = at.tell("hull", at.round(enrolled, ask, number))
    assert isinstance(reply, Shared) or code(reply)
    return code(reply)


def test_a_site_refuses_a_steered_pass_under_a_mask_and_says_no_more_in_that_run() -> None:
    at, enrolled = conversation(died(), {site: frame(size) for site, size in (("hull", 200), ("leeds", 90), ("york", 80))})
    assert asked(at, enrolled, [0.0, 0.05], 0) is None
    assert asked(at, enrolled, [-800.0, 30.0], 1) is Code.DISCLOSURE
    assert asked(at, enrolled, [0.0, 0.05], 1) is Code.DISCLOSURE, "an analysis that was refused stays refused"


def test_a_site_answers_no_more_passes_than_a_fit_takes() -> None:
    at, enrolled = conversation(died(), {site: frame(size) for site, size in (("hull", 200), ("leeds", 90), ("york", 80))})
    said = [asked(at, enrolled, [0.0, 0.001 * number], number) for number in range(MAX_PASSES + 4)]
    assert said == [None] * (MAX_PASSES + 2) + [Code.LATE] * 2


def test_a_new_roster_gives_the_hub_no_passes_more() -> None:
    at, enrolled = conversation(died(), {site: frame(size) for site, size in (("hull", 200), ("leeds", 90), ("york", 80))})
    for number in range(MAX_PASSES):
        assert asked(at, enrolled, [0.0, 0.001 * number], number) is None
    again = at.enrol(enrolled.request, list(at.sites), attempt=1)
    assert [asked(at, again, [0.0, 0.001], number) for number in range(4)] == [None, None, Code.LATE, Code.LATE]


def test_a_site_with_too_few_people_for_a_model_gives_the_sums_of_nobody() -> None:
    """It neither refuses, which would cost the others their fit, nor lets a few people be read from the total."""
    few, sizes = 25, {"hull": 200, "leeds": 90, "york": 80}
    method = cg.GLM(cg.dataset("trial"), outcome="died", predictors=["age", "sex"], family="binomial")
    with_few = World({site: frame(size) for site, size in sizes.items()} | {"wales": frame(few)})
    without = World({site: frame(size) for site, size in sizes.items()})
    whole, rest = (at.run(at.plan(cg.Count(cg.dataset("trial")), method)) for at in (with_few, without))
    assert {site.status for site in whole.analyses[1].sites} == {"answered"}
    assert whole.analyses[1].output.tables == rest.analyses[1].output.tables  # type: ignore[union-attr]
    assert any("At one site there was nobody" in note for note in whole.analyses[1].output.notes)  # type: ignore[union-attr]
    assert not any("there was nobody" in note for note in rest.analyses[1].output.notes)  # type: ignore[union-attr]
