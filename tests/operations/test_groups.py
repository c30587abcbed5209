"""Groups through the operations: joining at a contact, whose row decides, whose settings win, and who may do what."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.domain.account import Actor, Role, user_actor
from appliance.domain.eligibility import Cause
from appliance.domain.group import Ground
from appliance.domain.refusal import Kind, Refusal
from appliance.domain.search import Criterion, Operator, Search, parse
from appliance.operations.affect import (
    Selection,
    Terms,
    Validation,
    affect,
    preview_affect,
    preview_validation,
    unaffect,
    validate,
)
from appliance.operations.configure import get_settings, set_setting
from appliance.operations.desk import Desk
from appliance.operations.groups import (
    Change,
    add_members,
    change_group,
    create_group,
    delete_group,
    explain_membership,
    forget_exceptions,
    group_members,
    groups_of_computer,
    list_groups,
    remove_members,
    show_group,
)
from appliance.operations.package_facts import list_packages, package_computers, package_counts, package_stats
from tests.fakes.appliance import UNIX, device
from tests.operations.kit import ALL, Scene, play

A, B, C = device("alpha"), device("beta"), device("gamma")
ALPHA, BETA = Selection(computers=("alpha",)), Selection(computers=("beta",))
TO_GROUP = Selection(group="Group")
WINDOWS: Search = ((parse("OSNAME LIKE Windows"),),)


async def fleet(scene: Scene) -> None:
    for name, system, tag in ((A, "Windows 11", "paris"), (B, "Debian 12", "paris"), (C, "Debian 12", "lyon")):
        await told(scene, name, system, tag)


async def told(scene: Scene, name: str, system: str, tag: str = "paris", **rest: object) -> None:
    await scene.inventory(
        name,  # type: ignore[arg-type]
        ("HARDWARE", {"NAME": name.split("-")[0], "OSNAME": system}),
        account=[("TAG", tag)],
        **rest,
    )


async def members(desk: Desk, group: str = "Group") -> list[str]:
    return [member.computer.name for member in (await group_members(desk, group)).members]


async def why(scene: Scene, package: str, device_id: str) -> Cause:
    _, stands = await package_stats(scene.desk, package)
    (cause,) = [stand.why.cause for stand in stands if stand.device_id == device_id]
    return cause


async def logged(scene: Scene) -> list[tuple[str, str]]:
    return [(row[0], row[1]) for row in await scene.rows("SELECT deed, subject FROM log ORDER BY id")]


# What they are


def test_groups_are_made_changed_listed_and_deleted_and_each_deed_is_logged(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await fleet(scene)
        await create_group(scene.desk, " Paris ", description="Rue Cler", visible=True)
        dynamic = await create_group(scene.desk, "Windows", search=WINDOWS)
        assert await add_members(scene.desk, "paris", Selection(computers=("alpha", B))) == 2
        assert await add_members(scene.desk, "Paris", Selection(search=((parse("TAG = lyon"),),))) == 1
        assert await remove_members(scene.desk, "Paris", Selection(ids=(1, 999))) == 1
        listed = [(c.group.name, c.group.is_dynamic, c.group.visible, c.members) for c in await list_groups(scene.desk)]
        assert listed == [("Paris", False, True, 2), ("Windows", True, False, 1)]
        changed = await change_group(scene.desk, dynamic.id, Change(name="Debian", search=((parse("OSNAME ~ deb"),),)))
        assert (changed.name, await members(scene.desk, "debian")) == ("Debian", ["beta", "gamma"])
        await change_group(scene.desk, "Paris", Change(description="", visible=False))
        await change_group(scene.desk, "Paris", Change(name="Paris"))
        assert (await show_group(scene.desk, "Paris")).group.description == ""
        await delete_group(scene.desk, "Paris")
        assert [c.group.name for c in await list_groups(scene.desk)] == ["Debian"]
        assert await logged(scene) == [
            ("group created", "Paris"),
            ("group created", "Windows"),
            ("members added", "Paris"),
            ("members added", "Paris"),
            ("members removed", "Paris"),
            ("group changed", "Windows"),
            ("group changed", "Paris"),
            ("group deleted", "Paris"),
        ]
        (detail,) = await scene.rows("SELECT detail FROM log WHERE deed = 'members added' ORDER BY id LIMIT 1")
        assert detail == (f'{{"count": "2", "computers": "alpha, {B}"}}',)

    play(tmp_path, script)


def test_what_a_group_cannot_be_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await create_group(scene.desk, "Static")
        await create_group(scene.desk, "Dynamic", search=WINDOWS)
        await create_group(scene.desk, "Asks", search=((Criterion("GROUP", Operator.BELONG, "Static"),),))
        before = await scene.rows("SELECT * FROM computer_group, log")
        own: Search = ((Criterion("GROUP", Operator.BELONG, "Asks"),),)
        for work, field, sentence in (
            (create_group(scene.desk, "STATIC"), "name", "there is a group 'STATIC' already"),
            (create_group(scene.desk, ""), "name", "1 to 255"),
            (create_group(scene.desk, "x", search=((Criterion("NOPE", Operator.EQUAL, "1"),),)), "search", "no field"),
            (create_group(scene.desk, "x", search=((Criterion("GROUP", Operator.BELONG, "?"),),)), "", "no group '?'"),
            (
                create_group(scene.desk, "own", search=((Criterion("GROUP", Operator.BELONG, "own"),),)),
                "search",
                "very",
            ),
            (change_group(scene.desk, "Asks", Change(search=own)), "search", "very group"),
            (change_group(scene.desk, "Static", Change(search=WINDOWS)), "", "is static"),
            (change_group(scene.desk, "Static", Change(name="dynamic")), "name", "already"),
            (delete_group(scene.desk, "Static"), "", "'Asks' asks for 'Static'"),
            (delete_group(scene.desk, "nobody"), "", "there is no group 'nobody'"),
            (add_members(scene.desk, "Static", Selection()), "computer", "say which"),
            (add_members(scene.desk, "Static", Selection(computers=("nobody",))), "", "no computer 'nobody'"),
            (forget_exceptions(scene.desk, "Static", ALL), "", "has no exceptions"),
        ):
            with pytest.raises(Refusal, match=sentence.replace("?", r"\?")) as caught:
                await work
            assert caught.value.field == field
        assert await scene.rows("SELECT * FROM computer_group, log") == before

    play(tmp_path, script)


def test_a_page_of_members_and_why_one_computer_is_or_is_not_in(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await fleet(scene)
        await create_group(scene.desk, "Group", search=WINDOWS)
        page = await group_members(scene.desk, "Group", page=9, size=1)
        assert ([m.computer.name for m in page.members], page.total, page.page) == (["alpha"], 1, 1)
        group, computer, found = await explain_membership(scene.desk, "Group", "beta")
        assert (group.name, computer.name, found.ground) == ("Group", "beta", Ground.FITS_NOT)
        ((check,),) = found.alternatives
        assert (check.holds, check.own) == (False, ("Debian 12",))
        assert await add_members(scene.desk, "Group", BETA) == 1
        assert await remove_members(scene.desk, "Group", ALPHA) == 1
        grounds = [(await explain_membership(scene.desk, "Group", n))[2].ground for n in ("alpha", "beta", "gamma")]
        assert grounds == [Ground.EXCEPTION_OUT, Ground.EXCEPTION_IN, Ground.FITS_NOT]
        facts = await show_group(scene.desk, "Group")
        assert ([c.name for c in facts.left_out], facts.members) == (["alpha"], 1)
        assert [g.name for g in await groups_of_computer(scene.desk, "beta")] == ["Group"]
        assert await forget_exceptions(scene.desk, "Group", ALL) == 2
        assert await members(scene.desk) == ["alpha"]

    play(tmp_path, script)


# Packages


def test_a_computer_that_comes_to_fit_a_search_gets_the_groups_package_at_its_contact(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await fleet(scene)
        package = await scene.package()
        await create_group(scene.desk, "Group", search=WINDOWS)
        assert await scene.affect(package, TO_GROUP, schedule="2026/12/24 18:00", post_command="REBOOT") == 1
        assert await scene.stage(package, A) == ("WAITING NOTIFICATION", "")
        assert await scene.announced(A) == [package]
        assert await scene.announced(B) == []
        await told(scene, B, "Windows 11")
        (pack,) = (await scene.contact(B)).packs
        assert (pack.package, pack.schedule, pack.post_command, pack.force) == (
            package, "2026/12/24 18:00", "REBOOT", False,
        )  # fmt: skip
        assert await scene.stage(package, B) == ("NOTIFIED", "")
        await scene.report(B, package, "SUCCESS")
        assert await scene.announced(B) == []
        assert await scene.rows("SELECT kind, detail FROM event WHERE computer_id = 2 ORDER BY id") == [
            ("affected", "group 1"),
            ("announced", ""),
            ("result", "SUCCESS"),
        ]
        await told(scene, device("delta"), "Windows 11")
        assert await scene.announced(device("delta")) == [package], "a computer that never was before"

    play(tmp_path, script)


def test_who_is_put_into_a_group_waits_at_once_and_who_leaves_is_held(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await fleet(scene)
        package = await scene.package()
        await create_group(scene.desk, "Group")
        assert await scene.affect(package, TO_GROUP) == 0
        await add_members(scene.desk, "Group", Selection(computers=("alpha", "beta")))
        assert await scene.stage(package, A) == ("WAITING NOTIFICATION", "")
        assert await scene.announced(B) == [package]
        await remove_members(scene.desk, "Group", ALL)
        assert await why(scene, package, A) is Cause.NOT_MEMBER
        assert await scene.announced(A) == []
        assert await scene.announced(B) == [package], "what was notified goes on"
        assert await why(scene, package, B) is Cause.ANNOUNCED
        await add_members(scene.desk, "Group", ALPHA)
        assert await scene.announced(A) == [package]

    play(tmp_path, script)


def test_a_computers_own_row_decides_over_its_groups(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await fleet(scene)
        package = await scene.package()
        await scene.affect(package, ALPHA, schedule="2026/12/24 18:00")
        await scene.affect(package, BETA)
        await scene.contact(B)
        await scene.report(B, package, "ERR_EXECUTE")
        await create_group(scene.desk, "Group", search=())
        assert await scene.affect(package, TO_GROUP, schedule="2027/01/01 00:00") == 1, "gamma has none of its own"
        assert [(await scene.contact(name)).packs[0].schedule for name in (A, C)] == [
            "2026/12/24 18:00",
            "2027/01/01 00:00",
        ]
        assert await scene.announced(B) == [], "its own row has ended"
        assert await unaffect(scene.desk, package, BETA) == 1
        assert await scene.announced(B) == [package], "without a row of its own the group's comes back"

    play(tmp_path, script)


def test_affecting_to_the_computer_itself_takes_a_groups_row_over(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await fleet(scene)
        package = await scene.package()
        await create_group(scene.desk, "Group")
        await add_members(scene.desk, "Group", ALPHA)
        await scene.affect(package, TO_GROUP)
        assert await scene.affect(package, ALPHA) == 1
        await remove_members(scene.desk, "Group", ALPHA)
        assert await scene.announced(A) == [package], "its own now"
        assert await unaffect(scene.desk, package, TO_GROUP) == 0

    play(tmp_path, script)


def test_what_is_installed_already_is_not_armed_by_a_group(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        package = await scene.package()
        await told(scene, A, "Windows 11", history=[package])
        await create_group(scene.desk, "Group", search=())
        assert await scene.affect(package, TO_GROUP) == 0
        assert await scene.announced(A) == []
        assert await scene.rows("SELECT count(*) FROM affectation") == [(0,)]

    play(tmp_path, script)


def test_affecting_to_a_group_again_repeats_errors_and_changes_terms_of_what_waits(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await fleet(scene)
        package = await scene.package()
        await create_group(scene.desk, "Group", search=())
        assert await scene.affect(package, TO_GROUP) == 3
        assert await scene.affect(package, TO_GROUP) == 0
        for name, code in ((A, "ERR_EXECUTE"), (B, "SUCCESS")):
            await scene.contact(name)
            await scene.report(name, package, code)
        terms = Terms(schedule="2026/12/24 18:00")
        preview = await preview_affect(scene.desk, package, TO_GROUP, terms)
        assert (preview.new, preview.again, preview.unchanged) == (0, 2, 1)
        assert await affect(scene.desk, package, TO_GROUP, terms) == 2
        assert [(await scene.stage(package, name))[0] for name in (A, B, C)] == [
            "WAITING NOTIFICATION",
            "SUCCESS",
            "WAITING NOTIFICATION",
        ]
        with pytest.raises(Refusal, match="a group cannot force") as caught:
            await scene.affect(package, TO_GROUP, force=True)
        assert caught.value.field == "force"

    play(tmp_path, script)


def test_of_two_groups_with_the_same_package_the_one_that_stays_takes_over(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await fleet(scene)
        package = await scene.package(active=False)
        for name in ("First", "Second"):
            await create_group(scene.desk, name)
            await add_members(scene.desk, name, ALPHA)
        await scene.affect(package, Selection(group="First"), schedule="2026/12/24 18:00")
        assert await scene.affect(package, Selection(group="Second")) == 0
        await scene.activate(package)
        await remove_members(scene.desk, "First", ALPHA)
        (pack,) = (await scene.contact(A)).packs
        assert pack.schedule == "", "the terms of the second"
        assert await scene.rows("SELECT group_id FROM affectation") == [(2,)]

    play(tmp_path, script)


def test_unaffecting_a_group_takes_what_waits_and_leaves_what_was_notified(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await fleet(scene)
        package = await scene.package()
        await create_group(scene.desk, "Group", search=())
        await scene.affect(package, TO_GROUP)
        await scene.contact(A)
        assert await unaffect(scene.desk, package, TO_GROUP) == 2
        assert await scene.announced(A) == [package]
        assert await scene.announced(B) == []
        with pytest.raises(Refusal, match="is not affected to the group 'Group'"):
            await unaffect(scene.desk, package, TO_GROUP)
        await scene.affect(package, TO_GROUP)
        await delete_group(scene.desk, "Group")
        stages = await scene.rows("SELECT computer_id, stage, group_id FROM affectation")
        assert stages == [(1, "notified", None)]

    play(tmp_path, script)


def test_validating_spares_what_a_group_would_bring_back(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await fleet(scene)
        package = await scene.package()
        await scene.affect(package, ALPHA)
        await create_group(scene.desk, "Group", search=())
        await scene.affect(package, TO_GROUP)
        for name in (A, B):
            await scene.contact(name)
            await scene.report(name, package, "SUCCESS")
        preview = await preview_validation(scene.desk, package)
        assert preview.cleared == {Validation.SUCCESS: 1, Validation.NOT_NOTIFIED: 0, Validation.ALL: 1}
        assert preview.spared == {Validation.SUCCESS: 1, Validation.NOT_NOTIFIED: 1, Validation.ALL: 2}
        assert await validate(scene.desk, package, Validation.ALL) == 1
        await unaffect(scene.desk, package, TO_GROUP)
        assert (await preview_validation(scene.desk, package)).spared[Validation.ALL] == 0
        assert await validate(scene.desk, package, Validation.SUCCESS) == 1
        assert await scene.rows("SELECT * FROM affectation") == []

    play(tmp_path, script)


def test_an_activation_for_a_group_is_the_one_its_members_are_told(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await fleet(scene)
        package = await scene.package(active=False)
        paris = await scene.activate(package, "paris.example.org:4343/d", "paris.example.org/d")
        await scene.activate(package)
        await create_group(scene.desk, "Group", search=WINDOWS)
        await scene.affect(package, TO_GROUP, activation=paris)
        await told(scene, B, "Windows 10")
        for name in (A, B):
            assert (await scene.contact(name)).packs[0].info_location == "paris.example.org:4343/d"

    play(tmp_path, script)


def test_a_genuine_unix_agent_at_work_waits_for_its_groups_packages_too(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await fleet(scene)
        first, second = await scene.package("first"), await scene.package("second")
        await scene.affect(first, ALPHA)
        assert await scene.announced(A, UNIX) == [first]
        await create_group(scene.desk, "Group", search=())
        await scene.affect(second, TO_GROUP)
        assert await scene.announced(A, UNIX) == [first]
        assert await why(scene, second, A) is Cause.WAITS_FOR

    play(tmp_path, script)


# Settings


def test_a_computers_setting_comes_before_its_groups_and_theirs_before_everyones(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await fleet(scene)
        for name, latency, freq in (("Slow", "90", "12"), ("Quick", "30", "6")):
            await create_group(scene.desk, name, search=())
            await set_setting(scene.desk, "DOWNLOAD_CYCLE_LATENCY", latency, group=name)
            await set_setting(scene.desk, "PROLOG_FREQ", freq, group=name)
        await set_setting(scene.desk, "DOWNLOAD_CYCLE_LATENCY", "45")
        await set_setting(scene.desk, "DOWNLOAD_CYCLE_LATENCY", "5", "alpha")
        mine, other = await scene.contact(A), await scene.contact(B)
        assert (mine.tempo.cycle_latency, mine.prolog_hours) == (5, 6)
        assert (other.tempo.cycle_latency, other.prolog_hours) == (90, 6), "the highest latency, the lowest of all else"
        values = {v.setting.name: v for v in await get_settings(scene.desk, computer="beta")}
        latency, freq = values["DOWNLOAD_CYCLE_LATENCY"], values["PROLOG_FREQ"]
        assert (latency.value, latency.origin, latency.group) == ("90", "group", "Slow")
        assert (freq.value, freq.group, freq.own) == ("6", "Quick", "")
        assert (latency.computers, latency.groups) == (1, ("Quick", "Slow"))
        assert values["DOWNLOAD_TIMEOUT"].origin == "default"
        (own,) = await get_settings(scene.desk, "DOWNLOAD_CYCLE_LATENCY", "alpha")
        assert (own.value, own.origin, own.own) == ("5", "computer", "5")
        (of_group,) = await get_settings(scene.desk, "PROLOG_FREQ", group="slow")
        assert (of_group.value, of_group.origin, of_group.own) == ("12", "group", "12")
        (for_all,) = await get_settings(scene.desk, "DOWNLOAD_CYCLE_LATENCY")
        assert (for_all.value, for_all.origin, for_all.own) == ("45", "everywhere", "45")
        await set_setting(scene.desk, "DOWNLOAD_CYCLE_LATENCY", None, group="Slow")
        assert (await scene.contact(B)).tempo.cycle_latency == 30
        assert (await logged(scene))[-1] == ("setting changed", "DOWNLOAD_CYCLE_LATENCY")

    play(tmp_path, script)


def test_switched_off_for_a_group_its_members_are_told_nothing_and_the_reason_names_it(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await fleet(scene)
        package = await scene.package()
        await scene.affect(package)
        await create_group(scene.desk, "Group", search=WINDOWS)
        await set_setting(scene.desk, "DOWNLOAD", "0", group="Group")
        await set_setting(scene.desk, "DOWNLOAD", "1", "alpha")
        assert (await scene.contact(A)).tempo.on is False, "a computer cannot undo its group's"
        assert await scene.announced(B) == [package]
        assert await why(scene, package, A) is Cause.OFF_FOR_GROUP
        await set_setting(scene.desk, "DOWNLOAD", "0", "gamma")
        assert await why(scene, package, C) is Cause.OFF_FOR_COMPUTER
        await set_setting(scene.desk, "DOWNLOAD", "0")
        assert await why(scene, package, A) is Cause.OFF_EVERYWHERE

    play(tmp_path, script)


def test_a_setting_that_is_for_all_only_or_for_two_at_once_is_refused(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await create_group(scene.desk, "Group")
        for work in (
            set_setting(scene.desk, "FRAGMENT_SIZE", "1M", group="Group"),
            set_setting(scene.desk, "PROLOG_FREQ", "0", group="Group"),
            set_setting(scene.desk, "PROLOG_FREQ", "1", "alpha", "Group"),
            set_setting(scene.desk, "PROLOG_FREQ", "1", group="nobody"),
            get_settings(scene.desk, "PROLOG_FREQ", "alpha", "Group"),
        ):
            with pytest.raises(Refusal):
                await work
        assert await scene.rows("SELECT * FROM group_override") == []

    play(tmp_path, script)


# Users


ANA = user_actor("ana", "console", Role.USER, 7, ["paris"])


def test_a_user_sees_visible_static_groups_and_only_own_computers_in_them(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await fleet(scene)
        await create_group(scene.desk, "Open", visible=True)
        await create_group(scene.desk, "Hidden")
        await create_group(scene.desk, "Search", search=(), visible=True)
        for name in ("Open", "Hidden"):
            await add_members(scene.desk, name, ALL)
        ana = scene.desk.acting(ANA)
        assert [(c.group.name, c.members) for c in await list_groups(ana)] == [("Open", 2)]
        assert await members(ana, "Open") == ["alpha", "beta"]
        assert [g.name for g in await groups_of_computer(ana, "alpha")] == ["Open"]
        assert (await explain_membership(ana, "Open", "beta"))[2].ground is Ground.PUT_IN
        for work in (
            group_members(ana, "Hidden"),
            show_group(ana, "Search"),
            explain_membership(ana, "Hidden", "alpha"),
            explain_membership(ana, "Open", "gamma"),
            groups_of_computer(ana, "gamma"),
            add_members(ana, "Hidden", ALPHA),
            add_members(ana, "Search", ALPHA),
            remove_members(ana, "Search", ALPHA),
        ):
            with pytest.raises(Refusal) as caught:
                await work
            assert caught.value.kind is Kind.MISSING

    play(tmp_path, script)


def test_a_user_puts_own_computers_in_and_out_and_no_others(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await fleet(scene)
        await create_group(scene.desk, "Group", visible=True)
        package = await scene.package()
        await scene.affect(package, TO_GROUP)
        await add_members(scene.desk, "Group", Selection(computers=("gamma",)))
        ana = scene.desk.acting(ANA)
        assert await add_members(ana, "Group", Selection(everyone=True)) == 2
        assert await scene.announced(A) == [package]
        assert await remove_members(ana, "Group", Selection(everyone=True)) == 2
        assert await members(scene.desk) == ["gamma"]
        for selection in (Selection(computers=("gamma",)), Selection(ids=(1, 3))):
            for verb in (add_members, remove_members):
                with pytest.raises(Refusal):
                    await verb(ana, "Group", selection)
        assert await members(scene.desk) == ["gamma"]
        assert (await logged(scene))[-1] == ("members removed", "Group")
        assert await scene.rows("SELECT actor, through FROM log ORDER BY id DESC LIMIT 1") == [("ana", "console")]

    play(tmp_path, script)


def test_everything_else_is_an_administrators(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await fleet(scene)
        package = await scene.package()
        await create_group(scene.desk, "Group", visible=True)
        ana = scene.desk.acting(ANA)
        for work in (
            create_group(ana, "mine"),
            change_group(ana, "Group", Change(visible=False)),
            delete_group(ana, "Group"),
            forget_exceptions(ana, "Group", ALPHA),
            affect(ana, package, ALPHA, Terms()),
            preview_affect(ana, package, ALPHA),
            unaffect(ana, package, ALPHA),
            validate(ana, package, Validation.ALL),
            preview_validation(ana, package),
            set_setting(ana, "DOWNLOAD", "0", "alpha"),
            get_settings(ana),
            list_packages(ana),
            package_counts(ana, package),
            package_computers(ana, package),
            package_stats(ana, package),
        ):
            with pytest.raises(Refusal) as caught:
                await work
            assert caught.value.kind is Kind.FORBIDDEN

    play(tmp_path, script)


def test_a_user_without_tags_may_do_nothing_with_any_computer(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await fleet(scene)
        await create_group(scene.desk, "Group", visible=True)
        nobody = scene.desk.acting(Actor("bo", "api", Role.USER, 8, frozenset()))
        assert await add_members(nobody, "Group", ALL) == 0
        assert await members(nobody) == []

    play(tmp_path, script)
