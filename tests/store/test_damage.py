"""A server that starts on a damaged database: refused in one sentence with the way back, and nothing made anew.

The files are real ones: a store that was ended as by kill -9, so that its log is beside it, and is damaged then.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from appliance.clock import Clock
from appliance.domain.refusal import Kind, Refusal
from appliance.store import damage
from appliance.store.database import open_store
from tests.fakes.appliance import build, command, environment, must, say

WRITES = """
import asyncio, os, sys
from pathlib import Path
from appliance.clock import Clock
from appliance.store.database import open_store
async def main():
    store = await open_store(Path(sys.argv[1]), Clock())
    for number in range(40):
        async with store.writing() as tx:
            await tx.run("INSERT INTO setting VALUES (?, ?)", (f"S{number}", "x" * 3000))
    os._exit(0)
asyncio.run(main())
"""
FRAME = 24 + 4096


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with a package and forty settings, of which the log tells; its process was ended."""
    folder = tmp_path_factory.mktemp("damage") / "data"
    build(folder, "one")
    subprocess.run([sys.executable, "-c", WRITES, folder], check=True, env=environment(), timeout=60)
    assert (folder / "ocs.sqlite-wal").stat().st_size > 40 * FRAME
    return folder


@pytest.fixture
def data(killed: Path, tmp_path: Path) -> Path:
    """A copy of it to damage."""
    return Path(shutil.copytree(killed, tmp_path / "data"))


def start(folder: Path) -> int:
    """As a server opens its data: how many settings are there. Raises Refusal."""

    async def run() -> int:
        store = await open_store(folder, Clock(), checked=True)
        try:
            async with store.reading() as tx:
                return int(await tx.value("SELECT count(*) FROM setting"))
        finally:
            await store.close()

    return asyncio.run(run())


