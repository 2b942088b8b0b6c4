"""A cohort as a short sequence of named steps, each one SQLGlot tree that any engine can write in its own dialect.

A step gives one row a person (a picked row, a set of aggregates, a follow-up), one row an event (a washout) or one row
a concept. A step is made once however often the plan uses it. The last query joins the steps to the persons; where a
cohort needs no step it is a plain projection of one table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sqlglot import exp

from civicgrid.errors import PlanError
from civicgrid.omop.cdm import CDM
from civicgrid.query import nodes
from civicgrid.query.cohort import Cohort
from civicgrid.query.concept_ids import concept_query, listed_ids
from civicgrid.query.expressions import expression
from civicgrid.query.follow_up import dates_given, follow_up_query
from civicgrid.query.sql import (
    all_of,
    called,
    case,
    cast,
    column,
    every_column,
    is_known,
    name,
    nested,
    not_yes,
    select,
    source,
    text,
    whole,
)
from civicgrid.query.table import PERSON
from civicgrid.query.types import ColumnType
from civicgrid.query.washout import ROW, new_rows

BASE = "p"
EVERYONE = nodes.Value(of="bool", value=True)
REDUCTIONS = (
    nodes.PickField, nodes.Exists, nodes.CountRows, nodes.Aggregate, nodes.PersonField, nodes.BirthDate,
    nodes.FollowUpField,
)  # fmt: skip


@dataclass(frozen=True)
class Step:
    """A named query; `uses` is how often later queries read it, so that an engine can tell what to keep."""

    name: str
    tree: exp.Query
    uses: int


@dataclass(frozen=True)
class Places:
    """Where an engine keeps the data set's tables and where it will put the steps."""

    table: Callable[[str], exp.Table]
    step: Callable[[str], exp.Table]


@dataclass(frozen=True)
class Compiled:
    """The steps in the order to run them, and the last query: one row a person.

    `columns` are the last query's projections by name, PERSON first. `base` is the one table it reads, under the
    alias BASE, when it reads no other. `tables` are the data set's tables that are read.
    """

    steps: tuple[Step, ...]
    last: exp.Select
    columns: dict[str, exp.Expr]
    base: exp.Table | None
    tables: tuple[str, ...]

    def select(self, names: list[str]) -> exp.Select:
        """The last query with these columns only."""
        query = self.last.copy()
        query.set("expressions", [called(self.columns[each].copy(), each) for each in names])
        return query


def compile_cohort(cohort: Cohort, places: Places) -> Compiled:
    """The steps that work a cohort out."""
    return _Compiler(places, "person" if cohort.source == "omop" else "records").cohort(cohort)


def encoded(tree: exp.Expr, type_: ColumnType) -> exp.Expr:
    """A value as `query.table` wants it: a category as the position of its level."""
    if type_.kind != "category":
        return cast(tree, type_.kind)
    arms = [(text(level), whole(code)) for code, level in enumerate(type_.levels)]
    return cast(case(arms, of=tree), "code")


@dataclass
class _Draft:
    """A step while columns are still being added to it."""

    name: str
    scope: _Scope
    build: Callable[[], exp.Query]
    columns: dict[str, exp.Expr] = field(default_factory=dict)


class _Scope:
    """One SELECT being written over `alias`; remembers which steps it joins and which others it reads."""

    def __init__(self, compiler: _Compiler, alias: str) -> None:
        self.compiler, self.alias = compiler, alias
        self.joined: set[str] = set()
        self.reads: list[str] = []

    @property
    def alone(self) -> bool:
        return not self.joined and not self.reads

    def row(self, of: str) -> exp.Expr:
        return column(of, ROW)

    def person(self, of: str) -> exp.Expr:
        if self.alias == BASE:
            return column(of, BASE)
        self.joined.add("person")
        return column(of, "person")

    def record(self, of: str) -> exp.Expr:
        return column(of, self.alias)

    def step(self, draft: _Draft, of: str) -> exp.Expr:
        self.joined.add(draft.name)
        return column(of, draft.name)

    def picked(self, frame: nodes.Pick, of: str) -> exp.Expr:
        draft = self.compiler.pick(frame)
        draft.columns.setdefault(of, column(of, ROW))
        return self.step(draft, of)

    def present(self, frame: nodes.EventFrame) -> exp.Expr:
        return is_known(self.step(self.compiler.aggregates(frame, None), PERSON))

    def aggregate(self, node: nodes.CountRows | nodes.Aggregate) -> exp.Expr:
        draft, of = self.compiler.aggregate(node)
        return self.step(draft, of)

    def followed(self, node: nodes.FollowUpField) -> exp.Expr:
        return self.step(self.compiler.follow_up(node.follow_up), node.part)

    def concepts(self, concepts: nodes.ConceptSet) -> exp.Query | list[int]:
        ids = listed_ids(concepts)
        if ids is not None:
            return ids
        draft = self.compiler.concept_set(concepts)
        self.reads.append(draft.name)
        return exp.Select(expressions=[exp.Column(this=name("concept_id"))]).from_(
            self.compiler.places.step(draft.name)
        )

    def finish(self, query: exp.Select, rows: exp.Table, conditions: list[exp.Expr]) -> exp.Select:
        """The SELECT with its source, joins and conditions."""
        query = query.from_(source(rows, self.alias), copy=False)
        for each in sorted(self.joined):
            place = self.compiler.table(each) if each == "person" else self.compiler.places.step(each)
            on = exp.EQ(this=column(PERSON, each), expression=column(PERSON, self.alias))
            query = query.join(source(place, each), on=on, join_type="left", copy=False)
        return query.where(all_of(conditions), copy=False) if conditions else query


