"""What the server does when the power is cut, and what was there before. A job is a process of its own, under strace.

Every line that a job writes into the file of marks is something that somebody was told is done: "commit", or what an
operation answered. The first word says what, the rest is looked at after the cut.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiosqlite

from appliance import disk
from appliance.clock import Clock
from appliance.domain.account import SERVER
from appliance.domain.package import Action, Order, System
from appliance.operations import drafts
from appliance.operations.activate import activate
from appliance.operations.affect import Selection, Terms, affect
from appliance.operations.backup import back_up
from appliance.operations.build_package import build_package
from appliance.operations.certificates import ensure_certificates
from appliance.operations.configure import set_setting
from appliance.operations.delete_package import delete_package
from appliance.operations.desk import Desk, open_desk
from appliance.operations.drafts import announce_file, build_draft, list_drafts, open_draft, receive
from appliance.operations.edit_package import edit_package
from appliance.operations.restore import restore
from appliance.operations.start import sweep
from appliance.store import database, packages
from tests.fakes.appliance import device, inventory, on_desk, prolog, report, tell
from tests.fakes.archives import targz_of

HERE, THERE = "ocs.example.org:4343/download", "ocs.example.org:8080/download"
PIECE = 2000
ORDER = Order("built", System.LINUX, Action.STORE, "/opt/x")
FORM = {"name": "built", "os": "LINUX", "action": "STORE", "path": "/x"}


def noise(size: int, seed: str) -> bytes:
    """Bytes that do not compress, the same each time."""
    return b"".join(hashlib.sha256(b"%s %d" % (seed.encode(), n)).digest() for n in range(size // 32))


ARCHIVE = targz_of({"data.bin": noise(4800, "one")})
OTHER = targz_of({"data.bin": noise(3200, "two")})
INSTALLER = noise(5000, "three")
SENT = {"p.tar.gz": ARCHIVE, "q.tar.gz": OTHER, "setup.bin": INSTALLER}

_marks = -1


def mark(*words: object) -> None:
    """From here on somebody knows."""
    os.write(_marks, " ".join(map(str, words)).encode() + b"\n")


def silent(*_: object) -> None:
    """No progress."""


async def pieces(data: bytes, size: int = 700) -> AsyncIterator[bytes]:
    """As they come from the network."""
    for at in range(0, len(data), size):
        yield data[at : at + size]


# Before: `folder` becomes the parent of the data directory


def nothing(folder: Path) -> None:
    """Not even the folder that the data directory is to lie in."""


def one_package(folder: Path) -> None:
    """A package of two fragments."""
    folder.mkdir()
    (folder / "p.tar.gz").write_bytes(ARCHIVE)

    async def work(desk: Desk) -> None:
        await set_setting(desk, "FRAGMENT_SIZE", str(PIECE))
        await build_package(desk, replace(ORDER, name="first"), folder / "p.tar.gz", "3000", silent)

    on_desk(folder / "data", work)


def one_draft(folder: Path) -> None:
    """A form whose file is still to come."""
    folder.mkdir()

    async def work(desk: Desk) -> None:
        await set_setting(desk, "FRAGMENT_SIZE", str(PIECE))
        await open_draft(desk, FORM)

    on_desk(folder / "data", work)


def half_a_file(folder: Path) -> None:
    """A form whose file has come in part."""
    one_draft(folder)

    async def work(desk: Desk) -> None:
        (draft,) = await list_drafts(desk)
        await announce_file(desk, draft.id, "p.tar.gz", len(ARCHIVE))
        await receive(desk, draft.id, 0, pieces(ARCHIVE[:3000]))

    on_desk(folder / "data", work)


def a_file(folder: Path) -> None:
    """A form whose file has come."""
    one_draft(folder)

    async def work(desk: Desk) -> None:
        (draft,) = await list_drafts(desk)
        await announce_file(desk, draft.id, "p.tar.gz", len(ARCHIVE))
        await receive(desk, draft.id, 0, pieces(ARCHIVE))

    on_desk(folder / "data", work)


def a_computer(folder: Path) -> None:
    """A package, and a computer that has told of itself."""
    folder.mkdir()

    async def work(desk: Desk) -> None:
        await build_package(desk, replace(ORDER, action=Action.EXECUTE, argument="true"), None, None, silent)
        await tell(desk, inventory(device()))

    on_desk(folder / "data", work)


def a_backup(folder: Path) -> None:
    """A backup, and nothing else."""
    one_package(folder)
    on_desk(folder / "data", back_up, folder / "backup.tar.zst", None, silent)
    shutil.rmtree(folder / "data")


def other_data(folder: Path) -> None:
    """A backup beside other data."""
    a_backup(folder)
    (folder / "q.tar.gz").write_bytes(OTHER)
    on_desk(folder / "data", build_package, ORDER, folder / "q.tar.gz", "2000", silent)


def a_wreck(folder: Path) -> None:
    """A backup beside what was a database, with a log that a new one must not get."""
    other_data(folder)
    path = folder / "data" / "ocs.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_autocheckpoint=0")
        connection.execute("INSERT INTO setting VALUES ('FREQUENCY', '3')")
        log = Path(f"{path}-wal").read_bytes()
    Path(f"{path}-wal").write_bytes(log)
    path.write_bytes(b"wreck" * 2000)


def an_old_one(folder: Path) -> None:
    """The data of an earlier version."""
    from tests.store.test_migration import RELEASED, restored

    folder.mkdir()
    restored(folder, RELEASED[0])


# Meanwhile


async def start(data: Path) -> None:
    """The first start of all, and the first package."""
    async with open_desk(data, checked=True) as desk:
        await sweep(desk)
        await ensure_certificates(desk, ["ocs.example.org"])
        mark("certificates")
        await build_package(desk, replace(ORDER, action=Action.EXECUTE, argument="true"), None, None, silent)
        mark("built")


async def build(data: Path) -> None:
    async with open_desk(data) as desk:
        await build_package(desk, ORDER, data.parent / "p.tar.gz", "3000", silent)
        mark("built")


async def upload(data: Path) -> None:
    """A file in three requests, the middle one cut off by the network; then it is built."""
    async with open_desk(data) as desk:
        (draft,) = await list_drafts(desk)
        await announce_file(desk, draft.id, "p.tar.gz", len(ARCHIVE))
        for start, end in ((0, 2500), (2500, 4500), (4500, len(ARCHIVE))):
            there = await receive(desk, draft.id, start, pieces(ARCHIVE[start:end]))
            mark("arrived", draft.id, there.done)
        await build_draft(desk, draft.id, str(PIECE), silent)
        mark("built")


async def build_upload(data: Path) -> None:
    async with open_desk(data) as desk:
        (draft,) = await list_drafts(desk)
        await build_draft(desk, draft.id, str(PIECE), silent)
        mark("built")


async def installer(data: Path) -> None:
    """A bare file that the server packs itself, so that nothing in it could tell that it is damaged."""
    async with open_desk(data) as desk:
        (draft,) = await list_drafts(desk)
        await announce_file(desk, draft.id, "setup.bin", len(INSTALLER))
        there = await receive(desk, draft.id, 0, pieces(INSTALLER))
        mark("arrived", draft.id, there.done)
        await drafts.prepare(desk, draft.id)
        mark("packed", draft.id)
        await build_draft(desk, draft.id, None, silent)
        mark("built")


async def another_file(data: Path) -> None:
    """Another file than the one that has come in part; what comes of it, the network cuts off."""
    async with open_desk(data) as desk:
        (draft,) = await list_drafts(desk)
        await announce_file(desk, draft.id, "q.tar.gz", len(OTHER))
        there = await receive(desk, draft.id, 0, pieces(OTHER[:700]))
        mark("arrived", draft.id, there.done)


async def edit(data: Path) -> None:
    async with open_desk(data) as desk:
        (package,) = await every(desk)
        file = data.parent / "q.tar.gz"
        file.write_bytes(OTHER)
        await edit_package(desk, package, replace(ORDER, name="edited", argument="/opt/y"), file, "2000", silent)
        mark("edited")


async def rename(data: Path) -> None:
    """An edit that keeps the fragments."""
    async with open_desk(data) as desk:
        (package,) = await every(desk)
        await edit_package(desk, package, replace(ORDER, name="edited"), None, None, silent)
        mark("edited")


async def deploy(data: Path) -> None:
    """From the activation to the result. SQLite's log is begun anew several times."""
    assert database.LONG > 15
    database.LONG = 15
    async with open_desk(data) as desk:
        (package,) = await every(desk)
        await activate(desk, package, HERE, THERE, unchecked=True)
        await affect(desk, package, Selection(everyone=True), Terms())
        mark("affected")
        reply = await tell(desk, prolog(device()))
        mark("announced", len(reply.packs))
        await tell(desk, report(device(), package, "SUCCESS"))
        mark("result")


