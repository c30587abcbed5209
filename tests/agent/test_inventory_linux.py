"""The sections of Linux, from a tree of files as the kernel writes them."""

from __future__ import annotations

import os
import struct
import sys
import time
from pathlib import Path

import pytest

from appliance.agent import inventory
from appliance.agent.inventory.linux import addresses, disks, logins, virtual
from tests.agent.data.trees import Files, plant, plant_office, rows

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="trees with Linux's file names")


def structure(kind: int, handle: int, body: bytes, *strings: str) -> bytes:
    texts = b"".join(text.encode() + b"\0" for text in strings) or b"\0"
    return struct.pack("<BBH", kind, 4 + len(body), handle) + body + texts + b"\0"


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return plant_office(tmp_path_factory.mktemp("office"))


def test_the_hardware_row_says_what_the_computer_is_and_where_it_stands(office: Path) -> None:
    assert rows(office, "HARDWARE") == [
        {
            "NAME": "pc-acct-017",
            "WORKGROUP": "corp.example.net",
            "ARCH": "x86_64",
            "DESCRIPTION": "x86_64/00-01-09 01:02:03",
            "MEMORY": "15931",
            "SWAP": "979",
            "DEFAULTGATEWAY": "198.51.100.1",
            "IPADDR": "198.51.100.23",
            "DNS": "198.51.100.53/198.51.100.54",
            "VMSYSTEM": "Physical",
            "PROCESSORN": "2",
            "PROCESSORT": "Intel(R) Xeon(R) Silver 4110 CPU @ 2.10GHz",
            "PROCESSORS": "2100",
            "OSNAME": "Debian GNU/Linux 12",
            "OSVERSION": "12",
            "OSCOMMENTS": "Debian GNU/Linux 12 (bookworm)",
            "UUID": "4c4c4544-0042-3510-8052-b4c04f564433",
        }
    ]


def test_each_socket_is_a_processor_with_its_rated_speed(office: Path) -> None:
    first, second = rows(office, "CPUS")
    assert first == {
        "MANUFACTURER": "Intel",
        "TYPE": "Intel(R) Xeon(R) Silver 4110 CPU @ 2.10GHz",
        "SPEED": "2100",
        "CURRENT_SPEED": "2100",
        "CORES": "2",
        "LOGICAL_CPUS": "4",
        "THREADS": "4",
        "CPUARCH": "x86_64",
        "DATA_WIDTH": "64",
        "CURRENT_ADDRESS_WIDTH": "64",
        "L2CACHESIZE": "2 MiB (2 instances)",
        "NBSOCKET": "2",
    }
    assert "L2CACHESIZE" not in second


def test_firmware_values_come_from_sysfs_and_memory_is_one_row_without_smbios(office: Path) -> None:
    assert rows(office, "BIOS") == [
        {
            "SMANUFACTURER": "Dell Inc.",
            "SMODEL": "OptiPlex 7090",
            "MMODEL": "0KF3WM",
            "BMANUFACTURER": "Dell Inc.",
            "BDATE": "01/06/2023",
            "TYPE": "Desktop",
        }
    ]
    assert [row["CAPACITY"] for row in rows(office, "MEMORIES")] == ["15931"]


