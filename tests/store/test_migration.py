"""Databases of released versions become today's: no row is lost, and a migration that fails changes nothing."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from appliance.clock import Clock
from appliance.store import migrate
from appliance.store.database import open_store
from tests.fakes.appliance import must, rows

DATA = Path(__file__).parent / "data"
RELEASED = sorted(DATA.glob("released-*.sql"))
OWN = ("sqlite_sequence", "sqlite_stat1")

each_release = pytest.mark.parametrize("release", RELEASED, ids=lambda path: path.stem)


def restored(folder: Path, release: Path) -> Path:
    """A data directory with that database."""
    data = folder / "data"
    data.mkdir(mode=0o700)
    path = data / "ocs.sqlite"
    path.touch(0o600)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(release.read_text(encoding="utf-8"))
    return data


def opened(data: Path) -> None:
    """Open it as every program does."""

    async def work() -> None:
        await (await open_store(data, Clock())).close()

    asyncio.run(work())


def columns(data: Path) -> dict[str, list[str]]:
    """The tables with their columns."""
    tables = [name for (name,) in rows(data, "SELECT name FROM sqlite_master WHERE type = 'table'") if name not in OWN]
    return {
        table: [column for (column,) in rows(data, "SELECT name FROM pragma_table_info(?)", table)] for table in tables
    }


def content(data: Path, known: dict[str, list[str]]) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of known tables in known columns."""
    return {
        table: sorted(rows(data, f"SELECT {', '.join(names)} FROM {table}"), key=repr) for table, names in known.items()
    }


def test_a_database_of_every_released_schema_is_at_hand() -> None:
    assert [int(re.findall(r"\d+", path.stem)[0]) for path in RELEASED] == [
        number for number, _ in migrate.scripts()[: len(RELEASED)]
    ]
    assert RELEASED


@each_release
def test_every_row_of_a_released_database_is_there_afterwards(tmp_path: Path, release: Path) -> None:
    data = restored(tmp_path, release)
    known = columns(data)
    before = content(data, known)
    filled = [table for table, found in before.items() if found]
    assert filled == list(known), "a table without a row proves nothing"
    opened(data)
    assert content(data, known) == before
    assert rows(data, "PRAGMA user_version") == [(migrate.scripts()[-1][0],)]
    assert rows(data, "PRAGMA integrity_check") == [("ok",)]
    assert rows(data, "PRAGMA foreign_key_check") == []


@each_release
def test_a_migrated_database_has_the_tables_and_indexes_of_a_new_one(tmp_path: Path, release: Path) -> None:
    data = restored(tmp_path, release)
    opened(data)
    opened(tmp_path / "new")
    sql = "SELECT type, name, tbl_name FROM sqlite_master ORDER BY type, name"
    assert rows(data, sql) == rows(tmp_path / "new", sql)
    assert columns(data) == columns(tmp_path / "new")


@each_release
def test_a_migrated_database_works(tmp_path: Path, release: Path) -> None:
    data = restored(tmp_path, release)
    computers = json.loads(must("computer", "list", "--json", data=data))
    assert len(computers) == len(rows(data, "SELECT 1 FROM computer"))
    assert len(json.loads(must("user", "list", "--json", data=data))) == len(rows(data, "SELECT 1 FROM user"))
    must("audit", "verify", data=data)


@each_release
@pytest.mark.parametrize("place", ["first", "last"])
def test_a_migration_that_fails_leaves_the_database_as_it_was(
    tmp_path: Path, release: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = restored(tmp_path, release)
    with closing(sqlite3.connect(data / "ocs.sqlite")) as connection:
        before = list(connection.iterdump())
    known = migrate.scripts()
    bad = "INSERT INTO setting VALUES ('A', '1');\nINSERT INTO nowhere VALUES (1);\n"
    number = rows(data, "PRAGMA user_version")[0][0] + 1
    scripts = (
        [(n, bad if n == number else sql) for n, sql in known] if place == "first" else [*known, (len(known) + 1, bad)]
    )
    with monkeypatch.context() as patch:
        patch.setattr(migrate, "scripts", lambda: scripts)
        with pytest.raises(sqlite3.OperationalError, match="nowhere"):
            opened(data)
    with closing(sqlite3.connect(data / "ocs.sqlite")) as connection:
        assert list(connection.iterdump()) == before
        assert connection.execute("PRAGMA user_version").fetchone() == (number - 1,)
    opened(data)
    assert rows(data, "PRAGMA user_version") == [(known[-1][0],)]
