"""Tables for docs/benchmarks.md, as Markdown."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence


def markdown(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], notes: Sequence[str] = ()) -> str:
    lines = [f"### {title}", "", "| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    lines += ["| " + " | ".join(str(value) for value in row) + " |" for row in rows]
    return "\n".join([*lines, "", *[f"{note}\n" for note in notes]])


def machine() -> str:
    """The machine's size, as it bears on the figures."""
    import psutil

    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{os.cpu_count()} cores, {memory:.0f} GiB of memory, {platform.system()} on {platform.machine()}, "
        f"Python {platform.python_version()}."
    )
