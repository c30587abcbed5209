"""CONTROLLERS, VIDEOS, SOUNDS and USBDEVICES: what sits on the PCI and USB buses."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..reading import link_name, names, read_word
from ..rows import Row
from . import idnames

_DEVICES_LIMIT = 2000
_VIDEO, _SOUND = "03", ("0401", "0403")
_HUB = "09"
_LINUX_FOUNDATION = "1d6b"  # vendor of the root hubs, which are the controllers seen once more
_USB_CLASSES = {
    "01": "Audio",
    "02": "Communications",
    "03": "Human Interface Device",
    "05": "Physical Interface Device",
    "06": "Imaging",
    "07": "Printer",
    "08": "Mass Storage",
    "0a": "CDC Data",
    "0b": "Chip/SmartCard",
    "0d": "Content Security",
    "0e": "Video",
    "0f": "Personal Healthcare",
    "dc": "Diagnostic",
    "e0": "Wireless",
    "ef": "Miscellaneous Device",
    "fe": "Application Specific Interface",
    "ff": "Vendor Specific Class",
}


@dataclass(frozen=True)
class PciDevice:
    slot: str  # "00:02.0"; with the domain in front where there is more than one
    address: str  # the name of its folder in sysfs
    kind: str  # class and subclass: "0300"
    kind_name: str
    vendor: str
    device: str
    vendor_name: str
    device_name: str
    revision: str
    driver: str


def pci(root: str) -> list[PciDevice]:
    folder = f"{root}/sys/bus/pci/devices"
    found = []
    for address in names(folder)[:_DEVICES_LIMIT]:
        vendor, device, kind, revision = (
            read_word(f"{folder}/{address}/{name}").lower().replace("0x", "", 1)
            for name in ("vendor", "device", "class", "revision")
        )
        if re.fullmatch("[0-9a-f]{4}", vendor) and re.fullmatch("[0-9a-f]{4}", device):
            found.append((address, vendor, device, kind[:4], revision))
    known = idnames.pci(root, {(vendor, device) for _, vendor, device, _, _ in found})
    return [
        PciDevice(
            slot=address[5:] if address.startswith("0000:") else address,
            address=address,
            kind=kind,
            kind_name=idnames.pci_class(kind),
            vendor=vendor,
            device=device,
            vendor_name=known.get((vendor, ""), f"Vendor {vendor}"),
            device_name=known.get((vendor, device), "Device"),
            revision=revision,
            driver=link_name(f"{folder}/{address}/driver"),
        )
        for address, vendor, device, kind, revision in found
    ]


def controllers(devices: Sequence[PciDevice]) -> list[Row]:
    """Fields as the genuine agent fills them: the class is the NAME, the maker and model MANUFACTURER."""
    return [
        {
            "NAME": f"{device.kind_name} [{device.kind}]",
            "MANUFACTURER": f"{device.vendor_name} {device.device_name}",
            "DRIVER": device.driver,
            "PCIID": f"{device.vendor}:{device.device}",
            "PCISLOT": device.slot,
            "TYPE": "" if device.revision in ("", "00") else f"rev {device.revision}",
        }
        for device in devices
    ]


def videos(root: str, devices: Sequence[PciDevice]) -> list[Row]:
    resolutions = _resolutions(root)
    rows = []
    for device in devices:
        if not device.kind.startswith(_VIDEO):
            continue
        # Only amdgpu says how much memory there is. The size of a memory window, which others take for
        # it, is mostly 256 MB whatever the card holds.
        memory = read_word(f"{root}/sys/bus/pci/devices/{device.address}/mem_info_vram_total")
        rows.append(
            {
                "NAME": f"{device.vendor_name} {device.device_name}",
                "CHIPSET": device.kind_name,
                "MEMORY": str(int(memory[:18]) >> 20) if memory.isdigit() else "",
                "RESOLUTION": resolutions.get(device.address, ""),
                "PCIID": f"{device.vendor}:{device.device}",
                "PCISLOT": device.slot,
            }
        )
    return rows


def _resolutions(root: str) -> dict[str, str]:
    """By PCI address, the preferred mode of the first screen that is plugged in."""
    folder = f"{root}/sys/class/drm"
    found: dict[str, str] = {}
    for connector in names(folder)[:200]:
        card = re.match(r"(card[0-9]+)-", connector)
        if card and read_word(f"{folder}/{connector}/status") == "connected":
            mode = read_word(f"{folder}/{connector}/modes").partition("\n")[0]
            found.setdefault(link_name(f"{folder}/{card[1]}/device"), mode)
    return found


def sounds(devices: Sequence[PciDevice]) -> list[Row]:
    return [
        {
            "NAME": device.device_name if device.device_name != "Device" else device.kind_name,
            "MANUFACTURER": device.vendor_name,
            "DESCRIPTION": f"{device.kind_name} (rev {device.revision or '00'})",
        }
        for device in devices
        if device.kind in _SOUND
    ]


def usb(root: str) -> list[Row]:
    """Devices name themselves; the names of usb.ids stand in for those that do not."""
    folder = f"{root}/sys/bus/usb/devices"
    found = []
    for name in names(folder)[:_DEVICES_LIMIT]:
        device = f"{folder}/{name}"
        vendor, product = read_word(f"{device}/idVendor"), read_word(f"{device}/idProduct")
        kind = read_word(f"{device}/bDeviceClass")
        if vendor and vendor != _LINUX_FOUNDATION and kind != _HUB:
            found.append((device, name, vendor.lower(), product.lower(), kind))
    known = idnames.usb(root, {(vendor, product) for _, _, vendor, product, _ in found})
    rows = []
    for device, name, vendor, product, kind in found:
        interface = kind if kind not in ("", "00") else read_word(f"{device}/{name}:1.0/bInterfaceClass")
        description = read_word(f"{device}/product") or known.get((vendor, product), "")
        rows.append(
            {
                "CAPTION": description or f"USB device {vendor}:{product}",
                "DESCRIPTION": f"{vendor}:{product}",
                "MANUFACTURER": read_word(f"{device}/manufacturer") or known.get((vendor, ""), ""),
                "SERIAL": read_word(f"{device}/serial"),
                "INTERFACE": f"USB {read_word(f'{device}/version')}".strip(),
                "TYPE": _USB_CLASSES.get(interface.lower(), ""),
            }
        )
    return rows
