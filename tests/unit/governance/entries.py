"""An example of every kind of entry."""

from __future__ import annotations

import datetime as dt

from civicgrid.governance.entry import Entry, commitment
from civicgrid.governance.register import (
    ApplicationSubmitted,
    ApplicationWithdrawn,
    BenefitDelivered,
    BenefitPromised,
    Decision,
    Overdue,
    PermitGranted,
    PermitRevoked,
    Release,
    ResultPublished,
    RuleChanged,
    Run,
    SiteChanged,
    Use,
)

A, B, C = "a" * 64, "b" * 64, "c" * 64
LEAD = commitment(b"salt", "a-1")
DAY = dt.date(2026, 11, 24)

APPLICATION = ApplicationSubmitted(
    project="P-7",
    title="Asthma and air in towns",
    summary="We want to know if dirty air makes asthma worse. We would count visits to hospital.",
    benefit="Towns could plan safer roads to school.",
    organisation="The University of York",
    lead=LEAD,
    sites=("leeds", "york"),
    datasets=("asthma",),
    purposes=("scientific research",),
    funders=("The Lung Fund",),
    use=Use(sector="University", start=DAY, article_6="Public task"),
)
APPROVED = Decision(
    project="P-7", by="panel", body="Leeds", outcome="approved", conditions=("tell the schools first",), votes_for=9,
    votes_against=2, votes_blank=1, minority="Two of us wanted more on costs.",
)  # fmt: skip
REFUSED = Decision(
    project="P-7", by="custodian", body="York Hospital", site="york", outcome="refused", reasons="The plan reads too much."
)
PERMIT = PermitGranted(
    project="P-7", site="leeds", organisation="Leeds Hospital", permit=A, datasets=("asthma",), start=DAY,
    end=dt.date(2027, 11, 24),
)  # fmt: skip
RESULT = ResultPublished(
    project="P-7", title="Dirty air and asthma", summary="More visits on bad days.", run=B, output=C, link="https://a.example/r"
)
EXAMPLES: tuple[Entry, ...] = (
    APPLICATION,
    APPLICATION.model_copy(update={"version": 2, "commercial": True}),
    ApplicationWithdrawn(project="P-7", organisation="The University of York", reason="We found the answer elsewhere."),
    APPROVED,
    REFUSED,
    PERMIT,
    PermitRevoked(project="P-7", site="leeds", organisation="Leeds Hospital", permit=A, reason="The study has ended."),
    Run(project="P-7", run=B, plan=C, state="began", sites=("leeds", "york"), datasets=("asthma",)),
    Run(project="P-7", run=B, plan=C, state="finished"),
    Run(project="P-7", run=B, plan=C, state="failed", sites=("leeds",)),
    Release(project="P-7", run=B, site="leeds", organisation="Leeds Hospital", shares=(A,)),
    RESULT,
    BenefitPromised(project="P-7", organisation="The University of York", benefit="A free map of clean streets", due=DAY),
    BenefitDelivered(project="P-7", organisation="The University of York", benefit="The map is there for all to use"),
    SiteChanged(site="leeds", organisation="Leeds Hospital", state="admitted", sectors=("health service", "council")),
    SiteChanged(site="leeds", organisation="Leeds Hospital", state="paused", reason="New computers."),
    RuleChanged(what="rule", title="Panels have 12 members", text=C, sectors=("council", "community")),
    Overdue(project="P-7", what="decision", due=DAY, site="york"),
)
