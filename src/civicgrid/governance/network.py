"""The network's board: sites are admitted, paused, suspended and retired, and rules changed, by several keys together.

The board has a seat for each of four sectors, each with a key. A motion says exactly what would change; a vote is a DSSE
envelope under the seat's key over the digest of that. How many sectors it takes is data (`NEEDED`), never fewer than two:
no single key changes a rule, a site's membership, or who sits here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from civicgrid.canonical import Node, digest
from civicgrid.errors import Missing, PlanError, StateError, TrustError
from civicgrid.governance.acts import Act, Asked, Look, Nothing, Outcome, Record
from civicgrid.governance.answers import Prose, Short
from civicgrid.governance.charter import CHARTER, Charter, Principle
from civicgrid.governance.decisions import LONG
from civicgrid.governance.entry import Digest, Entry, Place
from civicgrid.governance.people import Account, Grant, Id, Sector
from civicgrid.governance.permissions import Subject
from civicgrid.governance.register import RuleChanged, SiteChanged
from civicgrid.governance.sites import Question, Site, SiteState
from civicgrid.trust.envelope import Envelope
from civicgrid.trust.keys import SigningKey, signing_public

BOARD_VOTE = "application/vnd.civicgrid.board-vote+json"
BOARD = "board"
SECTORS: tuple[Sector, ...] = ("health service", "council", "university", "community")


class Admit(Node):
    """A site's application to join."""

    kind: Literal["admit"] = "admit"
    id: Annotated[Place, Field(title="Short name", description="Lower case, digits and hyphens")]
    name: Annotated[Short, Field(title="Full name", min_length=1, max_length=150)]
    organisation: Annotated[Id, Field(title="Organisation", description="The one that runs it")]
    panels: Annotated[tuple[Id, ...], Field(title="Citizen panels that it heeds", max_length=20)] = ()
    two_custodians: Annotated[bool, Field(title="Two custodians have to agree")] = False
    two_checkers: Annotated[bool, Field(title="Two output checkers have to agree")] = False
    reason: Annotated[Prose, Field(title="Reason", min_length=1, json_schema_extra=LONG)]


class Move(Node):
    """Another state for a site."""

    kind: Literal["move"] = "move"
    site: Annotated[Place, Field(title="Site")]
    to: Annotated[SiteState, Field(title="New state")]
    reason: Annotated[Prose, Field(title="Reason", description="It is public", min_length=1, json_schema_extra=LONG)]


class Principles(Node):
    """A new charter in place of the present one."""

    kind: Literal["charter"] = "charter"
    panel: Annotated[tuple[Short, ...], Field(title="Principles that a panel answers", max_length=25)] = ()
    custodian: Annotated[tuple[Short, ...], Field(title="Principles that a custodian answers", max_length=25)] = ()


class Rule(Node):
    """A rule of the network in words."""

    kind: Literal["rule"] = "rule"
    title: Annotated[Short, Field(title="Title", min_length=1, max_length=150)]
    text: Annotated[Prose, Field(title="The rule", min_length=1, json_schema_extra=LONG)]


class Seating(Node):
    """Somebody else for a sector's seat, with their key."""

    kind: Literal["seat"] = "seat"
    sector: Annotated[Literal["health service", "council", "university", "community"], Field(title="Sector")]
    account: Annotated[Id, Field(title="Person")]
    key: Annotated[str, Field(title="Public key", max_length=100)]


Change = Annotated[Admit | Move | Principles | Rule | Seating, Field(discriminator="kind")]

NEEDED: Mapping[str, int] = {
    "admit": 3, "active": 2, "paused": 2, "suspended": 3, "retired": 3, "charter": 4, "rule": 4, "seat": 3,
}  # fmt: skip
"""How many of the four sectors must say yes: by kind of change, for a site's state by the new state."""

LEADS: Mapping[SiteState, frozenset[SiteState]] = {
    "active": frozenset({"paused", "suspended", "retired"}),
    "paused": frozenset({"active", "suspended", "retired"}),
    "suspended": frozenset({"active", "retired"}),
    "retired": frozenset(),
}
"""From which state of a site to which."""
WORDS: Mapping[SiteState, Literal["paused", "resumed", "suspended", "retired"]] = {
    "paused": "paused", "active": "resumed", "suspended": "suspended", "retired": "retired",
}  # fmt: skip


class Seat(Node):
    """A sector's seat: who holds it, and the key that votes for it."""

    sector: Sector
    account: Id
    key: str


class Board(Node):
    """Who votes. Its first seats come with the network; each later one from the board itself."""

    kind: Literal["board"] = "board"
    id: Literal["board"] = "board"
    state: Literal["active"] = "active"
    seats: Annotated[tuple[Seat, ...], Field(max_length=4)]


