"""The key of the release ledger: what it closes only it opens, and a file that is not safe or not a key is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from civicgrid.errors import ConfigError
from civicgrid.trust.seal import Seal


def test_a_key_comes_back_from_its_file_and_nobody_else_may_read_that(tmp_path: Path) -> None:
    seal, path = Seal.generate(), tmp_path / "ledger.key"
    seal.save(path)
    assert path.stat().st_mode & 0o777 == 0o600
    again = Seal.load(path)
    assert again.tag(b"what") == seal.tag(b"what") != Seal.generate().tag(b"what")


def test_a_key_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "ledger.key"
    Seal.generate().save(path)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="Nothing was changed"):
        Seal.generate().save(path)
    assert path.read_bytes() == before


def test_a_key_that_is_missing_open_to_others_or_no_key_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "ledger.key"
    with pytest.raises(ConfigError, match="Restore it from the node's backup"):
        Seal.load(path)
    Seal.generate().save(path)
    for mode in (0o640, 0o604, 0o666):
        path.chmod(mode)
        with pytest.raises(ConfigError, match="chmod 600"):
            Seal.load(path)
    path.chmod(0o600)
    path.write_bytes(b"short")
    with pytest.raises(ConfigError, match=r"32 bytes .* 5 came"):
        Seal.load(path)


def test_a_key_does_not_show_in_a_log_line() -> None:
    key = b"k" * 32
    assert (repr(Seal(key)), str(Seal(key))) == ("<Seal>", "<Seal>")
