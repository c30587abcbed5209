"""The disk refuses an fsync of the database, once in each thread: at the Nth call, N = 1, 2, … until none is left.

strace has the system call itself fail, so SQLite is as it is. What was refused is not there; what was acknowledged
is, also when the process ends at once afterwards as by kill -9. After it nothing is written any more: the disk that
lost this may lose the next as well. Source: security.md F13.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from tests.fakes.appliance import environment

STRACE = ("strace", "-f", "-qq", "-e", "trace=fsync,fdatasync")
ROUND = """
import asyncio, os, sys, traceback
from pathlib import Path
from appliance.clock import Clock
from appliance.domain.refusal import Kind, Refusal
from appliance.store import database
from appliance.store.database import open_store
database.LONG = 6
async def main():
    try:
        store = await open_store(Path(sys.argv[1]), Clock(), readers=1)
    except Refusal as refusal:
        print("start", refusal, flush=True)
        os._exit(0)
    async with store.writing() as tx:
        ours = await tx.value("SELECT count(*) FROM setting WHERE name LIKE 'S%'")
    assert ours == 0
    for number in range(8):
        name, value = f"S{number}", "x" * 5000
        try:
            async with store.writing() as tx:
                await tx.run("INSERT INTO setting VALUES (?, ?)", (name, value))
            print("ok", name, flush=True)
        except Refusal as refusal:
            assert refusal.kind is Kind.BUSY, refusal
            assert "disk I/O error" in str(refusal) and "nothing is written any more" in str(refusal), refusal
            assert store.stopped is refusal
            async with store.reading() as tx:
                assert await tx.value("SELECT count(*) FROM setting WHERE name = ?", (name,)) == 0
            print("refused", name, flush=True)
    os._exit(0)
try:
    asyncio.run(main())
except BaseException:
    traceback.print_exc()
    os._exit(1)  # the database's threads would not let it end
"""


def test_a_transaction_whose_fsync_fails_is_refused_and_what_was_acknowledged_is_there(
    tmp_path: Path, need_peer: Callable[[str], None]
) -> None:
    need_peer("strace")
    seen = set()
    for number in range(1, 100):
        data, log = tmp_path / str(number), tmp_path / f"{number}.log"
        inject = f"inject=fsync,fdatasync:error=EIO:when={number}"
        done = subprocess.run(
            [*STRACE, "-e", inject, "-o", log, sys.executable, "-c", ROUND, data],
            capture_output=True, text=True, env=environment(), timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        if "INJECTED" not in log.read_text():
            break
        said = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
        acknowledged = {name for word, name in said if word == "ok"}
        seen |= {word for word, _ in said}
        if not any(word == "start" for word, _ in said):
            words = [word for word, _ in said]
            assert len(words) == 8
            assert words == sorted(words), "once refused, always refused"
            if "refused" in words and "nothing is written" not in done.stderr:
                raise AssertionError("it is not told")
            if "refused" not in words:
                seen.add("sums")  # the log is kept until they are written
        with closing(sqlite3.connect(data / "ocs.sqlite")) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            if acknowledged:
                rows = connection.execute("SELECT name, value FROM setting WHERE name LIKE 'S%'").fetchall()
                kept = {name for name, value in rows if value == "x" * 5000}
                assert len(kept) == len(rows)
                assert acknowledged <= kept
                late = {name for word, name in said if word == "refused"}
                assert kept - acknowledged <= {min(late)} if late else kept == acknowledged, (
                    "only the first can come back whole: nothing was written over it"
                )
    else:
        raise AssertionError("it never came through")
    assert seen == {"start", "ok", "refused", "sums"}
