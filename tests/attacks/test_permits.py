"""Attacks on permits: whatever the hub, its operator or a researcher puts forward, the node goes by its custodian's word.

Every attack meets a real site with a real node's folder behind it. Each is also shown to succeed where the clause that
stops it is absent or allows it, so that the refusal is the clause's doing.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import civicgrid as cg
from civicgrid.canonical import dumps
from civicgrid.config import NodeSettings
from civicgrid.disclosure.codes import Code
from civicgrid.errors import TrustError
from civicgrid.governance.permit import Permit, Person, Revocation
from civicgrid.methods import METHODS
from civicgrid.methods.method import Ask
from civicgrid.methods.plan import Plan
from civicgrid.node.home import Home
from civicgrid.trust.envelope import Envelope
from civicgrid.trust.keys import SigningKey
from civicgrid.wire import Shared
from unit.node.sites import DATASET, NETWORK, NOON, PROJECT, World, code, frame

SITES = ("hull", "leeds", "york")
TODAY = NOON.date()


def dated(size: int) -> pd.DataFrame:
    return frame(size).assign(entry=[dt.date(2020, 1, 1) + dt.timedelta(days=i) for i in range(size)])


class Grid(World):
    """Three sites, of which York goes by the files of a node's folder and by nothing else."""

    def __init__(self, folder: Path) -> None:
        super().__init__({"hull": dated(60), "leeds": dated(50), "york": dated(40)})
        self.home = Home(folder / "york")
        self.home.create(
            NodeSettings(network=NETWORK, site="york", organisation="york", hub="http://127.0.0.1:1", hub_key="k")
        )
        self.home.add_custodian(self.custodian.public, "Cass")
        self.trust["york"].permits = self.home.permits  # type: ignore[method-assign]

    def draft(self, **changes: Any) -> Permit:
        fields: dict[str, Any] = {
            "network": NETWORK,
            "site": "york",
            "project": PROJECT,
            "title": "A trial",
            "people": (Person(name="Ada", key=self.person.public),),
            "datasets": (DATASET,),
            "columns": ("*",),
            "methods": tuple(METHODS),
            "purpose": "To know.",
            "valid_from": (NOON - dt.timedelta(days=1)).isoformat(),
            "valid_until": (NOON + dt.timedelta(days=1)).isoformat(),
            "pooled_threshold": True,
        }
        return Permit(**fields | changes)

    def drop(self, envelope: Envelope, name: str = "dropped.json") -> None:
        """A file in the node's very folder, past every check that its commands make."""
        (self.home.path / "permits" / name).write_bytes(envelope.canonical())

    def asked(self, plan: Plan | None = None, **changes: Any) -> Code | None:
        """York's answer to a study, None where it takes part. What Hull and Leeds say is of no account."""
        request = self.request(plan or self.count(), **changes)
        reply, _ = self.tell("york", self.prepare(request, self.roster(request, SITES)))
        return code(reply)

    def covers(self, plan: Plan) -> bool:
        """Whether the permit covers a study, though its people may be too near to those of another to be answered too."""
        return self.asked(plan) in (None, Code.DISCLOSURE)

    def count(self, **words: Any) -> Plan:
        return self.plan(cg.Count(cg.dataset(DATASET)), **words)

    def table(self) -> Any:
        return cg.dataset(DATASET, self.sites["hull"].data.holdings()[0].dictionary)

    def standing(self, day: dt.date, after: int = 25) -> Plan:
        table = self.table()
        return self.plan(cg.Count(cg.cohort((table["entry"] <= cg.run_date(day)) & (table["age"] > after))))


@pytest.fixture
def at(tmp_path: Path) -> Grid:
    return Grid(tmp_path)


# --- what was never signed here --------------------------------------------------------------------------------------


def test_without_a_permit_nothing_runs_and_with_one_it_does(at: Grid) -> None:
    assert at.asked() is Code.NOT_PERMITTED
    at.drop(at.draft().signed(at.custodian))
    assert at.asked() is None


