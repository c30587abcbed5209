"""Recorded traffic of the genuine agent and server, replayed: every answer means what the genuine one meant.

The recordings are described in tests/golden/captures/README.md. What differs, and why, is the table below.
"""

from __future__ import annotations

import hashlib
import http.client
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from appliance.domain.package import Action, Order, Package, PackageId, Payload, Piece, System
from appliance.operations.build_package import describe
from appliance.operations.desk import Desk
from appliance.operations.identity import decide, standing
from appliance.store import packages
from appliance.wire import envelope
from tests.fakes.appliance import Answer, Running, dump, must, on_desk, rows, serving

GOLDEN = Path(__file__).parents[1] / "golden"
CAPTURES, EXCHANGES = GOLDEN / "captures", GOLDEN / "exchanges"
ACCT, SALES = "pc-acct-017-2026-11-20-20-35-23", "pc-sales-003-2026-11-20-20-37-16"
HEX = "it is the client's fault, and 5xx would call it ours"
OPEN = "the genuine server's User-Agent filter is not copied (product.md 3); REFUSED_AGENTS can refuse"

# Where our status is another than the genuine server's. Everything that is not here must be the same.
DIFFERENT = {
    "07-info-missing": (
        503,
        "the row is there and its file is not: a fault of the disk, which may pass; agents act alike",
    ),
    "p01-prolog-unknown-useragent": (200, OPEN),
    "p06-prolog-newer-useragent": (200, OPEN),
    "p07-garbage-body": (400, HEX),
    "p08-not-xml-zlib": (400, HEX),
    "p09-truncated-zlib": (400, HEX),
    "p13-empty-body": (400, HEX),
    "p14-get": (405, "the address takes POST alone; no agent sends anything else"),
    "p15-put": (405, "as above"),
}
# Where a body stands in for the recorded one, because ours answers what the genuine server refused.
AS_IF = {
    "p01-prolog-unknown-useragent": "p05-prolog-windows-useragent",
    "p06-prolog-newer-useragent": "p05-prolog-windows-useragent",
}
# Headers of a recorded answer that ours need not have.
UNNEEDED = {"date", "server", "keep-alive", "connection", "last-modified"}

NAMES = sorted({path.name.split(".")[0] for path in EXCHANGES.glob("*.req.head")})
PACKAGES = [str(number) for number in range(1795206923, 1795206933)]


def recorded(name: str, part: str) -> bytes:
    for folder in (EXCHANGES, CAPTURES):
        path = folder / f"{name}.{part}"
        if path.exists():
            return path.read_bytes()
    return b""


def recorded_answer(name: str) -> Answer:
    first, *rest = recorded(name, "resp.head").decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in rest if line)
    return Answer(int(first.split()[1]), {k.lower(): v for k, v in headers.items()}, recorded(name, "resp.bin"))


def replay(server: Running, name: str) -> Answer:
    """The request's own bytes, but for the Host header."""
    head, body = recorded(name, "req.head"), recorded(name, "req.bin")
    secure = b":28593" in head
    port = server.https if secure else server.http
    head, count = re.subn(rb"(?m)^Host: .*\r$", b"Host: 127.0.0.1:%d\r" % port, head)
    assert count == 1
    with server.connect(secure=secure) as link:
        link.sendall(head + body)
        response = http.client.HTTPResponse(link, method=head.split()[0].decode())
        response.begin()
        headers = {k.lower(): v for k, v in response.getheaders()}
        return Answer(response.status, headers, response.read())


def meaning(element: ElementTree.Element) -> Any:
    """An element so that only what is said counts, not the order in which it is said."""
    children = sorted(meaning(child) for child in element)
    return element.tag, sorted(element.attrib.items()), (element.text or "").strip(), children


def meant(body: bytes) -> tuple[Any, Any]:
    """What a body says, and how it is packed."""
    xml, form = envelope.unpack(body, 2**20)
    return meaning(ElementTree.fromstring(xml)), form


