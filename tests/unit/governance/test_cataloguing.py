"""A data set is published by a custodian of its own site, whole or not at all; its use is read from the register."""

from __future__ import annotations

import datetime as dt

import pytest

from civicgrid.canonical import digest
from civicgrid.catalogue.record import Record
from civicgrid.catalogue.use import Decision, History
from civicgrid.errors import NotAllowed, StateError
from civicgrid.governance.cataloguing import history
from civicgrid.governance.entry import Entry
from civicgrid.governance.register import AnyEntry, Leaf, PermitGranted, ResultPublished, Run
from unit.catalogue.samples import full
from unit.governance.desk import desk
from unit.governance.entries import APPLICATION, REFUSED


def text(record: Record) -> str:
    return record.canonical().decode()


def test_a_custodian_publishes_and_withdraws_what_their_own_site_holds() -> None:
    made = desk()
    dataset = made.perform("cus", "dataset.publish", record=text(full()))
    assert (dataset.id, dataset.site, dataset.name, dataset.state) == ("leeds/trial", "leeds", "trial", "published")
    assert made.perform("cus", "dataset.withdraw", "leeds/trial").state == "withdrawn"
    with pytest.raises(StateError, match="it is withdrawn"):
        made.perform("cus", "dataset.withdraw", "leeds/trial")
    again = made.perform("cus", "dataset.publish", record=text(full().model_copy(update={"title": "Another title"})))
    assert (again.state, again.record.title) == ("published", "Another title")


def test_nobody_publishes_for_another_site() -> None:
    made = desk()
    for person in ("hull", "ada"):
        with pytest.raises(NotAllowed):
            made.perform(person, "dataset.publish", record=text(full()))
    made.perform("cus", "dataset.publish", record=text(full()))
    with pytest.raises(NotAllowed):
        made.perform("hull", "dataset.withdraw", "leeds/trial")


def test_what_is_missing_is_said_in_words() -> None:
    made = desk()
    for change, words in (
        ({"title": ""}, "Title: What people call"),
        ({"conditions": ()}, "Purposes allowed"),
        ({"identifier": "trial"}, "Identifier: begin it with the name of the site"),
    ):
        with pytest.raises(StateError, match=words):
            made.perform("cus", "dataset.publish", record=text(full().model_copy(update=change)))
    for odd in ("{}", "[]", "no JSON", '{"kind":"record"}'):
        with pytest.raises(StateError, match="not a record of a data set"):
            made.perform("cus", "dataset.publish", record=odd)
    assert not made.find("dataset")


def test_a_record_is_dated_when_it_is_first_published() -> None:
    made = desk()
    dataset = made.perform("cus", "dataset.publish", record=text(full().model_copy(update={"issued": None})))
    assert dataset.record.issued == made.now.date()


def leaf(index: int, month: int, entry: Entry) -> Leaf:
    assert isinstance(entry, AnyEntry)
    return Leaf(network="local", index=index, at=f"2026-{month:02}-01T00:00:00Z", entry=entry)


def test_how_a_data_set_was_used_is_read_from_the_register() -> None:
    run, other, plan = (digest(name) for name in (b"run", b"other", b"plan"))
    permit = PermitGranted(
        project="P-7", site="leeds", organisation="Leeds Hospital", permit=plan, datasets=("asthma",),
        start=dt.date(2026, 3, 1), end=dt.date(2027, 3, 1),
    )  # fmt: skip
    said = (
        APPLICATION,
        APPLICATION.model_copy(update={"project": "P-8"}),
        APPLICATION.model_copy(update={"project": "P-9"}),
        permit,
        REFUSED.model_copy(update={"project": "P-8", "site": "leeds"}),
        Run(project="P-7", run=run, plan=plan, state="began", sites=("leeds",), datasets=("asthma",)),
        Run(project="P-7", run=other, plan=plan, state="began", sites=("leeds",), datasets=("hearts",)),
        Run(project="P-7", run=run, plan=plan, state="finished"),
        Run(project="P-7", run=other, plan=plan, state="finished"),
        ResultPublished(project="P-7", title="Dirty air", summary="More visits."),
        ResultPublished(project="P-8", title="Of another", summary="Nothing."),
    )
    found = history("leeds", "asthma", [leaf(at, at + 1, entry) for at, entry in enumerate(said)])
    assert found == History(
        (
            Decision(dt.date(2026, 1, 1), dt.date(2026, 4, 1), True),
            Decision(dt.date(2026, 2, 1), dt.date(2026, 5, 1), False),
            Decision(dt.date(2026, 3, 1)),
        ),
        (dt.date(2026, 8, 1),),
        (dt.date(2026, 10, 1),),
    )
    assert history("york", "hearts", [leaf(0, 1, APPLICATION)]) == History()
