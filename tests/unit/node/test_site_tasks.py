"""Studies, tasks and Asks that a site does not open, does not understand, or answers no more."""

from __future__ import annotations

from pathlib import Path

import pytest

import civicgrid as cg
from civicgrid.disclosure.codes import Code
from civicgrid.errors import TrustError, WireError
from civicgrid.methods.method import Ask
from civicgrid.trust.keys import SigningKey
from civicgrid.wire import STUDY, Envelope, Finish, SignedTask
from unit.node.sites import NETWORK, World, code, frame
from unit.node.trial import COUNT, SITES, Why, count, world


def test_a_study_signed_by_another_than_it_names_is_refused(why: Why) -> None:
    at = world()
    request = at.request(at.plan(count()))
    task = at.prepare(request, at.roster(request, SITES), request.signed(SigningKey.generate()))
    assert code(at.tell("york", task)[0]) is Code.NOT_PERMITTED
    assert "valid signature" in why()


def test_a_study_for_another_network_is_refused(why: Why) -> None:
    at = world()
    request = at.request(at.plan(count()), network="elsewhere")
    assert code(at.tell("york", at.prepare(request, at.roster(request, SITES)))[0]) is Code.NOT_PERMITTED
    assert "another network" in why()


def test_an_envelope_that_holds_no_study_is_not_understood() -> None:
    at = world()
    request = at.request(at.plan(count()))
    for payload in (b"no JSON", b"[]", b'{"person": "x"}', b'{"plan": {"format": 9}, "person": "x"}'):
        study = Envelope.sign(STUDY, payload, at.person)
        reply = at.tell("york", at.prepare(request, at.roster(request, SITES), study))[0]
        assert code(reply) in (Code.NOT_UNDERSTOOD, Code.NOT_PERMITTED)


def test_a_tampered_task_is_not_opened() -> None:
    at = world()
    request = at.request(at.plan(count()))
    task = at.prepare(request, at.roster(request, SITES))
    changed = SignedTask(task.payload.replace(b"prepare", b"prepar3"), task.signature)
    with pytest.raises(TrustError, match="the signature does not hold"):
        at.sites["york"].answer(changed)


def test_a_task_under_another_hub_s_key_is_not_opened() -> None:
    at, other = world(), world()
    request = at.request(at.plan(count()))
    with pytest.raises(TrustError, match="the signature does not hold"):
        at.sites["york"].answer(other.prepare(request, at.roster(request, SITES)))


def test_a_task_of_another_network_is_not_answered() -> None:
    at = world()
    with pytest.raises(TrustError, match="one of another network came"):
        at.sites["york"].answer(at.task(Finish(network="elsewhere", run="0" * 64)))


def test_a_signed_task_of_no_known_kind_is_not_answered() -> None:
    at = world()
    with pytest.raises(WireError, match="not a task that this node understands"):
        at.sites["york"].answer(at.task(at.member("york")))


def test_a_finished_run_needs_no_reply() -> None:
    at = world()
    enrolled = at.enrol(at.request(at.plan(count())), SITES)
    assert at.sites["york"].sessions
    run = enrolled.request.digest()
    assert at.sites["york"].answer(at.task(Finish(network=NETWORK, run=run))) is None
    assert not at.sites["york"].sessions


def test_a_round_of_a_run_that_was_never_accepted_comes_too_late(why: Why) -> None:
    at = world()
    enrolled = at.enrol(at.request(at.plan(count())), SITES)
    assert code(at.tell("york", at.round(enrolled, COUNT, run="0" * 64))[0]) is Code.LATE
    assert "not accepted the run" in why()


def test_data_that_was_loaded_anew_between_two_rounds_ends_the_run_here(tmp_path: Path, why: Why) -> None:
    at = world(states=tmp_path)
    enrolled = at.enrol(at.request(at.plan(count())), SITES)
    at.reload("york", frame(45))
    at.reopen("york")
    assert code(at.tell("york", at.round(enrolled, COUNT))[0]) is Code.LATE
    assert "loaded anew" in why()


