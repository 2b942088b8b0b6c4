"""`civicgrid node`: set up and run the node of one site, and decide what may run there."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from civicgrid.config import NodeSettings, make_settings
from civicgrid.errors import DataError

if TYPE_CHECKING:
    from civicgrid.node.home import Home
    from civicgrid.node.state import State

app = typer.Typer(help="Set up and run the node of one site.", no_args_is_help=True)
permits = typer.Typer(help="Keep, list and revoke the permits of this site.", no_args_is_help=True)
app.add_typer(permits, name="permit")
panels = typer.Typer(help="Keep and list the citizen panels whose ballots count at this site.", no_args_is_help=True)
app.add_typer(panels, name="panel")

Folder = Annotated[Path, typer.Argument(help="The node's folder.")]


@app.command("init")
def init(
    folder: Folder,
    site: Annotated[str, typer.Option(help="The site's name: lower case, digits, hyphens.")],
    organisation: Annotated[str, typer.Option(help="The organisation that answers for the site.")],
    network: Annotated[str, typer.Option(help="The network's name.")],
    hub: Annotated[str, typer.Option(help="The hub's address.")],
    hub_key: Annotated[str, typer.Option(help="The hub's public key, from `civicgrid hub key`.")],
) -> None:
    """Lay out a node's folder: fresh keys, the example policy, empty lists of custodians, peers and permits."""
    from civicgrid.node.home import Home
    from civicgrid.transport import check_address
    from civicgrid.trust.keys import signing_public

    signing_public(hub_key)
    settings = make_settings(
        NodeSettings, network=network, site=site, organisation=organisation, hub=check_address(hub), hub_key=hub_key
    )
    Home(folder).create(settings)
    typer.echo(f"A node for {site} is laid out at {folder}. Read its policy.toml; it decides what leaves.")


@app.command("card")
def card(folder: Folder) -> None:
    """Print the site's card: its name, organisation and public keys, for the hub and the other sites."""
    from civicgrid.node.home import Home

    typer.echo(Home(folder).member().canonical().decode())


@app.command("trust")
def trust(
    folder: Folder, cards: Annotated[list[Path], typer.Argument(help="Cards of other sites, compared by telephone.")]
) -> None:
    """Pin other sites: only with pinned sites does this one take part in masked sums."""
    from civicgrid.governance.files import read_cards
    from civicgrid.node.home import Home

    home = Home(folder)
    home.pin(read_cards(cards))
    typer.echo(f"Trusted here: {', '.join(sorted(home.peers()))}.")


@app.command("custodian")
def custodian(
    folder: Folder,
    key: Annotated[str, typer.Option(help="The custodian's public key, from `civicgrid key create`.")],
    name: Annotated[str, typer.Option(help="Who they are.")],
) -> None:
    """Add a person who may sign permits at this site."""
    from civicgrid.node.home import Home

    Home(folder).add_custodian(key, name)
    typer.echo(f"{name} may sign permits here.")


@app.command("load")
def load(
    folder: Folder,
    source: Annotated[Path, typer.Argument(help="A DuckDB file or a folder (OMOP), or a CSV or Parquet file (a table).")],
    dataset: Annotated[str, typer.Option(help="The name under which studies ask for it.")],
    dictionary: Annotated[Path | None, typer.Option(help="For a table: its data dictionary (CSV or JSON).")] = None,
    person_key: Annotated[
        str | None, typer.Option(help="For OMOP: the column of person that people are known by; person_id if not given.")
    ] = None,
    identifier: Annotated[
        str | None, typer.Option(help="For OMOP: what stands in that column, such as nhs-number; site if not given.")
    ] = None,
) -> None:
    """Load a data set, all or nothing, and print what was found. The node must not be running meanwhile."""
    from civicgrid.curation.dictionary import Dictionary
    from civicgrid.curation.persons import SITE
    from civicgrid.curation.store import Store
    from civicgrid.node.home import Home

    home = Home(folder)
    home.settings()
    if not source.exists():
        raise DataError(f"There is nothing at {source}. Give a file or folder to load.")
    with Store(home.data) as store:
        if source.is_dir() or source.suffix.lower() in (".duckdb", ".db"):
            if dictionary is not None:
                raise DataError("A data dictionary goes with a table; OMOP tables are described by the CDM. Leave it out.")
            column = person_key or "person_id"
            report = store.load_omop(dataset, source, person_key=column, identifier=identifier or SITE)
        else:
            if person_key is not None or identifier is not None:
                raise DataError("For a table, the data dictionary says which column identifies a person. Write it there.")
            report = store.load_table(dataset, source, Dictionary.read(dictionary) if dictionary else None)
    typer.echo(str(report))


