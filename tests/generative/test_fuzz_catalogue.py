"""What others send to the catalogue, broken in every place at random: it is read or refused in words, and nothing else."""

from __future__ import annotations

import copy
import datetime as dt
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from civicgrid.catalogue import received_crate
from civicgrid.catalogue.healthdcat import graph, read, write
from civicgrid.catalogue.task_api import read_result, to_cohort
from civicgrid.errors import CivicGridError
from unit.catalogue.samples import BASE, STANDARDS, full, needs_standards

JUNK: tuple[Any, ...] = (
    None, 1, -1, 1.5, "", "x" * 50, [], {}, [[]], [{}], {"@id": 5}, {"@id": []}, {"@id": "./"}, {"@value": {}}, True,
    "@type", {"a": {"b": [1]}}, 10**30, "|", "1|2:AGE:Y", "http://x y", "[", "a:b:c",
)  # fmt: skip
NAMES = ("@graph", "@context", "@type", "@id", "additionalType", "x")
RESULT = {"status": "ok", "uuid": "u", "queryResult": {"count": 40}, "message": "", "collection_id": "c"}


def places(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    inside = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for name, value in inside:
        yield from places(value, (*path, name))


def broken(data: Any, dice: random.Random) -> str:
    """The JSON with one to four things in it replaced, taken out or added."""
    made = copy.deepcopy(data)
    for _ in range(dice.randint(1, 4)):
        found = list(places(made))
        if not found:
            break
        path = dice.choice(found)
        at = made
        for step in path[:-1]:
            at = at[step]
        how = dice.random()
        if how < 0.6:
            at[path[-1]] = copy.deepcopy(dice.choice(JUNK))
        elif how < 0.8:
            del at[path[-1]]
        elif isinstance(at, dict):
            at[dice.choice(NAMES)] = copy.deepcopy(dice.choice(JUNK))
    return json.dumps(made)


def read_or_refused(work: Callable[[], object]) -> bool:
    """Whether it was read; anything but a refusal in words fails the test."""
    try:
        work()
    except CivicGridError as refused:
        assert str(refused)
        return False
    return True


def examples(*folders: str) -> list[Any]:
    paths: list[Path] = sorted((STANDARDS.joinpath(*folders)).glob("*.json"))
    return [json.loads(path.read_text("utf-8")) for path in paths]


@needs_standards
@pytest.mark.parametrize("seed", range(4))
def test_crates(seed: int) -> None:
    dice = random.Random(seed)
    crates = examples("five-safes-crate-0.4", "examples")

    def work() -> None:
        crate = received_crate.read(broken(dice.choice(crates), dice))
        assert crate.project and crate.workflow and crate.requests is not None
        assert not any("AssessAction" in json.dumps(each.get("@type")) for each in crate.entities.values())

    outcomes = [read_or_refused(work) for _ in range(300)]
    assert True in outcomes and False in outcomes


@needs_standards
@pytest.mark.parametrize("seed", range(4))
def test_queries_and_results(seed: int) -> None:
    dice = random.Random(seed)
    queries = examples("bunny-queries")
    today = dt.date(2026, 11, 24)
    outcomes = [read_or_refused(lambda: to_cohort(broken(dice.choice(queries), dice), "gp", today)) for _ in range(300)]
    assert True in outcomes and False in outcomes
    for _ in range(200):
        read_or_refused(lambda: read_result(broken(RESULT, dice), "u", "c"))


@pytest.mark.parametrize("seed", range(3))
def test_metadata(seed: int) -> None:
    dice = random.Random(seed)
    made = graph([full()], BASE)
    data, turtle = json.loads(write(made, "json-ld")), write(made)
    for _ in range(10):
        read_or_refused(lambda: read(broken(data, dice), BASE, "json-ld"))
        letters = list(turtle)
        for _ in range(dice.randint(1, 5)):
            letters[dice.randrange(len(letters))] = dice.choice(["", '"', "<", ">", ";", ".", "é", "\\", "0"])
        text = "".join(letters)
        read_or_refused(lambda text=text: read(text, BASE))