def test_a_data_set_or_column_that_is_not_here_is_no_data(why: Why) -> None:
    at = World({"hull": frame(60), "leeds": frame(50), "york": frame(40)})
    elsewhere = cg.dataset("registry", at.sites["hull"].data.holdings()[0].dictionary)
    plan = at.plan(cg.Count(cg.cohort(elsewhere["died"] == 1)))
    for site in SITES:
        at.trust[site].own_permits = [at.permit(site, datasets=("registry",))]
    assert {code(reply) for reply in at.enrol(at.request(plan), SITES).replies.values()} == {Code.NO_DATA}
    assert "does not hold the data set" in why()


def test_an_analysis_or_version_that_the_plan_does_not_hold_is_not_understood(why: Why) -> None:
    at = world()
    enrolled = at.enrol(at.request(at.plan(count())), SITES)
    for changes in ({"analysis": "fit"}, {"version": 99}):
        assert code(at.tell("york", at.round(enrolled, COUNT, **changes))[0]) is Code.NOT_UNDERSTOOD
        assert "no such analysis" in why()


@pytest.mark.parametrize("raw", [b"", b"\xc1", b"\x93\x01\x80\x80", b"\x93\xa1s\x90\x80", bytes(range(64))])
def test_an_ask_of_garbage_is_not_understood(raw: bytes, why: Why) -> None:
    at = world()
    enrolled = at.enrol(at.request(at.plan(count())), SITES)
    assert code(at.tell("york", at.round(enrolled, raw))[0]) is Code.NOT_UNDERSTOOD
    assert "the Ask cannot be read" in why()


def test_a_method_that_fails_says_so_and_no_more() -> None:
    at = world()
    plan = at.plan(cg.Describe(cg.dataset("trial"), columns=["age"]))
    enrolled = at.enrol(at.request(plan), SITES)
    assert code(at.tell("york", at.round(enrolled, Ask("no such step")))[0]) in (Code.FAILED, Code.NOT_UNDERSTOOD)


def test_rounds_follow_one_another(why: Why) -> None:
    at = world()
    plan = at.plan(cg.Describe(cg.dataset("trial"), columns=["age"]))
    enrolled = at.enrol(at.request(plan), SITES)
    ask = next(plan.analyses[0].method.coordinate(plan.schema))
    assert code(at.tell("york", at.round(enrolled, ask, 1))[0]) is Code.ROSTER
    assert "the round before was not answered here" in why()
    assert [code(at.tell("york", at.round(enrolled, ask, number))[0]) for number in range(3)] == [None] * 3


def test_there_are_not_many_rounds(why: Why) -> None:
    at = world()
    enrolled = at.enrol(at.request(at.plan(count())), SITES)
    assert code(at.tell("york", at.round(enrolled, COUNT, 10_000))[0]) is Code.LATE
    assert "too many rounds" in why()


def test_what_was_refused_for_what_the_data_hold_stays_refused_in_the_run(tmp_path: Path, why: Why) -> None:
    at = world(states=tmp_path)
    plan = at.plan(cg.Describe(cg.dataset("trial"), columns=["age"]))
    enrolled = at.enrol(at.request(plan), SITES)
    ask = next(plan.analyses[0].method.coordinate(plan.schema))
    assert code(at.tell("york", at.round(enrolled, Ask("no such step")))[0]) is Code.FAILED
    assert code(at.tell("york", at.round(enrolled, ask))[0]) is Code.FAILED
    assert "has refused the analysis before" in why()
    at.reopen("york")
    assert code(at.tell("york", at.round(enrolled, ask))[0]) is Code.FAILED


def test_masks_within_groups_need_enough_organisations_in_each(why: Why) -> None:
    names = tuple("abcdef")
    at = World({name: frame(60) for name in names}, organisations={"d": "one", "e": "one", "f": "two"})
    request = at.request(at.plan(count()))
    roster = at.roster(request, names, groups=(("a", "b", "c"), ("d", "e", "f")))
    assert roster.mode == "open", "a roster with such a group masks nothing"
    roster = at.roster(request, names, groups=(("a", "b", "d"), ("c", "e", "f")))
    assert code(at.tell("a", at.prepare(request, roster))[0]) is None
    at.trust["a"].own_policy = cg.Policy(organisations=4)
    assert code(at.tell("a", at.prepare(at.request(request.plan), roster))[0]) is Code.ROSTER
