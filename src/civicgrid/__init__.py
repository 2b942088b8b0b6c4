"""Civic Grid: a federated health data research service.

    import civicgrid as cg
    grid = cg.simulate({"leeds": "leeds.csv", "york": "york.csv", "hull": "hull.csv"}, dataset="trial")
    fit = grid.run(cg.GLM(cg.dataset("trial"), outcome="died", predictors=["age", "sex"], family="binomial"))

The names below are loaded when they are first used, so that a node, a hub or the command line does not pay for what only
a researcher's notebook needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from civicgrid.client.connect import connect as connect
    from civicgrid.client.grid import study as study
    from civicgrid.client.simulate import simulate as simulate
    from civicgrid.curation.dictionary import Dictionary as Dictionary
    from civicgrid.disclosure.policy import Policy as Policy
    from civicgrid.methods import GLM as GLM
    from civicgrid.methods import Count as Count
    from civicgrid.methods import Crosstab as Crosstab
    from civicgrid.methods import Describe as Describe
    from civicgrid.methods import Discover as Discover
    from civicgrid.methods.glm import interaction as interaction
    from civicgrid.methods.glm import poly as poly
    from civicgrid.query.language import case as case
    from civicgrid.query.language import category as category
    from civicgrid.query.language import cdm as cdm
    from civicgrid.query.language import cohort as cohort
    from civicgrid.query.language import concept_set as concept_set
    from civicgrid.query.language import dataset as dataset
    from civicgrid.query.language import days as days
    from civicgrid.query.language import follow_up as follow_up
    from civicgrid.query.language import maximum_of as maximum_of
    from civicgrid.query.language import minimum_of as minimum_of
    from civicgrid.query.language import months as months
    from civicgrid.query.language import run_date as run_date
    from civicgrid.query.language import when as when
    from civicgrid.query.language import years as years

_FROM = {
    "civicgrid.client.connect": ("connect",),
    "civicgrid.client.grid": ("study",),
    "civicgrid.client.simulate": ("simulate",),
    "civicgrid.curation.dictionary": ("Dictionary",),
    "civicgrid.disclosure.policy": ("Policy",),
    "civicgrid.methods": ("GLM", "Count", "Crosstab", "Describe", "Discover"),
    "civicgrid.methods.glm": ("interaction", "poly"),
    "civicgrid.query.language": (
        "case", "category", "cdm", "cohort", "concept_set", "dataset", "days", "follow_up", "maximum_of", "minimum_of",
        "months", "run_date", "when", "years",
    ),
}  # fmt: skip
_HOME = {name: module for module, names in _FROM.items() for name in names}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"civicgrid has no {name!r}. It has: {', '.join(__all__)}.")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
