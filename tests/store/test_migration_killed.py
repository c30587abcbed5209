"""A migration that is ended anywhere leaves the former database or the new one, and a whole copy. Source: F27, R27.

The migration runs in a child that ends, as by kill -9, or in which the disk is full, at its Nth step: after each
statement, and before each rename and sync of the copy. N goes from 1 to where the child comes to its end.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import aiosqlite
import pytest

from appliance.clock import Clock
from appliance.domain.refusal import Refusal
from appliance.store import migrate
from appliance.store.database import open_store
from tests.fakes.appliance import rows
from tests.store.test_migration import RELEASED, columns, content, each_release, opened, restored

ENDED, FAILED = 9, 3


def step_by_step(data: Path, fail_at: int, end: Callable[[], None]) -> int:
    """Open the database in a child, where `end` happens at that step of the migration: the exit code."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    steps = 0
    execute, replace, sync = aiosqlite.Connection.execute, os.replace, os.fsync
    begun = False

    def step() -> None:
        nonlocal steps
        steps += begun
        if steps == fail_at:
            end()

    async def executed(self: aiosqlite.Connection, sql: str, *values: Any) -> Any:
        nonlocal begun
        cursor = await execute(self, sql, *values)
        if sql == "BEGIN IMMEDIATE":
            begun = True
        if sql != "ROLLBACK":
            step()
        return cursor

    def replaced(*paths: Any) -> None:
        step()
        replace(*paths)

    def synced(descriptor: int) -> None:
        step()
        sync(descriptor)

    async def work() -> None:
        nonlocal begun
        aiosqlite.Connection.execute = executed  # type: ignore[method-assign, assignment]
        os.replace, os.fsync = replaced, synced  # type: ignore[assignment]
        try:
            store = await open_store(data, Clock(), readers=1)
        finally:
            begun = False  # what closes is no step
        await store.close()

    code = 1
    try:
        asyncio.run(work())
        code = 0
    except (sqlite3.Error, OSError, Refusal):
        code = FAILED
    finally:
        os._exit(code)


def kill() -> None:
    os._exit(ENDED)


def no_space() -> None:
    raise sqlite3.OperationalError("database or disk is full")


def dumped(path: Path) -> list[str]:
    """A whole database as SQL, sorted: a copy by VACUUM INTO has its triggers behind its indexes."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return [str(connection.execute("PRAGMA user_version").fetchone()), *sorted(connection.iterdump())]


def statements_to_come(version: int) -> int:
    return sum(len(migrate.statements(sql)) for number, sql in migrate.scripts() if number > version)


@each_release
@pytest.mark.parametrize(("end", "code"), [(kill, ENDED), (no_space, FAILED)], ids=["killed", "full"])
def test_ended_after_each_statement_the_former_database_is_there_or_the_new_one_and_the_copy_is_whole(
    tmp_path: Path, release: Path, end: Callable[[], None], code: int
) -> None:
    fresh = restored(tmp_path, release)
    former = f"ocs.sqlite.schema-{rows(fresh, 'PRAGMA user_version')[0][0]}"
    before, known = dumped(fresh / "ocs.sqlite"), columns(fresh)
    kept = content(fresh, known)
    newest = (migrate.scripts()[-1][0],)
    for fail_at in range(1, 1000):
        data = tmp_path / "tried"
        shutil.copytree(fresh, data)
        answer = step_by_step(data, fail_at, end)
        assert answer in (0, code), fail_at
        copy = data / former
        if rows(data, "PRAGMA user_version") != [newest]:
            assert dumped(data / "ocs.sqlite") == before, fail_at
        else:
            assert content(data, known) == kept, fail_at
            assert copy.is_file(), fail_at
        if copy.exists():
            assert dumped(copy) == before, fail_at
            assert stat.S_IMODE(copy.stat().st_mode) == 0o600
        if end is kill or answer == 0:  # an error is followed by no other state
            opened(data)
            assert rows(data, "PRAGMA user_version") == [newest]
            assert content(data, known) == kept, fail_at
            assert rows(data, "PRAGMA foreign_key_check") == []
            assert dumped(copy) == before, fail_at
        elif rows(data, "PRAGMA user_version") != [newest]:
            assert not copy.exists(), fail_at
        assert list(data.glob(".*")) == [], fail_at
        shutil.rmtree(data)
        if answer == 0:
            break
    assert fail_at > statements_to_come(int(former.rpartition("-")[2])) + 5


@each_release
def test_the_copy_of_the_former_version_can_be_put_back(tmp_path: Path, release: Path) -> None:
    data = restored(tmp_path, release)
    before = dumped(data / "ocs.sqlite")
    number = rows(data, "PRAGMA user_version")[0][0]
    opened(data)
    for name in ("ocs.sqlite", "ocs.sqlite-wal", "ocs.sqlite-shm"):
        (data / name).unlink(missing_ok=True)
    os.replace(data / f"ocs.sqlite.schema-{number}", data / "ocs.sqlite")
    assert dumped(data / "ocs.sqlite") == before
    opened(data)
    assert rows(data, "PRAGMA user_version") == [(migrate.scripts()[-1][0],)]


def test_there_is_a_released_database_to_try_this_with() -> None:
    assert RELEASED
