"""How much one client may ask of the hub: requests a second, requests that wait, and bytes not yet proven to be anybody's.

A request first costs a token of the client address's. Where its signature turns out to hold, that token is given back and
one of the key's is taken instead. So forged messages under a node's name use up their sender's tokens and never the
node's, and many nodes behind one address are in nobody's way. Everything is kept in memory and bounded in size.
"""

from __future__ import annotations

import ipaddress
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import lru_cache

from starlette.requests import ClientDisconnect

from civicgrid.config import HubSettings
from civicgrid.errors import CivicGridError, WireError

BURST_SECONDS = 10.0
MOST_CLIENTS = 10_000
MOST_NAMED = 1_000
MOST_UNPROVEN = 512_000_000
MOST_UNPROVEN_EACH = 256_000_000
"""Bytes of message bodies in memory whose signature has not been checked yet: of all clients, and of one address."""


class Throttled(CivicGridError):
    """The client asks for more than its share: it may try again in so many seconds."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = max(1, int(seconds + 0.999))


class TooLarge(WireError):
    """A message beyond what its sender may send."""


class Buckets:
    """Token buckets by name: `rate` tokens a second each, and up to `burst` saved up.

    When there are more than `most` names, the one that was used the longest ago is forgotten, which gives it a full bucket.
    """

    def __init__(self, rate: float, burst: float, most: int = MOST_CLIENTS) -> None:
        self.rate, self.burst, self.most = rate, max(burst, 1.0), most
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str, now: float) -> float:
        """Take a token; 0, or where there is none the seconds until there will be."""
        left, at = self._left.pop(name, (self.burst, now))
        left = min(self.burst, left + (now - at) * self.rate)
        wait = 0.0 if left >= 1.0 else (1.0 - left) / self.rate
        self._left[name] = (left if wait else left - 1.0, now)
        if len(self._left) > self.most:
            self._left.popitem(last=False)
        return wait

    def give_back(self, name: str) -> None:
        if name in self._left:
            left, at = self._left[name]
            self._left[name] = (min(self.burst, left + 1.0), at)

    def __len__(self) -> int:
        return len(self._left)


class Limits:
    """The limits of one hub, as its settings have them."""

    def __init__(self, settings: HubSettings) -> None:
        self._addresses = Buckets(settings.address_requests, settings.address_requests * BURST_SECONDS)
        self._nodes = Buckets(settings.node_requests, settings.node_requests * BURST_SECONDS)
        self._people = Buckets(settings.person_requests, settings.person_requests * BURST_SECONDS)
        self._polls = settings.polls
        self._waiting: dict[str, int] = {}
        self._unproven: dict[str, int] = {}
        self._refused: Counter[tuple[int, str]] = Counter()

    def knock(self, address: str) -> None:
        """A request has come from this address. Throttled, before anything of it is looked at, where there are too many."""
        wait = self._addresses.take(client(address), time.monotonic())
        if wait:
            raise Throttled(
                "Too many requests come from this address without a signature that holds. Wait, and check what sends them.",
                wait,
            )

    def proven(self, address: str, key: str, node: bool) -> None:
        """The signature of that request holds: it counts as its key's from here on."""
        self._addresses.give_back(client(address))
        wait = (self._nodes if node else self._people).take(key, time.monotonic())
        if wait:
            raise Throttled("Too many requests come under this key. Wait, then go on; nothing was lost.", wait)

    def refused(self, status: int, address: str) -> None:
        """Count a request that was refused, for the log. A flood makes one line of it, not a line a request."""
        named = (status, client(address))
        self._refused[named if named in self._refused or len(self._refused) < MOST_NAMED else (status, "others")] += 1

    def refusals(self) -> str:
        """What was refused since this was last asked: status, address, how often. Empty where nothing was."""
        most = [f"{status} to {address} {times} time(s)" for (status, address), times in self._refused.most_common(10)]
        more = len(self._refused) - len(most)
        self._refused.clear()
        return "; ".join(most) + (f"; and {more} more" if more > 0 else "")

    @contextmanager
    def waiting(self, key: str) -> Iterator[None]:
        """For as long as a request of this key waits for news."""
        already = self._waiting.get(key, 0)
        if already >= self._polls:
            raise Throttled(f"Expected at most {self._polls} requests of one key that wait; end some of them.", 1.0)
        self._waiting[key] = already + 1
        try:
            yield
        finally:
            left = self._waiting[key] - 1
            if left:
                self._waiting[key] = left
            else:
                del self._waiting[key]

    async def read(self, stream: AsyncIterator[bytes], address: str, most: int) -> bytes:
        """A body of at most `most` bytes, and no more of it in memory than the limits on unproven bytes allow."""
        name, held = client(address), 0
        chunks: list[bytes] = []
        try:
            async for chunk in stream:
                if not chunk:
                    continue
                chunks.append(chunk)
                held += len(chunk)
                self._unproven[name] = self._unproven.get(name, 0) + len(chunk)
                if held > most:
                    raise TooLarge(f"Expected a message of at most {most:,} bytes. Send less.")
                if len(chunks) > 1 and self._full(name):
                    raise Throttled("The hub is taking in as many large messages as it can hold. Wait, then go on.", 1.0)
        except ClientDisconnect:
            raise WireError("The sender went away before its message had come whole.") from None
        finally:
            left = self._unproven.get(name, 0) - held
            if left > 0:
                self._unproven[name] = left
            else:
                self._unproven.pop(name, None)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _full(self, name: str) -> bool:
        return self._unproven[name] > MOST_UNPROVEN_EACH or sum(self._unproven.values()) > MOST_UNPROVEN


@lru_cache(maxsize=4096)
def client(address: str) -> str:
    """What counts as one client: an IPv4 address, or the /64 network that one IPv6 subscriber has to itself."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
