"""axe-core finds nothing on any page, for whoever may see it, at a desk and on a phone; no page is too wide."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from civicgrid.governance.answers import SECTIONS
from civicgrid.hub.home import HubHome
from civicgrid.hub.journal import Journal
from civicgrid.hub.pages import PAGES
from civicgrid.hub.records import Records
from unit.hub.serving import Served, served

from .world import FILES, NOW, PEOPLE, address, signed_in

pytestmark = pytest.mark.xdist_group("pages")
AXE = (Path(__file__).parent / "axe.min.js").read_text("utf-8")
RUN = "axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa', 'best-practice']})"
SIZES = {"desk": (1280, 900), "phone": (390, 844)}


def findings(browser: Browser, hub: Served, paths: list[str], account: str = "") -> list[str]:
    """What axe-core says about these pages at both sizes, and which of them do not fit."""
    found = []
    for name, (width, height) in SIZES.items():
        context = browser.new_context(viewport={"width": width, "height": height}, bypass_csp=True)
        if account:
            cookies = signed_in(hub, account).cookies
            context.add_cookies([{"name": each, "value": value, "url": hub.address} for each, value in cookies.items()])
        view = context.new_page()
        for path in paths:
            view.goto(hub.address + path)
            view.evaluate(AXE)
            said = view.evaluate(RUN)
            found += [
                f"{path} ({name}): {each['id']}: {each['nodes'][0]['html'][:200]}" for each in said["violations"]
            ]
            wide = view.evaluate("document.documentElement.scrollWidth")
            if wide > width:
                found.append(f"{path} ({name}): {wide} pixels wide")
        context.close()
    return found


def paths(who: str) -> list[str]:
    return [
        address(page)
        for page in PAGES
        if page.who == who and not page.path.startswith("/language") and page.path not in FILES and not page.file
    ]


@pytest.mark.parametrize("who", sorted({page.who for page in PAGES} - {"anyone", "signed in"}))
def test_pages_of_a_role(browser: Browser, hub: Served, who: str) -> None:
    assert findings(browser, hub, paths(who), PEOPLE[who].id) == []  # type: ignore[index]


def test_pages_for_everybody(browser: Browser, hub: Served) -> None:
    assert findings(browser, hub, paths("anyone")) == []


def test_pages_for_whoever_is_signed_in(browser: Browser, hub: Served) -> None:
    assert findings(browser, hub, [*paths("signed in"), *paths("anyone")], "a-researcher") == []


DECIDING = {
    "a-custodian": ["/tasks", "/applications", "/decisions/P-2.leeds", "/decisions/P-2.leeds/do/approve",
                    "/decisions/P-2.leeds/do/answer_principle", "/decisions/P-7.leeds/do/revoke", "/applications/P-5"],
    "a-panel-member": ["/tasks", "/deliberations/P-2.yorkshire", "/deliberations/P-3.yorkshire",
                       "/deliberations/P-3.yorkshire/do/vote", "/deliberations/P-2.yorkshire/do/poll", "/panels/yorkshire"],
    "a-panel-chair": ["/tasks", "/deliberations/P-3.yorkshire/do/close", "/deliberations/P-5.yorkshire"],
    "a-checker": ["/tasks", "/checking", "/results/R-1", "/results/R-1/do/reject", "/results/R-4", "/checking?all=yes"],
    "a-researcher": ["/applications/P-1", "/applications/P-3", "/applications/P-6", "/applications/P-7",
                     "/applications/P-8",
                     *(f"/applications/P-8/edit/{section}" for section in SECTIONS),
                     "/applications/P-8/do/attach_plan", "/applications/P-8/do/submit", "/decisions/P-3.york/do/answer",
                     "/deliberations/P-2.yorkshire/do/answer", "/results/R-3", "/applications/P-4?version=4"],
    "a-auditor": ["/tasks", "/applications/P-1", "/panels/humber"],
}  # fmt: skip
"""What those who decide see beside the example of each page, empty and refused among it."""


@pytest.mark.parametrize("account", DECIDING)
def test_pages_of_those_who_decide(browser: Browser, hub: Served, account: str) -> None:
    assert findings(browser, hub, DECIDING[account], account) == []


def test_pages_of_a_service_with_nothing_in_it(browser: Browser, tmp_path: Path) -> None:
    def alone(home: HubHome) -> None:
        engine = home.engine()
        Records(engine, Journal(engine), home.register(engine)).seed((PEOPLE["checker"],), NOW)
        engine.dispose()

    with served(tmp_path, demo_people=True, prepare=alone) as hub:
        for path in ("/panels", "/tasks", "/applications", "/checking"):
            assert "nhsuk-inset-text" in signed_in(hub, "a-checker").get(path).text
        assert findings(browser, hub, ["/panels", "/tasks", "/applications", "/checking"], "a-checker") == []


def test_pages_that_refuse(browser: Browser, hub: Served) -> None:
    assert findings(browser, hub, ["/people", "/nowhere-at-all", "/people?q=nobody"], "a-researcher") == []


def test_a_form_with_faults(browser: Browser, hub: Served) -> None:
    context = browser.new_context(bypass_csp=True)
    cookies = signed_in(hub, "a-operator").cookies
    context.add_cookies([{"name": each, "value": value, "url": hub.address} for each, value in cookies.items()])
    view = context.new_page()
    view.goto(f"{hub.address}/people/a-researcher/accredit")
    view.get_by_role("button", name="Note an accreditation").click()
    assert view.title().startswith("Error: ") or "problem" in view.inner_text("main")
    view.get_by_role("link", name="Valid until: Fill this in").click()
    assert view.evaluate("document.activeElement.id").startswith("until")
    view.evaluate(AXE)
    assert [each["id"] for each in view.evaluate("axe.run()")["violations"]] == []
    context.close()
