"""Whom a site is summed with: the rosters that it has signed, and what may be answered under a second one.

See docs/decisions/rosters.md for why a second list of sites over the same people is watched so closely.
"""

from __future__ import annotations

from typing import Protocol

from civicgrid.disclosure.codes import Code, Withheld
from civicgrid.disclosure.policy import Policy
from civicgrid.disclosure.row_sets import Answered, Load
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
        self._overlaps: dict[tuple[int, Load, str, tuple[str, ...], str], bool | None] = {}

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

    def other(self, load: Load, rows: str, roster: Roster, answer: Answered) -> bool:
        """Whether what these people add up to has been answered for together with others than now.

        Withheld(DISCLOSURE) where the totals under this list of sites and under others could be combined so that what is
        left is the part of a site that has not said, when it signed, that it can stand by itself: `disclosure.totals`.
        """
        totals, party = self.state.totals, party_of(roster, self.own.site)
        key = (totals.entered, load, rows, party, answer.name)
        if key not in self._overlaps:
            self._overlaps = {kept: it for kept, it in self._overlaps.items() if kept[0] == totals.entered}
            self._overlaps[key] = totals.overlap(load, party, self._weak(rows, party), answer.sets)
        overlap = self._overlaps[key]
        if overlap is None:
            raise Withheld(Code.DISCLOSURE, "with other lists of sites, a part that does not stand alone would come out")
        return overlap

    def enter(self, load: Load, rows: str, roster: Roster, answer: Answered) -> None:
        """Write down under which list of sites an answer is being released. The caller's transaction commits it."""
        party = party_of(roster, self.own.site)
        self.state.totals.enter(load, party, self._weak(rows, party), answer.sets)

    def _weak(self, rows: str, party: tuple[str, ...]) -> bool:
        """Whether a member has not said that it can stand by itself with these people."""
        said = self.state.connection.execute(
            "select site from standings where rows = ? and members = ? and alone = 1", (rows, " ".join(party))
        )
        return not set(party) <= {str(row[0]) for row in said}


def party_of(roster: Roster, site: str) -> tuple[str, ...]:
    """The sites, by name and in order, whose masks cancel with this site's: its group, or the whole roster.

    In the open a site is by itself, whoever else is asked: its part is known apart.
    """
    for party in roster.parties:
        if any(member.site == site for member in party):
            return (site,) if roster.mode == "open" else tuple(sorted(member.site for member in party))
    raise Withheld(Code.ROSTER, "this site is not on the roster as itself")
