#!/usr/bin/env python3
"""The console over a large fleet: pages, a search, mass processing, an upload; figures of a real server over TLS.

    python3 bench/console.py [--computers N] [--softwares M] [--size MIB] [--runs N] [--data FOLDER]

Times are those of whole requests on a connection that stays open, as a browser keeps it: reading, rendering, sending.
`--data` takes a data directory that bench/fleet.py made, and changes it; else one is made and thrown away.
"""

from __future__ import annotations

import argparse
import http.client
import json
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from appliance.domain.account import Profile, Role
from appliance.domain.package import Action, Order, System
from appliance.domain.search import Criterion, Operator
from appliance.operations.accounts import create_user
from appliance.operations.activate import activate
from appliance.operations.affect import Terms, affect
from appliance.operations.build_package import build_package
from appliance.operations.desk import Desk
from appliance.operations.groups import create_group
from appliance.operations.selection import Selection
from bench import fleet, upload
from tests.fakes.appliance import Running, on_desk, rows, say, serving
from tests.web.console.kit import ADMINISTRATOR, PASSWORD, Browser

PAGE, SEARCH, AFFECT = 50.0, 250.0, 5000.0  # milliseconds wanted
MEMORY = 200  # MiB wanted
WARM_UPS = 2
AFFECTED = 3  # packages, one after the other to all computers
LOOK = 0.05  # seconds between two looks at a job
PLACE = "ocs.example.org/download"


@dataclass(frozen=True)
class Row:
    """One line of the table. `wanted` None: shown for comparison only."""

    what: str
    measured: float
    wanted: float | None
    unit: str = "ms"
    at_least: bool = False

    @property
    def ok(self) -> bool:
        """Whether the figure is reached."""
        return self.wanted is None or (self.measured >= self.wanted if self.at_least else self.measured <= self.wanted)

    @property
    def cells(self) -> tuple[str, str, str, str]:
        """The line as text."""
        digits = 2 if self.at_least else 0 if self.measured >= 1000 or self.unit != "ms" else 1
        sign = ">=" if self.at_least else "<="
        wanted = "" if self.wanted is None else f"{sign} {self.wanted:g}"
        said = "" if self.wanted is None else "yes" if self.ok else "NO"
        return self.what, f"{self.measured:.{digits}f} {self.unit}".rstrip(), wanted, said


@dataclass(frozen=True)
class Site:
    """A running server with what was prepared in it."""

    server: Running
    visitor: Visitor
    computers: int
    package: str  # affected to all computers, at mixed stages
    spare: tuple[str, ...]  # packages that are affected to nobody yet
    groups: tuple[int, ...]  # a broad one, one of two criteria
    rare: str  # name of a software that few have


