"""The sums of the database's pages: every changed byte is found, and nothing that is as it should be is called damaged.

Whoever may write is a real process, killed where it hurts; who looks is another one, as `check` is.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from appliance.clock import Clock
from appliance.store import sums
from tests.fakes.appliance import build, environment, must, say

PAGE = 4096
LOOK = "from appliance.clock import Clock; from appliance.store import sums; from pathlib import Path"
WRITES = """
import asyncio, os, random, sys
from pathlib import Path
from appliance.clock import Clock
from appliance.store import database, sums
folder, seed, rounds, end = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
database.LONG = 7
chance = random.Random(seed)

def ends(number, steps=[]):
    steps.append(number)
    if len(steps) == int(end):
        os._exit(9)

if end.isdigit():
    real, noted = sums.follow, sums.sum_of
    def follow(*values):
        ends("copied, not noted")
        real(*values)
        ends("noted")
    def sum_of(page):
        ends("in the midst of noting")
        return noted(page)
    sums.follow, sums.sum_of = follow, sum_of

async def main():
    store = await database.open_store(folder, Clock())
    for _ in range(rounds):
        async with store.writing() as tx:
            for _ in range(chance.randrange(1, 4)):
                name = f"S{chance.randrange(40)}"
                await tx.run("INSERT OR REPLACE INTO setting VALUES (?, ?)", (name, "x" * chance.randrange(9000)))
            if chance.random() < 0.3:
                await tx.run("DELETE FROM setting WHERE name = ?", (f"S{chance.randrange(40)}",))
    if end == "close":
        await store.close()
    print("wrote", flush=True)
    os._exit(0)
