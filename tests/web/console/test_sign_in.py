"""The way in: the one-time address, name and password, the second factor, language and colours for anybody."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from urllib.parse import quote, urlsplit

import pytest

from appliance.trust import onetime
from tests.fakes.appliance import Running, dump, rows, serving
from tests.web.console.conftest import Console
from tests.web.console.kit import ADMINISTRATOR, PASSWORD, Browser

GOOD = "seven blue boats at noon"


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, str]]:
    """A server without any account, and the path of its one-time address."""
    with serving(tmp_path_factory.mktemp("empty") / "data") as server:
        assert server.process.stdout is not None
        line = server.process.stdout.readline()
        found = re.search(rf"^first +https://127\.0\.0\.1:{server.console}(/first/\S+)$", line)
        assert found, line
        yield server, found.group(1)


# Before there is anybody


def test_the_one_time_address_makes_the_first_administrator_and_only_one(empty: tuple[Running, str]) -> None:
    server, path = empty
    browser, late = Browser(server), Browser(server).get(path)
    assert browser.get("/").path.startswith("/sign-in")
    assert "No account exists yet. Open the address that “ocs.pyz serve” printed" in browser.text
    assert browser.get("/first/something-else").status == 403
    before = dump(server.data)
    browser.get(path)
    for changes, sentence in (
        ({"password": "short", "again": "short"}, "fewer than 12 characters"),
        ({"password": GOOD, "again": "no"}, "the two passwords differ"),
        ({"password": "password-2026!", "again": "password-2026!"}, "everybody tries first"),
        ({"name": "a b", "password": GOOD, "again": GOOD}, "is no name for a user"),
    ):
        browser.submit("Create the account", **{"name": "ada", **changes})
        assert sentence in browser.text
        assert browser.path == path
    assert dump(server.data) == before
    browser.submit("Create the account", name="ada", full_name="Ada", password=GOOD, again=GOOD)
    assert browser.path == "/"
    assert "Welcome." in browser.text
    assert "First steps" in browser.text
    assert rows(server.data, "SELECT name, role FROM user") == [("ada", "administrator")]

    assert "this address is used up" in Browser(server).get(path).text
    late.submit("Create the account", name="eve", full_name="", password=GOOD, again=GOOD)
    assert late.status == 403
    assert "this address is used up" in late.text
    assert rows(server.data, "SELECT name, role FROM user") == [("ada", "administrator")]


# Name and password


def test_signing_in_leads_to_the_console_and_signing_out_ends_the_session(console: Console) -> None:
    browser = console.visitor().get("/sign-in").submit("Sign in", name="ANNA", password=PASSWORD)
    assert browser.path == "/"
    secret = browser.cookies["__Host-session"]
    assert "Overview" in browser.text
    browser.submit("Sign out")
    assert "You are signed out." in browser.text
    assert "__Host-session" not in browser.cookies
    browser.cookies["__Host-session"] = secret
    assert browser.get("/users").path == "/sign-in?next=/users"
    assert (ADMINISTRATOR, "signed out", ADMINISTRATOR) in console.log()


def test_the_cookie_is_out_of_reach_for_scripts_and_other_sites_and_the_database_has_only_its_digest(
    console: Console,
) -> None:
    browser = console.visitor().get("/sign-in")
    fields = {"csrf": browser.token, "name": ADMINISTRATOR, "password": PASSWORD, "next": "/"}
    answer = browser.post_once("/sign-in", fields)
    cookie = next(text for text in answer.cookies if text.startswith("__Host-session="))
    assert {"secure", "httponly", "path=/", "samesite=strict"} <= {part.strip().lower() for part in cookie.split(";")}
    assert "domain" not in cookie.lower()
    secret = cookie.split("=")[1].split(";")[0]
    assert len(secret) >= 43
    assert secret.encode() not in (console.data / "ocs.sqlite").read_bytes()


def test_a_wrong_name_and_a_wrong_password_are_told_alike(console: Console) -> None:
    said = []
    for name in (ADMINISTRATOR, "nobody"):
        browser = console.visitor().get("/sign-in").submit("Sign in", name=name, password="not this one")
        assert browser.status == 400
        assert "__Host-session" not in browser.cookies
        said.append(browser.text)
    assert "the name or the password is wrong; try again." in said[0]
    assert said[0] == said[1]


def test_whoever_guesses_waits_even_with_the_right_password(console: Console) -> None:
    console.user("ben")
    browser = console.visitor().get("/sign-in")
    for _ in range(5):
        browser.submit("Sign in", name="ben", password="not this one")
        assert "the name or the password is wrong" in browser.text
    browser.submit("Sign in", name="ben", password=PASSWORD)
    assert re.search(r"too many failed attempts; wait \d+ s and try again", browser.text)
    assert browser.status == 409 or browser.status == 429 or browser.status == 503
    assert [deed for _, deed, subject in console.log() if subject == "ben"][-1] == "account blocked"


def test_a_disabled_user_does_not_come_in(console: Console) -> None:
    console.user("carl")
    console.browser.get("/users").follow("carl").submit("Save", disabled="1")
    browser = console.visitor().get("/sign-in").submit("Sign in", name="carl", password=PASSWORD)
    assert "the name or the password is wrong" in browser.text


@pytest.mark.parametrize(
    ("wanted", "reached"),
    [
        ("/account", "/account"),
        ("/account?x=1&y=a%20b", "/account?x=1&y=a%20b"),
        ("https://evil.example/", "/"),
        ("//evil.example/", "/"),
        ("/\\evil.example", "/"),
        ("/account\\..", "/"),
        ("javascript:alert(1)", "/"),
        ("/x\r\nLocation: //evil.example", "/"),
        ("", "/"),
    ],
)
def test_after_signing_in_only_an_own_path_is_gone_to(console: Console, wanted: str, reached: str) -> None:
    browser = console.administrator()
    token = console.visitor().get(f"/sign-in?next={quote(wanted)}")
    shown = next(value for form in token.page.forms for name, value in form.fields if name == "next")
    assert shown == reached
    answer = browser.get("/account").post_once("/preferences", {"csrf": browser.token, "theme": "auto", "back": wanted})
    assert answer.headers["location"] == reached


def test_signing_in_goes_on_where_one_wanted_to_go(console: Console) -> None:
    browser = console.visitor().get("/users?x=1")
    assert urlsplit(browser.path).path == "/sign-in"
    browser.submit("Sign in", name=ADMINISTRATOR, password=PASSWORD)
    assert browser.path == "/users?x=1"
    assert browser.get("/sign-in").path == "/"


# The second factor


def test_with_a_second_factor_the_password_alone_opens_nothing(console: Console) -> None:
    browser = console.user("dora").get("/account/second-factor")
    seed = next(value for form in browser.page.forms for name, value in form.fields if name == "seed")
    step = int(time.time()) // onetime.STEP_SECONDS
    browser.submit("Switch on", code=onetime.code(seed, step), password=PASSWORD)
    half = console.visitor().get("/sign-in?next=/help").submit("Sign in", name="dora", password=PASSWORD)
    assert half.path == "/second-factor"
    for path in ("/", "/account", "/users", "/help", "/sign-in"):
        assert half.get(path).path.startswith(("/second-factor", "/sign-in")), path
        assert "dora" not in half.text
    half.get("/second-factor")
    assert "the code is wrong" in half.submit("Go on", code="12").text
    before = half.cookies["__Host-session"]
    half.submit("Go on", code=onetime.code(seed, step + 1))
    assert half.cookies["__Host-session"] != before, "a session that can do more has another secret"
    assert half.get("/account").path == "/account"


def test_nobody_reaches_the_second_factor_without_the_password(console: Console) -> None:
    assert console.visitor().get("/second-factor").path.startswith("/sign-in")


# Language and colours


def test_a_visitor_chooses_language_and_colours_before_signing_in(console: Console) -> None:
    browser = console.visitor("es-ES,es;q=0.9,en;q=0.5").get("/sign-in")
    assert '<html lang="es"' in browser.html
    browser.submit("English")
    assert '<html lang="en"' in browser.html
    assert browser.path == "/sign-in"
    browser.submit("Dark")
    assert 'data-bs-theme="dark"' in browser.html
    assert '<html lang="en"' in browser.html
    assert 'data-bs-theme="light"' in browser.submit("Light").html
    assert console.visitor("fr,xx;q=0.1").get("/sign-in").html.count('<html lang="en"') == 1


def test_a_language_that_is_chosen_while_signed_in_belongs_to_the_account(console: Console) -> None:
    browser = console.user("emil").get("/account").submit("Español")
    assert '<html lang="es"' in browser.html
    assert browser.path == "/account"
    other = console.visitor()
    other.cookies["__Host-session"] = browser.cookies["__Host-session"]
    assert '<html lang="es"' in other.get("/account").html
    assert rows(console.data, "SELECT language FROM user WHERE name = 'emil'") == [("es",)]


def test_what_is_no_language_and_no_colour_is_passed_over(console: Console) -> None:
    browser = console.visitor().get("/sign-in")
    browser.post("/preferences", {"csrf": browser.token, "language": "tlh", "theme": "<b>", "back": "/sign-in"})
    assert browser.path == "/sign-in"
    assert '<html lang="en"' in browser.html
    assert 'data-theme="auto"' in browser.html
