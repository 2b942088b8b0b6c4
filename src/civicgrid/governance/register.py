"""The kinds of entry on the public register: a closed list, each with what it holds and how it reads.

An act gives back entries; the hub numbers, dates and appends them, and an entry is from then on what its hash says. A field
that is added later has a default, so that every earlier entry keeps its bytes.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from civicgrid.canonical import Node
from civicgrid.errors import PlanError, WireError
from civicgrid.governance.entry import (
    Commitment,
    Digest,
    Entry,
    Line,
    Link,
    People,
    Place,
    Places,
    Project,
    Say,
    Title,
    Titles,
    Words,
    day,
    ended,
    several,
)


class Use(Node):
    """What HDR UK's data use register (version 2) asks of a project beyond what the application says. See `data_uses`."""

    organisation_id: Line = ""
    sector: Line = ""
    accredited: Line = ""
    sublicence: Line = ""
    category: Line = ""
    technical_summary: Words = ""
    other_approvals: Line = ""
    start: dt.date | None = None
    end: dt.date | None = None
    sensitivity: Line = ""
    article_6: Line = ""
    article_9: Line = ""
    confidentiality: Line = ""
    opt_out: Line = ""
    frequency: Line = ""
    linkage: Line = ""
    confidential: Line = ""
    access_type: Line = ""
    privacy: Line = ""


class ApplicationSubmitted(Entry):
    """Somebody has asked to use data: for what, where, and who would benefit. `version` counts what was sent anew."""

    READ: ClassVar = ("title", "summary", "benefit", "organisation", "funders")

    kind: Literal["application_submitted"] = "application_submitted"
    project: Project
    version: int = Field(default=1, ge=1)
    title: Title
    summary: Words
    benefit: Words
    organisation: Title
    lead: Commitment
    people: People = ()
    sites: Places
    datasets: Places
    purposes: Titles = ()
    funders: Titles = ()
    commercial: bool = False
    use: Use = Use()

    def sentence(self, _: Say = str) -> str:
        asked = _("{who} asked to use health data") if self.version == 1 else _("{who} changed its request for health data")
        where = _(" held at {sites}").format(sites=several(self.sites, _)) if self.sites else ""
        company = _(" A company has a stake in it.") if self.commercial else ""
        about = _(" The project is called {title}").format(title=ended(self.title))
        return f"{asked.format(who=self.organisation)}{where}.{about}{company}"


class ApplicationWithdrawn(Entry):
    """Whoever asked has taken the application back."""

    READ: ClassVar = ("organisation", "reason")

    kind: Literal["application_withdrawn"] = "application_withdrawn"
    project: Project
    organisation: Title
    reason: Words = ""

    def sentence(self, _: Say = str) -> str:
        said = _("{who} took back its request for project {project}.")
        return said.format(who=self.organisation, project=self.project) + _reason(self.reason, _)


class Decision(Entry):
    """A custodian, a citizen panel or the network's board has decided. A refusal gives its reasons.

    `body` is the organisation, panel or board; `site` the site that it is for, empty where it is for all; `minority` what
    those say who voted otherwise.
    """

    READ: ClassVar = ("body", "reasons", "conditions", "minority")

    kind: Literal["decision"] = "decision"
    project: Project
    by: Literal["custodian", "panel", "board"]
    body: Title
    site: Place | Literal[""] = ""
    outcome: Literal["approved", "refused"]
    reasons: Words = ""
    conditions: Titles = ()
    votes_for: int = Field(default=0, ge=0)
    votes_against: int = Field(default=0, ge=0)
    votes_blank: int = Field(default=0, ge=0)
    minority: Words = ""
    people: People = ()
    ballots: Annotated[tuple[Digest, ...], Field(max_length=500)] = ()

    @model_validator(mode="after")
    def _reasoned(self) -> Decision:
        if self.outcome == "refused" and not self.reasons.strip():
            raise ValueError("expected the reasons of a refusal")
        return self

    def sentence(self, _: Say = str) -> str:
        who = _("The citizen panel of {body}") if self.by == "panel" else "{body}"
        said = _("said yes to project {project}.") if self.outcome == "approved" else _("said no to project {project}.")
        text = f"{who.format(body=self.body)} {said.format(project=self.project)}"
        all_votes = self.votes_for + self.votes_against + self.votes_blank
        if all_votes:
            text += _(" {yes} of {all} voted for it.").format(yes=self.votes_for, all=all_votes)
        if self.conditions:
            text += _(" It must keep to this: {conditions}").format(conditions=ended(several(self.conditions, _)))
        return text + _reason(self.reasons, _)


