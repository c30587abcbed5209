"""The database and its copies: copied while others write, looked at without a change, proved, written over whole.

Nobody but SQLite ever reads or writes the bytes of a living database. Blocking, but for `looking`; call it through
a thread.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol, cast

import aiosqlite
import zstandard

from appliance.clock import Clock
from appliance.disk import sync_folder
from appliance.domain.refusal import Kind, Refusal
from appliance.store import migrate, sums
from appliance.store.database import BUSY_SECONDS, FILE, Tx

try:
    import fcntl
except ImportError:  # Windows: what a kill left is not told from what lives, and stays
    fcntl = None  # type: ignore[assignment]

SCRATCH = ".scratch-"
PARTS = ("", "-wal", "-shm", "-journal")  # of a database
PAGES = 2000  # copied between two reports
LEVEL = 3
PIECE = 1024 * 1024
RAW_BLOCK = 128 * 1024  # the largest that zstd knows
SHRINKS = 0.95  # what shrinks less is stored
WINDOW = 128 * 1024**2  # bytes that a foreign file may make us keep in memory
MOST_TROUBLES = 20

Report = Callable[[int, int], None]  # bytes done, bytes in all


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """A folder of our own within the data directory, gone at the end; what a kill left of others goes too."""
    sweep_scratch(folder)
    path = Path(tempfile.mkdtemp(prefix=SCRATCH, dir=folder))
    descriptor = os.open(path, os.O_RDONLY) if fcntl else -1
    try:
        if fcntl:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        if fcntl:
            os.close(descriptor)


def sweep_scratch(folder: Path) -> list[str]:
    """Remove the scratch folders that a kill left: their names."""
    left = left_scratch(folder)
    for name in left:
        shutil.rmtree(folder / name, ignore_errors=True)
    return left


def left_scratch(folder: Path) -> list[str]:
    """The scratch folders in which no live process works."""
    return [path.name for path in sorted(folder.glob(f"{SCRATCH}*")) if fcntl and _is_free(path)]


def _is_free(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def copy_database(source: Path, target: Path, report: Report) -> None:
    """One picture of the database as a file of its own, on the disk when this returns. Writers are not held.

    The copy is taken within one read transaction: without it SQLite would begin anew at each write of somebody else.
    """
    with _machine_errors(source):
        _copy(source, target, report)


def keep_database(source: Path, target: Path, report: Report) -> None:
    """A copy, or where SQLite cannot read it any more, the wreck as it lies there."""
    try:
        with _machine_errors(source):
            _copy(source, target, report)
    except _Wreck:
        target.unlink(missing_ok=True)
        for suffix in PARTS:
            with contextlib.suppress(FileNotFoundError):
                link(Path(f"{source}{suffix}"), Path(f"{target}{suffix}"))


def overwrite_database(source: Path, target: Path, report: Report) -> None:
    """The whole of `source` into `target` in one transaction: killed at any moment, it is the old one or the new one.

    A wreck cannot take part in a transaction: `source` takes its name. Raises Refusal(BUSY) where somebody holds it.
    """
    try:
        with _machine_errors(target), _connected(source, "ro") as here, _connected(target, "rwc") as there:
            there.execute("PRAGMA synchronous=FULL")
            sums.forget(target)
            sync_folder(target.parent)
            here.backup(there, pages=PAGES, progress=_reporting(here, report))
    except _Wreck:
        sums.forget(target)
        for suffix in PARTS[1:]:
            Path(f"{target}{suffix}").unlink(missing_ok=True)
        sync_folder(target.parent)  # or a power cut could leave the wreck's log to the new database
        os.replace(source, target)
        sync_folder(target.parent)


def link(path: Path, other: Path) -> None:
    """A second name for a file, or a second file where the file system has no hard links."""
    try:
        os.link(path, other)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(path, other)


@asynccontextmanager
async def looking(path: Path, clock: Clock) -> AsyncIterator[Tx]:
    """One picture of a database that is changed by nothing, not even brought up to date.

    Raises Refusal: damaged, another program's, or of a newer version.
    """
    uri = f"{path.resolve().as_uri()}?mode=ro"
    with _machine_errors(path):
        async with aiosqlite.connect(uri, uri=True, isolation_level=None, timeout=BUSY_SECONDS) as connection:
            connection.row_factory = sqlite3.Row
            for pragma in ("query_only=ON", "trusted_schema=OFF", "cell_size_check=ON", "mmap_size=0"):
                await connection.execute(f"PRAGMA {pragma}")
            await connection.execute("BEGIN")
            await migrate.must_be_ours(connection, path)
            yield Tx(connection, clock.now())


async def schema_of(tx: Tx) -> int:
    """The number of the schema."""
    return int(await tx.value("PRAGMA user_version"))


async def troubles(tx: Tx) -> list[str]:
    """What SQLite finds wrong with the file and its references, in its own words; none where all is well."""
    found = [str(row[0]) for row in await tx.rows(f"PRAGMA integrity_check({MOST_TROUBLES})")]
    if found == ["ok"]:
        found = []
    orphans: dict[str, int] = {}
    for row in await tx.rows("PRAGMA foreign_key_check"):
        named = f"rows of {row[0]} speak of a row of {row[2]} that is not there"
        orphans[named] = orphans.get(named, 0) + 1
    return found + [f"{count} {named}" for named, count in orphans.items()]


async def strangers(tx: Tx) -> list[str]:
    """Tables, indexes, views and triggers that are not as the migrations make them, by name."""
    version = await schema_of(tx)
    sql = "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    with closing(sqlite3.connect(":memory:")) as model:
        for number, script in migrate.scripts():
            if number <= version:
                model.executescript(script)
        ours = set(model.execute(sql).fetchall())
    return sorted({row[1] for row in ours ^ {tuple(row) for row in await tx.rows(sql)}})


class Sink(Protocol):
    """Where bytes go."""

    def write(self, data: bytes | memoryview, /) -> object:
        """Take all of it."""


class Spring(Protocol):
    """Where bytes come from."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; none only at the end."""


