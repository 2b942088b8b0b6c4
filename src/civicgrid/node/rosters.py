"""Whom a site is summed with: the rosters that it has signed, and what may be answered under a second one.

See docs/decisions/rosters.md for why a second list of sites over the same people is watched so closely.
"""

from __future__ import annotations

from typing import Protocol

from civicgrid.disclosure.codes import Code, Withheld
from civicgrid.disclosure.policy import Policy
from civicgrid.errors import PlanError, TrustError
from civicgrid.node.state import State
from civicgrid.trust.envelope import Envelope
from civicgrid.trust.roster import Member, check
from civicgrid.wire import STANDING, Roster, Round, Standing


class Pins(Protocol):
    """What the site's own files say of others."""

    def policy(self) -> Policy: ...
    def peers(self) -> dict[str, Member]: ...


class Rosters:
    """The rosters of one site."""

    def __init__(self, own: Member, trusted: Pins, state: State) -> None:
        self.own, self.trusted, self.state = own, trusted, state
        self._known: dict[str, Roster] = {}

    def forget(self, run: str) -> None:
        """Drop what was kept at hand for a run that is over."""
        self._known = {name: roster for name, roster in self._known.items() if roster.run != run}

    def check_members(self, roster: Roster) -> None:
        """In a roster that masks, every member is a pinned peer, and every group among whom masks cancel has enough
        organisations; in any roster this site stands under its own keys.
        """
        if self.own not in roster.members:
            raise Withheld(Code.ROSTER, "this site is not on the roster as itself")
        if roster.mode == "masked":
            peers = self.trusted.peers()
            for member in roster.members:
                if member != self.own and peers.get(member.site) != member:
                    raise Withheld(Code.ROSTER, f"{member.site} is not a pinned peer")
            fewest = min(len({member.organisation for member in party}) for party in roster.parties)
            if fewest < self.trusted.policy().organisations:
                raise Withheld(Code.ROSTER, "fewer organisations than the policy asks for")

    def signed(self, round_: Round, rows: str) -> Roster:
        """The roster that this site has signed for the attempt, once every other member is seen to have signed it too."""
        known = self._known.get(round_.roster)
        if known is not None and (known.run, known.attempt) == (round_.run, round_.attempt):
            return known
        row = self.state.connection.execute(
            "select roster, signed from rosters where digest = ? and run = ? and attempt = ?",
            (round_.roster, round_.run, round_.attempt),
        ).fetchone()
        if row is None:
            raise Withheld(Code.ROSTER, "this site has not signed that roster")
        roster = Roster.from_bytes(row[0])
        if not row[1]:
            self._all_signed(roster, round_, rows)
        self._known[round_.roster] = roster
        return roster

    def _all_signed(self, roster: Roster, round_: Round, rows: str) -> None:
        own = self.own
        pinned = self.trusted.peers() | {own.site: own}
        if roster.mode != "masked":
            pinned |= {member.site: member for member in roster.members}
        try:
            if round_.signed is None:
                raise TrustError("the signatures of the roster did not come")
            if check(round_.signed, pinned, own.site).digest() != round_.roster:
                raise TrustError("the signatures are for another roster")
            standings = dict(self._standing(envelope, roster) for envelope in round_.standings)
            if set(standings) != {member.site for member in roster.members}:
                raise TrustError("not every member's standing came with the signatures")
        except (TrustError, PlanError) as error:
            raise Withheld(Code.ROSTER, str(error)) from None
        with self.state.transaction("signed") as connection:
            connection.execute("update rosters set signed = 1 where digest = ?", (round_.roster,))
            # Another plan over the same people may ask for more: what once did not stand alone is never taken to.
            connection.executemany(
                "insert into standings values (?, ?, ?, ?) on conflict do update set alone = min(alone, excluded.alone)",
                [
                    (rows, " ".join(party), site, int(alone))
                    for party in [party_of(roster, self.own.site)]
                    for site, alone in standings.items()
                    if site in party
                ],
            )

    def _standing(self, envelope: Envelope, roster: Roster) -> tuple[str, bool]:
        """What one member said of itself, once its own key is found to have signed it."""
        hint = envelope.signatures[0].keyid
        for member in roster.members:
            if member.signing == hint:
                said = Standing.from_bytes(envelope.verify(STANDING, [member.signing]))
                if (said.site, said.roster) == (member.site, roster.digest()):
                    return said.site, said.alone
        raise TrustError("a standing is not signed by a member of the roster")

    def other(self, rows: str, roster: Roster) -> bool:
        """Whether these people have been answered for together with others than now.

        Whoever holds both totals can take one from the other. What remains is the part of the sites that are in one of
        the two alone; each of them must have said, when it signed, that it can stand by itself. Else nothing more is
        answered about these people under this roster. Only those count whose masks cancel with this site's: the total of
        another group is known apart.
        """
        now = party_of(roster, self.own.site)
        earlier = self.state.ledger.rosters(rows) - {" ".join(now)}
        for members in earlier:
            before = set(members.split())
            alone = self._alone(rows, members) | self._alone(rows, " ".join(now))
            if not before ^ set(now) <= alone:
                raise Withheld(Code.DISCLOSURE, "a site in one roster alone does not stand by itself")
        return bool(earlier)

    def _alone(self, rows: str, members: str) -> set[str]:
        """The members of a roster that have said they can stand by themselves with these people."""
        said = self.state.connection.execute(
            "select site from standings where rows = ? and members = ? and alone = 1", (rows, members)
        )
        return {str(row[0]) for row in said}


def party_of(roster: Roster, site: str) -> tuple[str, ...]:
    """The sites, by name and in order, whose masks cancel with this site's: its group, or the whole roster."""
    for party in roster.parties:
        if any(member.site == site for member in party):
            return tuple(sorted(member.site for member in party))
    raise Withheld(Code.ROSTER, "this site is not on the roster as itself")
