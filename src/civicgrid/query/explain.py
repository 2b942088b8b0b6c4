"""Any cohort in plain English, for the people who decide about it.

Short sentences; lists inside lists for "all of these" and "any of these"; whatever is used more than once, or is long,
gets a number and its own paragraph. Every part of a plan is in the words, and every name that a researcher chose is in
quotation marks that it cannot close, so that two plans with different meanings never read the same.
"""

from __future__ import annotations

from functools import singledispatch

from civicgrid.omop.cdm import CDM
from civicgrid.query import nodes
from civicgrid.query.cohort import Cohort, OutputColumn
from civicgrid.query.rules import parse_date
from civicgrid.query.types import ColumnType

INDENT = "  "
BIRTHS = (
    "About dates of birth: where the month is not known, 1 July is taken; where the day is not known, the 15th; where the "
    "year is not known, the date of birth is missing."
)
MISSING = (
    "About missing values: a question about something that is missing has no answer, and turning the question round "
    "does not give it one. A person or a record is kept only where the answer is yes."
)


def explain(cohort: Cohort) -> str:
    """The cohort in words, several paragraphs."""
    teller = _Teller()
    where = "health records (OMOP tables)" if cohort.source == "omop" else "research table"
    lines = [f"This reads the {where} of the data set {quoted(cohort.dataset)}.", ""]
    if cohort.population == nodes.Value(of="bool", value=True):
        lines += ["Who is included: everyone.", ""]
    else:
        lines += ["Who is included: each person for whom this is true:", *teller.block(cohort.population, 1), ""]
    if cohort.columns:
        lines.append("What is worked out for each person:")
        lines += [f"{INDENT}- {_column(column, teller)}" for column in cohort.columns]
    else:
        lines.append("Nothing else is worked out about each person.")
    for paragraph in teller.paragraphs():
        lines += ["", *paragraph]
    fields = {node.column: node.type for node in nodes.walk(cohort) if isinstance(node, nodes.RecordField)}
    if fields:
        lines += ["", "The columns of the research table that are read:"]
        lines += [f"{INDENT}- {quoted(name)}: {_type(fields[name])}" for name in sorted(fields)]
    if any(isinstance(node, nodes.BirthDate) for node in nodes.walk(cohort)):
        lines += ["", BIRTHS]
    return "\n".join([*lines, "", MISSING])


def quoted(text: str) -> str:
    """A name in quotation marks; a closing mark inside it is doubled."""
    return "“" + text.replace("”", "””") + "”"


def _plain(number: float) -> str:
    return str(int(number)) if number == int(number) else repr(number)


def _column(column: OutputColumn, teller: _Teller) -> str:
    words = f"{quoted(column.name)}: {teller.phrase(column.series)}"
    if column.low is None or column.high is None:
        return words + "."
    return f"{words}. It is expected to lie from {_plain(column.low)} to {_plain(column.high)}."


def _type(type_: ColumnType) -> str:
    kinds = {"bool": "yes or no", "int": "a whole number", "float": "a number", "date": "a date",
             "category": "a category"}
    words = kinds[type_.kind]
    if type_.levels:
        words += ", one of " + ", ".join(quoted(level) for level in type_.levels)
        words += " (anything else counts as missing)"
    if type_.low is not None and type_.high is not None:
        words += f", expected to lie from {_plain(type_.low)} to {_plain(type_.high)}"
    return words


