"""macOS: one call of system_profiler, one of sysctl, and the sections made from their answers.

Written against recorded answers; not yet run on a real one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from . import other
from .reading import pairs
from .rows import Row, Section, attempt, number
from .running import output

_MIB = 1 << 20
_DEPTH_LIMIT = 8  # of hubs behind hubs
_TYPES = [
    "SPHardwareDataType",
    "SPSoftwareDataType",
    "SPMemoryDataType",
    "SPDisplaysDataType",
    "SPStorageDataType",
    "SPNetworkDataType",
    "SPUSBDataType",
    "SPAudioDataType",
]
_APPLICATIONS = "SPApplicationsDataType"  # seconds, where all the others together take one
_SYSCTL = (
    "hw.memsize",
    "hw.machine",
    "hw.packages",
    "hw.physicalcpu",
    "hw.logicalcpu",
    "hw.cpufrequency",  # not on Apple's own processors
    "hw.l2cachesize",
    "machdep.cpu.brand_string",
    "kern.osrelease",
    "kern.hv_vmm_present",
)

Profile = Mapping[str, Sequence[Mapping[str, Any]]]


def collect(root: str, *, live: bool, softwares: bool) -> list[Section]:
    if not live:
        return other.collect(root, live=live, softwares=softwares)
    types = [*_TYPES, *([_APPLICATIONS] if softwares else [])]
    said = output(["/usr/sbin/system_profiler", "-json", *types])
    if said is None and softwares:  # too many applications for the time there is: better without than nothing
        said = output(["/usr/sbin/system_profiler", "-json", *_TYPES])
    # it fails when one name is unknown, after giving all the others
    kernel = output(["/usr/sbin/sysctl", *_SYSCTL], any_exit_code=True) or b""
    profile = parse(said or b"")
    if not profile:
        return other.collect(root, live=live, softwares=softwares)
    return sections(profile, pairs(kernel.decode("utf-8", "replace"), ":"))


def parse(said: bytes) -> dict[str, list[dict[str, Any]]]:
    try:
        found = json.loads(said.decode("utf-8", "replace"), strict=False)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {
        name: [item for item in items if isinstance(item, dict)]
        for name, items in found.items()
        if isinstance(items, list)
    }


def sections(profile: Profile, kernel: Mapping[str, str]) -> list[Section]:
    nothing: Row = {}
    no_rows: list[Row] = []
    found: list[Section] = [
        ("HARDWARE", attempt(lambda: _hardware(profile, kernel), nothing)),
        ("BIOS", attempt(lambda: _bios(profile), nothing)),
        ("CPUS", attempt(lambda: _cpu(profile, kernel), nothing)),
    ]
    for name, part in (
        ("MEMORIES", _memories),
        ("VIDEOS", _videos),
        ("SOUNDS", _sounds),
        ("USBDEVICES", _usb),
        ("STORAGES", _storages),
        ("DRIVES", _drives),
        ("NETWORKS", _networks),
        ("SOFTWARES", _softwares),
    ):
        found.extend((name, row) for row in attempt(partial(part, profile), no_rows))
    return found


def _hardware(profile: Profile, kernel: Mapping[str, str]) -> Row:
    machine, system = _first(profile, "SPHardwareDataType"), _first(profile, "SPSoftwareDataType")
    version = re.match(r"(\S.*?)\s+([0-9][0-9.]*)\s*(?:\((.*)\))?$", _text(system, "os_version"))
    name, number_, build = version.groups() if version else (_text(system, "os_version"), "", None)
    user = re.search(r"\(([^()]+)\)$", _text(system, "user_name"))  # "Jane Doe (jdoe)"
    links = _networks(profile)
    way = next((row for row in links if row.get("IPGATEWAY") and "." in row.get("IPADDRESS", "")), {})
    servers = [
        server
        for item in profile.get("SPNetworkDataType", ())
        for server in _several(_inner(item, "DNS"), "ServerAddresses")
    ]
    domain = _text(_inner(_first(profile, "SPNetworkDataType"), "DNS"), "DomainName")
    # SWAP is left out: macOS changes its size all the time, which would be news at every inventory
    return {
        "NAME": _text(system, "local_host_name").partition(".")[0],
        "WORKGROUP": domain or "WORKGROUP",
        "OSNAME": f"{name} {number_}".strip(),
        "OSVERSION": number_,
        "OSCOMMENTS": f"{_text(system, 'kernel_version')} ({build})" if build else _text(system, "kernel_version"),
        "USERID": user[1] if user else "",
        "ARCH": kernel.get("hw.machine", ""),
        "PROCESSORT": _processor(machine, kernel),
        "PROCESSORS": _mhz(machine, kernel),
        "PROCESSORN": kernel.get("hw.packages", "") or "1",
        "MEMORY": str(number(kernel.get("hw.memsize", "")) // _MIB or _mib(_text(machine, "physical_memory"))),
        "IPADDR": way.get("IPADDRESS", ""),
        "DEFAULTGATEWAY": way.get("IPGATEWAY", ""),
        "DNS": "/".join(dict.fromkeys(servers)),
        "UUID": _text(machine, "platform_UUID"),
        "VMSYSTEM": "Virtual Machine" if kernel.get("kern.hv_vmm_present") == "1" else "Physical",
    }


def _processor(machine: Mapping[str, Any], kernel: Mapping[str, str]) -> str:
    given = kernel.get("machdep.cpu.brand_string") or _text(machine, "chip_type") or _text(machine, "cpu_type")
    return " ".join(given.split())


def _mhz(machine: Mapping[str, Any], kernel: Mapping[str, str]) -> str:
    hertz = number(kernel.get("hw.cpufrequency", ""))
    if hertz:
        return str(hertz // 1_000_000)
    said = re.match(r"([0-9]+(?:[.,][0-9]+)?) ?GHz", _text(machine, "current_processor_speed"))
    return str(round(float(said[1].replace(",", ".")) * 1000)) if said else ""


def _bios(profile: Profile) -> Row:
    machine = _first(profile, "SPHardwareDataType")
    return {
        "SMANUFACTURER": "Apple Inc.",
        "SMODEL": _text(machine, "machine_model"),
        "SSN": _text(machine, "serial_number"),
        "BMANUFACTURER": "Apple Inc.",
        "BVERSION": _text(machine, "boot_rom_version"),
        "TYPE": _text(machine, "machine_name"),
    }


def _cpu(profile: Profile, kernel: Mapping[str, str]) -> Row:
    machine = _first(profile, "SPHardwareDataType")
    name = _processor(machine, kernel)
    return {
        "MANUFACTURER": "Apple" if name.startswith("Apple") else "Intel" if "Intel" in name else "",
        "TYPE": name,
        "SPEED": _mhz(machine, kernel),
        "CORES": kernel.get("hw.physicalcpu", ""),
        "LOGICAL_CPUS": kernel.get("hw.logicalcpu", ""),
        "THREADS": kernel.get("hw.logicalcpu", ""),
        "L2CACHESIZE": str(number(kernel.get("hw.l2cachesize", "")) // 1024 or ""),
        "CPUARCH": kernel.get("hw.machine", ""),
        "DATA_WIDTH": "64",  # all that can run a Python of our time
        "NBSOCKET": kernel.get("hw.packages", "") or "1",
    }


def _memories(profile: Profile) -> list[Row]:
    rows: list[Row] = []
    for group in profile.get("SPMemoryDataType", ()):
        for module in _items(group) or [group]:  # Apple's own processors have one, without slots
            size = _text(module, "dimm_size") or _text(module, "SPMemoryDataType")
            rows.append(
                {
                    "NUMSLOTS": str(len(rows) + 1),
                    "CAPTION": _text(module, "_name") or "Unified memory",
                    "DESCRIPTION": _text(module, "dimm_manufacturer"),
                    "CAPACITY": str(_mib(size)),
                    "TYPE": "Empty slot" if size == "empty" else _text(module, "dimm_type"),
                    "SPEED": str(number(_text(module, "dimm_speed")) or ""),
                    "SERIALNUMBER": _text(module, "dimm_serial_number"),
                }
            )
    return rows


def _videos(profile: Profile) -> list[Row]:
    rows = []
    for card in profile.get("SPDisplaysDataType", ()):
        screens = card.get("spdisplays_ndrvs")
        screen = screens[0] if isinstance(screens, list) and screens else {}
        memory = _text(card, "spdisplays_vram") or _text(card, "spdisplays_vram_shared")
        rows.append(
            {
                "NAME": _text(card, "sppci_model") or _text(card, "_name"),
                "CHIPSET": _text(card, "sppci_model"),
                "MEMORY": str(_mib(memory) or ""),
                "RESOLUTION": _text(screen, "_spdisplays_pixels"),
            }
        )
    return rows


def _sounds(profile: Profile) -> list[Row]:
    return [
        {
            "NAME": _text(card, "_name"),
            "MANUFACTURER": _text(card, "coreaudio_device_manufacturer"),
            "DESCRIPTION": _text(card, "coreaudio_device_transport").rpartition("_")[2],
        }
        for group in profile.get("SPAudioDataType", ())
        for card in _items(group)
    ]


def _usb(profile: Profile) -> list[Row]:
    return [
        {
            "CAPTION": _text(device, "_name"),
            "DESCRIPTION": f"{_usb_id(device, 'vendor_id')}:{_usb_id(device, 'product_id')}",
            "MANUFACTURER": _text(device, "manufacturer"),
            "SERIAL": _text(device, "serial_num"),
            "INTERFACE": "USB",
        }
        for bus in profile.get("SPUSBDataType", ())
        for device in _below(bus)
        if "vendor_id" in device
    ]


def _usb_id(device: Mapping[str, Any], key: str) -> str:
    """ "0x05ac  (Apple Inc.)" or "apple_vendor_id", four digits of it either way."""
    text = _text(device, key)
    found = re.match(r"0x([0-9a-fA-F]{1,4})", text)
    return found[1].lower().zfill(4) if found else "05ac" if text == "apple_vendor_id" else ""


def _storages(profile: Profile) -> list[Row]:
    """The physical drives, each once, though every volume names its own."""
    rows: dict[str, Row] = {}
    for volume in profile.get("SPStorageDataType", ()):
        drive = _inner(volume, "physical_drive")
        name = _text(drive, "device_name")
        if name and _text(drive, "protocol") != "Disk Image":
            rows.setdefault(
                name,
                {
                    "NAME": name,
                    "MODEL": name,
                    "MANUFACTURER": name.split()[0].capitalize() if name.startswith("APPLE") else "",
                    "DESCRIPTION": _text(drive, "protocol"),
                    "TYPE": _text(drive, "medium_type"),
                },
            )
    return list(rows.values())


def _drives(profile: Profile) -> list[Row]:
    return [
        {
            "TYPE": _text(volume, "mount_point"),
            "FILESYSTEM": _text(volume, "file_system"),
            "TOTAL": str(number(_text(volume, "size_in_bytes")) // _MIB),
            "FREE": str(number(_text(volume, "free_space_in_bytes")) // _MIB),
            "VOLUMN": f"/dev/{_text(volume, 'bsd_name')}",
            "LABEL": _text(volume, "_name"),
            "SERIAL": _text(volume, "volume_uuid"),
        }
        for volume in profile.get("SPStorageDataType", ())
        if _text(volume, "mount_point") and _text(_inner(volume, "physical_drive"), "protocol") != "Disk Image"
    ]


def _networks(profile: Profile) -> list[Row]:
    rows = []
    for item in profile.get("SPNetworkDataType", ()):
        ethernet = _inner(item, "Ethernet")
        link = {
            "DESCRIPTION": _text(item, "interface"),
            "TYPE": "wifi" if _text(item, "hardware") == "AirPort" else _text(item, "type").lower(),
            "MACADDR": _text(ethernet, "MAC Address"),
            "STATUS": "Up" if _several(item, "ip_address") else "Down",
        }
        if not link["DESCRIPTION"]:
            continue
        for kind, masks in (("IPv4", "SubnetMasks"), ("IPv6", "PrefixLength")):
            way = _inner(item, kind)
            lengths = _several(way, masks)
            for index, address in enumerate(_several(way, "Addresses")):
                mask = lengths[index] if index < len(lengths) else ""
                rows.append(
                    {
                        **link,
                        "IPADDRESS": address,
                        "IPMASK": mask,
                        "IPSUBNET": _network(address, mask),
                        "IPGATEWAY": _text(way, "Router"),
                        "IPDHCP": _text(_inner(item, "dhcp"), "dhcp_server_identifier") if kind == "IPv4" else "",
                    }
                )
        if not any(_several(_inner(item, kind), "Addresses") for kind in ("IPv4", "IPv6")):
            rows.append(link)
    return rows


def _network(address: str, mask: str) -> str:
    left, right = address.split("."), mask.split(".")
    if len(left) != 4 or len(right) != 4:
        return ""
    return ".".join(str(number(a) & number(m)) for a, m in zip(left, right))


def _softwares(profile: Profile) -> list[Row]:
    rows = [
        {
            "NAME": _text(application, "_name"),
            "VERSION": _text(application, "version"),
            "FOLDER": _text(application, "path"),
            "COMMENTS": _text(application, "info"),
            "PUBLISHER": _signer(application),
            "ARCHITECTURE": _text(application, "arch_kind").replace("arch_", "", 1),
            "INSTALLDATE": _text(application, "lastModified")[:10].replace("-", "/"),
            "FROM": _text(application, "obtained_from"),
        }
        for application in profile.get(_APPLICATIONS, ())
    ]
    rows.sort(key=lambda row: (row["NAME"].lower(), row["FOLDER"]))
    return rows


def _signer(application: Mapping[str, Any]) -> str:
    """ "Developer ID Application: Mozilla Corporation (43AQ936H96)" is signed by Mozilla Corporation."""
    signers = _several(application, "signed_by")
    found = re.match(r"Developer ID Application: (.*?)(?: \([0-9A-Z]+\))?$", signers[0]) if signers else None
    if found:
        return found[1]
    return "Apple" if _text(application, "obtained_from") == "apple" else ""


def _below(item: Mapping[str, Any], depth: int = 0) -> Iterator[Mapping[str, Any]]:
    for child in _items(item):
        yield child
        if depth < _DEPTH_LIMIT:
            yield from _below(child, depth + 1)


def _items(item: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = item.get("_items")
    return [child for child in found if isinstance(child, dict)] if isinstance(found, list) else []


def _first(profile: Profile, name: str) -> Mapping[str, Any]:
    found = profile.get(name, ())
    return found[0] if found else {}


def _inner(item: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = item.get(key)
    return found if isinstance(found, dict) else {}


def _text(item: Mapping[str, Any], key: str) -> str:
    found = item.get(key) if isinstance(item, dict) else None
    return str(found).strip() if isinstance(found, (str, int, float)) else ""


def _several(item: Mapping[str, Any], key: str) -> list[str]:
    found = item.get(key)
    return [str(value) for value in found] if isinstance(found, list) else []


def _mib(text: str) -> int:
    """ "16 GB" and the like, which mean powers of two here."""
    found = re.match(r"([0-9]{1,9}) ?([MGT])B", text)
    return int(found[1]) * {"M": 1, "G": 1024, "T": 1024 * 1024}[found[2]] if found else 0
