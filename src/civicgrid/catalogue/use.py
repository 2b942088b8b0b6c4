"""How well a data set serves: findable, accessible, useful, utilised, each by measures that anybody can check.

No score adds them up: a data set that is well described and never used is not half good. A set that nobody has learnt from
says so. What goes in is public already: the record, and the register's decisions, studies and outputs.

- *Findable*: how much of what a record can say it says.
- *Accessible*: how many applications were decided, how many of them with a yes, and how long a decision took.
- *Useful*: how many variables are described and have a profile, and whether the data are as fresh as the record promises.
- *Utilised*: how many studies were run and how many outputs are public, ever and in the last twelve months.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from statistics import median

from civicgrid.catalogue.record import Frequency, Record, fields, missing

YEAR = dt.timedelta(days=365)

DECIDED_WITHIN = dt.timedelta(days=92)
"""Three months, as Article 68 of the European Health Data Space has it."""

FRESH: dict[Frequency, int | None] = {
    "continuous": 7, "daily": 7, "weekly": 14, "every two weeks": 30, "monthly": 62, "every two months": 124,
    "every three months": 186, "twice a year": 366, "yearly": 732, "every two years": 1464,
    "irregular": None, "never": None, "other": None,
}  # fmt: skip
"""For how many days a load counts as fresh: twice the time between two loads, a week at least. None: none is promised."""


@dataclass(frozen=True)
class Decision:
    """An application that asked for the data set: when it was complete, and when it was decided and how, if it is."""

    asked: dt.date
    decided: dt.date | None = None
    approved: bool = False


@dataclass(frozen=True)
class History:
    """What the register says of a data set: its applications, and the days of its studies and of their public outputs."""

    decisions: tuple[Decision, ...] = ()
    studies: tuple[dt.date, ...] = ()
    outputs: tuple[dt.date, ...] = ()


@dataclass(frozen=True)
class Use:
    """The measures of one data set on one day. Percentages are whole numbers; None where there is nothing to measure."""

    described: int
    lacking: int
    applications: int
    decided: int
    approved: int
    waiting: int
    days_to_decide: float | None
    in_time: int | None
    variables: int
    explained: int | None
    profiled: int | None
    fresh: bool | None
    studies: int
    studies_this_year: int
    outputs: int
    outputs_this_year: int

    def explain(self) -> dict[str, str]:
        """Each of the four in a sentence or two."""
        return {
            "findable": self._findable(),
            "accessible": self._accessible(),
            "useful": self._useful(),
            "utilised": self._utilised(),
        }

    def _findable(self) -> str:
        rest = "Nothing that it needs is missing." if not self.lacking else f"{_things(self.lacking, 'thing')} to mend."
        return f"The record says {self.described}% of what it could. {rest}"

    def _accessible(self) -> str:
        if not self.applications:
            return "Nobody has applied for it yet."
        if not self.decided or self.days_to_decide is None:
            return f"{_things(self.waiting, 'application')} waiting; none decided yet."
        waiting = f" {_things(self.waiting, 'application')} waiting." if self.waiting else ""
        return (
            f"{self.approved} of {_things(self.decided, 'application')} decided were approved. Half of the decisions took "
            f"{self.days_to_decide:g} days or fewer; {self.in_time}% came within three months.{waiting}"
        )

    def _useful(self) -> str:
        if not self.variables:
            words = "No variable is described."
        else:
            of = _things(self.variables, "variable")
            words = f"Of {of}, {self.explained}% are described and {self.profiled}% profiled."
        fresh = {True: " It is as fresh as it says.", False: " It has not been refreshed for longer than it says."}
        return words + (fresh[self.fresh] if self.fresh is not None else "")

    def _utilised(self) -> str:
        if not self.studies:
            return "No study has used it yet, so nothing has been learnt from it."
        studies = f"{_things(self.studies, 'study')} used it, {self.studies_this_year} in the last twelve months."
        if not self.outputs:
            return f"{studies} No output is public yet."
        return f"{studies} {_things(self.outputs, 'output')} public, {self.outputs_this_year} in the last twelve months."


def measured(record: Record, history: History, today: dt.date) -> Use:
    """The measures of a data set today."""
    said = fields()
    usual = Record(identifier="a")
    filled = sum(_says(record, usual, name) for name in said)
    decided = [each for each in history.decisions if each.decided is not None]
    took = [(each.decided - each.asked).days for each in decided if each.decided is not None]
    variables = list(record.variables())
    days = FRESH[record.frequency]
    fresh = None if days is None or record.refreshed is None else (today - record.refreshed).days <= days
    return Use(
        described=_percent(filled, len(said)) or 0,
        lacking=len(missing(record)),
        applications=len(history.decisions),
        decided=len(decided),
        approved=sum(each.approved for each in decided),
        waiting=len(history.decisions) - len(decided),
        days_to_decide=float(median(took)) if took else None,
        in_time=_percent(sum(days_taken <= DECIDED_WITHIN.days for days_taken in took), len(took)),
        variables=len(variables),
        explained=_percent(sum(bool(each.description) for each in variables), len(variables)),
        profiled=_percent(sum(each.profile is not None for each in variables), len(variables)),
        fresh=fresh,
        studies=len(history.studies),
        studies_this_year=sum(today - YEAR < day <= today for day in history.studies),
        outputs=len(history.outputs),
        outputs_this_year=sum(today - YEAR < day <= today for day in history.outputs),
    )


_GIVEN = ("custodian", "contact", "hdab")


def _says(record: Record, usual: Record, name: str) -> bool:
    """Whether a field that holds further fields says anything; any other says something as soon as it is not empty."""
    value = getattr(record, name)
    return value != getattr(usual, name) if name in _GIVEN else value not in (None, "", ())


def _percent(part: int, whole: int) -> int | None:
    return round(100 * part / whole) if whole else None


def _things(count: int, name: str) -> str:
    plural = name[:-1] + "ies" if name.endswith("y") else name + "s"
    return f"{count:,} {name if count == 1 else plural}"
