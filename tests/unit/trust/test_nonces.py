"""A nonce is used once, over restarts, killed processes, power cuts and clocks that are set back."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from civicgrid.errors import ConfigError, WireError
from civicgrid.trust import nonces as module
from civicgrid.trust.nonces import AHEAD, MAX_AGE, MAX_SKEW, Nonces

NOW = 1_700_000_000


def refuses(store: Nonces, nonce: str, created: int = NOW, now: int = NOW, words: str = "received before") -> None:
    with pytest.raises(WireError, match=words):
        store.use("site", nonce, created, now)


def test_each_nonce_of_each_key_once(tmp_path: Path) -> None:
    with Nonces(tmp_path / "n") as store:
        store.use("site", "a", NOW, NOW)
        store.use("site", "b", NOW, NOW)
        store.use("other", "a", NOW, NOW)
        store.use("site a", "b", NOW, NOW)
        refuses(store, "a")
        refuses(store, "a", created=NOW + 1)
        assert len(store) == 4


def test_remembers_over_a_restart(tmp_path: Path) -> None:
    with Nonces(tmp_path / "n") as store:
        store.use("site", "a", NOW, NOW)
    with Nonces(tmp_path / "n") as store:
        refuses(store, "a")
        store.use("site", "b", NOW, NOW)


def test_remembers_over_kill_9(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from civicgrid.trust.nonces import Nonces\n"
        f"Nonces(sys.argv[1]).use('site', 'a', {NOW}, {NOW}); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "n")], check=False)
    assert done.returncode == -signal.SIGKILL
    with Nonces(tmp_path / "n") as store:
        refuses(store, "a", words="received before|may have been seen")


def test_after_a_power_cut_refuses_what_it_may_have_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What a power cut leaves at worst: the last flush, that is the mark, and no nonce after it.
    monkeypatch.setattr(module, "_boot", lambda: "first start")
    store = Nonces(tmp_path / "n")
    store.use("site", "a", NOW, NOW)
    store._db.execute("DELETE FROM nonce")
    monkeypatch.setattr(module, "_boot", lambda: "second start")
    with Nonces(tmp_path / "n") as after:
        refuses(after, "a", NOW, NOW + 3, words=rf"may have been seen then.* {AHEAD - 2} seconds from now")
        refuses(after, "fresh", NOW + AHEAD, NOW + AHEAD, words="1 seconds from now")
        after.use("site", "fresh", NOW + AHEAD + 1, NOW + AHEAD + 1)


@pytest.mark.parametrize("boot", ["", "same"])
def test_a_start_that_cannot_be_told_from_a_power_cut_is_one(
    boot: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_boot", lambda: boot)
    Nonces(tmp_path / "n").use("site", "a", NOW, NOW)
    with Nonces(tmp_path / "n") as after:
        if boot:
            after.use("site", "b", NOW, NOW)
        else:
            refuses(after, "b", words="may have been seen")
    with Nonces(tmp_path / "n") as closed:
        closed.use("site", "c", NOW + AHEAD + 1, NOW)


def test_forgets_by_age_and_never_accepts_what_it_forgot(tmp_path: Path) -> None:
    later = NOW + MAX_AGE + MAX_SKEW + 61
    with Nonces(tmp_path / "n") as store:
        for number in range(50):
            store.use("site", f"{number}", NOW, NOW)
        store.use("site", "new", later, later)
        assert len(store) == 1
        refuses(store, "7", NOW, NOW, words="set its clock, and may have been seen")
    with Nonces(tmp_path / "n") as store:
        refuses(store, "7", NOW, NOW, words="set its clock, and may have been seen")


def test_keeps_a_nonce_for_as_long_as_its_message_is_accepted(tmp_path: Path) -> None:
    with Nonces(tmp_path / "n") as store:
        store.use("site", "early", NOW + MAX_SKEW, NOW)
        store.use("site", "x", NOW + MAX_AGE + MAX_SKEW, NOW + MAX_AGE + MAX_SKEW)
        refuses(store, "early", NOW + MAX_SKEW, NOW + MAX_AGE + MAX_SKEW)


def test_of_many_threads_with_one_nonce_one_gets_through(tmp_path: Path) -> None:
    through: list[int] = []
    with Nonces(tmp_path / "n") as store:

        def attempt(number: int) -> None:
            try:
                store.use("site", "a", NOW, NOW)
                through.append(number)
            except WireError:
                pass

        threads = [threading.Thread(target=attempt, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(through) == 1


def test_a_full_disk_refuses_the_message_and_loses_nothing(tmp_path: Path) -> None:
    with Nonces(tmp_path / "n") as store:
        store.use("site", "a", NOW, NOW)
        pages = store._db.execute("PRAGMA page_count").fetchone()[0]
        store._db.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(ConfigError, match="could not be written: database or disk is full"):
            for number in range(1000):
                store.use("site", f"{number}", NOW, NOW + 100)
        store._db.execute("PRAGMA max_page_count = 100000")
        refuses(store, "a")
        store.use("site", "b", NOW, NOW)


def test_a_full_disk_while_forgetting_leaves_the_store_as_it_was(tmp_path: Path) -> None:
    with Nonces(tmp_path / "n") as store:
        store.use("site", "a", NOW, NOW)
        store._db.execute("CREATE TEMP TRIGGER full BEFORE DELETE ON nonce BEGIN SELECT raise_full(); END")
        with pytest.raises(ConfigError, match="could not be written"):
            store.use("site", "b", NOW, NOW + 61)
        store._db.execute("DROP TRIGGER full")
        store.use("site", "b", NOW, NOW + 61)
        refuses(store, "a", now=NOW + 61)


def test_names_the_start_of_the_machine_where_the_system_does(monkeypatch: pytest.MonkeyPatch) -> None:
    assert module._boot() == module._boot()

    def absent(self: Path) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", absent)
    assert module._boot() == ""


def test_says_where_it_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"seen messages .*none/n could not be opened"):
        Nonces(tmp_path / "none" / "n")
    assert not list(tmp_path.iterdir())
