"""Groups of people made by the same conditions are known again in other words; others are not taken for the same."""

from __future__ import annotations

import civicgrid as cg
from civicgrid.query.conditions import Conditions, of_level, of_population, of_text, share_out, text_of, together
from civicgrid.query.types import Column, ColumnType, Schema

SCHEMA = Schema(
    columns=(
        Column(name="age", type=ColumnType(kind="int")),
        Column(name="birth", type=ColumnType(kind="date")),
        Column(name="place", type=ColumnType(kind="category", levels=("a - a", "b & c"))),
        Column(name="weight", type=ColumnType(kind="float")),
        Column(name="day", type=ColumnType(kind="date")),
        Column(name="ward", type=ColumnType(kind="category", levels=("a", "b", "c"))),
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


def same(*populations: object) -> None:
    assert len({made_by(population) for population in populations}) == 1


def test_not_before_a_comparison_is_the_other_comparison() -> None:
    same(OLD, ~(T["age"] < 65), ~~(T["age"] >= 65))
    same(T["weight"] > 65.5, ~(T["weight"] <= 65.5))
    same(DIED, DIED == True, DIED != False, ~(DIED == False))  # noqa: E712
    same(~DIED, DIED == False, DIED != True)  # noqa: E712


def test_bounds_of_whole_numbers_and_days_are_written_one_way() -> None:
    same(OLD, T["age"] > 64, T["age"] > 64.5, T["age"] >= 64.25, ~(T["age"] <= 64))
    same(T["age"] < 65, T["age"] <= 64, T["age"] <= 64.9)
    same(T["day"] > "2020-02-28", T["day"] >= "2020-02-29", ~(T["day"] < "2020-02-29"))
    same(T["age"] == 65, T["age"] == 65.0, T["age"].is_in([65]))


def test_and_or_and_not_are_taken_apart() -> None:
    same(~(OLD | DIED), ~OLD & ~DIED)
    same(~(OLD & DIED), ~OLD | ~DIED, ~DIED | (T["age"] <= 64))
    same((OLD | DIED) | WOMAN, WOMAN | (DIED | OLD), ~(~OLD & ~DIED & ~WOMAN))


def test_levels_are_named_or_left_out() -> None:
    same(WOMAN, T["sex"] != "male", ~(T["sex"] == "male"), ~T["sex"].is_in(["male"]))
    same(T["ward"].is_in(["c", "a"]), T["ward"] != "b", (T["ward"] == "a") | (T["ward"] == "c"))
    ward = T["ward"].to_category({"a": "north", "b": "north", "c": "south"})
    same(ward == "north", ward != "south", T["ward"].is_in(["a", "b"]), T["ward"] != "c")


def test_of_several_bounds_or_lists_the_closest_holds() -> None:
    same(OLD, OLD & (T["age"] >= 60), (T["age"] > 10) & OLD)
    same((T["age"] >= 60) & (T["age"] < 65), T["age"].is_between(60, 64), (T["age"] < 70) & T["age"].is_between(59.5, 64))
    same(T["ward"] == "b", (T["ward"] != "a") & (T["ward"] != "c"))
    assert together(made_by(OLD) | made_by(T["age"] >= 70)) == made_by(T["age"] >= 70)


def test_two_columns_are_compared_from_either_side() -> None:
    same(T["age"] < T["weight"], T["weight"] > T["age"], ~(T["age"] >= T["weight"]))


def test_what_may_pick_others_is_another_condition() -> None:
    groups = [OLD, ~OLD, DIED, ~DIED, WOMAN, OLD | DIED, OLD & DIED, T["age"] > 65, T["weight"] > 65, T["weight"] >= 66,
              OLD & (DIED | WOMAN), (OLD & DIED) | WOMAN, T["age"].is_null(), ~T["age"].is_null(),
              WOMAN & ~OLD]  # fmt: skip
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


def test_groups_are_shared_out_in_whatever_words() -> None:
    """Also where the whole is itself bounded, so that a closer bound takes the place of the wider one."""
    apart = (T["day"] - T["birth"]).years
    for whole in (DIED, DIED & (apart >= 20), T["ward"] != "b", DIED | WOMAN, (apart >= 20) | WOMAN):
        for part, rest in (
            (apart > 64, apart <= 64),
            (apart >= 65, ~(apart > 64)),
            (T["ward"] == "a", T["ward"].is_in(["b", "c"])),
            (OLD | WOMAN, (T["age"] < 65) & (T["sex"] == "male")),
            (OLD & (apart < 40) | WOMAN, ~WOMAN & ((apart >= 40) | (T["age"] <= 64))),
            (T["age"] < T["weight"], T["weight"] <= T["age"]),
        ):
            assert share_out(made_by(whole), made_by(whole & part), made_by(rest & whole))
            assert share_out(made_by(whole), made_by(rest & whole), made_by(whole & part))
            fewer = whole & rest & (T["weight"] > T["age"] + 1)
            assert not share_out(made_by(whole), made_by(whole & part), made_by(fewer))
    assert not share_out(made_by(DIED), made_by(OLD), made_by(~OLD)), "the rest are not among those who died"


def test_conditions_are_read_back_from_their_text() -> None:
    for population in (OLD & DIED & WOMAN, OLD | DIED, ~WOMAN, T["place"] != "b & c", T["place"].is_in(["a - a", "b & c"])):
        assert of_text(text_of(made_by(population))) == made_by(population)
    assert of_text(text_of(frozenset())) == frozenset()
