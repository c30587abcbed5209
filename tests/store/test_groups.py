"""Who is in a group, on a real database: static, by search, by hand, groups within groups."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from appliance.domain.computer import ComputerId
from appliance.domain.group import Group, GroupId, Hand
from appliance.domain.messages import DeviceId
from appliance.domain.search import Criterion, Operator, Search, parse
from appliance.store import computers, group_affectations, groups
from appliance.store.database import Tx, open_store
from tests.fakes.appliance import SetClock

Script = Callable[[Tx, list[ComputerId]], Awaitable[Any]]


def write(folder: Path, script: Script) -> Any:
    """One write transaction over four computers: two with Windows, two with Debian, the second of each in Paris."""

    async def work() -> Any:
        store = await open_store(folder / "data", SetClock())
        try:
            async with store.writing() as tx:
                return await script(tx, [await computer(tx, number) for number in range(4)])
        finally:
            await store.close()

    return asyncio.run(work())


async def computer(tx: Tx, number: int) -> ComputerId:
    added = await computers.add(
        tx, DeviceId(f"pc{number}-2026-01-31-09-30-00"), f"pc{number}", "paris" if number % 2 else "lyon"
    )
    system = "Windows 11" if number < 2 else "Debian"
    await tx.run("UPDATE computer SET osname = ? WHERE id = ?", (system, added))
    await computers.put_softwares(tx, added, {("common", "1", ""), (f"only {number}", "2", "")})
    return added


def asks(*texts: str) -> Search:
    return (tuple(parse(text) for text in texts),)


async def made(tx: Tx, name: str, search: Search | None = None) -> Group:
    found = await groups.find(tx, await groups.add(tx, name, "", search, visible=False))
    assert found is not None
    return found


async def both_ways(tx: Tx, group: Group, every: list[ComputerId]) -> list[ComputerId]:
    """The members, asked of the group and asked of each computer: the answers must agree."""
    found = await groups.numbers(tx, group)
    assert await groups.count(tx, group) == len(found)
    one_by_one = [c for c in every if group in (await groups.of_computers(tx, [c])).get(c, [])]
    together = await groups.of_computers(tx, every)
    assert found == one_by_one == [c for c in every if group in together.get(c, [])]
    return found


def test_a_static_group_has_who_is_put_in(tmp_path: Path) -> None:
    async def script(tx: Tx, pcs: list[ComputerId]) -> None:
        group = await made(tx, "Static")
        assert await both_ways(tx, group, pcs) == []
        assert await groups.put_in(tx, group.id, [pcs[0], pcs[2]]) == [pcs[0], pcs[2]]
        assert await groups.put_in(tx, group.id, [pcs[0], pcs[1]]) == [pcs[1]], "only the new one is told"
        assert await both_ways(tx, group, pcs) == pcs[:3]
        assert await groups.forget(tx, group.id, [pcs[0], pcs[3]]) == [pcs[0]]
        assert await both_ways(tx, group, pcs) == pcs[1:3]
        assert await groups.hand(tx, group.id, pcs[1]) is Hand.PUT_IN
        assert await groups.hand(tx, group.id, pcs[0]) is Hand.NOTHING
        rows, total = await groups.page(tx, group, page=2, size=1)
        assert ([(found.name, hand) for found, hand in rows], total) == ([("pc2", Hand.PUT_IN)], 2)

    write(tmp_path, script)


def test_a_dynamic_group_has_who_fits_now_and_what_was_done_by_hand_comes_first(tmp_path: Path) -> None:
    async def script(tx: Tx, pcs: list[ComputerId]) -> None:
        group = await made(tx, "Windows", asks("OSNAME LIKE windows"))
        assert await both_ways(tx, group, pcs) == pcs[:2]
        await tx.run("UPDATE computer SET osname = 'Windows 12' WHERE id = ?", (pcs[3],))
        assert await both_ways(tx, group, pcs) == [pcs[0], pcs[1], pcs[3]], "never kept"
        await groups.put_in(tx, group.id, [pcs[2]])
        await groups.leave_out(tx, group.id, [pcs[0]])
        assert await both_ways(tx, group, pcs) == pcs[1:]
        assert [found.name for found in await groups.left_out(tx, group.id)] == ["pc0"]
        await groups.forget(tx, group.id, pcs)
        assert await both_ways(tx, group, pcs) == [pcs[0], pcs[1], pcs[3]]
        rows, total = await groups.page(tx, group, page=1, size=2)
        assert ([(found.id, hand) for found, hand in rows], total) == ([(pc, Hand.NOTHING) for pc in pcs[:2]], 3)

    write(tmp_path, script)


def test_alternatives_softwares_and_other_groups_work_in_a_group(tmp_path: Path) -> None:
    async def script(tx: Tx, pcs: list[ComputerId]) -> None:
        either = await made(tx, "Either", (*asks("SOFTWARE = only 0"), *asks("OSNAME = Debian", "TAG = paris")))
        assert await both_ways(tx, either, pcs) == [pcs[0], pcs[3]]
        outside = await made(tx, "Outside", ((Criterion("GROUP", Operator.DONTBELONG, "either"),),))
        assert await both_ways(tx, outside, pcs) == pcs[1:3]
        inside = await made(tx, "Inside", ((Criterion("GROUP", Operator.BELONG, "Outside"), parse("TAG = paris")),))
        assert await both_ways(tx, inside, pcs) == [pcs[1]]
        everyone = await made(tx, "Everyone", ())
        assert await both_ways(tx, everyone, pcs) == pcs
        (mine,) = (await groups.of_computers(tx, [pcs[1]])).values()
        assert [group.name for group in mine] == ["Everyone", "Inside", "Outside"]

    write(tmp_path, script)


def test_counts_and_pages_know_only_the_tags_of_whoever_asks(tmp_path: Path) -> None:
    async def script(tx: Tx, pcs: list[ComputerId]) -> None:
        group = await made(tx, "Everyone", ())
        assert await groups.count(tx, group, ["paris"]) == 2
        assert await groups.numbers(tx, group, ["paris"]) == [pcs[1], pcs[3]]
        rows, total = await groups.page(tx, group, page=1, size=9, tags=["lyon"])
        assert ([found.id for found, _ in rows], total) == ([pcs[0], pcs[2]], 2)
        assert await groups.count(tx, group, []) == 0

    write(tmp_path, script)


def test_each_criterion_says_whether_it_holds_and_what_is_there(tmp_path: Path) -> None:
    async def script(tx: Tx, pcs: list[ComputerId]) -> None:
        await groups.put_in(tx, (await made(tx, "Static")).id, [pcs[1]])
        await tx.run("INSERT INTO account (computer_id, key, value) VALUES (?, 'room', '17')", (pcs[1],))
        await computers.put_networks(tx, pcs[1], [("00:11", "192.0.2.7", "192.0.2.0"), ("00:22", "192.0.2.8", "")])
        search = (
            (parse("OSNAME LIKE windows"), parse("TAG = lyon"), parse("SOFTWARE LIKE only")),
            (Criterion("GROUP", Operator.BELONG, "Static"), parse("ACCOUNT.ROOM = 18"), parse("MACADDR = 00:22")),
            (parse("SMODEL ISNULL"), Criterion("PACKAGE", Operator.EQUAL, "1795206923 success")),
            (Criterion("SOFTWARERELEASE", Operator.MORE, "common|0.9"), parse("STORAGES.MODEL LIKE x")),
        )
        told = await groups.checks(tx, search, pcs[1])
        assert [[(check.holds, check.own) for check in some] for some in told] == [
            [(True, ("Windows 11",)), (False, ("paris",)), (True, ("only 1",))],
            [(True, ("Static",)), (False, ("17",)), (True, ("00:11", "00:22"))],
            [(True, ()), (False, ())],
            [(True, ("common | 1",)), (False, ())],
        ]
        assert [[check.criterion for check in some] for some in told] == [list(some) for some in search]
        assert await groups.checks(tx, (), pcs[1]) == ()

    write(tmp_path, script)


def test_a_new_name_reaches_the_searches_that_speak_of_the_group(tmp_path: Path) -> None:
    async def script(tx: Tx, pcs: list[ComputerId]) -> None:
        from dataclasses import replace

        old = await made(tx, "Old")
        await groups.put_in(tx, old.id, [pcs[3]])
        asking = await made(tx, "Asking", ((Criterion("GROUP", Operator.BELONG, "OLD"),),))
        await groups.change(tx, replace(old, name="New"))
        after = await groups.named(tx, "asking")
        assert after is not None
        assert after.id == asking.id
        assert await both_ways(tx, after, pcs) == [pcs[3]]

    write(tmp_path, script)


def test_without_groups_one_statement_says_so_and_many_groups_take_few(tmp_path: Path) -> None:
    async def script(tx: Tx, pcs: list[ComputerId]) -> None:
        asked: list[str] = []
        rows = tx.rows

        async def counted(sql: str, values: Any = ()) -> Any:
            asked.append(sql)
            return await rows(sql, values)

        tx.rows = counted  # type: ignore[method-assign]
        assert await groups.of_computers(tx, [pcs[0]], in_use=True) == {}
        assert len(asked) == 1
        for number in range(60):
            group = await groups.add(tx, f"g{number}", "", asks(f"NAME = pc{number % 4}"), visible=False)
            await groups.put_override(tx, group, "PROLOG_FREQ", number + 1)
        asked.clear()
        found = await groups.of_computers(tx, [pcs[0]], in_use=True)
        assert len(found[pcs[0]]) == 15
        assert len(asked) == 3
        assert await groups.of_computers(tx, pcs[:1]) == found

    write(tmp_path, script)


def test_only_groups_with_a_package_or_a_setting_are_in_use(tmp_path: Path) -> None:
    async def script(tx: Tx, pcs: list[ComputerId]) -> None:
        idle, paced = await made(tx, "Idle", ()), await made(tx, "Paced", ())
        await groups.put_override(tx, paced.id, "PROLOG_FREQ", 5)
        assert (await groups.of_computers(tx, [pcs[0]], in_use=True))[pcs[0]] == [paced]
        assert (await groups.of_computers(tx, [pcs[0]]))[pcs[0]] == [idle, paced]
        assert await groups.overrides(tx, [idle.id, paced.id]) == [("Paced", {"PROLOG_FREQ": 5})]
        await groups.put_override(tx, paced.id, "PROLOG_FREQ", None)
        assert await groups.every_override(tx) == {}

    write(tmp_path, script)


def test_a_computer_that_takes_anothers_place_takes_its_memberships(tmp_path: Path) -> None:
    async def script(tx: Tx, pcs: list[ComputerId]) -> None:
        one, other = await made(tx, "One"), await made(tx, "Other")
        await groups.put_in(tx, one.id, [pcs[0], pcs[1]])
        await groups.put_in(tx, other.id, [pcs[1]])
        await computers.absorb(tx, pcs[0], pcs[1])
        assert await groups.numbers(tx, one) == await groups.numbers(tx, other) == [pcs[0]]

    write(tmp_path, script)


def test_deleting_a_group_leaves_no_row_of_it(tmp_path: Path) -> None:
    async def script(tx: Tx, pcs: list[ComputerId]) -> None:
        group = await made(tx, "Gone", asks("TAG = paris"))
        await groups.put_in(tx, group.id, pcs[:1])
        await groups.put_override(tx, group.id, "DOWNLOAD", 0)
        await groups.remove(tx, group.id)
        for table in ("computer_group", "membership", "group_override", "group_affectation"):
            assert await tx.value(f"SELECT count(*) FROM {table}") == 0
        assert await groups.find(tx, group.id) is None
        assert await group_affectations.affectations(tx, group=GroupId(group.id)) == []

    write(tmp_path, script)
