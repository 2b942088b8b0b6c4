"""What a researcher gets back, and how it shows itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from civicgrid.disclosure.output import Output, OutputTable
from civicgrid.errors import CivicGridError, FitError
from civicgrid.methods.plan import Plan
from civicgrid.present.tables import as_csv, as_html, as_text
from civicgrid.wire import AnalysisResult, SiteOutcome, StudyResult

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


class NoAnswer(CivicGridError):
    """No site answered. `sites` says what became of each."""

    def __init__(self, message: str, sites: tuple[SiteOutcome, ...]) -> None:
        super().__init__(message)
        self.sites = Sites(sites)


class Sites(tuple[SiteOutcome, ...]):
    """What became of each site: answered, suppressed, refused or offline, in words when shown."""

    __slots__ = ()

    def to_pandas(self) -> pd.DataFrame:
        """One row a site: site, status, code, words."""
        import pandas as pd

        rows = [(s.site, s.status, s.code.value if s.code else None, s.words()) for s in self]
        return pd.DataFrame(rows, columns=["site", "status", "code", "words"])

    def summary(self) -> str:
        """One line: how many answered, and who did not."""
        answered = [s.site for s in self if s.status == "answered"]
        others = [f"{s.site} {s.status}" for s in self if s.status != "answered"]
        text = f"{len(answered)} of {len(self)} sites answered"
        return f"{text}; {', '.join(others)}" if others else text

    def __repr__(self) -> str:
        return "\n".join(f"{s.site:<24} {s.status:<10} {'' if s.status == 'answered' else s.words()}" for s in self)

    def _repr_html_(self) -> str:
        return str(self.to_pandas().to_html(index=False))


class Result:
    """The answer of one analysis. Its tables are those that disclosure control let through."""

    def __init__(self, result: AnalysisResult) -> None:
        self._result = result
        self.name = result.name
        self.sites = Sites(result.sites)
        self.mode = result.mode
        self.rounds = result.rounds

    @property
    def failure(self) -> str:
        """Why there is no answer; empty when there is one."""
        return self._result.failure

    @property
    def output(self) -> Output:
        """The published output. FitError or NoAnswer, with the reason, where there is none."""
        if self._result.output is not None:
            return self._result.output
        if any(site.status == "answered" for site in self.sites):
            raise FitError(self.failure)
        raise NoAnswer(f"{self.failure}\n{self.sites!r}{self._advice()}", self.sites)

    def _advice(self) -> str:
        """What may help where sites held back. The same words whatever their reason was."""
        if all(site.status != "suppressed" for site in self.sites):
            return ""
        return (
            "\nWhat may help: merge levels or widen the cohort; ask about people with all values (complete=True); ask "
            "everything about one cohort in one study."
        )

    @property
    def rounds_words(self) -> str:
        return "1 round" if self.rounds == 1 else f"{self.rounds} rounds"

    @property
    def tables(self) -> dict[str, OutputTable]:
        return {table.name: table for table in self.output.tables}

    @property
    def facts(self) -> dict[str, int | float | None]:
        return dict(self.output.facts)

    @property
    def notes(self) -> tuple[str, ...]:
        return self.output.notes

    @property
    def suppressed(self) -> tuple[str, ...]:
        """What the rules hid, in words."""
        return self.output.suppressed

    def to_pandas(self, table: str | None = None) -> pd.DataFrame:
        """One table as a DataFrame: the first, or the one of this name. Hidden and missing values are NaN or None."""
        import pandas as pd

        chosen = self._table(table)
        return pd.DataFrame([list(row) for row in chosen.rows], columns=[column.name for column in chosen.columns])

    def to_csv(self, table: str | None = None) -> str:
        """One table as the text of a CSV file: the first, or the one of this name. Safe to open in a spreadsheet."""
        return as_csv(self._table(table))

    def _table(self, name: str | None) -> OutputTable:
        names = list(self.tables)
        if not names:
            raise CivicGridError(f"{self.name} has no table to show. {' '.join(self.suppressed)}")
        if name is not None and name not in self.tables:
            raise CivicGridError(f"{self.name} has no table {name!r}. It has: {', '.join(names)}.")
        return self.tables[name if name is not None else names[0]]

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data: tables as lists of rows by column name, facts, notes, sites."""
        return {
            "name": self.name,
            "tables": {
                name: [dict(zip([c.name for c in table.columns], row, strict=True)) for row in table.rows]
                for name, table in self.tables.items()
            },
            "facts": self.facts,
            "notes": list(self.notes),
            "suppressed": list(self.suppressed),
            "sites": [site.to_data() for site in self.sites],
            "mode": self.mode,
        }

    def plot(self) -> Figure:
        """The figure that suits the method, as Matplotlib."""
        from civicgrid.present.plots import figure

        return figure(self.output)

    def __str__(self) -> str:
        if self._result.output is None:
            return f"{self.name}: no answer. {self.failure}\n{self.sites!r}"
        how = {"masked": "masked: only the sum could be read", "open": "each site's share passed its own rules"}
        return f"{as_text(self.output)}\n{self.sites.summary()} ({how.get(self.mode, '')}, {self.rounds_words})."

    __repr__ = __str__

    def _repr_html_(self) -> str:
        if self._result.output is None:
            words = f"<p><strong>{escape(self.name)}</strong>: no answer. {escape(self.failure)}</p>"
            return words + self.sites._repr_html_()
        return f"{as_html(self.output)}<p>{escape(self.sites.summary())}.</p>"


class Answer(Mapping[str, Result]):
    """The answers of a study, by the names of its analyses. `seconds` says how long each phase took."""

    def __init__(self, plan: Plan, result: StudyResult, seconds: Mapping[str, float]) -> None:
        self.plan = plan
        self.run = result.run
        self.seconds = dict(seconds)
        self._results = {analysis.name: Result(analysis) for analysis in result.analyses}

    def __getitem__(self, name: str) -> Result:
        if name not in self._results:
            raise KeyError(f"There is no analysis {name!r}. The study has: {', '.join(self._results)}.")
        return self._results[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._results)

    def __len__(self) -> int:
        return len(self._results)

    def explain(self) -> str:
        """The study in plain English."""
        return self.plan.explain()

    def __str__(self) -> str:
        return "\n\n".join(str(result) for result in self.values())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return "".join(f"<h3>{escape(name)}</h3>{result._repr_html_()}" for name, result in self.items())
