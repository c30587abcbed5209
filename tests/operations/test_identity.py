"""Whose post it is: what one without a certificate may do in each mode, what it never may, and what people decide."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from appliance.domain.eligibility import Cause
from appliance.domain.identity import Case, Decision, Doubt, Mode
from appliance.domain.messages import DeviceId, Section
from appliance.domain.refusal import Kind, Refusal
from appliance.operations.computers import show_computer
from appliance.operations.configure import set_setting
from appliance.operations.identity import Caller, decide, end_membership, identity_of, standing
from appliance.operations.join import join, make_token, renew, revoke_token
from appliance.operations.start import write_down
from appliance.store import configuration
from appliance.store.configuration import Credential
from appliance.trust import authority
from appliance.wire.joining import Application, Membership, decode_token
from tests.fakes.appliance import SetClock, device, inventory, progress, prolog, report, tell
from tests.operations.kit import Scene, play

VICTIM, THIEF, OTHER = device("alpha"), device("alpha", 1), device("alpha", 2)
ADDRESS = "192.0.2.7"

each_mode = pytest.mark.parametrize("mode", list(Mode), ids=lambda mode: mode.value)


def machine(uuid: str = "uuid-1") -> list[Section]:
    """What the victim is, and what a thief says to be."""
    return [
        ("HARDWARE", {"NAME": "alpha", "UUID": uuid}),
        ("BIOS", {"SSN": "SN-4711", "SMODEL": "Anvil 3"}),
        ("NETWORKS", {"MACADDR": "aa:bb:cc:00:00:01"}),
    ]


@cache
def made_once() -> Credential:
    """An authority; keys take time."""
    made = authority.make_authority(SetClock().now())
    return Credential(made.certificate, made.private_key)


async def token(scene: Scene, **terms: Any) -> str:
    """The secret of a token."""
    async with scene.desk.store.writing() as tx:
        await configuration.put_credential(tx, "authority", made_once())
    await write_down(scene.desk, {"https_port": "4343", "server_name": "127.0.0.1"})
    return decode_token(await make_token(scene.desk, **terms)).secret


async def joined(scene: Scene, device_id: DeviceId = VICTIM) -> tuple[Membership, str]:
    """A computer that joined and made a contact: what it was given, and its certificate's SHA-256."""
    given = await join(scene.desk, Application(await token(scene), device_id), Caller("ours", ADDRESS))
    certificate = await newest(scene, device_id)
    await tell(scene.desk, prolog(device_id), certificate=certificate)
    return given, certificate


async def newest(scene: Scene, device_id: DeviceId) -> str:
    sql = "SELECT sha256 FROM member_certificate m JOIN computer c ON c.id = m.computer_id WHERE device_id = ?"
    return str((await scene.rows(f"{sql} AND used_at IS NULL", device_id))[0][0])


async def cases(scene: Scene) -> list[tuple[Doubt, str, str, Decision]]:
    found = (await standing(scene.desk)).cases
    return [(case.doubt, case.device_id, case.other_device_id, case.decision) for case in found]


async def refused(work: Awaitable[Any]) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await work
    return caught.value


async def kept(scene: Scene, device_id: DeviceId) -> list[Any]:
    """Every row of a computer, as it lies in the file."""
    ((number,),) = await scene.rows("SELECT id FROM computer WHERE device_id = ?", device_id)
    tables = [
        name
        for (name,) in await scene.rows(
            "SELECT m.name FROM sqlite_master m JOIN pragma_table_info(m.name) c ON c.name = 'computer_id' "
            "WHERE m.type = 'table' AND m.name NOT IN ('doubt', 'sighting') ORDER BY 1"
        )
    ]
    assert {"affectation", "inventory", "history", "account", "network", "event", "member"} <= set(tables)
    return [
        await scene.rows("SELECT * FROM computer WHERE id = ?", number),
        *[await scene.rows(f"SELECT * FROM {table} WHERE computer_id = ? ORDER BY 1, 2", number) for table in tables],
    ]


# What a post without a certificate never does

