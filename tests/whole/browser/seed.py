"""A site that looks like one: computers of several systems, and packages at every stage, told through the protocol."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from urllib.parse import urlsplit

from appliance.domain.messages import DeviceId, Progress, Report, Section
from appliance.wire import contact, envelope
from tests.whole.site import Site, noise, script, targz, zipped

WINDOWS_AGENT = "OCS-NG_WINDOWS_AGENT_v2.11.0.1"
UNIX_AGENT = "OCS-NG_unified_unix_agent_v2.10.0"
TAGS = ("paris", "lyon", "madrid", "workshop")


@dataclass(frozen=True)
class System:
    """What computers of one kind say of themselves."""

    prefix: str
    name: str
    version: str
    agent: str
    softwares: tuple[tuple[str, str], ...]


SYSTEMS = (
    System("PC", "Microsoft Windows 11 Pro", "10.0.26100", WINDOWS_AGENT,
           (("7-Zip 24.09 (x64)", "24.09"), ("Mozilla Firefox (x64 es-ES)", "143.0"), ("LibreOffice 25.2", "25.2.5"))),
    System("PC", "Microsoft Windows 10 Pro", "10.0.19045", WINDOWS_AGENT,
           (("7-Zip 19.00 (x64)", "19.00"), ("Mozilla Firefox ESR (x64 en-GB)", "140.3"))),
    System("SRV", "Microsoft Windows Server 2022 Standard", "10.0.20348", WINDOWS_AGENT, (("Backup agent", "8.1.4"),)),
    System("desk", "Debian GNU/Linux 12", "12", UNIX_AGENT,
           (("firefox-esr", "140.3.0esr-1~deb12u1"), ("vlc", "3.0.21"))),
    System("lab", "Ubuntu 24.04.3 LTS", "24.04", UNIX_AGENT, (("thunderbird", "1:140.3"), ("vlc", "3.0.20-3build6"))),
    System("mac", "macOS", "15.6.1", UNIX_AGENT, (("Safari", "18.6"), ("Keynote", "14.4"))),
)  # fmt: skip
# Of every ten computers: four of the first kind, two of the second, ...
SHARES = (0, 3, 0, 1, 0, 4, 0, 3, 1, 5)
SERVERS_EVERY = 25


@dataclass(frozen=True)
class Seeded:
    """One made-up computer."""

    device_id: DeviceId
    name: str
    system: System
    tag: str


def seeded(count: int = 250) -> list[Seeded]:
    """So many computers, always the same ones."""
    found = []
    for number in range(1, count + 1):
        system = SYSTEMS[2] if number % SERVERS_EVERY == 0 else SYSTEMS[SHARES[number % len(SHARES)]]
        name = f"{system.prefix}-{number:03}"
        moment = f"2026-{number % 12 + 1:02}-{number % 28 + 1:02}-08-{number % 60:02}-{number % 59:02}"
        found.append(Seeded(DeviceId(f"{name}-{moment}"), name, system, TAGS[number % len(TAGS)]))
    return found


def inventory(computer: Seeded, number: int) -> bytes:
    """What it tells the server of itself."""
    system = computer.system
    mac = f"52:54:00:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"
    address = f"192.0.2.{number % 254 + 1}"
    sections: list[Section] = [
        ("HARDWARE", {
            "NAME": computer.name, "OSNAME": system.name, "OSVERSION": system.version, "WORKGROUP": "EXAMPLE",
            "MEMORY": str(4096 * (number % 4 + 1)), "PROCESSORT": "Intel(R) Core(TM) i5-12400", "PROCESSORN": "1",
            "USERID": f"user{number:03}", "IPADDR": address, "DESCRIPTION": f"Room {number % 40 + 101}",
            "UUID": f"00000000-0000-4000-8000-{number:012x}",
        }),
        ("BIOS", {
            "SMANUFACTURER": ("Dell Inc.", "LENOVO", "HP")[number % 3], "SMODEL": f"Model {number % 5 + 1}",
            "SSN": f"SN{number:06}", "BVERSION": "1.14.2", "BDATE": "03/14/2025", "TYPE": "Desktop",
        }),
        ("CPUS", {"TYPE": "Intel(R) Core(TM) i5-12400", "CORES": "6", "SPEED": "2500"}),
        ("STORAGES", {"NAME": "disk0", "MODEL": "SSD 980 PRO", "TYPE": "SSD", "DISKSIZE": "500107"}),
        ("DRIVES", {"VOLUMN": "C:", "FILESYSTEM": "NTFS", "TOTAL": "476300", "FREE": str(20_000 + number * 900)}),
        ("NETWORKS", {
            "DESCRIPTION": "Ethernet", "MACADDR": mac, "IPADDRESS": address, "IPMASK": "255.255.255.0", "STATUS": "Up",
        }),
    ]  # fmt: skip
    sections += [("SOFTWARES", {"NAME": name, "VERSION": version}) for name, version in system.softwares]
    return contact.encode_inventory(computer.device_id, sections, account=[("TAG", computer.tag)])


class Caller:
    """Tells the server what computers would."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self.connection = connection

    def tell(self, computer: Seeded, xml: bytes) -> None:
        """One message, which must be taken."""
        headers = {"Content-Type": "application/x-compress", "User-Agent": computer.system.agent}
        self.connection.request("POST", "/ocsinventory", envelope.pack(xml), headers)
        answer = self.connection.getresponse()
        said = answer.read()
        assert answer.status == 200, said

    def introduce(self, computers: Iterable[Seeded]) -> None:
        """Every computer's inventory."""
        for number, computer in enumerate(computers, 1):
            self.tell(computer, inventory(computer, number))

    def call(self, computers: Iterable[Seeded]) -> None:
        """A contact of each: what is affected to it is announced."""
        for computer in computers:
            self.tell(computer, contact.encode_prolog(computer.device_id))

    def report(self, computers: Iterable[Seeded], package: str, code: str) -> None:
        """An outcome from each."""
        for computer in computers:
            self.tell(computer, contact.encode_report(Report(computer.device_id, package, code)))

    def progress(self, computers: Iterable[Seeded], package: str, fetched: int) -> None:
        """How many fragments each has."""
        for computer in computers:
            self.tell(computer, contact.encode_progress(Progress(computer.device_id, package, fetched)))


