"""Windows: sections from the answers of CIM and from the registry. Asking for them is in windows_sources.

Written against recorded answers; not yet run on a real one.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from . import other, smbios, windows_sources
from .rows import Row, Section, attempt, number

_MIB = 1 << 20
_DRIVE_TYPES = {
    2: "Removable Drive",
    3: "Hard Drive",
    5: "CD-Rom Drive",
    6: "RAM Disk",
}  # 4, the network: left out
_FORM_FACTORS = {7: "SIMM", 8: "DIMM", 12: "SODIMM", 13: "SRIMM"}  # CIM counts otherwise than SMBIOS
_ARCHITECTURES = {0: "x86", 5: "ARM", 9: "x86_64", 12: "ARM64"}
_SLOT_USES = {3: "Available", 4: "In Use"}
_USB_ID = re.compile(r"USB\\VID_([0-9A-F]{4})&PID_([0-9A-F]{4})\\(.+)", re.IGNORECASE)

Facts = Mapping[str, Sequence[Mapping[str, Any]]]  # class name to its instances


def collect(root: str, *, live: bool, softwares: bool) -> list[Section]:
    if not live:
        return other.collect(root, live=live, softwares=softwares)
    no_facts: dict[str, list[dict[str, Any]]] = {}
    no_rows: list[Row] = []
    found = sections(attempt(windows_sources.facts, no_facts))
    if not found:  # PowerShell is missing, forbidden or did not answer in time
        found = other.collect(root, live=live, softwares=softwares)
    if softwares:
        rows = attempt(lambda: installed(windows_sources.uninstall_entries()), no_rows)
        found.extend(("SOFTWARES", row) for row in rows)
    return found


def sections(facts: Facts) -> list[Section]:
    if not facts:
        return []
    nothing: Row = {}
    no_rows: list[Row] = []
    found: list[Section] = [
        ("HARDWARE", attempt(lambda: _hardware(facts), nothing)),
        ("BIOS", attempt(lambda: _bios(facts), nothing)),
    ]
    for name, part in (
        ("CPUS", _cpus),
        ("MEMORIES", _memories),
        ("SLOTS", _slots),
        ("VIDEOS", _videos),
        ("SOUNDS", _sounds),
        ("USBDEVICES", _usb),
        ("STORAGES", _storages),
        ("DRIVES", _drives),
        ("NETWORKS", _networks),
        ("LOCAL_USERS", _users),
        ("LOCAL_GROUPS", _groups),
    ):
        found.extend((name, row) for row in attempt(partial(part, facts), no_rows))
    return found


def installed(entries: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Rows from the registry's uninstall entries, hidden parts and updates of others left out."""
    rows = []
    for entry in entries:
        name = _text(entry.get("DisplayName"))
        if not name or entry.get("SystemComponent") == 1 or entry.get("ParentKeyName"):
            continue
        key = _text(entry.get("Key"))
        size = entry.get("EstimatedSize")  # KiB
        rows.append(
            {
                "NAME": name,
                "PUBLISHER": _text(entry.get("Publisher")),
                "VERSION": _text(entry.get("DisplayVersion")),
                "FOLDER": _text(entry.get("InstallLocation")),
                "COMMENTS": _text(entry.get("Comments")),
                "FILESIZE": str(size * 1024) if isinstance(size, int) and size > 0 else "",
                "GUID": key if key.startswith("{") else "",
                "LANGUAGE": _text(entry.get("Language")),
                "INSTALLDATE": re.sub(r"^(\d{4})(\d\d)(\d\d)$", r"\1/\2/\3", _text(entry.get("InstallDate"))),
                "BITSWIDTH": _text(entry.get("Bits")),
                "SOURCE": "0",  # 0: the registry
            }
        )
    rows.sort(key=lambda row: (row["NAME"].lower(), row["VERSION"], row["BITSWIDTH"]))
    return rows


