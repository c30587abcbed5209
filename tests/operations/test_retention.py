"""What goes by rule: old events, computers that fell silent, what nothing names any more; the log never shrinks."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.operations import retention
from appliance.operations.configure import set_setting
from appliance.operations.logbook import read_log, verify_log
from appliance.operations.retention import GAP, GRACE_DAYS, LastRound, clean_if_due, last_round
from tests.fakes.appliance import device, inventory, rows, serving, tell, until
from tests.operations.kit import Scene, play

DAY = 86_400


@pytest.fixture(autouse=True)
def no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """No rest between two transactions."""
    monkeypatch.setattr(retention, "REST", 0)


def stage(tmp_path: Path, script: Callable[[Scene], Awaitable[Any]], **settings: int) -> None:
    """A scene over a server that looked today for the first time, with these settings."""

    async def begun(scene: Scene) -> None:
        for name, value in settings.items():
            await set_setting(scene.desk, name, str(value))
        assert await clean_if_due(scene.desk) == LastRound(scene.clock.moment, scene.clock.moment)
        await script(scene)

    play(tmp_path, begun)


async def pass_days(scene: Scene, days: int) -> LastRound:
    """Days go by with a round on each: the last one."""
    result = None
    for _ in range(days):
        scene.clock.moment += DAY
        result = await clean_if_due(scene.desk)
    assert result is not None
    return result


async def names(scene: Scene) -> list[str]:
    return [row[0] for row in await scene.rows("SELECT name FROM computer ORDER BY name")]


def test_one_round_a_day_is_made_and_its_result_is_kept(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        begun = scene.clock.moment
        scene.clock.moment += DAY - 1
        assert await clean_if_due(scene.desk) is None
        scene.clock.moment += 1
        assert await clean_if_due(scene.desk) == LastRound(scene.clock.moment, begun)
        assert await last_round(scene.desk) == LastRound(scene.clock.moment, begun)
        assert await clean_if_due(scene.desk) is None

    stage(tmp_path, script)


def test_events_go_when_they_are_older_than_the_days_and_what_stands_on_a_computer_stays(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await scene.inventory(device())
        package = await scene.package()
        await scene.affect(package)
        assert len(await scene.rows("SELECT * FROM event")) == 1
        assert (await pass_days(scene, 40)).events == 0
        assert await scene.announced(device()) == [package]
        assert (await pass_days(scene, 1)).events == 1
        assert [row[0] for row in await scene.rows("SELECT kind FROM event")] == ["announced"]
        assert (await scene.stage(package, device()))[0] == "NOTIFIED"
        assert (await pass_days(scene, 40)).events == 1
        assert await scene.rows("SELECT * FROM event") == []

    stage(tmp_path, script, EVENT_DAYS=40)


def test_many_events_go_in_small_transactions_and_all_of_them_in_one_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "FOUND_AT_ONCE", 20)
    monkeypatch.setattr(retention, "REMOVED_AT_ONCE", 7)

    async def script(scene: Scene) -> None:
        await scene.inventory(device())
        async with scene.desk.store.writing() as tx:
            await tx.many(
                "INSERT INTO event (computer_id, package_id, at, kind, detail) VALUES (1, ?, ?, 'result', '')",
                ((str(n), tx.now + (n % 3) * DAY) for n in range(90)),
            )
        assert (await pass_days(scene, 11)).events == 30
        assert (await pass_days(scene, 1)).events == 30
        assert len(await scene.rows("SELECT * FROM event")) == 30

    stage(tmp_path, script, EVENT_DAYS=10)


def test_nothing_goes_by_rule_where_the_days_are_0(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await scene.inventory(device())
        await scene.affect(await scene.package())
        for _ in range(3):
            await pass_days(scene, GRACE_DAYS + 1)
            scene.clock.moment += 1000 * DAY
        assert (len(await scene.rows("SELECT * FROM event")), await names(scene)) == (1, ["pc-1"])

    stage(tmp_path, script, EVENT_DAYS=0)


def test_computers_that_fell_silent_are_deleted_with_all_that_hangs_on_them_and_the_log_names_them(
    tmp_path: Path,
) -> None:
    async def script(scene: Scene) -> None:
        for name in ("old-1", "old-2", "new-1"):
            sections = [("HARDWARE", {"NAME": name}), ("SOFTWARES", {"NAME": name, "VERSION": "1"})]
            await scene.inventory(device(name), *sections, ("STORAGES", {"MODEL": f"disk of {name}"}))
        await pass_days(scene, 60)
        await scene.contact(device("new-1"))
        assert await names(scene) == ["new-1", "old-1", "old-2"]
        last = await pass_days(scene, 31)
        assert await names(scene) == ["new-1"]
        assert (last.computers, last.softwares) == (2, 2)
        assert await scene.rows("SELECT name FROM software") == [("new-1",)]
        assert await scene.rows("SELECT value FROM inventory_value WHERE field = 'MODEL'") == [("disk of new-1",)]
        (entry,) = (await read_log(scene.desk, deed="computer deleted")).entries
        assert (entry.actor, entry.through, entry.subject) == ("ocs.pyz", "server", "old-1, old-2")
        assert entry.detail == {"number": "2", "names": "old-1, old-2", "silent_days": "90"}

    stage(tmp_path, script, COMPUTER_DAYS=90)


def test_more_computers_than_one_transaction_takes_go_in_one_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "COMPUTERS_AT_ONCE", 3)

    async def script(scene: Scene) -> None:
        for number in range(8):
            await tell(scene.desk, inventory(device(f"pc-{number}")))
        assert (await pass_days(scene, 11)).computers == 8
        assert len((await read_log(scene.desk, deed="computer deleted")).entries) == 3
        assert await names(scene) == []

    stage(tmp_path, script, COMPUTER_DAYS=10)


@pytest.mark.parametrize("jump", [GAP, 400 * DAY, -400 * DAY, 20 * 365 * DAY])
def test_after_a_long_absence_or_a_clock_that_jumps_computers_have_a_month_to_come_back(
    tmp_path: Path, jump: int
) -> None:
    async def script(scene: Scene) -> None:
        await scene.inventory(device())
        await scene.affect(await scene.package())
        await pass_days(scene, GRACE_DAYS)
        scene.clock.moment += jump
        assert (await pass_days(scene, GRACE_DAYS)).computers == 0
        await scene.contact(device())
        assert (await pass_days(scene, 30)).computers == 0
        assert await names(scene) == ["pc-1"]

    stage(tmp_path, script, COMPUTER_DAYS=90, EVENT_DAYS=90)


def test_softwares_and_values_that_nothing_names_go_and_others_stay(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        for version in ("1", "2"):
            sections = [("HARDWARE", {"NAME": "pc-1"}), ("SOFTWARES", {"NAME": "firefox", "VERSION": version})]
            await scene.inventory(device(), *sections)
        async with scene.desk.store.writing() as tx:
            await tx.run("INSERT INTO inventory_value (section, field, value) VALUES ('BIOS', 'X', 'said by nobody')")
        assert len(await scene.rows("SELECT * FROM software")) == 2
        last = await pass_days(scene, 1)
        assert (last.softwares, last.values) == (1, 1)
        assert await scene.rows("SELECT version FROM software") == [("2",)]

    stage(tmp_path, script)


def test_the_log_never_shrinks_however_old_it_is(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        before = await verify_log(scene.desk)
        for _ in range(3):
            await pass_days(scene, 40)
        assert await verify_log(scene.desk) == before
        with pytest.raises(sqlite3.IntegrityError, match="append only"):
            async with scene.desk.store.writing() as tx:
                await tx.run("DELETE FROM log")

    stage(tmp_path, script, EVENT_DAYS=1, COMPUTER_DAYS=1)


def test_a_server_makes_its_first_round_at_its_start(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server:
        until(lambda: rows(server.data, "SELECT 1 FROM runtime WHERE name = ?", retention.RUNTIME), "the first round")
