"""BIOS, MEMORIES, SLOTS and the UUID: from sysfs, and from the SMBIOS table where we may read it (root)."""

from __future__ import annotations

from collections.abc import Sequence

from .. import smbios
from ..reading import pairs, read_bytes, read_text, read_word
from ..rows import Row, number

_DMI = {
    "SMANUFACTURER": "sys_vendor",
    "SMODEL": "product_name",
    "SSN": "product_serial",
    "MMANUFACTURER": "board_vendor",
    "MMODEL": "board_name",
    "MSN": "board_serial",
    "BMANUFACTURER": "bios_vendor",
    "BVERSION": "bios_version",
    "BDATE": "bios_date",
    "ASSETTAG": "chassis_asset_tag",
}


def structures(root: str) -> list[smbios.Structure]:
    return list(smbios.structures(read_bytes(f"{root}/sys/firmware/dmi/tables/DMI", smbios.TABLE_LIMIT)))


def bios(root: str, parts: Sequence[smbios.Structure]) -> Row:
    folder = f"{root}/sys/class/dmi/id"
    row = {field: value for field, name in _DMI.items() if (value := read_word(f"{folder}/{name}"))}
    chassis = smbios.named(smbios.CHASSIS, number(read_word(f"{folder}/chassis_type")))
    if chassis:
        row["TYPE"] = chassis
    for field, value in smbios.bios(parts).items():
        row.setdefault(field, value)
    if not row:  # boards without a PC's firmware
        tree = f"{root}/proc/device-tree"
        row = {"SMODEL": read_word(f"{tree}/model"), "SSN": read_word(f"{tree}/serial-number")}
    return row


def identity(root: str, parts: Sequence[smbios.Structure]) -> Row:
    """The UUID. Not /etc/machine-id: cloned disks share it, and the server would take two for one."""
    version = (2, 6)
    entry = read_bytes(f"{root}/sys/firmware/dmi/tables/smbios_entry_point", 64)
    if entry[:4] == b"_SM_" and len(entry) > 7:
        version = (entry[6], entry[7])
    given = read_word(f"{root}/sys/class/dmi/id/product_uuid") or smbios.uuid(parts, version=version)
    given = given or read_word(f"{root}/sys/hypervisor/uuid")
    return {"UUID": given} if given else {}


def memories(root: str, parts: Sequence[smbios.Structure]) -> list[Row]:
    modules = smbios.memories(parts)
    if modules:
        return modules
    total = number(pairs(read_text(f"{root}/proc/meminfo"), ":").get("MemTotal", "")) // 1024
    if not total:
        return []
    return [{"CAPTION": "System memory", "DESCRIPTION": "Total, as the kernel sees it", "CAPACITY": str(total)}]


def slots(parts: Sequence[smbios.Structure]) -> list[Row]:
    return smbios.slots(parts)
