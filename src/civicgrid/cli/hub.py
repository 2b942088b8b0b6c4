"""`civicgrid hub`: set up and run the hub of a network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from civicgrid.config import HubSettings, make_settings

app = typer.Typer(help="Set up and run the hub of a network.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(help="The hub's folder.")]


@app.command("init")
def init(
    folder: Folder,
    network: Annotated[str, typer.Option(help="The network's name: lower case, digits, hyphens.")],
    port: Annotated[int, typer.Option(help="The port to listen on.")] = 8700,
    host: Annotated[
        str, typer.Option(help="The address to listen on; away from this machine it takes TLS or a proxy.")
    ] = "127.0.0.1",
    address: Annotated[str, typer.Option(help="The public https address, where it differs from host and port.")] = "",
    reply_seconds: Annotated[float, typer.Option(help="How long a site may take over one task.")] = 120.0,
    connected_seconds: Annotated[
        float, typer.Option(help="How long after its last message a site counts as connected.")
    ] = 60.0,
    tls_certificate: Annotated[str, typer.Option(help="The hub's certificate with its chain (PEM).")] = "",
    tls_key: Annotated[str, typer.Option(help="The certificate's private key (PEM).")] = "",
    behind_proxy: Annotated[bool, typer.Option("--behind-proxy", help="A proxy before the hub ends TLS.")] = False,
) -> None:
    """Lay out a hub's folder and print its public key, which every site pins in its own settings."""
    from civicgrid.hub.home import HubHome

    settings = make_settings(
        HubSettings,
        network=network,
        host=host,
        port=port,
        address=address,
        reply_seconds=reply_seconds,
        connected_seconds=connected_seconds,
        tls_certificate=tls_certificate,
        tls_key=tls_key,
        behind_proxy=behind_proxy,
    )
    typer.echo(HubHome(folder).create(settings))


@app.command("key")
def key(folder: Folder) -> None:
    """Print the hub's public key."""
    from civicgrid.hub.home import HubHome

    typer.echo(HubHome(folder).key().public)


@app.command("admit-site")
def admit_site(
    folder: Folder, cards: Annotated[list[Path], typer.Argument(help="Cards of sites, from `civicgrid node card`.")]
) -> None:
    """Register sites by their cards: from now on their nodes may connect."""
    from civicgrid.governance.files import read_cards
    from civicgrid.hub import home

    engine = home.HubHome(folder).engine()
    for member in read_cards(cards):
        home.admit_site(engine, member)
        typer.echo(f"Admitted {member.site} ({member.organisation}).")


@app.command("admit-person")
def admit_person(
    folder: Folder,
    name: Annotated[str, typer.Option(help="The researcher's name.")],
    key: Annotated[str, typer.Option(help="Their public key, from `civicgrid key create`.")],
) -> None:
    """Register a researcher: they may send studies. What may run is for each site's permits to say."""
    from civicgrid.hub import home

    home.admit_person(home.HubHome(folder).engine(), name, key)
    typer.echo(f"Admitted {name}.")


@app.command("account")
def account(
    folder: Folder,
    name: Annotated[str, typer.Option(help="The person's full name.")],
    role: Annotated[str, typer.Option(help="The role to give, such as operator.")] = "operator",
    login: Annotated[str, typer.Option(help="Issuer and subject, as the login service names the person.")] = "",
) -> None:
    """Open an account on the hub's pages and give it a role: how a network comes by its first operator."""
    from civicgrid.hub import home

    typer.echo(f"Opened account {home.open_account(home.HubHome(folder), name, role, login)} for {name}, {role}.")


@app.command("serve")
def serve(folder: Folder) -> None:
    """Run the hub until it is stopped. Runs that were under way are taken up where they were."""
    from civicgrid.cli.logs import to_stderr
    from civicgrid.hub.home import HubHome
    from civicgrid.hub.service import serve as run

    to_stderr()
    run(HubHome(folder))