def test_the_smbios_table_gives_modules_slots_serial_numbers_and_the_uuid(tmp_path: Path) -> None:
    def module(size: int, serial: int, extended: int = 0) -> bytes:
        return struct.pack(
            "<HHHHHBBBBBHHBBBBBIH",
            *(0x1000, 0xFFFE, 64, 64, size, 0x0D, 0, 1, 2, 0x1A, 0, 3200, 3, serial, 0, 0, 0, extended, 2933),
        )

    table = (
        structure(0, 0, bytes([1, 2, 0, 0, 3]) + bytes(8), "Dell Inc.", "1.14.1", "01/06/2023")
        + structure(1, 1, bytes([1, 2, 0, 3]) + bytes(range(1, 17)) + b"\x06", "Dell Inc.", "OptiPlex", "B5R0VD3")
        + structure(2, 2, bytes([1, 2, 0, 3]), "Dell Inc.", "0KF3WM", "/B5R0VD3/")
        + structure(3, 3, bytes([1, 0x83, 0, 0, 2]), "Dell Inc.", "ACCT-017")
        + structure(4, 4, bytes([1, 3, 0, 2]) + bytes(8) + bytes([3, 0x8C, 100, 0, 100, 15, 52, 8, 0x41, 0]), *"ABC")
        + structure(9, 9, bytes([1, 0xAA, 0, 3, 0, 7, 0]), "SLOT1")
        + structure(16, 0x1000, bytes([3, 3, 3]))
        + structure(17, 17, module(0x7FFF, 4, 32768), "DIMM A", "BANK 0", "Samsung", "2D3A5B1C")
        + structure(17, 18, module(0, 0), "DIMM B", "BANK 0", "x")
        + structure(127, 127, b"")
    )
    root = plant(tmp_path, {"sys/firmware/dmi/tables/DMI": table, "proc/cpuinfo": "processor : 0\n"})
    assert rows(root, "BIOS") == [
        {
            "BMANUFACTURER": "Dell Inc.",
            "BVERSION": "1.14.1",
            "BDATE": "01/06/2023",
            "SMANUFACTURER": "Dell Inc.",
            "SMODEL": "OptiPlex",
            "SSN": "B5R0VD3",
            "MMANUFACTURER": "Dell Inc.",
            "MMODEL": "0KF3WM",
            "MSN": "/B5R0VD3/",
            "TYPE": "Desktop",
            "ASSETTAG": "ACCT-017",
        }
    ]
    assert rows(root, "HARDWARE")[0]["UUID"] == "04030201-0605-0807-090a-0b0c0d0e0f10"
    assert rows(root, "MEMORIES") == [
        {
            "NUMSLOTS": "1",
            "CAPTION": "DIMM A",
            "CAPACITY": "32768",
            "PURPOSE": "System Memory",
            "TYPE": "DDR4",
            "DESCRIPTION": "SODIMM",
            "SPEED": "3200",
            "SERIALNUMBER": "2D3A5B1C",
        },
        {
            "NUMSLOTS": "2",
            "CAPTION": "DIMM B",
            "CAPACITY": "0",
            "PURPOSE": "System Memory",
            "TYPE": "Empty slot",
        },
    ]
    assert rows(root, "SLOTS") == [
        {"NAME": "SLOT1", "DESCRIPTION": "PCI Express x16", "DESIGNATION": "7", "STATUS": "Available"}
    ]
    cpu = rows(root, "CPUS")[0]
    assert (cpu["TYPE"], cpu["MANUFACTURER"], cpu["SOCKET"], cpu["VOLTAGE"]) == ("C", "B", "A", "1.2 V")
    assert (cpu["SPEED"], cpu["CURRENT_SPEED"]) == ("2100", "2100")

    for cut in range(0, len(table), 7):  # firmware that stops in the middle, anywhere
        (root / "sys/firmware/dmi/tables/DMI").write_bytes(table[:cut])
        inventory.collect(root, softwares=False)


def test_each_address_has_its_row_and_loopback_has_none(office: Path) -> None:
    link = {
        "DESCRIPTION": "eth0",
        "TYPE": "ethernet",
        "MACADDR": "00:00:5e:00:53:17",
        "MTU": "1500",
        "STATUS": "Up",
        "DUPLEX": "Full",
        "DRIVER": "e1000e",
        "PCISLOT": "00:1f.6",
        "VIRTUALDEV": "0",
        "SPEED": "1000 Mbps",
    }
    version4 = {
        "IPADDRESS": "198.51.100.23",
        "IPMASK": "255.255.255.0",
        "IPSUBNET": "198.51.100.0",
        "IPGATEWAY": "198.51.100.1",
        "IPDHCP": "198.51.100.2",
    }
    version6 = {"IPADDRESS": "fe80::5eff:fe00:5317", "IPMASK": "ffff:ffff:ffff:ffff::", "IPSUBNET": "fe80::"}
    assert rows(office, "NETWORKS") == [
        {**link, **version4},
        {**link, **version6},
        {"DESCRIPTION": "wlan0", "TYPE": "wifi", "STATUS": "Down", "VIRTUALDEV": "1"},
    ]


def test_an_address_without_a_network_has_a_mask_of_its_own_size() -> None:
    assert addresses.Address("eth0", bytes([192, 0, 2, 9]), 32).mask == "255.255.255.255"
    assert addresses.Address("eth0", bytes([192, 0, 2, 9]), 0).network == "0.0.0.0"
    assert addresses.Address("eth0", bytes(15) + b"\1", 127).network == "::"


