"""Records as HealthDCAT-AP hold against the published shapes of DCAT-AP, and what release 8 asks for is in them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pyshacl import validate
from rdflib import DCTERMS, RDF, Graph, URIRef

from civicgrid.catalogue.healthdcat import DCAT, DCATAP, HEALTH, NOT_CARRIED, Format, catalogue, graph, read, write
from civicgrid.catalogue.record import Agent, Contact, Record, missing
from civicgrid.errors import DataError
from unit.catalogue.samples import BASE, STANDARDS, full, needs_standards

# What release 8 asks of data that are not public, from its list of properties (see the folder of standards).
RELEASE_8 = """
@prefix sh: <http://www.w3.org/ns/shacl#> .
@prefix dcat: <http://www.w3.org/ns/dcat#> .
@prefix dct: <http://purl.org/dc/terms/> .
@prefix foaf: <http://xmlns.com/foaf/0.1/> .
@prefix csvw: <http://www.w3.org/ns/csvw#> .
@prefix cv: <http://data.europa.eu/m8g/> .
@prefix dcatap: <http://data.europa.eu/r5r/> .
@prefix geo: <http://data.europa.eu/930/> .
@prefix h: <http://healthdataportal.eu/ns/health#> .
@prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
@prefix : <urn:test:> .

:Agent a sh:NodeShape ;
  sh:property [ sh:path foaf:name ; sh:minCount 1 ] ,
    [ sh:path cv:contactPoint ; sh:minCount 1 ; sh:maxCount 1 ; sh:class cv:ContactPoint ; sh:node :Point ] .
:Point a sh:NodeShape ;
  sh:or ( [ sh:property [ sh:path cv:email ; sh:minCount 1 ] ]
          [ sh:property [ sh:path cv:contactPage ; sh:minCount 1 ] ] ) .
