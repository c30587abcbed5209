#!/usr/bin/env python3
"""A data directory with a large fleet in it, for measuring: computers, softwares, inventory values, one package.

    python3 bench/fleet.py FOLDER [--computers N] [--softwares M]

The same numbers give the same fleet. Written straight into the file, past the server: 100 000 computers with 150
softwares each take two minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import random
import sqlite3
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from appliance.domain.messages import DeviceId
from appliance.domain.package import Action, Order, System
from appliance.operations.activate import activate
from appliance.operations.build_package import build_package
from appliance.operations.desk import open_desk
from appliance.store.computers import pack_xml
from appliance.wire import contact

DAY = 86_400
TITLES = 3000
WITH_XML = 1000  # computers whose whole inventory is kept too; the others have only what is searched

SYSTEMS = [  # name, version, kind, share
    ("Microsoft Windows 11 Pro", "10.0.22631", "windows", 38),
    ("Microsoft Windows 10 Enterprise", "10.0.19045", "windows", 24),
    ("Microsoft Windows Server 2022 Standard", "10.0.20348", "windows", 6),
    ("Microsoft Windows 7 Professional", "6.1.7601", "windows", 2),
    ("Debian GNU/Linux 12", "12", "linux", 9),
    ("Ubuntu 22.04.4 LTS", "22.04", "linux", 7),
    ("Red Hat Enterprise Linux 9.3", "9.3", "linux", 4),
    ("macOS 14.5", "14.5", "macos", 8),
    ("macOS 13.6.7", "13.6.7", "macos", 2),
]
AGENTS = {
    "windows": "OCS-NG_WINDOWS_AGENT_v2.11.0.1",
    "linux": "OCS-NG_unified_unix_agent_v2.10.0",
    "macos": "OCS-NG_unified_unix_agent_v2.10.0",
}
KNOWN = [  # softwares that people search for: vendor, name
    ("Mozilla", "Mozilla Firefox"), ("Google LLC", "Google Chrome"), ("Microsoft Corporation", "Microsoft Edge"),
    ("Microsoft Corporation", "Microsoft Office Professional Plus"), ("The Document Foundation", "LibreOffice"),
    ("VideoLAN", "VLC media player"), ("Igor Pavlov", "7-Zip"), ("Adobe Inc.", "Adobe Acrobat Reader"),
    ("Zoom Video Communications, Inc.", "Zoom Workplace"), ("Microsoft Corporation", "Microsoft Teams"),
    ("Oracle Corporation", "Java 8 Update"), ("Python Software Foundation", "Python"), ("Notepad++ Team", "Notepad++"),
    ("The Git Development Community", "Git"), ("OpenVPN Inc.", "OpenVPN"), ("Simon Tatham", "PuTTY"),
    ("Microsoft Corporation", "Microsoft Visual C++ 2022 Redistributable"), ("GIMP", "GIMP"), ("Inkscape", "Inkscape"),
    ("KeePassXC Team", "KeePassXC"), ("Wireshark", "Wireshark"), ("OCS Inventory NG Team", "OCS Inventory NG Agent"),
]  # fmt: skip
VENDORS = [
    "Acme", "Northwind", "Contoso", "Fabrikam", "Initech", "Globex", "Umbra", "Hooli", "Vandelay", "Stark", "Wayne",
    "Tyrell", "Cyberdyne", "Aperture", "Soylent", "Wonka", "Oceanic", "Gringotts", "Monarch", "Pied Piper",
]  # fmt: skip
THINGS = [
    "Backup", "Driver", "Runtime", "Viewer", "Editor", "Monitor", "Scanner", "Updater", "Toolkit", "Framework",
    "Client", "Server", "Library", "Codec", "Plugin",
]  # fmt: skip
SORTS = ["", "Pro", "Lite", "SDK", "Manager", "Service", "Enterprise", "Helper", "Pack", "Extension"]
TAGS = [f"SITE-{city}" for city in (
    "BERLIN", "MADRID", "PARIS", "ROMA", "LISBOA", "WIEN", "OSLO", "PRAHA", "DUBLIN", "ATHINA", "RIGA", "SOFIA",
    "TALLINN", "ZAGREB", "BERN", "MALMO", "GDANSK", "PORTO", "SEVILLA", "LYON",
)]  # fmt: skip
DEPARTMENTS = ["ACCT", "SALES", "LAB", "HR", "DEV", "OPS", "SHOP", "DESK"]
MODELS = [("Dell Inc.", "Latitude 5440"), ("Dell Inc.", "OptiPlex 7010"), ("LENOVO", "ThinkPad T14"),
          ("HP", "EliteBook 840 G9"), ("HP", "ProDesk 600"), ("Apple Inc.", "MacBookPro18,3"),
          ("VMware, Inc.", "VMware Virtual Platform")]  # fmt: skip
STAGES = [("success", "SUCCESS", 60), ("notified", "", 15), ("waiting", "", 15), ("error", "ERR_EXECUTE", 6),
          ("error", "ERR_DOWNLOAD_INFO", 2), ("already", "SUCCESS_ALREADY_SETUP", 2)]  # fmt: skip


@dataclass(frozen=True)
class Fleet:
    """What was made."""

    computers: int
    package: str  # the id of the package that is affected to all of them
    seconds: float


def make(folder: Path, computers: int = 100_000, softwares: int = 150) -> Fleet:
    """A new data directory with that many computers, each with about that many softwares."""
    begun = time.monotonic()
    package = asyncio.run(_package(folder))
    with contextlib.closing(sqlite3.connect(folder / "ocs.sqlite", isolation_level=None)) as database:
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-1000000", "foreign_keys=OFF"):
            database.execute(f"PRAGMA {pragma}")
        indexes = _without_indexes(database)
        database.execute("BEGIN")
        _fill(database, package, computers, softwares, random.Random(f"{computers} {softwares}"))
        for sql in indexes:
            database.execute(sql)
        database.execute("COMMIT")
        database.execute("PRAGMA journal_mode=WAL")
    return Fleet(computers, package, time.monotonic() - begun)


async def _package(folder: Path) -> str:
    async with open_desk(folder) as desk:
        order = Order("fleet", System.WINDOWS, Action.EXECUTE, "true")
        made = await build_package(desk, order, None, None, lambda *_: None)
        place = "ocs.example.org/download"
        await activate(desk, made.id, place, place, unchecked=True)
        return made.id


def _without_indexes(database: sqlite3.Connection) -> list[str]:
    """Drop the big tables' indexes, which are quicker made at the end: the statements that make them."""
    rows = database.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL "
        "AND tbl_name IN ('computer', 'installed', 'inventory_said', 'affectation', 'event')"
    ).fetchall()
    for name, _ in rows:
        database.execute(f"DROP INDEX {name}")
    return [sql for _, sql in rows]