class _Teller:
    """Puts nodes into words, and remembers which of them have been promised a paragraph of their own."""

    def __init__(self) -> None:
        self.labels: dict[nodes.PlanNode, str] = {}

    def label(self, kind: str, node: nodes.PlanNode) -> str:
        return self.labels.setdefault(node, f"{kind} {len(self.labels) + 1}")

    def paragraphs(self) -> list[list[str]]:
        """A paragraph for everything with a number; writing one may promise more."""
        done: list[list[str]] = []
        while len(done) < len(self.labels):
            node, label = list(self.labels.items())[len(done)]
            done.append(_define(node, label, self))
        return done

    def phrase(self, node: nodes.SeriesNode) -> str:
        return _say(node, self)

    def part(self, node: nodes.SeriesNode) -> str:
        """A phrase inside another, in brackets unless it cannot be misread."""
        words = _say(node, self)
        plain = isinstance(node, nodes.Value | nodes.RunDate | nodes.RowField | nodes.PersonField | nodes.BirthDate
                           | nodes.RecordField | nodes.PickField)
        return words if plain else f"({words})"

    def block(self, node: nodes.SeriesNode, level: int) -> list[str]:
        """A condition as a bullet, with lists inside lists."""
        start = INDENT * level + "- "
        if isinstance(node, nodes.And | nodes.Or):
            words = "all of these are true:" if isinstance(node, nodes.And) else "at least one of these is true:"
            return [start + words, *(line for part in node.parts for line in self.block(part, level + 1))]
        if isinstance(node, nodes.Not) and isinstance(node.part, nodes.And | nodes.Or):
            return [start + "it is not so that:", *self.block(node.part, level + 1)]
        return [start + self.phrase(node)]


# --- paragraphs


@singledispatch
def _define(node: nodes.PlanNode, label: str, teller: _Teller) -> list[str]:
    raise AssertionError(f"{type(node).__name__} has no paragraph")


def _frame(node: nodes.EventFrame, label: str, teller: _Teller) -> list[str]:
    chain: list[nodes.EventFrame] = []
    frame = node
    while not isinstance(frame, nodes.Events):
        chain.append(frame)
        frame = frame.source
    name = quoted(frame.table.replace("_", " "))
    lines = [f"{label}: the records in the table {name}" + (", in steps:" if chain else ".")]
    for step in reversed(chain):
        lines += _step(step, teller)
    return lines


def _step(step: nodes.EventFrame, teller: _Teller) -> list[str]:
    if isinstance(step, nodes.Where):
        return [f"{INDENT}- keep the records for which this is true:", *teller.block(step.condition, 2)]
    if isinstance(step, nodes.ExceptWhere):
        first = f"{INDENT}- leave out the records for which this is true (where there is no answer the record stays):"
        return [first, *teller.block(step.condition, 2)]
    assert isinstance(step, nodes.Washout)
    observed = (
        "and the person must have been under observation on all of those days and on the day itself"
        if step.observed else "whether or not the person was under observation on those days"
    )
    return [
        f"{INDENT}- keep the records that start something new: none of the records kept so far may fall in the "
        f"{step.days} days before, {observed}. Records without a date are left out."
    ]


for _kind in (nodes.Events, nodes.Where, nodes.ExceptWhere, nodes.Washout):
    _define.register(_kind, _frame)


@_define.register
def _(node: nodes.Pick, label: str, teller: _Teller) -> list[str]:
    keys = ", then by ".join(teller.part(key) for key in node.by)
    table = CDM[node.table]
    lowest = "lowest" if node.position == "first" else "highest"
    tie = f"the one with the {lowest} {table.primary_key.replace('_', ' ')}" if table.primary_key else (
        f"the one with the {lowest} values in its other columns, in their order")
    return [
        f"{label}: for each person the {node.position} record in {teller.label('List', node.source)}, "
        f"sorted by {keys}. A record where this is missing comes after the others. Where several are equal, {tie} "
        "is taken."
    ]


@_define.register
def _(node: nodes.And, label: str, teller: _Teller) -> list[str]:
    return [f"{label}:", *teller.block(node, 1)]


@_define.register
def _(node: nodes.Or, label: str, teller: _Teller) -> list[str]:
    return [f"{label}:", *teller.block(node, 1)]


@_define.register
def _(node: nodes.ConceptSet, label: str, teller: _Teller) -> list[str]:
    def listed(excluded: bool) -> str:
        return ", ".join(
            f"{one.id} and everything below it" if one.descendants else f"{one.id}"
            for one in node.concepts if one.excluded == excluded
        )

    out = listed(True)
    return [f"{label}, called {quoted(node.name)}: {listed(False)}" + (f"; but not {out}." if out else ".")]


