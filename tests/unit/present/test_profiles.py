"""The figure of a profile shows what the profile tells, and nothing that it hides."""

from __future__ import annotations

import datetime as dt
import xml.etree.ElementTree as ET

from civicgrid.catalogue.profile import Bin, LevelCount, VariableProfile
from civicgrid.present import profiles

DAY = dt.date(2026, 11, 20)
SVG = "{http://www.w3.org/2000/svg}"
LEVELS = VariableProfile(
    as_of=DAY,
    people=900,
    levels=(
        LevelCount(level="rare", people=None),
        LevelCount(level="$some$ <b>", people=300),
        LevelCount(level="most", people=600, others=True),
    ),
)
BINS = VariableProfile(
    as_of=DAY,
    people=900,
    bins=(Bin(high=40, people=300), Bin(low=40, high=60.5, people=400), Bin(low=60.5, people=200)),
)


def test_levels_stand_with_the_commonest_first_and_hidden_ones_nowhere() -> None:
    assert profiles.bars(LEVELS) == [("most (and others)", 600), ("$some$ <b>", 300)]
    assert "rare" not in profiles.svg(LEVELS, "Kind")


def test_bins_stand_in_their_order() -> None:
    assert profiles.bars(BINS) == [("below 40", 300), ("40 to 60.5", 400), ("60.5 and over", 200)]


def test_a_figure_is_well_formed_and_says_what_it_shows() -> None:
    for profile in (LEVELS, BINS):
        drawn = ET.fromstring(profiles.svg(profile, "Kind <&>"))
        assert drawn.findtext(f"{SVG}title") == "Kind <&>"
        assert drawn.findtext(f"{SVG}desc") == profiles.describe(profile)
        written = {element.text for element in drawn.iter(f"{SVG}text")}
        assert {name for name, _ in profiles.bars(profile)} <= written


def test_where_there_is_nothing_to_compare_nothing_is_drawn() -> None:
    assert not profiles.drawable(None)
    assert not profiles.drawable(VariableProfile(as_of=DAY, people=900, missing=0))
    assert not profiles.drawable(LEVELS.model_copy(update={"levels": LEVELS.levels[:2]}))
