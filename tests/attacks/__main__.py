"""The table of attacks: `make attacks`."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table

from attacks.suite import ATTACKS


def main() -> int:
    table = Table("attack", "by", "held by", "rows at risk", "recovered, defence off", "recovered, as shipped")
    held = True
    for attack in ATTACKS:
        off, on = attack.recovered(False), attack.recovered(True)
        held &= off > 0 and on == 0
        table.add_row(attack.name, attack.adversary, attack.defence, *(f"{rows:,}" for rows in (attack.at_risk, off, on)))
    Console(width=150).print(table)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
