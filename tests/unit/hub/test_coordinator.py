"""The hub's conversation as a plain generator: what it does when sites drop out, refuse, differ or lie."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest

import civicgrid as cg
from civicgrid.disclosure.codes import Code
from civicgrid.hub.coordinator import Answer, Dispatch, conduct
from civicgrid.methods.plan import Plan
from civicgrid.wire import Member, Refused, Round, Shared, SignedTask, StudyRequest, StudyResult
from unit.node.sites import World, frame

SITES = ("a", "b", "c", "d")
TRIAL = cg.dataset("trial")
AWAY = Member(site="offline-site", organisation="away", signing="none", exchange="none")
Script = Mapping[tuple[str, int], Any]
"""What a site does instead of answering its n-th round or proposal: None is silence, a Code is a refusal, bytes a share."""


def world() -> World:
    return World({"a": frame(60), "b": frame(50), "c": frame(40), "d": frame(30)})


class Talk:
    """One conversation with sites that answer honestly but where the script says otherwise."""

    def __init__(self, at: World, plan: Plan, script: Script | None = None, sites: tuple[str, ...] = SITES) -> None:
        self.at, self.script = at, dict(script or {})
        self.request: StudyRequest = at.request(plan, nonce="0" * 16)
        self.dispatches: list[Dispatch] = []
        self.answers: list[dict[str, Answer]] = []
        self.seen = dict.fromkeys(sites, 0)
        self.conduct = conduct(
            self.request,
            self.request.signed(at.person),
            self.request.digest(),
            {site: at.member(site) for site in sites},
            (AWAY,),
            at.trust[sites[0]].own_policy.thresholds,
        )

    def run(self) -> StudyResult:
        try:
            dispatch = next(self.conduct)
            while True:
                self.dispatches.append(dispatch)
                self.answers.append(self.answered(dispatch))
                dispatch = self.conduct.send(self.answers[-1])
        except StopIteration as stop:
            result: StudyResult = stop.value
            return result

    def answered(self, dispatch: Dispatch) -> dict[str, Answer]:
        task = SignedTask.sign(dispatch.frame, self.at.hub)
        answers = {}
        for site in dispatch.targets if dispatch.expects else ():
            turn, self.seen[site] = self.seen[site], self.seen[site] + 1
            if (site, turn) not in self.script:
                answers[site] = Answer(*self.at.tell(site, task))
                continue
            wanted = self.script[site, turn]
            if isinstance(wanted, Code):
                answers[site] = Answer(Refused(task=task.digest, code=wanted))
            elif wanted is not None:
                self.at.tell(site, task)
                answers[site] = Answer(Shared(task=task.digest), wanted)
        return answers

    @property
    def kinds(self) -> list[str]:
        return [dispatch.frame.header.kind for dispatch in self.dispatches]  # type: ignore[attr-defined]


def statuses(result: StudyResult, number: int = 0) -> dict[str, str]:
    return {site.site: site.status for site in result.analyses[number].sites}


def people(result: StudyResult, number: int = 0) -> Any:
    output = result.analyses[number].output
    assert output is not None, result.analyses[number].failure
    return output.tables[0].rows[0][-1]


def test_an_undisturbed_run_proposes_asks_and_ends() -> None:
    at = world()
    talk = Talk(at, at.plan(cg.Count(TRIAL)))
    result = talk.run()
    assert talk.kinds == ["prepare", "round", "finish"]
    assert people(result) == 180
    assert statuses(result) == {**dict.fromkeys(SITES, "answered"), "offline-site": "offline"}
    assert (result.analyses[0].mode, result.analyses[0].rounds) == ("masked", 1)


def test_only_the_first_round_under_a_roster_carries_its_signatures() -> None:
    at = world()
    talk = Talk(at, at.plan(cg.Describe(TRIAL, columns=["age"]), cg.Count(TRIAL)))
    talk.run()
    rounds = [one.frame.header for one in talk.dispatches if isinstance(one.frame.header, Round)]
    assert len(rounds) > 2
    assert rounds[0].signed is not None
    assert len(rounds[0].signed.signatures) == len(rounds[0].standings) == 4
    assert all(later.signed is None and not later.standings for later in rounds[1:])


def test_a_site_that_is_silent_when_asked_to_join_is_offline_and_the_rest_go_on() -> None:
    at = world()
    talk = Talk(at, at.plan(cg.Count(TRIAL)), {("d", 0): None})
    result = talk.run()
    assert (people(result), statuses(result)["d"]) == (150, "offline")
    assert talk.kinds == ["prepare", "prepare", "round", "finish"]
    assert [one.frame.header.roster.attempt for one in talk.dispatches[:2]] == [0, 1]  # type: ignore[attr-defined]


def test_a_site_that_is_lost_in_the_first_round_leaves_a_smaller_roster() -> None:
    at = world()
    result = Talk(at, at.plan(cg.Count(TRIAL)), {("d", 1): None}).run()
    assert (people(result), statuses(result)["d"]) == (150, "offline")


def test_a_site_that_is_lost_in_a_later_round_begins_the_analysis_again_and_stays_away() -> None:
    at = World({site: frame(600 - 10 * i) for i, site in enumerate(SITES)})
    fit = cg.GLM(TRIAL, outcome="age", predictors=["died"], family="gaussian")
    talk = Talk(at, at.plan(fit, cg.Count(TRIAL)), {("d", 3): None})
    result = talk.run()
    rounds = [one.frame.header for one in talk.dispatches if isinstance(one.frame.header, Round)]
    assert next(one.round for one in rounds if one.analysis == "glm" and one.attempt == 1) == 0
    assert statuses(result)["d"] == statuses(result, 1)["d"] == "offline"
    assert people(result, 1) == 600 + 590 + 580


def test_a_site_that_refuses_one_analysis_is_asked_again_for_the_next() -> None:
    at = World({site: frame(600 - 10 * i) for i, site in enumerate(SITES)})
    talk = Talk(at, at.plan(cg.Count(TRIAL), cg.Count(TRIAL)), {("d", 1): Code.DISCLOSURE})
    result = talk.run()
    assert (statuses(result)["d"], people(result)) == ("suppressed", 1770)
    assert (statuses(result, 1)["d"], people(result, 1)) == ("answered", 2340)


def test_a_small_site_that_refuses_in_the_middle_ends_the_analysis_and_the_answer_says_why() -> None:
    at = World({"a": frame(600), "b": frame(590), "c": frame(580), "d": frame(36)})
    fit = cg.GLM(TRIAL, outcome="died", predictors=["sex"], family="binomial")
    result = Talk(at, at.plan(fit), {("d", 3): Code.DISCLOSURE}).run()
    assert set(statuses(result).values()) == {"suppressed", "offline"}
    failure = result.analyses[0].failure
    assert "d held back a part once it had begun" in failure and "its part away" in failure
    named = failure.split("“")[1].split("”")[0]
    assert f"**{named}.**" in (Path(__file__).parents[3] / "docs" / "researcher.md").read_text("utf-8")


@pytest.mark.parametrize("code", [code for code in Code if code is not Code.DISCLOSURE])
def test_a_refusal_is_told_by_its_code(code: Code) -> None:
    at = world()
    result = Talk(at, at.plan(cg.Count(TRIAL)), {("d", 0): code}).run()
    site = {site.site: site for site in result.analyses[0].sites}["d"]
    assert (site.status, site.code) == ("refused", code)


def test_a_site_that_answers_with_the_wrong_kind_of_reply_is_put_aside() -> None:
    at = world()
    result = Talk(at, at.plan(cg.Count(TRIAL)), {("d", 0): b"a share though asked to sign"}).run()
    site = {site.site: site for site in result.analyses[0].sites}["d"]
    assert (site.status, site.code, people(result)) == ("refused", Code.FAILED, 150)


def test_when_everybody_is_gone_the_answer_says_so() -> None:
    at = world()
    nobody = Talk(at, at.plan(cg.Count(TRIAL), cg.Count(TRIAL)), {(site, 0): None for site in SITES})
    result = nobody.run()
    assert [one.failure for one in result.analyses] == ["No site answered this analysis."] * 2
    assert set(statuses(result).values()) == {"offline"}
    assert nobody.kinds == ["prepare", "finish"]
    later = Talk(at, at.plan(cg.Count(TRIAL)), {(site, 1): None for site in SITES}).run()
    assert later.analyses[0].failure == "No site answered this analysis."


def test_two_that_are_left_of_four_answer_in_the_open() -> None:
    at = world()
    result = Talk(at, at.plan(cg.Count(TRIAL)), {("c", 0): None, ("d", 0): None}).run()
    assert (result.analyses[0].mode, people(result)) == ("open", 110)


def share(*parts: Any, mode: str = "masked") -> bytes:
    packed: bytes = msgpack.packb([2, mode, *parts])
    return packed


LIES = {
    "nothing": b"",
    "garbage": b"\xc1\xc1",
    "a map": msgpack.packb({}),
    "another mode": share([["Counts", "people", [], bytes(8), b"\0"]], mode="open"),
    "another name": share([["Counts", "women", [], None]], bytes(16)),
    "another shape": share([["Counts", "people", [2], None]], bytes(32)),
    "another size": share([["Counts", "people", [], None]], bytes(32)),
    "another form": msgpack.packb([2, "masked", [], b""]),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_site_that_describes_its_share_otherwise_ends_the_analysis_in_words(lie: str) -> None:
    at = world()
    result = Talk(at, at.plan(cg.Count(TRIAL), cg.Count(TRIAL)), {("b", 1): LIES[lie]}).run()
    assert result.analyses[0].output is None
    assert "do not fit together" in result.analyses[0].failure
    assert people(result, 1) == 180, "the next analysis is not touched"


@pytest.mark.parametrize(
    "lie",
    [
        share([], mode="open"),
        share([["Counts", "women", [], bytes(8), b"\0"]], mode="open"),
        share([["Counts", "people", [2], bytes(16), b"\0\0"]], mode="open"),
        share([["Sums", "people", [1, 1], np.array([np.nan]).tobytes()]], mode="open"),
        share([["Rows", "people", [], bytes(8)]], mode="open"),
    ],
)
def test_a_site_alone_in_its_roster_cannot_break_the_run_either(lie: bytes) -> None:
    at = world()
    result = Talk(at, at.plan(cg.Count(TRIAL)), {("a", 1): lie}, ("a",)).run()
    failure = result.analyses[0].failure
    assert result.analyses[0].output is None
    assert "do not fit together" in failure or "is not what count asked for" in failure


def test_the_same_replies_give_the_same_dispatches_to_the_byte() -> None:
    at = World({site: frame(600 - 10 * i) for i, site in enumerate(SITES)})
    plan = at.plan(
        cg.GLM(TRIAL, outcome="died", predictors=["age", "sex"], family="binomial"),
        cg.Describe(TRIAL, columns=["age", "sex"]),
        cg.Count(TRIAL),
    )
    first = Talk(at, plan, {("c", 2): None, ("d", 4): Code.LATE})
    result = first.run()
    again = conduct(
        first.request,
        first.request.signed(at.person),
        first.request.digest(),
        {site: at.member(site) for site in SITES},
        (AWAY,),
        at.trust["a"].own_policy.thresholds,
    )
    sent = next(again)
    for dispatch, answers in zip(first.dispatches, first.answers, strict=True):
        assert sent.frame.to_bytes() == dispatch.frame.to_bytes()
        assert (sent.targets, sent.expects) == (dispatch.targets, dispatch.expects)
        try:
            sent = again.send(answers)
        except StopIteration as stop:
            assert stop.value == result
            return
    raise AssertionError("the second conversation did not end where the first one did")


def test_the_strictest_site_s_thresholds_rule_what_is_published() -> None:
    at = world()
    at.trust["b"].own_policy = cg.Policy(thresholds=at.trust["b"].own_policy.thresholds.model_copy(update={"round_to": 50}))
    assert people(Talk(at, at.plan(cg.Count(TRIAL))).run()) == 200


