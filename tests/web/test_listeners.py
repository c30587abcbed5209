"""Three listeners and one process: who serves what, health, the start, and the end."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import time
from pathlib import Path

import pytest

from appliance.operations.certificates import export_authority
from appliance.server import STOP_SECONDS
from appliance.web import app
from tests.fakes.appliance import (
    SECONDS,
    build,
    command,
    device,
    environment,
    must,
    on_desk,
    prolog,
    rows,
    say,
    serving,
    until,
)
from tests.web.conftest import Site

BODY = prolog(device("late"))
HEAD = b"POST /ocsinventory HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"


@pytest.fixture(scope="session")
def stocked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with certificates and a package, to copy from: keys take time."""
    data = tmp_path_factory.mktemp("stocked") / "data"
    build(data, "stocked")
    on_desk(data, export_authority)
    return data


@pytest.fixture
def data(stocked: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(stocked, tmp_path / "data"))


# Who serves what


def test_each_listener_prints_its_real_address(site: Site) -> None:
    server = site.server
    assert server.lines == [
        f"agents   http://127.0.0.1:{server.http}/ocsinventory\n",
        f"agents   https://127.0.0.1:{server.https}/ocsinventory\n",
        f"console  https://127.0.0.1:{server.console}/\n",
    ]
    assert server.post(prolog(device("known"))).status == 200
    assert server.post(prolog(device("known")), secure=True).status == 200
    assert server.ask("GET", "/", console=True).headers["location"] == "/sign-in?next=/"
    page = server.ask("GET", "/sign-in", console=True)
    assert (page.status, b"ocs.pyz" in page.body) == (200, True)
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_nothing_of_the_console_is_on_the_agents_listeners_and_the_other_way_round(site: Site) -> None:
    for secure in (False, True):
        for path in ("/", "/login", "/api/v1/packages"):
            assert site.server.get(path, secure=secure).status == 404
    for method, path in (
        ("POST", "/ocsinventory"), ("GET", site.url(1)), ("GET", f"/download/{site.package}/info"),
        ("GET", "/cacert.pem"), ("GET", "/ocs.pyz"),
    ):  # fmt: skip
        assert site.server.ask(method, path, b"", console=True).status == 404


def test_no_listener_tells_what_it_is_made_of(site: Site) -> None:
    for answer in (site.server.get("/healthz"), site.server.get("/nowhere", secure=True), site.server.get(site.url(1))):
        assert answer.headers["server"] == "ocs.pyz"
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_old_tls_is_refused(site: Site) -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("AES128-SHA:AES256-SHA")
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection(("127.0.0.1", site.server.https), timeout=SECONDS) as plain,
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        old.wrap_socket(plain)
    assert site.server.get("/healthz", secure=True).status == 200


# Health


def test_healthy_everywhere_and_not_when_the_fragments_are_gone(data: Path) -> None:
    with serving(data) as server:
        for secure, console in ((False, False), (True, False), (False, True)):
            answer = server.ask("GET", "/healthz", secure=secure, console=console)
            assert (answer.status, answer.body) == (200, b"ok\n")
        (data / "fragments").rename(data.parent / "away")
        answer = server.get("/healthz")
        assert (answer.status, answer.line) == (503, "the database or the fragments cannot be read")
        (data.parent / "away").rename(data / "fragments")
        assert server.get("/healthz").status == 200


