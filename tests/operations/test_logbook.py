"""The log: paged, searched, and a chain that shows where somebody changed it."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.domain.account import SERVER, Actor, Role
from appliance.domain.log import Deed
from appliance.domain.refusal import Kind
from appliance.operations import logbook
from appliance.operations.desk import Desk
from appliance.operations.logbook import Verdict, read_log, verify_log
from appliance.store import log
from tests.fakes.appliance import on_desk
from tests.operations.people import Scene, play, refused

DEEDS = [Deed.PACKAGE_BUILT, Deed.PACKAGE_DELETED, Deed.USER_CREATED]


async def write(desk: Desk, count: int = 9) -> None:
    """Entries in turn, of ana and bob."""
    async with desk.store.writing() as tx:
        for number in range(count):
            actor = Actor(["ana", "bob"][number % 2], "console")
            await log.append(tx, actor, DEEDS[number % 3], f"package {number}", name="Größe", place=f"site {number}")


def written(tmp_path: Path, script: Callable[[Scene], Awaitable[Any]]) -> Any:
    """A scene with nine entries."""

    async def with_entries(scene: Scene) -> Any:
        await write(scene.desk)
        return await script(scene)

    return play(tmp_path, with_entries)


def test_pages_go_from_the_newest_to_the_oldest_and_miss_none(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        seen, before = [], None
        while True:
            page = await read_log(scene.desk, before=before, limit=4)
            seen += [entry.subject for entry in page.entries]
            before = page.more
            if before is None:
                break
        assert seen == [f"package {number}" for number in range(8, -1, -1)]
        assert (await read_log(scene.desk, limit=9)).more is None

    written(tmp_path, script)


@pytest.mark.parametrize(
    ("words", "deed", "found"),
    [
        ("", "", 9), ("ana", "", 5), ("ANA 4", "", 1), ("bob 4", "", 0), ("größe", "", 9), ("site built", "", 3),
        ("", "user created", 3), ("ana", "user created", 2), ("nothing", "", 0), ("100%", "", 0), ("_", "", 0),
    ],
)  # fmt: skip
def test_an_entry_is_found_that_has_all_the_words_and_is_of_the_deed(
    tmp_path: Path, words: str, deed: str, found: int
) -> None:
    async def script(scene: Scene) -> None:
        assert len((await read_log(scene.desk, words, deed)).entries) == found

    written(tmp_path, script)


def test_an_entry_says_who_did_what_when_and_through_what(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        (entry,) = (await read_log(scene.desk, limit=1)).entries
        assert (entry.at, entry.actor, entry.through) == (scene.clock.moment, "ana", "console")
        assert (entry.deed, entry.subject) == ("user created", "package 8")
        assert entry.detail == {"name": "Größe", "place": "site 8"}

    written(tmp_path, script)


def test_a_user_may_not_read_the_log(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        desk = scene.desk.acting(Actor("bob", "console", Role.USER, 2, frozenset()))
        assert (await refused(read_log(desk))).kind is Kind.FORBIDDEN
        assert (await refused(verify_log(desk))).kind is Kind.FORBIDDEN

    written(tmp_path, script)


def test_nothing_changes_or_shortens_the_log(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        for sql in ("UPDATE log SET actor = 'eve' WHERE id = 3", "DELETE FROM log WHERE id = 9"):
            with pytest.raises(sqlite3.IntegrityError, match="append only"):
                async with scene.desk.store.writing() as tx:
                    await tx.run(sql)
        assert (await verify_log(scene.desk)).entries == 9

    written(tmp_path, script)


# The chain


def test_a_chain_that_nobody_touched_holds_also_over_several_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(scene: Scene) -> None:
        whole = await verify_log(scene.desk)
        assert (whole.entries, whole.broken_at) == (9, None)
        assert len(whole.head) == 64
        for chunk in (1, 2, 3, 9, 10):
            monkeypatch.setattr(logbook, "CHUNK", chunk)
            assert await verify_log(scene.desk) == whole

    written(tmp_path, script)
    assert play(tmp_path / "empty", lambda scene: verify_log(scene.desk)) == Verdict(0, None, "")


@pytest.mark.parametrize(
    ("sql", "broken_at"),
    [
        ("UPDATE log SET actor = 'eve' WHERE id = 4", 4),
        ("UPDATE log SET at = at + 1 WHERE id = 1", 1),
        ("UPDATE log SET detail = replace(detail, 'site 6', 'site 7') WHERE id = 7", 7),
        ("UPDATE log SET chain = 'x' WHERE id = 9", 9),
        ("DELETE FROM log WHERE id = 5", 6),
        ("DELETE FROM log WHERE id = 1", 2),
        ("UPDATE log SET id = id + 100 WHERE id = 3", 4),
        ("INSERT INTO log SELECT 100, at, actor, through, deed, subject, detail, chain FROM log WHERE id = 9", 100),
    ],
)
def test_whoever_gets_past_the_triggers_is_found_at_the_first_entry_that_does_not_follow(
    tmp_path: Path, sql: str, broken_at: int
) -> None:
    on_desk(tmp_path, write)
    with closing(sqlite3.connect(tmp_path / "ocs.sqlite")) as connection:
        for trigger in ("log_never_changes", "log_never_shrinks"):
            connection.execute(f"DROP TRIGGER {trigger}")
        connection.execute(sql)
        connection.commit()
    assert on_desk(tmp_path, verify_log).broken_at == broken_at


@settings(max_examples=20)
@given(st.lists(st.tuples(st.text(max_size=20), st.text(max_size=20)), max_size=5))
def test_whatever_is_logged_verifies_and_reads_back(tmp_path_factory: Any, told: list[tuple[str, str]]) -> None:
    clean = [tuple(part.encode("utf-8", "replace").decode() for part in pair) for pair in told]

    async def script(scene: Scene) -> None:
        async with scene.desk.store.writing() as tx:
            for subject, value in clean:
                await log.append(tx, SERVER, Deed.SETTING_CHANGED, subject, value=value)
        verdict = await verify_log(scene.desk)
        assert (verdict.entries, verdict.broken_at) == (len(clean), None)
        entries = (await read_log(scene.desk)).entries
        assert [(entry.subject, entry.detail["value"]) for entry in reversed(entries)] == clean

    play(tmp_path_factory.mktemp("log"), script)
