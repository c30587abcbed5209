"""Hostile bodies: a 4xx of one line, bounded memory, nothing changed, and the server goes on answering."""

from __future__ import annotations

import gzip
import os
import re
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from appliance.wire import envelope
from tests.fakes.appliance import UNIX, Answer, Running, device, dump, inventory, must, prolog, rows, serving, until
from tests.fakes.archives import bomb_zlib
from tests.web.conftest import Site

MIB = 1024**2
ME = device("known")
REQUEST = b"<REQUEST><DEVICEID>%s</DEVICEID><QUERY>PROLOG</QUERY>%s</REQUEST>"
LAUGHS = b"".join(b'<!ENTITY l%d "%s">' % (n + 1, b"&l%d;" % n * 10) for n in range(9))


def xml(inside: bytes = b"", head: bytes = b"") -> bytes:
    return head + REQUEST % (ME.encode(), inside)


def many(element: bytes, size: int) -> bytes:
    return element * (size // len(element))


@dataclass(frozen=True)
class Case:
    """A body and what it must be answered with."""

    name: str
    body: bytes
    status: int = 400
    headers: dict[str, str] = field(default_factory=dict)


def cases() -> Iterator[Case]:
    whole = zlib.compress(xml())
    yield Case("empty", b"")
    yield Case("garbage", os.urandom(2000).replace(b"<", b"."))
    yield Case("one byte", b"x")
    yield Case("truncated zlib", whole[: len(whole) // 2])
    yield Case("zlib with a flipped byte", whole[:20] + bytes([whole[20] ^ 255]) + whole[21:])
    yield Case("wrong checksum", whole[:-1] + b"\0")
    yield Case("truncated gzip", gzip.compress(xml())[:30])
    yield Case("bytes behind the stream", whole + b"more")
    yield Case("two streams", whole + whole)
    yield Case("10 000 empty streams", zlib.compress(b"") * 10_000)
    yield Case("not XML", zlib.compress(b"hello"))
    yield Case("JSON", b'{"QUERY": "PROLOG"}')
    yield Case("not well-formed", zlib.compress(xml() + b"<"))
    yield Case("two roots", zlib.compress(xml() + xml()))
    yield Case("control characters", zlib.compress(xml(b"<A>\x01</A>")))
    yield Case("another root", zlib.compress(xml().replace(b"REQUEST", b"REPLY")))
    yield Case("no query", zlib.compress(b"<REQUEST/>"))
    yield Case("unknown query", zlib.compress(xml().replace(b"PROLOG", b"SYSTEM")))
    yield Case("no deviceid", zlib.compress(xml().replace(ME.encode(), b"")))
    yield Case("a path as deviceid", zlib.compress(xml().replace(ME.encode(), b"../x-2026-01-31-09-30-00")))
    yield Case("deviceid of a mebibyte", zlib.compress(xml().replace(b"known", b"k" * MIB)))
    yield Case("inventory without content", zlib.compress(xml().replace(b"PROLOG", b"INVENTORY")))
    yield Case("unknown encoding", zlib.compress(xml(head=b'<?xml version="1.0" encoding="x-none"?>')))
    yield Case("doctype", zlib.compress(xml(head=b"<!DOCTYPE r>")))
    yield Case("billion laughs", zlib.compress(xml(b"<A>&l9;</A>", b'<!DOCTYPE r [<!ENTITY l0 "ha">%s]>' % LAUGHS)))
    text = b'<!DOCTYPE r [<!ENTITY x "%s">]>' % (b"x" * 50_000)
    yield Case("quadratic entity", zlib.compress(xml(b"<A>%s</A>" % (b"&x;" * 3000), text)))
    yield Case(
        "file entity", zlib.compress(xml(b"<A>&x;</A>", b'<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/hostname">]>'))
    )
    yield Case("parameter entities", zlib.compress(xml(head=b"<!DOCTYPE r [%s]>" % many(b'<!ENTITY %% p "x">', MIB))))
    yield Case("200 000 deep", zlib.compress(xml(b"<A>" * 200_000 + b"</A>" * 200_000)), 413)
    yield Case("65 deep", zlib.compress(xml(b"<A>" * 64 + b"</A>" * 64)), 413)
    yield Case("300 000 elements", zlib.compress(xml(many(b"<A/>", 1_200_000))), 413)
    attributes = b"".join(b' a%d="1"' % n for n in range(260_000))
    yield Case("260 000 attributes", zlib.compress(xml(b"<A" + attributes + b"/>")), 413)
    yield Case("a tag of 8 MiB", zlib.compress(xml(b"<" + b"a" * 8 * MIB + b"/>")), 413)
    yield Case("a comment of 8 MiB", zlib.compress(xml(b"<!--" + b"a" * 8 * MIB + b"-->")), 413)
    yield Case("zlib bomb", bomb_zlib(200), 413)
    yield Case("gzip bomb", bomb_zlib(200, 16 + zlib.MAX_WBITS), 413)
    yield Case("zlib bomb of spaces in XML", zlib.compress(b"<REQUEST>" + b" " * 64 * MIB), 413)
    yield Case("8 MiB and one byte", b"<" * (8 * MIB + 1), 413)
    for coding in ("deflate", "gzip", "br", "zstd", "x"):
        yield Case(f"Content-Encoding {coding}", bomb_zlib(20), 415, {"Content-Encoding": coding})


CASES = list(cases())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server of this module's own: its memory is measured."""
    with serving(tmp_path_factory.mktemp("hostile") / "data") as running:
        assert running.post(inventory(ME)).status == 200
        yield running


def send(server: Running, case: Case) -> Answer:
    return server.ask("POST", "/ocsinventory", case.body, {"User-Agent": UNIX, **case.headers})


def test_hostile_bodies_get_a_line_change_nothing_and_cost_bounded_memory(server: Running) -> None:
    peak = 0
    before, memory = dump(server.data), server.rss()
    stop = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not stop.wait(0.01):
            peak = max(peak, server.rss())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for case in CASES:
            answer = send(server, case)
            assert answer.status == case.status, (case.name, answer.status, answer.body[:200])
            assert len(answer.line) < 160, case.name
            assert "Traceback" not in answer.line
    finally:
        stop.set()
        watcher.join()
    assert dump(server.data) == before
    assert server.post(prolog(ME)).status == 200
    grown = (peak - memory) / MIB
    assert grown < 64, f"{grown:.0f} MiB"


def test_other_requests_are_answered_while_bombs_are_opened(server: Running) -> None:
    slow: list[float] = []
    heavy = [case for case in CASES if case.name in ("300 000 elements", "zlib bomb of spaces in XML", "zlib bomb")]
    work = [threading.Thread(target=send, args=(server, case)) for case in heavy]
    for thread in work:
        thread.start()
    while any(thread.is_alive() for thread in work):
        begun = time.monotonic()
        assert server.get("/healthz").status == 200
        slow.append(time.monotonic() - begun)
    assert max(slow) < 1.0, f"{max(slow):.2f} s"


@pytest.mark.parametrize("chunk", [1000, 512 * 1024])
def test_a_chunked_body_is_counted_as_it_comes(server: Running, chunk: int) -> None:
    honest = zlib.compress(prolog(ME))
    assert server.ask("POST", "/ocsinventory", iter([honest[:10], honest[10:]])).status == 200
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(64 * MIB // chunk):
            sent += chunk
            yield b"x" * chunk

    try:
        answer = server.ask("POST", "/ocsinventory", endless())
        assert answer.status == 413
        assert answer.line
    except ConnectionError:
        pass  # it was closed while we were still sending
    assert server.post(prolog(ME)).status == 200


def test_a_body_announced_as_too_large_is_refused_before_it_comes(server: Running) -> None:
    with server.connect() as link:
        link.sendall(b"POST /ocsinventory HTTP/1.1\r\nHost: x\r\nContent-Length: 10737418240\r\n\r\n")
        assert b" 413 " in link.recv(1000)


def test_a_body_that_never_comes_is_given_up_and_changes_nothing(server: Running) -> None:
    must("config", "set", "CONTACT_DEADLINE", "1", data=server.data)
    try:
        body = zlib.compress(inventory(device("slow")))
        with server.connect() as link:
            link.sendall(
                b"POST /ocsinventory HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body[:20]
            )
            assert b" 408 " in link.recv(1000)
    finally:
        must("config", "set", "CONTACT_DEADLINE", data=server.data)
    assert rows(server.data, "SELECT count(*) FROM computer WHERE device_id LIKE 'slow%'") == [(0,)]


def test_an_agent_that_goes_away_in_the_middle_changes_nothing(server: Running) -> None:
    body = zlib.compress(inventory(device("gone")))
    head = b"POST /ocsinventory HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    for cut in (0, 1, len(body) - 1):
        server.raw(head + body[:cut], leave=True)
    assert rows(server.data, "SELECT count(*) FROM computer WHERE device_id LIKE 'gone%'") == [(0,)]
    assert server.post(prolog(ME)).status == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND"])
def test_another_method_is_refused(server: Running, method: str) -> None:
    answer = server.ask(method, "/ocsinventory", b"")
    assert answer.status == 405
    assert method == "HEAD" or answer.line


def news(server: Running, before: int, awaited: bytes) -> bytes:
    """What came into the log, once `awaited` is in it, but for lines of earlier requests."""

    def read() -> bytes:
        with server.log.open("rb") as log:
            log.seek(before)
            return b"".join(line for line in log.readlines() if not re.search(rb" [A-Z]+ /\S* (200|405) \d+ ", line))

    until(lambda: awaited in read(), f"{awaited!r} in the log")
    return read()


BROKEN = [
    b"hello\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 60,
    b"POST /ocsinventory HTTP/9.9\r\nHost: x\r\n\r\n",
    b"POST /ocsinventory HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    b"POST /ocsinventory HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /ocsinventory HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    b"POST /ocsinventory HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"POST /ocsinventory HTTP/1.1\r\nHost: x\r\nBig: " + b"x" * 9000 + b"\r\n\r\n",
    b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"".join(b"H%d: x\r\n" % n for n in range(129)) + b"\r\n",
    b"GET /he\0althz HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: x\r\nBad Name: x\r\n\r\n",
]


@pytest.mark.parametrize("data", BROKEN, ids=lambda data: ascii(data[:40]))
def test_what_is_no_http_is_400_and_leaves_no_more_than_a_line_in_the_log(server: Running, data: bytes) -> None:
    before = server.log.stat().st_size
    answer = server.raw(data)
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 ")), answer[:200]
    assert len(answer) < 16 * 1024
    assert b"Traceback" not in answer
    assert news(server, before, b" 400 ").count(b"\n") == 1
    assert server.get("/healthz").status == 200


def test_a_log_line_cannot_be_forged(server: Running) -> None:
    before = server.log.stat().st_size
    agent = ("x\u202e\x9b2J INFO login ok" + "y" * 3000).encode().decode("latin-1")
    server.ask("POST", "/ocsinventory%0d%0a2026-11-20%20INFO%20forged", b"", {"User-Agent": agent})
    assert server.ask("GET", "/healthz", None, {"User-Agent": "x\x1b[2J"}).status == 400
    line = news(server, before, b"forged")
    assert line.count(b"\n") <= 2
    assert len(line) < 2048
    assert line.isascii()
    assert b"\x1b" not in line
    assert b"\n2026-11-20" not in line


def test_an_entity_reaches_no_other_server(server: Running) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        probe.settimeout(0.2)
        url = b"http://127.0.0.1:%d/" % probe.getsockname()[1]
        body = xml(b"<A>&x;</A>", b'<!DOCTYPE r [<!ENTITY x SYSTEM "%s">]>' % url)
        assert server.post(body).status == 400
        with pytest.raises(TimeoutError):
            probe.accept()


def test_honest_messages_just_below_the_limits_pass(server: Running) -> None:
    name = device("large")
    softwares = [("SOFTWARES", {"NAME": f"software {n}", "COMMENTS": "é" * 200}) for n in range(8000)]
    large = inventory(name, ("HARDWARE", {"NAME": "large"}), *softwares)
    assert 5 * 10**5 < len(large) < 32 * MIB
    assert server.post(large).status == 200
    assert rows(server.data, "SELECT count(*) FROM installed") == [(8000,)]
    plain = large.replace(b"<COMMENTS>", b"<COMMENTS>" + b"x" * 300)
    assert len(plain) > 5 * MIB
    assert server.ask("POST", "/ocsinventory", plain).status == 200
    assert server.post(xml(b"<A>" * 63 + b"</A>" * 63)).status == 200


@pytest.mark.parametrize(
    ("setting", "value", "body", "status"),
    [
        ("CONTACT_WIRE_LIMIT", "1K", zlib.compress(xml(os.urandom(1000).hex().encode())), 413),
        ("CONTACT_INFLATED_LIMIT", "1K", zlib.compress(xml(b"<A>%s</A>" % (b"x" * 1000))), 413),
        ("CONTACT_DEPTH_LIMIT", "4", zlib.compress(xml(b"<A>" * 4 + b"</A>" * 4)), 413),
        ("CONTACT_ELEMENT_LIMIT", "100", zlib.compress(xml(b"<A/>" * 100)), 413),
        ("REFUSED_AGENTS", "unified_unix", zlib.compress(xml()), 403),
    ],
    ids=["wire", "inflated", "depth", "elements", "agents"],
)
def test_limits_are_settings_and_take_effect_at_once(
    server: Running, setting: str, value: str, body: bytes, status: int
) -> None:
    def ask() -> int:
        return server.ask("POST", "/ocsinventory", body, {"User-Agent": UNIX}).status

    assert ask() == 200
    must("config", "set", setting, value, data=server.data)
    try:
        assert ask() == status
        assert server.ask("POST", "/ocsinventory", zlib.compress(xml()), {"User-Agent": "other"}).status == 200
    finally:
        must("config", "set", setting, data=server.data)
    assert ask() == 200


def test_what_is_answered_in_kind_and_politely(site: Site) -> None:
    server = site.server
    for pack, form in ((zlib.compress, b"x"), (gzip.compress, b"\x1f\x8b"), (bytes, b"<?xml")):
        answer = server.ask("POST", "/ocsinventory", pack(prolog(ME)))
        assert answer.status == 200
        assert answer.body.startswith(form)
    unfinished = zlib.compressobj()
    body = unfinished.compress(prolog(ME)) + unfinished.flush(zlib.Z_SYNC_FLUSH)
    assert server.ask("POST", "/ocsinventory/", body).status == 200, "the genuine Windows agent never ends its stream"
    for query, reply in (("NOTIFY", b""), ("SNMP", b""), ("UPDATE", b"NO_UPDATE")):
        answer = server.post(xml().replace(b"PROLOG", query.encode()))
        assert answer.status == 200
        assert reply in (envelope.unpack(answer.body, MIB)[0] if answer.body else b"")
        assert bool(answer.body) is bool(reply)
    wide = xml().decode().encode("utf-16")
    assert server.ask("POST", "/ocsinventory", zlib.compress(wide)).status in (200, 400)


def test_the_whole_server_is_well_after_all_that(server: Running) -> None:
    assert server.process.poll() is None
    assert server.get("/healthz").body == b"ok\n"
    assert Path(f"/proc/{server.process.pid}/fd").exists()
    until(lambda: len(list(Path(f"/proc/{server.process.pid}/fd").iterdir())) < 60, "its sockets are closed")
