"""What the catalogue says of a data set: one record, each of its fields described once.

A field's label and hint are what a form shows; `healthdcat` and `hdruk` name the property that it becomes in each standard;
`needed` says that a record cannot be published without it. Forms, documentation, the two standards and `missing` all read
them from here. A record may be half written (a node's draft, say): `missing` says in words what it still lacks.

What is in a record is public. Of people it holds a number of them, rounded, and a profile that has passed the gate of the
site (`catalogue.profile`), nothing else.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from civicgrid.canonical import Node
from civicgrid.catalogue.duo import Condition
from civicgrid.catalogue.profile import VariableProfile
from civicgrid.errors import PlanError

EHDS = "http://data.europa.eu/eli/reg/2025/327/oj"
"""The European Health Data Space Regulation, (EU) 2025/327."""

CATEGORIES = {
    "EHRS": "electronic health records",
    "DIOH": "factors that bear on health: social, economic, environmental, behaviour",
    "NRPE": "needs, resources, provision of and spending on health care, as totals",
    "RPDG": "pathogens that bear on human health",
    "HRAD": "administration of health care: dispensing, claims, payments",
    "HGPD": "human genetic, epigenomic and genomic data",
    "HPML": "other human molecular data: proteins, transcripts, metabolites",
    "PGEH": "personal data made automatically by medical devices",
    "WELA": "data from wellness applications",
    "IDHP": "the people who treat patients: their profession, specialty, institution",
    "PHDR": "population-based registries, such as those of public health",
    "MRMR": "medical registries and registries of deaths",
    "EHCT": "clinical trials, studies and investigations",
    "EMRD": "other health data from medical devices",
    "RMMD": "registries of medicines and medical devices",
    "RQSH": "research cohorts, questionnaires and surveys, after results were first published",
    "EINS": "biobanks and their databases",
}
"""The categories of Article 51(1) of the Regulation, by their codes in the Commission's list, in plain words."""

Frequency = Literal[
    "continuous", "daily", "weekly", "every two weeks", "monthly", "every two months", "every three months",
    "twice a year", "yearly", "every two years", "irregular", "never", "other",
]  # fmt: skip
Rights = Literal["non-public", "restricted", "public"]
Kind = Literal["personal data", "synthetic data", "statistics"]
Model = Literal["OMOP", "local"]
CodingSystem = Literal["SNOMED CT", "ICD-10", "LOINC", "RxNorm", "ATC", "OPCS-4", "dm+d"]
Approver = Literal["custodian", "panel"]
Datatype = Literal["boolean", "integer", "double", "string", "date"]
Delay = Literal[
    "Less than 1 week", "1-2 weeks", "2-4 weeks", "1-2 months", "2-6 months", "More than 6 months", "Variable",
    "Not applicable", "Other",
]  # fmt: skip

MOST_VARIABLES = 20_000
ROUNDED = 5


def _email(text: str) -> str:
    if text and not re.fullmatch(r"[^@\s<>\"]+@[^@\s<>\"]+\.[^@\s<>\"]+", text):
        raise PlanError("Expected an e-mail address such as data@trust.example; something else came.")
    return text


def _address(text: str) -> str:
    """A web address that can stand in a page's link and in RDF: http or https, nothing that ends an IRI."""
    if text and not re.fullmatch(r"https?://[^\s<>\"{}|\\^`]+", text):
        raise PlanError("Expected a web address that begins with https:// or http://; something else came.")
    return text


Email = Annotated[str, Field(max_length=200), AfterValidator(_email)]
Address = Annotated[str, Field(max_length=500), AfterValidator(_address)]
Line = Annotated[str, Field(max_length=150)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}(/[a-z][a-z0-9_-]{0,62})?$")]


def _in_order(values: tuple[str, ...]) -> tuple[str, ...]:
    """Where order means nothing there is one: the same record however it was typed."""
    return tuple(sorted(values))


Unordered = AfterValidator(_in_order)


@dataclass(frozen=True)
class Described:
    """How a field of a record is shown, and what it becomes elsewhere."""

    label: str
    hint: str
    healthdcat: str = ""
    hdruk: str = ""
    needed: bool = False


class Contact(Node):
    """Where to ask: an e-mail address or a page, or both."""

    email: Email = ""
    page: Address = ""


class Agent(Node):
    """An organisation, and where to ask it."""

    name: Line = ""
    address: Address = ""
    contact: Contact = Contact()


class Place(Node):
    """A place that the data cover, with its identifier where it has one in a public list."""

    name: Line
    address: Address = ""


def _by_address(places: tuple[Place, ...]) -> tuple[Place, ...]:
    return tuple(sorted(places, key=lambda place: (place.address, place.name)))


class Distribution(Node):
    """A way to get at the data: for data that are not public, where to apply."""

    title: Line
    access: Address
    description: Annotated[str, Field(max_length=2000)] = ""
    format: Line = ""
    legislation: Annotated[tuple[Address, ...], Unordered] = (EHDS,)


