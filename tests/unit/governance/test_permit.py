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
from civicgrid.governance.permit import PERMIT, Permit, Person, read_permit
from civicgrid.methods.plan import Plan, bind
from civicgrid.query.types import INT, Schema
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
    "pooled_threshold": True,
    "thresholds": Thresholds(min_cell=20),
}


def test_every_clause_is_tried_here() -> None:
    assert set(CHANGES) == set(Permit.model_fields) - {"kind", "format"}


@pytest.mark.parametrize("clause", CHANGES)
def test_a_clause_that_changes_changes_the_words_that_a_custodian_signs(clause: str) -> None:
    assert permit(**{clause: CHANGES[clause]}).explain() != permit().explain()


def test_the_words_tell_two_people_of_one_name_apart() -> None:
    assert permit(people=(Person(name="Ada", key="other"),)).explain() != permit().explain()


@pytest.mark.parametrize("rule", Thresholds.model_fields)
def test_each_threshold_is_in_the_words(rule: str) -> None:
    asked = Thresholds()
    other = {"zeros": True, "covariance": True}.get(rule, 7)
    changed = permit(thresholds=asked.model_copy(update={rule: other}))
    assert changed.explain() != permit(thresholds=asked).explain()
