"""`civicgrid key`: a person's own signing key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from civicgrid.trust.keys import SigningKey, fingerprint

app = typer.Typer(help="Make and show signing keys of people: researchers and custodians.", no_args_is_help=True)


@app.command("create")
def create(path: Annotated[Path, typer.Argument(help="Where to keep the private key; readable by you alone.")]) -> None:
    """Make a signing key and print its public half, which is what you give to others."""
    key = SigningKey.generate()
    key.save(path)
    typer.echo(key.public)


@app.command("show")
def show(path: Annotated[Path, typer.Argument(help="A private key file.")]) -> None:
    """Print the public half of a key and a fingerprint to compare by telephone."""
    key = SigningKey.load(path)
    typer.echo(key.public)
    typer.echo(fingerprint(key.public))
