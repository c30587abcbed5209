"""Joining over real sockets: the agent and a server, an evil server, and every credential at every listener."""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.domain.account import Profile, Role
from appliance.operations.accounts import create_user
from appliance.operations.agent_passwords import make_password, revoke_password
from appliance.operations.configure import set_setting
from appliance.operations.desk import Desk
from appliance.operations.rotation import finish_rotation, rotate_authority
from appliance.trust.authority import Issued, issue_server, make_authority
from appliance.trust.membership import issue_member
from appliance.web.api.routes import routes as api_routes
from appliance.web.console.routes import routes as console_routes
from appliance.wire import basic, envelope
from appliance.wire.basic import Credentials
from appliance.wire.joining import Application, Token, decode_membership, decode_token, encode, encode_token
from tests.agent.evil import Authority
from tests.agent.evil import serving as evil_serving
from tests.fakes.appliance import (
    SECONDS,
    Answer,
    Running,
    build,
    command,
    device,
    environment,
    inventory,
    must,
    on_desk,
    prolog,
    report,
    rows,
    serving,
    until,
)
from tests.pythons import interpreters

ALPHA, BETA = device("alpha"), device("beta")
NOW = 1_795_206_923


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("joining") / "data") as running:
        yield running


def token(server: Running, *words: str) -> str:
    return must("computer", "token", *words, data=server.data)


@dataclass
class Computer:
    """A base directory, and the agent over it as a process."""

    folder: Path
    python: Path | None = None

    def agent(self, *words: str, code: int = 0) -> str:
        line = [str(self.python or command()[0]), *command("agent", *words, "--basedir", str(self.folder))[1:]]
        done = subprocess.run(
            line, capture_output=True, text=True, env=environment(), timeout=120, stdin=subprocess.DEVNULL
        )
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    @property
    def member(self) -> Path:
        return self.folder / "member.pem"


def members(server: Running) -> list[str]:
    sql = "SELECT device_id FROM computer JOIN member ON computer_id = id ORDER BY 1"
    return [name for (name,) in rows(server.data, sql)]


PYTHONS = [pytest.param(path, id=".".join(map(str, version))) for version, path in interpreters()]


@pytest.mark.parametrize("python", PYTHONS)
def test_an_agent_joins_and_deploys_with_its_certificate_only(server: Running, tmp_path: Path, python: Path) -> None:
    computer = Computer(tmp_path / "base", python)
    assert "This computer joined https://127.0.0.1" in computer.agent("join", token(server, "--tag", "SALES"))
    assert computer.member.stat().st_mode & 0o777 == 0o600
    own = computer.member.read_text().split()[1]
    assert own in members(server)
    computer.agent("--once")
    (row,) = [one for one in json.loads(must("computer", "list", "--json", data=server.data)) if one["deviceid"] == own]
    assert (row["identity"], row["tag"], row["last_inventory"] is None) == ("joined", "SALES", False)
    package = build(server.data, f"touched {tmp_path.name}", "--action", "execute", "--command", f"touch {tmp_path}/it")
    must("package", "activate", package, "--unchecked", data=server.data)
    must("package", "affect", package, "--computer", own, data=server.data)
    for knob in ("DOWNLOAD_CYCLE_LATENCY", "DOWNLOAD_FRAG_LATENCY"):
        must("config", "set", knob, "0", data=server.data)
    computer.agent("--once")
    assert (tmp_path / "it").exists()
    stands = json.loads(must("package", "stats", package, "--json", data=server.data))
    assert "SUCCESS" in json.dumps(stands)
    for post in (prolog(own), inventory(own), report(own, package, "ERR_EXECUTE")):  # type: ignore[arg-type]
        for secure in (False, True):
            answer = server.post(post, secure=secure)
            assert (answer.status, "joined" in answer.line) == (403, True)
    assert "joined already" in computer.agent("join", token(server), code=1)
    must("computer", "delete", own, data=server.data)
    assert "join again" in computer.agent("--once", code=1) or "403" in computer.agent("--once", code=1)


