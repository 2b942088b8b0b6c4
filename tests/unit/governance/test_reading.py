"""Who may read an application, and what waits for whom, at each step of its way."""

from __future__ import annotations

import pytest

from civicgrid.errors import Missing
from civicgrid.governance.people import Grant
from civicgrid.governance.reading import check_readable, readable
from civicgrid.governance.tasks import tasks
from unit.governance.desk import Desk, account, approve, desk, drafted, panel_says, seats


def waits(made: Desk, person: str) -> list[str]:
    return [task.words for task in tasks(made.get("account", person), made, made.now)]


def readers(made: Desk, project: str) -> set[str]:
    application = made.get("application", project)
    return {each.id for each in made.find("account") if readable(each, application, made)}


def test_a_draft_is_its_people_s_and_what_was_sent_is_for_those_who_decide() -> None:
    made = desk()
    made.put(account("away", Grant(role="custodian", scope="york")), account("aud", Grant(role="auditor")))
    project = drafted(made)
    assert readers(made, project) == {"ada", "ben"}
    with pytest.raises(Missing, match="that you may read"):
        check_readable(made.get("account", "op"), made.get("application", project), made)
    made.perform("ada", "application.submit", project)
    assert readers(made, project) == {"ada", "ben", "cus", "cas", "hull", "op", "aud", *seats(made)}


def test_what_waits_follows_the_application() -> None:
    made = desk()
    project = drafted(made)
    member = seats(made)[1]
    assert waits(made, "ada") == ["Complete and send the application"] and waits(made, "ben") == []
    made.perform("ada", "application.submit", project)
    assert waits(made, "ada") == [] and waits(made, "cus") == ["Decide for Leeds"]
    assert waits(made, member) == ["Read it, ask, and say how you feel"]
    panel_says(made, project, "yes", "yes", "yes")
    assert waits(made, member) == []
    approve(made, project, "leeds")
    assert waits(made, "cus") == [], "the permit waits until every site has decided"
    approve(made, project, "hull")
    assert waits(made, "cus") == ["Sign the permit for Leeds"]
