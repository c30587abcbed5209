"""Windows: one PowerShell call for what CIM knows, and the registry for what is installed.

Only asking lives here; what the answers mean is in `windows`. Not yet run on a real one.
"""

from __future__ import annotations

import base64
import importlib
import json
import os
from typing import Any

from .running import output

# Class, its properties, and a filter. Only what is used is asked for: some properties take seconds.
QUERIES = (
    ("Win32_ComputerSystem", "Name Domain Manufacturer Model TotalPhysicalMemory UserName", ""),
    (
        "Win32_OperatingSystem",
        "Caption Version CSDVersion Description RegisteredUser Organization SerialNumber InstallDate OSArchitecture",
        "",
    ),
    ("Win32_ComputerSystemProduct", "UUID", ""),
    ("Win32_BIOS", "Manufacturer SMBIOSBIOSVersion SerialNumber ReleaseDate", ""),
    ("Win32_BaseBoard", "Manufacturer Product SerialNumber", ""),
    ("Win32_SystemEnclosure", "ChassisTypes SMBIOSAssetTag", ""),
    (
        "Win32_Processor",
        "Name Manufacturer ProcessorId MaxClockSpeed CurrentClockSpeed NumberOfCores"
        " NumberOfLogicalProcessors L2CacheSize Architecture DataWidth AddressWidth SocketDesignation",
        "",
    ),
    (
        "Win32_PhysicalMemory",
        "DeviceLocator BankLabel FormFactor Capacity SMBIOSMemoryType Speed SerialNumber",
        "",
    ),
    ("Win32_SystemSlot", "SlotDesignation Tag CurrentUsage", ""),
    (
        "Win32_VideoController",
        "Name VideoProcessor AdapterRAM CurrentHorizontalResolution CurrentVerticalResolution",
        "",
    ),
    ("Win32_SoundDevice", "Name Manufacturer ProductName", ""),
    ("Win32_PnPEntity", "Name Manufacturer PNPDeviceID PNPClass", r"PNPDeviceID LIKE 'USB\\VID%'"),
    (
        "Win32_DiskDrive",
        "DeviceID Manufacturer Model InterfaceType MediaType Size SerialNumber FirmwareRevision",
        "",
    ),
    (
        "Win32_LogicalDisk",
        "DeviceID DriveType FileSystem Size FreeSpace VolumeName VolumeSerialNumber",
        "DriveType <> 4",  # a network drive whose server is gone is waited for
    ),
    (
        "Win32_NetworkAdapter",
        "Index Name AdapterType MACAddress Speed NetConnectionStatus PhysicalAdapter",
        "",
    ),
    (
        "Win32_NetworkAdapterConfiguration",
        "Index IPAddress IPSubnet DefaultIPGateway DHCPServer DNSServerSearchOrder",
        "IPEnabled = TRUE",
    ),
    ("Win32_PageFileUsage", "AllocatedBaseSize", ""),
    ("Win32_UserAccount", "Name SID FullName", "LocalAccount = TRUE"),  # never the whole domain
    ("Win32_Group", "Name SID", "LocalAccount = TRUE"),
)

_UNINSTALL = r"SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall"
_VALUES = [
    "DisplayName",
    "DisplayVersion",
    "Publisher",
    "InstallLocation",
    "InstallDate",
    "EstimatedSize",
    "Comments",
    "Language",
    "SystemComponent",
    "ParentKeyName",
]
_ENTRIES_LIMIT = 10_000


def script() -> str:
    """One line for each class, so that one that fails costs no other."""
    lines = [
        "$ErrorActionPreference = 'SilentlyContinue'",
        "$ProgressPreference = 'SilentlyContinue'",
        "[Console]::OutputEncoding = New-Object System.Text.UTF8Encoding $false",
        "$found = @{}",
    ]
    for name, properties, condition in QUERIES:
        chosen = ",".join(properties.split())
        quoted = condition.replace("'", "''")
        filtered = f" -Filter '{quoted}'" if condition else ""
        lines.append(
            f"$found['{name}'] = @(Get-CimInstance -ClassName {name} -OperationTimeoutSec 5{filtered}"
            f" -Property {chosen} | Select-Object -Property {chosen})"
        )
    lines.append("ConvertTo-Json -InputObject $found -Depth 4 -Compress")
    return "\n".join(lines)


def facts() -> dict[str, list[dict[str, Any]]]:
    system = os.environ.get("SYSTEMROOT", r"C:\Windows")
    said = output(
        [
            rf"{system}\System32\WindowsPowerShell\v1.0\powershell.exe",
            "-NoProfile",
            "-NonInteractive",
            "-EncodedCommand",  # no quoting between here and there
            base64.b64encode(script().encode("utf-16-le")).decode("ascii"),
        ]
    )
    return parse(said or b"")


def parse(said: bytes) -> dict[str, list[dict[str, Any]]]:
    try:
        # 0x00-0x1F stand in serial numbers of real disks, and PowerShell 5 does not escape all of them
        found = json.loads(said.decode("utf-8-sig", "replace"), strict=False)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    instances = {name: one if isinstance(one, list) else [one] for name, one in found.items()}
    return {name: [item for item in several if isinstance(item, dict)] for name, several in instances.items()}


def uninstall_entries() -> list[dict[str, Any]]:
    """The machine's list, in its 64-bit and its 32-bit view."""
    winreg: Any = importlib.import_module("winreg")  # built into the interpreter: not a late import
    views = [("32", winreg.KEY_WOW64_32KEY)]
    if "ProgramFiles(x86)" in os.environ:  # only a 64-bit Windows has it
        views.insert(0, ("64", winreg.KEY_WOW64_64KEY))
    found: list[dict[str, Any]] = []
    for bits, view in views:
        try:
            uninstall = winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, _UNINSTALL, 0, winreg.KEY_READ | view)
        except OSError:
            continue
        with uninstall:
            for index in range(_ENTRIES_LIMIT):
                try:
                    name = winreg.EnumKey(uninstall, index)
                except OSError:  # there are no more
                    break
                entry = _entry(winreg, uninstall, name)
                entry.update(Key=name, Bits=bits)
                found.append(entry)
    return found


def _entry(winreg: Any, parent: Any, name: str) -> dict[str, Any]:
    entry: dict[str, Any] = {}
    try:
        with winreg.OpenKey(parent, name) as key:
            for value in _VALUES:
                try:
                    entry[value] = winreg.QueryValueEx(key, value)[0]
                except OSError:
                    continue
    except OSError:
        pass  # no permission, or removed meanwhile
    return entry
