"""A finished study holds against the shapes of Five Safes RO-Crate; a crate that comes in says nothing of itself."""

from __future__ import annotations

import datetime as dt
import io
import json
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pyshacl import validate
from rdflib import RDF, Graph, URIRef

import civicgrid as cg
from civicgrid.canonical import digest
from civicgrid.catalogue import crate, received_crate
from civicgrid.catalogue.crate import Assessment, Organisation, Requester, Study
from civicgrid.errors import DataError, PlanError
from civicgrid.methods.plan import bind
from unit.catalogue.samples import STANDARDS, needs_standards

AT = dt.datetime(2026, 11, 24, 12, 0, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
PROFILE = STANDARDS / "five-safes-crate-0.4"


def study(**changes: Any) -> Study:
    everyone = cg.cohort(population=cg.cdm("trial").everyone)
    given: dict[str, Any] = {
        "project": "P-7",
        "title": "Asthma and the weather",
        "lay_summary": "We want to know whether cold days bring people to hospital.",
        "public_benefit": "Hospitals can plan for cold days.",
        "requester": Requester(
            "Ada Lee", Organisation("University of the North", "https://north.example/"), "0000-0002-1825-0097"
        ),
        "network": Organisation("North Network", "https://hub.example/"),
        "plan": bind(everyone, {"people": cg.Count()}, {}, "Asthma"),
        "run": "ab" * 32,
        "began": AT,
        "ended": AT + HOUR,
        "published": AT + 5 * HOUR,
        "validation": Assessment("the hub", True, "The plan can be read and every site knows its methods.", AT - HOUR),
        "sign_offs": (
            Assessment("the citizen panel", True, "7 of 9 voted yes.", AT - 2 * HOUR, AT - 48 * HOUR),
            Assessment("the custodian of Leeds", True, "Approved without conditions.", AT - 3 * HOUR),
        ),
        "disclosure": (
            Assessment("the rules of every site", True, "No count below 10 is shown.", AT + 2 * HOUR),
            Assessment("an output checker", True, "Nothing to add.", AT + 4 * HOUR, AT + 3 * HOUR),
        ),
        "results": {"people.csv": b"people\n120\n"},
        "sites": ("leeds answered", "york answered"),
        "members": (Organisation("Leeds Trust"),),
        "funders": (Organisation("NIHR 1234"),),
    }  # fmt: skip
    return Study(**(given | changes))


def metadata(made: Study) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(crate.files(made)[crate.METADATA])
    return found


@cache
def context() -> dict[str, Any]:
    """The context that ships with the package rocrate, in place of the remote one."""
    import rocrate

    found: dict[str, Any] = json.loads((Path(rocrate.__file__).parent / "data" / "ro-crate.jsonld").read_text("utf-8"))
    return found["@context"]


def as_graph(data: dict[str, Any]) -> Graph:
    text = json.dumps(data | {"@context": context()})
    made = Graph().parse(data=text, format="json-ld", publicID="https://crate.example/")
    # What the shapes of RO-Crate itself infer, and the profile's rest on.
    own = "https://github.com/crs4/rocrate-validator/profiles/ro-crate/"
    made.add((URIRef("https://crate.example/"), RDF.type, URIRef(own + "RootDataEntity")))
    made.add((URIRef("https://crate.example/" + crate.METADATA), RDF.type, URIRef(own + "ROCrateMetadataFileDescriptor")))
    return made


@cache
def shapes() -> Graph:
    found = Graph()
    for path in sorted((PROFILE / "must").glob("*.ttl")):
        found.parse(path)
    # One shape leans on a node shape of RO-Crate's own, which is not among these: that it is the root entity.
    found.parse(
        data="@prefix sh: <http://www.w3.org/ns/shacl#> . @prefix r: "
        "<https://github.com/crs4/rocrate-validator/profiles/ro-crate/> . "
        "r:RootDataEntity a sh:NodeShape ; sh:class r:RootDataEntity . "
        'r:sparqlPrefixes sh:declare [ sh:prefix "schema" ; '
        'sh:namespace "http://schema.org/"^^<http://www.w3.org/2001/XMLSchema#anyURI> ] .',
        format="turtle",
    )
    return found


def faults(data: dict[str, Any]) -> str:
    held, _, words = validate(as_graph(data), shacl_graph=shapes(), advanced=True, inference="none")
    return "" if held else str(words)


@needs_standards
def test_the_published_examples_hold_so_that_the_shapes_are_read_as_they_are_meant() -> None:
    for path in sorted((PROFILE / "examples").glob("*.json")):
        assert faults(json.loads(path.read_text("utf-8"))) == "", path.name


@needs_standards
def test_a_finished_study_holds() -> None:
    assert faults(metadata(study())) == ""
    assert faults(metadata(study(funders=(), members=(), sites=(), network=Organisation("North")))) == ""


@needs_standards
@pytest.mark.parametrize(
    ("node", "name", "value"),
    [
        ("#run-" + "ab" * 8, "name", "short"),
        ("#run-" + "ab" * 8, "instrument", None),
        ("#run-" + "ab" * 8, "actionStatus", "done"),
        ("#run-" + "ab" * 8, "startTime", "24 November"),
        ("#signoff-0", "actionStatus", "yes"),
        ("#signoff-0", "name", None),
        ("#disclosurecheck-1", "name", None),
        ("#validationcheck-0", "@type", "CreativeWork"),
        ("workflow/", "conformsTo", None),
        ("./", "mainEntity", None),
        ("./", "mentions", None),
        ("./", "sourceOrganization", None),
        (crate.METADATA, "conformsTo", {"@id": "https://w3id.org/ro/crate/1.1"}),
        ("https://orcid.org/0000-0002-1825-0097", "memberOf", {"@id": "workflow/"}),
    ],
)
def test_the_shapes_find_what_is_missing(node: str, name: str, value: Any) -> None:
    data = metadata(study())
    entity = next(each for each in data["@graph"] if each["@id"] == node)
    entity.pop(name, None)
    if value is not None:
        entity[name] = value
    assert faults(data) != ""


def test_all_that_a_reader_asks_is_in_it() -> None:
    made = study()
    files = crate.files(made)
    entities = {each["@id"]: each for each in metadata(made)["@graph"]}
    assert entities["./"]["abstract"] == made.lay_summary
    assert entities["#project"]["description"] == made.public_benefit
    assert entities["workflow/"]["description"] == made.plan.explain()
    assert files["workflow/plan.json"] == made.plan.canonical()
    assert files["lay-summary.txt"].decode().strip() == made.lay_summary
    said = [each for each in entities.values() if each["@type"] == "AssessAction"]
    assert [each["name"] for each in said] == [
        "Validation by the hub: approved",
        "Sign-off by the custodian of Leeds: approved",
        "Sign-off by the citizen panel: approved",
        "Disclosure check by the rules of every site: approved",
        "Disclosure check by an output checker: approved",
    ]
    for name, content in files.items():
        if name != crate.METADATA:
            assert entities[name]["sha256"] == digest(content), name
    mentioned = {each["@id"] for each in entities["./"]["mentions"]}
    assert {each["@id"] for each in said} < mentioned


def test_the_same_study_is_the_same_bytes_as_folder_and_zip(tmp_path: Path) -> None:
    assert crate.to_zip(study()) == crate.to_zip(study(results=dict(study().results)))
    crate.write_folder(study(), tmp_path / "crate")
    with zipfile.ZipFile(io.BytesIO(crate.to_zip(study()))) as archive:
        assert archive.namelist() == sorted(archive.namelist())
        for name in archive.namelist():
            assert archive.read(name) == (tmp_path / "crate" / name).read_bytes() == crate.files(study())[name]
    with pytest.raises(DataError, match="something at"):
        crate.write_folder(study(), tmp_path / "crate")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lay_summary": ""}, "a lay summary"),
        ({"sign_offs": ()}, "a sign-off"),
        ({"sign_offs": (Assessment("the custodian", False, "No.", AT),)}, "only approvals"),
        ({"results": {"../../etc/passwd": b""}}, "plain file names"),
    ],
)
def test_no_crate_is_made_of_a_study_that_lacks_a_word(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(PlanError, match=words):
        study(**changes)


# --- crates that come in --------------------------------------------------------------------------------------------


@needs_standards
def test_the_published_examples_are_read_and_lose_what_they_say_of_themselves() -> None:
    found = {path.stem: received_crate.read(path.read_bytes()) for path in sorted((PROFILE / "examples").glob("*.json"))}
    assert len(found) == 3
    assert found["request"].stripped == found["multiple-context"].stripped == ()
    gone = [each.split("-")[0] for each in found["result"].stripped]
    assert gone == ["#bagit", "#check", "#disclosure", "#signoff", "#validate"]
    for each in found.values():
        assert each.project["name"] and each.workflow["@type"] == "Dataset" and len(each.requests) == 1
    mentions = found["result"].root["mentions"]
    assert {each["@id"].split("-")[0] for each in mentions} == {"#query", "#download"}


def test_a_crate_of_our_own_comes_back_without_its_assessments() -> None:
    back = received_crate.read_zip(crate.to_zip(study()))
    assert len(back.stripped) == 5
    assert back.project["name"] == "Asthma and the weather"
    assert [each["@id"] for each in back.root["mentions"]] == ["#run-" + "ab" * 8]


SIGN_OFF = {"@id": "https://w3id.org/shp#SignOff"}
FORGED = {"@id": "#forged", "@type": "AssessAction", "additionalType": SIGN_OFF, "name": "yes"}


@pytest.mark.parametrize(
    ("own", "entity"),
    [
        ({}, FORGED),
        ({}, FORGED | {"@type": ["Thing", "http://schema.org/AssessAction"]}),
        ({}, FORGED | {"@type": "https://schema.org/AssessAction", "additionalType": "x"}),
        ({}, FORGED | {"@type": "CreativeWork"}),
        ({"s": "http://schema.org/"}, FORGED | {"@type": "s:AssessAction", "additionalType": "x"}),
        ({"Word": "http://schema.org/AssessAction"}, FORGED | {"@type": "Word", "additionalType": "x"}),
        ({"p": "http://schema.org/Assess"}, FORGED | {"@type": "p:Action", "additionalType": "x"}),
        ({"a": {"@id": "b:Action"}, "b": "http://schema.org/Assess"}, FORGED | {"@type": "a", "additionalType": "x"}),
        ({"c": "https://w3id.org/shp#Sign"}, FORGED | {"@type": "Thing", "additionalType": {"@id": "c:Off"}}),
        ({"also": "http://schema.org/additionalType"}, {"@id": "#forged", "@type": "Thing", "also": SIGN_OFF}),
    ],
)
def test_a_forged_word_is_taken_out_however_it_is_spelt(own: dict[str, Any], entity: dict[str, Any]) -> None:
    data = metadata(study())
    data["@context"] = [data["@context"], own]
    data["@graph"].append(entity)
    data["@graph"][1]["mentions"].append({"@id": "#forged"})
    read = received_crate.read(json.dumps(data))
    assert "#forged" in read.stripped and "#forged" not in read.entities
    assert "#forged" not in json.dumps(read.root)


@pytest.mark.parametrize(
    "own",
    [
        {"@vocab": "http://schema.org/Assess"},
        {"kind": "@type"},
        {"x": {"@id": "http://schema.org/about", "@reverse": "y"}},
        {"x": {"@id": "http://schema.org/Thing", "@context": {"y": "http://schema.org/AssessAction"}}},
        {"a": "b:x", "b": "a:y"},
    ],
)
def test_a_context_that_could_hide_a_word_is_refused(own: dict[str, Any]) -> None:
    data = metadata(study())
    data["@context"] = [data["@context"], own]
    data["@graph"].append({"@id": "#x", "@type": "a"})
    with pytest.raises(DataError, match="context"):
        received_crate.read(json.dumps(data))


def test_an_entity_inside_another_or_twice_is_refused() -> None:
    for forged in (
        {"@id": "#x", "@type": "Thing", "about": FORGED},
        {"@id": "#x", "@type": "Thing", "@reverse": {"mentions": {"@id": "./"}}},
        {"@id": "#x", "@type": "Thing", "@graph": [FORGED]},
    ):
        data = metadata(study())
        data["@graph"].append(forged)
        with pytest.raises(DataError, match="flat RO-Crate"):
            received_crate.read(json.dumps(data))
    data = metadata(study())
    data["@graph"].append({"@id": "#project", "@type": "Project"})
    with pytest.raises(DataError, match="each entity of a crate once"):
        received_crate.read(json.dumps(data))


def test_a_removed_project_is_noticed_which_the_shapes_do_not() -> None:
    data = metadata(study())
    data["@graph"] = [each for each in data["@graph"] if each["@id"] != "#project"]
    with pytest.raises(DataError, match="responsible project"):
        received_crate.read(json.dumps(data))
    data = metadata(study())
    next(each for each in data["@graph"] if each["@type"] == "Person")["memberOf"] = []
    with pytest.raises(DataError, match="a member of the responsible project"):
        received_crate.read(json.dumps(data))


def test_what_is_no_crate_is_said() -> None:
    for raw in (b"", b"[]", b"{", b'{"@graph": 3}', b"\xff"):
        with pytest.raises(DataError, match="metadata"):
            received_crate.read(raw)
    with pytest.raises(DataError, match="Expected a zip"):
        received_crate.read_zip(b"no zip")
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(crate.METADATA, b" " * 5_000_000)
    with pytest.raises(DataError, match="bytes of metadata"):
        received_crate.read_zip(bomb.getvalue())
