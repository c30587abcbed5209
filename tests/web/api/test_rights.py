"""Every address × (nobody, a cookie, a user's token, an administrator's), and bodies that nobody should send.

The addresses come from the routes themselves: one that is added is tried as well.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from appliance.domain.account import Right, Role
from appliance.operations import tokens
from appliance.operations.accounts import change_user, delete_user
from appliance.operations.desk import Desk
from appliance.web.api.frame import BAD_TOKEN_SECONDS, ApiRoute
from appliance.web.api.schema import resolved
from appliance.web.console.frame import HEADERS
from tests.fakes.appliance import Answer, build, must, on_desk, rows
from tests.web.api.conftest import USER, Site, named
from tests.web.api.kit import ROUTES, Client, told
from tests.web.console.kit import ADMINISTRATOR, Browser
from tests.web.console.walk import HOSTILE, kept

READING = [route for route in ROUTES if route.method == "GET"]
SENDING = [route for route in ROUTES if route.doc.body is not None]
ROOT = "/api/v1"


def name_of(route: ApiRoute) -> str:
    return f"{route.method} {route.path.removeprefix(ROOT)}"


every_address = pytest.mark.parametrize("route", ROUTES, ids=name_of)
every_reading = pytest.mark.parametrize("route", READING, ids=name_of)
every_sending = pytest.mark.parametrize("route", SENDING, ids=name_of)


@pytest.fixture(scope="module")
def known(site: Site) -> Mapping[str, str]:
    """One of everything, by the places of paths."""
    owner, user = site.owner, site.user
    computer = site.computer("rights")
    package = build(site.data, f"Rights {HOSTILE}")
    must("package", "activate", package, "--unchecked", data=site.data)
    must("package", "affect", package, "--computer", "rights", data=site.data)
    group = owner.post("/groups", {"name": f"Rights {HOSTILE}", "visible": True})
    search = owner.post("/searches", {"name": f"Rights {HOSTILE}", "search": named("rights")})
    draft = owner.post("/drafts", {"name": HOSTILE, "os": "linux"})
    job = owner.post("/computers/delete", {"selection": {"search": named("nobody at all")}})
    token = user.post("/account/tokens", {"name": "nightly"})
    Browser(site.server).sign_in()
    return {
        "computer": str(computer),
        "package": package,
        "group": str(group["id"]),
        "search": str(search["id"]),
        "draft": draft["id"],
        "job": job["id"],
        "token": str(token["id"]),
        "user": str(user.get("/account")["id"]),
        "doubt": "1",
        "password": "1",
        "activation": str(owner.get(f"/packages/{package}")["activations"][0]["id"]),
        "session": owner.get("/account/sessions")["sessions"][0]["id"],
    }


def path(route: ApiRoute, known: Mapping[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda place: known[place[1]], route.path.removeprefix(ROOT))


def text(answer: Answer) -> str:
    return answer.body.decode(errors="replace")


def rows_of(site: Site) -> list[str]:
    """Every row but those that note a use."""
    return [line for line in kept(site.data) if not line.startswith('INSERT INTO "token"')]


# Nobody


@every_address
def test_nobody_gets_in(site: Site, known: Mapping[str, str], route: ApiRoute) -> None:
    nobody = Client(site.server)
    for authorization in (None, "", "Bearer", "Bearer ", "Bearer x", "Basic YW5uYTp4", f"Token {site.owner.token}"):
        headers = {} if authorization is None else {"Authorization": authorization}
        answer = nobody.ask(route.method, path(route, known), headers=headers)
        assert answer.status == 401, (authorization, text(answer))
        assert answer.headers["www-authenticate"].startswith('Bearer realm="ocs"')
        for name, value in HEADERS.items():
            assert answer.headers.get(name.lower()) == value, name
    nobody.close()


@every_address
def test_a_cookie_is_no_token(site: Site, known: Mapping[str, str], route: ApiRoute) -> None:
    browser = Browser(site.server)
    secret = on_desk(site.data, _session)
    browser.cookies["__Host-session"] = secret
    if route is ROUTES[0]:
        assert browser.get("/users").status == 200  # it is a good cookie
        csrf = browser.get("/account").token
    else:
        csrf = "0" * 64
    client = Client(site.server)
    headers = {"Cookie": f"__Host-session={secret}", "X-CSRF-Token": csrf, "Sec-Fetch-Site": "same-origin"}
    assert client.ask(route.method, path(route, known), headers=headers).status == 401
    client.close()


async def _session(desk: Desk) -> str:
    from appliance.store import accounts
    from appliance.store.accounts import KeptSession
    from appliance.trust import secrets

    secret = secrets.new_secret()
    async with desk.store.writing() as tx:
        account = await accounts.named(tx, ADMINISTRATOR)
        assert account
        key = secrets.digest(secret)
        session = KeptSession(key, account.id, tx.now, tx.now, tx.now, True, "127.0.0.1", "a test")
        await accounts.add_session(tx, session)
    return secret


def test_nobody_changes_anything_and_a_user_only_what_is_for_users(site: Site, known: Mapping[str, str]) -> None:
    before = rows_of(site)
    nobody = Client(site.server)
    for route in ROUTES:
        nobody.ask(route.method, path(route, known), {})
        if route.right is Right.ADMINISTRATOR:
            answer = site.user.ask(route.method, path(route, known), {})
            assert answer.status == 403, (name_of(route), text(answer))
            assert told(answer)["error"]["kind"] == "forbidden"
    assert rows_of(site) == before


def test_tokens_that_are_over_open_nothing(site: Site) -> None:
    number = site.owner.post("/users", {"name": "cleo", "password": "four horses in a meadow", "role": "administrator"})
    user = number["id"]

    async def made(desk: Desk, name: str) -> str:
        return await tokens.make_token(desk, name, 1, user=user)

    expired, revoked, disabled = (Client(site.server, on_desk(site.data, made, name)) for name in "abc")
    for client in (expired, revoked, disabled):
        assert client.get("/account")["name"] == "cleo"
    must("user", "tokens", "cleo", "--revoke", revoked.token.split("_")[1], data=site.data)
    assert revoked.refused("GET", "/account")[0] == 401

    async def expire(desk: Desk) -> None:
        async with desk.store.writing() as tx:
            await tx.run("UPDATE token SET expires_at = ? WHERE name = 'a'", (tx.now,))

    on_desk(site.data, expire)
    assert expired.refused("GET", "/account")[0] == 401

    async def disable(desk: Desk) -> None:
        await change_user(desk, user, disabled=True)

    on_desk(site.data, disable)
    assert disabled.refused("GET", "/account")[0] == 401
    wrong = Client(site.server, disabled.token[:-1] + ("A" if disabled.token[-1] != "A" else "B"))
    begin = time.monotonic()
    assert wrong.refused("GET", "/account")[0] == 401
    assert time.monotonic() - begin >= BAD_TOKEN_SECONDS
    on_desk(site.data, delete_user, user)


def test_another_role_counts_at_once(site: Site) -> None:
    site.owner.post("/users", {"name": "dora", "password": "four horses in a meadow"})
    user = next(one["id"] for one in site.owner.get("/users")["users"] if one["name"] == "dora")
    dora = Client(site.server, site.owner.post(f"/users/{user}/tokens", {"name": "x"})["token"])
    assert dora.refused("GET", "/users")[0] == 403
    site.owner.patch(f"/users/{user}", {"role": Role.ADMINISTRATOR.value})
    assert dora.get("/users")["users"]
    site.owner.delete(f"/users/{user}")
    assert dora.refused("GET", "/users")[0] == 401


# Somebody


@every_reading
def test_a_user_reads_what_is_for_users_and_nothing_else(site: Site, known: Mapping[str, str], route: ApiRoute) -> None:
    answer = site.user.ask(route.method, path(route, known))
    if route.right is Right.ADMINISTRATOR:
        assert answer.status == 403
    else:
        assert answer.status == 200 or route.path.endswith("/jobs/{job}"), text(answer)


@every_reading
def test_an_administrator_reads_everything_and_no_secret_is_in_it(
    site: Site, known: Mapping[str, str], route: ApiRoute
) -> None:
    answer = site.owner.ask(route.method, path(route, known))
    assert answer.status == 200, text(answer)
    if route.path.endswith("openapi.json"):
        return
    assert not [secret for secret in secrets_of(site) if secret in text(answer)]
    assert "PRIVATE KEY" not in text(answer)


def secrets_of(site: Site) -> list[str]:
    """What is in no answer: what proves a password, a session or a token."""
    sql = "SELECT password FROM user UNION SELECT sha256 FROM token UNION SELECT sha256 FROM session"
    sql += " UNION SELECT sha256 FROM agent_password"
    return [str(row[0]) for row in rows(site.data, sql)]


def test_reading_changes_nothing(site: Site, known: Mapping[str, str]) -> None:
    before = rows_of(site)
    for route in READING:
        for client in (site.owner, site.user):
            client.ask(route.method, path(route, known))
    assert rows_of(site) == before


@every_address
def test_what_is_not_there_is_missing_and_never_a_bug(site: Site, route: ApiRoute) -> None:
    if not route.places:
        return
    nothing = {**dict.fromkeys(route.places, "999999999999999"), "package": "1000000000"}
    nothing |= {"draft": "0" * 32, "job": "0" * 32, "session": "0" * 16}
    answer = site.owner.ask(route.method, path(route, nothing), example(route) if route.doc.body else None)
    assert answer.status == 404 or (answer.status == 400 and route.doc.body), text(answer)


def test_an_address_that_is_none_and_a_method_that_is_none(site: Site) -> None:
    for client in (site.owner, Client(site.server)):
        assert client.refused("GET", "/nothing")[0] == 404
        assert client.refused("GET", "/computers/x")[0] == 404
        assert client.refused("GET", f"/{HOSTILE.replace(' ', '%20')}")[0] == 404
        answer = client.ask("PUT", "/computers")
        assert (answer.status, answer.headers["allow"]) == (405, "GET")


# What is sent


def test_keys_of_the_address_are_checked(site: Site) -> None:
    for query, field in (
        ({"unknown": 1}, "unknown"),
        ({"page": 0}, "page"),
        ({"page": "x"}, "page"),
        ({"page": [1, 2]}, "page"),
        ({"size": 501}, "size"),
        ({"sort": "c.name; DROP TABLE computer"}, "sort"),
        ({"descending": "perhaps"}, "descending"),
        ({"q": "x" * 256}, "q"),
    ):
        status, where, _ = site.owner.refused("GET", "/computers", **query)  # type: ignore[arg-type]
        assert (status, where) == (400, field)


BODIES: tuple[tuple[bytes, str, int], ...] = (
    (b"[]", "application/json", 400),
    (b'"x"', "application/json", 400),
    (b"null", "application/json", 400),
    (b"{", "application/json", 400),
    (b'{"nobody knows this": 1}', "application/json", 400),
    (b'{"name": NaN}', "application/json", 400),
    (b'{"name": 1, "name": 2}', "application/json", 400),
    (b'{"name": 1' + b"0" * 5000 + b"}", "application/json", 400),
    (b'{"name": "\xff"}', "application/json", 400),
    (b"[" * 100_000, "application/json", 400),
    (b'{"a":' * 20_000, "application/json", 400),
    (b"{}", "text/plain", 400),
    (b"name=x", "application/x-www-form-urlencoded", 400),
    (b"\x1f\x8b\x08", "application/json", 400),
)


@every_sending
def test_a_body_that_is_none_is_refused(site: Site, known: Mapping[str, str], route: ApiRoute) -> None:
    for data, kind, status in BODIES:
        answer = site.owner.ask(route.method, path(route, known), data, {"Content-Type": kind})
        assert answer.status == status, (data[:40], text(answer))


def test_a_body_that_is_too_large_is_refused(site: Site) -> None:
    body = b'{"search": [' + b" " * 5 * 1024**2 + b"]}"
    answer = site.owner.ask("POST", "/computers/search", body, {"Content-Type": "application/json"})
    assert answer.status == 413
    assert told(answer)["error"]["kind"] == "too large"


def test_an_address_that_takes_no_body_says_so(site: Site) -> None:
    assert site.owner.refused("DELETE", "/account/sessions", {"x": 1})[0] == 400


def test_a_refusal_of_an_operation_names_the_key_of_the_body(site: Site, known: Mapping[str, str]) -> None:
    package = known["package"]
    for method, address, body, field in (
        ("PATCH", f"/packages/{package}", {"warn": {"text": " "}}, "warn.text"),
        ("PATCH", f"/packages/{package}", {"done_text": "\x01"}, "done_text"),
        ("PATCH", f"/packages/{package}", {"warn": {"text": "x", "countdown": 10_000}}, "warn.countdown"),
        ("POST", f"/packages/{package}/activations", {"info_url": "no such place"}, "info_url"),
        ("POST", f"/packages/{package}/affect", {"selection": {"all": True}, "schedule": "today"}, "schedule"),
        ("POST", "/computers/search", {"search": [[{"field": "X", "operator": "EQUAL", "value": "1"}]]}, "search"),
        ("POST", "/users", {"name": "_", "password": "x"}, "name"),
        ("PATCH", "/settings", {"DOWNLOAD": 7}, "DOWNLOAD"),
    ):
        status, where, sentence = site.owner.refused(method, address, body)
        assert (status, where) == (400, field), sentence


# At last, what does change things


@pytest.fixture(scope="module")
def spoiler(site: Site, known: Mapping[str, str]) -> Iterator[Client]:
    """Another administrator, whose account may be blocked."""
    user = site.owner.post("/users", {"name": "eve", "password": "four horses in a meadow", "role": "administrator"})
    yield Client(site.server, site.owner.post(f"/users/{user['id']}/tokens", {"name": "x"})["token"])
    site.owner.patch("/settings", {one["name"]: None for one in site.owner.get("/settings")["settings"]})
    site.owner.delete(f"/users/{user['id']}")


def sample(schema: Mapping[str, Any]) -> Any:
    """A value that fits a schema."""
    schema = resolved(schema)
    if "anyOf" in schema:
        return sample(schema["anyOf"][0])
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema["type"] if isinstance(schema["type"], str) else schema["type"][0]
    if kind == "object":
        properties = schema.get("properties", {})
        wanted = list(properties)[:1] if "maxProperties" in schema else schema.get("required", list(properties))
        return {name: sample(properties[name]) for name in wanted}
    if kind == "array":
        return [sample(schema["items"])]
    return {"string": "1234567890", "integer": max(1, schema.get("minimum", 1)), "boolean": True}[kind]


def example(route: ApiRoute) -> dict[str, Any]:
    """A body that fits, with everything in it that may be."""
    assert route.doc.body is not None
    properties = resolved(route.doc.body).get("properties", {})
    return {name: sample(schema) for name, schema in properties.items()}


@every_sending
def test_whatever_is_in_a_body_never_ends_in_a_bug(
    site: Site, known: Mapping[str, str], spoiler: Client, route: ApiRoute
) -> None:
    if route.path.endswith(("/computers/delete", "/certificates/rotate", "/certificates/finish")):
        return  # what they take away, the tests after this one need
    body = example(route)
    odd: list[object] = [
        None,
        "",
        HOSTILE,
        "\0",
        "\ud800",
        "ñ" * 300,
        -1,
        2**53 - 1,
        2**70,
        True,
        [],
        {},
        [[]],
        [HOSTILE],
    ]
    answer = spoiler.ask(route.method, path(route, known), body, wait=0) if "wait" in route.doc.query else None
    for name in body:
        for value in odd if len(body) < 20 else odd[2:5]:
            answer = spoiler.ask(route.method, path(route, known), {**body, name: value})
            assert answer.status < 500 or answer.status in (502, 503), (name, value, text(answer))
    assert answer is None or answer.status != 401
    assert rows(site.data, "SELECT count(*) FROM user WHERE name = ?", USER) == [(1,)]