def _fill(database: sqlite3.Connection, package: str, computers: int, softwares: int, dice: random.Random) -> None:
    now = int(time.time())
    pools = _softwares(database, dice)
    said = _Said()
    kinds = dice.choices(SYSTEMS, [share for *_, share in SYSTEMS], k=computers)
    everyone = range(1, computers + 1)
    database.executemany(
        """
        INSERT INTO computer (id, device_id, name, tag, user_agent, address, first_seen, last_contact, last_inventory,
            sections, workgroup, userdomain, osname, osversion, oscomments, userid, description, ipaddr, uuid, arch,
            processort, processorn, processors, memory, swap, smanufacturer, smodel, ssn, bversion)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """,
        (_computer(number, kinds[number - 1], now, dice) for number in everyone),
    )
    database.executemany(
        "INSERT INTO network (computer_id, macaddr, ipaddress, ipsubnet) VALUES (?, ?, ?, ?)",
        (
            (n, f"00:00:5e:{n >> 16 & 255:02x}:{n >> 8 & 255:02x}:{n & 255:02x}", _address(n), "10.0.0.0")
            for n in everyone
        ),
    )
    database.executemany(
        "INSERT INTO account (computer_id, key, value) VALUES (?, ?, ?)",
        ((n, "BUILDING", dice.choice("ABCDEF") + str(n % 30)) for n in everyone),
    )
    database.executemany(
        "INSERT INTO installed (computer_id, software_id) VALUES (?, ?)",
        (
            (number, software)
            for number in everyone
            for software in _installed(pools[kinds[number - 1][2]], softwares, dice)
        ),
    )
    database.executemany(
        "INSERT INTO inventory_said (computer_id, value_id) VALUES (?, ?)",
        ((number, value) for number in everyone for value in said.of(number, dice)),
    )
    database.executemany("INSERT INTO inventory_value (section, field, value, id) VALUES (?, ?, ?, ?)", said.rows())
    stages = dice.choices(STAGES, [share for *_, share in STAGES], k=computers)
    _affect(database, package, stages, now)
    _whole(database, now, min(computers, WITH_XML), softwares)


