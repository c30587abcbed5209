"""The SQLite file: one writer, a few readers, transactions that carry their own now. Source: security.md 3.2, R23."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import sqlite3
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiosqlite

from appliance.clock import Clock
from appliance.domain.refusal import Kind, Refusal
from appliance.domain.version import is_before
from appliance.store import damage, migrate, sums, wal
from appliance.store.ballast import LOW, Ballast
from appliance.store.private import make_private

LOG = logging.getLogger("ocs.database")

READERS = 3
BUSY_SECONDS = 20.0  # a build by command line may hold the writer while the server wants it
FILE = "ocs.sqlite"
CACHE_KIB = 8 * 1024
LONG = 1000  # frames of the log, one page each, after which they are copied into the file

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
    """The open database. `writing` is for one task at a time, `reading` for several.

    `stopped`: why nothing is written any more, None usually. A disk that lost one write is not trusted with another
    (security.md F13), and what is damaged is read at most (F21).
    """

    def __init__(self, path: Path, clock: Clock, stack: AsyncExitStack) -> None:
        self.path = path
        self.clock = clock
        self.ballast = Ballast(path.parent)
        self.stopped: Refusal | None = None
        self._stack = stack
        self._writer: aiosqlite.Connection
        self._copier: aiosqlite.Connection  # of the log into the file, while the writer keeps all others out
        self._lock = asyncio.Lock()
        self._log = wal.LogLength(path)
        self._next = LONG  # frames of the log at which it is copied
        self._readers: asyncio.Queue[aiosqlite.Connection] = asyncio.Queue()

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Tx]:
        """A write transaction; committed to the disk when the block ends well, else gone.

        Raises Refusal(BUSY) where another process holds the file longer than BUSY_SECONDS, or the disk failed.
        """
        async with self._lock:
            if self.stopped is not None:
                raise self.stopped
            with _machine_errors(self.path):
                try:
                    await self._writer.execute("BEGIN IMMEDIATE")
                    yield Tx(self._writer, self.clock.now())
                    await self._writer.execute("COMMIT")
                except BaseException as error:
                    await self._undo(error)
                    if self.stopped is not None:
                        raise self.stopped from error
                    raise
            await self._shorten_log()

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

    async def _undo(self, error: BaseException) -> None:
        code = getattr(error, "sqlite_errorcode", None)
        if code is not None and code & 0xFF == sqlite3.SQLITE_IOERR:
            self._stop(error)
        await _end(self._writer, "ROLLBACK")
        if code == sqlite3.SQLITE_FULL:
            self.ballast.drop()  # the next one succeeds

    def _stop(self, error: BaseException) -> None:
        self.stopped = Refusal(
            Kind.BUSY,
            "the disk failed when {path} was written ({met}), so nothing is written any more; look at the disk, then "
            "start the server anew.",
            path=self.path,
            met=error,
        )
        LOG.critical("%s", self.stopped)

    async def _shorten_log(self) -> None:
        """Copy a long log into the file. The transaction before is on the disk, whatever becomes of this."""
        try:
            frames = self._log.look()
            if frames < LONG:  # as always, or it was begun anew
                self._next = LONG
            elif frames >= self._next:
                self._next = frames + LONG  # also where readers of old pictures hold it up
                await _to_its_end(self._copy_log())
        except OSError as error:
            LOG.warning("the sums of %s cannot be written: %s", self.path, error.strerror)
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_IOERR:
                self._stop(error)

    async def _copy_log(self) -> None:
        """No other process writes meanwhile, so the sums are those of the pages. Raises sqlite3.Error, OSError."""
        await self._writer.execute("PRAGMA busy_timeout=0")  # who waits here has written already
        try:
            await self._writer.execute("BEGIN IMMEDIATE")
            try:
                ((_, frames, _),) = await self._copier.execute_fetchall("PRAGMA wal_checkpoint(PASSIVE)")
                await asyncio.to_thread(sums.follow, self.path, frames)
            finally:
                await self._writer.execute("ROLLBACK")
        finally:
            await self._writer.execute(f"PRAGMA busy_timeout={int(BUSY_SECONDS * 1000)}")

    async def _close_log(self) -> None:
        """Before SQLite does it, as it does when the last one closes."""
        if self.stopped is not None:
            return
        async with self._lock:
            try:
                await _to_its_end(self._copy_log())
            except sqlite3.Error:  # another process writes, or the disk fails and SQLite meets the same
                pass
            except OSError as error:
                LOG.warning("the sums of %s cannot be written and are given up: %s", self.path, error.strerror)
                with contextlib.suppress(OSError):
                    sums.forget(self.path)


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
    if not sums.are_kept(path):
        await _begin_sums(path, clock, checked)
    stack = AsyncExitStack()  # a failed start must end the threads, or the process would never end
    try:
        with _machine_errors(path):
            return await _open(path, clock, stack, readers, checked)
    except BaseException:
        await stack.aclose()
        raise


async def open_to_read(folder: Path, clock: Clock, *, readers: int = READERS) -> Store:
    """Open what may be damaged, and write nothing, not even what SQLite would repair; `stopped` says why.

    Whoever reads a damaged page meets a Refusal, the others read on. Raises Refusal.
    """
    path = folder / FILE
    damage.must_be_there(path)
    stack = AsyncExitStack()
    try:
        with _machine_errors(path):
            store = Store(path, clock, stack)
            for _ in range(readers):
                reader = await _connect(stack, path, "ro")
                await migrate.must_be_ours(reader, path)
                await _shield(reader)
                await reader.execute("PRAGMA query_only=ON")
                store._readers.put_nowait(reader)
            store.stopped = Refusal(
                Kind.BUSY,
                "{path} is only read, since the server runs to rescue what is there; restore a backup, then start it "
                "as always.",
                path=path,
            )
            return store
    except BaseException:
        await stack.aclose()
        raise


async def _begin_sums(path: Path, clock: Clock, checked: bool) -> None:
    """Before anything else is open; not of what is damaged or another program's."""
    with _machine_errors(path):
        async with AsyncExitStack() as stack:
            await _look_first(await _connect(stack, path), path, clock, checked)
        try:
            await asyncio.to_thread(sums.begin, path)
        except OSError as error:
            LOG.warning("the sums of %s cannot be written: %s", path, error.strerror)


