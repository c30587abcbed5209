"""Make a backup while everything goes on, and prove one by reading it again to its last byte."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from appliance import __version__
from appliance.clock import Clock
from appliance.disk import sync_folder
from appliance.domain.account import Right
from appliance.domain.log import Deed
from appliance.domain.package import Piece
from appliance.domain.refusal import Kind, Refusal
from appliance.operations.backup_file import Differs, disk_errors, opened_source, read_contents, read_members, write
from appliance.operations.build_package import in_thread
from appliance.operations.desk import Desk
from appliance.operations.package_files import Named, named_files, opened
from appliance.store import backup as copies
from appliance.store import log, packages
from appliance.store.database import Tx
from appliance.store.shelf import Shelf
from appliance.store.uploads import must_hold
from appliance.wire.backup import DATABASE, Contents, Member, Shelved

TRIES = 5
READ = 1024 * 1024
STEADY = 32 * 1024 * 1024
Progress = Callable[[str, int, int], None]  # what is done, bytes done, bytes in all


@dataclass(frozen=True)
class Backup:
    """A backup that was made: `size` is the file's own."""

    path: Path
    size: int
    contents: Contents
    sealed: bool


class _Gone(Exception):
    """A file that the copy of the database names is not there, or not as it must be."""

    def __init__(self, named: Named) -> None:
        self.named = named
        super().__init__(named.path)


async def back_up(
    desk: Desk, target: Path, passphrase: str | None, progress: Progress, *, overwrite: bool = False
) -> Backup:
    """All data in one file, which is there whole or not at all. Raises Refusal.

    The copy of the database comes first and nothing is held. Where a package that it names is edited or deleted
    before its files were read, all is taken anew.
    """
    desk.must_have(Right.ADMINISTRATOR)
    if target.exists() and not overwrite:
        raise Refusal(Kind.CONFLICT, "{target} is there already; choose another name.", "file", target=target)
    data = desk.store.path.parent.resolve()
    if data in target.resolve().parents:
        raise Refusal(
            Kind.CONFLICT, "{target} lies among the data; choose another folder, best on another disk.", "file",
            target=target,
        )  # fmt: skip
    for _ in range(TRIES):
        try:
            made = await _attempt(desk, target, passphrase, progress)
        except _Gone as gone:
            await _must_have_changed(desk, gone.named)
            continue
        async with desk.store.writing() as tx:
            await log.append(tx, desk.actor, Deed.BACKUP_MADE, target.name, size=made.size, sealed=made.sealed)
        return made
    raise Refusal(Kind.BUSY, "packages were edited or deleted all the time; try again when nobody does.")


async def prove(file: Path, passphrase: str | None, folder: Path, clock: Clock, progress: Progress) -> Contents:
    """Read a backup to its end and hold everything in it against everything else. Raises Refusal.

    `folder`: the data directory, where the database is unpacked for it.
    """
    with copies.scratch(folder) as room:

        def read(report: Progress) -> Contents:
            with opened_source(file, passphrase) as source:
                contents = read_contents(source)
                must_hold(folder, contents.database.size)

                def place(member: Member) -> BinaryIO | None:
                    return (room / DATABASE).open("wb") if member.name == DATABASE else None

                read_members(source, contents, place, lambda done, total: report("read", done, total))
                return contents

        contents = await in_thread(read, progress=progress)
        await must_agree(room / DATABASE, contents, clock)
    return contents


async def must_agree(database: Path, contents: Contents, clock: Clock) -> None:
    """Raises Refusal where the copy of the database is not whole, not ours, or does not name what the manifest has."""
    async with copies.looking(database, clock) as tx:
        if met := await _first_trouble(tx):
            raise Refusal(Kind.CONFLICT, "the backup's database is damaged ({met}); take another backup.", met=met)
        named = {(file.path, file.sha256) for file in await named_files(tx)}
        has = {(file.path, file.piece.sha256) for file in contents.files}
        if named != has or await copies.schema_of(tx) != contents.schema:
            raise Refusal(Kind.CONFLICT, "the backup's manifest and its database differ; take another backup.")


