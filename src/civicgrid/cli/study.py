"""`civicgrid study`: read a plan in plain English, run it on a grid."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from civicgrid.errors import ConfigError

app = typer.Typer(help="Read a study's plan in plain English, or run it on a grid.", no_args_is_help=True)

PlanFile = Annotated[Path, typer.Argument(help="A plan file: the JSON of `grid.plan(study).canonical()`.")]


@app.command("explain")
def explain(plan: PlanFile) -> None:
    """Print what a plan means, and its digest, by which permits and logs name it."""
    from civicgrid.governance.files import read_plans

    (read,) = read_plans([plan])
    typer.echo(read.explain())
    typer.echo(f"\nPlan {read.digest()}")
    if read.template is not None:
        typer.echo(f"Template {read.template}: the same study whatever the day of its run")


@app.command("run")
def run(
    plan: PlanFile,
    hub: Annotated[str, typer.Option(help="The hub's address.")],
    key: Annotated[Path, typer.Option(help="Your private key file.")],
    project: Annotated[str, typer.Option(help="The project that the sites' permits name.")],
    out: Annotated[Path | None, typer.Option(help="Write the results here as JSON too.")] = None,
    hub_ca: Annotated[
        Path | None, typer.Option(help="A file of certificates to check the hub's against, instead of this machine's own.")
    ] = None,
) -> None:
    """Run a plan on a grid, and print each answer with what became of every site."""
    from civicgrid.cli.progress import watching
    from civicgrid.client.connect import connect
    from civicgrid.governance.files import read_plans

    (read,) = read_plans([plan])
    grid = connect(hub, key=key, project=project, hub_ca=hub_ca)
    with watching() as progress:
        answer = grid.run(read, progress=progress)
    typer.echo(str(answer))
    if out is not None:
        results = {name: result.to_dict() for name, result in answer.items() if not result.failure}
        try:
            out.write_text(json.dumps(results, indent=2) + "\n", "utf-8")
        except OSError as error:
            raise ConfigError(f"{out} cannot be written: {error.strerror}. Choose another place.") from None
    if any(result.failure for result in answer.values()):
        raise typer.Exit(1)
