"""The firmware's own list of parts (SMBIOS, DMTF DSP0134): bytes in, rows out.

The table is written by firmware, not by us: every length is checked, and a broken structure ends the
reading with what was found before it. Files are read elsewhere.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .rows import Row

TABLE_LIMIT = 1 << 20
_STRUCTURES_LIMIT = 8192
_END_OF_TABLE = 127

CHASSIS = [
    "",
    "Other",
    "Unknown",
    "Desktop",
    "Low Profile Desktop",
    "Pizza Box",
    "Mini Tower",
    "Tower",
    "Portable",
    "Laptop",
    "Notebook",
    "Hand Held",
    "Docking Station",
    "All In One",
    "Sub Notebook",
    "Space-saving",
    "Lunch Box",
    "Main Server Chassis",
    "Expansion Chassis",
    "Sub Chassis",
    "Bus Expansion Chassis",
    "Peripheral Chassis",
    "RAID Chassis",
    "Rack Mount Chassis",
    "Sealed-case PC",
    "Multi-system",
    "CompactPCI",
    "AdvancedTCA",
    "Blade",
    "Blade Enclosing",
    "Tablet",
    "Convertible",
    "Detachable",
    "IoT Gateway",
    "Embedded PC",
    "Mini PC",
    "Stick PC",
]
MEMORY_TYPES = [
    "",
    "Other",
    "Unknown",
    "DRAM",
    "EDRAM",
    "VRAM",
    "SRAM",
    "RAM",
    "ROM",
    "Flash",
    "EEPROM",
    "FEPROM",
    "EPROM",
    "CDRAM",
    "3DRAM",
    "SDRAM",
    "SGRAM",
    "RDRAM",
    "DDR",
    "DDR2",
    "DDR2 FB-DIMM",
    "",
    "",
    "",
    "DDR3",
    "FBD2",
    "DDR4",
    "LPDDR",
    "LPDDR2",
    "LPDDR3",
    "LPDDR4",
    "Logical non-volatile device",
    "HBM",
    "HBM2",
    "DDR5",
    "LPDDR5",
    "HBM3",
]
_FORM_FACTORS = [
    "",
    "Other",
    "Unknown",
    "SIMM",
    "SIP",
    "Chip",
    "DIP",
    "ZIP",
    "Proprietary Card",
    "DIMM",
    "TSOP",
    "Row Of Chips",
    "RIMM",
    "SODIMM",
    "SRIMM",
    "FB-DIMM",
    "Die",
]
_ARRAY_USES = [
    "",
    "Other",
    "Unknown",
    "System Memory",
    "Video Memory",
    "Flash Memory",
    "Non-volatile RAM",
    "Cache",
]
_SLOT_USES = ["", "Other", "Unknown", "Available", "In Use", "Unavailable"]
_SLOT_TYPES = {
    0x03: "ISA",
    0x05: "EISA",
    0x06: "PCI",
    0x07: "PC Card (PCMCIA)",
    0x0F: "AGP",
    0x12: "PCI-X",
    0x14: "M.2 Socket 1-DP",
    0x15: "M.2 Socket 1-SD",
    0x16: "M.2 Socket 2",
    0x17: "M.2 Socket 3",
    0xA5: "PCI Express",
    0xA6: "PCI Express x1",
    0xA7: "PCI Express x2",
    0xA8: "PCI Express x4",
    0xA9: "PCI Express x8",
    0xAA: "PCI Express x16",
    0xAB: "PCI Express 2",
    0xB1: "PCI Express 3",
    0xB8: "PCI Express 4",
    0xBE: "PCI Express 5",
}


@dataclass(frozen=True)
class Structure:
    """One structure: its formatted bytes (header included) and its strings."""

    kind: int
    handle: int
    body: bytes
    strings: tuple[str, ...]

    def number(self, offset: int, size: int = 1) -> int:
        """Little-endian; 0, the standard's "not given", where an older structure is too short."""
        given = self.body[offset : offset + size]
        return int.from_bytes(given, "little") if len(given) == size else 0

    def text(self, offset: int) -> str:
        index = self.number(offset)
        return self.strings[index - 1].strip() if 0 < index <= len(self.strings) else ""


def structures(table: bytes) -> Iterator[Structure]:
    at = 0
    for _ in range(_STRUCTURES_LIMIT):
        if at + 4 > len(table):
            return
        kind, length, handle = struct.unpack_from("<BBH", table, at)
        if length < 4 or at + length > len(table):
            return
        start = at + length
        end = table.find(b"\0\0", start)  # the strings end with an empty one, also when there are none
        if end < 0:
            return
        texts = table[start:end].split(b"\0") if end > start else []
        yield Structure(kind, handle, table[at : at + length], tuple(text.decode("utf-8", "replace") for text in texts))
        if kind == _END_OF_TABLE:
            return
        at = end + 2


