"""The command line as a person types it: every help text, every step of setting up a network, errors in a sentence."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
from pyroaring import BitMap
from typer.testing import CliRunner

import civicgrid as cg
from civicgrid import __version__
from civicgrid.cli import app, main
from civicgrid.client.simulate import simulate
from civicgrid.config import HubSettings, read_settings
from civicgrid.disclosure.policy import Policy
from civicgrid.hub.home import HubHome
from civicgrid.hub.journal import Journal
from civicgrid.methods.plan import bind
from civicgrid.node.home import Home
from civicgrid.node.state import State
from civicgrid.trust.keys import SigningKey
from civicgrid.trust.roster import Member
from unit.curation.cdm_files import lines, write
from unit.node.sites import frame

RUNNER = CliRunner()


@dataclass
class Said:
    """What a command printed, and how it ended."""

    out: str
    err: str
    code: int


def run(*arguments: object, input: str | None = None) -> str:
    """A command that should succeed: what it printed."""
    result = RUNNER.invoke(app, [str(argument) for argument in arguments], input=input)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


def fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object) -> Said:
    """A command that should not, by way of the program's own entry point."""
    monkeypatch.setattr(sys, "argv", ["civicgrid", *(str(argument) for argument in arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    printed = capsys.readouterr()
    assert "Traceback" not in printed.out + printed.err
    assert ended.value.code
    return Said(printed.out, printed.err, int(ended.value.code))


# --- help ------------------------------------------------------------------------------------------------------------


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, group
    for name, inner in getattr(group, "commands", {}).items():
        yield from commands(inner, (*path, name))


EVERY = dict(commands(typer.main.get_command(app)))


def test_the_commands_that_are_promised_are_there() -> None:
    wanted = "demo simulate version study/explain study/run hub/init hub/key hub/admit-site hub/admit-person hub/serve "
    wanted += "node/init node/card node/trust node/custodian node/load node/serve node/status "
    wanted += "node/permit/add node/permit/list node/permit/revoke key/create key/show audit/verify "
    wanted += "custodian/draft custodian/review custodian/sign custodian/revoke node/backup node/restore"
    assert set(wanted.split()) <= {"/".join(path) for path in EVERY}


@pytest.mark.parametrize("path", EVERY, ids=" ".join)
def test_each_command_says_what_it_does_and_what_each_argument_is(path: tuple[str, ...]) -> None:
    command = EVERY[path]
    assert command.help
    assert command.help.strip().endswith((".", "!"))
    for parameter in command.params:
        if parameter.name not in ("help", "install_completion", "show_completion"):
            assert getattr(parameter, "help", None), f"{' '.join(path)}: {parameter.name}"
    assert command.help.split(".")[0].split()[0] in run(*path, "--help")


def test_the_version_is_that_of_the_package() -> None:
    assert run("version").strip() == __version__


# --- keys ------------------------------------------------------------------------------------------------------------


def test_a_key_is_made_once_and_shown_as_often_as_one_likes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "me.key"
    public = run("key", "create", path).strip()
    assert run("key", "show", path).splitlines()[0] == public == SigningKey.load(path).public
    assert path.stat().st_mode & 0o077 == 0
    before = path.read_bytes()
    assert "me.key" in fails(monkeypatch, capsys, "key", "create", path).err
    assert path.read_bytes() == before
    assert "civicgrid: " in fails(monkeypatch, capsys, "key", "show", tmp_path / "none.key").err


# --- a network, step by step -----------------------------------------------------------------------------------------


@dataclass
class Laid:
    """A hub and two nodes as the commands lay them out."""

    hub: Path
    nodes: dict[str, Path]
    custodian: Path
    researcher: str


@pytest.fixture
def laid(tmp_path: Path) -> Laid:
    hub_key = run("hub", "init", tmp_path / "hub", "--network", "n").strip()
    assert run("hub", "key", tmp_path / "hub").strip() == hub_key
    custodian = run("key", "create", tmp_path / "custodian.key").strip()
    researcher = run("key", "create", tmp_path / "researcher.key").strip()
    nodes = {}
    for site in ("leeds", "york"):
        folder = nodes[site] = tmp_path / site
        said = run(
            "node", "init", folder, "--site", site, "--organisation", f"{site} [trust]", "--network", "n",
            "--hub", "http://127.0.0.1:8700", "--hub-key", hub_key,
        )  # fmt: skip
        assert "Read its policy.toml" in said
        (tmp_path / f"{site}.json").write_text(run("node", "card", folder))
        run("node", "custodian", folder, "--key", custodian, "--name", "Cass")
    assert "Trusted here: york" in run("node", "trust", nodes["leeds"], tmp_path / "york.json")
    said = run("hub", "admit-site", tmp_path / "hub", tmp_path / "leeds.json", tmp_path / "york.json")
    assert "Admitted york (york [trust])." in said
    run("hub", "admit-person", tmp_path / "hub", "--name", "Ada", "--key", researcher)
    return Laid(tmp_path / "hub", nodes, tmp_path / "custodian.key", researcher)


def test_a_node_s_card_holds_public_keys_alone(laid: Laid) -> None:
    card = json.loads(run("node", "card", laid.nodes["leeds"]))
    assert set(card) == {"site", "organisation", "signing", "exchange"}
    Member.model_validate(card)


def test_data_are_loaded_all_or_nothing_and_shown_by_status(
    laid: Laid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    frame(60).to_csv(tmp_path / "trial.csv", index=False)
    said = run("node", "load", laid.nodes["leeds"], tmp_path / "trial.csv", "--dataset", "trial")
    assert "60 of 60 rows loaded" in said
    status = run("node", "status", laid.nodes["leeds"])
    for words in ("leeds (leeds [trust]) in n", "Data set trial (table)", "Custodians: 1", "Peers trusted: york"):
        assert words in status
    assert "without a person key" in status
    said = fails(monkeypatch, capsys, "node", "load", laid.nodes["leeds"], tmp_path / "no.csv", "--dataset", "t").err
    assert "There is nothing at" in said
    said = fails(monkeypatch, capsys, "node", "load", laid.nodes["leeds"], tmp_path / "trial.csv", "--dataset", "Bad Name")
    assert "Expected a data set name" in said.err


def test_data_sets_are_loaded_by_the_identifier_that_they_share(
    laid: Laid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    node, table = laid.nodes["leeds"], tmp_path / "trial.csv"
    person = "person_id,gender_concept_id,year_of_birth,race_concept_id,ethnicity_concept_id,person_source_value"
    write(tmp_path / "cdm", person=lines(person, "1,8507,1970,0,0,b", "2,8507,1980,0,0,c"))
    table.write_text("nhs,age\na,30\nb,40\n")
    (tmp_path / "d.csv").write_text("name,type\nnhs,person nhs-number\nage,int\n")
    by_source = ("--person-key", "person_source_value", "--identifier", "nhs-number")
    said = run("node", "load", node, table, "--dataset", "trial", "--dictionary", tmp_path / "d.csv")
    assert "New to this site: 2." in said
    assert "New to this site: 1." in run("node", "load", node, tmp_path / "cdm", "--dataset", "gp", *by_source)
    assert run("node", "status", node).count("people known by nhs-number") == 2
    said = fails(monkeypatch, capsys, "node", "load", node, table, "--dataset", "trial", *by_source).err
    assert "the data dictionary says which column identifies a person" in said


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("node init {0}/x --site Leeds --organisation L --network n --hub https://h.example --hub-key {1}", "Names are"),
        ("hub init {0}/x --network Nord", "Names are lower case"),
        ("hub init {0}/x --network nord --port 70000", "less than or equal to 65535"),
        ("node trust {0}/leeds {0}/no.json", "no.json cannot be read: No such file"),
        ("node trust {0}/leeds {0}/hub/hub.toml", "hub.toml is not a site's card"),
        ("hub admit-site {0}/hub {0}/no.json", "no.json cannot be read: No such file"),
        ("study explain {0}/hub/hub.toml", "hub.toml is not the file of a plan. Expected JSON"),
        ("custodian review {0}/leeds.json", "leeds.json is not a permit."),
        ("node custodian {0}/leeds --name Cass --key {1}", "stands in custodians.keys already"),
        ("key show {0}/cass.pub", "cass.pub holds a public one"),
    ],
)
def test_a_slip_is_said_in_a_sentence(
    laid: Laid,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    words: str,
) -> None:
    public = SigningKey.load(laid.custodian).public
    (tmp_path / "cass.pub").write_text(public + "\n")
    said = fails(monkeypatch, capsys, *command.format(tmp_path, public).split()).err
    assert said.startswith("civicgrid: ")
    assert words in said
    assert not (tmp_path / "x").exists()
    assert len(Home(laid.nodes["leeds"]).custodians()) == 1


# --- studies ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    known = simulate({"a": frame(60)}, dataset="trial").dictionaries()
    made = bind("trial", {"people": cg.Count()}, known, "How many?")
    path = tmp_path / "plan.json"
    path.write_bytes(made.canonical())
    return path


def test_a_plan_is_explained_and_simulated(plan: Path, tmp_path: Path) -> None:
    said = run("study", "explain", plan)
    assert "Study: How many?" in said
    assert "Count the people." in said
    for site, size in (("leeds", 60), ("york", 50), ("hull", 40)):
        frame(size).to_csv(tmp_path / f"{site}.csv", index=False)
    sites = [f"--site={site}={tmp_path / f'{site}.csv'}" for site in ("leeds", "york", "hull")]
    said = run("simulate", plan, *sites)
    assert "150" in said
    assert "3 of 3 sites answered (masked" in said


def test_a_simulation_without_an_answer_ends_with_a_fault(plan: Path, tmp_path: Path) -> None:
    frame(4).to_csv(tmp_path / "wales.csv", index=False)
    result = RUNNER.invoke(app, ["simulate", str(plan), f"--site=wales={tmp_path / 'wales.csv'}"])
    assert result.exit_code == 1
    assert "no answer" in result.output
    assert " 4" in run("simulate", plan, f"--site=wales={tmp_path / 'wales.csv'}", "--open")


# --- the audit log ---------------------------------------------------------------------------------------------------


def written(folder: Path) -> None:
    state = State(Home(folder).state)
    for number in range(5):
        with state.transaction("released"):
            state.audit("released", number=number)
    state.close()


def test_an_intact_log_is_said_to_be_and_a_changed_line_is_found(
    laid: Laid, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = laid.nodes["leeds"]
    written(folder)
    said = run("audit", "verify", folder)
    assert "5" in said
    database = sqlite3.connect(Home(folder).state)
    database.execute("""update audit set entry = replace(entry, '"number":2', '"number":7')""")
    database.commit()
    assert fails(monkeypatch, capsys, "audit", "verify", folder).code == 1


@pytest.mark.parametrize("how", ["delete from audit where seq = 3", "update audit set seq = 9 where seq = 2"])
def test_a_removed_or_reordered_line_is_found(
    laid: Laid, how: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written(laid.nodes["leeds"])
    database = sqlite3.connect(Home(laid.nodes["leeds"]).state)
    database.execute(how)
    database.commit()
    assert fails(monkeypatch, capsys, "audit", "verify", laid.nodes["leeds"]).code == 1


def test_a_log_that_was_cut_off_is_found_by_a_remembered_head(
    laid: Laid, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = laid.nodes["leeds"]
    written(folder)
    database = sqlite3.connect(Home(folder).state)
    seq, found = database.execute("select seq, hash from audit order by seq desc limit 1").fetchone()
    run("audit", "verify", folder, "--head", f"{seq}:{found}")
    database.execute("delete from audit where seq = ?", (seq,))
    database.commit()
    run("audit", "verify", folder)
    assert fails(monkeypatch, capsys, "audit", "verify", folder, "--head", f"{seq}:{found}").code == 1


def test_a_hub_s_log_is_verified_too(
    laid: Laid, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = Journal(HubHome(laid.hub).engine())
    for number in range(3):
        with journal.transaction("submitted") as connection:
            journal.add(connection, "r", "asked", number=number)
    run("audit", "verify", laid.hub)
    database = sqlite3.connect(laid.hub / read_settings(HubSettings, laid.hub / "hub.toml").database.removeprefix("sqlite:///"))
    database.execute("delete from audit where seq = (select min(seq) from audit)")
    database.commit()
    assert fails(monkeypatch, capsys, "audit", "verify", laid.hub).code == 1


# --- errors in a sentence --------------------------------------------------------------------------------------------


def test_what_cannot_be_done_is_said_in_a_sentence(
    laid: Laid, plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    leeds = laid.nodes["leeds"]
    init = ["--site", "x", "--organisation", "X", "--network", "n", "--hub-key", laid.researcher]
    (tmp_path / "bad.json").write_text("{}")
    for arguments, words in (
        (["node", "init", leeds, *init, "--hub", "https://h.example"], "There is a node at"),
        (["node", "init", tmp_path / "x", *init, "--hub", "http://h.example"], "is not encrypted"),
        (["hub", "init", laid.hub, "--network", "n"], "There is a hub at"),
        (["hub", "admit-site", laid.hub, tmp_path / "leeds.json"], "registered already"),
        (["hub", "admit-person", laid.hub, "--name", "A", "--key", "no key"], "civicgrid: Expected"),
        (["hub", "admit-site", laid.hub, tmp_path / "bad.json"], "not a valid Member"),
        (["node", "custodian", leeds, "--key", "no key", "--name", "A"], "civicgrid: Expected"),
        (["node", "card", tmp_path / "nowhere"], "Run the matching init first"),
        (["node", "permit", "revoke", leeds, "ab"], "Expected the id of one permit; 0 begin"),
        (["study", "explain", tmp_path / "none.json"], "cannot be read: No such file"),
        (["study", "explain", tmp_path / "bad.json"], "not a valid Plan"),
        (["simulate", plan, "--site", "leeds"], "Expected each site as NAME=FILE"),
        (["audit", "verify", tmp_path], "neither a node nor a hub"),
        (["audit", "verify", leeds, "--head", "x"], "NUMBER:HASH"),
    ):
        said = fails(monkeypatch, capsys, *arguments)
        assert words in said.err, (arguments, said)


def test_an_epoch_is_ended_once_and_written_down(
    laid: Laid, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Held:
        def numbering(self) -> str:
            return "numbers"

        def names(self) -> tuple[str, ...]:
            return ("trial",)

        def people(self, dataset: str) -> BitMap:
            return BitMap([1, 2, 3])

    home = Home(laid.nodes["leeds"])
    assert "so no epoch runs" in fails(monkeypatch, capsys, "node", "epoch", home.path, "--yes").err
    state = State(home.state, home.seal())
    with state.transaction("epoch"):
        state.epochs.enter("trial", "a snapshot", Held(), 0.0, days=7, fewest=10)
    state.close()
    assert "The epoch has ended" in run("node", "epoch", home.path, "--yes")
    state = State(home.state)
    assert [(line.action, line.details) for line in state.log() if line] == [("epoch.ended", {})]
    state.close()


def test_a_custodian_s_name_cannot_bring_a_key_of_its_own(laid: Laid) -> None:
    folder = laid.nodes["leeds"]
    before = Home(folder).custodians()
    other = SigningKey.generate().public
    run("node", "custodian", folder, "--key", other, "--name", f"Cass\n{SigningKey.generate().public}")
    assert Home(folder).custodians() == (*before, other)


def test_the_policy_that_a_node_is_laid_out_with_is_the_default_one(laid: Laid) -> None:
    assert Home(laid.nodes["leeds"]).policy() == Policy()


def test_the_first_operator_comes_from_the_hub_s_folder(
    laid: Laid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hub = tmp_path / "hub"
    assert "Opened account a-1 for Olive Operator, operator." in run("hub", "account", hub, "--name", "Olive Operator")
    for role in ("emperor", "custodian"):
        said = fails(monkeypatch, capsys, "hub", "account", hub, "--name", "Mallory", "--role", role)
        assert "Expected a role that is held everywhere: researcher, lead, checker, operator, auditor." in said.err
    assert "a-2" in run("hub", "account", hub, "--name", "Auda Auditor", "--role", "auditor"), "nothing half-done stays"
