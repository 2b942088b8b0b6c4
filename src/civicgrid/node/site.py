"""A site's decisions: what it does with a task, from the signature on it to the bytes that leave.

Everything that a node decides is here, and in `node.rosters` with whom it is summed; both know nothing of HTTP. A
simulation asks the same object. The order in `_round` is the order of trust: the hub's signature, the run, the permit, the
roster and what was asked under it before, and only then the data, the method and the gate.
"""

from __future__ import annotations

import datetime as dt
import logging
import sqlite3
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from civicgrid.canonical import digest
from civicgrid.disclosure.codes import Code, Withheld
from civicgrid.disclosure.policy import Policy
from civicgrid.disclosure.release import Limbs, Terms, release, stands_alone
from civicgrid.disclosure.shapes import Share
from civicgrid.disclosure.thresholds import Thresholds
from civicgrid.errors import PlanError, TrustError, WireError
from civicgrid.governance.permit import Permit
from civicgrid.methods.method import Ask, Method
from civicgrid.node.releases import Releases
from civicgrid.node.rosters import Rosters, party_of
from civicgrid.node.session import Data, Session, open_session
from civicgrid.node.state import State
from civicgrid.query.table import Nobody, Table
from civicgrid.trust.envelope import Envelope
from civicgrid.trust.keys import ExchangeKey, SigningKey
from civicgrid.trust.masks import MaskContext, mask
from civicgrid.trust.roster import Member
from civicgrid.wire import (
    Accepted,
    Finish,
    Prepare,
    Refused,
    Reply,
    Roster,
    Round,
    Shared,
    SignedTask,
    Standing,
    StudyRequest,
    read_study,
)

log = logging.getLogger("civicgrid.node")

MOST_SESSIONS = 32


class Trusted(Protocol):
    """What only the site changes, read afresh for every task: a revoked permit stops the next round."""

    def policy(self) -> Policy: ...
    def permits(self) -> list[tuple[str, Permit]]: ...
    def peers(self) -> dict[str, Member]: ...


@dataclass(frozen=True)
class Identity:
    """Who this site is, and whose tasks it opens."""

    network: str
    member: Member
    signing: SigningKey
    exchange: ExchangeKey
    hub_key: str


@dataclass(frozen=True)
class Answered:
    """A reply as bytes: its header, and the released share where there is one."""

    task: str
    header: bytes
    share: bytes


