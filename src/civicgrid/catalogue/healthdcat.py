"""Records as HealthDCAT-AP: Turtle and JSON-LD, one data set or a whole catalogue, and back.

The profile is release 8 for data that are not public, on top of DCAT-AP 3.0. Every node has an address of its own (the
record's, and what follows a # in it), none is blank, so that the same records always give the same bytes. What belongs to a
public list is typed where it is named, which the ranges of DCAT-AP ask for.

Read back, a record is the same but for what the standard has no place for: see `NOT_CARRIED`.

Sources: SEMICeu, DCAT-AP 3.0.1; HealthData@EU, HealthDCAT-AP release 8; W3C, CSV on the Web vocabulary.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from pydantic import ValidationError
from rdflib import DCTERMS, FOAF, PROV, RDF, RDFS, SKOS, XSD, Graph, Namespace, URIRef
from rdflib import Literal as Text

from civicgrid.canonical import MAX_BYTES, describe
from civicgrid.catalogue.duo import TERMS, Condition
from civicgrid.catalogue.record import (
    CATEGORIES,
    Agent,
    CodingSystem,
    Contact,
    Distribution,
    Frequency,
    Kind,
    Place,
    Record,
    Rights,
    Variable,
    VariableTable,
)
from civicgrid.errors import DataError, PlanError

Format = Literal["turtle", "json-ld"]

DCAT = Namespace("http://www.w3.org/ns/dcat#")
HEALTH = Namespace("http://healthdataportal.eu/ns/health#")
DCATAP = Namespace("http://data.europa.eu/r5r/")
GEODCATAP = Namespace("http://data.europa.eu/930/")
ELI = Namespace("http://data.europa.eu/eli/ontology#")
CV = Namespace("http://data.europa.eu/m8g/")
DPV = Namespace("https://w3id.org/dpv#")
CSVW = Namespace("http://www.w3.org/ns/csvw#")
VCARD = Namespace("http://www.w3.org/2006/vcard/ns#")

PREFIXES = {
    "dcat": DCAT, "dct": DCTERMS, "foaf": FOAF, "prov": PROV, "skos": SKOS, "rdfs": RDFS, "xsd": XSD, "csvw": CSVW,
    "healthdcatap": HEALTH, "dcatap": DCATAP, "geodcatap": GEODCATAP, "eli": ELI, "cv": CV, "dpv": DPV, "vcard": VCARD,
}  # fmt: skip

EU = "http://publications.europa.eu/resource/authority/"
HDEU = "https://hdeu-dcat.data.health.europa.eu/resource/authority/"
THEME = URIRef(EU + "data-theme/HEAL")
OMOP = URIRef(HDEU + "standard/OMOP-CDM")
CATEGORY = HDEU + "healthcategories/"

RIGHTS: dict[Rights, str] = {"non-public": "NON_PUBLIC", "restricted": "RESTRICTED", "public": "PUBLIC"}
KINDS: dict[Kind, str] = {
    "personal data": "PERSONAL_DATA", "synthetic data": "SYNTHETIC_DATA", "statistics": "STATISTICAL",
}  # fmt: skip
FREQUENCIES: dict[Frequency, str] = {
    "continuous": "CONT", "daily": "DAILY", "weekly": "WEEKLY", "every two weeks": "BIWEEKLY", "monthly": "MONTHLY",
    "every two months": "BIMONTHLY", "every three months": "QUARTERLY", "twice a year": "ANNUAL_2", "yearly": "ANNUAL",
    "every two years": "BIENNIAL", "irregular": "IRREG", "never": "NEVER", "other": "OTHER",
}  # fmt: skip
CODINGS: dict[CodingSystem, str] = {
    "SNOMED CT": "SNOMED-CT", "ICD-10": "ICD-10", "LOINC": "LOINC", "RxNorm": "RXNORM", "ATC": "ATC", "OPCS-4": "OPCS-4",
    "dm+d": "DM-D",
}  # fmt: skip

NOT_CARRIED = ("approvers", "delay", "profile")
"""What the standard has no property for. Who may approve is in it as a sentence that is not read back."""


def graph(records: Iterable[Record], base: str) -> Graph:
    """The data sets as RDF; `base` is the address under which the records stand, with a slash at its end."""
    made = _empty()
    for record in records:
        _dataset(made, record, base)
    return made


def catalogue(records: Sequence[Record], base: str, *, title: str, description: str, publisher: Agent) -> Graph:
    """A whole catalogue as RDF: a dcat:Catalog that names its data sets, and each of them."""
    made = graph(records, base)
    node = URIRef(base)
    made.add((node, RDF.type, DCAT.Catalog))
    made.add((node, DCTERMS.title, Text(title, lang="en")))
    made.add((node, DCTERMS.description, Text(description, lang="en")))
    made.add((node, DCTERMS.publisher, _agent(made, URIRef(f"{base}#publisher"), publisher)))
    for law in sorted({law for record in records for law in record.legislation}):
        made.add((node, DCATAP.applicableLegislation, _typed(made, law, ELI.LegalResource)))
    for record in records:
        made.add((node, DCAT.dataset, _iri(record, base)))
    return made


def write(made: Graph, form: Format = "turtle") -> str:
    """The graph as text: the same graph is always the same text."""
    if form == "turtle":
        return made.serialize(format="turtle")
    context = {name: str(namespace) for name, namespace in PREFIXES.items()}
    data = json.loads(made.serialize(format="json-ld", context=context, auto_compact=False))
    data["@graph"] = sorted((_sorted(node) for node in data.get("@graph", [])), key=lambda node: str(node.get("@id")))
    return json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def read(text: str, base: str, form: Format = "turtle") -> tuple[Record, ...]:
    """The records in a graph that `write` made, in order of their identifiers. DataError where one cannot be read.

    Nothing is fetched: a JSON-LD context that stands elsewhere is refused.
    """
    if len(text) > 20 * MAX_BYTES:
        raise DataError(f"Expected at most {20 * MAX_BYTES:,} characters of metadata; more came. Send fewer records.")
    made = Graph()
    try:
        if form == "json-ld":
            _own_context(json.loads(text))
        made.parse(data=text, format=form)
    except DataError:
        raise
    except Exception as error:
        # The parsers raise what they stumble over, an IndexError too; their words may quote the file.
        raise DataError(f"The metadata could not be read as {form} ({type(error).__name__}). Check the file.") from None
    found = [_record(made, node, base) for node in made.subjects(RDF.type, DCAT.Dataset) if isinstance(node, URIRef)]
    return tuple(sorted(found, key=lambda record: record.identifier))


def _empty() -> Graph:
    made = Graph(bind_namespaces="none")
    for name, namespace in PREFIXES.items():
        made.bind(name, namespace)
    return made


def _iri(record: Record, base: str) -> URIRef:
    return URIRef(base + record.identifier)


def _typed(made: Graph, address: str | URIRef, kind: URIRef, label: str = "") -> URIRef:
    node = URIRef(address)
    made.add((node, RDF.type, kind))
    if label:
        made.add((node, SKOS.prefLabel if kind == SKOS.Concept else RDFS.label, Text(label, lang="en")))
    return node


def _dataset(made: Graph, record: Record, base: str) -> None:
    node = _iri(record, base)

    def add(what: URIRef, value: URIRef | Text | None) -> None:
        if value is not None:
            made.add((node, what, value))

    def part(name: str) -> URIRef:
        return URIRef(f"{node}#{name}")

    add(RDF.type, DCAT.Dataset)
    add(DCTERMS.identifier, Text(record.identifier))
    for what, words in (
        (DCTERMS.title, record.title),
        (DCTERMS.description, record.description),
        (DCTERMS.abstract, record.abstract),
        *((DCAT.keyword, word) for word in record.keywords),
    ):
        add(what, Text(words, lang="en") if words else None)
    add(DCAT.theme, _typed(made, THEME, SKOS.Concept, "Health"))
    add(DCTERMS.type, _typed(made, EU + "dataset-type/" + KINDS[record.type], SKOS.Concept, record.type))
    for code in record.health_categories:
        add(HEALTH.healthCategory, _typed(made, CATEGORY + code, SKOS.Concept, CATEGORIES[code]))
    for law in record.legislation:
        add(DCATAP.applicableLegislation, _typed(made, law, ELI.LegalResource))
    add(DCTERMS.accessRights, _typed(made, EU + "access-right/" + RIGHTS[record.rights], DCTERMS.RightsStatement))
    add(GEODCATAP.custodian, _agent(made, part("custodian"), record.custodian))
    add(HEALTH.hdab, _agent(made, part("hdab"), record.hdab))
    publisher = part("custodian" if record.publisher is None else "publisher")
    add(DCTERMS.publisher, _agent(made, publisher, record.published_by))
    add(DCAT.contactPoint, _kind(made, part("contact"), record.contact))
    if record.legal_basis:
        add(DPV.hasLegalBasis, _typed(made, part("legal-basis"), DPV.LegalBasis, record.legal_basis))
    if record.provenance:
        add(DCTERMS.provenance, _typed(made, part("provenance"), DCTERMS.ProvenanceStatement, record.provenance))
    _uses(made, node, record)
    for number, place in enumerate(record.places):
        where = _typed(made, place.address or part(f"place-{number:04}"), DCTERMS.Location, place.name)
        add(DCTERMS.spatial, where)
    if record.begins or record.ends:
        span = _typed(made, part("time"), DCTERMS.PeriodOfTime)
        for what, day in ((DCAT.startDate, record.begins), (DCAT.endDate, record.ends)):
            if day is not None:
                made.add((span, what, Text(day)))
        add(DCTERMS.temporal, span)
    for what, number_of in (
        (HEALTH.numberOfUniqueIndividuals, record.people),
        (HEALTH.minTypicalAge, record.youngest),
        (HEALTH.maxTypicalAge, record.oldest),
    ):
        add(what, None if number_of is None else Text(number_of, datatype=XSD.nonNegativeInteger))
    add(DCTERMS.accrualPeriodicity, _typed(made, EU + "frequency/" + FREQUENCIES[record.frequency], DCTERMS.Frequency))
    add(DCTERMS.modified, None if record.refreshed is None else Text(record.refreshed))
    add(DCTERMS.issued, None if record.issued is None else Text(record.issued))
    add(DCAT.version, Text(record.version))
    add(DCTERMS.conformsTo, _typed(made, OMOP, DCTERMS.Standard) if record.model == "OMOP" else None)
    for system in record.coding_systems:
        add(HEALTH.hasCodingSystem, _typed(made, HDEU + "coding-system/" + CODINGS[system], DCTERMS.Standard))
    for number, distribution in enumerate(record.distributions):
        add(DCAT.distribution, _distribution(made, part(f"distribution-{number:04}"), distribution))
    add(HEALTH.hasStructuredData, Text(bool(record.tables)))
    if record.tables:
        add(HEALTH.hasVariables, _variables(made, node, record))


def _uses(made: Graph, node: URIRef, record: Record) -> None:
    """What the data may be used for: a statement for each term, and who may approve in words."""
    for number, condition in enumerate(record.conditions):
        right = _typed(made, f"{node}#use-{number:04}", DCTERMS.RightsStatement, condition.explain())
        made.add((right, DCTERMS.type, _typed(made, condition.term.iri, SKOS.Concept, condition.term.label)))
        if condition.detail:
            made.add((right, DCTERMS.description, Text(condition.detail)))
        made.add((node, DCTERMS.rights, right))
    if record.approvers:
        words = f"A study needs the approval of: {', '.join(record.approvers)}."
        made.add((node, DCTERMS.rights, _typed(made, f"{node}#approval", DCTERMS.RightsStatement, words)))


def _agent(made: Graph, node: URIRef, agent: Agent) -> URIRef:
    made.add((node, RDF.type, FOAF.Agent))
    if agent.name:
        made.add((node, FOAF.name, Text(agent.name)))
    if agent.address:
        made.add((node, FOAF.homepage, _typed(made, agent.address, FOAF.Document)))
    point = _typed(made, f"{node}-contact", CV.ContactPoint)
    if agent.contact.email:
        made.add((point, CV.email, Text(agent.contact.email)))
    if agent.contact.page:
        made.add((point, CV.contactPage, _typed(made, agent.contact.page, FOAF.Document)))
    made.add((node, CV.contactPoint, point))
    return node


def _kind(made: Graph, node: URIRef, contact: Contact) -> URIRef:
    made.add((node, RDF.type, VCARD.Kind))
    if contact.email:
        made.add((node, VCARD.hasEmail, URIRef("mailto:" + contact.email)))
    if contact.page:
        made.add((node, VCARD.hasURL, URIRef(contact.page)))
    return node


def _distribution(made: Graph, node: URIRef, distribution: Distribution) -> URIRef:
    made.add((node, RDF.type, DCAT.Distribution))
    made.add((node, DCTERMS.title, Text(distribution.title, lang="en")))
    made.add((node, DCAT.accessURL, _typed(made, distribution.access, RDFS.Resource)))
    if distribution.description:
        made.add((node, DCTERMS.description, Text(distribution.description, lang="en")))
    if distribution.format:
        kind = _typed(made, f"{node}-format", DCTERMS.MediaTypeOrExtent, distribution.format)
        made.add((node, DCTERMS.format, kind))
    for law in distribution.legislation:
        made.add((node, DCATAP.applicableLegislation, _typed(made, law, ELI.LegalResource)))
    return node


def _variables(made: Graph, node: URIRef, record: Record) -> URIRef:
    group = _typed(made, f"{node}#variables", CSVW.TableGroup)
    made.add((group, DCTERMS.title, Text(f"Variables of {record.title or record.identifier}", lang="en")))
    for number, table in enumerate(record.tables):
        place = _typed(made, f"{node}#table-{number:04}", CSVW.Table)
        made.add((group, CSVW.table, place))
        made.add((place, CSVW.name, Text(table.name)))
        made.add((place, DCTERMS.title, Text(table.title or table.name, lang="en")))
        for index, variable in enumerate(table.variables):
            column = _typed(made, f"{place}-column-{index:05}", CSVW.Column)
            made.add((place, CSVW.column, column))
            made.add((column, CSVW.name, Text(variable.name)))
            made.add((column, CSVW.title, Text(variable.title or variable.name, lang="en")))
            made.add((column, DCTERMS.description, Text(variable.description or variable.name, lang="en")))
            made.add((column, CSVW.datatype, Text(variable.datatype)))
    return group


# --- and back --------------------------------------------------------------------------------------------------------


def _record(made: Graph, node: URIRef, base: str) -> Record:
    def words(subject: Any, what: URIRef) -> str:
        value = made.value(subject, what)
        return "" if value is None else str(value)

    def all_of(subject: Any, what: URIRef) -> list[Any]:
        # By address: those of one data set are numbered in the order in which they were written.
        return sorted(made.objects(subject, what), key=str)

    def known(what: URIRef, names: dict[Any, str], otherwise: str) -> Any:
        code = words(node, what).rsplit("/", 1)[-1]
        return next((name for name, listed in names.items() if listed == code), otherwise)

    def agent(subject: Any) -> Agent:
        point = made.value(subject, CV.contactPoint)
        contact = Contact(email=words(point, CV.email), page=words(point, CV.contactPage))
        return Agent(name=words(subject, FOAF.name), address=words(subject, FOAF.homepage), contact=contact)

    def number(what: URIRef) -> int | None:
        value = made.value(node, what)
        return None if value is None else int(str(value))

    def day(subject: Any, what: URIRef) -> dt.date | None:
        value = made.value(subject, what)
        return None if value is None else dt.date.fromisoformat(str(value)[:10])

    def condition(right: Any) -> Condition:
        return Condition(code=terms[words(right, DCTERMS.type)], detail=words(right, DCTERMS.description))

    terms = {term.iri: code for code, term in TERMS.items()}
    try:
        if not str(node).startswith(base):
            raise ValueError("its address is not one of this catalogue")
        point, span = made.value(node, DCAT.contactPoint), made.value(node, DCTERMS.temporal)
        publisher = made.value(node, DCTERMS.publisher)
        custodian = made.value(node, GEODCATAP.custodian)
        codings = {code: name for name, code in CODINGS.items()}
        return Record(
            identifier=str(node).removeprefix(base),
            title=words(node, DCTERMS.title),
            abstract=words(node, DCTERMS.abstract),
            description=words(node, DCTERMS.description),
            keywords=tuple(map(str, all_of(node, DCAT.keyword))),
            health_categories=tuple(str(each).removeprefix(CATEGORY) for each in all_of(node, HEALTH.healthCategory)),
            type=known(DCTERMS.type, KINDS, "personal data"),
            custodian=agent(custodian),
            publisher=None if publisher in (None, custodian) else agent(publisher),
            contact=Contact(
                email=words(point, VCARD.hasEmail).removeprefix("mailto:"), page=words(point, VCARD.hasURL)
            ),
            hdab=agent(made.value(node, HEALTH.hdab)),
            legislation=tuple(map(str, all_of(node, DCATAP.applicableLegislation))),
            legal_basis=words(made.value(node, DPV.hasLegalBasis), RDFS.label),
            rights=known(DCTERMS.accessRights, RIGHTS, "non-public"),
            conditions=tuple(condition(r) for r in all_of(node, DCTERMS.rights) if words(r, DCTERMS.type) in terms),
            places=tuple(
                Place(name=words(where, RDFS.label), address="" if str(where).startswith(base) else str(where))
                for where in all_of(node, DCTERMS.spatial)
            ),
            begins=day(span, DCAT.startDate),
            ends=day(span, DCAT.endDate),
            people=number(HEALTH.numberOfUniqueIndividuals),
            youngest=number(HEALTH.minTypicalAge),
            oldest=number(HEALTH.maxTypicalAge),
            frequency=known(DCTERMS.accrualPeriodicity, FREQUENCIES, "other"),
            refreshed=day(node, DCTERMS.modified),
            issued=day(node, DCTERMS.issued),
            provenance=words(made.value(node, DCTERMS.provenance), RDFS.label),
            model="OMOP" if (node, DCTERMS.conformsTo, OMOP) in made else "local",
            coding_systems=tuple(
                codings[code]
                for system in all_of(node, HEALTH.hasCodingSystem)
                if (code := str(system).rsplit("/", 1)[-1]) in codings
            ),
            distributions=tuple(
                Distribution(
                    title=words(each, DCTERMS.title),
                    access=words(each, DCAT.accessURL),
                    description=words(each, DCTERMS.description),
                    format=words(made.value(each, DCTERMS.format), RDFS.label),
                    legislation=tuple(map(str, all_of(each, DCATAP.applicableLegislation))),
                )
                for each in all_of(node, DCAT.distribution)
            ),
            tables=tuple(
                VariableTable(
                    name=words(table, CSVW.name),
                    title=words(table, DCTERMS.title),
                    variables=tuple(
                        Variable.model_validate(
                            {
                                "name": words(column, CSVW.name),
                                "title": words(column, CSVW.title),
                                "description": words(column, DCTERMS.description),
                                "datatype": words(column, CSVW.datatype),
                            }
                        )
                        for column in all_of(table, CSVW.column)
                    ),
                )
                for table in all_of(made.value(node, HEALTH.hasVariables), CSVW.table)
            ),
            version=words(node, DCAT.version) or "1.0.0",
        )
    except ValidationError as error:
        raise DataError(f"A data set of this catalogue is not a valid record: {describe(error)}") from None
    except (ValueError, KeyError, PlanError) as error:
        raise DataError(f"A data set of this catalogue cannot be read: {error}") from None


def _own_context(data: Any) -> None:
    """DataError where a context is to be fetched from elsewhere: reading a file must not dial out."""
    if isinstance(data, dict):
        context = data.get("@context")
        for part in context if isinstance(context, list) else [context]:
            if isinstance(part, str) or (isinstance(part, dict) and "@import" in part):
                raise DataError("Expected JSON-LD whose context stands in the file; it names one elsewhere. Send it along.")
        for value in data.values():
            _own_context(value)
    elif isinstance(data, list):
        for value in data:
            _own_context(value)


def _sorted(value: Any) -> Any:
    """JSON data with the values of every list in one order, since the order of a graph means nothing."""
    if isinstance(value, dict):
        return {name: _sorted(inside) for name, inside in value.items()}
    if isinstance(value, list):
        return sorted((_sorted(inside) for inside in value), key=lambda inside: json.dumps(inside, sort_keys=True))
    return value