def test_an_agent_that_joined_renews_its_certificate_by_itself(server: Running, tmp_path: Path) -> None:
    computer = Computer(tmp_path / "base")
    computer.agent("join", token(server))
    computer.agent("--once")
    before = computer.member.read_text()
    due = "".join(
        "renew-after: 1\n" if line.startswith("renew-after") else line for line in before.splitlines(keepends=True)
    )
    computer.member.write_text(due)
    assert "is renewed" in computer.agent("--once")
    after = computer.member.read_text()
    assert after.partition("-----")[2] != before.partition("-----")[2]
    computer.member.write_text(before)
    assert "403" in computer.agent("--once", code=1), "the former one is void once the new one was used"
    computer.member.write_text(after)
    computer.agent("--once")
    must("computer", "delete", after.split()[1], data=server.data)


# Who is not the server hears nothing


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("evil"), "evil")


@pytest.mark.parametrize(
    "shows", ["another authority", "the real cacert.pem", "the real one and its own", "nothing", "too much"]
)
def test_another_server_is_told_nothing(server: Running, tmp_path: Path, authority: Authority, shows: str) -> None:
    real = decode_token(token(server))
    its_own, bundle = authority.bundle.read_bytes(), server.get("/cacert.pem", secure=True).body
    bodies = {
        "another authority": its_own,
        "the real cacert.pem": bundle,
        "the real one and its own": its_own + bundle,  # only what the token names may verify it
        "nothing": b"",
        "too much": b"x" * 300_000,
    }
    assert real.authorities == (hashlib.sha256(ssl.PEM_cert_to_DER_cert(bundle.decode())).hexdigest(),)
    computer = Computer(tmp_path / "base")
    with evil_serving(authority.context()) as evil:
        evil.answers["/cacert.pem"] = bodies[shows]
        said = computer.agent("join", encode_token(Token(evil.address, real.authorities, real.secret)), code=1)
    assert "did not join" in said
    assert [(method, path, body) for method, path, _, body in evil.requests] == [("GET", "/cacert.pem", b"")]
    assert real.secret not in repr(evil.requests)
    assert not computer.member.exists()
    assert not (computer.folder / "cacert.pem").exists()


@pytest.mark.parametrize("word", ["", "ocs-join-", "ocs-join-!!!!", "x" * 3000, "ocs-join-YWJj"])
def test_what_is_no_token_is_refused_before_anything_is_asked(tmp_path: Path, word: str) -> None:
    said = Computer(tmp_path / "base").agent("join", word, code=1 if word else 2)
    assert "token" in said


@pytest.mark.parametrize("why", ["used up", "ended", "unknown"])
def test_a_token_that_is_worth_nothing_is_refused_in_one_sentence(server: Running, tmp_path: Path, why: str) -> None:
    word = token(server)
    real = decode_token(word)
    if why == "used up":
        Computer(tmp_path / "first").agent("join", word)
        (name,) = members(server)
        must("computer", "delete", name, data=server.data)
    elif why == "ended":
        rows_changed(server, "UPDATE join_token SET expires_at = 1")
    else:
        word = encode_token(Token(real.address, real.authorities, "x" * 43))
    assert "used up or has ended" in Computer(tmp_path / "base").agent("join", word, code=1)
    assert members(server) == []


def rows_changed(server: Running, sql: str) -> None:
    async def change(desk: object) -> None:
        async with desk.store.writing() as tx:  # type: ignore[attr-defined]
            await tx.run(sql)

    on_desk(server.data, change)


# Certificates


@dataclass(frozen=True)
class Pair:
    """A certificate with its key."""

    certificate: str
    private_key: str

    def offered(self, folder: Path, authority: str) -> ssl.SSLContext:
        path = folder / "pair.pem"
        path.write_text(f"{self.certificate}\n{self.private_key}\n")
        context = ssl.create_default_context(cadata=authority)
        context.load_cert_chain(path)
        return context


def asked(
    server: Running, context: ssl.SSLContext, method: str, path: str, body: bytes = b"", port: int = 0, **headers: str
) -> Answer:
    with socket.create_connection(("127.0.0.1", port or server.https), timeout=SECONDS) as plain:
        connection = http.client.HTTPConnection("127.0.0.1", timeout=SECONDS)
        connection.sock = context.wrap_socket(plain, server_hostname="127.0.0.1")
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())


