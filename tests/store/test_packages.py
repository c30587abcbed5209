"""Package ids: ten digits, increasing, never used again, whatever the clock does and whoever asks."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from pathlib import Path

from appliance.domain.package import LAST_ID
from appliance.operations.delete_package import delete_package
from appliance.store import packages
from appliance.store.database import open_store
from tests.fakes.appliance import SetClock, build, environment, on_desk

CODE = """
import asyncio, sys
from pathlib import Path
from appliance.clock import Clock
from appliance.store import packages
from appliance.store.database import open_store

async def main():
    store = await open_store(Path(sys.argv[1]), Clock(), readers=1)
    for _ in range(25):
        async with store.writing() as tx:
            print(await packages.reserve_id(tx))
    await store.close()

asyncio.run(main())
"""


def test_ids_increase_under_a_clock_that_jumps(tmp_path: Path) -> None:
    jumps = random.Random(7)
    moments = [0, -5, LAST_ID + 10, 1_700_000_000, 1_600_000_000, 1_700_000_000]
    moments += [1_700_000_000 + jumps.randint(-(10**6), 10**6) for _ in range(94)]

    async def work() -> list[str]:
        clock = SetClock()
        store = await open_store(tmp_path, clock)
        ids = []
        for moment in moments:
            clock.moment = moment
            async with store.writing() as tx:
                ids.append(await packages.reserve_id(tx))
        await store.close()
        return ids

    ids = asyncio.run(work())
    assert ids == sorted(set(ids))
    assert all(len(package) == 10 and package.isdigit() and int(package) <= LAST_ID for package in ids)


def test_a_hundred_ids_at_once_from_four_processes_are_a_hundred_ids(tmp_path: Path) -> None:
    asyncio.run(_open_once(tmp_path))
    line = [sys.executable, "-c", CODE, str(tmp_path)]
    many = [subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env=environment()) for _ in range(4)]
    printed = [process.communicate(timeout=30)[0].split() for process in many]
    ids = [package for some in printed for package in some]
    assert len(set(ids)) == 100
    assert all(some == sorted(some) for some in printed)


def test_an_id_is_not_used_again_after_its_package_is_deleted(tmp_path: Path) -> None:
    clock = SetClock(1_700_000_000)
    first = build(tmp_path, "first")
    on_desk(tmp_path, delete_package, first)

    async def reserve() -> str:
        store = await open_store(tmp_path, clock)
        async with store.writing() as tx:
            package = await packages.reserve_id(tx)
        await store.close()
        return package

    assert asyncio.run(reserve()) == str(int(first) + 1)


async def _open_once(folder: Path) -> None:
    await (await open_store(folder, SetClock())).close()
