"""One secret of each kind; then all that the server, its pages, its API and its command line say is searched for them.

What is shown once, to its owner, is no leak: a token, recovery codes, the seed of a second factor that is not on yet.
"""

from __future__ import annotations

import re
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from appliance.operations.agent_passwords import make_password
from appliance.operations.join import make_token as make_join_token
from appliance.trust import onetime
from appliance.web.api.routes import routes as api_routes
from appliance.web.console.routes import routes
from tests.fakes.appliance import device, inventory, must, on_desk, prolog, say
from tests.web.api.conftest import _token
from tests.web.api.kit import Client
from tests.web.console import walk
from tests.web.console.conftest import Console
from tests.web.console.kit import ADMINISTRATOR, PASSWORD

WRONG = "canary-of-a-wrong-password"
NEW = "canary of a new password"
PASSPHRASE = "canary-of-a-passphrase"
SECRET = {("user", "password"), ("user", "totp_secret"), ("recovery_code", "sha256")}


def body_of(pem: str) -> str:
    """A line from the middle of a key: its first and last ones are alike in all."""
    lines = [line for line in pem.splitlines() if "-----" not in line]
    return lines[len(lines) // 2]


def kept(data: Path) -> dict[str, str]:
    """What is secret and lies in the database, by where it lies.

    The digests of tokens and sessions are none: nobody finds 256 bits of chance by them, and they open nothing.
    """
    found = {}
    with closing(sqlite3.connect(data / "ocs.sqlite")) as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for _, column, *_ in connection.execute(f"PRAGMA table_info({table})").fetchall():
                if column == "private_key" or (table, column) in SECRET:
                    for n, (value,) in enumerate(connection.execute(f"SELECT {column} FROM {table}")):
                        if value:
                            found[f"{table}.{column} {n}"] = body_of(value) if "-----" in str(value) else str(value)
    return found


def test_no_secret_of_any_kind_is_in_what_the_server_logs_or_answers(console: Console, tmp_path: Path) -> None:
    server, data, secret = console.server, console.data, {"password": PASSWORD, "wrong": WRONG, "new": NEW}
    site = walk.furnish(console)
    heard: dict[str, str] = {}

    # everything secret is used, rightly and wrongly
    console.sign_in(ADMINISTRATOR)
    console.visitor().get("/sign-in").submit("Sign in", name=ADMINISTRATOR, password=WRONG)
    console.visitor().get("/sign-in").submit("Sign in", name=WRONG, password=WRONG)  # typed into the wrong field
    secret["API token"] = on_desk(data, _token, ADMINISTRATOR)
    secret["join token"] = on_desk(data, make_join_token)
    secret["password for agents"] = on_desk(data, make_password, "agents").password
    secret["session"] = console.browser.cookies["__Host-session"]
    owner = console.user("kim").get("/account/second-factor")
    seed = next(value for form in owner.page.forms for name, value in form.fields if name == "seed")
    secret["seed"] = seed
    code = onetime.code(seed, int(time.time()) // onetime.STEP_SECONDS)
    owner.submit("Switch on", code=code, password=PASSWORD)
    for n, one in enumerate(re.findall(r"\b(?:[a-z2-7]{4}-){3}[a-z2-7]{4}\b", owner.text)):
        secret[f"recovery code {n}"] = one
    other = console.visitor().get("/sign-in")
    other.submit("Sign in", name="kim", password=PASSWORD)
    other.submit("Go on", code=secret["recovery code 3"])
    server.ask("GET", f"/api/v1/overview?token={secret['API token']}", console=True)  # in the wrong place
    server.ask("GET", "/first/canary-of-a-first-secret", console=True)
    secret["first"] = "canary-of-a-first-secret"
    passphrase = tmp_path / "passphrase"
    passphrase.write_text(f"{PASSPHRASE}\n")
    passphrase.chmod(0o600)
    secret["passphrase"] = PASSPHRASE
    heard["backup"] = must("backup", tmp_path / "b", "--passphrase-file", passphrase, data=data)
    assert server.post(inventory(device("pc-9"))).status == 200
    assert server.post(prolog(device("pc-9"))).status == 200
    secret |= kept(data)
    assert {"credential.private_key", "certificate_request.private_key", "user.password", "user.totp_secret"} <= {
        what.rpartition(" ")[0] for what in secret
    }

    # everything that can be read
    line = walk.Line(server)
    for route in routes():
        if route.method == "GET":
            for who in (console.browser, site.user, owner):
                answer = line.ask("GET", site.path(route), who.cookies)
                said = [value for name, value in answer.headers.items() if name != "set-cookie"]
                heard[f"{route.path} {who is owner}"] = "\n".join([*said, answer.body.decode(errors="replace")])
    line.close()
    client = Client(server, secret["API token"])
    for one in api_routes():
        if one.method == "GET":
            path = re.sub(r"\{(\w+)[^{}]*(?:\{[^{}]*\}[^{}]*)*\}", lambda m: site.known.get(f"{m[1]}s", "1"), one.path)
            found = client._once("GET", path, None, {"Authorization": f"Bearer {client.token}"})
            heard[one.path] = f"{found.headers} {found.body.decode(errors='replace')}"
    client.close()
    for secure in (False, True):
        for path in ("/healthz", "/cacert.pem", "/nothing", f"/download/{site.known['packages']}/info"):
            heard[f"{path} {secure}"] = server.get(path, secure=secure).body.decode()
    told = ("config get", "user list", "tls show", "package list --json", "computer list", "group list", "check")
    for words in (*told, "computer passwords", "computer passwords --json"):
        said_here = say(*words.split(), data=data)
        heard[words] = said_here.out + said_here.err
    heard["log"] = server.log.read_text()
    heard["first lines"] = "".join(server.lines)
    assert len(heard) > 100

    for what, word in secret.items():
        assert len(word) > 5, what
        # what somebody typed into the field for the name is theirs to see in the log of sign-ins
        where = [place for place, text in heard.items() if word in text and not (what == "wrong" and "/log" in place)]
        assert where == [], f"the {what} is in {where}"