def joined(server: Running, device_id: str) -> Pair:
    application = encode(Application(decode_token(token(server)).secret, device_id))
    answer = server.ask("POST", "/join", application, secure=True)
    assert answer.status == 200, answer.body
    given = decode_membership(answer.body)
    return Pair(given.certificate, given.private_key)


def authority_of(server: Running) -> Issued:
    ((certificate, key),) = rows(
        server.data, "SELECT certificate, private_key FROM credential WHERE name = 'authority'"
    )
    return Issued(certificate, key)


CREDENTIALS: dict[str, Callable[[Running, Pair], Pair | None]] = {
    "none": lambda *_: None,
    "its own": lambda _, own: own,
    "never handed out": lambda server, _: pair(issue_member(authority_of(server), ALPHA, clock())),
    "ended": lambda server, _: pair(issue_member(authority_of(server), ALPHA, clock() - 400 * 86_400)),
    "of another authority": lambda *_: pair(issue_member(make_authority(clock()), ALPHA, clock())),
    "the server's kind": lambda server, _: pair(issue_server(authority_of(server), ["127.0.0.1"], clock())),
}
REFUSED_BY_TLS = {"ended", "of another authority", "the server's kind"}


def pair(made: object) -> Pair:
    return Pair(made.certificate, made.private_key)  # type: ignore[attr-defined]


def clock() -> int:
    from appliance.clock import Clock

    return Clock().now()


@pytest.fixture(scope="module")
def alpha(server: Running) -> Pair:
    return joined(server, ALPHA)


@pytest.mark.parametrize("kind", CREDENTIALS)
def test_every_kind_of_certificate_opens_what_it_should_and_no_more(
    server: Running, alpha: Pair, tmp_path: Path, kind: str
) -> None:
    made = CREDENTIALS[kind](server, alpha)
    context = made.offered(tmp_path, server.authority) if made else server.context
    good = kind == "its own"

    def status(method: str, path: str, body: bytes = b"", port: int = 0, **headers: str) -> int:
        try:
            return asked(server, context, method, path, body, port, **headers).status
        except (ssl.SSLError, ConnectionError):
            return 0

    refusal = 0 if kind in REFUSED_BY_TLS else 403
    assert status("POST", "/ocsinventory", envelope.pack(prolog(ALPHA))) == (200 if good else refusal)
    assert status("POST", "/ocsinventory", envelope.pack(prolog(BETA))) == (
        200 if kind == "none" else refusal
    )  # fmt: skip
    renewal = encode(Application("", ALPHA))
    assert status("POST", "/join/renew", renewal) == (200 if good else refusal)
    # the console asks for no certificate, and none opens anything there
    for path in ("/", "/computers", "/identity", "/api/v1/computers"):
        assert status("GET", path, port=server.console) in (302, 303, 401)
    assert status("POST", "/join", encode(Application("x" * 43, BETA)), port=server.console) in (403, 404, 405)


def test_what_lets_a_person_in_opens_nothing_of_the_agents_and_nothing_goes_in_an_address(
    server: Running, alpha: Pair
) -> None:
    secret = decode_token(token(server)).secret
    application = encode(Application("y" * 43, BETA))
    for headers in (
        {"Authorization": f"Bearer {secret}"},
        {"Cookie": f"__Host-session={secret}; session={secret}"},
        {"X-CSRF-Token": secret},
    ):
        assert server.ask("POST", "/join", application, headers, secure=True).status == 403
        assert server.ask("POST", "/ocsinventory", envelope.pack(prolog(ALPHA)), headers, secure=True).status == 403
        for path in ("/api/v1/computers", "/"):
            assert server.ask("GET", path, None, headers, console=True).status in (302, 303, 401)
    for path in (f"/join?secret={secret}", f"/join/renew?secret={secret}&device_id={ALPHA}"):
        assert server.ask("POST", path, application, secure=True).status == 403
        assert server.ask("GET", path, None, secure=True).status == 405
    assert server.ask("POST", "/join", encode(Application(secret, BETA))).status == 404, "never over plain HTTP"
    assert secret not in server.log.read_text().replace(f"secret={secret}", "")


