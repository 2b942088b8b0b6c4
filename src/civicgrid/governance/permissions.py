"""Who may do what: one table of role, action and condition, and nothing beside it.

The table says who *may*; whether the state of a record allows it stands in the table of its states. A condition looks at
the person and at the `Subject`: who and which places a record concerns. What is not in the table is refused.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from civicgrid.errors import NotAllowed
from civicgrid.governance.people import ROLES, TERMS, Account, Role

Anyone = Literal["anyone"]


@dataclass(frozen=True)
class Subject:
    """Whom and which places a record concerns, as far as conditions look at it."""

    people: frozenset[str] = frozenset()
    lead: str = ""
    sites: frozenset[str] = frozenset()
    panels: frozenset[str] = frozenset()
    sectors: frozenset[str] = frozenset()
    conflicted: frozenset[str] = frozenset()


NOTHING = Subject()

Condition = Callable[[Account, Subject, dt.datetime], bool]
CONDITIONS: dict[str, Condition] = {
    "always": lambda actor, subject, now: True,
    "own": lambda actor, subject, now: actor.id in subject.people or actor.id == subject.lead,
    "leads it": lambda actor, subject, now: actor.id == subject.lead,
    "accredited": lambda actor, subject, now: actor.accredited(now.date()),
    "its site": lambda actor, subject, now: bool(actor.scopes("custodian") & subject.sites) and _apart(actor, subject),
    "its panel": lambda actor, subject, now: bool(actor.scopes("panel_member") & subject.panels) and _apart(actor, subject),
    "chairs it": lambda actor, subject, now: bool(actor.scopes("panel_chair") & subject.panels) and _apart(actor, subject),
    "its sector": lambda actor, subject, now: bool(actor.scopes("board_member") & subject.sectors),
    "not own": lambda actor, subject, now: _apart(actor, subject),
}
"""`its site` and its like hold only for somebody who has no part in the project and has declared no interest in it."""


def _apart(actor: Account, subject: Subject) -> bool:
    return actor.id not in subject.people | subject.conflicted and actor.id != subject.lead


@dataclass(frozen=True)
class Rule:
    """People of this role may do this where the condition holds."""

    role: Role | Anyone
    action: str
    condition: str = "always"


PERMISSIONS: tuple[Rule, ...] = (
    Rule("anyone", "account.accept_terms", "own"),
    Rule("anyone", "account.change", "own"),
    Rule("anyone", "account.add_key", "own"),
    Rule("anyone", "account.remove_key", "own"),
    Rule("operator", "account.open"),
    Rule("operator", "account.grant", "not own"),
    Rule("operator", "account.accredit", "not own"),
    Rule("operator", "account.close", "not own"),
    Rule("operator", "organisation.open"),
    Rule("operator", "panel.open"),
    Rule("operator", "panel.fix_list"),
    Rule("operator", "panel.draw"),
    Rule("operator", "panel.replace"),
    Rule("operator", "panel.appoint_chair"),
    Rule("operator", "panel.renew"),
    Rule("anyone", "volunteer.offer"),
    Rule("anyone", "volunteer.withdraw", "own"),
    Rule("researcher", "application.begin", "accredited"),
    Rule("lead", "application.begin", "accredited"),
    Rule("anyone", "application.change", "own"),
    Rule("anyone", "application.attach_plan", "own"),
    Rule("anyone", "application.detach_plan", "own"),
    Rule("anyone", "application.answer_site", "own"),
    Rule("anyone", "application.copy", "own"),
    Rule("anyone", "application.submit", "leads it"),
    Rule("anyone", "application.withdraw", "leads it"),
    Rule("anyone", "application.revise", "leads it"),
    Rule("anyone", "application.finish", "leads it"),
    Rule("operator", "application.remind"),
    Rule("operator", "application.lapse"),
    Rule("operator", "benefit.remind"),
    Rule("custodian", "decision.ask", "its site"),
    Rule("anyone", "decision.answer", "leads it"),
    Rule("custodian", "decision.answer_principle", "its site"),
    Rule("custodian", "decision.approve", "its site"),
    Rule("custodian", "decision.second", "its site"),
    Rule("custodian", "decision.refuse", "its site"),
    Rule("custodian", "decision.permit", "its site"),
    Rule("custodian", "decision.revoke", "its site"),
    Rule("panel_member", "deliberation.declare", "its panel"),
    Rule("panel_member", "deliberation.ask", "its panel"),
    Rule("anyone", "deliberation.answer", "leads it"),
    Rule("panel_member", "deliberation.attach", "its panel"),
    Rule("anyone", "deliberation.attach", "leads it"),
    Rule("panel_member", "deliberation.poll", "its panel"),
    Rule("panel_chair", "deliberation.answer_principle", "chairs it"),
    Rule("panel_chair", "deliberation.open_vote", "chairs it"),
    Rule("panel_member", "deliberation.vote", "its panel"),
    Rule("panel_chair", "deliberation.close", "chairs it"),
    Rule("operator", "result.queue"),
    Rule("checker", "result.ask", "not own"),
    Rule("anyone", "result.answer", "leads it"),
    Rule("checker", "result.approve", "not own"),
    Rule("checker", "result.second", "not own"),
    Rule("checker", "result.reject", "not own"),
    Rule("anyone", "application.promise", "leads it"),
    Rule("anyone", "benefit.deliver", "leads it"),
    Rule("anyone", "motion.admit"),
    Rule("board_member", "motion.move_site"),
    Rule("board_member", "motion.change_charter"),
    Rule("board_member", "motion.change_rule"),
    Rule("board_member", "motion.give_seat"),
    Rule("board_member", "motion.vote", "its sector"),
    Rule("anyone", "motion.withdraw", "own"),
    Rule("custodian", "site.pause", "its site"),
    Rule("custodian", "site.resume", "its site"),
    Rule("custodian", "site.ask", "its site"),
    Rule("custodian", "dataset.publish"),
    Rule("custodian", "dataset.withdraw", "its site"),
)


def may(actor: Account, action: str, subject: Subject, now: dt.datetime) -> bool:
    """Whether somebody may do this to what the subject describes.

    A closed account may do nothing; one that has not accepted the terms may accept them.
    """
    if actor.state != "active" or (actor.terms < TERMS and action != "account.accept_terms"):
        return False
    return any(
        rule.action == action
        and (rule.role == "anyone" or actor.has(rule.role))
        and CONDITIONS[rule.condition](actor, subject, now)
        for rule in PERMISSIONS
    )


def check(actor: Account, action: str, subject: Subject, now: dt.datetime) -> None:
    """Raise NotAllowed, saying who may, unless `may`."""
    if may(actor, action, subject, now):
        return
    if actor.state == "active" and actor.terms < TERMS:
        raise NotAllowed("Expected you to have accepted the terms of use. Read and accept them on your account's page.")
    raise NotAllowed(f"You may not do this. {who(action)}")


def who(action: str) -> str:
    """Who may do something, in words."""
    rules = [rule for rule in PERMISSIONS if rule.action == action]
    if not rules:
        return "Nobody may."
    words = [f"{_named(rule.role)}{IN_WORDS[rule.condition]}" for rule in rules]
    return f"It can be done by {', or by '.join(words)}."


def _named(role: Role | Anyone) -> str:
    if role == "anyone":
        return "whoever is signed in"
    return f"{'an' if role[0] in 'aeiou' else 'a'} {role.replace('_', ' ')}" if role in ROLES else role


IN_WORDS: dict[str, str] = {
    "always": "",
    "own": " for what is their own",
    "leads it": " who leads the project",
    "accredited": " whose accreditation is valid",
    "its site": " of a site that it is about, who has no part in it",
    "its panel": " of the panel that it is before, who has no part in it",
    "chairs it": " of the panel that it is before, who has no part in it",
    "its sector": " of the sector that votes",
    "not own": " who has no part in it",
}
