"""How the two services write their logs: one line an event, to standard error, without personal data."""

from __future__ import annotations

import logging


def to_stderr(level: int = logging.INFO) -> None:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("civicgrid").setLevel(level)
