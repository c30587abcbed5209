"""Bring the file up to date with the numbered scripts in schema/, or refuse to start. Source: security.md R27."""

from __future__ import annotations

import re
import sqlite3
from importlib import resources
from pathlib import Path

import aiosqlite

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


async def bring_up_to_date(connection: aiosqlite.Connection, path: Path) -> None:
    """Run what is missing, all of it in one transaction. Raises Refusal for a file that is newer or not ours."""
    known = scripts()
    if await _version(connection) == known[-1][0]:
        await _must_be_ours(connection, path)
        return
    await connection.execute("BEGIN IMMEDIATE")  # of two first starts one waits here, and then finds nothing to do
    try:
        version = await _version(connection)
        if version > known[-1][0]:
            raise Refusal(
                Kind.CONFLICT,
                f"{path} was written by a newer version (schema {version}, this one knows {known[-1][0]}); "
                "use that version.",
            )
        if version == 0 and await _tables(connection):
            raise Refusal(Kind.CONFLICT, f"{path} is another program's database; choose another --data directory.")
        for number, sql in known:
            if number > version:
                for statement in statements(sql):
                    await connection.execute(statement)
                await connection.execute(f"PRAGMA user_version={number:d}")
        await connection.execute(f"PRAGMA application_id={APPLICATION_ID:d}")
        await connection.execute("COMMIT")
    except BaseException:
        await connection.execute("ROLLBACK")
        raise


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


async def _version(connection: aiosqlite.Connection) -> int:
    return int(next(row[0] for row in await connection.execute_fetchall("PRAGMA user_version")))


async def _tables(connection: aiosqlite.Connection) -> int:
    rows = await connection.execute_fetchall("SELECT count(*) FROM sqlite_master")
    return int(next(row[0] for row in rows))


async def _must_be_ours(connection: aiosqlite.Connection, path: Path) -> None:
    rows = await connection.execute_fetchall("PRAGMA application_id")
    if [row[0] for row in rows] != [APPLICATION_ID]:
        raise Refusal(Kind.CONFLICT, f"{path} is another program's database; choose another --data directory.")
