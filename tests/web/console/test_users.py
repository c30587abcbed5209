"""Users, as an administrator manages them in a browser without JavaScript."""

from __future__ import annotations

import re

import pytest

from appliance.domain.account import Role
from appliance.operations.tokens import make_token
from tests.fakes.appliance import rows
from tests.web.console.conftest import Console
from tests.web.console.kit import ADMINISTRATOR, PASSWORD

GOOD = "seven blue boats at noon"


def number(console: Console, name: str) -> int:
    return int(rows(console.data, "SELECT id FROM user WHERE name = ?", name)[0][0])


def sessions(console: Console, name: str) -> int:
    return int(rows(console.data, "SELECT count(*) FROM session WHERE user_id = ?", number(console, name))[0][0])


def test_the_list_tells_each_users_role_tags_and_state(console: Console) -> None:
    console.user("lena", ["paris", "lyon"])
    console.browser.get("/users").follow("lena").submit("Save", disabled="1")
    text = console.browser.get("/users").text
    assert "lena User lyon paris the browser's off never disabled" in text
    assert re.search(rf"{ADMINISTRATOR} Anna Ek Administrator all computers the browser's off .* may sign in", text)


def test_a_user_is_created_and_signs_in_with_the_tags_that_were_typed(console: Console) -> None:
    browser = console.browser.get("/users").follow("Create a user")
    browser.submit("Create", name="ben", full_name="Ben  Ray", tags="paris, lyon\n\nnice ", password=GOOD, again=GOOD)
    assert browser.path == "/users"
    assert "User ben was created." in browser.text
    assert "ben Ben Ray User lyon nice paris" in browser.text
    assert (ADMINISTRATOR, "user created", "ben") in console.log()
    assert "TAGs lyon nice paris" in console.sign_in("ben", GOOD).text


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": "a b"}, "is no name for a user"),
        ({"name": ADMINISTRATOR.upper()}, "there is a user 'ANNA' already"),
        ({"password": "short", "again": "short"}, "fewer than 12 characters"),
        ({"again": "another thing"}, "the two passwords differ"),
        ({"role": "king"}, "'king' is no role"),
        ({"language": "xx"}, "'xx' is no language"),
        ({"tags": "x" * 300}, "at most 200 TAGs of at most 255 characters"),
    ],
)
def test_a_form_that_is_refused_says_why_keeps_what_was_typed_and_creates_nobody(
    console: Console, changes: dict[str, str], sentence: str
) -> None:
    before = rows(console.data, "SELECT name FROM user")
    typed = {"name": "carl", "full_name": "Carl of Nowhere", "password": GOOD, "again": GOOD, **changes}
    browser = console.browser.get("/users/create").submit("Create", **typed)
    assert browser.status in (400, 409)
    assert sentence in browser.text
    assert 'value="Carl of Nowhere"' in browser.html
    assert GOOD not in browser.html
    assert rows(console.data, "SELECT name FROM user") == before


def test_what_is_left_empty_in_the_profile_is_emptied(console: Console) -> None:
    console.user("dora", ["paris"])
    browser = console.browser.get("/users").follow("dora")
    browser.submit("Save", full_name="Dora", tags="lyon", language="es")
    assert "User dora was changed." in browser.text
    assert "dora Dora User lyon Español" in browser.text
    browser.follow("dora").submit("Save", full_name="", tags="", language="")
    assert "dora User none: no computer the browser's" in browser.text


def test_a_new_role_or_disabling_ends_the_users_sessions(console: Console) -> None:
    console.user("emil")
    console.browser.get("/users").follow("emil").submit("Save", full_name="Emil")
    assert sessions(console, "emil") == 1
    console.browser.follow("emil").submit("Save", role="administrator")
    assert sessions(console, "emil") == 0
    other = console.user("fred")
    console.browser.get("/users").follow("fred").submit("Save", disabled="1")
    assert other.get("/account").path.startswith("/sign-in")


