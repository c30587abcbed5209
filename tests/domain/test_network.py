"""Networks as they are typed, and which addresses lie in them."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.domain.network import MOST, everywhere, lies_in, parse_networks, written
from appliance.domain.refusal import Kind, Refusal


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("", ""),
        (" , ,\n", ""),
        ("192.0.2.0/24", "192.0.2.0/24"),
        ("192.0.2.7", "192.0.2.7/32"),
        ("10.0.0.0/8,192.0.2.0/24  2001:DB8::/32", "10.0.0.0/8, 192.0.2.0/24, 2001:db8::/32"),
        ("192.0.2.0/24, 192.0.2.0/24", "192.0.2.0/24"),
        ("::1\t0.0.0.0/0;".replace(";", ","), "::1/128, 0.0.0.0/0"),
    ],
)
def test_networks_are_read_and_written_alike(typed: str, kept: str) -> None:
    assert written(parse_networks(typed, "x")) == kept
    assert written(parse_networks(kept, "x")) == kept


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("office", "'office' is no network; write it as 192.0.2.0/24"),
        ("192.0.2.0/33", "no network"),
        ("192.0.2/24", "no network"),
        ("192.0.2.0/", "no network"),
        ("192.0.2.0/-1", "no network"),
        ("192.0.2.0/255.255.255.0", "no network"),
        ("192.0.2.0/0.0.0.255", "no network"),
        ("192.0.2.0-192.0.2.9", "no network"),
        ("192.0.2.*", "no network"),
        ("192.0.02.1", "no network"),
        ("1", "no network"),
        ("fe80::1%eth0", "no network"),
        ("2001:db8::/129", "no network"),
        ("١٩٢.0.2.0/24", "no network"),
        ("http://192.0.2.7", "no network"),
        ("192.0.2.7/24", "is an address in a network; write 192.0.2.0/24, or the address alone"),
        ("2001:db8::1/32", "write 2001:db8::/32"),
        ("::ffff:192.0.2.0/120", "is IPv4 in IPv6"),
        (" ".join(["192.0.2.7"] * (MOST + 1)), f"{MOST + 1} networks; {MOST} are the most"),
        ("192.0.2.0/24, x", "'x' is no network"),
    ],
)
def test_what_is_no_network_is_refused_with_a_way_out(typed: str, said: str) -> None:
    with pytest.raises(Refusal) as caught:
        parse_networks(typed, "IDENTITY_NETWORKS")
    assert (caught.value.kind, caught.value.field) == (Kind.INVALID, "IDENTITY_NETWORKS")
    assert said in str(caught.value)


@given(st.text())
def test_any_text_is_networks_or_is_refused(typed: str) -> None:
    try:
        found = parse_networks(typed, "x")
    except Refusal:
        return
    assert parse_networks(written(found), "x") == found


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("192.0.2.1", True),
        ("192.0.3.1", False),
        ("::ffff:192.0.2.1", True),  # a listener for IPv4 and IPv6 says so
        ("::ffff:192.0.3.1", False),
        ("2001:db8:1::9", True),
        ("2001:db9::9", False),
        ("fe80::1%eth0", True),
        ("fe80::2", False),
        ("", False),
        ("192.0.2.1, 10.0.0.1", False),
        ("unix:", False),
    ],
)
def test_an_address_lies_in_a_network_or_not(address: str, inside: bool) -> None:
    assert lies_in(address, parse_networks("192.0.2.0/24 2001:db8::/32 fe80::1", "x")) is inside
    assert not lies_in(address, ())


@given(st.ip_addresses())
def test_everywhere_is_where_every_address_of_a_kind_lies(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    assert lies_in(str(address), parse_networks("0.0.0.0/0 ::/0", "x"))


def test_networks_with_all_addresses_in_them_are_named() -> None:
    assert everywhere(parse_networks("10.0.0.0/8 0.0.0.0/0 ::/0", "x")) == ["0.0.0.0/0", "::/0"]
    assert everywhere(parse_networks("10.0.0.0/8 ::/1", "x")) == []
