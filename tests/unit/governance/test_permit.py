"""Permits: signed by a custodian, read back, each clause checked and each clause in the words."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import civicgrid as cg
from civicgrid.disclosure.thresholds import Thresholds
from civicgrid.errors import CivicGridError, PlanError, TrustError
from civicgrid.governance.ballot import PanelDecision
from civicgrid.governance.permit import PERMIT, Permit, Person, Revocation, read_permit, read_revocation
from civicgrid.methods.plan import Plan, bind
from civicgrid.query.types import DATE, INT, Schema
from civicgrid.trust.envelope import Envelope
from civicgrid.trust.keys import SigningKey

CUSTODIAN, OTHER = SigningKey.generate(), SigningKey.generate()
FROM = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
UNTIL = dt.datetime(2027, 1, 1, tzinfo=dt.UTC)


def permit(**changes: Any) -> Permit:
    fields: dict[str, Any] = {
        "network": "n",
        "site": "york",
        "project": "P-1",
        "title": "A trial",
        "people": (Person(name="Ada", key="ada"),),
        "datasets": ("trial",),
        "columns": ("records.age",),
        "methods": ("count",),
        "purpose": "To know.",
        "valid_from": FROM.isoformat(),
        "valid_until": UNTIL.isoformat(),
    }
    return Permit(**fields | changes)


def plan() -> Plan:
    trial = cg.dataset("trial", Schema.of({"age": INT}))
    return bind(cg.cohort(trial["age"] > 3), {"people": cg.Count()}, {})


def check(given: Permit, **changes: Any) -> None:
    asked: dict[str, Any] = {
        "network": "n",
        "site": "york",
        "project": "P-1",
        "person": "ada",
        "plan": plan(),
        "now": FROM + dt.timedelta(days=1),
    }
    given.check(**asked | changes)


def test_a_signed_permit_is_read_back_under_its_custodian_s_key() -> None:
    assert read_permit(permit().signed(CUSTODIAN), [CUSTODIAN.public, OTHER.public]) == permit()


@pytest.mark.parametrize("keys", [[], [OTHER.public]])
def test_a_permit_that_no_custodian_of_this_site_signed_is_refused(keys: list[str]) -> None:
    with pytest.raises(TrustError):
        read_permit(permit().signed(CUSTODIAN), keys)


def test_another_paper_under_the_custodian_s_signature_is_no_permit() -> None:
    study = Envelope.sign("application/vnd.civicgrid.study+json", permit().canonical(), CUSTODIAN)
    with pytest.raises(TrustError):
        read_permit(study, [CUSTODIAN.public])
    with pytest.raises(PlanError):
        read_permit(Envelope.sign(PERMIT, b"{}", CUSTODIAN), [CUSTODIAN.public])


@given(st.data())
def test_a_permit_with_any_bit_changed_does_not_hold(data: st.DataObject) -> None:
    raw = bytearray(permit().signed(CUSTODIAN).canonical())
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= 1 << data.draw(st.integers(0, 7))
    try:
        came = read_permit(Envelope.from_bytes(bytes(raw)), [CUSTODIAN.public])
    except CivicGridError:
        return
    assert came == permit(), "only a hint, such as the key's id, may have changed"


@pytest.mark.parametrize("when", ["2026-01-01", "2026-01-01T00:00:00", "soon", ""])
def test_a_time_without_its_zone_is_no_time(when: str) -> None:
    with pytest.raises(ValueError):
        permit(valid_from=when)


def test_a_permit_holds_from_its_first_moment_until_just_before_its_last() -> None:
    check(permit(), now=FROM)
    check(permit(), now=UNTIL - dt.timedelta(microseconds=1))
    for moment in (FROM - dt.timedelta(microseconds=1), UNTIL):
        with pytest.raises(TrustError, match="not valid at this time"):
            check(permit(), now=moment)
    london = dt.timezone(dt.timedelta(hours=1))
    with pytest.raises(TrustError):
        check(permit(), now=dt.datetime(2026, 1, 1, 0, 30, tzinfo=london))


@pytest.mark.parametrize(
    ("columns", "covered"),
    [
        (("*",), True),
        (("records.*",), True),
        (("records.age",), True),
        (("records.ag",), False),
        (("person.*",), False),
        (("records",), False),
        (("RECORDS.AGE",), False),
        (("records.age*",), False),
        (("%",), False),
        ((), False),
    ],
)
def test_columns_are_covered_by_name_table_or_star_alone(columns: tuple[str, ...], covered: bool) -> None:
    if covered:
        check(permit(columns=columns))
    else:
        with pytest.raises(TrustError, match=r"columns records\.age are not on the permit"):
            check(permit(columns=columns))


CHANGES: dict[str, Any] = {
    "network": "m",
    "site": "hull",
    "project": "P-2",
    "title": "Another",
    "people": (Person(name="Eve", key="ada"),),
    "datasets": ("trial", "registry"),
    "columns": ("*",),
    "methods": ("count", "glm"),
    "purpose": "To sell.",
    "valid_from": "2026-01-02T00:00:00+00:00",
    "valid_until": "2028-01-01T00:00:00+00:00",
    "plans": ("ab" * 32,),
    "templates": ("cd" * 32,),
    "template_days": 7,
    "custodians": 2,
    "pooled_threshold": True,
    "zeros": True,
    "panel": PanelDecision(panel="north", application="ef" * 32),
    "thresholds": Thresholds(min_cell=20),
}


def test_every_clause_is_tried_here() -> None:
    assert set(CHANGES) == set(Permit.model_fields) - {"kind", "format"}


@pytest.mark.parametrize("clause", CHANGES)
def test_a_clause_that_changes_changes_the_words_that_a_custodian_signs(clause: str) -> None:
    beside: dict[str, Any] = {"templates": ("ef" * 32,)} if clause == "template_days" else {}
    assert permit(**beside | {clause: CHANGES[clause]}).explain() != permit(**beside).explain()


def test_the_words_tell_two_people_of_one_name_apart() -> None:
    assert permit(people=(Person(name="Ada", key="other"),)).explain() != permit().explain()


def test_a_permit_of_an_earlier_version_keeps_its_digest() -> None:
    """What is not said is not written, so that a clause added later changes no permit that stands."""
    assert set(permit().to_data()) == {
        "kind", "network", "site", "project", "title", "people", "datasets", "columns", "methods", "purpose", "valid_from",
        "valid_until",
    }  # fmt: skip


@pytest.mark.parametrize("text", ["To know.\nAny plan within these limits.", "a”. Methods: “glm", "a\u202eb", "\0"])
def test_free_text_stays_in_its_quotation_marks_on_its_line(text: str) -> None:
    plain = permit().explain().splitlines()
    for clause in ("project", "title", "purpose"):
        lines = permit(**{clause: text}).explain().splitlines()
        assert len(lines) == len(plain)
        assert all(line.isprintable() for line in lines)
        assert len({permit(**{clause: other}).explain() for other in (text, "\n", "\\u000a", "u000a")}) == 4


# --- signatures ------------------------------------------------------------------------------------------------------

BOTH = [CUSTODIAN.public, OTHER.public]


@pytest.mark.parametrize(("asked", "policy"), [(2, 1), (1, 2), (2, 2)])
def test_the_permit_or_the_policy_may_ask_for_two_custodians(asked: int, policy: int) -> None:
    given = permit(custodians=asked)
    assert read_permit(given.signed(CUSTODIAN, OTHER), BOTH, policy) == given
    assert read_permit(given.signed(CUSTODIAN).joined(given.signed(OTHER)), BOTH, policy) == given
    stranger = SigningKey.generate()
    for few in (given.signed(CUSTODIAN), given.signed(CUSTODIAN, CUSTODIAN), given.signed(CUSTODIAN, stranger)):
        with pytest.raises(TrustError, match="2 valid signature"):
            read_permit(few, BOTH, policy)


def test_one_custodian_revokes_and_nobody_else() -> None:
    made = Revocation(network="n", site="york", permit=permit().digest(), time=FROM.isoformat(), reason="It is over.")
    assert read_revocation(made.signed(OTHER), BOTH) == made
    assert "1 January 2026, 00:00:00 UTC. Reason: “It is over.”" in made.explain()
    with pytest.raises(TrustError):
        read_revocation(made.signed(SigningKey.generate()), BOTH)
    with pytest.raises(TrustError, match=r"permit\+json"):
        read_permit(made.signed(OTHER), BOTH)


# --- standing studies ------------------------------------------------------------------------------------------------


def standing(day: dt.date, after: int = 3) -> Plan:
    trial = cg.dataset("trial", Schema.of({"age": INT, "entry": DATE}))
    cohort = cg.cohort((trial["entry"] <= cg.run_date(day)) & (trial["age"] > after))
    return bind(cohort, {"people": cg.Count()}, {})


TODAY = dt.date(2026, 6, 1)


@pytest.mark.parametrize(("age", "days", "allowed"), [
    (0, 31, True), (31, 31, True), (32, 31, False), (-1, 31, False), (0, 0, True), (1, 0, False), (366, 366, True),
])
def test_a_standing_study_is_for_today_or_a_few_days_before(age: int, days: int, allowed: bool) -> None:
    now = dt.datetime.combine(TODAY, dt.time(12), dt.UTC)
    given = permit(columns=("*",), templates=(standing(dt.date(2020, 1, 1)).template,), template_days=days)
    plan = standing(TODAY - dt.timedelta(days=age))
    if allowed:
        check(given, plan=plan, now=now)
    else:
        with pytest.raises(TrustError, match="not for a day that the permit allows"):
            check(given, plan=plan, now=now)


def test_the_day_of_a_task_is_counted_in_utc() -> None:
    given = permit(columns=("*",), templates=(standing(TODAY).template,))
    sydney = dt.timezone(dt.timedelta(hours=10))
    early = dt.datetime.combine(TODAY, dt.time(9), sydney)
    with pytest.raises(TrustError, match="not for a day"):
        check(given, plan=standing(TODAY), now=early)
    check(given, plan=standing(TODAY), now=early + dt.timedelta(hours=1))


def test_another_plan_than_the_template_is_refused() -> None:
    now = dt.datetime.combine(TODAY, dt.time(12), dt.UTC)
    given = permit(columns=("*",), templates=(standing(TODAY).template,))
    for other in (standing(TODAY, after=4), plan()):
        with pytest.raises(TrustError, match="not one of those on the permit"):
            check(given, plan=other, now=now)
    listed = given.model_copy(update={"plans": (plan().identity,)})
    check(listed, plan=plan(), now=now)
    check(listed, plan=standing(TODAY), now=now)


@pytest.mark.parametrize("rule", sorted(set(Thresholds.model_fields) - {"zeros"}))
def test_each_threshold_is_in_the_words(rule: str) -> None:
    asked = Thresholds()
    other = {"covariance": True}.get(rule, 7)
    changed = permit(thresholds=asked.model_copy(update={rule: other}))
    assert changed.explain() != permit(thresholds=asked).explain()
