"""`civicgrid audit`: check that nobody has changed what was written down."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Check the hash-chained log of a node or a hub.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(help="The folder of a node or of a hub.")]


@app.command("verify")
def verify(
    folder: Folder,
    head: Annotated[
        list[str] | None, typer.Option(help="An entry remembered from an earlier verification, as NUMBER:HASH.")
    ] = None,
) -> None:
    """Find a changed, removed or reordered line; with a remembered head also a log that was cut off or written anew."""
    from civicgrid.errors import ConfigError
    from civicgrid.trust.chain import Head, check

    remembered = []
    for entry in head or []:
        number, found, digest = entry.partition(":")
        if not found or not number.isdigit():
            raise ConfigError("Expected a remembered head as NUMBER:HASH, as `audit verify` prints it.")
        remembered.append(Head(seq=int(number), hash=digest))
    if (folder / "node.toml").exists():
        from civicgrid.node.home import Home
        from civicgrid.node.state import State

        report = check(State(Home(folder).state).log(), remembered)
    elif (folder / "hub.toml").exists():
        from civicgrid.hub.home import HubHome
        from civicgrid.hub.journal import Journal

        report = check(Journal(HubHome(folder).engine()).log(), remembered)
    else:
        raise ConfigError(f"There is neither a node nor a hub at {folder}. Give the folder of one.")
    typer.echo(report.words())
    if not report.ok:
        raise typer.Exit(1)