class BoardVote(Node):
    """How one sector votes on one motion."""

    kind: Literal["board_vote"] = "board_vote"
    network: str
    motion: Id
    change: Digest
    sector: Sector
    choice: Literal["yes", "no"]

    def signed(self, key: SigningKey) -> Envelope:
        return Envelope.sign(BOARD_VOTE, self.canonical(), key)


class CastVote(Node):
    """A sector's vote, as it is kept with its signature."""

    sector: Sector
    choice: Literal["yes", "no"]
    envelope: Envelope


class Motion(Node):
    """A change that the board decides on."""

    kind: Literal["motion"] = "motion"
    id: Id
    state: Literal["open", "carried", "rejected", "withdrawn"] = "open"
    by: Id
    change: Change
    votes: tuple[CastVote, ...] = ()

    def marks(self) -> Iterator[tuple[str, str]]:
        """What motions are looked up by."""
        yield "by", self.by
        yield "change", self.change.kind

    @property
    def needed(self) -> int:
        """How many sectors must say yes."""
        return NEEDED[self.change.to if isinstance(self.change, Move) else self.change.kind]

    def said(self, choice: str) -> tuple[Sector, ...]:
        return tuple(vote.sector for vote in self.votes if vote.choice == choice)


class SignedVote(Node):
    """A vote, signed with the seat's key."""

    vote: Annotated[
        str, Field(title="Signed vote", description="The vote, signed with your seat's key", min_length=1,
                   max_length=20_000, json_schema_extra=LONG),
    ]  # fmt: skip


class Questions(Node):
    """What a site asks of everybody who applies."""

    questions: Annotated[tuple[Short, ...], Field(title="Questions", description="One a line", max_length=50)] = ()


class Pause(Node):
    """Why a site stops for a while."""

    reason: Annotated[Prose, Field(title="Reason", description="It is public", min_length=1, json_schema_extra=LONG)]


def about(motion: Any, look: Look) -> Subject:
    """The sectors that have not voted, and who proposed it."""
    waiting = frozenset(SECTORS) - {vote.sector for vote in motion.votes}
    return Subject(people=frozenset({motion.by}), sectors=frozenset(waiting))


def about_site(site: Any, look: Look) -> Subject:
    """The site."""
    return Subject(sites=frozenset({site.id}))


def vote(motion: Motion, network: str, sector: Sector, choice: Literal["yes", "no"]) -> BoardVote:
    """What the holder of a seat signs."""
    return BoardVote(
        network=network, motion=motion.id, change=digest(motion.change.canonical()), sector=sector, choice=choice
    )


def _propose(asked: Asked) -> Outcome:
    change = asked.form
    _check(change, asked.look)
    return Outcome((Motion(id=asked.new_id("motion"), by=asked.actor.id, change=change),))


def _check(change: Any, look: Look) -> None:
    """Raise StateError or Missing for what could not be done now."""
    if isinstance(change, Admit):
        if look.find("site", id=change.id):
            raise StateError(f"There is a site called {change.id} already. Choose another short name.")
        look.get("organisation", change.organisation)
        for panel in change.panels:
            look.get("panel", panel)
    elif isinstance(change, Move):
        site: Site = look.get("site", change.site)
        if change.to not in LEADS[site.state]:
            raise StateError(f"A site that is {site.state} cannot become {change.to}.")
    elif isinstance(change, Seating):
        look.get("account", change.account)
        others = [seat for seat in _board(look).seats if seat.sector != change.sector]
        if any(change.account == seat.account or change.key == seat.key for seat in others):
            raise StateError("This person or key votes for another sector already. Nobody holds two seats.")
        try:
            signing_public(change.key)
        except TrustError as error:
            raise StateError(str(error)) from None


def _vote(asked: Asked) -> Outcome:
    motion: Motion = asked.record
    board = _board(asked.look)
    try:
        envelope = Envelope.from_bytes(asked.form.vote)
        keys = {seat.key: seat for seat in board.seats if seat.account == asked.actor.id}
        signers = envelope.signers(BOARD_VOTE, keys)
        if len(envelope.signatures) != 1 or not signers:
            raise StateError("Expected a vote signed with the key of your own seat, and with no other.")
        given = BoardVote.from_bytes(envelope.verify(BOARD_VOTE, signers))
    except (TrustError, PlanError) as error:
        raise StateError(f"This vote does not hold: {error}") from None
    seat = keys[next(iter(signers))]
    if given != vote(motion, asked.network, seat.sector, given.choice):
        raise StateError("This vote is on another motion, or for another sector. Sign one for this motion.")
    if seat.sector in {each.sector for each in motion.votes}:
        raise StateError("Your sector has voted. A vote that is cast stays cast.")
    cast = CastVote(sector=seat.sector, choice=given.choice, envelope=envelope)
    counted = motion.model_copy(update={"votes": (*motion.votes, cast)})
    if len(counted.said("yes")) >= counted.needed:
        records, entries = _carry(counted, board, asked.look)
        return Outcome((counted.model_copy(update={"state": "carried"}), *records), entries)
    if len(SECTORS) - len(counted.said("no")) < counted.needed:
        return Outcome((counted.model_copy(update={"state": "rejected"}),))
    return Outcome((counted,))