def compare(server: Running, name: str) -> Answer:
    """Replay one exchange and hold it against the recording."""
    ours, genuine = replay(server, name), recorded_answer(name)
    status, reason = DIFFERENT.get(name, (genuine.status, ""))
    assert ours.status == status, (name, ours.body[:200])
    if reason:
        assert status != genuine.status, f"{name} no longer differs: take it out of the table"
        genuine = recorded_answer(AS_IF[name]) if name in AS_IF else genuine
    assert ours.headers["content-length"] == str(len(ours.body)), name
    assert not {"transfer-encoding", "content-encoding", "location"} & ours.headers.keys(), name
    if ours.status >= 400:
        assert ours.line
        return ours
    missing = genuine.headers.keys() - ours.headers.keys() - UNNEEDED
    if "-info-" in name:
        missing -= {"etag", "accept-ranges"}  # one small file: no agent asks for a part of it
    assert not missing, (name, missing)
    if "fragment" in name:
        assert ours.body == genuine.body, name
    elif "info" in name and "result" not in name:
        assert meaning(ElementTree.fromstring(ours.body)) == meaning(ElementTree.fromstring(genuine.body)), name
    elif genuine.body:
        assert meant(ours.body) == meant(genuine.body), name
        assert ours.headers["content-type"] == genuine.headers["content-type"]
        assert ours.headers["cache-control"].lower() == "no-cache"
    else:
        assert ours.body == b"", name
    return ours


# The state in which the recordings were made


def fragments_of(package: str, kind: str) -> list[bytes]:
    names = sorted(n for n in NAMES if re.fullmatch(rf"\d+-fragment-{kind}-\d", n))
    return [recorded(name, "resp.bin") for name in names] if package in PACKAGES[:2] else []


def order_of(package: str) -> tuple[Order, list[bytes]]:
    number = PACKAGES.index(package)
    name = f"package {package}"
    if number == 0:
        return Order(name, System.LINUX, Action.STORE, "/opt/demo-packages/stored", priority=1), fragments_of(
            package, "store"
        )
    if number == 1:
        return Order(name, System.LINUX, Action.LAUNCH, "install.sh quiet", priority=1), fragments_of(package, "launch")
    return Order(name, System.LINUX, Action.EXECUTE, "echo executed > /opt/demo-packages/executed", priority=1), []


async def stock(desk: Desk) -> None:
    """The ten packages under their recorded ids, cut as the genuine console cuts."""
    for text in PACKAGES:
        package = PackageId(text)
        order, pieces = order_of(text)
        whole = b"".join(pieces)
        payload = None
        if pieces:
            md5 = hashlib.md5(whole, usedforsecurity=False).hexdigest()
            sha256 = hashlib.sha256(whole).hexdigest()
            payload = Payload(len(whole), len(pieces[0]), len(pieces), md5, sha256, "tar.gz")
        built = Package(package, order, payload, desk.clock.now())
        sealed = tuple(Piece(len(piece), hashlib.sha256(piece).hexdigest()) for piece in pieces)
        with desk.shelf.building(package) as building:
            for number, piece in enumerate(pieces, 1):
                building.put(f"{package}-{number}", piece)
            marks = describe(building, built, sealed)
            building.publish()
        async with desk.store.writing() as tx:
            await packages.add(tx, built, sealed, marks)


