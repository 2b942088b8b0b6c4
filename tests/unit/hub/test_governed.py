"""Studies of projects that were applied for: who may run one, and what the register says when it has ended."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest
import sqlalchemy as sa

from civicgrid.errors import NotAllowed
from civicgrid.governance.application import Application
from civicgrid.hub import database as db
from civicgrid.hub.governed import Governed
from civicgrid.hub.journal import Journal
from civicgrid.hub.records import Records
from civicgrid.hub.register import Register
from civicgrid.trust.keys import ExchangeKey, SigningKey
from civicgrid.trust.roster import Member

NOW = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)


@pytest.fixture
def governed(tmp_path: Path) -> Governed:
    engine = db.connect(f"sqlite:///{tmp_path}/hub.sqlite")
    register = Register(engine, "local", "example.org", SigningKey.generate(), SigningKey.generate())
    records = Records(engine, Journal(engine), register)
    records.seed((Application(id="P-1", state="deciding", lead="a-1"),), NOW)
    return Governed(records, always=False)


def run(governed: Governed, project: str) -> list[str]:
    """What the register says once a run of a project has ended, to which one site of two gave something."""
    members = [
        Member(
            site=site,
            organisation=f"{site} Trust",
            signing=SigningKey.generate().public,
            exchange=ExchangeKey.generate().public,
        )
        for site in ("leeds", "york")
    ]
    with governed.records.engine.begin() as connection:
        connection.execute(
            sa.insert(db.runs).values(
                run="a" * 64, network="local", project=project, person="k", plan="b" * 64, study="{}", offline="[]",
                members=json.dumps([member.to_data() for member in members]), submitted=0.0, state="running",
            )
        )  # fmt: skip
        connection.execute(
            sa.insert(db.tasks).values(run="a" * 64, seq=1, digest="t", signed=b"", targets="[]", at=0.0)
        )
        for site, share in (("leeds", b"sums"), ("york", b"")):
            connection.execute(sa.insert(db.replies).values(task="t", site=site, header=b"h", share=share, at=0.0))
        governed.ended(connection, "a" * 64, "finished")
    register = governed.records.register
    return [shown.leaf.entry.sentence() for shown in register.entries(0, register.size()) if shown.leaf is not None]


def test_a_project_that_is_not_permitted_runs_nothing(governed: Governed) -> None:
    with pytest.raises(NotAllowed, match="Expected a project that is permitted"):
        governed.check("P-1", "key", NOW)
    governed.check("made up", "key", NOW)
    with pytest.raises(NotAllowed, match="There is no such project"):
        Governed(governed.records, always=True).check("made up", "key", NOW)


def test_what_ran_and_who_released_stands_on_the_register(governed: Governed) -> None:
    said = run(governed, "P-1")
    assert said == [
        "Project P-1 finished a study at leeds.",
        "leeds sent checked totals for project P-1. Nobody’s own record left it.",
    ]


def test_of_a_name_that_a_researcher_made_up_nothing_is_written(governed: Governed) -> None:
    assert run(governed, "Buy my pills") == []
