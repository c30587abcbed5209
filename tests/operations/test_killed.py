"""Killed in the middle of a change to ten thousand computers: all of it is there, or nothing. Source: F3.

A child ends, as by kill -9, after SQLite has done its Nth part of the work; N goes from nearly nothing to all of it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.operations.activate import activate, unactivate
from appliance.operations.affect import Terms, affect, unaffect
from appliance.operations.delete_package import delete_package
from appliance.operations.desk import Desk
from tests.fakes.appliance import build, must, on_desk, rows
from tests.operations.kit import ALL, HERE, THERE

COMPUTERS = 10_000
PARTS = 6  # a kill in each of them

Job = Callable[[Desk], Awaitable[Any]]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package and ten thousand computers, with nothing affected."""
    data = tmp_path_factory.mktemp("fleet") / "data"
    package = build(data, "for all")
    must("package", "activate", package, "--unchecked", "--info-url", HERE, "--fragment-url", THERE, data=data)

    async def fill(desk: Desk) -> None:
        async with desk.store.writing() as tx:
            await tx.many(
                "INSERT INTO computer (device_id, name, tag, user_agent, address, first_seen, last_contact)"
                " VALUES (?, ?, 'NA', '', '', 0, 0)",
                ((f"pc{n}-2026-01-31-09-30-00", f"pc{n}") for n in range(COMPUTERS)),
            )

    on_desk(data, fill)
    return data


def state(data: Path) -> tuple[Any, ...]:
    """What any of the changes here would change."""
    assert rows(data, "PRAGMA integrity_check") == [("ok",)]
    assert rows(data, "PRAGMA foreign_key_check") == []
    counted = "SELECT count(*) FROM "
    return tuple(rows(data, counted + name)[0][0] for name in ("affectation", "event", "activation", "package", "log"))


def run(data: Path, job: Job, end_at: int | None, every: int) -> int:
    """Run the job in a child that ends after so many looks, or not; the looks that it took, 0 where it was ended.

    It looks every so many instructions of SQLite's machine.
    """
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        looks = 0

        def look() -> int:
            nonlocal looks
            looks += 1
            if looks == end_at:
                os._exit(9)
            return 0

        async def watched(desk: Desk) -> None:
            await desk.store._writer.set_progress_handler(look, every)
            await job(desk)

        try:
            on_desk(data, watched)
            os.write(write, b"%d" % looks)
            os._exit(0)
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(3)
    os.close(write)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    told = os.read(read, 20)
    os.close(read)
    assert code in (0, 9), f"the job failed in the child ({code})"
    return int(told or 0)


def package_of(data: Path) -> str:
    return str(rows(data, "SELECT id FROM package")[0][0])


def affected(package: str) -> Job:
    return lambda desk: affect(desk, package, ALL, Terms())


JOBS: dict[str, tuple[bool, int, Callable[[str], Job]]] = {  # is it affected before, how often to look, what is done
    "affect": (False, 100, affected),
    "unaffect": (True, 100, lambda package: lambda desk: unaffect(desk, package, ALL)),
    "activate": (False, 4, lambda package: lambda desk: activate(desk, package, "a.b:1/d", "a.b/d", unchecked=True)),
    "unactivate": (False, 4, lambda package: lambda desk: unactivate(desk, package)),
    "delete": (True, 100, lambda package: lambda desk: delete_package(desk, package)),
}


@pytest.mark.parametrize("name", JOBS)
def test_a_change_that_is_killed_anywhere_is_whole_or_not_there(fleet: Path, tmp_path: Path, name: str) -> None:
    before_it, every, job_of = JOBS[name]
    package = package_of(fleet)
    start, job = tmp_path / "start", job_of(package)
    shutil.copytree(fleet, start)
    if before_it:
        on_desk(start, affected(package))
        assert rows(start, "SELECT count(*) FROM affectation") == [(COMPUTERS,)]
    before = state(start)
    whole = tmp_path / "whole"
    shutil.copytree(start, whole)
    looks = run(whole, job, None, every)
    after = state(whole)
    assert before != after
    seen = set()
    assert looks > PARTS
    for number, end_at in enumerate([*(1 + looks * part // PARTS for part in range(PARTS)), looks]):
        data = tmp_path / str(number)
        shutil.copytree(start, data)
        run(data, job, end_at, every)
        assert state(data) in (before, after), f"killed at {end_at} of {looks}"
        seen.add(state(data) == before)
        on_desk(data, job) if state(data) == before else None  # and it can be done again
        assert state(data) == after
        shutil.rmtree(data)
    assert True in seen
