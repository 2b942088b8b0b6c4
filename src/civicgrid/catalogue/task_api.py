"""Counts between Civic Grid and the HDR UK Cohort Discovery agent (Bunny), in the queries of its Task API.

`to_cohort` reads an availability query as the agent does and gives the Civic Grid cohort that counts the same people;
`to_query` writes a cohort as a query, so that a site that already runs the agent can answer; `read_result` reads what the
agent gives back. What one side cannot say is refused with the part named: nothing is counted that means something else.

How the agent reads a rule, which differs from what one would guess:

- A concept is that concept alone, without its descendants, looked for in the table that the rule's category names (of
  "Medication" in five tables at once).
- An age is a difference of years: this year less the year of birth, or the year of the event less it.
- "|1:TIME:M" is on or after the day one month ago, "1|:TIME:M" on or before it.
- A person's concept is a gender, an ethnicity or a race by its own domain.

Source: Health-Informatics-UoN/hutch-bunny, the models under rquest_models and its query builders.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from civicgrid.canonical import describe, parse
from civicgrid.catalogue.task_rules import Group, Rule, groups_of, refused
from civicgrid.errors import PlanError, WireError
from civicgrid.query.cohort import Cohort
from civicgrid.query.frames import EventFrame, Omop
from civicgrid.query.language import cohort as cohort_of
from civicgrid.query.language import months, run_date
from civicgrid.query.series import Bool, Number

TABLES = {
    "Condition": "condition_occurrence", "Drug": "drug_exposure", "Measurement": "measurement",
    "Observation": "observation", "Procedure": "procedure_occurrence", "Specimen": "specimen", "Death": "death",
}  # fmt: skip
ANYWHERE = ("Condition", "Drug", "Measurement", "Observation", "Procedure")
"""Where the agent looks for a "Medication"."""

GENDERS = frozenset({8507, 8532, 8521, 8551, 8570})
ETHNICITIES = frozenset({38003563, 38003564})
"""The standard concepts of OMOP's domains Gender and Ethnicity; every other concept of a person is a race."""

MOST_MONTHS = 12 * 150


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class _Rule(_Message):
    varname: str = ""
    varcat: Literal[
        "Person", "Condition", "Drug", "Measurement", "Observation", "Procedure", "Specimen", "Death", "Medication",
        "Location",
    ]  # fmt: skip
    type: str = "TEXT"
    oper: Literal["=", "!="] = "="
    value: str = ""
    time: str | None = None
    secondary_modifier: list[int] | None = None


class _Group(_Message):
    rules: Annotated[list[_Rule], Field(min_length=1, max_length=500)]
    rules_oper: Literal["AND", "OR"]


class _Cohort(_Message):
    groups: Annotated[list[_Group], Field(min_length=1, max_length=100)]
    groups_oper: Literal["AND", "OR"]


class _Query(_Message):
    cohort: _Cohort


def to_cohort(query: bytes | str, dataset: str, today: dt.date) -> Cohort:
    """The cohort whose people an availability query counts, in this OMOP data set, on this day.

    WireError for what is no query; PlanError for a query that asks what no cohort says, naming the part.
    """
    try:
        data = parse(query)
    except PlanError as error:
        raise WireError(f"The query cannot be read. {error}") from None
    if isinstance(data, dict) and "cohort" not in data and "analysis" in data:
        kind = str(data["analysis"])[:20].lower()
        raise refused(f"a {kind} query, which asks for a whole distribution and not for a count")
    try:
        read = _Query.model_validate(data)
    except ValidationError as error:
        raise WireError(f"This is not an availability query: {describe(error)}") from None
    tables = Omop(dataset)
    groups = [
        _joined(group.rules_oper, [_rule(rule, tables, today) for rule in group.rules]) for group in read.cohort.groups
    ]
    return cohort_of(population=_joined(read.cohort.groups_oper, groups))


def _joined(how: str, parts: list[Bool]) -> Bool:
    joined = parts[0]
    for part in parts[1:]:
        joined = joined & part if how == "AND" else joined | part
    return joined


def _rule(rule: _Rule, tables: Omop, today: dt.date) -> Bool:
    if rule.varcat == "Location" or rule.type == "GEO_RADIUS":
        raise refused("a place (Location), which cohorts do not hold")
    if rule.type not in ("TEXT", "NUM"):
        raise refused(f"a rule of the type {rule.type[:20]!r}")
    found = _of_person(rule, tables, today) if rule.varcat == "Person" else _of_events(rule, tables, today)
    return found if rule.oper == "=" else ~found


def _of_person(rule: _Rule, tables: Omop, today: dt.date) -> Bool:
    age = _number(run_date(today).year - tables.person.year_of_birth)
    if rule.varname == "AGE":
        if rule.time:
            raise refused("a time beside an age")
        if rule.oper == "!=":
            # The agent reads such a rule as if it were included.
            raise refused("an age that is excluded")
        low, high = _range(rule.value)
        return age.is_between(math.ceil(low), math.floor(high))
    concept = _concept(rule.value)
    column = "gender" if concept in GENDERS else "ethnicity" if concept in ETHNICITIES else "race"
    found: Bool = getattr(tables.person, f"{column}_concept_id") == concept
    if rule.time:
        low_age, high_age, kind = _time(rule.time)
        if kind != "AGE":
            raise refused("a time beside a person's own concept")
        found = found & (age >= low_age if low_age is not None else age <= high_age)
    return found


