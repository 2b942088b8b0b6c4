"""One application from its first word to the permit, with every way it can end; and the table of its states beside it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from civicgrid.errors import NotAllowed, StateError
from civicgrid.governance import states
from civicgrid.governance.application import drafted as draft_permit
from civicgrid.governance.application import missing, unneeded
from civicgrid.governance.permit import Permit, Person, Revocation
from civicgrid.governance.table import ACTS
from unit.governance.desk import ANSWERS, KEYS, NETWORK, Desk, approve, desk, drafted, lawful, panel_says, plan, sent


def permit(made: Desk, project: str, site: str = "leeds", changes: Mapping[str, Any] | None = None) -> Permit:
    dossier = made.get("application", project).dossier(NETWORK)
    people = (Person(name="Ada", key=KEYS["ada"].public),)
    drawn = draft_permit(dossier, site, people, "2026-06-01T00:00:00+00:00", "2027-06-01T00:00:00+00:00")
    return drawn.model_copy(update=changes)


def note(made: Desk, project: str, site: str = "leeds", changes: Mapping[str, Any] | None = None) -> Any:
    person = "cus" if site == "leeds" else site
    signed = permit(made, project, site, changes).signed(KEYS[person])
    return made.perform(person, "decision.permit", f"{project}.{site}", permit=signed.canonical().decode())


def revoke(made: Desk, project: str, site: str = "leeds") -> Any:
    person = "cus" if site == "leeds" else site
    digest = made.get("decision", f"{project}.{site}").permit_digest
    said = Revocation(network=NETWORK, site=site, permit=digest, time=made.now.isoformat(), reason="A breach.")
    return made.perform(
        person, "decision.revoke", f"{project}.{site}", revocation=said.signed(KEYS[person]).canonical().decode()
    )


def kinds(made: Desk) -> list[str]:
    return [entry.sentence() for entry in made.public if entry.kind != "rule"]  # type: ignore[attr-defined]


def to_permit(made: Desk) -> str:
    project = sent(made)
    panel_says(made, project, "yes", "yes", "no", "abstain")
    approve(made, project, "leeds", conditions=["Tell patients"])
    approve(made, project, "hull")
    note(made, project)
    return project


def test_from_the_first_word_to_the_result() -> None:
    made = desk()
    project = to_permit(made)
    assert made.get("application", project).state == "permitted"
    note(made, project, "hull")
    made.perform("ada", "application.finish", project, title="Air matters", findings="It does.", link="")
    assert made.get("application", project).state == "finished"
    assert kinds(made) == [
        "Demo University asked to use health data held at leeds and hull. The project is called Asthma and air.",
        "The citizen panel of North citizens said yes to project P-1. 2 of 4 voted for it. "
        "The reason: We talked it over.",
        "Demo Hospital said yes to project P-1. It must keep to this: Tell patients.",
        "Demo Hospital said yes to project P-1.",
        "Demo Hospital lets project P-1 study data. The data are at leeds. It may do so from 1 June 2026 to 1 June 2027.",
        "Demo Hospital lets project P-1 study data. The data are at hull. It may do so from 1 June 2026 to 1 June 2027.",
        "Project P-1 told what it found: Air matters.",
    ]
    assert [step.state for step in made.get("application", project).steps] == [
        "deciding", "approved", "permitted", "finished",
    ]  # fmt: skip


def test_nobody_s_name_stands_on_the_register() -> None:
    made = desk()
    to_permit(made)
    told = b"".join(entry.canonical() for entry in made.public).decode()
    assert not [person.name for person in made.find("account") if person.name in told]


def test_what_is_missing_is_listed_in_the_words_of_the_form() -> None:
    made = desk()
    project = made.perform("ada", "application.begin", title="Asthma").id
    gaps = missing(made.get("application", project), made, made.now.date())
    words = [gap.words for gap in gaps]
    assert "Public benefit: Who would be better off, how, and when. It is public." in words
    assert "Attach a plan, or say why there is none yet" in words
    with pytest.raises(StateError, match=r"cannot be sent yet\. Missing: Summary for everybody"):
        made.perform("ada", "application.submit", project)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"worse_terms": "yes"}, "Data cannot be used for job offers"),
        ({"purposes": ["a"]}, "Purpose a is for public bodies alone"),
        ({"commercial": "yes"}, "Benefit agreement"),
        ({"people": ["ada", "cus"]}, "Demo cus has no valid accreditation"),
        ({"people": ["ada", "nobody"]}, "There is nobody called nobody"),
        ({"sites": ["leeds", "york"]}, "There is no site called york"),
        ({"columns": ["records.sex"]}, "Plan 1 needs more than you ask for: the columns records.age"),
        ({"datasets": ["other"]}, "Plan 1 needs more than you ask for: the data set"),
        ({"end": "2026-01-01"}, "End: it has to lie after the start"),
        ({"publishes": "no"}, "Results must be public within 18 months"),
        ({"organisation": "nowhere"}, "There is no organisation called nowhere"),
    ],
)
def test_what_stands_in_the_way_stops_the_application_with_words(changes: dict[str, Any], words: str) -> None:
    made = desk()
    project = drafted(made, **changes)
    assert any(words in gap.words for gap in missing(made.get("application", project), made, made.now.date()))
    with pytest.raises(StateError, match="cannot be sent yet"):
        made.perform("ada", "application.submit", project)


def test_a_summary_has_at_most_300_words() -> None:
    from civicgrid.hub.records import FormError

    made = desk()
    project = drafted(made)
    with pytest.raises(FormError, match="at most 300 words; there are 301"):
        made.perform("ada", "application.change", project, lay_summary="word " * 301)


def test_columns_that_no_plan_reads_are_flagged() -> None:
    made = desk()
    assert unneeded(made.get("application", drafted(made))) == ("records.sex",)


def test_what_a_site_asks_is_asked_once_and_again_only_in_other_words() -> None:
    made = desk()
    project = sent(made)
    made.perform("ada", "application.withdraw", project)
    made.perform("ada", "application.revise", project)
    made.perform("ada", "application.submit", project)
    assert made.get("application", project).version == 2
    site = made.get("site", "leeds")
    other = site.questions[0].model_copy(update={"title": "Who else has these data?"})
    made.put(made.get("site", "hull").model_copy(update={"questions": site.questions}))
    made.perform("ada", "application.withdraw", project)
    made.perform("ada", "application.revise", project)
    assert not missing(made.get("application", project), made, made.now.date()), "two sites ask one question"
    made.put(site.model_copy(update={"questions": (other,)}))
    assert [gap.words for gap in missing(made.get("application", project), made, made.now.date())] == [
        "A site asks: Who else has these data?"
    ]


def test_a_changed_part_leaves_the_rest_as_it_was() -> None:
    made = desk()
    project = drafted(made)
    made.perform("ben", "application.change", project, title="Asthma in towns")
    answers = made.get("application", project).answers
    assert (answers.title, answers.public_benefit) == ("Asthma in towns", ANSWERS["public_benefit"])


def test_a_panel_s_no_closes_the_site_that_heeds_it_and_no_other() -> None:
    made = desk()
    project = sent(made)
    approve(made, project, "leeds")
    panel_says(made, project, "no", "no", "yes")
    assert made.get("decision", f"{project}.leeds").state == "vetoed"
    approve(made, project, "hull")
    assert made.get("application", project).state == "approved"
    with pytest.raises(StateError, match=r"Expected P-1\.leeds to be approved"):
        note(made, project)
    note(made, project, "hull")


def test_a_panel_s_no_ends_an_application_to_that_site_alone() -> None:
    made = desk()
    project = sent(made, sites=["leeds"])
    approve(made, project, "leeds")
    panel_says(made, project, "no", "no", "yes")
    assert made.get("application", project).state == "refused"
    made.perform("ada", "application.revise", project)


def test_every_site_s_no_refuses() -> None:
    made = desk()
    project = sent(made)
    made.perform("cus", "decision.refuse", f"{project}.leeds", reasons="Too wide.")
    made.perform("hull", "decision.refuse", f"{project}.hull", reasons="Too wide.")
    assert made.get("application", project).state == "refused"
    assert "The reason: Too wide." in kinds(made)[-1]


def test_the_last_yes_or_the_last_no_settles_it() -> None:
    made = desk()
    project = sent(made)
    panel_says(made, project, "yes", "yes", "yes")
    approve(made, project, "leeds")
    made.perform("hull", "decision.refuse", f"{project}.hull", reasons="No.")
    assert made.get("application", project).state == "approved"
    made = desk()
    project = sent(made)
    approve(made, project, "leeds")
    approve(made, project, "hull")
    assert made.get("application", project).state == "deciding"
    panel_says(made, project, "yes", "yes", "yes")
    assert made.get("application", project).state == "approved"


def test_a_question_stops_it_until_the_answer() -> None:
    made = desk()
    project = sent(made)
    made.perform("cus", "decision.ask", f"{project}.leeds", question="Why sex?")
    made.perform("hull", "decision.ask", f"{project}.hull", question="Why age?")
    assert made.get("application", project).state == "questioned"
    made.perform("ada", "decision.answer", f"{project}.leeds", answer="It differs.")
    assert made.get("application", project).state == "questioned"
    with pytest.raises(NotAllowed):
        made.perform("ben", "decision.answer", f"{project}.hull", answer="It differs.")
    made.perform("ada", "decision.answer", f"{project}.hull", answer="It differs.")
    assert made.get("application", project).state == "deciding"


def test_the_others_go_on_while_one_waits_for_an_answer() -> None:
    for closes, after in (("no", "deciding"), ("yes", "questioned")):
        made = desk()
        project = sent(made)
        made.perform("cus", "decision.ask", f"{project}.leeds", question="Why sex?")
        panel_says(made, project, closes, closes, closes)
        assert made.get("application", project).state == after
    made = desk()
    project = sent(made)
    made.perform("cus", "decision.ask", f"{project}.leeds", question="Why sex?")
    approve(made, project, "hull")
    panel_says(made, project, "no", "no", "no")
    assert made.get("application", project).state == "approved"
    made = desk()
    project = sent(made)
    made.perform("cus", "decision.ask", f"{project}.leeds", question="Why sex?")
    made.perform("hull", "decision.refuse", f"{project}.hull", reasons="No.")
    panel_says(made, project, "no", "no", "no")
    assert made.get("application", project).state == "refused"


def test_a_site_that_wants_two_people_gets_two() -> None:
    made = desk(two=True)
    project = sent(made, sites=["leeds"])
    panel_says(made, project, "yes", "yes", "yes")
    approve(made, project, "leeds")
    assert made.get("application", project).state == "deciding"
    with pytest.raises(StateError, match="wants a second person"):
        made.perform("cus", "decision.second", f"{project}.leeds")
    made.perform("cas", "decision.second", f"{project}.leeds")
    assert made.get("application", project).state == "approved"
    with pytest.raises(StateError, match="no permit that custodians of leeds signed"):
        note(made, project)
    both = permit(made, project).signed(KEYS["cus"], KEYS["cas"]).canonical().decode()
    made.perform("cus", "decision.permit", f"{project}.leeds", permit=both)


def test_an_unanswered_principle_blocks_a_yes_and_no_no() -> None:
    made = desk()
    project = sent(made)
    with pytest.raises(StateError, match="must be answered first: Is it lawful"):
        made.perform("cus", "decision.approve", f"{project}.leeds")
    lawful(made, f"{project}.leeds", "cus")
    charter = made.get("charter", "charter")
    other = charter.principles[1].model_copy(update={"words": "Is it lawful and safe?"})
    made.put(charter.model_copy(update={"version": 2, "principles": (charter.principles[0], other)}))
    with pytest.raises(StateError, match="Is it lawful and safe"):
        made.perform("cus", "decision.approve", f"{project}.leeds")
    made.perform("cus", "decision.refuse", f"{project}.leeds", reasons="No.")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"site": "hull"}, "another network, site or project"),
        ({"project": "P-9"}, "another network, site or project"),
        ({"plans": ("0" * 64,)}, "a plan that is not in the application"),
        ({"plans": ()}, "allows any plan"),
        ({"people": (Person(name="Eve", key=KEYS["hull"].public),)}, "somebody who is not in the application"),
    ],
)
def test_a_permit_that_is_not_the_application_s_is_not_noted(changes: dict[str, Any], words: str) -> None:
    made = desk()
    project = sent(made)
    panel_says(made, project, "yes", "yes", "yes")
    approve(made, project, "leeds")
    with pytest.raises(StateError, match=words):
        note(made, project, "leeds", changes)
    forged = permit(made, project).signed(KEYS["ada"]).canonical().decode()
    with pytest.raises(StateError, match="no permit that custodians of leeds signed"):
        made.perform("cus", "decision.permit", f"{project}.leeds", permit=forged)


def test_no_permit_before_the_panel_has_spoken() -> None:
    made = desk()
    project = sent(made)
    approve(made, project, "leeds")
    with pytest.raises(StateError, match="panel that this site heeds has not said yes"):
        note(made, project)


def test_the_last_permit_s_end_ends_the_project() -> None:
    made = desk()
    project = to_permit(made)
    note(made, project, "hull")
    revoke(made, project)
    assert made.get("application", project).state == "permitted"
    revoke(made, project, "hull")
    assert made.get("application", project).state == "revoked"
    assert kinds(made)[-1] == "Demo Hospital took away the permit of project P-1 at hull. The reason: A breach."


def test_another_application_begins_with_the_answers_of_the_last() -> None:
    made = desk()
    project = sent(made)
    again = made.perform("ben", "application.copy", project)
    assert (again.lead, again.state, again.version) == ("ben", "draft", 0)
    made.perform("ben", "application.change", again.id, start="2026-07-01", end="2027-07-01")
    made.perform("ben", "application.submit", again.id)


def test_who_has_no_part_in_it_can_do_nothing() -> None:
    made = desk()
    project = sent(made)
    for who, action, id in (
        ("op", "application.withdraw", project),
        ("hull", "decision.approve", f"{project}.leeds"),
        ("ada", "decision.approve", f"{project}.leeds"),
        ("cus", "deliberation.open_vote", f"{project}.north"),
    ):
        with pytest.raises(NotAllowed):
            made.perform(who, action, id)


def test_a_custodian_of_the_project_s_own_people_does_not_decide() -> None:
    made = desk()
    cus = made.get("account", "cus")
    made.put(cus.model_copy(update={"accreditation": made.get("account", "ada").accreditation}))
    project = sent(made, people=["ada", "cus"])
    with pytest.raises(NotAllowed, match="has no part in it"):
        made.perform("cus", "decision.refuse", f"{project}.leeds", reasons="No.")


def lapse(made: Desk) -> str:
    project = sent(made)
    made.perform("cus", "decision.ask", f"{project}.leeds", question="Why?")
    with pytest.raises(StateError, match="not over yet"):
        made.perform("op", "application.lapse", project)
    made.later(weeks=4, days=1)
    made.perform("op", "application.lapse", project)
    return project


def test_without_an_answer_in_four_weeks_it_lapses() -> None:
    made = desk()
    project = lapse(made)
    assert made.get("application", project).state == "lapsed"
    assert {each.state for each in made.find("decision")} == {"closed"}
    assert made.find("deliberation")[0].state == "closed"
    assert "is late: the missing part of the application was due on 30 March 2026" in kinds(made)[-1]


def every_move() -> set[tuple[str, str, str]]:
    """What the table says may happen, and every way of it that these stories can take."""
    seen: set[tuple[str, str, str]] = set()

    def follow(story: Any) -> None:
        made = desk(two=False)
        story(made)
        seen.update(made.done)

    def two(made: Desk) -> None:
        made.put(made.get("site", "leeds").model_copy(update={"two_custodians": True}))
        project = sent(made, sites=["leeds", "hull"])
        approve(made, project, "leeds")
        made.perform("cas", "decision.second", f"{project}.leeds")
        other = sent(made, sites=["leeds", "hull"])
        made.perform("hull", "decision.ask", f"{other}.hull", question="Why?")
        approve(made, other, "leeds")
        made.perform("cas", "decision.second", f"{other}.leeds")
        third = sent(made, sites=["leeds"])
        approve(made, third, "leeds")
        panel_says(made, third, "yes", "yes", "yes")
        made.perform("cas", "decision.second", f"{third}.leeds")

    def two_last(made: Desk) -> None:
        made.put(made.get("site", "leeds").model_copy(update={"two_custodians": True}))
        third = sent(made, sites=["leeds"])
        panel_says(made, third, "yes", "yes", "yes")
        approve(made, third, "leeds")
        made.perform("cas", "decision.second", f"{third}.leeds")

    def asked(made: Desk) -> None:
        project = sent(made)
        made.perform("cus", "decision.ask", f"{project}.leeds", question="Why?")
        made.perform("hull", "decision.ask", f"{project}.hull", question="Why?")
        made.perform("ada", "decision.answer", f"{project}.leeds", answer="So.")
        approve(made, project, "leeds")
        made.perform("ada", "decision.answer", f"{project}.hull", answer="So.")

    def asked_and_refused(made: Desk) -> None:
        project = sent(made)
        made.perform("cus", "decision.ask", f"{project}.leeds", question="Why?")
        made.perform("hull", "decision.refuse", f"{project}.hull", reasons="No.")
        made.perform("ada", "application.withdraw", project)
        made.perform("ada", "application.revise", project)

    def closing(*votes: str, asking: bool = False, hull: str = "") -> Any:
        def story(made: Desk) -> None:
            project = sent(made)
            if asking:
                made.perform("cus", "decision.ask", f"{project}.leeds", question="Why?")
            if hull == "yes":
                approve(made, project, "hull")
            elif hull == "no":
                made.perform("hull", "decision.refuse", f"{project}.hull", reasons="No.")
            panel_says(made, project, *votes)
            if hull == "" and not asking:
                approve(made, project, "leeds") if votes[0] == "yes" else None
                approve(made, project, "hull")

        return story

    def refused(made: Desk) -> None:
        project = sent(made)
        made.perform("cus", "decision.refuse", f"{project}.leeds", reasons="No.")
        made.perform("hull", "decision.refuse", f"{project}.hull", reasons="No.")
        made.perform("ada", "application.revise", project)

    def settled_by_a_no(made: Desk) -> None:
        project = sent(made)
        panel_says(made, project, "yes", "yes", "yes")
        approve(made, project, "leeds")
        made.perform("hull", "decision.refuse", f"{project}.hull", reasons="No.")
        made.perform("ada", "application.withdraw", project)

    def ended(made: Desk) -> None:
        project = to_permit(made)
        note(made, project, "hull")
        revoke(made, project)
        revoke(made, project, "hull")
        made.perform("ada", "application.revise", project)

    def withdrawn(made: Desk) -> None:
        made.perform("ada", "application.withdraw", drafted(made))
        made.perform("ada", "application.withdraw", sent(made))

    def done(made: Desk) -> None:
        made.perform("ada", "application.finish", to_permit(made), title="Air", findings="It does.")

    follow(lambda made: made.perform("ada", "application.revise", lapse(made)))
    yes, no = ("yes",) * 3, ("no",) * 3
    for story in (
        two, two_last, asked, asked_and_refused, refused, settled_by_a_no, ended, withdrawn, done, closing(*yes),
        closing(*no), closing(*yes, asking=True), closing(*no, asking=True), closing(*no, asking=True, hull="yes"),
        closing(*no, asking=True, hull="no"), closing(*no, hull="no"), closing(*no, hull="yes"),
    ):  # fmt: skip
        follow(story)
    made = desk()
    project = sent(made)
    approve(made, project, "leeds")
    approve(made, project, "hull")
    panel_says(made, project, *yes)
    seen.update(made.done)
    return seen


def test_everything_in_the_table_happens_and_nothing_else() -> None:
    moves = {(move.before, move.act, after) for move in states.TABLE for after in move.after}
    acts = {act for _, act, _ in moves}
    happened = {each for each in every_move() if each[1] in acts}
    assert moves - happened == set(), "the table promises what no story reaches"
    assert happened - moves == set()


def test_every_act_of_the_table_is_wired_and_every_state_is_reached() -> None:
    for move in states.TABLE:
        assert move.act in ACTS
        if move.act.startswith("application."):
            assert move.before in ACTS[move.act].before
    reached = {"draft"} | {after for move in states.TABLE for after in move.after}
    assert reached == set(states.STATES)
    with pytest.raises(StateError, match="being written"):
        states.go("draft", "decision.permit", "permitted")


def test_the_work_s_plan_is_explained() -> None:
    from civicgrid.governance.applying import explained

    made = desk()
    [(identity, words)] = explained(made.get("application", drafted(made)))
    assert identity == plan().identity and "What is worked out:" in words


def test_the_use_is_said_in_the_catalogue_s_terms() -> None:
    made = desk()
    answers = made.get("application", drafted(made)).answers
    use = answers.use()
    assert use is not None and (use.purpose, use.diseases, use.until) == ("health", ("asthma",), dt.date(2027, 6, 1))


def test_the_docs_diagram_is_the_table() -> None:
    page = (Path(__file__).parents[3] / "docs" / "governance.md").read_text("utf-8")
    assert states.diagram() in page
    assert all(f"| `{state}` | {words} |" in page for state, words in states.STATES.items())
