"""Who is signed in on the pages: a random token in the browser, its digest in the database.

The cookie goes to this hub alone, is kept from scripts, and over https has the `__Host-` name that no other host can set.
A sign-in ends after a time, after a shorter time without a click, and when its account closes.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import Response

from civicgrid.config import HubSettings
from civicgrid.errors import CivicGridError, NotAllowed
from civicgrid.governance.people import Account
from civicgrid.hub import database as db
from civicgrid.hub.journal import Journal
from civicgrid.hub.records import Records
from civicgrid.transport import is_loopback

COOKIE = {False: "civicgrid", True: "__Host-civicgrid"}
RARELY = 60.0
"""Seconds after which it is written down anew that somebody was seen."""


class SignIns:
    """The sign-ins of one hub."""

    def __init__(self, journal: Journal, settings: HubSettings) -> None:
        self.journal = journal
        self.secure = settings.public.startswith("https://")
        self._longest = settings.sign_in_hours * 3600
        self._idle = settings.idle_minutes * 60

    def open(self, response: Response, account: Account) -> None:
        """Sign somebody in: the answer sets the cookie."""
        token, now = secrets.token_urlsafe(32), time.time()
        with self.journal.transaction("signed_in") as connection:
            connection.execute(sa.delete(db.sign_ins).where(db.sign_ins.c.began < now - self._longest))
            connection.execute(sa.insert(db.sign_ins).values(token=_digest(token), account=account.id, began=now, seen=now))
        response.set_cookie(
            COOKIE[self.secure],
            token,
            max_age=int(self._longest),
            path="/",
            httponly=True,
            samesite="lax",
            secure=self.secure,
        )

    def close(self, response: Response, token: str) -> None:
        """Sign out: the token is worth nothing from now on."""
        with self.journal.transaction("signed_out") as connection:
            connection.execute(sa.delete(db.sign_ins).where(db.sign_ins.c.token == _digest(token)))
        response.delete_cookie(COOKIE[self.secure], path="/", httponly=True, samesite="lax", secure=self.secure)

    def viewer(self, token: str, records: Records) -> Account | None:
        """Who holds this token, if it still counts."""
        if not token:
            return None
        now = time.time()
        with self.journal.engine.connect() as connection:
            row = connection.execute(sa.select(db.sign_ins).where(db.sign_ins.c.token == _digest(token))).mappings().first()
        if row is None or row["began"] < now - self._longest or row["seen"] < now - self._idle:
            return None
        try:
            account: Account = records.get("account", row["account"])
        except CivicGridError:
            return None
        if account.state != "active":
            return None
        if now - row["seen"] > RARELY:
            with self.journal.transaction("seen") as connection:
                connection.execute(sa.update(db.sign_ins).where(db.sign_ins.c.token == row["token"]).values(seen=now))
        return account

    def form_token(self, token: str) -> str:
        """What a form made for this sign-in carries, so that another site's page cannot send it."""
        return hmac.new(token.encode(), b"form", hashlib.sha256).hexdigest() if token else ""


def check_demo(settings: HubSettings, request: Request) -> None:
    """Raise NotAllowed unless anybody may act as anybody here: where the settings say so, at this machine alone."""
    host = request.client.host if request.client else ""
    if not settings.demo_people or settings.behind_proxy or not is_loopback(settings.host) or not is_loopback(host):
        raise NotAllowed("Choosing a person is for trying out a hub on one's own machine. Sign in with your own account.")


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
