"""What ties studies to the projects that they belong to: who may run one, what the register says of it, and clocks.

A project that has an application here may run a study only while it is permitted, by somebody who is named on it and
accredited that day. Each site's own permit decides beside this; the hub can only be stricter.
"""

from __future__ import annotations

import datetime as dt
import json
import logging

import sqlalchemy as sa

from civicgrid.canonical import digest
from civicgrid.errors import CivicGridError
from civicgrid.governance.checking import check_run
from civicgrid.governance.clocks import waiting
from civicgrid.governance.entry import Entry
from civicgrid.governance.people import TERMS, Account, Grant
from civicgrid.governance.register import Release, Run
from civicgrid.hub import database as db
from civicgrid.hub.records import Records
from civicgrid.trust.roster import Member

log = logging.getLogger("civicgrid.hub")

HUB = Account(id="hub", name="The hub itself", grants=(Grant(role="operator"),), terms=TERMS)
"""Who acts when a clock runs out."""


class Governed:
    """The projects of one hub, as its studies meet them. With `always` there is no study without a permitted project."""

    def __init__(self, records: Records, always: bool) -> None:
        self.records, self.always = records, always

    def check(self, project: str, key: str, now: dt.datetime) -> None:
        """Raise NotAllowed unless a study of this project, signed with this key, may run now."""
        if self.always or self.records.find("application", id=project):
            check_run(self.records, project, key, now.date())

    def ended(self, connection: sa.Connection, run: str, state: str) -> None:
        """Put a run that has ended on the register, and what each site released for it. The caller's transaction commits.

        Of a project without an application nothing is written: its name is whatever the researcher made up.
        """
        row = connection.execute(sa.select(db.runs).where(db.runs.c.run == run)).mappings().one()
        if not self.records.find("application", id=row["project"]):
            return
        shares: dict[str, list[str]] = {}
        replies = sa.select(db.replies.c.site, db.replies.c.share).join(db.tasks, db.tasks.c.digest == db.replies.c.task)
        for site, share in connection.execute(replies.where(db.tasks.c.run == run).order_by(db.tasks.c.seq)):
            if share:
                shares.setdefault(str(site), []).append(digest(share))
        members = {member.site: member for member in map(Member.from_bytes, _texts(row["members"]))}
        entries: list[Entry] = [
            Run(
                project=row["project"],
                run=run,
                plan=row["plan"],
                state="finished" if state == "finished" else "failed",
                sites=tuple(sorted(shares)),
            )
        ]
        entries += [
            Release(
                project=row["project"],
                run=run,
                site=site,
                organisation=members[site].organisation,
                shares=tuple(shares[site][:1000]),
            )
            for site in sorted(shares)
        ]
        self.records.register.append(connection, entries, dt.datetime.now(dt.UTC).timestamp())

    def keep_clocks(self, now: dt.datetime) -> int:
        """Do what time asks for: remind, and close what has been left too long. How much was done."""
        done = 0
        for act, id in list(waiting(self.records, now.date())):
            try:
                self.records.perform(HUB, act, id, {}, now)
                done += 1
            except CivicGridError as error:
                log.warning("a clock's act %s was not done: %s", act, type(error).__name__)
        return done


def _texts(members: str) -> list[str]:
    return [json.dumps(member) for member in json.loads(members)]
