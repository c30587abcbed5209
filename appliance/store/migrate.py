"""Bring the file up to date with the numbered scripts in schema/, or refuse to start. Source: security.md R27."""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
import tempfile
from contextlib import closing
from importlib import resources
from pathlib import Path

import aiosqlite

from appliance.disk import sync_folder
from appliance.domain.refusal import Kind, Refusal

APPLICATION_ID = 0x4F435331  # "OCS1"


def scripts() -> list[tuple[int, str]]:
    """The migrations in order: number and SQL."""
    folder = resources.files("appliance.store") / "schema"
    found = []
    for entry in folder.iterdir():
        match = re.match(r"^(\d{4})_\w+\.sql$", entry.name)
        if match:
            found.append((int(match.group(1)), entry.read_text(encoding="utf-8")))
    return sorted(found)


async def must_be_ours(connection: aiosqlite.Connection, path: Path) -> None:
    """Look and touch nothing. Raises Refusal for a file that is another program's, or of a newer version."""
    newest = scripts()[-1][0]
    # one statement, one picture: another first start may be committing meanwhile
    ((version, owner, tables),) = await connection.execute_fetchall(
        "SELECT (SELECT user_version FROM pragma_user_version), "
        "(SELECT application_id FROM pragma_application_id), (SELECT count(*) FROM sqlite_master)"
    )
    if owner != APPLICATION_ID and (owner or version or tables):
        raise Refusal(
            Kind.CONFLICT, "{path} is another program's database; choose another --data directory.", path=path
        )
    if version > newest:
        raise Refusal(
            Kind.CONFLICT,
            "{path} was written by a newer version (schema {version}, this one knows {newest}); use that version.",
            path=path,
            version=version,
            newest=newest,
        )


async def bring_up_to_date(connection: aiosqlite.Connection, path: Path) -> None:
    """Run what is missing, all of it in one transaction. Raises Refusal as `must_be_ours` does.

    What the older version knew is kept beside it as `ocs.sqlite.schema-N`, for whoever wants to go back.
    """
    known = scripts()
    if await _version(connection) == known[-1][0]:
        return
    await connection.execute("BEGIN IMMEDIATE")  # of two first starts one waits here, and then finds nothing to do
    former = None
    try:
        await must_be_ours(connection, path)
        version = await _version(connection)
        if 0 < version < known[-1][0]:
            former = path.with_name(f"{path.name}.schema-{version}")
            await asyncio.to_thread(_keep_former, path, former)
        for number, sql in known:
            if number > version:
                for statement in statements(sql):
                    await connection.execute(statement)
                await connection.execute(f"PRAGMA user_version={number:d}")
        await connection.execute(f"PRAGMA application_id={APPLICATION_ID:d}")
        await connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # after some errors of the disk SQLite has ended it already
            await connection.execute("ROLLBACK")
        if former is not None and not await _is_done(connection, known[-1][0]):
            former.unlink(missing_ok=True)
        raise
    for older in path.parent.glob(f"{path.name}.schema-*"):
        if former is not None and older != former:
            older.unlink(missing_ok=True)


def _keep_former(path: Path, former: Path) -> None:
    """A copy of what is committed, by a reader of its own: the writer is in the midst of the migration."""
    for cut_short in path.parent.glob(f".{former.name}.*.tmp"):  # by a kill; of two starts one is here at a time
        cut_short.unlink(missing_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{former.name}.", suffix=".tmp", dir=path.parent)  # 0600
    try:
        with closing(sqlite3.connect(path)) as reader:
            reader.execute("VACUUM INTO ?", (name,))
        os.fsync(descriptor)
        os.replace(name, former)
        sync_folder(path.parent)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)


def statements(sql: str) -> list[str]:
    """A script's statements; executescript would commit the transaction around them."""
    result, statement = [], ""
    for line in sql.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            result.append(statement)
            statement = ""
    if statement.strip():
        raise ValueError("a migration ends in the middle of a statement")
    return result


async def _is_done(connection: aiosqlite.Connection, newest: int) -> bool:
    """Whether the migration was committed before it failed; what cannot be read any more may have been."""
    try:
        return await _version(connection) == newest
    except sqlite3.Error:
        return True


async def _version(connection: aiosqlite.Connection) -> int:
    return int(next(row[0] for row in await connection.execute_fetchall("PRAGMA user_version")))
