"""What a site answers twice, what it never says, and when it answers alone or not at all."""

from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd
import pytest

import civicgrid as cg
from civicgrid.disclosure.codes import Code
from civicgrid.methods.method import Ask
from civicgrid.trust.chain import check
from civicgrid.wire import Accepted, Shared
from unit.node.sites import World, code, frame
from unit.node.trial import COUNT, SITES, Why, count, world


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
        cg.GLM(trial, outcome="cost", predictors=["age"], family="poisson"),
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
