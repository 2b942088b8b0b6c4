"""What health data may be used for, and what never: Articles 53 and 54 of the European Health Data Space.

The UK is not bound by the Regulation; its list is used because it is public, short, and the same for every site. Each
prohibition is asked as a question that anybody can answer. A yes stops the application, with words that say why.

Source: Regulation (EU) 2025/327, Articles 53(1), 53(2) and 54, in plain words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from civicgrid.governance.people import Sector

Category = Literal["a", "b", "c", "d", "e", "f"]
PUBLIC: frozenset[Sector] = frozenset({"health service", "council"})
"""The sectors of public bodies: for them alone are categories a to c (Article 53(2))."""


@dataclass(frozen=True)
class Permitted:
    """A category of purpose, and whether it is for public bodies alone."""

    words: str
    public_bodies: bool = False


CATEGORIES: Mapping[Category, Permitted] = {
    "a": Permitted("Public or occupational health: watching over health, safety of care and of medicines", True),
    "b": Permitted("Policy and regulation: helping public bodies in health or care to do their work", True),
    "c": Permitted("Official statistics about health or care", True),
    "d": Permitted("Teaching in health or care, at vocational or higher level"),
    "e": Permitted("Scientific research related to health or care, that patients or those who care for them gain from"),
    "f": Permitted("Better care: improving how people are treated, from data about people like them"),
}


@dataclass(frozen=True)
class Prohibition:
    """What nobody may use the data for: the question, and what somebody reads who answers yes."""

    question: str
    hint: str
    stop: str


PROHIBITIONS: Mapping[str, Prohibition] = {
    "decides_against": Prohibition(
        "Will anybody use the results to decide against a person or a group because of their health?",
        "For example to refuse them a benefit, a service or a right.",
        "Data cannot be used to take decisions that harm people because of their health (Article 54a).",
    ),
    "worse_terms": Prohibition(
        "Will the results be used for job offers, insurance, credit or prices, so that some people get worse terms?",
        "For example to raise a premium, to refuse a loan, or to choose whom to employ.",
        "Data cannot be used for job offers, insurance, credit or prices (Article 54b).",
    ),
    "advertises": Prohibition(
        "Will the data be used for advertising or marketing?",
        "To the public, to patients or to those who treat them.",
        "Data cannot be used for advertising or marketing (Article 54c).",
    ),
    "harmful_products": Prohibition(
        "Will it be used to develop something that may harm people or make them dependent?",
        "For example tobacco, alcohol, illegal drugs, weapons, or anything made to be addictive.",
        "Data cannot be used to develop products that may harm people (Article 54d).",
    ),
    "unethical": Prohibition(
        "Does any of it go against the ethical rules that hold here?",
        "For example trying to find out who somebody in the data is.",
        "Data cannot be used against the ethical rules that hold where the data are (Article 54e).",
    ),
}


def stops(answers: Mapping[str, str | None]) -> tuple[str, ...]:
    """What stops an application: a sentence for each prohibition that was answered with yes."""
    return tuple(each.stop for name, each in PROHIBITIONS.items() if answers.get(name) == "yes")


def reserved(categories: Iterable[Category], sector: Sector) -> tuple[str, ...]:
    """The categories among these that an organisation of this sector may not ask for, each in a sentence."""
    if sector in PUBLIC:
        return ()
    return tuple(
        f"Purpose {each} is for public bodies alone: {CATEGORIES[each].words}. Choose another, or let a public body apply."
        for each in categories
        if CATEGORIES[each].public_bodies
    )


if set(get_args(Category)) != set(CATEGORIES):
    raise ValueError("every category of Article 53 needs its words")
