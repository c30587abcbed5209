"""The inventory of Windows, from answers as CIM and the registry give them. Not yet run on a real one."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from appliance.agent.inventory import windows, windows_sources
from appliance.agent.inventory.rows import tidy

DATA = Path(__file__).parent / "data"


def recorded() -> dict[str, list[dict[str, Any]]]:
    return windows_sources.parse((DATA / "windows_cim.json").read_bytes())


def rows(name: str) -> list[dict[str, str]]:
    return [fields for section, fields in tidy(windows.sections(recorded())) if section == name]


def test_the_hardware_row_holds_what_the_genuine_windows_agent_sends() -> None:
    assert rows("HARDWARE") == [
        {
            "NAME": "PC-ACCT-017",
            "WORKGROUP": "corp.example.net",
            "USERDOMAIN": "CORP",
            "USERID": "jdoe",
            "LASTLOGGEDUSER": "jdoe",
            "OSNAME": "Microsoft Windows 11 Pro",
            "OSVERSION": "10.0.22631",
            "DESCRIPTION": "Accounting, 2nd floor",
            "WINOWNER": "jdoe@example.net",
            "WINCOMPANY": "Example Ltd",
            "WINPRODID": "00330-80000-00000-AA123",
            "INSTALLDATE": "2023/07/10",
            "ARCH": "x86_64",
            "PROCESSORT": "11th Gen Intel(R) Core(TM) i5-11500 @ 2.70GHz",
            "PROCESSORS": "2712",
            "PROCESSORN": "1",
            "MEMORY": "16252",
            "SWAP": "2432",
            "IPADDR": "198.51.100.23",
            "DEFAULTGATEWAY": "198.51.100.1",
            "DNS": "198.51.100.53/198.51.100.54",
            "UUID": "4C4C4544-0042-3510-8052-B4C04F564433",
            "VMSYSTEM": "Physical",
        }
    ]


def test_the_other_single_values_come_from_their_own_classes() -> None:
    assert rows("BIOS") == [
        {
            "SMANUFACTURER": "Dell Inc.",
            "SMODEL": "OptiPlex 7090",
            "SSN": "B5R0VD3",
            "MMANUFACTURER": "Dell Inc.",
            "MMODEL": "0KF3WM",
            "MSN": "/B5R0VD3/CNFCW0013A00C4/",
            "BMANUFACTURER": "Dell Inc.",
            "BVERSION": "1.14.1",
            "BDATE": "2023/01/06",
            "TYPE": "Desktop",
            "ASSETTAG": "ACCT-017",
        }
    ]
    assert [(row["TYPE"], row["CORES"], row["LOGICAL_CPUS"]) for row in rows("CPUS")] == [
        ("11th Gen Intel(R) Core(TM) i5-11500 @ 2.70GHz", "6", "12")
    ]
    assert [(row["CAPTION"], row["CAPACITY"], row["TYPE"], row["DESCRIPTION"]) for row in rows("MEMORIES")] == [
        ("DIMM1", "8192", "DDR4", "DIMM"),
        ("DIMM2", "8192", "DDR4", "DIMM"),
    ]
    assert rows("VIDEOS")[0]["RESOLUTION"] == "1920 x 1080"
    assert rows("STORAGES")[0]["DISKSIZE"] == "488382"
    assert rows("STORAGES")[0]["SERIALNUMBER"] == "8CE3_8E04_00F6_D8A1"


def test_drives_are_in_mib_and_an_empty_optical_drive_has_no_space() -> None:
    hard, optical = rows("DRIVES")
    assert (hard["LETTER"], hard["TYPE"], hard["TOTAL"], hard["FREE"]) == (
        "C:/",
        "Hard Drive",
        "487108",
        "384000",
    )
    assert optical == {"LETTER": "D:/", "TYPE": "CD-Rom Drive"}


def test_each_address_has_its_row_and_adapters_without_one_are_down() -> None:
    found = rows("NETWORKS")
    assert [(row["MACADDR"], row.get("IPADDRESS"), row["STATUS"]) for row in found] == [
        ("00:00:5E:00:53:17", "198.51.100.23", "Up"),
        ("00:00:5E:00:53:17", "fe80::1c2b:3d4e:5f60:7182", "Up"),
        ("00:00:5E:00:53:18", None, "Down"),
    ]
    assert found[0]["IPSUBNET"] == "198.51.100.0"
    assert found[0]["IPDHCP"] == "198.51.100.2"
    assert found[0]["SPEED"] == "1000 Mbps"
    assert "SPEED" not in found[2]


def test_a_usb_device_is_listed_once_and_invented_serial_numbers_are_not_sent() -> None:
    assert [(row["DESCRIPTION"], row.get("SERIAL")) for row in rows("USBDEVICES")] == [
        ("046d:c31c", None),
        ("0781:5581", "4C530001230815106373"),
    ]


def test_updates_and_hidden_components_are_not_softwares() -> None:
    entries = json.loads((DATA / "windows_uninstall.json").read_text())
    found = [fields for _, fields in tidy(("SOFTWARES", row) for row in windows.installed(entries))]
    assert [row["NAME"] for row in found] == [
        "7-Zip 23.01 (x64)",
        "Adobe Acrobat (64-bit)",
        "Notepad++ (32-bit x86)",
    ]
    assert found[1]["INSTALLDATE"] == "2023/07/12"
    assert found[1]["FILESIZE"] == str(612345 * 1024)
    assert found[1]["GUID"] == "{AC76BA86-1033-FF00-7760-BC15014EA700}"
    assert "GUID" not in found[0]
    assert found[2]["BITSWIDTH"] == "32"


@pytest.mark.parametrize(
    "said",
    [b"", b"not json", b"[]", b"null", b'{"Win32_BIOS": 7}', b"\xff\xfe\x00", b"[" * 100_000],
    ids=["empty", "text", "list", "null", "number", "binary", "deep"],
)
def test_an_answer_that_is_no_inventory_gives_no_row(said: bytes) -> None:
    assert tidy(windows.sections(windows_sources.parse(said)))[1:] == []


def test_properties_of_another_type_cost_no_other_section() -> None:
    facts = recorded()
    facts["Win32_NetworkAdapterConfiguration"] = [{"Index": ["x"], "IPAddress": {"a": 1}}]
    facts["Win32_Processor"] = [{"Name": None, "Architecture": "nine"}]
    found = {name for name, _ in tidy(windows.sections(facts))}
    assert {"BIOS", "MEMORIES", "STORAGES", "DRIVES"} <= found


def test_the_question_to_powershell_asks_for_each_class_and_fits_a_command_line() -> None:
    script = windows_sources.script()
    for name in recorded():
        assert f"-ClassName {name} " in script
    assert len(base64.b64encode(script.encode("utf-16-le"))) < 30_000  # CreateProcess takes 32 767


def test_elsewhere_than_on_windows_it_gives_what_the_standard_library_knows(tmp_path: Path) -> None:
    found = dict(windows.collect(str(tmp_path), live=False, softwares=True))
    assert set(found) == {"HARDWARE", "DRIVES"}
