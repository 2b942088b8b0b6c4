"""The kinds of entry: each is typed, named, found, read by a citizen, and holds nobody's name."""

from __future__ import annotations

import csv
import io
import re
import typing

import pytest
from pydantic import ValidationError

from civicgrid.errors import WireError
from civicgrid.governance import data_uses
from civicgrid.governance.entry import Entry, commitment, words
from civicgrid.governance.register import KINDS, ApplicationSubmitted, Decision, Leaf, moment, read_leaf
from unit.governance.entries import APPLICATION, APPROVED, EXAMPLES, LEAD, PERMIT, REFUSED, RESULT


def leaf(entry: Entry, index: int = 0, at: int = 1_795_000_000) -> Leaf:
    return Leaf(network="net", index=index, at=moment(at), entry=entry)  # type: ignore[arg-type]


@pytest.mark.parametrize("entry", EXAMPLES, ids=lambda entry: entry.kind)
def test_an_entry_comes_back_from_its_bytes(entry: Entry) -> None:
    text = leaf(entry).canonical().decode()
    assert read_leaf(text) == leaf(entry)
    assert read_leaf(text).canonical().decode() == text


def test_every_kind_has_an_example_and_a_place_in_the_union() -> None:
    assert {entry.kind for entry in EXAMPLES} == set(KINDS)  # type: ignore[attr-defined]
    union = Leaf.model_fields["entry"].annotation
    assert set(typing.get_args(union)) == set(KINDS.values())
    assert all(kind.model_fields["kind"].annotation == typing.Literal[name] for name, kind in KINDS.items())


# --- sentences ----------------------------------------------------------------------------------------------------------


def syllables(word: str) -> int:
    found = len(re.findall("[aeiouy]+", word.lower()))
    return max(1, found - (word.lower().endswith("e") and not word.lower().endswith("le") and found > 1))


def reading_age(text: str) -> float:
    """Flesch and Kincaid's grade, and the five years that a child is old when its first grade begins."""
    sentences = [part for part in re.split(r"[.!?:]\s", text + " ") if part.strip()]
    found = re.findall(r"[A-Za-z’]+", text)
    return 5 + 0.39 * len(found) / len(sentences) + 11.8 * sum(map(syllables, found)) / len(found) - 15.59


def test_the_measure_knows_easy_from_hard() -> None:
    assert reading_age("The cat sat on the mat. It was warm.") < 8
    assert reading_age("Notwithstanding aforementioned considerations, dissemination necessitates authorisation.") > 18


def test_sentences_can_be_read_at_eleven_to_thirteen() -> None:
    ages = {entry.sentence(): reading_age(entry.sentence()) for entry in EXAMPLES}
    assert [(text, round(age, 1)) for text, age in ages.items() if age > 14] == []
    assert sum(ages.values()) / len(ages) < 12


SENTENCES = """
The University of York asked to use health data held at leeds and york. The project is called Asthma and air in towns.
The University of York took back its request for project P-7. The reason: We found the answer elsewhere.
York Hospital said no to project P-7. The reason: The plan reads too much.
Leeds Hospital lets project P-7 study data. The data are at leeds. It may do so from 24 November 2026 to 24 November 2027.
Project P-7 began a study at leeds and york.
Project P-7 finished a study.
leeds sent checked totals for project P-7. Nobody’s own record left it.
Project P-7 told what it found: Dirty air and asthma.
leeds, run by Leeds Hospital, joined the network.
A rule changed: Panels have 12 members. Those who agreed: council and community.
Project P-7 is late: a decision from york was due on 24 November 2026.
"""


def test_sentences_say_what_was_done() -> None:
    said = {entry.sentence() for entry in EXAMPLES}
    assert set(SENTENCES.strip().splitlines()) - said == set()
    assert APPROVED.sentence() == (
        "The citizen panel of Leeds said yes to project P-7. 9 of 12 voted for it. "
        "It must keep to this: tell the schools first."
    )
    assert "A company has a stake in it." in EXAMPLES[1].sentence()


def test_sentences_go_through_the_reader_s_language() -> None:
    asked: list[str] = []

    def cymraeg(text: str) -> str:
        asked.append(text)
        known = {"Project {project} finished a study{where}.": "Gorffennodd prosiect {project} astudiaeth{where}."}
        return known.get(text, text)

    run = next(entry for entry in EXAMPLES if getattr(entry, "state", "") == "finished")
    assert run.sentence(cymraeg) == "Gorffennodd prosiect P-7 astudiaeth."
    for entry in EXAMPLES:
        asked.clear()
        entry.sentence(cymraeg)
        assert asked, entry


