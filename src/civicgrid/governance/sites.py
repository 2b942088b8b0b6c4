"""A site as the network knows it: who runs it, who must agree there, and what it asks beyond the one form.

What a site really allows stands in its own node's files alone; this is what people are shown and asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from civicgrid.canonical import Node, digest
from civicgrid.governance.acts import Look
from civicgrid.governance.answers import Prose, Short
from civicgrid.governance.entry import Place
from civicgrid.governance.people import Id

SiteState = Literal["active", "paused", "suspended", "retired"]


class Question(Node):
    """What a site asks beyond the one form. It goes by its own words: changed words are a new question."""

    title: Annotated[Short, Field(min_length=1)]
    hint: Prose = ""

    @property
    def key(self) -> str:
        return digest(self.canonical())


class Site(Node):
    """A site of the network. `panels` are those whose yes a use of its data needs beside its custodians'."""

    kind: Literal["site"] = "site"
    id: Place
    state: SiteState = "active"
    name: Annotated[Short, Field(min_length=1)]
    organisation: Id
    panels: tuple[Id, ...] = ()
    two_custodians: bool = False
    two_checkers: bool = False
    questions: Annotated[tuple[Question, ...], Field(max_length=50)] = ()

    def marks(self) -> Iterator[tuple[str, str]]:
        """What sites are looked up by."""
        yield "organisation", self.organisation
        yield from (("panel", panel) for panel in self.panels)


def of(sites: Iterable[str], look: Look) -> list[Site]:
    """The records of these sites."""
    return [look.get("site", site) for site in sites]


def questions(sites: Iterable[Site]) -> dict[str, Question]:
    """What these sites ask, each once: two that ask in the same words ask one question."""
    return {question.key: question for site in sites for question in site.questions}


def custodians(site: str, look: Look) -> tuple[Any, ...]:
    """The accounts that decide for a site."""
    return tuple(look.find("account", holds=f"custodian {site}"))
