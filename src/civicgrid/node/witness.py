"""A node as a witness of the public register: it signs that the register has only grown since it last looked.

The node keeps the last checkpoint that it has seen. A new one counts when it is signed under the key that the hub names
under its own, pinned key, and when the hub proves that the register still begins with all that was there before. Then, and
only then, the node cosigns it: what it has seen is on disk before its signature leaves. Anything else is a register that
was cut, changed or shown to others in another form: it is not cosigned, it is written down with the hub's own signature as
the evidence, and `civicgrid node status` tells of it until the site's people have dealt with it.
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3
import time
from dataclasses import dataclass

from civicgrid.errors import CivicGridError, TrustError
from civicgrid.node.site import Identity
from civicgrid.node.state import State
from civicgrid.transport import Connection
from civicgrid.trust.merkle import EMPTY, verify_consistency
from civicgrid.trust.note import Checkpoint, Note, NoteKey, cosigned
from civicgrid.wire import REGISTER, Frame, RegisterHead, RegisterKey, Witnessing, read_frame, witness_name

log = logging.getLogger("civicgrid.node")

PATH = "/node/witness"
PATIENCE = 10.0
FRESH = 300.0
"""A register that has not grown is cosigned again after so many seconds: that it has not grown is news too."""
MOST_FAULTS = 100


@dataclass(frozen=True)
class Seen:
    """The last checkpoint that this node has cosigned."""

    origin: str
    key: str
    size: int
    root: bytes
    checkpoint: str
    at: float


@dataclass(frozen=True)
class Fault:
    """A register that did not hold: why, the hub's own signed checkpoint, and when this was found."""

    words: str
    checkpoint: str
    at: float


class Forked(TrustError):
    """The register is not the one that this node has seen before."""


class Witness:
    """What one node does about its hub's register."""

    def __init__(self, state: State, identity: Identity, connection: Connection) -> None:
        self.state, self.identity, self.connection = state, identity, connection

    def look(self) -> None:
        """Ask for the newest checkpoint, and cosign it if the register has only grown. Never in the way of a study."""
        try:
            before = seen(self.state)
            head = self._ask(Witnessing(size=before.size if before else 0))
            try:
                checkpoint, key = self._checked(head, before)
            except Forked as error:
                self._refuse(str(error), head.checkpoint)
                return
            if before is None or checkpoint.text != before.checkpoint or time.time() - before.at > FRESH:
                self._cosign(checkpoint, key)
        except CivicGridError as error:
            log.warning("The public register could not be witnessed: %s", error)
        except sqlite3.Error:
            log.warning("The public register could not be witnessed: the node's state cannot be written.")

    def _ask(self, message: Witnessing) -> RegisterHead:
        raw = self.connection.post(PATH, Frame(message).to_bytes(), patience=PATIENCE)
        head, _ = read_frame(RegisterHead, raw)
        return head

    def _checked(self, head: RegisterHead, before: Seen | None) -> tuple[Checkpoint, NoteKey]:
        """The checkpoint and the register's key. Forked where the register is another than before."""
        identity = self.identity
        said = RegisterKey.from_bytes(head.statement.verify(REGISTER, [identity.hub_key]))
        key = NoteKey.parse(said.key)
        if said.network != identity.network or key.name != said.origin:
            raise TrustError("Expected the register of this node's own network, under its own name; another came.")
        if before is not None and (said.origin, said.key) != (before.origin, before.key):
            raise Forked("The hub shows a register of another name or under another key than before.")
        note = Note.parse(head.checkpoint)
        if key not in note.opened([key]):
            raise TrustError("Expected a checkpoint signed with the register's key; this one is not.")
        checkpoint = Checkpoint.parse(note.text)
        if checkpoint.origin != said.origin:
            raise TrustError("Expected a checkpoint of this network's register; one of another came.")
        size, root = (before.size, before.root) if before is not None else (0, EMPTY)
        try:
            proof = [bytes.fromhex(part) for part in head.proof]
            verify_consistency(size, checkpoint.size, root, checkpoint.root, proof)
        except TrustError as error:
            raise Forked(str(error)) from None
        return checkpoint, key

    def _cosign(self, checkpoint: Checkpoint, key: NoteKey) -> None:
        now = time.time()
        name = witness_name(checkpoint.origin, self.identity.member.site)
        line = str(cosigned(checkpoint.text, self.identity.signing, name, int(now)))
        values = (checkpoint.origin, str(key), checkpoint.size, checkpoint.root, checkpoint.text, now)
        # On disk first: a node that dies now must never sign another register of this size.
        with self.state.transaction("witnessed") as connection:
            connection.execute("insert or replace into register values (1, ?, ?, ?, ?, ?, ?)", values)
        self._ask(Witnessing(size=checkpoint.size, line=line))

    def _refuse(self, words: str, checkpoint: str) -> None:
        digest = hashlib.sha256(checkpoint.encode()).hexdigest()
        log.error(
            "THE PUBLIC REGISTER WAS NOT COSIGNED: %s The hub's signed checkpoint is kept as evidence (%s). "
            "See `civicgrid node status`, and tell the other sites.",
            words,
            digest[:12],
        )
        with self.state.transaction("register-refused") as connection:
            known = connection.execute("select 1 from register_faults where digest = ?", (digest,)).fetchone()
            many = connection.execute("select count(*) from register_faults").fetchone()[0] >= MOST_FAULTS
            if not known and not many:
                connection.execute(
                    "insert into register_faults values (?, ?, ?, ?)", (digest, words, checkpoint, time.time())
                )
                self.state.audit("register.refused", checkpoint=digest)


def seen(state: State) -> Seen | None:
    """What this node has last cosigned; None before the first time."""
    row = state.connection.execute(
        "select origin, key, size, root, checkpoint, at from register where id = 1"
    ).fetchone()
    return None if row is None else Seen(*row)


def faults(state: State) -> list[Fault]:
    """The registers that this node has refused to cosign, the first first."""
    rows = state.connection.execute("select words, checkpoint, at from register_faults order by at")
    return [Fault(*row) for row in rows]


def forget(state: State) -> None:
    """Take the register anew as the hub shows it next: for the site's people to decide, once they know why it changed."""
    with state.transaction("register-forgotten") as connection:
        connection.execute("delete from register")
        connection.execute("delete from register_faults")
        state.audit("register.forgotten")
