"""A depot that is not ours: a small web server on loopback, over HTTP and HTTPS, that fails as it is told to."""

from __future__ import annotations

import os
import sqlite3
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from appliance.domain.package import Info
from appliance.trust import authority, contexts
from appliance.trust.authority import Issued
from appliance.wire import info as info_wire
from tests.whole.site import Site

FOLDER = "download"
BLOCK = b"\0" * 65536

Fault = Callable[[BaseHTTPRequestHandler, bytes], int]
"""Answers a GET of a file with these bytes: the status that it sent."""


class ForeignDepot:
    """Files by path, and a script: what to do at the next requests of a path instead of serving it as it is."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.scripts: dict[str, list[Fault]] = {}  # the last fault of a script stays
        self.seen: list[tuple[str, int]] = []  # path and status, in order
        self.closing = threading.Event()
        self.secure = self.plain = ""  # host:port/folder

    def put(self, package: str, name: str, data: bytes) -> None:
        """A file of a package, new or replaced."""
        self.files[path_of(package, name)] = data

    def remove(self, package: str, name: str) -> None:
        """The file is not there any more."""
        del self.files[path_of(package, name)]

    def copy(self, site: Site, package: str) -> None:
        """A package's folder, as product.md says that it may be copied to any web server."""
        for file in (site.folder / "data" / "fragments" / package).iterdir():
            self.put(package, file.name, file.read_bytes())

    def forge(self, info: Info, *fragments: bytes) -> None:
        """A package as a genuine server has it, without a manifest: such as our server would never build."""
        self.put(info.package, "info", info_wire.encode(info))
        for number, data in enumerate(fragments, 1):
            self.put(info.package, f"{info.package}-{number}", data)

    def fail(self, package: str, name: str, *faults: Fault) -> None:
        """At the next requests of that file these things happen, one after the other; the last one from then on."""
        self.scripts[path_of(package, name)] = list(faults)

    def requests(self, package: str) -> list[tuple[str, int]]:
        """File name and status of every request for a package so far."""
        below = path_of(package, "")
        return [(path.removeprefix(below), status) for path, status in self.seen if path.startswith(below)]

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """One GET."""
        script = self.scripts.get(handler.path, [honest])
        fault = script.pop(0) if len(script) > 1 else script[0]
        data = self.files.get(handler.path)
        status = status_of(404)(handler, b"") if data is None else fault(handler, data)
        self.seen.append((handler.path, status))


def path_of(package: str, name: str) -> str:
    """Where a file of a package lies."""
    return f"/{FOLDER}/{package}/{name}"


@contextmanager
def foreign_depot(signer: Issued) -> Iterator[ForeignDepot]:
    """A depot for 127.0.0.1, its certificate signed by that authority."""
    depot = ForeignDepot()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 20

        def do_GET(self) -> None:
            try:
                depot.answer(self)
            except OSError:
                self.close_connection = True  # the agent had heard enough

        def log_message(self, format: str, *values: object) -> None:
            pass

    issued = authority.issue_server(signer, ["127.0.0.1"], int(time.time()))
    context = contexts.server_context(issued.certificate, issued.private_key)
    with ExitStack() as stack:
        plain, secure = Listener(("127.0.0.1", 0), Handler), Listener(("127.0.0.1", 0), Handler)
        secure.context = context
        for listener in (plain, secure):
            threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
            stack.callback(listener.server_close)
            stack.callback(listener.shutdown)
        depot.plain, depot.secure = (f"127.0.0.1:{one.server_address[1]}/{FOLDER}" for one in (plain, secure))
        yield depot


class Listener(ThreadingHTTPServer):
    """One thread for each connection; the handshake is its business too, so that a stranger blocks nobody."""

    daemon_threads = True
    block_on_close = False
    context: ssl.SSLContext | None = None

    def finish_request(self, request: object, client_address: object) -> None:
        try:
            if self.context is not None:
                request = self.context.wrap_socket(request, server_side=True)  # type: ignore[arg-type]
            super().finish_request(request, client_address)  # type: ignore[arg-type]
        except OSError:
            pass  # it did not trust us, or left


def authority_of(site: Site) -> Issued:
    """The site's own authority with its key: what its agents trust."""
    at = f"file:{site.folder / 'data' / 'ocs.sqlite'}?mode=ro"
    database = sqlite3.connect(at, uri=True)
    try:
        row = database.execute("SELECT certificate, private_key FROM credential WHERE name = 'authority'").fetchone()
    finally:
        database.close()
    return Issued(*row)


def honest(handler: BaseHTTPRequestHandler, data: bytes) -> int:
    """As it should be."""
    return send(handler, 200, data)


def status_of(status: int) -> Fault:
    """This status and no file."""
    return lambda handler, _: send(handler, status, b"no\n")


def cut_short(handler: BaseHTTPRequestHandler, data: bytes) -> int:
    """The connection ends in the middle of the body."""
    begin(handler, 200, len(data))
    handler.wfile.write(data[: len(data) // 2])
    handler.close_connection = True
    return 200


def changed(handler: BaseHTTPRequestHandler, data: bytes) -> int:
    """One bit in the middle is another."""
    middle = len(data) // 2
    return send(handler, 200, data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])


def page(handler: BaseHTTPRequestHandler, _: bytes) -> int:
    """What captive portals and helpful proxies answer: a page, with 200."""
    return send(handler, 200, b"<!DOCTYPE html><html><body>Please log in</body></html>", "text/html")


def elsewhere(handler: BaseHTTPRequestHandler, _: bytes) -> int:
    """A redirect, which agents never follow."""
    handler.send_response(302)
    handler.send_header("Location", "http://127.0.0.1:1/")
    handler.send_header("Content-Length", "0")
    handler.end_headers()
    return 302


def endless(handler: BaseHTTPRequestHandler, _: bytes) -> int:
    """A body without a length that goes on until the agent leaves."""
    begin(handler, 200, None)
    handler.close_connection = True
    for _ in range(4096):  # 256 MiB: more than anybody may take
        handler.wfile.write(BLOCK)
    return 200


def slowly(handler: BaseHTTPRequestHandler, data: bytes) -> int:
    """All of it, in small pieces with rests between them."""
    begin(handler, 200, len(data))
    step = max(1, len(data) // 10)
    for start in range(0, len(data), step):
        handler.wfile.write(data[start : start + step])
        time.sleep(0.02)
    return 200


def send(handler: BaseHTTPRequestHandler, status: int, data: bytes, kind: str = "application/octet-stream") -> int:
    """A whole answer."""
    begin(handler, status, len(data), kind)
    handler.wfile.write(data)
    return status


def begin(
    handler: BaseHTTPRequestHandler, status: int, length: int | None, kind: str = "application/octet-stream"
) -> None:
    """Status and headers."""
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    if length is None:
        handler.send_header("Connection", "close")
    else:
        handler.send_header("Content-Length", str(length))
    handler.end_headers()


def is_root() -> bool:
    """Whether mounting may work."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


def written(path: Path) -> list[str]:
    """The lines of a file that a command appends to; none where it never ran."""
    return path.read_text().splitlines() if path.exists() else []
