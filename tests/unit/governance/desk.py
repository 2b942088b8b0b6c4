"""The governance of a small network in memory: records, permissions, states and acts, without a hub."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections import Counter
from collections.abc import Mapping
from typing import Any

import civicgrid as cg
from civicgrid.errors import Missing
from civicgrid.governance.acts import Asked, Notice
from civicgrid.governance.application import open_questions
from civicgrid.governance.ballot import Roll
from civicgrid.governance.charter import Charter, Principle
from civicgrid.governance.deliberating import Prepare, ballot
from civicgrid.governance.entry import Entry
from civicgrid.governance.people import TERMS, Account, Accreditation, Grant, Organisation
from civicgrid.governance.permissions import NOTHING, check
from civicgrid.governance.sites import Question, Site
from civicgrid.governance.table import ACTS, IDS, RECORDS
from civicgrid.hub.records import filled
from civicgrid.methods.plan import Plan, bind
from civicgrid.query.types import INT, Schema
from civicgrid.trust.keys import SigningKey

START = dt.datetime(2026, 3, 2, 9, tzinfo=dt.UTC)
NETWORK = "demo"


class Desk:
    """Records in memory. `perform` does what the hub's does, and reads every record back from its bytes."""

    def __init__(self) -> None:
        self.now = START
        self.records: dict[tuple[str, str], Any] = {}
        self.public: list[Entry] = []
        self.notices: list[Notice] = []
        self.done: list[tuple[str, str, str]] = []
        self._last: Counter[str] = Counter()

    def put(self, *records: Any) -> None:
        for record in records:
            kept = RECORDS[record.kind].model_validate_json(record.canonical())
            assert kept == record, "a record reads back as it was written"
            self.records[record.kind, record.id] = kept

    def get(self, kind: str, id: str) -> Any:
        try:
            return self.records[kind, id]
        except KeyError:
            raise Missing(f"There is no {kind} called {id!r}.") from None

    def find(self, kind: str, **where: str) -> list[Any]:
        found = [record for (of, _), record in self.records.items() if of == kind]
        return [
            record
            for record in found
            if {("id", record.id), ("state", record.state), *(record.marks() if hasattr(record, "marks") else ())}
            >= set(where.items())
        ]

    def perform(self, actor: str, action: str, id: str = "", form: Mapping[str, Any] | None = None, **data: Any) -> Any:
        person, act = self.get("account", actor), ACTS[action]
        record = self.get(act.kind, id) if act.before else None
        check(person, action, act.about(record, self) if record is not None else NOTHING, self.now)
        if record is not None:
            act.check_state(record)
        application = self.project(record)
        before = application.state if application is not None else ""
        given = filled(act.form, {**(form or {}), **data})
        asked = Asked(person, given, record, self.now, self, self.new_id, self.commit, NETWORK)
        outcome = act.do(asked)
        self.put(*outcome.records)
        self.public += outcome.public
        self.notices += outcome.notices
        if application is not None:
            self.done.append((before, action, self.get("application", application.id).state))
        return outcome.records[0]

    def project(self, record: Any) -> Any:
        if record is None:
            return None
        id = record.id if record.kind == "application" else getattr(record, "application", None)
        return self.get("application", id) if id else None

    def new_id(self, kind: str) -> str:
        self._last[kind] += 1
        return f"{IDS[kind]}{self._last[kind]}"

    @staticmethod
    def commit(account: str, project: str) -> str:
        return hashlib.sha256(f"salt {project} {account}".encode()).hexdigest()

    def later(self, **time: int) -> None:
        self.now += dt.timedelta(**time)


KEYS = {name: SigningKey.generate() for name in ("ada", "ben", "cus", "cas", "hull", *(f"m{n}" for n in range(1, 8)))}


def account(name: str, *grants: Grant, accredited: bool = False, organisation: str = "uni") -> Account:
    return Account(
        id=name,
        name=f"Demo {name}",
        terms=TERMS,
        organisation=organisation,
        grants=grants,
        keys=(KEYS[name].public,) if name in KEYS else (),
        accreditation=Accreditation(scheme="Demo", until=dt.date(2030, 1, 1)) if accredited else None,
    )


MEMBERS = tuple(f"m{n}" for n in range(1, 8))


def desk(charter: bool = True, two: bool = False) -> Desk:
    """Two sites with custodians, a panel of five that leeds heeds, a researcher and a colleague."""
    made = Desk()
    made.put(
        Organisation(id="uni", name="Demo University", sector="university"),
        Organisation(id="hospital", name="Demo Hospital", sector="health service"),
        Site(
            id="leeds", name="Leeds", organisation="hospital", panels=("north",), two_custodians=two,
            questions=(Question(title="Who else holds these data?"),),
        ),
        Site(id="hull", name="Hull", organisation="hospital"),
        account("op", Grant(role="operator")),
        account("ada", Grant(role="researcher"), accredited=True),
        account("ben", Grant(role="researcher"), accredited=True),
        account("cus", Grant(role="custodian", scope="leeds")),
        account("cas", Grant(role="custodian", scope="leeds")),
        account("hull", Grant(role="custodian", scope="hull")),
        *(account(name) for name in MEMBERS),
    )  # fmt: skip
    if charter:
        made.put(
            Charter(principles=(Principle(words="Is it fair?"), Principle(words="Is it lawful?", by="custodian")))
        )
    seat(made)
    return made