@pytest.mark.parametrize("who", ["the hub", "the researcher", "a key made for it", "the site's own node"])
def test_a_permit_forged_by(at: Grid, who: str) -> None:
    key = {
        "the hub": at.hub,
        "the researcher": at.person,
        "a key made for it": SigningKey.generate(),
        "the site's own node": at.home.signing(),
    }[who]
    forged = at.draft().signed(key)
    at.drop(forged)
    assert at.asked() is Code.NOT_PERMITTED
    with pytest.raises(TrustError, match="valid signature"):
        at.home.add_permit(forged)
    at.home.add_custodian(key.public, "were it a custodian's")
    assert at.asked() is None


def test_a_permit_that_brings_its_own_custodian(at: Grid) -> None:
    """The signer is named on the permit, in its key's id and in a file beside it: only custodians.keys counts."""
    eve = SigningKey.generate()
    people = (Person(name="Ada", key=at.person.public), Person(name="Custodian", key=eve.public))
    at.drop(at.draft(people=people).signed(eve))
    (at.home.path / "permits" / "custodians.keys").write_text(f"{eve.public}\n")
    assert at.asked() is Code.NOT_PERMITTED


def test_the_custodian_s_signature_under_another_permit(at: Grid) -> None:
    narrow, wide = at.draft(methods=("describe",)).signed(at.custodian), at.draft()
    assert at.asked() is Code.NOT_PERMITTED
    for payload in (wide.canonical(), wide.canonical().replace(b"describe", b"count")):
        at.drop(narrow.model_copy(update={"payload": base64.b64encode(payload).decode()}))
        assert at.asked() is Code.NOT_PERMITTED
    at.drop(wide.signed(at.custodian))
    assert at.asked() is None


def test_another_paper_that_the_custodian_signed(at: Grid) -> None:
    """A permit's words under the custodian's hand, but as a study, a roster, a revocation."""
    for kind in ("study", "roster", "revocation", "x"):
        at.drop(Envelope.sign(f"application/vnd.civicgrid.{kind}+json", at.draft().canonical(), at.custodian))
        assert at.asked() is Code.NOT_PERMITTED
    at.drop(at.draft().signed(at.custodian))
    assert at.asked() is None


def test_a_hub_that_says_that_the_project_is_approved(at: Grid) -> None:
    """What it can send a node is a task, and its own word is no part of one. See also tests/integration/test_permits.py."""
    request = at.request(at.count())
    roster = at.roster(request, SITES)
    for more in ({"approved": True}, {"permit": at.draft().to_data()}, {"status": "approved"}):
        raw = dumps(request.to_data() | more)
        study = Envelope.sign("application/vnd.civicgrid.study+json", raw, at.person)
        assert code(at.tell("york", at.prepare(request, roster, study))[0]) is Code.NOT_UNDERSTOOD
    assert at.asked() is Code.NOT_PERMITTED
    at.drop(at.draft().signed(at.custodian))
    assert at.asked() is None


# --- for somebody or something else ----------------------------------------------------------------------------------

ELSEWHERE: dict[str, dict[str, Any]] = {
    "network": {"network": "other"},
    "site": {"site": "hull"},
    "project": {"project": "P-2"},
    "data set": {"datasets": ("registry",)},
    "method": {"methods": tuple(kind for kind in METHODS if kind != "count")},
    "person": {"people": (Person(name="Ada", key=SigningKey.generate().public),)},
    "plan": {"plans": ("0" * 64,)},
    "template": {"templates": ("0" * 64,)},
    "before its time": {"valid_from": (NOON + dt.timedelta(seconds=1)).isoformat()},
    "after its time": {"valid_until": NOON.isoformat()},
    "two signatures": {"custodians": 2},
}


@pytest.mark.parametrize("clause", ELSEWHERE)
def test_a_permit_for_another(at: Grid, clause: str) -> None:
    at.drop(at.draft(**ELSEWHERE[clause]).signed(at.custodian))
    assert at.asked() is Code.NOT_PERMITTED
    at.drop(at.draft().signed(at.custodian))
    assert at.asked() is None


