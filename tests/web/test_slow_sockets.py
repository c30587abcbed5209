"""500 peers that are in no hurry, and beside them an agent and an administrator who notice nothing."""

from __future__ import annotations

import contextlib
import hashlib
import re
import select
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from appliance.web.gate import SPARE_SECONDS
from tests.fakes.appliance import SECONDS, Running, build, device, inventory, must, prolog, serving, until
from tests.fakes.archives import targz_of
from tests.web.console.conftest import prepared
from tests.web.console.kit import Browser

__all__ = ["prepared"]

IN_TIME = 2.0
MIB = 1024**2
HURRY = (
    "from appliance.web import app, gate; app.KEEPALIVE_SECONDS = gate.HANDSHAKE_SECONDS = 1.0; "
    "gate.BEGIN_SECONDS = gate.STUCK_SECONDS = gate.LOOK_SECONDS = 0.5"
)


@dataclass(frozen=True)
class Stock:
    """A data directory with an administrator and a package of one large fragment."""

    data: Path
    fragment: str


@pytest.fixture(scope="module")
def stocked(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Stock:
    folder = tmp_path_factory.mktemp("slow")
    data = Path(shutil.copytree(prepared, folder / "data"))
    noise = b"".join(hashlib.sha256(b"%d" % n).digest() for n in range(400_000))  # 12.8 MB that do not compress
    archive = folder / "a.tar.gz"
    archive.write_bytes(targz_of({"data.bin": noise}))
    words = ("--action", "store", "--path", "/x", "--file", archive, "--fragment-size", "64M")
    package = build(data, "large", *words)
    return Stock(data, f"/download/{package}/{package}-1")


@pytest.fixture
def server(stocked: Stock, tmp_path: Path) -> Iterator[Running]:
    data = Path(shutil.copytree(stocked.data, tmp_path / "data"))
    with serving(data) as running:
        yield running


@dataclass
class Crowd:
    """Slow peers: each has its sockets, what it says byte by byte, and whether it reads."""

    server: Running
    fragment: str
    links: list[tuple[socket.socket, bytes]] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def silent(self, *, secure: bool = False, console: bool = False) -> None:
        """It connects; not even a handshake follows."""
        port = self.server.console if console else self.server.https if secure else self.server.http
        self.links.append((socket.create_connection(("127.0.0.1", port), timeout=SECONDS), b""))

    def headers(self, *, secure: bool = False, console: bool = False) -> None:
        """Its headers have no end."""
        link = self.server.connect(secure=secure, console=console)
        link.sendall(b"POST /ocsinventory HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        self.links.append((link, b"a"))

    def body(self, *, secure: bool = False, console: bool = False) -> None:
        """Its body comes byte by byte."""
        link = self.server.connect(secure=secure, console=console)
        path = b"/sign-in" if console else b"/ocsinventory"
        kind = b"Content-Type: application/x-www-form-urlencoded\r\nSec-Fetch-Site: same-origin\r\n"
        link.sendall(b"POST %s HTTP/1.1\r\nHost: x\r\n%sContent-Length: 5000\r\n\r\nname" % (path, kind))
        self.links.append((link, b"x"))

    def reader(self) -> None:
        """It asks for a fragment and reads next to nothing of it."""
        link = socket.socket()
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        link.settimeout(SECONDS)
        link.connect(("127.0.0.1", self.server.http))
        link.sendall(f"GET {self.fragment} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        self.links.append((link, b""))

    def drip(self) -> None:
        """Say one byte each, and read one, every half second until it is over."""
        while not self._over.wait(0.5):
            for link, byte in self.links:
                with contextlib.suppress(OSError):
                    link.setblocking(False)
                    if byte:
                        link.send(byte)
                    elif type(link) is socket.socket:
                        link.recv(1)

    def alive(self) -> int:
        """How many the server has not cut off."""
        ready = select.poll()
        for link, _ in self.links:
            ready.register(link.fileno(), select.POLLHUP | select.POLLRDHUP | select.POLLERR)
        return len(self.links) - len(ready.poll(0))

    def end(self) -> None:
        """Everybody leaves."""
        self._over.set()
        for link, _ in self.links:
            link.close()


@contextlib.contextmanager
def crowd(server: Running, fragment: str, number: int) -> Iterator[Crowd]:
    """So many slow peers in four styles, on all listeners."""
    slow = Crowd(server, fragment)
    styles: list[Callable[[], None]] = [
        slow.silent, slow.headers, slow.body, slow.reader,
        lambda: slow.silent(secure=True), slow.headers, slow.body, slow.reader,
        lambda: slow.silent(console=True), lambda: slow.headers(secure=True), slow.body, slow.reader,
        slow.silent, lambda: slow.headers(console=True), lambda: slow.body(console=True), slow.reader,
    ]  # fmt: skip
    thread = threading.Thread(target=slow.drip, daemon=True)
    try:
        for n in range(number):
            with contextlib.suppress(OSError):  # the server may cut off whom it has no place for
                styles[n % len(styles)]()
        thread.start()
        yield slow
    finally:
        slow.end()
        if thread.is_alive():
            thread.join(SECONDS)


def honest(server: Running, name: str) -> dict[str, float]:
    """An agent with its inventory and contact, over both listeners, and a sign-in: the seconds that each took."""
    took = {}

    def timed(what: str, done: Callable[[], object]) -> None:
        begun = time.monotonic()
        done()
        took[what] = time.monotonic() - begun

    def inventories() -> None:
        assert server.post(inventory(device(name))).status == 200

    def contacts() -> None:
        assert server.post(prolog(device(name)), secure=True).status == 200

    timed("inventory", inventories)
    timed("contact", contacts)
    timed("sign-in", lambda: Browser(server).sign_in())
    return took


def test_500_slow_sockets_in_four_styles_starve_neither_an_agent_nor_a_sign_in(server: Running, stocked: Stock) -> None:
    before = server.rss()
    with crowd(server, stocked.fragment, 500) as slow:
        assert len(slow.links) == 500
        for n in range(3):
            took = honest(server, f"honest-{n}")
            assert max(took.values()) < IN_TIME, took
            time.sleep(0.7)  # the crowd goes on meanwhile
        assert slow.alive() > 400, "that was beside them, not after them"
        assert server.rss() - before < 160 * MIB
    assert server.get("/healthz").status == 200


def test_where_all_places_are_taken_the_slow_ones_give_way_and_the_honest_one_comes_in(
    server: Running, stocked: Stock
) -> None:
    for name, most in (("CONNECTION_LIMIT", 60), ("CONSOLE_CONNECTION_LIMIT", 10), ("ADDRESS_CONNECTION_LIMIT", 50)):
        must("config", "set", name, most, data=server.data)
    until(lambda: _fills(server, 70) <= 50, "the settings are in force")
    with crowd(server, stocked.fragment, 300) as slow:
        until(lambda: slow.alive() <= 60, "no more than the places there are stay open")
        time.sleep(SPARE_SECONDS + 0.2)  # before that nobody is known to be slow
        took = honest(server, "honest")
        assert max(took.values()) < IN_TIME, took
        until(lambda: {"CONNECTION_LIMIT", "CONSOLE_CONNECTION_LIMIT"} <= set(_warned(server)), "the log tells of it")


def test_one_address_takes_no_more_than_its_share_and_others_come_in_without_anybody_leaving(
    server: Running, stocked: Stock
) -> None:
    must("config", "set", "ADDRESS_CONNECTION_LIMIT", "20", data=server.data)
    until(lambda: _fills(server, 30) <= 20, "the setting is in force")
    links = [server.connect() for _ in range(20)]
    other = socket.create_connection(("127.0.0.1", server.http), SECONDS, source_address=("127.0.0.9", 0))
    other.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert other.recv(1000).startswith(b"HTTP/1.1 200 ")
    assert _alive(links) == 20
    links.append(server.connect())
    until(lambda: _alive(links) == 20, "the one of them that waits for longest gave way")
    assert _alive(links[:1]) == 0
    for link in [*links, other]:
        link.close()


@pytest.mark.parametrize(
    ("style", "where"),
    [  # over TLS a slow reader is the same
        *((style, where) for where in ("http", "https", "console") for style in ("silent", "headers", "body")),
        ("reader", "http"),
    ],
)
def test_a_slow_peer_is_cut_off_by_itself(stocked: Stock, quick: Running, style: str, where: str) -> None:
    slow, before = Crowd(quick, stocked.fragment), _open_files(quick)
    how = {"secure": where == "https", "console": where == "console"}
    try:
        if style == "reader":
            slow.reader()
        else:
            getattr(slow, style)(**how)
        threading.Thread(target=slow.drip, daemon=True).start()
        until(lambda: _open_files(quick) > before, "it is there")
        until(lambda: _open_files(quick) <= before, "it is cut off", 8)
    finally:
        slow.end()


@pytest.fixture(scope="module")
def quick(stocked: Stock, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server whose patience is short."""
    data = Path(shutil.copytree(stocked.data, tmp_path_factory.mktemp("quick") / "data"))
    must("config", "set", "CONTACT_DEADLINE", "1", data=data)
    with serving(data, first=f"{HURRY}; from appliance.web import depot; depot.PIECE_SECONDS = 0.5") as running:
        yield running


def test_messages_in_memory_are_counted_and_given_back(server: Running) -> None:
    must("config", "set", "CONTACT_MEMORY_LIMIT", "8M", data=server.data)
    time.sleep(2)
    head = b"POST /ocsinventory HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (5 * MIB)
    links = [server.connect(), server.connect()]
    links[0].sendall(head + bytes(4 * MIB))
    time.sleep(0.5)
    with contextlib.suppress(ConnectionError):
        links[1].sendall(head + bytes(4 * MIB + MIB // 2))
    assert links[1].recv(1000).startswith(b"HTTP/1.1 503 ")
    assert server.post(prolog(device("small"))).status == 200
    for link in links:
        link.close()
    until(lambda: server.post(inventory(device("later"))).status == 200, "there is room again")


def _fills(server: Running, number: int) -> int:
    """How many of so many connections are alive."""
    links = [server.connect() for _ in range(number)]
    time.sleep(0.3)
    try:
        return _alive(links)
    finally:
        for link in links:
            link.close()


def _alive(links: list[socket.socket]) -> int:
    ready = select.poll()
    for link in links:
        ready.register(link.fileno(), select.POLLHUP | select.POLLRDHUP | select.POLLERR)
    return len(links) - len(ready.poll(0))


def _open_files(server: Running) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


def _warned(server: Running) -> list[str]:
    return re.findall(r"(\w+) is reached: \d+ connections were cut off", server.log.read_text())
