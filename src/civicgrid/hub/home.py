"""A hub's folder: its settings, its signing key, its database.

    hub.toml      network, address, database
    hub.pem       the key under which every task of this network travels
    register.pem  the key under which checkpoints of the public register are signed
    hub.sqlite    the database, unless the settings name another
    nonces.sqlite the nonces of messages that have been accepted
    hub.sqlite.lock held by the hub that runs (beside the database)
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import sqlalchemy as sa

from civicgrid.config import HubSettings, read_settings, write_settings
from civicgrid.errors import ConfigError
from civicgrid.governance.people import ROLES, SCOPED
from civicgrid.hub import database as db
from civicgrid.hub.journal import Journal
from civicgrid.hub.register import Register
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
        SigningKey.generate().save(self.path / "register.pem")
        write_settings(settings, self.path / "hub.toml")
        self.engine().dispose()
        return key.public

    def settings(self) -> HubSettings:
        return read_settings(HubSettings, self.path / "hub.toml")

    def key(self) -> SigningKey:
        return SigningKey.load(self.path / "hub.pem")

    def register(self, engine: sa.Engine) -> Register:
        """The public register in this hub's database. A hub from before there was one gets its key when it first asks."""
        settings = self.settings()
        path = self.path / "register.pem"
        if not path.exists():
            with engine.connect() as connection:
                begun = connection.execute(sa.select(db.register.c.origin)).scalar()
            if begun:
                raise ConfigError(f"The key of the public register is missing: {path}. Put it back from a backup.")
            SigningKey.generate().save(path)
        origin = f"{urlsplit(settings.public).netloc}/{settings.network}"
        return Register(engine, settings.network, origin, SigningKey.load(path), self.key())

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


def open_account(home: HubHome, name: str, role: str, login: str) -> str:
    """Open an account and give it a role, as the hub itself; the account's id. The first operator has nobody to do it."""
    from civicgrid.hub.governed import HUB
    from civicgrid.hub.records import Records

    if role not in ROLES or role in SCOPED:
        everywhere = ", ".join(each for each in ROLES if each not in SCOPED)
        raise ConfigError(f"Expected a role that is held everywhere: {everywhere}. Others are given on the pages.")
    engine = home.engine()
    try:
        records = Records(engine, Journal(engine), home.register(engine))
        now = dt.datetime.now(dt.UTC)
        made = records.perform(HUB, "account.open", "", {"name": name, "login": login}, now)
        records.perform(HUB, "account.grant", made.id, {"role": role}, now)
        return str(made.id)
    finally:
        engine.dispose()
