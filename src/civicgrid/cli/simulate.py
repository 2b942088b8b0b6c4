"""`civicgrid simulate`: a plan over files on this machine, each standing for a site."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from civicgrid.cli.study import PlanFile


def simulate(
    plan: PlanFile,
    site: Annotated[list[str], typer.Option(help="A site as NAME=FILE; give it once for each site.")],
    open_policy: Annotated[
        bool, typer.Option("--open", help="Switch the disclosure rules off: your own data only.")
    ] = False,
    dictionary: Annotated[Path | None, typer.Option(help="A data dictionary for research tables.")] = None,
) -> None:
    """Run a plan over files on this machine, through the same permits, masks and disclosure rules as on a grid."""
    from civicgrid.client.simulate import simulate as simulated
    from civicgrid.disclosure.policy import Policy
    from civicgrid.errors import ConfigError
    from civicgrid.governance.files import read_plans

    sites = {}
    for entry in site:
        name, found, path = entry.partition("=")
        if not found:
            raise ConfigError("Expected each site as NAME=FILE, such as leeds=leeds.csv.")
        sites[name] = Path(path)
    (read,) = read_plans([plan])
    policy = Policy.open() if open_policy else Policy()
    grid = simulated(sites, dataset=read.dataset, policy=policy, dictionary=dictionary)
    answer = grid.run(read)
    typer.echo(str(answer))
    if any(result.failure for result in answer.values()):
        raise typer.Exit(1)
