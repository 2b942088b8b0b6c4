"""Applications in every state, a panel that sits, results that wait: what `world` puts there, by the acts of people."""

from __future__ import annotations

import datetime as dt
from typing import Any

import civicgrid as cg
from civicgrid.governance.application import drafted, open_questions
from civicgrid.governance.charter import Charter, Principle
from civicgrid.governance.deliberating import Prepare, ballot
from civicgrid.governance.people import TERMS, Account, Grant, Organisation
from civicgrid.governance.permit import Person
from civicgrid.governance.sites import Question, Site
from civicgrid.hub.records import Records
from civicgrid.methods.plan import Plan, bind
from civicgrid.query.types import INT, Schema
from civicgrid.trust.keys import SigningKey

NOW = dt.datetime(2026, 11, 20, 9, tzinfo=dt.UTC)
MEMBERS = ("a-panel-member", "a-panel-chair", "a-member-3", "a-member-4", "a-member-5")
KEYS = {
    name: SigningKey.generate()
    for name in (
        "a-researcher", "a-lead", "a-custodian", "a-checker", "a-board-member", "a-operator", "a-auditor", "a-york",
        *MEMBERS,
    )
}  # fmt: skip

ANSWERS: dict[str, Any] = {
    "title": "Asthma and dirty air",
    "lay_summary": "We want to know whether children who live on busy roads are treated for asthma more often. We count "
    "how many children were treated in each town, and compare towns with more and less traffic.",
    "public_benefit": "Councils could plan safer roads to school. Children with asthma would be ill less often.",
    "start": "2026-12-01",
    "end": "2027-12-01",
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
    "people": ["a-researcher", "a-lead"],
    "for_profit": "no",
    "sites": ["leeds", "york"],
    "datasets": ["trial"],
    "columns": ["records.age", "records.sex"],
    "why_needed": "Asthma is different at each age.",
    "countries": ["GB"],
    "setting": "A locked office at the hospital.",
    "no_records": "yes",
    "outputs": "One table with a count for each town.",
    "publication": "An open journal, and a page for parents.",
    "publishes": "yes",
    "returns": "no",
    "collaborates": "yes",
}


def plan() -> Plan:
    trial = cg.dataset("trial", Schema.of({"age": INT}))
    return bind(cg.cohort(trial["age"] > 3), {"children": cg.Count()}, {}, title="How many children")


class Story:
    """Acts on the records of a hub, each an hour after the one before."""

    def __init__(self, records: Records) -> None:
        self.records, self.now = records, NOW

    def do(self, actor: str, act: str, id: str = "", /, **data: Any) -> Any:
        self.now += dt.timedelta(minutes=5)
        return self.records.perform(self.records.get("account", actor), act, id, data, self.now)

    def draft(self, title: str, **changes: Any) -> str:
        id = str(self.do("a-researcher", "application.begin", title=title).id)
        self.do("a-researcher", "application.change", id, **ANSWERS | {"title": title} | changes)
        self.do("a-researcher", "application.attach_plan", id, plan=plan().canonical().decode())
        for question in open_questions(self.records.get("application", id), self.records):
            self.do("a-researcher", "application.answer_site", id, question=question, answer="The council holds some.")
        return id

    def sent(self, title: str, **changes: Any) -> str:
        id = self.draft(title, **changes)
        self.do("a-researcher", "application.submit", id)
        return id

    def open_vote(self, project: str) -> str:
        id = f"{project}.yorkshire"
        for principle in self.records.get("charter", "charter").principles:
            if principle.by == "panel":
                self.do("a-panel-chair", "deliberation.answer_principle", id, principle=principle.key, answer="It is fair.")
        for member, view in zip(MEMBERS, "34215", strict=True):
            self.do(member, "deliberation.poll", id, view=view)
        self.do("a-panel-chair", "deliberation.open_vote", id)
        return id

    def vote(self, id: str, member: str, choice: Any, reason: str, conditions: tuple[str, ...] = ()) -> None:
        prepared = Prepare(choice=choice, reason=reason, conditions=conditions)
        made = ballot(self.records.get("deliberation", id), self.records.register.network, prepared, self.now)
        signed = made.signed(KEYS[member]).canonical().decode()
        self.do(member, "deliberation.vote", id, ballot=signed, reason=reason)

    def panel_says(self, project: str, *choices: str) -> None:
        id = self.open_vote(project)
        reasons = {"yes": "Children would gain, and nobody is named.", "no": "It asks for more than it needs.",
                   "abstain": "I cannot tell."}  # fmt: skip
        for member, choice in zip(MEMBERS, choices, strict=True):
            conditions = ("Tell parents what was found",) if choice == "yes" else ()
            self.vote(id, member, choice, reasons[choice], conditions)
        self.do("a-panel-chair", "deliberation.close", id, reasons="We talked about who gains and what could go wrong.")

    def approve(self, project: str, site: str, **form: Any) -> None:
        person, id = {"leeds": "a-custodian", "york": "a-york"}[site], f"{project}.{site}"
        for principle in self.records.get("charter", "charter").principles:
            if principle.by == "custodian":
                self.do(person, "decision.answer_principle", id, principle=principle.key, answer="It rests on Article 9.")
        self.do(person, "decision.approve", id, **form)

    def permit(self, project: str, site: str) -> None:
        person = {"leeds": "a-custodian", "york": "a-york"}[site]
        dossier = self.records.get("application", project).dossier(self.records.register.network)
        people = (Person(name="A researcher", key=KEYS["a-researcher"].public),)
        drawn = drafted(dossier, site, people, "2026-12-01T00:00:00+00:00", "2027-12-01T00:00:00+00:00")
        self.do(person, "decision.permit", f"{project}.{site}", permit=drawn.signed(KEYS[person]).canonical().decode())


