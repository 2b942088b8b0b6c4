"""One application through the pages alone, as forms that a browser sends: begun, filled in, voted on, decided, approved."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2
from typer.testing import CliRunner

from civicgrid.cli import app
from civicgrid.governance.answers import SECTIONS, Answers, section
from civicgrid.governance.charter import Principle
from unit.hub.serving import Served

from .story import ANSWERS, KEYS, MEMBERS, plan
from .world import service, signed_in

TITLE = "Hearing in old age"
SAID = {**ANSWERS, "title": TITLE, "organisation": "demo-hospital"}


class Person:
    """Somebody with a browser that runs no script."""

    def __init__(self, hub: Served, account: str) -> None:
        self.account, self.client = account, signed_in(hub, account)

    def see(self, path: str) -> str:
        answer = self.client.get(path)
        assert answer.status_code == 200, (path, answer.status_code, answer.text[-1500:])
        return answer.text

    def send(self, path: str, files: Mapping[str, bytes] | None = None, **fields: Any) -> httpx2.Response:
        """Open the page, fill its form in and send it with the hidden fields that it came with."""
        page = self.see(path)
        hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page))
        sent = {name: (name, content) for name, content in (files or {}).items()}
        return self.client.post(path, data=hidden | fields, files=sent or None)

    def do(self, path: str, files: Mapping[str, bytes] | None = None, **fields: Any) -> str:
        """As `send`; where it leads."""
        answer = self.send(path, files, **fields)
        assert answer.status_code == 303, (path, answer.status_code, re.findall(r"(?s)<main.*?</main>", answer.text))
        return str(answer.headers["location"])


def filled(part: str) -> dict[str, Any]:
    """A section's answers as its form sends them."""
    found: dict[str, Any] = {}
    for name in section(part):
        if name not in SAID:
            continue
        value, kind = SAID[name], str(Answers.model_fields[name].annotation)
        if "date" in kind:
            found |= dict(zip((f"{name}-{each}" for each in ("year", "month", "day")), value.split("-"), strict=True))
        elif name in ("funders", "diseases", "columns", "countries", "datasets"):
            found[name] = "\n".join(value)
        else:
            found[name] = value
    return found


def test_from_the_start_to_the_permit_by_forms_alone(tmp_path: Path) -> None:
    with service(tmp_path) as hub:
        ada = Person(hub, "a-researcher")
        at = ada.do("/applications/start", title=TITLE)
        project = at.rpartition("/")[2]
        for number, part in enumerate(SECTIONS, 1):
            then = ada.do(f"{at}/edit/{part}", **filled(part), then="next")
            assert then == (at if number == len(SECTIONS) else f"{at}/edit/{list(SECTIONS)[number]}")
        assert "2 things are missing" in ada.see(at)
        ada.do(f"{at}/do/attach_plan", {"plan": plan().canonical()})
        question = re.findall(r'type="radio"[^>]*value="(\w{64})"', ada.see(f"{at}/do/answer_site"))
        ada.do(f"{at}/do/answer_site", question=question[0], answer="Nobody else.")
        page = ada.see(at)
        assert " missing before it can be sent" not in page
        assert "No plan reads these columns" in page and "records.sex" in page
        assert Person(hub, "a-custodian").client.get(at).status_code == 404, "a draft is its people's alone"
        before = entries(hub)
        ada.do(f"{at}/do/submit")
        assert entries(hub) == before + 1
        assert ada.client.get(f"{at}/edit/project").status_code == 409, "what is decided on stays as it is"

        panel_votes(hub, project, tmp_path)
        for account, site in (("a-custodian", "leeds"), ("a-york", "york")):
            person, page_of = Person(hub, account), f"/decisions/{project}.{site}"
            assert page_of in person.see("/tasks")
            lawful = Principle(words="Is there a lawful basis?", by="custodian").key
            refused = person.send(f"{page_of}/do/approve")
            assert refused.status_code == 422 and "must be answered first" in refused.text
            person.do(f"{page_of}/do/answer_principle", principle=lawful, answer="Article 9.")
            person.do(f"{page_of}/do/approve", conditions="Tell patients", reasons="Good.")
        assert "It is approved" in ada.see(at)
        assert entries(hub) == before + 4, "sent, the panel's yes, two sites' yes"
        text = "".join(register(hub)[before:])
        assert TITLE in text and "Tell patients" in text and "Demo researcher" not in text


def register(hub: Served) -> list[str]:
    """Every entry of the register, as the hub's database has it."""
    with sqlite3.connect(hub.home.path / "hub.sqlite") as database:
        return [str(row[0]) for row in database.execute("select leaf from register_entries order by entry")]


def entries(hub: Served) -> int:
    return len(register(hub))


def row(tasks: str) -> str:
    """What the list of tasks says about this project."""
    return "".join(each for each in re.findall(r"(?s)<tr.*?</tr>", tasks) if TITLE in each)


def panel_votes(hub: Served, project: str, folder: Path) -> None:
    """The panel's whole way: a question, the principle, three ballots made by the command line, the count."""
    at = f"/deliberations/{project}.yorkshire"
    chair, ada = Person(hub, "a-panel-chair"), Person(hub, "a-researcher")
    Person(hub, "a-panel-member").do(f"{at}/do/ask", question="Who gains?")
    ada.do(f"{at}/do/answer", number="1", answer="Everybody who grows old.")
    assert "Everybody who grows old." in chair.see(at)
    fair = Principle(words="Is it fair to the people in the data?").key
    chair.do(f"{at}/do/answer_principle", principle=fair, answer="Yes.")
    chair.do(f"{at}/do/open_vote")
    for number, member in enumerate(MEMBERS[:3]):
        person, reason = Person(hub, member), f"My reason {number}"
        file, key, out = folder / f"{member}.json", folder / f"{member}.key", folder / f"{member}.ballot"
        file.write_text(person.see(f"/applications/{project}/file"))
        KEYS[member].save(key)
        args = ["panel", "vote", str(file), "--panel", "yorkshire", "--choice", "yes" if number else "no"]
        made = CliRunner().invoke(app, [*args, "--reason", reason, "--key", str(key), "--out", str(out), "--yes"])
        assert made.exit_code == 0, made.output
        other = person.send(f"{at}/do/vote", {"ballot": out.read_bytes()}, reason="Something else")
        assert other.status_code == 422 and "very same words" in other.text
        person.do(f"{at}/do/vote", {"ballot": out.read_bytes()}, reason=reason)
        assert "You have voted." in person.see(at)
        assert "Vote</a>" not in row(person.see("/tasks"))
    chair.do(f"{at}/do/close", reasons="Most of us would want it for our parents.")
    page = chair.see(at)
    assert "2 for, 1 against" in page and "My reason 0" in page
    shown = Person(hub, "a-auditor").see("/panels/yorkshire")
    assert "Most of us would want it for our parents." in shown and "Demo citizen" not in shown