def digests(folder: Path) -> dict[str, str]:
    """Of the database and its log; what SQLite keeps in memory beside them is no data."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.glob("ocs.sqlite*")
        if path.suffix != ".sqlite-shm"
    }


def refused(folder: Path) -> str:
    """The sentence; nothing was made or changed."""
    before = digests(folder)
    with pytest.raises(Refusal) as caught:
        start(folder)
    assert caught.value.kind in (Kind.CONFLICT, Kind.BUSY)
    sentence = str(caught.value)
    assert str(folder / "ocs.sqlite") in sentence
    assert "ocs.pyz restore FILE --replace" in sentence
    assert digests(folder) == before
    return sentence


def overwrite(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def flush(data: Path) -> None:
    """All in the database, none in the log."""
    with closing(sqlite3.connect(data / "ocs.sqlite")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def test_what_a_kill_left_is_no_damage(data: Path) -> None:
    assert start(data) >= 40
    assert start(data) >= 40


@pytest.mark.parametrize("left", [1, 31, 32, 33, 32 + FRAME, -1, -FRAME, -FRAME - 100])
def test_a_log_that_ends_anywhere_is_no_damage(data: Path, left: int) -> None:
    path = data / "ocs.sqlite-wal"
    os.truncate(path, left if left > 0 else path.stat().st_size + left)
    start(data)


def test_a_last_transaction_that_the_power_tore_is_no_damage(data: Path) -> None:
    path = data / "ocs.sqlite-wal"
    overwrite(path, path.stat().st_size - 3000, b"\0" * 100)
    assert start(data) >= 39


@pytest.mark.parametrize("at", [32 + 500, 32 + 5 * FRAME + 2000, 32 + 20 * FRAME + 16])
def test_a_hundred_bytes_of_the_log_overwritten_stop_the_start(data: Path, at: int) -> None:
    overwrite(data / "ocs.sqlite-wal", at, os.urandom(100))
    assert "has a hole" in refused(data)


def test_a_damaged_head_of_the_log_stops_the_start(data: Path) -> None:
    overwrite(data / "ocs.sqlite-wal", 5, b"\xff\xff")
    assert "the head of its write-ahead log" in refused(data)


def test_a_log_that_was_taken_away_stops_the_start(data: Path) -> None:
    (data / "ocs.sqlite-wal").unlink()
    assert "was taken away" in refused(data)


@pytest.mark.parametrize("index", ["empty", "copied"])
def test_an_index_that_a_power_cut_left_alone_is_no_damage(data: Path, index: str) -> None:
    held = sqlite3.connect(data / "ocs.sqlite")
    held.execute("PRAGMA wal_checkpoint(PASSIVE)")
    kept = (data / "ocs.sqlite-shm").read_bytes()
    held.close()
    assert not (data / "ocs.sqlite-wal").exists()
    (data / "ocs.sqlite-shm").write_bytes(kept if index == "copied" else b"")
    (data / "ocs.sqlite-shm").chmod(0o600)
    assert start(data) >= 40


def test_a_damaged_header_stops_the_start(data: Path) -> None:
    flush(data)
    overwrite(data / "ocs.sqlite", 0, os.urandom(4096))
    assert "is damaged" in refused(data)


def test_a_damaged_page_stops_the_start_wherever_it_is_and_none_passes_with_less_data(data: Path) -> None:
    flush(data)
    path = data / "ocs.sqlite"
    size = path.stat().st_size
    with closing(sqlite3.connect(path)) as connection:
        pages = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name IN ('setting', 'package', 'computer', 'event')"
        ).fetchall()
    good = path.read_bytes()
    for (page,) in pages:
        assert page * 4096 <= size
        overwrite(path, (page - 1) * 4096, b"\xa5" * 4096)
        assert "is damaged" in refused(data)
        path.write_bytes(good)
    os.truncate(path, size // 2)
    assert "is damaged" in refused(data)


@pytest.mark.parametrize("how", ["empty", "missing"])
def test_an_empty_or_missing_database_beside_packages_is_no_first_start(data: Path, how: str) -> None:
    flush(data)
    for path in data.glob("ocs.sqlite*"):
        path.unlink()
    if how == "empty":
        (data / "ocs.sqlite").touch(0o600)
    assert "packages lie beside it" in refused(data)
    assert say("package", "list", data=data).code == 1, "and not by a command line either"
    assert (data / "ocs.sqlite").exists() == (how == "empty")


def test_an_empty_file_without_packages_is_a_first_start_that_was_killed(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    (folder / "fragments").mkdir(parents=True, mode=0o700)
    folder.chmod(0o700)
    (folder / "ocs.sqlite").touch(0o600)
    assert start(folder) >= 0


@pytest.mark.parametrize("how", ["empty", "missing", "page", "hole"])
def test_a_restore_brings_all_back(data: Path, tmp_path: Path, how: str) -> None:
    must("backup", tmp_path / "kept.tar.zst", data=data)
    path = data / "ocs.sqlite"
    if how == "hole":
        again = [sys.executable, "-c", WRITES.replace("S{number}", "T{number}"), data]
        subprocess.run(again, check=True, env=environment(), timeout=60)
        overwrite(data / "ocs.sqlite-wal", 32 + 500, b"\xa5" * 100)
    elif how == "page":
        flush(data)
        overwrite(path, 4096, b"\xa5" * 4096 * 20)
    else:
        flush(data)
        for part in data.glob("ocs.sqlite*"):
            part.unlink()
        if how == "empty":
            path.touch(0o600)
    refused(data)
    must("restore", tmp_path / "kept.tar.zst", "--replace", data=data)
    assert start(data) >= 40
    assert must("package", "list", data=data)


def test_a_server_says_it_in_one_line_and_ends(data: Path) -> None:
    overwrite(data / "ocs.sqlite-wal", 32 + 500, os.urandom(100))
    done = subprocess.run(
        [*command("serve", "--listen", "127.0.0.1", "--data", data)],
        capture_output=True, text=True, env=environment(), timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].startswith(f"ocs.pyz: {data / 'ocs.sqlite'} is damaged: ")
    assert "Traceback" not in done.stderr


def test_a_look_at_a_large_database_ends_in_time(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flush(data)
    with closing(sqlite3.connect(data / "ocs.sqlite")) as connection, connection:
        connection.execute(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000) "
            "INSERT INTO setting SELECT 'L' || i, hex(randomblob(100)) FROM n"
        )
    flush(data)
    monkeypatch.setattr(damage, "SECONDS", 0.0)
    begun = time.monotonic()
    assert start(data) > 60_000, "not looked at to the end, and no reason to refuse"
    assert time.monotonic() - begun < 2
