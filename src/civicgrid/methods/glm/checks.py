"""What the sums of the survey already show about a fit that cannot be: explained, with what to do, before
any pass.
"""

from __future__ import annotations

import math

import numpy as np

from civicgrid.disclosure.shapes import Combined, IntArray
from civicgrid.errors import FitError
from civicgrid.methods.bounds import smallest_size
from civicgrid.methods.glm.cells import table_name
from civicgrid.methods.glm.model import Model

_CONSTANT = 1e-13
_FEW = 10

_UNVARYING = (
    "The outcome {!r} is the same for everybody who can be used, so there is nothing to explain. Check how "
    "it is made, "
    "or widen the cohort."
)


class Empty(FitError):
    """There is no fit because nobody is in some group. Said only where zeros may be shown."""


def check_people(model: Model, received: Combined, totals: dict[str, float], fewest: int) -> None:
    """FitError where the outcome or the weights cannot be right, or there are too few people for any fit.

    Impossible values of fewer than `fewest` people are not spoken of: those people are left out, and that is all.
    """
    invalid = received["invalid"]
    if invalid.complete and int(invalid.values) >= max(fewest, _FEW):
        weights = f" and every weight in {model.weights!r} to be greater than 0 (and at most 2^33)" if model.weights else ""
        raise FitError(
            f"Expected every {model.outcome!r} to be {model.family.outcomes} in a {model.family.words}{weights}; some "
            "are not, or are too large to add up. Look at how the column is made, or leave those people out."
        )
    columns = ", ".join(model.columns)
    if totals["people"] < 1:
        raise FitError(f"Nobody in the cohort has a value in all of: {columns}. Leave out a column that is empty.")
    if totals["people"] <= model.design.size:
        raise FitError(
            f"Expected more people with a value in all of {columns} than the model has coefficients "
            f"({model.design.size}). Widen the cohort, or leave predictors out."
        )
    if not totals["weight"] > 0.0:
        raise FitError(
            f"The weights in {model.weights!r} are too small to add up. Multiply the column so that its mean is near 1: "
            "the estimates stay the same."
        )
    mean = totals["outcome"] / totals["weight"]
    if (model.family.binary and not 0.0 < mean < 1.0) or (model.family.counts and mean <= 0.0):
        raise Empty(_UNVARYING.format(model.outcome))


def check_constant(model: Model, centres: dict[str, float], spreads: dict[str, float]) -> None:
    """FitError for a number that does not vary."""
    for name, spread in spreads.items():
        if spread <= _CONSTANT * abs(centres[name]):
            if name == model.outcome:
                raise Empty(_UNVARYING.format(name))
            raise Empty(
                f"{name!r} is the same number for everybody who can be used, so its effect cannot be told "
                f"from the "
                "intercept. Leave it out."
            )


def check_unit(model: Model, spreads: dict[str, float]) -> None:
    """FitError for a number whose spread is too small beside its declared range for the sums to hold it."""
    for name, spread in spreads.items():
        if spread < math.ldexp(1.0, smallest_size(model.schema[name]) + 1):
            raise FitError(
                f"The spread of {name!r} is too small for its unit or declared range: its sums would lose their digits. "
                "Multiply the column in the cohort, or declare a closer range in the data dictionary."
            )


def check_cells(model: Model, received: Combined) -> None:
    """FitError for a level with nobody in it, or one in which everybody has the same outcome (separation).

    Only tables that every site showed whole are judged; with the others the passes find the same thing
    later. The groups judged are those whose indicator is a sum of design columns, so that an outcome
    without variation in one means an infinite estimate (A. Albert and J.A. Anderson 1984, On the existence
    of maximum likelihood estimates in logistic regression models, Biometrika 71(1):1-10).
    """
    design = model.design
    for names in design.factor_sets():
        table = received[table_name(names)]
        if not table.complete:
            continue
        counts = np.asarray(table.values, dtype=np.int64)
        for axis, name in enumerate(names):
            others = tuple(i for i in range(len(names)) if i != axis)
            for code, people in enumerate(counts.sum(axis=others)):
                if design.intercept or code != design.reference[name]:
                    _check_group(model, _level(model, name, code), people, reference=code == design.reference[name])
        if len(names) == 2:
            for cell in np.ndindex(counts.shape[:2]):
                codes = list(zip(names, cell, strict=True))
                if design.intercept or any(design.reference[name] != code for name, code in codes):
                    words = " with ".join(_level(model, name, code) for name, code in codes)
                    _check_group(model, words, counts[cell], reference=False)


def _level(model: Model, name: str, code: int) -> str:
    return f"{name} = {model.design.factors[name][code]}"


def _check_group(model: Model, group: str, people: IntArray, reference: bool) -> None:
    """`people` is a number, or two by outcome."""
    if not people.sum():
        instead = "choose another reference level" if reference else "leave it out of the levels"
        raise Empty(
            f"Nobody who can be used has {group}, so the model has nothing to estimate there. Merge it with "
            f"another level, "
            f"or {instead}."
        )
    if model.family.binary and not people.all():
        # What a few people have in common is not said, whatever thresholds the answer will be published
        # under.
        why = "the outcome is the same for everybody in that group" if people.sum() >= _FEW else "too few people have it"
        raise Empty(
            f"The estimate for {group} has no finite value (separation): {why}. Merge it with another "
            f"level, or "
            "leave the column out."
        )
