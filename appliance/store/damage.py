"""What a start looks for before it takes the database for good: a lost file, a log with a hole, a damaged page.

SQLite itself ends quietly at the first bad frame of its write-ahead log and makes a missing file anew: what was
acknowledged behind it would be gone and nobody told. Source: security.md F21.
"""

from __future__ import annotations

import asyncio
import sqlite3
import struct
from pathlib import Path

import aiosqlite

from appliance.clock import Clock
from appliance.domain.package import is_package_id
from appliance.domain.refusal import Kind, Refusal
from appliance.store import wal

SECONDS = 0.7  # for a look at the pages; SQLite looks through some 500 MB in that time
MOST_WAL = 16 * 1024**2  # bytes of the log that are looked at; SQLite keeps it near 4 MiB
MAGIC = 0x377F0682


def must_be_there(path: Path) -> None:
    """Raises Refusal where packages lie beside a database that is missing or empty: that is no first start."""
    if path.exists() and path.stat().st_size:
        return
    shelf = path.parent / "fragments"
    if shelf.is_dir() and any(is_package_id(entry.name) for entry in shelf.iterdir()):
        raise Refusal(
            Kind.CONFLICT,
            "{path} is missing or empty, and packages lie beside it; put it back, or restore a backup: "
            "ocs.pyz restore FILE --replace",
            path=path,
        )


async def must_have_its_log(path: Path) -> None:
    """Raises Refusal for a write-ahead log that is damaged or was taken away. To be called before SQLite opens it."""
    log, index = Path(f"{path}-wal"), Path(f"{path}-shm")
    # SQLite makes the log first and removes it last; a power cut may leave the index alone, of what was copied
    if not log.exists() and _says_more(index) and not log.exists():
        raise damaged(path, "its write-ahead log (-wal) was taken away")
    for again in (True, False):
        met = await asyncio.to_thread(_hole, log)
        if not met:
            return
        if again:
            await asyncio.sleep(0.2)  # a command line may have written meanwhile
    raise damaged(path, met)


async def must_be_whole(connection: aiosqlite.Connection, path: Path, clock: Clock) -> None:
    """Raises Refusal for damaged pages, as far as they are found in SECONDS; `check` finds them all."""
    end = clock.monotonic() + SECONDS
    await connection.set_progress_handler(lambda: int(clock.monotonic() > end), 1000)
    try:
        rows = list(await connection.execute_fetchall("PRAGMA quick_check(1)"))
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_INTERRUPT:
            return
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise damaged(path, str(error)) from error
        raise
    finally:
        await connection.set_progress_handler(None, 0)  # type: ignore[arg-type]
    met = " ".join(str(rows[0][0]).split()) if rows else ""
    if met and met != "ok":
        raise damaged(path, met[:200])


def damaged(path: Path, met: str, kind: Kind = Kind.CONFLICT) -> Refusal:
    """The Refusal of a database that cannot be trusted, with the way back."""
    return Refusal(
        kind,
        "{path} is damaged: {met}. Look it over with: ocs.pyz check; bring back the last good backup with: "
        "ocs.pyz restore FILE --replace; until then `ocs.pyz serve --rescue` serves what can be read.",
        path=path,
        met=met,
    )


def _says_more(index: Path) -> bool:
    """Whether the index speaks of frames that were not copied into the file."""
    with wal.opened(index) as file:
        known = wal.index_of(file) if file else None
    return known is not None and known.frames > known.copied


def _hole(log: Path) -> str:
    """What is wrong with the log, "" if nothing is.

    A kill or a power cut leaves at most one transaction torn, the last. Two that are whole behind a bad frame were
    written later than it, so it was on the disk once.
    """
    try:
        with log.open("rb") as file:
            data = file.read(MOST_WAL)
    except FileNotFoundError:
        return ""
    if len(data) < wal.HEAD:
        return ""
    magic, _, page, _, *salts = struct.unpack(">6I", data[:24])
    order = ">" if magic & 1 else "<"
    sums = _sums(order, data[:24], (0, 0))
    if magic & ~1 != MAGIC or sums != struct.unpack(">2I", data[24 : wal.HEAD]) or not 512 <= page <= 65536:
        return "the head of its write-ahead log is not as it was written" if len(data) > wal.HEAD + wal.FRAME else ""
    size = wal.FRAME + page
    good, behind = True, 0
    for at in range(wal.HEAD, len(data) - size + 1, size):
        head = data[at : at + wal.FRAME]
        _, commit, *mine = struct.unpack(">4I", head[:16])
        if good:
            if mine == salts:
                sums = _sums(order, data[at + wal.FRAME : at + size], _sums(order, head[:8], sums))
                good = sums == struct.unpack(">2I", head[16:])
            else:
                good = False
        elif mine == salts and commit:
            behind += 1
    return "its write-ahead log has a hole, with later transactions behind it" if behind > 1 else ""


def _sums(order: str, data: bytes, sums: tuple[int, int]) -> tuple[int, int]:
    """SQLite's checksum of its log, going on from `sums`."""
    one, two = sums
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for first, second in zip(words[::2], words[1::2], strict=True):
        one = (one + first + two) & 0xFFFFFFFF
        two = (two + second + one) & 0xFFFFFFFF
    return one, two
