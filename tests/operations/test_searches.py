"""Searches under a name: kept and deleted by administrators, used by everyone, each change in the log."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.domain.account import Actor, Role
from appliance.domain.refusal import Kind, Refusal
from appliance.domain.search import EVERY, Criterion, Operator, all_of, parse, to_json
from appliance.operations.searches import delete_search, find_kept, keep_search, kept_searches
from tests.operations.kit import Scene, play

WINDOWS = all_of([parse("OSNAME = Windows (ALL)")])
LINUX = all_of([parse("OSNAME = Linux (ALL)")])


def test_a_search_is_kept_found_by_name_or_number_and_deleted(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        made = await keep_search(scene.desk, "  All   Windows ", WINDOWS)
        await keep_search(scene.desk, "a", LINUX)
        assert (made.name, made.search, made.created_at) == ("All Windows", WINDOWS, scene.clock.now())
        assert [kept.name for kept in await kept_searches(scene.desk)] == ["a", "All Windows"]
        assert await find_kept(scene.desk, "all windows") == made == await find_kept(scene.desk, made.id)
        assert await delete_search(scene.desk, "ALL WINDOWS") == made
        for gone in ("All Windows", made.id):
            with pytest.raises(Refusal, match="no search is kept as") as refused:
                await find_kept(scene.desk, gone)
            assert refused.value.kind is Kind.MISSING
        assert await scene.rows("SELECT deed, subject, detail FROM log") == [
            ("search kept", "All Windows", f'{{"search": {_quoted(to_json(WINDOWS))}}}'),
            ("search kept", "a", f'{{"search": {_quoted(to_json(LINUX))}}}'),
            ("search deleted", "All Windows", f'{{"search": {_quoted(to_json(WINDOWS))}}}'),
        ]

    play(tmp_path, script)


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '\\"') + '"'


def test_a_name_that_is_taken_is_replaced_only_when_that_is_said(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        first = await keep_search(scene.desk, "mine", WINDOWS)
        with pytest.raises(Refusal, match="already") as refused:
            await keep_search(scene.desk, "MINE", LINUX)
        assert refused.value.kind is Kind.CONFLICT
        again = await keep_search(scene.desk, "MINE", LINUX, replace=True)
        assert (again.id, again.name, again.search) == (first.id, "mine", LINUX)

    play(tmp_path, script)


@pytest.mark.parametrize("name", ["", "  ", "x" * 256, "a\0b"])
def test_a_name_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    async def script(scene: Scene) -> None:
        with pytest.raises(Refusal, match="1 to 255 printable") as refused:
            await keep_search(scene.desk, name, EVERY)
        assert refused.value.field == "name"
        assert await kept_searches(scene.desk) == []

    play(tmp_path, script)


def test_what_is_no_search_is_not_kept(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        for asked in (
            [Criterion("NOSUCH", Operator.EQUAL, "x")],
            [parse("GROUP BELONG nosuch")],
            [parse("NAME = x")] * 51,
        ):
            with pytest.raises(Refusal):
                await keep_search(scene.desk, "mine", all_of(asked))
        assert await scene.rows("SELECT * FROM log") == []

    play(tmp_path, script)


def test_a_user_finds_what_is_kept_and_changes_nothing(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        made = await keep_search(scene.desk, "mine", WINDOWS)
        user = scene.desk.acting(Actor("ana", "console", Role.USER, 1, frozenset(["SALES"])))
        assert await kept_searches(user) == [made] == [await find_kept(user, "mine")]
        for verb in (keep_search(user, "other", WINDOWS), delete_search(user, "mine")):
            with pytest.raises(Refusal) as refused:
                await verb
            assert refused.value.kind is Kind.FORBIDDEN
        assert await kept_searches(scene.desk) == [made]

    play(tmp_path, script)
