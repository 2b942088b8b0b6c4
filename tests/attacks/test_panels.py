"""Attacks on a citizen panel's decision: the hub says that the panel said yes, and the node counts for itself.

Every attack meets a real site with a real node's folder, whose policy asks for a panel's yes and whose roll has the keys of
five members, quorum three. The permit is always signed by the site's own custodian, so that the ballots alone decide.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import civicgrid as cg
from attacks.test_permits import Grid
from civicgrid.disclosure.codes import Code
from civicgrid.disclosure.policy import EXAMPLE
from civicgrid.errors import TrustError
from civicgrid.governance.ballot import Ballot, Choice, MemberKey, PanelDecision, Roll, reason_digest
from civicgrid.methods.plan import Plan
from civicgrid.trust.envelope import Envelope
from civicgrid.trust.keys import SigningKey
from unit.node.sites import DATASET, NETWORK, NOON, PROJECT

APPLICATION, OTHER = "a" * 64, "b" * 64
MEMBERS = tuple(SigningKey.generate() for _ in range(5))
EVE = SigningKey.generate()
UNTIL = dt.date(2030, 1, 1)


def roll(*members: SigningKey, until: dt.date = UNTIL, **changes: Any) -> Roll:
    fields: dict[str, Any] = {
        "panel": "north",
        "name": "North citizens",
        "quorum": 3,
        "members": tuple(MemberKey(key=member.public, until=until) for member in members or MEMBERS),
    }
    return Roll(**fields | changes)


class At(Grid):
    """York, whose policy asks for a panel's yes."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        policy = EXAMPLE.replace("panel_required = false", "panel_required = true")
        (self.home.path / "policy.toml").write_text(policy)
        self.home.add_roll(roll())
        self.study = self.count()

    def ballot(self, choice: Choice = "yes", key: SigningKey = MEMBERS[0], **changes: Any) -> Envelope:
        fields: dict[str, Any] = {
            "network": NETWORK,
            "panel": "north",
            "project": PROJECT,
            "application": APPLICATION,
            "plans": (self.study.identity,),
            "choice": choice,
            "reason": reason_digest("So."),
            "time": NOON.isoformat(),
        }
        return Ballot(**fields | changes).signed(key)

    def three(self, **changes: Any) -> tuple[Envelope, ...]:
        return tuple(self.ballot(key=key, **changes) for key in MEMBERS[:3])

    def with_panel(self, *ballots: Envelope, plans: tuple[Plan, ...] | None = None, **changes: Any) -> Code | None:
        """York's answer under a permit that carries these ballots; None where it takes part."""
        decision = PanelDecision(**{"panel": "north", "application": APPLICATION, "ballots": ballots} | changes)
        listed = tuple(plan.identity for plan in (self.study,) if plans is None) + tuple(p.identity for p in plans or ())
        self.drop(self.draft(panel=decision, plans=listed).signed(self.custodian))
        return self.asked(self.study)


@pytest.fixture
def at(tmp_path: Path) -> At:
    return At(tmp_path)


def test_a_panel_s_yes_lets_the_study_run(at: At) -> None:
    assert at.with_panel(*at.three()) is None


def test_a_row_set_to_approved_is_no_ballot(at: At) -> None:
    """The custodian signed, the hub's database says approved, and nobody voted."""
    at.drop(at.draft(plans=(at.study.identity,)).signed(at.custodian))
    assert at.asked(at.study) == Code.NOT_PERMITTED
    assert at.with_panel() == Code.NOT_PERMITTED
    (at.home.path / "policy.toml").write_text(EXAMPLE)
    at.drop(at.draft(plans=(at.study.identity,)).signed(at.custodian))
    assert at.asked(at.study) is None, "where the policy asks for no panel the same permit counts"


def test_a_decision_that_does_not_hold_is_refused_even_where_none_is_asked_for(at: At) -> None:
    (at.home.path / "policy.toml").write_text(EXAMPLE)
    assert at.with_panel(*at.three()[:2]) == Code.NOT_PERMITTED


def tampered(at: At) -> tuple[Envelope, ...]:
    """A no that is made a yes after it was signed."""
    no, yes = at.ballot("no"), at.ballot("yes", key=EVE)
    return (no.model_copy(update={"payload": yes.payload}), *at.three()[1:])


def named_in_the_envelope(at: At) -> tuple[Envelope, ...]:
    """Eve's signature under a member's name."""
    forged = at.ballot(key=EVE)
    signature = forged.signatures[0].model_copy(update={"keyid": MEMBERS[0].public})
    return (forged.model_copy(update={"signatures": (signature,)}), *at.three()[1:])


