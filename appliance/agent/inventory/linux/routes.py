"""The routing table, as far as it says where things leave: gateways, by interface."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass

from ..reading import read_text

_LIMIT = 8 << 20
_UP, _GATEWAY, _REJECT = 0x1, 0x2, 0x200


@dataclass(frozen=True)
class Route:
    interface: str
    destination: bytes  # network byte order
    mask: bytes
    gateway: bytes
    metric: int


def ipv4(root: str) -> Iterator[Route]:
    for line in read_text(f"{root}/proc/net/route", _LIMIT).splitlines()[1:]:
        words = line.split()
        try:
            flags = int(words[3], 16)
            # the kernel prints the words of memory: little-endian, but for a few old big-endian machines
            destination, gateway, mask = (bytes.fromhex(words[at].zfill(8))[::-1] for at in (1, 2, 7))
            metric = int(words[6])
        except (ValueError, IndexError):
            continue
        if flags & _UP and not flags & _REJECT and len(destination) == len(mask) == len(gateway) == 4:
            yield Route(words[0], destination, mask, gateway if flags & _GATEWAY else b"", metric)


def default_gateway(root: str) -> tuple[str, str]:
    """Address and interface of the IPv4 way out; ("", interface) when it leads nowhere in particular."""
    ways = [route for route in ipv4(root) if not any(route.destination) and not any(route.mask)]
    if not ways:
        return "", ""
    best = min(ways, key=lambda route: route.metric)
    return socket.inet_ntoa(best.gateway) if best.gateway else "", best.interface


def gateways(root: str) -> dict[str, str]:
    """The IPv4 default gateway of each interface."""
    found: dict[str, str] = {}
    for route in sorted(ipv4(root), key=lambda route: route.metric):
        if route.gateway and not any(route.destination) and not any(route.mask):
            found.setdefault(route.interface, socket.inet_ntoa(route.gateway))
    return found


def gateways6(root: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in read_text(f"{root}/proc/net/ipv6_route", _LIMIT).splitlines():
        words = line.split()
        if len(words) < 10 or words[0].strip("0") or words[1] != "00" or not words[4].strip("0"):
            continue
        try:
            found.setdefault(words[9], socket.inet_ntop(socket.AF_INET6, bytes.fromhex(words[4])))
        except (ValueError, OSError):
            continue
    return found
