"""Users: made, changed and deleted by administrators, of whom one always remains; the first one by a secret."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.domain.account import Profile, Role
from appliance.domain.refusal import Kind
from appliance.operations import accounts as people
from appliance.operations.own_account import choose_language
from appliance.operations.sign_in import session_of, sign_in
from appliance.operations.tokens import actor_of_token, make_token
from appliance.trust import secrets
from tests.operations.people import HERE, OTHER, PASSWORD, Scene, acting, add, enter, play, refused, told


def stage(tmp_path: Path, script: Callable[[Scene], Awaitable[Any]]) -> Any:
    """A scene with ana, an administrator, and bob, a user."""

    async def with_people(scene: Scene) -> Any:
        await add(scene.desk, "ana", Role.ADMINISTRATOR)
        await add(scene.desk, "bob", Role.USER, "paris")
        return await script(scene)

    return play(tmp_path, with_people)


def test_an_administrator_creates_a_user_who_signs_in(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        desk = await acting(scene.desk, "ana")
        profile = Profile("eva", Role.USER, "Eva  Díaz", frozenset({"lyon", "paris "}), "es")
        made = await people.create_user(desk, profile, PASSWORD)
        assert made.profile == Profile("eva", Role.USER, "Eva Díaz", frozenset({"lyon", "paris"}), "es")
        assert await people.show_user(desk, "EVA") == await people.show_user(desk, made.id) == made
        assert [account.name for account in await people.list_users(desk)] == ["ana", "bob", "eva"]
        assert await told(desk) == [("ana", "console", "user created", "eva")]
        await sign_in(scene.desk, "eva", PASSWORD, *HERE)
        assert (await people.show_user(desk, "eva")).last_login == scene.clock.moment

    stage(tmp_path, script)


def test_what_is_wrong_with_a_new_user_is_refused_at_its_field(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        def create(name: str, password: str) -> Any:
            return people.create_user(scene.desk, Profile(name, Role.USER, "Eva Díaz"), password)

        assert (await refused(create("e v a", PASSWORD))).field == "name"
        assert (await refused(create("eva", "short"))).field == "password"
        assert (await refused(create("eva", "eva diaz 2026"))).field == "password"
        assert (await refused(create("BOB", PASSWORD))).kind is Kind.CONFLICT
        assert await told(scene.desk) == []

    stage(tmp_path, script)


def test_a_change_is_logged_with_what_changed_and_nothing_else_changes(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        secret = await enter(scene.desk, "bob")
        changed = await people.change_user(scene.desk, "bob", full_name="Bob", tags=frozenset({"lyon"}))
        assert changed.profile == Profile("bob", Role.USER, "Bob", frozenset({"lyon"}))
        assert await session_of(scene.desk, secret)
        assert await people.change_user(scene.desk, "bob", full_name="Bob") == await people.show_user(scene.desk, "bob")
        ((detail,),) = await scene.rows("SELECT detail FROM log WHERE deed = 'user changed'")
        assert detail == '{"full_name": "Bob", "tags": "lyon"}'
        assert (await refused(people.change_user(scene.desk, "bob", language="fr"))).field == "language"
        assert (await refused(people.change_user(scene.desk, "nobody", language="es"))).kind is Kind.MISSING

    stage(tmp_path, script)


@pytest.mark.parametrize("change", [{"role": Role.ADMINISTRATOR}, {"disabled": True}])
def test_another_role_and_disabling_end_the_sessions(tmp_path: Path, change: dict[str, Any]) -> None:
    async def script(scene: Scene) -> None:
        secret = await enter(scene.desk, "bob")
        token = await make_token(scene.desk, "t", 1, user="bob")
        await people.change_user(scene.desk, "bob", **change)
        assert await scene.rows("SELECT * FROM session") == []
        assert await session_of(scene.desk, secret) is None
        actor = await actor_of_token(scene.desk, token)
        assert (actor.role if actor else None) == change.get("role")

    stage(tmp_path, script)


def test_the_last_administrator_stays_one_enabled_and_there(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await add(scene.desk, "old", Role.ADMINISTRATOR, disabled=True)  # who cannot sign in does not count
        desk = await acting(scene.desk, "ana")
        for verb in (
            people.change_user(desk, "ana", role=Role.USER),
            people.change_user(desk, "ana", disabled=True),
            people.delete_user(desk, "ana"),
        ):
            refusal = await refused(verb)
            assert refusal.kind is Kind.CONFLICT
            assert "last administrator" in str(refusal)
        await people.delete_user(desk, "old")
        await people.change_user(desk, "bob", role=Role.ADMINISTRATOR)
        await people.delete_user(desk, "ana")
        assert [account.name for account in await people.list_users(scene.desk)] == ["bob"]

    stage(tmp_path, script)


def test_a_new_password_ends_the_sessions_and_the_old_password(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        secret = await enter(scene.desk, "bob")
        await people.reset_password(scene.desk, "bob", OTHER)
        assert await session_of(scene.desk, secret) is None
        await refused(sign_in(scene.desk, "bob", PASSWORD, *HERE))
        await sign_in(scene.desk, "bob", OTHER, *HERE)
        assert (await refused(people.reset_password(scene.desk, "bob", "short"))).field == "password"
        text = str(await scene.rows("SELECT * FROM log"))
        assert PASSWORD not in text
        assert OTHER not in text

    stage(tmp_path, script)


def test_a_deleted_user_leaves_nothing_but_its_name_in_the_log(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await enter(scene.desk, "bob")
        token = await make_token(scene.desk, "t", 1, user="bob")
        await people.delete_user(scene.desk, "bob")
        for table in ("session", "token", "user_tag", "recovery_code", "login_failure"):
            assert await scene.rows(f"SELECT * FROM {table}") == [], table
        assert await actor_of_token(scene.desk, token) is None
        assert (await told(scene.desk))[-1] == ("ocs.pyz", "server", "user deleted", "bob")
        again = await add(scene.desk, "bob")
        assert again > 2  # a number is never used again

    stage(tmp_path, script)


def test_a_user_may_none_of_it_but_choose_a_language(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        desk = await acting(scene.desk, "bob")
        for verb in (
            people.list_users(desk),
            people.show_user(desk, "bob"),
            people.create_user(desk, Profile("eva", Role.USER), PASSWORD),
            people.change_user(desk, "bob", tags=frozenset()),
            people.reset_password(desk, "bob", OTHER),
            people.take_second_factor(desk, "bob"),
            people.delete_user(desk, "bob"),
            make_token(desk, "t", 1, user="ana"),
        ):
            assert (await refused(verb)).kind is Kind.FORBIDDEN
        await choose_language(desk, "es")
        await choose_language(desk, "es")
        assert (await people.show_user(scene.desk, "bob")).profile.language == "es"
        assert await told(scene.desk) == [("bob", "console", "user changed", "bob")]
        assert (await refused(choose_language(desk, "fr"))).field == "language"

    stage(tmp_path, script)


# The first one


def test_the_one_time_address_makes_the_first_administrator_and_is_used_up(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        secret = await people.offer_first(scene.desk)
        assert secret
        assert secret not in str(await scene.rows("SELECT * FROM runtime"))
        assert await people.first_is_open(scene.desk, secret)
        assert not await people.has_users(scene.desk)
        assert (await refused(people.create_first(scene.desk, "wrong", "ana", PASSWORD))).kind is Kind.FORBIDDEN
        assert (await refused(people.create_first(scene.desk, secret, "ana", "short"))).field == "password"
        made = await people.create_first(scene.desk, secret, "ana", PASSWORD, "Ana García")
        assert made.profile == Profile("ana", Role.ADMINISTRATOR, "Ana García")
        assert await people.has_users(scene.desk)
        assert await told(scene.desk) == [("ana", "console", "user created", "ana")]
        assert (await refused(people.create_first(scene.desk, secret, "eva", PASSWORD))).kind is Kind.FORBIDDEN
        assert await people.offer_first(scene.desk) is None
        await people.change_user(scene.desk, "ana", full_name="")  # even with nobody left it would stay used up
        assert not await people.first_is_open(scene.desk, secret)

    play(tmp_path, script)


def test_each_start_has_another_secret_which_ends_after_a_day_or_with_any_user(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        first, second = [await people.offer_first(scene.desk) for _ in range(2)]
        assert first
        assert second
        assert [await people.first_is_open(scene.desk, secret) for secret in (first, second, "")] == [
            False, True, False,
        ]  # fmt: skip
        scene.clock.moment += people.FIRST_SECONDS
        assert not await people.first_is_open(scene.desk, second)
        third = await people.offer_first(scene.desk)
        assert third
        await add(scene.desk, "made by command line")
        assert not await people.first_is_open(scene.desk, third)

    play(tmp_path, script)


def test_a_server_that_offered_nothing_opens_for_no_secret(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        for secret in ("", secrets.new_secret()):
            assert not await people.first_is_open(scene.desk, secret)

    play(tmp_path, script)