@pytest.fixture(scope="module", params=["open", "observe", "protect"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The modes in which OCS agents are answered."""
    data = tmp_path_factory.mktemp("replay") / "data"
    must("config", "set", "IDENTITY_MODE", request.param, data=data)
    for name in ("CYCLE", "FRAG", "PERIOD"):
        must("config", "set", f"DOWNLOAD_{name}_LATENCY", "0", data=data)
    with serving(data) as running:
        yield running


async def let_in(desk: Desk) -> None:
    """What an administrator does about newcomers where the mode keeps them waiting."""
    for case in (await standing(desk)).cases:
        await decide(desk, case.id, accept=True)


def statuses(data: Path) -> dict[str, tuple[str, str]]:
    return {row[0]: (row[1], row[2]) for row in rows(data, "SELECT package_id, stage, received FROM affectation")}


def test_every_recorded_exchange_is_answered_as_the_genuine_server_answered(server: Running) -> None:
    data, done = server.data, set()

    def admin(*words: str) -> str:
        return must(*words, data=data)

    def go(*names: str) -> None:
        for prefix in names:
            (name,) = (name for name in NAMES if name.startswith(f"{prefix}-"))
            compare(server, name)
            done.add(name)

    go("01", "02")
    on_desk(data, let_in)
    on_desk(data, stock)
    for package in PACKAGES:
        locations = ("--info-url", "127.0.0.1:28593/download", "--fragment-url", "127.0.0.1:28190/download")
        admin("package", "activate", package, *locations, "--unchecked")
        assert admin("package", "affect", package, "--computer", ACCT) == "1"
    (data / "fragments" / PACKAGES[9] / "info").unlink()
    go("03", "04", "05", "06", "07", "08", "09", "10", "11", "12", "13", "14", "15", "16", "17", "18", "19", "20")
    assert statuses(data) == {
        PACKAGES[0]: ("success", "SUCCESS"),
        PACKAGES[1]: ("success", "SUCCESS_0"),
        PACKAGES[2]: ("notified", ""),
        PACKAGES[3]: ("error", "SUCCESS_3"),
        PACKAGES[4]: ("error", "ERR_BAD_DIGEST"),
        PACKAGES[5]: ("error", "ERR_EXECUTE"),
        PACKAGES[6]: ("notified", ""),
        PACKAGES[7]: ("error", "ERR_BUILD"),
        PACKAGES[8]: ("error", "ERR_BAD_ID"),
        PACKAGES[9]: ("error", "ERR_DOWNLOAD_INFO"),
    }
    for package in PACKAGES:
        admin("package", "unaffect", package, "--all")
    admin("package", "affect", PACKAGES[0], "--computer", ACCT)
    terms = ("--force", "--schedule", "2026/11/20 21:00", "--post-command", "echo done")
    admin("package", "affect", PACKAGES[1], "--computer", ACCT, *terms)
    go("21", "22")
    assert statuses(data)[PACKAGES[0]] == ("already", "SUCCESS_ALREADY_SETUP")
    admin("package", "unaffect", PACKAGES[1], "--all")
    go("23")
    history = rows(data, "SELECT package_id FROM history ORDER BY 1")
    assert [package for (package,) in history] == PACKAGES[:4]
    admin("config", "set", "FREQUENCY", "1")
    go("24")
    admin("config", "set", "DOWNLOAD", "0")
    go("25")
    admin("config", "set", "DOWNLOAD")
    admin("config", "set", "FREQUENCY")
    go("26", "27")
    tags = rows(data, "SELECT device_id, tag FROM computer ORDER BY 1")
    assert tags == [(ACCT, "NA"), (SALES, "SALES")]
    go("p01", "p02", "p03", "p05", "p06")
    before = dump(data)
    go("p04", "p07", "p08", "p09", "p10", "p11", "p12", "p13", "p14", "p15")
    assert dump(data) == before, "a probe that was refused changed something"
    assert done == set(NAMES)


def test_the_table_of_differences_names_recordings_only() -> None:
    assert DIFFERENT.keys() | AS_IF.keys() | set(AS_IF.values()) <= set(NAMES)
    assert len(NAMES) == 42


def test_a_whole_recorded_inventory_is_searchable(server: Running) -> None:
    assert ACCT in must("computer", "list", "--search", "SOFTWARE ~ perl-base", data=server.data)
    assert ACCT not in must("computer", "list", "--search", "SOFTWARE ~ no such thing", data=server.data)
    ((count,),) = rows(server.data, "SELECT count(*) FROM installed")
    assert count > 800
    ((size, packed),) = rows(
        server.data,
        "SELECT size, length(xml) FROM inventory JOIN computer ON id = computer_id WHERE device_id = ?",
        ACCT,
    )
    assert packed < size / 7