@app.command("serve")
def serve(folder: Folder) -> None:
    """Run the node until it is stopped: it dials the hub, and answers what the site's permits allow."""
    import signal

    from civicgrid.cli.logs import to_stderr
    from civicgrid.node.home import Home
    from civicgrid.node.service import Service

    def leave(number: int, frame: object) -> None:
        raise SystemExit(0)

    to_stderr()
    signal.signal(signal.SIGTERM, leave)
    try:
        Service(Home(folder)).run()
    except KeyboardInterrupt:
        raise SystemExit(0) from None


@app.command("status")
def status(folder: Folder) -> None:
    """Show who the site is, what it holds, what it permits, and what waits to be sent."""
    from rich.console import Console

    from civicgrid.node.home import Home
    from civicgrid.node.state import State

    home = Home(folder)
    settings = home.settings()
    policy = home.policy()
    # Without markup: an organisation's or a project's name may hold square brackets.
    console = Console(highlight=False, markup=False)
    console.print(f"{settings.site} ({settings.organisation}) in {settings.network}, hub {settings.hub}")
    console.print(f"Policy: counts below {policy.thresholds.min_cell} hidden, rounded to {policy.thresholds.round_to}")
    console.print(f"Custodians: {len(home.custodians())}   Peers trusted: {', '.join(sorted(home.peers())) or 'none'}")
    for digest, permit in home.permits():
        console.print(f"Permit {digest[:12]}: {permit.project}, until {permit.valid_until}")
    if home.state.exists():
        state = State(home.state)
        console.print(f"Replies that the hub has not yet confirmed: {len(state.outgoing(1000))}")
        released = state.connection.execute("select count(*) from answers").fetchone()[0]
        console.print(f"Shares released so far: {released}")
        for line in _register_lines(state):
            # Whole, since a signed note that is wrapped is no evidence any more.
            console.print(line, soft_wrap=True)
        state.close()
    try:
        from civicgrid.curation.store import Store

        with Store(home.data) as store:
            for held in store.datasets():
                known_by = store.identifier(held.name)
                people = "without a person key" if known_by is None else f"people known by {known_by}"
                console.print(f"Data set {held.name} ({held.kind}), snapshot {held.snapshot[:12]}, {people}")
    except DataError:
        console.print("Data sets: the node is running and has its data file open.")


def _register_lines(state: State) -> list[str]:
    """What the node has seen of the public register, and first of all what it has refused to cosign."""
    from civicgrid.governance.permit import in_words
    from civicgrid.node.witness import faults, seen

    def day(at: float) -> str:
        return in_words(dt.datetime.fromtimestamp(int(at), dt.UTC).isoformat())

    lines = [
        f"PUBLIC REGISTER REFUSED on {day(fault.at)}: {fault.words} The hub signed this:\n{fault.checkpoint}"
        for fault in faults(state)
    ]
    if lines:
        lines.append(
            "Ask the other sites what they have seen. Once it is known why, `civicgrid node forget-register` begins anew."
        )
    last = seen(state)
    if last is None:
        return [*lines, "Public register: not witnessed yet."]
    return [*lines, f"Public register: {last.size} entries witnessed on {day(last.at)} of {last.origin}"]


