"""Citizen panels: who volunteers, how seats are drawn by lot, who sits, and for how long.

A panel's rules are fixed when it opens; a panel with other rules is another panel. What a panel's yes is worth at a site is
for the site's own roll of its members to say (`ballot.Roll`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from civicgrid.canonical import Node
from civicgrid.errors import Missing, StateError
from civicgrid.governance.acts import Act, Asked, Look, Nothing, Notice, Outcome, Record
from civicgrid.governance.answers import Short
from civicgrid.governance.ballot import Majority, MemberKey, Roll
from civicgrid.governance.entry import Digest, Titles
from civicgrid.governance.people import Account, Grant, Id
from civicgrid.governance.permissions import Subject
from civicgrid.governance.register import RuleChanged
from civicgrid.governance.sortition import Candidate, Drawing, Quota, draw, follower, list_digest

MONTH = 30


class Member(Node):
    """Somebody who sits on a panel, which offer of theirs was drawn, and the last day of their term."""

    account: Id
    offer: Id
    group: tuple[str, ...] = ()
    until: dt.date


class Panel(Node):
    """A panel of a region or a service. `attributes` are what volunteers declare, `quotas` the seats of each group."""

    kind: Literal["panel"] = "panel"
    id: Id
    state: Literal["forming", "listed", "sitting", "closed"] = "forming"
    name: Annotated[Short, Field(min_length=1, max_length=120)]
    place: Short = ""
    attributes: Titles = ()
    quotas: tuple[Quota, ...]
    quorum: int = Field(ge=1, le=100)
    majority: Majority = "more than half"
    months: int = Field(default=24, ge=1, le=120)
    members: tuple[Member, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    list_digest: Digest | Literal[""] = ""
    seed: str = ""

    @property
    def seats(self) -> int:
        return sum(quota.seats for quota in self.quotas)

    def drawing(self) -> Drawing:
        """The draw again, from what is kept of it."""
        return draw(self.seed, self.id, self.candidates, self.quotas)

    def sitting(self, day: dt.date) -> tuple[Member, ...]:
        """The members whose term has not ended."""
        return tuple(member for member in self.members if day <= member.until)

    def roll(self, look: Look) -> Roll:
        """The roll that a site's engineer is given to keep: the members' keys, the quorum, the majority."""
        keys = [
            MemberKey(key=key, until=member.until)
            for member in self.members
            for key in look.get("account", member.account).keys[:1]
        ]
        if not keys:
            raise StateError("No member of this panel has added a key yet. Ask them to, on their account's page.")
        return Roll(panel=self.id, name=self.name, quorum=self.quorum, majority=self.majority, members=tuple(keys))


class Volunteer(Node):
    """Somebody's offer to sit on a panel, with what they declare of themselves. It can be emptied."""

    kind: Literal["volunteer"] = "volunteer"
    id: Id
    state: Literal["offered", "drawn", "withdrawn"] = "offered"
    account: Id
    panel: Id
    group: tuple[str, ...] = ()

    def marks(self) -> Iterator[tuple[str, str]]:
        """What offers are looked up by."""
        yield "panel", self.panel
        yield "account", self.account


class OpenPanel(Node):
    """A new panel and its rules, which stay as they are."""

    id: Annotated[
        str, Field(title="Short name", description="Lower case, digits and hyphens", pattern="^[a-z0-9][a-z0-9-]{0,62}$")
    ]
    name: Annotated[Short, Field(title="Name", min_length=1, max_length=120)]
    place: Annotated[Short, Field(title="Region or service", description="Whom it speaks for")] = ""
    attributes: Annotated[
        Titles, Field(title="What volunteers declare", description="One a line, such as age or part of the region")
    ] = ()
    quotas: Annotated[
        tuple[str, ...],
        Field(title="Seats", min_length=1, max_length=100,
              description="One group a line: its values with commas, then = and its seats, such as under 40, north = 3"),
    ]
    quorum: Annotated[int, Field(title="Quorum", description="How many members must vote", ge=1, le=100)]
    majority: Annotated[Majority, Field(title="Majority", description="Of those who vote yes or no")] = "more than half"
    months: Annotated[int, Field(title="Term of office in months", ge=1, le=120)] = 24


class Offer(Node):
    """An offer to sit on a panel."""

    panel: Annotated[Id, Field(title="Panel")]
    group: Annotated[
        tuple[Short, ...],
        Field(title="About you", description="What the panel asks, in its order, one a line", max_length=20),
    ] = ()


