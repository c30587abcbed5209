"""Everyone's own page: language, password, sessions, the second factor, tokens."""

from __future__ import annotations

import re
import time

import pytest

from appliance.trust import onetime
from tests.fakes.appliance import dump, rows
from tests.web.console.conftest import Console
from tests.web.console.kit import PASSWORD, Browser

GOOD = "seven blue boats at noon"


def seed_of(browser: Browser) -> str:
    return next(value for form in browser.page.forms for name, value in form.fields if name == "seed")


def code(seed: str, later: int = 0) -> str:
    return onetime.code(seed, int(time.time()) // onetime.STEP_SECONDS + later)


def test_a_user_sees_the_own_account_and_nothing_of_others(console: Console) -> None:
    text = console.user("ada", ["paris"]).get("/account").text
    assert "Name ada Role User TAGs paris" in text
    assert "a test 127.0.0.1" in text
    assert "this one" in text
    assert "Anna Ek" not in text


def test_the_language_is_kept_with_the_account_and_the_empty_one_follows_the_browser(console: Console) -> None:
    browser = console.user("bea").get("/account")
    assert 'lang="en"' in browser.html
    browser.submit("Take this language", language="es")
    assert '<html lang="es"' in browser.html
    other = console.visitor()
    other.cookies["__Host-session"] = browser.cookies["__Host-session"]
    assert '<html lang="es"' in other.get("/account").html
    form = next(form for form in browser.page.forms if form.action == "/account/language")
    browser.post(form.action, {**dict(form.fields), "language": ""})
    assert '<html lang="en"' in browser.html
    assert "is no language" in browser.submit("Take this language", language="fr").text


def test_another_password_needs_the_old_one_and_ends_the_other_sessions(console: Console) -> None:
    browser = console.user("cai").get("/account")
    other = console.sign_in("cai")
    before = dump(console.data)
    browser.submit("Change the password", old=PASSWORD, new=GOOD, again="something else")
    assert "the two passwords differ" in browser.text
    assert dump(console.data) == before
    browser.submit("Change the password", old="not mine at all", new=GOOD, again=GOOD)
    assert "this is not your password" in browser.text
    assert "fewer than 12" in browser.submit("Change the password", old=PASSWORD, new="short", again="short").text
    assert other.get("/account").path == "/account"
    browser.submit("Change the password", old=PASSWORD, new=GOOD, again=GOOD)
    assert "Your password was changed; your other sessions have ended." in browser.text
    assert other.get("/account").path.startswith("/sign-in")
    console.sign_in("cai", GOOD)
    assert ("cai", "password changed", "cai") in console.log()


def test_one_session_is_ended_and_then_all_the_others(console: Console) -> None:
    browser = console.user("dan").get("/account")
    assert "End all others" not in browser.text
    others = [console.sign_in("dan") for _ in range(3)]
    browser.get("/account").submit("End")
    assert "The session has ended." in browser.text
    assert sum(other.get("/account").path == "/account" for other in others) == 2
    browser.submit("End all others")
    assert "Your other sessions have ended: 2." in browser.text
    assert not any(other.get("/account").path == "/account" for other in others)
    assert browser.get("/account").path == "/account"


def test_somebody_elses_session_cannot_be_ended(console: Console) -> None:
    browser = console.user("eve").get("/account")
    key = rows(console.data, "SELECT sha256 FROM session JOIN user ON user.id = user_id WHERE name = 'anna'")[0][0]
    browser.post("/account/sessions/end", {"csrf": browser.token, "session": key})
    assert browser.status == 404
    assert console.browser.get("/account").status == 200


def test_the_second_factor_is_switched_on_asked_for_and_switched_off(console: Console) -> None:
    browser = console.user("fay").get("/account").follow("Switch it on…")
    seed = seed_of(browser)
    grouped = re.sub(r"(.{4})", r"\1 ", seed).strip()
    assert f"Secret {grouped}" in browser.text
    assert f"otpauth://totp/OCS:fay?secret={seed}" in browser.text
    browser.submit("Switch on", code="000000" if code(seed) != "000000" else "111111", password=PASSWORD)
    assert "the code does not fit" in browser.text
    assert seed_of(browser) == seed
    assert "this is not your password" in browser.submit("Switch on", code=code(seed), password="wrong one").text
    browser.submit("Switch on", code=code(seed), password=PASSWORD)
    assert "They are shown this once" in browser.text
    codes = re.findall(r"\b(?:[a-z2-7]{4}-){3}[a-z2-7]{4}\b", browser.text)
    assert len(codes) == 10
    assert "10 recovery codes are left." in browser.follow("I have kept them").text
    assert codes[0] not in browser.html

    other = console.visitor().get("/sign-in")
    other.submit("Sign in", name="fay", password=PASSWORD)
    assert other.path == "/second-factor"
    assert other.get("/account").path == "/second-factor"
    other.submit("Go on", code=code(seed, 1))
    assert other.get("/account").path == "/account"

    third = console.visitor().get("/sign-in").submit("Sign in", name="fay", password=PASSWORD)
    assert "used already" in third.submit("Go on", code=code(seed, 1)).text
    third.submit("Go on", code=codes[3].upper().replace("-", " "))
    assert "9 recovery codes are left." in third.get("/account").text

    third.follow("Switch it off…")
    assert "this is not your password" in third.submit("Switch off", password="wrong one").text
    assert "Your second factor is off" in third.submit("Switch off", password=PASSWORD).text
    console.sign_in("fay")


def test_an_administrator_takes_away_a_second_factor_that_was_lost(console: Console) -> None:
    browser = console.user("gil").get("/account/second-factor")
    seed = seed_of(browser)
    browser.submit("Switch on", code=code(seed), password=PASSWORD)
    console.browser.get("/users").follow("gil").submit("Take the second factor away")
    assert "The second factor is off; all sessions of this user have ended." in console.browser.text
    console.sign_in("gil")


def test_a_token_is_shown_once_listed_and_revoked(console: Console) -> None:
    browser = console.user("hal").get("/account")
    browser.submit("Make a token", name="nightly <script>", days="30")
    text = re.search(r"ocs_\d+_[A-Za-z0-9_-]{43}", browser.text)
    assert text
    assert "It is shown this once" in browser.text
    assert "<script>" not in browser.html.replace('<script src="', "")
    browser.follow("I have kept it")
    assert "nightly <script>" in browser.text
    assert text.group() not in browser.html
    assert ("hal", "token created", "nightly <script>") in console.log()
    browser.submit("Revoke")
    assert "There is no token." in browser.text
    assert ("hal", "token revoked", "nightly <script>") in console.log()


@pytest.mark.parametrize(
    ("name", "days", "sentence"),
    [
        ("", "30", "it has 1 to 64 characters"),
        ("x", "0", "0 is not from 1 to 365 days"),
        ("x", "366", "366 is not from 1 to 365 days"),
        ("x", "soon", "'soon' is not a whole number"),
    ],
)
def test_a_token_without_a_name_or_a_bound_is_not_made(console: Console, name: str, days: str, sentence: str) -> None:
    before = rows(console.data, "SELECT count(*) FROM token")
    browser = console.browser.get("/account").submit("Make a token", name=name, days=days)
    assert sentence in browser.text
    assert rows(console.data, "SELECT count(*) FROM token") == before


def test_somebody_elses_token_cannot_be_revoked(console: Console) -> None:
    console.browser.get("/account").submit("Make a token", name="mine", days="3")
    number = rows(console.data, "SELECT id FROM token WHERE name = 'mine'")[0][0]
    browser = console.user("ida").get("/account")
    assert browser.post(f"/account/tokens/{number}/revoke", {"csrf": browser.token}).status == 404
    assert rows(console.data, "SELECT count(*) FROM token WHERE name = 'mine'") == [(1,)]
