"""Who takes part in one run, fixed and signed by every one of them before any share is made.

The hub proposes a roster; each site signs it, and each checks everybody's signature before it answers the
first Ask. What decides is the site's own list of peers (its *pins*, kept by its custodian): the keys and the
organisations in a roster count only where they are the pinned ones, so that a hub cannot put its own keys
under a site's name or start two sham sites beside one real one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from pydantic import ValidationInfo, field_validator

from civicgrid.canonical import Node
from civicgrid.errors import TrustError
from civicgrid.trust.envelope import Envelope
from civicgrid.trust.keys import SigningKey, check_exchange, signing_public

ROSTER = "application/vnd.civicgrid.roster+json"

FEWEST_ORGANISATIONS = 3
LARGEST_GROUP = 10

Mode = Literal["masked", "open"]


class Member(Node):
    """A site that takes part: its name, the organisation that answers for it, and its two public keys."""

    site: str
    organisation: str
    signing: str
    exchange: str


class Roster(Node):
    """The sites of one attempt at one run of one plan.

    `members` are in order of site, each site and key once. `groups` are the sets of sites whose masks cancel
    among themselves, for rosters so large that the loss of one site should not cost the whole round; none
    means one group.
    """

    network: str
    study: str
    run: str
    attempt: int
    plan: str
    members: tuple[Member, ...]
    groups: tuple[tuple[str, ...], ...] = ()

    @field_validator("members")
    @classmethod
    def _each_once(cls, members: tuple[Member, ...]) -> tuple[Member, ...]:
        sites = [member.site for member in members]
        if not sites or sites != sorted(set(sites)):
            raise TrustError("Expected at least one member in a roster, in order of site, each site once.")
        for keys in ([member.signing for member in members], [member.exchange for member in members]):
            if len(set(keys)) != len(keys):
                raise TrustError("Expected each site of a roster to have keys of its own; two share one.")
        return members

    @field_validator("groups")
    @classmethod
    def _partition(cls, groups: tuple[tuple[str, ...], ...], info: ValidationInfo) -> tuple[tuple[str, ...], ...]:
        dealt = sorted(site for group in groups for site in group)
        if groups and dealt != [member.site for member in info.data.get("members", ())]:
            raise TrustError("Expected the groups of a roster to hold every member once and nobody else.")
        return groups

    def __getitem__(self, site: str) -> Member:
        for member in self.members:
            if member.site == site:
                return member
        raise TrustError(f"Site {site!r} is not on this roster. It takes no part in this run.")

    @property
    def parties(self) -> tuple[tuple[Member, ...], ...]:
        """The members by group."""
        if not self.groups:
            return (self.members,)
        return tuple(tuple(self[site] for site in group) for group in self.groups)

    @property
    def mode(self) -> Mode:
        """`masked` where every group spans three organisations or more, else `open`."""
        spans = (len({member.organisation for member in party}) for party in self.parties)
        return "masked" if all(span >= FEWEST_ORGANISATIONS for span in spans) else "open"

    def peers(self, site: str) -> tuple[str, ...]:
        """The exchange keys of the other sites in this site's group: what its part is masked with.

        TrustError where the roster's mode is `open`: its sums would hide nothing.
        """
        if self.mode == "open":
            raise TrustError(
                f"Expected at least {FEWEST_ORGANISATIONS} organisations in each group to mask among; there are fewer. "
                "Send the share open, under the site's own rules, or refuse."
            )
        for party in self.parties:
            if any(member.site == site for member in party):
                return tuple(member.exchange for member in party if member.site != site)
        raise TrustError(f"Site {site!r} is not on this roster. It takes no part in this run.")

    def sign(self, key: SigningKey) -> Envelope:
        """One site's signature on this roster. Signatures made apart become one envelope by
        `Envelope.joined`.
        """
        return Envelope.sign(ROSTER, self.canonical(), key)


def groups(members: Iterable[Member]) -> tuple[tuple[str, ...], ...]:
    """Groups of 5 to 10 sites for the hub to propose, organisations spread out; none where that cannot be.

    The result is sound whatever it is, since the sites sign it and `Roster.mode` judges it.
    """
    ordered = sorted(members, key=lambda member: (member.organisation, member.site))
    number = -(-len(ordered) // LARGEST_GROUP)
    if number < 2:
        return ()
    # Dealt like cards: members of one organisation stand together in the order, and so end up in different
    # groups.
    hands = [ordered[first::number] for first in range(number)]
    if any(len({member.organisation for member in hand}) < FEWEST_ORGANISATIONS for hand in hands):
        return ()
    return tuple(tuple(sorted(member.site for member in hand)) for hand in hands)


def check(signed: Envelope, pinned: Mapping[str, Member], own: str) -> Roster:
    """The roster in an envelope, after every member's signature and every member's pin at this site has been
    checked.

    `pinned` is this site's own list, by site and with itself in it; `own` is its own name there. The caller
    still compares network, study, run, attempt and plan with the task that it was given.
    """
    trusted = {member.signing for member in pinned.values()}
    roster = Roster.from_bytes(signed.verify(ROSTER, trusted))
    signers = signed.signers(ROSTER, trusted)
    if own not in {member.site for member in roster.members}:
        raise TrustError(f"This site, {own!r}, is not on the roster that it was sent. It takes no part in this run.")
    for member in roster.members:
        pin = pinned.get(member.site)
        if pin is None:
            raise TrustError(
                f"Site {member.site!r} is on the roster but not among this site's pinned peers. Ask the "
                "custodian to pin "
                "it after comparing its fingerprints by telephone, or run without it."
            )
        if member != pin:
            wrong = [
                name for name in ("organisation", "signing", "exchange") if getattr(member, name) != getattr(pin, name)
            ]
            raise TrustError(
                f"Site {member.site!r} is on the roster with another {' and '.join(wrong or ['name'])} than "
                "this site "
                "has pinned. Nothing was sent. If the peer has really changed it, the custodian pins it anew."
            )
        if member.signing not in signers:
            raise TrustError(f"Site {member.site!r} has not signed the roster. Wait for every site's signature.")
    return roster


def check_member(member: Member) -> Member:
    """The member, once both its keys are found sound: what a custodian calls before pinning one."""
    signing_public(member.signing)
    check_exchange(member.exchange)
    return member
