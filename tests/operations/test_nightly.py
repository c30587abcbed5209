"""The server's own backup: when it is due, proved before an older one goes, and how it ended is kept."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from appliance.domain.refusal import Refusal
from appliance.operations import nightly
from appliance.operations.configure import set_setting
from appliance.operations.desk import Desk, open_desk
from appliance.operations.nightly import LastBackup, back_up_if_due, last_backup, latest_due
from tests.fakes.appliance import SetClock, on_desk, rows
from tests.operations.test_backup import build, damage, proved

HOUR, DAY = 3600, 86_400


def at(hour: int, minute: int = 0, day: int = 21) -> int:
    """That moment here, in November 2026."""
    return int(time.mktime((2026, 11, day, hour, minute, 0, 0, 0, -1)))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    build(folder, "first")
    return folder


@pytest.fixture
def kept(tmp_path: Path, data: Path) -> Path:
    """The folder for backups, as set."""
    folder = tmp_path / "kept"
    folder.mkdir()

    async def choose(desk: Desk) -> None:
        await set_setting(desk, "BACKUP_FOLDER", str(folder))
        await set_setting(desk, "BACKUP_KEEP", "2")

    on_desk(data, choose)
    return folder


def due(data: Path, moment: int) -> LastBackup | None:
    return on_desk(data, back_up_if_due, clock=SetClock(moment))


@pytest.mark.parametrize(
    ("now", "hour", "expected"),
    [
        (at(3), 3, at(3)),
        (at(2, 59), 3, at(3, day=20)),
        (at(23, 59), 3, at(3)),
        (at(0), 0, at(0)),
        (at(22), 23, at(23, day=20)),
        (at(0, day=1), 3, at(3, day=0)),
    ],
)
def test_the_last_time_that_a_backup_was_due(now: int, hour: int, expected: int) -> None:
    assert latest_due(now, hour) == expected


def test_without_a_folder_there_is_none(data: Path) -> None:
    assert due(data, at(3)) is None
    assert on_desk(data, last_backup) is None


def test_the_first_one_is_made_at_once_and_then_one_a_day_at_its_hour(data: Path, kept: Path) -> None:
    made = []
    for moment in range(at(12), at(12) + 3 * DAY, HOUR // 2):
        if result := due(data, moment):
            assert result.ok, result.text
            made.append(moment)
    assert made == [at(12), at(3, day=22), at(3, day=23), at(3, day=24)]


def test_a_night_that_was_missed_is_made_up_for(data: Path, kept: Path) -> None:
    due(data, at(3))
    assert due(data, at(9, day=22)) is not None
    assert due(data, at(10, day=22)) is None


def test_a_clock_that_went_back_does_not_stop_the_backups(data: Path, kept: Path) -> None:
    due(data, at(3, day=25))
    assert due(data, at(3, day=21)) is not None
    assert due(data, at(4, day=21)) is None


def test_each_is_proved_and_the_oldest_go_but_nothing_else(data: Path, kept: Path) -> None:
    (kept / "ocs-of-mine.tar.zst").write_bytes(b"mine")
    (kept / ".ocs-20261120-030000.tar.zst.x7_f.tmp").write_bytes(b"a kill left it")
    (kept / ".mine.tmp").write_bytes(b"mine")
    for day in range(21, 26):
        due(data, at(3, day=day))
    names = sorted(path.name for path in kept.iterdir())
    assert names == [
        *(".mine.tmp", "ocs-20261124-030000.tar.zst", "ocs-20261125-030000.tar.zst", "ocs-of-mine.tar.zst"),
    ]
    assert proved(kept / names[1], data).packages == 1
    last = on_desk(data, last_backup)
    assert (last.at, last.ok) == (at(3, day=25), True)
    assert last.text.startswith("ocs-20261125-030000.tar.zst, ")


def test_a_failure_is_kept_and_logged_and_no_older_backup_goes(data: Path, kept: Path) -> None:
    for day in (21, 22):
        due(data, at(3, day=day))
    before = sorted(kept.iterdir())
    damage(next(data.glob("fragments/*/*-1")), "flip")
    result = due(data, at(3, day=23))
    assert result is not None
    assert not result.ok
    assert "is damaged or missing" in result.text
    assert on_desk(data, last_backup) == result
    assert sorted(kept.iterdir()) == before
    assert rows(data, "SELECT deed FROM log ORDER BY id DESC LIMIT 1") == [("backup failed",)]
    assert due(data, at(3, 1, day=23)) is None  # not every minute


@pytest.mark.parametrize(
    ("name", "value"),
    [("BACKUP_FOLDER", "backups"), ("BACKUP_FOLDER", "/a\nb"), ("BACKUP_HOUR", "24"), ("BACKUP_KEEP", "0")],
)
def test_a_setting_that_makes_no_sense_is_refused(data: Path, name: str, value: str) -> None:
    with pytest.raises(Refusal) as caught:
        on_desk(data, set_setting, name, value)
    assert caught.value.field == name


def test_a_folder_that_is_not_there_is_a_failure_and_is_not_made(data: Path, kept: Path) -> None:
    kept.rmdir()  # a disk that is not mounted
    result = due(data, at(3))
    assert result is not None
    assert result.text == f"the folder {kept} is not there."
    assert not kept.exists()


def test_the_loop_makes_one_and_ends_when_it_is_cancelled(
    data: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nightly, "LOOK_SECONDS", 0.01)

    async def work() -> None:
        async with open_desk(data, SetClock(at(3))) as desk:
            loop = asyncio.create_task(nightly.nightly(desk))
            while await last_backup(desk) is None:
                await asyncio.sleep(0.01)
            loop.cancel()
            with pytest.raises(asyncio.CancelledError):
                await loop

    asyncio.run(work())
    assert [path.name for path in kept.iterdir()] == ["ocs-20261121-030000.tar.zst"]