class Seed(Node):
    """The seed of a draw: something that nobody here can choose, such as the numbers of a public lottery on a named day."""

    seed: Annotated[
        str, Field(title="Seed", description="What was drawn in public, and where", min_length=16, max_length=500)
    ]


class Whom(Node):
    """Which member."""

    account: Annotated[Id, Field(title="Member")]


def about(panel: Any, look: Look) -> Subject:
    """The panel."""
    return Subject(panels=frozenset({panel.id}))


def about_offer(offer: Any, look: Look) -> Subject:
    """Whose offer it is."""
    return Subject(people=frozenset({offer.account}))


def _quota(line: str) -> Quota:
    group, equals, seats = line.rpartition("=")
    if not equals or not seats.strip().isdigit():
        raise StateError(f"Expected a group, = and a number of seats in each line; {line[:60]!r} came.")
    values = tuple(part.strip() for part in group.split(",") if part.strip())
    return Quota(group=values, seats=int(seats))


def _open(asked: Asked) -> Outcome:
    form: OpenPanel = asked.form
    if asked.look.find("panel", id=form.id):
        raise StateError(f"There is a panel called {form.id} already. Choose another short name.")
    quotas = tuple(_quota(line) for line in form.quotas)
    if len({quota.group for quota in quotas}) != len(quotas):
        raise StateError("Expected each group once; one stands twice.")
    if any(len(quota.group) != len(form.attributes) for quota in quotas):
        raise StateError(f"Expected {len(form.attributes)} values in each group, one for each thing that is declared.")
    panel = Panel(**form.__dict__ | {"quotas": quotas})
    if not form.quorum <= panel.seats <= 100:
        raise StateError(f"Expected from {form.quorum} seats, the quorum, to 100; there are {panel.seats}.")
    title = f"The citizen panel {form.name} opens: {panel.seats} seats, quorum {form.quorum}, majority {form.majority}"
    return Outcome((panel,), (RuleChanged(what="membership", title=title[:200]),))


def _offer(asked: Asked) -> Outcome:
    panel: Panel = asked.look.get("panel", asked.form.panel)
    if panel.state != "forming":
        raise StateError(f"The list of volunteers of {panel.name} is fixed. Offer again when it next renews.")
    if any(each.state == "offered" for each in asked.look.find("volunteer", panel=panel.id, account=asked.actor.id)):
        raise StateError("You have offered already. Withdraw that offer if you want to change it.")
    known = {quota.group for quota in panel.quotas}
    if asked.form.group not in known:
        groups = "; ".join(", ".join(group) for group in sorted(known))
        raise StateError(f"Expected one of the groups of this panel, in its order: {groups}.")
    made = Volunteer(id=asked.new_id("volunteer"), account=asked.actor.id, panel=panel.id, group=asked.form.group)
    return Outcome((made,))


def _withdraw(asked: Asked) -> Outcome:
    return Outcome((asked.record.model_copy(update={"state": "withdrawn", "group": ()}),))


def _fix(asked: Asked) -> Outcome:
    panel: Panel = asked.record
    offers = asked.look.find("volunteer", panel=panel.id, state="offered")
    candidates = tuple(sorted((Candidate(id=each.id, group=each.group) for each in offers), key=lambda each: each.id))
    if len(candidates) < panel.seats:
        raise StateError(f"Expected at least {panel.seats} volunteers, one a seat; there are {len(candidates)}.")
    fixed = list_digest(candidates)
    entry = RuleChanged(
        what="membership",
        title=f"The list of volunteers for {panel.name} is fixed: {len(candidates)} people",
        summary="Members will be drawn from this list by lot. The digest of the list stands here before the seed is known.",
        text=fixed,
    )
    update = {"state": "listed", "candidates": candidates, "list_digest": fixed, "seed": ""}
    return Outcome((panel.model_copy(update=update),), (entry,))


