"""Logistic regression on many rows over six sites, end to end over HTTP once the tables stand, beside pooled peers."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

import civicgrid as cg
from benchmarks.data import PREDICTORS, SITES, dealt, dictionary, logistic
from benchmarks.tables import markdown
from civicgrid.cli.local import LocalNetwork


def federated(rows: int, repeats: int) -> dict[str, object]:
    """Seconds of a run, the gradient at its answer, and each node's memory above idle against its table."""
    x, y = logistic(rows)
    with LocalNetwork(Path(tempfile.mkdtemp(prefix="bench-")), reply_seconds=600, connected_seconds=120) as network:
        network.lay_out(SITES, ["big"])
        described = dictionary()
        sizes = {}
        for site, table in dealt(x, y).items():
            network.load_table(site, table, "big", described)
            sizes[site] = table.num_rows * (PREDICTORS + 1) * 8
        grid = network.start(SITES)
        processes = {site: psutil.Process(network.processes[site].pid) for site in SITES}
        idle = {site: process.memory_info().rss for site, process in processes.items()}
        method = cg.GLM(
            cg.dataset("big"), outcome="y", predictors=[f"x{i}" for i in range(PREDICTORS)], family="binomial"
        )
        seconds = []
        for _ in range(repeats):
            began = time.perf_counter()
            fit = grid.run(method)
            seconds.append(time.perf_counter() - began)
        peaks = {site: _peak(process.pid) for site, process in processes.items()}
    coefficients = np.array([row[1] for row in fit.output.tables[0].rows], dtype=np.float64)
    design = np.column_stack([np.ones(rows), x])
    gradient = np.abs(design.T @ (y - 1 / (1 + np.exp(-design @ coefficients))) / rows).max()
    memory = {site: (peaks[site] - idle[site]) / sizes[site] for site in SITES}
    return {
        "seconds": statistics.median(seconds),
        "first": seconds[0],
        "rounds": fit.rounds,
        "gradient": float(gradient),
        "coefficients": coefficients.tolist(),
        "memory": max(memory.values()),
        "largest": memory[max(sizes, key=lambda site: sizes[site])],
    }


def _peak(pid: int) -> int:
    """The largest resident set so far (Linux)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    return psutil.Process(pid).memory_info().rss


def run(rows: int, peers: tuple[str, ...], repeats: int = 3) -> str:
    """The table for one size: ours, then each peer alone, with ratios."""
    ours = federated(rows, repeats)
    lines = [
        [
            "Civic Grid, six nodes, masked",
            f"{ours['seconds']:.2f} (first run {ours['first']:.2f})",
            "1",
            "6 significant digits published",
            f"{ours['gradient']:.0e}",
            "",
        ]
    ]
    for name in peers:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.peers", name, str(rows)], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            lines.append([f"{name}, pooled", "did not finish", "", done.stderr.strip().splitlines()[-1][:80], "", ""])
            continue
        theirs = json.loads(done.stdout)
        off = np.abs(np.array(theirs["coefficients"]) - np.array(ours["coefficients"])).max()
        lines.append(
            [
                f"{name}, pooled",
                f"{theirs['seconds']:.2f}",
                f"{theirs['seconds'] / float(str(ours['seconds'])):.2f}",
                theirs["tolerance"],
                f"{theirs['gradient']:.0e}",
                f"{off:.0e}",
            ]
        )
    notes = [
        f"{ours['rounds']} rounds. Median of {repeats} runs; the first run also compiles the cohort and reads the table.",
        f"Peak memory of a node above idle, as a multiple of its table: {ours['largest']:.2f} at the largest site, "
        f"{ours['memory']:.2f} at the worst.",
    ]
    columns = ["", "seconds", "time against ours", "tolerance", "largest mean gradient", "largest difference from ours"]
    return markdown(f"Logistic regression, {rows:,} rows × {PREDICTORS}", columns, lines, notes)
