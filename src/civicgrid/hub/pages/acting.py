"""One page for any act on a record: what the record is, the act's own form, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from civicgrid.errors import Missing, StateError
from civicgrid.governance.acts import Act
from civicgrid.governance.application import Application, open_questions
from civicgrid.governance.charter import principles
from civicgrid.governance.permissions import check
from civicgrid.governance.reading import check_readable
from civicgrid.hub import forms
from civicgrid.hub.records import FormError
from civicgrid.hub.web import Handler, Visit
from civicgrid.methods.plan import read_plan

FOLDER = {
    "application": "applications", "decision": "decisions", "deliberation": "deliberations", "result": "results",
    "benefit": "benefits",
}  # fmt: skip
"""Where the records of a kind stand among the pages."""


def application_of(visit: Visit, record: Any) -> Application:
    """The application that a record is about."""
    found: Application = (
        record if record.kind == "application" else visit.records.get("application", record.application)
    )
    return found


def readable(visit: Visit, kind: str, id: str) -> Any:
    """The record, for somebody who may read the application that it is about. Missing for everybody else."""
    record = visit.records.get(kind, id)
    check_readable(visit.actor, application_of(visit, record), visit.records)
    return record


def asking(kind: str) -> Handler:
    """The page that asks for what an act needs."""

    def show(visit: Visit) -> Response:
        record = readable(visit, kind, visit.path("id"))
        return _asked(visit, _act(visit, kind, record), record, {})

    return show


def doing(kind: str) -> Handler:
    """What answers that page's form: the act, or the form again with what is wrong."""

    def do(visit: Visit) -> Response:
        record = readable(visit, kind, visit.path("id"))
        act = _act(visit, kind, record)
        try:
            made = visit.perform(act.name, record.id, forms.data(act.form, given(visit)))
        except FormError as error:
            return _asked(visit, act, record, error.faults)
        except StateError as error:
            return _asked(visit, act, record, {}, str(error))
        return visit.go(home(made if made.kind == kind else record))

    return do


def home(record: Any) -> str:
    """A record's own page. A benefit stands on its application's."""
    if record.kind == "benefit":
        return f"/applications/{record.application}"
    return f"/{FOLDER[record.kind]}/{record.id}"


def path(record: Any, act: Act) -> str:
    """The page of an act on a record."""
    return f"/{FOLDER[record.kind]}/{record.id}/do/{act.name.split('.')[1]}"


def given(visit: Visit) -> dict[str, list[str]]:
    """What was filled in, with files as the text in them."""
    files = {name: [raw.decode("utf-8", "replace").strip()] for name, raw in visit.uploads.items()}
    return {**visit.form, **files}


def version(visit: Visit, record: Any) -> int:
    """Which version of a record somebody has before them."""
    return visit.records.history(record.kind, record.id)[-1].version


def _act(visit: Visit, kind: str, record: Any) -> Act:
    act = visit.records.act(f"{kind}.{visit.path('act')}")
    if not act.before or act.name == "application.change":
        raise Missing("This is done on a page of its own. Go back to the record.")
    check(visit.actor, act.name, act.about(record, visit.records), visit.now)
    act.check_state(record)
    return act


def _asked(visit: Visit, act: Act, record: Any, faults: Mapping[str, str], words: str = "") -> Response:
    application = application_of(visit, record)
    values = {name: visit.query(name) for name in act.form.model_fields if visit.query(name)}
    values |= forms.data(act.form, visit.form) if visit.form else {}
    form = forms.form(act.form, values, faults, _options(visit, act, record))
    return visit.show(
        "acts/act.jinja",
        422 if faults or words else 200,
        act=act,
        record=record,
        application=application,
        home=home(record),
        form=form,
        faults=faults or words,
        words=words,
        seen=visit.value("seen") or version(visit, record),
        files=any(field.widget == "file" for field in form.fields),
    )


def _options(visit: Visit, act: Act, record: Any) -> dict[str, dict[str, str]]:
    """What may be chosen where the form itself does not know it."""
    look = visit.records
    match act.name:
        case "application.detach_plan":
            plans = (read_plan(each) for each in record.plans)
            return {"plan": {plan.identity: plan.title or plan.identity[:12] for plan in plans}}
        case "application.answer_site":
            asked = {each.question: each.title for each in record.site_answers}
            return {"question": asked | {key: each.title for key, each in open_questions(record, look).items()}}
        case "decision.answer_principle":
            return {"principle": {each.key: each.words for each in principles(look, "custodian")}}
        case "deliberation.answer_principle":
            return {"principle": {each.key: each.words for each in principles(look, "panel")}}
        case "deliberation.answer":
            return {"number": {str(number): each.words for number, each in enumerate(record.questions, 1)}}
    return {}
