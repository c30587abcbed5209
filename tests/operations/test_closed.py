"""Mode closed: whom it answers that did not join, what a password for agents opens, and what it never does."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.domain.account import Role, user_actor
from appliance.domain.identity import Decision, Doubt, Mode
from appliance.domain.refusal import Kind, Refusal
from appliance.operations import throttle
from appliance.operations.agent_passwords import MadePassword, list_passwords, make_password, revoke_password
from appliance.operations.configure import get_settings, set_setting, set_settings
from appliance.operations.identity import Caller, standing
from appliance.operations.join import join, renew
from appliance.operations.start import write_down
from appliance.wire.basic import Credentials
from appliance.wire.joining import Application
from tests.fakes.appliance import device, inventory, progress, prolog, report, tell
from tests.operations.kit import Scene, play
from tests.operations.test_identity import ADDRESS, OTHER, THIEF, VICTIM, cases, joined, kept, machine, refused, token

FAR = "203.0.113.9"
POSTS: dict[str, Callable[[str], bytes]] = {
    "prolog": lambda _: prolog(OTHER),
    "inventory": lambda _: inventory(OTHER, ("HARDWARE", {"NAME": "changed"}), account=[("TAG", "CHANGED")]),
    "inventory of a newcomer": lambda _: inventory(THIEF, *machine()),
    "result": lambda package: report(OTHER, package, "SUCCESS"),
    "progress": lambda package: progress(OTHER, package, 1),
}


async def closed(scene: Scene) -> str:
    """A computer that did not join, with a package that is announced to it, before the mode is closed: the package."""
    await scene.inventory(OTHER, ("HARDWARE", {"NAME": "other"}))
    package = await scene.package()
    await scene.affect(package)
    assert await scene.announced(OTHER) == [package]
    await set_setting(scene.desk, "IDENTITY_MODE", "closed")
    return package


def bringing(made: MadePassword, **other: str) -> Credentials:
    return Credentials(other.get("user", made.name), other.get("password", made.password))


async def everything(scene: Scene) -> list[Any]:
    """Every row that there is but how often somebody failed."""
    tables = await scene.rows("SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'login_failure'")
    return [await scene.rows(f"SELECT * FROM {table} ORDER BY 1, 2") for (table,) in sorted(tables)]


# Passwords


@pytest.mark.parametrize("post", POSTS)
def test_a_good_password_over_https_is_answered_and_nothing_else_is(tmp_path: Path, post: str) -> None:
    async def script(scene: Scene) -> None:
        package = await closed(scene)
        made = await make_password(scene.desk, "agents")
        scene.clock.moment += 1
        xml, good = POSTS[post](package), bringing(made)
        before = await everything(scene)
        tries: list[tuple[dict[str, Any], Kind]] = [
            ({}, Kind.FORBIDDEN),
            ({"is_secure": True}, Kind.UNAUTHORIZED),
            ({"is_secure": True, "credentials": bringing(made, password=made.password[:-1])}, Kind.UNAUTHORIZED),
            ({"is_secure": True, "credentials": bringing(made, password="")}, Kind.UNAUTHORIZED),
            ({"is_secure": True, "credentials": bringing(made, user="agent")}, Kind.UNAUTHORIZED),
            ({"is_secure": True, "credentials": bringing(made, user="", password="")}, Kind.UNAUTHORIZED),
            ({"is_secure": True, "credentials": good, "certificate": "0" * 64}, Kind.FORBIDDEN),
            ({"is_secure": False, "credentials": good}, Kind.FORBIDDEN),
        ]
        for caller, kind in tries:
            why = await refused(tell(scene.desk, xml, **caller))
            assert why.kind is kind, caller
            assert made.password[:-1] not in str(why)
        assert "https" in str(await refused(tell(scene.desk, xml)))
        assert await everything(scene) == before
        await tell(scene.desk, xml, is_secure=True, credentials=good)
        assert await everything(scene) != before

    play(tmp_path, script)


def test_an_agent_with_a_password_goes_the_whole_way(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        package = await closed(scene)
        made = await make_password(scene.desk, "agents")
        caller: dict[str, Any] = {"is_secure": True, "credentials": bringing(made)}
        assert [pack.package for pack in (await tell(scene.desk, prolog(OTHER), **caller)).packs] == [package]
        await tell(scene.desk, inventory(OTHER, ("HARDWARE", {"NAME": "renamed"})), **caller)
        await tell(scene.desk, report(OTHER, package, "SUCCESS"), **caller)
        assert await scene.stage(package, OTHER) == ("SUCCESS", "SUCCESS")
        await tell(scene.desk, inventory(THIEF, ("HARDWARE", {"NAME": "new"})), **caller)
        await scene.affect(package)
        assert (await tell(scene.desk, prolog(THIEF), **caller)).packs, "who has the password need not wait"
        assert (await standing(scene.desk)).waiting == 0

    play(tmp_path, script)


def test_a_password_or_a_network_speaks_for_no_computer_that_joined_and_takes_none_over(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await scene.inventory(OTHER, ("HARDWARE", {"NAME": "other"}))
        _, mine = await joined(scene)
        await tell(scene.desk, inventory(VICTIM, *machine()), certificate=mine)
        await set_setting(scene.desk, "IDENTITY_MODE", "closed")
        await set_setting(scene.desk, "AUTO_DUPLICATE_LVL", "1")
        made = await make_password(scene.desk, "agents")
        before = await kept(scene, VICTIM), await kept(scene, OTHER)
        for networks in (None, f"{FAR}/32"):
            await set_setting(scene.desk, "IDENTITY_NETWORKS", networks)
            caller: dict[str, Any] = {"address": FAR, "is_secure": True, "credentials": bringing(made)}
            for post in (prolog(VICTIM), inventory(VICTIM, *machine()), report(VICTIM, "1700000000", "SUCCESS")):
                why = await refused(tell(scene.desk, post, **caller))
                assert (why.kind, "joined" in str(why)) == (Kind.FORBIDDEN, True)
            await tell(scene.desk, inventory(THIEF, *machine(), old=VICTIM), **caller)
            await tell(scene.desk, inventory(device("alpha", 9), ("HARDWARE", {"NAME": "other"}), old=OTHER), **caller)
        assert (await kept(scene, VICTIM), await kept(scene, OTHER)) == before
        told = {(doubt, decision) for doubt, _, _, decision in await cases(scene)}
        assert told >= {(Doubt.IMPOSTOR, Decision.OPEN), (Doubt.RENAME, Decision.OPEN)}
        await tell(scene.desk, prolog(VICTIM), certificate=mine)

    play(tmp_path, script)


@pytest.mark.parametrize("mode", [mode for mode in Mode if mode is not Mode.CLOSED], ids=lambda mode: mode.value)
def test_in_other_modes_passwords_and_networks_mean_nothing(tmp_path: Path, mode: Mode) -> None:
    async def script(scene: Scene) -> None:
        await set_settings(scene.desk, {"IDENTITY_MODE": mode.value, "IDENTITY_NETWORKS": "198.51.100.0/24"})
        made = await make_password(scene.desk, "agents")
        for number, credentials in enumerate([None, bringing(made), bringing(made, password="wrong")]):
            for is_secure in (False, True):
                one = device("pc", 2 * number + is_secure)
                await tell(scene.desk, inventory(one), is_secure=is_secure, credentials=credentials)
        assert await scene.rows("SELECT count(*) FROM computer") == [(6,)]
        assert await scene.rows("SELECT used_at FROM agent_password") == [(None,)]
        assert await scene.rows("SELECT * FROM login_failure") == []

    play(tmp_path, script)


def test_a_password_is_made_once_kept_as_a_digest_logged_and_revoked(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await closed(scene)
        made, other = await make_password(scene.desk, " Agents "), await make_password(scene.desk, "printers")
        assert re.fullmatch(r"[a-z2-7]{32}", made.password), "160 bits"
        assert (made.name, made.password == other.password) == ("Agents", False)
        digest = hashlib.sha256(made.password.encode()).hexdigest()
        assert await scene.rows("SELECT sha256, created_by FROM agent_password WHERE name = 'agents'") == [
            (digest, "ocs.pyz")
        ]
        assert "already" in str(await refused(make_password(scene.desk, "AGENTS")))
        for _ in range(2):
            await tell(scene.desk, prolog(OTHER), is_secure=True, credentials=bringing(made, user="agents"))
            scene.clock.moment += 60
        listed = await list_passwords(scene.desk)
        assert [(one.name, one.used_at) for one in listed] == [
            ("Agents", scene.clock.moment - 120),
            ("printers", None),
        ]
        assert (await standing(scene.desk)).passwords == tuple(listed)
        await revoke_password(scene.desk, "agents")
        why = await refused(tell(scene.desk, prolog(OTHER), is_secure=True, credentials=bringing(made)))
        assert why.kind is Kind.UNAUTHORIZED
        await tell(scene.desk, prolog(OTHER), is_secure=True, credentials=bringing(other))
        for gone in ("agents", listed[0].id):
            assert (await refused(revoke_password(scene.desk, gone))).kind is Kind.MISSING
        await revoke_password(scene.desk, listed[1].id)
        told = await scene.rows("SELECT deed, subject, detail FROM log WHERE deed LIKE 'password for%' ORDER BY id")
        assert told == [
            ("password for agents created", "Agents", "{}"),
            ("password for agents created", "printers", "{}"),
            ("password for agents revoked", "Agents", "{}"),
            ("password for agents revoked", "printers", "{}"),
        ]
        assert made.password not in repr([await everything(scene), made, bringing(made)])

    play(tmp_path, script)


def test_no_password_for_agents_lies_in_the_data(tmp_path: Path) -> None:
    def script_of(found: list[str]) -> Callable[[Scene], Awaitable[None]]:
        async def script(scene: Scene) -> None:
            await closed(scene)
            made = await make_password(scene.desk, "agents")
            await tell(scene.desk, prolog(OTHER), is_secure=True, credentials=bringing(made))
            await refused(
                tell(scene.desk, prolog(OTHER), is_secure=True, credentials=Credentials("agents", "canary-x"))
            )
            found.append(made.password)

        return script

    found: list[str] = []
    play(tmp_path, script_of(found))
    data = b"".join(path.read_bytes() for path in (tmp_path / "data").glob("ocs.sqlite*"))
    assert b"agents" in data
    assert found[0].encode() not in data
    assert b"canary-x" not in data


@pytest.mark.parametrize("name", ["", " ", "a b", "a:b", "-a", ".a", "ä", "a\n", "a" * 65, "a=b", "a'b", "<b>"])
def test_a_user_name_that_files_and_command_lines_could_not_take_is_refused(tmp_path: Path, name: str) -> None:
    async def script(scene: Scene) -> None:
        if name.strip() != name and name.strip():
            assert (await make_password(scene.desk, name)).name == name.strip()
            return
        why = await refused(make_password(scene.desk, name))
        assert (why.kind, why.field) == (Kind.INVALID, "name")
        assert await scene.rows("SELECT * FROM agent_password") == []

    play(tmp_path, script)


def test_only_an_administrator_makes_lists_and_revokes_them(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        made = await make_password(scene.desk, "agents")
        user = scene.desk.acting(user_actor("eve", "console", Role.USER, 2, []))
        for work in (make_password(user, "mine"), list_passwords(user), revoke_password(user, made.name)):
            assert (await refused(work)).kind is Kind.FORBIDDEN
        assert await scene.rows("SELECT name FROM agent_password") == [("agents",)]

    play(tmp_path, script)


def test_what_agents_are_given_names_the_server_once_it_is_known(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        early = await make_password(scene.desk, "early")
        assert (early.server, "server" in early.unix, "SERVER" in early.windows) == ("", False, False)
        for name, shown in (("ocs.example.org", "ocs.example.org"), ("2001:db8::7", "[2001:db8::7]")):
            await write_down(scene.desk, {"https_port": "4343", "server_name": name})
            made = await make_password(scene.desk, f"for-{len(name)}")
            assert made.server == f"https://{shown}:4343/ocsinventory"
            assert f"server={made.server}\n" in made.unix
            assert made.windows == f"/SERVER={made.server} /SSL=1 /USER={made.name} /PWD={made.password}"

    play(tmp_path, script)


# A password opens nothing else


def test_a_password_for_agents_neither_joins_nor_renews(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await closed(scene)
        await joined(scene)
        made = await make_password(scene.desk, "agents")
        caller = Caller("ours", ADDRESS, is_secure=True, credentials=bringing(made))
        before = await scene.rows("SELECT * FROM member_certificate")
        for one in (VICTIM, OTHER):
            assert (await refused(renew(scene.desk, one, caller))).kind is Kind.FORBIDDEN
            why = await refused(join(scene.desk, Application(made.password, one), caller))
            assert "token is unknown" in str(why)
        assert await scene.rows("SELECT * FROM member_certificate") == before
        given = await join(scene.desk, Application(await token(scene), OTHER), Caller("ours", ADDRESS))
        assert given.device_id == OTHER, "in mode closed computers join as ever"

    play(tmp_path, script)


# Wrong passwords


def test_wrong_passwords_of_one_address_are_bounded_and_it_waits_seconds(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await closed(scene)
        made = await make_password(scene.desk, "agents")

        async def attempt(address: str = FAR, *, good: bool = False) -> Kind | None:
            credentials = bringing(made) if good else bringing(made, password="wrong")
            try:
                await tell(scene.desk, prolog(OTHER), address=address, is_secure=True, credentials=credentials)
            except Refusal as why:
                return why.kind
            return None

        for _ in range(throttle.AGENT_TRIES):
            assert await attempt() is Kind.UNAUTHORIZED
        assert [await attempt() for _ in range(3)] == [Kind.BUSY] * 3
        assert await attempt(good=True) is Kind.BUSY, "what is brought is not looked at"
        assert await attempt(f"::ffff:{FAR}") is Kind.BUSY
        assert await attempt("198.51.100.1", good=True) is None, "others are not concerned"
        assert (await refused(tell(scene.desk, prolog(OTHER), address=FAR, is_secure=True))).kind is Kind.UNAUTHORIZED
        kept_now = await scene.rows("SELECT who, failures FROM login_failure")
        assert kept_now == [(f"agents {FAR}", throttle.AGENT_TRIES)]
        scene.clock.moment += throttle.AGENT_SECONDS
        assert await attempt(good=True) is None
        assert [await attempt() for _ in range(2)] == [Kind.UNAUTHORIZED, Kind.BUSY]
        why = await refused(
            tell(scene.desk, prolog(OTHER), address=FAR, is_secure=True, credentials=Credentials("a", "b"))
        )
        assert f"wait {throttle.AGENT_SECONDS} s" in str(why)
        scene.clock.moment += throttle.AGENT_SECONDS * throttle.AGENT_TRIES
        assert await attempt("198.51.100.2") is Kind.UNAUTHORIZED
        assert await scene.rows("SELECT who FROM login_failure") == [("agents 198.51.100.2",)], "and it is forgotten"

    play(tmp_path, script)


def test_a_subscriber_with_ipv6_is_one_address_and_a_clock_that_was_wrong_blocks_nobody(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await closed(scene)
        made = await make_password(scene.desk, "agents")
        wrong: dict[str, Any] = {"is_secure": True, "credentials": bringing(made, password="wrong")}
        for number in range(throttle.AGENT_TRIES):
            await refused(tell(scene.desk, prolog(OTHER), address=f"2001:db8:0:1::{number:x}", **wrong))
        assert (await refused(tell(scene.desk, prolog(OTHER), address="2001:db8:0:1::ffff", **wrong))).kind is Kind.BUSY
        scene.clock.moment -= 30 * 86_400
        why = await refused(tell(scene.desk, prolog(OTHER), address="2001:db8:0:1::ffff", **wrong))
        assert why.kind is Kind.UNAUTHORIZED

    play(tmp_path, script)


def test_wrong_passwords_of_agents_block_nobody_at_the_console(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await closed(scene)
        for _ in range(throttle.AGENT_TRIES + 5):
            credentials = Credentials("ana", "wrong")
            await refused(tell(scene.desk, prolog(OTHER), address=FAR, is_secure=True, credentials=credentials))
        assert await throttle.charge(scene.desk, "ana", FAR)

    play(tmp_path, script)


# Networks


@pytest.mark.parametrize("post", POSTS)
@pytest.mark.parametrize("is_secure", [False, True], ids=["http", "https"])
def test_agents_in_a_named_network_are_answered_without_proof(tmp_path: Path, post: str, is_secure: bool) -> None:
    async def script(scene: Scene) -> None:
        package = await closed(scene)
        scene.clock.moment += 1
        await set_setting(scene.desk, "IDENTITY_NETWORKS", "198.51.100.0/24 2001:db8::/32")
        xml, before = POSTS[post](package), await everything(scene)
        for outside in ("192.0.2.7", "198.51.101.1", "2001:db9::1", "::ffff:192.0.2.7", ""):
            await refused(tell(scene.desk, xml, address=outside, is_secure=is_secure))
        assert await everything(scene) == before
        for inside in ("198.51.100.7", "2001:db8::7", "::ffff:198.51.100.8"):
            await tell(scene.desk, xml, address=inside, is_secure=is_secure)
        if post != "progress":  # of a package without fragments there is none
            assert await everything(scene) != before

    play(tmp_path, script)


def test_networks_are_checked_and_kept_as_they_are_read(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        for typed in ("office", "192.0.2.7/24", "192.0.2.0/24; 10.0.0.0/8"):
            why = await refused(set_setting(scene.desk, "IDENTITY_NETWORKS", typed))
            assert (why.kind, why.field) == (Kind.INVALID, "IDENTITY_NETWORKS")
        await set_setting(scene.desk, "IDENTITY_NETWORKS", "192.0.2.0/24,2001:DB8::/32")
        (value,) = await get_settings(scene.desk, "IDENTITY_NETWORKS")
        assert value.value == "192.0.2.0/24, 2001:db8::/32"
        assert await set_settings(scene.desk, {"IDENTITY_NETWORKS": "192.0.2.0/24   2001:db8::/32"}) == 0
        assert (await standing(scene.desk)).everywhere == ()
        await set_setting(scene.desk, "IDENTITY_NETWORKS", "0.0.0.0/0 10.0.0.0/8 ::/0")
        assert (await standing(scene.desk)).everywhere == ("0.0.0.0/0", "::/0")
        assert "0.0.0.0/0 and ::/0 are all addresses" in value.setting.help
        await set_setting(scene.desk, "IDENTITY_NETWORKS", "")
        assert (await standing(scene.desk)).networks == ""

    play(tmp_path, script)
