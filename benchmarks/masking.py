"""What masking costs a site."""

from __future__ import annotations

import statistics
import time

import numpy as np

from benchmarks.tables import markdown
from civicgrid.trust.fixedpoint import Encoding, Slot
from civicgrid.trust.keys import ExchangeKey
from civicgrid.trust.masks import MaskContext, mask

VALUES = 10_000


def milliseconds(sites: int) -> float:
    own = ExchangeKey.generate()
    peers = [ExchangeKey.generate().public for _ in range(sites - 1)]
    encoding = Encoding((Slot("values", (VALUES,), np.zeros(VALUES, dtype=np.int64)),), sites)
    values = np.random.default_rng(1).standard_normal(VALUES)
    taken = []
    for number in range(21):
        context = MaskContext(network="n", study="s", round=number, attempt=0, roster="r", ask="a")
        began = time.perf_counter()
        mask(encoding.encode({"values": values}), own, peers, context)
        taken.append(time.perf_counter() - began)
    return 1000 * statistics.median(taken[1:])


def run() -> str:
    rows = [[sites, f"{milliseconds(sites):.1f}", target] for sites, target in ((6, 2), (50, 10))]
    return markdown(f"Masking {VALUES:,} values at one site", ["sites", "milliseconds", "target"], rows)