@app.command("forget-register")
def forget_register(
    folder: Folder, yes: Annotated[bool, typer.Option("--yes", help="Do not ask first.")] = False
) -> None:
    """Take the public register anew as the hub shows it: once your people know why it is another than before."""
    from civicgrid.node.home import Home
    from civicgrid.node.state import State
    from civicgrid.node.witness import forget

    typer.echo(
        "From now on this node takes the register as the hub shows it next. What it has seen until now, and what it has "
        "refused, is forgotten; copy what `civicgrid node status` prints first."
    )
    if not yes and not typer.confirm("Forget it?"):
        raise typer.Exit(1)
    state = State(Home(folder).state)
    forget(state)
    state.close()
    typer.echo("Forgotten. It stands in the audit log that it was.")


@app.command("describe")
def describe(
    folder: Folder,
    dataset: Annotated[str, typer.Option(help="The data set; needed where the node holds more than one.")] = "",
    record: Annotated[
        Path | None, typer.Option(help="The data set's record so far: what people wrote in it stays.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the draft of the record here, as JSON.")] = None,
    anew: Annotated[bool, typer.Option("--anew", help="Tell everything again, whatever has changed by a few.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask first.")] = False,
) -> None:
    """Make a data set's profile for the catalogue, through disclosure control, and show it. The node must not be running.

    Nothing is sent: what is written is for you to read, complete and publish.
    """
    from rich.console import Console

    from civicgrid.cli.describe import described, shown, still_missing
    from civicgrid.node.home import Home

    if anew:
        typer.echo(
            "Everything will be told again, though some groups may have changed by a few people. Whoever has kept the "
            "profile before this one can subtract."
        )
        if not yes and not typer.confirm("Tell everything anew?"):
            raise typer.Exit(1)
    draft, profile = described(Home(folder), dataset, record, anew)
    Console(highlight=False, markup=False).print(shown(profile))
    if out is not None:
        out.write_text(draft, "utf-8")
        typer.echo(f"The draft of the record is in {out}. Nothing has been sent. Before it can be published:")
        for words in still_missing(draft):
            typer.echo(f"- {words}")


@app.command("epoch")
def epoch(
    folder: Folder,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask first.")] = False,
) -> None:
    """End the site's running epoch: answers are no longer held against those given until now."""
    from civicgrid.node.home import Home
    from civicgrid.node.state import State

    typer.echo(
        "From now on nothing is compared with what has been answered here until now, about whatever data set. Whoever asks "
        "about nearly the same people again could subtract the two answers."
    )
    if not yes and not typer.confirm("End the epoch?"):
        raise typer.Exit(1)
    home = Home(folder)
    state = State(home.state, home.seal())
    with state.transaction("epoch-ended"):
        if not state.epochs.end(state.clock()):
            raise DataError("Nothing has been answered here yet, so no epoch runs.")
        state.audit("epoch.ended")
    state.close()
    typer.echo("The epoch has ended, and another has begun.")


@app.command("backup")
def backup(folder: Folder, file: Annotated[Path, typer.Argument(help="A new file to write.")]) -> None:
    """Write all but the data to one file, private keys among it; the node may run meanwhile. Keep it locked away."""
    from civicgrid.node.backup import back_up
    from civicgrid.node.home import Home

    made = back_up(Home(folder), file, dt.datetime.now(dt.UTC).isoformat())
    typer.echo(f"{len(made.files)} files of {made.site} are in {file}; its audit log has {made.lines} lines.")
    typer.echo(f"Head: {made.head.seq}:{made.head.hash}")


@app.command("restore")
def restore(
    file: Annotated[Path, typer.Argument(help="A backup.")],
    folder: Annotated[Path, typer.Argument(help="A new folder for the node.")],
) -> None:
    """Lay a node out again from a backup, and say what to do before it runs. Nothing is ever overwritten."""
    from civicgrid.governance.permit import in_words
    from civicgrid.node.backup import restore as restored

    made = restored(file, folder)
    typer.echo(
        f"{made.site} is restored at {folder} as it was on {in_words(made.time)}, its audit log whole.\n"
        "It has forgotten what it released since then, and what was revoked since. Before you run it:\n"
        "1. Make sure that the old node is gone: two nodes under one key must never run.\n"
        "2. If the old disk can still be read, restore a backup of that instead.\n"
        "3. Add again every revocation signed since; see `civicgrid node permit list`.\n"
        "4. Ask the hub's operator which runs this site has answered since. It can no longer hold those answers against a\n"
        "   later question about almost the same people: let your custodian decide whether to revoke the permits.\n"
        "5. Put back your own copy of data.duckdb. If there is none, load the data with `civicgrid node load`: people\n"
        "   then have other numbers, and what was answered before the backup cannot be held against later questions either."
    )


