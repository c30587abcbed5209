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

from appliance.domain.refusal import Kind, Refusal
from appliance.trust import contexts, probe
from appliance.trust.authority import Issued, issue_server, make_authority

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


def look(
    port: int | None, authority: Issued, *, scheme: str = "http", host: str = "127.0.0.1", largest: int = 100
) -> str:
    return probe.digest(
        scheme, host, port, "/download/1/info", authority=authority.certificate, largest=largest, field="info-url"
    )


def met(*where: object, **how: object) -> str:
    with pytest.raises(Refusal) as caught:
        look(*where, **how)  # type: ignore[arg-type]
    assert caught.value.kind is Kind.UNREACHABLE
    assert caught.value.field == "info-url"
    text = str(caught.value)
    assert text.startswith("info-url: http")
    assert "\n" not in text
    return text


def test_the_digest_of_what_is_there(authority: Issued, tls: ssl.SSLContext) -> None:
    body = b"x" * 100
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + body
    with answering(answer) as port:
        assert look(port, authority) == hashlib.sha256(body).hexdigest()
    with answering(answer, tls) as port:
        assert look(port, authority, scheme="https") == hashlib.sha256(body).hexdigest()


def test_a_body_that_stops_short_has_another_digest(authority: Issued) -> None:
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort") as port:
        assert look(port, authority) == hashlib.sha256(b"short").hexdigest()


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (b"HTTP/1.1 404 Nope\r\nContent-Length: 0\r\n\r\n", "answers 404 (not found)"),
        (b"HTTP/1.1 403 Nope\r\nContent-Length: 0\r\n\r\n", "answers 403 (forbidden)"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", "answers 302 (Found)"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 101, "sends more than the 100 bytes"),
        (b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n", "cannot be reached: SSH-2.0-OpenSSH"),
        (b"", "cannot be reached: Remote end closed connection"),
    ],
)
def test_what_answers_otherwise_is_named(authority: Issued, answer: bytes, sentence: str) -> None:
    with answering(answer) as port:
        assert sentence in met(port, authority)


def test_a_server_that_does_not_answer_is_left_after_some_seconds(
    authority: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "SECONDS", 0.1)
    with answering(None) as port:
        assert "does not answer within" in met(port, authority)


def test_a_closed_port_and_an_unknown_name(authority: Issued) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert "Connection refused" in met(port, authority)
    assert "has a host name that does not resolve" in met(80, authority, host="no-such-host.invalid")


def test_what_agents_would_refuse_about_tls(authority: Issued, tls: ssl.SSLContext) -> None:
    with answering(b"", tls) as port:
        assert "certificate that agents refuse: unable to get local issuer" in met(
            port, make_authority(NOW), scheme="https"
        )
    with answering(b"", tls) as port:
        text = met(port, authority, scheme="https", host="localhost")
        assert "certificate that agents refuse: Hostname mismatch" in text
    with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        assert "does not speak TLS as agents do" in met(port, authority, scheme="https")
