"""Looking at an address as an agent would: what is met is named, whatever answers there."""

from __future__ import annotations

import datetime
import hashlib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from appliance.domain.refusal import Kind
from appliance.trust import contexts, probe
from appliance.trust.authority import Issued, issue_server, make_authority
from appliance.trust.probe import Looked, Stage, Target

NOW = int(datetime.datetime.now(datetime.UTC).timestamp())


@pytest.fixture(scope="module")
def authority() -> Issued:
    return make_authority(NOW)


@pytest.fixture(scope="module")
def tls(authority: Issued) -> ssl.SSLContext:
    issued = issue_server(authority, ["127.0.0.1"], NOW)
    return contexts.server_context(issued.certificate, issued.private_key)


@contextmanager
def answering(answer: bytes | None, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """A server that reads a request and sends these bytes (None: nothing, and stays); the port."""
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            try:
                link, _ = listener.accept()
                with context.wrap_socket(link, server_side=True) if context else link as wrapped:
                    wrapped.recv(65536)
                    if answer is None:
                        done.wait(10)
                    else:
                        wrapped.sendall(answer)
            except OSError:
                pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        done.set()
        listener.close()
        thread.join(10)


BODY = b"x" * 100


def look(
    port: int | None,
    authority: Issued,
    *,
    scheme: str = "http",
    host: str = "127.0.0.1",
    largest: int = 100,
    body: bytes = BODY,
    own: bool = True,
) -> list[Looked]:
    """The steps, on a port that counts as our own unless told otherwise."""
    target = Target(scheme, host, port, "/download/1/info", "info-url", largest, hashlib.sha256(body).hexdigest())
    steps = probe.look(target, authority=authority.certificate, own_ports={port or 0} if own else set())
    assert all(step.refusal is None for step in steps[:-1]), "the first that fails is the last"
    return steps


def met(*where: object, **how: object) -> tuple[Stage, str]:
    last = look(*where, **how)[-1]  # type: ignore[arg-type]
    assert last.refusal
    assert (last.refusal.kind, last.refusal.field) == (Kind.UNREACHABLE, "info-url")
    assert "\n" not in str(last.refusal)
    return last.stage, str(last.refusal)


def test_all_steps_where_all_is_well(authority: Issued, tls: ssl.SSLContext) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + BODY
    with answering(answer) as port:
        steps = look(port, authority)
    assert [step.stage for step in steps] == [Stage.ADDRESS, Stage.CONNECTION, Stage.STATUS, Stage.CONTENT]
    with answering(answer, tls) as port:
        steps = look(port, authority, scheme="https")
    assert [step.stage for step in steps] == list(Stage)
    assert all(step.refusal is None for step in steps)


@pytest.mark.parametrize(
    ("answer", "stage", "sentence"),
    [
        (b"HTTP/1.1 404 Nope\r\nContent-Length: 0\r\n\r\n", Stage.STATUS, "is not there (404); copy the package"),
        (b"HTTP/1.1 403 Nope\r\nContent-Length: 0\r\n\r\n", Stage.STATUS, "is answered with 403; agents take 200"),
        (b"HTTP/1.1 302 F\r\nLocation: file:///etc/passwd\r\n\r\n", Stage.STATUS, "is answered with 302"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 101, Stage.CONTENT, "is not the file that was built"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort", Stage.CONTENT, "is not the file that was built"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", Stage.CONTENT, "is not the file that was built"),
        (b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n", Stage.STATUS, "does not answer as a web server does"),
        (b"", Stage.STATUS, "does not answer as a web server does"),
    ],
)
def test_what_answers_otherwise_is_named_and_never_quoted(
    authority: Issued, answer: bytes, stage: Stage, sentence: str
) -> None:
    with answering(answer) as port:
        found, text = met(port, authority)
    assert (found, sentence in text) == (stage, True), text
    for secret in ("SSH", "passwd", "Nope", "abc"):
        assert secret not in text


def test_a_server_that_does_not_answer_is_left_after_some_seconds(
    authority: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "SECONDS", 0.1)
    with answering(None) as port:
        assert "does not answer within" in met(port, authority)[1]


def test_a_closed_port_and_an_unknown_name(authority: Issued) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    stage, text = met(port, authority)
    assert (stage, "nothing listens at" in text) == (Stage.CONNECTION, True)
    stage, text = met(80, authority, host="no-such-host.invalid")
    assert (stage, "does not resolve" in text) == (Stage.ADDRESS, True)


def test_what_agents_would_refuse_about_tls(authority: Issued, tls: ssl.SSLContext) -> None:
    with answering(b"", tls) as port:
        stage, text = met(port, make_authority(NOW), scheme="https")
    assert (stage, "agents refuse (unable to get local issuer certificate)" in text) == (Stage.CERTIFICATE, True)
    with answering(b"", tls) as port:
        assert "agents refuse (Hostname mismatch" in met(port, authority, scheme="https", host="localhost")[1]
    with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        stage, text = met(port, authority, scheme="https")
    assert (stage, "does not speak TLS as agents do" in text) == (Stage.CERTIFICATE, True)


# It reaches nothing but depots (security.md A21, R32)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "0x7f000001", "2130706433", "::ffff:127.0.0.1"])
def test_another_service_on_this_machine_is_not_connected_to(authority: Issued, host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)
        stage, text = met(listener.getsockname()[1], authority, host=host, own=False)
        assert stage is Stage.ADDRESS
        assert "on this server itself" in text or "does not resolve" in text
        with pytest.raises(TimeoutError):
            listener.accept()


@pytest.mark.parametrize(
    ("host", "port", "sentence"),
    [
        ("169.254.169.254", 80, "no address that agents can fetch from"),
        ("0.0.0.0", 80, "no address that agents can fetch from"),
        ("224.0.0.1", 80, "no address that agents can fetch from"),
        ("255.255.255.255", 80, "no address that agents can fetch from"),
        ("fe80::1", 80, "no address that agents can fetch from"),
        ("::1", 22, "on this server itself"),
        ("192.0.2.1", 22, "port 22 belongs to another service"),
        ("192.0.2.1", 25, "port 25 belongs to another service"),
    ],
)
def test_addresses_and_ports_that_no_depot_has(authority: Issued, host: str, port: int, sentence: str) -> None:
    stage, text = met(port, authority, host=host, own=False)
    assert (stage, sentence in text) == (Stage.ADDRESS, True), text


def test_the_name_is_resolved_once(authority: Issued, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    real = socket.getaddrinfo

    def once(host: str, *rest: object, **more: object) -> object:
        asked.append(host)
        return real("127.0.0.1" if len(asked) == 1 else "127.0.0.2", *rest, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(socket, "getaddrinfo", once)
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + BODY) as port:
        assert look(port, authority, host="depot.example.org")[-1] == Looked(Stage.CONTENT)
    assert asked == ["depot.example.org"]