@dataclass
class Site:
    """One site. `answer` takes a signed task and gives back what is to be sent, having written it down first."""

    identity: Identity
    trusted: Trusted
    data: Data
    state: State
    now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)
    sessions: dict[str, Session] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rosters = Rosters(self.identity.member, self.trusted, self.state)
        self.releases = Releases(self.state, lambda: self.data, self.trusted.policy)

    def answer(self, signed: SignedTask) -> Answered | None:
        """The reply to a task, or None where none is due. The same task gets the same bytes.

        TrustError or WireError for bytes that are no task of this network's hub: those are not replied to.
        """
        task, blobs = signed.open(self.identity.hub_key)
        if task.network != self.identity.network:
            raise TrustError("Expected a task of this network; one of another network came. It was not answered.")
        if isinstance(task, Finish):
            self._forget(task.run)
            return None
        known = self.state.ledger.recall(signed.digest)
        if known is not None:
            answered = Answered(signed.digest, *_split(known))
            with self.state.transaction("resent"):
                self.state.put_out(answered.task, answered.header, answered.share)
            return answered
        try:
            if isinstance(task, Prepare):
                return self._prepare(signed.digest, task)
            return self._round(signed.digest, task, blobs.get("ask", b""))
        except Withheld as decision:
            return self._refuse(signed.digest, task, decision)
        except sqlite3.Error:
            # Nothing was written down, so nothing may be sent. The task is asked again when there is room. What the session
            # takes for written down goes with it.
            self._forget(task.run)
            raise
        except Exception as error:
            # The text of an unforeseen error may quote a record: only its kind and place are kept.
            frames = [f"{frame.name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)[-4:]]
            log.error("task failed: %s at %s", type(error).__name__, " > ".join(frames))
            self._forget(task.run)
            return self._refuse(signed.digest, task, Withheld(Code.FAILED, type(error).__name__))

    # --- taking part -------------------------------------------------------------------------------------------------

    def _prepare(self, task: str, prepare: Prepare) -> Answered:
        request = self._study(prepare.study)
        permit_digest, permit = self._permitted(request)
        roster = prepare.roster
        if (
            (roster.network, roster.study, roster.run) != (self.identity.network, request.digest(), prepare.run)
            or prepare.run != request.digest()
            or roster.plan != request.plan.digest()
        ):
            raise Withheld(Code.ROSTER, "the roster is for another study")
        self.rosters.check_members(roster)
        session = self.sessions.get(prepare.run) or self._open(request)
        thresholds = self._thresholds(permit)
        self.releases.check_ask(session, _proposal(roster), thresholds)
        enough = session.table.rows >= thresholds.min_cell
        if not enough and (roster.mode == "open" or not self._pooled(permit)):
            # Nobody and a few look the same from outside.
            raise Withheld(Code.DISCLOSURE, "the cohort is too small here")
        all_fit = roster.mode == "open" or all(session.enough(name, thresholds) for name in request.plan.methods)
        if not all_fit and not (enough and self._pooled(permit)):
            # Refused now, not in the middle: the others could not go on without this site. Where it may sit an analysis
            # out, what is counted more in the others is its people, so it sits out only if these are not few.
            raise Withheld(Code.DISCLOSURE, "one of the analyses would be refused")
        self.releases.check(session, list(request.plan.methods), thresholds)
        alone = enough and (
            roster.mode == "open" or self._first_shares_stand_alone(session, thresholds, self._pooled(permit))
        )
        standing = Standing(roster=roster.digest(), site=self.identity.member.site, alone=alone)
        reply = Accepted(
            task=task,
            signature=roster.sign(self.identity.signing),
            standing=standing.signed(self.identity.signing),
            thresholds=thresholds,
        )
        with self.state.transaction("accepted") as connection:
            connection.execute(
                "insert or replace into runs values (?, ?, ?, ?, ?, ?)",
                (
                    prepare.run,
                    prepare.study.canonical().decode(),
                    session.table.snapshot,
                    session.rows,
                    permit_digest,
                    self.state.clock(),
                ),
            )
            connection.execute(
                "insert or replace into rosters values (?, ?, ?, ?, 0)",
                (roster.digest(), prepare.run, roster.attempt, roster.canonical().decode()),
            )
            self.releases.prepared(session, _proposal(roster))
            self.releases.enter(session, request.plan.methods, thresholds)
            self.state.audit(
                "accepted",
                run=prepare.run,
                project=request.project,
                person=digest(request.person.encode()),
                plan=request.plan.digest(),
                permit=permit_digest,
                roster=roster.digest(),
            )
            return self._put_out(task, reply, b"")

    def _open(self, request: StudyRequest) -> Session:
        """The session of a study, kept for its rounds. A run is of one snapshot: after a load it must be asked anew."""
        run = request.digest()
        row = self.state.connection.execute("select snapshot from runs where run = ?", (run,)).fetchone()
        session = open_session(request, self.data)
        if row is not None and session.table.snapshot != row[0]:
            session.table.close()
            raise Withheld(Code.LATE, "the data set has been loaded anew since the run began")
        while len(self.sessions) >= MOST_SESSIONS:
            self._forget(next(iter(self.sessions)))
        self.sessions[run] = session
        return session

    def _forget(self, run: str) -> None:
        session = self.sessions.pop(run, None)
        if session is not None:
            session.table.close()
        self.rosters.forget(run)

    def _first_shares_stand_alone(self, session: Session, thresholds: Thresholds, pooled: bool) -> bool:
        """Whether what this site gives to the first round of every analysis could leave by itself.

        The first Ask of a method follows from the plan, so the shares are worked out now, and kept for the rounds.
        """
        plan = session.request.plan
        for name, method in plan.methods.items():
            if name not in session.first:
                ask = next(method.coordinate(plan.schema))
                session.first[name] = (ask.to_bytes(), method.site(_seen(session, name, thresholds, pooled), ask))
        return all(stands_alone(share, thresholds) for _, share in session.first.values())

    def _study(self, study: Envelope) -> StudyRequest:
        """The request inside a signed study, once the person whom it names is found to have signed it."""
        try:
            request = read_study(study)
        except TrustError as error:
            raise Withheld(Code.NOT_PERMITTED, str(error)) from None
        except (PlanError, WireError) as error:
            raise Withheld(Code.NOT_UNDERSTOOD, str(error)) from None
        if request.network != self.identity.network:
            raise Withheld(Code.NOT_PERMITTED, "the study is for another network")
        return request

    def _permitted(self, request: StudyRequest) -> tuple[str, Permit]:
        """The permit of this site that covers the study now, with its digest."""
        refusal = "no permit stands at this site"
        for permit_digest, permit in self.trusted.permits():
            try:
                permit.check(
                    network=self.identity.network,
                    site=self.identity.member.site,
                    project=request.project,
                    person=request.person,
                    plan=request.plan,
                    now=self.now(),
                )
                return permit_digest, permit
            except TrustError as error:
                refusal = str(error)
        raise Withheld(Code.NOT_PERMITTED, refusal)

    # --- answering ---------------------------------------------------------------------------------------------------

    def _round(self, task: str, round_: Round, raw: bytes) -> Answered:
        session, permit = self._session(round_.run)
        roster = self.rosters.signed(round_, session.rows)
        self.rosters.check_members(roster)
        method = session.request.plan.methods.get(round_.analysis)
        if method is None or method.version != round_.version:
            raise Withheld(Code.NOT_UNDERSTOOD, "no such analysis in the plan, or another version of its method")
        # The digest binds the analysis too: two analyses may ask in the same bytes and mean different sums.
        ask_digest = digest(round_.analysis.encode() + b"\0" + raw)
        context = _context(round_, round_.round)
        # The very task that was answered has been recalled before this: what comes here now is another message.
        if self.state.ledger.asked(context) is not None:
            raise Withheld(Code.ROSTER, "another question, or another message, under the same round")
        self._in_order(round_, method.most_rounds())
        thresholds = self._thresholds(permit)
        self.releases.check_ask(session, ask_digest, thresholds)
        if round_.round == 0:
            self.releases.check(session, [round_.analysis], thresholds)
        share = self._share(session, round_, method, raw, thresholds, roster.mode == "masked" and self._pooled(permit))
        # What is told roughly leaves by itself whatever the roster, and is not held against it.
        rows = f"rough {session.rows}" if method.rough else session.rows
        summed = not method.rough and thresholds.min_cell > 1
        if summed:
            load, behind = self.releases.behind(session, round_.analysis, thresholds)
            if self.rosters.other(load, rows, roster, behind) and not stands_alone(share, thresholds):
                raise Withheld(Code.DISCLOSURE, "the same people under another roster")
        masking: Callable[[Limbs], Limbs] | None = None
        if roster.mode == "masked":
            salt = MaskContext(
                network=roster.network,
                study=roster.run,
                round=round_.round,
                attempt=roster.attempt,
                roster=round_.roster,
                ask=ask_digest,
            )
            peers = roster.peers(self.identity.member.site)
            masking = lambda limbs: mask(limbs, self.identity.exchange, peers, salt)  # noqa: E731
        made_by = self.releases.conditions(session).encode()
        tag = lambda people: self.state.seal.tag(made_by + people)  # noqa: E731
        terms = Terms(thresholds, not self._pooled(permit), len(roster.members), masking, tag)
        released = release(share, terms)
        with self.state.transaction("released") as connection:
            answered = self._put_out(task, Shared(task=task), released)
            connection.execute(
                "insert into rounds values (?, ?, 1) on conflict do update set answered = answered + 1",
                (round_.run, round_.analysis),
            )
            party = " ".join(party_of(roster, self.identity.member.site))
            self.state.ledger.record(
                task, context, ask_digest, rows, party, _join(answered), self.state.clock()
            )
            self.releases.asked(session, ask_digest)
            if round_.round == 0:
                self.releases.enter(session, [round_.analysis], thresholds)
                if summed:
                    self.rosters.enter(load, rows, roster, behind)
            self.state.audit(
                "released",
                run=round_.run,
                analysis=round_.analysis,
                round=round_.round,
                mode=roster.mode,
                ask=ask_digest,
                digest=digest(released),
                bytes=len(released),
            )
        return answered

    def _share(
        self, session: Session, round_: Round, method: Method, raw: bytes, thresholds: Thresholds, pooled: bool
    ) -> Share:
        known = session.first.get(round_.analysis)
        if known is not None and known[0] == raw:
            return known[1]
        try:
            ask = Ask.from_bytes(raw)
        except (ValueError, TypeError) as error:
            raise Withheld(Code.NOT_UNDERSTOOD, f"the Ask cannot be read: {error}") from None
        return method.site(_seen(session, round_.analysis, thresholds, pooled), ask)

    def _in_order(self, round_: Round, most: int) -> None:
        """Rounds follow one another, there are not many, and after a refusal no more: nothing is found out by trying."""
        shut = self.state.connection.execute(
            "select code from closed where run = ? and analysis = ?", (round_.run, round_.analysis)
        ).fetchone()
        if shut is not None:
            raise Withheld(Code(shut[0]), "this site has refused the analysis before")
        answered = self.state.connection.execute(
            "select answered from rounds where run = ? and analysis = ?", (round_.run, round_.analysis)
        ).fetchone()
        # Whatever the roster: a hub may propose as many as it likes.
        if round_.round >= most or (answered is not None and answered[0] >= most):
            raise Withheld(Code.LATE, "too many rounds")
        if round_.round and self.state.ledger.asked(_context(round_, round_.round - 1)) is None:
            raise Withheld(Code.ROSTER, "the round before was not answered here")

    def _session(self, run: str) -> tuple[Session, Permit]:
        """The run as this site accepted it, with a permit that covers it still; reopened after a restart."""
        session = self.sessions.get(run)
        if session is None:
            row = self.state.connection.execute("select study from runs where run = ?", (run,)).fetchone()
            if row is None:
                raise Withheld(Code.LATE, "this site has not accepted the run")
            session = self._open(self._study(Envelope.from_bytes(row[0])))
        return session, self._permitted(session.request)[1]

    # --- terms and replies -------------------------------------------------------------------------------------------

    def _thresholds(self, permit: Permit) -> Thresholds:
        policy = self.trusted.policy()
        own = policy.thresholds if permit.thresholds is None else policy.thresholds.stricter(permit.thresholds)
        return own.model_copy(update={"zeros": policy.zeros and permit.zeros})

    def _pooled(self, permit: Permit) -> bool:
        return permit.pooled_threshold and self.trusted.policy().pooled_threshold

    def outdated(self, task: str) -> Answered:
        """A refusal in place of a reply that waits to be sent, was written by another version, and cannot be read."""
        return self._refuse(task, None, Withheld(Code.LATE, "the reply was written by another version"))

    def _refuse(self, task: str, asked: Prepare | Round | None, decision: Withheld) -> Answered:
        with self.state.transaction("refused") as connection:
            if isinstance(asked, Round) and decision.code in (Code.DISCLOSURE, Code.FAILED):
                # What was refused for what the data holds stays refused in this run, however it is asked again.
                connection.execute(
                    "insert or ignore into closed values (?, ?, ?)", (asked.run, asked.analysis, decision.code.value)
                )
            if isinstance(asked, Prepare) and decision.code is Code.DISCLOSURE and asked.run in self.sessions:
                self.releases.prepared(self.sessions[asked.run], _proposal(asked.roster))
            self.state.audit("refused", task=task, code=decision.code.value)
            log.info("refused task %s: %s (%s)", task[:12], decision.code.value, decision.detail)
            return self._put_out(task, Refused(task=task, code=decision.code), b"")

    def _put_out(self, task: str, reply: Reply, share: bytes) -> Answered:
        answered = Answered(task, reply.canonical(), share)
        self.state.put_out(task, answered.header, answered.share)
        return answered


def _seen(session: Session, analysis: str, thresholds: Thresholds, pooled: bool) -> Table:
    """The table that a method reads: nobody's, where its people would break a rule that holds under a mask too.

    Refusing would end the analysis for every site, since those left over may not answer for the same people again
    without one that does not stand alone.
    """
    if pooled and not session.enough(analysis, thresholds):
        return Nobody(session.table.schema, session.table.snapshot)
    return session.table


def _proposal(roster: Roster) -> str:
    """The name of what a site is asked when a study is proposed: in the open it may answer otherwise than masked."""
    return digest(f"prepare {roster.mode} {roster.plan}".encode())


def _context(round_: Round, number: int) -> str:
    """The name of one round of one analysis under one roster: what one mask is for."""
    return digest(f"{round_.run} {round_.attempt} {round_.roster} {round_.analysis} {number}".encode())


def _join(answered: Answered) -> bytes:
    return len(answered.header).to_bytes(4, "little") + answered.header + answered.share


def _split(raw: bytes) -> tuple[bytes, bytes]:
    size = int.from_bytes(raw[:4], "little")
    return raw[4 : 4 + size], raw[4 + size :]

