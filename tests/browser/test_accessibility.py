"""axe-core finds nothing on any page, for whoever may see it, at a desk and on a phone; no page is too wide."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from civicgrid.hub.pages import PAGES
from unit.hub.serving import Served

from .world import PEOPLE, address, signed_in

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
    return [address(page) for page in PAGES if page.who == who and not page.file and not page.path.startswith("/language")]


@pytest.mark.parametrize("who", sorted({page.who for page in PAGES} - {"anyone", "signed in"}))
def test_pages_of_a_role(browser: Browser, hub: Served, who: str) -> None:
    assert findings(browser, hub, paths(who), PEOPLE[who].id) == []  # type: ignore[index]


def test_pages_for_everybody(browser: Browser, hub: Served) -> None:
    assert findings(browser, hub, paths("anyone")) == []


def test_pages_for_whoever_is_signed_in(browser: Browser, hub: Served) -> None:
    assert findings(browser, hub, [*paths("signed in"), *paths("anyone")], "a-researcher") == []


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