def _draw(asked: Asked) -> Outcome:
    panel: Panel = asked.record.model_copy(update={"seed": asked.form.seed})
    until = asked.now.date() + dt.timedelta(days=panel.months * MONTH)
    offers = {each.id: each for each in asked.look.find("volunteer", panel=panel.id)}
    drawing = panel.drawing()
    # Somebody on the list may have withdrawn since: their seat goes to who follows, as anybody can work out again.
    present = [each for each in drawing.drawn if _there(offers, each.id)]
    for gone in (each for each in drawing.drawn if not _there(offers, each.id)):
        passed = {each.id for each in drawing.reserve if not _there(offers, each.id)}
        next_one = follower(drawing, gone.group, frozenset({each.id for each in present} | passed))
        if next_one is not None:
            present.append(next_one)
    members = tuple(
        Member(account=offers[each.id].account, offer=each.id, group=each.group, until=until) for each in present
    )
    left = [each.account for each in panel.members if each.account not in {member.account for member in members}]
    records: list[Record] = [panel.model_copy(update={"state": "sitting", "members": members})]
    records += [offers[each.id].model_copy(update={"state": "drawn"}) for each in present]
    records += [_granted(asked.look, member.account, panel.id) for member in members]
    records += [_ungranted(asked.look, account, panel.id) for account in left]
    entry = RuleChanged(
        what="membership",
        title=f"{len(members)} members of {panel.name} were drawn by lot",
        summary=f"The seed: {panel.seed}. Anybody who has the list can draw again and get the same people.",
        text=panel.list_digest,
    )
    told = tuple(
        Notice(member.account, f"You were drawn for {panel.name}. Add a key to your account.", f"/panels/{panel.id}")
        for member in members
    )
    return Outcome(tuple(records), (entry,), told)


def _there(offers: dict[str, Volunteer], offer: str) -> bool:
    return offer in offers and offers[offer].state == "offered"


def _granted(look: Look, account: str, panel: str) -> Record:
    found: Account = look.get("account", account)
    grants = dict.fromkeys((*found.grants, Grant(role="panel_member", scope=panel)))
    return found.model_copy(update={"grants": tuple(grants)})


def _ungranted(look: Look, account: str, panel: str) -> Record:
    found: Account = look.get("account", account)
    kept = tuple(each for each in found.grants if each.scope != panel or each.role not in ("panel_member", "panel_chair"))
    return found.model_copy(update={"grants": kept})


def _replace(asked: Asked) -> Outcome:
    panel: Panel = asked.record
    gone = next((member for member in panel.members if member.account == asked.form.account), None)
    if gone is None:
        raise StateError("Expected a member of this panel; this person is none.")
    offers = {each.id: each for each in asked.look.find("volunteer", panel=panel.id)}
    taken = frozenset(each.id for each in panel.candidates if not _there(offers, each.id))
    next_one = follower(panel.drawing(), gone.group, taken)
    if next_one is None:
        raise StateError("Nobody is left on the list to take the seat. Renew the panel.")
    account = offers[next_one.id].account
    member = Member(account=account, offer=next_one.id, group=next_one.group, until=gone.until)
    kept = tuple(each for each in panel.members if each != gone)
    entry = RuleChanged(
        what="membership",
        title=f"A member of {panel.name} left; the next on the list took the seat",
        text=panel.list_digest,
    )
    told = Notice(account, f"You have a seat on {panel.name} now. Add a key to your account.", f"/panels/{panel.id}")
    return Outcome(
        (
            panel.model_copy(update={"members": (*kept, member)}),
            offers[next_one.id].model_copy(update={"state": "drawn"}),
            _granted(asked.look, account, panel.id),
            _ungranted(asked.look, gone.account, panel.id),
        ),
        (entry,),
        (told,),
    )


def _chair(asked: Asked) -> Outcome:
    panel: Panel = asked.record
    if asked.form.account not in {member.account for member in panel.members}:
        raise StateError("Expected a member of this panel to chair it; this person is none.")
    records: list[Record] = [panel]
    for member in panel.members:
        try:
            found: Account = asked.look.get("account", member.account)
        except Missing:
            continue
        chair = Grant(role="panel_chair", scope=panel.id)
        kept = tuple(each for each in found.grants if each != chair)
        grants = (*kept, chair) if member.account == asked.form.account else kept
        if grants != found.grants:
            records.append(found.model_copy(update={"grants": grants}))
    return Outcome(tuple(records))


def _renew(asked: Asked) -> Outcome:
    """The list opens again for the next term; who sits stays until others are drawn."""
    return Outcome((asked.record.model_copy(update={"state": "forming"}),))


SITTING = frozenset({"sitting"})
ACTS = (
    Act("panel.open", "Open a panel", _open, OpenPanel),
    Act("panel.fix_list", "Fix the list of volunteers", _fix, Nothing, frozenset({"forming"}), about),
    Act("panel.draw", "Draw the members", _draw, Seed, frozenset({"listed"}), about),
    Act("panel.replace", "Fill a free seat", _replace, Whom, SITTING, about),
    Act("panel.appoint_chair", "Appoint the chair", _chair, Whom, SITTING, about),
    Act("panel.renew", "Open the list for the next term", _renew, Nothing, SITTING, about),
    Act("volunteer.offer", "Offer to sit on a panel", _offer, Offer),
    Act("volunteer.withdraw", "Withdraw the offer", _withdraw, Nothing, frozenset({"offered"}), about_offer),
)
