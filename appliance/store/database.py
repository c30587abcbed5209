"""The SQLite file: one writer, a few readers, transactions that carry their own now. Source: security.md 3.2, R23."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiosqlite

from appliance.clock import Clock
from appliance.domain.refusal import Kind, Refusal
from appliance.domain.version import is_before
from appliance.store import damage, migrate
from appliance.store.ballast import LOW, Ballast

READERS = 3
BUSY_SECONDS = 20.0  # a build by command line may hold the writer while the server wants it
FILE = "ocs.sqlite"
CACHE_KIB = 8 * 1024

Row = sqlite3.Row


class Tx:
    """One transaction; `now` is fixed throughout (seconds since 1970)."""

    def __init__(self, connection: aiosqlite.Connection, now: int) -> None:
        self._connection = connection
        self.now = now

    async def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """All rows of a query."""
        return list(await self._connection.execute_fetchall(sql, values))

    async def row(self, sql: str, values: Sequence[Any] = ()) -> Row | None:
        """The first row of a query, or None."""
        found = await self.rows(sql, values)
        return found[0] if found else None

    async def value(self, sql: str, values: Sequence[Any] = ()) -> Any:
        """The first column of the first row, or None."""
        found = await self.row(sql, values)
        return found[0] if found else None

    async def run(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Execute one statement: how many rows it changed."""
        cursor = await self._connection.execute(sql, values)
        return cursor.rowcount

    async def insert(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Execute one INSERT: the new row's number."""
        row = await self._connection.execute_insert(sql, values)
        assert row is not None
        return int(row[0])

    async def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Execute one statement for each row of values."""
        await self._connection.executemany(sql, rows)


class Store:
    """The open database. `writing` is for one task at a time, `reading` for several."""

    def __init__(self, path: Path, clock: Clock, stack: AsyncExitStack) -> None:
        self.path = path
        self.clock = clock
        self.ballast = Ballast(path.parent)
        self._stack = stack
        self._writer: aiosqlite.Connection
        self._lock = asyncio.Lock()
        self._readers: asyncio.Queue[aiosqlite.Connection] = asyncio.Queue()

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Tx]:
        """A write transaction; committed to the disk when the block ends well, else gone.

        Raises Refusal(BUSY) where another process holds the file longer than BUSY_SECONDS.
        """
        async with self._lock:
            with _machine_errors(self.path):
                try:
                    await self._writer.execute("BEGIN IMMEDIATE")
                    yield Tx(self._writer, self.clock.now())
                    await self._writer.execute("COMMIT")
                except BaseException as error:
                    await _end(self._writer, "ROLLBACK")
                    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
                        self.ballast.drop()  # the next one succeeds
                    raise

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Tx]:
        """A read transaction: one unchanging picture of the data."""
        reader = await self._readers.get()
        with _machine_errors(self.path):
            try:
                await reader.execute("BEGIN")
                yield Tx(reader, self.clock.now())
            finally:
                try:
                    await _end(reader, "COMMIT")
                finally:
                    self._readers.put_nowait(reader)

    async def close(self) -> None:
        """Close all connections; the file is whole at any moment, with or without this."""
        await self._stack.aclose()


async def open_store(folder: Path, clock: Clock, *, readers: int = READERS, checked: bool = False) -> Store:
    """Open `folder`/ocs.sqlite, made and brought up to date where needed. Raises Refusal.

    `checked`: not before it was looked at for damage, as a server does that starts.
    """
    path = folder / FILE
    damage.must_be_there(path)
    make_private(folder, path)
    if checked:
        await damage.must_have_its_log(path)
    if shutil.disk_usage(folder).free < LOW:
        Ballast(folder).drop()
    stack = AsyncExitStack()  # a failed start must end the threads, or the process would never end
    try:
        with _machine_errors(path):
            return await _open(path, clock, stack, readers, checked)
    except BaseException:
        await stack.aclose()
        raise


async def _open(path: Path, clock: Clock, stack: AsyncExitStack, readers: int, checked: bool) -> Store:
    store = Store(path, clock, stack)
    store._writer = await _connect(stack, path)
    await migrate.must_be_ours(store._writer, path)  # before a pragma writes to what is another program's
    if checked:
        await damage.must_be_whole(store._writer, path, clock)
    await _prepare(store._writer)
    await migrate.bring_up_to_date(store._writer, path)
    for _ in range(readers):
        reader = await _connect(stack, path)
        await _prepare(reader)
        await reader.execute("PRAGMA query_only=ON")
        store._readers.put_nowait(reader)
    return store


def make_private(folder: Path, path: Path) -> None:
    """The data directory 0700 and the database file 0600, before SQLite opens it.

    Raises Refusal where it is not ours alone: what others may read must not hold keys (security.md R20).
    """
    try:
        if not folder.exists():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        elif _is_open(folder):
            _tighten(folder, path)
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        elif _is_open(path):
            raise _too_open(folder, path)
    except OSError as error:
        raise unusable(folder, error) from error


def _tighten(folder: Path, path: Path) -> None:
    """An empty directory was made for us by hand; one with other files is not ours, nor is its mode."""
    has_data, has_files = path.exists(), any(folder.iterdir())
    if not _is_open(folder):
        return  # another first start was faster
    if has_data:
        raise _too_open(folder, folder)
    if has_files:
        raise Refusal(
            Kind.CONFLICT,
            "{folder} holds other files and other accounts may look into it; choose an empty or new directory with "
            "--data.",
            folder=folder,
        )
    folder.chmod(0o700)


def _is_open(path: Path) -> bool:
    return os.name != "nt" and bool(path.stat().st_mode & 0o077)


def _too_open(folder: Path, path: Path) -> Refusal:
    return Refusal(
        Kind.CONFLICT,
        "{path} is open to other accounts, and private keys lie in it; close it with: chmod -R go= {folder}",
        path=path,
        folder=folder,
    )


def unusable(folder: Path, error: OSError) -> Refusal:
    """The Refusal of a data directory that cannot be made or entered."""
    return Refusal(
        Kind.CONFLICT,
        "the data directory {folder} cannot be used: {met}; choose another with --data.",
        folder=folder,
        met=error.strerror,
    )


async def _end(connection: aiosqlite.Connection, word: str) -> None:
    """End a transaction, also where its task was cancelled while BEGIN was still on its way to the thread.

    Statements reach the thread in order, so this one comes after; without a transaction it is an error that says so.
    """
    try:
        await asyncio.shield(connection.execute(word))
    except sqlite3.OperationalError:
        if connection.in_transaction:
            raise


async def _connect(stack: AsyncExitStack, path: Path) -> aiosqlite.Connection:
    connection = await stack.enter_async_context(
        aiosqlite.connect(path, isolation_level=None, timeout=BUSY_SECONDS, cached_statements=256)
    )
    connection.row_factory = sqlite3.Row
    await connection.create_function("version_before", 2, is_before, deterministic=True)
    return connection


async def _prepare(connection: aiosqlite.Connection) -> None:
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "trusted_schema=OFF",
        "cell_size_check=ON",
        "mmap_size=0",
        "temp_store=MEMORY",
        f"cache_size=-{CACHE_KIB}",
    ):
        await connection.execute(f"PRAGMA {pragma}")


def _refusal(error: sqlite3.Error, path: Path) -> Refusal | None:
    """The Refusal of an error that the machine is to blame for; None for a bug of ours."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return None
    if code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Refusal(Kind.BUSY, "the database is in use by another process for too long; try again.")
    if code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return damage.damaged(path, str(error), Kind.BUSY)
    if code & 0xFF in _MACHINE:
        return Refusal(
            Kind.BUSY, "{path} cannot be used: {error}; look at the disk, or restore a backup.", path=path, error=error
        )
    return None


_MACHINE = frozenset(
    [
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PERM,
    ]
)


@contextmanager
def _machine_errors(path: Path) -> Iterator[None]:
    """What goes wrong below us as a Refusal: a full disk is no bug."""
    try:
        yield
    except sqlite3.Error as error:
        refusal = _refusal(error, path)
        if refusal is None:
            raise
        raise refusal from error