def test_disks_are_the_real_ones_in_mib_with_serial_numbers(office: Path) -> None:
    assert rows(office, "STORAGES") == [
        {
            "NAME": "nvme0n1",
            "MANUFACTURER": "KBG40ZNS512G",
            "MODEL": "KBG40ZNS512G NVMe KIOXIA 512GB",
            "DESCRIPTION": "NVMe",
            "TYPE": "disk",
            "DISKSIZE": "976762",
            "SERIALNUMBER": "8CE38E0400F6",
            "FIRMWARE": "10410105",
        },
        {
            "NAME": "sda",
            "MANUFACTURER": "Samsung",
            "MODEL": "Samsung SSD 870",
            "DESCRIPTION": "SATA",
            "TYPE": "disk",
            "DISKSIZE": "488386",
            "SERIALNUMBER": "S5Y2NX0R123456",
            "FIRMWARE": "1B6Q",
        },
        {"NAME": "sr0", "MANUFACTURER": "HL-DT-ST", "DESCRIPTION": "SCSI", "TYPE": "cdrom"},
    ]


def test_drives_are_mounted_disks_once_each_and_no_server_is_asked(office: Path) -> None:
    asked = []

    class Space:
        f_frsize, f_blocks, f_bavail = 4096, 25600, 6400  # 100 MiB, 25 of them free

    def statvfs(path: str) -> os.statvfs_result:
        asked.append(path)
        return Space()  # type: ignore[return-value]

    assert disks.drives(str(office), statvfs) == [
        {
            "TYPE": "/",
            "VOLUMN": "/dev/sda1",
            "FILESYSTEM": "ext4",
            "LABEL": "",
            "SERIAL": "6f5c0d3e-0000-4000-8000-000000000001",
            "TOTAL": "100",
            "FREE": "25",
        },
        {
            "TYPE": "/data disk",
            "VOLUMN": "/dev/mapper/vg-data",
            "FILESYSTEM": "xfs",
            "LABEL": "data disk",
            "SERIAL": "6f5c0d3e-0000-4000-8000-000000000002",
            "TOTAL": "100",
            "FREE": "25",
        },
        {
            "TYPE": "/mnt/usb",
            "VOLUMN": "/dev/sdb1",
            "FILESYSTEM": "fuseblk",
            "LABEL": "",
            "SERIAL": "",
            "TOTAL": "2048",
        },
    ]
    assert asked == [f"{office}/", f"{office}/data disk"]


def test_devices_of_the_buses_have_names_and_those_unknown_their_numbers(office: Path) -> None:
    assert rows(office, "CONTROLLERS") == [
        {
            "NAME": "VGA compatible controller [0300]",
            "MANUFACTURER": "Intel Corporation UHD Graphics 630",
            "DRIVER": "i915",
            "PCIID": "8086:3e9b",
            "PCISLOT": "00:02.0",
            "TYPE": "rev 02",
        },
        {
            "NAME": "Audio device [0403]",
            "MANUFACTURER": "Intel Corporation Cannon Lake PCH cAVS",
            "PCIID": "8086:a348",
            "PCISLOT": "00:1f.3",
            "TYPE": "rev 10",
        },
        {
            "NAME": "Network controller [0280]",
            "MANUFACTURER": "Intel Corporation Device",
            "PCIID": "8086:0a2a",
            "PCISLOT": "01:00.0",
        },
    ]
    assert rows(office, "VIDEOS") == [
        {
            "NAME": "Intel Corporation UHD Graphics 630",
            "CHIPSET": "VGA compatible controller",
            "RESOLUTION": "1920x1080",
            "PCIID": "8086:3e9b",
            "PCISLOT": "00:02.0",
        }
    ]
    assert rows(office, "SOUNDS") == [
        {
            "NAME": "Cannon Lake PCH cAVS",
            "MANUFACTURER": "Intel Corporation",
            "DESCRIPTION": "Audio device (rev 10)",
        }
    ]
    assert rows(office, "USBDEVICES") == [
        {
            "CAPTION": "Ultra",
            "DESCRIPTION": "0781:5581",
            "MANUFACTURER": "SanDisk",
            "SERIAL": "4C530001230815106373",
            "INTERFACE": "USB 3.20",
            "TYPE": "Mass Storage",
        }
    ]