@contextmanager
def calling(site: Site) -> Iterator[Caller]:
    """A connection to where agents talk."""
    where = urlsplit(site.http)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=30)
    try:
        yield Caller(connection)
    finally:
        connection.close()


def populate(site: Site, count: int = 250) -> list[Seeded]:
    """Computers only."""
    computers = seeded(count)
    with calling(site) as caller:
        caller.introduce(computers)
    return computers


def furnish(site: Site, count: int = 250) -> dict[str, str]:
    """Computers, groups and packages at every stage: package ids by short names."""
    computers = populate(site, count)
    windows = [one for one in computers if "Windows" in one.system.name and one.system.prefix == "PC"]
    debian = [one for one in computers if "Debian" in one.system.name]
    site.ask(
        "group", "create", "Paris", "--search", "TAG = paris", "--description", "All computers of the Paris office"
    )
    site.ask("group", "create", "Pilot", "--visible", "--description", "Gets new packages a week before the others")
    site.ask("group", "add", "Pilot", *(word for one in computers[:8] for word in ("--computer", one.device_id)))
    ids = {
        "player": site.ask(
            "package", "build", "--name", "Media player 3.0.21", "--os", "windows", "--action", "launch",
            "--command", "setup.exe /S", "--description", "The player of the training rooms", "--fragment-size", "256K",
            "--file", str(zipped(site.folder / "player.zip", {"setup.exe": noise(4_000_000)})),
        ),
        "update": site.ask(
            "package", "build", "--name", "Security update October", "--os", "linux", "--action", "execute",
            "--command", "apt-get update && apt-get --yes upgrade", "--priority", "2",
        ),
        "forms": site.ask(
            "package", "build", "--name", "Office forms", "--os", "windows", "--action", "store",
            "--path", r"C:\Forms", "--priority", "7",
            "--file", str(zipped(site.folder / "forms.zip", {"leave.odt": noise(60_000)})),
        ),
        "draft": site.ask(
            "package", "build", "--name", "VPN client 5.1", "--os", "linux", "--action", "launch",
            "--command", "setup.sh --quiet", "--warn-text", "The VPN client is renewed. Please save your work.",
            "--warn-countdown", "60", "--may-delay",
            "--file", str(targz(site.folder / "vpn.tar.gz", {"setup.sh": script("exit 0")})),
        ),
    }  # fmt: skip
    for name in ("player", "update", "forms"):
        site.ask("package", "activate", ids[name])
    site.ask("package", "affect", ids["player"], "--search", "OSNAME LIKE Windows 1")
    site.ask("package", "affect", ids["update"], "--search", "OSNAME LIKE Debian")
    site.ask("package", "affect", ids["forms"], "--group", "Pilot")
    with calling(site) as caller:
        told, later = parts(windows, 6, 1)
        caller.call(told)
        done, failed, busy = parts(told, 7, 1, 2)
        caller.report(done, ids["player"], "SUCCESS")
        caller.report(failed[::2], ids["player"], "ERR_EXIT_CODE_1603")
        caller.report(failed[1::2], ids["player"], "ERR_DOWNLOAD_PACK")
        caller.progress(busy, ids["player"], 9)
        caller.call(debian)
        done, failed, _ = parts(debian, 8, 1, 1)
        caller.report(done, ids["update"], "SUCCESS")
        caller.report(failed, ids["update"], "ERR_TIMEOUT")
    assert later
    return ids


def parts(computers: Sequence[Seeded], *shares: int) -> list[Sequence[Seeded]]:
    """Cut a row of computers in that proportion."""
    edges = [len(computers) * sum(shares[:number]) // sum(shares) for number in range(len(shares) + 1)]
    return [computers[low:high] for low, high in pairwise(edges)]


def counted(site: Site) -> int:
    """How many computers the server knows."""
    return len(json.loads(site.ask("computer", "list", "--json")))
