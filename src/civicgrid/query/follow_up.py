"""How a follow-up is worked out, in the words that the query language already has.

The event that counts is the event's date where it falls on or after the first day at risk. The end is the
earliest of that and everything that ends observation. What a `FollowUp` promises stands at the node; here is
only how.
"""

from __future__ import annotations

from civicgrid.query.nodes import (
    And,
    Case,
    Compare,
    DateAdd,
    DateDifference,
    Extreme,
    FollowUpField,
    IfNull,
    IsNull,
    Not,
    Series,
    Value,
    When,
)


def worked_out(field: FollowUpField) -> Series:
    """The same value for each person, from comparisons, choices and dates alone."""
    plan = field.follow_up
    at_risk = DateAdd(date=plan.start, amount=Value(of="int", value=plan.first_day), unit="days")
    event = Case(whens=(When(condition=Compare(op=">=", left=plan.event, right=at_risk), then=plan.event),))
    ends: dict[str, Series] = {**field.reasons, "event": event}
    others = [series for reason, series in ends.items() if reason != "event"]
    closed = others[0] if len(others) == 1 else Extreme(which="smallest", parts=tuple(others))
    end = Extreme(which="smallest", parts=tuple(ends.values()))
    in_time = IfNull(
        part=Compare(op=">=", left=closed, right=plan.start), otherwise=Value(of="bool", value=True)
    )
    must = [plan.start, end] + ([plan.observed_until] if plan.observed_until is not None else [])
    known = And(parts=(*(Not(part=IsNull(part=series)) for series in must), in_time))
    return Case(whens=(When(condition=known, then=_part(field, ends, end)),))


def _part(field: FollowUpField, ends: dict[str, Series], end: Series) -> Series:
    if field.part == "end":
        return end
    if field.part == "days":
        return DateDifference(start=field.follow_up.start, end=end, unit="days")
    if field.part == "event":
        ended = Compare(op="==", left=ends["event"], right=end)
        return IfNull(part=ended, otherwise=Value(of="bool", value=False))
    return Case(
        whens=tuple(
            When(condition=Compare(op="==", left=series, right=end), then=Value(of="text", value=reason))
            for reason, series in ends.items()
        )
    )
