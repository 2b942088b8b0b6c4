"""A hub starts whatever an earlier version of it has stored."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import sqlalchemy as sa

from civicgrid.config import HubSettings
from civicgrid.hub import database as db
from civicgrid.hub.app import create
from civicgrid.hub.home import HubHome, admit_site
from unit.node.sites import World, frame


@pytest.mark.parametrize("stored", ['{"kind": "hello", "unheard": "of"}', "no JSON", '["another form"]'])
def test_a_hello_that_cannot_be_read_any_more_is_waited_for_anew(stored: str, tmp_path: Path) -> None:
    home = HubHome(tmp_path / "hub")
    home.create(HubSettings(network="net"))
    engine = home.engine()
    admit_site(engine, World({"a": frame(60)}).member("a"))
    with engine.begin() as connection:
        connection.execute(sa.update(db.sites).values(hello=stored))
    engine.dispose()

    async def started() -> tuple[bool, bool]:
        app = create(home)
        async with app.router.lifespan_context(app):
            return "a" in app.state.hub.hellos, app.state.hub.expected("a")

    assert asyncio.run(started()) == (False, False)
