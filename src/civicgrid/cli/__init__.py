"""The `civicgrid` command: one file a group of commands.

Errors that Civic Grid raises on purpose are printed as a sentence; only a fault of the program shows a traceback.
"""

from __future__ import annotations

import os
import sys

# A node and a hub each use one core for linear algebra; several processes on one machine would fight over the rest.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import typer

from civicgrid import __version__
from civicgrid.cli import audit, custodian, demo, hub, key, node, panel, register, simulate, study
from civicgrid.errors import CivicGridError

app = typer.Typer(
    help="Civic Grid: studies travel to the data, people's records stay where they are.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,
    add_completion=False,
)
app.command("demo")(demo.demo)
app.command("simulate")(simulate.simulate)
app.add_typer(study.app, name="study")
app.add_typer(node.app, name="node")
app.add_typer(custodian.app, name="custodian")
app.add_typer(panel.app, name="panel")
app.add_typer(hub.app, name="hub")
app.add_typer(key.app, name="key")
app.add_typer(audit.app, name="audit")
app.add_typer(register.app, name="register")


@app.command("version")
def version() -> None:
    """Print the version of this installation."""
    typer.echo(__version__)


def main() -> None:
    """The command's entry point."""
    try:
        app()
    except CivicGridError as error:
        typer.echo(f"civicgrid: {error}", err=True)
        sys.exit(1)
    except BrokenPipeError:
        sys.exit(1)