class _Compiler:
    def __init__(self, places: Places, base: str) -> None:
        self.places, self.base = places, base
        self.drafts: dict[object, _Draft] = {}
        self.reduced: dict[object, tuple[_Draft, str]] = {}
        self.tables: set[str] = set()

    def table(self, of: str) -> exp.Table:
        self.tables.add(of)
        return self.places.table(of)

    def cohort(self, cohort: Cohort) -> Compiled:
        scope = _Scope(self, BASE)
        columns: dict[str, exp.Expr] = {PERSON: cast(column(PERSON, BASE), "int")}
        for each in cohort.columns:
            if isinstance(each.series, nodes.RecordField):
                # As it stands, without a test against its levels: what is not one of them has no code.
                tree = scope.record(each.series.column)
            else:
                tree = expression(each.series, scope)
            columns[each.name] = encoded(tree, each.type)
        conditions = [] if cohort.population == EVERYONE else [expression(cohort.population, scope)]
        steps = self.ordered(scope)
        last = scope.finish(exp.Select(), self.table(self.base), conditions)
        base = source(self.table(self.base), BASE) if scope.alone else None
        return Compiled(steps, last, columns, base, tuple(sorted(self.tables)))

    def ordered(self, last: _Scope) -> tuple[Step, ...]:
        """Every step after the steps that it reads."""
        by_name = {draft.name: draft for draft in self.drafts.values()}
        needs = {
            each: [*(draft.scope.joined - {"person"}), *draft.scope.reads] for each, draft in by_name.items()
        }
        uses = [each for names in [*needs.values(), last.joined, last.reads] for each in names]
        order: list[str] = []

        def visit(each: str) -> None:
            if each not in order:
                for other in sorted(set(needs[each])):
                    visit(other)
                order.append(each)

        for each in by_name:
            visit(each)
        return tuple(Step(each, by_name[each].build(), uses.count(each)) for each in order)

    def draft(
        self, key: object, title: str, scope: _Scope, build: Callable[[_Draft], exp.Query]
    ) -> _Draft:
        draft = _Draft(f"{title}_{len(self.drafts) + 1}", scope, lambda: build(draft))
        return self.drafts.setdefault(key, draft)

    def rows(self, frame: nodes.EventFrame, scope: _Scope) -> tuple[Callable[[], exp.Table], list[exp.Expr]]:
        """Where the rows of a frame are, and the conditions that keep them."""
        if isinstance(frame, nodes.Events):
            return lambda: self.table(frame.table), []
        if isinstance(frame, nodes.Washout):
            draft = self.washout(frame)
            scope.reads.append(draft.name)
            return lambda: self.places.step(draft.name), []
        rows, conditions = self.rows(frame.source, scope)
        tree = expression(frame.condition, scope)
        return rows, [*conditions, not_yes(tree) if isinstance(frame, nodes.ExceptWhere) else tree]

    def pick(self, frame: nodes.Pick) -> _Draft:
        if frame in self.drafts:
            return self.drafts[frame]
        scope = _Scope(self, ROW)
        rows, conditions = self.rows(frame.source, scope)
        order = self.order(frame, scope)

        def build(draft: _Draft) -> exp.Query:
            rank = exp.Window(
                this=exp.RowNumber(), partition_by=[column(PERSON, ROW)], order=exp.Order(expressions=order)
            )
            names = sorted(draft.columns)
            columns = [column(PERSON, ROW), *(draft.columns[each] for each in names)]
            inner = scope.finish(select(*columns, called(rank, "row_rank")), rows(), conditions)
            first = exp.EQ(this=column("row_rank", "ranked"), expression=whole(1))
            outer = select(*(column(each, "ranked") for each in [PERSON, *names]))
            return outer.from_(nested(inner, "ranked"), copy=False).where(first, copy=False)

        return self.draft(frame, f"{frame.position}_{frame.table}", scope, build)

    def order(self, frame: nodes.Pick, scope: _Scope) -> list[exp.Ordered]:
        table = CDM[frame.table]
        last = frame.position == "last"
        others = [each.name for each in table.columns if each.name != "person_id"]
        ties = [column(each, ROW) for each in ([table.primary_key] if table.primary_key else others)]
        keys = [*(expression(key, scope) for key in frame.by), *ties]
        return [exp.Ordered(this=key, desc=last, nulls_first=False) for key in keys]

    def aggregates(self, frame: nodes.EventFrame, own: nodes.SeriesNode | None) -> _Draft:
        """The step of a frame's aggregates; `own` asks for one apart, where a value itself needs other steps."""
        key = ("aggregates", frame, own)
        if key in self.drafts:
            return self.drafts[key]
        scope = _Scope(self, ROW)
        rows, conditions = self.rows(frame, scope)

        def build(draft: _Draft) -> exp.Query:
            named = [called(tree, each) for each, tree in draft.columns.items()]
            query = scope.finish(select(column(PERSON, ROW), *named), rows(), conditions)
            return query.group_by(column(PERSON, ROW), copy=False)

        return self.draft(key, f"persons_with_{frame.table}", scope, build)

    def aggregate(self, node: nodes.CountRows | nodes.Aggregate) -> tuple[_Draft, str]:
        if node in self.reduced:
            return self.reduced[node]
        if isinstance(node, nodes.CountRows):
            draft, of = self.aggregates(node.frame, None), "count"
            tree: exp.Expr = exp.Count(this=exp.Star())
        else:
            apart = any(isinstance(each, REDUCTIONS) for each in nodes.walk(node.of))
            draft = self.aggregates(node.frame, node.of if apart else None)
            tree = _reduced(node, expression(node.of, draft.scope))
            of = f"{node.how}_{len(draft.columns) + 1}"
        draft.columns[of] = tree
        self.reduced[node] = draft, of
        return draft, of

    def washout(self, frame: nodes.Washout) -> _Draft:
        if frame in self.drafts:
            return self.drafts[frame]
        date = CDM[frame.table].start
        if date is None:
            raise PlanError(f"A washout needs a date; {frame.table} has none.")
        before = self.every_row(frame.source)
        scope = _Scope(self, ROW)
        scope.reads += [before.name, before.name]
        periods = self.table("observation_period") if frame.observed else None
        place = self.places.step
        query = new_rows(place(before.name), place(before.name), date, frame.days, periods)
        return self.draft(frame, f"new_{frame.table}", scope, lambda draft: query)

    def every_row(self, frame: nodes.EventFrame) -> _Draft:
        """The step that holds a frame's rows with all their columns."""
        key = ("rows", frame)
        if key in self.drafts:
            return self.drafts[key]
        scope = _Scope(self, ROW)
        rows, conditions = self.rows(frame, scope)
        return self.draft(
            key, f"rows_of_{frame.table}", scope,
            lambda draft: scope.finish(select(every_column(ROW)), rows(), conditions),
        )  # fmt: skip

    def follow_up(self, plan: nodes.FollowUp) -> _Draft:
        if plan in self.drafts:
            return self.drafts[plan]
        scope = _Scope(self, BASE)
        dates = [called(cast(expression(series, scope), "date"), of) for of, series in dates_given(plan).items()]

        def build(draft: _Draft) -> exp.Query:
            given = scope.finish(select(column(PERSON, BASE), *dates), self.table(self.base), [])
            return follow_up_query(plan, given)

        return self.draft(plan, "follow_up", scope, build)

    def concept_set(self, concepts: nodes.ConceptSet) -> _Draft:
        if concepts in self.drafts:
            return self.drafts[concepts]
        query = concept_query(concepts, lambda: self.table("concept_ancestor"))
        return self.draft(concepts, "concepts", _Scope(self, ROW), lambda draft: query)


def _reduced(node: nodes.Aggregate, tree: exp.Expr) -> exp.Expr:
    if node.how == "count_distinct":
        return exp.Count(this=exp.Distinct(expressions=[tree]))
    if node.how == "mean":
        return exp.Avg(this=cast(tree, "float"))
    if node.how == "sum":
        return cast(exp.Sum(this=tree), node.returns.kind)
    smallest = exp.Min(this=tree) if node.how == "min" else exp.Max(this=tree)
    return cast(smallest, node.returns.kind)