async def _first_trouble(tx: Tx) -> str:
    for met in await copies.troubles(tx):
        return met
    for name in await copies.strangers(tx):
        return f"{name} is not as this program makes it"
    return ""


async def _attempt(desk: Desk, target: Path, passphrase: str | None, progress: Progress) -> Backup:
    live = desk.store.path
    must_hold(live.parent, live.stat().st_size)
    with copies.scratch(live.parent) as room:
        copy = room / DATABASE

        def take(report: Progress) -> Piece:
            copies.copy_database(live, copy, lambda done, total: report("copy the database", done, total))
            with copy.open("rb") as file:
                return Piece(copy.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())

        database = await in_thread(take, progress=progress)
        async with copies.looking(copy, desk.clock) as tx:
            if met := await _first_trouble(tx):  # what could not be restored is no backup
                raise Refusal(
                    Kind.CONFLICT,
                    "the database is damaged ({met}), so there is no backup; 'ocs.pyz check' says what to do.",
                    met=met,
                )
            schema, made_at = await copies.schema_of(tx), tx.now
            named = await named_files(tx)

        def put(report: Progress) -> Backup:
            files = tuple(_measured(desk.shelf, file) for file in named)
            contents = Contents(__version__, schema, made_at, database, files)
            by_content = {file.sha256: file for file in named}

            def open_member(member: Member) -> BinaryIO:
                return copy.open("rb") if member.name == DATABASE else _open(desk.shelf, by_content[_last(member)])

            with _written_whole(target, contents.size) as out:
                try:
                    write(out, contents, open_member, passphrase, lambda done, total: report("write", done, total))
                except Differs as differs:
                    raise _Gone(by_content[_last(differs.member)]) from None
            return Backup(target, target.stat().st_size, contents, passphrase is not None)

        return await in_thread(put, progress=progress)


async def _must_have_changed(desk: Desk, named: Named) -> None:
    """Raises Refusal where the row still names that file: then it is damaged, and nobody edited it."""
    async with desk.store.reading() as tx:
        marks = await packages.marks(tx, named.package)
    if marks is not None and marks.manifest == named.manifest:
        raise Refusal(
            Kind.CONFLICT,
            "fragments/{path} is damaged or missing, so there is no backup; 'ocs.pyz check' says what to do.",
            path=named.path,
        )


def _measured(shelf: Shelf, named: Named) -> Shelved:
    with _open(shelf, named) as file:
        size = named.size if named.size is not None else file.seek(0, os.SEEK_END)
    return Shelved(named.package, named.name, Piece(size, named.sha256))


def _open(shelf: Shelf, named: Named) -> BinaryIO:
    try:
        return opened(shelf, named)
    except Refusal as refusal:
        raise _Gone(named) from refusal


def _last(member: Member) -> str:
    return member.name.rpartition("/")[2]


@contextmanager
def _written_whole(target: Path, size: int) -> Iterator[BinaryIO]:
    """A file that takes its name when all of it is on the disk. Raises Refusal where the disk does not take it."""
    with disk_errors(target):
        must_hold(target.parent, size)
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
        try:
            with os.fdopen(descriptor, "wb", buffering=READ) as out:
                yield _Steady(out)  # type: ignore[misc]
                out.flush()
                os.fsync(out.fileno())
            os.replace(name, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise
        sync_folder(target.parent)


class _Steady:
    """A file whose bytes go on to the disk as they come, so that the sync at the end finds little to do."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = self._sent = 0

    def write(self, data: bytes | memoryview, /) -> None:
        """Some more bytes."""
        self._file.write(data)
        self._size += len(data)
        if self._size - self._sent >= STEADY and hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._file.fileno(), self._sent, self._size - self._sent, os.POSIX_FADV_DONTNEED)
            self._sent = self._size
