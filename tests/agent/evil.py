"""A small real server that can be told to misbehave, and certificates of every kind, made anew for each run.

`Depot` is a whole appliance made of two of them, with a script of what goes wrong at which request.
"""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import socket
import socketserver
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from appliance.domain.messages import InventoryReply, PrologReply, Report
from appliance.domain.messages import Prolog as PrologRequest
from appliance.domain.tempo import Tempo
from appliance.wire import contact
from tests.agent.kit import FAST, Built

HTML = b"<!DOCTYPE html><html><body>Please accept the terms of this hotel</body></html>"


class Authority:
    """A CA in memory that signs what it is asked to."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.name = name
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._sign(name, self.key, None, days=(-1, 30), ca=True)
        self.bundle = folder / f"{name}.pem"
        self.bundle.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def context(self, host: str = "127.0.0.1", *, days: tuple[int, int] = (-1, 30)) -> ssl.SSLContext:
        """What a server of that name shows; `days` from today to its begin and its end."""
        key = ec.generate_private_key(ec.SECP256R1())
        return self._context(self._sign(host, key, host, days=days, ca=False), key)

    def self_signed(self, host: str = "127.0.0.1") -> ssl.SSLContext:
        """What a server shows that has made a certificate for itself."""
        itself = Authority(self.folder, host)
        return self._context(itself._sign(host, itself.key, host, days=(-1, 30), ca=False), itself.key)

    def _context(self, leaf: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> ssl.SSLContext:
        path = self.folder / f"{leaf.serial_number}.pem"
        path.write_bytes(
            leaf.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _sign(
        self, name: str, key: ec.EllipticCurvePrivateKey, host: str | None, *, days: tuple[int, int], ca: bool
    ) -> x509.Certificate:
        now = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=time.time())  # UTC, also on Python 3.9
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + datetime.timedelta(days=days[0]))
            .not_valid_after(now + datetime.timedelta(days=days[1]))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if host:
            try:
                names: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
            except ValueError:
                names = x509.DNSName(host)
            builder = builder.add_extension(x509.SubjectAlternativeName([names]), critical=False)
        return builder.sign(self.key, hashes.SHA256())


@dataclass
class Site:
    """One listener. `answers` maps a path to bytes, or to a function that does with the request what it likes."""

    address: str = ""
    answers: dict[str, bytes | Callable[[Handler], None]] = field(default_factory=dict)
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    connections: int = 0
    released: threading.Event = field(default_factory=threading.Event)


class Handler(BaseHTTPRequestHandler):
    """Looks the answer up."""

    server_version, sys_version = "ocs.pyz", ""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    site: Site

    def setup(self) -> None:
        self.site.connections += 1
        super().setup()

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        self.site.requests.append((self.command, self.path, dict(self.headers.items()), body))
        answer = self.site.answers.get(self.path.partition("?")[0], 404)
        if callable(answer):
            answer(self)
        elif isinstance(answer, bytes):
            self.reply(200, answer)
        else:
            self.reply(404, b"no such thing")

    do_POST = do_GET
    do_CONNECT = do_GET

    def reply(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def ranged(self, data: bytes) -> None:
        """As an honest server does it."""
        start = int(self.headers.get("Range", "bytes=0-").partition("=")[2].rstrip("-"))
        if start:
            self.reply(206, data[start:], Content_Range=f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            self.reply(200, data)

    def drip(self) -> None:
        """One byte at a time, far apart, until the test is over."""
        while not self.site.released.wait(0.05):
            self.wfile.write(b"x")
            self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64
    context: ssl.SSLContext | None = None

    def finish_request(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override]
        if self.context is not None:
            request = self.context.wrap_socket(request, server_side=True)
        with contextlib.closing(request):
            super().finish_request(request, client_address)  # type: ignore[arg-type]

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that leave are what these tests are about."""


