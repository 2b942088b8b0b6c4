"""Records change by acts alone: permission, state, form and version are checked; an act is stored whole or not at all."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
import sqlalchemy as sa

from civicgrid.errors import Missing, NotAllowed, StateError
from civicgrid.governance.people import TERMS, Account, Grant
from civicgrid.hub import database as db
from civicgrid.hub.journal import Journal
from civicgrid.hub.records import FormError, Records
from civicgrid.hub.register import Register
from civicgrid.trust.keys import SigningKey

NOW = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)
OPERATOR = Account(id="a-op", name="Demo operator", terms=TERMS, grants=(Grant(role="operator"),))
ADA = Account(id="a-ada", name="Demo researcher", terms=0, grants=(Grant(role="researcher"),), login="demo ada")


@pytest.fixture
def records(tmp_path: Path) -> Records:
    engine = db.connect(f"sqlite:///{tmp_path}/hub.sqlite")
    register = Register(engine, "demo", "hub.example/demo", SigningKey.generate(), SigningKey.generate())
    made = Records(engine, Journal(engine), register)
    made.seed((OPERATOR, ADA), NOW)
    return made


def test_an_act_makes_a_record_with_a_number_of_its_own(records: Records) -> None:
    first = records.perform(OPERATOR, "account.open", "", {"name": "Demo custodian"}, NOW)
    second = records.perform(OPERATOR, "account.open", "", {"name": "Demo checker"}, NOW)
    assert (first.id, second.id) == ("a-1", "a-2")
    assert records.get("account", "a-2").name == "Demo checker"


def test_who_may_not_gets_to_know_who_may(records: Records) -> None:
    with pytest.raises(NotAllowed, match="accepted the terms"):
        records.perform(ADA, "account.open", "", {"name": "Mallory"}, NOW)
    ada = records.perform(ADA, "account.accept_terms", "a-ada", {}, NOW)
    with pytest.raises(NotAllowed, match="It can be done by an operator"):
        records.perform(ada, "account.open", "", {"name": "Mallory"}, NOW)
    with pytest.raises(NotAllowed, match="who has no part in it"):
        records.perform(OPERATOR, "account.grant", "a-op", {"role": "auditor"}, NOW)
    assert records.find("account", role="auditor") == []


def test_a_form_says_what_is_wrong_with_each_field(records: Records) -> None:
    with pytest.raises(FormError) as raised:
        records.perform(OPERATOR, "account.accredit", "a-ada", {"scheme": "", "until": "soon"}, NOW)
    assert raised.value.faults == {"scheme": "Fill this in", "until": "Enter a date such as 27 3 2027"}


def test_nothing_is_stored_of_an_act_that_fails(records: Records) -> None:
    with pytest.raises(StateError, match="Expected the site"):
        records.perform(OPERATOR, "account.grant", "a-ada", {"role": "custodian"}, NOW)
    with pytest.raises(Missing, match="no organisation"):
        records.perform(OPERATOR, "account.open", "", {"name": "Demo", "organisation": "nowhere"}, NOW)
    assert records.perform(OPERATOR, "account.open", "", {"name": "Demo"}, NOW).id == "a-1"
    with records.engine.connect() as connection:
        lines = connection.execute(sa.select(sa.func.count()).select_from(db.audit)).scalar_one()
    assert lines == 3  # two seeds and one act


def test_what_somebody_else_changed_is_not_overwritten(records: Records) -> None:
    records.perform(OPERATOR, "account.grant", "a-ada", {"role": "lead"}, NOW)
    with pytest.raises(StateError, match="changed since you opened it"):
        records.perform(OPERATOR, "account.grant", "a-ada", {"role": "auditor"}, NOW, seen=1)


def test_records_are_found_by_their_marks(records: Records) -> None:
    records.perform(OPERATOR, "account.grant", "a-ada", {"role": "custodian", "scope": "leeds"}, NOW)
    assert [account.id for account in records.find("account", holds="custodian leeds")] == ["a-ada"]
    assert [account.id for account in records.find("account", login="demo ada")] == ["a-ada"]
    found, count = records.page("account", most=1)
    assert (len(found), count) == (1, 2)


def test_a_closed_account_is_emptied_and_leaves_no_earlier_form(records: Records) -> None:
    records.perform(OPERATOR, "account.close", "a-ada", {}, NOW)
    assert records.find("account", login="demo ada") == []
    assert [version.record.name for version in records.history("account", "a-ada")] == ["A former member"]
    with records.engine.connect() as connection:
        bodies = [row[0] for table in (db.records, db.versions) for row in connection.execute(sa.select(table.c.body))]
    assert not any("Demo researcher" in body for body in bodies)
