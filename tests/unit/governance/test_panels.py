"""Panels: drawn by lot, deliberating, voting under their own keys."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections import Counter

import pytest

from civicgrid.errors import NotAllowed, StateError
from civicgrid.governance.ballot import reason_digest
from civicgrid.governance.deliberating import Prepare, ballot, decision, tally
from civicgrid.governance.sortition import Candidate, Quota, draw, follower, list_digest
from unit.governance.desk import KEYS, MEMBERS, NETWORK, desk, panel_says, seat, seats, sent, vote

QUOTAS = (Quota(group=("young",), seats=2), Quota(group=("old",), seats=3))
PEOPLE = tuple(Candidate(id=f"v-{n}", group=("young" if n <= 4 else "old",)) for n in range(1, 13))


def test_a_draw_can_be_done_again_by_hand() -> None:
    """The same order from the shell's sha256sum: each part after its length in four bytes."""
    def at(person: str) -> str:
        parts = [b"the seed of the day", b"north", person.encode()]
        told = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        out = subprocess.run(["sha256sum"], input=told, capture_output=True, check=True).stdout
        return out.split()[0].decode()

    drawing = draw("the seed of the day", "north", PEOPLE, QUOTAS)
    young = sorted((person.id for person in PEOPLE[:4]), key=at)[:2]
    old = sorted((person.id for person in PEOPLE[4:]), key=at)[:3]
    assert [person.id for person in drawing.drawn] == young + old
    assert not drawing.short
    assert draw("the seed of the day", "north", PEOPLE[::-1], QUOTAS) == drawing, "the order of the list means nothing"
    assert draw("another seed of the day", "north", PEOPLE, QUOTAS) != drawing
    assert draw("the seed of the day", "south", PEOPLE, QUOTAS) != drawing


def test_within_a_group_everybody_has_the_same_chance() -> None:
    times = Counter(
        person.id for n in range(2000) for person in draw(f"seed number {n:08}", "north", PEOPLE, QUOTAS).drawn
    )
    # 1,000 of 2,000 for each of four young people, 750 for each of eight older ones: within four standard deviations.
    assert all(abs(times[f"v-{n}"] - 1000) < 4 * 22.4 for n in range(1, 5)), times
    assert all(abs(times[f"v-{n}"] - 750) < 4 * 21.7 for n in range(5, 13)), times


def test_seats_that_a_group_cannot_fill_go_to_the_others() -> None:
    quotas = (Quota(group=("young",), seats=6), Quota(group=("old",), seats=2))
    drawing = draw("the seed of the day", "north", PEOPLE, quotas)
    assert drawing.short == (Quota(group=("young",), seats=2),)
    assert Counter(person.group for person in drawing.drawn) == {("young",): 4, ("old",): 4}
    with pytest.raises(StateError, match="at least 13 volunteers"):
        draw("s", "north", PEOPLE, (Quota(seats=13),))
    with pytest.raises(StateError, match="each volunteer once"):
        draw("s", "north", (*PEOPLE, PEOPLE[0]), QUOTAS)
    with pytest.raises(StateError, match="each group once"):
        draw("s", "north", PEOPLE, (*QUOTAS, QUOTAS[0]))


def test_a_free_seat_goes_to_the_next_of_the_group_then_to_the_next_of_all() -> None:
    drawing = draw("the seed of the day", "north", PEOPLE, QUOTAS)
    young = [person.id for person in drawing.reserve if person.group == ("young",)]
    first = follower(drawing, ("young",), frozenset())
    assert first is not None and first.id == young[0]
    other = follower(drawing, ("young",), frozenset(young))
    assert other is not None and other.group == ("old",)
    assert follower(drawing, ("young",), frozenset(person.id for person in PEOPLE)) is None


