"""A permit's way on paper: drafted, read, signed and revoked with files alone, and kept by the node that it is for."""

from __future__ import annotations

import datetime as dt
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import civicgrid as cg
from civicgrid.cli import app, main
from civicgrid.config import NodeSettings
from civicgrid.methods.plan import Plan, bind
from civicgrid.node.home import Home
from civicgrid.node.state import State
from civicgrid.query.types import FLOAT, INT, Schema, category
from civicgrid.trust.chain import check
from civicgrid.trust.keys import SigningKey

RUNNER = CliRunner()
TRIAL = Schema.of({"age": INT, "bmi": FLOAT, "sex": category("female", "male")})


def run(*arguments: object, input: str | None = None) -> str:
    result = RUNNER.invoke(app, [str(argument) for argument in arguments], input=input)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


@dataclass
class Desk:
    """A custodian's machine, a researcher's key, and the node of one site."""

    folder: Path
    home: Home
    keys: dict[str, Path]
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def draft(self, *more: object, out: str = "permit.json") -> Path:
        path = self.folder / out
        ada = SigningKey.load(self.keys["ada"]).public
        run(
            "custodian", "draft", path, "--network", "n", "--site", "york", "--project", "P-7", "--title", "A trial",
            "--person", f"Ada={ada}", "--purpose", "To know.", *more,
        )  # fmt: skip
        return path

    def plan(self, name: str, plan: Plan) -> Path:
        path = self.folder / name
        path.write_bytes(plan.canonical())
        return path

    def add(self, path: Path) -> str:
        return run("node", "permit", "add", self.home.path, path)

    def fails(self, *arguments: object) -> str:
        """What a command that should not succeed says, by way of the program's own entry point."""
        self.monkeypatch.setattr(sys, "argv", ["civicgrid", *(str(argument) for argument in arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = self.capsys.readouterr()
        assert "Traceback" not in printed.out + printed.err
        assert ended.value.code
        return printed.err


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    home = Home(tmp_path / "york")
    home.create(NodeSettings(network="n", site="york", organisation="York", hub="http://127.0.0.1:1", hub_key="k"))
    keys = {name: tmp_path / f"{name}.key" for name in ("ada", "cass", "dee", "eve")}
    for name, path in keys.items():
        public = run("key", "create", path).strip()
        if name in ("cass", "dee"):
            home.add_custodian(public, name)
    return Desk(tmp_path, home, keys, monkeypatch, capsys)


def study(**methods: Any) -> Plan:
    trial = cg.dataset("trial", TRIAL)
    source = cg.cohort(trial["age"] > 3, age=trial["age"], sex=trial["sex"])
    return bind(source, methods or {"ages": cg.Describe(columns=["age"])}, {})


def standing(day: str) -> Plan:
    gp = cg.cdm("gp")
    recent = gp.drug_exposure.where(gp.drug_exposure.start_date > cg.run_date(day) - cg.months(12))
    return bind(cg.cohort(recent.exists_for_person()), {"people": cg.Count()}, {})


def test_a_draft_is_as_wide_as_its_plans_and_no_wider(desk: Desk) -> None:
    plan = study()
    draft = json.loads(desk.draft("--plan", desk.plan("plan.json", plan)).read_text("utf-8"))
    assert draft["plans"] == [plan.digest()]
    assert (draft["datasets"], draft["methods"]) == (["trial"], ["describe"])
    assert draft["columns"] == ["records.age", "records.sex"]
    open_ = json.loads(desk.draft("--dataset", "trial", "--method", "count", out="open.json").read_text("utf-8"))
    assert open_["columns"] == ["*"]
    assert "plans" not in open_


def test_a_review_says_what_a_plan_means_reads_and_does_not_use(desk: Desk) -> None:
    plan = desk.plan("plan.json", study())
    said = run("custodian", "review", desk.draft("--plan", plan), plan)
    for words in ("“To know.”", "Who is included", "The permit lists it", "  - records.age\n  - records.sex"):
        assert words in said
    assert "Plan 1 works out columns that none of its methods uses: “sex”." in said
    lean = bind("trial", {"ages": cg.Describe(columns=["age"])}, {"trial": TRIAL})
    path = desk.plan("lean.json", lean)
    assert "Nothing here is wider than the plans need." in run(
        "custodian", "review", desk.draft("--plan", path, out="lean-permit.json"), path
    )


WIDE = {
    "any plan": (["--dataset", "trial", "--method", "count"], "Any plan within the limits may run"),
    "every column": (["--dataset", "trial", "--method", "count"], "All columns of the data sets may be read."),
    "a table": (["--plan", "PLAN", "--column", "records.*"], "All columns of these tables may be read: “records”."),
    "a column too many": (["--plan", "PLAN", *(f"--column=records.{name}" for name in ("age", "sex", "bmi"))],
                          "No plan here needs these columns: “records.bmi”."),
    "a method too many": (["--plan", "PLAN", "--method", "glm", "--method", "describe"],
                          "No plan here needs these methods: “glm”."),
    "a data set too many": (["--plan", "PLAN", "--dataset", "trial", "--dataset", "gp"],
                            "No plan here needs these data sets: “gp”."),
    "a column too few": (["--plan", "PLAN", "--column", "records.age"], "Plan 1 would be refused: the columns records.sex"),
    "small numbers": (["--plan", "PLAN", "--pooled-threshold"], "Pooled threshold"),
    "counts of nobody": (["--plan", "PLAN", "--zeros"], "Zeros: a count of nobody may be shown"),
    "a long time": (["--plan", "PLAN", "--days", "400"], "It is valid for 400 days, more than a year."),
}  # fmt: skip


@pytest.mark.parametrize("what", WIDE)
def test_a_review_warns_of_what_is_wider_than_needed(desk: Desk, what: str) -> None:
    options, words = WIDE[what]
    plan = desk.plan("plan.json", study())
    path = desk.draft(*(plan if each == "PLAN" else each for each in options))
    assert words in run("custodian", "review", path, plan)
    assert words not in run("custodian", "review", desk.draft("--plan", plan, out="narrow.json"), plan)


def test_a_standing_study_is_drafted_as_a_template(desk: Desk) -> None:
    one, two = standing("2026-11-24"), standing("2026-12-24")
    path = desk.plan("plan.json", one)
    draft = desk.draft("--template", path, "--template-days", "7")
    assert json.loads(draft.read_text("utf-8"))["templates"] == [two.template]
    said = run("custodian", "review", draft, desk.plan("later.json", two))
    assert "The permit lists it as a standing study, here for 2026-12-24" in said
    assert "any of 8 days at a time" in said
    assert f"Template {one.template}" in run("study", "explain", path)
    assert "names no day of its run" in desk.fails(
        "custodian", "draft", desk.folder / "x.json", "--network", "n", "--site", "york", "--project", "P", "--title", "T",
        "--person", f"Ada={SigningKey.load(desk.keys['ada']).public}", "--purpose", "x",
        "--template", desk.plan("undated.json", study()),
    )  # fmt: skip


def test_a_permit_is_signed_added_listed_and_revoked_by_its_custodian(desk: Desk) -> None:
    plan = desk.plan("plan.json", study())
    draft = desk.draft("--plan", plan)
    said = run("custodian", "sign", draft, plan, "--key", desk.keys["cass"], input="y\n")
    assert "Sign this permit with the key" in said
    signed = desk.folder / "permit.signed.json"
    assert "may use data at “york”" in desk.add(signed)
    ((digest, permit),) = desk.home.permits()
    assert permit.project == "P-7"
    assert f"Permit {digest[:12]}: P-7" in run("node", "status", desk.home.path)
    assert "“A trial”" in run("node", "permit", "list", desk.home.path)

    run("custodian", "revoke", signed, "--key", desk.keys["cass"], "--reason", "The study is over.")
    assert len(desk.home.permits()) == 1, "a revocation counts when the site has it"
    assert f"Revoked {digest[:12]}" in desk.add(desk.folder / "permit.revoked.json")
    assert desk.home.permits() == []
    said = run("node", "permit", "list", desk.home.path)
    assert "No permit stands at this site" in said
    assert "“The study is over.”" in said
    assert "was revoked on" in desk.fails("node", "permit", "add", desk.home.path, signed)
    state = State(desk.home.state)
    lines = list(state.log())
    assert check(lines).ok
    assert [(line.action, line.details) for line in lines if line] == [
        ("permit.added", {"permit": digest}),
        ("permit.revoked", {"permit": digest}),
    ]


def test_an_engineer_stops_a_permit_at_once_and_for_good(desk: Desk) -> None:
    plan = desk.plan("plan.json", study())
    run("custodian", "sign", desk.draft("--plan", plan), plan, "--key", desk.keys["cass"], "--yes")
    desk.add(desk.folder / "permit.signed.json")
    digest = desk.home.permits()[0][0]
    said = run("node", "permit", "revoke", desk.home.path, digest[:8], "--reason", "A call from the custodian.")
    assert f"Revoked {digest[:12]}" in said
    assert desk.home.permits() == []
    assert "A call from the custodian." in run("node", "permit", "list", desk.home.path)
    assert "was revoked on" in desk.fails("node", "permit", "add", desk.home.path, desk.folder / "permit.signed.json")


def test_a_later_permit_takes_the_place_of_the_project_s_earlier_one(desk: Desk) -> None:
    plan = desk.plan("plan.json", study())
    for name in ("wide", "narrow"):
        more = ["--pooled-threshold"] if name == "wide" else []
        draft = desk.draft("--plan", plan, *more, out=f"{name}.json")
        changed = json.loads(draft.read_text("utf-8"))
        # A minute apart, whatever the clock of this machine did meanwhile.
        begins = dt.datetime.fromisoformat(changed["valid_from"]) - dt.timedelta(minutes=2 if name == "wide" else 1)
        draft.write_text(json.dumps(changed | {"valid_from": begins.isoformat()}), "utf-8")
        run("custodian", "sign", draft, plan, "--key", desk.keys["cass"], "--yes")
    desk.add(desk.folder / "wide.signed.json")
    wide = desk.home.permits()[0][0]
    assert f"takes the place of {wide[:12]}" in desk.add(desk.folder / "narrow.signed.json")
    ((_, permit),) = desk.home.permits()
    assert not permit.pooled_threshold
    assert "was revoked on" in desk.fails("node", "permit", "add", desk.home.path, desk.folder / "wide.signed.json")


def test_an_older_permit_than_the_one_that_stands_is_not_added(desk: Desk) -> None:
    plan = desk.plan("plan.json", study())
    old = desk.draft("--plan", plan, "--pooled-threshold", out="old.json")
    begins = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    old.write_text(json.dumps(json.loads(old.read_text("utf-8")) | {"valid_from": begins.isoformat()}), "utf-8")
    for draft in (old, desk.draft("--plan", plan)):
        run("custodian", "sign", draft, plan, "--key", desk.keys["cass"], "--yes")
    desk.add(desk.folder / "permit.signed.json")
    before = desk.home.permits()
    assert "A later permit" in desk.fails("node", "permit", "add", desk.home.path, desk.folder / "old.signed.json")
    assert desk.home.permits() == before


def test_a_permit_that_is_not_agreed_to_is_not_signed(desk: Desk) -> None:
    plan = desk.plan("plan.json", study())
    arguments = ["custodian", "sign", str(desk.draft("--plan", plan)), str(plan), "--key", str(desk.keys["cass"])]
    result = RUNNER.invoke(app, arguments, input="n\n")
    assert result.exit_code == 1
    assert not (desk.folder / "permit.signed.json").exists()


def test_nobody_signs_a_plan_unread(desk: Desk) -> None:
    plan = desk.plan("plan.json", study())
    draft = desk.draft("--plan", plan)
    assert "has not been shown" in run("custodian", "review", draft)
    assert "Nobody signs a plan unread" in desk.fails("custodian", "sign", draft, "--key", desk.keys["cass"], "--yes")
    assert not (desk.folder / "permit.signed.json").exists()


def test_a_plan_that_the_permit_does_not_list_is_said_not_to_run(desk: Desk) -> None:
    plan = desk.plan("plan.json", study())
    other = desk.plan("other.json", study(people=cg.Count()))
    assert "THE PERMIT DOES NOT LIST IT" in run("custodian", "review", desk.draft("--plan", plan), plan, other)


def test_two_custodians_sign_one_after_the_other(desk: Desk) -> None:
    plan = desk.plan("plan.json", study())
    draft = desk.draft("--plan", plan, "--custodians", "2")
    signed = desk.folder / "permit.signed.json"
    run("custodian", "sign", draft, plan, "--key", desk.keys["cass"], "--yes")
    assert "needs the signatures of 2 custodians" in desk.fails("node", "permit", "add", desk.home.path, signed)
    assert SigningKey.load(desk.keys["cass"]).public in run("custodian", "review", signed, plan)
    run("custodian", "sign", signed, plan, "--key", desk.keys["dee"], "--yes")
    desk.add(signed)
    assert len(desk.home.permits()) == 1
    run("custodian", "revoke", signed, "--key", desk.keys["dee"], "--reason", "One is enough to stop.")
    desk.add(desk.folder / "permit.revoked.json")
    assert desk.home.permits() == []


def test_texts_cannot_pass_for_clauses_of_the_permit(desk: Desk) -> None:
    plan = desk.plan("plan.json", study())
    draft = desk.draft("--plan", plan)
    false = json.loads(draft.read_text("utf-8")) | {"purpose": "To know.”\nOnly these plans: none.\u202e"}
    draft.write_text(json.dumps(false), "utf-8")
    said = run("custodian", "review", draft, plan)
    assert "Purpose: “To know.””\\u000aOnly these plans: none.\\u202e”" in said
    assert "characters that cannot be seen" in said


def test_what_cannot_be_done_is_said_in_a_sentence(desk: Desk) -> None:
    plan = desk.plan("plan.json", study())
    draft = desk.draft("--plan", plan)
    (desk.folder / "bad.json").write_text("{}")
    start = ["custodian", "draft", desk.folder / "x.json", "--network", "n", "--site", "york", "--project", "P"]
    start += ["--title", "T", "--purpose", "x"]
    ada = f"Ada={SigningKey.load(desk.keys['ada']).public}"
    for arguments, words in (
        ([*start, "--person", "Ada", "--plan", plan], "Expected each person as NAME=PUBLIC-KEY"),
        ([*start, "--person", "Ada=k", "--plan", plan], "civicgrid: Expected"),
        ([*start, "--person", ada[3:], "--plan", plan], "This cannot be signed: name"),
        ([*start, "--person", ada], "Expected plans"),
        ([*start, "--person", ada, "--plan", plan, "--column", "age"], "such as records.age"),
        ([*start, "--person", ada, "--plan", desk.folder / "bad.json"], "bad.json is not the file of a plan"),
        ([*start, "--person", ada, "--dataset", "trial", "--method", "ols"], "no method ols. There is: discover, count"),
        ([*start, "--person", ada, "--plan", desk.folder / "none.json"], "cannot be read: No such file"),
        (["custodian", "draft", draft, *start[3:], "--person", ada, "--plan", plan], "There is a file at"),
        (["custodian", "review", desk.folder / "bad.json"], "not a valid Permit"),
        (["node", "permit", "add", desk.home.path, draft], "nobody has signed"),
        (["node", "permit", "revoke", desk.home.path, "ab"], "Expected the id of one permit; 0 begin"),
    ):
        assert words in desk.fails(*arguments), arguments


def test_a_permit_or_a_revocation_signed_by_another_key_is_not_kept(desk: Desk) -> None:
    plan = desk.plan("plan.json", study())
    draft = desk.draft("--plan", plan)
    run("custodian", "sign", draft, plan, "--key", desk.keys["eve"], "--yes", "--out", desk.folder / "eve.json")
    assert "valid signature" in desk.fails("node", "permit", "add", desk.home.path, desk.folder / "eve.json")
    run("custodian", "sign", draft, plan, "--key", desk.keys["cass"], "--yes")
    desk.add(desk.folder / "permit.signed.json")
    run("custodian", "revoke", draft, "--key", desk.keys["eve"], "--reason", "Mischief.")
    assert "valid signature" in desk.fails("node", "permit", "add", desk.home.path, desk.folder / "permit.revoked.json")
    assert len(desk.home.permits()) == 1
