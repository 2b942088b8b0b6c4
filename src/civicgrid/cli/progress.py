"""What happens at which site, as it happens, in the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from civicgrid.client.grid import Progress


class Board:
    """One row a site: how many tasks it has answered, and the latest thing that happened there."""

    def __init__(self) -> None:
        self.sites: dict[str, tuple[int, str]] = {}
        self.now = "proposing the roster"

    def see(self, line: Mapping[str, Any]) -> None:
        """Take in a line of the hub's log."""
        action = str(line.get("action", ""))
        if action == "asked":
            if line.get("kind") == "round":
                self.now = f"{line.get('analysis')}, round {int(line.get('round', 0)) + 1}"
            elif line.get("kind") == "finish":
                self.now = "publishing"
        elif action in ("answered", "lost"):
            for site in line.get("sites", ()):
                count, _ = self.sites.get(site, (0, ""))
                said = "did not answer in time" if action == "lost" else f"{self.now}: answered"
                self.sites[site] = (count + (action == "answered"), said)

    def __rich__(self) -> Table:
        table = Table(title=f"Now: {self.now}", title_justify="left", box=None)
        table.add_column("site")
        table.add_column("answers", justify="right")
        table.add_column("latest")
        for site, (count, said) in sorted(self.sites.items()):
            table.add_row(site, str(count), said)
        return table


@contextmanager
def watching(console: Console | None = None) -> Iterator[Progress]:
    """A live display; gives the function that a run reports to."""
    board = Board()
    with Live(board, console=console, refresh_per_second=10, transient=True, get_renderable=board.__rich__):
        yield board.see
