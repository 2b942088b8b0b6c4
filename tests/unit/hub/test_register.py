"""The register in the hub's database: on SQLite, and on PostgreSQL where a server is to be had."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from civicgrid.config import HubSettings
from civicgrid.errors import ConfigError, Missing, TrustError, WireError
from civicgrid.governance.entry import commitment
from civicgrid.governance.register import Run, moment
from civicgrid.hub import database as db
from civicgrid.hub import register as module
from civicgrid.hub.home import HubHome
from civicgrid.hub.register import MOST, Register, position
from civicgrid.trust.keys import SigningKey
from civicgrid.trust.merkle import EMPTY, leaf_hash, verify_consistency, verify_inclusion
from civicgrid.trust.note import WITNESS, Checkpoint, NoteKey, cosigned
from civicgrid.wire import REGISTER, RegisterKey
from unit.governance.entries import APPLICATION, APPROVED, EXAMPLES, LEAD, PERMIT, REFUSED, RESULT

ORIGIN = "hub.example/net"
NOW = 1_795_000_000
HUB, KEY = SigningKey.generate(), SigningKey.generate()


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'hub.sqlite'}"
    else:
        server = request.getfixturevalue("postgresql")
        name = f"t{secrets.token_hex(6)}"
        plain = sa.create_engine(server, isolation_level="AUTOCOMMIT")
        with plain.connect() as connection:
            connection.exec_driver_sql(f"create database {name}")
        plain.dispose()
        url = server.replace("/postgres?", f"/{name}?")
    made = db.connect(url)
    yield made
    made.dispose()


@pytest.fixture
def register(engine: sa.Engine) -> Register:
    return Register(engine, "net", ORIGIN, KEY, HUB)


def added(register: Register, *entries: object, now: float = NOW) -> range:
    with register.engine.begin() as connection:
        return register.append(connection, entries, now)  # type: ignore[arg-type]


def numbers(page: module.Page) -> list[int]:
    return [shown.index for shown in page.entries]


# --- appending --------------------------------------------------------------------------------------------------------


def test_every_kind_is_appended_proven_and_read_back(register: Register) -> None:
    assert added(register, *EXAMPLES) == range(len(EXAMPLES))
    size = register.size()
    note = register.checkpoint()
    head = Checkpoint.parse(note.text)
    assert (head.origin, head.size) == (ORIGIN, size)
    assert note.opened([register.key]) == {register.key: 0}
    for index, entry in enumerate(EXAMPLES):
        shown = register.entry(index)
        assert shown.leaf is not None and shown.leaf.entry == entry
        verify_inclusion(leaf_hash(shown.text.encode()), index, size, register.inclusion(index, size), head.root)


def test_it_grows_and_every_size_begins_with_the_one_before(register: Register) -> None:
    heads = [Checkpoint.parse(register.checkpoint().text)]
    assert heads[0] == Checkpoint(ORIGIN, 0, EMPTY)
    for number in (1, 2, 1, 7, 30):
        added(register, *[RESULT] * number)
        heads.append(Checkpoint.parse(register.checkpoint().text))
    for old in heads:
        for new in heads:
            if old.size <= new.size:
                verify_consistency(old.size, new.size, old.root, new.root, register.consistency(old.size, new.size))
        assert Checkpoint.parse(register.checkpoint(old.size).text) == old
    assert register.checkpoint() == register.checkpoint(), "an unchanged register is signed once"


def test_nothing_is_appended_by_a_transaction_that_does_not_end(register: Register) -> None:
    added(register, APPLICATION)
    before = register.checkpoint()
    with pytest.raises(RuntimeError), register.engine.begin() as connection:
        register.append(connection, (APPROVED, PERMIT), NOW)
        raise RuntimeError
    assert register.checkpoint() == before
    assert added(register) == range(0)
    assert added(register, APPROVED) == range(1, 2)


def test_times_never_go_back(register: Register) -> None:
    added(register, APPLICATION, now=NOW)
    added(register, APPROVED, now=NOW - 86_400)
    added(register, RESULT, now=NOW + 1.9)
    times = [shown.leaf.at for shown in register.entries(0, 3) if shown.leaf]
    assert times == [moment(NOW), moment(NOW), moment(NOW + 1)]


def test_several_workers_append_at_once(register: Register) -> None:
    """Eight threads, each with a connection of its own: every entry has its number, and the tree is the one over them."""

    def work() -> None:
        for _ in range(10):
            added(register, RESULT, PERMIT)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert register.size() == 160
    head = Checkpoint.parse(register.checkpoint().text)
    for index in range(0, 160, 7):
        leaf = leaf_hash(register.entry(index).text.encode())
        verify_inclusion(leaf, index, 160, register.inclusion(index, 160), head.root)


def test_every_subtree_has_a_position_of_its_own() -> None:
    places = [(level, index) for level in range(10) for index in range(1 << (10 - level))]
    assert len({position(place) for place in places}) == len(places)
    assert [position(place) for place in ((0, 0), (0, 1), (1, 0), (2, 0), (0, 4))] == [0, 2, 1, 3, 8]


# --- people -----------------------------------------------------------------------------------------------------------


def test_people_are_salted_and_can_be_erased(register: Register) -> None:
    with register.engine.begin() as connection:
        first = register.commit(connection, "a-1", "Ada Lovelace", "P-7")
        assert register.commit(connection, "a-1", "Ada Lovelace", "P-7") == first
        other = register.commit(connection, "a-1", "Ada Lovelace", "P-8")
        bob = register.commit(connection, "a-2", "Bob", "P-7")
        salt = connection.execute(sa.select(db.register_people.c.salt)).scalars().first()
    assert len({first, other, bob}) == 3, "nobody is followed from project to project"
    assert commitment(bytes(salt or b""), "a-1") in (first, other)
    assert register.names([first, bob, LEAD]) == {first: "Ada Lovelace", bob: "Bob"}
    added(register, APPLICATION.model_copy(update={"lead": first}))
    before = register.checkpoint()
    with register.engine.begin() as connection:
        assert register.erase(connection, "a-1") == 2
    assert register.names() == {bob: "Bob"}
    assert register.checkpoint() == before


# --- pages ------------------------------------------------------------------------------------------------------------


def test_pages_go_back_from_the_newest(register: Register) -> None:
    added(register, *[RESULT] * 7)
    assert numbers(register.page(3)) == [6, 5, 4]
    page = register.page(3, before=4)
    assert (numbers(page), page.older) == ([3, 2, 1], 1)
    assert (numbers(register.page(3, before=1)), register.page(3, before=1).older) == ([0], None)
    assert register.page(3, before=0).entries == ()
    assert len(register.texts(0, 10**9)) == 7


def test_an_empty_register_has_an_empty_page(register: Register) -> None:
    assert register.page() == module.Page((), None)
    with pytest.raises(Missing, match="no entry 0"):
        register.entry(0)


def test_pages_are_narrowed_by_mark_and_word(register: Register) -> None:
    flu = APPLICATION.model_copy(update={"project": "P-9", "title": "Influenza", "summary": "Flu.", "sites": ("hull",)})
    added(register, APPLICATION, APPROVED, REFUSED, PERMIT, flu, RESULT)
    assert numbers(register.page(project="P-7")) == [5, 3, 2, 1, 0]
    assert numbers(register.page(site="york")) == [2, 0]
    assert numbers(register.page(kind="decision", site="york")) == [2]
    assert numbers(register.page(dataset="asthma")) == [4, 3, 0]
    assert numbers(register.page(organisation="THE UNIVERSITY of York")) == [4, 0]
    assert numbers(register.page(text="towns: ASTHMA")) == [0]
    assert numbers(register.page(text="influenza")) == [4]
    assert numbers(register.page(text="asthma", kind="result")) == [5]
    for nothing in ({"text": "zebra"}, {"text": "the"}, {"project": "P-7'; drop table register --"}, {"site": "%"}):
        assert register.page(**nothing) == module.Page((), None)  # type: ignore[arg-type]


def test_a_page_looks_through_a_bounded_part_and_says_where_to_go_on(
    register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOKED_THROUGH", 4)
    york = PERMIT.model_copy(update={"site": "york"})
    added(register, REFUSED, *[york] * 10, *[REFUSED.model_copy(update={"site": "hull"})] * 10)
    # As many decisions as entries of york: whichever is looked through, the only one of both is beyond the first four.
    pages = [register.page(5, kind="decision", site="york")]
    while pages[-1].older is not None:
        pages.append(register.page(5, pages[-1].older, kind="decision", site="york"))
    assert [numbers(page) for page in pages][:2] == [[], []]
    assert [number for page in pages for number in numbers(page)] == [0]


def test_approved_projects_are_put_together_as_entries_come(register: Register) -> None:
    added(register, APPLICATION, APPLICATION.model_copy(update={"project": "P-9"}))
    assert register.approved() == []
    added(register, APPROVED)
    assert [each.application.project for each in register.approved()] == ["P-7"]
    again = Register(register.engine, "net", ORIGIN, KEY, HUB)
    added(register, RESULT, PERMIT, APPLICATION.model_copy(update={"version": 2, "title": "Asthma and roads"}))
    assert register.approved() == again.approved() == register.approved()
    (project,) = register.approved()
    assert (project.application.title, project.results) == ("Asthma and roads", [RESULT.link])


# --- witnesses --------------------------------------------------------------------------------------------------------


def test_a_witness_s_line_is_published_beside_the_checkpoint_it_is_of(register: Register) -> None:
    node = SigningKey.generate()
    added(register, APPLICATION)
    name = f"{ORIGIN}/york"
    text = register.checkpoint().text
    register.cosign("york", node.public, 1, str(cosigned(text, node, name, NOW)))
    register.cosign("york", node.public, 1, str(cosigned(text, node, name, NOW + 1)))
    key = NoteKey(name, node.public, WITNESS)
    assert register.checkpoint().opened([register.key, key]) == {register.key: 0, key: NOW + 1}
    added(register, APPROVED)
    assert register.checkpoint().opened([key]) == {}
    assert register.checkpoint(1).opened([key]) == {key: NOW + 1}
    assert [(w.site, w.key, w.size, w.at) for w in register.witnesses()] == [("york", str(key), 1, NOW + 1)]


def test_a_line_of_another_key_name_checkpoint_or_time_is_not_kept(register: Register) -> None:
    node, stranger = SigningKey.generate(), SigningKey.generate()
    added(register, APPLICATION)
    text = register.checkpoint().text
    other = Checkpoint(ORIGIN, 1, bytes(32)).text
    for line in (
        cosigned(text, stranger, f"{ORIGIN}/york", NOW),
        cosigned(text, node, f"{ORIGIN}/hull", NOW),
        cosigned(other, node, f"{ORIGIN}/york", NOW),
    ):
        with pytest.raises(TrustError):
            register.cosign("york", node.public, 1, str(line))
    with pytest.raises(WireError, match="clock is ahead"):
        register.cosign("york", node.public, 1, str(cosigned(text, node, f"{ORIGIN}/york", 2**40)))
    with pytest.raises(Missing, match="No checkpoint was signed"):
        register.cosign("york", node.public, 5, str(cosigned(text, node, f"{ORIGIN}/york", NOW)))
    assert register.witnesses() == []


# --- keys and names ---------------------------------------------------------------------------------------------------


def test_the_register_keeps_its_name_when_the_hub_moves(engine: sa.Engine) -> None:
    added(Register(engine, "net", ORIGIN, KEY, HUB), APPLICATION)
    moved = Register(engine, "net", "elsewhere.example/net", KEY, HUB)
    assert Checkpoint.parse(moved.checkpoint().text).origin == ORIGIN
    assert moved.key.name == ORIGIN
    said = RegisterKey.from_bytes(moved.statement().verify(REGISTER, [HUB.public]))
    assert (said.network, said.origin, said.key) == ("net", ORIGIN, str(moved.key))


def test_what_cannot_be_asked_is_said(register: Register) -> None:
    added(register, APPLICATION)
    for asked in (lambda: register.inclusion(0, 2), lambda: register.consistency(1, 2), lambda: register.checkpoint(7)):
        with pytest.raises(Missing):
            asked()
    with pytest.raises(TrustError):
        register.inclusion(1, 1)


def test_an_entry_that_was_changed_is_shown_as_unreadable_and_breaks_nothing(register: Register) -> None:
    added(register, APPLICATION, RESULT)
    with register.engine.begin() as connection:
        connection.execute(sa.update(db.register_entries).where(db.register_entries.c.entry == 1).values(leaf="{no json"))
    assert [shown.leaf is None for shown in register.page().entries] == [True, False]
    assert len(register.of_kinds(("result", "application_submitted"), 0, 2)) == 1


def test_no_more_than_so_many_at_once(register: Register) -> None:
    run = Run(project="P-7", run="b" * 64, plan="c" * 64, state="began")
    added(register, *[run] * (MOST + 5))
    assert len(register.texts(0, MOST + 5)) == MOST
    assert len(register.entries(MOST, MOST + 5)) == 5


def test_a_hub_from_before_the_register_gets_a_key_once(tmp_path: Path) -> None:
    home = HubHome(tmp_path / "hub")
    home.create(HubSettings(network="net", address="https://hub.example"))
    (home.path / "register.pem").unlink()
    engine = home.engine()
    register = home.register(engine)
    assert register.key.name == ORIGIN
    added(register, APPLICATION)
    assert str(home.register(engine).key) == str(register.key)
    (home.path / "register.pem").unlink()
    with pytest.raises(ConfigError, match="Put it back from a backup"):
        home.register(engine)
    engine.dispose()
