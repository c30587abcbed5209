"""Linux: puts the sections together from /proc, /sys and the package databases; each part has its module.

`root` is "" for the real system, or the folder of another tree. Only when `live` may the kernel be asked
through sockets, or a program be run.
"""

from __future__ import annotations

from functools import partial

from ..rows import Row, Section, attempt
from ..smbios import Structure
from . import accounts, buses, disks, firmware, hardware, logins, networks, processors
from . import softwares as packages


def collect(root: str, *, live: bool, softwares: bool) -> list[Section]:
    nothing: Row = {}
    no_rows: list[Row] = []
    no_parts: list[Structure] = []
    no_devices: list[buses.PciDevice] = []
    parts = attempt(lambda: firmware.structures(root), no_parts)
    links = attempt(lambda: networks.links(root, live=live), no_rows)
    cpus = attempt(lambda: processors.processors(root, parts), no_rows)
    pci = attempt(lambda: buses.pci(root), no_devices)

    row = attempt(lambda: hardware.hardware(root, cpus, links), nothing)
    row.update(attempt(lambda: firmware.identity(root, parts), nothing))
    row.update(attempt(lambda: logins.people(root), nothing))
    sections: list[Section] = [
        ("HARDWARE", row),
        ("BIOS", attempt(lambda: firmware.bios(root, parts), nothing)),
    ]

    def add(name: str, rows: list[Row]) -> None:
        sections.extend((name, fields) for fields in rows)

    add("CPUS", cpus)
    add("MEMORIES", attempt(lambda: firmware.memories(root, parts), no_rows))
    add("SLOTS", attempt(lambda: firmware.slots(parts), no_rows))
    add("CONTROLLERS", attempt(lambda: buses.controllers(pci), no_rows))
    add("VIDEOS", attempt(lambda: buses.videos(root, pci), no_rows))
    add("SOUNDS", attempt(lambda: buses.sounds(pci), no_rows))
    add("USBDEVICES", attempt(lambda: buses.usb(root), no_rows))
    add("STORAGES", attempt(lambda: disks.storages(root), no_rows))
    add("DRIVES", attempt(lambda: disks.drives(root), no_rows))
    add("NETWORKS", links)
    add("LOCAL_USERS", attempt(lambda: accounts.users(root), no_rows))
    add("LOCAL_GROUPS", attempt(lambda: accounts.groups(root), no_rows))
    if softwares:
        for source in packages.sources(live=live):
            add("SOFTWARES", attempt(partial(source, root), no_rows))
    return sections
