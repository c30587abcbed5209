"""Where a second factor is demanded, the password opens one page to whoever has none: where it is switched on."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from appliance.domain.account import Right, Role
from appliance.operations.configure import set_setting
from appliance.trust import onetime
from appliance.web.console.frame import FACTOR_PATH, Route
from appliance.web.console.routes import routes
from tests.fakes.appliance import dump
from tests.web.console.conftest import Console
from tests.web.console.kit import PASSWORD, Browser

BEHIND_THE_DOOR = [route for route in routes() if route.right is not Right.ANYONE]


@pytest.fixture
def demanding(console: Console) -> Iterator[Console]:
    """The console, where it is demanded of administrators."""
    console.desk(set_setting, "SECOND_FACTOR_REQUIRED", "1")
    yield console
    console.desk(set_setting, "SECOND_FACTOR_REQUIRED", None)


def code(browser: Browser) -> str:
    """What an app shows that was told the secret on the page."""
    seed = next(value for form in browser.page.forms for name, value in form.fields if name == "seed")
    return onetime.code(seed, int(time.time()) // onetime.STEP_SECONDS)


def test_only_the_two_addresses_that_switch_it_on_are_there_for_whoever_owes_it() -> None:
    assert [(route.method, route.path) for route in routes() if route.factor] == [
        ("GET", FACTOR_PATH),
        ("POST", FACTOR_PATH),
    ]


def test_after_the_password_every_address_leads_to_the_page_that_switches_it_on(demanding: Console) -> None:
    browser = demanding.user("ida", role=Role.ADMINISTRATOR, asked=False).get("/sign-in?next=/users")
    browser.submit("Sign in", name="ida", password=PASSWORD)
    assert browser.path == FACTOR_PATH
    assert "Here a second factor is asked of everyone in your role" in browser.text
    assert [text for text, _ in browser.page.links if text in ("Users", "Packages", "Cancel")] == []
    token = browser.token
    before = dump(demanding.data)

    def answered(route: Route) -> tuple[int, str]:
        path = re.sub(r"\{\w+(:[^{}]*(?:\{[^{}]*\}[^{}]*)*)?\}", "1", route.path)
        sent = {"Cookie": f"__Host-session={browser.cookies['__Host-session']}", "X-CSRF-Token": token}
        answer = browser.server.ask(route.method, path, b"", sent, console=True)
        return answer.status, answer.headers.get("location", "")

    strays = {route.path: answered(route) for route in BEHIND_THE_DOOR if not route.factor}
    reached = {path: answer for path, answer in strays.items() if answer not in ((303, FACTOR_PATH), (404, ""))}
    assert reached == {}
    assert sum(answer == (303, FACTOR_PATH) for answer in strays.values()) > 40
    assert dump(demanding.data) == before


def test_with_it_on_everything_is_there_and_it_stays_on(demanding: Console) -> None:
    browser = demanding.user("jon", role=Role.ADMINISTRATOR).get("/users")
    assert browser.path == FACTOR_PATH
    browser.submit("Switch on", code="000000", password="wrong one")
    assert browser.path == FACTOR_PATH
    browser.submit("Switch on", code=code(browser), password=PASSWORD)
    assert "They are shown this once" in browser.text
    assert browser.get("/users").path == "/users"
    assert "it stays on" in browser.get(FACTOR_PATH).submit("Switch off", password=PASSWORD).text


def test_who_is_not_asked_for_one_goes_on_without(demanding: Console) -> None:
    assert demanding.user("kim").get("/account").path == "/account"
