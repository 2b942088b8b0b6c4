"""The files that go between a researcher, a custodian and a site: drafts of permits, what has been signed, plans."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from civicgrid.canonical import MAX_BYTES
from civicgrid.errors import ConfigError, TrustError
from civicgrid.governance.permit import PERMIT, Permit
from civicgrid.methods.plan import Plan, read_plan
from civicgrid.trust.envelope import Envelope


def read_signed(path: Path) -> Envelope:
    """What stands in a file as signed, its signatures not yet checked."""
    raw = _read(path)
    if b'"payloadType"' not in raw:
        raise TrustError(f"Expected a signed file; nobody has signed {path}. Sign it with `civicgrid custodian sign`.")
    return Envelope.from_bytes(raw)


def read_draft(path: Path) -> tuple[Permit, Envelope | None, tuple[str, ...]]:
    """A permit, signed or not: what it says, its envelope, and the keys whose signatures hold.

    Whether those keys are a custodian's is for the site's own key file to say.
    """
    raw = _read(path)
    if b'"payloadType"' not in raw:
        return Permit.from_bytes(raw), None, ()
    envelope = Envelope.from_bytes(raw)
    keys = {signature.keyid for signature in envelope.signatures}
    permit = Permit.from_bytes(envelope.verify(PERMIT, keys))
    return permit, envelope, tuple(sorted(envelope.signers(PERMIT, keys)))


def read_plans(paths: Sequence[Path]) -> tuple[Plan, ...]:
    return tuple(read_plan(_read(path)) for path in paths)


def write_draft(path: Path, permit: Permit) -> None:
    """The permit as JSON that a person can read and change. ConfigError where there is a file already."""
    _write(path, json.dumps(permit.to_data(), indent=2, ensure_ascii=False), "x")


def write_signed(path: Path, signed: Envelope, instead: bool = False) -> None:
    """A signed file. ConfigError where there is a file already, unless it is written `instead` of that."""
    if not instead:
        _write(path, signed.canonical().decode(), "x")
        return
    part = path.with_name(path.name + ".part")
    _write(part, signed.canonical().decode(), "w")
    part.replace(path)


def _write(path: Path, text: str, mode: Literal["x", "w"]) -> None:
    try:
        with path.open(mode, encoding="utf-8") as file:
            file.write(text + "\n")
    except FileExistsError:
        raise ConfigError(f"There is a file at {path} already. Choose another name, or move it away.") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}. Choose another place.") from None


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}. Give the path of a file.") from None