:DataSet a sh:NodeShape ; sh:targetClass dcat:Dataset ;
  sh:property [ sh:path dct:title ; sh:minCount 1 ] ,
    [ sh:path dct:description ; sh:minCount 1 ] ,
    [ sh:path dct:accessRights ; sh:minCount 1 ; sh:maxCount 1 ;
      sh:hasValue <http://publications.europa.eu/resource/authority/access-right/NON_PUBLIC> ] ,
    [ sh:path dcatap:applicableLegislation ; sh:minCount 1 ] ,
    [ sh:path dcat:distribution ; sh:minCount 1 ] ,
    [ sh:path dct:identifier ; sh:minCount 1 ] ,
    [ sh:path dcat:theme ; sh:minCount 1 ;
      sh:hasValue <http://publications.europa.eu/resource/authority/data-theme/HEAL> ] ,
    [ sh:path dct:type ; sh:minCount 1 ] ,
    [ sh:path dcat:keyword ; sh:minCount 1 ] ,
    [ sh:path dcat:contactPoint ; sh:minCount 1 ] ,
    [ sh:path dct:provenance ; sh:minCount 1 ] ,
    [ sh:path h:healthCategory ; sh:minCount 1 ] ,
    [ sh:path h:hdab ; sh:minCount 1 ; sh:maxCount 1 ; sh:node :Agent ] ,
    [ sh:path geo:custodian ; sh:node :Agent ] ,
    [ sh:path h:hasStructuredData ; sh:minCount 1 ; sh:maxCount 1 ; sh:datatype xsd:boolean ] ;
  sh:or ( [ sh:property [ sh:path h:hasStructuredData ; sh:hasValue false ] ]
          [ sh:property [ sh:path h:hasVariables ; sh:minCount 1 ; sh:node :Group ] ] ) .
:Distribution a sh:NodeShape ; sh:targetClass dcat:Distribution ;
  sh:property [ sh:path dcatap:applicableLegislation ; sh:minCount 1 ] , [ sh:path dcat:accessURL ; sh:minCount 1 ] .
:Group a sh:NodeShape ;
  sh:property [ sh:path dct:title ; sh:minCount 1 ] , [ sh:path csvw:table ; sh:minCount 1 ; sh:node :Table ] .
:Table a sh:NodeShape ;
  sh:property [ sh:path dct:title ; sh:minCount 1 ] , [ sh:path csvw:column ; sh:minCount 1 ; sh:node :Column ] .
:Column a sh:NodeShape ;
  sh:property [ sh:path csvw:name ; sh:minCount 1 ; sh:maxCount 1 ] , [ sh:path csvw:title ; sh:minCount 1 ] ,
    [ sh:path dct:description ; sh:minCount 1 ] , [ sh:path csvw:datatype ; sh:minCount 1 ] .
"""

# The properties of the list, each with how a record loses it.
ASKED: dict[str, dict[str, Any]] = {
    "title": {"title": ""},
    "description": {"description": ""},
    "accessRights": {"rights": "public"},
    "applicableLegislation": {"legislation": ()},
    "distribution": {"distributions": ()},
    "keyword": {"keywords": ()},
    "provenance": {"provenance": ""},
    "healthCategory": {"health_categories": ()},
    "hdab's name": {"hdab": Agent(contact=Contact(email="a@b.example"))},
    "hdab's contact": {"hdab": Agent(name="Body")},
    "custodian's contact": {"custodian": Agent(name="Trust")},
}


def errors(made: Graph, shapes: Graph) -> str:
    held, _, words = validate(made, shacl_graph=shapes, inference="none")
    return "" if held else str(words)


def release_8() -> Graph:
    return Graph().parse(data=RELEASE_8, format="turtle")


@needs_standards
@pytest.mark.parametrize("shapes", ["shapes.ttl", "range.ttl"])
@pytest.mark.parametrize("several", [False, True])
def test_records_hold_against_the_published_shapes(shapes: str, several: bool) -> None:
    published = Graph().parse(STANDARDS / "dcat-ap-3.0.1" / shapes)
    records = (full(), full("york/trial"), full("hull").model_copy(update={"tables": ()}))
    about = {"title": "North", "description": "All data of the North.", "publisher": full().published_by}
    made = catalogue(records, BASE, **about) if several else graph(records[:1], BASE)
    assert errors(made, published) == ""
    # And the shapes do look: what breaks them is found.
    node = URIRef(BASE + "leeds/trial")
    if shapes == "shapes.ttl":
        made.remove((node, DCTERMS.title, None))
    else:
        made.add((node, DCTERMS.provenance, URIRef("urn:nothing")))
    assert errors(made, published) != ""


def test_a_record_has_all_that_release_8_asks_for() -> None:
    assert missing(full()) == ()
    assert errors(graph((full(), full("hull").model_copy(update={"tables": ()})), BASE), release_8()) == ""


@pytest.mark.parametrize("what", sorted(ASKED))
def test_what_release_8_asks_for_is_missed(what: str) -> None:
    record = full().model_copy(update=ASKED[what])
    assert errors(graph((record,), BASE), release_8()) != ""
    if what != "accessRights":
        assert missing(record), "what the standard asks for is asked for before a record is published"


@pytest.mark.parametrize("form", ["turtle", "json-ld"])
def test_a_record_comes_back_the_same(form: Format) -> None:
    record = full()
    (back,) = read(write(graph((record,), BASE), form), BASE, form)
    assert back == bare(record)


def bare(record: Record) -> Record:
    """The record without what the standard does not carry."""
    assert NOT_CARRIED == ("approvers", "delay", "profile")
    tables = tuple(
        table.model_copy(update={"variables": tuple(v.model_copy(update={"profile": None}) for v in table.variables)})
        for table in record.tables
    )
    usual = Record(identifier="a")
    return record.model_copy(update={"tables": tables, "delay": usual.delay, "approvers": usual.approvers})


def test_an_empty_draft_comes_back_too() -> None:
    draft = Record(identifier="leeds/draft")
    assert read(write(graph((draft,), BASE)), BASE) == (draft,)


@pytest.mark.parametrize("form", ["turtle", "json-ld"])
def test_the_same_records_are_the_same_text(form: Format) -> None:
    records = (full(), full("york/trial"))
    assert write(graph(records, BASE), form) == write(graph(records[::-1], BASE), form)
    assert [record.identifier for record in read(write(graph(records, BASE), form), BASE, form)] == [
        "leeds/trial", "york/trial",
    ]  # fmt: skip


def test_the_catalogue_names_its_data_sets_and_json_ld_says_the_same_as_turtle() -> None:
    records = (full(), full("york/trial"))
    made = catalogue(records, BASE, title="North", description="All.", publisher=full().custodian)
    assert set(made.objects(URIRef(BASE), DCAT.dataset)) == {URIRef(BASE + r.identifier) for r in records}
    assert (URIRef(BASE), RDF.type, DCAT.Catalog) in made
    assert list(made.objects(URIRef(BASE), DCATAP.applicableLegislation))
    again = Graph().parse(data=write(made, "json-ld"), format="json-ld")
    assert set(again) == set(made)
    assert (URIRef(BASE + "leeds/trial"), HEALTH.hdab, URIRef(BASE + "leeds/trial#hdab")) in again


def test_what_cannot_be_read_is_said_and_nothing_is_fetched() -> None:
    with pytest.raises(DataError, match="could not be read as turtle"):
        read("<a> <b", BASE)
    elsewhere = json.dumps({"@context": "http://127.0.0.1:9/context", "@graph": []})
    with pytest.raises(DataError, match="names one elsewhere"):
        read(elsewhere, BASE, "json-ld")
    with pytest.raises(DataError, match="not one of this catalogue"):
        read(write(graph((full(),), BASE)), "https://other.example/")
    broken = write(graph((full(),), BASE)).replace('"asthma, COPD"', '""')
    with pytest.raises(DataError, match="has to name the disease"):
        read(broken, BASE)
