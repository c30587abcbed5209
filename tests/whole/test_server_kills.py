"""kill -9 of a server at work, a hundred times: what it had said yes to is there, and nothing else is left lying about.

Agents send inventories, contacts and results on 50 connections, a program uploads in pieces, builds and deletes. The
server runs from the sources: how the file unpacks is proven in test_start.py, and takes its time.
"""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import random
import re
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from appliance.web.gate import may_open
from tests.fakes.appliance import (
    SECONDS,
    UNIX,
    Running,
    build,
    device,
    inventory,
    must,
    on_desk,
    prolog,
    report,
    rows,
    serving,
)
from tests.fakes.archives import targz_of
from tests.fakes.quick import quick_path
from tests.web.api.conftest import _token
from tests.web.api.kit import Client, told
from tests.web.console.conftest import prepared
from tests.web.console.kit import ADMINISTRATOR

__all__ = ["prepared", "quick_path"]

ROUNDS = 100
AGENTS, RESULTS = 50, 40
PIECE = 48 * 1024
GONE = (OSError, http.client.HTTPException)  # the server was killed


def noise(seed: int) -> bytes:
    """A package's file of some 300 kB that do not compress."""
    return targz_of({"data.bin": random.Random(seed).randbytes(300_000)})


@dataclass
class Agent:
    """One computer: what it sent, and what it heard was taken."""

    name: str
    sent: int = 0  # the number in its last inventory
    taken: int = 0
    results: list[str] = field(default_factory=list)  # packages whose result is still to be told
    told: list[str] = field(default_factory=list)  # packages whose result was taken

    def work(self, server: Running, over: threading.Event, one_result: bool) -> None:
        """Contacts until it is over or the server is gone."""
        connection = http.client.HTTPConnection("127.0.0.1", server.http, timeout=SECONDS)

        def post(xml: bytes) -> None:
            connection.request("POST", "/ocsinventory", xml, {"User-Agent": UNIX})
            response = connection.getresponse()
            body = response.read()
            assert response.status == 200, (self.name, response.status, body)

        try:
            while not over.is_set():
                if one_result and self.results:
                    post(report(device(self.name), self.results[0], "SUCCESS"))
                    self.told.append(self.results.pop(0))
                    one_result = False
                self.sent += 1
                said = ("HARDWARE", {"NAME": self.name}), ("BIOS", {"SSN": str(self.sent)})
                post(inventory(device(self.name), *said))
                self.taken = self.sent
                post(prolog(device(self.name)))
        except GONE:
            pass
        finally:
            connection.close()


