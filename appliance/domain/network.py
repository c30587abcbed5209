"""Networks that somebody named, and whether an address lies in one of them."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import Union

from appliance.domain.refusal import invalid

Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]
Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]

MOST = 200
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")  # how a listener for both kinds sees IPv4
_FORM = re.compile(r"^[0-9A-Fa-f:.]{2,45}(?:/[0-9]{1,3})?$")


def parse_networks(text: str, field: str) -> tuple[Network, ...]:
    """The networks in a text, commas or blanks between them; an address is a network of one. Raises Refusal."""
    words = re.split(r"[\s,]+", text.strip(" \t\r\n,"))
    if len(words) > MOST:
        raise invalid(field, "these are {count} networks; {most} are the most.", count=len(words), most=MOST)
    return tuple(dict.fromkeys(_network(word, field) for word in words if word))


def written(networks: tuple[Network, ...]) -> str:
    """The text that they are kept as."""
    return ", ".join(map(str, networks))


@lru_cache(maxsize=4)  # each post in mode closed asks
def kept_networks(text: str) -> tuple[Network, ...]:
    """The networks of a text that `written` made."""
    return parse_networks(text, "")


def address_of(text: str) -> Address | None:
    """An address as a connection has it: without its zone, IPv4 as such; None where it is none."""
    try:
        found = ipaddress.ip_address(text.split("%")[0])
    except ValueError:
        return None
    return found.ipv4_mapped or found if isinstance(found, ipaddress.IPv6Address) else found


def lies_in(address: str, networks: tuple[Network, ...]) -> bool:
    """Whether an address is in one of the networks."""
    found = address_of(address)
    return found is not None and any(found in network for network in networks)


def everywhere(networks: tuple[Network, ...]) -> list[str]:
    """Those that have all addresses of their kind in them."""
    return [str(network) for network in networks if network.prefixlen == 0]


def _network(word: str, field: str) -> Network:
    try:
        if not _FORM.match(word):
            raise ValueError
        found = ipaddress.ip_interface(word)
    except ValueError:
        raise invalid(
            field, "{text!r} is no network; write it as 192.0.2.0/24 or 2001:db8::/32.", text=word[:60]
        ) from None
    network = found.network
    if network.version == 6 and network.subnet_of(_MAPPED):
        raise invalid(field, "{text!r} is IPv4 in IPv6; write it as 192.0.2.0/24.", text=word[:60])
    if found.ip != network.network_address:
        raise invalid(
            field, "{text!r} is an address in a network; write {network}, or the address alone.",
            text=word, network=network,
        )  # fmt: skip
    return network
