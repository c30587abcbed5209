"""HARDWARE: the one row that says what this computer is and where it stands. Its parts are elsewhere."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence

from ..reading import pairs, read_text, read_word
from ..rows import Row, number
from . import routes
from .virtual import system

_NAMESERVERS_LIMIT = 3  # what the resolver uses


def hardware(root: str, cpus: Sequence[Row], links: Sequence[Row]) -> Row:
    memory = pairs(read_text(f"{root}/proc/meminfo"), ":")
    nameservers, domain = resolver(root)
    machine = arch(root)
    name, _, own_domain = host_name(root).partition(".")
    gateway, interface = routes.default_gateway(root)
    row = {
        "NAME": name,
        "WORKGROUP": own_domain or domain or "WORKGROUP",
        "ARCH": machine,
        "DESCRIPTION": f"{machine}/{uptime(root)}",
        "MEMORY": str(number(memory.get("MemTotal", "")) // 1024),
        "SWAP": str(number(memory.get("SwapTotal", "")) // 1024),
        "DEFAULTGATEWAY": gateway,
        "IPADDR": own_address(links, interface),
        "DNS": "/".join(nameservers),
        "VMSYSTEM": system(root),
        "PROCESSORN": str(len(cpus) or 1),
    }
    if cpus:
        row["PROCESSORT"] = cpus[0].get("TYPE", "")
        row["PROCESSORS"] = cpus[0].get("SPEED", "")
    row.update(distribution(root))
    return row


def distribution(root: str) -> Row:
    release = pairs(read_text(f"{root}/etc/os-release") or read_text(f"{root}/usr/lib/os-release"))
    kernel = read_word(f"{root}/proc/sys/kernel/osrelease")
    name = release.get("NAME", "Linux")
    version = release.get("VERSION_ID", "")
    return {
        "OSNAME": f"{name} {version}".strip(),
        "OSVERSION": version or release.get("BUILD_ID", "") or kernel,  # rolling ones have no version
        "OSCOMMENTS": release.get("PRETTY_NAME", "") or f"Linux {kernel}".strip(),
    }


def host_name(root: str) -> str:
    given = read_word(f"{root}/proc/sys/kernel/hostname") or read_word(f"{root}/etc/hostname")
    return given or (socket.gethostname() if not root else "")


def arch(root: str) -> str:
    return read_word(f"{root}/proc/sys/kernel/arch") or os.uname().machine  # the file is there since 6.1


def uptime(root: str) -> str:
    """As the genuine agent writes it: years, months and days since the epoch of this start."""
    seconds = number(read_word(f"{root}/proc/uptime"))
    since = time.gmtime(max(0, min(seconds, 1 << 31)))
    return f"{since.tm_year - 1970:02d}-{since.tm_mon - 1:02d}-{since.tm_mday - 1:02d} " + time.strftime(
        "%H:%M:%S", since
    )


def resolver(root: str) -> tuple[list[str], str]:
    """The name servers in use, and the DNS domain."""
    servers: list[str] = []
    domain = ""
    # Behind systemd-resolved the first file names only its local stub; the second has the real servers.
    for path in (f"{root}/run/systemd/resolve/resolv.conf", f"{root}/etc/resolv.conf"):
        for line in read_text(path, 65536).splitlines():
            words = line.split()
            if len(words) < 2:
                continue
            if words[0] == "nameserver" and words[1] not in servers:
                servers.append(words[1])
            elif words[0] in ("domain", "search") and not domain and words[1] != ".":
                domain = words[1].rstrip(".")
        if servers:
            break
    return servers[:_NAMESERVERS_LIMIT], domain


def own_address(links: Sequence[Row], interface: str) -> str:
    """The IPv4 address on the way out; else the first there is."""
    addresses = [row for row in links if "." in row.get("IPADDRESS", "")]
    addresses.sort(key=lambda row: row.get("DESCRIPTION") != interface)
    return addresses[0]["IPADDRESS"] if addresses else ""
