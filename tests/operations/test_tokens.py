"""Tokens for the API: shown once, good for a bounded time, for what their user may at that moment."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.domain.account import Role
from appliance.domain.refusal import Kind
from appliance.operations import accounts as people
from appliance.operations.tokens import DAY, actor_of_token, list_tokens, make_token, revoke_token
from tests.operations.people import Scene, acting, add, play, refused, told


def stage(tmp_path: Path, script: Callable[[Scene], Awaitable[Any]]) -> Any:
    """A scene with ana, an administrator, and bob, a user."""

    async def with_people(scene: Scene) -> Any:
        await add(scene.desk, "ana", Role.ADMINISTRATOR)
        await add(scene.desk, "bob", Role.USER, "paris")
        return await script(scene)

    return play(tmp_path, with_people)


def test_a_token_speaks_for_its_user_and_the_database_has_its_digest_only(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        desk = await acting(scene.desk, "bob")
        text = await make_token(desk, " night  backup ", 30)
        assert re.fullmatch(r"ocs_[0-9]+_[A-Za-z0-9_-]{43}", text)
        assert text.split("_", 2)[2] not in str(await scene.rows("SELECT * FROM token, log"))
        actor = await actor_of_token(scene.desk, text)
        assert actor is not None
        assert (actor.name, actor.through, actor.role, actor.tags) == ("bob", "api", Role.USER, {"paris"})
        (token,) = await list_tokens(desk)
        assert (token.name, token.expires_at) == ("night backup", scene.clock.moment + 30 * DAY)
        await people.change_user(scene.desk, "bob", tags=frozenset({"lyon"}))
        actor = await actor_of_token(scene.desk, text)
        assert actor is not None
        assert actor.tags == {"lyon"}
        assert (await told(scene.desk))[0] == ("bob", "console", "token created", "night backup")

    stage(tmp_path, script)


def test_a_token_ends_with_its_days_its_revocation_and_its_users_right_to_come(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        desk = await acting(scene.desk, "bob")
        short, gone, kept = [await make_token(desk, name, days) for name, days in (("s", 1), ("g", 365), ("k", 365))]
        await revoke_token(desk, int(gone.split("_")[1]))
        scene.clock.moment += DAY
        alive = [bool(await actor_of_token(scene.desk, text)) for text in (short, gone, kept)]
        assert alive == [False, False, True]
        assert [token.name for token in await list_tokens(desk)] == ["k", "s"]
        await people.change_user(scene.desk, "bob", disabled=True)
        assert await actor_of_token(scene.desk, kept) is None
        await people.change_user(scene.desk, "bob", disabled=False)
        assert await actor_of_token(scene.desk, kept)
        assert [row[2] for row in await told(scene.desk)].count("token revoked") == 1

    stage(tmp_path, script)


@pytest.mark.parametrize(
    "change",
    [
        "",
        "x",
        "ocs_1_",
        "{}x",
        "ocs_2_{secret}",
        "ocs_99_{secret}",
        "{} ",
        "OCS_1_{secret}",
        "ocs_٣_{secret}",
        "{secret}",
    ],
)
def test_what_only_looks_like_a_token_is_none(tmp_path: Path, change: str) -> None:
    async def script(scene: Scene) -> None:
        text = await make_token(await acting(scene.desk, "bob"), "t", 1)
        await make_token(await acting(scene.desk, "ana"), "t", 1)
        wrong = change.format(text, secret=text.split("_", 2)[2])
        assert await actor_of_token(scene.desk, wrong) is None
        assert await actor_of_token(scene.desk, text)

    stage(tmp_path, script)


def test_what_is_wrong_with_a_new_token_is_refused(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        desk = await acting(scene.desk, "bob")
        await make_token(desk, "t", 1)
        assert (await refused(make_token(desk, "t", 1))).kind is Kind.CONFLICT
        for name, days, field in (("", 1, "name"), ("x" * 65, 1, "name"), ("u", 0, "days"), ("u", 366, "days")):
            assert (await refused(make_token(desk, name, days))).field == field
        await make_token(await acting(scene.desk, "ana"), "t", 365)

    stage(tmp_path, script)


def test_one_manages_ones_own_tokens_and_an_administrator_everybodys(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        ana, bob = [await acting(scene.desk, name) for name in ("ana", "bob")]
        number = int((await make_token(ana, "hers", 1)).split("_")[1])
        assert await list_tokens(bob) == []
        assert (await refused(revoke_token(bob, number))).kind is Kind.MISSING
        assert (await refused(list_tokens(bob, "ana"))).kind is Kind.FORBIDDEN
        assert (await refused(revoke_token(bob, number, user="ana"))).kind is Kind.FORBIDDEN
        his = await make_token(ana, "for him", 1, user="bob")
        assert [token.name for token in await list_tokens(ana, "bob")] == ["for him"]
        await revoke_token(ana, int(his.split("_")[1]), user="bob")
        assert await list_tokens(bob) == []
        assert (await refused(make_token(scene.desk, "t", 1))).kind is Kind.FORBIDDEN

    stage(tmp_path, script)


def test_the_last_use_is_written_once_a_minute_at_most(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        text = await make_token(await acting(scene.desk, "bob"), "t", 1)
        start = scene.clock.moment
        used = []
        for seconds in (1, 30, 61, 100):
            scene.clock.moment = start + seconds
            await actor_of_token(scene.desk, text)
            ((at,),) = await scene.rows("SELECT used_at FROM token")
            used.append(at - start)
        assert used == [1, 1, 61, 61]

    stage(tmp_path, script)