def bios(parts: Iterable[Structure]) -> Row:
    row: Row = {}
    for part in parts:
        found: Row = {}
        if part.kind == 0:
            found = {"BMANUFACTURER": part.text(4), "BVERSION": part.text(5), "BDATE": part.text(8)}
        elif part.kind == 1:
            found = {"SMANUFACTURER": part.text(4), "SMODEL": part.text(5), "SSN": part.text(7)}
        elif part.kind == 2:
            found = {"MMANUFACTURER": part.text(4), "MMODEL": part.text(5), "MSN": part.text(7)}
        elif part.kind == 3:
            found = {"TYPE": named(CHASSIS, part.number(5) & 0x7F), "ASSETTAG": part.text(8)}  # bit 7: a lock
        for key, value in found.items():
            if value:
                row.setdefault(key, value)  # blade servers have several boards and chassis: ours is first
    return row


def uuid(parts: Iterable[Structure], *, version: tuple[int, int] = (2, 6)) -> str:
    for part in parts:
        if part.kind != 1 or len(part.body) < 24:
            continue
        raw = part.body[8:24]
        if raw in (b"\0" * 16, b"\xff" * 16):  # not set, not present
            return ""
        fields = struct.unpack("<IHH" if version >= (2, 6) else ">IHH", raw[:8])
        return f"{fields[0]:08x}-{fields[1]:04x}-{fields[2]:04x}-{raw[8:10].hex()}-{raw[10:].hex()}"
    return ""


def memories(parts: Iterable[Structure]) -> list[Row]:
    arrays: dict[int, str] = {}
    rows: list[Row] = []
    for part in parts:
        if part.kind == 16:
            arrays[part.handle] = named(_ARRAY_USES, part.number(5))
        if part.kind != 17:
            continue
        capacity = _capacity_mib(part)
        speed = part.number(0x15, 2)
        if speed == 0xFFFF:
            speed = part.number(0x54, 4)
        row = {
            "NUMSLOTS": str(len(rows) + 1),
            "CAPTION": part.text(0x10),
            "CAPACITY": str(capacity),
            "PURPOSE": arrays.get(part.number(4, 2), ""),
            "TYPE": "Empty slot",
        }
        if capacity:
            row["DESCRIPTION"] = named(_FORM_FACTORS, part.number(0x0E))
            row["TYPE"] = named(MEMORY_TYPES, part.number(0x12))
            row["SPEED"] = str(speed) if speed else ""
            row["SERIALNUMBER"] = part.text(0x18)
        rows.append(row)
    return rows


def _capacity_mib(part: Structure) -> int:
    size = part.number(0x0C, 2)
    if size == 0xFFFF:  # unknown
        return 0
    if size == 0x7FFF:  # too large for this field
        return part.number(0x1C, 4) & 0x7FFFFFFF
    return (size & 0x7FFF) // 1024 if size & 0x8000 else size  # bit 15: in KiB


def slots(parts: Iterable[Structure]) -> list[Row]:
    return [
        {
            "NAME": part.text(4),
            "DESCRIPTION": _SLOT_TYPES.get(part.number(5), ""),
            "DESIGNATION": str(part.number(9, 2)),
            "STATUS": named(_SLOT_USES, part.number(7)),
        }
        for part in parts
        if part.kind == 9
    ]


def processors(parts: Iterable[Structure]) -> list[Row]:
    """One row for each socket with a processor in it, with what the kernel does not know."""
    return [
        {
            "MANUFACTURER": part.text(0x07),
            "TYPE": part.text(0x10),
            "SERIALNUMBER": part.text(0x20),
            "SOCKET": part.text(0x04),
            "VOLTAGE": _voltage(part.number(0x11)),
            "SPEED": str(part.number(0x14, 2) or ""),
            "CURRENT_SPEED": str(part.number(0x16, 2) or ""),
        }
        for part in parts
        if part.kind == 4 and part.number(5) == 3 and part.number(0x18) & 0x40  # a CPU; socket populated
    ]


def _voltage(code: int) -> str:
    if code & 0x80:  # tenths of volts
        return f"{(code & 0x7F) / 10:.1f} V"
    return {1: "5.0 V", 2: "3.3 V", 4: "2.9 V"}.get(code, "")


def named(table: list[str], code: int) -> str:
    return table[code] if 0 <= code < len(table) else ""
