"""The second factor: before it a session has no right, no code is good twice, and guessing codes waits too."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.domain.account import Right, Role
from appliance.domain.refusal import Kind, Refusal
from appliance.operations import accounts as people
from appliance.operations.configure import set_setting
from appliance.operations.own_account import (
    offer_second_factor,
    own_sessions,
    recovery_codes_left,
    switch_off_second_factor,
    switch_on_second_factor,
)
from appliance.operations.sign_in import SECOND_FACTOR_SECONDS, second_factor, session_of, sign_in
from appliance.operations.tokens import make_token
from appliance.trust import onetime, secrets
from tests.operations.people import HERE, PASSWORD, Scene, acting, add, enter, play, refused, told


def code_of(scene: Scene, seed: str, steps: int = 0) -> str:
    """What the app shows now, or some steps later."""
    return onetime.code(seed, scene.clock.moment // 30 + steps)


def stage(tmp_path: Path, script: Callable[[Scene, str, list[str]], Awaitable[Any]]) -> Any:
    """A scene with bob, who has a second factor: its seed and recovery codes. A minute has gone by."""

    async def with_people(scene: Scene) -> Any:
        await add(scene.desk, "bob", Role.ADMINISTRATOR)
        desk = await acting(scene.desk, "bob")
        seed = (await offer_second_factor(desk)).seed
        codes = await switch_on_second_factor(desk, seed, code_of(scene, seed), PASSWORD)
        scene.clock.moment += 60
        return await script(scene, seed, codes)

    return play(tmp_path, with_people)


def test_password_and_code_together_are_a_session_under_a_new_secret(tmp_path: Path) -> None:
    async def script(scene: Scene, seed: str, codes: list[str]) -> None:
        half = await sign_in(scene.desk, "bob", PASSWORD, *HERE)
        whole = await second_factor(scene.desk, half, code_of(scene, seed))
        assert await session_of(scene.desk, half) is None
        session = await session_of(scene.desk, whole)
        assert session is not None
        assert session.complete
        assert session.actor.may(Right.ADMINISTRATOR)
        assert [row[2] for row in await told(scene.desk)] == ["second factor switched on", "signed in"]

    stage(tmp_path, script)


def test_a_password_alone_is_a_session_without_any_right_for_ten_minutes(tmp_path: Path) -> None:
    async def script(scene: Scene, seed: str, codes: list[str]) -> None:
        half = await enter(scene.desk, "bob", complete=False)
        session = await session_of(scene.desk, half)
        assert session is not None
        assert not session.complete
        assert not session.actor.may(Right.ADMINISTRATOR)
        assert not session.actor.sees("")
        desk = scene.desk.acting(session.actor)
        for verb in (own_sessions(desk), people.list_users(desk), make_token(desk, "t", 1)):
            assert (await refused(verb)).kind is Kind.FORBIDDEN
        scene.clock.moment += SECOND_FACTOR_SECONDS
        assert await session_of(scene.desk, half) is None
        assert "took too long" in str(await refused(second_factor(scene.desk, half, code_of(scene, seed))))

    stage(tmp_path, script)


def test_a_code_is_good_once_also_the_one_that_switched_it_on(tmp_path: Path) -> None:
    async def script(scene: Scene, seed: str, codes: list[str]) -> None:
        scene.clock.moment -= 60
        half = await enter(scene.desk, "bob", complete=False)
        refusal = await refused(second_factor(scene.desk, half, code_of(scene, seed)))
        assert refusal.field == "code"
        await second_factor(scene.desk, half, code_of(scene, seed, 1))
        again = await enter(scene.desk, "bob", complete=False)
        assert "was used already" in str(await refused(second_factor(scene.desk, again, code_of(scene, seed, 1))))

    stage(tmp_path, script)


def test_each_recovery_code_opens_once_and_only_digests_of_them_are_kept(tmp_path: Path) -> None:
    async def script(scene: Scene, seed: str, codes: list[str]) -> None:
        assert len(codes) == 10
        kept = {row[0] for row in await scene.rows("SELECT sha256 FROM recovery_code")}
        assert kept == {secrets.digest(code) for code in codes}
        half = await enter(scene.desk, "bob", complete=False)
        await second_factor(scene.desk, half, codes[3].upper())
        assert await recovery_codes_left(await acting(scene.desk, "bob")) == 9
        half = await enter(scene.desk, "bob", complete=False)
        await refused(second_factor(scene.desk, half, codes[3]))

    stage(tmp_path, script)


def test_who_has_the_password_and_guesses_codes_is_blocked_and_a_new_sign_in_does_not_help(tmp_path: Path) -> None:
    async def script(scene: Scene, seed: str, codes: list[str]) -> None:
        kinds = []
        for _ in range(6):
            try:
                half = await sign_in(scene.desk, "bob", PASSWORD, *HERE)
            except Refusal as refusal:
                kinds.append(refusal.kind.value)
                break
            kinds.append((await refused(second_factor(scene.desk, half, "000000"))).kind.value)
        assert kinds == ["invalid"] * 5 + ["busy"]
        assert [row[2] for row in await told(scene.desk)][-1] == "account blocked"

    stage(tmp_path, script)


def test_a_whole_session_is_not_completed_again_and_a_made_up_secret_is_none(tmp_path: Path) -> None:
    async def script(scene: Scene, seed: str, codes: list[str]) -> None:
        half = await enter(scene.desk, "bob", complete=False)
        whole = await second_factor(scene.desk, half, code_of(scene, seed))
        for secret in (whole, half, "made up"):
            assert (await refused(second_factor(scene.desk, secret, codes[0]))).kind is Kind.FORBIDDEN

    stage(tmp_path, script)


def test_switching_it_on_takes_the_password_and_a_code_of_that_seed_and_ends_other_sessions(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await add(scene.desk, "eva")
        here, there = [await enter(scene.desk, "eva") for _ in range(2)]
        desk = await acting(scene.desk, "eva")
        offer = await offer_second_factor(desk)
        assert "OCS:eva" in offer.address
        assert (await refused(switch_on_second_factor(desk, "ABC", "000000", PASSWORD))).field == "code"
        wrong_code = await refused(switch_on_second_factor(desk, offer.seed, "000000", PASSWORD))
        assert wrong_code.field == "code"
        wrong = await refused(switch_on_second_factor(desk, offer.seed, code_of(scene, offer.seed), "wrong"))
        assert wrong.field == "password"
        keep = secrets.digest(here)
        await switch_on_second_factor(desk, offer.seed, code_of(scene, offer.seed), PASSWORD, keep)
        assert [bool(await session_of(scene.desk, secret)) for secret in (here, there)] == [True, False]
        twice = switch_on_second_factor(desk, offer.seed, code_of(scene, offer.seed), PASSWORD)
        assert (await refused(twice)).kind is Kind.CONFLICT
        assert offer.seed not in str(await scene.rows("SELECT * FROM log"))

    play(tmp_path, script)


def test_it_is_switched_off_with_the_password_or_by_an_administrator_for_one_who_lost_it(tmp_path: Path) -> None:
    async def script(scene: Scene, seed: str, codes: list[str]) -> None:
        desk = await acting(scene.desk, "bob")
        await refused(switch_off_second_factor(desk, "wrong"))
        await switch_off_second_factor(desk, PASSWORD)
        whole = await sign_in(scene.desk, "bob", PASSWORD, *HERE)
        session = await session_of(scene.desk, whole)
        assert session is not None
        assert session.complete
        assert (await refused(switch_off_second_factor(desk, PASSWORD))).kind is Kind.CONFLICT
        seed = (await offer_second_factor(desk)).seed
        await switch_on_second_factor(desk, seed, code_of(scene, seed), PASSWORD)
        await people.take_second_factor(scene.desk, "bob")
        assert not (await people.show_user(scene.desk, "bob")).second_factor
        assert await scene.rows("SELECT * FROM recovery_code") == []
        assert (await refused(people.take_second_factor(scene.desk, "bob"))).kind is Kind.CONFLICT

    stage(tmp_path, script)


# Where it is demanded


@pytest.mark.parametrize(
    ("demanded", "role", "owing"),
    [
        (0, Role.ADMINISTRATOR, False),
        (1, Role.ADMINISTRATOR, True),
        (1, Role.USER, False),
        (2, Role.ADMINISTRATOR, True),
        (2, Role.USER, True),
    ],
)
def test_whoever_must_have_one_and_has_none_has_no_right_in_open_sessions_and_in_new_ones(
    tmp_path: Path, demanded: int, role: Role, owing: bool
) -> None:
    async def script(scene: Scene) -> None:
        await add(scene.desk, "eva", role, "paris")
        before = await enter(scene.desk, "eva")
        await set_setting(scene.desk, "SECOND_FACTOR_REQUIRED", str(demanded))
        for secret in (before, await sign_in(scene.desk, "eva", PASSWORD, *HERE)):
            session = await session_of(scene.desk, secret)
            assert session is not None
            assert (session.complete, session.owing) == (True, owing)
            assert session.actor.may(Right.ADMINISTRATOR) == (role is Role.ADMINISTRATOR and not owing)
            assert session.actor.sees("paris") != owing
        await set_setting(scene.desk, "SECOND_FACTOR_REQUIRED", None)
        session = await session_of(scene.desk, before)
        assert session is not None
        assert not session.owing

    play(tmp_path, script)


def test_who_owes_one_switches_it_on_with_the_password_and_has_all_rights_at_once(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await add(scene.desk, "eva", Role.ADMINISTRATOR)
        await set_setting(scene.desk, "SECOND_FACTOR_REQUIRED", "1")
        secret = await enter(scene.desk, "eva")
        session = await session_of(scene.desk, secret)
        assert session is not None
        desk = scene.desk.acting(session.actor)
        assert (await refused(people.list_users(desk))).kind is Kind.FORBIDDEN
        offer = await offer_second_factor(desk)
        await refused(switch_on_second_factor(desk, offer.seed, code_of(scene, offer.seed), "wrong", session.key))
        await switch_on_second_factor(desk, offer.seed, code_of(scene, offer.seed), PASSWORD, session.key)
        session = await session_of(scene.desk, secret)
        assert session is not None
        assert not session.owing
        assert session.actor.may(Right.ADMINISTRATOR)
        scene.clock.moment += 60
        half = await sign_in(scene.desk, "eva", PASSWORD, *HERE)
        found = await session_of(scene.desk, half)
        assert found is not None
        assert (found.complete, found.owing, found.actor.user) == (False, False, None)

    play(tmp_path, script)


def test_where_it_is_demanded_nobody_switches_it_off_and_who_lost_it_owes_a_new_one(tmp_path: Path) -> None:
    async def script(scene: Scene, seed: str, codes: list[str]) -> None:
        await set_setting(scene.desk, "SECOND_FACTOR_REQUIRED", "1")
        desk = await acting(scene.desk, "bob")
        assert "it stays on" in str(await refused(switch_off_second_factor(desk, PASSWORD)))
        assert (await people.show_user(scene.desk, "bob")).second_factor
        await people.take_second_factor(scene.desk, "bob")
        session = await session_of(scene.desk, await sign_in(scene.desk, "bob", PASSWORD, *HERE))
        assert session is not None
        assert session.owing

    stage(tmp_path, script)


def test_half_a_session_whose_second_factor_was_taken_away_meanwhile_is_nobodys(tmp_path: Path) -> None:
    async def script(scene: Scene, seed: str, codes: list[str]) -> None:
        await set_setting(scene.desk, "SECOND_FACTOR_REQUIRED", "2")
        await people.take_second_factor(scene.desk, "bob")
        session = await session_of(scene.desk, await enter(scene.desk, "bob", complete=False))
        assert session is not None
        assert (session.complete, session.actor.user) == (False, None)
        assert (await refused(offer_second_factor(scene.desk.acting(session.actor)))).kind is Kind.FORBIDDEN

    stage(tmp_path, script)
