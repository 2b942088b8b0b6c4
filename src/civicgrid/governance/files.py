"""The files that go between a researcher, a custodian and a site: plans, drafts of permits, what has been signed, cards."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from civicgrid.canonical import MAX_BYTES, Node, parse
from civicgrid.errors import ConfigError, PlanError, TrustError
from civicgrid.governance.application import Dossier
from civicgrid.governance.ballot import PanelDecision, Roll
from civicgrid.governance.permit import PERMIT, Permit
from civicgrid.methods.plan import Plan, read_plan
from civicgrid.trust.envelope import Envelope
from civicgrid.trust.roster import Member


def read_signed(path: Path) -> Envelope:
    """What stands in a file as signed, its signatures not yet checked."""
    raw = _read(path)
    if not _is_envelope(raw):
        raise TrustError(f"Expected a signed file; nobody has signed {path}. Sign it with `civicgrid custodian sign`.")
    with _naming(path, "a signed file"):
        return Envelope.from_bytes(raw)


def read_draft(path: Path) -> tuple[Permit, Envelope | None, tuple[str, ...]]:
    """A permit, signed or not: what it says, its envelope, and the keys whose signatures hold.

    Whether those keys are a custodian's is for the site's own key file to say.
    """
    raw = _read(path)
    with _naming(path, "a permit"):
        if not _is_envelope(raw):
            return Permit.from_bytes(raw), None, ()
        envelope = Envelope.from_bytes(raw)
        keys = {signature.keyid for signature in envelope.signatures}
        permit = Permit.from_bytes(envelope.verify(PERMIT, keys))
    return permit, envelope, tuple(sorted(envelope.signers(PERMIT, keys)))


def read_dossier(path: Path) -> Dossier:
    """An application, as it was sent to those who decide."""
    with _naming(path, "an application"):
        return Dossier.from_bytes(_read(path))


def read_decision(path: Path) -> PanelDecision:
    """A panel's decision with its ballots, their signatures not yet checked."""
    with _naming(path, "a panel's decision"):
        return PanelDecision.from_bytes(_read(path))


def read_roll(path: Path) -> Roll:
    """The roll of a panel."""
    with _naming(path, "the roll of a panel"):
        return Roll.from_bytes(_read(path))


def read_plans(paths: Sequence[Path]) -> tuple[Plan, ...]:
    """Plans, each from a file of its own: the JSON of `grid.plan(study).canonical()`."""
    found = []
    for path in paths:
        with _naming(path, "the file of a plan"):
            found.append(read_plan(_read(path)))
    return tuple(found)


def read_cards(paths: Sequence[Path]) -> tuple[Member, ...]:
    """Sites' cards, each from a file of its own, as `civicgrid node card` prints one."""
    found = []
    for path in paths:
        with _naming(path, "a site's card, as `civicgrid node card` prints it"):
            found.append(Member.from_bytes(_read(path)))
    return tuple(found)


def _is_envelope(raw: bytes) -> bool:
    """Whether a file is signed as a whole: a draft may hold signed ballots."""
    try:
        data = parse(raw)
    except PlanError:
        return b'"payloadType"' in raw
    return isinstance(data, dict) and "payloadType" in data


def write_draft(path: Path, draft: Node) -> None:
    """A permit, or something else that people read and change, as JSON. ConfigError where there is a file already."""
    _write(path, json.dumps(draft.to_data(), indent=2, ensure_ascii=False), "x")


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


@contextmanager
def _naming(path: Path, what: str) -> Iterator[None]:
    """Say which file it was that could not be taken for what it should be."""
    try:
        yield
    except PlanError as error:
        raise PlanError(f"{path} is not {what}. {error}") from None


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}. Give the path of a file.") from None