def test_accounts_are_those_of_the_files_with_both_kinds_of_membership(office: Path) -> None:
    assert rows(office, "LOCAL_USERS") == [
        {"LOGIN": "root", "ID_USER": "0", "GID": "0", "NAME": "root", "HOME": "/", "SHELL": "/bin/bash"},
        {
            "LOGIN": "jdoe",
            "ID_USER": "1000",
            "GID": "1000",
            "NAME": "Jane Doe,,,",
            "HOME": "/home/jdoe",
            "SHELL": "/bin/zsh",
        },
    ]
    assert [(row["NAME"], row["MEMBER"]) for row in rows(office, "LOCAL_GROUPS")] == [
        ("root", "root"),
        ("sudo", "jdoe"),
        ("jdoe", "jdoe"),
    ]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, "Physical"),
        ({"proc/cpuinfo": "flags\t: fpu hypervisor lm\n"}, "Virtual Machine"),
        ({"sys/class/dmi/id/sys_vendor": "VMware, Inc.\n"}, "VMware"),
        ({"sys/class/dmi/id/sys_vendor": "QEMU\n"}, "QEMU"),
        ({"sys/class/dmi/id/sys_vendor": "QEMU\n", "sys/class/dmi/id/product_name": "KVM\n"}, "KVM"),
        (
            {
                "sys/class/dmi/id/sys_vendor": "Microsoft Corporation\n",
                "sys/class/dmi/id/product_name": "Virtual Machine\n",
            },
            "Hyper-V",
        ),
        ({"sys/class/dmi/id/sys_vendor": "Microsoft Corporation\n"}, "Physical"),  # a Surface
        ({"sys/hypervisor/type": "xen\n"}, "Xen"),
        ({"sys/hypervisor/type": "xen\n", "proc/xen/capabilities": "control_d\n"}, "Physical"),
        ({"proc/sys/kernel/osrelease": "5.15.90.1-microsoft-standard-WSL2\n"}, "WSL"),
        ({".dockerenv": "", "proc/self/mountinfo": "1 0 0:5 / / rw - overlay overlay rw\n"}, "Docker"),
        ({".dockerenv": "", "proc/self/mountinfo": "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"}, "Physical"),
        ({"run/.containerenv": ""}, "Podman"),
        ({"run/systemd/container": "lxc\n"}, "LXC"),
        ({"proc/1/environ": b"TERM=x\0container=systemd-nspawn\0"}, "nspawn"),
        ({"proc/1/cgroup": "0::/kubepods/besteffort/pod1\n"}, "Kubernetes"),
    ],
)
def test_virtual_machines_and_containers_are_told_apart(tmp_path: Path, files: Files, expected: str) -> None:
    assert virtual.system(str(plant(tmp_path, files))) == expected


def test_who_is_logged_in_and_who_was_last_comes_from_utmp_and_wtmp(tmp_path: Path) -> None:
    when = int(time.mktime((2026, 11, 20, 20, 35, 0, 0, 0, -1)))

    def record(kind: int, user: str) -> bytes:
        return struct.pack(
            "=hxxi32s4s32s256siiiiii", kind, 1, b"pts/0", b"", user.encode(), b"", 0, 0, when, 0, 0, 0
        ).ljust(384, b"\0")

    def wide(user: str) -> bytes:
        return struct.pack("=hxxi32s4s32s256siqqq", 7, 1, b"pts/0", b"", user.encode(), b"", 0, 0, when, 0).ljust(
            400, b"\0"
        )

    root = plant(
        tmp_path,
        {
            "run/utmp": record(2, "reboot") + record(7, "zoe") + record(7, "jdoe") + record(7, "zoe") + record(8, "x"),
            "var/log/wtmp": record(7, "jdoe") * 3000 + record(7, "zoe") + record(8, "jdoe"),
        },
    )
    last = {"LASTLOGGEDUSER": "zoe", "DATELASTLOGGEDUSER": "Fri Nov 20 20:35"}
    assert logins.people(str(root)) == {"USERID": "jdoe/zoe", **last}
    (root / "run/utmp").write_bytes(b"no records")
    (root / "var/log/wtmp").write_bytes(wide("zoe"))
    assert logins.people(str(root)) == last
