"""Chains of log entries: what was changed, removed, reordered, cut off or written anew is found, and said where."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civicgrid.errors import TrustError
from civicgrid.trust.chain import START, Entry, Head, Link, Report, check, follow, link

NOW = 1_790_000_000.0


def chain(rows: list[int]) -> list[Link]:
    links: list[Link] = []
    head: Head | None = None
    for number in rows:
        links.append(follow(head, NOW + len(links), "node", "share.released", {"run": "R-1", "rows": number}))
        head = Head(seq=links[-1].seq, hash=links[-1].hash)
    return links


@pytest.fixture
def links() -> list[Link]:
    return chain(list(range(1, 9)))


def lines(report: Report) -> list[int]:
    return [fault.line for fault in report.faults]


def test_an_untouched_log_holds(links: list[Link]) -> None:
    report = check(links, [Head(seq=8, hash=links[-1].hash)])
    assert report.ok and report.words().startswith("8 lines, none changed, removed or reordered. Head: 8 ")
    assert check([]).ok


def test_a_line_can_be_checked_with_any_json_and_sha_256(links: list[Link]) -> None:
    data = json.loads(links[0].canonical())
    own = data.pop("hash")
    assert data["previous"] == START
    assert own == hashlib.sha256(json.dumps(data, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@given(st.integers(0, 7), st.integers(-(2**40), 2**40))
def test_a_changed_line_is_named(place: int, rows: int) -> None:
    links = chain(list(range(1, 9)))
    if rows == links[place].details["rows"]:
        return
    links[place] = links[place].model_copy(update={"details": {**links[place].details, "rows": rows}})
    assert check(links).words() == f"Line {place + 1}: was changed: what it says is not what its hash was taken of."


def test_a_changed_line_with_a_new_hash_is_found_by_the_next(links: list[Link]) -> None:
    changed = links[3].model_copy(update={"details": {"rows": 5}})
    links[3] = changed.model_copy(update={"hash": link(changed.previous, changed)})
    report = check(links)
    assert lines(report) == [5]
    assert "does not follow line 4: what stood before it was changed" in report.words()


def test_a_line_that_cannot_be_read_is_named(links: list[Link]) -> None:
    assert "Line 3: cannot be read as an entry" in check([*links[:2], None, *links[3:]]).words()


@pytest.mark.parametrize("gone", [0, 3, 6])
def test_a_removed_line_is_named(links: list[Link], gone: int) -> None:
    del links[gone]
    report = check(links)
    assert lines(report) == [gone + 1]
    assert f"has entry {gone + 2}, not {gone + 1}: 1 removed" in report.words()


def test_reordered_and_repeated_lines_are_named(links: list[Link]) -> None:
    assert lines(check([*links[:3], links[4], links[3], *links[5:]])) == [4, 5, 6]
    report = check([*links[:4], links[3], *links[4:]])
    assert report.faults[0].line == 5 and "reordered or repeated" in report.faults[0].words


@pytest.mark.parametrize("kept", [0, 1, 7])
def test_an_end_cut_off_is_found_by_a_remembered_head(links: list[Link], kept: int) -> None:
    assert check(links[:kept]).ok
    report = check(links[:kept], [Head(seq=8, hash=links[-1].hash)])
    assert lines(report) == [kept + 1]
    assert "ends before the remembered entry 8. It was cut off." in report.words()


def test_a_log_written_anew_is_found_by_a_remembered_head(links: list[Link]) -> None:
    anew = chain([1, 99, 3, 4, 5, 6, 7, 8])
    assert check(anew).ok
    words = check(anew, [Head(seq=5, hash=links[4].hash)]).words()
    assert words == "Line 5: is not the entry 5 that was remembered: the log was written anew."


@pytest.mark.parametrize(
    "details",
    [
        {"note": "Ada Lovelace, born 1815"},
        {"mail": "ada@example.org"},
        {"value": 1.5},
        {"value": None},
        {"value": 2**60},
        {"value": {"a": 1}},
        {"sites": ("leeds", "a name")},
        {"Bad name": 1},
        {"empty": ""},
        {f"n{n}": n for n in range(41)},
    ],
)
def test_refuses_what_could_hold_a_persons_data(details: dict[str, object]) -> None:
    with pytest.raises(TrustError, match="Expected") as caught:
        follow(None, NOW, "node", "permit.granted", details)  # type: ignore[arg-type]
    assert not any(word in str(caught.value) for word in ("Lovelace", "ada@", "a name", "1.5"))


def test_refuses_names_of_people_and_unknown_actions() -> None:
    with pytest.raises(TrustError, match="actor of a log entry by id"):
        follow(None, NOW, "Ada Lovelace", "permit.granted")
    with pytest.raises(TrustError, match=r"words such as permit\.granted"):
        follow(None, NOW, "ada", "Granted a permit")
    with pytest.raises(TrustError, match=r"Expected the time of a log entry as 2026"):
        Entry(seq=1, time="yesterday", actor="ada", action="permit.granted")
    with pytest.raises(TrustError, match="numbered from 1"):
        Entry(seq=0, time="2026-01-31T12:00:00.000000Z", actor="ada", action="permit.granted")
