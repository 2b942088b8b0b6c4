"""The release ledger: one answer about a million people held against ten thousand earlier ones."""

from __future__ import annotations

import sqlite3
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
from pyroaring import BitMap

from benchmarks.tables import markdown
from civicgrid.disclosure.row_sets import Answered, Load, RowSet, RowSets
from civicgrid.trust.seal import Seal

PEOPLE, EARLIER, TIMES = 1_000_000, 10_000, 20
WITHIN = 9


def drawn(rng: np.random.Generator, size: int) -> BitMap:
    """So many people at random, near enough."""
    return BitMap(np.flatnonzero(rng.random(PEOPLE, dtype=np.float32) < size / PEOPLE).astype(np.uint32).data)


def run() -> str:
    """The table: milliseconds, and the target."""
    rng = np.random.default_rng(5)
    load = Load("trial", "0" * 64, 0)
    with tempfile.TemporaryDirectory() as folder:
        connection = sqlite3.connect(Path(folder) / "state.sqlite", isolation_level=None)
        ledger = RowSets(connection, Seal.generate())
        connection.execute("begin")
        half = drawn(rng, PEOPLE // 2)
        for number, size in enumerate(np.exp(rng.uniform(np.log(100), np.log(PEOPLE / 2), EARLIER - 100))):
            ledger.enter(load, Answered(f"answer {number}", (RowSet(drawn(rng, int(size)), role="cohort"),)), WITHIN)
        # A hundred of them have as many people as the answer that is asked for, so that size alone skips none.
        for number in range(100):
            same_size = BitMap(rng.permutation(PEOPLE)[: len(half)].astype(np.uint32).data)
            ledger.enter(load, Answered(f"of one size {number}", (RowSet(same_size, role="cohort"),)), WITHIN)
        connection.execute("commit")
        seconds: dict[str, list[float]] = {"one set of half of them": [], "it and ten cells": []}
        for time_ in range(TIMES):
            for name, cells in ("one set of half of them", 0), ("it and ten cells", 10):
                sets = [RowSet(half, role="cohort")]
                sets += [RowSet(drawn(rng, PEOPLE // 20)) for _ in range(cells)]
                began = time.perf_counter()
                refused = ledger.conflict(load, [Answered(f"asked {time_}", tuple(sets))], WITHIN)
                seconds[name].append(1000 * (time.perf_counter() - began))
                assert not refused
        near = half.copy()
        near.remove(half[0])
        ledger.enter(load, Answered("given", (RowSet(half, role="cohort"),)), WITHIN)
        assert ledger.conflict(load, [Answered("near", (RowSet(near, role="cohort"),))], WITHIN)
    rows = [[name, f"{median(found):.1f}", f"{max(found):.1f}", "20"] for name, found in seconds.items()]
    title = f"The release ledger: one answer against {EARLIER:,} earlier ones about {PEOPLE:,} people"
    return markdown(title, ["asked for", "milliseconds", "slowest", "target"], rows)
