"""What a hub holds ready for the node of one site: tasks that wait for it, and word of the replies that are stored.

A node asks for its tasks, and its request is held open until there is one. A task is handed out again to another process of
the node, once to the same one where it asks without having it, and after `LEASE_SECONDS`; it waits until the reply comes or
the run goes on without it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

LEASE_SECONDS = 15.0


@dataclass
class Waiting:
    """A task that a site has not answered. `session` is the node process that it was last handed to, `asking` the number of
    the request that took it; `again` once it has been handed out before its time was over.
    """

    run: str
    signed: bytes
    expects: bool
    session: str = ""
    handed: float = 0.0
    asking: int = 0
    again: bool = False


@dataclass
class Line:
    """What is ready for one site, and an event for a node that is waiting.

    `asking` numbers the node's requests. One that came after another takes its place: the way that the earlier one came by
    may be cut, and what was handed out there would be lost.
    """

    tasks: dict[str, Waiting] = field(default_factory=dict)
    stored: list[str] = field(default_factory=list)
    asking: int = 0
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    seen: float = 0.0

    def greeted(self) -> None:
        """The node has said hello: whatever it was handed before may not have reached it, and is handed out again."""
        self.seen = time.monotonic()
        for task in self.tasks.values():
            task.handed = float("-inf")

    def put(self, task: str, waiting: Waiting) -> None:
        """Hold a task ready, under its digest."""
        self.tasks[task] = waiting
        self.wake.set()

    def drop(self, over: Callable[[Waiting], bool]) -> None:
        """Let go of the tasks that are over."""
        self.tasks = {name: waiting for name, waiting in self.tasks.items() if not over(waiting)}

    async def next_tasks(self, session: str, wait: float, look: float) -> tuple[tuple[str, ...], list[bytes]]:
        """Confirmations and tasks: at once if there are tasks, else as soon as one comes or `wait` seconds are over.

        Every `look` seconds the node that waits counts as seen.
        """
        self.asking += 1
        asking = self.asking
        self.wake.set()
        until = time.monotonic() + wait
        while asking == self.asking:
            self.seen = time.monotonic()
            tasks = self._hand_out(session, asking)
            left = until - time.monotonic()
            if tasks or left <= 0:
                stored, self.stored = tuple(self.stored), []
                return stored, tasks
            self.wake.clear()
            try:
                await asyncio.wait_for(self.wake.wait(), min(left, look))
            except TimeoutError:
                continue
        return (), []

    def _hand_out(self, session: str, asking: int) -> list[bytes]:
        """What this request takes with it. A node asks again once it has answered what it had, so a task that an earlier
        request took and that is not answered went to one that nobody waits for any more: it is handed out again, once, and
        after that in its time, so that a task which a node cannot open does not go back and forth.
        """
        now = time.monotonic()
        ready = []
        for name, task in list(self.tasks.items()):
            lost = task.session == session and task.asking < asking and not task.again
            if task.session != session or lost or now - task.handed > LEASE_SECONDS:
                task.again = task.session == session and (task.again or lost)
                task.session, task.handed, task.asking = session, now, asking
                ready.append(task.signed)
                if not task.expects:
                    self.tasks.pop(name)
        return ready
