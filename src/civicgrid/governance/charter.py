"""The charter: principles that every use of data is held against, each answered in words before anybody says yes.

It is a versioned list. A principle goes by its own words: if they change, it has to be answered again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field

from civicgrid.canonical import Node, digest
from civicgrid.errors import Missing, StateError
from civicgrid.governance.acts import Look
from civicgrid.governance.answers import Prose, Short
from civicgrid.governance.entry import Digest
from civicgrid.governance.people import Id

By = Literal["panel", "custodian"]
CHARTER = "charter"
"""The id of a network's one charter."""


class Principle(Node):
    """One principle, as a question, and who has to answer it."""

    words: Annotated[Short, Field(min_length=1)]
    by: By = "panel"

    @property
    def key(self) -> str:
        return digest(self.canonical())


class Charter(Node):
    """The principles in force. A new version takes the place of the one before it."""

    kind: Literal["charter"] = "charter"
    id: Literal["charter"] = "charter"
    state: Literal["active"] = "active"
    version: int = Field(default=1, ge=1)
    principles: Annotated[tuple[Principle, ...], Field(max_length=50)] = ()


class Answered(Node):
    """What somebody answered to a principle."""

    principle: Digest
    words: Short
    answer: Annotated[Prose, Field(min_length=1)]
    by: Id


class AnswerPrinciple(Node):
    """The answer to one principle of the charter."""

    principle: Annotated[Digest, Field(title="Principle", description="Which one")]
    answer: Annotated[
        Prose, Field(title="Answer", description="How this use keeps to it", min_length=1,
                     json_schema_extra={"widget": "long"}),
    ]


def principles(look: Look, by: By) -> tuple[Principle, ...]:
    """What a panel or a custodian has to answer. A network without a charter asks nothing."""
    try:
        charter: Charter = look.get("charter", CHARTER)
    except Missing:
        return ()
    return tuple(principle for principle in charter.principles if principle.by == by)


def unanswered(look: Look, by: By, answered: Iterable[Answered]) -> tuple[Principle, ...]:
    """The principles that block a yes."""
    done = {each.principle for each in answered}
    return tuple(principle for principle in principles(look, by) if principle.key not in done)


def check_answered(look: Look, by: By, answered: Iterable[Answered]) -> None:
    """Raise StateError while a principle is unanswered."""
    left = unanswered(look, by, answered)
    if left:
        raise StateError(
            f"{len(left)} principle{'s' if len(left) > 1 else ''} of the charter must be answered first: {left[0].words}"
        )


def with_answer(
    look: Look, by: By, answered: tuple[Answered, ...], given: AnswerPrinciple, person: str
) -> tuple[Answered, ...]:
    """The answers with this one, in place of an earlier one to the same principle."""
    words = {principle.key: principle.words for principle in principles(look, by)}
    if given.principle not in words:
        raise StateError("Expected a principle of the charter in force. It has changed: look at it again.")
    kept = tuple(each for each in answered if each.principle != given.principle)
    added = Answered(principle=given.principle, words=words[given.principle], answer=given.answer, by=person)
    return (*kept, added)
