"""NETWORKS: one row for each interface and address, as the genuine agent; loopback is left out as there."""

from __future__ import annotations

import os
import re

from ..reading import link_name, names, pairs, read_text, read_word
from ..rows import Row, number
from . import addresses, routes

_LINKS_LIMIT = 512
_LOOPBACK = "772"  # ARPHRD_...
_TYPES = {"1": "ethernet", "32": "infiniband", "512": "ppp", "65534": "tunnel"}
_TYPES_BY_PART = {  # of the interface's folder
    "wireless": "wifi",
    "phy80211": "wifi",
    "bridge": "bridge",
    "bonding": "aggregate",
    "tun_flags": "tunnel",
}
_PCI_SLOT = re.compile(r"(?:[0-9a-f]{4}:)?([0-9a-f]{2}:[0-9a-f]{2}\.[0-7])")


def links(root: str, *, live: bool) -> list[Row]:
    found: dict[str, list[addresses.Address]] = {}
    for address in addresses.addresses(root, live=live):
        found.setdefault(address.interface, []).append(address)
    ways, ways6 = routes.gateways(root), routes.gateways6(root)
    rows: list[Row] = []
    for name in names(f"{root}/sys/class/net")[:_LINKS_LIMIT]:
        folder = f"{root}/sys/class/net/{name}"
        if not os.path.isdir(folder) or read_word(f"{folder}/type") == _LOOPBACK:
            continue  # not a folder: bonding keeps a file of its own there
        link = _link(folder, name)
        known = sorted(found.get(name, []), key=lambda address: (len(address.packed), address.packed))
        for address in known:
            version4 = len(address.packed) == 4
            row = {
                **link,
                "IPADDRESS": address.text,
                "IPMASK": address.mask,
                "IPSUBNET": address.network,
                "IPGATEWAY": (ways if version4 else ways6).get(name, ""),
            }
            if version4:
                row["IPDHCP"] = _dhcp_server(root, folder, name)
            rows.append(row)
        if not known:
            rows.append(link)
    return rows


def _link(folder: str, name: str) -> Row:
    speed = number(read_word(f"{folder}/speed"))
    device = _PCI_SLOT.fullmatch(link_name(f"{folder}/device"))
    physical = os.path.lexists(f"{folder}/device")
    row = {
        "DESCRIPTION": name,
        "TYPE": _type(folder),
        "MACADDR": read_word(f"{folder}/address"),
        "MTU": read_word(f"{folder}/mtu"),
        "STATUS": "Up" if _is_up(folder) else "Down",
        "DUPLEX": read_word(f"{folder}/duplex").capitalize(),
        "DRIVER": link_name(f"{folder}/device/driver"),
        "PCISLOT": device[1] if device else "",
        "VIRTUALDEV": "0" if physical else "1",
    }
    if speed > 0:  # -1 is the kernel's "not known"
        row["SPEED"] = f"{speed} Mbps"
    if row["DUPLEX"] == "Unknown":
        del row["DUPLEX"]
    return row


def _is_up(folder: str) -> bool:
    """Switched on, as the genuine agent has it; a cable is another matter."""
    try:
        return bool(int(read_word(f"{folder}/flags"), 16) & 1)
    except ValueError:
        return False


def _type(folder: str) -> str:
    for part, kind in _TYPES_BY_PART.items():
        if os.path.lexists(f"{folder}/{part}"):
            return kind
    return _TYPES.get(read_word(f"{folder}/type"), "")


def _dhcp_server(root: str, folder: str, name: str) -> str:
    """Who gave the address, from the leases of systemd-networkd and dhclient."""
    index = read_word(f"{folder}/ifindex")
    server = pairs(read_text(f"{root}/run/systemd/netif/leases/{index}", 65536)).get("SERVER_ADDRESS", "")
    if server:
        return server
    for path in (f"{root}/var/lib/dhcp/dhclient.{name}.leases", f"{root}/var/lib/dhcp/dhclient.leases"):
        lease = read_text(path)
        if f'interface "{name}"' in lease:
            given = re.findall(r"dhcp-server-identifier ([0-9.]{7,15});", lease)
            if given:
                return str(given[-1])  # leases are appended
    return ""
