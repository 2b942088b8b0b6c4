"""A hub's folder: its settings, its signing key, its database.

    hub.toml      network, address, database
    hub.pem       the key under which every task of this network travels
    hub.sqlite    the database, unless the settings name another
    nonces.sqlite the nonces of messages that have been accepted
    hub.sqlite.lock held by the hub that runs (beside the database)
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from civicgrid.config import HubSettings, read_settings, write_settings
from civicgrid.errors import ConfigError
from civicgrid.hub import database as db
from civicgrid.trust.keys import SigningKey, signing_public
from civicgrid.trust.roster import Member, check_member


@dataclass(frozen=True)
class HubHome:
    """The folder of one hub."""

    path: Path

    def create(self, settings: HubSettings) -> str:
        """Lay out a folder with a fresh key; give back the public key, which every site pins."""
        if (self.path / "hub.toml").exists():
            raise ConfigError(f"There is a hub at {self.path} already. Choose another folder, or use that one.")
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = SigningKey.generate()
        key.save(self.path / "hub.pem")
        write_settings(settings, self.path / "hub.toml")
        self.engine().dispose()
        return key.public

    def settings(self) -> HubSettings:
        return read_settings(HubSettings, self.path / "hub.toml")

    def key(self) -> SigningKey:
        return SigningKey.load(self.path / "hub.pem")

    def engine(self) -> sa.Engine:
        return db.connect(self._url())

    def claim(self) -> db.Claim:
        """The right to be the one hub that runs over this database. ConfigError while another has it."""
        return db.claim(self._url())

    def _url(self) -> str:
        url = self.settings().database
        if url.startswith("sqlite:///") and not url.startswith("sqlite:////"):
            url = f"sqlite:///{(self.path / url.removeprefix('sqlite:///')).absolute()}"
        return url


def admit_site(engine: sa.Engine, member: Member) -> None:
    """Register a site by its card: from now on its node may connect."""
    check_member(member)
    row = {"site": member.site, "member": member.canonical().decode(), "key": member.signing}
    with engine.begin() as connection:
        taken = connection.execute(
            sa.select(db.sites.c.site).where(sa.or_(db.sites.c.site == member.site, db.sites.c.key == member.signing))
        ).first()
        if taken:
            raise ConfigError(
                f"A site called {taken[0]!r} is registered already, under this name or this key. Nothing was changed."
            )
        connection.execute(sa.insert(db.sites).values(**row))


def admit_person(engine: sa.Engine, name: str, key: str) -> None:
    """Register a researcher's key: from now on they may send studies. What they may run is for the sites to say."""
    signing_public(key)
    with engine.begin() as connection:
        if connection.execute(sa.select(db.people.c.key).where(db.people.c.key == key)).first():
            raise ConfigError("This key is registered already. Nothing was changed.")
        connection.execute(sa.insert(db.people).values(key=key, name=name))
