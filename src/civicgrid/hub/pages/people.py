"""The people of a network, for its operator: accounts opened, given roles, accredited and closed."""

from __future__ import annotations

from starlette.responses import Response

from civicgrid.governance.acts import Act
from civicgrid.governance.people import Account
from civicgrid.governance.table import ACTS
from civicgrid.hub import forms, words
from civicgrid.hub.records import FormError
from civicgrid.hub.tables import Column, Listing
from civicgrid.hub.web import Page, Visit


def people(visit: Visit) -> Response:
    listing = Listing(
        "people",
        "People",
        (
            Column("name", "Name", lambda account: account.name, lambda account: f"/people/{account.id}"),
            Column("organisation", "Organisation", lambda account: account.organisation),
            Column("roles", "Roles", _roles),
            Column(
                "accredited",
                "Accredited until",
                lambda account: account.accreditation.until if account.accreditation else None,
                shown=words.day,
            ),
            Column("state", "State", lambda account: words.plain(account.state)),
        ),
        visit.records.find("account"),
        "Nobody has an account yet. Open one for each person who is to sign in.",
        sort="name",
    )
    return visit.list("people/people.jinja", listing)


def _roles(account: Account) -> str:
    return ", ".join(sorted({words.plain(grant.role) for grant in account.grants}))


def opening(visit: Visit) -> Response:
    return _asked(visit, ACTS["account.open"], {})


def opened(visit: Visit) -> Response:
    act = ACTS["account.open"]
    try:
        made = visit.perform(act.name, "", forms.data(act.form, visit.form))
    except FormError as error:
        return _asked(visit, act, error.faults)
    return visit.go(f"/people/{made.id}")


def person(visit: Visit) -> Response:
    account = visit.records.get("account", visit.path("id"))
    acts = [act for act in visit.records.allowed(visit.actor, account, visit.now) if act.name != "account.change"]
    return visit.show("people/person.jinja", account=account, acts=acts)


def acting(visit: Visit) -> Response:
    return _asked(visit, _act(visit), {})


def acted(visit: Visit) -> Response:
    act, id = _act(visit), visit.path("id")
    try:
        visit.perform(act.name, id, forms.data(act.form, visit.form))
    except FormError as error:
        return _asked(visit, act, error.faults)
    return visit.go(f"/people/{id}")


def _act(visit: Visit) -> Act:
    return visit.records.act(f"account.{visit.path('act')}")


def _asked(visit: Visit, act: Act, faults: dict[str, str]) -> Response:
    about = visit.records.get("account", visit.path("id")) if act.before else None
    form = forms.form(act.form, forms.data(act.form, visit.form), faults)
    return visit.show("people/act.jinja", 422 if faults else 200, act=act, about=about, form=form, faults=faults)


PAGES = (
    Page("/people", "operator", people),
    Page("/people/open", "operator", opening, opened),
    Page("/people/{id}", "operator", person),
    Page("/people/{id}/{act}", "operator", acting, acted),
)