def test_every_clause_that_can_stop_a_study_is_attacked() -> None:
    """The others say for what a permit is, or how small numbers are treated; columns have a test of their own, and the
    panel a file: `test_panels.py`.
    """
    attacked = {field for changes in ELSEWHERE.values() for field in changes}
    told_elsewhere = {"columns", "template_days", "panel"}
    no_stop = {"kind", "format", "title", "purpose", "thresholds", "pooled_threshold", "zeros"}
    assert attacked | told_elsewhere | no_stop == set(Permit.model_fields)


def test_a_column_more_than_the_permit_allows(at: Grid) -> None:
    table = at.table()
    asked = at.plan(cg.Count(cg.cohort((table["age"] > 25) & (table["died"] >= 0))))
    at.drop(at.draft(columns=("records.age",)).signed(at.custodian))
    assert at.asked(asked) is Code.NOT_PERMITTED
    assert at.asked(at.plan(cg.Count(cg.cohort(table["age"] > 50)))) is None
    at.drop(at.draft(columns=("records.age", "records.died")).signed(at.custodian))
    assert at.asked(asked) is None


def test_a_method_slipped_in_beside_those_allowed(at: Grid) -> None:
    table = cg.dataset(DATASET)
    both = at.plan(cg.Count(table), cg.Describe(table, columns=["age"]))
    at.drop(at.draft(methods=("count",)).signed(at.custodian))
    assert at.asked() is None
    assert at.asked(both) is Code.NOT_PERMITTED
    at.drop(at.draft(methods=("count", "describe")).signed(at.custodian))
    assert at.asked(both) is None


def test_a_researcher_who_is_not_named_asks_in_the_name_of_one_who_is(at: Grid) -> None:
    eve = SigningKey.generate()
    at.drop(at.draft().signed(at.custodian))
    for person, signer in ((eve.public, eve), (at.person.public, eve), (eve.public, at.person)):
        request = at.request(at.count(), person=person)
        reply, _ = at.tell("york", at.prepare(request, at.roster(request, SITES), request.signed(signer)))
        assert code(reply) is Code.NOT_PERMITTED
    at.drop(at.draft(people=(Person(name="Eve", key=eve.public),)).signed(at.custodian))
    request = at.request(at.count(), person=eve.public)
    assert code(at.tell("york", at.prepare(request, at.roster(request, SITES), request.signed(eve)))[0]) is None


# --- plans and templates ---------------------------------------------------------------------------------------------


def test_any_change_of_a_plan_that_was_approved(at: Grid) -> None:
    table, approved = at.table(), at.count(title="Approved")
    at.drop(at.draft(plans=(approved.identity,)).signed(at.custodian))
    assert at.asked(approved) is None
    changed = {
        "its title": at.count(title="Approved."),
        "its people": at.plan(cg.Count(cg.cohort(table["age"] > 25)), title="Approved"),
        "a method more": at.plan(cg.Count(table), cg.Describe(table, columns=["age"]), title="Approved"),
        "a column more": at.plan(cg.Count(cg.cohort(table.everyone, age=table["age"])), title="Approved"),
        "its name": approved.model_copy(
            update={"analyses": (approved.analyses[0].model_copy(update={"name": "other"}),)}
        ),
    }
    for what, plan in changed.items():
        plan = Plan.from_bytes(plan.canonical())
        assert at.asked(plan) is Code.NOT_PERMITTED, what
    at.drop(at.draft().signed(at.custodian))
    assert all(at.covers(Plan.from_bytes(plan.canonical())) for plan in changed.values())


@pytest.mark.parametrize("age", [-365, -1, 8, 32, 3650])
def test_a_standing_study_for_a_day_outside_its_limit(at: Grid, age: int) -> None:
    plan = at.standing(TODAY - dt.timedelta(days=age))
    at.drop(at.draft(templates=(plan.template,), template_days=7).signed(at.custodian))
    assert at.asked(plan) is Code.NOT_PERMITTED
    for allowed in (0, 7):
        assert at.covers(at.standing(TODAY - dt.timedelta(days=allowed)))
    at.drop(at.draft(plans=(plan.identity,)).signed(at.custodian))
    assert at.covers(plan)