Post = Callable[[str, str], bytes]
POSTS: dict[str, Post] = {
    "prolog": lambda *_: prolog(VICTIM),
    "inventory": lambda *_: inventory(VICTIM, *machine(), history=["1700000009"], account=[("TAG", "STOLEN")]),
    "inventory of another": lambda *_: inventory(VICTIM, ("HARDWARE", {"NAME": "thief"})),
    "success of what is announced": lambda announced, _: report(VICTIM, announced, "SUCCESS"),
    "error of what is announced": lambda announced, _: report(VICTIM, announced, "ERR_EXECUTE"),
    "success of what waits": lambda _, waiting: report(VICTIM, waiting, "SUCCESS"),
    "already there, of what waits": lambda _, waiting: report(VICTIM, waiting, "SUCCESS_ALREADY_SETUP"),
    "success of what is not": lambda *_: report(VICTIM, "1700000009", "SUCCESS"),
    "progress": lambda announced, _: progress(VICTIM, announced, 1),
    "old deviceid": lambda *_: inventory(THIEF, old=VICTIM),
    "old deviceid of a computer that is known": lambda *_: inventory(OTHER, old=VICTIM),
    "look-alike": lambda *_: inventory(THIEF, *machine()),
    "look-alike with an old deviceid": lambda *_: inventory(THIEF, *machine(), old=VICTIM),
}


@each_mode
@pytest.mark.parametrize("post", POSTS)
def test_a_post_without_its_certificate_changes_nothing_of_a_computer_that_joined(
    tmp_path: Path, mode: Mode, post: str
) -> None:
    async def script(scene: Scene) -> None:
        _, certificate = await joined(scene)
        await scene.inventory(OTHER, ("HARDWARE", {"NAME": "other"}))
        await tell(scene.desk, inventory(VICTIM, *machine(), history=["1700000001"]), certificate=certificate)
        announced = await scene.package("announced")
        await scene.affect(announced)
        assert (await tell(scene.desk, prolog(VICTIM), certificate=certificate)).packs
        waiting = await scene.package("waiting")
        await scene.affect(waiting)
        await set_setting(scene.desk, "IDENTITY_MODE", mode.value)
        await set_setting(scene.desk, "AUTO_DUPLICATE_LVL", "1")
        before = await kept(scene, VICTIM)
        for _ in range(2):
            with contextlib.suppress(Refusal):
                await tell(scene.desk, POSTS[post](announced, waiting), address="203.0.113.9")
        assert await kept(scene, VICTIM) == before
        told = {doubt for doubt, *_ in await cases(scene)}
        if VICTIM in POSTS[post](announced, waiting).decode() and "old deviceid" not in post:
            assert told == {Doubt.IMPOSTOR}
        elif mode is not Mode.CLOSED:
            assert told & {Doubt.RENAME, Doubt.MERGE}
        assert (await tell(scene.desk, prolog(VICTIM), certificate=certificate)).packs, "the computer itself goes on"

    play(tmp_path, script)


@pytest.mark.parametrize("code", ["SUCCESS", "ERR_EXECUTE", "SUCCESS_ALREADY_SETUP", "ERR_ALREADY_SETUP", ""])
def test_a_result_of_what_was_never_announced_is_an_event_and_no_move(tmp_path: Path, code: str) -> None:
    async def script(scene: Scene) -> None:
        await scene.inventory(VICTIM)
        package = await scene.package()
        await scene.affect(package)
        await scene.report(VICTIM, package, code)
        assert await scene.stage(package, VICTIM) == ("WAITING NOTIFICATION", "")

    play(tmp_path, script)


@each_mode
def test_a_certificate_speaks_for_its_own_computer_only(tmp_path: Path, mode: Mode) -> None:
    async def script(scene: Scene) -> None:
        await scene.inventory(OTHER, ("HARDWARE", {"NAME": "other"}))
        _, mine = await joined(scene)
        await set_setting(scene.desk, "IDENTITY_MODE", mode.value)
        before = await kept(scene, OTHER)
        for post in (prolog(OTHER), inventory(OTHER), report(OTHER, "1700000000", "SUCCESS"), prolog(THIEF)):
            why = await refused(tell(scene.desk, post, certificate=mine))
            assert "another computer's" in str(why)
        assert await kept(scene, OTHER) == before
        assert (Doubt.CLONE, VICTIM, "", Decision.OPEN) in await cases(scene)
        why = await refused(tell(scene.desk, prolog(VICTIM), certificate="0" * 64))
        assert "no longer that of a computer that joined" in str(why)
        await tell(scene.desk, inventory(VICTIM, *machine(), old=OTHER), certificate=mine)
        assert await scene.rows("SELECT count(*) FROM computer") == [(2,)]

    play(tmp_path, script)


# The modes


