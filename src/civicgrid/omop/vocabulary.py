"""Which concept ids a site's own vocabulary does not know.

What a concept set stands for is worked out with the cohort (`query.compile`), by the vocabulary the data was coded with.
Source: OMOP CDM v5.4, concept and concept_ancestor.
"""

from __future__ import annotations

from collections.abc import Collection

import duckdb


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