def test_a_database_held_by_somebody_else_is_busy_and_the_server_lives(data: Path) -> None:
    with serving(data) as server:
        other = sqlite3.connect(data / "ocs.sqlite", isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        assert server.get("/healthz").status == 200, "readers go on"
        with server.connect() as link:
            link.settimeout(0.2)
            link.sendall(HEAD % len(BODY) + BODY)
            with pytest.raises(TimeoutError):
                link.recv(1000)
            assert server.get("/healthz").status == 200
            other.execute("ROLLBACK")
            link.settimeout(SECONDS)
            assert link.recv(1000).startswith(b"HTTP/1.1 200 ")
        other.close()


# The start


KEPT = {"ocs.sqlite", "ocs.sqlite-sums", "fragments"}


def test_a_first_start_makes_everything(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(data) as server:
        assert {path.name for path in data.iterdir()} == {*KEPT, "ocs.sqlite-wal", "ocs.sqlite-shm"}
        for path in (data, *data.iterdir()):
            assert path.stat().st_mode & 0o077 == 0, path
        assert (server.stop(), server.errors()) == (0, "")
    assert {path.name for path in data.iterdir()} == KEPT


def test_a_new_server_name_comes_into_the_certificate_at_the_next_start_and_the_authority_stays(data: Path) -> None:
    before = must("tls", "export-ca", data=data)
    with serving(data, "--server-name", "ocs.example.org", "--server-name", "2001:db8::1") as server:
        with (
            socket.create_connection(("127.0.0.1", server.https)) as plain,
            server.context.wrap_socket(plain, server_hostname="ocs.example.org") as link,
        ):
            shown = link.getpeercert()
        assert shown
        names = {name for _, name in shown["subjectAltName"]}
        assert server.get("/cacert.pem", secure=True).body.decode().strip() == before
        assert {"ocs.example.org", "127.0.0.1", "localhost", "2001:DB8:0:0:0:0:0:1"} <= names


def ended(*words: str | Path) -> tuple[int, str, float]:
    begun = time.monotonic()
    done = subprocess.run(
        command("serve", "--listen", "127.0.0.1", *words),
        capture_output=True,
        text=True,
        env=environment(),
        timeout=SECONDS,
    )
    assert done.stdout == ""
    return done.returncode, done.stderr, time.monotonic() - begun


def test_a_second_server_on_the_same_data_is_refused(data: Path) -> None:
    with serving(data) as server:
        code, errors, _ = ended("--data", data, "--http-port", "0", "--https-port", "0", "--console-port", "0")
        assert (code, errors) == (
            1,
            f"ocs.pyz: another server runs on {data}; stop it first, or choose another --data directory.\n",
        )
        assert server.get("/healthz").status == 200
        server.process.send_signal(signal.SIGKILL)
        server.process.wait(SECONDS)
    with serving(data) as server:
        assert server.get("/healthz").status == 200, "a lock does not outlive its process"


def test_a_port_in_use_is_one_sentence_and_the_process_ends(data: Path) -> None:
    option = "--console-port"  # the last one: the others are open by then
    ports = {"--http-port": "0", "--https-port": "0", "--console-port": "0"}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports[option] = str(taken.getsockname()[1])
        code, errors, seconds = ended("--data", data, *(word for pair in ports.items() for word in pair))
    assert code == 1
    where = f"cannot listen on 127.0.0.1 port {ports[option]}"
    said = [line for line in errors.splitlines() if line.startswith("ocs.pyz: ")]
    assert said == [f"ocs.pyz: {where}: Address already in use; choose another address or port."]
    assert "Traceback" not in errors
    assert seconds < 10


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("--listen", "192.0.2.1"), 1, "cannot listen on 192.0.2.1"),
        (("--listen", "no such host"), 1, "cannot listen on no such host"),
        (("--listen", "a..b"), 1, "cannot listen on a..b"),
        (("--server-name", "ocs.example.org:4343"), 1, "server-name: 'ocs.example.org:4343' is neither a DNS name"),
        (("--server-name", ""), 1, "server-name: "),
        (("--server-name", "a b"), 1, "server-name: "),
        (("--server-name", "a..b"), 1, "server-name: "),
        (("--server-name", "-x.example.org"), 2, "expected one argument"),
        (("--server-name", "x\n"), 1, "server-name: "),
        (("--http-port", "65536"), 2, "is no port"),
        (("--http-port", "http"), 2, "is no port"),
        (("--data", "/dev/null"), 1, "the data directory /dev/null cannot be used"),
        (("--data", "/proc/nowhere"), 1, "the data directory /proc/nowhere cannot be used"),
    ],
)
def test_what_cannot_be_served_is_refused_at_the_start(
    data: Path, words: tuple[str, str], code: int, sentence: str
) -> None:
    ports = ("--http-port", "0", "--https-port", "0", "--console-port", "0")
    line = [*ports, *words] if "--data" in words else [*ports, "--data", str(data), *words]
    said = say("serve", *line)
    assert said.code == code
    assert sentence in said.err
    assert "Traceback" not in said.err


# The end


def test_sigterm_finishes_running_requests_and_takes_no_new_ones(data: Path) -> None:
    with serving(data) as server:
        links = [server.connect(), server.connect(secure=True)]
        idle = server.connect()
        for link in links:
            link.sendall(HEAD.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n") % len(BODY))
            assert link.recv(1000).startswith(b"HTTP/1.1 100 "), "the server works on it"
            link.sendall(BODY[:10])
        begun = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        until(lambda: "stopping" in server.log.read_text(), "it begins to stop")
        until(lambda: _refuses(server.http), "no new connection on the first listener")
        until(lambda: _refuses(server.https), "nor on the second")
        for link in links:
            link.sendall(BODY[10:])
            assert link.recv(1000).startswith(b"HTTP/1.1 200 ")
            link.close()
        assert server.process.wait(10) == 0
        assert time.monotonic() - begun < 10
        idle.close()


def test_sigterm_ends_within_ten_seconds_whoever_hangs_on(data: Path) -> None:
    assert app.DRAIN_SECONDS + app.SHUTDOWN_SECONDS < STOP_SECONDS < 10
    assert app.DRAIN_SECONDS > 5
    hurry = "from appliance.web import app; app.DRAIN_SECONDS, app.SHUTDOWN_SECONDS = 0.2, 0.1"
    with serving(data, first=hurry) as server:
        links = [server.connect(), server.connect(secure=True)]
        for link in links:
            link.sendall(HEAD.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n") % 1000)
            assert link.recv(1000).startswith(b"HTTP/1.1 100 ")
        begun = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(SECONDS) == 0
        assert 0.2 < time.monotonic() - begun < 0.3 + 3
        for link in links:
            link.close()
    assert rows(data, "PRAGMA integrity_check") == [("ok",)]


def test_a_server_that_starts_sweeps_what_a_killed_build_left_and_ctrl_c_ends_it(data: Path) -> None:
    (data / "fragments" / "1900000000.building").mkdir()
    (data / "fragments" / "1900000001").mkdir()
    with serving(data) as server:
        assert len(list((data / "fragments").iterdir())) == 1
        assert re.findall(r"removed (\S+), which", server.log.read_text()) == ["1900000000.building", "1900000001"]
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(SECONDS) == 0


def test_what_the_server_found_out_is_proposed_after_it_ended(data: Path) -> None:
    with serving(data) as server:
        port = server.https
        assert server.stop() == 0
    package = json.loads(must("package", "list", "--json", data=data))[0]["id"]
    must("package", "activate", package, "--unchecked", data=data)
    (shown,) = json.loads(must("package", "show", package, "--json", data=data))["activations"]
    assert shown["info_url"] == f"127.0.0.1:{port}/download"


def _refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except ConnectionRefusedError:
        return True
    return False