def _softwares(database: sqlite3.Connection, dice: random.Random) -> dict[str, tuple[list[int], list[float]]]:
    """Every title in some versions; by system the ids to draw from, and their cumulated weights."""
    made = [
        (f"{vendor} Corp.", f"{vendor} {thing} {sort}".strip())
        for vendor, thing, sort in itertools.product(VENDORS, THINGS, SORTS)
    ]
    dice.shuffle(made)
    titles = KNOWN + made[: TITLES - len(KNOWN)]
    ids: dict[str, list[int]] = {"windows": [], "linux": [], "macos": []}
    weights: dict[str, list[float]] = {"windows": [], "linux": [], "macos": []}
    rows: list[tuple[int, str, str, str]] = []
    for place, (vendor, name) in enumerate(titles):
        kinds = list(ids) if place < len(KNOWN) else [dice.choice(["windows", "windows", "linux", "macos"])]
        versions = dice.randint(1, 5) if place >= len(KNOWN) else 8
        for age in range(versions):
            version = f"{128 - age}.{dice.randint(0, 9)}.{dice.randint(0, 99)}"
            rows.append((len(rows) + 1, name, version, vendor))
            for kind in kinds:
                ids[kind].append(len(rows))
                weights[kind].append(1 / (place + 20) / (age + 1))
    database.executemany("INSERT INTO software (id, name, version, publisher) VALUES (?, ?, ?, ?)", rows)
    return {kind: (ids[kind], list(itertools.accumulate(weights[kind]))) for kind in ids}


def _installed(pool: tuple[list[int], list[float]], softwares: int, dice: random.Random) -> list[int]:
    ids, weights = pool
    found: set[int] = set()
    while len(found) < min(softwares, len(ids)):
        found.update(dice.choices(ids, cum_weights=weights, k=softwares - len(found) + 8))
    return sorted(found)[:softwares]


def _computer(number: int, system: tuple[str, str, str, int], now: int, dice: random.Random) -> tuple[object, ...]:
    osname, osversion, kind, _ = system
    name = f"{kind[:3]}-{DEPARTMENTS[number % 8].lower()}-{number:06d}"
    maker, model = MODELS[5] if kind == "macos" else dice.choice(MODELS)
    contact_at = now - int(dice.expovariate(1 / (3 * DAY)))
    return (
        number, f"{name}-2026-01-31-09-30-00", name, dice.choice(TAGS), AGENTS[kind], _address(number),
        contact_at - dice.randint(30, 900) * DAY, contact_at, contact_at, "BIOS HARDWARE NETWORKS SOFTWARES STORAGES",
        "EXAMPLE", "EXAMPLE", osname, osversion, "", f"user{dice.randint(1, 60_000):05d}", f"seat {number}",
        _address(number), f"{dice.getrandbits(128):032x}", "x86_64", "Intel(R) Core(TM) i5-1345U", 1400, 1,
        dice.choice([4096, 8192, 16384, 32768]), 4096, maker, model, f"SN{dice.getrandbits(40):010X}", "1.21.0",
    )  # fmt: skip


def _address(number: int) -> str:
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


