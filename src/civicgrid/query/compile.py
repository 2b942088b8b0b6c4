"""A cohort as a short sequence of named steps, each one SQLGlot tree that any engine can write in its own
dialect.

A step gives one row a person (a picked row, a set of aggregates), one row an event (a washout) or one row a
concept. A step is made once however often the plan uses it. The last query joins the steps to the persons;
where a cohort needs no step it is a plain projection of one table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sqlglot import exp

from civicgrid.errors import PlanError
from civicgrid.omop.cdm import CDM
from civicgrid.query import nodes
from civicgrid.query.cohort import Cohort
from civicgrid.query.expressions import all_of, case, cast, expression, is_null, moved, not_yes, whole
from civicgrid.query.table import PERSON
from civicgrid.query.types import ColumnType

ROW, BASE = "e", "p"
SENTINEL = -(2**62)
REDUCTIONS = (
    nodes.PickField,
    nodes.Exists,
    nodes.CountRows,
    nodes.Aggregate,
    nodes.PersonField,
    nodes.BirthDate,
    nodes.FollowUpField,
)


@dataclass(frozen=True)
class Step:
    """A named query; `uses` is how many later queries read it, so that an engine can tell what to keep."""

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

    `columns` are the last query's projections by name, PERSON first. `base` is the one table it reads, under
    the alias BASE, when it reads no other.
    """

    steps: tuple[Step, ...]
    last: exp.Select
    columns: dict[str, exp.Expr]
    base: exp.Expr | None
    tables: tuple[str, ...]

    def select(self, names: list[str]) -> exp.Select:
        """The last query with these columns only."""
        return self.last.copy().select(
            *(exp.alias_(self.columns[name].copy(), name, quoted=True) for name in names)
        )


def compile_cohort(cohort: Cohort, places: Places) -> Compiled:
    """The steps that work a cohort out."""
    return _Compiler(places).cohort(cohort)


def column(name: str, table: str) -> exp.Column:
    return exp.column(exp.to_identifier(name, quoted=True), table=exp.to_identifier(table, quoted=True))


def encoded(tree: exp.Expr, type_: ColumnType) -> exp.Expr:
    """A value as `query.table` wants it: a category as the position of its level."""
    if type_.kind == "category":
        arms = [(exp.Literal.string(level), whole(code)) for code, level in enumerate(type_.levels)]
        return exp.cast(case(arms, of=tree), "int")
    return exp.cast(tree, {"bool": "boolean", "int": "bigint", "float": "double", "date": "date"}[type_.kind])


@dataclass
class _Draft:
    """A step while columns are still being added to it."""

    name: str
    scope: _Scope
    build: Callable[[], exp.Query]
    columns: dict[str, exp.Expr] = field(default_factory=dict)


class _Scope:
    """One SELECT being written over `alias`; remembers which steps it has to join."""

    def __init__(self, compiler: _Compiler, alias: str, base: str | None = None) -> None:
        self.compiler, self.alias, self.base = compiler, alias, base
        self.joined: set[str] = set()
        self.reads: list[str] = []
        self.joins: dict[str, exp.Table] = {}

    def row(self, name: str) -> exp.Expr:
        return column(name, ROW)

    def person(self, name: str) -> exp.Expr:
        if self.base == "person":
            return column(name, self.alias)
        self.joins.setdefault("person", self.compiler.table("person"))
        return column(name, "person")

    def record(self, name: str) -> exp.Expr:
        return column(name, self.alias)

    def step(self, name: str, of: str) -> exp.Expr:
        self.joined.add(name)
        self.joins.setdefault(name, self.compiler.places.step(name))
        return column(of, name)

    def picked(self, frame: nodes.Pick, name: str) -> exp.Expr:
        draft = self.compiler.pick(frame)
        draft.columns.setdefault(name, column(name, ROW))
        return self.step(draft.name, name)

    def present(self, frame: nodes.EventFrame) -> exp.Expr:
        draft = self.compiler.aggregates(frame, None)
        return exp.Not(this=exp.Paren(this=is_null(self.step(draft.name, PERSON))))

    def aggregate(self, node: nodes.CountRows | nodes.Aggregate) -> exp.Expr:
        name, draft = self.compiler.aggregate(node)
        return self.step(draft.name, name)

    def concepts(self, concepts: nodes.ConceptSet) -> exp.Query | list[int]:
        out = {concept.id for concept in concepts.concepts if concept.excluded}
        if not any(concept.descendants for concept in concepts.concepts):
            return sorted({concept.id for concept in concepts.concepts} - out)
        draft = self.compiler.concept_set(concepts)
        self.reads.append(draft.name)
        return exp.select(_name("concept_id")).from_(self.compiler.places.step(draft.name))

    def finish(self, select: exp.Select, source: exp.Table, conditions: list[exp.Expr]) -> exp.Select:
        """The SELECT with its source, joins and conditions."""
        select = select.from_(exp.alias_(source, self.alias, quoted=True, table=True))
        for name in sorted(self.joins):
            table = exp.alias_(self.joins[name], name, quoted=True, table=True)
            on = exp.EQ(this=column(PERSON, name), expression=column(PERSON, self.alias))
            select = select.join(table, on=on, join_type="left")
        return select.where(all_of(conditions)) if conditions else select


