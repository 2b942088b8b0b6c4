"""Generalised linear models: the method that researchers write."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, field_validator
from scipy import special  # not scipy.stats: a node would spend three seconds on loading it

from civicgrid.disclosure.row_sets import RowSet
from civicgrid.disclosure.rules import model_refusal, people_needed, singles_out
from civicgrid.disclosure.shapes import Estimates, IntArray, RawOutput, Share
from civicgrid.disclosure.thresholds import Thresholds
from civicgrid.errors import PlanError
from civicgrid.methods.glm.cells import codings, shown_cells
from civicgrid.methods.glm.checks import Empty
from civicgrid.methods.glm.design import build
from civicgrid.methods.glm.family import FAMILIES, FamilyName
from civicgrid.methods.glm.fit import MAX_PASSES, Fit, newton
from civicgrid.methods.glm.model import Model
from civicgrid.methods.glm.moments import effective_people, told_apart
from civicgrid.methods.glm.site import Place, one_pass, spread, survey
from civicgrid.methods.glm.survey import Survey, survey_of, totals_of
from civicgrid.methods.glm.terms import Term, as_terms
from civicgrid.methods.method import OPEN, Ask, Coordination, Method
from civicgrid.methods.row_sets import used_sets
from civicgrid.query.table import Table
from civicgrid.query.types import Schema

MOST_LOOKED_AT = 20_000
"""A site of more people hardly ever has one who outweighs the rest: it finds out in the first pass."""

COLUMNS = ("estimate", "std_error", "conf_low", "conf_high", "statistic", "p_value")


class GLM(Method):
    """A generalised linear model with its canonical link, fitted by maximum likelihood to the people of
    all sites.

        g(E[y]) = offset + b0 + b1 x1 + ... + bp xp
        binomial: logit g, estimates are log odds ratios         gaussian: g(m) = m, differences in means
        poisson:  log g, estimates are log rate ratios

    The answer is that of one fit to the pooled records, to floating-point accuracy: each round the sites
    add up score and information, and the coordinator takes a Newton step (iteratively reweighted least
    squares).

    Predictors are columns, `interaction("age", "sex")` (products only: list the columns too) and
    `poly("age", 2)` (age and age^2). A number enters as it is; a yes/no column as 1 or 0; a category as
    one column for each level but the reference, which is its first level or the one named in `reference`,
    also in a model without an intercept. Only people with a value in every column are used, and one that can be
    (an outcome that the family has, a weight above 0): how many are left out is in the answer.

    `offset` is a column added to the linear predictor with coefficient 1 (for rates, the logarithm of
    person-time). `weights` are prior weights: a person of weight w has 1/w of the variance (statsmodels
    calls them var_weights). They must be greater than 0.

    Standard errors are model-based, from the inverse information. The gaussian dispersion is the weighted
    residual sum of squares over n - p, with t for tests and intervals; for the others it is 1, with the
    normal distribution (Wald). AIC counts the coefficients, not the dispersion. The null deviance is given
    where there is an intercept and no offset, and is that of the intercept alone.

    >>> GLM(outcome="died", predictors=["age", "sex"], family="binomial").columns()
    ('age', 'sex', 'died')

    Source: P. McCullagh and J.A. Nelder (1989), Generalized Linear Models, 2nd edition, Chapman and Hall,
    chapters 2-4.
    """

    version: ClassVar[int] = 3

    kind: Literal["glm"] = "glm"
    outcome: str = Field(description="The column to explain.")
    predictors: tuple[Term, ...] = Field(default=(), description="Columns, interactions and polynomials.")
    family: FamilyName = Field(description="binomial for yes/no, gaussian for a number, poisson for a count.")
    offset: str | None = Field(default=None, description="A column added to the linear predictor.")
    weights: str | None = Field(default=None, description="A column of prior weights.")
    reference: dict[str, str] = Field(default={}, description="The reference level of a category, by column.")
    intercept: bool = Field(default=True, description="Whether the model has an intercept.")
    confidence: Annotated[float, Field(gt=0.0, lt=1.0)] = Field(
        default=0.95, description="The level of the confidence intervals."
    )

    @field_validator("predictors", mode="before")
    @classmethod
    def _predictors(cls, given: Any) -> Any:
        return as_terms(given)

    def columns(self) -> tuple[str, ...]:
        sources = [name for term in self.predictors for name in term.columns()]
        extra = [name for name in (self.outcome, self.offset, self.weights) if name]
        return tuple(dict.fromkeys((*sources, *extra)))

    def check(self, schema: Schema) -> None:
        outcome, family = schema[self.outcome], FAMILIES[self.family]
        if family.binary:
            if not (outcome.kind == "bool" or outcome.numeric or len(outcome.levels) == 2):
                raise PlanError(
                    f"A logistic regression needs a yes/no outcome; {self.outcome!r} is {outcome.words()}. "
                    f"Make one in the "
                    "cohort, as in outcome == 'level'."
                )
            if (outcome.low or 0) < 0 or (outcome.high or 0) > 1:
                raise PlanError(
                    f"A logistic regression needs a yes/no outcome, or a number from 0 to 1; {self.outcome!r} is "
                    f"{outcome.words()}. Make one in the cohort, as in outcome >= 1."
                )
        elif not outcome.numeric:
            hint = "use family='binomial'" if outcome.kind == "bool" else "choose a number"
            raise PlanError(f"A {family.words} needs a number; {self.outcome!r} is {outcome.words()}: {hint}.")
        for part, name in (("offset", self.offset), ("weights", self.weights)):
            if name is not None and not schema[name].numeric:
                raise PlanError(f"The {part} must be a number; {name!r} is {schema[name].words()}.")
        predictors = [name for term in self.predictors for name in term.columns()]
        if self.outcome in (*predictors, self.offset, self.weights):
            raise PlanError(f"{self.outcome!r} is the outcome and cannot explain itself. Take it out of the rest.")
        if len(set(self.predictors)) != len(self.predictors):
            raise PlanError("Expected each predictor once; one is listed twice.")
        self._model(schema)

    def explain(self, schema: Schema) -> str:
        family = FAMILIES[self.family]
        words = [f"Fit a {family.words} of {self.outcome} on {self._listed(schema)}"]
        if not self.intercept:
            words.append("without an intercept")
        if self.offset:
            words.append(f"with {self.offset} as offset")
        if self.weights:
            words.append(f"weighting people by {self.weights}")
        answer = f"Give each estimate with its {100 * self.confidence:.6g}% confidence interval."
        return ", ".join(words) + f". People with a missing value are left out. {answer}"

    def _listed(self, schema: Schema) -> str:
        design = self._model(schema).design
        if not self.predictors:
            return "nothing but an intercept"
        compared = {
            name: f"{name} (compared with {design.factors[name][code]})"
            for name, code in design.reference.items()
            if schema[name].kind == "category"
        }
        return ", ".join(compared.get(term.words(), term.words()) for term in self.predictors)

    def _model(self, schema: Schema) -> Model:
        design = build(self.predictors, schema, self.reference, self.intercept)
        return Model(design, FAMILIES[self.family], schema, self.outcome, self.offset, self.weights)

    def site(self, table: Table, ask: Ask) -> Share:
        model = self._model(table.schema)
        if ask.step == "survey":
            ask.only()
            return survey(model, table)
        if ask.step == "spread":
            return spread(model, table, ask)
        if ask.step == "pass":
            return one_pass(model, table, ask)
        raise PlanError(f"A regression has the rounds survey, spread and pass; {ask.step!r} came. Update the node.")

    def row_sets(self, table: Table) -> tuple[RowSet, ...]:
        model = self._model(table.schema)
        return used_sets(table, model.people(table), model.columns, codings(model))

    def enough(self, table: Table, thresholds: Thresholds) -> bool:
        model, found = self._model(table.schema), 0
        needed = people_needed(model.design.size, thresholds)
        if table.rows < needed:
            return False
        for people in model.people(table):
            found += people.count
            if found >= needed:
                break
        if found < needed or table.rows > MOST_LOOKED_AT:
            return found >= needed
        parts = one_pass(model, table, Place.unfitted(model).ask())
        return all(singles_out(part, thresholds) is None for part in parts)

    def most_rounds(self) -> int:
        return 2 + MAX_PASSES  # the survey and the spread go before the passes

    def coordinate(self, schema: Schema, thresholds: Thresholds = OPEN) -> Coordination:
        model = self._model(schema)
        received = yield Ask("survey")
        people, cells = round(totals_of(received)["people"]), shown_cells(model, received)
        if model_refusal(people, model.design.size, cells, thresholds):
            return self._withheld(model, people, cells)
        try:
            surveyed = yield from survey_of(model, received, thresholds.min_cell)
        except Empty:
            # A level of nobody, an outcome that nobody has: a few would be withheld, and nobody must look like them.
            if thresholds.min_cell == 0 or thresholds.zeros:
                raise
            return self._withheld(model, people, np.append(cells, 0))
        received = yield surveyed.first()
        weight_size = surveyed.place(surveyed.start()).weight_size
        effective = effective_people(received, surveyed.totals["weight"], weight_size)
        cells = np.concatenate([cells, told_apart(model, received, people)])
        people = min(people, round(effective)) if self.weights else people
        if model_refusal(people, model.design.size, cells, thresholds):
            return self._withheld(model, people, cells)
        fit = yield from newton(model, replace(surveyed, cells=cells), received)
        return self._output(model, surveyed, fit)

    def _withheld(self, model: Model, people: int, cells: IntArray) -> RawOutput:
        """An answer that the output rules withhold, before anything else about these people is looked at."""
        nothing = np.full((model.design.size, len(COLUMNS)), np.nan)
        block = Estimates(
            "estimates", _title(model), model.design.names, COLUMNS, nothing, people, model.design.size, cells
        )
        return RawOutput((block,))

    def _output(self, model: Model, surveyed: Survey, fit: Fit) -> RawOutput:
        family, size = model.family, model.design.size
        freedom = fit.people - size
        dispersion = fit.deviance / freedom if family.estimated_dispersion else 1.0
        covariance = fit.covariance * dispersion
        error = np.sqrt(np.diag(covariance))
        statistic = fit.estimate / error
        upper = 0.5 + self.confidence / 2
        if family.estimated_dispersion:
            reach = float(special.stdtrit(freedom, upper)) * error
            p_value = 2 * special.stdtr(freedom, -np.abs(statistic))
        else:
            reach = float(special.ndtri(upper)) * error
            p_value = 2 * special.ndtr(-np.abs(statistic))
        values = np.column_stack([fit.estimate, error, fit.estimate - reach, fit.estimate + reach, statistic, p_value])
        likelihood = family.log_likelihood(fit.deviance, fit.people, surveyed.totals["saturated"])
        facts = {
            "deviance": fit.deviance,
            "log_likelihood": likelihood,
            "aic": 2 * size - 2 * likelihood,
            "dispersion": dispersion,
            "iterations": fit.steps,
        }
        if fit.null_deviance is not None:
            facts["null_deviance"] = fit.null_deviance
        counts, left_out = {"people_used": fit.people}, {}
        law_words = "t, by the residual degrees of freedom" if family.estimated_dispersion else "normal (Wald)"
        notes = [f"Estimates are {family.scale}. Tests and intervals: {law_words}."]
        if surveyed.dropped is None:
            notes.append("Not every site could show how many people it left out for missing values.")
        else:
            left_out["people_dropped"] = surveyed.dropped
        if surveyed.without:
            sites = "one site" if surveyed.without == 1 else f"{surveyed.without} sites"
            notes.append(
                f"At {sites} there was nobody, or too few people for the model, or one who weighs too much: they are not "
                "in it."
            )
        estimates = Estimates(
            "estimates",
            _title(model),
            model.design.names,
            COLUMNS,
            values,
            fit.people,
            size,
            surveyed.cells,
            covariance,
        )
        return RawOutput((estimates,), facts, counts, tuple(notes), left_out)


def _title(model: Model) -> str:
    words = model.family.words
    return f"{words[0].upper()}{words[1:]} of {model.outcome}"
