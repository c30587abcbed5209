"""Mode closed over real sockets: 401 over HTTPS only, passwords never over HTTP, networks, and downloads as ever."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.operations.agent_passwords import make_password, revoke_password
from appliance.operations.configure import set_setting
from appliance.operations.throttle import AGENT_TRIES
from appliance.wire import basic, envelope
from appliance.wire.basic import Credentials
from tests.fakes.appliance import (
    UNIX,
    Answer,
    Running,
    build,
    command,
    device,
    environment,
    inventory,
    must,
    on_desk,
    progress,
    prolog,
    report,
    rows,
    serving,
)

ALPHA, BETA = device("alpha"), device("beta")
CHALLENGE = 'Basic realm="OCS Inventory agent area"'


@dataclass(frozen=True)
class Closed:
    """A running server in mode closed, which knew a computer before; a package is announced to it."""

    server: Running
    name: str
    password: str
    package: str

    def post(self, xml: bytes, authorization: str = "", *, secure: bool = True, **headers: str) -> Answer:
        sent = {"Content-Type": "application/x-compress", "User-Agent": UNIX, **headers}
        if authorization:
            sent["Authorization"] = authorization
        return self.server.ask("POST", "/ocsinventory", envelope.pack(xml), sent, secure=secure)

    @property
    def right(self) -> str:
        return basic.encode(Credentials(self.name, self.password))

    @property
    def wrong(self) -> str:
        return basic.encode(Credentials(self.name, self.password[::-1]))

    def kept(self) -> list[str]:
        """Every row but how often somebody failed, and what the server notes beside all requests."""
        with contextlib.closing(sqlite3.connect(self.server.data / "ocs.sqlite")) as connection:
            skipped = tuple(f'INSERT INTO "{table}"' for table in ("runtime", "login_failure"))
            return [line for line in connection.iterdump() if not line.startswith(skipped)]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("closed") / "data") as server:
        yield server


@pytest.fixture
def closed(running: Running) -> Iterator[Closed]:
    assert running.post(inventory(ALPHA)).status == 200
    package = build(running.data, "touched", "--action", "execute", "--command", "true")
    must("package", "activate", package, "--unchecked", data=running.data)
    must("package", "affect", package, "--computer", ALPHA, data=running.data)
    assert running.post(prolog(ALPHA)).status == 200
    on_desk(running.data, set_setting, "IDENTITY_MODE", "closed")
    made = on_desk(running.data, make_password, "agents")
    yield Closed(running, made.name, made.password, package)
    for name in ("IDENTITY_MODE", "IDENTITY_NETWORKS"):
        on_desk(running.data, set_setting, name, None)
    on_desk(running.data, revoke_password, "agents")
    on_desk(running.data, forgive)
    must("package", "delete", package, data=running.data)
    assert made.password not in running.log.read_text()


async def forgive(desk: object) -> None:
    async with desk.store.writing() as tx:  # type: ignore[attr-defined]
        await tx.run("DELETE FROM login_failure")


def messages(package: str) -> list[bytes]:
    """One of each kind."""
    large = inventory(ALPHA, *[("SOFTWARES", {"NAME": f"program {n}"}) for n in range(20_000)])
    return [
        prolog(ALPHA),
        inventory(ALPHA, ("HARDWARE", {"NAME": "changed"})),
        large,
        report(ALPHA, package, "SUCCESS"),
        progress(ALPHA, package, 1),
        inventory(BETA),
    ]


def test_over_https_a_password_is_asked_for_and_the_right_one_answered(closed: Closed) -> None:
    before = closed.kept()
    for xml in messages(closed.package):
        for authorization in ("", closed.wrong, "Bearer x", "Basic", "Basic !", f"basic {'A' * 3000}"):
            answer = closed.post(xml, authorization)
            assert (answer.status, answer.headers["www-authenticate"]) == (401, CHALLENGE), authorization
            assert len(answer.line) < 120
    assert closed.kept() == before, "what was refused has changed nothing"
    assert [closed.post(xml, closed.right).status for xml in messages(closed.package)] == [200] * 6
    stands = json.loads(must("package", "stats", closed.package, "--json", data=closed.server.data))
    assert stands["computers"][0]["status"] == "SUCCESS"
    must("computer", "delete", BETA, data=closed.server.data)


def test_over_http_a_password_is_refused_unread_and_https_named(closed: Closed) -> None:
    before = closed.kept()
    for xml in messages(closed.package):
        said = set()
        for authorization in ("", closed.right, closed.wrong, "Basic !"):
            answer = closed.post(xml, authorization, secure=False)
            assert (answer.status, "use https" in answer.line) == (403, True)
            assert "www-authenticate" not in answer.headers
            said.add(answer.line)
        assert len(said) == 1, "nothing tells right from wrong"
    assert closed.kept() == before
    assert rows(closed.server.data, "SELECT * FROM login_failure") == []


def test_wrong_passwords_end_in_503_for_seconds(closed: Closed) -> None:
    met = [closed.post(prolog(ALPHA), closed.wrong).status for _ in range(AGENT_TRIES + 3)]
    assert met[:AGENT_TRIES] == [401] * AGENT_TRIES
    assert 503 in met[AGENT_TRIES:]
    assert closed.post(prolog(ALPHA)).status == 401
    on_desk(closed.server.data, forgive)
    assert closed.post(prolog(ALPHA), closed.right).status == 200


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_agents_in_a_named_network_are_answered_and_no_header_says_where_one_is(closed: Closed, secure: bool) -> None:
    claims = {"X-Forwarded-For": "198.51.100.7", "Forwarded": "for=198.51.100.7", "X-Real-IP": "198.51.100.7"}
    on_desk(closed.server.data, set_setting, "IDENTITY_NETWORKS", "198.51.100.0/24 2001:db8::/32")
    refusal = 401 if secure else 403
    assert closed.post(prolog(ALPHA), secure=secure, **claims).status == refusal
    on_desk(closed.server.data, set_setting, "IDENTITY_NETWORKS", "198.51.100.0/24 127.0.0.0/8")
    for authorization in ("", closed.wrong, closed.right):
        assert closed.post(prolog(ALPHA), authorization, secure=secure).status == 200
    assert rows(closed.server.data, "SELECT used_at FROM agent_password") == [(None,)]


@pytest.mark.parametrize("mode", ["open", "observe", "protect"])
def test_in_other_modes_nobody_is_asked_and_a_wrong_password_is_as_good_as_none(closed: Closed, mode: str) -> None:
    on_desk(closed.server.data, set_setting, "IDENTITY_MODE", mode)
    for authorization in ("", closed.wrong, closed.right):
        for secure in (False, True):
            assert closed.post(prolog(ALPHA), authorization, secure=secure).status == 200


def test_downloads_are_as_ever_whatever_is_sent_with_them(closed: Closed, tmp_path: Path) -> None:
    server, content = closed.server, tmp_path / "two.tar.gz"
    subprocess.run(["tar", "-czf", content, "-C", tmp_path, "--files-from", "/dev/null"], check=True)
    words = ("--action", "store", "--path", "/tmp/x", "--file", str(content))
    package = build(server.data, "downloads", *words)
    must("package", "activate", package, "--unchecked", data=server.data)
    for authorization in ("", closed.wrong, closed.right):
        headers = {"Authorization": authorization} if authorization else {}
        for secure in (False, True):
            info = server.ask("GET", f"/download/{package}/info", None, headers, secure=secure)
            fragment = server.ask("GET", f"/download/{package}/{package}-1", None, headers, secure=secure)
            assert (info.status, fragment.status) == (200 if secure else 403, 200)
            assert fragment.body == content.read_bytes()
            assert "www-authenticate" not in {*info.headers, *fragment.headers}
    assert rows(server.data, "SELECT used_at FROM agent_password") == [(None,)]
    assert rows(server.data, "SELECT * FROM login_failure") == []
    must("package", "delete", package, data=server.data)


# Our own agent


def agent(folder: Path, *words: str, code: int = 0) -> str:
    line = [sys.executable, *command("agent", *words, "--basedir", str(folder))[1:]]
    done = subprocess.run(
        line, capture_output=True, text=True, env=environment(), timeout=120, stdin=subprocess.DEVNULL
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def test_our_agent_gets_in_by_certificate_or_by_password(closed: Closed, tmp_path: Path) -> None:
    server = closed.server
    joined = tmp_path / "joined"
    agent(joined, "join", must("computer", "token", data=server.data))
    agent(joined, "--once")
    (member,) = [one for (one,) in rows(server.data, "SELECT device_id FROM computer JOIN member ON computer_id = id")]
    assert closed.post(prolog(member), closed.right).status == 403, "a password is no certificate"
    must("computer", "delete", member, data=server.data)
    bundle = tmp_path / "cacert.pem"
    bundle.write_text(server.authority)
    there = ("--once", "--ca", str(bundle), "--server", f"https://127.0.0.1:{server.https}")
    brought = ("--user", closed.name, "--password", closed.password)
    before = closed.kept()
    assert "401" in agent(tmp_path / "nobody", *there, code=1)
    assert "401" in agent(tmp_path / "elsewhere", *there, *brought, "--realm", "Another area", code=1)
    assert "401" in agent(tmp_path / "wrong", *there, *brought[:3], closed.password[1:], code=1)
    plain = ("--once", "--ca", str(bundle), "--server", f"127.0.0.1:{server.http}")
    assert "403" in agent(tmp_path / "plain", *plain, *brought, code=1)
    assert closed.kept() == before
    agent(tmp_path / "base", *there, *brought, "--realm", "OCS Inventory agent area")
    ((number,),) = rows(server.data, "SELECT count(*) FROM computer WHERE device_id <> ?", ALPHA)
    assert number == 1
    for (name,) in rows(server.data, "SELECT device_id FROM computer WHERE device_id <> ?", ALPHA):
        must("computer", "delete", name, data=server.data)
