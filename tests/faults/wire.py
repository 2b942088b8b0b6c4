"""A line between nodes and hub that can be cut, held up, and made to carry a message twice or late.

The hub's public address is this proxy's, as behind a web server that ends TLS. A message is told by the key that signed it.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

KEYID = re.compile(rb'keyid="([^"]+)"')
LENGTH = re.compile(rb"content-length: *(\d+)", re.I)


@dataclass(frozen=True)
class Message:
    """One request, or one answer, as its bytes."""

    raw: bytes

    @property
    def key(self) -> str:
        found = KEYID.search(self.raw)
        return found.group(1).decode() if found else ""

    @property
    def path(self) -> str:
        return self.raw.split(b" ", 2)[1].decode()


Rule = Callable[[Message], str]
"""What becomes of a message: "pass"; "lost", and the connection with it; "unanswered": it arrives, its answer does not;
"twice": once more after it; "copied first": a copy goes before it."""


@dataclass
class Wire:
    """Listens on `port`, and carries everything to `hub` while `rule` says "pass"."""

    hub: int
    port: int = 0
    rule: Rule = lambda message: "pass"
    seen: list[Message] = field(default_factory=list)
    copies: list[bytes] = field(default_factory=list)
    """The answers of the hub to what the wire sent of its own accord."""

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        self._open = threading.Event()
        self._open.set()
        self._held = ""
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._open.set()
        self._listener.close()

    def hold(self, key: str) -> None:
        """Nothing passes to or from this party, and nothing is lost: as when a router is in doubt."""
        self._held = key
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    def deliver(self, message: Message) -> bytes:
        """Bring a message to the hub once more; give back what the hub says."""
        with socket.create_connection(("127.0.0.1", self.hub), timeout=60) as line:
            line.sendall(message.raw)
            answer = _read(line.makefile("rb"))
        assert answer is not None, "the hub gave no answer"
        self.copies.append(answer.raw)
        return answer.raw

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.hub)) as line:
            whose = [""]
            answered = threading.Event()
            answered.set()
            back = threading.Thread(target=self._back, args=(line, client, whose, answered), daemon=True)
            back.start()
            reader = client.makefile("rb")
            while (message := _read(reader)) is not None:
                whose[0] = message.key
                self.seen.append(message)
                self._pass(message.key)
                fate = self.rule(message)
                if fate == "lost":
                    break
                if fate == "copied first":
                    self.deliver(message)
                if fate == "unanswered":
                    answered.clear()
                line.sendall(message.raw)
                if fate == "unanswered":
                    answered.wait(60)
                    break
                if fate == "twice":
                    threading.Thread(target=self.deliver, args=(message,), daemon=True).start()
            for end in (client, line):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            back.join(60)

    def _back(
        self, line: socket.socket, client: socket.socket, whose: list[str], answered: threading.Event
    ) -> None:
        with contextlib.suppress(OSError):
            while part := line.recv(65536):
                self._pass(whose[0])
                if not answered.is_set():
                    break
                client.sendall(part)
            client.shutdown(socket.SHUT_RDWR)
        answered.set()

    def _pass(self, key: str) -> None:
        if key == self._held:
            self._open.wait(60)


def _read(reader: BinaryIO) -> Message | None:
    """The next message on a connection; None at its end."""
    raw = b""
    while not raw.endswith(b"\r\n\r\n"):
        line = reader.readline()
        if not line:
            return None
        raw += line
    length = LENGTH.search(raw)
    body = reader.read(int(length.group(1))) if length else b""
    return Message(raw + body)
