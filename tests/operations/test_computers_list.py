"""Lists of computers, a computer's details, changes and deletion: within the TAGs that the actor was granted."""

from __future__ import annotations

import json
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import pytest

from appliance.clock import iso
from appliance.domain.account import Actor, Role
from appliance.domain.messages import Inventory
from appliance.domain.refusal import Kind, Refusal
from appliance.domain.search import EVERY, all_of, any_of, parse
from appliance.operations import computers
from appliance.operations.computers import (
    COLUMNS,
    USUAL_COLUMNS,
    account_fields,
    change_computer,
    computer_page,
    delete_computer,
    delete_computers,
    export,
    list_computers,
    numbers_of,
    show_computer,
)
from appliance.operations.desk import Desk
from appliance.operations.identity import Caller
from appliance.operations.take_inventory import take_inventory
from appliance.wire import contact
from appliance.wire.markup import MarkupLimits
from tests.fakes.appliance import device, inventory
from tests.operations.kit import Scene, play

NAMES = ["alpha", "Beta", "delta", "gamma"]
TAGS = {"alpha": "SALES", "Beta": "ACCT", "delta": "SALES", "gamma": "ACCT"}


async def fill(scene: Scene) -> None:
    for place, name in enumerate(NAMES):
        await scene.inventory(
            device(name),
            ("HARDWARE", {"NAME": name, "OSNAME": "Windows 11" if place % 2 else "Debian", "MEMORY": str(place)}),
            ("STORAGES", {"MODEL": f"disk {place}"}),
            ("SOFTWARES", {"NAME": "firefox", "VERSION": str(100 + place)}),
            account=[("TAG", TAGS[name]), ("Floor", str(place))],
        )
        await change_computer(scene.desk, device(name), account={"Building": f"B{place}"})


def user_of(scene: Scene, *tags: str) -> Desk:
    return scene.desk.acting(Actor("ana", "console", Role.USER, 1, frozenset(tags)))


def names(found: Any) -> list[str]:
    return [row.computer.name for row in found.rows]


async def refused(work: Awaitable[Any]) -> Refusal:
    with pytest.raises(Refusal) as met:
        await work
    return met.value


