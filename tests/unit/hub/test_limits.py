"""Limits: how much one client may ask for, and that keeping count of clients costs little."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from starlette.requests import ClientDisconnect

from civicgrid.config import HubSettings
from civicgrid.errors import WireError
from civicgrid.hub import limits
from civicgrid.hub.limits import Buckets, Limits, Throttled, TooLarge, client

SETTINGS = HubSettings(network="n", address_requests=2, node_requests=100, person_requests=3, polls=2)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(limits.time, "monotonic", lambda: now[0])
    return now


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    bucket = Buckets(rate=10, burst=3)
    assert [bucket.take("a", 0.0) for _ in range(4)] == [0, 0, 0, pytest.approx(0.1)]
    assert bucket.take("a", 0.05) == pytest.approx(0.05)
    assert bucket.take("a", 0.1) == 0
    assert bucket.take("a", 0.1) > 0
    assert [bucket.take("a", 1e6) for _ in range(4)][:3] == [0, 0, 0], "no more than the burst is saved up"
    assert bucket.take("a", 1e6) > 0


def test_one_client_s_bucket_is_not_another_s() -> None:
    bucket = Buckets(rate=1, burst=1)
    assert bucket.take("a", 0.0) == 0
    assert bucket.take("b", 0.0) == 0
    assert bucket.take("a", 0.0) == 1


def test_only_so_many_clients_are_remembered_the_latest_ones() -> None:
    bucket = Buckets(rate=0.001, burst=1, most=100)
    for number in range(10_000):
        bucket.take(str(number), 0.0)
    assert len(bucket) == 100
    assert bucket.take("9999", 0.0) > 0, "this one is still remembered"
    assert bucket.take("0", 0.0) == 0, "this one was forgotten"


def test_unsigned_requests_of_an_address_are_limited(clock: list[float]) -> None:
    its = Limits(SETTINGS)
    for _ in range(20):
        its.knock("192.0.2.1")
    with pytest.raises(Throttled, match="without a signature that holds") as refused:
        its.knock("192.0.2.1")
    assert refused.value.seconds == 1
    its.knock("192.0.2.2")
    clock[0] += 0.5
    its.knock("192.0.2.1")


def test_signed_requests_cost_an_address_nothing_and_their_key_a_token(clock: list[float]) -> None:
    its = Limits(SETTINGS)
    for _ in range(30):
        its.knock("192.0.2.1")
        its.proven("192.0.2.1", "ada", node=False)
    its.knock("192.0.2.1")
    with pytest.raises(Throttled, match="under this key"):
        its.proven("192.0.2.1", "ada", node=False)
    for _ in range(900):
        its.knock("192.0.2.1")
        its.proven("192.0.2.1", "leeds", node=True)


def test_forgeries_under_a_node_s_name_take_nothing_from_the_node(clock: list[float]) -> None:
    its = Limits(SETTINGS)
    for _ in range(20):
        its.knock("192.0.2.66")
    with pytest.raises(Throttled):
        its.knock("192.0.2.66")
    its.knock("192.0.2.1")
    its.proven("192.0.2.1", "leeds", node=True)


def test_a_key_has_only_so_many_requests_that_wait() -> None:
    its = Limits(SETTINGS)
    with its.waiting("ada"), its.waiting("ada"):
        with pytest.raises(Throttled, match="at most 2 requests of one key that wait"), its.waiting("ada"):
            pass
        with its.waiting("bob"):
            pass
    for _ in range(5):
        with its.waiting("ada"):
            pass


def test_what_was_refused_is_counted_for_one_line_of_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    its = Limits(SETTINGS)
    assert its.refusals() == ""
    for _ in range(3):
        its.refused(401, "192.0.2.1")
    its.refused(429, "192.0.2.1")
    assert its.refusals() == "401 to 192.0.2.1 3 time(s); 429 to 192.0.2.1 1 time(s)"
    assert its.refusals() == ""
    monkeypatch.setattr(limits, "MOST_NAMED", 20)
    for number in range(1000):
        its.refused(401, f"192.0.{number // 250}.{number % 250}")
    assert len(its._refused) <= 21
    words = its.refusals()
    assert words.startswith("401 to others 980 time(s); ")
    assert words.endswith("; and 11 more")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("", "", True),
    ],
)
def test_who_counts_as_one_client(one: str, other: str, same: bool) -> None:
    assert (client(one) == client(other)) is same


async def chunks(*sizes: int) -> AsyncIterator[bytes]:
    for size in sizes:
        yield bytes(size)


def test_a_body_is_read_up_to_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    its = Limits(SETTINGS)
    assert asyncio.run(its.read(chunks(3, 0, 4), "a", 7)) == bytes(7)
    assert asyncio.run(its.read(chunks(), "a", 7)) == b""
    taken = chunks(3, 5, 1000)
    with pytest.raises(TooLarge, match="at most 7 bytes"):
        asyncio.run(its.read(taken, "a", 7))


def test_a_sender_who_goes_away_in_the_middle_has_sent_nothing() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"half"
        raise ClientDisconnect

    its = Limits(SETTINGS)
    with pytest.raises(WireError, match="before its message had come whole"):
        asyncio.run(its.read(broken(), "a", 1000))
    assert its._unproven == {}


def test_bodies_that_are_nobody_s_yet_take_only_so_much_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_UNPROVEN", 250)
    monkeypatch.setattr(limits, "MOST_UNPROVEN_EACH", 100)

    async def several() -> None:
        its = Limits(SETTINGS)
        here, go = asyncio.Event(), asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield bytes(80)
            here.set()
            await go.wait()
            yield bytes(10)

        first = asyncio.create_task(its.read(slow(), "a", 1000))
        await here.wait()
        with pytest.raises(Throttled, match="as many large messages as it can hold"):
            await its.read(chunks(15, 15), "a", 1000)
        assert await its.read(chunks(90, 5), "b", 1000) == bytes(95)
        go.set()
        assert await first == bytes(90)
        assert await its.read(chunks(50, 50), "a", 1000) == bytes(100)
        assert its._unproven == {}

    asyncio.run(several())