def test_open_takes_over_and_says_nothing(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await set_setting(scene.desk, "IDENTITY_MODE", "open")
        await scene.inventory(VICTIM, *machine())
        await scene.inventory(THIEF, *machine())
        await scene.inventory(OTHER, *machine(), old=THIEF)
        assert await scene.rows("SELECT device_id FROM computer") == [(OTHER,)]
        assert await cases(scene) == []

    play(tmp_path, script)


def test_observe_takes_over_and_tells(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await scene.inventory(VICTIM, *machine())
        await scene.inventory(THIEF, *machine())
        await scene.inventory(OTHER, *machine(), old=THIEF)
        assert await scene.rows("SELECT device_id FROM computer") == [(OTHER,)]
        told = (await standing(scene.desk)).cases
        assert {(case.doubt, case.detail, case.decision) for case in told} == {
            (Doubt.MERGE, VICTIM, Decision.HAPPENED),
            (Doubt.RENAME, THIEF, Decision.HAPPENED),
        }
        assert (await standing(scene.desk)).waiting == 0

    play(tmp_path, script)


async def under_protection(scene: Scene) -> str:
    """A computer that was there before the mode, with a package, and a newcomer that is like it: the package."""
    await scene.inventory(VICTIM, *machine())
    await set_setting(scene.desk, "IDENTITY_MODE", "protect")
    package = await scene.package()
    await scene.affect(package)
    await scene.inventory(THIEF, *machine())
    await scene.affect(package)
    return package


async def waiting(scene: Scene, doubt: Doubt) -> Case:
    (found,) = [c for c in (await standing(scene.desk)).cases if c.doubt is doubt and c.decision is Decision.OPEN]
    return found


def test_protect_keeps_a_look_alike_apart_until_somebody_decides(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        package = await under_protection(scene)
        assert await scene.announced(VICTIM) == [package], "who was there before goes on"
        assert await scene.announced(THIEF) == [], "nothing is deployed to a newcomer"
        (stand,) = (await show_computer(scene.desk, THIEF)).stands
        assert stand.why.cause is Cause.NOT_LET_IN
        await decide(scene.desk, (await waiting(scene, Doubt.MERGE)).id, accept=True)
        assert await scene.rows("SELECT device_id FROM computer") == [(THIEF,)]
        assert await scene.announced(THIEF) == [package]
        assert await scene.rows("SELECT deed, subject FROM log WHERE deed = 'identity decided'") == [
            ("identity decided", THIEF)
        ]

    play(tmp_path, script)


def test_protect_lets_a_newcomer_in_by_decision_only(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        package = await under_protection(scene)
        await decide(scene.desk, (await waiting(scene, Doubt.MERGE)).id, accept=False)
        newcomer = await waiting(scene, Doubt.NEW)
        await scene.inventory(THIEF, *machine())
        assert [case for case in await cases(scene) if case[3] is Decision.OPEN] == [
            (Doubt.NEW, THIEF, "", Decision.OPEN)
        ]
        await decide(scene.desk, newcomer.id, accept=True)
        assert await scene.announced(THIEF) == [package]
        assert "decided already" in str(await refused(decide(scene.desk, newcomer.id, accept=True)))
        assert "no longer there" in str(await refused(decide(scene.desk, 999, accept=True)))

    play(tmp_path, script)


def test_a_newcomer_that_was_refused_stays_out_and_is_not_asked_about_again(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await set_setting(scene.desk, "IDENTITY_MODE", "protect")
        await scene.inventory(THIEF)
        package = await scene.package()
        await scene.affect(package)
        await decide(scene.desk, (await waiting(scene, Doubt.NEW)).id, accept=False)
        await scene.inventory(THIEF)
        assert await scene.announced(THIEF) == []
        assert (await standing(scene.desk)).waiting == 0
        await set_setting(scene.desk, "IDENTITY_MODE", "observe")
        assert await scene.announced(THIEF) == [package]

    play(tmp_path, script)


def test_closed_answers_only_who_joined(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await scene.inventory(OTHER, ("HARDWARE", {"NAME": "other"}))
        _, mine = await joined(scene)
        await set_setting(scene.desk, "IDENTITY_MODE", "closed")
        before = await kept(scene, OTHER)
        for post in (prolog(OTHER), inventory(OTHER), report(OTHER, "1700000000", "SUCCESS"), inventory(THIEF)):
            assert (await refused(tell(scene.desk, post))).kind is Kind.FORBIDDEN
        assert await kept(scene, OTHER) == before
        await tell(scene.desk, prolog(VICTIM), certificate=mine)

    play(tmp_path, script)


def test_the_mode_is_one_of_four(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        for word in ("", "ajar", "0", " Protect "):
            assert "open, observe, protect, closed" in str(
                await refused(set_setting(scene.desk, "IDENTITY_MODE", word))
            )
        await set_setting(scene.desk, "IDENTITY_MODE", "protect")
        assert (await standing(scene.desk)).mode is Mode.PROTECT

    play(tmp_path, script)


# Clones


def test_two_computers_under_one_deviceid_that_take_turns_are_found_out(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        package = await scene.package()
        for turn in range(10):
            await scene.inventory(VICTIM, *machine(f"uuid-{turn % 2}"))
            scene.clock.moment += 600
        assert await scene.rows("SELECT count(*) FROM computer") == [(1,)], "no record comes and goes"
        found = await waiting(scene, Doubt.CLONE)
        assert (found.device_id, found.detail.startswith("uuid uuid-")) == (VICTIM, True)
        assert found.count > 1
        await scene.affect(package)
        await set_setting(scene.desk, "IDENTITY_MODE", "protect")
        assert await scene.announced(VICTIM) == [], "neither of the two gets it in place of the other"
        await decide(scene.desk, found.id, accept=False)
        assert await scene.announced(VICTIM) == [package]

    play(tmp_path, script)


def test_new_hardware_once_or_a_slow_change_is_no_clone(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        for uuid in ("a", "a", "b", "b", "c", "b"):
            await scene.inventory(VICTIM, *machine(uuid))
        for turn in range(6):
            scene.clock.moment += 2 * 86_400
            await scene.inventory(VICTIM, *machine(f"uuid-{turn % 2}"))
        for _ in range(4):  # what changed only: our agent leaves out what stayed
            await scene.inventory(VICTIM, ("HARDWARE", {"NAME": "alpha"}), ("BIOS", {"SSN": "SN-1"}))
            await scene.inventory(VICTIM, ("HARDWARE", {"NAME": "alpha", "UUID": "uuid-1"}))
        assert await cases(scene) == []

    play(tmp_path, script)


def test_one_certificate_used_from_two_addresses_in_turns_is_noted(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        _, mine = await joined(scene)
        for address in ("192.0.2.1", "192.0.2.1", "192.0.2.2"):
            await tell(scene.desk, prolog(VICTIM), certificate=mine, address=address)
        assert await cases(scene) == []
        for turn in range(5):
            await tell(scene.desk, prolog(VICTIM), certificate=mine, address=f"192.0.2.{1 + turn % 2}")
        assert await cases(scene) == [(Doubt.ADDRESS, VICTIM, "", Decision.OPEN)]
        await decide(scene.desk, (await waiting(scene, Doubt.ADDRESS)).id, accept=False)

    play(tmp_path, script)


# Joining


def test_a_token_gives_tag_and_group_to_who_joins_with_it(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        from appliance.operations.groups import create_group, groups_of_computer

        await create_group(scene.desk, "Laptops")
        secret = await token(scene, uses=2, tag="SALES", group="Laptops")
        await scene.inventory(OTHER, ("HARDWARE", {"NAME": "other"}), account=[("TAG", "OLD")])
        for device_id in (VICTIM, OTHER):
            given = await join(scene.desk, Application(secret, device_id), Caller("ours", ADDRESS))
            assert given.device_id == device_id
            facts = await show_computer(scene.desk, device_id)
            assert facts.computer.tag == "SALES"
            assert [group.name for group in await groups_of_computer(scene.desk, device_id)] == ["Laptops"]
        assert (await standing(scene.desk)).joined == 2
        assert [deed for (deed,) in await scene.rows("SELECT deed FROM log WHERE deed LIKE '%join%' ORDER BY id")] == [
            "join token created",
            "computer joined",
            "computer joined",
        ]

    play(tmp_path, script)


def test_a_token_is_used_as_often_and_as_long_as_it_says_and_can_be_taken_back(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        async def attempt(secret: str, number: int) -> str:
            work = join(scene.desk, Application(secret, device("pc", number)), Caller("ours", ADDRESS))
            return str(await refused(work))

        twice = await token(scene, uses=2)
        for number in (1, 2):
            await join(scene.desk, Application(twice, device("pc", number)), Caller("ours", ADDRESS))
        assert "used up" in await attempt(twice, 3)
        late = await token(scene, days=1)
        scene.clock.moment += 86_400
        assert "has ended" in await attempt(late, 3)
        back = await token(scene)
        (shown,) = (await standing(scene.desk)).tokens
        await revoke_token(scene.desk, shown.id)
        assert "unknown" in await attempt(back, 3)
        assert "no such token" in str(await refused(revoke_token(scene.desk, shown.id)))
        assert "unknown" in await attempt("x" * 43, 3)
        assert await scene.rows("SELECT count(*) FROM computer") == [(2,)]

    play(tmp_path, script)


@pytest.mark.parametrize(
    "terms", [{"uses": 0}, {"uses": 10**6}, {"days": 0}, {"days": 366}, {"tag": "x" * 256}, {"tag": "a\nb"},
              {"group": "nobody's"}],
)  # fmt: skip
def test_a_token_that_cannot_be_made_is_refused(tmp_path: Path, terms: dict[str, Any]) -> None:
    async def script(scene: Scene) -> None:
        await token(scene)
        assert (await refused(make_token(scene.desk, **terms))).kind in (Kind.INVALID, Kind.MISSING)
        assert await scene.rows("SELECT count(*) FROM join_token") == [(1,)]

    play(tmp_path, script)


def test_no_secret_of_joining_is_kept(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        secret = await token(scene)
        given = await join(scene.desk, Application(secret, VICTIM), Caller("ours", ADDRESS))
        await scene.desk.store.close()
        data = b"".join(path.read_bytes() for path in (tmp_path / "data").glob("ocs.sqlite*"))
        assert secret.encode() not in data
        assert given.private_key.splitlines()[2].encode() not in data

    try:
        play(tmp_path, script)
    except ValueError:
        pass  # the desk closes what is closed


def test_nobody_joins_in_the_name_of_a_computer_that_joined(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await joined(scene)
        secret = await token(scene)
        before = await kept(scene, VICTIM)
        why = await refused(join(scene.desk, Application(secret, VICTIM), Caller("ours", ADDRESS)))
        assert "joined already" in str(why)
        assert await kept(scene, VICTIM) == before
        await join(scene.desk, Application(secret, OTHER), Caller("ours", ADDRESS))

    play(tmp_path, script)


def test_a_computer_that_never_heard_its_answer_joins_again_with_another_token(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await join(scene.desk, Application(await token(scene), VICTIM), Caller("ours", ADDRESS))
        lost = await newest(scene, VICTIM)
        _, mine = await joined(scene)
        await tell(scene.desk, prolog(VICTIM), certificate=mine)
        await refused(tell(scene.desk, prolog(VICTIM), certificate=lost))

    play(tmp_path, script)


def test_a_renewed_certificate_takes_the_place_of_the_former_once_it_was_used(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        given, first = await joined(scene)
        assert scene.clock.moment + 200 * 86_400 < given.renew_after < given.expires_at - 90 * 86_400
        await tell(scene.desk, prolog(VICTIM), certificate=first)
        scene.clock.moment = given.renew_after
        for _ in range(2):  # the answer to the first was lost
            await renew(scene.desk, VICTIM, Caller("ours", ADDRESS, first))
        second = await newest(scene, VICTIM)
        await tell(scene.desk, prolog(VICTIM), certificate=first)
        await tell(scene.desk, prolog(VICTIM), certificate=second)
        await refused(tell(scene.desk, prolog(VICTIM), certificate=first))
        await tell(scene.desk, prolog(VICTIM), certificate=second)
        scene.clock.moment += 400 * 86_400
        await refused(tell(scene.desk, prolog(VICTIM), certificate=second))
        await refused(renew(scene.desk, VICTIM, Caller("ours", ADDRESS, second)))
        await refused(renew(scene.desk, VICTIM, Caller("ours", ADDRESS)))
        await refused(renew(scene.desk, OTHER, Caller("ours", ADDRESS)))

    play(tmp_path, script)


def test_a_membership_that_was_ended_is_worth_nothing_and_the_computer_goes_on(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        _, mine = await joined(scene)
        number = (await show_computer(scene.desk, VICTIM)).computer.id
        assert (await identity_of(scene.desk, number)).member is not None
        await refused(tell(scene.desk, prolog(VICTIM)))
        impostor = await waiting(scene, Doubt.IMPOSTOR)
        await decide(scene.desk, impostor.id, accept=True)
        await refused(tell(scene.desk, prolog(VICTIM), certificate=mine))
        await tell(scene.desk, prolog(VICTIM))
        assert (await identity_of(scene.desk, number)).member is None
        await refused(end_membership(scene.desk, number))
        await joined(scene)
        await end_membership(scene.desk, number)
        await tell(scene.desk, prolog(VICTIM))

    play(tmp_path, script)


def test_a_deleted_computer_proves_nothing_any_more(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        from appliance.operations.computers import delete_computer

        _, mine = await joined(scene)
        await delete_computer(scene.desk, VICTIM)
        await refused(tell(scene.desk, prolog(VICTIM), certificate=mine))
        await refused(renew(scene.desk, VICTIM, Caller("ours", ADDRESS, mine)))

    play(tmp_path, script)
