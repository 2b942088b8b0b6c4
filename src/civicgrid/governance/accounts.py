"""What is done with accounts and organisations: opened, given roles, accredited, closed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from civicgrid.canonical import Node
from civicgrid.errors import StateError, TrustError
from civicgrid.governance.acts import Act, Asked, Look, Nothing, Outcome
from civicgrid.governance.people import SCOPED, TERMS, Account, Accreditation, Grant, Organisation, Role, Sector
from civicgrid.governance.permissions import Subject
from civicgrid.trust.keys import signing_public


class OpenAccount(Node):
    """A person who is to sign in."""

    name: Annotated[str, Field(title="Full name", min_length=1, max_length=200)]
    email: Annotated[str, Field(title="Email address", max_length=254)] = ""
    organisation: Annotated[str, Field(title="Organisation", description="Its short name on the network")] = ""
    login: Annotated[str, Field(title="Login", description="Issuer and subject, as the login service says")] = ""


class ChangeAccount(Node):
    """What somebody may change of their own account."""

    name: Annotated[str, Field(title="Full name", min_length=1, max_length=200)]
    email: Annotated[str, Field(title="Email address", max_length=254)] = ""
    language: Annotated[Literal["en", "cy"], Field(title="Language")] = "en"


class GiveRole(Node):
    """A role that somebody is given, and where."""

    role: Annotated[Role, Field(title="Role")]
    scope: Annotated[
        str, Field(title="Site, panel or sector", description="Where the role is held, if it is held at a place")
    ] = ""


class Accredit(Node):
    """That somebody has been accredited."""

    scheme: Annotated[str, Field(title="Scheme", min_length=1, max_length=200)]
    number: Annotated[str, Field(title="Number", max_length=100)] = ""
    until: Annotated[dt.date, Field(title="Valid until")]


class Key(Node):
    """A public key of one's own, made with `civicgrid key create`."""

    key: Annotated[
        str, Field(title="Public key", description="It begins ed25519: and is no secret", min_length=1, max_length=100)
    ]


class OpenOrganisation(Node):
    """An organisation that takes part."""

    id: Annotated[
        str, Field(title="Short name", description="Lower case, digits and hyphens", pattern="^[a-z0-9][a-z0-9-]{0,62}$")
    ]
    name: Annotated[str, Field(title="Full name", min_length=1, max_length=200)]
    sector: Annotated[Sector, Field(title="Sector")]


def _about(account: Any, look: Look) -> Subject:
    return Subject(people=frozenset({account.id}))


def _open(asked: Asked) -> Outcome:
    form: OpenAccount = asked.form
    if form.organisation:
        asked.look.get("organisation", form.organisation)
    account = Account(
        id=asked.new_id("account"), name=form.name, email=form.email, organisation=form.organisation, login=form.login
    )
    return Outcome((account,))


def _accept(asked: Asked) -> Outcome:
    return Outcome((asked.record.model_copy(update={"terms": TERMS}),))


def _change(asked: Asked) -> Outcome:
    return Outcome((asked.record.model_copy(update=asked.form.__dict__),))


def _grant(asked: Asked) -> Outcome:
    account: Account = asked.record
    if asked.form.role in GIVEN_ELSEWHERE:
        raise StateError(f"Nobody is made a {asked.form.role.replace('_', ' ')} here: {GIVEN_ELSEWHERE[asked.form.role]}.")
    place = SCOPED.get(asked.form.role)
    if bool(place) != bool(asked.form.scope):
        expected = f"the {place} at which the role is held" if place else "no place, since the role is held everywhere"
        raise StateError(f"Expected {expected}; {'none' if not asked.form.scope else 'one'} was given.")
    grant = Grant(role=asked.form.role, scope=asked.form.scope)
    return Outcome((account.model_copy(update={"grants": tuple(dict.fromkeys((*account.grants, grant)))}),))


def _accredit(asked: Asked) -> Outcome:
    return Outcome((asked.record.model_copy(update={"accreditation": Accreditation(**asked.form.__dict__)}),))


def _add_key(asked: Asked) -> Outcome:
    account: Account = asked.record
    try:
        signing_public(asked.form.key)
    except TrustError as error:
        raise StateError(str(error)) from None
    if asked.look.find("account", key=asked.form.key):
        raise StateError("This key belongs to an account already. Make another one: nobody shares a key.")
    if len(account.keys) >= MOST_KEYS:
        raise StateError(f"Expected at most {MOST_KEYS} keys on an account. Remove one that you no longer use.")
    return Outcome((account.model_copy(update={"keys": (*account.keys, asked.form.key)}),))


def _remove_key(asked: Asked) -> Outcome:
    if asked.form.key not in asked.record.keys:
        raise StateError("Expected one of the keys of this account; another came.")
    keys = tuple(key for key in asked.record.keys if key != asked.form.key)
    return Outcome((asked.record.model_copy(update={"keys": keys}),))


def _close(asked: Asked) -> Outcome:
    """What is the person's own is emptied; the id stays, since records name it."""
    emptied = {"state": "closed", "name": "A former member", "email": "", "grants": (), "keys": (), "login": ""}
    return Outcome((asked.record.model_copy(update=emptied),))


def _organisation(asked: Asked) -> Outcome:
    if asked.look.find("organisation", id=asked.form.id):
        raise StateError(f"There is an organisation called {asked.form.id} already. Choose another short name.")
    return Outcome((Organisation(**asked.form.__dict__),))


MOST_KEYS = 5
GIVEN_ELSEWHERE: Mapping[Role, str] = {
    "panel_member": "members of a panel are drawn by lot",
    "panel_chair": "a panel's chair is appointed on the panel's page",
    "board_member": "seats on the board are given by the board",
}
ACTIVE = frozenset({"active"})
ACTS = (
    Act("account.open", "Open an account", _open, OpenAccount),
    Act("account.accept_terms", "Accept the terms of use", _accept, Nothing, ACTIVE, _about),
    Act("account.change", "Change your details", _change, ChangeAccount, ACTIVE, _about),
    Act("account.add_key", "Add a key", _add_key, Key, ACTIVE, _about),
    Act("account.remove_key", "Remove a key", _remove_key, Key, ACTIVE, _about),
    Act("account.grant", "Give a role", _grant, GiveRole, ACTIVE, _about),
    Act("account.accredit", "Note an accreditation", _accredit, Accredit, ACTIVE, _about),
    Act("account.close", "Close an account", _close, Nothing, ACTIVE, _about),
    Act("organisation.open", "Add an organisation", _organisation, OpenOrganisation),
)