class PermitGranted(Entry):
    """A site has signed what a project may do there, and until when. `permit` is the digest that it goes by."""

    READ: ClassVar = ("organisation",)

    kind: Literal["permit"] = "permit"
    project: Project
    site: Place
    organisation: Title
    permit: Digest
    datasets: Places = ()
    start: dt.date
    end: dt.date

    def sentence(self, _: Say = str) -> str:
        said = _("{who} lets project {project} study data. The data are at {site}. It may do so from {start} to {end}.")
        return said.format(
            who=self.organisation, project=self.project, site=self.site, start=day(self.start, _), end=day(self.end, _)
        )


class PermitRevoked(Entry):
    """A permit has been ended for good."""

    READ: ClassVar = ("organisation", "reason")

    kind: Literal["revocation"] = "revocation"
    project: Project
    site: Place
    organisation: Title
    permit: Digest
    reason: Words = ""

    def sentence(self, _: Say = str) -> str:
        said = _("{who} took away the permit of project {project} at {site}.")
        named = said.format(who=self.organisation, project=self.project, site=self.site)
        return named + _reason(self.reason, _)


class Run(Entry):
    """A study has begun, or has ended: which plan, at which sites."""

    kind: Literal["run"] = "run"
    project: Project
    run: Digest
    plan: Digest
    state: Literal["began", "finished", "failed"]
    sites: Places = ()
    datasets: Places = ()

    def sentence(self, _: Say = str) -> str:
        said = {
            "began": _("Project {project} began a study{where}."),
            "finished": _("Project {project} finished a study{where}."),
            "failed": _("A study of project {project} gave no answer{where}."),
        }[self.state]
        where = _(" at {sites}").format(sites=several(self.sites, _)) if self.sites else ""
        return said.format(project=self.project, where=where)


class Release(Entry):
    """A site has sent numbers to the hub for a run. `shares` are digests of the bytes, as in the site's own log."""

    kind: Literal["release"] = "release"
    project: Project
    run: Digest
    site: Place
    organisation: Title
    shares: Annotated[tuple[Digest, ...], Field(max_length=1000)] = ()

    def sentence(self, _: Say = str) -> str:
        said = _("{site} sent checked totals for project {project}. Nobody’s own record left it.")
        return said.format(site=self.site, project=self.project)


class ResultPublished(Entry):
    """What a project has found, for everybody. `output` is the digest of the published numbers."""

    READ: ClassVar = ("title", "summary")

    kind: Literal["result"] = "result"
    project: Project
    title: Title
    summary: Words
    run: Digest | Literal[""] = ""
    output: Digest | Literal[""] = ""
    link: Link = ""

    def sentence(self, _: Say = str) -> str:
        return _("Project {project} told what it found: {title}").format(project=self.project, title=ended(self.title))


class BenefitPromised(Entry):
    """What whoever uses the data has promised to give back."""

    READ: ClassVar = ("organisation", "benefit")

    kind: Literal["benefit_promised"] = "benefit_promised"
    project: Project
    organisation: Title
    benefit: Words
    due: dt.date | None = None

    def sentence(self, _: Say = str) -> str:
        by = _(" by {day}").format(day=day(self.due, _)) if self.due else ""
        said = _("{who} made a promise for project {project}{by}: {benefit}")
        return said.format(who=self.organisation, project=self.project, by=by, benefit=ended(self.benefit))


class BenefitDelivered(Entry):
    """A promise has been kept: what was given, and where to see it."""

    READ: ClassVar = ("organisation", "benefit")

    kind: Literal["benefit_delivered"] = "benefit_delivered"
    project: Project
    organisation: Title
    benefit: Words
    link: Link = ""

    def sentence(self, _: Say = str) -> str:
        said = _("{who} kept a promise of project {project}: {benefit}")
        return said.format(who=self.organisation, project=self.project, benefit=ended(self.benefit))


