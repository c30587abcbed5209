"""The server's clock is set back and forward: nobody gets in by it, no code is good twice. Source: F19."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.domain.account import FREE_FAILURES, Role
from appliance.domain.refusal import Kind
from appliance.operations.own_account import offer_second_factor, own_sessions, switch_on_second_factor
from appliance.operations.sign_in import FRESH_SECONDS, SKEW_SECONDS, second_factor, session_of, sign_in
from appliance.operations.tokens import actor_of_token, make_token
from appliance.trust import onetime
from tests.operations.people import HERE, PASSWORD, Scene, acting, add, enter, play, refused

DAY = 86_400
START = 1_795_206_923
TO_1970, TO_2040 = 1 - START, 2_208_988_800 - START
JUMPS = [-DAY, DAY, -40 * DAY, 40 * DAY, TO_1970, TO_2040]
BACK = [jump for jump in JUMPS if jump < 0]

every_jump = pytest.mark.parametrize("jump", JUMPS)
every_jump_back = pytest.mark.parametrize("jump", BACK)


@every_jump
def test_no_session_outlives_a_jump_whole_or_half_and_none_comes_back_when_the_clock_is_mended(
    tmp_path: Path, jump: int
) -> None:
    async def script(scene: Scene) -> None:
        await add(scene.desk, "bob")
        whole, half = await enter(scene.desk, "bob"), await enter(scene.desk, "bob", complete=False)
        assert await session_of(scene.desk, whole)
        scene.clock.moment += jump
        assert [await session_of(scene.desk, secret) for secret in (whole, half)] == [None, None]
        assert await own_sessions(await acting(scene.desk, "bob")) == []
        await sign_in(scene.desk, "bob", PASSWORD, *HERE)
        assert await scene.rows("SELECT count(*) FROM session") == [(1,)]
        scene.clock.moment -= jump
        assert [await session_of(scene.desk, secret) for secret in (whole, half)] == [None, None]

    play(tmp_path, script)


def test_a_session_lives_through_a_clock_that_is_put_right_by_minutes_but_is_not_fresh_then(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await add(scene.desk, "bob")
        secret = await enter(scene.desk, "bob")
        for seconds in (-SKEW_SECONDS, SKEW_SECONDS + FRESH_SECONDS + 1):
            scene.clock.moment += seconds
            session = await session_of(scene.desk, secret)
            assert session is not None
            assert not session.fresh
        scene.clock.moment -= 2 * SKEW_SECONDS + FRESH_SECONDS
        assert await session_of(scene.desk, secret) is None

    play(tmp_path, script)


@every_jump_back
def test_no_code_that_was_used_or_passed_by_is_good_after_the_clock_was_set_back(tmp_path: Path, jump: int) -> None:
    async def script(scene: Scene) -> None:
        await add(scene.desk, "bob", Role.ADMINISTRATOR)
        desk = await acting(scene.desk, "bob")
        seed = (await offer_second_factor(desk)).seed
        step = scene.clock.moment // onetime.STEP_SECONDS
        codes = await switch_on_second_factor(desk, seed, onetime.code(seed, step), PASSWORD)
        scene.clock.moment = max(1, scene.clock.moment + jump)
        then = scene.clock.moment // onetime.STEP_SECONDS
        for seen in (step, step - 1, then, then + 1):
            half = await enter(scene.desk, "bob", complete=False)
            assert (await refused(second_factor(scene.desk, half, onetime.code(seed, seen)))).kind is Kind.INVALID
        half = await enter(scene.desk, "bob", complete=False)
        scene.clock.moment += 100  # four codes were wrong: no block yet
        await second_factor(scene.desk, half, codes[0])  # the way in meanwhile

    play(tmp_path, script)


@every_jump
def test_who_guesses_gains_one_attempt_by_a_jump_at_most(tmp_path: Path, jump: int) -> None:
    async def attempts(scene: Scene) -> list[Kind]:
        return [(await refused(sign_in(scene.desk, "bob", "wrong password", *HERE))).kind for _ in range(3)]

    async def script(scene: Scene) -> None:
        await add(scene.desk, "bob")
        for _ in range(FREE_FAILURES + 1):
            assert (await refused(sign_in(scene.desk, "bob", "wrong password", *HERE))).kind is Kind.INVALID
        assert await attempts(scene) == [Kind.BUSY] * 3
        scene.clock.moment += jump
        told = await attempts(scene)
        forgotten = jump >= 30 * DAY  # a month without a failure has gone by, as far as anybody can know
        assert told == ([Kind.INVALID] * 3 if forgotten else [Kind.INVALID, Kind.BUSY, Kind.BUSY])

    play(tmp_path, script)


@every_jump
def test_whoever_is_blocked_while_the_clock_is_wrong_comes_in_when_it_is_right(tmp_path: Path, jump: int) -> None:
    async def script(scene: Scene) -> None:
        await add(scene.desk, "bob")
        scene.clock.moment += jump
        for _ in range(FREE_FAILURES + 1):
            await refused(sign_in(scene.desk, "bob", "wrong password", *HERE))
        scene.clock.moment -= jump
        await sign_in(scene.desk, "bob", PASSWORD, *HERE)

    play(tmp_path, script)


def test_a_token_is_not_good_for_longer_than_its_days_where_the_clock_goes_forward(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await add(scene.desk, "bob")
        text = await make_token(await acting(scene.desk, "bob"), "script", 30)
        assert await actor_of_token(scene.desk, text)
        scene.clock.moment += 40 * DAY
        assert await actor_of_token(scene.desk, text) is None

    play(tmp_path, script)