class _Said:
    """Some thirty inventory values for each computer: half of them shared by many, a few its own."""

    def __init__(self) -> None:
        self._ids: dict[tuple[str, str, str], int] = {}

    def of(self, number: int, dice: random.Random) -> list[int]:
        """The values' numbers."""
        disk, screen, printer = dice.choice([256060, 512110, 1000204]), dice.randint(1, 40), dice.randint(1, 300)
        told = {
            ("STORAGES", "NAME", f"disk{dice.randint(0, 3)}"),
            ("STORAGES", "MODEL", f"Storage Model {disk} {dice.randint(1, 60)}"),
            ("STORAGES", "DISKSIZE", str(disk)),
            ("STORAGES", "SERIALNUMBER", f"D{number:08d}"),
            ("STORAGES", "TYPE", "SSD"),
            ("DRIVES", "LETTER", "C:/"),
            ("DRIVES", "FILESYSTEM", "NTFS"),
            ("DRIVES", "TOTAL", str(disk - 1000)),
            ("DRIVES", "FREE", str(dice.randint(1000, disk))),
            ("MEMORIES", "CAPACITY", str(dice.choice([4096, 8192, 16384]))),
            ("MEMORIES", "TYPE", "DDR4"),
            ("MEMORIES", "SPEED", "3200"),
            ("MEMORIES", "SERIALNUMBER", f"M{number:08d}"),
            ("MONITORS", "CAPTION", f"Monitor {screen}"),
            ("MONITORS", "SERIAL", f"S{number:08d}"),
            ("VIDEOS", "NAME", f"Video {dice.randint(1, 30)}"),
            ("SOUNDS", "NAME", f"Sound {dice.randint(1, 30)}"),
            ("PRINTERS", "NAME", f"Printer {printer}"),
            ("PRINTERS", "DRIVER", f"Printer driver {printer % 40}"),
            ("CONTROLLERS", "NAME", f"Controller {dice.randint(1, 80)}"),
            ("CONTROLLERS", "MANUFACTURER", "Intel"),
            ("CPUS", "CORES", "10"),
            ("CPUS", "MANUFACTURER", "Intel"),
            ("BIOS", "TYPE", "Notebook"),
            ("BIOS", "BDATE", f"0{dice.randint(1, 9)}/15/2025"),
            ("HARDWARE", "DEFAULTGATEWAY", f"10.{number >> 16 & 255}.{number >> 8 & 255}.1"),
            ("NETWORKS", "DESCRIPTION", "Ethernet"),
            ("NETWORKS", "SPEED", "1 Gb/s"),
            ("NETWORKS", "STATUS", "Up"),
        }
        return sorted({self._ids.setdefault(value, len(self._ids) + 1) for value in told})

    def rows(self) -> Iterator[tuple[str, str, str, int]]:
        """Every value with its number."""
        return ((*value, number) for value, number in self._ids.items())


def _affect(database: sqlite3.Connection, package: str, stages: list[tuple[str, str, int]], now: int) -> None:
    database.executemany(
        "INSERT INTO affectation (computer_id, package_id, stage, received, affected_at, notified_at, changed_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            (
                number,
                package,
                stage,
                received,
                now - 5 * DAY,
                None if stage == "waiting" else now - 4 * DAY,
                now - 3 * DAY,
            )
            for number, (stage, received, _) in enumerate(stages, 1)
        ),
    )
    database.executemany(
        "INSERT INTO event (computer_id, package_id, at, kind, detail) VALUES (?, ?, ?, ?, ?)",
        (
            (number, package, at, kind, detail)
            for number, (stage, received, _) in enumerate(stages, 1)
            for at, kind, detail in _events(stage, received, now)
        ),
    )
    database.executemany(
        "INSERT INTO history (computer_id, package_id) VALUES (?, ?)",
        ((number, package) for number, (stage, _, _) in enumerate(stages, 1) if stage in ("success", "already")),
    )


def _events(stage: str, received: str, now: int) -> Iterator[tuple[int, str, str]]:
    yield now - 5 * DAY, "affected", ""
    if stage != "waiting":
        yield now - 4 * DAY, "announced", ""
    if received:
        yield now - 3 * DAY, "result", received


def _whole(database: sqlite3.Connection, now: int, computers: int, softwares: int) -> None:
    """The first computers' whole inventory as XML, made of what the tables have."""
    for number, device, name, osname in database.execute(
        "SELECT id, device_id, name, osname FROM computer WHERE id <= ?", (computers,)
    ).fetchall():
        titles = database.execute(
            "SELECT name, version, publisher FROM installed JOIN software ON id = software_id WHERE computer_id = ?",
            (number,),
        ).fetchall()
        sections = [
            ("HARDWARE", {"NAME": name, "OSNAME": osname, "MEMORY": "16384"}),
            ("BIOS", {"SMODEL": "Latitude 5440", "TYPE": "Notebook"}),
            *(("SOFTWARES", {"NAME": t, "VERSION": v, "PUBLISHER": p}) for t, v, p in titles[:softwares]),
        ]
        xml = contact.encode_inventory(DeviceId(device), sections)
        database.execute(
            "INSERT INTO inventory (computer_id, received_at, size, xml) VALUES (?, ?, ?, ?)",
            (number, now, len(xml), pack_xml(xml)),
        )


def main() -> int:
    """Make a fleet, say how long it took, give the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--computers", type=int, default=100_000)
    parser.add_argument("--softwares", type=int, default=150)
    given = parser.parse_args()
    fleet = make(given.folder, given.computers, given.softwares)
    size = (given.folder / "ocs.sqlite").stat().st_size / 1024**2
    print(f"{fleet.computers} computers, package {fleet.package}, {size:.0f} MiB, in {fleet.seconds:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
