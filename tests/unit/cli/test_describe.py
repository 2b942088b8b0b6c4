"""`civicgrid node describe`: what a site's own staff see and get, and what it says when it cannot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from civicgrid.catalogue.record import Record, missing
from civicgrid.cli.describe import shown
from civicgrid.curation.store import Store
from civicgrid.node.home import Home
from civicgrid.node.profiles import Profile
from unit.catalogue.samples import full
from unit.cli.test_commands import fails, run
from unit.node.sites import described, frame

KEY = "ed25519:" + "A" * 43


@pytest.fixture
def home(tmp_path: Path) -> Home:
    from civicgrid.trust.keys import SigningKey

    run(
        "node", "init", tmp_path / "node", "--site", "leeds", "--organisation", "Leeds Trust", "--network", "north",
        "--hub", "http://127.0.0.1:9", "--hub-key", SigningKey.generate().public,
    )  # fmt: skip
    made = Home(tmp_path / "node")
    people = frame(300)
    with Store(made.data) as store:
        store.load_table("trial", people, described(people))
    return made


def test_the_profile_is_shown_and_the_draft_says_what_it_lacks(home: Home, tmp_path: Path) -> None:
    said = run("node", "describe", home.path, "--out", tmp_path / "draft.json")
    assert "trial: about 300 people" in said and "fewer than 10" in said and "female 150" in said
    assert "Nothing has been sent." in said and "- Title: What people call the data set." in said
    draft = Record.from_bytes((tmp_path / "draft.json").read_bytes())
    assert (draft.identifier, draft.people, draft.model) == ("leeds/trial", 300, "local")
    age = next(each for each in draft.variables() if each.name == "age")
    assert age.datatype == "integer" and age.profile is not None and age.profile.bins
    assert draft.refreshed == age.profile.as_of


def test_what_people_wrote_stays_and_only_the_data_change(home: Home, tmp_path: Path) -> None:
    record = tmp_path / "record.json"
    record.write_bytes(full().canonical())
    run("node", "describe", home.path, "--dataset", "trial", "--record", record, "--out", record)
    found = Record.from_bytes(record.read_bytes())
    assert found.title == full().title and found.conditions == full().conditions
    assert found.people == 300
    age = next(each for each in found.variables() if each.name == "age")
    assert age.description == "Age at diagnosis in years.", "as in the record so far"
    assert age.profile is not None and age.profile.people == 300
    assert [each.name for each in found.variables()] == ["age", "sex", "died"]
    assert len(missing(found)) == 1 and "have no description, beginning with died" in missing(found)[0]
    assert json.loads(record.read_text("utf-8"))["kind"] == "record"


def test_to_tell_everything_anew_is_asked_first(home: Home) -> None:
    assert "can subtract" in run("node", "describe", home.path, "--anew", "--yes")
    from typer.testing import CliRunner

    from civicgrid.cli import app

    assert CliRunner().invoke(app, ["node", "describe", str(home.path), "--anew"], input="n\n").exit_code == 1


def test_what_it_cannot_do_it_says(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = fails(monkeypatch, capsys, "node", "describe", home.path, "--dataset", "other")
    assert "no data set 'other'" in said.err
    said = fails(monkeypatch, capsys, "node", "describe", home.path, "--record", tmp_path / "none.json")
    assert "cannot be read" in said.err
    (tmp_path / "bad.json").write_text("{}")
    said = fails(monkeypatch, capsys, "node", "describe", home.path, "--record", tmp_path / "bad.json")
    assert "does not hold" in said.err
    people = frame(300)
    with Store(home.data) as store:
        store.load_table("second", people, described(people))
    said = fails(monkeypatch, capsys, "node", "describe", home.path)
    assert "--dataset second or trial" in said.err or "--dataset trial or second" in said.err


def test_what_is_withheld_is_in_the_table() -> None:
    import datetime as dt

    drawn = shown(Profile("trial", dt.date(2026, 1, 1), None, {}, (), (), ("age",)))
    assert drawn.row_count == 1 and "hidden" in str(drawn.title)
