"""Sign in: who guesses waits, a session ends in time, and no answer tells which names there are."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from appliance.domain.account import MOST_FAILURES, Right, Role
from appliance.domain.refusal import Kind
from appliance.operations import accounts as people
from appliance.operations.own_account import (
    change_own_password,
    end_other_sessions,
    end_own_session,
    own_sessions,
)
from appliance.operations.sign_in import (
    FRESH_SECONDS,
    IDLE_SECONDS,
    LONGEST_SECONDS,
    confirm_password,
    session_of,
    sign_in,
    sign_out,
)
from appliance.operations.throttle import FORGET, FORGET_ADDRESS
from appliance.store import accounts
from appliance.trust import passwords, secrets
from tests.operations.people import HERE, OTHER, PASSWORD, Scene, acting, add, enter, play, refused, told


def stage(tmp_path: Path, script: Callable[[Scene], Awaitable[Any]]) -> Any:
    """A scene with ana, an administrator, and bob, a user."""

    async def with_people(scene: Scene) -> Any:
        await add(scene.desk, "ana", Role.ADMINISTRATOR)
        await add(scene.desk, "bob", Role.USER, "paris")
        return await script(scene)

    return play(tmp_path, with_people)


async def count_failures(scene: Scene, who: str, failures: int) -> None:
    """As if so many had failed, the last one just now."""
    async with scene.desk.store.writing() as tx:
        await accounts.put_failures(tx, who, accounts.Failures(failures, tx.now, 0))


def test_the_secret_of_a_sign_in_is_a_session_and_the_database_has_its_digest_only(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        secret = await sign_in(scene.desk, " BOB ", PASSWORD, *HERE)
        session = await session_of(scene.desk, secret)
        assert session is not None
        assert (session.complete, session.fresh, session.language) == (True, True, "")
        assert (session.actor.name, session.actor.through, session.actor.role) == ("bob", "console", Role.USER)
        assert session.actor.tags == {"paris"}
        kept = await scene.rows("SELECT sha256, address, user_agent FROM session")
        assert kept == [(secrets.digest(secret), *HERE)]
        assert secret not in str(await scene.rows("SELECT * FROM session, user, log"))
        assert await sign_in(scene.desk, "bob", PASSWORD, *HERE) != secret
        assert await told(scene.desk) == [("bob", "console", "signed in", "bob")] * 2
        ((last_login,),) = await scene.rows("SELECT last_login FROM user WHERE name = 'bob'")
        assert last_login == scene.clock.moment

    stage(tmp_path, script)


def test_a_wrong_password_an_unknown_name_and_a_disabled_user_hear_the_same(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await add(scene.desk, "eve", disabled=True)
        said = {
            str(await refused(sign_in(scene.desk, name, password, *HERE)))
            for name, password in (("bob", "wrong"), ("nobody", PASSWORD), ("eve", PASSWORD), ("", ""))
        }
        assert said == {"the name or the password is wrong; try again."}
        assert await scene.rows("SELECT count(*) FROM session") == [(0,)]

    stage(tmp_path, script)


def test_a_failure_is_logged_with_the_name_cut_and_never_the_password(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await refused(sign_in(scene.desk, "bob", "my wrong secret", *HERE))
        await refused(sign_in(scene.desk, "x" * 500, "my wrong secret", *HERE))
        assert [row[2:] for row in await told(scene.desk)] == [
            ("sign-in failed", "bob"), ("sign-in failed", "x" * 40),
        ]  # fmt: skip
        assert "my wrong secret" not in str(await scene.rows("SELECT * FROM log"))
        assert max(len(who) for (who,) in await scene.rows("SELECT who FROM login_failure")) < 80

    stage(tmp_path, script)


@pytest.mark.parametrize("name", ["bob", "nobody"])
def test_the_fifth_failure_blocks_a_name_and_the_refusal_says_how_long(tmp_path: Path, name: str) -> None:
    async def script(scene: Scene) -> None:
        async def attempt(password: str) -> str:
            address = f"198.51.100.{scene.clock.moment % 250}"  # another one each time: the name alone must do
            return str(await refused(sign_in(scene.desk, name, password, address, "test")))

        await count_failures(scene, f"name {name}", 3)
        assert "wrong" in await attempt("wrong password")
        assert "wrong" in await attempt("wrong password")
        assert "wait 32 s" in await attempt(PASSWORD)
        scene.clock.moment += 30
        assert "wait 2 s" in await attempt(PASSWORD)
        scene.clock.moment += 2
        assert "wrong" in await attempt("wrong password")
        assert "wait 64 s" in await attempt("wrong password")
        deeds = [deed for _, _, deed, subject in await told(scene.desk) if subject == name]
        assert deeds == ["sign-in failed"] * 2 + ["account blocked"] + ["sign-in failed"]

    stage(tmp_path, script)


def test_after_the_wait_the_right_password_lets_in_and_the_count_begins_anew(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await count_failures(scene, "name bob", 7)
        await sign_in(scene.desk, "Bob", PASSWORD, *HERE)
        assert await scene.rows("SELECT * FROM login_failure") == []

    stage(tmp_path, script)


def test_a_hundred_attempts_at_once_are_not_more_than_one_after_another(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        tries = [refused(sign_in(scene.desk, "bob", "wrong password", f"192.0.2.{n}", "test")) for n in range(100)]
        said = [str(refusal) for refusal in await asyncio.gather(*tries)]
        assert sum("wrong" in text for text in said) == 5
        assert sum("wait 32 s" in text for text in said) == 95

    stage(tmp_path, script)


def test_after_a_hundred_failures_on_end_only_a_new_password_helps(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        for name in ("bob", "nobody"):
            await count_failures(scene, f"name {name}", MOST_FAILURES)
            scene.clock.moment += 86_400
            assert "administrator must give it a new password" in str(
                await refused(sign_in(scene.desk, name, PASSWORD, *HERE))
            )
        await people.reset_password(scene.desk, "bob", OTHER)
        await sign_in(scene.desk, "bob", OTHER, *HERE)

    stage(tmp_path, script)


def test_an_address_that_tries_many_names_is_blocked_for_all_of_them_and_a_neighbour_is_not(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await count_failures(scene, "address 2001:db8:1:2::/64", 19)
        await refused(sign_in(scene.desk, "someone", "wrong password", "2001:db8:1:2::7", "test"))
        refusal = await refused(sign_in(scene.desk, "bob", PASSWORD, "2001:db8:1:2:ffff::8%eth0", "test"))
        assert (refusal.kind, refusal.values) == (Kind.BUSY, {"seconds": 32})
        await sign_in(scene.desk, "bob", PASSWORD, "2001:db8:1:3::8", "test")
        scene.clock.moment += FORGET_ADDRESS + 1
        await sign_in(scene.desk, "bob", PASSWORD, "2001:db8:1:2::8", "test")

    stage(tmp_path, script)


def test_ones_own_good_sign_in_does_not_wash_an_address_clean(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await count_failures(scene, "address 192.0.2.9", 15)
        await sign_in(scene.desk, "bob", PASSWORD, *HERE)
        assert await scene.rows("SELECT failures FROM login_failure") == [(15,)]

    stage(tmp_path, script)


def test_a_clock_that_was_wrong_blocks_nobody_for_years(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        async with scene.desk.store.writing() as tx:
            await accounts.put_failures(tx, "name bob", accounts.Failures(6, tx.now, tx.now + 10**8))
        await sign_in(scene.desk, "bob", PASSWORD, *HERE)

    stage(tmp_path, script)


def test_a_hash_with_fewer_rounds_is_made_anew_at_the_next_sign_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(scene: Scene) -> None:
        monkeypatch.setattr(passwords, "PASSES", passwords.PASSES + 1)
        await sign_in(scene.desk, "bob", PASSWORD, *HERE)
        ((phc,),) = await scene.rows("SELECT password FROM user WHERE name = 'bob'")
        assert f"t={passwords.PASSES}," in phc
        await sign_in(scene.desk, "bob", PASSWORD, *HERE)
        assert await scene.rows("SELECT password FROM user WHERE name = 'bob'") == [(phc,)]

    stage(tmp_path, script)


# Sessions


def test_a_session_ends_when_it_was_idle_and_after_half_a_day_in_any_case(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        secret = await enter(scene.desk, "bob")
        start = scene.clock.moment
        scene.clock.moment += IDLE_SECONDS - 1
        assert await session_of(scene.desk, secret)
        while scene.clock.moment + 1000 < start + LONGEST_SECONDS:
            scene.clock.moment += 1000
            assert await session_of(scene.desk, secret)
        scene.clock.moment = start + LONGEST_SECONDS
        assert await session_of(scene.desk, secret) is None
        idle = await enter(scene.desk, "bob")
        scene.clock.moment += IDLE_SECONDS
        assert await session_of(scene.desk, idle) is None

    stage(tmp_path, script)


def test_the_time_of_the_last_use_is_written_once_a_minute_at_most(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        secret = await enter(scene.desk, "bob")
        start = scene.clock.moment
        used = []
        for seconds in (1, 59, 60, 100, 121):
            scene.clock.moment = start + seconds
            await session_of(scene.desk, secret)
            ((at,),) = await scene.rows("SELECT used_at FROM session")
            used.append(at - start)
        assert used == [0, 0, 60, 60, 121]

    stage(tmp_path, script)


def test_what_changes_about_a_user_holds_for_the_session_at_once(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        secret = await enter(scene.desk, "bob")
        await people.change_user(scene.desk, "bob", tags=frozenset({"lyon"}), language="es")
        session = await session_of(scene.desk, secret)
        assert session is not None
        assert (session.actor.tags, session.language) == ({"lyon"}, "es")

    stage(tmp_path, script)


@pytest.mark.parametrize("secret", ["", "x", "é\0\ud800", "x" * 10_000])
def test_a_secret_that_is_none_is_nobodys(tmp_path: Path, secret: str) -> None:
    async def script(scene: Scene) -> None:
        assert await session_of(scene.desk, secret) is None
        await sign_out(scene.desk, secret)
        assert await told(scene.desk) == []

    stage(tmp_path, script)


def test_signing_out_ends_that_session_and_no_other(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        first, second = [await enter(scene.desk, "bob") for _ in range(2)]
        await sign_out(scene.desk, first)
        assert await session_of(scene.desk, first) is None
        assert await session_of(scene.desk, second)
        assert (await told(scene.desk))[-1] == ("bob", "console", "signed out", "bob")

    stage(tmp_path, script)


def test_a_session_is_fresh_for_five_minutes_and_again_when_the_password_is_given(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        secret = await enter(scene.desk, "bob")
        scene.clock.moment += FRESH_SECONDS + 1
        session = await session_of(scene.desk, secret)
        assert session is not None
        assert not session.fresh
        assert "not your password" in str(await refused(confirm_password(scene.desk, secret, "wrong")))
        await confirm_password(scene.desk, secret, PASSWORD)
        session = await session_of(scene.desk, secret)
        assert session is not None
        assert session.fresh
        await refused(confirm_password(scene.desk, "no secret", PASSWORD))

    stage(tmp_path, script)


def test_one_sees_ones_own_sessions_and_ends_them_but_nobody_elses(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        mine = [await enter(scene.desk, "bob", f"browser {n}") for n in range(3)]
        hers = await enter(scene.desk, "ana")
        desk = await acting(scene.desk, "bob")
        listed = await own_sessions(desk)
        assert {session.user_agent for session in listed} == {"browser 0", "browser 1", "browser 2"}
        assert {session.key for session in listed} == {secrets.digest(secret) for secret in mine}
        assert (await refused(end_own_session(desk, secrets.digest(hers)))).kind is Kind.MISSING
        await end_own_session(desk, secrets.digest(mine[0]))
        assert await session_of(scene.desk, mine[0]) is None
        assert await end_other_sessions(desk, secrets.digest(mine[1])) == 1
        assert [bool(await session_of(scene.desk, secret)) for secret in (*mine, hers)] == [False, True, False, True]
        assert [row[2] for row in await told(scene.desk)][-2:] == ["session ended"] * 2
        scene.clock.moment += IDLE_SECONDS
        assert await own_sessions(desk) == []

    stage(tmp_path, script)


def test_another_password_of_ones_own_ends_all_other_sessions_and_asks_the_old_one(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        here, there = [await enter(scene.desk, "bob") for _ in range(2)]
        desk = await acting(scene.desk, "bob")
        wrong = await refused(change_own_password(desk, "wrong", OTHER, secrets.digest(here)))
        assert wrong.field == "old"
        weak = await refused(change_own_password(desk, PASSWORD, "short", secrets.digest(here)))
        assert weak.field == "new"
        await change_own_password(desk, PASSWORD, OTHER, secrets.digest(here))
        assert [bool(await session_of(scene.desk, secret)) for secret in (here, there)] == [True, False]
        await refused(sign_in(scene.desk, "bob", PASSWORD, *HERE))
        await sign_in(scene.desk, "bob", OTHER, *HERE)
        assert ("bob", "console", "password changed", "bob") in await told(scene.desk)

    stage(tmp_path, script)


def test_guessing_the_password_in_an_open_session_is_throttled_like_a_sign_in(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await count_failures(scene, "name bob", 4)
        desk = await acting(scene.desk, "bob")
        await refused(change_own_password(desk, "wrong", OTHER))
        assert (await refused(change_own_password(desk, PASSWORD, OTHER))).kind is Kind.BUSY

    stage(tmp_path, script)


def test_old_sessions_and_failures_are_swept_at_a_sign_in(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await enter(scene.desk, "bob")
        await count_failures(scene, "name someone", 3)
        scene.clock.moment += FORGET + 1
        await sign_in(scene.desk, "ana", PASSWORD, *HERE)
        assert await scene.rows("SELECT count(*) FROM session") == [(1,)]
        assert await scene.rows("SELECT * FROM login_failure") == []

    stage(tmp_path, script)


def test_a_desk_without_a_user_has_no_own_page(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        for verb in (own_sessions(scene.desk), change_own_password(scene.desk, PASSWORD, OTHER)):
            assert (await refused(verb)).kind is Kind.FORBIDDEN
        gone = scene.desk.acting(replace(scene.desk.actor, user=77))
        assert (await refused(own_sessions(gone))).kind is Kind.FORBIDDEN
        assert scene.desk.actor.may(Right.ADMINISTRATOR)

    stage(tmp_path, script)
