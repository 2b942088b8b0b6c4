"""A grid as a researcher sees it: data sets, and a place to run methods and studies."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from civicgrid.client.results import Answer, NoAnswer, Result
from civicgrid.errors import FitError, PlanError
from civicgrid.methods import Method
from civicgrid.methods.plan import Plan, bind
from civicgrid.query.language import ResearchTable
from civicgrid.query.types import Schema

Progress = Callable[[Mapping[str, Any]], None]
"""Called with each line of what happens: action, site, analysis, round."""


@dataclass(frozen=True)
class Study:
    """Several methods on one cohort or data set, run together under one plan. Made by `study`."""

    source: Any
    methods: Mapping[str, Method]
    title: str = ""
    complete: bool = False


def study(source: Any, /, title: str = "", *, complete: bool = False, **methods: Method) -> Study:
    """A study: `cg.study(cohort, title="…", people=cg.Count(), fit=cg.GLM(outcome="died", …))`.

    The methods are written without a table of their own; each answer goes by the name given here. `complete` leaves out
    everybody who lacks a value that any of the methods reads, so that all are about the same people: where a few lack
    one, a site would otherwise hold back what gives those few away.
    """
    if not methods:
        raise PlanError("A study needs at least one method: cg.study(cohort, people=cg.Count()).")
    for name, method in methods.items():
        if not isinstance(method, Method):
            raise PlanError(f"Expected a method for {name!r}, such as cg.Count(); {type(method).__name__} came.")
        if method.source is not None:
            raise PlanError(
                f"In a study the table stands once, in front; {name!r} has one of its own. "
                f"Write {type(method).__name__}(…) without it."
            )
    return Study(source, dict(methods), title, complete)


class Grid(ABC):
    """Where studies run: `connect` makes one of a real network, `simulate` one of data on this machine."""

    network: str

    @abstractmethod
    def dictionaries(self) -> dict[str, Schema]:
        """The declared schema of every research table on the grid, by data set."""

    @abstractmethod
    def _execute(self, plan: Plan, sites: Sequence[str], progress: Progress | None) -> Answer:
        """Run a complete plan."""

    def dataset(self, name: str) -> ResearchTable:
        """The handle of a research table with the types that its dictionary declares, ready for conditions."""
        known = self.dictionaries()
        if name not in known:
            raise PlanError(f"No site of this grid has a research table {name!r}. It has: {', '.join(known) or 'none'}.")
        return ResearchTable(name, known[name])

    def plan(self, what: Method | Study | Plan) -> Plan:
        """The complete plan of a method or study: what would be signed and run. `.explain()` says it in English."""
        if isinstance(what, Plan):
            return what
        if isinstance(what, Method):
            if what.source is None:
                raise PlanError(
                    f"{type(what).__name__} needs a table to run on: {type(what).__name__}(cohort, …) or "
                    f'{type(what).__name__}(cg.dataset("…"), …).'
                )
            what = Study(what.source, {what.kind: what})
        if not isinstance(what, Study):
            raise PlanError(
                f"Expected a method or a study to run; {type(what).__name__} came. Write, for example, cg.Count(cohort)."
            )
        return bind(what.source, what.methods, self.dictionaries(), what.title, what.complete)

    def run(
        self, what: Method | Study | Plan, *, sites: str | Sequence[str] = (), progress: Progress | None = None
    ) -> Any:
        """Run a method, and get its `Result`; or a study, and get its `Answer` with a result for each analysis.

        `sites` limits the run to these. For a single method without an answer the reason is raised (FitError where the
        model has none, NoAnswer where no site answered); in a study it is kept with the analysis as `failure`.
        """
        answer = self._execute(self.plan(what), [sites] if isinstance(sites, str) else sites, progress)
        if not isinstance(what, Method):
            return answer
        result: Result = next(iter(answer.values()))
        _ = result.output
        return result


__all__ = ["Answer", "FitError", "Grid", "NoAnswer", "Progress", "Result", "Study", "study"]