class _Compiler:
    def __init__(self, places: Places) -> None:
        self.places = places
        self.drafts: dict[object, _Draft] = {}
        self.aggregate_names: dict[object, tuple[str, _Draft]] = {}
        self.tables: set[str] = set()

    def table(self, name: str) -> exp.Table:
        self.tables.add(name)
        return self.places.table(name)

    def cohort(self, cohort: Cohort) -> Compiled:
        base = "person" if cohort.source == "omop" else "records"
        scope = _Scope(self, BASE, base)
        columns: dict[str, exp.Expr] = {PERSON: exp.cast(column(PERSON, BASE), "bigint")}
        for each in cohort.columns:
            if isinstance(each.series, nodes.RecordField):
                tree = scope.record(each.series.column)
            else:
                tree = expression(each.series, scope)
            columns[each.name] = encoded(tree, each.type)
        everyone = cohort.population == nodes.Value(of="bool", value=True)
        conditions = [] if everyone else [expression(cohort.population, scope)]
        source = self.table(base)
        last = scope.finish(exp.select(), source, conditions)
        alone = exp.alias_(source, BASE, quoted=True, table=True) if not scope.joins else None
        return Compiled(self.ordered(scope), last, columns, alone, tuple(sorted(self.tables)))

    def ordered(self, last: _Scope) -> tuple[Step, ...]:
        """Every step after the steps that it reads."""
        by_name = {draft.name: draft for draft in self.drafts.values()}
        needs = {name: [*draft.scope.joined, *draft.scope.reads] for name, draft in by_name.items()}
        uses = [name for names in [*needs.values(), last.joined, last.reads] for name in names]
        order: list[str] = []

        def visit(name: str) -> None:
            if name not in order:
                for other in sorted(set(needs[name])):
                    visit(other)
                order.append(name)

        for name in by_name:
            visit(name)
        return tuple(Step(name, by_name[name].build(), uses.count(name)) for name in order)

    def draft(self, key: object, name: str, scope: _Scope, build: Callable[[_Draft], exp.Query]) -> _Draft:
        if key in self.drafts:
            return self.drafts[key]
        draft = _Draft(f"{name}_{len(self.drafts) + 1}", scope, lambda: build(draft))
        self.drafts[key] = draft
        return draft

    # --- frames

    def rows(self, frame: nodes.EventFrame, scope: _Scope) -> tuple[exp.Table, list[exp.Expr]]:
        """Where the rows of a frame are, and the conditions that keep them."""
        if isinstance(frame, nodes.Events):
            return self.table(frame.table), []
        if isinstance(frame, nodes.Washout):
            draft = self.washout(frame)
            scope.reads.append(draft.name)
            return self.places.step(draft.name), []
        source, conditions = self.rows(frame.source, scope)
        tree = expression(frame.condition, scope)
        return source, [*conditions, not_yes(tree) if isinstance(frame, nodes.ExceptWhere) else tree]

    def pick(self, frame: nodes.Pick) -> _Draft:
        if frame in self.drafts:
            return self.drafts[frame]
        scope = _Scope(self, ROW)
        source, conditions = self.rows(frame.source, scope)
        order = self.order(frame, scope)

        def build(draft: _Draft) -> exp.Query:
            rank = exp.Window(
                this=exp.RowNumber(), partition_by=[column(PERSON, ROW)], order=exp.Order(expressions=order)
            )
            names = sorted(draft.columns)
            inner = exp.select(column(PERSON, ROW), *(draft.columns[name] for name in names))
            inner = inner.select(exp.alias_(rank, "row_rank", quoted=True))
            inner = scope.finish(inner, source, conditions)
            outer = exp.select(*(column(name, "ranked") for name in [PERSON, *names]))
            first = exp.EQ(this=column("row_rank", "ranked"), expression=whole(1))
            return outer.from_(inner.subquery(exp.to_identifier("ranked", quoted=True))).where(first)

        return self.draft(frame, f"{frame.position}_{frame.table}", scope, build)

    def order(self, frame: nodes.Pick, scope: _Scope) -> list[exp.Ordered]:
        table = CDM[frame.table]
        last = frame.position == "last"
        others = [each.name for each in table.columns if each.name != "person_id"]
        ties = [column(name, ROW) for name in ([table.primary_key] if table.primary_key else others)]
        keys = [expression(key, scope) for key in frame.by] + list(ties)
        return [exp.Ordered(this=key, desc=last, nulls_first=False) for key in keys]

    def aggregates(self, frame: nodes.EventFrame, own: nodes.SeriesNode | None) -> _Draft:
        """The step of a frame's aggregates; `own` asks for one apart, where a value itself needs other steps."""
        key = ("aggregates", frame, own)
        if key in self.drafts:
            return self.drafts[key]
        scope = _Scope(self, ROW)
        source, conditions = self.rows(frame, scope)

        def build(draft: _Draft) -> exp.Query:
            named = [exp.alias_(tree, name, quoted=True) for name, tree in draft.columns.items()]
            select = scope.finish(exp.select(column(PERSON, ROW), *named), source, conditions)
            return select.group_by(column(PERSON, ROW))

        return self.draft(key, f"persons_with_{frame.table}", scope, build)

    def aggregate(self, node: nodes.CountRows | nodes.Aggregate) -> tuple[str, _Draft]:
        if node in self.aggregate_names:
            return self.aggregate_names[node]
        if isinstance(node, nodes.CountRows):
            draft = self.aggregates(node.frame, None)
            name = "count"
            tree: exp.Expr = exp.Count(this=exp.Star())
        else:
            apart = any(isinstance(each, REDUCTIONS) for each in nodes.walk(node.of))
            draft = self.aggregates(node.frame, node.of if apart else None)
            name = f"{node.how}_{len(draft.columns) + 1}"
            tree = _reduced(node, expression(node.of, draft.scope))
        draft.columns[name] = tree
        self.aggregate_names[node] = name, draft
        return name, draft

    def washout(self, frame: nodes.Washout) -> _Draft:
        if frame in self.drafts:
            return self.drafts[frame]
        date = CDM[frame.table].start
        if date is None:
            raise PlanError(f"A washout needs a date; {frame.table} has none.")
        every = exp.Column(this=exp.Star(), table=exp.to_identifier(ROW, quoted=True))
        inside = _Scope(self, ROW)
        source, conditions = self.rows(frame.source, inside)
        all_rows = self.draft(
            ("rows", frame.source),
            f"rows_of_{frame.table}",
            inside,
            lambda draft: inside.finish(exp.select(every), source, conditions),
        )
        day = exp.alias_(column(date, ROW), "day", quoted=True)
        dated = exp.select(column(PERSON, ROW), day).distinct()
        dated = dated.from_(exp.alias_(self.places.step(all_rows.name), ROW, quoted=True, table=True))
        dated = dated.where(exp.Not(this=exp.Paren(this=is_null(column(date, ROW)))))
        before = exp.Window(
            this=exp.Lag(this=column("day", "dated")),
            partition_by=[column(PERSON, "dated")],
            order=exp.Order(expressions=[exp.Ordered(this=column("day", "dated"), nulls_first=False)]),
        )
        days = exp.select(
            column(PERSON, "dated"), column("day", "dated"), exp.alias_(before, "before", quoted=True)
        )
        days = days.from_(dated.subquery(exp.to_identifier("dated", quoted=True)))
        start = moved(column("day", "days"), whole(-frame.days), "days")
        clear = exp.Or(
            this=exp.Paren(this=is_null(column("before", "days"))),
            expression=exp.Paren(this=exp.LT(this=column("before", "days"), expression=start)),
        )
        kept: list[exp.Expr] = (
            [clear, self.observed(start, column("day", "days"))] if frame.observed else [clear]
        )
        on = exp.and_(
            exp.EQ(this=column(PERSON, "days"), expression=column(PERSON, ROW)),
            exp.EQ(this=column("day", "days"), expression=column(date, ROW)),
        )
        scope = _Scope(self, ROW)
        scope.reads += [all_rows.name, all_rows.name]

        def build(draft: _Draft) -> exp.Query:
            select = exp.select(every).from_(
                exp.alias_(self.places.step(all_rows.name), ROW, quoted=True, table=True)
            )
            return select.join(days.subquery(exp.to_identifier("days", quoted=True)), on=on).where(
                all_of(kept)
            )

        return self.draft(frame, f"new_{frame.table}", scope, build)

    def observed(self, start: exp.Expr, end: exp.Expr) -> exp.Expr:
        """Whether an observation period covers these days of the row's person."""
        period = exp.select(whole(1)).from_(
            exp.alias_(self.table("observation_period"), "o", quoted=True, table=True)
        )
        period = period.where(
            all_of(
                [
                    exp.EQ(this=column(PERSON, "o"), expression=column(PERSON, ROW)),
                    exp.LTE(this=column("observation_period_start_date", "o"), expression=start.copy()),
                    exp.GTE(this=column("observation_period_end_date", "o"), expression=end.copy()),
                ]
            )
        )
        return exp.Exists(this=period)

    def concept_set(self, concepts: nodes.ConceptSet) -> _Draft:
        if concepts in self.drafts:
            return self.drafts[concepts]
        included = self.ids([one for one in concepts.concepts if not one.excluded])
        taken_out = [one for one in concepts.concepts if one.excluded]
        excluded = self.ids(taken_out) if taken_out else None

        def build(draft: _Draft) -> exp.Query:
            if excluded is None:
                return included
            inside = included.subquery(exp.to_identifier("included", quoted=True))
            out = exp.In(this=column("concept_id", "included"), query=exp.Subquery(this=excluded))
            kept = (
                exp.select(column("concept_id", "included"))
                .from_(inside)
                .where(exp.Not(this=exp.Paren(this=out)))
            )
            # Never empty: SQL calls a missing value in an empty set "no", in any other set "missing".
            return exp.union(kept, _id_row([SENTINEL]), distinct=True)

        return self.draft(concepts, "concepts", _Scope(self, ROW), build)

    def ids(self, concepts: list[nodes.Concept]) -> exp.Query:
        """The concepts themselves and, where asked, all that the site's vocabulary puts below them."""
        tree: exp.Query = _id_row(sorted({concept.id for concept in concepts}))
        roots = sorted({concept.id for concept in concepts if concept.descendants})
        if not roots:
            return tree
        below = exp.cast(column("descendant_concept_id", "a"), "bigint")
        descendants = exp.select(exp.alias_(below, "concept_id", quoted=True)).from_(
            exp.alias_(self.table("concept_ancestor"), "a", quoted=True, table=True)
        )
        is_below = exp.In(
            this=column("ancestor_concept_id", "a"), expressions=[whole(root) for root in roots]
        )
        known = exp.Not(this=exp.Paren(this=is_null(column("descendant_concept_id", "a"))))
        return exp.union(tree, descendants.where(all_of([is_below, known])), distinct=True)


def _name(name: str) -> exp.Identifier:
    return exp.to_identifier(name, quoted=True)


def _id_row(ids: list[int]) -> exp.Select:
    rows = [exp.Tuple(expressions=[exp.cast(whole(one), "bigint")]) for one in ids]
    alias = exp.TableAlias(this=_name("listed"), columns=[_name("concept_id")])
    return exp.select(column("concept_id", "listed")).from_(exp.Values(expressions=rows, alias=alias))


def _reduced(node: nodes.Aggregate, tree: exp.Expr) -> exp.Expr:
    if node.how == "count_distinct":
        return exp.Count(this=exp.Distinct(expressions=[tree]))
    if node.how == "mean":
        return exp.Avg(this=exp.cast(tree, "double"))
    kinds: dict[str, type[exp.AggFunc]] = {"sum": exp.Sum, "min": exp.Min, "max": exp.Max}
    return cast(kinds[node.how](this=tree), node.returns)
