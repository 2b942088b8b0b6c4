"""The ids that a concept set stands for: written out, or looked up in the site's own vocabulary."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from civicgrid.query import nodes
from civicgrid.query.sql import all_of, called, cast, column, is_known, name, negated, nested, select, source, whole

NO_CONCEPT = -(2**62)


def listed_ids(concepts: nodes.ConceptSet) -> list[int] | None:
    """The ids of a set that needs no vocabulary, in order; None for one that does."""
    if any(concept.descendants for concept in concepts.concepts):
        return None
    out = {concept.id for concept in concepts.concepts if concept.excluded}
    return sorted({concept.id for concept in concepts.concepts} - out)


def concept_query(concepts: nodes.ConceptSet, ancestors: Callable[[], exp.Table]) -> exp.Query:
    """One row a concept, `concept_id`; the set's own ids are always in it, whatever the vocabulary says."""
    included = _with_below([one for one in concepts.concepts if not one.excluded], ancestors)
    excluded = [one for one in concepts.concepts if one.excluded]
    if not excluded:
        return included
    taken_out = exp.In(
        this=column("concept_id", "included"), query=exp.Subquery(this=_with_below(excluded, ancestors))
    )
    kept = select(column("concept_id", "included")).from_(nested(included, "included"))
    # Never empty: SQL calls a missing value in an empty set "no", in any other set "missing".
    return exp.union(kept.where(negated(taken_out)), _rows([NO_CONCEPT]), distinct=True)


def _with_below(concepts: list[nodes.Concept], ancestors: Callable[[], exp.Table]) -> exp.Query:
    listed = _rows(sorted({concept.id for concept in concepts}))
    roots = sorted({concept.id for concept in concepts if concept.descendants})
    if not roots:
        return listed
    below = called(cast(column("descendant_concept_id", "a"), "int"), "concept_id")
    is_below = exp.In(this=column("ancestor_concept_id", "a"), expressions=[whole(root) for root in roots])
    known = is_known(column("descendant_concept_id", "a"))
    descendants = select(below).from_(source(ancestors(), "a")).where(all_of([is_below, known]))
    return exp.union(listed, descendants, distinct=True)


def _rows(ids: list[int]) -> exp.Select:
    rows = [exp.Tuple(expressions=[cast(whole(one), "int")]) for one in ids]
    alias = exp.TableAlias(this=name("listed"), columns=[name("concept_id")])
    return select(column("concept_id", "listed")).from_(exp.Values(expressions=rows, alias=alias))