asyncio.run(main())
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory as a command line left it."""
    build(tmp_path / "data", "one")
    must("config", "set", "PROLOG_FREQ", "12", data=tmp_path / "data")
    return tmp_path / "data"


def writer(data: Path, seed: int, rounds: int, end: str) -> subprocess.Popen[str]:
    line = [sys.executable, "-c", WRITES, str(data), str(seed), str(rounds), end]
    return subprocess.Popen(line, env=environment(), text=True, stdout=subprocess.PIPE)


def write(data: Path, seed: int, end: str, rounds: int = 60) -> int:
    """Until it ends: its code."""
    with writer(data, seed, rounds, end) as process:
        process.communicate(timeout=60)
        return process.returncode


def compared(data: Path) -> sums.Compared:
    return sums.compare(data / "ocs.sqlite", Clock())


def is_whole(data: Path) -> bool:
    with closing(sqlite3.connect(f"file:{data}/ocs.sqlite?mode=ro", uri=True)) as connection:
        return bool(connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)])


def test_one_changed_byte_of_any_page_is_found_and_the_page_named(data: Path) -> None:
    path = data / "ocs.sqlite"
    good = path.read_bytes()
    pages = len(good) // PAGE
    assert pages > 50
    assert compared(data) == sums.Compared(pages, ())
    for page in range(1, pages + 1):
        chance = hashlib.sha256(b"%d" % page).digest()
        for place in (0, 1, PAGE - 1, int.from_bytes(chance[:2], "big") % PAGE):
            at = (page - 1) * PAGE + place
            with path.open("r+b") as file:
                file.seek(at)
                file.write(bytes([good[at] ^ 1 << chance[3] % 8]))
            assert compared(data).damaged == (page,), place
            with path.open("r+b") as file:
                file.seek(at)
                file.write(good[at : at + 1])
    assert compared(data).damaged == ()


def test_a_changed_letter_in_a_text_that_nothing_else_speaks_of_is_found_by_check(data: Path) -> None:
    package = build(data, "Media player", "--description", "a text of no other use")
    path = data / "ocs.sqlite"
    content = path.read_bytes()
    assert content.count(b"a text of no other use") == 1
    path.write_bytes(content.replace(b"a text of no other use", b"a text of no other ude"))
    assert is_whole(data)
    said = say("check", data=data)
    assert said.code == 1
    assert "1 of its" in said.out
    assert "ocs.pyz restore FILE --replace" in said.out
    assert "ude" in must("package", "show", package, data=data)
    path.write_bytes(content)
    must("check", data=data)


def test_a_page_too_many_or_half_a_page_is_found(data: Path) -> None:
    path = data / "ocs.sqlite"
    good = path.read_bytes()
    pages = len(good) // PAGE
    path.write_bytes(good + b"\0" * PAGE)
    assert compared(data).damaged == (pages + 1,)
    path.write_bytes(good[:-100])
    assert compared(data).damaged == (pages,)


@pytest.mark.parametrize("seed", range(3))
def test_what_a_writer_left_is_as_noted_whether_it_closed_or_was_killed(data: Path, seed: int) -> None:
    for round, end in enumerate(("close", "killed", "killed", "close", "killed")):
        assert write(data, seed * 10 + round, end) == 0
        assert compared(data).damaged == (), end
        assert is_whole(data)
    assert compared(data).pages > 50


def test_killed_between_the_pages_and_their_sums_nothing_is_called_damaged(data: Path) -> None:
    killed = 0
    for step in range(1, 40, 2):
        killed += write(data, step, str(step)) == 9
        assert compared(data).damaged == (), step
        before = must("config", "get", "PROLOG_FREQ", data=data)  # a command line is the next that closes it
        assert before == "12"
        assert compared(data).damaged == (), step
        assert is_whole(data)
    assert killed == 20


def test_while_two_processes_write_nothing_is_called_damaged_and_damage_is_found(data: Path) -> None:
    looks = 0
    with writer(data, 1, 400, "close") as one, writer(data, 2, 400, "close") as other:
        while one.poll() is None or other.poll() is None:
            assert compared(data).damaged == ()
            looks += 1
        assert (one.returncode, other.returncode) == (0, 0)
    assert looks > 5
    assert compared(data).damaged == ()
    assert "-wal" not in str(sorted(data.iterdir()))
    path = data / "ocs.sqlite"
    content = bytearray(path.read_bytes())
    content[-700] ^= 4
    path.write_bytes(content)
    assert compared(data).damaged == (len(content) // PAGE,)


def test_damage_under_a_running_server_is_found_where_the_log_does_not_have_the_page_anew(data: Path) -> None:
    held = sqlite3.connect(data / "ocs.sqlite", isolation_level=None)
    try:
        held.execute("PRAGMA wal_autocheckpoint=0")
        held.execute("UPDATE setting SET value = '13' WHERE name = 'PROLOG_FREQ'")
        waiting = set(sums._in_log(data / "ocs.sqlite"))
        assert waiting
        path = data / "ocs.sqlite"
        pages = path.stat().st_size // PAGE
        still = max(set(range(2, pages + 1)) - waiting)
        for page in (still, max(waiting)):
            with path.open("r+b") as file:
                file.seek(page * PAGE - 20)
                file.write(b"\xa5\xa5\xa5")
        look = f"{LOOK}; print(sums.compare(Path({str(path)!r}), Clock()))"
        said = subprocess.run(
            [sys.executable, "-c", look], env=environment(), text=True, capture_output=True, check=True, timeout=60
        )
        assert f"damaged=({still},)" in said.stdout
    finally:
        held.close()


def test_without_sums_a_start_takes_the_pages_as_they_are_and_no_sooner(data: Path) -> None:
    path = data / "ocs.sqlite"
    kept = sums.path_of(path)
    good = kept.read_bytes()
    kept.unlink()
    assert compared(data) == sums.Compared(0, ())
    assert "pages" not in must("check", data=data)
    assert not kept.exists(), "a look makes nothing"
    sums.follow(path, 10)
    assert not kept.exists(), "half of them would call the others damaged"
    must("config", "get", "PROLOG_FREQ", data=data)
    assert kept.read_bytes() == good
    assert kept.stat().st_mode & 0o777 == 0o600


def test_sums_that_are_damaged_themselves_are_said(data: Path) -> None:
    kept = sums.path_of(data / "ocs.sqlite")
    for content in (b"", b"OCS", os.urandom(400), kept.read_bytes()[:10]):
        kept.write_bytes(content)
        said = say("check", data=data)
        assert said.code == 1
        assert "remove ocs.sqlite-sums" in said.out


def test_a_database_of_before_gets_its_sums_at_the_first_start(data: Path, tmp_path: Path) -> None:
    old = Path(shutil.copytree(data, tmp_path / "old"))
    sums.forget(old / "ocs.sqlite")
    assert write(old, 5, "close") == 0
    assert compared(old).pages == (old / "ocs.sqlite").stat().st_size // PAGE
    assert compared(old).damaged == ()


def test_a_damaged_log_is_said_by_check_too(data: Path) -> None:
    assert write(data, 3, "killed", rounds=6) == 0
    path = data / "ocs.sqlite-wal"
    content = bytearray(path.read_bytes())
    content[32 + 24 + 500 : 32 + 24 + 600] = os.urandom(100)
    path.write_bytes(content)
    said = say("check", data=data)
    assert said.code == 1
    assert "has a hole" in said.out