def test_a_standing_study_changed_in_more_than_its_day(at: Grid) -> None:
    approved, other = at.standing(TODAY), at.standing(TODAY, after=30)
    at.drop(at.draft(templates=(approved.template,)).signed(at.custodian))
    assert at.asked(approved) is None
    assert at.asked(other) is Code.NOT_PERMITTED
    table = at.table()
    undated = at.plan(cg.Count(cg.cohort((table["entry"] <= TODAY) & (table["age"] > 25))))
    assert at.asked(undated) is Code.NOT_PERMITTED
    at.drop(at.draft(templates=(approved.template, other.template), plans=(undated.identity,)).signed(at.custodian))
    assert all(at.covers(plan) for plan in (approved, other, undated))


def test_a_template_s_digest_passed_off_as_a_plan_s_and_the_other_way_round(at: Grid) -> None:
    plan = at.standing(TODAY - dt.timedelta(days=300))
    at.drop(at.draft(plans=(plan.template,), templates=(plan.identity,)).signed(at.custodian))
    assert at.asked(plan) is Code.NOT_PERMITTED


# --- signatures ------------------------------------------------------------------------------------------------------


def policy(at: Grid, custodians: int) -> None:
    path = at.home.path / "policy.toml"
    text = path.read_text("utf-8").replace("custodians = 1", f"custodians = {custodians}")
    path.write_text(text, "utf-8")


def test_fewer_signatures_than_the_policy_asks_for(at: Grid) -> None:
    other = SigningKey.generate()
    at.home.add_custodian(other.public, "Dee")
    permit = at.draft()
    at.drop(permit.signed(at.custodian))
    assert at.asked() is None
    policy(at, 2)
    assert at.asked() is Code.NOT_PERMITTED, "also for what was signed before"
    for few in (
        permit.signed(at.custodian, at.custodian),
        permit.signed(at.custodian, at.hub, at.person),
        permit.signed(at.custodian).joined(at.draft().signed(at.custodian)),
    ):
        at.drop(few)
        assert at.asked() is Code.NOT_PERMITTED
        with pytest.raises(TrustError):
            at.home.add_permit(few)
    # The same signature again, under a key id that is another custodian's.
    signed = permit.signed(at.custodian)
    twice = signed.signatures[0].model_copy(update={"keyid": other.public})
    at.drop(signed.model_copy(update={"signatures": (*signed.signatures, twice)}))
    assert at.asked() is Code.NOT_PERMITTED
    at.drop(permit.signed(at.custodian, other))
    assert at.asked() is None


def test_a_custodian_who_has_left(at: Grid) -> None:
    at.drop(at.draft().signed(at.custodian))
    assert at.asked() is None
    (at.home.path / "custodians.keys").write_text(f"{SigningKey.generate().public}  # Dee\n")
    assert at.asked() is Code.NOT_PERMITTED


# --- what has been revoked or is over --------------------------------------------------------------------------------


def ended(at: Grid, permit: Permit, how: str) -> None:
    if how == "by a custodian":
        made = Revocation(network=NETWORK, site="york", permit=permit.digest(), time=NOON.isoformat(), reason="Over.")
        at.home.permit_folder().add_revocation(made.signed(at.custodian))
    else:
        at.home.revoke_permit(permit.digest()[:12])


@pytest.mark.parametrize("how", ["by a custodian", "by the site's engineer"])
def test_a_revoked_permit_replayed(at: Grid, how: str) -> None:
    """Under its own name, another, with more signatures, with other hints: it stays revoked. A new one may be signed."""
    permit = at.draft()
    signed = permit.signed(at.custodian)
    at.home.add_permit(signed)
    assert at.asked() is None
    ended(at, permit, how)
    assert at.asked() is Code.NOT_PERMITTED
    other = SigningKey.generate()
    at.home.add_custodian(other.public, "Dee")
    hinted = signed.model_copy(update={"signatures": (signed.signatures[0].model_copy(update={"keyid": ""}),)})
    spaced = Envelope.sign(
        signed.payload_type, json.dumps(permit.to_data(), indent=2).encode(), at.custodian
    )
    for replayed in (signed, permit.signed(at.custodian, other), permit.signed(other), hinted, spaced):
        assert replayed == signed or replayed.digest() != signed.digest()
        at.drop(replayed)
        assert at.asked() is Code.NOT_PERMITTED
        with pytest.raises(TrustError, match="was revoked on"):
            at.home.add_permit(replayed)
    at.home.add_permit(at.draft(title="Anew").signed(at.custodian))
    assert at.asked() is None


