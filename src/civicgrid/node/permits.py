"""The folder of what a site's custodians have signed: permits, and the revocations that end them for good.

A permit is a file `PROJECT-ID.json`. A revocation is a file `DIGEST.revoked`, and its name alone ends the permit of that
digest: it counts whatever becomes of the file's content or of the key that signed it, and nothing here takes one away.
Stopping is easier than starting: one custodian's signature revokes what several had to sign, and so does the node's own,
by which its engineer pulls a permit at once.
"""

from __future__ import annotations

import datetime as dt
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from civicgrid.errors import ConfigError, PlanError, TrustError
from civicgrid.governance.ballot import Roll
from civicgrid.governance.permit import PERMIT, Permit, Revocation, in_words, read_permit, read_revocation
from civicgrid.trust.envelope import Envelope
from civicgrid.trust.keys import SigningKey

REVOKED = re.compile(r"([0-9a-f]{64})\.revoked")


@dataclass(frozen=True)
class Permits:
    """The folder, who may sign, how many of them must, and the panels whose ballots count here."""

    folder: Path
    network: str
    site: str
    custodians: tuple[str, ...]
    needed: int
    rolls: Mapping[str, Roll] = field(default_factory=dict)
    panel_required: bool = False

    def standing(self) -> list[tuple[str, Permit]]:
        """Every permit that enough custodians of this site have signed and none has revoked, with its digest, latest first.

        A panel's decision on it has to hold under the site's own rolls, and has to be there where the policy asks for one.

        Whether one is valid now and covers a study is for `Permit.check`, at every task.
        """
        revoked = self.revoked()
        found: dict[str, Permit] = {}
        for path in sorted(self.folder.glob("*.json")):
            try:
                permit = read_permit(Envelope.from_bytes(path.read_bytes()), self.custodians, self.needed)
                permit.check_panel(self.rolls, self.panel_required)
            except (TrustError, PlanError):
                continue
            if permit.digest() not in revoked:
                found[permit.digest()] = permit
        return sorted(found.items(), key=lambda pair: _begins(pair[1]), reverse=True)

    def revoked(self) -> dict[str, Revocation | None]:
        """What is revoked, by digest; None where the file no longer says by whom and why."""
        found: dict[str, Revocation | None] = {}
        for path in sorted(self.folder.glob("*.revoked")):
            name = REVOKED.fullmatch(path.name)
            if name is None:
                continue
            try:
                envelope = Envelope.from_bytes(path.read_bytes())
                signers = {signature.keyid for signature in envelope.signatures}
                found[name[1]] = read_revocation(envelope, signers)
            except (TrustError, PlanError):
                found[name[1]] = None
        return found

    def add(self, envelope: Envelope, node: SigningKey, now: dt.datetime) -> tuple[Path, list[str]]:
        """Keep a signed permit, in place of the project's earlier ones, whose digests come back beside the file.

        TrustError unless it is for this site, enough custodians signed it, nobody revoked it, and no later one counts.
        """
        permit = Permit.from_bytes(envelope.verify(PERMIT, self.custodians))
        self._own(permit)
        identity = permit.digest()
        if identity in self.revoked():
            said = self.revoked()[identity]
            when = f" on {in_words(said.time)}" if said else ""
            raise TrustError(f"This permit was revoked{when}, and stays so. Ask the custodian to draft and sign a new one.")
        path = self.folder / f"{re.sub(r'[^A-Za-z0-9_-]', '_', permit.project)}-{identity[:12]}.json"
        envelope = _with_earlier_signatures(path, envelope)
        needed = max(self.needed, permit.custodians)
        signers = envelope.signers(PERMIT, self.custodians)
        if len(signers) < needed:
            raise TrustError(
                f"This permit needs the signatures of {needed} custodians of this site; it has {len(signers)}. Let another "
                "custodian sign the same file with `civicgrid custodian sign`."
            )
        try:
            permit.check_panel(self.rolls, self.panel_required)
        except TrustError as error:
            raise TrustError(
                f"This permit cannot count here: {error}. Ask the custodian, or see `civicgrid node panel list`."
            ) from None
        others = [
            (other, held)
            for other, held in self.standing()
            if held.project == permit.project and other != identity and _begins(held) <= now < _ends(held)
        ]
        if any(_begins(held) > _begins(permit) for _, held in others):
            raise TrustError(
                "A later permit of this project stands at this site; an older one cannot take its place. Ask the custodian "
                "to sign a new one, or revoke the later one first."
            )
        _write(path, envelope.canonical())
        replaced = [other for other, _ in others] if _begins(permit) <= now else []
        for other in replaced:
            self._revoke(other, node, now, f"Replaced by {identity[:12]}.")
        return path, replaced

    def add_revocation(self, envelope: Envelope) -> str:
        """Keep a custodian's revocation, of a permit that is here or that has yet to come; the permit's digest."""
        revocation = read_revocation(envelope, self.custodians)
        self._own(revocation)
        path = self.folder / f"{revocation.permit}.revoked"
        if not path.exists():
            _write(path, envelope.canonical())
        return revocation.permit

    def revoke(self, begins: str, node: SigningKey, now: dt.datetime, reason: str = "") -> str:
        """Revoke the one permit whose digest begins so, under the node's own key; its digest."""
        found = [identity for identity, _ in self.standing() if identity.startswith(begins)]
        if len(found) != 1:
            raise ConfigError(
                f"Expected the id of one permit; {len(found)} begin with {begins!r}. See `civicgrid node permit list`."
            )
        self._revoke(found[0], node, now, reason)
        return found[0]

    def _revoke(self, identity: str, node: SigningKey, now: dt.datetime, reason: str) -> None:
        time = now.astimezone(dt.UTC).isoformat()
        made = Revocation(network=self.network, site=self.site, permit=identity, time=time, reason=reason)
        _write(self.folder / f"{identity}.revoked", made.signed(node).canonical())

    def _own(self, signed: Permit | Revocation) -> None:
        if (signed.network, signed.site) != (self.network, self.site):
            raise TrustError(
                f"This {signed.kind} is for {signed.site} in {signed.network}; this node is {self.site} in {self.network}. "
                "Ask for the right file."
            )


def _with_earlier_signatures(path: Path, envelope: Envelope) -> Envelope:
    """The envelope with the signatures that its file here has already: more of them never make it count for less."""
    try:
        return Envelope.from_bytes(path.read_bytes()).joined(envelope)
    except (FileNotFoundError, TrustError, PlanError):
        return envelope


def _write(path: Path, raw: bytes) -> None:
    """The whole file or none of it, on disk when this returns."""
    beside = path.with_name(path.name + ".part")
    with beside.open("wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _begins(permit: Permit) -> dt.datetime:
    return dt.datetime.fromisoformat(permit.valid_from)


def _ends(permit: Permit) -> dt.datetime:
    return dt.datetime.fromisoformat(permit.valid_until)