# --- what they are found by, and what they hold ---------------------------------------------------------------------------


def test_an_application_is_found_by_project_site_data_organisation_and_words() -> None:
    marks = set(APPLICATION.marks())
    assert marks > {
        ("kind", "application_submitted"), ("project", "P-7"), ("site", "leeds"), ("site", "york"), ("dataset", "asthma"),
        ("organisation", "the university of york"), ("word", "asthma"), ("word", "town"),
        ("word", "lung"), ("word", "road"),
    }  # fmt: skip
    assert not {value for name, value in marks if name == "word"} & {"and", "the", "for"}
    assert len(marks) == len(list(APPLICATION.marks()))


def test_words_are_found_whatever_their_case_accents_and_plural() -> None:
    assert words("Éclairs, CAFÉS and the cafe; 2026") == ["eclair", "cafe", "2026"]
    assert words("Ysbyty Gwynedd: rhaglen iechyd") == ["ysbyty", "gwynedd", "rhaglen", "iechyd"]


def test_people_are_commitments_and_nothing_else() -> None:
    assert commitment(b"1" * 32, "a-1") != commitment(b"2" * 32, "a-1")
    for name in ("a-1", "Ada Lovelace", "A" * 64):
        with pytest.raises(ValidationError):
            ApplicationSubmitted.model_validate({**APPLICATION.__dict__, "lead": name})
        with pytest.raises(ValidationError):
            Decision.model_validate({**APPROVED.__dict__, "people": (name,)})


def test_a_refusal_says_why() -> None:
    for reasons in ("", " \n"):
        with pytest.raises(ValidationError, match="expected the reasons of a refusal"):
            Decision.model_validate({**REFUSED.__dict__, "reasons": reasons})


@pytest.mark.parametrize("char", ["\x00", "\x1b", "\u202e", "\u2066", "\u200f", "\x85", "\u2028"])
def test_nothing_invisible_stands_in_a_text(char: str) -> None:
    with pytest.raises(ValidationError):
        ApplicationSubmitted.model_validate({**APPLICATION.__dict__, "title": f"Asth{char}ma"})


@pytest.mark.parametrize("link", ["javascript:alert(1)", "http://a.example", "https://a.example/ b", 'https://a/"<>'])
def test_links_are_https_and_hold_no_markup(link: str) -> None:
    with pytest.raises(ValidationError):
        type(RESULT).model_validate({**RESULT.__dict__, "link": link})


def test_a_kind_of_a_later_version_is_said_so() -> None:
    text = leaf(RESULT).canonical().decode().replace('"result"', '"verdict"')
    with pytest.raises(WireError, match="cannot be read by this version"):
        read_leaf(text)


# --- data uses ------------------------------------------------------------------------------------------------------


def test_approved_projects_stand_in_the_fields_of_the_standard() -> None:
    day = 86_400
    leaves = [leaf(entry, number, 1_795_000_000 + number * day) for number, entry in enumerate(
        (APPLICATION, APPLICATION.model_copy(update={"project": "P-8"}), APPROVED, REFUSED, PERMIT, RESULT)
    )]  # fmt: skip
    projects = data_uses.Projects()
    projects.add(leaves)
    head, *rows = data_uses.rows(projects.approved(), {LEAD: "Ada Lovelace"})
    assert len(rows) == 1, "one was never approved"
    row = dict(zip(head, rows[0], strict=True))
    assert row["Project ID"] == "P-7"
    assert row["Applicant name(s)"] == "Ada Lovelace"
    assert row["Latest approval date*"] == "20/11/2026"
    assert row["Release/Access date"] == "22/11/2026"
    assert row["Project start date"] == "24/11/2026"
    assert row["Link to research outputs"] == "https://a.example/r"
    assert all(row[name] for name in head if name.endswith("*")), "what the standard requires"
    assert data_uses.rows(projects.approved(), {})[1][head.index("Applicant name(s)")] == ""
    out = io.StringIO()
    csv.writer(out).writerows([head, *rows])
    assert next(csv.reader(io.StringIO(out.getvalue()))) == head
