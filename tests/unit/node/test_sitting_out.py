"""A site that would refuse a model says so before the roster stands, or sits the model out: the others get their answer."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

import civicgrid as cg
from civicgrid.wire import StudyResult
from unit.node.sites import World, frame

TRIAL = cg.dataset("trial")
COUNT = cg.Count(TRIAL)
FIT = cg.GLM(TRIAL, outcome="age", predictors=["sex"], family="gaussian")
BY_WARD = cg.GLM(TRIAL, outcome="age", predictors=["ward"], family="gaussian")


def sites(small: int, lone: bool = False) -> dict[str, pd.DataFrame]:
    made = {"a": frame(120), "b": frame(100), "c": frame(80), "w": frame(small)}
    for part in made.values():
        part["ward"] = ["north" if i % 3 else "south" for i in range(len(part))]
    if lone:
        made["w"].loc[0, "ward"] = "lone"
    return made


def told(result: StudyResult, analysis: int) -> tuple[set[str], Any]:
    found = result.analyses[analysis]
    return {site.site for site in found.sites if site.status == "answered"}, found.output


def test_with_a_pooled_threshold_a_small_site_is_counted_and_sits_the_model_out() -> None:
    at = World(sites(15))
    result = at.run(at.plan(COUNT, FIT))
    assert told(result, 0)[0] == told(result, 1)[0] == {"a", "b", "c", "w"}
    fit = told(result, 1)[1]
    assert fit.facts["people_used"] == 300
    assert any("At one site" in note for note in fit.notes)


@pytest.mark.parametrize(("small", "pooled"), [(4, True), (15, False)], ids=["a handful", "no pooled threshold"])
def test_otherwise_it_takes_no_part_in_the_study_and_the_others_get_both_answers(small: int, pooled: bool) -> None:
    at = World(sites(small), pooled=pooled)
    result = at.run(at.plan(COUNT, FIT))
    for analysis in range(2):
        answered, output = told(result, analysis)
        assert answered == {"a", "b", "c"}
        assert output is not None


def test_one_person_who_stands_out_costs_the_others_nothing() -> None:
    at = World(sites(60, lone=True))
    result = at.run(at.plan(COUNT, FIT, BY_WARD))
    assert told(result, 1)[1].facts["people_used"] == 360
    # The only person of the third ward is at the site that sits out.
    assert told(result, 2)[0] == {"a", "b", "c", "w"}
    output = told(result, 2)[1]
    assert all(value is None for row in output.tables[0].rows for value in row[1:])
    assert "nobody or fewer than 10 people" in output.suppressed[0], "not that nobody is left in that ward"


def test_a_study_without_the_model_is_not_touched() -> None:
    at = World(sites(4))
    assert told(at.run(at.plan(COUNT)), 0)[0] == {"a", "b", "c", "w"}
