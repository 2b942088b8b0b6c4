"""A node's folder: everything that one site keeps, in files that its own people can read and change.

    node.toml          who the site is, which hub it dials
    policy.toml        the disclosure policy
    custodians.keys    public keys of the people who may sign permits here, one a line
    peers.json         the other sites that the custodian trusts: organisation and keys
    panels/            the rolls of citizen panels: who sits, by key, quorum and majority
    permits/           signed permits and revocations, one file each
    keys/              the node's own private keys, and that of the release ledger (readable by its user alone)
    data.duckdb        the data
    state.sqlite       ledger, outbox, audit log
    node.lock          held by the node that runs
"""

from __future__ import annotations

import datetime as dt
import json
import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, cast

from civicgrid.config import NodeSettings, read_settings, write_settings
from civicgrid.disclosure.policy import EXAMPLE, Policy
from civicgrid.errors import CivicGridError, ConfigError
from civicgrid.governance.ballot import Roll
from civicgrid.governance.permit import Permit
from civicgrid.node.permits import Permits
from civicgrid.trust.envelope import Envelope
from civicgrid.trust.keys import ExchangeKey, SigningKey, signing_public
from civicgrid.trust.roster import Member, check_member
from civicgrid.trust.seal import Seal

T = TypeVar("T")


@dataclass(frozen=True)
class Home:
    """The folder of one node. What is asked for at every task is read again only when its files have changed."""

    path: Path
    _read: dict[str, tuple[object, object]] = field(default_factory=dict, compare=False, repr=False)

    @property
    def data(self) -> Path:
        return self.path / "data.duckdb"

    @property
    def state(self) -> Path:
        return self.path / "state.sqlite"

    def create(self, settings: NodeSettings) -> Member:
        """Lay out a folder with fresh keys and the example policy. ConfigError if a node lives there already."""
        if (self.path / "node.toml").exists():
            raise ConfigError(f"There is a node at {self.path} already. Choose another folder, or use that one.")
        # The data and what was released lie here too: nobody but the node's user looks into the folder.
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.path / "keys").mkdir(mode=0o700, exist_ok=True)
        (self.path / "permits").mkdir(exist_ok=True)
        (self.path / "panels").mkdir(exist_ok=True)
        SigningKey.generate().save(self.path / "keys" / "signing.pem")
        ExchangeKey.generate().save(self.path / "keys" / "exchange.pem")
        Seal.generate().save(self.path / "keys" / "ledger.key")
        (self.path / "policy.toml").write_text(EXAMPLE, "utf-8")
        (self.path / "custodians.keys").write_text("# One public key a line: who may sign permits at this site.\n")
        (self.path / "peers.json").write_text("[]\n")
        write_settings(settings, self.path / "node.toml")
        return self.member()

    def settings(self) -> NodeSettings:
        return read_settings(NodeSettings, self.path / "node.toml")

    def signing(self) -> SigningKey:
        return SigningKey.load(self.path / "keys" / "signing.pem")

    def exchange(self) -> ExchangeKey:
        return ExchangeKey.load(self.path / "keys" / "exchange.pem")

    def seal(self) -> Seal:
        """The key of the release ledger."""
        return Seal.load(self.path / "keys" / "ledger.key")

    def policy(self) -> Policy:
        return self._fresh("policy", ("policy.toml",), lambda: Policy.load(self.path / "policy.toml"))

    def _fresh(self, what: str, names: tuple[str, ...], read: Callable[[], T]) -> T:
        """What was read before if the files are as they were (time, size, inode of each), else read now."""
        stamp = [entry for name in names for entry in _stamps(f"{self.path}/{name}")]
        kept = self._read.get(what)
        if kept is None or kept[0] != stamp:
            kept = (stamp, read())
            self._read[what] = kept
        return cast(T, kept[1])

    def member(self) -> Member:
        """The site's card: what others need to know of it, and nothing secret."""
        settings = self.settings()
        return Member(
            site=settings.site,
            organisation=settings.organisation,
            signing=self.signing().public,
            exchange=self.exchange().public,
        )

    def custodians(self) -> tuple[str, ...]:
        """The public keys whose signatures count on a permit here."""
        lines = (self.path / "custodians.keys").read_text("utf-8").splitlines()
        keys = tuple(line.split("#", 1)[0].strip() for line in lines if line.split("#", 1)[0].strip())
        for key in keys:
            signing_public(key)
        return keys

    def add_custodian(self, key: str, name: str) -> None:
        signing_public(key)
        if key in self.custodians():
            raise ConfigError("This key stands in custodians.keys already. Nothing was changed.")
        with (self.path / "custodians.keys").open("a", encoding="utf-8") as file:
            # In one line whatever the name holds: what stands on a line of its own is a key.
            file.write(f"{key}  # {' '.join(name.split())}\n")

    def peers(self) -> dict[str, Member]:
        """The other sites that this one has pinned, by name."""
        return self._fresh("peers", ("peers.json",), self._peers)

    def _peers(self) -> dict[str, Member]:
        path = self.path / "peers.json"
        try:
            found = [Member.from_bytes(json.dumps(entry)) for entry in json.loads(path.read_text("utf-8"))]
        except (OSError, ValueError, CivicGridError) as error:
            raise ConfigError(f"The peers at {path} cannot be read: {error}. Mend the file.") from None
        return {member.site: member for member in found}

    def pin(self, members: Sequence[Member]) -> None:
        """Trust these sites' keys and organisations from now on, in place of what was pinned under their names."""
        pinned = self.peers() | {member.site: check_member(member) for member in members}
        pinned.pop(self.settings().site, None)
        text = json.dumps([pinned[site].to_data() for site in sorted(pinned)], indent=2)
        (self.path / "peers.json").write_text(text + "\n", "utf-8")

    def permits(self) -> list[tuple[str, Permit]]:
        """Every permit that stands at this site, with its digest, latest first. See `Permits.standing`."""
        files = ("permits", "custodians.keys", "policy.toml", "node.toml", "panels")
        return self._fresh("permits", files, lambda: self.permit_folder().standing())

    def permit_folder(self) -> Permits:
        """What the custodians have signed, under the keys and the policy of this moment."""
        settings = self.settings()
        policy = self.policy()
        return Permits(
            self.path / "permits",
            settings.network,
            settings.site,
            self.custodians(),
            policy.custodians,
            self.rolls(),
            policy.panel_required,
        )

    def rolls(self) -> dict[str, Roll]:
        """The rolls of the panels whose ballots count here, by panel."""
        found: dict[str, Roll] = {}
        for path in sorted((self.path / "panels").glob("*.json")):
            try:
                roll = Roll.from_bytes(path.read_bytes())
            except CivicGridError as error:
                raise ConfigError(f"The roll at {path} cannot be read: {error}. Mend or remove the file.") from None
            found[roll.panel] = roll
        return found

    def add_roll(self, roll: Roll) -> bool:
        """Keep a panel's roll, in place of an earlier one of the panel; whether there was one."""
        folder = self.path / "panels"
        folder.mkdir(exist_ok=True)
        path = folder / f"{roll.panel}.json"
        there = path.exists()
        part = path.with_name(path.name + ".part")
        part.write_text(json.dumps(roll.to_data(), indent=2, ensure_ascii=False) + "\n", "utf-8")
        part.replace(path)
        return there

    def add_permit(self, envelope: Envelope) -> Path:
        """Keep a signed permit in place of the project's earlier ones; its file. See `Permits.add`."""
        return self.permit_folder().add(envelope, self.signing(), dt.datetime.now(dt.UTC))[0]

    def revoke_permit(self, begins: str, reason: str = "") -> str:
        """Revoke the permit whose digest begins so, for good, under the node's own key; its digest."""
        return self.permit_folder().revoke(begins, self.signing(), dt.datetime.now(dt.UTC), reason)


def _stamps(path: str) -> list[tuple[object, ...]]:
    """What shows that a file has been changed, or one of the files of a folder: name, time, size and inode of each."""
    # Asked at every task: a path object costs several times the system's own answer.
    try:
        found = os.stat(path)  # noqa: PTH116
        if not stat.S_ISDIR(found.st_mode):
            return [(path, found.st_mtime_ns, found.st_size, found.st_ino)]
        with os.scandir(path) as entries:
            files = sorted((entry.name, entry) for entry in entries)
    except FileNotFoundError:
        return [(path, "gone")]
    stamps: list[tuple[object, ...]] = []
    for name, entry in files:
        try:
            found = entry.stat()
            stamps.append((name, found.st_mtime_ns, found.st_size, found.st_ino))
        except FileNotFoundError:
            stamps.append((name, "gone"))
    return stamps
