"""How a follow-up is worked out. What it promises stands at `nodes.FollowUp`; here is only how.

Three queries inside one another, so that nothing is written twice: the dates that were asked for; the event where it
counts and the day observation closes; the last day. The outermost gives the parts.
"""

from __future__ import annotations

from sqlglot import exp

from civicgrid.query import nodes
from civicgrid.query.sql import (
    all_of,
    any_of,
    called,
    case,
    column,
    days_between,
    is_known,
    is_null,
    least,
    moved,
    nested,
    select,
    text,
    whole,
)
from civicgrid.query.table import PERSON


def dates_given(plan: nodes.FollowUp) -> dict[str, nodes.Series]:
    """The series that a follow-up is made from, by the column to put each in."""
    given = {
        "start": plan.start, "event": plan.event, "death": plan.death,
        "end of observation": plan.observed_until, "end of study": plan.until,
    }  # fmt: skip
    return {name: series for name, series in given.items() if series is not None}


def follow_up_query(plan: nodes.FollowUp, given: exp.Select) -> exp.Select:
    """One row a person with `days`, `event`, `reason` and `end`, from a query that gives PERSON and the dates."""
    limits = [name for name in dates_given(plan) if name not in ("start", "event")]
    closing: list[exp.Expr] = [column(name, "given") for name in limits]
    kept = [column(name, "given") for name in (PERSON, "start", *limits)]
    if plan.max_days is not None:
        longest = moved(column("start", "given"), whole(plan.max_days), "days")
        limits.append("end of follow-up")
        closing.append(longest.copy())
        kept_longest = [called(longest, "end of follow-up")]
    else:
        kept_longest = []
    at_risk = moved(column("start", "given"), whole(plan.first_day), "days")
    counts = exp.GTE(this=column("event", "given"), expression=at_risk)
    counted = called(case([(counts, column("event", "given"))]), "event")
    closed = called(least(closing), "closed")
    dated = select(*kept, *kept_longest, counted, closed).from_(nested(given, "given"))

    must = [is_known(column("start", "dated"))]
    if plan.observed_until is not None:
        must.append(is_known(column("end of observation", "dated")))
    in_time = exp.GTE(this=column("closed", "dated"), expression=column("start", "dated"))
    must.append(any_of(is_null(column("closed", "dated")), in_time))
    last = case([(all_of(must), least([column("event", "dated"), column("closed", "dated")]))])
    columns = [column(name, "dated") for name in (PERSON, "start", "event", *limits)]
    ended = select(*columns, called(last, "end")).from_(nested(dated, "dated"))

    happened = exp.EQ(this=column("event", "ended"), expression=column("end", "ended"))
    known = is_known(column("end", "ended"))
    reasons = [
        (exp.EQ(this=column(name, "ended"), expression=column("end", "ended")), text(name))
        for name in ("event", *limits)
    ]
    return select(
        column(PERSON, "ended"),
        called(days_between(column("start", "ended"), column("end", "ended")), "days"),
        called(case([(known, exp.Coalesce(this=happened, expressions=[exp.false()]))]), "event"),
        called(case(reasons), "reason"),
        column("end", "ended"),
    ).from_(nested(ended, "ended"))