class Variable(Node):
    """One column: its name in code, what people call it, what it means, and, where the site has made one, its profile."""

    name: Annotated[str, Field(min_length=1, max_length=150)]
    title: Line = ""
    description: Annotated[str, Field(max_length=2000)] = ""
    datatype: Datatype = "string"
    profile: VariableProfile | None = None


class VariableTable(Node):
    """The columns of one table."""

    name: Annotated[str, Field(min_length=1, max_length=150)]
    title: Line = ""
    variables: tuple[Variable, ...] = ()


class Record(Node):
    """A data set's record. Two of them are the same record if they have the same `identifier`."""

    kind: Literal["record"] = "record"
    identifier: Annotated[
        Name, Described("Identifier", "The name of the data set, after the site's where several hold it: leeds/trial.",
                        "dct:identifier", "identifier", True),
    ]
    title: Annotated[
        Line, Described("Title", "What people call the data set.", "dct:title", "summary.title", True)
    ] = ""
    abstract: Annotated[
        str, Field(max_length=500),
        Described("Summary", "What it is, in up to 500 characters that anybody understands.", "dct:abstract",
                  "summary.abstract", True),
    ] = ""
    description: Annotated[
        str, Field(max_length=10_000),
        Described("Description", "Who is in it, how it came about, what it is good for and what not.",
                  "dct:description", "documentation.description", True),
    ] = ""
    keywords: Annotated[
        tuple[Line, ...], Unordered, Described("Keywords", "Words that people would search for.", "dcat:keyword",
                                    "summary.keywords", True),
    ] = ()
    health_categories: Annotated[
        tuple[str, ...], Unordered,
        Described("Category of health data", "As in Article 51 of the European Health Data Space.",
                  "healthdcatap:healthCategory", "", True),
    ] = ()
    type: Annotated[
        Kind, Described("Type", "Whether it is about people, made up, or totals.", "dct:type", "")
    ] = "personal data"
    custodian: Annotated[
        Agent, Described("Custodian", "The organisation that answers for the data, and where to ask it.",
                         "geodcatap:custodian", "summary.dataCustodian", True),
    ] = Agent()
    publisher: Annotated[
        Agent | None, Described("Publisher", "Who publishes this record; the custodian where nothing is said.",
                                "dct:publisher", ""),
    ] = None
    contact: Annotated[
        Contact, Described("Contact", "Where to ask about the data set.", "dcat:contactPoint", "summary.contactPoint", True)
    ] = Contact()
    hdab: Annotated[
        Agent, Described("Health data access body", "Who decides on access by law. Where there is none, who does so here.",
                         "healthdcatap:hdab", "", True),
    ] = Agent()
    legislation: Annotated[
        tuple[Address, ...], Unordered, Described("Legislation", "The laws under which the data are made available.",
                                       "dcatap:applicableLegislation", "", True),
    ] = (EHDS,)
    legal_basis: Annotated[
        str, Field(max_length=2000),
        Described("Legal basis", "On what basis the data are held and used, in words.", "dpv:hasLegalBasis", ""),
    ] = ""
    rights: Annotated[
        Rights, Described("Access", "Whether anybody may have the data.", "dct:accessRights",
                          "accessibility.access.accessRights"),
    ] = "non-public"
    approvers: Annotated[
        tuple[Approver, ...], Described("Who may approve", "Whose yes a study needs.", "dct:rights (in words)",
                                        "accessibility.access.accessRights", True),
    ] = ("custodian", "panel")
    conditions: Annotated[
        tuple[Condition, ...], Described("Purposes allowed", "Terms of the Data Use Ontology.", "dct:rights",
                                         "accessibility.usage", True),
    ] = ()
    places: Annotated[
        tuple[Place, ...], AfterValidator(_by_address),
        Described("Places", "Where the people live or were treated.", "dct:spatial", "coverage.spatial"),
    ] = ()
    begins: Annotated[
        dt.date | None, Described("From", "The first day that the data cover.", "dct:temporal",
                                  "provenance.temporal.startDate"),
    ] = None
    ends: Annotated[
        dt.date | None, Described("Until", "The last day; empty where the data go on.", "dct:temporal",
                                  "provenance.temporal.endDate"),
    ] = None
    people: Annotated[
        int | None, Field(ge=0, lt=2**53),
        Described("People", f"How many people, rounded to {ROUNDED} or more.", "healthdcatap:numberOfUniqueIndividuals",
                  "summary.populationSize", True),
    ] = None
    youngest: Annotated[
        int | None, Field(ge=0, le=150), Described("Typical age from", "In years.", "healthdcatap:minTypicalAge",
                                                   "coverage.typicalAgeRangeMin"),
    ] = None
    oldest: Annotated[
        int | None, Field(ge=0, le=150), Described("Typical age to", "In years.", "healthdcatap:maxTypicalAge",
                                                   "coverage.typicalAgeRangeMax"),
    ] = None
    frequency: Annotated[
        Frequency, Described("How often it is refreshed", "", "dct:accrualPeriodicity",
                             "provenance.temporal.publishingFrequency"),
    ] = "irregular"
    refreshed: Annotated[
        dt.date | None, Described("Last refreshed", "The day of the present load.", "dct:modified",
                                  "provenance.temporal.distributionReleaseDate"),
    ] = None
    delay: Annotated[
        Delay, Described("Delay", "How long after something happens it is in the data.", "", "provenance.temporal.timeLag")
    ] = "Other"
    provenance: Annotated[
        str, Field(max_length=10_000),
        Described("Provenance", "Where the data come from and what was done to them.", "dct:provenance", "", True),
    ] = ""
    model: Annotated[
        Model, Described("Data model", "OMOP, or the site's own.", "dct:conformsTo",
                         "accessibility.formatAndStandards.conformsTo"),
    ] = "local"
    coding_systems: Annotated[
        tuple[CodingSystem, ...], Unordered, Described("Coding systems", "The lists that codes come from.",
                                            "healthdcatap:hasCodingSystem",
                                            "accessibility.formatAndStandards.vocabularyEncodingScheme"),
    ] = ()
    distributions: Annotated[
        tuple[Distribution, ...], Described("How to get at it", "For data that are not public: where to apply.",
                                            "dcat:distribution", "accessibility.formatAndStandards.format", True),
    ] = ()
    tables: Annotated[
        tuple[VariableTable, ...], Described("Variables", "Each column: name, title, description and type.",
                                             "healthdcatap:hasVariables", "structuralMetadata.tables"),
    ] = ()
    version: Annotated[
        str, Field(pattern=r"^\d{1,6}\.\d{1,6}\.\d{1,6}$"),
        Described("Version of the record", "Three numbers with dots.", "dcat:version", "version"),
    ] = "1.0.0"
    issued: Annotated[
        dt.date | None, Described("First published", "The day of this record's first version.", "dct:issued", "issued",
                                  True),
    ] = None

    @model_validator(mode="after")
    def _check(self) -> Record:
        unknown = sorted(set(self.health_categories) - set(CATEGORIES))
        if unknown:
            raise PlanError(f"Expected codes of Article 51, such as EHRS; {', '.join(code[:20] for code in unknown)} came.")
        if self.people is not None and self.people % ROUNDED:
            raise PlanError(
                f"Expected the number of people rounded to {ROUNDED} or more; an exact one came. Round it."
            )
        if self.begins is not None and self.ends is not None and self.ends < self.begins:
            raise PlanError("Expected the last day that the data cover on or after the first; it lies before it.")
        if self.youngest is not None and self.oldest is not None and self.oldest < self.youngest:
            raise PlanError("Expected the higher typical age at or above the lower; it lies below it.")
        for what, names in (
            ("keyword", list(self.keywords)),
            ("table", [table.name for table in self.tables]),
            *((f"column of {table.name}", [each.name for each in table.variables]) for table in self.tables),
        ):
            if len(set(names)) != len(names):
                raise PlanError(f"Expected each {what} once; one came twice.")
        if sum(len(table.variables) for table in self.tables) > MOST_VARIABLES:
            raise PlanError(f"Expected at most {MOST_VARIABLES:,} variables in a record; more came.")
        return self

    @property
    def published_by(self) -> Agent:
        return self.publisher or self.custodian

    def variables(self) -> Iterator[Variable]:
        """Every variable of every table."""
        for table in self.tables:
            yield from table.variables