async def _look_first(connection: aiosqlite.Connection, path: Path, clock: Clock, checked: bool) -> None:
    await migrate.must_be_ours(connection, path)  # before a pragma writes to what is another program's
    if checked:
        await damage.must_be_whole(connection, path, clock)


async def _open(path: Path, clock: Clock, stack: AsyncExitStack, readers: int, checked: bool) -> Store:
    store = Store(path, clock, stack)
    store._writer = await _connect(stack, path)
    await _look_first(store._writer, path, clock, checked)
    await _prepare(store._writer, path)
    await migrate.bring_up_to_date(store._writer, path)
    store._copier = await _connect(stack, path)
    await _prepare(store._copier, path)
    await store._copier.execute("PRAGMA busy_timeout=0")
    for _ in range(readers):
        reader = await _connect(stack, path)
        await _prepare(reader, path)
        await reader.execute("PRAGMA query_only=ON")
        store._readers.put_nowait(reader)
    stack.push_async_callback(store._close_log)
    return store


async def _to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """What must not be left half done where its task is cancelled; it takes some milliseconds."""
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    finally:
        if not task.done():
            await asyncio.wait([task])


async def _end(connection: aiosqlite.Connection, word: str) -> None:
    """End a transaction, also where its task was cancelled while BEGIN was still on its way to the thread.

    Statements reach the thread in order, so this one comes after; without a transaction it is an error that says so.
    """
    try:
        await asyncio.shield(connection.execute(word))
    except sqlite3.OperationalError:
        if connection.in_transaction:
            raise


async def _connect(stack: AsyncExitStack, path: Path, mode: str = "rwc") -> aiosqlite.Connection:
    uri = f"{path.resolve().as_uri()}?mode={mode}"
    connection = await stack.enter_async_context(
        aiosqlite.connect(uri, uri=True, isolation_level=None, timeout=BUSY_SECONDS, cached_statements=256)
    )
    connection.row_factory = sqlite3.Row
    await connection.create_function("version_before", 2, is_before, deterministic=True)
    return connection


async def _prepare(connection: aiosqlite.Connection, path: Path) -> None:
    await _ask_for_log(connection, path)
    for pragma in ("wal_autocheckpoint=0", "synchronous=FULL", "foreign_keys=ON"):
        await connection.execute(f"PRAGMA {pragma}")
    await _shield(connection)


async def _shield(connection: aiosqlite.Connection) -> None:
    for pragma in (
        "trusted_schema=OFF",
        "cell_size_check=ON",
        "mmap_size=0",
        "temp_store=MEMORY",
        f"cache_size=-{CACHE_KIB}",
    ):
        await connection.execute(f"PRAGMA {pragma}")


async def _ask_for_log(connection: aiosqlite.Connection, path: Path) -> None:
    """Where the disk fails at this, SQLite says so only by staying with another kind of log."""
    ((kind,),) = await connection.execute_fetchall("PRAGMA journal_mode=WAL")
    if kind != "wal":
        raise Refusal(
            Kind.BUSY, "{path} cannot be used: {error}; look at the disk, or restore a backup.", path=path,
            error="SQLite cannot begin its write-ahead log",
        )  # fmt: skip


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
