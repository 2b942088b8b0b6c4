"""What an act makes public is stored with it or not at all, and no name stands in it."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from civicgrid.errors import StateError
from civicgrid.hub import database as db
from civicgrid.hub.journal import Journal
from civicgrid.hub.records import Records
from civicgrid.hub.register import Register
from civicgrid.trust.keys import SigningKey
from unit.governance.desk import NETWORK, desk, drafted


def test_an_application_is_sent_in_the_hub_s_database(tmp_path: Path) -> None:
    made = desk()
    project = drafted(made)
    engine = db.connect(f"sqlite:///{tmp_path}/hub.sqlite")
    register = Register(engine, NETWORK, "hub.example/demo", SigningKey.generate(), SigningKey.generate())
    records = Records(engine, Journal(engine), register)
    records.seed(tuple(made.records.values()), made.now)
    ada = records.get("account", "ada")

    sent = records.perform(ada, "application.submit", project, {}, made.now)
    assert sent.state == "deciding"
    assert {each.id for each in records.find("decision", application=project)} == {"P-1.leeds", "P-1.hull"}
    assert register.size() == 1
    with engine.connect() as connection:
        leaf = str(connection.execute(sa.select(db.register_entries.c.leaf)).scalar_one())
        people = connection.execute(sa.select(db.register_people.c.account, db.register_people.c.commitment)).all()
    assert {account for account, _ in people} == {"ada", "ben"}
    assert all(commitment in leaf for _, commitment in people)
    assert "Demo ada" not in leaf and records.unread("cus") == 1

    with pytest.raises(StateError):
        records.perform(ada, "application.submit", project, {}, made.now)
    assert register.size() == 1

    op = records.get("account", "op")
    records.perform(op, "account.close", "ben", {}, made.now)
    with engine.connect() as connection:
        left = connection.execute(sa.select(db.register_people.c.account)).scalars().all()
    assert left == ["ada"], "whose commitments they were cannot be told once an account is closed"


def test_what_the_register_does_not_take_is_a_sentence_and_stores_nothing(tmp_path: Path) -> None:
    made = desk()
    project = drafted(made)
    made.put(made.get("organisation", "uni").model_copy(update={"name": "Uni\u202eversity"}))
    engine = db.connect(f"sqlite:///{tmp_path}/hub.sqlite")
    register = Register(engine, NETWORK, "hub.example/demo", SigningKey.generate(), SigningKey.generate())
    records = Records(engine, Journal(engine), register)
    records.seed(tuple(made.records.values()), made.now)
    with pytest.raises(StateError, match="This cannot be stored: organisation: Value error, expected text without control"):
        records.perform(records.get("account", "ada"), "application.submit", project, {}, made.now)
    assert register.size() == 0 and records.get("application", project).state == "draft"
