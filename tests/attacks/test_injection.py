"""Names and values made to be read as something else: as SQL, as a path, as markup. They stay what they are."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import civicgrid as cg
from civicgrid.config import NodeSettings
from civicgrid.disclosure.codes import Code
from civicgrid.errors import CivicGridError, DataError, PlanError
from civicgrid.methods.method import Ask
from civicgrid.methods.plan import bind
from civicgrid.node.home import Home
from civicgrid.present.report import Section, report
from civicgrid.query.types import INT, Schema, category
from civicgrid.trust.envelope import Envelope
from civicgrid.wire import STUDY, Finish, Prepare, SiteOutcome, StudyRequest
from unit.node.sites import NETWORK, World, code, frame

SQL = (
    "'; DROP TABLE records; --",
    '"; DROP TABLE records; --',
    "x' OR '1'='1",
    'x" OR "1"="1',
    "1); ATTACH 'x.db'; --",
    "* FROM records; --",
    "$1",
    "?",
    "{name}",
    "%s",
    "\\'; --",
    "/* x */",
    "Ünïcode ☃ 中",
    "a.b",
    'a""b',
    "read_csv('/etc/passwd')",
)
HTML = '<script>alert(1)</script><img src=x onerror=alert(2)>"\'&'
PATHS = ("../x", "/etc/passwd", "..", "a/b", "a\\b", "~", ".", "-", "", "a\0b", "%2e%2e%2f", "CON", "a b", "A")


# --- SQL -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SQL)
def test_a_column_by_any_name_is_a_column(name: str) -> None:
    held = pd.DataFrame({name: [float(i) for i in range(40)], "age": range(40)})
    grid = cg.simulate({"a": held}, policy=cg.Policy.open())
    column = grid.dataset("data")[grid.dictionaries()["data"].names[0]]
    kept = grid.run(cg.Count(cg.cohort(column >= 30)))
    assert kept.to_pandas()["people"].item() == 10
    assert grid.run(cg.Count(cg.dataset("data"))).to_pandas()["people"].item() == 40


def test_levels_by_any_name_are_levels() -> None:
    levels = [*SQL, HTML, "=HYPERLINK(\"http://x\")"]
    held = pd.DataFrame({"group": [level for number, level in enumerate(levels) for _ in range(number + 1)]})
    held["half"] = ["yes" if i % 2 else "no" for i in range(len(held))]
    grid = cg.simulate({"a": held}, policy=cg.Policy.open())
    table = grid.run(cg.Crosstab(cg.dataset("data"), rows="group", columns="half")).to_pandas().set_index("group")
    for number, level in enumerate(levels):
        assert table.loc[level, "total"] == number + 1
    group = grid.dataset("data")["group"]
    for number, level in enumerate(levels):
        assert grid.run(cg.Count(cg.cohort(group == level))).to_pandas()["people"].item() == number + 1


@pytest.mark.parametrize("name", (*SQL, HTML))
def test_a_method_takes_no_column_by_such_a_name(name: str) -> None:
    with pytest.raises(PlanError, match="Expected a column name"):
        bind("trial", {"it": cg.Describe(columns=[name])}, {"trial": Schema.of({name: INT})})


@pytest.mark.parametrize("name", (*SQL, *PATHS, "main", "system", "information_schema"))
def test_a_data_set_by_such_a_name_is_not_loaded(name: str) -> None:
    with pytest.raises(CivicGridError):
        cg.simulate({"a": frame(40)}, dataset=name)


@pytest.fixture(scope="module")
def at() -> World:
    return World({site: frame(size) for site, size in (("hull", 60), ("leeds", 50), ("york", 40))})


@pytest.mark.parametrize("name", (*SQL, *PATHS, "main", "records", "trial; drop"))
def test_a_study_for_a_data_set_by_such_a_name_touches_nothing(name: str, at: World) -> None:
    """The plan as the wire brings it, past everything that the client checks; and a permit that allows even that."""
    at.trust["york"].own_permits.append(at.permit("york", datasets=(name,)))
    honest = at.request(at.plan(cg.Count(cg.dataset("trial")))).to_data()
    text = json.dumps(honest).replace('"trial"', json.dumps(name))
    study = Envelope.sign(STUDY, text.encode(), at.person)
    try:
        request = StudyRequest.from_bytes(text)
    except CivicGridError:
        request = at.request(at.plan(cg.Count(cg.dataset("trial"))))
    task = at.task(
        Prepare(network=NETWORK, run=request.digest(), study=study, roster=at.roster(request, list(at.sites)))
    )
    assert code(at.tell("york", task)[0]) in (Code.NO_DATA, Code.NOT_UNDERSTOOD)
    result = at.run(at.plan(cg.Count(cg.dataset("trial"))))
    assert result.analyses[0].output is not None
    assert result.analyses[0].output.tables[0].rows == ((150,),)


def test_a_plan_s_column_and_levels_from_the_wire_are_quoted_too() -> None:
    at = World({"hull": frame(60), "leeds": frame(50), "york": frame(40)})
    for evil in SQL:
        trial = cg.dataset("trial", Schema.of({evil: category(evil, "x")}))
        replies = at.enrol(at.request(at.plan(cg.Count(cg.cohort(trial[evil] == evil)))), list(at.sites)).replies
        assert {code(reply) for reply in replies.values()} == {Code.NO_DATA}
        known = at.sites["hull"].data.holdings()[0].dictionary
        assert known is not None
        plan = at.plan(cg.Count(cg.cohort(cg.dataset("trial", known)["sex"].is_in(["male"]))), title=evil)
        enrolled = at.enrol(at.request(plan), list(at.sites))
        assert {code(reply) for reply in enrolled.replies.values()} == {None}
        assert code(at.tell("york", at.round(enrolled, Ask("count")))[0]) is None
    result = at.run(at.plan(cg.Count(cg.dataset("trial"))))
    assert result.analyses[0].output is not None


# --- paths -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PATHS)
def test_a_site_or_network_by_the_name_of_a_path_is_none(name: str) -> None:
    for fields in ({"site": name}, {"network": name}):
        with pytest.raises(ValueError, match="String should match pattern"):
            NodeSettings(**{"network": "n", "site": "s", "organisation": "O", "hub": "h", "hub_key": "k"} | fields)
    with pytest.raises(ValueError, match="String should match pattern"):
        Finish(network=name, run="0" * 64)
    with pytest.raises(ValueError, match="String should match pattern"):
        SiteOutcome(site=name, status="offline")
    with pytest.raises(ValueError, match="String should match pattern"):
        Finish(network="n", run=name)


@pytest.mark.parametrize("project", (*PATHS[:-1], *SQL, HTML))
def test_a_permit_for_a_project_by_any_name_stays_in_its_folder(tmp_path: Path, project: str) -> None:
    at = World({"york": frame(40)})
    home = Home(tmp_path / "node")
    home.create(NodeSettings(network=NETWORK, site="york", organisation="O", hub="http://127.0.0.1:1", hub_key="k"))
    home.add_custodian(at.custodian.public, "Cass")
    before = {path for path in tmp_path.rglob("*") if path.parent.name != "permits"}
    path = home.add_permit(at.permit("york", project=project)[1].signed(at.custodian))
    assert path.parent == tmp_path / "node" / "permits"
    assert {other for other in tmp_path.rglob("*") if other.parent.name != "permits"} == before
    assert [permit.project for _, permit in home.permits()] == [project]


def test_a_file_named_as_a_path_of_another_kind_is_no_data() -> None:
    far = ("http://hub.example/x.csv", "s3://bucket/x.parquet", "*.csv")
    for source in ("/etc/passwd", "/dev/zero", "/proc/self/environ", *far):
        with pytest.raises((DataError, PlanError)):
            cg.simulate({"a": source})


# --- markup ----------------------------------------------------------------------------------------------------------


class Elements(HTMLParser):
    """The names of a page's elements, and its attributes that act."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.found |= {tag} | {name for name, _ in attrs if name.startswith("on")}


def test_names_from_data_are_text_on_every_page() -> None:
    size = 360
    held = pd.DataFrame(
        {
            "group": [HTML if i % 2 else f"b{HTML}" for i in range(size)],
            "half": [HTML if (i // 2) % 2 else "no" for i in range(size)],
            "age": [float(i % 70) for i in range(size)],
        }
    )
    grid = cg.simulate({"a": held, "b": held, "c": held})
    answer = grid.run(
        cg.study(
            cg.dataset("data"),
            title=HTML,
            table1=cg.Describe(columns=["age", "half"], by="group"),
            crossed=cg.Crosstab(rows="group", columns="half"),
            fit=cg.GLM(outcome="age", predictors=["group", "half"], family="gaussian"),
        )
    )
    assert not [result.failure for result in answer.values() if result.failure]
    assert "alert(1)" in answer._repr_html_()
    sections = [
        Section(name, answer.plan.methods[name].explain(answer.plan.schema), r.output, r.failure, r.mode, r.sites)
        for name, r in answer.items()
    ]
    page = report(title=HTML, explanation=answer.explain(), plan="x", sections=sections, seconds=answer.seconds)
    for shown in (answer._repr_html_(), page):
        assert not {"script", "img", "onerror"} & Elements(shown).found
