"""Every kind of record, and every act there is: what can be kept and done stands on this page in one place."""

from __future__ import annotations

from collections.abc import Mapping

from civicgrid.canonical import Node
from civicgrid.governance import accounts
from civicgrid.governance.acts import Act, table
from civicgrid.governance.people import Account, Organisation

RECORDS: Mapping[str, type[Node]] = {"account": Account, "organisation": Organisation}

ACTS: Mapping[str, Act] = table(accounts.ACTS)

IDS: Mapping[str, str] = {"account": "a-"}
"""How the ids of a kind begin; a number follows."""
