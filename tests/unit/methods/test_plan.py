"""Plans and their templates: the same study for another day is one template and another plan."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import Any

import pytest

import civicgrid as cg
from civicgrid.errors import PlanError
from civicgrid.methods.plan import Plan, bind, read_plan

gp = cg.cdm("gp")


def plan(day: str | dt.date | None = "2026-11-24", months: int = 12, title: str = "", **columns: Any) -> Plan:
    drugs = gp.drug_exposure
    today = cg.run_date(day) if day else "2026-11-24"
    recent = drugs.where(drugs.start_date <= today)
    if day:
        recent = recent.where(recent.start_date > cg.run_date(day) - cg.months(months))
    return bind(cg.cohort(recent.exists_for_person(), **columns), {"people": cg.Count()}, {}, title)


def test_another_day_is_another_plan_of_the_same_template() -> None:
    one, two = plan("2026-11-24"), plan(dt.date(2026, 12, 24))
    assert one.identity != two.identity
    assert one.template == two.template
    assert (one.run_date, two.run_date) == ("2026-11-24", "2026-12-24")
    assert "the day of the run (24 November 2026)" in one.explain()
    assert one.explain().replace("24 November", "24 December") == two.explain()


@pytest.mark.parametrize(
    "other",
    [
        plan(months=11),
        plan(title="Another"),
        plan(age=gp.person.age_on("2026-11-24")),
        plan(age=gp.person.age_on(cg.run_date("2026-11-24"))),
    ],
)
def test_any_other_change_is_another_template(other: Plan) -> None:
    assert other.template not in (plan().template, None)


def test_a_date_of_the_study_s_own_is_no_day_of_a_run() -> None:
    """Nor does the one read as the other."""
    assert plan(None).template is None
    assert plan(None).run_date is None
    assert "the day of the run" not in plan(None).explain()


def test_a_template_s_digest_is_that_of_the_plan_with_its_day_left_blank_and_of_no_plan() -> None:
    made = plan()
    blank = made.canonical().replace(b'"day":"2026-11-24"', b'"day":""')
    assert blank.count(b'"day":""') == 2
    assert made.template == hashlib.sha256(blank).hexdigest()
    with pytest.raises(PlanError, match="YYYY-MM-DD"):
        read_plan(blank)


@pytest.mark.parametrize("title", ["One\nWhat is worked out:", "a\u202eb"])
def test_a_title_cannot_pass_for_a_line_of_the_explanation(title: str) -> None:
    with pytest.raises(PlanError, match="printable"):
        plan(title=title)


def test_text_that_looks_like_a_day_of_a_run_is_not_blanked() -> None:
    """Only the node is: a researcher's own words stay in the template's digest."""
    words = ['{"kind":"run_date","day":"2026-11-24"}', '{"kind":"run_date","day":""}']
    assert len({plan(title=title).template for title in words}) == 2