def test_a_revocation_counts_though_its_file_is_spoilt_or_its_signer_gone(at: Grid) -> None:
    permit = at.draft()
    at.home.add_permit(permit.signed(at.custodian))
    ended(at, permit, "by a custodian")
    path = at.home.path / "permits" / f"{permit.digest()}.revoked"
    (at.home.path / "custodians.keys").write_text(f"{SigningKey.generate().public}\n")
    path.write_bytes(b"not what it was")
    (at.home.path / "custodians.keys").write_text(f"{at.custodian.public}\n")
    assert at.asked() is Code.NOT_PERMITTED
    path.unlink()
    assert at.asked() is None


def test_a_permit_revoked_before_it_came(at: Grid) -> None:
    permit = at.draft()
    ended(at, permit, "by a custodian")
    with pytest.raises(TrustError, match="was revoked on"):
        at.home.add_permit(permit.signed(at.custodian))
    at.drop(permit.signed(at.custodian))
    assert at.asked() is Code.NOT_PERMITTED


def test_a_stranger_revokes_nothing(at: Grid) -> None:
    permit = at.draft()
    at.home.add_permit(permit.signed(at.custodian))
    made = Revocation(network=NETWORK, site="york", permit=permit.digest(), time=NOON.isoformat())
    for key in (at.hub, at.person, SigningKey.generate()):
        with pytest.raises(TrustError):
            at.home.permit_folder().add_revocation(made.signed(key))
    with pytest.raises(TrustError, match="This revocation is for hull"):
        at.home.permit_folder().add_revocation(made.model_copy(update={"site": "hull"}).signed(at.custodian))
    assert at.asked() is None


@pytest.mark.parametrize("clock", [dt.timedelta(days=-2), dt.timedelta(days=1), dt.timedelta(days=400)])
def test_a_study_before_or_after_the_permit_s_time(at: Grid, clock: dt.timedelta) -> None:
    at.drop(at.draft().signed(at.custodian))
    at.moment = NOON + clock
    assert at.asked() is Code.NOT_PERMITTED
    at.moment = NOON
    assert at.asked() is None


@pytest.mark.parametrize("how", ["by a custodian", "by the site's engineer", "by time", "by a narrower one"])
def test_the_next_round_is_refused_and_only_what_has_left_is_sent_again(at: Grid, how: str) -> None:
    permit = at.draft()
    at.home.add_permit(permit.signed(at.custodian))
    plan = at.plan(cg.Describe(cg.dataset(DATASET), columns=["age"]))
    enrolled = at.enrol(at.request(plan), SITES)
    task = at.round(enrolled, next(plan.analyses[0].method.coordinate(plan.schema)))
    reply, share = at.tell("york", task)
    assert isinstance(reply, Shared)
    if how == "by time":
        at.moment = NOON + dt.timedelta(days=1)
    elif how == "by a narrower one":
        at.home.revoke_permit(permit.digest())
        at.home.add_permit(at.draft(methods=("count",)).signed(at.custodian))
    else:
        ended(at, permit, how)
    following = at.round(enrolled, Ask("quantiles"), 1)
    assert code(at.tell("york", following)[0]) is Code.NOT_PERMITTED
    assert at.tell("york", task) == (reply, share)
    # The same round in another message is another message.
    assert not isinstance(at.tell("york", at.round(enrolled, Ask("summary")))[0], Shared)
    assert at.asked(plan) is Code.NOT_PERMITTED