def people() -> tuple[Any, ...]:
    """Who is there beside one person of each role, the sites and the charter."""
    york = Account(
        id="a-york", name="Demo custodian of York", organisation="demo-council", terms=TERMS,
        grants=(Grant(role="custodian", scope="york"),), keys=(KEYS["a-york"].public,),
    )  # fmt: skip
    members = (
        Account(id=name, name=f"Demo citizen {name[-1]}", terms=TERMS, keys=(KEYS[name].public,)) for name in MEMBERS[2:]
    )
    question = Question(title="Who else holds data like these?", hint="So that nobody is asked twice")
    return (
        Organisation(id="demo-council", name="Demo Council", sector="council"),
        Site(id="leeds", name="Leeds Hospital", organisation="demo-hospital", panels=("yorkshire",), questions=(question,)),
        Site(id="york", name="York Council", organisation="demo-council"),
        Charter(principles=(Principle(words="Is it fair to the people in the data?"),
                            Principle(words="Is there a lawful basis?", by="custodian"))),
        york,
        *members,
    )  # fmt: skip


def fill(records: Records) -> None:
    """Panels, applications from P-1 to P-8, and results, in every state that a page shows."""
    records.seed(people(), NOW)
    story = Story(records)
    rules = {"quorum": 3, "attributes": ["age"]}
    story.do("a-operator", "panel.open", id="humber", name="Humber citizens", place="the Humber",
             quotas=["any age = 3"], **rules)  # fmt: skip
    story.do("a-operator", "panel.open", id="yorkshire", name="Yorkshire citizens", place="people in Yorkshire",
             quotas=["under 40 = 2", "older = 3"], **rules)  # fmt: skip
    for number, member in enumerate(MEMBERS):
        story.do(member, "volunteer.offer", panel="yorkshire", group=["under 40" if number < 2 else "older"])
    story.do("a-operator", "panel.fix_list", "yorkshire")
    story.do("a-operator", "panel.draw", "yorkshire", seed="National lottery of 18 November 2026: 3 7 12 25 40 41")
    story.do("a-operator", "panel.appoint_chair", "yorkshire", account="a-panel-chair")

    draft = story.do("a-researcher", "application.begin", title="Falls at home").id
    story.do("a-researcher", "application.change", draft, people=["a-researcher", "a-lead"], sites=["leeds"])
    waiting = story.sent("Asthma and dirty air")
    story.do("a-panel-member", "deliberation.ask", f"{waiting}.yorkshire", question="How many children is it about?")
    story.do("a-researcher", "deliberation.attach", f"{waiting}.yorkshire", title="What is known so far",
             summary="Three towns have looked at this before.", link="https://example.org/asthma")  # fmt: skip
    story.do("a-member-5", "deliberation.declare", f"{waiting}.yorkshire", reason="I work for the bus company.")
    asked = story.sent("Waiting times for new hips")
    story.do("a-york", "decision.ask", f"{asked}.york", question="Why do you need the sex of each person?")
    story.vote(story.open_vote(asked), "a-member-3", "yes", "It is a fair question.")
    agreed = {"commercial": "yes", "commercial_interest": "Demo Devices earns from it.", "benefit_due": "2027-06-01",
              "benefit_agreement": "Demo Devices gives the hospital its software for nothing."}  # fmt: skip
    approved = story.sent("Better care after a stroke", **agreed)
    story.panel_says(approved, "yes", "yes", "no", "yes", "abstain")
    story.approve(approved, "leeds", conditions=["Delete what you have after a year"], reasons="It is lawful and useful.")
    story.approve(approved, "york")
    refused = story.sent("Who smokes where", sites=["leeds"])
    story.panel_says(refused, "no", "no", "yes", "no", "no")
    withdrawn = story.sent("Sleep and screens")
    story.do("a-researcher", "application.withdraw", withdrawn, reason="The money ran out.")
    permitted = story.sent("Diabetes in young people")
    story.panel_says(permitted, "yes", "yes", "yes", "yes", "yes")
    for site in ("leeds", "york"):
        story.approve(permitted, site)
    for site in ("leeds", "york"):
        story.permit(permitted, site)
    story.draft("Vaccines and travel")
    results(story, permitted)


def results(story: Story, project: str) -> None:
    """R-1 waits, R-2 was let out, R-3 waits for an answer, R-4 was rejected."""
    small = {"rule": "smallest_cell", "passed": False, "words": "One cell is about fewer than 10 people."}
    other = {"rule": "dominance", "passed": True, "words": "No person makes up most of a sum."}
    for number, analysis in enumerate(("Children by town", "Children in all", "Mean age", "Children by street"), 1):
        story.do("a-operator", "result.queue", application=project, run=f"{number}" * 64, plan=plan().identity,
                 output=f"{number + 4}" * 64, analysis=analysis, verdicts=[small, other],
                 context="A count for each town, as it is to be published.")  # fmt: skip
    story.do("a-checker", "result.approve", "R-2")
    story.do("a-checker", "result.ask", "R-3", question="Over which years is this?")
    story.do("a-checker", "result.reject", "R-4", reasons="A street can be one family. Ask by town.")
