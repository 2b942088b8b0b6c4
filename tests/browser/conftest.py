"""Chromium, and a service to look at. On a machine without Chromium the tests that need it say so and are skipped; with
CIVICGRID_BROWSER=required, as .ci/run sets it, they fail.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from unit.hub.serving import Served

from .world import service

CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with service(tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists() and os.environ.get("CIVICGRID_BROWSER") != "required":
        pytest.skip(f"there is no Chromium at {CHROMIUM}: install Debian's package chromium to run the tests of pages")
    with sync_playwright() as playwright:
        # For a module at a time: while it is open, its event loop stands in the way of tests that run their own.
        yield playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
        )
