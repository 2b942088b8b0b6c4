"""The runs of a hub: what was asked of whom, who has answered, and what comes next.

Each run is a `coordinator.conduct` generator. A task is stored before any site can see it, a reply before it is confirmed,
and the last reply of a round is stored together with the next task: one durable write a round. After a restart `resume`
runs every unfinished generator again over the stored replies.

Everything here runs on the event loop's thread, and nothing waits.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import sqlalchemy as sa

from civicgrid.canonical import digest
from civicgrid.disclosure.thresholds import Thresholds
from civicgrid.errors import CivicGridError, WireError
from civicgrid.hub import database as db
from civicgrid.hub.coordinator import Answer, Conduct, Dispatch, conduct
from civicgrid.hub.journal import Journal
from civicgrid.hub.lines import Line, Waiting
from civicgrid.trust.chain import Detail
from civicgrid.trust.envelope import Envelope
from civicgrid.trust.keys import SigningKey
from civicgrid.wire import Member, Reply, SignedTask, StudyRequest, StudyResult, read_reply, read_study

log = logging.getLogger("civicgrid.hub")

# Built once: what a statement is compiled to is found again by the statement itself.
_INSERT_TASK = sa.insert(db.tasks)
_INSERT_REPLY = sa.insert(db.replies)

GATHER_SECONDS = 0.05
RETRY_SECONDS = 1.0
OTHER_VERSION = "This run was begun by another version of the software. Run the study again."


@dataclass
class Conversation:
    """A run under way: its generator, the task that is out, and what has come back.

    `walking` while it goes over what is stored already, after a restart.
    """

    run: str
    conduct: Conduct
    walking: bool = True
    seq: int = -1
    digest: str = ""
    waiting: set[str] = field(default_factory=set)
    answers: dict[str, Answer] = field(default_factory=dict)
    since: float = 0.0


class Runs:
    """All runs of one hub, over one database."""

    def __init__(
        self,
        engine: sa.Engine,
        key: SigningKey,
        journal: Journal,
        *,
        reply_seconds: float,
        connected_seconds: float,
        ended: Callable[[sa.Connection, str, str], None] = lambda connection, run, state: None,
    ) -> None:
        self.engine, self.key, self.journal = engine, key, journal
        self.reply_seconds, self.connected_seconds = reply_seconds, connected_seconds
        self.ended = ended
        # Whether a zero is shown is for the sites' permits to say.
        self.thresholds = Thresholds(zeros=True)
        self.conversations: dict[str, Conversation] = {}
        self.lines: dict[str, Line] = {}
        self.finished: dict[str, asyncio.Event] = {}
        self._pending: list[dict[str, object]] = []
        self._gathering: asyncio.TimerHandle | None = None

    # --- starting and resuming ---------------------------------------------------------------------------------------

    def line(self, site: str) -> Line:
        return self.lines.setdefault(site, Line())

    def greeted(self, site: str) -> None:
        """A node has said hello: whatever it was handed before may not have reached it, and is handed out again."""
        self.line(site).greeted()

    def start(self, request: StudyRequest, study: Envelope, members: dict[str, Member], offline: tuple[Member, ...]) -> str:
        """Begin a run. The same signed study is one run, however often it is sent."""
        run = request.digest()
        with self.journal.transaction("submitted") as connection:
            if connection.execute(sa.select(db.runs.c.run).where(db.runs.c.run == run)).first():
                return run
            connection.execute(
                sa.insert(db.runs).values(
                    run=run,
                    network=request.network,
                    project=request.project,
                    person=request.person,
                    plan=request.plan.identity,
                    study=study.canonical().decode(),
                    members=json.dumps([members[site].to_data() for site in sorted(members)]),
                    offline=json.dumps([member.to_data() for member in offline]),
                    submitted=time.time(),
                    state="running",
                )
            )
            self.journal.add(connection, run, "submitted", project=request.project, plan=request.plan.identity)
        self._begin(request, study, members, offline)
        return run

    def resume(self) -> int:
        """Take up every unfinished run where its stored tasks and replies leave it. How many there were."""
        with self.engine.connect() as connection:
            rows = connection.execute(sa.select(db.runs).where(db.runs.c.state == "running")).mappings().all()
        for row in rows:
            try:
                self._take_up(row)
            except sa.exc.SQLAlchemyError:
                raise
            except Exception as error:
                # What another version stored and this one cannot read ends its run; it never keeps a hub from starting.
                log.error("run %s cannot be taken up: %s", row["run"][:12], type(error).__name__)
                self._close(Conversation(row["run"], _nothing()), "failed", json.dumps({"failure": OTHER_VERSION}))
        return len(rows)

    def _take_up(self, row: sa.RowMapping) -> None:
        study = Envelope.from_bytes(row["study"])
        members = {m["site"]: Member.model_validate(m) for m in json.loads(row["members"])}
        self._begin(read_study(study), study, members, tuple(Member.model_validate(m) for m in json.loads(row["offline"])))

    def _begin(
        self, request: StudyRequest, study: Envelope, members: dict[str, Member], offline: tuple[Member, ...]
    ) -> None:
        run = request.digest()
        talk = Conversation(run, conduct(request, study, run, members, offline, self.thresholds))
        self.conversations[run] = talk
        self._step(talk, first=True)

    # --- the conversation --------------------------------------------------------------------------------------------

    def _step(self, talk: Conversation, first: bool = False) -> None:
        """Advance a run. When the database cannot be written (a full disk), forget it and take it up again from what is
        stored: the nodes keep every reply that was not confirmed, and send it again."""
        try:
            self._advance(talk, first)
        except sa.exc.SQLAlchemyError as error:
            log.error("run %s: the database cannot be written (%s); trying again", talk.run[:12], type(error).__name__)
            self._drop(talk.run)
            asyncio.get_running_loop().call_later(RETRY_SECONDS, self._again, talk.run)

    def _again(self, run: str) -> None:
        try:
            with self.engine.connect() as connection:
                row = connection.execute(sa.select(db.runs).where(db.runs.c.run == run)).mappings().one()
            if row["state"] == "running" and run not in self.conversations:
                self._take_up(row)
        except sa.exc.SQLAlchemyError:
            asyncio.get_running_loop().call_later(RETRY_SECONDS, self._again, run)

    def _drop(self, run: str) -> None:
        self.conversations.pop(run, None)
        self._pending = [row for row in self._pending if row["run"] != run]
        for line in self.lines.values():
            line.drop(lambda waiting: waiting.run == run)

    def _advance(self, talk: Conversation, first: bool = False) -> None:
        """Send the generator what has come, store what it wants next, and put that before the sites.

        Dispatches that are stored already (after a restart) are walked through without waiting.
        """
        while True:
            try:
                dispatch = next(talk.conduct) if first else talk.conduct.send(talk.answers)
            except StopIteration as stop:
                self._finish(talk, stop.value)
                return
            except CivicGridError as error:
                self._fail(talk, str(error))
                return
            except sa.exc.SQLAlchemyError:
                raise
            except Exception as error:
                # A fault in a method's half at the hub ends its run, never the hub.
                log.error("run %s: %s at the hub", talk.run[:12], type(error).__name__)
                self._fail(talk, "The hub could not work this study out. Its operator finds the kind of fault in the log.")
                return
            first = False
            if not self._dispatch(talk, dispatch):
                return
            if talk.waiting:
                return

    def _dispatch(self, talk: Conversation, dispatch: Dispatch) -> bool:
        talk.seq += 1
        payload = dispatch.frame.to_bytes()
        stored = self._stored(talk) if talk.walking else None
        gone: set[str] = set()
        if stored is None:
            talk.walking = False
            signed = SignedTask.sign(dispatch.frame, self.key)
            self._store(talk, dispatch, signed)
            talk.answers = {}
        else:
            signed, answered = stored
            if signed.payload != payload:
                self._fail(talk, OTHER_VERSION)
                return False
            talk.answers = answered
            gone = self._lost_before(signed.digest)
        talk.digest, talk.since = signed.digest, time.monotonic()
        talk.waiting = set(dispatch.targets) - set(talk.answers) - gone if dispatch.expects else set()
        raw = signed.to_bytes()
        for site in dispatch.targets if not dispatch.expects else talk.waiting:
            self.line(site).put(signed.digest, Waiting(talk.run, raw, dispatch.expects))
        return True

    def _stored(self, talk: Conversation) -> tuple[SignedTask, dict[str, Answer]] | None:
        with self.engine.connect() as connection:
            row = connection.execute(
                sa.select(db.tasks.c.signed).where(db.tasks.c.run == talk.run, db.tasks.c.seq == talk.seq)
            ).first()
            if row is None:
                return None
            signed = SignedTask.from_bytes(bytes(row[0]))
            rows = connection.execute(
                sa.select(db.replies).where(db.replies.c.task == signed.digest, db.replies.c.header.is_not(None))
            ).mappings()
            return signed, {r["site"]: Answer(read_reply(r["header"]), bytes(r["share"])) for r in rows}

    def _lost_before(self, task: str) -> set[str]:
        with self.engine.connect() as connection:
            rows = connection.execute(
                sa.select(db.replies.c.site).where(db.replies.c.task == task, db.replies.c.header.is_(None))
            )
            return {row[0] for row in rows}

    def _store(self, talk: Conversation, dispatch: Dispatch, signed: SignedTask) -> None:
        """The next task and every reply that waits to be stored: one transaction."""
        with self.journal.transaction("asked") as connection:
            self._write_pending(connection)
            connection.execute(
                _INSERT_TASK,
                {
                    "run": talk.run,
                    "seq": talk.seq,
                    "digest": signed.digest,
                    "signed": signed.to_bytes(),
                    "targets": json.dumps(dispatch.targets),
                    "at": time.time(),
                },
            )
            kind = getattr(dispatch.frame.header, "kind", "task")
            details: dict[str, Detail] = {"task": signed.digest, "kind": kind, "sites": dispatch.targets}
            if kind == "round":
                details |= {
                    "analysis": getattr(dispatch.frame.header, "analysis", ""),
                    "round": getattr(dispatch.frame.header, "round", 0),
                }
            self.journal.add(connection, talk.run, "asked", **details)
        self._confirm()

    # --- replies -----------------------------------------------------------------------------------------------------

    def take(self, site: str, reply: Reply, header: bytes, share: bytes) -> None:
        """A reply has come. It is confirmed to the site once it is stored."""
        line = self.line(site)
        task = line.tasks.pop(reply.task, None)
        if task is None:
            # Stored before, or for a run that has ended: confirmed again, so that the node can let go of it. A reply that
            # waits to be stored, or whose run is being taken up again, is not confirmed; the node will send it again.
            if self._settled(site, reply.task):
                line.stored.append(reply.task)
            return
        talk = self.conversations.get(task.run)
        self._pending.append(
            {"task": reply.task, "site": site, "header": header, "share": share, "at": time.time(), "run": task.run}
        )
        if talk is None or talk.digest != reply.task:
            self._gather()
            return
        talk.answers[site] = Answer(reply, share)
        talk.waiting.discard(site)
        if talk.waiting:
            self._gather()
        else:
            self._step(talk)

    def _settled(self, site: str, task: str) -> bool:
        with self.engine.connect() as connection:
            if connection.execute(
                sa.select(db.replies.c.task).where(db.replies.c.task == task, db.replies.c.site == site)
            ).first():
                return True
            state = connection.execute(
                sa.select(db.runs.c.state).join(db.tasks, db.tasks.c.run == db.runs.c.run).where(db.tasks.c.digest == task)
            ).first()
        return state is None or state[0] != "running"

    def _gather(self) -> None:
        """Store what has come before long, together with whatever comes until then."""
        if self._gathering is None:
            self._gathering = asyncio.get_running_loop().call_later(GATHER_SECONDS, self._flush)

    def _flush(self) -> None:
        self._gathering = None
        if not self._pending:
            return
        try:
            with self.journal.transaction("answered") as connection:
                self._write_pending(connection)
        except sa.exc.SQLAlchemyError as error:
            log.error("replies cannot be stored (%s); trying again", type(error).__name__)
            self._gathering = asyncio.get_running_loop().call_later(RETRY_SECONDS, self._flush)
            return
        self._confirm()

    def _write_pending(self, connection: sa.Connection) -> None:
        if not self._pending:
            return
        rows = [{k: v for k, v in row.items() if k != "run"} for row in self._pending]
        connection.execute(_INSERT_REPLY, rows)
        for task in dict.fromkeys(str(row["task"]) for row in self._pending):
            of_task = [row for row in self._pending if row["task"] == task]
            answered = [row for row in of_task if row["header"] is not None]
            shares = tuple(digest(row["share"]) for row in answered if isinstance(row["share"], bytes) and row["share"])
            run = str(of_task[0]["run"])
            if answered:
                sites = tuple(str(row["site"]) for row in answered)
                self.journal.add(connection, run, "answered", task=task, sites=sites, shares=shares)
            if len(answered) < len(of_task):
                lost = tuple(str(row["site"]) for row in of_task if row["header"] is None)
                self.journal.add(connection, run, "lost", task=task, sites=lost)

    def _confirm(self) -> None:
        for row in self._pending:
            if row["header"] is not None:
                self.line(str(row["site"])).stored.append(str(row["task"]))
        self._pending.clear()

    def overdue(self) -> None:
        """Go on without sites that have not answered in time, or that have gone without fetching their task."""
        now = time.monotonic()
        for talk in list(self.conversations.values()):
            late = set()
            for site in talk.waiting:
                line = self.line(site)
                task = line.tasks.get(talk.digest)
                fetched = task is not None and bool(task.session)
                silent = now - max(line.seen, talk.since) > self.connected_seconds
                if now - talk.since > self.reply_seconds or (not fetched and silent):
                    late.add(site)
                    line.tasks.pop(talk.digest, None)
                    self._pending.append(
                        {
                            "task": talk.digest,
                            "site": site,
                            "header": None,
                            "share": None,
                            "at": time.time(),
                            "run": talk.run,
                        }
                    )
            if late:
                talk.waiting -= late
                if talk.waiting:
                    self._gather()
                else:
                    self._step(talk)

    # --- the end -----------------------------------------------------------------------------------------------------

    def _finish(self, talk: Conversation, result: StudyResult) -> None:
        self._close(talk, "finished", result.canonical().decode())

    def _fail(self, talk: Conversation, why: str) -> None:
        log.error("run %s ended: %s", talk.run[:12], why)
        self._close(talk, "failed", json.dumps({"failure": why}))

    def _close(self, talk: Conversation, state: str, result: str) -> None:
        with self.journal.transaction("ended") as connection:
            self._write_pending(connection)
            connection.execute(
                sa.update(db.runs)
                .where(db.runs.c.run == talk.run)
                .values(state=state, result=result, finished=time.time())
            )
            self.journal.add(connection, talk.run, state, result=digest(result.encode()))
            self.ended(connection, talk.run, state)
        self._confirm()
        self.conversations.pop(talk.run, None)
        for line in self.lines.values():
            line.drop(lambda waiting: waiting.run == talk.run and waiting.expects)
        watched = self.finished.pop(talk.run, None)
        if watched is not None:
            watched.set()


def _nothing() -> Conduct:
    """The conversation of a run that cannot be taken up: it has ended."""
    raise WireError("This run cannot be taken up.")
    yield
