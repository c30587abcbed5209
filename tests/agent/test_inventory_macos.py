"""The inventory of macOS, from answers as system_profiler and sysctl give them. Not yet run on a real one."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from appliance.agent.inventory import macos
from appliance.agent.inventory.reading import pairs
from appliance.agent.inventory.rows import tidy

DATA = Path(__file__).parent / "data"


def profile() -> dict[str, list[dict[str, Any]]]:
    return macos.parse((DATA / "macos_profile.json").read_bytes())


def rows(name: str, known: dict[str, list[dict[str, Any]]] | None = None) -> list[dict[str, str]]:
    kernel = pairs((DATA / "macos_sysctl.txt").read_text(), ":")
    found = tidy(macos.sections(profile() if known is None else known, kernel))
    return [fields for section, fields in found if section == name]


def test_the_hardware_row_says_what_the_computer_is_and_where_it_stands() -> None:
    assert rows("HARDWARE") == [
        {
            "NAME": "mac-design-004",
            "WORKGROUP": "corp.example.net",
            "OSNAME": "macOS 14.5",
            "OSVERSION": "14.5",
            "OSCOMMENTS": "Darwin 23.5.0 (23F79)",
            "USERID": "jdoe",
            "ARCH": "arm64",
            "PROCESSORT": "Apple M2",
            "PROCESSORN": "1",
            "MEMORY": "16384",
            "IPADDR": "198.51.100.77",
            "DEFAULTGATEWAY": "198.51.100.1",
            "DNS": "198.51.100.53",
            "UUID": "2F1E6C3A-5B7D-5C1E-9A63-0C2F6D7E8A91",
            "VMSYSTEM": "Physical",
        }
    ]


def test_the_parts_have_their_rows() -> None:
    assert rows("BIOS")[0]["SSN"] == "H2XK9QL2XW"
    assert rows("CPUS")[0]["CORES"] == "8"
    assert rows("MEMORIES") == [
        {
            "NUMSLOTS": "1",
            "CAPTION": "Unified memory",
            "DESCRIPTION": "Hynix",
            "CAPACITY": "16384",
            "TYPE": "LPDDR5",
        }
    ]
    assert rows("VIDEOS") == [{"NAME": "Apple M2", "CHIPSET": "Apple M2", "RESOLUTION": "2560 x 1664"}]
    assert rows("SOUNDS")[0]["NAME"] == "MacBook Air Speakers"
    assert [row["DESCRIPTION"] for row in rows("USBDEVICES")] == ["2109:0817", "046d:c52b"]


def test_memory_modules_of_an_intel_mac_are_listed_by_slot() -> None:
    known = profile()
    module = {"_name": "BANK 0/DIMM0", "dimm_size": "8 GB", "dimm_speed": "2667 MHz", "dimm_type": "DDR4"}
    empty = {"_name": "BANK 1/DIMM0", "dimm_size": "empty", "dimm_type": "empty"}
    known["SPMemoryDataType"] = [{"_name": "global_name", "_items": [module, empty]}]
    assert [(row["CAPTION"], row["CAPACITY"], row["TYPE"]) for row in rows("MEMORIES", known)] == [
        ("BANK 0/DIMM0", "8192", "DDR4"),
        ("BANK 1/DIMM0", "0", "Empty slot"),
    ]


def test_a_mounted_disk_image_is_neither_a_drive_nor_a_disk() -> None:
    assert [(row["TYPE"], row["TOTAL"], row["FREE"]) for row in rows("DRIVES")] == [
        ("/", "471482", "297876"),
        ("/System/Volumes/Data", "471482", "297876"),
    ]
    assert [row["NAME"] for row in rows("STORAGES")] == ["APPLE SSD AP0512Z"]


def test_each_address_has_its_row_and_an_idle_interface_one_without() -> None:
    wifi, bridge = rows("NETWORKS")
    assert wifi == {
        "DESCRIPTION": "en0",
        "TYPE": "wifi",
        "MACADDR": "00:00:5e:00:53:21",
        "STATUS": "Up",
        "IPADDRESS": "198.51.100.77",
        "IPMASK": "255.255.255.0",
        "IPSUBNET": "198.51.100.0",
        "IPGATEWAY": "198.51.100.1",
        "IPDHCP": "198.51.100.2",
    }
    assert (bridge["DESCRIPTION"], bridge["STATUS"]) == ("bridge0", "Down")


def test_applications_are_softwares_with_the_name_of_who_signed_them() -> None:
    assert [(row["NAME"], row["VERSION"], row["PUBLISHER"], row["INSTALLDATE"]) for row in rows("SOFTWARES")] == [
        ("Firefox", "126.0.1", "Mozilla Corporation", "2024/06/01"),
        ("Safari", "17.5", "Apple", "2024/05/13"),
    ]


@pytest.mark.parametrize("said", [b"", b"{", b"[1]", b'{"SPHardwareDataType": "x"}', b"\x00\xff"])
def test_an_answer_that_is_no_profile_is_an_empty_one(said: bytes) -> None:
    assert macos.parse(said) == {}


def test_values_of_another_type_never_cost_the_inventory() -> None:
    def broken(value: Any) -> Any:
        if isinstance(value, dict):
            return dict.fromkeys(value, 7)
        return value

    for name in profile():
        known = copy.deepcopy(profile())
        known[name] = [broken(item) for item in known[name]]
        assert rows("HARDWARE", known) or name in ("SPSoftwareDataType", "SPHardwareDataType")