class SiteChanged(Entry):
    """A site has joined the network, stopped for a while, been stopped, or left. `sectors` are those that voted for it."""

    READ: ClassVar = ("organisation", "reason")

    kind: Literal["site"] = "site"
    site: Place
    organisation: Title
    state: Literal["admitted", "paused", "resumed", "suspended", "retired"]
    reason: Words = ""
    sectors: Titles = ()

    def sentence(self, _: Say = str) -> str:
        said = {
            "admitted": _("{site}, run by {who}, joined the network."),
            "paused": _("{site}, run by {who}, stopped for a while."),
            "resumed": _("{site}, run by {who}, started again."),
            "suspended": _("{site}, run by {who}, was stopped by the board."),
            "retired": _("{site}, run by {who}, left the network."),
        }[self.state]
        return said.format(site=self.site, who=self.organisation) + _reason(self.reason, _)


class RuleChanged(Entry):
    """A policy or a rule of the network has changed. `text` is the digest of the new wording."""

    READ: ClassVar = ("title", "summary")

    kind: Literal["rule"] = "rule"
    what: Literal["policy", "rule", "charter", "membership"]
    title: Title
    summary: Words = ""
    text: Digest | Literal[""] = ""
    site: Place | Literal[""] = ""
    sectors: Titles = ()

    def sentence(self, _: Say = str) -> str:
        text = _("A {what} changed: {title}").format(what=_(self.what), title=ended(self.title))
        if self.sectors:
            text += _(" Those who agreed: {sectors}.").format(sectors=several(self.sectors, _))
        return text


class Overdue(Entry):
    """Something that was due has not come: a decision, an answer to a question, a result, a promised benefit."""

    kind: Literal["overdue"] = "overdue"
    project: Project
    what: Literal["decision", "application", "data", "result", "benefit", "publication"]
    due: dt.date
    site: Place | Literal[""] = ""

    def sentence(self, _: Say = str) -> str:
        named = {
            "decision": _("a decision"),
            "application": _("the missing part of the application"),
            "data": _("the data"),
            "result": _("the result"),
            "benefit": _("the promised benefit"),
            "publication": _("news of the decision"),
        }[self.what]
        where = _(" from {site}").format(site=self.site) if self.site else ""
        said = _("Project {project} is late: {what}{where} was due on {day}.")
        return said.format(project=self.project, what=named, where=where, day=day(self.due, _))


def _reason(reason: str, _: Say) -> str:
    return _(" The reason: {reason}").format(reason=ended(reason)) if reason.strip() else ""


AnyEntry = (
    ApplicationSubmitted | ApplicationWithdrawn | Decision | PermitGranted | PermitRevoked | Run | Release
    | ResultPublished | BenefitPromised | BenefitDelivered | SiteChanged | RuleChanged | Overdue
)  # fmt: skip
KINDS: dict[str, type[Entry]] = {
    kind.model_fields["kind"].default: kind
    for kind in (
        ApplicationSubmitted, ApplicationWithdrawn, Decision, PermitGranted, PermitRevoked, Run, Release,
        ResultPublished, BenefitPromised, BenefitDelivered, SiteChanged, RuleChanged, Overdue,
    )
}  # fmt: skip


class Leaf(Node):
    """An entry in its place: what is hashed. `at` is when the hub took it (UTC); it never goes back along the log."""

    network: str
    index: Annotated[int, Field(ge=0)]
    at: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]
    entry: AnyEntry = Field(discriminator="kind")


def moment(at: int) -> str:
    """Seconds since 1970 as a leaf has them."""
    return dt.datetime.fromtimestamp(at, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read_leaf(leaf: str) -> Leaf:
    """A leaf from its text. WireError where this version does not know the kind of its entry."""
    try:
        return Leaf.from_bytes(leaf)
    except PlanError as error:
        raise WireError(f"This entry of the register cannot be read by this version: {error}") from None
