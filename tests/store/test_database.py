"""The SQLite file: made once, refused where it is not ours, one writer, all or nothing. On real files throughout."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.clock import Clock
from appliance.domain.refusal import Kind, Refusal
from appliance.store import database, migrate
from appliance.store.database import Store, open_store
from tests.fakes.appliance import SetClock, environment, say


def on_store(folder: Path, work: Callable[[Store], Awaitable[Any]], readers: int = 2) -> Any:
    async def run() -> Any:
        store = await open_store(folder, Clock(), readers=readers)
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(run())


async def nothing(_: Store) -> None:
    """Open and close."""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir() if path.is_file()}


def refused(folder: Path) -> Refusal:
    with pytest.raises(Refusal) as caught:
        on_store(folder, nothing)
    return caught.value


# The first start


def test_a_first_start_makes_files_that_only_their_owner_may_read(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "data"
    before = os.umask(0o000)
    try:

        async def look(store: Store) -> dict[str, int]:
            async with store.writing() as tx:
                await tx.run("INSERT INTO setting VALUES ('DOWNLOAD', '0')")
            return {path.name: mode(path) for path in folder.iterdir()}

        modes = on_store(folder, look)
    finally:
        os.umask(before)
    assert modes == {f"ocs.sqlite{suffix}": 0o600 for suffix in ("", "-wal", "-shm", "-sums")}
    assert mode(folder) == 0o700


def test_an_empty_directory_made_by_hand_is_closed_to_others(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    on_store(folder, nothing)
    assert mode(folder) == 0o700


def test_a_directory_with_other_files_that_others_may_enter_stays_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    folder.mkdir()
    folder.chmod(0o755)
    (folder / "letter.txt").write_text("dear")
    assert "choose an empty or new directory" in str(refused(folder))
    assert mode(folder) == 0o755
    assert [path.name for path in folder.iterdir()] == ["letter.txt"]


@pytest.mark.parametrize("name", ["", "ocs.sqlite"])
def test_keys_that_others_may_read_stop_the_start(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "data"
    on_store(folder, nothing)
    (folder / name).chmod(0o755 if not name else 0o644)
    assert f"chmod -R go= {folder}" in str(refused(folder))


def test_two_first_starts_at_once_share_one_database(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys; from pathlib import Path; from appliance.clock import Clock\n"
        "from appliance.store.database import open_store\n"
        "async def main():\n"
        "    store = await open_store(Path(sys.argv[1]), Clock())\n"
        "    async with store.writing() as tx:\n"
        "        await tx.run(\"INSERT INTO setting VALUES (?, '1')\", (sys.argv[2],))\n"
        "    await store.close()\n"
        "sys.stdin.readline(); asyncio.run(main())"
    )
    starts = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "data"), f"start {number}"],
            stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
        )
        for number in range(4)
    ]  # fmt: skip
    for start in starts:
        assert start.stdin is not None
        start.stdin.write("go\n")
        start.stdin.flush()
    ends = [(start.communicate()[1], start.returncode) for start in starts]
    assert ends == [("", 0)] * 4

    async def names(store: Store) -> list[str]:
        async with store.reading() as tx:
            return [row[0] for row in await tx.rows("SELECT name FROM setting ORDER BY name")]

    assert on_store(tmp_path / "data", names) == [f"start {number}" for number in range(4)]


@pytest.mark.parametrize("what", ["a file", "below a file"])
def test_a_directory_that_cannot_be_made_is_one_sentence(tmp_path: Path, what: str) -> None:
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" if what == "a file" else tmp_path / "file" / "data"
    assert "cannot be used" in str(refused(folder))


# What is not ours


def test_a_newer_schema_is_refused_and_not_touched(tmp_path: Path) -> None:
    on_store(tmp_path, nothing)
    with sqlite3.connect(tmp_path / "ocs.sqlite") as connection:
        connection.execute(f"PRAGMA user_version={migrate.scripts()[-1][0] + 1}")
    connection.close()
    before = digests(tmp_path)
    refusal = refused(tmp_path)
    assert refusal.kind is Kind.CONFLICT
    assert "newer version" in str(refusal)
    assert digests(tmp_path) == before
    assert say("package", "list", data=tmp_path).code == 1
    assert digests(tmp_path) == before


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE letters (a)",
        "PRAGMA user_version=1; CREATE TABLE letters (a)",
        "PRAGMA user_version=57; CREATE TABLE letters (a)",
        "PRAGMA application_id=17; PRAGMA user_version=1",
    ],
)
def test_another_programs_database_is_refused_and_not_touched(tmp_path: Path, sql: str) -> None:
    path = tmp_path / "ocs.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(sql)
    connection.close()
    path.chmod(0o600)
    before = digests(tmp_path)
    assert "another program's database" in str(refused(tmp_path))
    assert digests(tmp_path) == before


@pytest.mark.parametrize("data", [b"no database at all" * 100, b"SQLite format 3\0" + b"\xff" * 4080])
def test_a_file_that_is_no_database_is_refused_and_not_touched(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "ocs.sqlite"
    path.write_bytes(data)
    path.chmod(0o600)
    refusal = refused(tmp_path)
    assert str(path) in str(refusal)
    assert path.read_bytes() == data


# Migrations


def test_every_table_of_the_schema_is_there_and_the_version_counts_the_scripts(tmp_path: Path) -> None:
    async def look(store: Store) -> tuple[int, int, set[str]]:
        async with store.reading() as tx:
            names = {row[0] for row in await tx.rows("SELECT name FROM sqlite_master WHERE type = 'table'")}
            return await tx.value("PRAGMA user_version"), await tx.value("PRAGMA application_id"), names

    version, owner, tables = on_store(tmp_path, look)
    assert (version, owner) == (len(migrate.scripts()), migrate.APPLICATION_ID)
    assert {"package", "fragment", "activation", "computer", "affectation", "event", "credential"} <= tables


def test_a_migration_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_store(tmp_path, nothing)
    before = digests(tmp_path)
    known = migrate.scripts()
    second = "CREATE TABLE later (a);\nINSERT INTO setting VALUES ('A', '1');\nINSERT INTO nowhere VALUES (1);\n"
    monkeypatch.setattr(migrate, "scripts", lambda: [*known, (len(known) + 1, second)])
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        on_store(tmp_path, nothing)
    assert digests(tmp_path) == before
    good = second.replace("nowhere VALUES (1)", "later VALUES (7)")
    monkeypatch.setattr(migrate, "scripts", lambda: [*known, (len(known) + 1, good)])

    async def look(store: Store) -> tuple[int, int]:
        async with store.reading() as tx:
            return await tx.value("SELECT a FROM later"), await tx.value("PRAGMA user_version")

    assert on_store(tmp_path, look) == (7, len(known) + 1)


def test_a_first_migration_that_fails_can_be_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(migrate, "scripts", lambda: [(1, "CREATE TABLE setting (a);\nINSERT INTO nowhere VALUES (1);\n")])
        with pytest.raises(sqlite3.OperationalError, match="nowhere"):
            on_store(tmp_path, nothing)
    on_store(tmp_path, nothing)


def test_a_script_is_split_where_its_statements_end() -> None:
    sql = "-- a; comment\nCREATE TABLE a (b TEXT DEFAULT ';');\nCREATE TRIGGER t AFTER INSERT ON a BEGIN\n" \
          "  DELETE FROM a;\nEND;\n"  # fmt: skip
    assert len(migrate.statements(sql)) == 2
    with pytest.raises(ValueError, match="middle of a statement"):
        migrate.statements("CREATE TABLE a (b)")


# Transactions


def test_a_transaction_that_ends_badly_leaves_nothing_and_the_next_one_works(tmp_path: Path) -> None:
    async def work(store: Store) -> list[str]:
        async def fail() -> None:
            async with store.writing() as tx:
                await tx.run("INSERT INTO setting VALUES ('A', '1')")
                raise RuntimeError("on the way")

        with pytest.raises(RuntimeError, match="on the way"):
            await fail()
        async with store.writing() as tx:
            await tx.run("INSERT INTO setting VALUES ('B', '1')")
        async with store.reading() as tx:
            return [row[0] for row in await tx.rows("SELECT name FROM setting")]

    assert on_store(tmp_path, work) == ["B"]


def test_writers_take_turns_and_none_is_lost(tmp_path: Path) -> None:
    async def work(store: Store) -> int:
        async with store.writing() as tx:
            await tx.run("INSERT INTO setting VALUES ('COUNT', '0')")

        async def count_one() -> None:
            async with store.writing() as tx:
                seen = await tx.value("SELECT value FROM setting")
                await asyncio.sleep(0)
                await tx.run("UPDATE setting SET value = ?", (str(int(seen) + 1),))

        await asyncio.gather(*(count_one() for _ in range(50)))
        async with store.reading() as tx:
            return int(await tx.value("SELECT value FROM setting"))

    assert on_store(tmp_path, work) == 50


def test_a_reader_sees_one_picture_while_others_write_and_cannot_write(tmp_path: Path) -> None:
    async def work(store: Store) -> list[int]:
        counts = []
        async with store.reading() as old:
            counts.append(await old.value("SELECT count(*) FROM setting"))
            async with store.writing() as tx:
                await tx.run("INSERT INTO setting VALUES ('A', '1')")
            counts.append(await old.value("SELECT count(*) FROM setting"))
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                await old.run("DELETE FROM setting")
        async with store.reading() as new:
            counts.append(await new.value("SELECT count(*) FROM setting"))
        return counts

    assert on_store(tmp_path, work) == [0, 0, 1]


def test_a_cancelled_writer_frees_the_file(tmp_path: Path) -> None:
    async def work(store: Store) -> int:
        begun = asyncio.Event()

        async def slow() -> None:
            async with store.writing() as tx:
                await tx.run("INSERT INTO setting VALUES ('A', '1')")
                begun.set()
                await asyncio.sleep(60)

        task = asyncio.create_task(slow())
        await begun.wait()
        task.cancel()
        await asyncio.wait([task])
        async with store.writing() as tx:
            return int(await tx.value("SELECT count(*) FROM setting"))

    assert on_store(tmp_path, work) == 0


def test_a_transaction_carries_one_moment(tmp_path: Path) -> None:
    async def work() -> tuple[int, int]:
        clock = SetClock(1000)
        store = await open_store(tmp_path, clock)
        async with store.writing() as tx:
            clock.moment = 2000
            first = tx.now
        async with store.reading() as tx:
            second = tx.now
        await store.close()
        return first, second

    assert asyncio.run(work()) == (1000, 2000)


def test_a_file_that_somebody_else_holds_is_refused_as_busy_and_readers_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    on_store(tmp_path, nothing)
    other = sqlite3.connect(tmp_path / "ocs.sqlite", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")

    async def work(store: Store) -> int:
        with pytest.raises(Refusal, match="in use by another process") as caught:
            async with store.writing():
                raise AssertionError("entered")
        assert caught.value.kind is Kind.BUSY
        async with store.reading() as tx:
            seen = await tx.value("SELECT count(*) FROM setting")
        other.execute("COMMIT")
        async with store.writing() as tx:
            await tx.run("INSERT INTO setting VALUES ('A', '1')")
        return int(seen)

    assert on_store(tmp_path, work) == 0
    other.close()


def test_a_full_disk_is_a_sentence_and_the_transaction_is_gone(tmp_path: Path) -> None:
    async def work(store: Store) -> int:
        await store._writer.execute(f"PRAGMA max_page_count={await pages(store) + 1}")
        with pytest.raises(Refusal, match="disk is full"):
            async with store.writing() as tx:
                await tx.run("INSERT INTO setting VALUES ('A', ?)", ("x" * 100_000,))
        async with store.reading() as tx:
            return int(await tx.value("SELECT count(*) FROM setting"))

    async def pages(store: Store) -> int:
        async with store.reading() as tx:
            return int(await tx.value("PRAGMA page_count"))

    assert on_store(tmp_path, work) == 0


def test_deleting_a_computer_or_package_takes_all_that_hangs_on_it(tmp_path: Path) -> None:
    async def work(store: Store) -> list[tuple[str, int]]:
        async with store.writing() as tx:
            for sql in (
                "INSERT INTO package (id, name, description, system, protocol, priority, action, argument, "
                "notice_countdown, notice_cancel, notice_delay, done_text, info_sha256, manifest_sha256, built_at) "
                "VALUES ('1795206923', 'p', '', 'LINUX', 'HTTP', 5, 'EXECUTE', 'true', 0, 0, 0, '', '', '', 0)",
                "INSERT INTO fragment VALUES ('1795206923', 1, 5, '')",
                "INSERT INTO activation VALUES (1, '1795206923', 'a', 'b', 0)",
                "INSERT INTO computer (id, device_id, name, tag, user_agent, address, first_seen, last_contact) "
                "VALUES (1, 'd', 'n', 't', '', '', 0, 0), (2, 'e', 'n', 't', '', '', 0, 0)",
                "INSERT INTO inventory VALUES (1, 0, 0, '')",
                "INSERT INTO account VALUES (1, 'a', 'b')",
                "INSERT INTO software VALUES (1, 'a', 'b', 'c')",
                "INSERT INTO installed VALUES (1, 1)",
                "INSERT INTO network VALUES (1, 'm', 'i', 's')",
                "INSERT INTO history VALUES (1, '1795206923')",
                "INSERT INTO override VALUES (1, 'DOWNLOAD', 0)",
                "INSERT INTO affectation (computer_id, package_id, stage, affected_at, changed_at) "
                "VALUES (1, '1795206923', 'waiting', 0, 0), (2, '1795206923', 'waiting', 0, 0)",
                "INSERT INTO event VALUES (1, 1, '1795206923', 0, 'affected', '')",
            ):
                await tx.run(sql)
        async with store.writing() as tx:
            await tx.run("DELETE FROM computer WHERE id = 1")
            await tx.run("DELETE FROM package")
        async with store.reading() as tx:
            names = [
                row[0]
                for row in await tx.rows(
                    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
                )
            ]
            return [(name, n) for name in names if (n := await tx.value(f"SELECT count(*) FROM {name}"))]

    left = on_store(tmp_path, work)
    assert left == [("sequence", 1), ("computer", 1), ("software", 1)]


def test_no_row_may_name_what_is_not_there(tmp_path: Path) -> None:
    async def work(store: Store) -> None:
        async with store.writing() as tx:
            await tx.run("INSERT INTO activation VALUES (1, '1795206923', 'a', 'b', 0)")

    with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
        on_store(tmp_path, work)


def test_a_failed_start_ends_its_threads(tmp_path: Path) -> None:
    (tmp_path / "ocs.sqlite").write_bytes(b"x" * 5000)
    (tmp_path / "ocs.sqlite").chmod(0o600)
    refused(tmp_path)
    assert [thread for thread in threading.enumerate() if "aiosqlite" in repr(thread).lower()] == []
    assert threading.active_count() <= 2
