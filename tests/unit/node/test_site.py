"""Each refusal of a site by its own cause, what it answers twice, and what it never says."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import civicgrid as cg
from civicgrid.disclosure.codes import Code
from civicgrid.disclosure.thresholds import Thresholds
from civicgrid.errors import TrustError, WireError
from civicgrid.governance.permit import Person
from civicgrid.methods.method import Ask
from civicgrid.trust.chain import check
from civicgrid.trust.keys import ExchangeKey, SigningKey
from civicgrid.wire import STUDY, Accepted, Envelope, Finish, Shared, SignedTask
from unit.node.sites import NETWORK, NOON, World, code, frame

COUNT = Ask("count")
SITES = ("hull", "leeds", "york")
Why = Callable[[], str]


def world(**options: Any) -> World:
    return World({"hull": frame(60), "leeds": frame(50), "york": frame(40)}, **options)


@pytest.fixture
def why(caplog: pytest.LogCaptureFixture) -> Why:
    """The reason that a site wrote into its own log for the latest refusal."""
    caplog.set_level(logging.INFO, logger="civicgrid.node")
    return lambda: caplog.records[-1].getMessage()


def count() -> cg.Count:
    return cg.Count(cg.dataset("trial"))


def of_the_dead(at: World) -> cg.Count:
    """A count whose cohort reads one column."""
    trial = cg.dataset("trial", at.sites["hull"].data.holdings()[0].dictionary)
    return cg.Count(cg.cohort(trial["died"] == 1))


# --- permits ---------------------------------------------------------------------------------------------------------

OUTSIDE: dict[str, tuple[dict[str, Any], str]] = {
    "expired": ({"valid_until": NOON.isoformat()}, "not valid at this time"),
    "not yet valid": ({"valid_from": (NOON + dt.timedelta(seconds=1)).isoformat()}, "not valid at this time"),
    "network": ({"network": "elsewhere"}, "another network, site or project"),
    "site": ({"site": "hull"}, "another network, site or project"),
    "project": ({"project": "P-2"}, "another network, site or project"),
    "person": ({"people": (Person(name="Eve", key="nobody"),)}, "person is not named"),
    "data set": ({"datasets": ("registry",)}, "data set is not on the permit"),
    "column": ({"columns": ("records.age",)}, "columns records.died are not on the permit"),
    "method": ({"methods": ("describe",)}, "a method is not on the permit"),
    "plan": ({"plans": ("0" * 64,)}, "plan is not one of those"),
}


@pytest.mark.parametrize("cause", OUTSIDE)
def test_a_study_outside_the_permit_is_refused(cause: str, why: Why) -> None:
    changes, words = OUTSIDE[cause]
    at = world()
    at.trust["york"].own_permits = [at.permit("york", **changes)]
    replies = at.enrol(at.request(at.plan(of_the_dead(at))), SITES).replies
    assert {site: code(reply) for site, reply in replies.items()} == {
        "hull": None,
        "leeds": None,
        "york": Code.NOT_PERMITTED,
    }
    assert words in why()


def test_no_permit_no_answer(why: Why) -> None:
    at = world()
    at.trust["york"].own_permits = []
    assert code(at.enrol(at.request(at.plan(count())), SITES).replies["york"]) is Code.NOT_PERMITTED
    assert "no permit stands" in why()


def test_one_of_several_permits_is_enough() -> None:
    at = world()
    at.trust["york"].own_permits = [at.permit("york", project="P-2"), *at.trust["york"].own_permits]
    assert code(at.enrol(at.request(at.plan(count())), SITES).replies["york"]) is None


def test_a_permit_for_this_very_plan_and_column_covers_it() -> None:
    at = world()
    plan = at.plan(of_the_dead(at))
    at.trust["york"].own_permits = [at.permit("york", plans=(plan.digest(),), columns=("records.died",))]
    assert code(at.enrol(at.request(plan), SITES).replies["york"]) is None


@pytest.mark.parametrize("how", ["revoked", "expired"])
def test_a_permit_that_ends_between_two_rounds_stops_the_next(how: str, why: Why) -> None:
    at = world()
    plan = at.plan(cg.Describe(cg.dataset("trial"), columns=["age"]))
    enrolled = at.enrol(at.request(plan), SITES)
    ask = next(plan.analyses[0].method.coordinate(plan.schema))
    assert isinstance(at.tell("york", at.round(enrolled, ask))[0], Shared)
    if how == "revoked":
        at.trust["york"].own_permits = []
    else:
        at.moment = NOON + dt.timedelta(days=1)
    assert code(at.tell("york", at.round(enrolled, ask, 1))[0]) is Code.NOT_PERMITTED
    assert ("no permit" if how == "revoked" else "not valid at this time") in why()


# --- the study and its task ------------------------------------------------------------------------------------------


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


# --- the roster ------------------------------------------------------------------------------------------------------


def refused_roster(at: World, why: Why, words: str, sites: tuple[str, ...] = SITES, **changes: Any) -> None:
    request = at.request(at.plan(count()))
    assert code(at.tell("york", at.prepare(request, at.roster(request, sites, **changes)))[0]) is Code.ROSTER
    assert words in why()


def test_a_roster_without_this_site_is_refused(why: Why) -> None:
    refused_roster(world(), why, "not on the roster as itself", ("hull", "leeds"))


@pytest.mark.parametrize("field", ["study", "run", "plan", "network"])
def test_a_roster_for_another_study_is_refused(field: str, why: Why) -> None:
    refused_roster(world(), why, "for another study", **{field: "0" * 64})


def test_a_peer_that_is_not_pinned_is_refused(why: Why) -> None:
    at = world()
    del at.trust["york"].own_peers["leeds"]
    refused_roster(at, why, "leeds is not a pinned peer")


@pytest.mark.parametrize("field", ["signing", "exchange", "organisation"])
def test_a_peer_with_another_key_or_organisation_is_refused(field: str, why: Why) -> None:
    at = world()
    other = {
        "signing": SigningKey.generate().public,
        "exchange": ExchangeKey.generate().public,
        "organisation": "x",
    }
    changed = at.member("leeds").model_copy(update={field: other[field]})
    refused_roster(at, why, "leeds is not a pinned peer", members=(at.member("hull"), changed, at.member("york")))


def test_the_site_s_own_key_swapped_is_refused(why: Why) -> None:
    at = world()
    changed = at.member("york").model_copy(update={"exchange": ExchangeKey.generate().public})
    members = (at.member("hull"), at.member("leeds"), changed)
    refused_roster(at, why, "not on the roster as itself", members=members)


def test_fewer_organisations_than_the_policy_asks_for_are_refused(why: Why) -> None:
    at = world(policy=cg.Policy(organisations=4))
    refused_roster(at, why, "fewer organisations")


def test_a_missing_signature_stops_the_round(why: Why) -> None:
    at = world()
    enrolled = at.enrol(at.request(at.plan(count())), SITES)
    two = [enrolled.accepted[site].signature for site in ("hull", "york")]
    assert code(at.tell("york", at.round(enrolled, COUNT, signed=two[0].joined(two[1])))[0]) is Code.ROSTER
    assert "'leeds' has not signed the roster" in why()
    assert code(at.tell("york", at.round(enrolled, COUNT, 1, signed=None))[0]) is Code.ROSTER
    assert "did not come" in why()
    # A refusal is no answer: with all signatures the same round is answered.
    assert isinstance(at.tell("york", at.round(enrolled, COUNT))[0], Shared)


def test_the_signatures_of_another_roster_do_not_count(why: Why) -> None:
    at = world()
    request = at.request(at.plan(count()))
    first, second = at.enrol(request, SITES), at.enrol(request, SITES, attempt=1)
    assert code(at.tell("york", at.round(second, COUNT, signed=first.signed))[0]) is Code.ROSTER
    assert "signatures are for another roster" in why()


def test_a_roster_that_this_site_has_not_signed_is_refused(why: Why) -> None:
    at = world()
    enrolled = at.enrol(at.request(at.plan(count())), SITES)
    assert code(at.tell("york", at.round(enrolled, COUNT, roster="0" * 64))[0]) is Code.ROSTER
    assert code(at.tell("york", at.round(enrolled, COUNT, attempt=1))[0]) is Code.ROSTER
    assert "has not signed that roster" in why()


def test_another_question_under_the_same_round_is_refused(why: Why) -> None:
    at = world()
    enrolled = at.enrol(at.request(at.plan(count())), SITES)
    assert isinstance(at.tell("york", at.round(enrolled, COUNT))[0], Shared)
    assert code(at.tell("york", at.round(enrolled, Ask("count", values={"salt": 1})))[0]) is Code.ROSTER
    assert "another question, or another message, under the same round" in why()


# --- what is asked ---------------------------------------------------------------------------------------------------


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


# --- the same task, the same bytes -----------------------------------------------------------------------------------


def test_the_same_task_gets_the_same_bytes_also_after_a_restart(tmp_path: Path) -> None:
    at = world(states=tmp_path)
    enrolled = at.enrol(at.request(at.plan(count())), SITES)
    task = at.round(enrolled, COUNT)
    first = at.sites["york"].answer(task)
    assert at.sites["york"].answer(task) == first
    at.reopen("york")
    assert at.sites["york"].answer(task) == first
    # Nor does another load of the data, or a revoked permit, make other bytes of it.
    at.reload("york", frame(45))
    at.trust["york"].own_permits = []
    assert at.sites["york"].answer(task) == first
    rows = at.sites["york"].state.connection.execute("select count(*) from answers").fetchone()
    assert rows == (1,)


def test_an_accepted_run_goes_on_after_a_restart(tmp_path: Path) -> None:
    at = world(states=tmp_path)
    enrolled = at.enrol(at.request(at.plan(count())), SITES)
    at.reopen("york")
    assert isinstance(at.tell("york", at.round(enrolled, COUNT))[0], Shared)


def test_the_ledger_the_outbox_and_the_audit_log_agree(tmp_path: Path) -> None:
    at = world(states=tmp_path)
    at.run(at.plan(count(), cg.Describe(cg.dataset("trial"), columns=["age", "sex"])))
    at.reopen("york")
    state = at.sites["york"].state
    log = list(state.log())
    assert check(log).ok
    released = [line for line in log if line is not None and line.action == "released"]
    assert len(released) == state.connection.execute("select count(*) from answers").fetchone()[0] > 1
    assert {line.details["mode"] for line in released} == {"masked"}


# --- what a site never says ------------------------------------------------------------------------------------------

CANARY = 87654321.125
WORD = "canary-7f3a"


def test_no_refusal_log_line_or_audit_entry_holds_a_record_s_value(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    data = {name: frame(size) for name, size in (("hull", 60), ("leeds", 50), ("york", 40))}
    for held in data.values():
        held["cost"] = [float(i) for i in range(len(held))]
        held["ward"] = ["north" if i % 2 else "south" for i in range(len(held))]
    # One person's values lie outside everything that the dictionary, drawn up without them, says.
    at = World(data)
    spoilt = data["york"].copy()
    spoilt.loc[7, "cost"], spoilt.loc[8, "ward"] = CANARY, WORD
    at.reload("york", spoilt)
    trial = cg.dataset("trial")
    methods = (
        cg.GLM(trial, outcome="cost", predictors=["age", "ward"], family="gaussian"),
        cg.GLM(trial, outcome="cost", predictors=["age"], family="binomial"),
        cg.GLM(trial, outcome="died", predictors=["cost", "ward"], family="binomial"),
        cg.Describe(trial, columns=["cost", "ward"], by="sex"),
        cg.Crosstab(trial, rows="ward", columns="sex"),
    )
    said = []
    for method in methods:
        result = at.run(at.plan(method))
        said.append(result.canonical().decode())
    enrolled = at.enrol(at.request(at.plan(methods[0])), SITES)
    for ask in (Ask("pass"), Ask("survey"), Ask("spread"), Ask("no such step")):
        said.append(str(at.tell("york", at.round(enrolled, ask, len(said)))[0]))
    written = [row[0] for row in at.sites["york"].state.connection.execute("select entry from audit")]
    text = "\n".join([caplog.text, *said, *written])
    for trace in (WORD, "87654321", "8.765432"):
        assert trace not in text


def test_a_refusal_is_a_code_and_nothing_else() -> None:
    at = world()
    at.trust["york"].own_permits = []
    reply = at.enrol(at.request(at.plan(count())), SITES).replies["york"]
    assert set(reply.to_data()) == {"kind", "task", "code"}


# --- one site, two sites ---------------------------------------------------------------------------------------------


def test_two_sites_answer_in_the_open_and_a_small_one_not_at_all(why: Why) -> None:
    at = World({"hull": frame(60), "york": frame(4)})
    replies = at.enrol(at.request(at.plan(count())), ("hull", "york")).replies
    assert isinstance(replies["hull"], Accepted)
    assert code(replies["york"]) is Code.DISCLOSURE
    assert "too small" in why()
    result = at.run(at.plan(count())).analyses[0]
    assert result.mode == "open"
    assert {site.site: site.status for site in result.sites} == {"hull": "answered", "york": "suppressed"}
    assert result.output is not None
    assert result.output.tables[0].rows == ((60,),)


def test_one_site_alone_answers_under_its_own_rules() -> None:
    at = World({"hull": frame(63)})
    result = at.run(at.plan(count())).analyses[0]
    assert (result.mode, result.output and result.output.tables[0].rows) == ("open", ((65,),))
    small = World({"hull": frame(9)})
    result = small.run(small.plan(count())).analyses[0]
    assert (result.output, result.sites[0].status) == (None, "suppressed")


def test_two_sites_of_three_organisations_names_are_not_enough_to_mask() -> None:
    at = world(organisations={"hull": "north", "leeds": "north", "york": "south"})
    assert at.run(at.plan(count())).analyses[0].mode == "open"


def test_without_a_pooled_threshold_a_small_site_refuses_though_masked(why: Why) -> None:
    small = {"hull": frame(60), "leeds": frame(50), "wales": frame(4), "york": frame(40)}
    pooled, strict = World(small), World(small, pooled=False)
    whole = pooled.run(pooled.plan(count())).analyses[0]
    assert (whole.mode, whole.output and whole.output.tables[0].rows) == ("masked", ((155,),))
    alone = strict.run(strict.plan(count())).analyses[0]
    assert {site.site: site.status for site in alone.sites}["wales"] == "suppressed"
    assert (alone.mode, alone.output and alone.output.tables[0].rows) == ("masked", ((150,),))


def test_a_site_s_policy_takes_the_pooled_threshold_back_from_a_permit() -> None:
    at = World({"hull": frame(60), "leeds": frame(50), "wales": frame(4), "york": frame(40)})
    at.trust["wales"].own_policy = cg.Policy(pooled_threshold=False)
    replies = at.enrol(at.request(at.plan(count())), ("hull", "leeds", "wales", "york")).replies
    assert code(replies["wales"]) is Code.DISCLOSURE


def test_a_permit_may_be_stricter_than_the_policy_and_never_looser() -> None:
    at = world()
    policy = at.trust["york"].own_policy.thresholds
    at.trust["york"].own_permits = [at.permit("york", thresholds=policy.model_copy(update={"min_cell": 50}))]
    replies = at.enrol(at.request(at.plan(count())), SITES).replies
    assert code(replies["york"]) is Code.DISCLOSURE
    at.trust["york"].own_permits = [at.permit("york", thresholds=type(policy).open())]
    reply = at.enrol(at.request(at.plan(count())), SITES).replies["york"]
    assert isinstance(reply, Accepted)
    assert reply.thresholds == policy


def test_an_empty_site_takes_part() -> None:
    at = World({"hull": frame(60), "leeds": frame(50), "york": frame(40)})
    at.reload("york", pd.DataFrame({"age": [], "sex": [], "died": []}))
    result = at.run(at.plan(count())).analyses[0]
    assert result.output is not None
    assert result.output.tables[0].rows == ((110,),)


def crossed(at: World) -> Any:
    """A table with an empty cell: nobody is both male and under age."""
    trial = cg.dataset("trial", at.sites["york"].data.holdings()[0].dictionary)
    people = cg.cohort(trial.age >= 20, old=trial.age >= 20, sex=trial.sex)
    result = at.run(at.plan(cg.Crosstab(people, rows="sex", columns="old")), published=Thresholds(zeros=True))
    output = result.analyses[0].output
    assert output is not None
    return output.tables[0].rows[0][1]


def test_a_cell_with_nobody_in_it_is_shown_where_policy_and_permit_of_every_site_allow_it() -> None:
    def asked(**changes: Any) -> Any:
        at = world()
        for site in SITES:
            at.trust[site].own_permits = [at.permit(site, pooled_threshold=True, zeros=True)]
        if "policy" in changes:
            at.trust["york"].own_policy = cg.Policy(zeros=False)
        if "permit" in changes:
            at.trust["york"].own_permits = [at.permit("york", pooled_threshold=True, **changes["permit"])]
        return crossed(at)

    assert asked() == 0
    assert asked(policy=False) is None
    assert asked(permit={}) is None
    assert asked(permit={"thresholds": Thresholds(zeros=True)}) is None, "the clause is the permit's, not a threshold"
