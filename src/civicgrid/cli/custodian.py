"""`civicgrid custodian`: draft, read, sign and revoke permits, on a custodian's own machine and with files alone."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import ValidationError

from civicgrid.canonical import describe
from civicgrid.errors import ConfigError

if TYPE_CHECKING:
    from civicgrid.governance.permit import Permit
    from civicgrid.governance.review import Review

app = typer.Typer(help="Draft, read, sign and revoke permits, away from the node.", no_args_is_help=True)

PermitFile = Annotated[Path, typer.Argument(help="A permit: a draft, or one that somebody has signed already.")]
PlanFiles = Annotated[list[Path] | None, typer.Argument(help="The files of the plans that the permit lists.")]
ApplicationFile = Annotated[Path | None, typer.Option(help="The application, to hold the permit against.")]
RollFile = Annotated[Path | None, typer.Option(help="The roll of the panel, to count its ballots with.")]
KeyFile = Annotated[Path, typer.Option(help="Your private key file.")]


@app.command("draft")
def draft(
    out: Annotated[Path, typer.Argument(help="Where to write the draft.")],
    site: Annotated[str, typer.Option(help="The site's name.")],
    network: Annotated[str, typer.Option(help="The network's name; an application says it.")] = "",
    project: Annotated[str, typer.Option(help="The project's id, such as P-7; an application says it.")] = "",
    title: Annotated[str, typer.Option(help="The project's title; an application says it.")] = "",
    person: Annotated[
        list[str] | None, typer.Option(help="A researcher as NAME=PUBLIC-KEY; give it again for more.")
    ] = None,
    purpose: Annotated[str, typer.Option(help="What for, in a sentence.")] = "",
    application: Annotated[
        Path | None, typer.Option(help="The file of the application: what is not said otherwise is taken from it.")
    ] = None,
    panel_decision: Annotated[
        Path | None, typer.Option(help="The file of the citizen panel's decision, which the permit then carries.")
    ] = None,
    plan: Annotated[list[Path] | None, typer.Option(help="Allow this plan; give it again for more.")] = None,
    template: Annotated[
        list[Path] | None, typer.Option(help="Allow this plan as a standing study: again and again, each for its day.")
    ] = None,
    template_days: Annotated[
        int, typer.Option(min=0, max=366, help="How many days old the day of a standing study may be.")
    ] = 31,
    dataset: Annotated[list[str] | None, typer.Option(help="A data set; without it, those of the plans.")] = None,
    column: Annotated[
        list[str] | None, typer.Option(help="table.column, table.* or *; without it, what the plans read, or else *.")
    ] = None,
    method: Annotated[list[str] | None, typer.Option(help="A method; without it, those of the plans.")] = None,
    days: Annotated[int, typer.Option(min=1, max=36500, help="Valid for this many days from now.")] = 365,
    custodians: Annotated[int, typer.Option(min=1, max=10, help="How many custodians must sign it.")] = 1,
    pooled_threshold: Annotated[
        bool,
        typer.Option(
            "--pooled-threshold",
            help="Let small numbers of the site count towards a masked total that is checked as a whole.",
        ),
    ] = False,
    zeros: Annotated[bool, typer.Option("--zeros", help="Let cells with nobody in them be shown.")] = False,
) -> None:
    """Write the draft of a permit, no wider than its plans need unless you say so. It allows nothing until it is signed."""
    from civicgrid.governance.files import read_decision, read_dossier, read_plans, write_draft
    from civicgrid.governance.permit import Permit, Person
    from civicgrid.methods import METHODS
    from civicgrid.trust.keys import signing_public

    people = [entry.partition("=")[::2] for entry in person or [] if "=" in entry]
    if len(people) != len(person or []):
        raise ConfigError("Expected each person as NAME=PUBLIC-KEY.")
    plans, templates = read_plans(plan or []), read_plans(template or [])
    dossier = read_dossier(application) if application else None
    decision = read_decision(panel_decision) if panel_decision else None
    if dossier is not None:
        network, project = network or dossier.network, project or dossier.project
        title = title or dossier.answers.title
        purpose = purpose or " ".join(dossier.answers.public_benefit.split())
        people = people or [(named.account, named.key) for named in dossier.people]
        if not plans and not templates:
            again = dossier.answers.standing == "yes"
            attached = dossier.read_plans()
            plans = tuple(each for each in attached if not (again and each.template))
            templates = tuple(each for each in attached if again and each.template)
            dataset = dataset or (None if attached else list(dossier.answers.datasets))
        if decision is not None and decision.application != dossier.digest():
            raise ConfigError("The panel decided on another application than this one. Ask for the right files.")
    if not (network and project and title and people and purpose):
        raise ConfigError("Expected --network, --project, --title, --person and --purpose, or --application.")
    for _, public in people:
        signing_public(public)
    undated = [one.title or one.identity[:12] for one in templates if one.template is None]
    if undated:
        raise ConfigError(f"The plan {undated[0]} names no day of its run. Write it with cg.run_date, or use --plan.")
    every = (*plans, *templates)
    if not every and not (dataset and method):
        raise ConfigError("Expected plans (--plan, --template), or what any plan may use: --dataset and --method.")
    unknown = sorted(set(method or []) - set(METHODS))
    if unknown:
        raise ConfigError(f"There is no method {', '.join(unknown)}. There is: {', '.join(METHODS)}.")
    strange = [one for one in column or [] if one != "*" and not all(one.partition("."))]
    if strange:
        raise ConfigError(
            f"Expected each column as table.column, table.* or *; {strange[0]!r} came. The columns of a research table are "
            f"records.NAME, such as records.{strange[0].strip('.')}."
        )
    used = {one.kind for each in every for one in each.methods.values()}
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    reads = sorted({read for each in every for read in each.reads}) if every else ["*"]
    with _in_a_sentence():
        permit = Permit(
            network=network,
            site=site,
            project=project,
            title=title,
            people=tuple(Person(name=name, key=public) for name, public in people),
            datasets=tuple(dataset or sorted({each.dataset for each in every})),
            columns=tuple(column or reads),
            methods=tuple(method or [kind for kind in METHODS if kind in used]),
            purpose=purpose,
            valid_from=now.isoformat(),
            valid_until=(now + dt.timedelta(days=days)).isoformat(),
            plans=tuple(each.identity for each in plans),
            templates=tuple(str(each.template) for each in templates),
            template_days=template_days,
            custodians=custodians,
            pooled_threshold=pooled_threshold,
            zeros=zeros,
            panel=decision,
        )
    write_draft(out, permit)
    typer.echo(f"A draft is at {out}. It allows nothing until a custodian of {site} has signed it.")


@app.command("review")
def review(
    permit: PermitFile, plans: PlanFiles = None, application: ApplicationFile = None, roll: RollFile = None
) -> None:
    """Print a permit and its plans in plain English, and what deserves a second look. Nothing is signed."""
    from civicgrid.governance.files import read_draft

    read, _, signers = read_draft(permit)
    typer.echo(_reviewed(read, plans, application, roll).words())
    _say_signers(signers)


@app.command("sign")
def sign(
    permit: PermitFile,
    key: KeyFile,
    plans: PlanFiles = None,
    application: ApplicationFile = None,
    roll: RollFile = None,
    out: Annotated[Path | None, typer.Option(help="Where to write it; without this, NAME.signed.json beside it.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before signing.")] = False,
) -> None:
    """Show what `review` shows, ask, and sign; a permit that is signed already gets your signature beside the others."""
    from civicgrid.governance.files import read_draft, write_signed
    from civicgrid.trust.keys import SigningKey, fingerprint

    read, before, signers = read_draft(permit)
    shown = _reviewed(read, plans, application, roll)
    typer.echo(shown.words())
    _say_signers(signers)
    if shown.unseen:
        raise ConfigError("Nobody signs a plan unread. Give the file of each plan that the permit lists, after the permit.")
    private = SigningKey.load(key)
    if not yes and not typer.confirm(f"\nSign this permit with the key {fingerprint(private.public)}?"):
        raise typer.Exit(1)
    signed = read.signed(private) if before is None else before.joined(read.signed(private))
    target = out or _beside(permit, "signed")
    write_signed(target, signed, instead=before is not None and target == permit)
    typer.echo(f"Signed: {target}. The site's engineer adds it with `civicgrid node permit add`.")


@app.command("revoke")
def revoke(
    permit: PermitFile,
    key: KeyFile,
    reason: Annotated[str, typer.Option(help="Why, in a sentence.")],
    out: Annotated[Path | None, typer.Option(help="Where to write it; without this, NAME.revoked.json beside it.")] = None,
) -> None:
    """Sign the end of a permit. Once the site has it, the permit counts no more, and can never be added again."""
    from civicgrid.governance.files import read_draft, write_signed
    from civicgrid.governance.permit import Revocation
    from civicgrid.trust.keys import SigningKey

    read, _, _ = read_draft(permit)
    with _in_a_sentence():
        revocation = Revocation(
            network=read.network,
            site=read.site,
            permit=read.digest(),
            time=dt.datetime.now(dt.UTC).replace(microsecond=0).isoformat(),
            reason=reason,
        )
    target = out or _beside(permit, "revoked")
    write_signed(target, revocation.signed(SigningKey.load(key)))
    typer.echo(f"Signed: {target}. It ends permit {read.digest()[:12]} as soon as the site's engineer adds it.")


def _beside(permit: Path, what: str) -> Path:
    return permit.with_name(f"{permit.name.removesuffix('.json').removesuffix('.signed')}.{what}.json")


def _say_signers(signers: Sequence[str]) -> None:
    from civicgrid.trust.keys import fingerprint

    if signers:
        typer.echo("\nSigned already by the owners of these keys; whose they are, the site's own list says:")
        for key in signers:
            typer.echo(f"- {key} ({fingerprint(key)})")


def _reviewed(read: Permit, plans: list[Path] | None, application: Path | None, roll: Path | None) -> Review:
    """The permit beside whatever files came with it; an application brings its plans along."""
    from civicgrid.governance.files import read_dossier, read_plans, read_roll
    from civicgrid.governance.review import Review

    dossier = read_dossier(application) if application else None
    given = {plan.identity: plan for plan in (*(dossier.read_plans() if dossier else ()), *read_plans(plans or []))}
    return Review(
        read, tuple(given.values()), dt.datetime.now(dt.UTC), dossier, read_roll(roll) if roll else None
    )


@contextmanager
def _in_a_sentence() -> Iterator[None]:
    try:
        yield
    except ValidationError as error:
        raise ConfigError(f"This cannot be signed: {describe(error)}. Change it.") from None
