"""How a washout is worked out: each row's day, the latest earlier day of the same person, and what lies between."""

from __future__ import annotations

from sqlglot import exp

from civicgrid.query.sql import (
    all_of,
    any_of,
    called,
    column,
    every_column,
    is_known,
    is_null,
    moved,
    nested,
    select,
    source,
    whole,
)
from civicgrid.query.table import PERSON

ROW = "e"


def new_rows(
    rows: exp.Table, again: exp.Table, date: str, days: int, periods: exp.Table | None
) -> exp.Select:
    """The rows of a step with no row in the `days` days before, and covered by a period where `periods` is given.

    `rows` and `again` are the same step, named twice because it is read twice.
    """
    dated = select(column(PERSON, ROW), called(column(date, ROW), "day")).distinct()
    dated = dated.from_(source(again, ROW)).where(is_known(column(date, ROW)))
    before = exp.Window(
        this=exp.Lag(this=column("day", "dated")),
        partition_by=[column(PERSON, "dated")],
        order=exp.Order(expressions=[exp.Ordered(this=column("day", "dated"), nulls_first=False)]),
    )
    spaced = select(column(PERSON, "dated"), column("day", "dated"), called(before, "before"))
    spaced = spaced.from_(nested(dated, "dated"))

    def start() -> exp.Expr:
        return moved(column("day", "days"), whole(-days), "days")

    clear = exp.LT(this=column("before", "days"), expression=start())
    kept = [any_of(is_null(column("before", "days")), clear)]
    if periods is not None:
        covered = select(whole(1)).from_(source(periods, "o")).where(all_of([
            exp.EQ(this=column(PERSON, "o"), expression=column(PERSON, ROW)),
            exp.LTE(this=column("observation_period_start_date", "o"), expression=start()),
            exp.GTE(this=column("observation_period_end_date", "o"), expression=column("day", "days")),
        ]))  # fmt: skip
        kept.append(exp.Exists(this=covered))
    on = all_of([
        exp.EQ(this=column(PERSON, "days"), expression=column(PERSON, ROW)),
        exp.EQ(this=column("day", "days"), expression=column(date, ROW)),
    ])  # fmt: skip
    joined = select(every_column(ROW)).from_(source(rows, ROW)).join(nested(spaced, "days"), on=on)
    return joined.where(all_of(kept))
