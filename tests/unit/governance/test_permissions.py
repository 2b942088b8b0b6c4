"""Who may do what, held against a table that is written out here: every role, every act, every condition."""

from __future__ import annotations

import datetime as dt
from itertools import product
from typing import get_args

import pytest

from civicgrid.governance.people import SCOPED, TERMS, Account, Accreditation, Grant, Role
from civicgrid.governance.permissions import CONDITIONS, IN_WORDS, PERMISSIONS, Subject, may, who
from civicgrid.governance.table import ACTS

NOW = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)

# The situations that somebody can be in towards a record.
PLACES = ("elsewhere", "here")
PARTS = ("none", "named", "leads", "conflicted")
ACCREDITED = (False, True)

HERE, OWN, LEADS, APART = "here", "own", "leads", "apart"
# By act: who may, and what has to be true of them. Written by hand from the description of the service.
MAY: dict[str, dict[str, set[str]]] = {
    "account.accept_terms": {"anyone": {OWN}},
    "account.change": {"anyone": {OWN}},
    "account.add_key": {"anyone": {OWN}},
    "account.remove_key": {"anyone": {OWN}},
    "account.open": {"operator": set()},
    "account.grant": {"operator": {APART}},
    "account.accredit": {"operator": {APART}},
    "account.close": {"operator": {APART}},
    "organisation.open": {"operator": set()},
    "panel.open": {"operator": set()},
    "panel.fix_list": {"operator": set()},
    "panel.draw": {"operator": set()},
    "panel.replace": {"operator": set()},
    "panel.appoint_chair": {"operator": set()},
    "panel.renew": {"operator": set()},
    "volunteer.offer": {"anyone": set()},
    "volunteer.withdraw": {"anyone": {OWN}},
    "application.begin": {"researcher": {"accredited"}, "lead": {"accredited"}},
    "application.change": {"anyone": {OWN}},
    "application.attach_plan": {"anyone": {OWN}},
    "application.detach_plan": {"anyone": {OWN}},
    "application.answer_site": {"anyone": {OWN}},
    "application.copy": {"anyone": {OWN}},
    "application.submit": {"anyone": {LEADS}},
    "application.withdraw": {"anyone": {LEADS}},
    "application.revise": {"anyone": {LEADS}},
    "application.finish": {"anyone": {LEADS}},
    "application.remind": {"operator": set()},
    "application.lapse": {"operator": set()},
    "benefit.remind": {"operator": set()},
    "decision.ask": {"custodian": {HERE, APART}},
    "decision.answer": {"anyone": {LEADS}},
    "decision.answer_principle": {"custodian": {HERE, APART}},
    "decision.approve": {"custodian": {HERE, APART}},
    "decision.second": {"custodian": {HERE, APART}},
    "decision.refuse": {"custodian": {HERE, APART}},
    "decision.permit": {"custodian": {HERE, APART}},
    "decision.revoke": {"custodian": {HERE, APART}},
    "deliberation.declare": {"panel_member": {HERE, APART}},
    "deliberation.ask": {"panel_member": {HERE, APART}},
    "deliberation.answer": {"anyone": {LEADS}},
    "deliberation.attach": {"panel_member": {HERE, APART}, "anyone": {LEADS}},
    "deliberation.poll": {"panel_member": {HERE, APART}},
    "deliberation.answer_principle": {"panel_chair": {HERE, APART}},
    "deliberation.open_vote": {"panel_chair": {HERE, APART}},
    "deliberation.vote": {"panel_member": {HERE, APART}},
    "deliberation.close": {"panel_chair": {HERE, APART}},
    "result.queue": {"operator": set()},
    "result.ask": {"checker": {APART}},
    "result.answer": {"anyone": {LEADS}},
    "result.approve": {"checker": {APART}},
    "result.second": {"checker": {APART}},
    "result.reject": {"checker": {APART}},
    "application.promise": {"anyone": {LEADS}},
    "benefit.deliver": {"anyone": {LEADS}},
    "motion.admit": {"anyone": set()},
    "motion.move_site": {"board_member": set()},
    "motion.change_charter": {"board_member": set()},
    "motion.change_rule": {"board_member": set()},
    "motion.give_seat": {"board_member": set()},
    "motion.vote": {"board_member": {HERE}},
    "motion.withdraw": {"anyone": {OWN}},
    "site.pause": {"custodian": {HERE, APART}},
    "site.resume": {"custodian": {HERE, APART}},
    "site.ask": {"custodian": {HERE, APART}},
    "dataset.publish": {"custodian": set()},
    "dataset.withdraw": {"custodian": {HERE, APART}},
}
ROLES: tuple[Role | None, ...] = (None, *get_args(Role))


def expected(role: str | None, act: str, place: str, part: str, accredited: bool) -> bool:
    true = {
        HERE: place == "here",
        OWN: part in ("named", "leads"),
        LEADS: part == "leads",
        APART: part == "none",
        "accredited": accredited,
    }
    return any(
        (asked == "anyone" or asked == role) and all(true[each] for each in needed) for asked, needed in MAY[act].items()
    )


def somebody(role: Role | None, place: str, accredited: bool) -> Account:
    scope = {"here": "x", "elsewhere": "y"}[place] if role in SCOPED else ""
    return Account(
        id="a-1",
        name="Demo",
        terms=TERMS,
        grants=(Grant(role=role, scope=scope),) if role else (),
        accreditation=Accreditation(scheme="Demo", until=dt.date(2026, 11, 24)) if accredited else None,
    )


def subject(part: str) -> Subject:
    here = frozenset({"x"})
    me = frozenset({"a-1"})
    return Subject(
        people=me if part == "named" else frozenset({"a-2"}),
        lead="a-1" if part == "leads" else "a-3",
        sites=here,
        panels=here,
        sectors=here,
        conflicted=me if part == "conflicted" else frozenset(),
    )


def test_the_table_here_names_every_act() -> None:
    assert set(MAY) == set(ACTS) == {rule.action for rule in PERMISSIONS}


@pytest.mark.parametrize("act", sorted(MAY))
def test_every_combination(act: str) -> None:
    for role, place, part, accredited in product(ROLES, PLACES, PARTS, ACCREDITED):
        given = may(somebody(role, place, accredited), act, subject(part), NOW)
        assert given == expected(role, act, place, part, accredited), (role, act, place, part, accredited)


def test_nobody_does_anything_before_the_terms_or_after_the_end() -> None:
    for role, act in product(ROLES, MAY):
        person = somebody(role, "here", True)
        for part in PARTS:
            assert not may(person.model_copy(update={"state": "closed"}), act, subject(part), NOW)
            new = person.model_copy(update={"terms": 0})
            accepting = act == "account.accept_terms" and part in ("named", "leads")
            assert may(new, act, subject(part), NOW) == accepting


def test_every_condition_is_used_and_has_its_words() -> None:
    assert set(CONDITIONS) == set(IN_WORDS)
    assert {rule.condition for rule in PERMISSIONS} <= set(CONDITIONS)
    assert all(who(act).startswith("It can be done by") for act in MAY)


def test_an_accreditation_ends_with_its_last_day() -> None:
    person = somebody("researcher", "here", True)
    assert may(person, "application.begin", subject("none"), NOW)
    assert not may(person, "application.begin", subject("none"), NOW + dt.timedelta(days=1))
