"""What a site has answered before, held against what it is asked now: the release ledger at work.

Every analysis of a plan is held against the ledger when the site is asked to take part, so that the roster forms without a
site that would refuse; and once more when its first share leaves, since another study may have been answered meanwhile.
What is refused looks like any small cell. See `disclosure.row_sets` for what is compared, `disclosure.epochs` for how long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from pyroaring import BitMap

from civicgrid.canonical import digest
from civicgrid.disclosure.codes import Code, Withheld
from civicgrid.disclosure.policy import Policy
from civicgrid.disclosure.row_sets import Answered, Load, Role, RowSet
from civicgrid.disclosure.thresholds import Thresholds
from civicgrid.methods.people import levels_of
from civicgrid.methods.plan import sources
from civicgrid.methods.row_sets import everybody
from civicgrid.node.columns import Numbers
from civicgrid.node.session import Data, Session
from civicgrid.node.state import State
from civicgrid.query import conditions
from civicgrid.query.cohort import Cohort
from civicgrid.query.table import Table

MOST_ROUGH = 5
"""Of so many cohorts within a few people of each other, or of the same people by other conditions, a site tells roughly how
many they hold: more could be averaged.
"""


PEOPLE_A_VARIABLE, LEAST_VARIABLES = 2, 10
"""Over the same people, sums of at most half as many variables as there are people (and of ten in any case) are answered in
one epoch: as many equations as people would be their records.
"""


class Releases:
    """The release ledger of one site. Under an open policy, in a simulation, nothing is compared."""

    def __init__(self, state: State, data: Callable[[], Data], policy: Callable[[], Policy]) -> None:
        self.state, self.data, self.policy = state, data, policy

    def check(self, session: Session, analyses: Sequence[str], thresholds: Thresholds) -> None:
        """Withheld(DISCLOSURE) where an analysis comes too near to what was answered before, or one too many is asked."""
        within = thresholds.min_cell - 1
        if within < 1:
            return
        # Before anything else: a custodian may have ended the epoch meanwhile, and an answer is entered in one that runs.
        load = self._load(session, thresholds)
        if session.checked == (self.state.row_sets.entered, thresholds):
            return
        methods = session.request.plan.methods
        for name in analyses:
            if methods[name].rough:
                self._check_rough(load, session, name, within)
        answers = [self._answered(session, name) for name in analyses if not methods[name].rough]
        if not answers:
            return
        if self.state.row_sets.conflict(load, answers, within):
            raise Withheld(Code.DISCLOSURE, "too near to what was answered before")
        if self._columns_clash(load, session, analyses, within):
            raise Withheld(Code.DISCLOSURE, "a number that is another one, or a constant, but for a few people")
        people = answers[0].sets[0]
        given = self.state.row_sets.answers(load, people) | {answer.name: answer.given for answer in answers}
        if len(given) > self.policy().ledger.answers:
            raise Withheld(Code.DISCLOSURE, "as many analyses of these people as the policy allows in one epoch")
        if sum(given.values()) > max(people.size // PEOPLE_A_VARIABLE, LEAST_VARIABLES):
            raise Withheld(Code.DISCLOSURE, "sums of too many variables over so few people")
        if set(analyses) == set(methods):
            session.checked = (self.state.row_sets.entered, thresholds)

    def _columns_clash(self, load: Load, session: Session, analyses: Sequence[str], within: int) -> bool:
        """Whether a number of these analyses is, but for a few people, another one over the same people, or a constant."""
        if session.numbers is None:
            return False
        asked: dict[str, tuple[BitMap, set[str]]] = {}
        for name in analyses:
            if name in session.summed and not self.state.row_sets.answered(session.answers[name].name):
                for part in session.summed[name]:
                    asked.setdefault(part.digest, (part.people, set()))[1].update(part.columns)
        return any(
            session.numbers.clash(load, self.state.released_columns, people, over, names, within)
            for over, (people, names) in asked.items()
        )

    def _check_rough(self, load: Load, session: Session, analysis: str, within: int) -> None:
        cohort = self._answered(session, analysis).sets[0]
        if self.state.row_sets.rough(load, cohort, within) >= MOST_ROUGH:
            raise Withheld(Code.DISCLOSURE, "nearly the same people have been told of as often as is safe")
        told = self.state.ledger.rough(session.request.project, load.epoch)
        if _cohort(cohort) not in told and len(told) >= self.policy().ledger.rough:
            raise Withheld(Code.DISCLOSURE, "the project has been told of as many cohorts as the policy allows")

    def check_ask(self, session: Session, ask: str, thresholds: Thresholds) -> None:
        """Withheld(DISCLOSURE) where the hub has asked as many different things about these people as the policy allows, of
        proposals and of questions in a round together.
        """
        if thresholds.min_cell == 0:
            return
        if session.asks is None:
            session.asks = self.state.ledger.asks(session.rows)
        if ask not in session.asks and len(session.asks) >= self.policy().ledger.asks:
            raise Withheld(Code.DISCLOSURE, "as many different questions about these people as the policy allows")

    def asked(self, session: Session, ask: str) -> None:
        """Keep at hand that a question was answered. The ledger has it with the answer."""
        if session.asks is not None:
            session.asks.add(ask)

    def prepared(self, session: Session, ask: str) -> None:
        """Write down that a proposal is being answered, with yes or no. The caller's transaction commits it."""
        if session.asks is not None and len(session.asks) < self.policy().ledger.asks:
            session.asks.add(ask)
            self.state.ledger.prepare(session.rows, ask)

    def enter(self, session: Session, analyses: Iterable[str], thresholds: Thresholds) -> None:
        """Write down the people behind analyses that the site agrees to give, or gives; the caller's transaction commits.

        That it agrees says something about its people too, so what comes near is refused from then on.
        """
        within = thresholds.min_cell - 1
        if within < 1:
            return
        load, ledger = self._load(session, thresholds), self.state.row_sets
        alone = session.checked == (ledger.entered, thresholds)
        for name in analyses:
            if (load.entered, name) not in session.entered:
                ledger.enter(load, self._answered(session, name), within)
                if session.numbers is not None:
                    for part in session.summed.get(name, ()):
                        given = session.numbers.columns(part.people, part.digest, sorted(part.columns))
                        self.state.released_columns.enter(load, part.digest, given)
                if session.request.plan.methods[name].rough:
                    cohort = _cohort(self._answered(session, name).sets[0])
                    self.state.ledger.told(session.request.project, load.entered, cohort)
                session.entered.add((load.entered, name))
        if alone:
            # All analyses of the plan were held against each other too, so these change nothing for each other.
            session.checked = (ledger.entered, thresholds)

    def behind(self, session: Session, analysis: str, thresholds: Thresholds) -> tuple[Load, Answered]:
        """The load that a session reads, and the sets of people behind one of its analyses."""
        return self._load(session, thresholds), self._answered(session, analysis)

    def _opened(self, cohort: Cohort) -> Table:
        return self.data().open(cohort)

    def conditions(self, session: Session) -> str:
        """The name of the conditions that the people of a session are made by."""
        return digest(Definitions(session.request.plan.cohort).cell(()).encode())

    def _load(self, session: Session, thresholds: Thresholds) -> Load:
        return self.load(session.request.plan.dataset, session.table.snapshot, thresholds)

    def load(self, dataset: str, snapshot: str, thresholds: Thresholds) -> Load:
        """The load of a snapshot, with its epoch: by when it was made, not by when it is first asked about."""
        held = self.data()
        known = self.state.epochs.known(dataset, snapshot, held.numbering())
        if known is not None:
            return known
        with self.state.transaction("epoch"):
            load = self.state.epochs.enter(
                dataset,
                snapshot,
                held,
                held.loaded(dataset).timestamp(),
                self.policy().ledger.epoch_days,
                thresholds.min_cell,
            )
            self.state.audit("epoch", dataset=dataset, snapshot=snapshot, epoch=load.epoch)
        return load

    def _answered(self, session: Session, analysis: str) -> Answered:
        """The sets behind an analysis, everybody first, over columns of the data; worked out once a session."""
        if analysis not in session.answers:
            plan = session.request.plan
            made_from, made_by = sources(plan.cohort), Definitions(plan.cohort)
            name = digest(f"{plan.identity} {analysis} {session.table.snapshot}".encode())
            found = plan.methods[analysis].row_sets(session.table)
            if session.numbers is None:
                session.numbers = Numbers(plan.cohort, session.table, self.state.seal, self._opened)
            session.summed[analysis] = tuple(part for part in found if part.role == "whole" and part.columns)
            sets = [
                RowSet(
                    part.people,
                    frozenset(f"{plan.dataset}.{read}" for column in part.columns for read in made_from[column]),
                    part.role,
                    made_by.cell(part.levels) if part.role == "cell" else "",
                )
                for part in found
            ]
            for part in session.summed[analysis]:
                sets += session.numbers.groups(part, made_from)
            role: Role = "rough" if plan.methods[analysis].rough else "cohort"
            session.answers[analysis] = Answered(name, (everybody(session.table, made_by.cell(()), role), *sets))
        return session.answers[analysis]


def _cohort(told: RowSet) -> str:
    """The name of a cohort of which is told roughly: another number is drawn for other people and for other conditions."""
    return digest(f"{told.digest} {told.definition}".encode())


class Definitions:
    """The conditions that the groups of a cohort are made by, each as a text. The same words say something else about
    another data set, but where there are none: everybody is everybody.
    """

    def __init__(self, cohort: Cohort) -> None:
        self.schema, self.dataset = cohort.schema, cohort.dataset
        self.columns = {column.name: column.series for column in cohort.columns}
        self.population = conditions.of_population(cohort.population)

    def cell(self, levels: Sequence[tuple[str, int]]) -> str:
        """Of the people of the cohort at these levels; nothing where a level is missing or a number."""
        found = self.population
        for name, code in levels:
            known = levels_of(self.schema[name])
            if not 0 <= code < len(known):
                return ""
            found = conditions.together(found | conditions.of_level(self.columns[name], known[code]))
        return conditions.text_of(frozenset(condition.about(self.dataset) for condition in found))
