"""One run of a study, as a conversation: what to send to which sites, what to do with what they answer.

`conduct` knows nothing of sockets, clocks or databases. It is a generator that yields a `Dispatch` and is sent the replies
of the sites it went to; a site that is missing among them did not answer in time. The hub's service and the simulation
drive the same generator. It is deterministic, so after a restart the hub runs it again over the stored replies and arrives
where it was; a Dispatch that comes out different means that the software has changed, and the run is ended.

    enrol      propose a roster to the sites; those that sign stay; repeat until every member has signed the same one
               (of more than ten sites, masks cancel within groups, so that the loss of one costs its group alone)
    analyse    for each analysis of the plan: the method's Asks, one round each, over that roster
    publish    the output rules, under the strictest thresholds that any answering site asks for
"""

from __future__ import annotations

import functools
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field

from civicgrid.disclosure.codes import Code
from civicgrid.disclosure.publish import publish
from civicgrid.disclosure.release import combine
from civicgrid.disclosure.shapes import RawOutput
from civicgrid.disclosure.thresholds import Thresholds
from civicgrid.errors import FitError, PlanError, WireError
from civicgrid.methods.plan import Analysis
from civicgrid.trust.envelope import Envelope
from civicgrid.trust.roster import FEWEST_ORGANISATIONS, groups
from civicgrid.wire import (
    Accepted,
    AnalysisResult,
    Finish,
    Frame,
    Member,
    Prepare,
    Refused,
    Reply,
    Roster,
    Round,
    Shared,
    SiteOutcome,
    StudyRequest,
    StudyResult,
)

MAX_ROUNDS = 200


@dataclass(frozen=True)
class Dispatch:
    """One task for several sites. `expects` is False where no reply is waited for."""

    frame: Frame
    targets: tuple[str, ...]
    expects: bool = True


@dataclass(frozen=True)
class Answer:
    """What one site replied, with the bytes of its share where it released one."""

    reply: Reply
    share: bytes = b""


Answers = Mapping[str, Answer]
Conduct = Generator[Dispatch, Answers, StudyResult]


@dataclass
class _Run:
    """What stays the same during a run, and the roster that stands now."""

    request: StudyRequest
    study: Envelope
    run: str
    members: Mapping[str, Member]
    thresholds: Thresholds
    seating: tuple[tuple[str, ...], ...] = ()
    attempt: int = -1
    announced: int = -1
    roster: Roster | None = None
    accepted: dict[str, Accepted] = field(default_factory=dict)
    _strictest: tuple[dict[str, Accepted], Thresholds] | None = None

    def groups(self, wanted: frozenset[str]) -> tuple[tuple[str, ...], ...]:
        """Those of the seating who are wanted. Who else is there or not does not change anybody's group. None where too
        few organisations are left to mask among in any of them.
        """
        dealt = (tuple(site for site in group if site in wanted) for group in self.seating)
        kept = tuple(group for group in dealt if group)
        return kept if any(self._spans(group) for group in kept) else ()

    def stranded(self, wanted: frozenset[str]) -> frozenset[str]:
        """Those of a group in which too few organisations are left to mask among, where another has enough."""
        return frozenset(site for group in self.groups(wanted) if not self._spans(group) for site in group)

    def _spans(self, group: tuple[str, ...]) -> bool:
        return len({self.members[site].organisation for site in group}) >= FEWEST_ORGANISATIONS

    @property
    def seated(self) -> frozenset[str]:
        return frozenset(self.accepted)

    @property
    def strictest(self) -> Thresholds:
        """What the output is published under: the hub's thresholds and those of every seated site."""
        if self._strictest is None or self._strictest[0] is not self.accepted:
            asked = (accepted.thresholds for accepted in self.accepted.values())
            self._strictest = self.accepted, functools.reduce(Thresholds.stricter, asked, self.thresholds)
        return self._strictest[1]


class _Left(Exception):
    """Sites that did not answer a round, and what became of each."""

    def __init__(self, outcomes: dict[str, SiteOutcome]) -> None:
        super().__init__()
        self.outcomes = outcomes


def conduct(
    request: StudyRequest,
    study: Envelope,
    run: str,
    members: Mapping[str, Member],
    offline: tuple[Member, ...],
    thresholds: Thresholds,
) -> Conduct:
    """Run a study over `members`, the sites that hold its data set and are connected; name those `offline` in the answer.

    `thresholds` are the hub's own for published outputs; the sites' are added to them, the stricter winning.
    """
    state = _Run(request, study, run, members, thresholds, groups((*members.values(), *offline)))
    results = []
    gone = {member.site: SiteOutcome(site=member.site, status="offline") for member in offline}
    for analysis in request.plan.analyses:
        result = yield from _analyse(state, analysis, gone)
        results.append(result)
    if state.attempt >= 0:
        finish = Frame(Finish(network=request.network, run=run))
        yield Dispatch(finish, tuple(sorted(members)), expects=False)
    return StudyResult(run=run, plan=request.plan.identity, analyses=tuple(results))


