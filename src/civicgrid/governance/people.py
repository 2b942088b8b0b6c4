"""The people and organisations of a network: accounts, what each may act as, and for how long they are accredited.

Somebody's own data (name, address) stands in the account alone, which can be emptied. Everything else names the account
by its id.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Annotated, Literal, get_args

from pydantic import Field

from civicgrid.canonical import Node

Role = Literal[
    "researcher",
    "lead",
    "custodian",
    "panel_member",
    "panel_chair",
    "checker",
    "board_member",
    "operator",
    "auditor",
]
ROLES: dict[Role, str] = {
    "researcher": "asks for the use of data and runs studies",
    "lead": "answers for a project and the people in it",
    "custodian": "decides for a site what its data may be used for",
    "panel_member": "decides as a citizen, with the panel, whether a use is right",
    "panel_chair": "runs a citizen panel's meetings and closes its votes",
    "checker": "looks at results before they are made public",
    "board_member": "decides, for one sector, who joins the network and by which rules",
    "operator": "keeps the hub running",
    "auditor": "reads every log and changes nothing",
}
SCOPED: dict[Role, str] = {"custodian": "site", "panel_member": "panel", "panel_chair": "panel", "board_member": "sector"}
"""What the scope of a grant names, for the roles that are held at one place."""

Sector = Literal["health service", "council", "university", "community", "company", "other"]
SECTORS: tuple[Sector, ...] = get_args(Sector)

Id = Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")]


class Organisation(Node):
    """An organisation that takes part: a hospital, a university, a council."""

    kind: Literal["organisation"] = "organisation"
    id: Id
    state: Literal["active", "closed"] = "active"
    name: Annotated[str, Field(min_length=1, max_length=200)]
    sector: Sector


class Grant(Node):
    """One role of a person, at one place where the role is held at places."""

    role: Role
    scope: str = ""


class Accreditation(Node):
    """That somebody has shown that they handle data safely, by which scheme, until when."""

    scheme: Annotated[str, Field(min_length=1, max_length=200)]
    number: Annotated[str, Field(max_length=100)] = ""
    until: dt.date


class Account(Node):
    """Somebody who can sign in. `terms` is the version of the terms of use that they have accepted, 0 for none."""

    kind: Literal["account"] = "account"
    id: Id
    state: Literal["active", "closed"] = "active"
    name: Annotated[str, Field(min_length=1, max_length=200)]
    email: Annotated[str, Field(max_length=254)] = ""
    organisation: str = ""
    grants: tuple[Grant, ...] = ()
    keys: tuple[str, ...] = ()
    accreditation: Accreditation | None = None
    terms: int = Field(default=0, ge=0)
    language: Literal["en", "cy"] = "en"
    login: str = ""

    def marks(self) -> Iterator[tuple[str, str]]:
        """What accounts are looked up by."""
        yield "login", self.login
        yield from (("role", grant.role) for grant in self.grants)
        yield from (("holds", f"{grant.role} {grant.scope}") for grant in self.grants)
        yield from (("key", key) for key in self.keys)

    def has(self, role: Role, scope: str | None = None) -> bool:
        """Whether the person holds a role: anywhere, or at this scope."""
        return any(grant.role == role and scope in (None, grant.scope) for grant in self.grants)

    def scopes(self, role: Role) -> frozenset[str]:
        """Where the person holds a role."""
        return frozenset(grant.scope for grant in self.grants if grant.role == role)

    def accredited(self, day: dt.date) -> bool:
        return self.accreditation is not None and day <= self.accreditation.until


TERMS = 1
"""The version of the terms of use that somebody must have accepted before they do more than read."""
