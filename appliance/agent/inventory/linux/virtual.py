"""VMSYSTEM: is this a physical computer, a virtual machine or a container?"""

from __future__ import annotations

import os
import re

from ..reading import read_bytes, read_text, read_word

PHYSICAL = "Physical"

# In the words of the firmware: manufacturer, model and board of the DMI tables.
_FIRMWARE = (
    ("vmware", "VMware"),
    ("virtualbox", "VirtualBox"),
    ("innotek gmbh", "VirtualBox"),
    ("parallels", "Parallels"),
    ("xen", "Xen"),
    ("hvm domu", "Xen"),
    ("kvm", "KVM"),
    ("amazon ec2", "KVM"),
    ("google compute engine", "KVM"),
    ("openstack", "KVM"),
    ("bochs", "QEMU"),
    ("qemu", "QEMU"),
    ("bhyve", "bhyve"),
    ("microsoft corporation virtual machine", "Hyper-V"),
)
_CONTAINERS = {
    "docker": "Docker",
    "podman": "Podman",
    "lxc": "LXC",
    "lxc-libvirt": "LXC",
    "systemd-nspawn": "nspawn",
}
_CGROUPS = (("docker", "Docker"), ("libpod", "Podman"), ("kubepods", "Kubernetes"), ("/lxc", "LXC"))


def system(root: str) -> str:
    return container(root) or machine(root)


def container(root: str) -> str:
    named = read_word(f"{root}/run/systemd/container")
    if not named:  # the environment of process 1 is for root's eyes
        found = re.search(rb"(?:^|\0)container=([^\0]*)", read_bytes(f"{root}/proc/1/environ", 65536))
        named = found[1].decode("utf-8", "replace") if found else ""
    if named:
        return _CONTAINERS.get(named, "Container")
    if _there(f"{root}/run/.containerenv"):
        return "Podman"
    if _there(f"{root}/.dockerenv") and not _root_is_a_disk(root):
        return "Docker"
    if _there(f"{root}/proc/vz/veinfo") and not _there(f"{root}/proc/bc/0"):  # the second: the host itself
        return "OpenVZ"
    control_groups = read_text(f"{root}/proc/1/cgroup", 65536)
    return next((name for mark, name in _CGROUPS if mark in control_groups), "")


def _root_is_a_disk(root: str) -> bool:
    """Images of virtual machines are also made from Docker's, and keep its mark."""
    for line in read_text(f"{root}/proc/self/mountinfo").splitlines():
        words = line.split()
        if len(words) > 6 and words[4] == "/":
            return words[3] == "/" and " - " in line and line.split(" - ")[1].split()[1].startswith("/dev/")
    return False


def machine(root: str) -> str:
    if "microsoft" in read_word(f"{root}/proc/sys/kernel/osrelease").lower():
        return "WSL"
    if read_word(f"{root}/sys/hypervisor/type") == "xen":
        return PHYSICAL if "control_d" in read_word(f"{root}/proc/xen/capabilities") else "Xen"
    folder = f"{root}/sys/class/dmi/id"
    told = (read_word(f"{folder}/{name}") for name in ("sys_vendor", "product_name", "board_vendor"))
    firmware = " ".join(told).lower()
    for mark, name in _FIRMWARE:
        if mark in firmware:
            return name
    flags = re.search(r"^flags\s*:(.*)$", read_text(f"{root}/proc/cpuinfo", 65536), re.MULTILINE)
    return "Virtual Machine" if flags and " hypervisor" in flags[1] else PHYSICAL


def _there(path: str) -> bool:
    return os.path.lexists(path)