def seat(made: Desk, quorum: int = 3, majority: str = "more than half") -> None:
    """Seven volunteers, five seats drawn; a key for each; the first of them chairs."""
    rules = {"quorum": quorum, "majority": majority, "attributes": ["age"], "quotas": ["under 40 = 2", "older = 3"]}
    made.perform("op", "panel.open", "", {"id": "north", "name": "North citizens"} | rules)
    for number, name in enumerate(MEMBERS):
        made.perform(name, "volunteer.offer", panel="north", group=["under 40" if number < 3 else "older"])
    made.perform("op", "panel.fix_list", "north")
    made.perform("op", "panel.draw", "north", seed="Lottery of 2 March 2026: 3 7 12 25 40 41")
    made.perform("op", "panel.appoint_chair", "north", account=made.get("panel", "north").members[0].account)


ANSWERS: dict[str, Any] = {
    "title": "Asthma and air",
    "lay_summary": "We want to know whether dirty air makes asthma worse.",
    "public_benefit": "Towns could plan safer roads to school.",
    "start": "2026-06-01",
    "end": "2027-06-01",
    "funders": ["The Lung Fund"],
    "commercial": "no",
    "purposes": ["e"],
    "research": "health",
    "diseases": ["asthma"],
    "genetic": "no",
    "decides_against": "no",
    "worse_terms": "no",
    "advertises": "no",
    "harmful_products": "no",
    "unethical": "no",
    "people": ["ada", "ben"],
    "for_profit": "no",
    "sites": ["leeds", "hull"],
    "datasets": ["trial"],
    "columns": ["records.age", "records.sex"],
    "why_needed": "Age matters in asthma.",
    "countries": ["GB"],
    "setting": "A locked office.",
    "no_records": "yes",
    "outputs": "One table.",
    "publication": "An open journal.",
    "publishes": "yes",
    "returns": "no",
    "collaborates": "yes",
}


def plan() -> Plan:
    trial = cg.dataset("trial", Schema.of({"age": INT}))
    return bind(cg.cohort(trial["age"] > 3), {"people": cg.Count()}, {})


def drafted(made: Desk, **changes: Any) -> str:
    """An application that can be sent; its id."""
    id = str(made.perform("ada", "application.begin", title="Asthma").id)
    made.perform("ada", "application.change", id, **ANSWERS | changes)
    made.perform("ada", "application.attach_plan", id, plan=plan().canonical().decode())
    for question in open_questions(made.get("application", id), made):
        made.perform("ada", "application.answer_site", id, question=question, answer="Nobody.")
    return id


def sent(made: Desk, **changes: Any) -> str:
    id = drafted(made, **changes)
    made.perform("ada", "application.submit", id)
    return id


def vote(made: Desk, id: str, member: str, choice: str, reason: str = "", **changes: Any) -> Any:
    """A member's vote, signed with their own key."""
    reason = reason or f"I say {choice}"
    prepared = Prepare(choice=choice, reason=reason, **changes)  # type: ignore[arg-type]
    signed = ballot(made.get("deliberation", id), NETWORK, prepared, made.now).signed(KEYS[member])
    return made.perform(member, "deliberation.vote", id, ballot=signed.canonical().decode(), reason=reason)


def seats(made: Desk) -> list[str]:
    return [member.account for member in made.get("panel", "north").members]


def panel_says(made: Desk, project: str, *choices: str) -> Any:
    """The panel's whole way, with these votes in the order of its seats."""
    id = f"{project}.north"
    chair = seats(made)[0]
    for principle in made.get("charter", "charter").principles if made.find("charter") else ():
        if principle.by == "panel":
            made.perform(chair, "deliberation.answer_principle", id, principle=principle.key, answer="It is.")
    made.perform(chair, "deliberation.open_vote", id)
    made.later(hours=1)
    for member, choice in zip(seats(made), choices, strict=False):
        vote(made, id, member, choice)
    return made.perform(chair, "deliberation.close", id, reasons="We talked it over.")


def lawful(made: Desk, decision: str, person: str) -> None:
    """A custodian's principles, answered."""
    for principle in made.get("charter", "charter").principles if made.find("charter") else ():
        if principle.by == "custodian":
            made.perform(person, "decision.answer_principle", decision, principle=principle.key, answer="It is.")


def approve(made: Desk, project: str, site: str, **form: Any) -> Any:
    person = "cus" if site == "leeds" else site
    lawful(made, f"{project}.{site}", person)
    return made.perform(person, "decision.approve", f"{project}.{site}", **form)


def roll(made: Desk) -> Roll:
    found: Roll = made.get("panel", "north").roll(made)
    return found
