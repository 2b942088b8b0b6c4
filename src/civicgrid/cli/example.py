"""The demonstration's study: after a first prescription of celecoxib or of diclofenac, who bleeds from the gut?

The Book of OHDSI (2021), chapters 11 and 12, teaches with the same question on the same data.
"""

from __future__ import annotations

import civicgrid as cg
from civicgrid.client.grid import Study

DATASET = "gibleed"


def gi_bleed() -> Study:
    """Count the new users, describe them, cross-tabulate drug and bleeding, and adjust for age and sex."""
    gi = cg.cdm(DATASET)
    celecoxib = cg.concept_set(1118084, name="celecoxib").with_descendants()
    diclofenac = cg.concept_set(1124300, name="diclofenac").with_descendants()
    bleeding = cg.concept_set(192671, name="gastrointestinal bleeding").with_descendants()

    drugs = gi.drug_exposure
    taken = drugs.where(drugs.concept.is_in(celecoxib) | drugs.concept.is_in(diclofenac))
    first = taken.sort_by(taken.start_date).first_for_person()
    conditions = gi.condition_occurrence
    bleeds = conditions.where(conditions.concept.is_in(bleeding)).where(conditions.start_date > first.start_date)

    cohort = cg.cohort(
        population=first.exists_for_person(),
        drug=cg.case(
            cg.when(first.concept.is_in(diclofenac)).then("diclofenac"),
            cg.when(first.concept.is_in(celecoxib)).then("celecoxib"),
        ),
        age=gi.person.age_on(first.start_date),
        sex=gi.person.gender_concept_id.to_category({8532: "female", 8507: "male"}),
        bled=bleeds.exists_for_person(),
    )
    return cg.study(
        cohort,
        title="Celecoxib, diclofenac and gastrointestinal bleeding",
        people=cg.Count(),
        table_1=cg.Describe(columns=["age", "sex", "bled"], by="drug"),
        crude=cg.Crosstab(rows="drug", columns="bled"),
        adjusted=cg.GLM(outcome="bled", predictors=["drug", "age", "sex"], family="binomial"),
    )