def test_a_password_for_agents_opens_their_address_in_mode_closed_and_nothing_else(
    server: Running, alpha: Pair, tmp_path: Path
) -> None:
    made = on_desk(server.data, make_password, "matrix")
    on_desk(server.data, create_user, Profile("anna", Role.ADMINISTRATOR), PASSWORD)
    brought = {"Authorization": basic.encode(Credentials(made.name, made.password))}
    on_desk(server.data, set_setting, "IDENTITY_MODE", "closed")
    try:
        beta = envelope.pack(prolog(BETA))
        assert server.ask("POST", "/ocsinventory", beta, brought, secure=True).status == 200
        for path in (f"/ocsinventory?user=matrix&password={made.password}", f"/ocsinventory?matrix:{made.password}"):
            assert server.ask("POST", path, beta, secure=True).status == 401, "never in an address"
        # neither for a computer that joined, nor with a certificate that is none, nor to join
        assert server.ask("POST", "/ocsinventory", envelope.pack(prolog(ALPHA)), brought, secure=True).status == 403
        never = pair(issue_member(authority_of(server), BETA, clock())).offered(tmp_path, server.authority)
        assert asked(server, never, "POST", "/ocsinventory", beta, 0, **brought).status == 403
        for body in (encode(Application("", ALPHA)), encode(Application(made.password, BETA))):
            for path in ("/join", "/join/renew"):
                answer = server.ask("POST", path, body, brought, secure=True)
                assert (answer.status, "www-authenticate" in answer.headers) == (403, False)
        # no address of the console and of the API answers otherwise than without it
        for method, path in everything_at_the_console():
            with_it, without = (server.ask(method, path, None, sent, console=True) for sent in (brought, {}))
            assert (with_it.status, with_it.headers.get("location")) == (
                without.status,
                without.headers.get("location"),
            ), path
            assert with_it.status in (302, 303, 401, 403, 404) or path in OPEN_TO_ALL, (path, with_it.status)
        # and what opens those is no password for agents
        for user, password in (("anna", PASSWORD), ("matrix", "x"), ("", made.password), (made.password, "matrix")):
            other = {"Authorization": basic.encode(Credentials(user, password))}
            assert server.ask("POST", "/ocsinventory", beta, other, secure=True).status == 401
        bearer = {"Authorization": f"Bearer {made.password}"}
        assert server.ask("POST", "/ocsinventory", beta, bearer, secure=True).status == 401
        assert server.ask("GET", "/api/v1/computers", None, bearer, console=True).status == 401
        assert made.password not in server.log.read_text().replace(f"password={made.password}", "")
    finally:
        on_desk(server.data, set_setting, "IDENTITY_MODE", None)
        on_desk(server.data, revoke_password, "matrix")


PASSWORD = "a long password of anna"
OPEN_TO_ALL = {"/sign-in", "/healthz", "/preferences", "/second-factor"}


def everything_at_the_console() -> Iterator[tuple[str, str]]:
    """Every address of the console and the API, with something in each of its places."""
    console = [(route.method, route.path) for route in console_routes()]
    api = [(route.method, route.pattern) for route in api_routes()]
    for method, path in console + api:
        yield method, re.sub(r"\{\w+(?::(?:[^{}]|\{[^{}]*\})*)?\}", "1" * 10, path)