async def delete(data: Path) -> None:
    async with open_desk(data) as desk:
        (package,) = await every(desk)
        await delete_package(desk, package)
        mark("deleted")


async def keep(data: Path) -> None:
    """A backup, and a small file that is replaced."""
    async with open_desk(data) as desk:
        await back_up(desk, data.parent / "backup.tar.zst", None, silent)
        mark("kept", "backup.tar.zst")
    for word in (b"one", b"another"):
        disk.keep(data.parent / "small", word * 300)
        mark("kept", "small")


async def bring_back(data: Path) -> None:
    """A backup in the place of other data, or of nothing."""
    await restore(data, data.parent / "backup.tar.zst", None, SERVER, Clock(), silent, replace=True)
    mark("restored")


async def every(desk: Desk) -> list[str]:
    async with desk.store.reading() as tx:
        return [package.id for package in await packages.every(tx)]


async def update(data: Path) -> None:
    """The first start of a newer version."""
    async with open_desk(data, checked=True) as desk:
        await sweep(desk)
        mark("kept", "data/ocs.sqlite.schema-1")


def _mark_commits() -> None:
    execute: Any = aiosqlite.Connection._execute

    async def marked(self: aiosqlite.Connection, fn: Any, *values: Any, **named: Any) -> Any:
        result = await execute(self, fn, *values, **named)
        if values[:1] == ("COMMIT",):
            mark("commit")
        return result

    aiosqlite.Connection._execute = marked  # type: ignore[method-assign]


def main(name: str, data: str, marks: str) -> None:
    """One job, from the command line."""
    global _marks
    _marks = os.open(marks, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    drafts.SMALLEST_PIECE = 1
    drafts.BATCH = 500
    _mark_commits()
    asyncio.run(globals()[name](Path(data)))


if __name__ == "__main__":
    main(*sys.argv[1:])
