"""A tree of files as the kernel and the package databases write them on an office computer."""

from __future__ import annotations

import os
import time
from pathlib import Path

from appliance.agent import inventory

Files = dict[str, object]  # text, bytes, or a Path: where a symbolic link points to


def plant(root: Path, files: Files) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Path):
            path.symlink_to(content)
        elif isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(str(content), encoding="utf-8")
    return root


def rows(root: Path, name: str) -> list[dict[str, str]]:
    return [fields for section, fields in inventory.collect(root) if section == name]


CPU = """processor\t: {number}
vendor_id\t: GenuineIntel
model name\t: Intel(R) Xeon(R) Silver 4110 CPU @ 2.10GHz
cpu MHz\t\t: 800.027
physical id\t: {socket}
core id\t\t: {core}
cpu cores\t: 2
flags\t\t: fpu lm sse

"""

OFFICE: Files = {
    "etc/os-release": ('NAME="Debian GNU/Linux"\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n'),
    "etc/resolv.conf": (
        "# made by hand\nsearch corp.example.net\nnameserver 198.51.100.53\nnameserver 198.51.100.54\n"
    ),
    "etc/passwd": (
        "root:x:0:0:root:/:/bin/bash\n+::::::\nbroken line\njdoe:x:1000:1000:Jane Doe,,,:/home/jdoe:/bin/zsh\n"
    ),
    "etc/group": "root:x:0:\nsudo:x:27:jdoe\njdoe:x:1000:\n",
    "proc/sys/kernel/hostname": "pc-acct-017\n",
    "proc/sys/kernel/osrelease": "6.1.0-21-amd64\n",
    "proc/sys/kernel/arch": "x86_64\n",
    "proc/uptime": f"{40 * 86400 + 3723}.52 1000.00\n",
    "proc/meminfo": "MemTotal:       16314012 kB\nMemFree: 1 kB\nSwapTotal:       1003516 kB\n",
    "proc/cpuinfo": "".join(CPU.format(number=number, socket=number // 4, core=number % 2) for number in range(8)),
    "sys/devices/system/cpu/cpu0/cache/index2/level": "2\n",
    "sys/devices/system/cpu/cpu0/cache/index2/size": "1024K\n",
    "sys/devices/system/cpu/cpu0/cache/index2/shared_cpu_list": "0,2\n",
    "sys/devices/system/cpu/cpu1/cache/index2/level": "2\n",
    "sys/devices/system/cpu/cpu1/cache/index2/size": "1024K\n",
    "sys/devices/system/cpu/cpu1/cache/index2/shared_cpu_list": "1,3\n",
    "sys/class/dmi/id/sys_vendor": "Dell Inc.\n",
    "sys/class/dmi/id/product_name": "OptiPlex 7090\n",
    "sys/class/dmi/id/product_uuid": "4c4c4544-0042-3510-8052-b4c04f564433\n",
    "sys/class/dmi/id/board_name": "0KF3WM\n",
    "sys/class/dmi/id/bios_vendor": "Dell Inc.\n",
    "sys/class/dmi/id/bios_date": "01/06/2023\n",
    "sys/class/dmi/id/chassis_type": "3\n",
    "sys/class/net/lo/type": "772\n",
    "sys/class/net/bonding_masters": "bond0\n",
    "sys/class/net/eth0/type": "1\n",
    "sys/class/net/eth0/address": "00:00:5e:00:53:17\n",
    "sys/class/net/eth0/mtu": "1500\n",
    "sys/class/net/eth0/flags": "0x1003\n",
    "sys/class/net/eth0/speed": "1000\n",
    "sys/class/net/eth0/duplex": "full\n",
    "sys/class/net/eth0/device": Path("../../../devices/pci0000:00/0000:00:1f.6"),
    "sys/devices/pci0000:00/0000:00:1f.6/driver": Path("../../../bus/pci/drivers/e1000e"),
    "sys/class/net/wlan0/type": "1\n",
    "sys/class/net/wlan0/wireless/x": "",
    "sys/class/net/wlan0/flags": "0x1002\n",
    "sys/class/net/wlan0/speed": "-1\n",
    "proc/net/route": (
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t016433C6\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
        "eth0\t006433C6\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n"
        "junk\n"
    ),
    "proc/net/fib_trie": (
        "Main:\n  +-- 0.0.0.0/0 3 0 5\n           |-- 127.0.0.1\n              /32 host LOCAL\n"
        "           |-- 198.51.100.23\n              /32 host LOCAL\n"
        "           |-- 198.51.100.255\n              /32 link BROADCAST\n"
        "Local:\n           |-- 198.51.100.23\n              /32 host LOCAL\n"
    ),
    "proc/net/if_inet6": (
        "fe8000000000000000005efffe005317 02 40 20 80     eth0\n"
        "20010db8000000000000000000000099 02 40 00 01     eth0\n"  # a temporary one
        "00000000000000000000000000000001 01 80 10 80       lo\n"
    ),
    "run/systemd/netif/leases/2": "SERVER_ADDRESS=198.51.100.2\n",
    "sys/class/net/eth0/ifindex": "2\n",
    "sys/block/loop0/size": "100\n",
    "sys/block/zram0/size": "100\n",
    "sys/block/sda/size": "1000215216\n",
    "sys/block/sda/dev": "8:0\n",
    "sys/block/sda/device/vendor": "ATA     \n",
    "sys/block/sda/device/model": "Samsung SSD 870\n",
    "sys/block/sda/device/rev": "1B6Q\n",
    "run/udev/data/b8:0": "E:ID_SERIAL_SHORT=S5Y2NX0R123456\nE:ID_BUS=ata\n",
    "sys/block/sr0/size": "0\n",
    "sys/block/sr0/device/vendor": "HL-DT-ST\n",
    "sys/block/nvme0n1/size": "2000409264\n",
    "sys/block/nvme0n1/device/model": "KBG40ZNS512G NVMe KIOXIA 512GB\n",
    "sys/block/nvme0n1/device/serial": "8CE38E0400F6\n",
    "sys/block/nvme0n1/device/firmware_rev": "10410105\n",
    "proc/self/mountinfo": (
        "22 28 0:21 / /sys rw shared:7 - sysfs sysfs rw\n"
        "35 28 8:1 / /before/the/root rw - ext4 /dev/sda1 rw\n"
        "28 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        "36 28 253:0 / /data\\040disk rw - xfs /dev/mapper/vg-data rw\n"
        "37 28 0:50 / /mnt/dead rw - nfs4 filer:/export rw\n"
        "40 28 8:33 /var/lib/docker/containers/1/hosts /etc/hosts rw - ext4 /dev/sdc1 rw\n"
        "38 28 8:17 / /mnt/usb rw - fuseblk /dev/sdb1 rw\n"
        "39 28 0:60 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw\n"
        "broken\n"
    ),
    "dev/mapper/vg-data": Path("../dm-0"),
    "dev/disk/by-uuid/6f5c0d3e-0000-4000-8000-000000000001": Path("../../sda1"),
    "dev/disk/by-uuid/6f5c0d3e-0000-4000-8000-000000000002": Path("../../dm-0"),
    "dev/disk/by-label/data\\x20disk": Path("../../dm-0"),
    "sys/class/block/sdb1/size": "4194304\n",
    "data disk/x": "",
    "usr/share/misc/pci.ids": (
        "# comment\n1af4  Red Hat, Inc.\n\t1041  Virtio network\n"
        "8086  Intel Corporation\n\t3e9b  UHD Graphics 630\n\t\t1028 0869  Vostro\n"
        "\ta348  Cannon Lake PCH cAVS\n"
        "8087  Intel Corp.\n\t0a2a  Not ours\n"
    ),
    "sys/bus/pci/devices/0000:00:02.0/vendor": "0x8086\n",
    "sys/bus/pci/devices/0000:00:02.0/device": "0x3e9b\n",
    "sys/bus/pci/devices/0000:00:02.0/class": "0x030000\n",
    "sys/bus/pci/devices/0000:00:02.0/revision": "0x02\n",
    "sys/bus/pci/devices/0000:00:02.0/driver": Path("../../../../bus/pci/drivers/i915"),
    "sys/class/drm/card0/device": Path("../../../0000:00:02.0"),
    "sys/class/drm/card0-HDMI-A-1/status": "disconnected\n",
    "sys/class/drm/card0-eDP-1/status": "connected\n",
    "sys/class/drm/card0-eDP-1/modes": "1920x1080\n1280x720\n",
    "sys/bus/pci/devices/0000:00:1f.3/vendor": "0x8086\n",
    "sys/bus/pci/devices/0000:00:1f.3/device": "0xa348\n",
    "sys/bus/pci/devices/0000:00:1f.3/class": "0x040300\n",
    "sys/bus/pci/devices/0000:00:1f.3/revision": "0x10\n",
    "sys/bus/pci/devices/0000:01:00.0/vendor": "0x8086\n",
    "sys/bus/pci/devices/0000:01:00.0/device": "0x0a2a\n",
    "sys/bus/pci/devices/0000:01:00.0/class": "0x028000\n",
    "sys/bus/pci/devices/broken/vendor": "no number\n",
    "sys/bus/usb/devices/usb1/idVendor": "1d6b\n",
    "sys/bus/usb/devices/1-1/idVendor": "0781\n",
    "sys/bus/usb/devices/1-1/idProduct": "5581\n",
    "sys/bus/usb/devices/1-1/bDeviceClass": "00\n",
    "sys/bus/usb/devices/1-1/1-1:1.0/bInterfaceClass": "08\n",
    "sys/bus/usb/devices/1-1/manufacturer": "SanDisk\n",
    "sys/bus/usb/devices/1-1/product": "Ultra\n",
    "sys/bus/usb/devices/1-1/serial": "4C530001230815106373\n",
    "sys/bus/usb/devices/1-1/version": " 3.20\n",
    "var/lib/dpkg/status": (
        "Package: dpkg\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.21.22\n\n"
        "Package: adduser\nStatus: install ok installed\nInstalled-Size: 686\nMaintainer: Them\n"
        "Architecture: all\nMulti-Arch: foreign\nVersion: 3.134\n"
        "Description: add and remove users and groups\n"
        " This line looks like\n Package: another\n\n"
        "Package: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n\n"
        "Package: zlib1g\nStatus: install ok installed\nInstalled-Size: 168\nArchitecture: amd64\n"
        "Multi-Arch: same\nVersion: 1:1.2.13.dfsg-1\nDescription: compression library - runtime\n"
        "Homepage: http://zlib.net/\n\n"
        "Package: wine32\nStatus: hold ok installed\nArchitecture: i386\nVersion: 8.0\n"
    ),
    "var/lib/dpkg/info/zlib1g:amd64.list": "/.\n",
}


def plant_office(root: Path) -> Path:
    plant(root, OFFICE)
    when = time.mktime((2025, 4, 20, 10, 30, 0, 0, 0, -1))
    os.utime(root / "var/lib/dpkg/info/zlib1g:amd64.list", (when, when))
    return root
