"""Locations as people type them, and the names below them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.domain.package import PackageId
from appliance.domain.refusal import Kind, Refusal
from appliance.wire import paths
from appliance.wire.paths import Location, fragment_number, parse_location

ID = PackageId("1795206923")


@pytest.mark.parametrize(
    ("text", "location", "written"),
    [
        ("ocs.example.org", Location("ocs.example.org", None, ""), "ocs.example.org"),
        ("ocs.example.org/", Location("ocs.example.org", None, ""), "ocs.example.org"),
        ("ocs:4343/download", Location("ocs", 4343, "/download"), "ocs:4343/download"),
        (" https://ocs:4343/download/ ", Location("ocs", 4343, "/download"), "ocs:4343/download"),
        ("HTTP://10.0.0.1/a/b_c~d/e.f", Location("10.0.0.1", None, "/a/b_c~d/e.f"), "10.0.0.1/a/b_c~d/e.f"),
        ("[2001:db8::1]:8080/x", Location("2001:db8::1", 8080, "/x"), "[2001:db8::1]:8080/x"),
        ("[::1]", Location("::1", None, ""), "[::1]"),
        ("host:1", Location("host", 1, ""), "host:1"),
        ("host:65535", Location("host", 65535, ""), "host:65535"),
    ],
)
def test_a_location_is_read_as_people_type_it(text: str, location: Location, written: str) -> None:
    assert parse_location(text, "info-url") == location
    assert str(location) == written
    assert parse_location(written, "info-url") == location


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "/download",
        ":4343",
        "host:0",
        "host:65536",
        "host:port",
        "host:80:80",
        "ftp://host",
        "https://https://host",
        "user@host",
        "user:pass@host/x",
        "host/../etc",
        "host/./x",
        "host//x",
        "host/.hidden",
        "host/a b",
        "host/x?y",
        "host/x#y",
        "host/%2e%2e",
        "host\\x",
        "host\n",
        "host/x\nHeader: y",
        "-host",
        "host-",
        "hôte",
        "[::1",
        "::1",
        "[host]",
        "[12]",
        "[....]",
        "[1::2::3]",
        "[10.0.0.1]",
        "h" * 256,
        "host/" + "x" * 255,
        "host:٣",
    ],
)
def test_what_is_no_location_is_refused_and_names_its_field(text: str) -> None:
    if text == "host\n":
        assert parse_location(text, "info-url").host == "host"  # blanks at the ends are dropped
        return
    with pytest.raises(Refusal) as refused:
        parse_location(text, "info-url")
    assert (refused.value.kind, refused.value.field) == (Kind.INVALID, "info-url")
    assert str(refused.value).isprintable()


@given(st.text(max_size=40) | st.from_regex(r"[a-z.\[\]:0-9/_-]{1,30}", fullmatch=True))
def test_any_text_is_refused_or_a_location_that_reads_back(text: str) -> None:
    try:
        location = parse_location(text, "info-url")
    except Refusal:
        return
    assert parse_location(str(location), "info-url") == location
    assert not set(str(location)) & set(" \t\r\n@?#%\\\"'<>&")
    assert not {".", ".."} & set(location.folder.split("/"))


def test_addresses_are_built_as_genuine_agents_build_them() -> None:
    assert paths.info_url("h:4343/download", ID) == "https://h:4343/download/1795206923/info"
    assert paths.info_url("h:4343/download/", ID) == "https://h:4343/download/1795206923/info"
    assert paths.manifest_url("h/d", ID) == "https://h/d/1795206923/manifest"
    assert paths.fragment_url("http", "h:8080/d", ID, 12) == "http://h:8080/d/1795206923/1795206923-12"


@pytest.mark.parametrize("number", [1, 9, 10, 50_000, 999_999])
def test_a_fragment_name_reads_back(number: int) -> None:
    assert fragment_number(ID, paths.fragment_name(ID, number)) == number


@pytest.mark.parametrize(
    "name",
    [
        *("", "info", ID, f"{ID}-", f"{ID}-0", f"{ID}-01", f"{ID}--1", f"{ID}-1.tmp", f"{ID}-1\n", f" {ID}-1"),
        *(f"{ID}-1000000", f"{ID}-٣", f"{ID}-1/..", f"../{ID}-1", "1795206924-1", f"{ID}x-1"),
    ],
)
def test_what_is_no_fragment_of_the_package_has_no_number(name: str) -> None:
    assert fragment_number(ID, name) is None


def test_a_package_id_is_no_pattern() -> None:
    assert fragment_number("1.3", "123-1") is None
    assert fragment_number(".*", "x-1") is None
