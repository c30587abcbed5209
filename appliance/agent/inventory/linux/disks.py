"""STORAGES: the disks. DRIVES: the file systems mounted from them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from ..reading import link_name, names, pairs, read_bytes, read_text, read_word
from ..rows import Row, number

_MIB = 1 << 20
_SECTOR = 512  # /sys/block counts in these, whatever the disk's own sectors
_DISKS_LIMIT = 1000

# Made by software, on top of the real ones or of memory; and the small extra areas of flash cards.
_NOT_A_DISK = re.compile(r"(?:loop|ram|zram|dm-|md|nbd|drbd|zd|bcache)\d*|mmcblk\d+(?:boot\d+|rpmb)|fd\d+")

# Only these are asked for their size: a network file system whose server is gone would never answer.
_LOCAL = frozenset(
    [
        "apfs",
        "bcachefs",
        "btrfs",
        "exfat",
        "ext2",
        "ext3",
        "ext4",
        "f2fs",
        "hfs",
        "hfsplus",
        "jfs",
        "msdos",
        "nilfs2",
        "ntfs",
        "ntfs3",
        "reiserfs",
        "ubifs",
        "udf",
        "ufs",
        "vfat",
        "virtiofs",
        "xfs",
        "zfs",
    ]
)
_NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "ceph", "9p", "afs", "glusterfs", "fuse.sshfs"})


def storages(root: str) -> list[Row]:
    rows = []
    for name in names(f"{root}/sys/block")[:_DISKS_LIMIT]:
        folder = f"{root}/sys/block/{name}"
        size = number(read_word(f"{folder}/size")) * _SECTOR
        optical = bool(re.fullmatch(r"sr\d+", name))
        if _NOT_A_DISK.fullmatch(name) or not (size or optical):  # a card reader without a card
            continue
        known = pairs(_udev(root, folder))
        bus = _bus(folder, name, known)
        maker = read_word(f"{folder}/device/vendor")
        model = read_word(f"{folder}/device/model") or known.get("E:ID_MODEL", "").replace("_", " ")
        if maker == "ATA" or maker.startswith("0x"):  # the bus, or the number of virtio's vendor: not a name
            maker = ""
        rows.append(
            {
                "NAME": name,
                "MANUFACTURER": maker or (model.split()[0] if len(model.split()) > 1 else ""),
                "MODEL": model,
                "DESCRIPTION": bus,
                "TYPE": "cdrom" if optical else "removable" if read_word(f"{folder}/removable") == "1" else "disk",
                "DISKSIZE": str(size // _MIB) if not optical else "",
                "SERIALNUMBER": _serial(folder, known),
                "FIRMWARE": next(
                    filter(
                        None,
                        (read_word(f"{folder}/device/{name}") for name in ("firmware_rev", "rev", "fwrev")),
                    ),
                    known.get("E:ID_REVISION", ""),
                ),
            }
        )
    return rows


def _udev(root: str, folder: str) -> str:
    return read_text(f"{root}/run/udev/data/b{read_word(f'{folder}/dev')}", 65536)


def _serial(folder: str, known: dict[str, str]) -> str:
    given = known.get("E:ID_SERIAL_SHORT") or read_word(f"{folder}/device/serial") or read_word(f"{folder}/serial")
    if given:
        return given
    page = read_bytes(f"{folder}/device/vpd_pg80", 256)  # SCSI's page for it: 4 bytes of header
    return page[4:].decode("ascii", "replace").strip("\0 ")


def _bus(folder: str, name: str, known: dict[str, str]) -> str:
    if name.startswith(("vd", "xvd")):
        return "Virtual I/O device"
    if name.startswith("nvme"):
        return "NVMe"
    if name.startswith("mmcblk"):
        return "MMC/SD"
    given = known.get("E:ID_BUS", "")
    if not given:
        try:
            path = os.path.realpath(folder)
        except OSError:
            path = ""
        given = "usb" if "/usb" in path else "ata" if "/ata" in path else "scsi"
    return {"ata": "SATA", "usb": "USB", "scsi": "SCSI", "ieee1394": "FireWire"}.get(given, given)


def drives(root: str, statvfs: Callable[[str], os.statvfs_result] = os.statvfs) -> list[Row]:
    labels, uuids = _by(root, "by-label"), _by(root, "by-uuid")
    rows = []
    seen: set[str] = set()
    for device, inside, place, system, source in _mounts(root):
        # A container's root is an overlay; elsewhere an overlay shows another file system once more.
        wanted = system in _LOCAL or system == "fuseblk" or (place == "/" and system not in _NETWORK)
        # Bind mounts show a part of another file system, as containers' /etc/hosts; btrfs mounts parts only.
        whole = inside == "/" or place == "/" or system == "btrfs"
        if not wanted or not whole or device in seen:
            continue
        seen.add(device)
        name = link_name(root + source) or os.path.basename(source)  # /dev/mapper/x is a link to ../dm-0
        row = {
            "TYPE": place,
            "VOLUMN": source,  # the protocol's spelling
            "FILESYSTEM": system,
            "LABEL": labels.get(name, ""),
            "SERIAL": uuids.get(name, ""),
        }
        if system == "fuseblk":  # a program stands behind it, which may hang: the device knows its size
            sectors = number(read_word(f"{root}/sys/class/block/{name}/size"))
            row["TOTAL"] = str(sectors * _SECTOR // _MIB or "")
        else:
            row.update(_space(root + place, statvfs))
        rows.append(row)
    return rows


def _mounts(root: str) -> list[tuple[str, str, str, str, str]]:
    """Device, folder inside of it, mount point, file system and source; the root first."""
    found = []
    for line in read_text(f"{root}/proc/self/mountinfo", 4 * _MIB).splitlines():
        before, dash, after = line.partition(" - ")
        words, rest = before.split(), after.split()
        if dash and len(words) >= 6 and len(rest) >= 2:
            found.append((words[2], words[3], _unescape(words[4]), rest[0], _unescape(rest[1])))
    found.sort(key=lambda mount: mount[2] != "/")
    return found


def _space(path: str, statvfs: Callable[[str], os.statvfs_result]) -> Row:
    try:
        found = statvfs(path)
    except (OSError, ValueError):
        return {}
    # f_bavail, as df shows: what is kept back for root is not free to anybody else
    return {
        "TOTAL": str(found.f_blocks * found.f_frsize // _MIB),
        "FREE": str(found.f_bavail * found.f_frsize // _MIB),
    }


def _by(root: str, kind: str) -> dict[str, str]:
    """Device name to label or UUID, from the links that udev keeps."""
    folder = f"{root}/dev/disk/{kind}"
    return {
        device: re.sub(r"\\x([0-9a-f]{2})", lambda found: chr(int(found[1], 16)), name)
        for name in names(folder)
        if (device := link_name(f"{folder}/{name}"))
    }


def _unescape(text: str) -> str:
    """mountinfo writes blanks and backslashes as three octal digits."""
    return re.sub(r"\\([0-3][0-7]{2})", lambda found: chr(int(found[1], 8)), text)