def _enrol(state: _Run, wanted: frozenset[str]) -> Generator[Dispatch, Answers, dict[str, SiteOutcome]]:
    """Find the largest roster among the wanted sites that every member signs; say what became of the others."""
    left: dict[str, SiteOutcome] = {}
    while wanted and wanted != state.seated:
        stranded = state.stranded(wanted)
        left |= {site: SiteOutcome(site=site, status="refused", code=Code.ROSTER) for site in stranded}
        wanted -= stranded
        if not wanted or wanted == state.seated:
            break
        state.attempt += 1
        state.roster = Roster(
            network=state.request.network,
            study=state.run,
            run=state.run,
            attempt=state.attempt,
            plan=state.request.plan.identity,
            members=tuple(state.members[site] for site in sorted(wanted)),
            groups=state.groups(wanted),
        )
        prepare = Prepare(network=state.request.network, run=state.run, study=state.study, roster=state.roster)
        answers = yield Dispatch(Frame(prepare), tuple(sorted(wanted)))
        accepted = {
            site: answers[site].reply for site in sorted(wanted)
            if site in answers and isinstance(answers[site].reply, Accepted)
        }  # fmt: skip
        state.accepted = {site: reply for site, reply in accepted.items() if isinstance(reply, Accepted)}
        left |= {site: _outcome(site, answers.get(site)) for site in wanted - state.seated}
        if state.seated == wanted:
            break
        wanted, state.accepted = state.seated, {}
    if not wanted:
        state.accepted, state.roster = {}, None
    return left


def _analyse(
    state: _Run, analysis: Analysis, gone: dict[str, SiteOutcome]
) -> Generator[Dispatch, Answers, AnalysisResult]:
    """One analysis, begun again under a smaller roster whenever a site drops out of it."""
    left: dict[str, SiteOutcome] = {}
    held_back: set[str] = set()
    while True:
        wanted = frozenset(state.members) - frozenset(gone) - frozenset(left)
        unwilling = yield from _enrol(state, wanted)
        gone |= unwilling
        outcomes = {site: SiteOutcome(site=site, status="answered") for site in state.seated} | gone | left
        sites = tuple(outcomes[site] for site in sorted(outcomes))
        if state.roster is None:
            return AnalysisResult(name=analysis.name, failure=_nobody(held_back), sites=sites)
        rounds = _Counter()
        try:
            raw = yield from _rounds(state, analysis, rounds)
            method = analysis.method
            output = publish(raw, state.strictest, method.kind, method.version)
            mode = "open" if method.rough else state.roster.mode
            return AnalysisResult(name=analysis.name, output=output, mode=mode, rounds=rounds.done, sites=sites)
        except (FitError, WireError, ArithmeticError, ValueError) as error:
            plain = isinstance(error, FitError | WireError)
            why = str(error) if plain else "The numbers that the sites gave together could not be worked with."
            return AnalysisResult(
                name=analysis.name, failure=why, mode=state.roster.mode, rounds=rounds.done, sites=sites
            )
        except _Left as news:
            if state.roster.mode == "masked" and state.seated - frozenset(news.outcomes):
                held_back |= {site for site, it in news.outcomes.items() if it.status == "suppressed"}
            left |= {site: it for site, it in news.outcomes.items() if it.status != "offline"}
            gone |= {site: it for site, it in news.outcomes.items() if it.status == "offline"}


def _nobody(held_back: set[str]) -> str:
    """Why there is no answer; `held_back` are sites that held their part back once the others had given theirs."""
    if not held_back:
        return "No site answered this analysis."
    return (
        f"No site answered this analysis to its end. {', '.join(sorted(held_back))} held back a part once it had begun, "
        "and the others had given theirs in a sum with it. They go on without it only if every part can stand alone, since "
        "the sums with it and without it would give its part away. The page for researchers says what helps, under "
        "“When a regression is refused in the middle”."
    )


@dataclass
class _Counter:
    done: int = 0


def _rounds(state: _Run, analysis: Analysis, rounds: _Counter) -> Generator[Dispatch, Answers, RawOutput]:
    """The method's own conversation with the roster that stands. Raises _Left when a member does not answer."""
    if state.roster is None:
        raise WireError("There is no roster to ask.")
    coordination = analysis.method.coordinate(state.request.plan.schema, state.strictest)
    ask = next(coordination)
    roster, seated = state.roster.digest(), tuple(sorted(state.seated))
    signed: Envelope | None = None
    standings: tuple[Envelope, ...] = ()
    if state.announced != state.attempt:
        said = [state.accepted[site] for site in seated]
        signed = said[0].signature.joined(*(accepted.signature for accepted in said[1:]))
        standings = tuple(accepted.standing for accepted in said)
        state.announced = state.attempt
    while True:
        if rounds.done >= MAX_ROUNDS:
            raise FitError(f"{analysis.name} did not come to an end within {MAX_ROUNDS} rounds and was stopped.")
        task = Round(
            network=state.request.network,
            run=state.run,
            attempt=state.attempt,
            analysis=analysis.name,
            version=analysis.method.version,
            round=rounds.done,
            roster=roster,
            signed=signed,
            standings=standings,
        )
        signed, standings = None, ()
        answers = yield Dispatch(Frame(task, {"ask": ask.to_bytes()}), seated)
        missing = {
            site: _outcome(site, answers.get(site))
            for site in seated
            if site not in answers or not isinstance(answers[site].reply, Shared)
        }
        if missing:
            raise _Left(missing)
        rounds.done += 1
        combined = combine([answers[site].share for site in sorted(answers)], sorted(answers))
        try:
            ask = coordination.send(combined)
        except StopIteration as stop:
            raw: RawOutput = stop.value
            return raw
        except (PlanError, LookupError, ValueError, TypeError, AttributeError) as error:
            # A site alone in its roster is checked against nobody else's form.
            raise WireError(
                f"What the sites sent is not what {analysis.name} asked for ({type(error).__name__}). Nothing was "
                "published; the sites may run another version of the method."
            ) from error


def _outcome(site: str, answer: Answer | None) -> SiteOutcome:
    if answer is None:
        return SiteOutcome(site=site, status="offline")
    if isinstance(answer.reply, Refused):
        if answer.reply.code is Code.DISCLOSURE:
            return SiteOutcome(site=site, status="suppressed")
        return SiteOutcome(site=site, status="refused", code=answer.reply.code)
    return SiteOutcome(site=site, status="refused", code=Code.FAILED)