def fields(kind: type[Node] = Record) -> dict[str, Described]:
    """The described fields, by name, in the order in which they are shown."""
    found = {}
    for name, info in kind.model_fields.items():
        for part in info.metadata:
            if isinstance(part, Described):
                found[name] = part
    return found


def missing(record: Record) -> tuple[str, ...]:
    """What a record still lacks before it can be published, a sentence each; nothing for one that is complete."""
    empty = [field for name, field in fields().items() if field.needed and not getattr(record, name)]
    words = [f"{field.label}: {field.hint}" for field in empty]
    for label, agent in (
        ("Custodian", record.custodian),
        ("Health data access body", record.hdab),
        *((("Publisher", record.publisher),) if record.publisher else ()),
    ):
        if not agent.name:
            words.append(f"{label}: give its name.")
        if not (agent.contact.email or agent.contact.page):
            words.append(f"{label}: give an e-mail address or a page to ask it by.")
    if not (record.contact.email or record.contact.page):
        words.append("Contact: give an e-mail address or a page.")
    if record.conditions and not any(condition.term.permission for condition in record.conditions):
        words.append("Purposes allowed: say what kind of research may use the data; so far there are only conditions.")
    for table in record.tables:
        bare = [each.name for each in table.variables if not each.description]
        if bare:
            words.append(
                f"Variables: {len(bare)} of {len(table.variables)} in {table.name} have no description, "
                f"beginning with {bare[0]}."
            )
    return tuple(words)
