"""Every page as everybody: whoever may see it sees it, whoever may not is told so, and nothing else ever happens."""

from __future__ import annotations

import httpx2
import pytest

from civicgrid.hub.pages import PAGES
from civicgrid.hub.web import Page, admitted
from unit.hub.serving import Served

from .world import EXAMPLES, FILES, PEOPLE, SEEN_BY, address, signed_in

pytestmark = pytest.mark.xdist_group("pages")


def test_every_page_with_a_part_that_varies_has_an_example() -> None:
    assert {page.path for page in PAGES if "{" in page.path} == set(EXAMPLES)


@pytest.mark.parametrize("role", [None, *PEOPLE])
def test_every_page_as(hub: Served, role: str | None) -> None:
    person = PEOPLE[role] if role else None  # type: ignore[index]
    client = signed_in(hub, person.id) if person else httpx2.Client(base_url=hub.address, timeout=30)
    for page in PAGES:
        answer = client.get(address(page))
        expected = {200, 303} if admitted(page, person) else {403} if person else {303}
        if person and role not in SEEN_BY.get(page.path, (role,)):
            expected = {403, 404}
        assert answer.status_code in expected, (page.path, answer.status_code, answer.text[:500])
        if answer.status_code == 303 and not admitted(page, person):
            assert answer.headers["location"].startswith("/sign-in?to=")
        assert "script-src 'self'" in answer.headers["content-security-policy"] or answer.status_code == 303 or (
            page.path in FILES and "attachment" in answer.headers["content-disposition"]
        )
        assert "Traceback" not in answer.text
    assert "500" not in hub.log


@pytest.mark.parametrize("page", [page for page in PAGES if page.post], ids=lambda page: page.path)
def test_no_form_is_taken_from_another_site(hub: Served, page: Page) -> None:
    if page.path == "/sign-in":
        return  # Whoever is not signed in has no token to steal.
    person = PEOPLE["operator"] if page.who in ("signed in", "anyone") else PEOPLE[page.who]
    client = signed_in(hub, person.id)
    for csrf in ("", "0" * 64):
        answer = client.post(address(page), data={"csrf": csrf})
        assert answer.status_code == 403 and "another sign-in" in answer.text


def test_a_sign_in_ends(hub: Served) -> None:
    client = signed_in(hub, "a-operator")
    assert client.get("/people").status_code == 200
    page = client.get("/sign-out").text
    token = page.split('name="csrf" value="')[1].split('"')[0]
    kept = dict(client.cookies)
    assert client.post("/sign-out", data={"csrf": token}).status_code == 303
    client.cookies.update(kept)
    assert client.get("/people").status_code == 303


def test_signing_in_leads_to_pages_of_this_service_alone(hub: Served) -> None:
    for elsewhere in ("https://example.org/", "//example.org/", "/\\example.org", "javascript:alert(1)"):
        client = httpx2.Client(base_url=hub.address)
        answer = client.post("/sign-in", data={"person": "a-operator", "to": elsewhere}, follow_redirects=False)
        assert answer.headers["location"] == "/"


def test_what_somebody_calls_themselves_is_text(hub: Served) -> None:
    client = signed_in(hub, "a-auditor")
    page = client.get("/account").text
    token = page.split('name="csrf" value="')[1].split('"')[0]
    client.post("/account", data={"csrf": token, "name": "<script>alert(1)</script>", "email": "", "language": "en"})
    shown = client.get("/account").text
    assert "<script>alert" not in shown and "&lt;script&gt;alert(1)&lt;/script&gt;" in shown
    client.post("/account", data={"csrf": token, "name": "=1+1", "email": "", "language": "en"})
    export = signed_in(hub, "a-operator").get("/people?format=csv").text
    assert "'=1+1" in export and ",=1+1" not in export and "\n=1+1" not in export
    client.post("/account", data={"csrf": token, "name": "Demo auditor", "email": "", "language": "en"})


def test_lists_are_searched_sorted_and_paged_without_a_script(hub: Served) -> None:
    client = signed_in(hub, "a-operator")
    found = client.get("/people?q=demo+checker").text
    assert "Demo checker" in found and "Demo lead" not in found
    up, down = (client.get(f"/people?sort=name&order={order}").text for order in ("asc", "desc"))
    assert up.index("Demo auditor") < up.index("Demo researcher")
    assert down.index("Demo auditor") > down.index("Demo researcher")
    assert "Nothing here has these words" in client.get("/people?q=nobody+at+all").text
    for odd in ("?page=0", "?page=99999999999", "?page=x", "?sort=nothing", "?order=sideways"):
        assert client.get(f"/people{odd}").status_code == 200
