"""An audit log shows what was done to it: lines changed, removed, reordered, cut off, and lines left half-
written.
"""

from __future__ import annotations

import hashlib
import json
import resource
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civicgrid.errors import ConfigError, TrustError
from civicgrid.trust import chain
from civicgrid.trust.audit import MAX_LINE, AuditLog, verify
from civicgrid.trust.chain import START, Head, Link, follow

NOW = 1_700_000_000.25


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with AuditLog(tmp_path / "audit.log", clock=lambda: NOW) as log:
        for number in range(1, 9):
            log.append("custodian:ada", "permit.granted", {"permit": f"P-{number}", "rows": number}, durable=False)
    return tmp_path / "audit.log"


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def rechained(entries: list[dict[str, object]]) -> bytes:
    """What a forger writes who knows the rule."""
    out, previous = b"", START
    for entry in entries:
        kept = {**{k: v for k, v in entry.items() if k != "hash"}, "previous": previous}
        previous = hashlib.sha256(json.dumps(kept, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
        out += json.dumps({**kept, "hash": previous}, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    return out


def test_an_untouched_log_holds(path: Path) -> None:
    report = verify(path)
    assert report.ok and report.lines == 8 and report.head.seq == 8 and report.torn == 0
    assert "8 lines, none changed, removed or reordered" in report.words()
    assert verify(path, [report.head]).ok


def test_a_line_can_be_checked_with_any_json_and_sha_256(path: Path) -> None:
    entries = [json.loads(line) for line in lines(path)]
    assert entries[0]["previous"] == "0" * 64
    assert entries[0]["time"] == "2023-11-14T22:13:20.250000Z"
    assert [entry["seq"] for entry in entries] == list(range(1, 9))
    assert rechained(entries) == path.read_bytes()


def test_goes_on_after_a_restart(path: Path) -> None:
    with AuditLog(path) as log:
        assert log.head == verify(path).head
        head = log.append("system", "node.started")
    assert verify(path, [head]).ok and verify(path).lines == 9
    assert path.stat().st_mode & 0o777 == 0o600


@given(st.integers(0, 10**9), st.integers(0, 7))
def test_any_changed_bit_is_found_at_its_line(tmp_path_factory: pytest.TempPathFactory, place: int, bit: int) -> None:
    path = tmp_path_factory.mktemp("log") / "a"
    with AuditLog(path, clock=lambda: NOW) as log:
        head = [log.append("a", "b.c", {"n": n}, durable=False) for n in range(4)][-1]
    raw = bytearray(path.read_bytes())
    place %= len(raw)
    line = raw[:place].count(b"\n") + 1
    raw[place] ^= 1 << bit
    path.write_bytes(raw)
    report = verify(path, [head])
    assert not report.ok
    assert report.faults[0].line in (line, line + 1)


def test_a_changed_line_is_named(path: Path) -> None:
    written = lines(path)
    written[3] = written[3].replace(b'"rows":4', b'"rows":5')
    path.write_bytes(b"".join(written))
    assert verify(path).words() == "Line 4: was changed: what it says is not what its hash was taken of."
    written[3] = written[3].replace(b'"seq"', b' "seq"')
    path.write_bytes(b"".join(written))
    assert verify(path).words() == "Line 4: cannot be read as an entry of this log: it was changed."


def test_a_changed_line_with_a_new_hash_is_found_by_the_next(path: Path) -> None:
    written = lines(path)
    entry = json.loads(written[3])
    entry["details"]["rows"] = 5
    entry["hash"] = chain.link(entry["previous"], Link.from_bytes(json.dumps(entry)))
    written[3] = Link.from_bytes(json.dumps(entry)).canonical() + b"\n"
    path.write_bytes(b"".join(written))
    report = verify(path)
    assert [fault.line for fault in report.faults] == [5]
    assert "does not follow line 4: what stood before it was changed" in report.words()


@pytest.mark.parametrize("gone", [0, 3, 6])
def test_a_removed_line_is_named(path: Path, gone: int) -> None:
    written = lines(path)
    del written[gone]
    path.write_bytes(b"".join(written))
    report = verify(path)
    assert [fault.line for fault in report.faults] == [gone + 1]
    assert f"has entry {gone + 2}, not {gone + 1}: 1 removed" in report.words()


def test_reordered_and_repeated_lines_are_named(path: Path) -> None:
    written = lines(path)
    swapped = [*written[:3], written[4], written[3], *written[5:]]
    path.write_bytes(b"".join(swapped))
    assert [fault.line for fault in verify(path).faults] == [4, 5, 6]
    path.write_bytes(b"".join([*written[:4], written[3], *written[4:]]))
    report = verify(path)
    assert report.faults[0].line == 5 and "reordered or repeated" in report.faults[0].words


@pytest.mark.parametrize("kept", [0, 1, 7])
def test_an_end_cut_off_is_found_by_a_remembered_head(path: Path, kept: int) -> None:
    head = verify(path).head
    path.write_bytes(b"".join(lines(path)[:kept]))
    assert verify(path).ok
    report = verify(path, [head])
    assert [fault.line for fault in report.faults] == [kept + 1]
    assert "ends before the remembered entry 8. It was cut off." in report.words()


def test_a_log_written_anew_is_found_by_a_remembered_head(path: Path) -> None:
    middle = Link.from_bytes(lines(path)[4])
    entries = [json.loads(line) for line in lines(path)]
    entries[1]["details"]["rows"] = 99
    path.write_bytes(rechained(entries))
    assert verify(path).ok
    report = verify(path, [Head(seq=middle.seq, hash=middle.hash)])
    assert report.words() == "Line 5: is not the entry 5 that was remembered: the log was written anew."


@pytest.mark.parametrize("cut", [1, 40, -1])
def test_a_half_written_line_is_cut_off_and_noted(path: Path, cut: int) -> None:
    whole = path.read_bytes()
    torn = lines(path)[-1][:cut]
    path.write_bytes(whole + torn)
    before = verify(path)
    assert before.ok and before.lines == 8 and before.torn == len(torn)
    assert f"An unfinished line of {len(torn)} bytes" in before.words()
    with AuditLog(path):
        pass
    note = json.loads(lines(path)[-1])
    assert (note["action"], note["details"]["bytes"]) == ("log.recovered", len(torn))
    assert note["details"]["sha256"] == hashlib.sha256(torn).hexdigest()
    assert path.read_bytes().startswith(whole) and verify(path, [before.head]).lines == 9


def test_a_first_line_half_written_leaves_a_log_that_starts(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b'{"action":"x')
    with AuditLog(path) as log:
        assert log.head is not None and log.head.seq == 1
    assert verify(path).ok


def test_killed_while_writing_loses_no_entry_that_was_reported(tmp_path: Path) -> None:
    code = (
        "import sys; from civicgrid.trust.audit import AuditLog\n"
        "log = AuditLog(sys.argv[1])\n"
        "while True: print(log.append('node', 'share.released', {'digest': 'ab' * 32}, durable=False).hash, "
        "flush=True)"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "a")], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    reported = [child.stdout.readline().strip() for _ in range(200)]
    child.send_signal(signal.SIGKILL)
    reported += [line.strip() for line in child.stdout if line.endswith("\n")]
    child.wait()
    with AuditLog(tmp_path / "a") as log:
        log.append("node", "node.started")
    written = [json.loads(line)["hash"] for line in lines(tmp_path / "a")]
    assert written[: len(reported)] == reported and verify(tmp_path / "a").ok


def test_one_writer_at_a_time(path: Path) -> None:
    with AuditLog(path), pytest.raises(ConfigError, match="Another program writes the audit log"):
        AuditLog(path)


def test_a_full_disk_leaves_the_log_whole(path: Path) -> None:
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with AuditLog(path) as log:
        try:
            for room in (0, 50):
                resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + room, hard))
                with pytest.raises(ConfigError, match=r"could not be written: .*\. Free space on its disk"):
                    log.append("system", "node.started")
                assert path.read_bytes() == before
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            signal.signal(signal.SIGXFSZ, old)
        log.append("system", "node.started")
    assert verify(path).ok and verify(path).lines == 9


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
def test_refuses_what_could_hold_a_persons_data(path: Path, details: dict[str, object]) -> None:
    before = path.read_bytes()
    with AuditLog(path) as log, pytest.raises(TrustError, match="Expected") as caught:
        log.append("custodian:ada", "permit.granted", details)  # type: ignore[arg-type]
    assert not any(word in str(caught.value) for word in ("Lovelace", "ada@", "a name", "1.5"))
    assert path.read_bytes() == before