@_define.register
def _(node: nodes.Case, label: str, teller: _Teller) -> list[str]:
    lines = [f"{label}: the first of these that fits:"]
    for when in node.whens:
        lines += [f"{INDENT}- it is {teller.part(when.then)} where this is true:", *teller.block(when.condition, 2)]
    last = teller.part(node.otherwise) if node.otherwise is not None else "missing"
    return [*lines, f"{INDENT}- otherwise it is {last}."]


@_define.register
def _(node: nodes.ToCategory, label: str, teller: _Teller) -> list[str]:
    lines = [f"{label}: a category made from {teller.part(node.part)}:"]
    lines += [f"{INDENT}- {teller.part(line.value)} becomes {quoted(line.level)}" for line in node.levels]
    if node.otherwise is None:
        return [*lines, f"{INDENT}- anything else stays missing."]
    return [*lines, f"{INDENT}- anything else, or something missing, becomes {quoted(node.otherwise)}."]


@_define.register
def _(node: nodes.FollowUp, label: str, teller: _Teller) -> list[str]:
    def ends(what: str, series: nodes.SeriesNode | None) -> str:
        return f"{what}: {teller.phrase(series)}" if series is not None else f"{what} does not end it"

    longest = f"it lasts at most {node.max_days} days" if node.max_days is not None else "it has no longest time"
    lines = [
        f"it starts on: {teller.phrase(node.start)}",
        f"the event: {teller.phrase(node.event)} (it counts from {node.first_day} days after the start)",
        ends("death", node.death),
        ends("the end of observation", node.observed_until),
        ends("the end of the study", node.until),
        longest,
    ]
    return [
        f"{label}: each person is followed from a start until the first of the things below. An event on the last "
        "day still counts. Someone without a start, or not under observation then, is not followed.",
        *(f"{INDENT}- {line}." for line in lines),
    ]


# --- phrases


@singledispatch
def _say(node: nodes.SeriesNode, teller: _Teller) -> str:
    raise AssertionError(f"{type(node).__name__} has no words")


@_say.register
def _(node: nodes.Value, teller: _Teller) -> str:
    if node.of == "bool":
        return "yes" if node.value else "no"
    if node.of == "date":
        return _day(str(node.value))
    if node.of == "float":
        return repr(float(node.value))
    return quoted(str(node.value)) if node.of == "text" else str(node.value)


def _day(text: str) -> str:
    day = parse_date(text)
    return f"{day.day} {day:%B} {day.year}"


@_say.register
def _(node: nodes.RunDate, teller: _Teller) -> str:
    return f"the day of the run ({_day(node.day)})"


@_say.register
def _(node: nodes.RowField, teller: _Teller) -> str:
    return f"the record's {node.column.replace('_', ' ')}"


@_say.register
def _(node: nodes.PersonField, teller: _Teller) -> str:
    return f"the person's {node.column.replace('_', ' ')}"


@_say.register
def _(node: nodes.BirthDate, teller: _Teller) -> str:
    return "the person's date of birth"


@_say.register
def _(node: nodes.RecordField, teller: _Teller) -> str:
    return f"the column {quoted(node.column)}"


@_say.register
def _(node: nodes.PickField, teller: _Teller) -> str:
    return f"the {node.column.replace('_', ' ')} of {teller.label('Record', node.frame)}"


@_say.register
def _(node: nodes.And, teller: _Teller) -> str:
    return f"{teller.label('Rule', node)} is true"


@_say.register
def _(node: nodes.Or, teller: _Teller) -> str:
    return f"{teller.label('Rule', node)} is true"


@_say.register
def _(node: nodes.Not, teller: _Teller) -> str:
    return f"it is not so that {teller.part(node.part)}"


@_say.register
def _(node: nodes.IsNull, teller: _Teller) -> str:
    return f"{teller.part(node.part)} is missing"


