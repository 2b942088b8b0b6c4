"""A series as one SQL expression: a SQLGlot tree, never text, so that no name or value can become syntax.

What a series needs from elsewhere (a person's picked row, a count, a concept set) it asks of the `Scope` it
is written in; `query.compile` answers with a column of a step.
"""

from __future__ import annotations

from functools import singledispatch
from typing import Protocol

from sqlglot import exp

from civicgrid.query import nodes
from civicgrid.query.sql import (
    all_of,
    any_of,
    bracketed,
    case,
    cast,
    days_between,
    is_known,
    is_null,
    moved,
    negated,
    text,
    whole,
)


class Scope(Protocol):
    """One SELECT being written: where its columns come from."""

    def row(self, column: str) -> exp.Expr:
        """A column of the row at hand."""

    def person(self, column: str) -> exp.Expr:
        """A column of the OMOP person table."""

    def record(self, column: str) -> exp.Expr:
        """A column of the research table."""

    def picked(self, frame: nodes.Pick, column: str) -> exp.Expr:
        """A column of the row that a pick keeps."""

    def present(self, frame: nodes.EventFrame) -> exp.Expr:
        """Whether the person has a row."""

    def aggregate(self, node: nodes.CountRows | nodes.Aggregate) -> exp.Expr:
        """An aggregate over the person's rows, null where there are none."""

    def followed(self, node: nodes.FollowUpField) -> exp.Expr:
        """A part of a follow-up."""

    def concepts(self, concepts: nodes.ConceptSet) -> exp.Query | list[int]:
        """The ids of a concept set: a query where the vocabulary is needed, else the ids themselves."""


def expression(node: nodes.SeriesNode, scope: Scope) -> exp.Expr:
    """The SQL for a series; compound parts come in brackets."""
    return _write(node, scope)


@singledispatch
def _write(node: nodes.SeriesNode, scope: Scope) -> exp.Expr:
    raise AssertionError(f"{type(node).__name__} has no SQL")


def operand(node: nodes.SeriesNode, scope: Scope) -> exp.Expr:
    return bracketed(_write(node, scope))



# --- values and columns


@_write.register
def _(node: nodes.Value, scope: Scope) -> exp.Expr:
    if node.of == "bool":
        return exp.true() if node.value else exp.false()
    if node.of == "int":
        return whole(int(node.value))
    if node.of == "float":
        # Read from text, which is exact; a bare decimal would be a fixed-point number first.
        return cast(text(repr(float(node.value))), "float")
    literal = text(str(node.value))
    return cast(literal, "date") if node.of == "date" else literal


@_write.register
def _(node: nodes.RunDate, scope: Scope) -> exp.Expr:
    return cast(text(node.day), "date")


@_write.register
def _(node: nodes.RowField, scope: Scope) -> exp.Expr:
    return scope.row(node.column)


@_write.register
def _(node: nodes.PersonField, scope: Scope) -> exp.Expr:
    return scope.person(node.column)


@_write.register
def _(node: nodes.PickField, scope: Scope) -> exp.Expr:
    return scope.picked(node.frame, node.column)


@_write.register
def _(node: nodes.RecordField, scope: Scope) -> exp.Expr:
    column = scope.record(node.column)
    if node.type.levels:
        levels = [text(level) for level in node.type.levels]
        return case([(exp.In(this=column, expressions=levels), column.copy())])
    return column


@_write.register
def _(node: nodes.BirthDate, scope: Scope) -> exp.Expr:
    year, month, day = (scope.person(f"{part}_of_birth") for part in ("year", "month", "day"))
    month = case([(_between(month, 1, 12), month)])
    day = case([(_between(day, 1, 31), day)])
    january = exp.DateFromParts(year=year, month=whole(1), day=whole(1))
    months = exp.Sub(this=exp.Coalesce(this=month, expressions=[whole(7)]), expression=whole(1))
    days = exp.Sub(
        this=case([(is_null(month.copy()), whole(1))], exp.Coalesce(this=day, expressions=[whole(15)])),
        expression=whole(1),
    )
    return case([(_between(year.copy(), 1, 9998), moved(moved(january, months, "months"), days, "days"))])


def _between(column: exp.Expr, low: int, high: int) -> exp.Expr:
    return exp.Between(this=column.copy(), low=whole(low), high=whole(high))


# --- logic


@_write.register
def _(node: nodes.And, scope: Scope) -> exp.Expr:
    return all_of([_write(part, scope) for part in node.parts])


@_write.register
def _(node: nodes.Or, scope: Scope) -> exp.Expr:
    return any_of(*(_write(part, scope) for part in node.parts))


@_write.register
def _(node: nodes.Not, scope: Scope) -> exp.Expr:
    return negated(_write(node.part, scope))


@_write.register
def _(node: nodes.IsNull, scope: Scope) -> exp.Expr:
    return is_null(_write(node.part, scope))


COMPARE: dict[str, type[exp.Binary]] = {
    "==": exp.EQ,
    "!=": exp.NEQ,
    "<": exp.LT,
    "<=": exp.LTE,
    ">": exp.GT,
    ">=": exp.GTE,
}


@_write.register
def _(node: nodes.Compare, scope: Scope) -> exp.Expr:
    return COMPARE[node.op](this=operand(node.left, scope), expression=operand(node.right, scope))


@_write.register
def _(node: nodes.IsIn, scope: Scope) -> exp.Expr:
    return exp.In(this=operand(node.part, scope), expressions=[_write(value, scope) for value in node.values])


