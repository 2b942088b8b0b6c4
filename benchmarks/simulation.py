"""The in-process simulation against the plain pooled NumPy computation of the same method."""

from __future__ import annotations

import statistics
import time

import numpy as np

import civicgrid as cg
from benchmarks.data import PREDICTORS, Array, dealt, dictionary, logistic
from benchmarks.tables import markdown

BLOCK = 8192


def plain(x: Array, y: Array, tolerance: float = 1e-10) -> tuple[Array, int]:
    """Newton's method for a logistic regression in blocks, as one would write it in NumPy over pooled arrays.

    It stops, as a fit over sites does, once the next step is below so many standard errors; that step is still taken.
    """
    rows, size = len(y), x.shape[1] + 1
    beta, passes = np.zeros(size), 0
    beta[0] = np.log(y.mean() / (1 - y.mean()))
    while True:
        score, information = np.zeros(size), np.zeros((size, size))
        for start in range(0, rows, BLOCK):
            block = np.column_stack([np.ones(min(BLOCK, rows - start)), x[start : start + BLOCK]])
            mean = 1 / (1 + np.exp(-block @ beta))
            score += block.T @ (y[start : start + BLOCK] - mean)
            information += (block * (mean * (1 - mean))[:, None]).T @ block
        step = np.linalg.solve(information, score)
        beta, passes = beta + step, passes + 1
        if np.abs(step / np.sqrt(np.diag(np.linalg.inv(information)))).max() < tolerance:
            return beta, passes


def run(rows: int = 1_000_000) -> str:
    x, y = logistic(rows)
    grid = cg.simulate(dealt(x, y), dataset="big", dictionary=dictionary(), policy=cg.Policy.open())
    method = cg.GLM(cg.dataset("big"), outcome="y", predictors=[f"x{i}" for i in range(PREDICTORS)], family="binomial")
    began = time.perf_counter()
    fit = grid.run(method)
    first = time.perf_counter() - began
    passes = fit.rounds - 1
    ours, theirs = [], []
    for _ in range(3):
        began = time.perf_counter()
        fit = grid.run(method)
        ours.append(time.perf_counter() - began)
        began = time.perf_counter()
        beta, plain_passes = plain(x, y)
        theirs.append(time.perf_counter() - began)
    off = np.abs(fit.to_pandas()["estimate"].to_numpy() - beta).max()
    mine, plainly = statistics.median(ours), statistics.median(theirs)
    return markdown(
        f"Simulation against plain NumPy, {rows:,} rows × {PREDICTORS}",
        ["", "seconds", "ratio"],
        [["pooled NumPy, same blocks, Newton's method to the same tolerance", f"{plainly:.2f}", "1"],
         ["cg.simulate over six sites, masked", f"{mine:.2f} (first run {first:.2f})", f"{mine / plainly:.2f}"]],
        [f"{passes} passes against {plain_passes}; answers differ by at most {off:.0e}. The first run also reads "
         "the columns from the store. Target ratio: 1.2."],
    )  # fmt: skip
