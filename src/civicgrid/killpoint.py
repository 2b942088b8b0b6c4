"""Kill points: where a test can have this process end as by kill -9, right before and right after a durable write.

Every durable write of a node and of a hub has a name and passes `reach` twice. That does nothing, unless the process was
started with `CIVICGRID_KILL_AT="node released before 2"`: then it ends itself when the node is about to commit what
it calls "released" for the second time. `tests/faults` finds every write in the source and dies at each of them.

Why this may stand in the product: it is read once, from the environment that the process was started with, and from
nothing that comes over the wire or lies in a folder; whoever can set that can end the process anyway. It can do nothing
but end its own process, at a place where an end costs nothing; it says so on standard error when it starts.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Literal

ENVIRONMENT = "CIVICGRID_KILL_AT"

Program = Literal["node", "hub", "nonces"]
Side = Literal["before", "after"]

_point = tuple(os.environ.get(ENVIRONMENT, "").split())
_left = 0
if _point:
    if len(_point) != 4 or not _point[3].isdigit():
        raise SystemExit(f"Expected {ENVIRONMENT} as PROGRAM WRITE before|after TIMES. Unset it, but in a test.")
    _left = int(_point[3])
    print(f"{ENVIRONMENT} is set: this process will end itself at {' '.join(_point)}.", file=sys.stderr)


def reach(program: Program, write: str, side: Side) -> None:
    """Go on; or, in a process that was started to die here, end it as kill -9 would."""
    global _left
    if _point and _point[:3] == (program, write, side):
        _left -= 1
        if _left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
