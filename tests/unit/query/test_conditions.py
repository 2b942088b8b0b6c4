"""Groups of people made by the same conditions are known again in other words; others are not taken for the same."""

from __future__ import annotations

import civicgrid as cg
from civicgrid.query.conditions import Conditions, of_level, of_population, of_text, share_out, text_of
from civicgrid.query.types import Column, ColumnType, Schema

SCHEMA = Schema(
    columns=(
        Column(name="age", type=ColumnType(kind="int")),
        Column(name="died", type=ColumnType(kind="bool")),
        Column(name="sex", type=ColumnType(kind="category", levels=("female", "male"))),
    )
)
T = cg.dataset("trial", SCHEMA)
OLD, DIED, WOMAN = T["age"] >= 65, T["died"], T["sex"] == "female"


def made_by(population: object) -> Conditions:
    return of_population(cg.cohort(population).population)  # type: ignore[arg-type]


def level(series: object, name: str) -> Conditions:
    return of_level(cg.cohort(OLD, column=series).columns[0].series, name)  # type: ignore[arg-type]


def test_order_and_brackets_do_not_matter() -> None:
    assert made_by(OLD & DIED & WOMAN) == made_by(WOMAN & (DIED & OLD)) == made_by(DIED & WOMAN & ~~OLD)
    assert made_by(OLD & OLD) == made_by(OLD)


def test_everybody_has_no_condition() -> None:
    assert of_population(cg.cohort(OLD).population) != frozenset()
    assert made_by(OLD & DIED) - made_by(DIED) == made_by(OLD)


def test_a_level_is_the_condition_that_makes_it() -> None:
    assert level(T["sex"], "female") == made_by(WOMAN) == made_by(T["sex"].is_in(["female"]))
    assert level(DIED, "yes") == made_by(DIED)
    assert level(DIED, "no") == made_by(~DIED)
    assert level(OLD & DIED, "yes") == made_by(OLD & DIED)


def test_a_level_of_a_category_that_is_made_is_asked_of_what_it_is_made_from() -> None:
    sex = T["sex"].to_category({"female": "F", "male": "M"})
    assert level(sex, "F") == made_by(WOMAN)
    group = cg.case(cg.when(OLD & WOMAN).then("old woman"), cg.when(OLD).then("old man"), otherwise="young")
    assert level(group, "old woman") == made_by(WOMAN & OLD)
    assert level(group, "old man") != made_by(OLD), "an old woman is old too"


def test_what_may_pick_others_is_another_condition() -> None:
    groups = [OLD, ~OLD, DIED, ~DIED, WOMAN, OLD | DIED, OLD & DIED, T["age"] > 65, T["age"] >= 66, WOMAN & ~OLD]
    found = [made_by(group) for group in groups]
    assert len(set(found)) == len(groups)


def test_two_groups_share_out_a_third_by_words_alone() -> None:
    everybody, early = of_population(cg.cohort(T["age"].is_not_null()).population), T["age"] < 40
    assert share_out(frozenset(), made_by(WOMAN), made_by(T["sex"] == "male"))
    assert share_out(made_by(DIED), made_by(DIED & early), made_by(DIED & (T["age"] >= 40)))
    assert share_out(made_by(DIED), made_by(DIED & (OLD | WOMAN)), made_by(DIED & ~(OLD | WOMAN)))
    assert share_out(everybody, made_by(OLD), made_by(~OLD)), "all three hang on the age alone"
    assert not share_out(frozenset(), made_by(OLD), made_by(WOMAN))
    assert not share_out(frozenset(), made_by(early), made_by(~early | (DIED & WOMAN)))
    hidden = cg.case(cg.when(~(DIED & WOMAN)).then(OLD)) == True  # noqa: E712  # the condition is built, not asked
    assert not share_out(frozenset(), made_by(hidden), made_by(~hidden)), "it can be made missing for one person"


def test_conditions_are_read_back_from_their_text() -> None:
    for population in (OLD & DIED & WOMAN, OLD | DIED, ~WOMAN):
        assert of_text(text_of(made_by(population))) == made_by(population)
    assert of_text(text_of(frozenset())) == frozenset()
