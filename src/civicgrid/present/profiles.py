"""Small figures of what a site tells of one variable: how many people have each level, or lie between which numbers.

Only a profile is drawn, which has been through the site's gate. What is hidden there is not drawn as nothing: the words
beside the figure say so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from civicgrid.catalogue.profile import Bin, VariableProfile
from civicgrid.present.plots import COLOURS, INK, LONGEST, framed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_LEVELS = 12
Bar = tuple[str, int]


def bars(profile: VariableProfile) -> list[Bar]:
    """What the figure shows, in words and numbers: levels, the commonest first, or bins from low to high."""
    if profile.bins:
        return [(between(each), each.people) for each in profile.bins]
    shown = [
        (f"{each.level}{' (and others)' if each.others else ''}", each.people)
        for each in profile.levels
        if each.people is not None
    ]
    return sorted(shown, key=lambda bar: -bar[1])[:MOST_LEVELS]


def between(each: Bin) -> str:
    """Where a bin lies, in words."""
    if each.low is None and each.high is None:
        return "any"
    if each.low is None:
        return f"below {each.high:g}"
    return f"{each.low:g} and over" if each.high is None else f"{each.low:g} to {each.high:g}"


def drawable(profile: VariableProfile | None) -> bool:
    """Whether there is anything to compare."""
    return profile is not None and len(bars(profile)) > 1


def describe(profile: VariableProfile) -> str:
    """The figure in a sentence."""
    return f"Bars of how many people there are: {', '.join(f'{name} {people:,}' for name, people in bars(profile))}."


def svg(profile: VariableProfile, title: str) -> str:
    """The figure as SVG. `profile` has to be drawable."""
    return framed(lambda: _draw(bars(profile)), title, describe(profile))


def _draw(shown: list[Bar]) -> Figure:
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(4.2, 0.5 + 0.3 * max(len(shown), 3)), layout="constrained")
    axes = drawn.subplots()
    places = range(len(shown))
    axes.barh(places, [people for _, people in shown], color=COLOURS[0], height=0.7)
    names = [name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…" for name, _ in shown]
    axes.set_yticks(places, names, parse_math=False)
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_xlabel("people", color=INK, fontsize=9)
    axes.xaxis.set_major_formatter(lambda value, place: f"{value:,.0f}")
    axes.locator_params(axis="x", nbins=4)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(colors=INK, labelsize=9)
    axes.tick_params(axis="y", length=0)
    return drawn
