"""The counts that the affectations keep of themselves, and the pages of very many, on a real database."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.clock import Clock
from appliance.domain.package import PackageId
from appliance.domain.status import Stage
from appliance.store import affectations
from appliance.store.database import Tx, open_store

PACKAGES = ("1795206923", "1795206924")
STAGES = [stage.value for stage in Stage]
CODES = ["", "SUCCESS", "ERR_EXECUTE"]
MOMENT = 1_795_206_923

DEEDS = {
    "affect": "INSERT INTO affectation (computer_id, package_id, stage, received, affected_at, changed_at) "
    "VALUES (:computer, :package, :stage, :code, 0, 0) "
    "ON CONFLICT (computer_id, package_id) DO UPDATE SET stage = 'waiting', received = '' WHERE stage = 'error'",
    "finish": "UPDATE affectation SET stage = :stage, received = :code WHERE computer_id = :computer",
    "absorb": "UPDATE OR IGNORE affectation SET computer_id = :other WHERE computer_id = :computer",
    "unaffect": "DELETE FROM affectation WHERE stage = :stage",
    "delete the computer": "DELETE FROM computer WHERE id = :computer",
    "delete the package": "DELETE FROM package WHERE id = :package",
}
DEED = st.fixed_dictionaries(
    {
        "deed": st.sampled_from([*DEEDS, "affect", "affect", "affect", "finish"]),
        "computer": st.integers(1, 4),
        "other": st.integers(1, 4),
        "package": st.sampled_from(PACKAGES),
        "stage": st.sampled_from(STAGES),
        "code": st.sampled_from(CODES),
    }
)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with today's schema."""
    folder = tmp_path_factory.mktemp("counts") / "data"

    async def work() -> None:
        await (await open_store(folder, Clock())).close()

    asyncio.run(work())
    return folder / "ocs.sqlite"


@contextlib.contextmanager
def fleet(path: Path, computers: int) -> Iterator[sqlite3.Connection]:
    """Packages and computers of a transaction that is taken back at the end."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA foreign_keys=ON")
        database.execute("BEGIN")
        _fill(database, computers)
        yield database
        database.execute("ROLLBACK")


def _fill(database: sqlite3.Connection, computers: int) -> None:
    database.executemany(
        "INSERT INTO package (id, name, description, system, protocol, priority, action, argument, notice_countdown, "
        "notice_cancel, notice_delay, done_text, info_sha256, manifest_sha256, built_at) "
        "VALUES (?1, ?1, '', 'LINUX', 'HTTP', 5, 'EXECUTE', 'true', 0, 0, 0, '', '', '', 0)",
        [(package,) for package in PACKAGES],
    )
    names = [f"pc-{number:03d}" for number in range(computers)]
    random.Random(7).shuffle(names)
    database.executemany(
        "INSERT INTO computer (id, device_id, name, tag, user_agent, address, first_seen, last_contact) "
        "VALUES (?1, ?2, ?2, '', '', '', 0, 0)",
        enumerate(names, 1),
    )


@settings(max_examples=60)
@given(deeds=st.lists(DEED, max_size=25))
def test_the_counts_say_what_the_rows_say_whatever_is_done_to_them(empty: Path, deeds: list[dict[str, Any]]) -> None:
    by_rows = "SELECT package_id, stage, received, count(*) FROM affectation GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
    kept = "SELECT package_id, stage, received, computers FROM affectation_count ORDER BY 1, 2, 3"
    with fleet(empty, 4) as database:
        for deed in deeds:
            with contextlib.suppress(sqlite3.IntegrityError):  # of a computer or a package that is gone
                database.execute(DEEDS[deed["deed"]], deed)
            assert database.execute(kept).fetchall() == database.execute(by_rows).fetchall()


def over_forty(path: Path, script: Callable[[Tx], Awaitable[Any]]) -> Any:
    """A script over forty computers: a package is affected to all but every seventh, each third succeeded."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        _fill(database, 40)
        database.executemany(
            "INSERT INTO affectation (computer_id, package_id, stage, received, affected_at, notified_at, changed_at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (n, PACKAGES[0], "waiting", "", MOMENT, None, MOMENT)
                if n % 3
                else (n, PACKAGES[0], "success", "SUCCESS", MOMENT, MOMENT + n, MOMENT + 10 * n)
                for n in range(1, 41)
                if n % 7
            ],
        )
        database.commit()

    async def work() -> Any:
        store = await open_store(path.parent, Clock())
        try:
            async with store.reading() as tx:
                return await script(tx)
        finally:
            await store.close()

    return asyncio.run(work())


@pytest.mark.parametrize("nearly_all", [0.5, 2.0])
def test_a_page_of_very_many_is_the_same_however_it_is_found(
    empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nearly_all: float
) -> None:
    path = tmp_path / "ocs.sqlite"
    path.write_bytes(empty.read_bytes())
    path.chmod(0o600)
    tmp_path.chmod(0o700)
    monkeypatch.setattr(affectations, "NEARLY_ALL", nearly_all)
    monkeypatch.setattr(affectations, "VERY_MANY", 1)

    async def script(tx: Tx) -> None:
        package = PackageId(PACKAGES[0])
        for stage, received in ((None, None), (Stage.WAITING, None), (None, ["SUCCESS"]), (Stage.ERROR, None)):
            total = await affectations.count_of_package(tx, package, stage=stage, received=received)
            every = await affectations.of_package(tx, package, stage=stage, received=received)
            assert len(every) == total
            assert [one.computer_name for one in every] == sorted(one.computer_name for one in every)
            for offset in (0, 3, 12, 21, 33, 38):
                page = await affectations.of_package(
                    tx,
                    package,
                    stage=stage,
                    received=received,
                    offset=offset,
                    limit=5,
                    total=total,
                )
                assert page == every[offset : offset + 5]

    over_forty(path, script)


def test_steps_over_time_have_every_outcome_and_every_notice_once(empty: Path, tmp_path: Path) -> None:
    path = tmp_path / "ocs.sqlite"
    path.write_bytes(empty.read_bytes())
    path.chmod(0o600)
    tmp_path.chmod(0o700)

    async def script(tx: Tx) -> None:
        package = PackageId(PACKAGES[0])
        succeeded = [n for n in range(1, 41) if n % 7 and not n % 3]
        assert await affectations.span(tx, package) == (MOMENT + succeeded[0], MOMENT + 10 * succeeded[-1])
        assert await affectations.span(tx, PackageId(PACKAGES[1])) is None
        for step, steps in ((1, 400), (17, 24), (400, 1)):
            found = await affectations.over_time(tx, package, MOMENT, step, steps)
            for kind, moments in (("success", [10 * n for n in succeeded]), ("notified", succeeded)):
                told = {number: count for number, of_kind, count in found if of_kind == kind}
                assert list(told) == list(range(steps))
                assert told == {number: sum(m // step == number for m in moments) for number in range(steps)}

    over_forty(path, script)