def _of_events(rule: _Rule, tables: Omop, today: dt.date) -> Bool:
    if rule.type == "NUM":
        name, _, concept_text = rule.varname.partition("=")
        if name != "OMOP" or rule.varcat not in ("Measurement", "Observation"):
            raise refused("a number of anything but a measurement or an observation")
        concept, values = _concept(concept_text), _range(rule.value)
    else:
        concept, values = _concept(rule.value), None
    found = [
        _events(rule, getattr(tables, TABLES[where]), concept, values, tables, today).exists_for_person()
        for where in (ANYWHERE if rule.varcat == "Medication" else (rule.varcat,))
    ]
    return _joined("OR", found)


def _events(
    rule: _Rule, frame: EventFrame, concept: int, values: tuple[float, float] | None, tables: Omop, today: dt.date
) -> EventFrame:
    found = frame.where(frame.concept.is_in([concept]))
    if rule.secondary_modifier and frame._node.table == "condition_occurrence":
        found = found.where(frame.condition_type_concept_id.is_in(rule.secondary_modifier))
    if values is not None:
        found = found.where(frame.value_as_number.is_between(*values))
    if rule.time:
        low, high, kind = _time(rule.time)
        if kind == "AGE":
            age = _number(frame.start_date.year - tables.person.year_of_birth)
            found = found.where(age >= low if low is not None else age <= high)
        else:
            amount = low if low is not None else high
            assert amount is not None
            edge = run_date(today) - months(amount)
            found = found.where(frame.start_date <= edge if low is not None else frame.start_date >= edge)
    return found


def _number(series: Any) -> Number:
    assert isinstance(series, Number)
    return series


def _concept(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        raise refused("a value that is no OMOP concept id")
    return int(text)


def _range(text: str) -> tuple[float, float]:
    low, bar, high = text.partition("|")
    try:
        ends = (float(low), float(high))
    except ValueError:
        raise refused("a range that lacks an end") from None
    if not bar or not all(math.isfinite(end) for end in ends) or ends[0] > ends[1]:
        raise refused("a range whose ends are the wrong way round")
    return ends


def _time(text: str) -> tuple[int | None, int | None, Literal["AGE", "TIME"]]:
    """The lower or the upper bound, and of what: an age in years, or months ago."""
    span, _, rest = text.partition(":")
    low, bar, high = span.partition("|")
    if not bar or (low == "") == (high == "") or not (low + high).isdigit() or len(low + high) > 4:
        raise refused("a time that is not one whole number with a bar before or after it")
    if rest not in ("AGE:Y", "TIME:M") or (rest == "TIME:M" and int(low or high) > MOST_MONTHS):
        raise refused("a time in anything but years of age or months ago")
    kind: Literal["AGE", "TIME"] = "AGE" if rest == "AGE:Y" else "TIME"
    return (int(low) if low else None), (int(high) if high else None), kind


# --- the other way ---------------------------------------------------------------------------------------------------


def to_query(
    cohort: Cohort,
    today: dt.date,
    *,
    task: str,
    collection: str,
    owner: str,
    project: str,
    descendants: Callable[[int], frozenset[int]] | None = None,
) -> dict[str, Any]:
    """The availability query that counts the people of a cohort, as JSON data. PlanError, naming the part, where the
    agent cannot count them exactly.

    `descendants` gives a concept with all below it, by a vocabulary that holds at the agent's site; without it a concept
    set with descendants is refused.
    """
    how, groups = groups_of(cohort, today, descendants)
    return {
        "task_id": task,
        "project": project,
        "owner": owner,
        "cohort": {"groups": [_group(group) for group in groups], "groups_oper": how},
        "collection": collection,
        "protocol_version": "v2",
        "char_salt": "",
        "uuid": task,
    }


def _group(group: Group) -> dict[str, Any]:
    return {"rules": [_written(rule) for rule in group.rules], "rules_oper": group.how}


def _written(rule: Rule) -> dict[str, Any]:
    numeric = rule.values is not None
    span = None if rule.values is None else f"{rule.values[0]}|{rule.values[1]}"
    name = "AGE" if rule.concept is None else f"OMOP={rule.concept}" if numeric else "OMOP"
    data: dict[str, Any] = {
        "varname": name,
        "varcat": rule.category,
        "type": "NUM" if numeric else "TEXT",
        "oper": "=" if rule.included else "!=",
        "value": span if span is not None else str(rule.concept),
    }
    if rule.time:
        data["time"] = rule.time
    if rule.modifiers:
        data["secondary_modifier"] = list(rule.modifiers)
    return data


@dataclass(frozen=True)
class Told:
    """What an agent has told: for which task and collection, and how many people.

    The agent rounds, and gives 0 for few people as for none: `people` 0 says no more than that.
    """

    task: str
    collection: str
    people: int

    @property
    def suppressed(self) -> bool:
        return self.people == 0


class _Counted(_Message):
    count: Annotated[int, Field(ge=0, lt=2**53, strict=True)]


class _Result(_Message):
    uuid: Annotated[str, Field(max_length=200)]
    collection_id: Annotated[str, Field(max_length=200)]
    status: Literal["ok", "error"]
    query_result: _Counted = Field(alias="queryResult")


def read_result(raw: bytes | str, task: str, collection: str) -> Told:
    """The count in an agent's result for this task. WireError where it is no such result, or the agent failed.

    What the agent says of its failure is not passed on: it may quote its database.
    """
    try:
        read = _Result.model_validate(parse(raw))
    except PlanError as error:
        raise WireError(f"The agent's result cannot be read. {error}") from None
    except ValidationError as error:
        raise WireError(f"This is not a result of the Cohort Discovery agent: {describe(error)}") from None
    if (read.uuid, read.collection_id) != (task, collection):
        raise WireError("Expected the result of the task that was given; that of another task or collection came.")
    if read.status != "ok":
        raise WireError("The agent could not answer. Its operator finds the reason in its own log.")
    return Told(read.uuid, read.collection_id, read.query_result.count)
