"""The board: no key alone changes which sites take part, which rules hold, or who sits on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from civicgrid.errors import NotAllowed, StateError
from civicgrid.governance.network import LEADS, NEEDED, SECTORS, Board, BoardVote, Seat, vote
from civicgrid.governance.people import Grant
from civicgrid.trust.keys import SigningKey
from unit.governance.desk import NETWORK, Desk, account, desk

KEYS = {sector: SigningKey.generate() for sector in SECTORS}
HOLDERS = {sector: f"b-{sector.split()[0]}" for sector in SECTORS}


def board() -> Desk:
    made = desk()
    made.put(
        *(account(HOLDERS[sector], Grant(role="board_member", scope=sector)) for sector in SECTORS),
        Board(seats=tuple(Seat(sector=s, account=HOLDERS[s], key=KEYS[s].public) for s in SECTORS)),
    )
    made.public.clear()
    return made


def cast(
    made: Desk, motion: str, sector: Any, choice: Any = "yes", key: SigningKey | None = None, changes: Any = None
) -> Any:
    given = vote(made.get("motion", motion), NETWORK, sector, choice).model_copy(update=changes)
    signed = given.signed(key or KEYS[sector])
    return made.perform(HOLDERS[sector], "motion.vote", motion, vote=signed.canonical().decode())


def proposed(made: Desk, to: str = "suspended") -> str:
    change = {"site": "hull", "to": to, "reason": "A breach."}
    return str(made.perform(HOLDERS["council"], "motion.move_site", "", change).id)


def test_it_never_takes_fewer_than_two_sectors() -> None:
    assert min(NEEDED.values()) >= 2 and max(NEEDED.values()) == len(SECTORS)
    assert set(LEADS) <= set(NEEDED)


def test_a_site_joins_by_three_sectors_votes() -> None:
    made = board()
    form = {"id": "york", "name": "York", "organisation": "hospital", "panels": ["north"], "reason": "To take part."}
    motion = made.perform("ben", "motion.admit", "", form).id
    assert cast(made, motion, "council").state == "open"
    assert cast(made, motion, "community").state == "open"
    assert not made.find("site", id="york")
    assert cast(made, motion, "university").state == "carried"
    assert made.get("site", "york").panels == ("north",)
    assert made.public[-1].sentence() == "york, run by Demo Hospital, joined the network. The reason: To take part."
    assert made.public[-1].sectors == ("council", "community", "university")  # type: ignore[attr-defined]
    with pytest.raises(StateError, match="called york already"):
        made.perform("ben", "motion.admit", "", form)


@pytest.mark.parametrize("to", ["paused", "suspended", "retired"])
def test_a_site_s_state_changes_once_enough_have_said_yes(to: str) -> None:
    made = board()
    motion = proposed(made, to)
    for number, sector in enumerate(SECTORS[: NEEDED[to]], 1):
        assert made.get("site", "hull").state == "active"
        assert cast(made, motion, sector).state == ("carried" if number == NEEDED[to] else "open")
    assert made.get("site", "hull").state == to
    with pytest.raises(StateError, match="to be open"):
        cast(made, motion, SECTORS[-1])


def test_enough_noes_end_it() -> None:
    made = board()
    motion = proposed(made)
    assert cast(made, motion, "council", "no").state == "open"
    assert cast(made, motion, "community", "no").state == "rejected"
    assert made.get("site", "hull").state == "active" and not made.public


def test_a_vote_has_to_be_the_seat_s_own_on_this_very_motion() -> None:
    made = board()
    motion, other = proposed(made), proposed(made, "paused")
    with pytest.raises(StateError, match="key of your own seat"):
        cast(made, motion, "council", key=KEYS["university"])
    with pytest.raises(StateError, match="key of your own seat"):
        cast(made, motion, "council", key=SigningKey.generate())
    changed = vote(made.get("motion", other), NETWORK, "council", "yes")
    for name, value in (
        ("motion", other), ("change", changed.change), ("sector", "university"), ("network", "elsewhere"),
    ):  # fmt: skip
        with pytest.raises(StateError, match="another motion, or for another sector"):
            cast(made, motion, "council", changes={name: value})
    both = vote(made.get("motion", motion), NETWORK, "council", "yes")
    envelope = both.signed(KEYS["council"]).joined(both.signed(KEYS["university"])).canonical().decode()
    with pytest.raises(StateError, match="with no other"):
        made.perform(HOLDERS["council"], "motion.vote", motion, vote=envelope)
    cast(made, motion, "council")
    with pytest.raises((StateError, NotAllowed)):
        cast(made, motion, "council", "no")


def test_the_operator_can_neither_vote_nor_give_a_vote() -> None:
    made = board()
    motion = proposed(made)
    with pytest.raises(NotAllowed):
        made.perform("op", "motion.vote", motion, vote="{}")
    with pytest.raises(StateError, match="seats on the board are given by the board"):
        made.perform("op", "account.grant", "ben", role="board_member", scope="council")
    with pytest.raises(StateError, match="drawn by lot"):
        made.perform("op", "account.grant", "ben", role="panel_member", scope="north")
    made.put(account("eve", Grant(role="board_member", scope="council")))
    key = SigningKey.generate()
    given = vote(made.get("motion", motion), NETWORK, "council", "yes").signed(key).canonical().decode()
    with pytest.raises(StateError, match="key of your own seat"):
        made.perform("eve", "motion.vote", motion, vote=given)


def test_a_charter_and_a_rule_take_all_four() -> None:
    made = board()
    holder = HOLDERS["council"]
    charter = made.perform(holder, "motion.change_charter", "", {"panel": ["Is it fair?", "Is it kind?"]}).id
    rule = made.perform(holder, "motion.change_rule", "", {"title": "Cells", "text": "No cell below ten."}).id
    for motion in (charter, rule):
        for sector in SECTORS:
            cast(made, motion, sector)
        assert made.get("motion", motion).state == "carried"
    assert made.get("charter", "charter").version == 2
    assert [principle.words for principle in made.get("charter", "charter").principles] == ["Is it fair?", "Is it kind?"]
    assert [entry.what for entry in made.public] == ["charter", "rule"]  # type: ignore[attr-defined]


def test_a_seat_changes_hands_by_the_board_alone() -> None:
    made = board()
    key = SigningKey.generate()
    form = {"sector": "community", "account": "ben", "key": key.public}
    with pytest.raises(StateError, match="Nobody holds two seats"):
        made.perform(HOLDERS["council"], "motion.give_seat", "", form | {"account": HOLDERS["council"]})
    motion = made.perform(HOLDERS["council"], "motion.give_seat", "", form).id
    for sector in ("council", "university", "health service"):
        cast(made, motion, sector)
    assert made.get("account", "ben").has("board_member", "community")
    assert not made.get("account", HOLDERS["community"]).has("board_member")
    other = proposed(made)
    with pytest.raises(NotAllowed):
        cast(made, other, "community")
    signed = vote(made.get("motion", other), NETWORK, "community", "yes").signed(key).canonical().decode()
    assert made.perform("ben", "motion.vote", other, vote=signed).said("yes") == ("community",)


def test_what_cannot_be_is_not_proposed() -> None:
    made = board()
    with pytest.raises(StateError, match="cannot become active"):
        proposed(made, "active")
    motion = proposed(made)
    with pytest.raises(NotAllowed):
        made.perform("ben", "motion.withdraw", motion)
    assert made.perform(HOLDERS["council"], "motion.withdraw", motion).state == "withdrawn"
    made.records.pop(("board", "board"))
    with pytest.raises(StateError, match="has no board"):
        cast(made, proposed(made), "council")


def test_a_site_stops_itself_and_asks_its_own_questions() -> None:
    made = board()
    made.perform("hull", "site.pause", "hull", reason="We move house.")
    assert made.get("site", "hull").state == "paused"
    assert "stopped for a while. The reason: We move house." in made.public[-1].sentence()
    made.perform("hull", "site.resume", "hull")
    made.perform("hull", "site.ask", "hull", questions=["Who pays?", "Who pays?", "Why us?"])
    assert [question.title for question in made.get("site", "hull").questions] == ["Who pays?", "Why us?"]
    with pytest.raises(NotAllowed):
        made.perform("cus", "site.pause", "hull", reason="No.")


def test_a_vote_reads_back() -> None:
    made = board()
    given = vote(made.get("motion", proposed(made)), NETWORK, "council", "no")
    assert BoardVote.from_bytes(given.canonical()) == given


def test_the_page_says_how_many_it_takes() -> None:
    page = (Path(__file__).parents[3] / "docs" / "governance.md").read_text("utf-8")
    rows = {
        "admit a site": {"admit"}, "pause a site, or start it again": {"paused", "active"},
        "suspend or retire a site": {"suspended", "retired"}, "give a seat to somebody else": {"seat"},
        "change the charter or a rule": {"charter", "rule"},
    }  # fmt: skip
    for words, changes in rows.items():
        assert {NEEDED[change] for change in changes} == {int(page.split(f"| {words} | ")[1][0])}
    assert set().union(*rows.values()) == set(NEEDED)
