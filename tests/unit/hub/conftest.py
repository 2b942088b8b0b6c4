"""A PostgreSQL server for the tests that run on both databases."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The address of a PostgreSQL server of the tests' own, on a socket in its own folder."""
    server = next((path for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)
    found = server or (Path(shutil.which("initdb") or "/").parent)
    if not (found / "initdb").exists():
        assert os.environ.get("CIVICGRID_POSTGRESQL") != "required", "there is no PostgreSQL server on this machine"
        pytest.skip("there is no PostgreSQL server on this machine")
    # A folder of its own, straight below the system's: the folders of pytest are for their owner alone.
    folder = Path(tempfile.mkdtemp(prefix="civicgrid-postgresql-"))
    as_user: list[str] = []
    if os.geteuid() == 0:
        # PostgreSQL does not run as root.
        as_user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
        shutil.chown(folder, "nobody", "nogroup")
    data = folder / "data"
    quiet = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/"}
    subprocess.run([*as_user, found / "initdb", "-D", data, "-A", "trust", "-U", "civicgrid", "--no-sync"], **quiet)
    options = f"-k {folder} -c listen_addresses='' -c fsync=off"
    start = [*as_user, found / "pg_ctl", "-D", data, "-o", options, "-w", "-l", folder / "log", "start"]
    subprocess.run(start, **quiet)
    try:
        yield f"postgresql+psycopg://civicgrid@/postgres?host={folder}"
    finally:
        subprocess.run([*as_user, found / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop"], **quiet)
        shutil.rmtree(folder, ignore_errors=True)
