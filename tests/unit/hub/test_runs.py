"""What a hub holds for its runs and its sites: given out anew where it may have been lost, and let go of at the end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

import civicgrid as cg
from civicgrid.hub import database as db
from civicgrid.hub.journal import Journal
from civicgrid.hub.lines import Waiting
from civicgrid.hub.runs import OTHER_VERSION, Runs
from unit.node.sites import World, frame

TRIAL = cg.dataset("trial")


@pytest.fixture
def at() -> World:
    return World({"a": frame(60)})


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    engine = db.connect(f"sqlite:///{tmp_path / 'hub.sqlite'}")
    yield engine
    engine.dispose()


def runs(engine: sa.Engine, at: World) -> Runs:
    return Runs(engine, at.hub, Journal(engine), reply_seconds=60, connected_seconds=60)


def test_a_run_that_has_ended_leaves_nothing_behind(engine: sa.Engine, at: World) -> None:
    at_hub = runs(engine, at)
    request = at.request(at.plan(cg.Count(TRIAL)))
    watched = at_hub.finished.setdefault(request.digest(), asyncio.Event())
    at_hub.start(request, request.signed(at.person), {}, (at.member("a"),))
    assert watched.is_set()
    assert at_hub.finished == {} and at_hub.conversations == {} and at_hub.lines == {}


def test_a_later_request_of_a_node_takes_the_place_of_the_earlier_one(engine: sa.Engine, at: World) -> None:
    """The way by which the earlier one came may be cut: what is handed out there would be lost."""

    async def both() -> tuple[list[bytes], list[bytes]]:
        at_hub = runs(engine, at)
        earlier = asyncio.create_task(at_hub.line("a").next_tasks("session", 30, 5))
        await asyncio.sleep(0)
        later = asyncio.create_task(at_hub.line("a").next_tasks("session", 30, 5))
        await asyncio.sleep(0)
        at_hub.line("a").put("t", Waiting("run", b"a task", True))
        return (await earlier)[1], (await later)[1]

    assert asyncio.run(both()) == ([], [b"a task"])


def test_a_node_that_says_hello_again_is_handed_its_tasks_again(engine: sa.Engine, at: World) -> None:
    """The same process, after a line that was cut: it may never have got them."""

    async def handed() -> list[list[bytes]]:
        at_hub = runs(engine, at)
        at_hub.line("a").put("t", Waiting("run", b"a task", True))
        asked = [(await at_hub.line("a").next_tasks("session", 0, 5))[1] for _ in range(3)]
        at_hub.greeted("a")
        return [*asked, (await at_hub.line("a").next_tasks("session", 0, 5))[1]]

    assert asyncio.run(handed())[2:] == [[], [b"a task"]]


def test_a_task_that_a_late_message_took_with_it_is_handed_out_again(engine: sa.Engine, at: World) -> None:
    """Once, when the node asks without having it; a task that the node cannot open does not go back and forth."""

    async def handed() -> list[list[bytes]]:
        at_hub = runs(engine, at)
        waiting = asyncio.create_task(at_hub.line("a").next_tasks("session", 30, 5))
        await asyncio.sleep(0)
        late = asyncio.create_task(at_hub.line("a").next_tasks("session", 30, 5))
        await asyncio.sleep(0)
        at_hub.line("a").put("t", Waiting("run", b"a task", True))
        taken = [(await waiting)[1], (await late)[1]]
        return [*taken, *[(await at_hub.line("a").next_tasks("session", 0, 5))[1] for _ in range(3)]]

    assert asyncio.run(handed()) == [[], [b"a task"], [b"a task"], [], []]


@pytest.mark.parametrize("column", ["study", "members", "offline"])
def test_what_another_version_stored_ends_its_run_and_not_the_hub(engine: sa.Engine, at: World, column: str) -> None:
    request = at.request(at.plan(cg.Count(TRIAL)))
    row = {
        "run": request.digest(), "network": "net", "project": "P-1", "person": at.person.public, "plan": "p",
        "study": request.signed(at.person).canonical().decode(), "members": "[]", "offline": "[]", "submitted": 0.0,
        "state": "running", column: '[{"unheard": "of"}]' if column == "members" else '{"unheard": 1}',
    }  # fmt: skip
    if column == "offline":
        row["offline"] = "no JSON"
    with engine.begin() as connection:
        connection.execute(sa.insert(db.runs).values(**row))
    assert runs(engine, at).resume() == 1
    with engine.connect() as connection:
        found = connection.execute(sa.select(db.runs.c.state, db.runs.c.result)).one()
    assert (found.state, json.loads(found.result)) == ("failed", {"failure": OTHER_VERSION})
