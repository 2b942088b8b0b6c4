"""A plan: one cohort and the methods run on it. Its SHA-256 is its identity everywhere.

A plan is complete: the types, levels and public ranges of its columns stand in it, so that what is read in plain English,
signed, and run are the same thing. `bind` makes one from what a researcher wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, cast

from pydantic import Field

from civicgrid.canonical import Node, digest, dumps, parse
from civicgrid.errors import PlanError
from civicgrid.methods import METHODS, AnyMethod, Method
from civicgrid.omop.cdm import CDM
from civicgrid.query.cohort import Cohort, whole_table
from civicgrid.query.explain import explain as explain_cohort
from civicgrid.query.frames import Omop
from civicgrid.query.nodes import (
    And,
    BirthDate,
    Events,
    IsNull,
    Not,
    PersonField,
    PickField,
    RecordField,
    RowField,
    Value,
    Washout,
    walk,
)
from civicgrid.query.rules import printable
from civicgrid.query.types import Schema

FORMAT = 1
MAX_ANALYSES = 50
OBSERVED = frozenset(
    {"observation_period.observation_period_start_date", "observation_period.observation_period_end_date"}
)
"""What a washout reads beside what is written."""


class Analysis(Node):
    """A method of the plan under the name that its answer goes by."""

    name: Annotated[str, Field(pattern="^[A-Za-z][A-Za-z0-9_]{0,62}$")]
    method: AnyMethod


class Plan(Node):
    """What is to be worked out: a population, its columns, and the methods run on them."""

    kind: Literal["plan"] = "plan"
    title: Annotated[str, Field(max_length=200)] = ""
    cohort: Cohort
    analyses: Annotated[tuple[Analysis, ...], Field(min_length=1, max_length=MAX_ANALYSES)]
    format: Literal[1] = 1

    def model_post_init(self, context: Any) -> None:
        if self.title:
            # Its explanation is what people decide by: a title must not pass for a line of it.
            printable("a study's title", self.title)
        names = [analysis.name for analysis in self.analyses]
        if len(set(names)) != len(names):
            raise PlanError("Expected each analysis under a name of its own; one name is used twice.")
        for analysis in self.analyses:
            analysis.method.check(self.schema)

    @property
    def dataset(self) -> str:
        return self.cohort.dataset

    @cached_property
    def schema(self) -> Schema:  # type: ignore[override]  # pydantic's own `schema` is deprecated and unused here
        return self.cohort.schema

    @cached_property
    def methods(self) -> dict[str, Method]:
        return {analysis.name: analysis.method for analysis in self.analyses}

    @cached_property
    def reads(self) -> frozenset[str]:
        """Every column that the plan reads, as "table.column"; for a research table "records.column"."""
        return reads(self.cohort)

    @cached_property
    def identity(self) -> str:
        """The digest, worked out once."""
        return self.digest()

    @property
    def run_date(self) -> str | None:
        """The day that the run is for, where the plan names one."""
        return self.cohort.run_date

    @cached_property
    def template(self) -> str | None:
        """The digest of the plan without the day that it is run for; None for a plan that names no such day.

        Never the digest of a plan: a plan without its day cannot be read.
        """
        return None if self.run_date is None else digest(dumps(_undated(self.to_data())))

    def unused(self) -> tuple[str, ...]:
        """Columns of the cohort that no method reads: asked for, and not needed."""
        used = {name for method in self.methods.values() for name in method.columns()}
        return tuple(name for name in self.schema.names if name not in used)

    def explain(self) -> str:
        """The whole plan in plain English. Any change of meaning changes the words."""
        lines = [f"Study: {self.title}"] if self.title else []
        lines += [explain_cohort(self.cohort), "What is worked out:"]
        for number, analysis in enumerate(self.analyses, 1):
            lines.append(f"{number}. {analysis.name}: {analysis.method.explain(self.schema)}")
        return "\n".join(lines)


def _undated(data: Any) -> Any:
    """The JSON data of a plan with the day of its run left blank."""
    if isinstance(data, dict):
        run_date = data.get("kind") == "run_date"
        return {name: "" if run_date and name == "day" else _undated(value) for name, value in data.items()}
    return [_undated(item) for item in data] if isinstance(data, list) else data


def sources(cohort: Cohort) -> dict[str, frozenset[str]]:
    """For each column of a cohort, the columns of the data that it is made from: those that join tables among them, since
    a count of records is made from nothing else.
    """
    return {column.name: reads(column.series) for column in cohort.columns}


def reads(cohort: Node) -> frozenset[str]:
    """Every column that a cohort, or a part of one, reads, as "table.column", those that its words imply among them."""
    found: set[str] = set()
    for node in walk(cohort):
        match node:
            case RowField():
                found.add(f"{node.table}.{node.column}")
            case PersonField():
                found.add(f"person.{node.column}")
            case BirthDate():
                found |= {f"person.{part}_of_birth" for part in ("year", "month", "day")}
            case RecordField():
                found.add(f"records.{node.column}")
            case PickField():
                found.add(f"{node.frame.table}.{node.column}")
            case Events():
                found.add(f"{node.table}.person_id")
            case Washout():
                found.add(f"{node.table}.{CDM[node.table].start}")
                if node.observed:
                    found |= OBSERVED
    return frozenset(found)


def read_plan(raw: bytes | str) -> Plan:
    """A plan from its JSON. A plan of a later format is refused with advice rather than misread."""
    check_format(parse(raw))
    return Plan.from_bytes(raw)


def check_format(data: Any) -> None:
    """Raise PlanError for the JSON data of a plan that a later version has written."""
    came = data.get("format", FORMAT) if isinstance(data, dict) else FORMAT
    if isinstance(came, int) and came > FORMAT:
        raise PlanError(
            f"This plan is of format {came}; this version of Civic Grid reads up to format {FORMAT}. Update it, or "
            "write the plan with the version installed here."
        )


def bind(
    source: Any,
    methods: Mapping[str, Method],
    dictionaries: Mapping[str, Schema],
    title: str = "",
    complete: bool = False,
) -> Plan:
    """The complete plan for methods written on a cohort or on a research table's handle.

    `dictionaries` holds the declared schema of every research table that the grid knows, by data set; a handle without
    types takes them from there. `complete` leaves out of the population who lacks a value that any of the methods reads, so
    that all of them are about the same people. PlanError where a data set or column is not known, naming those that are.
    """
    if not isinstance(source, Cohort):
        source = _table(source, methods, dictionaries)
    if complete:
        read = {name for method in methods.values() for name in method.columns()}
        there = [Not(part=IsNull(part=column.series)) for column in source.columns if column.name in read]
        own = source.population.parts if isinstance(source.population, And) else (source.population,)
        everyone = own == (Value(of="bool", value=True),)
        parts = (*(() if everyone else own), *there)
        if there:
            population = parts[0] if len(parts) == 1 else And(parts=parts)
            source = Cohort(
                dataset=source.dataset, source=source.source, population=population, columns=source.columns
            )
    return Plan(
        title=title,
        cohort=source,
        analyses=tuple(Analysis(name=name, method=cast(Any, method)) for name, method in methods.items()),
    )


def _table(source: Any, methods: Mapping[str, Method], dictionaries: Mapping[str, Schema]) -> Cohort:
    if isinstance(source, Omop):
        raise PlanError(
            "A data set of OMOP tables has many rows a person, so a method is run on a cohort of it: "
            "cg.cohort(population=frame.exists_for_person(), age=…)."
        )
    name = source if isinstance(source, str) else getattr(source, "name", None)
    if not isinstance(name, str):
        raise PlanError(
            f"A method is run on a cohort or on a data set; {type(source).__name__} came. Write it as, for example, "
            f"{next(iter(METHODS.values())).__name__}(cg.dataset(\"trial\"))."
        )
    schema = getattr(source, "schema", None) or dictionaries.get(name)
    if schema is None:
        known = ", ".join(sorted(dictionaries)) or "none"
        raise PlanError(f"No site of this grid has a research table called {name!r}. It has: {known}.")
    wanted = {column for method in methods.values() for column in method.columns()}
    unknown = sorted(wanted - set(schema.names))
    if unknown:
        raise PlanError(
            f"The data set {name!r} has no column {', '.join(map(repr, unknown))}. It has: {', '.join(schema.names)}."
        )
    return whole_table(name, schema, [column for column in schema.names if column in wanted])
