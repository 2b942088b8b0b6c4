"""A panel's whole way with files alone: members vote, somebody counts, a custodian drafts, a node keeps the roll."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from civicgrid.cli import app
from civicgrid.disclosure.policy import EXAMPLE
from civicgrid.errors import ConfigError, TrustError
from civicgrid.governance.ballot import MemberKey, Roll
from civicgrid.governance.files import read_decision, write_draft
from civicgrid.governance.permit import Permit
from civicgrid.trust.keys import SigningKey
from unit.governance.desk import NETWORK, desk, sent

MEMBERS = [SigningKey.generate() for _ in range(4)]


class Table:
    """A folder with the application, the roll and the members' keys."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        made = desk()
        self.dossier = made.get("application", sent(made)).dossier(NETWORK)
        write_draft(folder / "application.json", self.dossier)
        members = tuple(MemberKey(key=key.public, until=dt.date(2040, 1, 1)) for key in MEMBERS)
        write_draft(folder / "roll.json", Roll(panel="north", name="North", quorum=3, members=members))
        for number, key in enumerate(MEMBERS):
            key.save(folder / f"m{number}.pem")

    def run(self, *words: str, fails: bool = False) -> str:
        words = tuple(str(self.folder / word[1:]) if word.startswith("@") else word for word in words)
        result: Result = CliRunner().invoke(app, list(words))
        if fails:
            assert result.exception is not None
            raise result.exception
        assert result.exit_code == 0, (result.output, result.exception)
        return result.output

    def vote(self, number: int, choice: str = "yes", *more: str) -> str:
        return self.run(
            "panel", "vote", "@application.json", "--panel", "north", "--choice", choice, "--reason", "So.",
            "--key", f"@m{number}.pem", "--out", f"@b{number}.json", "--yes", *more,
        )  # fmt: skip

    def count(self, *numbers: int, fails: bool = False) -> str:
        return self.run(
            "panel", "count", "@roll.json", "@application.json", *(f"@b{number}.json" for number in numbers),
            "--out", "@decision.json", fails=fails,
        )  # fmt: skip


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def test_members_vote_and_a_custodian_s_permit_carries_it(table: Table) -> None:
    said = table.vote(0, "yes", "--condition", "Tell patients")
    assert "Public benefit “Towns could plan safer roads to school.”" in said and "What is worked out:" in said
    table.vote(1, "yes", "--condition", "Tell patients")
    table.vote(2, "no")
    counted = table.count(0, 1, 2)
    assert "2 for, 1 against, 0 abstained. It reached its quorum; the panel said yes." in counted
    assert "A condition: “Tell patients”" in counted
    assert "the panel said yes" in table.run("panel", "verify", "@roll.json", "@application.json", "@decision.json")
    table.run(
        "custodian", "draft", "@permit.json", "--site", "leeds", "--application", "@application.json",
        "--panel-decision", "@decision.json",
    )  # fmt: skip
    permit = Permit.from_bytes((table.folder / "permit.json").read_bytes())
    assert (permit.project, permit.plans, permit.columns) == ("P-1", table.dossier.allowed(), ("records.age",))
    assert permit.panel == read_decision(table.folder / "decision.json")
    shown = table.run("custodian", "review", "@permit.json", "--application", "@application.json", "--roll", "@roll.json")
    assert "Every ballot holds under the roll. 2 for, 1 against" in shown and "THE APPLICATION" in shown
    assert "another application" not in shown
    unchecked = table.run("custodian", "review", "@permit.json", "--application", "@application.json")
    assert "Whose they are has not been checked" in unchecked
    table.run("key", "create", "@cass.pem")
    table.run("custodian", "sign", "@permit.json", "--key", "@cass.pem", "--application", "@application.json", "--yes")
    assert (table.folder / "permit.signed.json").exists()


def test_a_changed_application_does_not_fit_the_ballots(table: Table) -> None:
    for number in range(3):
        table.vote(number)
    table.count(0, 1, 2)
    changed = table.dossier.model_copy(update={"answers": table.dossier.answers.model_copy(update={"title": "Other"})})
    (table.folder / "application.json").write_bytes(changed.canonical())
    with pytest.raises(TrustError, match="another application"):
        table.count(0, 1, 2, fails=True)
    with pytest.raises(TrustError, match="earlier form of this one"):
        table.run("panel", "verify", "@roll.json", "@application.json", "@decision.json", fails=True)
    with pytest.raises(ConfigError, match="decided on another application"):
        table.run(
            "custodian", "draft", "@permit.json", "--site", "leeds", "--application", "@application.json",
            "--panel-decision", "@decision.json", fails=True,
        )  # fmt: skip


def test_what_does_not_hold_is_said_in_the_review(table: Table) -> None:
    table.vote(0)
    assert "It did not reach its quorum" in table.count(0)
    table.run(
        "custodian", "draft", "@permit.json", "--site", "leeds", "--application", "@application.json",
        "--panel-decision", "@decision.json",
    )  # fmt: skip
    shown = table.run("custodian", "review", "@permit.json", "--application", "@application.json", "--roll", "@roll.json")
    assert "IT DOES NOT HOLD, and the permit will not count: the panel's decision did not reach the quorum." in shown


@pytest.mark.parametrize("words", [("perhaps",), ("no", "--condition", "Tell patients")])
def test_a_vote_is_one_of_three_and_only_a_yes_has_conditions(table: Table, words: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError):
        table.run(
            "panel", "vote", "@application.json", "--panel", "north", "--reason", "So.", "--key", "@m0.pem", "--yes",
            "--choice", *words, fails=True,
        )  # fmt: skip


def test_a_node_keeps_a_roll_and_says_whether_it_needs_one(table: Table) -> None:
    from civicgrid.config import NodeSettings
    from civicgrid.node.home import Home

    home = Home(table.folder / "leeds")
    home.create(NodeSettings(network=NETWORK, site="leeds", organisation="x", hub="http://127.0.0.1:1", hub_key="k"))
    listed = table.run("node", "panel", "list", "@leeds")
    assert "does not need the yes of a panel" in listed
    added = table.run("node", "panel", "add", "@leeds", "@roll.json")
    assert "4 members, quorum 3, majority more than half" in added
    assert len(re.findall(r"until 1 January 2040", added)) == 4
    (home.path / "policy.toml").write_text(EXAMPLE.replace("panel_required = false", "panel_required = true"))
    assert "needs the yes of a panel" in table.run("node", "panel", "list", "@leeds")
    assert "takes the place" in table.run("node", "panel", "add", "@leeds", "@roll.json")
    (home.path / "panels" / "north.json").write_text("{}")
    with pytest.raises(ConfigError, match="cannot be read"):
        table.run("node", "panel", "list", "@leeds", fails=True)
