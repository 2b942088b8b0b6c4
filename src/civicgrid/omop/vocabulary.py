"""Concept sets against a site's own vocabulary: which concepts they stand for, and which ids it does not know.

A concept set travels as ids and flags; which descendants those have is decided where the data is, by the vocabulary
that the data was coded with. Source: OMOP CDM v5.4, concept_ancestor and concept_relationship; the rules for
descendants, mapped and excluded concepts are those of OHDSI's concept set expressions (The Book of OHDSI, ch. 10).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import duckdb


@dataclass(frozen=True)
class Resolved:
    """What a concept set stands for at a site: concept ids in order, and the ids it names that are unknown there."""

    concepts: tuple[int, ...]
    unknown: tuple[int, ...]


def descendants_sql(schema: str, concepts: str) -> str:
    """SQL for the ids of the query `concepts` (one column, `concept_id`) and all their descendants."""
    return (
        f"SELECT concept_id FROM ({concepts}) UNION SELECT a.descendant_concept_id FROM "
        f"{schema}.concept_ancestor AS a "
        f"JOIN ({concepts}) AS c ON a.ancestor_concept_id = c.concept_id"
    )


def resolve(
    connection: duckdb.DuckDBPyConnection,
    dataset: str,
    concepts: Collection[int],
    *,
    descendants: bool = True,
    mapped: bool = False,
    excluded: Collection[int] = (),
) -> Resolved:
    """The concepts that a set stands for in this data set's vocabulary.

    With `mapped`, the non-standard concepts that map to any of them come too. `excluded` concepts go, with their
    descendants where the set has descendants. A concept counts as a descendant of itself, known or not.
    """
    schema = '"' + dataset.replace('"', '""') + '"'
    listed = "SELECT unnest(?::BIGINT[]) AS concept_id"
    chosen = descendants_sql(schema, listed) if descendants else listed
    if mapped:
        chosen = (
            f"SELECT concept_id FROM ({chosen}) UNION SELECT r.concept_id_1 FROM "
            f"{schema}.concept_relationship AS r "
            f"JOIN ({chosen}) AS c ON r.concept_id_2 = c.concept_id "
            "WHERE r.relationship_id = 'Maps to' AND r.invalid_reason IS NULL"
        )
    leaving = descendants_sql(schema, listed) if descendants else listed
    values = [list(concepts)] * chosen.count("?") + [list(excluded)] * leaving.count("?")
    found = connection.execute(
        f"SELECT concept_id FROM ({chosen}) EXCEPT SELECT concept_id FROM ({leaving}) ORDER BY concept_id", values
    ).fetchall()
    return Resolved(tuple(concept for (concept,) in found), unknown_concepts(connection, dataset, concepts))


def unknown_concepts(connection: duckdb.DuckDBPyConnection, dataset: str, concepts: Collection[int]) -> tuple[int, ...]:
    """The ids that neither the site's concept table nor its ancestry knows: misprints, or a vocabulary not loaded."""
    schema = '"' + dataset.replace('"', '""') + '"'
    found = connection.execute(
        f"SELECT DISTINCT concept_id FROM (SELECT unnest(?::BIGINT[]) AS concept_id) "
        f"WHERE concept_id NOT IN (SELECT concept_id FROM {schema}.concept) "
        f"AND concept_id NOT IN (SELECT ancestor_concept_id FROM {schema}.concept_ancestor "
        f"WHERE ancestor_concept_id IS NOT NULL) "
        f"AND concept_id NOT IN (SELECT descendant_concept_id FROM {schema}.concept_ancestor "
        f"WHERE descendant_concept_id IS NOT NULL) ORDER BY concept_id",
        [list(concepts)],
    ).fetchall()
    return tuple(concept for (concept,) in found)