def test_the_list_is_public_by_its_digest_before_the_seed_is() -> None:
    made = desk()
    panel = made.get("panel", "north")
    given = json.dumps(sorted([c.id, list(c.group)] for c in panel.candidates), separators=(",", ":"))
    assert panel.list_digest == list_digest(panel.candidates) == hashlib.sha256(given.encode()).hexdigest()
    opened, listed, drawn = (entry for entry in made.public if entry.kind == "rule")  # type: ignore[attr-defined]
    assert listed.text == panel.list_digest and "Lottery" in drawn.summary and "Lottery" not in listed.summary
    assert "quorum 3" in opened.title


def test_members_have_the_role_and_others_have_not() -> None:
    made = desk()
    sitting = set(seats(made))
    assert len(sitting) == 5
    assert {name for name in MEMBERS if made.get("account", name).has("panel_member", "north")} == sitting
    assert [member.group for member in made.get("panel", "north").members].count(("under 40",)) == 2


def test_who_withdrew_is_passed_over_and_who_leaves_is_followed() -> None:
    made = desk()
    panel = made.get("panel", "north")
    gone = panel.members[4]
    made.perform("op", "panel.replace", "north", account=gone.account)
    after = made.get("panel", "north")
    assert len(after.members) == 5 and gone not in after.members
    expected = follower(panel.drawing(), gone.group, frozenset())
    assert expected is not None and after.members[-1].offer == expected.id
    assert not made.get("account", gone.account).has("panel_member")
    made.perform("op", "panel.replace", "north", account=after.members[-1].account)
    with pytest.raises(StateError, match="Nobody is left"):
        made.perform("op", "panel.replace", "north", account=seats(made)[0])


def test_offers_are_checked_and_can_be_withdrawn() -> None:
    made = desk()
    with pytest.raises(StateError, match="is fixed"):
        made.perform("ben", "volunteer.offer", panel="north", group=["older"])
    made.perform("op", "panel.renew", "north")
    with pytest.raises(StateError, match="one of the groups"):
        made.perform("ben", "volunteer.offer", panel="north", group=["middle"])
    offer = made.perform("ben", "volunteer.offer", panel="north", group=["older"])
    with pytest.raises(StateError, match="offered already"):
        made.perform("ben", "volunteer.offer", panel="north", group=["older"])
    with pytest.raises(NotAllowed):
        made.perform("ada", "volunteer.withdraw", offer.id)
    assert made.perform("ben", "volunteer.withdraw", offer.id).group == ()


def test_a_panel_s_way_from_the_first_question_to_the_count() -> None:
    made = desk()
    project = sent(made)
    id = f"{project}.north"
    chair, second, third, fourth, fifth = seats(made)
    made.perform(second, "deliberation.poll", id, view="2")
    made.perform(second, "deliberation.ask", id, question="Who pays?")
    with pytest.raises(StateError, match="1 of the panel's questions have no answer"):
        made.perform(chair, "deliberation.open_vote", id)
    made.perform("ada", "deliberation.answer", id, number="1", answer="The Lung Fund.")
    made.perform("ada", "deliberation.attach", id, title="A study", summary="It says so.", link="https://a.example/b")
    made.perform(fifth, "deliberation.declare", id, reason="My sister works there.")
    for action, form in (("vote", {"ballot": "{}", "reason": "x"}), ("poll", {"view": "1"}), ("ask", {"question": "?"})):
        with pytest.raises(NotAllowed):
            made.perform(fifth, f"deliberation.{action}", id, **form)
    made.perform(chair, "deliberation.open_vote", id)
    made.perform(second, "deliberation.poll", id, view="4")
    views = [(view.when, view.view) for view in made.get("deliberation", id).views]
    assert views == [("before", 2), ("after", 4)]
    vote(made, id, chair, "yes", conditions=("Tell patients",))
    vote(made, id, second, "yes", conditions=("Tell patients", "Report yearly"))
    with pytest.raises(StateError, match="3 votes, the panel's quorum; there are 2"):
        made.perform(chair, "deliberation.close", id, reasons="So.")
    vote(made, id, third, "no", reason="Too much data.")
    with pytest.raises(StateError, match="Is it fair"):
        made.perform(chair, "deliberation.close", id, reasons="So.")
    principle = made.get("charter", "charter").principles[0].key
    made.perform(chair, "deliberation.answer_principle", id, principle=principle, answer="Yes.")
    closed = made.perform(chair, "deliberation.close", id, reasons="So.")
    assert (closed.state, closed.conditions, closed.minority) == ("approved", ("Tell patients",), "Too much data.")
    entry = made.public[-1]
    assert (entry.votes_for, entry.votes_against, entry.minority) == (2, 1, "Too much data.")  # type: ignore[attr-defined]
    given = decision(closed, made)
    assert given.conflicted == (KEYS[fifth].public,) and len(given.ballots) == 3
    assert not made.get("account", fourth).has("panel_chair")


