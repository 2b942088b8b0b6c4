"""The one application form: every field once, with its title, hint and limits, in the sections of the Five Safes.

Pages, the API and the docs read the fields from here. Everything may be left empty in a draft; `needed` marks what has to
be there when the application is sent. `only_if` names a field that makes another one needed when it says yes.

Source: T. Desai, F. Ritchie, R. Welpton (2016), Five Safes: designing data access for research; purposes from `purposes`,
terms of use from `catalogue.duo`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic.fields import FieldInfo

from civicgrid.canonical import Node
from civicgrid.catalogue.duo import PURPOSES, Purpose, Use
from civicgrid.governance.entry import Line, Place, Titles, Words
from civicgrid.governance.people import Id
from civicgrid.governance.purposes import CATEGORIES, PROHIBITIONS, Category, stops

SUMMARY_WORDS = 300


@dataclass(frozen=True)
class Section:
    """A part of the form, one page each."""

    title: str
    words: str


SECTIONS: Mapping[str, Section] = {
    "project": Section("Safe project", "What you want to find out, for whom, and who pays"),
    "purpose": Section("Purpose", "What the data would be used for, and what they will not be used for"),
    "people": Section("Safe people", "Who does the work, and how they are trained"),
    "data": Section("Safe data", "Which data, where, and why no less would do"),
    "settings": Section("Safe settings", "Where and how the work is done"),
    "outputs": Section("Safe outputs", "What comes out of it, and where people can read it"),
}


def _one_newline(text: Any) -> Any:
    return text.replace("\r\n", "\n").replace("\t", " ").strip() if isinstance(text, str) else text


def _summary(text: str) -> str:
    count = len(text.split())
    if count > SUMMARY_WORDS:
        raise ValueError(f"Use at most {SUMMARY_WORDS} words; there are {count}")
    return text


Prose = Annotated[Words, BeforeValidator(_one_newline)]
Short = Annotated[Line, BeforeValidator(_one_newline)]
YesNo = Literal["yes", "no"]


def _field(section: str, title: str, description: str = "", needed: bool = False, **extra: Any) -> Any:
    default = extra.pop("default", "")
    return Field(
        default=default,
        title=title,
        description=description,
        json_schema_extra={"section": section, "needed": needed, **extra},
    )


def _prohibition(name: str) -> Any:
    asked = PROHIBITIONS[name]
    return _field("purpose", asked.question, asked.hint, True, default=None)


class Answers(Node):
    """What somebody says who asks to use data. A form for all of it or for any part: what is not sent stays as it is."""

    title: Annotated[Short, Field(max_length=200)] = _field(
        "project", "Title", "What the project is called, in words that anybody understands", True
    )
    lay_summary: Annotated[Prose, AfterValidator(_summary)] = _field(
        "project", "Summary for everybody",
        f"In up to {SUMMARY_WORDS} words: what you want to find out, why, and how. It is public.",
        True, widget="long", words=SUMMARY_WORDS,
    )
    public_benefit: Prose = _field(
        "project", "Public benefit", "Who would be better off, how, and when. It is public.", True, widget="long"
    )
    technical_summary: Prose = _field("project", "Technical summary", "For people in your field", widget="long")
    start: dt.date | None = _field("project", "Start", "When the work begins", True, default=None)
    end: dt.date | None = _field("project", "End", "When the work ends", True, default=None)
    funders: Titles = _field(
        "project", "Funders", "Who pays for the work, one a line. Write “no funding” if nobody does.", True, default=(),
    )
    commercial: YesNo | None = _field(
        "project", "Does a company have a stake in it?", "It pays, takes part, or could earn from it", True, default=None
    )
    commercial_interest: Prose = _field(
        "project", "The company's interest", "If a company has a stake: which company, and what it gains",
        widget="long", only_if="commercial",
    )
    benefit_agreement: Prose = _field(
        "project", "Benefit agreement",
        "If a company has a stake: what it gives back to the health service or to patients. It is public.",
        widget="long", only_if="commercial",
    )
    benefit_due: dt.date | None = _field(
        "project", "Benefit due", "If a company has a stake: by when it has given it", default=None, only_if="commercial"
    )

    purposes: tuple[Category, ...] = _field(
        "purpose", "Purposes", "As in Article 53 of the European Health Data Space. Choose all that apply.", True,
        default=(), names={name: each.words for name, each in CATEGORIES.items()},
    )
    research: Purpose | None = _field(
        "purpose", "Kind of work", "", True, default=None,
        names={name: words[0].upper() + words[1:] for name, words in PURPOSES.items()},
    )
    diseases: Titles = _field("purpose", "Diseases", "Which ones it is about, one a line", default=())
    genetic: YesNo | None = _field("purpose", "Is it a genetic study?", "", True, default=None)
    decides_against: YesNo | None = _prohibition("decides_against")
    worse_terms: YesNo | None = _prohibition("worse_terms")
    advertises: YesNo | None = _prohibition("advertises")
    harmful_products: YesNo | None = _prohibition("harmful_products")
    unethical: YesNo | None = _prohibition("unethical")

    organisation: Id | Literal[""] = _field("people", "Organisation", "The one that answers for the work", True)
    people: tuple[Id, ...] = _field(
        "people", "People", "Everybody who will run a study. Each needs a valid accreditation and a key.", True, default=(),
    )
    for_profit: YesNo | None = _field("people", "Is any organisation in it run for profit?", "", True, default=None)
    skills: Prose = _field("people", "Training and experience", "What they have done with data like these", widget="long")
    ethics: Short = _field("people", "Ethics approval", "Reference of the committee's decision, if there is one")

    sites: Annotated[tuple[Place, ...], Field(max_length=200)] = _field(
        "data", "Sites", "Where the data are", True, default=()
    )
    datasets: Annotated[tuple[Place, ...], Field(max_length=200)] = _field(
        "data", "Data sets", "Which ones you need", True, default=()
    )
    columns: Annotated[tuple[Annotated[str, Field(max_length=200)], ...], Field(max_length=2000)] = _field(
        "data", "Columns", "What you need to read, as table.column, one a line. Empty: what your plans read.", default=(),
    )
    why_needed: Prose = _field("data", "Why no less would do", "Why you need these people, years and columns", True,
                               widget="long")
    without_plan: Prose = _field(
        "data", "Why there is no plan yet", "Only if you attach none. Custodians may then allow less.", widget="long"
    )
    standing: YesNo | None = _field(
        "data", "Is any plan to be run again and again?", "Each time for its day, as a standing study", default=None
    )
    linkage: Prose = _field("data", "Linkage", "Which data are joined, and how; empty if none are", widget="long")

    countries: Annotated[tuple[Annotated[str, Field(pattern="^[A-Z]{2}$")], ...], Field(max_length=30)] = _field(
        "settings", "Countries", "Where people work on it, by two letters such as GB, one a line", True, default=(),
    )
    setting: Prose = _field("settings", "Where the work is done", "The machines and rooms that answers are looked at on",
                            True, widget="long")
    no_records: YesNo | None = _field(
        "settings", "Will all work go through the network, so that no record leaves a site?",
        "If not, say above what else you ask for", True, default=None,
    )

    outputs: Prose = _field("outputs", "Outputs", "Which tables, figures and models you expect", True, widget="long")
    publication: Prose = _field("outputs", "Publication", "Where the results will be published, for whom", True,
                                widget="long")
    publishes: YesNo | None = _field(
        "outputs", "Will the results be public within 18 months?", "Also if they are not what you hoped for", True,
        default=None,
    )
    returns: YesNo | None = _field(
        "outputs", "Will you give methods and derived data back to the sites?", "", True, default=None
    )
    collaborates: YesNo | None = _field(
        "outputs", "Do you work together with those who hold the data?", "", True, default=None
    )

    def use(self) -> Use | None:
        """The use as the Data Use Ontology asks about it, for `duo.judge`; None while its kind has not been said."""
        if self.research is None:
            return None
        return Use(
            purpose=self.research,
            commercial=self.commercial == "yes",
            for_profit=self.for_profit == "yes",
            countries=self.countries,
            ethics_approved=bool(self.ethics),
            diseases=self.diseases,
            organisations=(self.organisation,) if self.organisation else (),
            genetic=self.genetic == "yes",
            publishes=self.publishes == "yes",
            collaborates=self.collaborates == "yes",
            returns=self.returns == "yes",
            until=self.end,
        )

    def stopped(self) -> tuple[str, ...]:
        """What stops the application whatever else it says: see `purposes.PROHIBITIONS`."""
        return stops({name: getattr(self, name) for name in PROHIBITIONS})

    def merged(self, given: Answers) -> Answers:
        """These answers with those of the fields that were sent."""
        return self.model_copy(update={name: getattr(given, name) for name in given.model_fields_set})


def described(info: FieldInfo) -> dict[str, Any]:
    """What a field says of itself beyond its title and hint."""
    return dict(info.json_schema_extra) if isinstance(info.json_schema_extra, dict) else {}


def section(name: str) -> tuple[str, ...]:
    """The fields of a section, in order."""
    return tuple(field for field, info in Answers.model_fields.items() if described(info)["section"] == name)


def needed(answers: Answers) -> Iterator[tuple[str, FieldInfo]]:
    """The fields that have to be filled in, as the other answers stand."""
    for name, info in Answers.model_fields.items():
        said = described(info)
        if said["needed"] or (said.get("only_if") and getattr(answers, said["only_if"]) == "yes"):
            yield name, info