def _board(look: Look) -> Board:
    try:
        found: Board = look.get("board", BOARD)
    except Missing:
        raise StateError("This network has no board yet. Its operator sets one up with the network.") from None
    return found


def _carry(motion: Motion, board: Board, look: Look) -> tuple[tuple[Record, ...], tuple[Entry, ...]]:
    """What a motion that has carried changes, and what the public reads of it."""
    change = motion.change
    _check(change, look)
    sectors = motion.said("yes")
    if isinstance(change, Admit):
        fields = {name: value for name, value in change.__dict__.items() if name not in ("kind", "reason")}
        site = Site(**fields)
        name = look.get("organisation", site.organisation).name
        entry = SiteChanged(
            site=site.id, organisation=name, state="admitted", reason=change.reason, sectors=sectors
        )
        return (site,), (entry,)
    if isinstance(change, Move):
        moved = look.get("site", change.site).model_copy(update={"state": change.to})
        return (moved,), (_changed(moved, change.reason, look, sectors),)
    if isinstance(change, Principles):
        present = look.find("charter", id=CHARTER)
        principles = (
            *(Principle(words=words) for words in change.panel),
            *(Principle(words=words, by="custodian") for words in change.custodian),
        )
        charter = Charter(version=present[0].version + 1 if present else 1, principles=principles)
        title = f"The charter, version {charter.version}, has {len(principles)} principles"
        return (charter,), (RuleChanged(what="charter", title=title, text=charter.digest(), sectors=sectors),)
    if isinstance(change, Rule):
        text = digest(change.text.encode())
        return (), (RuleChanged(what="rule", title=change.title, summary=change.text, text=text, sectors=sectors),)
    return _seated(change, board, look, sectors)


def _seated(
    change: Seating, board: Board, look: Look, sectors: tuple[Sector, ...]
) -> tuple[tuple[Record, ...], tuple[Entry, ...]]:
    seat = Seat(sector=change.sector, account=change.account, key=change.key)
    gone = [each for each in board.seats if each.sector == change.sector]
    records: list[Record] = [
        board.model_copy(update={"seats": (*(each for each in board.seats if each.sector != change.sector), seat)})
    ]
    grant = Grant(role="board_member", scope=change.sector)
    for account in {each.account for each in gone} - {seat.account}:
        before: Account = look.get("account", account)
        kept = tuple(each for each in before.grants if each != grant)
        records.append(before.model_copy(update={"grants": kept}))
    after: Account = look.get("account", seat.account)
    records.append(after.model_copy(update={"grants": tuple(dict.fromkeys((*after.grants, grant)))}))
    title = f"The seat of the sector {change.sector} on the board has changed hands"
    return tuple(records), (RuleChanged(what="membership", title=title, sectors=sectors),)


def _changed(site: Site, reason: str, look: Look, sectors: tuple[Sector, ...] = ()) -> SiteChanged:
    name = look.get("organisation", site.organisation).name
    return SiteChanged(site=site.id, organisation=name, state=WORDS[site.state], reason=reason, sectors=sectors)


def _withdraw(asked: Asked) -> Outcome:
    return Outcome((asked.record.model_copy(update={"state": "withdrawn"}),))


def _pause(asked: Asked) -> Outcome:
    site = asked.record.model_copy(update={"state": "paused"})
    return Outcome((site,), (_changed(site, asked.form.reason, asked.look),))


def _resume(asked: Asked) -> Outcome:
    site = asked.record.model_copy(update={"state": "active"})
    return Outcome((site,), (_changed(site, "", asked.look),))


def _questions(asked: Asked) -> Outcome:
    questions = tuple(Question(title=words) for words in dict.fromkeys(asked.form.questions))
    return Outcome((asked.record.model_copy(update={"questions": questions}),))


OPEN = frozenset({"open"})
ACTS = (
    Act("motion.admit", "Apply for a site to join", _propose, Admit),
    Act("motion.move_site", "Propose to pause, suspend, resume or retire a site", _propose, Move),
    Act("motion.change_charter", "Propose a new charter", _propose, Principles),
    Act("motion.change_rule", "Propose a rule", _propose, Rule),
    Act("motion.give_seat", "Propose who holds a seat", _propose, Seating),
    Act("motion.vote", "Vote", _vote, SignedVote, OPEN, about),
    Act("motion.withdraw", "Withdraw", _withdraw, Nothing, OPEN, about),
    Act("site.pause", "Stop for a while", _pause, Pause, frozenset({"active"}), about_site),
    Act("site.resume", "Start again", _resume, Nothing, frozenset({"paused"}), about_site),
    Act("site.ask", "Change what the site asks", _questions, Questions, frozenset({"active", "paused"}), about_site),
)
