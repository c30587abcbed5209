"""The IP addresses of each interface: from the kernel over netlink, else from /proc."""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from ..reading import read_text
from . import routes

_TIMEOUT_SECONDS = 2.0
_MESSAGES_LIMIT = 1000
_RTM_NEWADDR, _RTM_GETADDR = 20, 22
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_DUMP_REQUEST = 0x301
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_TEMPORARY, _TENTATIVE = 0x01, 0x40


@dataclass(frozen=True)
class Address:
    interface: str
    packed: bytes  # 4 or 16 bytes, network byte order
    prefix: int  # bits of the network part

    @property
    def text(self) -> str:
        return _text(self.packed)

    @property
    def mask(self) -> str:
        return _text(self._mask)

    @property
    def network(self) -> str:
        return _text(bytes(a & m for a, m in zip(self.packed, self._mask)))

    @property
    def _mask(self) -> bytes:
        bits = len(self.packed) * 8
        return ((1 << bits) - (1 << (bits - self.prefix))).to_bytes(len(self.packed), "big")


def addresses(root: str, *, live: bool) -> list[Address]:
    if live:
        try:
            return list(_from_kernel())
        except (OSError, struct.error):  # sandboxed kernels and seccomp filters refuse netlink
            pass
    return [*_from_trie(root), *_from_inet6(root)]


def _text(packed: bytes) -> str:
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)


def _from_kernel() -> Iterator[Address]:
    interfaces = dict(socket.if_nameindex())
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as kernel:  # 0: NETLINK_ROUTE
        kernel.settimeout(_TIMEOUT_SECONDS)
        kernel.send(struct.pack("=IHHIIB7x", 24, _RTM_GETADDR, _DUMP_REQUEST, 1, 0, socket.AF_UNSPEC))
        for _ in range(_MESSAGES_LIMIT):
            data = kernel.recv(1 << 16)
            at = 0
            while at + 16 <= len(data):
                length, kind = struct.unpack_from("=IH", data, at)
                if kind == _NLMSG_DONE or length < 16:
                    return
                if kind == _NLMSG_ERROR:
                    raise OSError("netlink refused to list the addresses")
                if kind == _RTM_NEWADDR:
                    yield from _message(data[at + 16 : at + length], interfaces)
                at += (length + 3) & ~3


def _message(body: bytes, interfaces: dict[int, str]) -> Iterator[Address]:
    family, prefix, flags, _, index = struct.unpack_from("=BBBBI", body)
    found: dict[int, bytes] = {}
    at = 8
    while at + 4 <= len(body):
        length, kind = struct.unpack_from("=HH", body, at)
        if length < 4:
            break
        found[kind] = body[at + 4 : at + length]
        at += (length + 3) & ~3
    # on point-to-point links IFA_ADDRESS is the other end
    packed = found.get(_IFA_LOCAL) or found.get(_IFA_ADDRESS) or b""
    size = {socket.AF_INET: 4, socket.AF_INET6: 16}.get(family, -1)
    # Temporary IPv6 addresses change every day, and would make every inventory a changed one.
    passing = family == socket.AF_INET6 and flags & (_TEMPORARY | _TENTATIVE)
    if size == len(packed) and prefix <= size * 8 and not passing:
        yield Address(interfaces.get(index, ""), packed, prefix)


def _from_trie(root: str) -> Iterator[Address]:
    """Addresses from the trie of local routes; interface and mask by the narrowest route that fits."""
    ways = [route for route in routes.ipv4(root) if not route.gateway]
    seen: set[str] = set()
    trie = read_text(f"{root}/proc/net/fib_trie", 8 << 20)
    for found in re.finditer(r"\|-- ([0-9.]{7,15})\s*\n\s*/32 host LOCAL", trie):
        if found[1] in seen or found[1].startswith("127."):
            continue
        seen.add(found[1])
        try:
            packed = socket.inet_aton(found[1])
        except OSError:
            continue
        fits = [
            route
            for route in ways
            if bytes(a & m for a, m in zip(packed, route.mask)) == route.destination and any(route.mask)
        ]
        if fits:
            best = max(fits, key=lambda route: route.mask)
            yield Address(best.interface, packed, bin(int.from_bytes(best.mask, "big")).count("1"))


def _from_inet6(root: str) -> Iterator[Address]:
    for line in read_text(f"{root}/proc/net/if_inet6").splitlines():
        words = line.split()
        try:
            packed, prefix, flags = bytes.fromhex(words[0]), int(words[2], 16), int(words[4], 16)
        except (ValueError, IndexError):
            continue
        if len(packed) == 16 and prefix <= 128 and not flags & (_TEMPORARY | _TENTATIVE) and len(words) > 5:
            yield Address(words[5], packed, prefix)
