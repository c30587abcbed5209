"""Inventory values are kept once, written only where they differ, and gone when nobody says them any more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.domain.computer import ComputerId
from appliance.domain.search import OWN_NAMES
from appliance.store import computers, values
from appliance.store.database import Store, open_store
from tests.fakes.appliance import SetClock, device

DISK = ("STORAGES", "MODEL", "disk")
FAST = ("STORAGES", "MODEL", "fast disk")
SCREEN = ("MONITORS", "CAPTION", "screen")


def play(folder: Path, script: Callable[[Store], Awaitable[Any]]) -> Any:
    async def work() -> Any:
        store = await open_store(folder / "data", SetClock(), readers=1)
        try:
            async with store.writing() as tx:
                for name in ("alpha", "beta"):
                    await computers.add(tx, device(name), name, "")
            return await script(store)
        finally:
            await store.close()

    return asyncio.run(work())


async def put(store: Store, computer: int, said: set[values.Value], *sections: str) -> int:
    """Put values of these sections (or of their own): how many rows that wrote."""
    async with store.writing() as tx:
        before = await tx.value("SELECT total_changes()")
        await values.put_values(tx, ComputerId(computer), said, sections or {section for section, _, _ in said})
        return int(await tx.value("SELECT total_changes()") - before)


async def said_by(store: Store, computer: int) -> set[tuple[Any, ...]]:
    async with store.reading() as tx:
        rows = await tx.rows(
            "SELECT section, field, value FROM inventory_said JOIN inventory_value ON id = value_id "
            "WHERE computer_id = ?",
            (computer,),
        )
        return {tuple(row) for row in rows}


async def kept(store: Store) -> int:
    async with store.reading() as tx:
        return int(await tx.value("SELECT count(*) FROM inventory_value"))


def test_a_value_that_two_say_is_kept_once_and_the_same_again_writes_nothing(tmp_path: Path) -> None:
    async def script(store: Store) -> None:
        await put(store, 1, {DISK, SCREEN})
        await put(store, 2, {DISK})
        assert (await said_by(store, 1), await said_by(store, 2), await kept(store)) == ({DISK, SCREEN}, {DISK}, 2)
        assert await put(store, 1, {DISK, SCREEN}) == 0

    play(tmp_path, script)


def test_a_section_that_is_left_out_stays_and_one_that_is_there_is_replaced(tmp_path: Path) -> None:
    async def script(store: Store) -> None:
        await put(store, 1, {DISK, SCREEN})
        await put(store, 1, {FAST})
        assert await said_by(store, 1) == {FAST, SCREEN}
        await put(store, 1, set(), "Monitors")
        assert await said_by(store, 1) == {FAST}

    play(tmp_path, script)


def test_what_nobody_says_any_more_goes_but_not_what_another_still_says(tmp_path: Path) -> None:
    async def script(store: Store) -> None:
        await put(store, 1, {DISK, SCREEN})
        await put(store, 2, {DISK})
        await put(store, 1, set(), "STORAGES", "MONITORS")
        assert (await said_by(store, 2), await kept(store)) == ({DISK}, 1)
        async with store.writing() as tx:
            await computers.remove(tx, ComputerId(2))
        assert await kept(store) == 0

    play(tmp_path, script)


def test_names_are_in_upper_case_and_long_values_are_cut(tmp_path: Path) -> None:
    found = values.searchable([("Storages", {"model": "x" * 300, "Name": "é"}), ("STORAGES", {"NAME": "é"})])
    assert found == {("STORAGES", "MODEL", "x" * 255), ("STORAGES", "NAME", "é")}

    async def script(store: Store) -> None:
        await put(store, 1, found)
        assert await said_by(store, 1) == found

    play(tmp_path, script)


def test_a_computer_has_at_most_three_thousand_the_first_ones() -> None:
    rows = [("PRINTERS", {"NAME": f"printer {number}", "PORT": ""}) for number in range(5000)]
    found = values.searchable(rows)
    assert found == {("PRINTERS", "NAME", f"printer {number}") for number in range(3000)}


@pytest.mark.parametrize(
    ("section", "field"),
    [
        *((section, theirs) for section, names in OWN_NAMES.items() for theirs in names),
        ("SOFTWARES", "COMMENTS"),
        ("HARDWARE", "CHECKSUM"),
        ("RUNNINGPROCESSES", "CPUUSAGE"),
        ("X", "A" * 65),
        ("X", "a.b"),
    ],
)
def test_what_is_kept_elsewhere_or_asked_by_nobody_is_no_value(section: str, field: str) -> None:
    assert values.searchable([(section, {field: "x"})]) == set()


def test_other_fields_of_the_same_sections_are() -> None:
    told = [
        ("HARDWARE", {"NAME": "pc", "DEFAULTGATEWAY": "192.0.2.1"}),
        ("NETWORKS", {"MACADDR": "0", "SPEED": "1 Gb/s"}),
    ]
    assert values.searchable(told) == {
        ("HARDWARE", "DEFAULTGATEWAY", "192.0.2.1"),
        ("NETWORKS", "SPEED", "1 Gb/s"),
    }
