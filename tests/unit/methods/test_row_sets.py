"""The people behind an answer, as sets of their numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import civicgrid as cg
from civicgrid.disclosure.row_sets import RowSet
from civicgrid.methods.row_sets import bitmap
from civicgrid.node.session import open_session
from unit.node.sites import World, frame

TRIAL = cg.dataset("trial")


@pytest.mark.parametrize("numbers", [[], [7], range(5, 5_000), [1, 2, 4], range(0, 200_000, 3), [0, 4_000_000_000]])
def test_a_bitmap_holds_the_numbers_it_is_made_of(numbers: list[int]) -> None:
    given = np.array(list(numbers), dtype=np.uint32)
    assert list(bitmap(given)) == list(numbers)
    assert RowSet(bitmap(given)).digest == RowSet(bitmap(given[::-1])).digest


def sets(method: object, people: pd.DataFrame) -> list[tuple[str, set[int]]]:
    at = World({"a": people})
    session = open_session(at.request(at.plan(method)), at.sites["a"].data)  # type: ignore[arg-type]
    found = next(iter(session.request.plan.methods.values())).row_sets(session.table)
    return [(part.role, set(part.people)) for part in found]


def test_the_sets_of_each_method_are_those_that_pandas_finds() -> None:
    people = frame(120).assign(weight=[None if i % 11 == 3 else 50.0 + i for i in range(120)])
    people["died"] = people["died"].astype(bool)
    known = set(people.index[people["weight"].notna()])
    women, men = (set(people.index[people["sex"] == sex]) for sex in ("female", "male"))
    died = set(people.index[people["died"]])
    everybody = set(range(120))

    found = sets(cg.Crosstab(TRIAL, rows="sex", columns="died"), people)
    assert found[0] == ("whole", everybody)
    cells = [part for role, part in found if role == "cell"]
    assert all(cell in cells for cell in (women, men, died, everybody - died, women & died, men - died))

    found = sets(cg.GLM(TRIAL, outcome="weight", predictors=["sex"], family="gaussian"), people)
    assert found[0] == ("whole", known)
    assert ("cell", women & known) in found

    found = sets(cg.Describe(TRIAL, columns=["weight", "died"], by="sex"), people)
    assert ("whole", known) in found
    assert [part for part in (women & known, men & died, died) if ("cell", part) not in found] == []