ATTACKS: dict[str, Callable[[At], tuple[Envelope, ...]]] = {
    "the hub invents a ballot": lambda at: (at.ballot(key=EVE), *at.three()[1:]),
    "the hub invents all ballots": lambda at: tuple(at.ballot(key=SigningKey.generate()) for _ in range(5)),
    "the hub puts a member's name on its own": named_in_the_envelope,
    "a no is made a yes": tampered,
    "too few": lambda at: at.three()[:2],
    "a member twice": lambda at: (*at.three()[:2], at.ballot(key=MEMBERS[0])),
    "a member twice, at another time": lambda at: (
        *at.three(), at.ballot(key=MEMBERS[0], time=(NOON - dt.timedelta(hours=1)).isoformat()),
    ),
    "the panel said no": lambda at: tuple(at.ballot("no", key=key) for key in MEMBERS[:3]),
    "a tie": lambda at: tuple(
        at.ballot(choice, key=key) for choice, key in zip(("yes", "yes", "no", "no"), MEMBERS, strict=False)  # type: ignore[arg-type]
    ),
    "all abstained": lambda at: tuple(at.ballot("abstain", key=key) for key in MEMBERS),
    "ballots for another application": lambda at: at.three(application=OTHER),
    "one ballot for another application": lambda at: (*at.three(), at.ballot(key=MEMBERS[3], application=OTHER)),
    "ballots for another project": lambda at: at.three(project="P-99"),
    "ballots for another network": lambda at: at.three(network="elsewhere"),
    "ballots of another panel": lambda at: at.three(panel="south"),
    "ballots for another plan": lambda at: at.three(plans=("c" * 64,)),
    "ballots for different plans": lambda at: (*at.three(), at.ballot(key=MEMBERS[3], plans=())),
    "ballots after the term": lambda at: at.three(time="2031-01-01T00:00:00+00:00"),
    "two signatures on one ballot": lambda at: (
        at.ballot().joined(at.ballot(key=MEMBERS[1])), at.ballot(key=MEMBERS[2]), at.ballot(key=MEMBERS[3]),
    ),
    "another paper under members' keys": lambda at: tuple(
        Envelope.sign("application/vnd.civicgrid.permit+json", Ballot.from_bytes(
            each.verify("application/vnd.civicgrid.ballot+json", [key.public])).canonical(), key)
        for each, key in zip(at.three(), MEMBERS, strict=False)
    ),
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_is_not_the_panel_s_yes_does_not_count(at: At, attack: str) -> None:
    assert at.with_panel(*ATTACKS[attack](at)) == Code.NOT_PERMITTED
    assert at.home.permits() == []


def test_the_decision_is_the_application_s_that_the_ballots_name(at: At) -> None:
    """A decision that says otherwise than its ballots is worth nothing, either way round."""
    assert at.with_panel(*at.three(), application=OTHER) == Code.NOT_PERMITTED


def test_a_member_who_declared_an_interest_does_not_count(at: At) -> None:
    assert at.with_panel(*at.three(), conflicted=(MEMBERS[0].public,)) == Code.NOT_PERMITTED


def test_a_panel_that_the_site_does_not_know_is_none(at: At) -> None:
    assert at.with_panel(*at.three(panel="south"), panel="south") == Code.NOT_PERMITTED


def test_a_permit_that_is_wider_than_what_was_decided_on_is_refused(at: At) -> None:
    other = at.plan(cg.Describe(cg.dataset(DATASET), columns=["age"]))
    assert other.identity != at.study.identity
    assert at.with_panel(*at.three(), plans=(at.study, other)) == Code.NOT_PERMITTED
    assert at.with_panel(*at.three(), plans=()) == Code.NOT_PERMITTED
    assert at.with_panel(*at.three(plans=tuple(sorted((at.study.identity, other.identity))))) is None


def test_only_the_site_s_own_roll_counts_and_a_change_counts_at_once(at: At) -> None:
    assert at.with_panel(*at.three()) is None
    at.home.add_roll(roll(*MEMBERS[2:]))
    assert at.asked(at.study) == Code.NOT_PERMITTED, "two of the three members have left this site's roll"
    at.home.add_roll(roll(quorum=4))
    assert at.asked(at.study) == Code.NOT_PERMITTED, "the site wants a larger quorum"
    at.home.add_roll(roll())
    assert at.asked(at.study) is None
    (at.home.path / "panels" / "north.json").unlink()
    assert at.asked(at.study) == Code.NOT_PERMITTED


def test_a_permit_that_cannot_count_is_not_even_kept(at: At) -> None:
    decision = PanelDecision(panel="north", application=APPLICATION, ballots=at.three()[:2])
    with pytest.raises(TrustError, match="cannot count here: the panel's decision did not reach the quorum"):
        at.home.add_permit(at.draft(panel=decision, plans=(at.study.identity,)).signed(at.custodian))
    with pytest.raises(TrustError, match="cannot count here: the permit carries no decision of a panel"):
        at.home.add_permit(at.draft().signed(at.custodian))


def test_a_permit_without_a_panel_keeps_its_digest() -> None:
    """The digest of a permit written before there were panels, worked out then and kept here."""
    from civicgrid.governance.permit import Permit, Person

    permit = Permit(
        network="n", site="york", project="P-1", title="A trial", people=(Person(name="Ada", key="ada"),),
        datasets=("trial",), columns=("records.age",), methods=("count",), purpose="To know.",
        valid_from="2026-01-01T00:00:00+00:00", valid_until="2027-01-01T00:00:00+00:00",
    )  # fmt: skip
    assert b"panel" not in permit.canonical()
    assert permit.digest() == "a9fa79e2abd57faefaa1773eeb4decdbd6f6de0c05c5f402f5728511dd28947a"
