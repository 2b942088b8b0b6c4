"""`python -m benchmarks [NAME …]`: run all benchmarks, or the named ones, one after the other, and print their tables."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

from benchmarks import exactness, ledger, logistic, masking, register, rounds, simulation
from benchmarks.tables import machine

PEERS = ("glum", "scikit-learn", "statsmodels")

ALL: dict[str, Callable[[], str]] = {
    "exactness": exactness.run,
    "masking": masking.run,
    "ledger": ledger.run,
    "register": register.run,
    "rounds": rounds.run,
    "simulation": simulation.run,
    "logistic-1m": lambda: logistic.run(1_000_000, PEERS),
    "logistic-10m": lambda: logistic.run(10_000_000, PEERS, repeats=2),
}


def main() -> None:
    chosen = sys.argv[1:] or list(ALL)
    unknown = [name for name in chosen if name not in ALL]
    if unknown:
        sys.exit(f"There is no benchmark {', '.join(unknown)}. There is: {', '.join(ALL)}.")
    print(f"Measured on: {machine()}\n", flush=True)
    for name in chosen:
        print(ALL[name](), flush=True)


main()