class Packer:
    """Plain bytes in, zstd out, each PIECE a frame of its own.

    Packages are compressed already: where the first piece of a member does not shrink, all of it is stored as it is.
    """

    def __init__(self, out: Sink) -> None:
        self._out = out
        self._compressor = zstandard.ZstdCompressor(level=LEVEL)
        self._waiting = bytearray()
        self._stores: bool | None = None

    def begin(self) -> None:
        """What comes now may be of another kind."""
        self.flush()
        self._stores = None

    def write(self, data: bytes | memoryview, /) -> None:
        """Some more bytes; whole pieces go out at once."""
        if len(data) == PIECE and not self._waiting:
            self._put(data)
            return
        self._waiting += data
        while len(self._waiting) >= PIECE:
            self._put(bytes(self._waiting[:PIECE]))
            del self._waiting[:PIECE]

    def flush(self) -> None:
        """The rest, at the end of all or before another kind."""
        if self._waiting:
            self._put(bytes(self._waiting))
            self._waiting.clear()

    def _put(self, data: bytes | memoryview) -> None:
        if not self._stores:
            frame = self._compressor.compress(data)
            if self._stores is None:
                self._stores = len(frame) > len(data) * SHRINKS
        if not self._stores:
            self._out.write(frame)
            return
        for part in _stored(data):
            self._out.write(part)


def _stored(data: bytes | memoryview) -> Iterator[bytes | memoryview]:
    """A zstd frame of raw blocks (RFC 8878, 3.1.1): one segment with its size in four bytes, no checksum."""
    view = memoryview(data)
    yield zstandard.FRAME_HEADER + b"\xa0" + len(view).to_bytes(4, "little")
    for start in range(0, len(view), RAW_BLOCK):
        block = view[start : start + RAW_BLOCK]
        last = start + RAW_BLOCK >= len(view)
        yield (len(block) << 3 | last).to_bytes(3, "little")
        yield block


class Expanded:
    """zstd in, plain bytes out. Raises Refusal where it is damaged."""

    def __init__(self, file: Spring) -> None:
        expander = zstandard.ZstdDecompressor(max_window_size=WINDOW)
        self._reader = expander.stream_reader(cast(BinaryIO, file), read_size=256 * 1024, read_across_frames=True)

    def read(self, size: int, /) -> bytes:
        """Exactly so many bytes; fewer only at the end."""
        try:
            return self._reader.read(size)
        except zstandard.ZstdError as error:
            raise Refusal(
                Kind.CONFLICT, "the file is damaged, or no backup ({met}); take another one.", met=error
            ) from error


def is_plain(start: bytes) -> bool:
    """Whether a file that begins like this is compressed as a Packer does it."""
    return start.startswith(zstandard.FRAME_HEADER)


def has_data(folder: Path) -> bool:
    """Whether there is a database in which something was ever kept."""
    path = folder / FILE
    return path.exists() and path.stat().st_size > 0


class _Wreck(Refusal):
    """What lies there is no database any more."""


@contextmanager
def _machine_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        wreck = getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)
        kind = _Wreck if wreck else Refusal
        raise kind(Kind.CONFLICT, "{path} cannot be read or written: {error}.", path=path, error=error) from error


def _copy(source: Path, target: Path, report: Report) -> None:
    with _connected(source, "ro") as there, _connected(target, "rwc") as here:
        here.execute("PRAGMA synchronous=OFF")
        here.execute("PRAGMA journal_mode=OFF")
        there.execute("BEGIN")
        there.execute("SELECT count(*) FROM sqlite_master").fetchone()
        there.backup(here, pages=PAGES, progress=_reporting(there, report))
        there.execute("COMMIT")
        here.execute("PRAGMA journal_mode=DELETE")
    target.chmod(0o600)
    with target.open("r+b") as file:
        os.fsync(file.fileno())
    sync_folder(target.parent)


@contextmanager
def _connected(path: Path, mode: str) -> Iterator[sqlite3.Connection]:
    uri = f"{path.resolve().as_uri()}?mode={mode}"
    # not bound to a thread: whoever is cancelled closes it elsewhere
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_SECONDS, check_same_thread=False)
    with closing(connection):
        connection.execute("PRAGMA cell_size_check=ON")
        yield connection


def _reporting(source: sqlite3.Connection, report: Report) -> Callable[[int, int, int], None]:
    (page,) = source.execute("PRAGMA page_size").fetchone()

    def progress(status: int, remaining: int, total: int) -> None:
        if status & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):  # Python would try again for ever
            raise Refusal(Kind.BUSY, "another ocs.pyz uses the database; end it, and try again.")
        report((total - remaining) * page, total * page)

    return progress
