"""What researchers type: the names that `import civicgrid as cg` offers for saying who and what a study is
about.

    gp = cg.cdm("gp")
    celecoxib = cg.concept_set(1118084, name="celecoxib").with_descendants()
    taken = gp.drug_exposure.where(gp.drug_exposure.concept.is_in(celecoxib))
    first = taken.sort_by(taken.start_date).first_for_person()
    cohort = cg.cohort(population=first.exists_for_person(), age=gp.person.age_on(first.start_date))

Missing values follow SQL: a comparison with something missing is missing; a population and `where` keep only
what is yes. Nothing is read while this is written: it becomes a plan, and the plan travels.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from civicgrid.errors import PlanError
from civicgrid.query import nodes
from civicgrid.query.cohort import Cohort, OutputColumn
from civicgrid.query.concepts import Concepts, concept_set
from civicgrid.query.frames import EVERYONE, EventFrame, Omop, ResearchTable, cdm, dataset
from civicgrid.query.kinds import SeriesType
from civicgrid.query.series import Bool, Date, Duration, Label, Number, Series, Source, as_series, wrap
from civicgrid.query.types import category

__all__ = [
    "Cohort",
    "Concepts",
    "Omop",
    "ResearchTable",
    "case",
    "category",
    "cdm",
    "cohort",
    "concept_set",
    "dataset",
    "days",
    "follow_up",
    "maximum_of",
    "minimum_of",
    "months",
    "run_date",
    "when",
    "years",
]


TEXT, DAY = SeriesType("text"), SeriesType("date")


def cohort(population: Bool, **columns: Series) -> Cohort:
    """The persons for whom `population` is yes, with these columns."""
    given = {"population": population, **columns}
    for name, series in given.items():
        if not isinstance(series, Series):
            raise PlanError(f"Expected a series for {name!r}; {type(series).__name__} came. {_hint(series)}")
    sources = list(dict.fromkeys(series.source for series in given.values() if series.source is not None))
    if len(sources) != 1:
        came = " and ".join(f"{source.dataset!r} ({source.kind})" for source in sources) or "none"
        raise PlanError(
            f"A cohort reads one data set; {came} came. For all of its people write its .everyone."
        )
    source = sources[0]
    every = tuple(
        OutputColumn(
            name=name,
            series=series.node,
            low=series.range and series.range[0],
            high=series.range and series.range[1],
        )
        for name, series in columns.items()
    )
    return Cohort(dataset=source.dataset, source=source.kind, population=population.node, columns=every)


def days(amount: int | Number) -> Duration:
    """A length of time in days, to add to a date."""
    return Duration(amount, "days")


def months(amount: int | Number) -> Duration:
    """A length of time in calendar months: 31 January + 1 month is the last day of February."""
    return Duration(amount, "months")


def years(amount: int | Number) -> Duration:
    """A length of time in calendar years: 29 February + 1 year is 28 February."""
    return Duration(amount, "years")


def run_date(day: str | dt.date) -> Date:
    """The day that a run is for, "2026-11-24" say: a date like any other, but that a study which is the same except for
    this day is the same *template*, which a permit can allow as a standing study.
    """
    if isinstance(day, dt.datetime) or not isinstance(day, str | dt.date):
        raise PlanError(f'run_date() expects a day, such as "2026-11-24"; {type(day).__name__} came.')
    made = wrap(nodes.RunDate(day=day if isinstance(day, str) else day.isoformat()))
    assert isinstance(made, Date)
    return made


class when:  # a word of the language, written like the functions beside it
    """One arm of a case: `when(age > 50).then("older")`."""

    def __init__(self, condition: Bool) -> None:
        if not isinstance(condition, Series):
            raise PlanError(f"when() expects a condition such as age > 50; {type(condition).__name__} came.")
        self.condition: Series = condition
        self.value: Series | None = None

    def then(self, value: object) -> when:
        """The value where the condition is yes."""
        arm = when(self.condition)  # type: ignore[arg-type]
        arm.value = as_series(value, TEXT)
        return arm


def case(*arms: when, otherwise: object = None) -> Series:
    """The value of the first arm whose condition is yes, else `otherwise`, else missing. Texts become a
    category.
    """
    whens, parts = [], []
    for arm in arms:
        if not isinstance(arm, when) or arm.value is None:
            raise PlanError('case() expects arms such as when(age > 50).then("older").')
        whens.append(nodes.When(condition=arm.condition.node, then=arm.value.node))
        parts += [arm.condition, arm.value]
    last = None if otherwise is None else as_series(otherwise, TEXT)
    node = nodes.Case(whens=tuple(whens), otherwise=last.node if last is not None else None)
    return wrap(node, *parts, *([last] if last is not None else []))


def minimum_of(*series: Series) -> Series:
    """The smallest or earliest for each person, leaving out what is missing."""
    return wrap(nodes.Extreme(which="smallest", parts=tuple(one.node for one in series)), *series)


def maximum_of(*series: Series) -> Series:
    """The largest or latest for each person, leaving out what is missing."""
    return wrap(nodes.Extreme(which="largest", parts=tuple(one.node for one in series)), *series)


class FollowedUp:
    """Time at risk for each person: how long, whether the event ended it, and what did. See `follow_up`."""

    def __init__(self, node: nodes.FollowUp, source: Source | None) -> None:
        self._node, self._source = node, source

    @property
    def days(self) -> Number:
        """Days from the start to the end."""
        made = self._part("days")
        assert isinstance(made, Number)
        return made

    @property
    def event(self) -> Bool:
        """Whether the event ended the follow-up."""
        made = self._part("event")
        assert isinstance(made, Bool)
        return made

    @property
    def reason(self) -> Label:
        """What ended it: event, death, end of observation, end of study or end of follow-up."""
        made = self._part("reason")
        assert isinstance(made, Label)
        return made

    @property
    def end(self) -> Date:
        """The last day."""
        made = self._part("end")
        assert isinstance(made, Date)
        return made

    def _part(self, part: Any) -> Series:
        return wrap(nodes.FollowUpField(follow_up=self._node, part=part), Series(EVERYONE, self._source))


def follow_up(
    start: Series,
    *,
    event: Series | EventFrame,
    until: object = None,
    max_days: int | None = None,
    first_day: int = 1,
    death: Series | None = None,
    observed_until: Series | None = None,
) -> FollowedUp:
    """Follow each person from `start` to the earliest of the event and everything that ends observation.

    `event` is a frame (its first row on or after `first_day` days from the start counts) or one date a person
    (which counts under the same rule). `until` is the end of the study. In an OMOP data set death and the end
    of the observation period that covers the start end it too, and a person not under observation at the
    start has no follow-up; in a research table give `death=` and `observed_until=` where it has them.
    """
    source = start.source
    if isinstance(event, EventFrame):
        at_risk = start + days(first_day)
        later = event.where(event.start_date >= at_risk)
        event = later.start_date.minimum_for_person()
    if source is not None and source.kind == "omop":
        tables = Omop(source.dataset)
        if death is None:
            death = tables.death.date.minimum_for_person()
        if observed_until is None:
            periods = tables.observation_period
            covering = periods.where((periods.start_date <= start) & (periods.end_date >= start))
            observed_until = covering.end_date.maximum_for_person()
    last = None if until is None else as_series(until, DAY)
    parts = [part for part in (start, event, death, observed_until, last) if part is not None]
    joined = wrap(EVERYONE, *parts)
    node = nodes.FollowUp(
        start=start.node,
        event=event.node,
        death=death.node if death is not None else None,
        observed_until=observed_until.node if observed_until is not None else None,
        until=last.node if last is not None else None,
        max_days=max_days,
        first_day=first_day,
    )
    return FollowedUp(node, joined.source)


def _hint(came: object) -> str:
    if isinstance(came, EventFrame):
        return "A frame has many rows a person: use exists_for_person(), count_for_person() or first_for_person()."
    if isinstance(came, FollowedUp):
        return "Take one of its parts: .days, .event, .reason or .end."
    return "Use a column or an expression; for all people write the data set's .everyone."
