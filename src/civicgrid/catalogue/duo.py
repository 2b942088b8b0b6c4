"""What data may be used for, in the terms of the GA4GH Data Use Ontology, and whether a given use is within them.

A data set states one permission (general research, say) and any number of further conditions (no commercial use, ethics
approval). Each term is a line of `TERMS`: its identifier and label as published, how it is said in plain English, and the
HDR UK word nearest to it. `judge` says of a use what stands against it and what a person has yet to decide: a term that
names a project, a user or a kind of research in words of its own is never decided by this program.

Source: J. Lawson et al. (2021), The Data Use Ontology to streamline responsible access to human biomedical datasets, Cell
Genomics 1(2):100028; identifiers and labels from EBISPOT/DUO.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, model_validator

from civicgrid.canonical import Node
from civicgrid.errors import PlanError

Purpose = Literal["health", "methods", "ancestry", "care", "other"]

PURPOSES: dict[Purpose, str] = {
    "health": "health, medical or biomedical research",
    "methods": "developing methods, not to answer a question about health",
    "ancestry": "research into population origins or ancestry",
    "care": "clinical care of the people in the data",
    "other": "any other research",
}


@dataclass(frozen=True)
class Term:
    """One term of the ontology.

    `about` says what a condition has to name ("the disease"), where it has to name something. `permission` marks the terms
    of which a data set states one; the others are conditions beside it. `hdruk` is the nearest word of HDR UK's list of
    limitations (`limits`) or requirements.
    """

    code: str
    short: str
    label: str
    words: str
    permission: bool = False
    about: str = ""
    hdruk: str = ""
    limits: bool = False

    @property
    def iri(self) -> str:
        return f"http://purl.obolibrary.org/obo/{self.code.replace(':', '_')}"


def _permission(code: str, short: str, label: str, words: str, hdruk: str, about: str = "") -> Term:
    return Term(code, short, label, words, True, about, hdruk, True)


_ALL = (
    _permission("DUO:0000004", "NRES", "no restriction", "There is no restriction on use.", "No restriction"),
    _permission("DUO:0000042", "GRU", "general research use", "Any research may use it.", "General research use"),
    _permission(
        "DUO:0000006", "HMB", "health or medical or biomedical research",
        "Research into health, medicine or biology may use it.", "Research use only",
    ),
    _permission(
        "DUO:0000007", "DS", "disease specific research", "Only research into this may use it: {detail}.",
        "Research-specific restrictions", "the disease",
    ),
    _permission(
        "DUO:0000011", "POA", "population origins or ancestry research only",
        "Only research into population origins or ancestry may use it.", "Research-specific restrictions",
    ),
    _permission(
        "DUO:0000043", "CC", "clinical care use", "It may be used to care for the people in it.",
        "Research-specific restrictions",
    ),
    Term(
        "DUO:0000012", "RS", "research specific restrictions", "Only research of this kind may use it: {detail}.",
        about="the kind of research", hdruk="Research-specific restrictions", limits=True,
    ),
    Term(
        "DUO:0000015", "NMDS", "no general methods research",
        "It may not be used to develop methods for their own sake.", hdruk="No general methods research", limits=True,
    ),
    Term(
        "DUO:0000016", "GSO", "genetic studies only", "Only genetic studies may use it.",
        hdruk="Genetic studies only", limits=True,
    ),
    Term(
        "DUO:0000018", "NPUNCU", "not for profit, non commercial use only",
        "Only organisations that make no profit may use it, and not for a commercial purpose.",
        hdruk="Not for profit use", limits=True,
    ),
    Term(
        "DUO:0000045", "NPU", "not for profit organisation use only", "Only organisations that make no profit may use it.",
        hdruk="Not for profit use", limits=True,
    ),
    Term(
        "DUO:0000046", "NCU", "non-commercial use only", "It may not be used for a commercial purpose.",
        hdruk="Research use only", limits=True,
    ),
    Term(
        "DUO:0000044", "NPOA", "population origins or ancestry research prohibited",
        "It may not be used for research into population origins or ancestry.",
        hdruk="Research-specific restrictions", limits=True,
    ),
    Term(
        "DUO:0000019", "PUB", "publication required", "What is learnt must be published.", hdruk="Publication required",
    ),
    Term(
        "DUO:0000020", "COL", "collaboration required", "The work must be done together with those who hold the data.",
        hdruk="Collaboration required",
    ),
    Term(
        "DUO:0000021", "IRB", "ethics approval required", "A research ethics committee must have approved the work.",
        hdruk="Ethics approval required",
    ),
    Term(
        "DUO:0000022", "GS", "geographical restriction", "It may be used only in: {detail}.",
        about="the countries, by their two letters", hdruk="Geographical restrictions",
    ),
    Term(
        "DUO:0000024", "MOR", "publication moratorium", "Nothing may be published before {detail}.",
        about="the day, as YYYY-MM-DD", hdruk="Publication moratorium",
    ),
    Term(
        "DUO:0000025", "TS", "time limit on use", "It may be used until {detail}.",
        about="the last day, as YYYY-MM-DD", hdruk="Time limit on use",
    ),
    Term(
        "DUO:0000026", "US", "user specific restriction", "Only these people may use it: {detail}.",
        about="the people", hdruk="User-specific restriction",
    ),
    Term(
        "DUO:0000027", "PS", "project specific restriction", "Only this project may use it: {detail}.",
        about="the project", hdruk="Project-specific restrictions",
    ),
    Term(
        "DUO:0000028", "IS", "institution specific restriction", "Only these organisations may use it: {detail}.",
        about="the organisations", hdruk="Institution-specific restrictions",
    ),
    Term(
        "DUO:0000029", "RTN", "return to database or resource",
        "Results and data that are made from it must be given back to those who hold it.",
        hdruk="Return to database or resource",
    ),
)  # fmt: skip

TERMS: dict[str, Term] = {term.code: term for term in _ALL}

DATED = ("DUO:0000024", "DUO:0000025")


class Condition(Node):
    """A term that a data set states, with what it has to name: the disease, the countries, the day."""

    code: str
    detail: Annotated[str, Field(max_length=500)] = ""

    @model_validator(mode="after")
    def _check(self) -> Condition:
        term = TERMS.get(self.code)
        if term is None:
            raise PlanError(f"Expected a term of the Data Use Ontology, such as DUO:0000042; {self.code[:40]!r} came.")
        if term.about and not self.detail.strip():
            raise PlanError(f"The condition “{term.label}” has to name {term.about}. Write it beside the condition.")
        if self.detail and not term.about:
            raise PlanError(f"The condition “{term.label}” names nothing. Leave the words beside it out.")
        if self.code in DATED:
            try:
                dt.date.fromisoformat(self.detail)
            except ValueError:
                raise PlanError(f"The condition “{term.label}” has to name {term.about}.") from None
        return self

    @property
    def term(self) -> Term:
        return TERMS[self.code]

    def explain(self) -> str:
        """The condition as a sentence."""
        day = _day(dt.date.fromisoformat(self.detail)) if self.code in DATED else self.detail
        return self.term.words.format(detail=day.rstrip(".")) if self.term.about else self.term.words

    @property
    def names(self) -> frozenset[str]:
        """The names in the detail, each by itself, in small letters."""
        return frozenset(part.strip().casefold() for part in self.detail.split(",") if part.strip())


class Use(Node):
    """A use that somebody asks for, as far as the terms speak of it. `countries` are where the work is done."""

    purpose: Purpose
    commercial: bool
    for_profit: bool
    countries: tuple[str, ...]
    ethics_approved: bool
    diseases: tuple[str, ...] = ()
    organisations: tuple[str, ...] = ()
    genetic: bool = False
    publishes: bool = True
    collaborates: bool = False
    returns: bool = False
    until: dt.date | None = None


@dataclass(frozen=True)
class Judgement:
    """What stands against a use, and what a person has yet to decide, each as a sentence.

    `within` is so only where nothing stands against it and nothing is left to decide.
    """

    against: tuple[str, ...] = ()
    undecided: tuple[str, ...] = ()

    @property
    def within(self) -> bool:
        return not self.against and not self.undecided

    def explain(self) -> str:
        """The judgement in plain English."""
        if self.within:
            return "This use is within the conditions that the data set states."
        lines = []
        if self.against:
            lines.append("This use is not within the conditions: " + " ".join(self.against))
        if self.undecided:
            lines.append("A person has to decide: " + " ".join(self.undecided))
        return "\n".join(lines)


Verdict = bool | None
"""Within, not within, or left to a person."""


def judge(conditions: Iterable[Condition], use: Use) -> Judgement:
    """Whether a use is within the conditions of a data set. Of several permissions one is enough; all else must hold.

    A data set that states no permission leaves that to whoever decides.
    """
    stated = tuple(conditions)
    against: list[str] = []
    undecided: list[str] = []
    permissions = [condition for condition in stated if condition.term.permission]
    verdicts = [_VERDICTS[condition.code](condition, use) for condition in permissions]
    if not permissions:
        undecided.append("The data set does not say what kind of research may use it.")
    elif True not in verdicts:
        words = " ".join(condition.explain() for condition in permissions)
        asked = f"The use asked for is {PURPOSES[use.purpose]}{_listed(use.diseases)}."
        (undecided if None in verdicts else against).append(f"{words} {asked}")
    for condition in stated:
        if not condition.term.permission:
            verdict = _VERDICTS[condition.code](condition, use)
            if verdict is not True:
                (undecided if verdict is None else against).append(condition.explain())
    return Judgement(tuple(against), tuple(undecided))


def _listed(diseases: tuple[str, ...]) -> str:
    return f" into {', '.join(diseases)}" if diseases else ""


def _disease(condition: Condition, use: Use) -> Verdict:
    """By name: other words for the same disease are for a person to see."""
    if use.purpose != "health":
        return False
    asked = {disease.strip().casefold() for disease in use.diseases}
    return True if asked and asked <= condition.names else None


def _place(condition: Condition, use: Use) -> Verdict:
    where = {country.strip().casefold() for country in use.countries}
    return bool(where) and where <= condition.names


def _institution(condition: Condition, use: Use) -> Verdict:
    asked = {name.strip().casefold() for name in use.organisations}
    return True if asked and asked <= condition.names else None


def _time(condition: Condition, use: Use) -> Verdict:
    return None if use.until is None else use.until <= dt.date.fromisoformat(condition.detail)


_VERDICTS: dict[str, Callable[[Condition, Use], Verdict]] = {
    "DUO:0000004": lambda condition, use: True,
    "DUO:0000042": lambda condition, use: use.purpose != "care",
    "DUO:0000006": lambda condition, use: use.purpose == "health",
    "DUO:0000007": _disease,
    "DUO:0000011": lambda condition, use: use.purpose == "ancestry",
    "DUO:0000043": lambda condition, use: use.purpose == "care",
    "DUO:0000012": lambda condition, use: None,
    "DUO:0000015": lambda condition, use: use.purpose != "methods",
    "DUO:0000016": lambda condition, use: use.genetic,
    "DUO:0000018": lambda condition, use: not use.commercial and not use.for_profit,
    "DUO:0000045": lambda condition, use: not use.for_profit,
    "DUO:0000046": lambda condition, use: not use.commercial,
    "DUO:0000044": lambda condition, use: use.purpose != "ancestry",
    "DUO:0000019": lambda condition, use: use.publishes,
    "DUO:0000020": lambda condition, use: use.collaborates,
    "DUO:0000021": lambda condition, use: use.ethics_approved,
    "DUO:0000022": _place,
    "DUO:0000024": lambda condition, use: None,
    "DUO:0000025": _time,
    "DUO:0000026": lambda condition, use: None,
    "DUO:0000027": lambda condition, use: None,
    "DUO:0000028": _institution,
    "DUO:0000029": lambda condition, use: use.returns,
}


def _day(day: dt.date) -> str:
    return f"{day.day} {day:%B} {day.year}"
