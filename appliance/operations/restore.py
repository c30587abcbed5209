"""Put the data of a backup in the place of what is there: all of it, or nothing.

Everything is unpacked and verified in scratch folders first, where the database is also brought up to date. Then the
packages move to `fragments/<id>.building`, as an edit would make them, and one transaction of SQLite overwrites the
database. Before it the old data are whole, after it the new: which of two folders a row speaks of is known by the
manifest's digest, and the sweep of a start (here, or the next one after a kill) finishes or removes them.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import BinaryIO

from appliance.clock import Clock, stamp
from appliance.disk import sync_folder
from appliance.domain.account import Actor
from appliance.domain.log import Deed
from appliance.domain.package import is_package_id
from appliance.domain.refusal import Kind, Refusal
from appliance.operations.backup import Progress, must_agree
from appliance.operations.backup_file import disk_errors, opened_source, read_contents, read_members
from appliance.operations.build_package import in_thread
from appliance.operations.desk import open_desk
from appliance.operations.start import alone, sweep
from appliance.store import accounts, log
from appliance.store import backup as copies
from appliance.store.private import make_private
from appliance.store.shelf import BUILDING, Shelf
from appliance.store.uploads import must_hold
from appliance.wire.backup import DATABASE, Contents, Member

DATABASES = 3  # as many times a restore needs the database's size at most, beside what it unpacks
FOREVER = 2**62
REPLACED = "replaced-"


@dataclass(frozen=True)
class Restored:
    """What was restored, and where the former data are; None where there were none."""

    contents: Contents
    former: Path | None


async def restore(
    folder: Path,
    file: Path,
    passphrase: str | None,
    actor: Actor,
    clock: Clock,
    progress: Progress,
    *,
    replace: bool = False,
) -> Restored:
    """Restore a backup into a data directory on which no server runs. Raises Refusal; then nothing has changed."""
    with disk_errors(folder), alone(folder):
        make_private(folder, folder / DATABASE)
        replaces = copies.has_data(folder)
        if replaces and not replace:
            raise Refusal(
                Kind.CONFLICT,
                "{folder} holds data already; name an empty directory with --data, or add --replace: the data that are "
                "there are kept beside.",
                folder=folder,
            )
        shelf = Shelf(folder / "fragments")
        shelf.prepare()
        with copies.scratch(folder) as room, copies.scratch(shelf.folder) as parcels:
            contents = await in_thread(_unpack, file, passphrase, room, parcels, progress=progress)
            await must_agree(room / DATABASE, contents, clock)
            await _make_ready(room, file.name, actor, clock)
            former = _free_name(folder, clock) if replaces else None
            with ExitStack() as undo:
                await in_thread(_change, room, parcels, shelf, folder, former, undo, progress=progress)
        async with open_desk(folder, clock) as desk:
            await sweep(desk)
    return Restored(contents, former)


def _free_name(folder: Path, clock: Clock) -> Path:
    name = REPLACED + re.sub(r"\D", "", stamp(clock.now()))
    return next(path for n in count(1) if not (path := folder / (name if n == 1 else f"{name}-{n}")).exists())


def _unpack(file: Path, passphrase: str | None, room: Path, parcels: Path, report: Progress) -> Contents:
    """Every byte of the backup to where it waits, verified and on the disk."""
    with opened_source(file, passphrase) as source:
        contents = read_contents(source)
        must_hold(parcels, contents.size)
        must_hold(room, contents.size + DATABASES * contents.database.size)
        same: dict[str, list[Path]] = {}
        for shelved in contents.files:
            same.setdefault(shelved.piece.sha256, []).append(parcels / shelved.path)

        def place(member: Member) -> BinaryIO:
            if member.name == DATABASE:
                return _new(room / DATABASE, 0o600)
            return _new(same[member.name.rpartition("/")[2]][0], 0o644)

        read_members(source, contents, place, lambda done, total: report("unpack", done, total))
        for first, *others in same.values():
            for other in others:
                _private(other.parent)
                copies.link(first, other)
    _sync([*sorted(parcels.rglob("*")), parcels], report)
    return contents


async def _make_ready(room: Path, name: str, actor: Actor, clock: Clock) -> None:
    """The copy of the database as it will be used: of this version, with nobody signed in."""
    async with open_desk(room, clock) as desk, desk.store.writing() as tx:
        await accounts.purge_sessions(tx, FOREVER, FOREVER, FOREVER)
        await log.append(tx, actor, Deed.DATA_RESTORED, name)


def _change(
    room: Path, parcels: Path, shelf: Shelf, folder: Path, former: Path | None, undo: ExitStack, report: Progress
) -> None:
    """Keep the old, put the new beside, and swap: the last in one transaction, the rest undone where that fails."""
    if former is not None:
        _keep(folder, room / former.name, report)
        os.rename(room / former.name, former)
        undo.callback(shutil.rmtree, former, ignore_errors=True)
    busy = {path.name for path in shelf.folder.glob(f"*{BUILDING}")} - set(shelf.idle())
    if busy:
        raise Refusal(Kind.BUSY, "package {name} is being built or edited; end that first.", name=min(busy)[:10])
    for path in [path for path in parcels.iterdir() if path.is_dir()]:
        waits = shelf.folder / f"{path.name}{BUILDING}"
        shutil.rmtree(waits, ignore_errors=True)  # a kill left it
        os.rename(path, waits)
        undo.callback(shutil.rmtree, waits, ignore_errors=True)
        report("move", 0, 0)
    sync_folder(shelf.folder)
    sync_folder(folder)
    copies.overwrite_database(
        room / DATABASE, folder / DATABASE, lambda done, total: report("overwrite the database", done, total)
    )
    undo.pop_all()  # the rows speak of the new folders from here on
    report("done", 0, 0)


def _keep(folder: Path, former: Path, report: Progress) -> None:
    """The old data under another name: in the data directory, which may be a disk of its own."""
    for path in sorted((folder / "fragments").glob("[0-9]*/*")):
        if is_package_id(path.parent.name) and path.is_file():
            _private(former / "fragments" / path.parent.name)
            copies.link(path, former / "fragments" / path.parent.name / path.name)
    _private(former)
    copies.keep_database(
        folder / DATABASE, former / DATABASE, lambda done, total: report("keep the old database", done, total)
    )
    _sync([*sorted(former.rglob("*")), former], report)


def _new(path: Path, mode: int) -> BinaryIO:
    _private(path.parent)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb")


def _private(folder: Path) -> None:
    for path in (*reversed(folder.parents), folder):
        if not path.exists():
            path.mkdir(mode=0o700)


def _sync(paths: Sequence[Path], report: Progress) -> None:
    for done, path in enumerate(paths):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        report("write to the disk", done, len(paths))