COMPARE = {
    "==": "is the same as", "!=": "is different from", "<": "is less than", "<=": "is at most",
    ">": "is more than", ">=": "is at least",
}
COMPARE_DATES = {
    "==": "is the same day as", "!=": "is another day than", "<": "is before", "<=": "is on or before",
    ">": "is after", ">=": "is on or after",
}


@_say.register
def _(node: nodes.Compare, teller: _Teller) -> str:
    words = COMPARE_DATES if node.left.returns.kind == "date" else COMPARE
    return f"{teller.part(node.left)} {words[node.op]} {teller.part(node.right)}"


@_say.register
def _(node: nodes.IsIn, teller: _Teller) -> str:
    return f"{teller.part(node.part)} is one of these: " + ", ".join(teller.phrase(value) for value in node.values)


@_say.register
def _(node: nodes.InConceptSet, teller: _Teller) -> str:
    label = teller.label("Codes", node.concepts)
    return f"{teller.part(node.part)} is in {label} ({quoted(node.concepts.name)})"


@_say.register
def _(node: nodes.Case, teller: _Teller) -> str:
    return teller.label("Choice", node)


@_say.register
def _(node: nodes.IfNull, teller: _Teller) -> str:
    return f"{teller.part(node.part)}, or if that is missing {teller.part(node.otherwise)}"


@_say.register
def _(node: nodes.ToCategory, teller: _Teller) -> str:
    return teller.label("Category", node)


ARITHMETIC = {"+": "plus", "-": "minus", "*": "times", "/": "divided by"}


@_say.register
def _(node: nodes.Arithmetic, teller: _Teller) -> str:
    return f"{teller.part(node.left)} {ARITHMETIC[node.op]} {teller.part(node.right)}"


@_say.register
def _(node: nodes.Convert, teller: _Teller) -> str:
    how = "as a whole number (yes is 1, no is 0, decimals rounded down)" if node.to == "int" else "as a decimal"
    return f"{teller.part(node.part)} {how}"


@_say.register
def _(node: nodes.DateAdd, teller: _Teller) -> str:
    amount, side = teller.part(node.amount), "after"
    if isinstance(node.amount, nodes.Value) and int(node.amount.value) < 0:
        amount, side = str(-int(node.amount.value)), "before"
    return f"the day {amount} {node.unit} {side} {teller.part(node.date)}"


@_say.register
def _(node: nodes.DateDifference, teller: _Teller) -> str:
    if isinstance(node.start, nodes.BirthDate) and node.unit == "years":
        return f"the person's age in whole years on {teller.part(node.end)}"
    return f"the whole {node.unit} from {teller.part(node.start)} to {teller.part(node.end)}"


@_say.register
def _(node: nodes.DatePart, teller: _Teller) -> str:
    return f"the {node.part} of {teller.part(node.date)}"


@_say.register
def _(node: nodes.Extreme, teller: _Teller) -> str:
    words = {"smallest": "smallest (or earliest)", "largest": "largest (or latest)"}[node.which]
    return f"the {words} of these, leaving out what is missing: " + ", ".join(teller.part(part) for part in node.parts)


@_say.register
def _(node: nodes.Exists, teller: _Teller) -> str:
    return f"the person has at least one record in {teller.label('List', node.frame)}"


@_say.register
def _(node: nodes.CountRows, teller: _Teller) -> str:
    return f"the number of the person's records in {teller.label('List', node.frame)}"


AGGREGATES = {
    "sum": "the sum of", "mean": "the mean of", "min": "the smallest (or earliest) of",
    "max": "the largest (or latest) of", "count_distinct": "the number of different values of",
}


@_say.register
def _(node: nodes.Aggregate, teller: _Teller) -> str:
    label = teller.label("List", node.frame)
    return f"{AGGREGATES[node.how]} {teller.part(node.of)} over the person's records in {label}"


FOLLOW_UP = {
    "days": "how many days {} lasts", "event": "whether the event ended {}",
    "reason": "what ended {}", "end": "the last day of {}",
}


@_say.register
def _(node: nodes.FollowUpField, teller: _Teller) -> str:
    return FOLLOW_UP[node.part].format(teller.label("Follow-up", node.follow_up))
