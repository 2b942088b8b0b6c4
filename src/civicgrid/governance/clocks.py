"""What is due when: a decision, an answer, the results, a promised benefit; reminders before, and the register after.

Time during which an answer is awaited from whoever applied does not count against those who decide. Months are the
calendar's; working days are Monday to Friday, public holidays among them, since the four nations' differ.

Source: Regulation (EU) 2025/327: Article 68 (three months; four weeks to complete), Article 61(4) (results within eighteen
months), Article 57 (publication within thirty working days). Decisions here are published at once, so the last never runs.
"""

from __future__ import annotations

import calendar
import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from civicgrid.errors import StateError
from civicgrid.governance.acts import Act, Asked, Look, Nothing, Notice, Outcome
from civicgrid.governance.application import Application
from civicgrid.governance.applying import about, closed
from civicgrid.governance.entry import Entry, day
from civicgrid.governance.permissions import Subject
from civicgrid.governance.register import Overdue
from civicgrid.governance.settling import pending
from civicgrid.governance.sites import custodians
from civicgrid.governance.stages import Benefit

What = Literal["decision", "application", "result", "benefit", "publication"]
REMIND = dt.timedelta(days=14)


@dataclass(frozen=True)
class Clock:
    """How long something may take."""

    words: str
    months: int = 0
    weeks: int = 0
    working_days: int = 0

    def due(self, start: dt.date) -> dt.date:
        """The last day that is in time."""
        if self.working_days:
            return _working(start, self.working_days)
        return _months(start, self.months) + dt.timedelta(weeks=self.weeks)


CLOCKS: Mapping[What, Clock] = {
    "decision": Clock("Sites and panels decide within three months", months=3),
    "application": Clock("Whoever applied answers a question within four weeks", weeks=4),
    "result": Clock("Results are public within 18 months of the end of the work", months=18),
    "benefit": Clock("A promised benefit is given by the day that was agreed"),
    "publication": Clock("A decision is published within 30 working days", working_days=30),
}


def _months(start: dt.date, months: int) -> dt.date:
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    return dt.date(year, month + 1, min(start.day, calendar.monthrange(year, month + 1)[1]))


def _working(start: dt.date, days: int) -> dt.date:
    found = start
    while days:
        found += dt.timedelta(days=1)
        days -= found.weekday() < 5
    return found


@dataclass(frozen=True)
class Due:
    """Something that is awaited: what, from which site or panel (empty: from whoever applied), until when."""

    what: What
    due: dt.date
    frm: str = ""

    def late(self, today: dt.date) -> bool:
        return today > self.due


def due(application: Application, look: Look) -> list[Due]:
    """What is awaited on an application as it stands."""
    found: list[Due] = []
    if application.state in ("deciding", "questioned"):
        last = _decision_due(application)
        waiting = pending(application, look)
        found += [
            Due("decision", last, each.site) for each in waiting.decisions.values() if each.state in ("waiting", "half")
        ]
        found += [
            Due("decision", last, each.panel) for each in waiting.deliberations.values() if each.state in ("open", "voting")
        ]
    if application.state == "questioned":
        found.append(Due("application", CLOCKS["application"].due(_day(application.last("questioned")))))
    if application.state == "permitted":
        end = max(application.answers.end or _day(application.last("permitted")), _day(application.last("permitted")))
        found.append(Due("result", CLOCKS["result"].due(end)))
    return found


def _decision_due(application: Application) -> dt.date:
    """Three months from when it was last sent, and as many days more as an answer was awaited."""
    sent = max(step.at for step in application.steps if step.act == "application.submit")
    steps = [step for step in application.steps if step.at >= sent]
    waited = dt.timedelta()
    for step, following in pairwise(steps):
        if step.state == "questioned":
            waited += following.at - step.at
    return CLOCKS["decision"].due(sent.date()) + dt.timedelta(days=waited.days)


def _day(moment: dt.datetime | None) -> dt.date:
    if moment is None:
        raise StateError("The application has no note of when it came to this state. The operator must look.")
    return moment.date()


def _stage(each: Due, today: dt.date) -> str:
    """The name of the reminder that is to go out, empty before its time."""
    if each.late(today):
        return f"{each.what} {each.frm} {each.due} late"
    return f"{each.what} {each.frm} {each.due} soon" if today >= each.due - REMIND else ""


