"""A sum of every page of the database, in `ocs.sqlite-sums` beside it: to SQLite another letter is just a letter.

Pages come into the file from SQLite's log alone, at a checkpoint. Store makes all of these itself: SQLite copies the
pages, then their sums are written here and synced, and only after that the log may be begun anew. Until then its
frames say what belongs where, so after a kill or a power cut they are copied and summed once more.

Where the file is missing (a first start, a restore, somebody removed it to accept what another program wrote) the next
start takes the pages as they are.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from appliance.clock import Clock
from appliance.disk import sync_folder
from appliance.store import wal

SUFFIX = "-sums"
TRIES = 5  # looks at a page that a server may be writing
PAUSE = 0.3  # seconds between two
PIECE = 256  # pages that are read at once

_HEAD = struct.Struct(">8sII")  # mark, version, size of a page in bytes; then four bytes for each page, the first is 1
_MARK = b"OCS-sums"
_VERSION = 1
_UNKNOWN = 0


@dataclass(frozen=True)
class Compared:
    """How many pages were held against their sums, and the numbers of those that differ."""

    pages: int
    damaged: tuple[int, ...]


def path_of(database: Path) -> Path:
    """Where the sums of a database lie."""
    return Path(f"{database}{SUFFIX}")


def are_kept(database: Path) -> bool:
    """Whether there are sums."""
    return path_of(database).exists()


def forget(database: Path) -> None:
    """The database is about to be written by somebody else: the next start takes it as it is then."""
    path_of(database).unlink(missing_ok=True)


def begin(database: Path) -> None:
    """Take the pages as they are, where there are no sums. Nobody else in this process may have the database open.

    Closing a file drops the locks that the whole process has on it, so it is closed when SQLite's connection is.
    Raises sqlite3.Error, OSError.
    """
    with database.open("rb") as file, closing(sqlite3.connect(database, isolation_level=None)) as connection:
        if connection.execute("PRAGMA journal_mode=WAL").fetchone() != ("wal",):
            raise OSError(errno.EIO, "SQLite cannot begin its write-ahead log")
        connection.execute("PRAGMA wal_autocheckpoint=0")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("BEGIN IMMEDIATE")  # of two first starts one waits, and then finds it done
        if not are_kept(database):
            (size,) = connection.execute("PRAGMA page_size").fetchone()
            _keep_all(database, size, (sum_of(page) for _, page in _pages(file, size)))
        connection.execute("ROLLBACK")


def follow(database: Path, frames: int) -> None:
    """Note the sums of all pages in the first `frames` frames of the log, on the disk when this returns.

    To be called after a checkpoint and before anybody may write again. Raises OSError.
    """
    with wal.opened(path_of(database), "r+b") as kept, wal.opened(f"{database}-wal") as log:
        size = wal.page_size(log) if kept and log else 0
        if not (kept and log and size):
            return
        newest = {page: number for number, page in enumerate(wal.pages_of(log, size, frames))}
        for page, number in newest.items():
            kept.seek(_HEAD.size + 4 * (page - 1))
            kept.write(struct.pack(">I", sum_of(wal.frame(log, size, number))))
        os.fsync(kept.fileno())


def compare(database: Path, clock: Clock) -> Compared:
    """Hold every page against its sum; safe while another process writes. Raises OSError.

    Not in a process that has the database open (see `begin`).
    """
    if not are_kept(database):
        return Compared(0, ())
    with database.open("rb") as file:
        damaged, pages = _differing(database, file, None)
        for _ in range(TRIES):
            if not damaged or not Path(f"{database}-shm").exists():  # nobody writes
                break
            clock.rest(PAUSE)
            damaged &= _differing(database, file, damaged)[0]
    return Compared(pages, tuple(sorted(damaged)))


def sum_of(page: bytes) -> int:
    """CRC-32: it differs wherever not more than 32 bits beside each other do. 0 stands for a page without one."""
    return zlib.crc32(page) or 1


def _differing(database: Path, file: BinaryIO, only: set[int] | None) -> tuple[set[int], int]:
    """The pages that are neither as noted nor as the log has them; and how many there are."""
    before = _in_log(database)
    with path_of(database).open("rb") as sums:
        mark, version, size = _HEAD.unpack(sums.read(_HEAD.size).ljust(_HEAD.size, b"\0"))
        noted = sums.read()
    if mark != _MARK or version != _VERSION or not 512 <= size <= 65536:
        raise OSError(0, f"{path_of(database).name} is damaged")
    found, count = {}, 0
    for number, page in _pages(file, size, only):
        count += 1
        if (mine := sum_of(page)) != int.from_bytes(noted[4 * number - 4 : 4 * number], "big"):
            found[number] = mine
    if not found:
        return set(), count
    logs = (before, _in_log(database))
    damaged = {page for page, mine in found.items() if all(log.get(page, -1) not in (mine, None) for log in logs)}
    return damaged, count


def _in_log(database: Path) -> dict[int, int | None]:
    """The sum of each page in the log; None where it was not copied yet: its bytes in the file are of no matter."""
    with wal.opened(f"{database}-wal") as log, wal.opened(f"{database}-shm") as index:
        size = wal.page_size(log) if log else 0
        if not (log and size):
            return {}
        known = wal.index_of(index) if index else None
        copied = known.copied if known and known.salts == wal.salts(log) else 0
        newest = {page: number for number, page in enumerate(wal.pages_of(log, size, None))}
        return {
            page: sum_of(wal.frame(log, size, number)) if number < copied else None for page, number in newest.items()
        }


def _pages(file: BinaryIO, size: int, only: set[int] | None = None) -> Iterator[tuple[int, bytes]]:
    """Each page with its number; the last one may be cut short."""
    if only is not None:
        for number in sorted(only):
            file.seek((number - 1) * size)
            if page := file.read(size):
                yield number, page
        return
    file.seek(0)
    number = 0
    while data := file.read(PIECE * size):
        for start in range(0, len(data), size):
            number += 1
            yield number, data[start : start + size]


def _keep_all(database: Path, size: int, sums: Iterable[int]) -> None:
    path = path_of(database)
    fresh = Path(f"{path}.new")
    try:
        with open(fresh, "wb", opener=lambda name, how: os.open(name, how, 0o600)) as file:
            file.write(_HEAD.pack(_MARK, _VERSION, size))
            for one in sums:
                file.write(struct.pack(">I", one))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        sync_folder(path.parent)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
