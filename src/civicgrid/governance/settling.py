"""What a custodian's or a panel's decision does to the application: whether it is settled, and who hears of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from civicgrid.governance.acts import Asked, Look, Notice, Outcome, Record
from civicgrid.governance.application import Application
from civicgrid.governance.entry import Entry
from civicgrid.governance.register import BenefitPromised
from civicgrid.governance.stages import Benefit, Deliberation, SiteDecision


@dataclass(frozen=True)
class Pending:
    """The decisions and deliberations on an application's present version, by site and by panel."""

    decisions: Mapping[str, SiteDecision]
    deliberations: Mapping[str, Deliberation]


def pending(application: Application, look: Look, *changed: Record) -> Pending:
    """What has been decided and what is open, with the records that an act has just changed in place of the stored."""
    decisions = {each.site: each for each in look.find("decision", application=application.id)}
    deliberations = {each.panel: each for each in look.find("deliberation", application=application.id)}
    for record in changed:
        if isinstance(record, SiteDecision):
            decisions[record.site] = record
        elif isinstance(record, Deliberation):
            deliberations[record.panel] = record
    return Pending(
        {site: each for site, each in sorted(decisions.items()) if each.version == application.version},
        {panel: each for panel, each in sorted(deliberations.items()) if each.version == application.version},
    )


def verdict(decision: SiteDecision, deliberations: Mapping[str, Deliberation]) -> bool | None:
    """Whether a site's data may be used: its custodians and every panel that it heeds have to say yes. None: still open."""
    if decision.state in ("refused", "vetoed", "closed"):
        return False
    panels = [deliberations[panel].state for panel in decision.panels]
    if "vetoed" in panels:
        return False
    return True if decision.state == "approved" and all(state == "approved" for state in panels) else None


def settle(asked: Asked, act: str, changed: Record, public: tuple[Entry, ...], told: tuple[Notice, ...] = ()) -> Outcome:
    """The outcome of a decision, with what it does to the application and to the sites that a veto closes."""
    application: Application = asked.look.get("application", changed.application)  # type: ignore[attr-defined]
    before = pending(application, asked.look, changed)
    vetoed = {panel for panel, each in before.deliberations.items() if each.state == "vetoed"}
    closed = [
        each.model_copy(update={"state": "vetoed"})
        for each in before.decisions.values()
        if vetoed & set(each.panels) and each.state in ("waiting", "asked", "half", "approved")
    ]
    now = pending(application, asked.look, changed, *closed)
    verdicts = [verdict(each, now.deliberations) for each in now.decisions.values()]
    if None not in verdicts:
        state = "approved" if True in verdicts else "refused"
    else:
        state = "questioned" if any(each.state == "asked" for each in now.decisions.values()) else "deciding"
    moved = application.went(act, state, asked.now)
    records: list[Record] = [changed, *closed]
    entries = list(public)
    if moved.state != application.state:
        records.append(moved)
        if moved.state == "approved" and moved.answers.commercial == "yes":
            benefit, entry = promised(moved, asked)
            records.append(benefit)
            entries.append(entry)
    notices = (*told, *(_told(moved) if moved.state != application.state else ()))
    return Outcome(tuple(records), tuple(entries), notices)


def promised(application: Application, asked: Asked) -> tuple[Benefit, Entry]:
    """The benefit that was agreed with a company, as a record of its own from the day of approval on."""
    given = application.answers
    organisation = asked.look.get("organisation", given.organisation).name
    benefit = Benefit(
        id=asked.new_id("benefit"),
        application=application.id,
        organisation=given.organisation,
        promise=given.benefit_agreement,
        due=given.benefit_due,
    )
    return benefit, BenefitPromised(
        project=application.id, organisation=organisation, benefit=benefit.promise, due=benefit.due
    )


def _told(application: Application) -> tuple[Notice, ...]:
    said = {
        "approved": "has been approved. Each site now signs its permit.",
        "refused": "has been refused. The reasons are on its page.",
        "deciding": "is with those who decide again.",
        "questioned": "has a question that you have to answer.",
    }[application.state]
    return tuple(
        Notice(person, f"{application.title}: your application {application.id} {said}", f"/applications/{application.id}")
        for person in dict.fromkeys((application.lead, *application.answers.people))
    )
