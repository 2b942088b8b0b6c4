"""An attack: who makes it, what it is after, and how many people's rows it recovers, with a defence off and on.

The modules beside this one hold the attacks; `suite.py` lists them. Each is run as its adversary would, over the wire, the
client and the hub's own keys alone, its parameters searched for the best of many tries. With the defence off it must
succeed, or it proves nothing; with the shipped defaults it must recover no row. `make attacks` prints the table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Adversary = Literal["researcher", "hub", "node", "outsider"]


@dataclass(frozen=True)
class Attack:
    """`recovered(defended)` gives how many of the `at_risk` rows the adversary ends up knowing.

    Somebody's row is recovered when the adversary states what is secret in it, by a way that is never wrong about anybody.
    Where the attack is on who may ask or be added up, it is all people of the answer that is had so. `defence` is empty
    where nothing holds yet.
    """

    name: str
    adversary: Adversary
    defence: str
    at_risk: int
    recovered: Callable[[bool], int]
