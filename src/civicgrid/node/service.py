"""Runs a node as a process: says hello, then exchanges replies for tasks until it is told to stop.

A node only dials out. A reply is on disk before it is sent and stays there until the hub confirms that it has it, so
either side may die at any moment. A reply is also the request for the next task: one message each way a round.
"""

from __future__ import annotations

import gc
import logging
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable

from civicgrid import __version__
from civicgrid.curation.store import Store
from civicgrid.disclosure.codes import WORDS
from civicgrid.errors import TrustError, WireError
from civicgrid.lock import Lock
from civicgrid.methods import METHODS
from civicgrid.node.home import Home
from civicgrid.node.session import Stored
from civicgrid.node.site import Identity, Site
from civicgrid.node.state import State
from civicgrid.node.witness import Witness
from civicgrid.transport import Connection, Unreachable
from civicgrid.wire import Exchange, Frame, Hello, Refused, Reply, SignedTask, Tasks, read_frame, read_reply

log = logging.getLogger("civicgrid.node")

WAIT = 20.0
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 4.0


class Service:
    """One node process. `run` returns when `stop` is set."""

    def __init__(self, home: Home) -> None:
        settings = home.settings()
        home.policy()
        self.home, self.settings = home, settings
        self.identity = Identity(
            settings.network, home.member(), home.signing(), home.exchange(), settings.hub_key
        )
        self.lock = Lock(home.path / "node.lock", f"A node is running at {home.path} already. Stop it first.")
        self.store = Store(home.data)
        self.state = State(home.state, home.seal())
        data = Stored(self.store, settings.cache_megabytes * 1_000_000)
        self.site = Site(self.identity, home, data, self.state)
        hub_ca = home.path / settings.hub_ca if settings.hub_ca else None
        self.connection = Connection(settings.hub, self.identity.signing, hub_ca)
        self.witness = Witness(self.state, self.identity, self.connection)
        self.look_at = 0.0
        self.session = secrets.token_hex(16)
        self.stop = threading.Event()

    def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Serve until `stop` is set. TrustError when the hub turns this node away for good."""
        # What is loaded now stays for good: walking over it again and again took a seventh of a round.
        gc.collect()
        gc.freeze()
        pause = FIRST_PAUSE
        greeted = False
        try:
            while not self.stop.is_set():
                try:
                    if not greeted:
                        self.hello()
                        greeted = True
                        log.info("The hub at %s takes this node's messages.", self.settings.hub)
                        ready()
                        self.look_at = 0.0
                        # What waits comes before the register: over a line that is cut again and again it must get through.
                        self.exchange(0.0)
                    if time.monotonic() >= self.look_at:
                        self.look_at = time.monotonic() + self.settings.witness_seconds
                        self.witness.look()
                    self.exchange()
                    pause = FIRST_PAUSE
                except (Unreachable, WireError, sqlite3.Error) as error:
                    # A full disk is waited out: what was not written down was not sent, and the hub asks again. So is a
                    # hub that takes no message now: a clock that is wrong here or there, another version, a power cut.
                    full = isinstance(error, sqlite3.Error)
                    words = "The node's state cannot be written: disk full?" if full else error
                    log.warning("%s Trying again in %.1f s.", words, pause)
                    greeted = False
                    self.stop.wait(pause)
                    pause = min(pause * 2, LONGEST_PAUSE)
        finally:
            self.connection.close()
            self.state.close()
            self.store.close()
            self.lock.release()

    def hello(self) -> None:
        hello = Hello(
            network=self.settings.network,
            member=self.identity.member,
            holdings=self.site.data.holdings(),
            methods={kind: method.version for kind, method in METHODS.items()},
            software=__version__,
            session=self.session,
        )
        self.connection.post("/node/hello", Frame(hello).to_bytes())

    def exchange(self, wait: float = WAIT) -> int:
        """Send what is in the outbox, take what the hub has ready, answer it. How many tasks there were."""
        replies: list[Reply] = []
        blobs: dict[str, bytes] = {}
        for waiting in self.state.outgoing():
            try:
                replies.append(read_reply(waiting.header))
            except WireError:
                replies.append(read_reply(self.site.outdated(waiting.task).header))
                continue
            if waiting.share:
                blobs[waiting.task] = waiting.share
        message = Exchange(session=self.session, replies=tuple(replies), wait=wait)
        raw = self.connection.post("/node/exchange", Frame(message, blobs).to_bytes(), patience=wait + 30)
        tasks, signed = read_frame(Tasks, raw)
        self.state.confirmed(tasks.stored)
        for number in range(tasks.tasks):
            try:
                answered = self.site.answer(SignedTask.from_bytes(signed[str(number)]))
            except (TrustError, WireError, KeyError) as error:
                log.error("A task was not opened: %s", error)
                continue
            if answered is None:
                # A run has ended: what it did stands on the register before long.
                self.look_at = 0.0
            # A share has its line in the audit log; a line here each round would cost as much as signing it does.
            if answered is not None and not answered.share:
                reply = read_reply(answered.header)
                what = WORDS[reply.code] if isinstance(reply, Refused) else reply.kind
                log.info("task %s: %s", answered.task[:12], what)
        return tasks.tasks

