"""Names for the numbers of PCI and USB devices: from pci.ids and usb.ids where they are installed."""

from __future__ import annotations

from collections.abc import Iterable

from ..reading import read_bytes

_LIMIT = 16 << 20  # pci.ids is 1.5 MB
_FOLDERS = ("usr/share/misc", "usr/share/hwdata", "var/lib/usbutils")

# For machines without the list, and for classes on all: enough to see what a device is.
_PCI_VENDORS = {
    "1002": "Advanced Micro Devices, Inc. [AMD/ATI]",
    "1022": "Advanced Micro Devices, Inc. [AMD]",
    "10de": "NVIDIA Corporation",
    "10ec": "Realtek Semiconductor Co., Ltd.",
    "1234": "QEMU",
    "1414": "Microsoft Corporation",
    "144d": "Samsung Electronics Co Ltd",
    "14e4": "Broadcom Inc. and subsidiaries",
    "15ad": "VMware",
    "15b3": "Mellanox Technologies",
    "1af4": "Red Hat, Inc.",
    "1b36": "Red Hat, Inc.",
    "1b4b": "Marvell Technology Group Ltd.",
    "1d0f": "Amazon.com, Inc.",
    "8086": "Intel Corporation",
    "80ee": "InnoTek Systemberatung GmbH",
}
_PCI_CLASSES = {
    "0100": "SCSI storage controller",
    "0101": "IDE interface",
    "0104": "RAID bus controller",
    "0106": "SATA controller",
    "0107": "Serial Attached SCSI controller",
    "0108": "Non-Volatile memory controller",
    "01": "Mass storage controller",
    "0200": "Ethernet controller",
    "0207": "Infiniband controller",
    "02": "Network controller",
    "0300": "VGA compatible controller",
    "0302": "3D controller",
    "03": "Display controller",
    "0400": "Multimedia video controller",
    "0401": "Multimedia audio controller",
    "0403": "Audio device",
    "04": "Multimedia controller",
    "0500": "RAM memory",
    "05": "Memory controller",
    "0600": "Host bridge",
    "0601": "ISA bridge",
    "0604": "PCI bridge",
    "06": "Bridge",
    "0700": "Serial controller",
    "07": "Communication controller",
    "0800": "PIC",
    "0803": "RTC",
    "0805": "SD Host controller",
    "0806": "IOMMU",
    "08": "System peripheral",
    "09": "Input device controller",
    "0b": "Processor",
    "0c00": "FireWire (IEEE 1394)",
    "0c03": "USB controller",
    "0c05": "SMBus",
    "0c": "Serial bus controller",
    "0d": "Wireless controller",
    "10": "Encryption controller",
    "11": "Signal processing controller",
    "12": "Processing accelerators",
}


def pci_class(kind: str) -> str:
    return _PCI_CLASSES.get(kind) or _PCI_CLASSES.get(kind[:2], "Unassigned class")


def pci(root: str, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Names by (vendor, device), and of the vendor by (vendor, "")."""
    wanted = set(wanted)
    known = {(vendor, ""): _PCI_VENDORS[vendor] for vendor, _ in wanted if vendor in _PCI_VENDORS}
    known.update(_names(_read(root, "pci.ids") if wanted else b"", wanted))
    return known


def usb(root: str, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    wanted = set(wanted)
    return _names(_read(root, "usb.ids") if wanted else b"", wanted)


def _read(root: str, name: str) -> bytes:
    return next((data for folder in _FOLDERS if (data := read_bytes(f"{root}/{folder}/{name}", _LIMIT))), b"")


def _names(data: bytes, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Vendors stand at the start of a line, their devices below them after one tab."""
    found: dict[tuple[str, str], str] = {}
    data = b"\n" + data + b"\n"
    for vendor, device in wanted:
        start = data.find(f"\n{vendor}  ".encode("ascii", "replace"))
        if start < 0:
            continue
        found[vendor, ""] = _rest(data, start + 1)
        end = start + 1
        while True:  # to the next line that is neither a device, a comment nor empty
            end = data.find(b"\n", end)
            if end < 0 or data[end + 1 : end + 2] not in (b"\t", b"#", b"\n"):
                break
            end += 1
        line = data.find(f"\n\t{device}  ".encode("ascii", "replace"), start, end if end >= 0 else len(data))
        if line >= 0:
            found[vendor, device] = _rest(data, line + 2)
    return found


def _rest(data: bytes, start: int) -> str:
    """What follows the four digits and two spaces at `start`."""
    return data[start + 6 : data.find(b"\n", start)].decode("utf-8", "replace").strip()
