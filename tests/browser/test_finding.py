"""What anybody can find: the public register in sentences, and the catalogue of data sets, which custodians fill."""

from __future__ import annotations

import html
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import Browser

from civicgrid.catalogue.healthdcat import read
from civicgrid.governance.register import KINDS, Use
from civicgrid.hub.pages import register
from unit.catalogue.samples import full
from unit.hub.serving import Served

from .test_accessibility import AXE, findings
from .world import furnish, service, signed_in

pytestmark = pytest.mark.xdist_group("pages")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with service(tmp_path_factory.mktemp("finding"), furnish) as running:
        yield running


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with service(tmp_path_factory.mktemp("empty"), None) as running:
        yield running


def get(hub: Served, path: str) -> str:
    answer = hub.client.get(hub.address + path)
    assert answer.status_code == 200, (path, answer.text)
    return answer.text


# --- the register ------------------------------------------------------------------------------------------------------


def test_every_kind_of_entry_and_every_field_has_its_words() -> None:
    assert set(register.KINDS) == set(KINDS)
    named = {name for kind in (*KINDS.values(), Use) for name in kind.model_fields} - {"kind", "use"}
    assert set(register.LABELS) == named


def test_the_register_is_read_page_by_page_and_every_entry_is_there_once(hub: Served) -> None:
    path, seen = "/register", []
    while path:
        page = get(hub, path)
        seen += [int(number) for number in re.findall(r'href="/register/entry/(\d+)"', page)]
        older = re.search(r'rel="next" href="([^"]+)"', page)
        path = older.group(1).replace("&amp;", "&") if older else ""
    assert seen == list(range(hub.client.get(f"{hub.address}/register/log").json()["size"] - 1, -1, -1))
    assert 'rel="prev" href="/register"' in page


def test_the_register_is_searched_by_words_kind_site_and_project(hub: Served) -> None:
    for query, there, away in (
        ("kind=decision&site=york", "York Hospital said no", "The citizen panel"),
        ("q=asthma+dirty&kind=result", "told what it found", "changed its request"),
        ("kind=rule", "Panels have 12 members", "Project P-7"),
        ("project=P-404", "No entry fits", "Project P-7 told"),
    ):
        page = get(hub, f"/register?{query}")
        assert there in page and away not in page, query
    for odd in ("before=x", "before=99999999999999999999", "before=-1", "before=0", "kind=%00", "project=%00", "q=%F0%9F"):
        get(hub, f"/register?{odd}")


def test_an_entry_tells_its_facts_and_how_to_check_it(hub: Served) -> None:
    page = get(hub, "/register/entry/0")
    for words in ("The University of York asked to use health data", "Towns could plan safer roads", "The Lung Fund"):
        assert words in page
    assert "a person whose name was taken away" in page, "no name is behind this commitment"
    for path in re.findall(r'href="(/register/(?:proof|entries)[^"]+)"', page):
        assert json.loads(get(hub, path.replace("&amp;", "&")))["index"] == 0
    for wrong in ("99999", "x", "-1", "٣"):
        answer = hub.client.get(f"{hub.address}/register/entry/{wrong}")
        assert answer.status_code == 404 and "entry" in answer.text


def test_a_project_tells_everything_in_order(hub: Served) -> None:
    page = get(hub, "/register/project/P-7")
    found = [page.index(words) for words in ("asked to use", "voted for it", "The plan reads too much", "kept a promise")]
    assert found == sorted(found)
    assert "Said yes: Leeds." in page and "Said no: York Hospital." in page
    assert hub.client.get(f"{hub.address}/register/project/P-404").status_code == 404


def test_a_site_tells_which_studies_used_its_data_for_what_who_said_yes_and_what_was_learnt(hub: Served) -> None:
    leeds, york = get(hub, "/register/site/leeds"), get(hub, "/register/site/york")
    for words in ("Asthma and air in towns", "Towns could plan safer roads", "More visits"):
        assert words in leeds
    assert "Leeds (citizen panel) said yes" in leeds
    assert "York Hospital said no" in york and "York Hospital said no" not in leeds
    assert hub.client.get(f"{hub.address}/register/site/nowhere").status_code == 404


def test_how_to_check_gives_the_checkpoint_that_programs_get(hub: Served) -> None:
    note, page = get(hub, "/register/checkpoint"), html.unescape(get(hub, "/register/check"))
    assert f"civicgrid register verify {hub.address}" in page and note in page


def test_the_feed_leads_to_the_pages_of_entries(hub: Served) -> None:
    feed, atom = ET.fromstring(get(hub, "/register/feed.atom?kind=rule")), "{http://www.w3.org/2005/Atom}"
    (found,) = feed.findall(f"{atom}entry")
    link = found.find(f"{atom}link")
    assert link is not None and found.findtext(f"{atom}title") in get(hub, link.attrib["href"].removeprefix(hub.address))


def test_an_empty_service_says_what_comes_next(empty: Served) -> None:
    assert "The first entry comes when somebody asks to use data" in get(empty, "/register")
    assert "No study has been let use the data here yet" in get(empty, "/register/site/leeds")
    assert "No data set has been published yet" in get(empty, "/catalogue")
    assert "No site has signed yet" in get(empty, "/register/check")


def test_what_is_found_and_what_is_not_is_accessible(browser: Browser, hub: Served, empty: Served) -> None:
    narrowed = ["/register?q=zzzz", "/register?kind=decision&site=york", "/register?before=20", "/catalogue?q=zzzz"]
    assert findings(browser, hub, [*narrowed, "/catalogue?q=data&custodian=Leeds+Trust", "/catalogue/york/visits"]) == []
    assert findings(browser, empty, ["/register", "/register/site/leeds", "/register/check", "/catalogue"]) == []