def untold(application: Application, look: Look, today: dt.date) -> list[Due]:
    """What a reminder or an entry is to be made of, and has not been."""
    stages = ((each, _stage(each, today)) for each in due(application, look))
    return [each for each, stage in stages if stage and stage not in application.told]


def waiting(look: Look, today: dt.date) -> Iterator[tuple[str, str]]:
    """The acts that time asks for now, each with its record: what the hub does of itself once a day."""
    for state in ("deciding", "questioned", "permitted"):
        for application in look.find("application", state=state):
            if untold(application, look, today):
                yield "application.remind", application.id
            if _lapsed(application, look, today):
                yield "application.lapse", application.id
    for benefit in look.find("benefit", state="promised"):
        if _benefit_stage(benefit, today) not in ("", *benefit.told):
            yield "benefit.remind", benefit.id


def _lapsed(application: Application, look: Look, today: dt.date) -> bool:
    return any(each.what == "application" and each.late(today) for each in due(application, look))


def _remind(asked: Asked) -> Outcome:
    application: Application = asked.record
    today = asked.now.date()
    told = list(application.told)
    notices: list[Notice] = []
    entries: list[Entry] = []
    for each in untold(application, asked.look, today):
        told.append(_stage(each, today))
        said = f"{application.title}: {CLOCKS[each.what].words.lower()}. It {_tense(each, today)} {day(each.due)}."
        whom = _whom(each, application, asked.look)
        notices += [Notice(account, said, f"/applications/{application.id}") for account in whom]
        if each.late(today):
            sites = application.answers.sites
            entries.append(
                Overdue(project=application.id, what=each.what, due=each.due, site=each.frm if each.frm in sites else "")
            )
    return Outcome((application.model_copy(update={"told": tuple(told)}),), tuple(entries), tuple(notices))


def _tense(each: Due, today: dt.date) -> str:
    return "was due on" if each.late(today) else "is due on"


def _whom(each: Due, application: Application, look: Look) -> list[str]:
    if each.what != "decision":
        return [application.lead]
    if each.frm in application.answers.sites:
        return [account.id for account in custodians(each.frm, look)]
    return [member.account for member in look.get("panel", each.frm).members]


def _lapse(asked: Asked) -> Outcome:
    application: Application = asked.record
    if not _lapsed(application, asked.look, asked.now.date()):
        raise StateError("The four weeks for an answer are not over yet.")
    moved = application.went("application.lapse", "lapsed", asked.now)
    last = next(each.due for each in due(application, asked.look) if each.what == "application")
    told = Notice(
        application.lead,
        f"{application.title} has ended, since no answer came in four weeks. You can change it and send it again.",
        f"/applications/{application.id}",
    )
    entry = Overdue(project=application.id, what="application", due=last)
    entries = () if any("application" in stage and stage.endswith("late") for stage in application.told) else (entry,)
    return Outcome((moved, *closed(application, asked.look)), entries, (told,))


def _benefit_stage(benefit: Benefit, today: dt.date) -> str:
    return _stage(Due("benefit", benefit.due), today) if benefit.due else ""


def _remind_benefit(asked: Asked) -> Outcome:
    benefit: Benefit = asked.record
    today = asked.now.date()
    stage = _benefit_stage(benefit, today)
    application: Application = asked.look.get("application", benefit.application)
    if not stage or stage in benefit.told or benefit.due is None:
        return Outcome((benefit,))
    each = Due("benefit", benefit.due)
    told = Notice(
        application.lead,
        f"{application.title}: the promised benefit {_tense(each, today)} {day(each.due)}.",
        f"/applications/{application.id}",
    )
    entries = (Overdue(project=application.id, what="benefit", due=each.due),) if each.late(today) else ()
    return Outcome((benefit.model_copy(update={"told": (*benefit.told, stage)}),), entries, (told,))


def about_benefit(benefit: Any, look: Look) -> Subject:
    """The people of the project that promised."""
    subject: Subject = look.get("application", benefit.application).subject
    return subject


ACTS = (
    Act("application.remind", "Send reminders", _remind, Nothing,
        frozenset({"deciding", "questioned", "permitted"}), about),
    Act("application.lapse", "End for want of an answer", _lapse, Nothing, frozenset({"questioned"}), about),
    Act("benefit.remind", "Send a reminder", _remind_benefit, Nothing, frozenset({"promised"}), about_benefit),
)  # fmt: skip
