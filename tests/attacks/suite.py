"""Every attack, in the order of the table that `make attacks` prints."""

from __future__ import annotations

from attacks import differencing, tables
from attacks.attack import Attack

ATTACKS: list[Attack] = [*differencing.ATTACKS, *tables.ATTACKS]
