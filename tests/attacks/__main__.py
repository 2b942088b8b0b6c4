"""The table of attacks: `make attacks`."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table

from attacks.attack import Attack
from attacks.suite import ATTACKS, STANDING


def main() -> int:
    held = True
    table = Table("attack", "by", "held by", "rows at risk", "recovered, defence off", "recovered, as shipped")
    for attack in ATTACKS:
        off, on = _counted(attack)
        held &= off > 0 and on == 0
        table.add_row(attack.name, attack.adversary, attack.defence, *(f"{rows:,}" for rows in (attack.at_risk, off, on)))
    console = Console(width=150)
    console.print(table)
    standing = Table("not stopped yet", "by", "rows at risk", "recovered, defences off", "recovered, as shipped")
    for attack in STANDING:
        rows = (attack.at_risk, *_counted(attack))
        standing.add_row(attack.name, attack.adversary, *(f"{number:,}" for number in rows))
    console.print(standing)
    return 0 if held else 1


def _counted(attack: Attack) -> tuple[int, int]:
    return attack.recovered(False), attack.recovered(True)


if __name__ == "__main__":
    sys.exit(main())