def test_refuses_names_of_people_unknown_actions_and_long_entries(path: Path) -> None:
    with AuditLog(path) as log:
        with pytest.raises(TrustError, match="actor of a log entry by id"):
            log.append("Ada Lovelace", "permit.granted")
        with pytest.raises(TrustError, match=r"words such as permit\.granted"):
            log.append("ada", "Granted a permit")
        with pytest.raises(TrustError, match=r"Expected the time of a log entry as 2026"):
            chain.Entry(seq=1, time="yesterday", actor="ada", action="permit.granted")
        with pytest.raises(TrustError, match="numbered from 1"):
            chain.Entry(seq=0, time="2026-01-31T12:00:00.000000Z", actor="ada", action="permit.granted")
        with pytest.raises(ConfigError, match="at most 16384 bytes"):
            log.append("ada", "permit.granted", {"sites": ("x" * 200,) * 100})
        log.append("ada", "permit.granted", {"sites": ("leeds", "york"), "masked": True})
    assert json.loads(lines(path)[-1])["details"] == {"masked": True, "sites": ["leeds", "york"]}


def test_says_what_is_wrong_with_a_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="could not be opened"):
        AuditLog(tmp_path / "none" / "a")
    with pytest.raises(ConfigError, match="could not be read"):
        verify(tmp_path / "none")
    for junk in (b"x" * (3 * MAX_LINE), b"not an entry\n"):
        (tmp_path / "junk").write_bytes(junk)
        with pytest.raises(ConfigError, match=r"is not an entry\. Run `civicgrid audit verify`"):
            AuditLog(tmp_path / "junk")
    (tmp_path / "junk").write_bytes(b"x" * (3 * MAX_LINE) + b"\nnot an entry\n")
    assert [fault.line for fault in verify(tmp_path / "junk").faults] == [1, 2]


def test_the_same_chain_lives_in_a_database_transaction() -> None:
    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE audit (seq INTEGER PRIMARY KEY, line BLOB NOT NULL)")
    head: Head | None = None
    for number in range(3):
        with db:
            new = follow(head, NOW, "hub", "run.finished", {"run": f"R-{number}"})
            db.execute("INSERT INTO audit VALUES (?, ?)", (new.seq, new.canonical()))
            head = Head(seq=new.seq, hash=new.hash)
    stored = [Link.from_bytes(line) for (line,) in db.execute("SELECT line FROM audit ORDER BY seq")]
    assert head is not None and chain.check(stored, [head]).ok
    assert [fault.line for fault in chain.check([stored[0], stored[2]], [head]).faults] == [2]
    assert chain.check([]).ok