@_write.register
def _(node: nodes.InConceptSet, scope: Scope) -> exp.Expr:
    ids = scope.concepts(node.concepts)
    part = operand(node.part, scope)
    if isinstance(ids, list):
        if not ids:
            return case([(is_known(part), exp.false())])
        return exp.In(this=part, expressions=[whole(one) for one in ids])
    return exp.In(this=part, query=exp.Subquery(this=ids))


# --- choices


@_write.register
def _(node: nodes.Case, scope: Scope) -> exp.Expr:
    arms = [(_write(when.condition, scope), _as(node, when.then, scope)) for when in node.whens]
    return case(arms, _as(node, node.otherwise, scope) if node.otherwise is not None else None)


@_write.register
def _(node: nodes.IfNull, scope: Scope) -> exp.Expr:
    return exp.Coalesce(this=_as(node, node.part, scope), expressions=[_as(node, node.otherwise, scope)])


def _as(node: nodes.SeriesNode, part: nodes.SeriesNode, scope: Scope) -> exp.Expr:
    """A part of a choice in the type of the whole."""
    tree = _write(part, scope)
    return cast(tree, node.returns.kind) if node.returns.numeric else tree


@_write.register
def _(node: nodes.ToCategory, scope: Scope) -> exp.Expr:
    arms = [(_write(line.value, scope), text(line.level)) for line in node.levels]
    otherwise = text(node.otherwise) if node.otherwise is not None else None
    return case(arms, otherwise, of=operand(node.part, scope))


# --- numbers and dates

FURTHEST = {"days": 7, "months": 6, "years": 5}
"""Digits of the furthest that a date is moved; beyond that it is missing, as it is beyond the calendar."""

ARITHMETIC: dict[str, type[exp.Binary]] = {"+": exp.Add, "-": exp.Sub, "*": exp.Mul, "/": exp.Div}


@_write.register
def _(node: nodes.Arithmetic, scope: Scope) -> exp.Expr:
    left, right = (cast(_write(side, scope), node.returns.kind) for side in (node.left, node.right))
    if node.op == "/":
        right = exp.Nullif(this=right, expression=cast(whole(0), "float"))
        return exp.Div(this=left, expression=right, typed=False, safe=False)
    if node.returns.kind != "int":
        return ARITHMETIC[node.op](this=left, expression=right)
    # In 128 bits nothing overflows; what does not fit 64 is missing. One person's value must not stop a study, since
    # whether it did would tell something about them.
    left, right = (exp.Cast(this=side, to=exp.DataType.build("int128")) for side in (left, right))
    tree = ARITHMETIC[node.op](this=left, expression=right)
    return exp.TryCast(this=tree, to=exp.DataType.build("bigint"))


@_write.register
def _(node: nodes.Convert, scope: Scope) -> exp.Expr:
    tree = _write(node.part, scope)
    if node.to == "int" and node.part.returns.kind == "float":
        return exp.TryCast(this=exp.Floor(this=tree), to=exp.DataType.build("bigint"))
    return cast(tree, node.returns.kind)


@_write.register
def _(node: nodes.DateAdd, scope: Scope) -> exp.Expr:
    amount = exp.TryCast(this=_write(node.amount, scope), to=exp.DataType.build(f"decimal({FURTHEST[node.unit]}, 0)"))
    return moved(_write(node.date, scope), exp.Cast(this=amount, to=exp.DataType.build("int")), node.unit)


@_write.register
def _(node: nodes.DatePart, scope: Scope) -> exp.Expr:
    return _part(node.part, operand(node.date, scope))


def _part(part: str, date: exp.Expr) -> exp.Expr:
    kinds: dict[str, type[exp.Func]] = {"year": exp.Year, "month": exp.Month, "day": exp.Day}
    return kinds[part](this=date)


@_write.register
def _(node: nodes.DateDifference, scope: Scope) -> exp.Expr:
    if node.unit == "days":
        return days_between(_write(node.start, scope), _write(node.end, scope))
    years, months, days = (
        exp.Paren(this=exp.Sub(
            this=_part(part, operand(node.end, scope)), expression=_part(part, operand(node.start, scope))
        ))
        for part in ("year", "month", "day")
    )  # fmt: skip
    short = exp.LT(this=days, expression=whole(0))
    if node.unit == "months":
        count: exp.Expr = exp.Add(this=exp.Mul(this=years, expression=whole(12)), expression=months)
        return exp.Sub(this=exp.Paren(this=count), expression=case([(short, whole(1))], whole(0)))
    same = all_of([exp.EQ(this=months.copy(), expression=whole(0)), short])
    early = any_of(exp.LT(this=months, expression=whole(0)), same)
    return exp.Sub(this=years, expression=case([(early, whole(1))], whole(0)))


@_write.register
def _(node: nodes.Extreme, scope: Scope) -> exp.Expr:
    first, *others = (cast(_write(part, scope), node.returns.kind) for part in node.parts)
    kind = exp.Least if node.which == "smallest" else exp.Greatest
    return kind(this=first, expressions=others, ignore_nulls=True)


# --- from rows to persons


@_write.register
def _(node: nodes.Exists, scope: Scope) -> exp.Expr:
    return scope.present(node.frame)


@_write.register
def _(node: nodes.CountRows, scope: Scope) -> exp.Expr:
    return exp.Coalesce(this=scope.aggregate(node), expressions=[whole(0)])


@_write.register
def _(node: nodes.Aggregate, scope: Scope) -> exp.Expr:
    value = scope.aggregate(node)
    return exp.Coalesce(this=value, expressions=[whole(0)]) if node.how == "count_distinct" else value


@_write.register
def _(node: nodes.FollowUpField, scope: Scope) -> exp.Expr:
    return scope.followed(node)