def test_a_computers_certificate_is_no_servers(server: Running, alpha: Pair, tmp_path: Path) -> None:
    path = tmp_path / "server.pem"
    path.write_text(f"{alpha.certificate}\n{alpha.private_key}\n")
    shown = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    shown.load_cert_chain(path)
    with (
        evil_serving(shown) as site,
        socket.create_connection(("127.0.0.1", int(site.address.split(":")[1])), timeout=SECONDS) as plain,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        server.context.wrap_socket(plain, server_hostname="127.0.0.1")


def test_an_authority_that_is_bound_to_domains_lets_computers_prove_who_they_are(tmp_path: Path) -> None:
    now = clock()
    root = make_authority(now, ["ocs.example.org"])
    for name in ("pc-1", "pc.elsewhere.example.com", "x" * 200):
        made = issue_member(root, f"{name}-2026-01-31-09-30-00", now)
        server = issue_server(root, ["ocs.example.org"], now)
        assert shaken(tmp_path, root, server, made)


def shaken(folder: Path, root: Issued, server: Issued, member: object) -> bool:
    from appliance.trust.contexts import Front

    front = Front(server.certificate, server.private_key)
    front.trust(root.certificate)
    client = pair(member).offered(folder, root.certificate)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = front.agents.wrap_bio(to_server, to_client, server_side=True)
    there = client.wrap_bio(to_client, to_server, server_hostname="ocs.example.org")
    for side in (there, here, there, here):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return here.getpeercert(binary_form=True) is not None


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"null", b'{"secret":1,"device_id":"x"}', b"\xff", b"{" * 50_000,
                                  b'{"secret":"x","device_id":"../x"}', b"x" * 70_000])  # fmt: skip
def test_what_is_no_application_is_refused(server: Running, body: bytes) -> None:
    for path in ("/join", "/join/renew"):
        assert server.ask("POST", path, body, secure=True).status in (400, 413)


def test_the_mode_of_a_running_server_can_be_changed(server: Running) -> None:
    on_desk(server.data, set_setting, "IDENTITY_MODE", "closed")
    try:
        assert server.post(prolog(BETA)).status == 403
    finally:
        on_desk(server.data, set_setting, "IDENTITY_MODE", None)
    assert server.post(prolog(BETA)).status == 200


def test_a_change_of_authority_leaves_computers_that_joined_in_and_renews_their_certificates(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server:
        computer = Computer(tmp_path / "base")
        computer.agent("join", token(server))
        computer.agent("--once")
        before = computer.member.read_text()
        on_desk(server.data, rotate_authority)
        until(lambda: two(server), "both are shown")
        # one contact brings the new cacert.pem, the next one the new certificate
        until(lambda: "is renewed" in computer.agent("--once"), "the certificate is renewed")
        after = computer.member.read_text()
        computer.agent("--once")
        on_desk(server.data, finish)
        until(lambda: not two(server), "the old one is gone")
        computer.agent("--once")
        assert before.split()[1] == after.split()[1]
        assert computer.member.read_text() == after


def test_a_token_made_before_a_change_of_authority_is_good_while_cacert_pem_has_both(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server:
        before, late = token(server), token(server)
        on_desk(server.data, rotate_authority)
        until(lambda: shows_the_new(server), "the new one is taken up")
        during = token(server)
        for number, word in enumerate((before, during)):
            computer = Computer(tmp_path / f"base-{number}")
            assert "This computer joined" in computer.agent("join", word)
            assert (computer.folder / "cacert.pem").read_text().count("BEGIN CERTIFICATE") == 2
            computer.agent("--once")
            (name,) = members(server)
            must("computer", "delete", name, data=server.data)  # two in one second would have the same DEVICEID
        later = token(server)
        assert len(decode_token(later).authorities) == 1, "the one that goes is not named any more"
        on_desk(server.data, finish)
        until(lambda: not two(server), "the old one is gone")
        said = Computer(tmp_path / "late").agent("join", late, code=1)
        assert "changed its authority since" in said
        assert members(server) == []
        assert "This computer joined" in Computer(tmp_path / "later").agent("join", later)


def shows_the_new(server: Running) -> bool:
    """Whether a client that knows only the newest authority verifies the server."""
    newest = ssl.create_default_context(cadata=authority_of(server).certificate)
    try:
        return asked(server, newest, "GET", "/cacert.pem").status == 200
    except ssl.SSLCertVerificationError:
        return False


def two(server: Running) -> list[str]:
    with socket.create_connection(("127.0.0.1", server.https), timeout=SECONDS) as plain:
        link = server.context.wrap_socket(plain, server_hostname="127.0.0.1")
        link.sendall(b"GET /cacert.pem HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        data = b"".join(iter(lambda: link.recv(65536), b"")).decode()
    parts = data.split("-----BEGIN CERTIFICATE-----")[1:]
    return parts if len(parts) == 2 else []


async def finish(desk: Desk) -> None:
    await finish_rotation(desk, force=True)
