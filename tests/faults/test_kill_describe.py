"""kill -9 as a profile is written down: nobody has seen it yet, and the next one says the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from civicgrid.config import NodeSettings
from civicgrid.curation.store import Store
from civicgrid.killpoint import ENVIRONMENT
from civicgrid.node.home import Home
from civicgrid.node.state import State
from civicgrid.trust.keys import SigningKey
from unit.node.sites import described, frame


def describe(home: Home, out: Path, kill_at: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **({ENVIRONMENT: kill_at} if kill_at else {})}
    return subprocess.run(
        [sys.executable, "-m", "civicgrid", "node", "describe", str(home.path), "--out", str(out)],
        env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def profiled(home: Home) -> int:
    state = State(home.state, home.seal())
    lines = [line.action for line in state.log() if line is not None]
    state.close()
    return lines.count("profiled")


def test_a_profile_is_written_down_before_anybody_sees_it(tmp_path: Path) -> None:
    home = Home(tmp_path / "node")
    home.create(
        NodeSettings(
            network="north", site="leeds", organisation="Leeds Trust", hub="http://127.0.0.1:9",
            hub_key=SigningKey.generate().public,
        )
    )  # fmt: skip
    people = frame(300)
    with Store(home.data) as store:
        store.load_table("trial", people, described(people))
    out = tmp_path / "draft.json"
    for side, written in (("before", 0), ("after", 1)):
        died = describe(home, out, f"node profiled {side} 1")
        assert died.returncode == -signal.SIGKILL, died.stderr
        assert not out.exists() and profiled(home) == written
    done = describe(home, out)
    assert done.returncode == 0, done.stderr
    first = out.read_text("utf-8")
    assert describe(home, out).returncode == 0 and out.read_text("utf-8") == first