def _hardware(facts: Facts) -> Row:
    computer, system = _first(facts, "Win32_ComputerSystem"), _first(facts, "Win32_OperatingSystem")
    cpus = facts.get("Win32_Processor", ())
    cpu: Mapping[str, Any] = cpus[0] if cpus else {}
    ways = [way for way in facts.get("Win32_NetworkAdapterConfiguration", ()) if _list(way.get("IPAddress"))]
    ways.sort(key=lambda way: not _list(way.get("DefaultIPGateway")))
    way: Mapping[str, Any] = ways[0] if ways else {}
    bits = _text(system.get("OSArchitecture"))
    swap = sum(_integer(page.get("AllocatedBaseSize")) for page in facts.get("Win32_PageFileUsage", ()))
    user = _text(computer.get("UserName"))
    domain = _text(computer.get("Domain"))
    return {
        "NAME": _text(computer.get("Name")),
        "WORKGROUP": domain,
        "USERDOMAIN": user.rpartition("\\")[0],
        "USERID": user.rpartition("\\")[2],
        "LASTLOGGEDUSER": user.rpartition("\\")[2],
        "OSNAME": _text(system.get("Caption")),
        "OSVERSION": _text(system.get("Version")),
        "OSCOMMENTS": _text(system.get("CSDVersion")),
        "DESCRIPTION": _text(system.get("Description")),
        "WINOWNER": _text(system.get("RegisteredUser")),
        "WINCOMPANY": _text(system.get("Organization")),
        "WINPRODID": _text(system.get("SerialNumber")),
        "INSTALLDATE": _date(system.get("InstallDate")),
        "ARCH": _ARCHITECTURES.get(_integer(cpu.get("Architecture"), -1), bits),
        "PROCESSORT": " ".join(_text(cpu.get("Name")).split()),
        "PROCESSORS": _text(cpu.get("MaxClockSpeed")),
        "PROCESSORN": str(len(cpus) or 1),
        "MEMORY": str(_integer(computer.get("TotalPhysicalMemory")) // _MIB),
        "SWAP": str(swap),
        "IPADDR": next((text for text in _list(way.get("IPAddress")) if "." in text), ""),
        "DEFAULTGATEWAY": next((text for text in _list(way.get("DefaultIPGateway")) if "." in text), ""),
        "DNS": "/".join(_list(way.get("DNSServerSearchOrder"))),
        "UUID": _text(_first(facts, "Win32_ComputerSystemProduct").get("UUID")),
        "VMSYSTEM": _virtual(f"{_text(computer.get('Manufacturer'))} {_text(computer.get('Model'))}"),
    }


def _virtual(firmware: str) -> str:
    for mark, name in (
        ("vmware", "VMware"),
        ("virtualbox", "VirtualBox"),
        ("microsoft corporation virtual machine", "Hyper-V"),
        ("parallels", "Parallels"),
        ("qemu", "QEMU"),
        ("kvm", "KVM"),
        ("xen", "Xen"),
        ("amazon ec2", "KVM"),
        ("google compute engine", "KVM"),
    ):
        if mark in firmware.lower():
            return name
    return "Physical"


def _bios(facts: Facts) -> Row:
    computer, bios = _first(facts, "Win32_ComputerSystem"), _first(facts, "Win32_BIOS")
    board, chassis = _first(facts, "Win32_BaseBoard"), _first(facts, "Win32_SystemEnclosure")
    return {
        "SMANUFACTURER": _text(computer.get("Manufacturer")),
        "SMODEL": _text(computer.get("Model")),
        "SSN": _text(bios.get("SerialNumber")),
        "MMANUFACTURER": _text(board.get("Manufacturer")),
        "MMODEL": _text(board.get("Product")),
        "MSN": _text(board.get("SerialNumber")),
        "BMANUFACTURER": _text(bios.get("Manufacturer")),
        "BVERSION": _text(bios.get("SMBIOSBIOSVersion")),
        "BDATE": _date(bios.get("ReleaseDate")),
        "TYPE": smbios.named(smbios.CHASSIS, number((_list(chassis.get("ChassisTypes")) or ["0"])[0])),
        "ASSETTAG": _text(chassis.get("SMBIOSAssetTag")),
    }


def _cpus(facts: Facts) -> list[Row]:
    cpus = facts.get("Win32_Processor", ())
    return [
        {
            "MANUFACTURER": {"GenuineIntel": "Intel", "AuthenticAMD": "AMD"}.get(
                _text(cpu.get("Manufacturer")), _text(cpu.get("Manufacturer"))
            ),
            "TYPE": " ".join(_text(cpu.get("Name")).split()),
            "SERIALNUMBER": _text(cpu.get("ProcessorId")),
            "SPEED": _text(cpu.get("MaxClockSpeed")),
            "CURRENT_SPEED": _text(cpu.get("CurrentClockSpeed")),
            "CORES": _text(cpu.get("NumberOfCores")),
            "LOGICAL_CPUS": _text(cpu.get("NumberOfLogicalProcessors")),
            "L2CACHESIZE": _text(cpu.get("L2CacheSize")),
            "CPUARCH": _ARCHITECTURES.get(_integer(cpu.get("Architecture"), -1), ""),
            "DATA_WIDTH": _text(cpu.get("DataWidth")),
            "CURRENT_ADDRESS_WIDTH": _text(cpu.get("AddressWidth")),
            "SOCKET": _text(cpu.get("SocketDesignation")),
            "NBSOCKET": str(len(cpus)),
        }
        for cpu in cpus
    ]


def _memories(facts: Facts) -> list[Row]:
    return [
        {
            "NUMSLOTS": str(index),
            "CAPTION": _text(module.get("DeviceLocator")) or _text(module.get("BankLabel")),
            "DESCRIPTION": _FORM_FACTORS.get(_integer(module.get("FormFactor")), ""),
            "CAPACITY": str(_integer(module.get("Capacity")) // _MIB),
            "PURPOSE": "System Memory",
            "TYPE": smbios.named(smbios.MEMORY_TYPES, _integer(module.get("SMBIOSMemoryType"))),
            "SPEED": _text(module.get("Speed")),
            "SERIALNUMBER": _text(module.get("SerialNumber")),
        }
        for index, module in enumerate(facts.get("Win32_PhysicalMemory", ()), 1)
    ]


def _slots(facts: Facts) -> list[Row]:
    return [
        {
            "NAME": _text(slot.get("SlotDesignation")),
            "DESIGNATION": _text(slot.get("Tag")),
            "STATUS": _SLOT_USES.get(_integer(slot.get("CurrentUsage")), ""),
        }
        for slot in facts.get("Win32_SystemSlot", ())
    ]


def _videos(facts: Facts) -> list[Row]:
    rows = []
    for card in facts.get("Win32_VideoController", ()):
        across, down = card.get("CurrentHorizontalResolution"), card.get("CurrentVerticalResolution")
        memory = _integer(card.get("AdapterRAM")) // _MIB
        rows.append(
            {
                "NAME": _text(card.get("Name")),
                "CHIPSET": _text(card.get("VideoProcessor")),
                "MEMORY": str(memory) if memory > 0 else "",
                "RESOLUTION": f"{across} x {down}" if across and down else "",
            }
        )
    return rows


def _sounds(facts: Facts) -> list[Row]:
    return [
        {
            "NAME": _text(card.get("Name")),
            "MANUFACTURER": _text(card.get("Manufacturer")),
            "DESCRIPTION": _text(card.get("ProductName")),
        }
        for card in facts.get("Win32_SoundDevice", ())
    ]


def _usb(facts: Facts) -> list[Row]:
    rows = []
    for device in facts.get("Win32_PnPEntity", ()):
        known = _USB_ID.fullmatch(_text(device.get("PNPDeviceID")))
        if not known:  # interfaces of a device ("...&MI_00...") come once more: the device itself is enough
            continue
        rows.append(
            {
                "CAPTION": _text(device.get("Name")),
                "DESCRIPTION": f"{known[1]}:{known[2]}".lower(),
                "MANUFACTURER": _text(device.get("Manufacturer")),
                "SERIAL": "" if "&" in known[3] else known[3],  # with "&": made up by Windows from the port
                "INTERFACE": "USB",
                "TYPE": _text(device.get("PNPClass")),
            }
        )
    return rows


def _storages(facts: Facts) -> list[Row]:
    return [
        {
            "NAME": _text(disk.get("DeviceID")),
            "MANUFACTURER": _text(disk.get("Manufacturer")).replace("(Standard disk drives)", ""),
            "MODEL": _text(disk.get("Model")),
            "DESCRIPTION": _text(disk.get("InterfaceType")),
            "TYPE": _text(disk.get("MediaType")),
            "DISKSIZE": str(_integer(disk.get("Size")) // _MIB),
            "SERIALNUMBER": _text(disk.get("SerialNumber")).rstrip("."),
            "FIRMWARE": _text(disk.get("FirmwareRevision")),
        }
        for disk in facts.get("Win32_DiskDrive", ())
    ]


def _drives(facts: Facts) -> list[Row]:
    return [
        {
            "LETTER": f"{_text(drive.get('DeviceID'))}/",
            "TYPE": _DRIVE_TYPES[_integer(drive.get("DriveType"))],
            "FILESYSTEM": _text(drive.get("FileSystem")),
            "TOTAL": str(_integer(drive["Size"]) // _MIB) if drive.get("Size") else "",  # no disc in it
            "FREE": str(_integer(drive.get("FreeSpace")) // _MIB) if drive.get("Size") else "",
            "VOLUMN": _text(drive.get("VolumeName")),
            "SERIAL": _text(drive.get("VolumeSerialNumber")),
        }
        for drive in facts.get("Win32_LogicalDisk", ())
        if _integer(drive.get("DriveType")) in _DRIVE_TYPES
    ]


def _networks(facts: Facts) -> list[Row]:
    ways = {way.get("Index"): way for way in facts.get("Win32_NetworkAdapterConfiguration", ())}
    rows = []
    for card in facts.get("Win32_NetworkAdapter", ()):
        if not card.get("MACAddress"):
            continue
        way = ways.get(card.get("Index"), {})
        speed = _integer(card.get("Speed"))
        link = {
            "DESCRIPTION": _text(card.get("Name")),
            "TYPE": _text(card.get("AdapterType")) or "Ethernet",
            "MACADDR": _text(card.get("MACAddress")),
            # an adapter that is down says 2^63 - 1
            "SPEED": f"{speed // 1_000_000} Mbps" if 0 < speed < 1 << 60 else "",
            "STATUS": "Up" if card.get("NetConnectionStatus") == 2 else "Down",
            "VIRTUALDEV": "0" if card.get("PhysicalAdapter") else "1",
        }
        known = list(zip(_list(way.get("IPAddress")), _list(way.get("IPSubnet"))))
        routers = _list(way.get("DefaultIPGateway"))
        for address, mask in known:
            rows.append(
                {
                    **link,
                    "IPADDRESS": address,
                    "IPMASK": mask,
                    "IPSUBNET": _network(address, mask),
                    "IPGATEWAY": next((text for text in routers if (":" in text) == (":" in address)), ""),
                    "IPDHCP": _text(way.get("DHCPServer")) if "." in address else "",
                }
            )
        if not known:
            rows.append(link)
    return rows


def _network(address: str, mask: str) -> str:
    left, right = address.split("."), mask.split(".")
    if len(left) != 4 or len(right) != 4:  # IPv6: Windows gives the length of the prefix
        return ""
    return ".".join(str(number(a) & number(m)) for a, m in zip(left, right))


def _users(facts: Facts) -> list[Row]:
    return [
        {
            "LOGIN": _text(user.get("Name")),
            "ID_USER": _text(user.get("SID")),
            "NAME": _text(user.get("FullName")),
        }
        for user in facts.get("Win32_UserAccount", ())
    ]


def _groups(facts: Facts) -> list[Row]:
    return [
        {"NAME": _text(group.get("Name")), "ID_GROUP": _text(group.get("SID"))}
        for group in facts.get("Win32_Group", ())
    ]


def _first(facts: Facts, name: str) -> Mapping[str, Any]:
    instances = facts.get(name, ())
    return instances[0] if instances else {}


def _text(value: Any) -> str:
    return "" if value is None or isinstance(value, (dict, list)) else str(value).strip()


def _list(value: Any) -> list[str]:
    """PowerShell writes a list of one as its element."""
    if isinstance(value, list):
        return [_text(item) for item in value if _text(item)]
    return [_text(value)] if _text(value) else []


def _integer(value: Any, default: int = 0) -> int:
    return value if isinstance(value, int) else number(_text(value), default)


def _date(value: Any) -> str:
    """Windows PowerShell writes "/Date(milliseconds)/", newer ones ISO 8601."""
    text = _text(value)
    known = re.fullmatch(r"/Date\((-?[0-9]{1,14})\)/", text)
    if known:
        return time.strftime("%Y/%m/%d", time.gmtime(max(0, int(known[1]) // 1000)))
    return text[:10].replace("-", "/") if re.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T", text) else ""
