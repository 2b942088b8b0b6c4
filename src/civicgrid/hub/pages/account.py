"""Signing in and out, one's own account, the terms of use, and what one has been told."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.responses import Response

from civicgrid.errors import NotAllowed
from civicgrid.governance.accounts import ChangeAccount
from civicgrid.governance.people import ROLES, TERMS
from civicgrid.hub import forms
from civicgrid.hub.records import FormError
from civicgrid.hub.sign_in import check_demo
from civicgrid.hub.web import Page, Visit


def sign_in(visit: Visit) -> Response:
    people = visit.records.find("account", state="active") if visit.hub.settings.demo_people else []
    people.sort(key=lambda each: each.name)
    return visit.show("account/sign-in.jinja", people=people, to=_here(visit.query("to")))


def signed_in(visit: Visit) -> Response:
    check_demo(visit.hub.settings, visit.request)
    account = visit.records.get("account", visit.value("person"))
    if account.state != "active":
        raise NotAllowed("This account is closed. Choose another.")
    answer = visit.go(_here(visit.value("to")) if account.terms >= TERMS else "/terms")
    visit.service.sign_ins.open(answer, account)
    return answer


def sign_out(visit: Visit) -> Response:
    return visit.show("account/sign-out.jinja")


def signed_out(visit: Visit) -> Response:
    answer = visit.go("/")
    visit.service.sign_ins.close(answer, visit.token)
    return answer


def account(visit: Visit) -> Response:
    return _account(visit, {})


def _account(visit: Visit, faults: dict[str, str]) -> Response:
    mine = visit.actor
    given = visit.form and forms.data(ChangeAccount, visit.form)
    form = forms.form(ChangeAccount, given or mine.__dict__, faults)
    return visit.show("account/account.jinja", 422 if faults else 200, form=form, faults=faults, roles=ROLES, terms=TERMS)


def change(visit: Visit) -> Response:
    try:
        visit.perform("account.change", visit.actor.id, forms.data(ChangeAccount, visit.form))
    except FormError as error:
        return _account(visit, error.faults)
    return visit.go("/account")


def terms(visit: Visit) -> Response:
    return visit.show("account/terms.jinja", version=TERMS)


def accept(visit: Visit) -> Response:
    visit.perform("account.accept_terms", visit.actor.id, {})
    return visit.go("/")


def notices(visit: Visit) -> Response:
    found = visit.records.notices(visit.actor.id)
    answer = visit.show("account/notices.jinja", told=found)
    visit.records.read_notices(visit.actor.id, visit.now)
    return answer


def _here(path: str) -> str:
    """An address of this service, and of no other."""
    parts = urlsplit(path)
    return path if path.startswith("/") and not path.startswith("//") and "\\" not in path and not parts.netloc else "/"


PAGES = (
    Page("/sign-in", "anyone", sign_in, signed_in),
    Page("/sign-out", "signed in", sign_out, signed_out),
    Page("/account", "signed in", account, change),
    Page("/terms", "anyone", terms, accept),
    Page("/notices", "signed in", notices),
)
