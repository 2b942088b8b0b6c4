"""The wording of concept sets: a name, OMOP concept ids, with what lies below them or without, some taken
out.
"""

from __future__ import annotations

from civicgrid.errors import PlanError
from civicgrid.query import nodes


class Concepts:
    """A concept set. It is never changed; each method gives a new one under the same name."""

    def __init__(self, node: nodes.ConceptSet) -> None:
        self.node = node

    def with_descendants(self) -> Concepts:
        """Every concept that was put in, and all that the site's vocabulary puts below it."""
        return self._with(
            tuple(
                one if one.excluded else nodes.Concept(id=one.id, descendants=True)
                for one in self.node.concepts
            )
        )

    def excluding(self, *out: int | Concepts) -> Concepts:
        """Without these ids, or without another set (with its descendants if it has them). Taking out wins."""
        taken = [
            nodes.Concept(id=one.id, descendants=one.descendants, excluded=True)
            for item in out
            for one in (item.node.concepts if isinstance(item, Concepts) else concepts([item]))
        ]
        return self._with(self.node.concepts + tuple(taken))

    def _with(self, every: tuple[nodes.Concept, ...]) -> Concepts:
        return Concepts(nodes.ConceptSet(name=self.node.name, concepts=every))

    def __repr__(self) -> str:
        return f"<concept set “{self.node.name}”: {len(self.node.concepts)} concepts>"


def concept_set(*ids: int, name: str) -> Concepts:
    """A concept set of these OMOP concept ids, exactly; add `.with_descendants()` for what lies below them."""
    return Concepts(nodes.ConceptSet(name=name, concepts=concepts(list(ids))))


def concepts(ids: list[int]) -> tuple[nodes.Concept, ...]:
    for one in ids:
        if not isinstance(one, int) or isinstance(one, bool) or one < 0:
            raise PlanError(
                f"Expected OMOP concept ids, which are whole numbers such as 1118084; "
                f"{type(one).__name__} came. Look the id up in Athena (athena.ohdsi.org)."
            )
    return tuple(nodes.Concept(id=one) for one in ids)