# --- the catalogue -----------------------------------------------------------------------------------------------------


def test_data_sets_are_found_by_words_and_narrowed_down(hub: Served) -> None:
    for query, there, away in (
        ("q=emerg", "Visits to York", "Asthma registry"),
        ("custodian=Leeds+Trust", "Asthma registry", "Visits to York’s emergency department"),
        ("model=OMOP&model=local", "Asthma registry", "No data set fits"),
        ("q=nothing+of+this", "No data set fits", "Asthma registry"),
        ("page=9", "No data set fits", "Asthma registry"),
    ):
        page = get(hub, f"/catalogue?{query}")
        assert there in page and away not in page, query
    page = get(hub, "/catalogue?q=data&custodian=Leeds+Trust")
    assert 'href="/catalogue?q=data"' in page, "what is chosen can be let go of"


def test_a_record_says_who_decides_and_what_for(hub: Served) -> None:
    page = get(hub, "/catalogue/leeds/trial")
    for words in (
        "a citizen panel", "Only research into this may use it: asthma, COPD", "about 12,340", "20 November 2026",
        "No study has used it yet, so nothing has been learnt from it.", "40 (0.3%)",
    ):  # fmt: skip
        assert words in page
    assert "too few to show" in get(hub, "/catalogue/leeds/trial/variable/1")
    for wrong in ("/catalogue/leeds/nothing", "/catalogue/leeds/trial/variable/9", "/catalogue/leeds/trial/plot/1",
                  "/catalogue/leeds/trial/download/x"):  # fmt: skip
        assert hub.client.get(hub.address + wrong).status_code == 404
    csv = get(hub, "/catalogue/leeds/trial?format=csv")
    assert csv.splitlines()[0].startswith("Name,What it means,Type")


def test_a_figure_is_a_picture_of_its_own_that_runs_nothing(hub: Served) -> None:
    answer = hub.client.get(f"{hub.address}/catalogue/leeds/trial/plot/0")
    assert answer.headers["content-type"].startswith("image/svg+xml")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert ET.fromstring(answer.text).findtext("{http://www.w3.org/2000/svg}title") == "Age: how many people"


def test_the_record_is_given_in_each_standard(hub: Served) -> None:
    base, here = f"{hub.address}/catalogue/", "/catalogue/leeds/trial/download"
    turtle, linked = get(hub, f"{here}/healthdcat.ttl"), get(hub, f"{here}/healthdcat.jsonld")
    assert read(turtle, base)[0].title == full().title
    assert read(linked, base, "json-ld") == read(turtle, base)
    assert json.loads(get(hub, f"{here}/hdruk.json"))["summary"]["title"] == full().title


def publish(client: httpx2.Client, record: str) -> httpx2.Response:
    page = client.get("/catalogue/publish").text
    token = page.split('name="csrf" value="')[1].split('"')[0]
    return client.post("/catalogue/publish", data={"csrf": token}, files={"file": ("record.json", record.encode())})


def test_a_custodian_publishes_replaces_and_withdraws(hub: Served, tmp_path: Path) -> None:
    client = signed_in(hub, "a-custodian")
    lacking = publish(client, '{"kind":"record","identifier":"leeds/hearts","title":"Hearts of <i>Leeds</i>"}')
    assert lacking.status_code == 422 and "Purposes allowed" in lacking.text and "Summary: What it is" in lacking.text
    assert "not a record of a data set" in publish(client, "{}").text
    assert "Choose the file" in publish(client, "").text
    record = full("leeds/hearts").model_copy(update={"title": "Hearts of <i>Leeds</i>"})
    made = publish(client, record.canonical().decode())
    assert made.status_code == 303 and made.headers["location"] == "/catalogue/leeds/hearts"
    assert "Hearts of &lt;i&gt;Leeds" in get(hub, "/catalogue?q=hearts")
    other = publish(client, full("york/hearts").canonical().decode())
    assert other.status_code == 422 and "may not publish a data set of york" in other.text
    publish(client, record.model_copy(update={"title": "Hearts anew"}).canonical().decode())
    assert "Hearts anew" in get(hub, "/catalogue/leeds/hearts")
    page = client.get("/catalogue/leeds/hearts/withdraw").text
    token = page.split('name="csrf" value="')[1].split('"')[0]
    assert client.post("/catalogue/leeds/hearts/withdraw", data={"csrf": token}).status_code == 303
    assert "Hearts anew" not in get(hub, "/catalogue?q=hearts")
    assert hub.client.get(f"{hub.address}/catalogue/leeds/hearts").status_code == 404


def test_a_file_that_lacks_something_is_told_so_accessibly(browser: Browser, hub: Served, tmp_path: Path) -> None:
    half = tmp_path / "record.json"
    half.write_text('{"kind":"record","identifier":"leeds/hearts"}')
    context = browser.new_context(bypass_csp=True)
    cookies = signed_in(hub, "a-custodian").cookies
    context.add_cookies([{"name": each, "value": value, "url": hub.address} for each, value in cookies.items()])
    view = context.new_page()
    view.goto(f"{hub.address}/catalogue/publish")
    view.get_by_label("The record (a JSON file)").set_input_files(half)
    view.get_by_role("button", name="Publish").click()
    assert view.title().startswith("Error: ")
    view.get_by_role("link", name="Title: What people call the data set.").click()
    assert view.evaluate("document.activeElement.id") == "file"
    view.evaluate(AXE)
    assert [each["id"] for each in view.evaluate("axe.run()")["violations"]] == []
    context.close()