@contextlib.contextmanager
def serving(context: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Iterator[Site]:
    """A listener on a free port, with TLS when there is a context."""
    site = Site()
    handler = type("OneHandler", (Handler,), {"site": site})
    with _Server((host, 0), handler) as server:
        server.context = context
        site.address = f"{host}:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield site
        finally:
            site.released.set()
            server.shutdown()
            thread.join()


# A whole appliance that misbehaves by a script

Fault = Callable[[Handler, bytes], None]  # gets the request, and what an honest server would answer


def answering(status: int, body: bytes = b"", **headers: str) -> Fault:
    """Another answer than the honest one."""
    return lambda request, _: request.reply(status, body, **headers)


def changed(change: Callable[[bytes], bytes]) -> Fault:
    """The honest answer with other bytes in it."""
    return lambda request, honest: request.reply(200, change(honest))


def flipped(honest: bytes) -> bytes:
    """One bit in the middle is another."""
    middle = len(honest) // 2
    return honest[:middle] + bytes([honest[middle] ^ 1]) + honest[middle + 1 :]


def cut_off(request: Handler, honest: bytes) -> None:
    """The connection ends after half of what was promised."""
    request.send_response(200)
    request.send_header("Content-Length", str(len(honest)))
    request.end_headers()
    request.wfile.write(honest[: len(honest) // 2])
    request.close_connection = True


def hung_up(request: Handler, _: bytes) -> None:
    """Not a word."""
    request.close_connection = True


def endless(request: Handler, _: bytes) -> None:
    """Bytes until nobody takes them any more."""
    request.send_response(200)
    request.end_headers()
    with contextlib.suppress(OSError):
        while not request.site.released.is_set():
            request.wfile.write(b"x" * 65536)
    request.close_connection = True


def dripping(request: Handler, honest: bytes) -> None:
    """One byte now and then."""
    request.send_response(200)
    request.send_header("Content-Length", str(len(honest)))
    request.end_headers()
    with contextlib.suppress(OSError):
        request.drip()
    request.close_connection = True


FAULTS: dict[str, Fault] = {
    "one bit": changed(flipped),
    "other bytes of the same length": changed(lambda honest: bytes(len(honest))),
    "a byte less": changed(lambda honest: honest[:-1]),
    "a byte more": changed(lambda honest: honest + b"x"),
    "nothing": answering(200),
    "the page of a hotel": answering(200, HTML, Content_Type="text/html"),
    "not modified": answering(304),
    "gone": answering(404, HTML),
    "forbidden": answering(403),
    "a redirect": answering(302, b"", Location="http://127.0.0.1:9/evil"),
    "a permanent redirect to a file": answering(301, b"", Location="file:///etc/passwd"),
    "an error": answering(500, b"<h1>oops</h1>"),
    "too busy": answering(503, b"", Retry_After="1"),
    "a status that nobody knows": answering(299, b"x"),
    "cut off": cut_off,
    "hung up": hung_up,
    "without an end": endless,
    "a byte now and then": dripping,
    "packed": lambda request, honest: request.reply(200, zlib.compress(honest), Content_Encoding="deflate"),
    "in chunks": lambda request, honest: request.reply(
        200, b"%x\r\n%s\r\n0\r\n\r\n" % (len(honest), honest), Transfer_Encoding="chunked", Content_Length="9"
    ),
    "another part": lambda request, honest: request.reply(206, honest[1:], Content_Range="bytes 1-9/10"),
    "garbage": lambda request, _: request.wfile.write(b"\0\xff garbage\r\n\r\n") and None,
}


@dataclass
class Depot:
    """An appliance of two listeners: contacts and fragments over HTTP, info and manifest over TLS.

    `script`: what goes wrong at the next requests for something ("prolog", "result", "inventory", "info", "manifest",
    "fragment 3"), one fault for each; then it is honest. `always`: what goes wrong each time.
    """

    plain: Site
    secure: Site
    script: dict[str, list[Fault]] = field(default_factory=dict)
    always: dict[str, Fault] = field(default_factory=dict)
    tempo: Tempo = FAST
    packages: dict[str, Built] = field(default_factory=dict)
    finished: dict[str, list[str]] = field(default_factory=dict)  # by package, the codes that were taken
    asked: list[str] = field(default_factory=list)  # for what, in order

    def __post_init__(self) -> None:
        self.plain.answers["/ocsinventory"] = self._contact

    def add(self, *built: Built) -> None:
        """Announce packages from the next contact on."""
        for one in built:
            pack = replace(
                one.pack,
                info_location=f"{self.secure.address}/download",
                fragment_location=f"{self.plain.address}/download",
            )
            self.packages[one.id] = replace(one, pack=pack)
            files = {"info": one.raw_info, "manifest": one.raw_manifest}
            for name, content in files.items():
                if content is not None:
                    self.secure.answers[f"/download/{one.id}/{name}"] = self._file(one, name)
            for number in range(1, len(one.fragments) + 1):
                self.plain.answers[f"/download/{one.id}/{one.id}-{number}"] = self._file(one, f"fragment {number}")

    def count(self, what: str) -> int:
        """How often something was asked for."""
        return self.asked.count(what)

    def _file(self, one: Built, name: str) -> Callable[[Handler], None]:
        def answer(request: Handler) -> None:
            if name in ("info", "manifest"):
                honest = (one.raw_info if name == "info" else one.raw_manifest) or b""
                self._answer(request, name, honest)
            else:
                self._answer(request, name, one.fragments[int(name.split()[1]) - 1])

        return answer

    def _answer(self, request: Handler, name: str, honest: bytes) -> None:
        self.asked.append(name)
        planned = self.script.get(name, [])
        fault = planned.pop(0) if planned else self.always.get(name)
        if fault is not None:
            fault(request, honest)
        elif name.startswith("fragment"):
            request.ranged(honest)
        else:
            request.reply(200, honest)

    def _contact(self, request: Handler) -> None:
        body = request.site.requests[-1][3]
        message = contact.decode_request(zlib.decompress(body))
        if isinstance(message, PrologRequest):
            packs = tuple(one.pack for one in self.packages.values() if one.id not in self.finished)
            reply = contact.encode_reply(PrologReply(False, 24, True, self.tempo, packs))
            self._answer(request, "prolog", zlib.compress(reply))
        elif isinstance(message, Report):
            if not self.script.get("result") and "result" not in self.always:
                self.finished.setdefault(message.package, []).append(message.code)
            self._answer(request, "result", b"")
        else:
            self._answer(request, "inventory", zlib.compress(contact.encode_reply(InventoryReply(None))))