def test_a_list_is_sorted_by_name_upper_and_lower_case_alike_and_cut_into_pages(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        empty = await computer_page(scene.desk)
        assert (empty.rows, empty.total, empty.page, empty.pages) == ((), 0, 1, 1)
        await fill(scene)
        whole = await computer_page(scene.desk)
        assert (names(whole), whole.total, whole.page, whole.pages) == (NAMES, 4, 1, 1)
        second = await computer_page(scene.desk, page=2, size=3)
        assert (names(second), second.total, second.page, second.pages) == (["gamma"], 4, 2, 2)
        beyond = await computer_page(scene.desk, page=99, size=3)
        assert beyond == second
        assert names(await computer_page(scene.desk, page=-5, size=0)) == ["alpha"]
        assert names(await computer_page(scene.desk, sort="MEMORY", descending=True)) == NAMES[::-1]
        assert names(await computer_page(scene.desk, quick="BET")) == ["Beta"]
        assert names(await computer_page(scene.desk, all_of([parse("STORAGES.MODEL = disk 2")]))) == ["delta"]

    play(tmp_path, script)


def test_only_what_is_a_column_can_be_sorted_by_or_shown(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await fill(scene)
        for sort in ("SOFTWARE", "name", "ACCOUNT.Building", "c.id; DROP TABLE computer", ""):
            assert (await refused(computer_page(scene.desk, sort=sort))).field == "sort"
        for column in ("SOFTWARE", "GROUP", "STORAGES.MODEL", "ACCOUNT.", "x"):
            assert (await refused(computer_page(scene.desk, columns=[column]))).field == "columns"

    play(tmp_path, script)


def test_every_column_has_its_cell_and_account_values_are_columns_too(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await fill(scene)
        keys = [key for key, _ in COLUMNS]
        assert set(USUAL_COLUMNS) < set(keys)
        (row, *_) = (await computer_page(scene.desk, columns=[*keys, "ACCOUNT.building"])).rows
        cells = {key: row.cell(key) for key in [*keys, "ACCOUNT.building", "ACCOUNT.nosuch"]}
        assert cells["NAME"] == "alpha"
        assert cells["DEVICEID"] == device("alpha")
        assert (cells["TAG"], cells["OSNAME"], cells["MEMORY"]) == ("SALES", "Debian", 0)
        assert cells["LASTCONTACT"] == cells["FIRSTSEEN"] == cells["LASTINVENTORY"] == scene.clock.now()
        assert (cells["ACCOUNT.building"], cells["ACCOUNT.nosuch"]) == ("B0", None)
        assert await account_fields(scene.desk) == ["Building"]

    play(tmp_path, script)


def test_an_export_has_every_computer_that_fits_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(computers, "EXPORTED_AT_ONCE", 2)

    async def script(scene: Scene) -> None:
        await fill(scene)
        columns = ("NAME", "MEMORY", "USERID", "LASTCONTACT", "ACCOUNT.Building")
        pieces = [rows async for rows in export(scene.desk, columns=columns, sort="NAME", descending=True)]
        assert [len(rows) for rows in pieces] == [2, 2]
        assert pieces[0][0] == {
            "NAME": "gamma",
            "MEMORY": 3,
            "USERID": "",
            "LASTCONTACT": iso(scene.clock.now()),
            "ACCOUNT.Building": "B3",
        }
        json.dumps(pieces)
        mine = [rows async for rows in export(user_of(scene, "SALES"), all_of([parse("NAME ~ a")]), quick="deb")]
        assert [row["NAME"] for rows in mine for row in rows] == ["alpha", "delta"]
        assert [rows async for rows in export(scene.desk, quick="nosuch")] == []
        for wrong in (export(scene.desk, columns=["x"]), export(scene.desk, sort="x")):
            assert (await refused(anext(wrong))).kind is Kind.INVALID

    play(tmp_path, script)


def test_a_user_sees_the_computers_of_the_tags_granted_and_no_others(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await fill(scene)
        user = user_of(scene, "SALES")
        either = any_of([parse("NAME = alpha"), parse("NAME = beta")])
        assert names(await computer_page(user)) == ["alpha", "delta"]
        assert (await computer_page(user, either)).total == 1
        assert (await computer_page(user, quick="ACCT")).total == 0
        assert [computer.name for computer in await list_computers(user, either)] == ["alpha"]
        assert await numbers_of(user) == [1, 3]
        assert await numbers_of(scene.desk, sort="NAME", descending=True) == [4, 3, 2, 1]
        assert names(await computer_page(user_of(scene))) == []
        assert (await show_computer(user, "alpha")).computer.name == "alpha"
        for name in ("beta", device("Beta"), 2):
            there, nowhere = await refused(show_computer(user, name)), await refused(show_computer(user, "nosuch"))
            assert (there.kind, there.sentence) == (nowhere.kind, nowhere.sentence) == (Kind.MISSING, nowhere.sentence)

    play(tmp_path, script)


def test_a_group_that_a_user_may_not_see_is_as_if_it_were_not_there(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await fill(scene)
        async with scene.desk.store.writing() as tx:
            for number, visible in enumerate((0, 1), 1):
                await tx.run(
                    "INSERT INTO computer_group (id, name, visible, created_at, changed_at) VALUES (?, ?, ?, 0, 0)",
                    (number, f"group {number}", visible),
                )
                await tx.run("INSERT INTO membership VALUES (?, 1, 0, 0)", (number,))
        hidden, shown = (all_of([parse(f"GROUP BELONG group {number}")]) for number in (1, 2))
        assert names(await computer_page(scene.desk, hidden)) == ["alpha"]
        assert names(await computer_page(user_of(scene, "SALES"), shown)) == ["alpha"]
        assert (await refused(computer_page(user_of(scene, "SALES"), hidden))).kind is Kind.MISSING
        assert (await refused(computer_page(scene.desk, all_of([parse("GROUP BELONG x")])))).kind is Kind.MISSING

    play(tmp_path, script)


def test_a_computer_is_found_by_name_device_or_number(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await fill(scene)
        facts = [await show_computer(scene.desk, name) for name in ("BETA", device("Beta"), 2)]
        assert facts[0] == facts[1] == facts[2]
        assert facts[0].inventory is not None
        assert facts[0].inventory.first("STORAGES") == {"MODEL": "disk 1"}
        assert (await refused(show_computer(scene.desk, 99))).kind is Kind.MISSING

    play(tmp_path, script)


def test_an_inventory_that_was_let_in_under_wider_limits_is_shown_and_merged(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        deep = b"<PRINTERS><NAME>laser</NAME>" + b"<X>" * 100 + b"</X>" * 100 + b"</PRINTERS>"
        told = inventory(device("alpha")).replace(b"<CONTENT>", b"<CONTENT>" + deep)
        message = contact.decode_request(told, MarkupLimits(depth=200))
        assert isinstance(message, Inventory)
        await take_inventory(scene.desk, message, Caller("test", "192.0.2.1"))
        await scene.inventory(device("alpha"), ("HARDWARE", {"NAME": "alpha", "MEMORY": "1"}))
        shown = (await show_computer(scene.desk, "alpha")).inventory
        assert shown is not None
        assert (shown.first("PRINTERS")["NAME"], shown.first("HARDWARE")["MEMORY"]) == ("laser", "1")

    play(tmp_path, script)


def test_a_computer_s_tag_and_account_values_are_changed_and_logged(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await fill(scene)
        before = len(await scene.rows("SELECT * FROM log"))
        changed = await change_computer(scene.desk, "alpha", tag=" HR ", account={"Building": "", "subject": "x"})
        assert changed.tag == "HR"
        assert (await show_computer(scene.desk, "alpha")).account == {"TAG": "HR", "subject": "x"}
        await change_computer(scene.desk, "alpha", tag="HR")
        entries = await scene.rows("SELECT deed, subject, detail FROM log ORDER BY id")
        assert entries[before:] == [
            (
                "computer changed",
                device("alpha"),
                '{"name": "alpha", "changed": "TAG: HR; Building: ; subject: x"}',
            )
        ], "what changes nothing is not logged"
        reply = await scene.inventory(device("alpha"), account=[("TAG", "SALES")])
        assert dict(reply.account) == {"TAG": "HR", "subject": "x"}, "the computer is told"

    play(tmp_path, script)


@pytest.mark.parametrize(
    ("tag", "account", "field"),
    [
        ("x" * 256, {}, "TAG"),
        ("a\nb", {}, "TAG"),
        (None, {"": "x"}, "account"),
        (None, {"tag": "x"}, "account"),
        (None, {"x" * 256: "x"}, "account"),
        (None, {"a\0": "x"}, "account"),
        (None, {"Building": "\x1b"}, "Building"),
    ],
)
def test_a_tag_or_account_value_that_is_none_is_refused(
    tmp_path: Path, tag: str | None, account: dict[str, str], field: str
) -> None:
    async def script(scene: Scene) -> None:
        await fill(scene)
        assert (await refused(change_computer(scene.desk, "alpha", tag=tag, account=account))).field == field

    play(tmp_path, script)


def test_computers_are_deleted_one_or_many_and_the_log_names_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(computers, "DELETED_AT_ONCE", 2)

    async def script(scene: Scene) -> None:
        await fill(scene)
        before = len(await scene.rows("SELECT * FROM log"))
        assert (await delete_computer(scene.desk, "delta")).name == "delta"
        told: list[tuple[int, int]] = []
        assert await delete_computers(scene.desk, [1, 2, 3, 4, 99], lambda *done: told.append(done)) == 3
        assert told == [(2, 5), (4, 5), (5, 5)]
        assert await list_computers(scene.desk) == []
        assert await scene.rows("SELECT count(*) FROM inventory_value") == [(0,)]
        entries = await scene.rows("SELECT deed, subject FROM log ORDER BY id")
        assert entries[before:] == [
            ("computer deleted", device("delta")),
            ("computer deleted", "alpha, Beta"),
            ("computer deleted", "gamma"),
        ]

    play(tmp_path, script)


def test_a_user_changes_and_deletes_nothing(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await fill(scene)
        user = user_of(scene, "SALES")
        for verb in (
            change_computer(user, "alpha", tag="x"),
            delete_computer(user, "alpha"),
            delete_computers(user, [1]),
        ):
            assert (await refused(verb)).kind is Kind.FORBIDDEN
        assert len(await list_computers(scene.desk, EVERY)) == 4

    play(tmp_path, script)
