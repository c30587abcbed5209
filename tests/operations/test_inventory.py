"""A computer says what it is: what is kept, what stays, and by what it is recognised when its DEVICEID changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from appliance.domain.messages import Section
from appliance.domain.search import FIELDS, FieldKind
from appliance.operations.computers import delete_computer, show_computer
from appliance.operations.configure import set_setting
from tests.fakes.appliance import device, inventory
from tests.operations.kit import Scene, play

A, B, C = device("alpha"), device("alpha", 1), device("alpha", 2)

HARDWARE = {
    "NAME": "alpha", "WORKGROUP": "LAN", "USERDOMAIN": "DOM", "OSNAME": "Debian GNU/Linux 12", "OSVERSION": "12.5",
    "OSCOMMENTS": "#1 SMP", "USERID": "ana", "DESCRIPTION": "x86_64", "IPADDR": "192.0.2.4", "UUID": "uuid-1",
    "ARCH": "x86_64", "PROCESSORT": "Xeon", "PROCESSORN": "8", "PROCESSORS": "2400", "MEMORY": "16000", "SWAP": "2048",
}  # fmt: skip
BIOS = {"SMANUFACTURER": "Acme", "SMODEL": "Anvil 3", "SSN": "SN-4711", "BVERSION": "1.07"}
NETWORK = {"MACADDR": "AA:BB:CC:00:00:01", "IPADDRESS": "192.0.2.4", "IPSUBNET": "192.0.2.0"}


def rows_of(*softwares: tuple[str, str]) -> list[Section]:
    return [("SOFTWARES", {"NAME": name, "VERSION": version, "PUBLISHER": "Acme"}) for name, version in softwares]


def machine(**changes: str) -> list[Section]:
    """HARDWARE, BIOS and NETWORKS; `SSN="…"` changes a field, None takes it away."""
    sections: list[Section] = [("HARDWARE", dict(HARDWARE)), ("BIOS", dict(BIOS)), ("NETWORKS", dict(NETWORK))]
    for _, fields in sections:
        fields.update({name: value for name, value in changes.items() if name in fields})
    return sections


async def names(scene: Scene) -> list[tuple[str, str]]:
    return await scene.rows("SELECT device_id, name FROM computer ORDER BY id")  # type: ignore[return-value]


# What is kept


def test_every_searchable_field_is_a_column(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await scene.inventory(A, *machine(), *rows_of(("vim", "9")), account=[("TAG", "SALES")], agent="me/1")
        facts = (await show_computer(scene.desk, "alpha")).computer
        told = {**HARDWARE, **BIOS}
        for field, kind in FIELDS.items():
            if field in told and field != "NAME":
                expected: Any = int(told[field]) if kind is FieldKind.NUMBER else told[field]
                assert facts.facts[field] == expected, field
        assert (facts.name, facts.tag, facts.user_agent, facts.address) == ("alpha", "SALES", "me/1", "192.0.2.7")
        assert set(facts.facts) >= {f for f, k in FIELDS.items() if k is FieldKind.NUMBER}
        assert await scene.rows("SELECT macaddr, ipaddress, ipsubnet FROM network") == [
            ("aa:bb:cc:00:00:01", "192.0.2.4", "192.0.2.0")
        ]

    play(tmp_path, script)


def test_the_whole_message_is_kept_packed(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        sections = [*machine(), ("BATTERIES", {"NAME": "BAT0"}), ("WHATEVER", {"NEW": "é <&> 💡"})]
        await scene.inventory(A, *sections, *rows_of(*((f"package {n}", "1.0") for n in range(300))))
        facts = await show_computer(scene.desk, A)
        assert facts.inventory is not None
        assert facts.inventory.first("WHATEVER") == {"NEW": "é <&> 💡"}
        assert len(facts.inventory.rows("SOFTWARES")) == 300
        ((size, packed),) = await scene.rows("SELECT size, length(xml) FROM inventory")
        assert size == len(inventory(A, *sections, *rows_of(*((f"package {n}", "1.0") for n in range(300)))))
        assert packed < size / 8

    play(tmp_path, script)


def test_softwares_are_compared_and_only_differences_change(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await scene.inventory(A, *machine(), *rows_of(("vim", "9.0"), ("bash", "5.2"), ("bash", "5.2")))
        await scene.inventory(device("other"), ("HARDWARE", {"NAME": "other"}), *rows_of(("bash", "5.2")))
        await scene.inventory(A, *machine(), *rows_of(("vim", "9.1"), ("bash", "5.2")))
        sql = (
            "SELECT c.name, s.name, s.version FROM installed JOIN software s ON s.id = software_id "
            "JOIN computer c ON c.id = computer_id ORDER BY 1, 2, 3"
        )
        assert await scene.rows(sql) == [("alpha", "bash", "5.2"), ("alpha", "vim", "9.1"), ("other", "bash", "5.2")]
        await scene.inventory(A, *machine())
        assert len(await scene.rows(sql)) == 3, "a message without the section says nothing about it"
        await scene.inventory(A, *machine(), ("SOFTWARES", {}))
        assert await scene.rows(sql) == [("other", "bash", "5.2")]

    play(tmp_path, script)


def test_a_partial_inventory_keeps_the_sections_that_it_leaves_out(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await scene.inventory(A, *machine(), ("DRIVES", {"TYPE": "/"}), ("DRIVES", {"TYPE": "/home"}))
        for _ in range(2):
            await scene.inventory(A, ("BIOS", {**BIOS, "BVERSION": "1.08"}))
        for _ in range(2):
            await scene.inventory(A, ("DRIVES", {"TYPE": "/srv"}))
        facts = await show_computer(scene.desk, A)
        assert facts.inventory is not None
        assert facts.inventory.first("HARDWARE") == HARDWARE
        assert facts.inventory.rows("DRIVES") == [{"TYPE": "/srv"}]
        assert facts.inventory.first("BIOS")["BVERSION"] == "1.08"
        assert (facts.computer.facts["BVERSION"], facts.computer.facts["MEMORY"]) == ("1.08", 16000)
        assert set(facts.computer.sections) == {"BIOS", "DRIVES", "HARDWARE", "NETWORKS"}

    play(tmp_path, script)


def test_a_field_that_its_section_no_longer_has_is_no_longer_found(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await scene.inventory(A, *machine())
        await scene.inventory(A, ("HARDWARE", {"NAME": "alpha", "MEMORY": "lots"}))
        facts = (await show_computer(scene.desk, A)).computer.facts
        assert (facts["WORKGROUP"], facts["MEMORY"], facts["SSN"]) == ("", None, "SN-4711")

    play(tmp_path, script)


@pytest.mark.parametrize("value", ["", "-1", "4 GB", "9" * 400, "٣", "1e3", "0x10"])
def test_a_number_that_is_none_does_no_harm(tmp_path: Path, value: str) -> None:
    async def script(scene: Scene) -> None:
        await scene.inventory(A, ("HARDWARE", {"NAME": "alpha", "MEMORY": value}))
        memory = (await show_computer(scene.desk, A)).computer.facts["MEMORY"]
        assert memory is None or memory == 2**62

    play(tmp_path, script)


def test_texts_of_any_length_and_kind_go_in_and_out(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        nasty = "'; DROP TABLE computer;-- \"<&>\u202e💣"
        told: list[Section] = [("HARDWARE", {"NAME": nasty, "USERID": nasty, "OSCOMMENTS": "x" * 50_000})]
        told += [("SOFTWARES", {"NAME": nasty * 20, "VERSION": "v" * 1000})]
        await scene.inventory(A, *told)
        facts = (await show_computer(scene.desk, A)).computer
        assert (facts.name, facts.facts["USERID"]) == (nasty, nasty)
        assert len(str(facts.facts["OSCOMMENTS"])) == 1024
        assert (await show_computer(scene.desk, nasty)).computer.device_id == A

    play(tmp_path, script)


def test_a_history_is_replaced_by_each_inventory(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        sql = "SELECT package_id FROM history ORDER BY 1"
        await scene.inventory(A, *machine(), history=["1700000001", "1700000002", "1700000001"])
        assert await scene.rows(sql) == [("1700000001",), ("1700000002",)]
        await scene.inventory(A, *machine(), history=["1700000003"])
        assert await scene.rows(sql) == [("1700000003",)]
        await scene.inventory(A, *machine())
        assert await scene.rows(sql) == []

    play(tmp_path, script)


def test_a_deleted_computer_comes_back_as_a_new_one(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await scene.inventory(A, *machine(), *rows_of(("vim", "9")))
        package = await scene.package()
        await scene.affect(package)
        assert (await delete_computer(scene.desk, "alpha")).device_id == A
        assert await names(scene) == []
        assert (await scene.contact(A)).packs == ()
        await scene.inventory(A, *machine())
        assert (await scene.contact(A)).packs == ()
        assert await scene.rows("SELECT count(*) FROM inventory") == [(1,)]

    play(tmp_path, script)


# Who it is


async def with_a_past(scene: Scene) -> str:
    """A known computer with a package under way, an override and a TAG: the package."""
    await scene.inventory(A, *machine(), account=[("TAG", "SALES")])
    package = await scene.package()
    await scene.affect(package)
    await scene.contact(A)
    await set_setting(scene.desk, "PROLOG_FREQ", "5", "alpha")
    return package


async def assert_the_same(scene: Scene, package: str, now: Any) -> None:
    assert await names(scene) == [(now, "alpha")]
    assert await scene.stage(package, now) == ("NOTIFIED", "")
    facts = await show_computer(scene.desk, now)
    assert (facts.computer.tag, facts.overrides) == ("SALES", {"PROLOG_FREQ": 5})
    assert [event.kind for event in facts.events] == ["announced", "affected"]


@pytest.mark.parametrize("place", ["in CONTENT", "in HISTORY"])
def test_an_old_deviceid_is_found_in_both_places(tmp_path: Path, place: str) -> None:
    async def script(scene: Scene) -> None:
        package = await with_a_past(scene)
        xml = inventory(B, ("HARDWARE", {"NAME": "alpha"}), old=A)
        if place == "in HISTORY":
            element = f"<OLD_DEVICEID>{A}</OLD_DEVICEID>".encode()
            xml = xml.replace(element, b"").replace(b"<HISTORY />", b"<HISTORY>" + element + b"</HISTORY>")
            assert xml.count(b"OLD_DEVICEID") == 2
        from tests.fakes.appliance import tell

        await tell(scene.desk, xml)
        await assert_the_same(scene, package, B)

    play(tmp_path, script)


def test_an_old_deviceid_of_a_computer_that_is_known_twice_makes_one_of_two(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        package = await with_a_past(scene)
        await set_setting(scene.desk, "AUTO_DUPLICATE_LVL", "0")
        await scene.inventory(B, *machine())
        other = await scene.package("other")
        await scene.affect(other)
        await scene.inventory(B, *machine(), old=A)
        assert await names(scene) == [(B, "alpha")]
        assert (await scene.stage(package, B))[0] == "NOTIFIED"
        assert (await scene.stage(other, B))[0] == "WAITING NOTIFICATION"

    play(tmp_path, script)


def test_an_old_deviceid_that_nobody_knows_is_no_news(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await scene.inventory(A, *machine())
        await set_setting(scene.desk, "AUTO_DUPLICATE_LVL", "0")
        await scene.inventory(B, *machine(), old=C)
        assert [name for name, _ in await names(scene)] == [A, B]

    play(tmp_path, script)


DUPLICATES = [
    # level, what differs in the second inventory -> the same computer?
    ("7", {}, True),
    ("7", {"NAME": "beta"}, False),
    ("7", {"SSN": "SN-0815"}, False),
    ("7", {"MACADDR": "AA:BB:CC:00:00:02"}, False),
    ("7", {"SMODEL": "Hammer", "UUID": "uuid-2"}, True),
    ("0", {}, False),
    ("1", {"SSN": "SN-0815", "MACADDR": "aa:bb:cc:00:00:09"}, True),
    ("2", {"NAME": "beta", "MACADDR": "aa:bb:cc:00:00:09"}, True),
    ("4", {"NAME": "beta", "SSN": "SN-0815"}, True),
    ("4", {"MACADDR": "AA:bb:CC:00:00:01", "NAME": "beta"}, True),
    ("8", {"NAME": "beta", "SSN": "x", "MACADDR": "aa:bb:cc:00:00:09"}, True),
    ("16", {"NAME": "beta", "SSN": "x", "MACADDR": "aa:bb:cc:00:00:09"}, True),
    ("16", {"UUID": "uuid-2"}, False),
    ("31", {}, True),
    ("31", {"SMODEL": "Hammer"}, False),
]
# what thousands of computers have in common agrees with nobody
NOBODY = [
    ("2", {"SSN": ""}),
    ("2", {"SSN": "To Be Filled By O.E.M."}),
    ("2", {"SSN": "0123456789"}),
    ("2", {"SSN": "None"}),
    ("2", {"SSN": "Default string"}),
    ("2", {"SSN": "System Serial Number"}),
    ("2", {"SSN": "0"}),
    ("3", {"SSN": "N/A"}),
    ("4", {"MACADDR": ""}),
    ("4", {"MACADDR": "00:00:00:00:00:00"}),
    ("4", {"MACADDR": "FF:FF:FF:FF:FF:FF"}),
    ("5", {"MACADDR": "50:50:54:50:30:30"}),
    ("16", {"UUID": ""}),
    ("8", {"SMODEL": ""}),
]


@pytest.mark.parametrize(("level", "changes", "same"), DUPLICATES)
def test_what_must_agree_for_a_new_deviceid_to_be_a_known_computer(
    tmp_path: Path, level: str, changes: dict[str, str], same: bool
) -> None:
    async def script(scene: Scene) -> None:
        package = await with_a_past(scene)
        await set_setting(scene.desk, "AUTO_DUPLICATE_LVL", level)
        await scene.inventory(B, *machine(**changes))
        assert [name for name, _ in await names(scene)] == ([B] if same else [A, B])
        assert (await scene.stage(package, B))[0] == ("NOTIFIED" if same else "")

    play(tmp_path, script)


@pytest.mark.parametrize(("level", "changes"), NOBODY)
def test_what_vendors_write_where_nothing_is_known_agrees_with_nobody(
    tmp_path: Path, level: str, changes: dict[str, str]
) -> None:
    async def script(scene: Scene) -> None:
        await set_setting(scene.desk, "AUTO_DUPLICATE_LVL", level)
        await scene.inventory(A, *machine(**changes))
        await scene.inventory(B, *machine(**changes))
        assert [name for name, _ in await names(scene)] == [A, B]

    play(tmp_path, script)


def test_of_several_twins_one_is_left_with_all_that_was_affected(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await set_setting(scene.desk, "AUTO_DUPLICATE_LVL", "0")
        await scene.inventory(A, *machine(), account=[("TAG", "OLD")])
        first = await scene.package("first")
        await scene.affect(first)
        scene.clock.moment += 60
        await scene.inventory(B, *machine(), account=[("TAG", "NEW")])
        second = await scene.package("second")
        await scene.affect(second)
        await set_setting(scene.desk, "AUTO_DUPLICATE_LVL", "7")
        await scene.inventory(C, *machine())
        assert await names(scene) == [(C, "alpha")]
        assert {(await scene.stage(p, C))[0] for p in (first, second)} == {"WAITING NOTIFICATION"}
        assert (await show_computer(scene.desk, C)).computer.tag == "NEW", "the one seen last"

    play(tmp_path, script)


# TAG and account


async def tag(scene: Scene) -> str:
    return (await show_computer(scene.desk, A)).computer.tag


def test_the_tag_comes_from_the_first_inventory_and_stays(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        assert (await scene.inventory(A, account=[("TAG", "SALES")])).account is None
        reply = await scene.inventory(A, account=[("TAG", "ACCT")])
        assert reply.account == (("TAG", "SALES"),)
        assert await tag(scene) == "SALES"
        assert (await scene.inventory(A, account=[("TAG", "SALES")])).account is None

    play(tmp_path, script)


def test_a_computer_may_change_its_tag_where_that_is_allowed(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await scene.inventory(A, account=[("TAG", "SALES")])
        await set_setting(scene.desk, "ACCEPT_TAG_UPDATE_FROM_CLIENT", "1")
        assert (await scene.inventory(A, account=[("TAG", "ACCT")])).account is None
        assert await tag(scene) == "ACCT"
        await scene.inventory(A, account=[("TAG", "")])
        assert await tag(scene) == "ACCT"

    play(tmp_path, script)


def test_a_computer_without_a_tag_is_told_the_one_that_it_has_here(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        assert (await scene.inventory(A)).account is None, "the genuine server answers a first inventory so"
        assert await tag(scene) == "NA"
        assert (await scene.inventory(A)).account == (("TAG", "NA"),)
        assert (await scene.inventory(A, account=[("TAG", "NA")])).account is None
        reply = await scene.inventory(A, account=[("TAG", "NA"), ("fields_3", "x")])
        assert reply.account == (("TAG", "NA"),), "another number of fields differs too"

    play(tmp_path, script)
