"""Every address × (nobody, user, administrator), every change without its token, and what every answer must carry.

The addresses come from the routes themselves: one that is added is tried as well.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

from appliance.domain.account import Right, Role
from appliance.operations.desk import open_desk
from appliance.web.app import Shared, console_app
from appliance.web.console.frame import HEADERS, Route, Visit
from appliance.web.console.routes import routes
from appliance.web.static import ROUTE as STATIC
from tests.fakes.appliance import Answer
from tests.web.console.conftest import Console
from tests.web.console.kit import Browser
from tests.web.console.walk import HOSTILE, TAG, Line, Site, faults, furnish, kept

ROUTES = routes()
READING = [route for route in ROUTES if route.method == "GET"]
CHANGING = [route for route in ROUTES if route.method not in ("GET", "HEAD")]
OPEN = {"/healthz", STATIC}  # no page of the console: nothing is told but that it runs, and files that anybody may have
ENDS_ELSEWHERE = {"/first/{secret}", "/jobs/{job:[0-9a-f]{8,64}}"}  # used up, and over: refused as it should be
NUMBERS = count(1)  # of users that were made for one request
ONLY_ADMINISTRATORS = "only an administrator may see this page"


def named(route: Route) -> str:
    return f"{route.method} {route.path}"


def each(found: Iterable[Route]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("route", list(found), ids=named)


every_page, every_change = each(READING), each(CHANGING)
every_change_behind_the_door = each(route for route in CHANGING if route.right is not Right.ANYONE)


@pytest.fixture(scope="module")
def furnished(running: tuple[object, dict[str, str]]) -> Iterator[tuple[Site, Line]]:
    server, cookies = running
    browser = Browser(server)  # type: ignore[arg-type]
    browser.cookies.update(cookies)
    line = Line(server)  # type: ignore[arg-type]
    yield furnish(Console(server, browser)), line  # type: ignore[arg-type]
    line.close()


@pytest.fixture
def site(furnished: tuple[Site, Line]) -> Site:
    return furnished[0]


@pytest.fixture
def line(furnished: tuple[Site, Line]) -> Line:
    return furnished[1]


def text(answer: Answer) -> str:
    return answer.body.decode(errors="replace")


def kind(answer: Answer) -> str:
    return answer.headers.get("content-type", "")


def said(answer: Answer) -> str:
    return re.sub(r"\s+", " ", re.sub(r"(?s)<[^>]*>|.*<main", " ", text(answer)))[:600]


def token_of(browser: Browser) -> str:
    """The token of the forms that a visitor gets."""
    return browser.get("/account" if "__Host-session" in browser.cookies else "/sign-in").token


# What is declared


def test_a_route_that_says_nothing_is_the_administrators() -> None:
    async def page(visit: Visit) -> None: ...

    assert Route("GET", "/x", page).right is Right.ADMINISTRATOR  # type: ignore[arg-type]


def test_no_address_is_served_that_declares_no_right(tmp_path: Path) -> None:
    async def served() -> set[tuple[str, str]]:
        async with open_desk(tmp_path / "data") as desk:
            app = console_app(Shared(desk, "", None))
            return {(route.method, route.resource.canonical) for route in app.router.routes() if route.resource}

    def plain(path: str) -> str:
        return re.sub(r"\{(\w+)(:[^{}]*(?:\{[^{}]*\}[^{}]*)*)?\}", r"{\1}", path)

    declared = {(route.method, plain(route.path)) for route in ROUTES}
    for method, path in asyncio.run(served()):
        if path in {plain(one) for one in OPEN} or path.startswith("/api/"):  # the API's tests hold it to its own
            continue
        assert ("GET" if method == "HEAD" else method, path) in declared, f"{method} {path} has no right"


def test_only_the_way_in_is_open_to_anyone() -> None:
    assert {route.path for route in ROUTES if route.right is Right.ANYONE} == {
        "/sign-in",
        "/second-factor",
        "/sign-out",
        "/first/{secret}",
        "/preferences",
    }


# Reading


@every_page
def test_nobody_is_sent_to_the_sign_in(site: Site, line: Line, route: Route) -> None:
    path = site.path(route)
    answer = line.ask("GET", path, {})
    if route.right is Right.ANYONE:
        assert answer.status in (200, 303, 403)
    else:
        assert (answer.status, answer.headers["location"]) == (303, f"/sign-in?next={quote(path)}")
        assert answer.body == b""
        assert line.ask("GET", path, {}, headers={"HX-Request": "true"}).status == 401
        assert line.ask("HEAD", path, {}).status == 303
        assert line.ask("GET", path, {"__Host-session": "x" * 43}).status == 303


@every_page
def test_a_user_reads_what_is_for_users_and_nothing_else(site: Site, line: Line, route: Route) -> None:
    answer = line.ask("GET", site.path(route), site.user.cookies)
    if route.right is Right.ADMINISTRATOR:
        assert answer.status == 403
        assert ONLY_ADMINISTRATORS in text(answer)
    else:
        assert ONLY_ADMINISTRATORS not in text(answer)
        assert answer.status in (200, 303) or route.path in ENDS_ELSEWHERE, said(answer)


@every_page
def test_an_administrator_reads_everything_and_no_page_breaks_its_own_policy(
    site: Site, line: Line, route: Route
) -> None:
    answer = line.ask("GET", site.path(route), site.console.browser.cookies)
    assert answer.status in (200, 303) or route.path in ENDS_ELSEWHERE, said(answer)
    for name, value in HEADERS.items():
        assert answer.headers.get(name.lower()) == value, name
    assert HOSTILE not in text(answer) or "html" not in kind(answer)
    if "html" in kind(answer):
        assert faults(text(answer)) == []


@every_page
def test_a_page_reads_as_well_for_a_user_and_in_spanish(site: Site, line: Line, route: Route) -> None:
    for cookies in (site.user.cookies, site.console.browser.cookies):
        answer = line.ask("GET", site.path(route), cookies, headers={"Accept-Language": "es"})
        if answer.status == 200 and "html" in kind(answer):
            assert '<html lang="es"' in text(answer)
            assert faults(text(answer)) == []


def test_reading_changes_nothing(site: Site, line: Line) -> None:
    before = kept(site.console.data)
    for route in READING:
        for cookies in ({}, site.user.cookies, site.console.browser.cookies):
            line.ask("GET", site.path(route), cookies)
    assert kept(site.console.data) == before


def test_errors_carry_the_same_headers_and_are_pages_too(site: Site, line: Line) -> None:
    for method, path, status in (
        ("GET", "/nothing/here", 404),
        ("DELETE", "/users", 405),
        ("GET", "/users/99999", 404),
        ("GET", f"/{HOSTILE.replace(' ', '%20')}", 404),
        ("GET", "/static/000000000000/console.css", 404),
    ):
        answer = line.ask(method, path, site.console.browser.cookies)
        assert answer.status == status
        assert {name: answer.headers.get(name.lower()) for name in HEADERS} == HEADERS
        assert faults(text(answer)) == []
        assert "<img" not in text(answer)


# Changing


@every_change_behind_the_door
def test_nobody_changes_anything_even_with_a_token(site: Site, line: Line, route: Route) -> None:
    before, visitor = kept(site.console.data), site.console.visitor()
    token = token_of(visitor)
    answer = line.ask(route.method, site.path(route), visitor.cookies, {"csrf": token}, {"X-CSRF-Token": token})
    assert answer.status == 401
    assert kept(site.console.data) == before


@each(route for route in CHANGING if route.right is Right.ADMINISTRATOR)
def test_a_user_changes_only_what_is_for_users(site: Site, line: Line, route: Route) -> None:
    before, token = kept(site.console.data), token_of(site.user)
    answer = line.ask(route.method, site.path(route), site.user.cookies, {"csrf": token}, {"X-CSRF-Token": token})
    assert answer.status == 403
    assert ONLY_ADMINISTRATORS in text(answer)
    assert kept(site.console.data) == before


@every_change
def test_without_its_own_token_nothing_is_changed(site: Site, line: Line, route: Route) -> None:
    before, path, cookies = kept(site.console.data), site.path(route), site.console.browser.cookies
    own, others = token_of(site.console.browser), token_of(site.user)
    tries: list[tuple[dict[str, str], dict[str, str]]] = [
        ({}, {}),
        ({"csrf": ""}, {}),
        ({"csrf": "0" * len(own)}, {}),
        ({"csrf": others}, {}),
        ({"csrf": "ñ"}, {}),
        ({}, {"X-CSRF-Token": others}),
        ({"csrf": own}, {"X-CSRF-Token": others}),
        ({"csrf": own}, {"Sec-Fetch-Site": "cross-site"}),
        ({"csrf": own}, {"Sec-Fetch-Site": "same-site"}),
        ({"csrf": own}, {"Origin": "https://evil.example"}),
        ({"csrf": own}, {"Origin": "null"}),
        ({"csrf": own}, {"Origin": f"http://127.0.0.1:{site.console.server.http}"}),
    ]
    for fields, headers in tries:
        answer = line.ask(route.method, path, cookies, fields, headers)
        assert answer.status == 403, (fields, headers, said(answer))
        assert not any(cookie.startswith("__Host-session=") for cookie in answer.cookies)
    assert kept(site.console.data) == before


@every_change
def test_a_token_in_the_address_is_none(site: Site, line: Line, route: Route) -> None:
    own = token_of(site.console.browser)
    answer = line.ask(route.method, f"{site.path(route)}?csrf={own}", site.console.browser.cookies, {})
    assert answer.status == 403


@each(route for route in CHANGING if route.right is Right.SIGNED_IN)
def test_what_a_user_may_change_is_not_refused_by_the_door(site: Site, line: Line, route: Route) -> None:
    user = site.console.user(f"u{next(NUMBERS)}", [TAG])
    answer = line.ask(route.method, site.path(route), user.cookies, {"csrf": token_of(user)})
    assert answer.status not in (401, 405, 500)
    assert ONLY_ADMINISTRATORS not in text(answer)


# At last, what does change things


@pytest.mark.parametrize("typed", ["", f"{HOSTILE}\n-1", "99999999999999999999999"], ids=["empty", "odd", "huge"])
def test_whatever_is_typed_into_a_form_never_ends_in_a_bug(site: Site, typed: str) -> None:
    pressed = set()
    for route in READING:
        if route.right is Right.ANYONE or route.path in ENDS_ELSEWHERE:
            continue
        browser = site.console.user(f"a{next(NUMBERS)}", role=Role.ADMINISTRATOR)
        for form in browser.get(site.path(route)).page.forms:
            path = form.action or site.path(route)
            if path in ("/sign-out", "/preferences") or (form.method, path) in pressed:
                continue
            pressed.add((form.method, path))
            filled = [(name, value if name == "csrf" else typed) for name, value in form.fields]
            if form.method == "post":
                browser.post(path, filled)
            else:
                browser.get(f"{path.partition('?')[0]}?{urlencode(filled)}")
            assert browser.status not in (401, 403, 405, 500), (path, browser.text[-600:])
            if "html" in kind(browser.answer):
                assert HOSTILE not in browser.html, path
                assert faults(browser.html) == [], path
    assert len(pressed) > 5


@every_change_behind_the_door
def test_an_administrator_may_do_everything_and_an_empty_form_is_no_bug(site: Site, line: Line, route: Route) -> None:
    administrator = site.console.user(f"b{next(NUMBERS)}", role=Role.ADMINISTRATOR)
    token = token_of(administrator)
    answer = line.ask(route.method, site.path(route), administrator.cookies, {"csrf": token}, {"X-CSRF-Token": token})
    assert answer.status not in (401, 403, 405, 500), said(answer)