@permits.command("add")
def add(
    folder: Folder,
    file: Annotated[Path, typer.Argument(help="A permit, or the revocation of one, that a custodian signed.")],
) -> None:
    """Keep what a custodian has signed: a permit, in place of the project's earlier ones, or the revocation of one."""
    from civicgrid.governance.files import read_signed
    from civicgrid.governance.permit import REVOCATION
    from civicgrid.node.home import Home

    home = Home(folder)
    signed = read_signed(file)
    now = dt.datetime.now(dt.UTC)
    if signed.payload_type == REVOCATION:
        gone = home.permit_folder().add_revocation(signed)
        _log(home, "permit.revoked", gone)
        typer.echo(f"Revoked {gone[:12]}, for good.")
        return
    path, replaced = home.permit_folder().add(signed, home.signing(), now)
    for digest, permit in home.permits():
        if path.name.endswith(f"-{digest[:12]}.json"):
            _log(home, "permit.added", digest)
            typer.echo(f"{digest[:12]}\n{permit.explain()}")
    for digest in replaced:
        _log(home, "permit.revoked", digest)
        typer.echo(f"It takes the place of {digest[:12]}, which is revoked.")


@permits.command("list")
def list_(folder: Folder) -> None:
    """List the permits that stand at this site, in plain English, and those that are revoked."""
    from civicgrid.node.home import Home

    home = Home(folder)
    found = home.permits()
    if not found:
        typer.echo("No permit stands at this site: it refuses every study. Add one with `civicgrid node permit add`.")
    for digest, permit in found:
        typer.echo(f"{digest[:12]}\n{permit.explain()}\n")
    for digest, revocation in home.permit_folder().revoked().items():
        typer.echo(f"{digest[:12]} {revocation.explain() if revocation else 'Revoked.'}")


@permits.command("revoke")
def revoke(
    folder: Folder,
    permit: Annotated[str, typer.Argument(help="The permit's id, or how it begins.")],
    reason: Annotated[str, typer.Option(help="Why, in a sentence.")] = "",
) -> None:
    """Stop a permit at once and for good, without a custodian's key. The next round of any study under it is refused."""
    from civicgrid.node.home import Home

    home = Home(folder)
    gone = home.revoke_permit(permit, reason)
    _log(home, "permit.revoked", gone)
    typer.echo(f"Revoked {gone[:12]}, for good.")


@panels.command("add")
def add_panel(
    folder: Folder,
    file: Annotated[Path, typer.Argument(help="The roll of a panel: its members' keys, quorum and majority.")],
) -> None:
    """Keep the roll of a panel, in place of an earlier one. Compare the fingerprints with the members before you do."""
    from civicgrid.governance.files import read_roll
    from civicgrid.node.home import Home

    home = Home(folder)
    roll = read_roll(file)
    replaced = home.add_roll(roll)
    _log(home, "panel.added", roll.digest())
    typer.echo(roll.explain())
    if replaced:
        typer.echo("It takes the place of the roll that was here. Permits that rest on its ballots are counted again.")


@panels.command("list")
def list_panels(folder: Folder) -> None:
    """List the panels whose ballots count at this site, and whether a permit needs one's yes."""
    from civicgrid.node.home import Home

    home = Home(folder)
    for roll in home.rolls().values():
        typer.echo(f"{roll.explain()}\n")
    needed = "needs" if home.policy().panel_required else "does not need"
    typer.echo(f"By this site's policy a permit {needed} the yes of a panel.")


def _log(home: Home, action: str, permit: str) -> None:
    """A line in the node's audit log; the node may be running meanwhile."""
    from civicgrid.node.state import State

    state = State(home.state)
    with state.transaction("permit"):
        state.audit(action, permit=permit)
    state.close()
