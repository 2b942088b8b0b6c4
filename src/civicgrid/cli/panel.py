"""`civicgrid panel`: vote as a member, count the votes, and check a decision, with files and keys of one's own."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from civicgrid.errors import ConfigError, TrustError

if TYPE_CHECKING:
    from civicgrid.governance.application import Dossier
    from civicgrid.governance.ballot import PanelDecision, Roll

app = typer.Typer(help="Vote in a citizen panel, count its votes, check its decisions.", no_args_is_help=True)

ApplicationFile = Annotated[Path, typer.Argument(help="The application, as the page gives it.")]
RollFile = Annotated[Path, typer.Argument(help="The roll of the panel: its members' keys, quorum and majority.")]


@app.command("vote")
def vote(
    application: ApplicationFile,
    panel: Annotated[str, typer.Option(help="The panel's short name.")],
    choice: Annotated[str, typer.Option(help="yes, no or abstain.")],
    reason: Annotated[str, typer.Option(help="Why. It is public, without your name.")],
    key: Annotated[Path, typer.Option(help="Your private key file.")],
    condition: Annotated[list[str] | None, typer.Option(help="What a yes depends on; give it again for more.")] = None,
    out: Annotated[Path, typer.Option(help="Where to write the signed ballot.")] = Path("ballot.json"),
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before signing.")] = False,
) -> None:
    """Show the application in plain English, ask, and sign your ballot. Send it on the panel's page, with the reason."""
    from civicgrid.governance.ballot import Ballot, reason_digest
    from civicgrid.governance.files import read_dossier, write_signed
    from civicgrid.governance.review import explained
    from civicgrid.trust.keys import SigningKey

    if choice not in ("yes", "no", "abstain"):
        raise ConfigError(f"Expected --choice yes, no or abstain; {choice[:20]!r} came.")
    if condition and choice != "yes":
        raise ConfigError("Conditions belong to a yes. Leave them out, or vote yes.")
    dossier = read_dossier(application)
    typer.echo(explained(dossier))
    for plan in dossier.read_plans():
        typer.echo(f"\n{plan.explain()}")
    private = SigningKey.load(key)
    if not yes and not typer.confirm(f"\nSign a ballot that says {choice}?"):
        raise typer.Exit(1)
    ballot = Ballot(
        network=dossier.network,
        panel=panel,
        project=dossier.project,
        application=dossier.digest(),
        plans=dossier.allowed(),
        choice=choice,  # type: ignore[arg-type]
        conditions=tuple(condition or ()),
        reason=reason_digest(reason),
        time=dt.datetime.now(dt.UTC).isoformat(),
    )
    write_signed(out, ballot.signed(private))
    typer.echo(f"Your ballot is at {out}.")


@app.command("count")
def count(
    roll: RollFile,
    application: ApplicationFile,
    ballots: Annotated[list[Path], typer.Argument(help="The files of the signed ballots.")],
    conflicted: Annotated[
        list[str] | None, typer.Option(help="The key of a member who has declared an interest; give it again for more.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where to write the decision that a permit then carries.")] = None,
) -> None:
    """Count the votes under the panel's own rules. One that is forged, doubled or about something else is an error."""
    from civicgrid.governance.ballot import PanelDecision
    from civicgrid.governance.files import read_dossier, read_roll, read_signed, write_draft

    dossier, members = read_dossier(application), read_roll(roll)
    decision = PanelDecision(
        panel=members.panel,
        application=dossier.digest(),
        conflicted=tuple(conflicted or ()),
        ballots=tuple(read_signed(path) for path in ballots),
    )
    typer.echo(_counted(decision, members, dossier))
    if out is not None:
        write_draft(out, decision)
        typer.echo(f"The decision is at {out}.")


@app.command("verify")
def verify(
    roll: RollFile,
    application: ApplicationFile,
    decision: Annotated[Path, typer.Argument(help="The panel's decision, from its page or `civicgrid panel count`.")],
) -> None:
    """Check that a panel's decision is about this application, and that its ballots are members' and enough."""
    from civicgrid.governance.files import read_decision, read_dossier, read_roll

    dossier, given = read_dossier(application), read_decision(decision)
    if given.application != dossier.digest():
        raise TrustError("The decision is about another application, or an earlier form of this one.")
    typer.echo(_counted(given, read_roll(roll), dossier))


def _counted(decision: PanelDecision, roll: Roll, dossier: Dossier) -> str:
    from civicgrid.governance import ballot
    from civicgrid.governance.permit import shown

    tally = ballot.count(decision, roll, network=dossier.network, project=dossier.project)
    if tally.plans != dossier.allowed():
        raise TrustError("The ballots are about other plans than those of the application.")
    return "\n".join([tally.words(), *(f"A condition: {shown(condition)}" for condition in tally.conditions)])