def test_a_new_password_lets_a_user_in_and_ends_the_sessions(console: Console) -> None:
    console.user("gina")
    browser = console.browser.get("/users").follow("gina")
    assert "the two passwords differ" in browser.submit("Set this password", password=GOOD, again="no").text
    assert (
        "everybody tries first"
        in browser.submit("Set this password", password="password-2026", again="password-2026").text
    )
    assert sessions(console, "gina") == 1
    browser.submit("Set this password", password=GOOD, again=GOOD)
    assert "The password was changed; all sessions of this user have ended." in browser.text
    assert sessions(console, "gina") == 0
    console.sign_in("gina", GOOD)


def test_a_block_is_shown_and_a_new_password_lifts_it(console: Console) -> None:
    console.user("hugo")
    guesser = console.visitor().get("/sign-in")
    for _ in range(5):
        guesser.submit("Sign in", name="hugo", password="not this one")
    assert "blocked till" in console.browser.get("/users").text
    browser = console.browser.follow("hugo")
    assert "after failed attempts, till" in browser.text
    browser.submit("Set this password", password=GOOD, again=GOOD)
    assert "Blocked no" in browser.text
    console.sign_in("hugo", GOOD)


def test_a_users_tokens_are_listed_and_revoked(console: Console) -> None:
    console.user("iris")
    console.desk(lambda desk: make_token(desk, "nightly <b>", 30, user="iris"))
    browser = console.browser.get("/users").follow("iris")
    assert "nightly <b>" in browser.text
    browser.submit("Revoke")
    assert "The token was revoked." in browser.text
    assert "There is no token." in browser.text
    assert (ADMINISTRATOR, "token revoked", "nightly <b>") in console.log()


def test_deleting_says_what_goes_along_and_asks_first(console: Console) -> None:
    console.user("jo")
    console.desk(lambda desk: make_token(desk, "one", 30, user="jo"))
    browser = console.browser.get("/users").follow("jo").follow("Delete…")
    assert "Delete user jo?" in browser.text
    assert "1 token for the API stops working." in browser.text
    browser.follow("Cancel")
    assert rows(console.data, "SELECT count(*) FROM user WHERE name = 'jo'") == [(1,)]
    browser.follow("Delete…").submit("Delete")
    assert "User jo was deleted." in browser.text
    assert rows(console.data, "SELECT count(*) FROM user WHERE name = 'jo'") == [(0,)]
    assert console.browser.get("/users/9999").status == 404


def test_the_last_administrator_cannot_be_deleted_disabled_or_degraded(console: Console) -> None:
    for name in [row[0] for row in rows(console.data, "SELECT name FROM user WHERE role = 'administrator'")]:
        if name != ADMINISTRATOR:
            console.browser.get("/users").follow(name).follow("Delete…").submit("Delete")
    sentence = f"{ADMINISTRATOR} is the last administrator that can sign in"
    browser = console.browser.get(f"/users/{number(console, ADMINISTRATOR)}")
    assert "This is your own account." in browser.text
    assert sentence in browser.submit("Save", role="user").text
    assert sentence in browser.submit("Save", disabled="1", role="administrator").text
    browser.follow("Delete…")
    assert "you will be signed out" in browser.text
    assert sentence in browser.submit("Delete").text
    assert browser.status == 409
    assert browser.get("/users").status == 200


def test_hostile_names_are_shown_as_text(console: Console) -> None:
    console.user("kim", ['"><script>alert(1)</script>'], role=Role.USER)
    browser = (
        console.browser.get("/users").follow("kim").submit("Save", full_name="<img src=x onerror=alert(1)> {{ 7*7 }}")
    )
    assert "<script>alert(1)" not in browser.html
    assert "<img src=x" not in browser.html
    assert "<img src=x onerror=alert(1)> {{ 7*7 }}" in browser.text
    assert "<script>alert(1)" not in browser.follow("kim").html


def test_a_user_sees_nothing_of_this(console: Console) -> None:
    user = console.user("lisa")
    for path in ("/users", "/users/create", "/users/1", "/users/1/delete", "/configuration", "/log"):
        assert user.get(path).status == 403, path
        assert "only an administrator may see this page" in user.text
    assert "Users" not in user.get("/account").text
    assert PASSWORD not in user.html
