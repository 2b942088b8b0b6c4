"""The few shapes of SQL tree that everything here is built from.

SQLGlot's own builders copy what they are given, which makes a deep expression cost its depth squared; these do not, so
a tree must not be put in two places.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from sqlglot import exp

from civicgrid.query.kinds import SeriesKind

SqlKind = SeriesKind | Literal["code"]

TYPES: dict[SqlKind, exp.DType] = {
    "bool": exp.DType.BOOLEAN, "int": exp.DType.BIGINT, "float": exp.DType.DOUBLE, "date": exp.DType.DATE,
    "category": exp.DType.TEXT, "text": exp.DType.TEXT, "code": exp.DType.INT,
}  # fmt: skip


def name(text: str) -> exp.Identifier:
    """A name, always quoted, so that it can hold anything."""
    return exp.Identifier(this=text, quoted=True)


def column(of: str, table: str) -> exp.Column:
    return exp.Column(this=name(of), table=name(table))


def every_column(table: str) -> exp.Column:
    return exp.Column(this=exp.Star(), table=name(table))


def called(tree: exp.Expr, alias: str) -> exp.Alias:
    return exp.Alias(this=tree, alias=name(alias))


def select(*columns: exp.Expr) -> exp.Select:
    return exp.Select(expressions=list(columns))


def source(table: exp.Table, alias: str) -> exp.Table:
    """A table under a short name, to select from or join."""
    table.set("alias", exp.TableAlias(this=name(alias)))
    return table


def nested(query: exp.Query, alias: str) -> exp.Subquery:
    return exp.Subquery(this=query, alias=exp.TableAlias(this=name(alias)))


def cast(tree: exp.Expr, kind: SqlKind) -> exp.Expr:
    """A value as the type of this kind of series; `code` is the small number of a category's level."""
    if isinstance(tree, exp.Cast) and tree.to.this == TYPES[kind]:
        return tree
    return exp.Cast(this=tree, to=exp.DataType(this=TYPES[kind]))


def bracketed(tree: exp.Expr) -> exp.Expr:
    simple = isinstance(
        tree, exp.Column | exp.Literal | exp.Cast | exp.Paren | exp.Boolean | exp.Case | exp.Coalesce
    )
    return tree if simple else exp.Paren(this=tree)


def whole(number: int) -> exp.Expr:
    literal = exp.Literal.number(abs(number))
    return literal if number >= 0 else exp.Paren(this=exp.Neg(this=literal))


def text(value: str) -> exp.Literal:
    return exp.Literal.string(value)


def all_of(parts: Sequence[exp.Expr]) -> exp.Expr:
    tree = bracketed(parts[0])
    for part in parts[1:]:
        tree = exp.And(this=tree, expression=bracketed(part))
    return tree


def any_of(*parts: exp.Expr) -> exp.Expr:
    tree = bracketed(parts[0])
    for part in parts[1:]:
        tree = exp.Or(this=tree, expression=bracketed(part))
    return tree


def negated(tree: exp.Expr) -> exp.Expr:
    return exp.Not(this=exp.Paren(this=tree))


def is_null(tree: exp.Expr) -> exp.Expr:
    return exp.Is(this=bracketed(tree), expression=exp.Null())


def is_known(tree: exp.Expr) -> exp.Expr:
    return negated(is_null(tree))


def not_yes(tree: exp.Expr) -> exp.Expr:
    """Whether a condition is no or missing."""
    return negated(exp.Is(this=bracketed(tree), expression=exp.true()))


def case(
    arms: Sequence[tuple[exp.Expr, exp.Expr]], otherwise: exp.Expr | None = None, of: exp.Expr | None = None
) -> exp.Expr:
    ifs = [exp.If(this=condition, true=value) for condition, value in arms]
    return exp.Case(this=of, ifs=ifs, default=otherwise)


def least(parts: Sequence[exp.Expr]) -> exp.Expr:
    """The smallest, leaving out what is missing."""
    if len(parts) == 1:
        return parts[0]
    return exp.Least(this=parts[0], expressions=list(parts[1:]), ignore_nulls=True)


def moved(date: exp.Expr, amount: exp.Expr, unit: str) -> exp.Expr:
    """A date plus so many days, months or years, as a date."""
    of = exp.Var(this=unit.upper().rstrip("S"))
    return cast(exp.DateAdd(this=bracketed(date), expression=bracketed(amount), unit=of), "date")


def days_between(start: exp.Expr, end: exp.Expr) -> exp.Expr:
    return exp.DateDiff(this=bracketed(end), expression=bracketed(start), unit=exp.Var(this="DAY"))
