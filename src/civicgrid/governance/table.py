"""Every kind of record, and every act there is: what can be kept and done stands on this page in one place."""

from __future__ import annotations

from collections.abc import Mapping

from civicgrid.canonical import Node
from civicgrid.governance import accounts, applying, cataloguing, checking, clocks, decisions, deliberating, network, panel
from civicgrid.governance.acts import Act, table
from civicgrid.governance.application import Application
from civicgrid.governance.cataloguing import DataSet
from civicgrid.governance.charter import Charter
from civicgrid.governance.checking import Result
from civicgrid.governance.network import Board, Motion
from civicgrid.governance.panel import Panel, Volunteer
from civicgrid.governance.people import Account, Organisation
from civicgrid.governance.sites import Site
from civicgrid.governance.stages import Benefit, Deliberation, SiteDecision

RECORDS: Mapping[str, type[Node]] = {
    "account": Account,
    "organisation": Organisation,
    "site": Site,
    "charter": Charter,
    "panel": Panel,
    "volunteer": Volunteer,
    "application": Application,
    "decision": SiteDecision,
    "deliberation": Deliberation,
    "benefit": Benefit,
    "result": Result,
    "board": Board,
    "motion": Motion,
    "dataset": DataSet,
}

ACTS: Mapping[str, Act] = table(
    accounts.ACTS,
    network.ACTS,
    panel.ACTS,
    applying.ACTS,
    decisions.ACTS,
    deliberating.ACTS,
    checking.ACTS,
    clocks.ACTS,
    cataloguing.ACTS,
)

IDS: Mapping[str, str] = {
    "account": "a-", "volunteer": "v-", "application": "P-", "benefit": "B-", "result": "R-", "motion": "M-",
}  # fmt: skip
"""How the ids of a kind begin; a number follows. Other records go by what they are about, or by a name that is given."""