def test_a_ballot_has_to_be_one_s_own_and_about_this() -> None:
    made = desk()
    project, other = sent(made), sent(made, title="Another")
    id, chair = f"{project}.north", seats(made)[0]
    made.perform(chair, "deliberation.open_vote", id)
    open_one = made.get("deliberation", id)

    def cast(reason: str = "So.", key: str = chair, **changes: str) -> None:
        prepared = Prepare(choice="yes", reason="So.")
        made_one = ballot(open_one, NETWORK, prepared, made.now).model_copy(update=changes)
        text = made_one.signed(KEYS[key]).canonical().decode()
        made.perform(chair, "deliberation.vote", id, ballot=text, reason=reason)

    with pytest.raises(StateError, match="does not hold under your key"):
        cast(key=seats(made)[1])
    with pytest.raises(StateError, match="the very same words"):
        cast(reason="Otherwise.")
    for name, value in (
        ("application", made.get("deliberation", f"{other}.north").dossier),
        ("project", other), ("panel", "south"), ("network", "another"), ("plans", ()),
    ):  # fmt: skip
        with pytest.raises(StateError, match="about another application"):
            cast(**{name: value})  # type: ignore[arg-type]
    with pytest.raises(StateError, match="before the vote opened"):
        cast(time="2026-01-01T00:00:00+00:00")
    cast()
    with pytest.raises(StateError, match="voted already"):
        cast()
    assert tally(made.get("deliberation", id), made, NETWORK).votes_for == 1


def test_a_vote_is_struck_out_once_its_member_declares_an_interest() -> None:
    made = desk()
    id = f"{sent(made)}.north"
    chair, second, *_ = seats(made)
    made.perform(chair, "deliberation.open_vote", id)
    vote(made, id, second, "yes")
    made.perform(second, "deliberation.declare", id, reason="I own shares.")
    assert made.get("deliberation", id).votes == ()


def test_a_term_ends() -> None:
    made = desk()
    id = f"{sent(made)}.north"
    chair = seats(made)[0]
    made.perform(chair, "deliberation.open_vote", id)
    made.later(days=24 * 30 + 1)
    with pytest.raises(StateError, match="Your term on North citizens has ended"):
        vote(made, id, chair, "yes")


@pytest.mark.parametrize(
    ("majority", "votes", "state"),
    [
        ("more than half", "yyn", "approved"),
        ("more than half", "yna", "vetoed"),
        ("more than half", "aaa", "vetoed"),
        ("two thirds", "yyn", "approved"),
        ("two thirds", "yynn", "vetoed"),
        ("three quarters", "yyyn", "approved"),
        ("three quarters", "yynaa", "vetoed"),
        ("all", "yyaa", "approved"),
        ("all", "yyyyn", "vetoed"),
        ("all", "aaa", "vetoed"),
    ],
)
def test_majorities(majority: str, votes: str, state: str) -> None:
    made = desk()
    made.records.pop(("panel", "north"))
    for offer in made.find("volunteer"):
        made.records.pop(("volunteer", offer.id))
    seat(made, majority=majority)
    named = {"y": "yes", "n": "no", "a": "abstain"}
    assert panel_says(made, sent(made), *(named[each] for each in votes)).state == state


def test_the_reason_s_digest_is_that_of_its_words() -> None:
    assert reason_digest("Für alle.") == hashlib.sha256("Für alle.".encode()).hexdigest()
