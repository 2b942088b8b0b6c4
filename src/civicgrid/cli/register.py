"""`civicgrid register`: check the public register of any hub. Nobody has to ask for that."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(help="Check the public register of a network. Anybody can.", no_args_is_help=True)


@app.command("verify")
def verify(
    where: Annotated[str, typer.Argument(help="The hub's address, or the folder of a hub.")],
    key: Annotated[
        str, typer.Option(help="The register's public key (NAME+ID+KEY), or the hub's (ed25519:…), from elsewhere.")
    ] = "",
    witness: Annotated[
        list[str] | None, typer.Option(help="The key of a site that must have signed; give it again for more.")
    ] = None,
    remember: Annotated[
        Path | None, typer.Option(help="A file: what was seen last time is held against, and what is seen now is kept.")
    ] = None,
    entry: Annotated[int | None, typer.Option(min=0, help="Also prove that this entry is in it, and print it.")] = None,
    hub_ca: Annotated[Path | None, typer.Option(help="Certificates that the hub's must come from.")] = None,
) -> None:
    """Read all entries, work their tree head out, and hold it against signature, witnesses and what was seen before."""
    from civicgrid.client.register import read_remembered, source
    from civicgrid.client.register import verify as check

    before = read_remembered(remember) if remember is not None else None
    report = check(
        source(where, hub_ca), key=key, witnesses=witness or (), remembered=before, entry=entry, progress=_progress
    )
    for words in report.held:
        typer.echo(f"Holds: {words}")
    for words in report.open:
        typer.echo(f"Not checked: {words}")
    for words in report.faults:
        typer.echo(f"FAULT: {words}")
    if not report.ok:
        typer.echo("This register was changed. Keep what you have of it, and tell the sites and the network's board.")
        raise typer.Exit(1)
    typer.echo("Nothing was changed, removed, moved or back-dated, as far as was checked.")
    if remember is not None and report.now is not None:
        # Whole or not at all: what is remembered is all that shows a register that was cut.
        made = remember.with_name(f"{remember.name}.part")
        made.write_bytes(report.now.canonical())
        os.replace(made, remember)  # noqa: PTH105


def _progress(leaves: Iterator[Any], size: int) -> Iterator[Any]:
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    quiet = not console.is_terminal or size < 5000
    yield from track(leaves, "Reading the register", total=size, console=console, disable=quiet, transient=True)