@dataclass
class Builder:
    """A program that uploads, builds and deletes, one package after the other, over all kills."""

    token: str
    number: int = 0
    file: bytes = b""
    draft: str = ""
    offset: int = 0  # bytes that the server said it has
    built: dict[str, bytes] = field(default_factory=dict)  # the file of each package
    deleted: list[str] = field(default_factory=list)

    def work(self, server: Running, over: threading.Event) -> None:
        """Go on where it was until it is over or the server is gone."""
        client = Client(server, self.token)
        try:
            while not over.is_set():
                self._step(client)
        except GONE:
            pass
        finally:
            client.close()

    def _step(self, client: Client) -> None:
        if not self.draft:
            self.number += 1
            self.file = noise(self.number)
            order = {"name": f"built {self.number}", "os": "linux", "action": "store", "path": "/opt/x"}
            self.draft = client.post("/drafts", order)["id"]
            self.offset = 0
            return
        at = f"/drafts/{self.draft}"
        if not self.offset:
            client.post(f"{at}/file", {"file": "a.tar.gz", "size": len(self.file)})
        while self.offset < len(self.file):
            piece = self.file[self.offset : self.offset + PIECE]
            self.offset = told(client.ask("PUT", f"{at}/file", piece, offset=self.offset))["offset"]
        job = client.post(f"{at}/build", {"fragment_size": 100_000}, wait=30)
        self.done(job["result"]["package"])
        if len(self.built) > 3:
            oldest = next(iter(self.built))
            self.deleted.append(oldest)  # from here on it may be gone
            self.built.pop(oldest)
            client.delete(f"/packages/{oldest}")

    def done(self, package: str) -> None:
        """The draft became a package."""
        self.built[package] = self.file
        self.draft = ""

    def look(self, client: Client, data: Path) -> None:
        """After a start: everything acknowledged is there."""
        for package, file in self.built.items():
            (known,) = rows(data, "SELECT sha256, fragments FROM package WHERE id = ?", package)
            assert known == (hashlib.sha256(file).hexdigest(), -(-len(file) // 100_000))
            pieces = [data / "fragments" / package / f"{package}-{n + 1}" for n in range(known[1])]
            assert b"".join(path.read_bytes() for path in pieces) == file
        if not self.draft:
            return
        answer = client.ask("GET", f"/drafts/{self.draft}")
        made = rows(data, "SELECT id FROM package WHERE name = ?", f"built {self.number}")
        if made:  # the build was done, and nobody heard of it; the form may still be there
            assert self.offset == len(self.file)
            if answer.status != 404:
                client.delete(f"/drafts/{self.draft}")
            self.done(made[0][0])
            return
        there = told(answer)
        assert self.offset <= there["offset"] <= min(self.offset + PIECE, len(self.file)), (
            "an acknowledged byte is gone"
        )
        self.offset = there["offset"]
        kept = b"".join(path.read_bytes() for path in sorted((data / "fragments").rglob(f"{self.draft}*/*")))
        assert self.file.startswith(kept[: self.offset])


@pytest.fixture
def data(prepared: Path, tmp_path: Path) -> Path:
    """Forty packages for fifty computers, all of them announced."""
    folder = Path(shutil.copytree(prepared, tmp_path / "data"))
    made = [build(folder, f"package {n}") for n in range(RESULTS)]
    with serving(folder) as server:
        for n in range(AGENTS):
            assert server.post(inventory(device(f"pc-{n}"))).status == 200
        for package in made:
            must("package", "activate", package, "--unchecked", data=folder)
            must("package", "affect", package, "--all", data=folder)
        for n in range(AGENTS):
            assert server.post(prolog(device(f"pc-{n}"))).status == 200
    assert rows(folder, "SELECT stage, count(*) FROM affectation GROUP BY 1") == [("notified", AGENTS * RESULTS)]
    return folder


def test_a_hundred_kills_under_load_lose_nothing_that_was_acknowledged(data: Path) -> None:
    chance = random.Random(4)
    packages = [row[0] for row in rows(data, "SELECT id FROM package ORDER BY id")]
    agents = [Agent(f"pc-{n}", results=list(packages)) for n in range(AGENTS)]
    builder = Builder(on_desk(data, _token, ADMINISTRATOR))
    for turn in range(ROUNDS):
        with serving(data) as server:
            look(server, agents, builder, packages)
            over = threading.Event()
            with ThreadPoolExecutor(AGENTS + 1) as crowd:
                at_work = [crowd.submit(builder.work, server, over)]
                for n, agent in enumerate(agents):
                    at_work.append(crowd.submit(agent.work, server, over, (turn + n) % 3 == 0))
                time.sleep(chance.uniform(0.02, 0.4))
                server.process.kill()
                server.process.wait(SECONDS)
                over.set()
            assert "Traceback" not in (log := server.log.read_text()), log[log.index("Traceback") :][:4000]
            for one in at_work:
                one.result()
    with serving(data) as server:
        look(server, agents, builder, packages)
    must("check", data=data)  # every page, fragment and reference
    assert sum(agent.taken for agent in agents) > 2 * ROUNDS, "they were at work when it happened"
    assert sum(len(agent.told) for agent in agents) > 2 * ROUNDS
    assert builder.number > 5


def look(server: Running, agents: list[Agent], builder: Builder, packages: list[str]) -> None:
    """What must hold after every start."""
    data = server.data
    assert rows(data, "PRAGMA integrity_check") == [("ok",)]
    assert rows(data, "PRAGMA foreign_key_check") == []
    serials = dict(rows(data, "SELECT name, ssn FROM computer"))
    done = set(rows(data, "SELECT c.name, a.package_id FROM affectation a JOIN computer c ON c.id = a.computer_id"
                          " WHERE a.stage = 'success'"))  # fmt: skip
    assert len(serials) == AGENTS
    for agent in agents:
        assert agent.taken <= int(serials[agent.name] or 0) <= agent.sent, f"an inventory of {agent.name} is gone"
        gone = [package for package in agent.told if (agent.name, package) not in done]
        assert not gone, f"results of {agent.name} are gone"
    client = Client(server, builder.token)
    try:
        builder.look(client, data)
        assert client.get("/log/verify")["broken_at"] is None
    finally:
        client.close()
    known = {row[0] for row in rows(data, "SELECT id FROM package UNION SELECT id FROM draft")}
    lying = {path.name.partition(".")[0] for path in (data / "fragments").iterdir()}
    assert lying <= known, "a kill left something behind"
    assert known >= {*packages, *builder.built}


def test_500_of_500_inventories_at_64_connections_are_stored(prepared: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(prepared, tmp_path / "data"))
    with serving(data) as server:
        turns = iter(range(500))
        lock = threading.Lock()

        def agent() -> list[str]:
            taken = []
            connection = http.client.HTTPConnection("127.0.0.1", server.http, timeout=SECONDS)
            while True:
                with lock:
                    n = next(turns, None)
                if n is None:
                    connection.close()
                    return taken
                said = [("HARDWARE", {"NAME": f"many-{n}"}), ("BIOS", {"SSN": f"serial {n}"})]
                said += [("SOFTWARES", {"NAME": f"program {m}", "VERSION": str(n % 7)}) for m in range(100)]
                connection.request("POST", "/ocsinventory", inventory(device(f"many-{n}"), *said))
                response = connection.getresponse()
                response.read()
                assert response.status == 200
                taken.append(f"serial {n}")

        with ThreadPoolExecutor(64) as crowd:
            taken = [serial for one in [crowd.submit(agent) for _ in range(64)] for serial in one.result()]
        server.process.kill()  # an answer of 200 is on the disk
    assert len(taken) == 500
    assert {row[0] for row in rows(data, "SELECT ssn FROM computer")} == set(taken)
    assert rows(data, "SELECT count(*) FROM inventory") == [(500,)]


def test_a_thousand_computers_at_once_are_all_answered_and_none_is_lost(prepared: Path, tmp_path: Path) -> None:
    assert may_open() > 1100
    data = Path(shutil.copytree(prepared, tmp_path / "data"))
    with serving(data) as server:

        async def all_at_once() -> list[float]:
            gate = asyncio.Barrier(1000)
            return await asyncio.gather(*(agent(n, gate) for n in range(1000)))

        async def agent(n: int, gate: asyncio.Barrier) -> float:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.http)
            await gate.wait()
            begun = time.monotonic()
            said = ("HARDWARE", {"NAME": f"many-{n}"}), ("BIOS", {"SSN": f"serial {n}"})
            for xml in (inventory(device(f"many-{n}"), *said), prolog(device(f"many-{n}"))):
                writer.write(b"POST /ocsinventory HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(xml) + xml)
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 200 "), head
                found = re.search(rb"Content-Length: (\d+)", head)
                assert found
                await reader.readexactly(int(found[1]))
            writer.close()
            return time.monotonic() - begun

        took = sorted(asyncio.run(all_at_once()))
        assert took[990] < 30, "the last one of a hundred waited for long"
        server.process.kill()
    assert rows(data, "SELECT count(*), count(DISTINCT ssn), count(last_inventory) FROM computer") == [(1000,) * 3]
    assert rows(data, "PRAGMA integrity_check") == [("ok",)]
