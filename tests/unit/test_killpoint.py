"""Kill points: nothing in any process, but in one that was started to die at one of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from civicgrid.killpoint import ENVIRONMENT, reach

WALK = """
from civicgrid.killpoint import reach
for time in (1, 2, 3):
    for write in ("accepted", "released"):
        for side in ("before", "after"):
            reach("node", write, side)
            print(write, side, time, flush=True)
"""


def walk(point: str | None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != ENVIRONMENT}
    if point is not None:
        environment[ENVIRONMENT] = point
    return subprocess.run([sys.executable, "-c", WALK], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("point", [None, "", "hub released before 1", "node submitted before 1", "node released before 9"])
def test_nothing_happens_elsewhere(point: str | None) -> None:
    done = walk(point)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "released after 3"


@pytest.mark.parametrize(
    ("point", "last"), [("node released before 2", "accepted after 2"), ("node accepted after 3", "accepted before 3")]
)
def test_the_process_ends_at_the_point_at_that_time_and_has_said_so(point: str, last: str) -> None:
    done = walk(point)
    assert done.returncode == -signal.SIGKILL
    assert done.stdout.splitlines()[-1] == last
    assert point in done.stderr


@pytest.mark.parametrize("point", ["now", "node released before", "node released before once", "a b c d e"])
def test_a_point_that_cannot_be_read_is_refused_at_the_start(point: str) -> None:
    done = walk(point)
    assert done.returncode == 1
    assert not done.stdout
    assert f"Expected {ENVIRONMENT} as" in done.stderr


def test_a_variable_set_later_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT, "node released before 1")
    reach("node", "released", "before")
