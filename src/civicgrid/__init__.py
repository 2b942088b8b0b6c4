"""Civic Grid: a federated health data research service.

    import civicgrid as cg
    grid = cg.simulate({"leeds": "leeds.csv", "york": "york.csv", "hull": "hull.csv"}, dataset="trial")
    fit = grid.run(cg.GLM(cg.dataset("trial"), outcome="died", predictors=["age", "sex"], family="binomial"))
"""

__version__ = "0.1.0"

from civicgrid.client.connect import connect
from civicgrid.client.grid import study
from civicgrid.client.simulate import simulate
from civicgrid.curation.dictionary import Dictionary
from civicgrid.disclosure.policy import Policy
from civicgrid.methods import Count
from civicgrid.query.language import (
    case,
    category,
    cohort,
    concept_set,
    dataset,
    days,
    follow_up,
    maximum_of,
    minimum_of,
    months,
    omop,
    when,
    years,
)

__all__ = [
    "Count",
    "Dictionary",
    "Policy",
    "case",
    "category",
    "cohort",
    "concept_set",
    "connect",
    "dataset",
    "days",
    "follow_up",
    "maximum_of",
    "minimum_of",
    "months",
    "omop",
    "simulate",
    "study",
    "when",
    "years",
]
