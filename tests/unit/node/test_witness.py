"""A node as a witness: what it signs, and what it does not, whatever the hub shows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from civicgrid.errors import WireError
from civicgrid.node import witness as module
from civicgrid.node.site import Identity
from civicgrid.node.state import State
from civicgrid.node.witness import Witness, faults, forget, seen
from civicgrid.trust import merkle
from civicgrid.trust.envelope import Envelope
from civicgrid.trust.keys import ExchangeKey, SigningKey
from civicgrid.trust.merkle import Memory, leaf_hash
from civicgrid.trust.note import WITNESS, Checkpoint, Line, Note, NoteKey, signed
from civicgrid.trust.roster import Member
from civicgrid.wire import REGISTER, Frame, RegisterHead, RegisterKey, Witnessing, read_frame

ORIGIN, NETWORK = "hub.example/net", "net"
HUB, KEY, NODE = SigningKey.generate(), SigningKey.generate(), SigningKey.generate()


@dataclass
class Hub:
    """What a hub answers. `head` is what it shows; `lines` what it has been given."""

    nodes: Memory = field(default_factory=Memory)
    origin: str = ORIGIN
    network: str = NETWORK
    key: SigningKey = KEY
    signer: SigningKey = KEY
    hub: SigningKey = HUB
    size: int | None = None
    lines: list[tuple[int, str]] = field(default_factory=list)
    changed: Callable[[RegisterHead], Any] = lambda head: head
    down: bool = False

    def add(self, *entries: bytes) -> None:
        for entry in entries:
            self.nodes.append(leaf_hash(entry))

    def post(self, path: str, body: bytes, patience: float) -> bytes:
        if self.down:
            raise WireError("no")
        said, _ = read_frame(Witnessing, body)
        if said.line:
            self.lines.append((said.size, said.line))
        size = self.nodes.size if self.size is None else self.size
        text = Checkpoint(self.origin, size, merkle.head(size, self.nodes)).text
        named = RegisterKey(network=self.network, origin=self.origin, key=str(NoteKey(self.origin, self.key.public)))
        proof = merkle.consistency(said.size, size, self.nodes) if 0 < said.size <= size else ()
        head = RegisterHead(
            statement=Envelope.sign(REGISTER, named.canonical(), self.hub),
            checkpoint=str(signed(text, self.signer, self.origin)),
            proof=tuple(part.hex() for part in proof),
        )
        return Frame(self.changed(head)).to_bytes()


@pytest.fixture
def hub() -> Hub:
    made = Hub()
    made.add(b"a", b"b", b"c")
    return made


@pytest.fixture
def node(hub: Hub) -> Witness:
    member = Member(site="york", organisation="York", signing=NODE.public, exchange=ExchangeKey.generate().public)
    identity = Identity(NETWORK, member, NODE, ExchangeKey.generate(), HUB.public)
    return Witness(State(None), identity, hub)  # type: ignore[arg-type]


def size(node: Witness) -> int:
    last = seen(node.state)
    return last.size if last else -1


def test_it_signs_what_has_only_grown(hub: Hub, node: Witness) -> None:
    node.look()
    hub.add(b"d", b"e")
    node.look()
    assert (size(node), [at for at, _ in hub.lines], faults(node.state)) == (5, [3, 5], [])
    key = NoteKey(f"{ORIGIN}/york", NODE.public, WITNESS)
    text = Checkpoint(ORIGIN, 5, merkle.head(5, hub.nodes)).text
    assert key in Note(text, (Line.parse(hub.lines[-1][1]),)).opened([key])


def test_an_unchanged_register_is_signed_again_only_after_a_while(
    hub: Hub, node: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.look()
    node.look()
    assert len(hub.lines) == 1
    monkeypatch.setattr(module, "FRESH", -1.0)
    node.look()
    assert len(hub.lines) == 2


def test_an_empty_register_is_one_too(node: Witness, hub: Hub) -> None:
    hub.nodes = Memory()
    node.look()
    assert size(node) == 0
    hub.add(b"a")
    node.look()
    assert (size(node), faults(node.state)) == (1, [])


def rewritten(hub: Hub) -> None:
    hub.nodes = Memory()
    hub.add(b"a", b"X", b"c", b"d")


def cut(hub: Hub) -> None:
    hub.size = 2


def another_of_one_size(hub: Hub) -> None:
    hub.nodes = Memory()
    hub.add(b"a", b"X", b"c")


def another_key(hub: Hub) -> None:
    hub.key = hub.signer = SigningKey.generate()


def another_name(hub: Hub) -> None:
    hub.origin = "hub.example/other"


def no_proof(hub: Hub) -> None:
    hub.add(b"d")
    hub.changed = lambda head: head.model_copy(update={"proof": ()})


@pytest.mark.parametrize("change", [rewritten, cut, another_of_one_size, another_key, another_name, no_proof])
def test_another_register_than_before_is_refused_for_good_and_kept_as_evidence(
    change: Callable[[Hub], None], hub: Hub, node: Witness
) -> None:
    node.look()
    before = seen(node.state)
    change(hub)
    for _ in range(2):
        node.look()
    assert (seen(node.state), len(hub.lines)) == (before, 1)
    (found,) = faults(node.state)
    note = Note.parse(found.checkpoint)
    assert note.opened([NoteKey(hub.origin, hub.signer.public)]), "what the hub signed"
    forget(node.state)
    assert (seen(node.state), faults(node.state)) == (None, [])


def false_statement(hub: Hub) -> None:
    hub.hub = SigningKey.generate()


def false_signature(hub: Hub) -> None:
    hub.signer = SigningKey.generate()


def other_network(hub: Hub) -> None:
    hub.network = "other"


def no_note(hub: Hub) -> None:
    hub.changed = lambda head: head.model_copy(update={"checkpoint": "nothing"})


def no_head(hub: Hub) -> None:
    hub.changed = lambda head: Witnessing(size=1)


def gone(hub: Hub) -> None:
    hub.down = True


@pytest.mark.parametrize("change", [false_statement, false_signature, other_network, no_note, no_head, gone])
def test_what_no_register_signed_is_neither_signed_nor_evidence(
    change: Callable[[Hub], None], hub: Hub, node: Witness, caplog: pytest.LogCaptureFixture
) -> None:
    """Anybody between could have made it up: it is logged, and nothing else."""
    change(hub)
    node.look()
    assert (seen(node.state), faults(node.state), hub.lines) == (None, [], [])
    assert "could not be witnessed" in caplog.text


def test_what_was_seen_is_on_disk_before_a_signature_leaves(hub: Hub, node: Witness) -> None:
    at: list[int] = []

    def post(path: str, body: bytes, patience: float) -> bytes:
        said, _ = read_frame(Witnessing, body)
        if said.line:
            at.append(size(node))
        return Hub.post(hub, path, body, patience)

    node.connection = type("Asked", (), {"post": staticmethod(post)})()
    node.look()
    assert at == [3]


def test_a_hub_cannot_fill_a_node_s_disk_with_false_registers(
    hub: Hub, node: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_FAULTS", 3)
    node.look()
    for number in range(6):
        hub.nodes = Memory()
        hub.add(*[b"%d" % number] * 4)
        node.look()
    assert len(faults(node.state)) == 3