class Visitor:
    """A browser's connection that stays open, with its cookies."""

    def __init__(self, server: Running) -> None:
        browser = Browser(server).sign_in()
        self.token = browser.get("/packages/build").token
        self._cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
        self._server = server
        self._link = http.client.HTTPConnection("127.0.0.1")
        self.connect()

    def connect(self) -> None:
        """Anew: the server does not keep a silent connection for long."""
        self._link.close()
        self._link.sock = self._server.connect(console=True)

    def ask(
        self, method: str, path: str, fields: list[tuple[str, str]] | None = None, **headers: str
    ) -> tuple[int, str, str]:
        """One request: status, Location, body."""
        sent = {"Cookie": self._cookie, "Accept-Encoding": "gzip, deflate, br"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        body = None
        if fields is not None:
            body = urlencode([("csrf", self.token), *fields])
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        self._link.request(method, path, body, sent)
        answer = self._link.getresponse()
        return answer.status, answer.headers.get("Location", ""), answer.read().decode()

    def get(self, path: str) -> str:
        """A page that must be there."""
        status, _, text = self.ask("GET", path)
        assert status == 200, (path, status, text[:2000])
        return text

    def send(self, path: str, body: memoryview) -> str:
        """A slice of a file, as upload.js sends it."""
        sent = {"Cookie": self._cookie, "X-CSRF-Token": self.token, "Accept": "application/json"}
        sent |= {"Content-Type": "application/octet-stream", "Content-Length": str(len(body))}
        self._link.request("POST", path, upload.in_pieces(body), sent)
        answer = self._link.getresponse()
        text = answer.read().decode()
        assert answer.status == 200, (path, answer.status, text)
        return text


def main() -> int:
    """Measure, print, give the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--computers", type=int, default=100_000)
    parser.add_argument("--softwares", type=int, default=150)
    parser.add_argument("--size", type=int, default=1024, metavar="MIB", help="of the upload; 0: none")
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--data", type=Path, help="a data directory that bench/fleet.py made; it is changed")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ocs-bench-") as name:
        data = given.data.resolve() if given.data else Path(name) / "data"
        if not given.data:
            fleet.make(data, given.computers, given.softwares)
        table = measure(data, Path(name), given.runs, given.size)
    show(table)
    return 0 if all(row.ok for row in table) else 1


def measure(data: Path, scratch: Path, runs: int, size: int) -> list[Row]:
    """Everything, on one server."""
    spare, groups = on_desk(data, prepare)
    ((computers,),) = rows(data, "SELECT count(*) FROM computer")
    ((package,),) = rows(data, "SELECT id FROM package WHERE name = 'fleet'")
    with serving(data) as server:
        site = Site(server, Visitor(server), computers, package, spare, groups, _rare(data, computers))
        table = [*pages(site, runs), *searches(site, runs)]
        table += [*scripts(site), *mass(site)]
        if size:
            table += upload.measure(site.server, site.visitor, scratch, size, Row)
        table.append(Row("peak memory of the server", status_of(server.process.pid, "VmHWM") / 1024, MEMORY, "MiB"))
    return table


def show(table: list[Row]) -> None:
    """Print the table."""
    cells = [("what", "measured", "wanted", "ok"), *(row.cells for row in table)]
    widths = [max(len(row[i]) for row in cells) for i in range(4)]
    for row in cells:
        print(" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


# What the server has before it starts


async def prepare(desk: Desk) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """An administrator, packages that are activated, dynamic groups with one of them affected."""
    await create_user(desk, Profile(ADMINISTRATOR, Role.ADMINISTRATOR, "Anna Ek"), PASSWORD)
    made = [await _package(desk, f"spare {number}") for number in range(AFFECTED)]
    firefox = Criterion("SOFTWARE", Operator.LIKE, "firefox")
    windows = Criterion("OSNAME", Operator.LIKE, "Windows")
    broad = await create_group(desk, "Firefox", search=((firefox,),))
    narrow = await create_group(desk, "Firefox on Windows", search=((firefox, windows),))
    grouped = await _package(desk, "of a group")
    await affect(desk, grouped, Selection(group=narrow.name), Terms())
    return (*made, grouped), (broad.id, narrow.id)


async def _package(desk: Desk, name: str) -> str:
    order = Order(name, System.WINDOWS, Action.EXECUTE, "true")
    made = await build_package(desk, order, None, None, lambda *_: None)
    await activate(desk, made.id, PLACE, PLACE, unchecked=True)
    return made.id


def _rare(data: Path, computers: int) -> str:
    """A software that about one computer in a thousand has."""
    found = rows(
        data,
        "SELECT name FROM software JOIN installed ON software_id = id GROUP BY name "
        "ORDER BY abs(count(DISTINCT computer_id) - ?) LIMIT 1",
        computers // 1000,
    )
    return str(found[0][0])


# Pages


def pages(site: Site, runs: int) -> list[Row]:
    """What an administrator opens all day."""
    every = -(-site.computers // 25)
    statistics_page = f"/packages/{site.package}/statistics"
    last = -(-site.computers // 50)
    wanted = {
        "overview": "/",
        "computers": "/computers",
        "computers, page 2000": f"/computers?page={min(2000, every)}",
        "computers, last page": f"/computers?page={every}",
        "computers by last contact": "/computers?sort=LASTCONTACT&desc=1",
        "computers by last contact, page 2000": f"/computers?sort=LASTCONTACT&desc=1&page={min(2000, every)}",
        "computers by operating system": "/computers?sort=OSNAME",
        "computers, quick filter: few": "/computers?q=lab-00001",
        "computers, quick filter: many": "/computers?q=windows",
        "one computer": "/computers/7",
        "one computer without its inventory": f"/computers/{site.computers}",
        "packages": "/packages",
        "statistics of all packages": "/statistics",
        "statistics of a package": statistics_page,
        "statistics: those that succeeded": f"{statistics_page}?stage=success",
        "statistics: those, page 500": f"{statistics_page}?stage=success&page={min(500, last)}",
        "statistics: all, last page": f"{statistics_page}?page={last}",
        "statistics: one status": f"{statistics_page}?status=ERR_EXECUTE",
        "statistics of a group's package": f"/packages/{site.spare[-1]}/statistics",
        "log": "/log",
    }
    table = [Row(what, median(partial(site.visitor.get, path), runs), PAGE) for what, path in wanted.items()]
    broad, narrow = (f"/groups/{number}" for number in site.groups)
    for what, path in {
        "groups, two dynamic": "/groups",
        "dynamic group: firefox": broad,
        "dynamic group: firefox, Windows": narrow,
        "dynamic group, page 500": f"{narrow}?page={min(500, last)}",
    }.items():
        table.append(Row(what, median(partial(site.visitor.get, path), runs), SEARCH))
    return table


def searches(site: Site, runs: int) -> list[Row]:
    """Two criteria each."""
    asked = {
        "search: software firefox, Windows": [("SOFTWARE", "LIKE", "firefox"), ("OSNAME", "LIKE", "Windows")],
        "search: software with an r, Linux": [("SOFTWARE", "LIKE", "r"), ("OSNAME", "LIKE", "Linux")],
        "search: rare software, Windows": [("SOFTWARE", "LIKE", site.rare), ("OSNAME", "LIKE", "Windows")],
        "search: exact software, macOS": [("SOFTWARE", "EQUAL", "Mozilla Firefox"), ("OSNAME", "LIKE", "macOS")],
        "search: without firefox, Windows (ALL)": [
            ("SOFTWARE", "DIFFERENT", "firefox"),
            ("OSNAME", "EQUAL", "Windows (ALL)"),
        ],
        "search: firefox before 126, Windows": [
            ("SOFTWARERELEASE", "LESS", "firefox|126"),
            ("OSNAME", "LIKE", "Windows"),
        ],
        "search: disk model, TAG": [("STORAGES.MODEL", "LIKE", "512110"), ("TAG", "EQUAL", "SITE-OSLO")],
        "search: seen this week, succeeded": [
            ("LASTCONTACT", "LESSTHANXDAY", "7"),
            ("PACKAGE", "EQUAL", f"{site.package} success"),
        ],
    }
    table = []
    for what, criteria in asked.items():
        path = f"/search?{urlencode([(k, v) for one in criteria for k, v in zip('fov', one, strict=True)])}"
        table.append(Row(what, median(partial(site.visitor.get, path), runs), SEARCH))
    return table


def scripts(site: Site) -> list[Row]:
    """What a script asks for: every computer of a package with its reason."""
    return [
        Row(f"package stats --json, {what}", median(partial(_stats, site, package), 3, warm_ups=0), None)
        for what, package in {"all": site.package, "of a dynamic group": site.spare[-1]}.items()
    ]


def _stats(site: Site, package: str) -> None:
    said = say("package", "stats", package, "--json", data=site.server.data)
    assert said.code == 0, said.err


def median(ask: Callable[[], object], runs: int, *, warm_ups: int = WARM_UPS) -> float:
    """The median of some runs, in milliseconds."""
    took = []
    for run in range(runs + warm_ups):
        begun = time.perf_counter()
        ask()
        if run >= warm_ups:
            took.append(1000 * (time.perf_counter() - begun))
    return statistics.median(took)


# Mass processing


def mass(site: Site) -> list[Row]:
    """A package to the whole result, by the form; and computers deleted."""
    site.visitor.connect()
    took: list[float] = []
    seen: list[int] = []
    waited: list[float] = []
    for package in site.spare[:AFFECTED]:
        begun = time.perf_counter()
        fields = [("whole", "1"), ("search", "[]"), ("q", ""), ("package", package)]
        shares = list(job(site.visitor, "/selection/deploy", fields, waited))
        took.append(1000 * (time.perf_counter() - begun))
        seen.append(len(set(shares)))
        assert f">{site.computers:,}<" in site.visitor.get(f"/packages/{package}/statistics")
    table = [Row(f"affect a package to {site.computers}", statistics.median(took), AFFECT)]
    if waited:
        table.append(Row("affect: shares that its progress bar showed", statistics.median(seen), None, ""))
        table.append(Row("affect: the slowest look at that page", max(waited), SEARCH))
    first = json.dumps([[{"field": "NAME", "operator": "LIKE", "value": "-000"}]])  # their names end in six digits
    begun = time.perf_counter()
    list(job(site.visitor, "/selection/delete", [("whole", "1"), ("search", first), ("sure", "1")], []))
    table.append(Row("delete 999 computers", 1000 * (time.perf_counter() - begun), None))
    return table


def job(visitor: Visitor, path: str, fields: list[tuple[str, str]], waited: list[float]) -> Iterator[str]:
    """Begin long work and look at its page until it is done: the shares that it showed."""
    status, place, text = visitor.ask("POST", path, fields)
    assert status == 303, text
    while place.startswith("/jobs/"):
        begun = time.perf_counter()
        status, _, text = visitor.ask("GET", place)
        waited.append(1000 * (time.perf_counter() - begun))
        assert "alert-danger" not in text, text
        if status == 303:
            return
        if found := re.search(r'<progress max="100" value="(\d+)"', text):
            yield found.group(1)
        time.sleep(LOOK)


def status_of(pid: int, key: str) -> int:
    """A number of /proc/PID/status."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1])
    raise KeyError(key)


if __name__ == "__main__":
    sys.exit(main())
