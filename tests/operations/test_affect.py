"""Affect, unaffect, validate: which rows come, stay and go."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.domain.refusal import Kind, Refusal
from appliance.domain.search import parse
from appliance.operations.affect import Selection, Terms, Validation, affect, unaffect, validate
from tests.fakes.appliance import device
from tests.operations.kit import ALL, Scene, play

A, B, C = device("alpha"), device("beta"), device("gamma")


async def fleet(scene: Scene) -> None:
    for name in (A, B, C):
        await scene.inventory(name, ("HARDWARE", {"NAME": name.split("-")[0], "MEMORY": str(len(name) * 100)}))


def test_computers_are_chosen_by_name_by_deviceid_by_search_or_all(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await fleet(scene)
        for selection, count in (
            (Selection(computers=("alpha",)), 1),
            (Selection(computers=("ALPHA", A, B)), 2),
            (Selection(criteria=(parse("NAME LIKE ta"),)), 1),
            (Selection(criteria=(parse("NAME LIKE a"), parse("NAME LIKE g"))), 1),
            (Selection(criteria=(parse("NAME LIKE nobody"),)), 0),
            (ALL, 3),
        ):
            assert await scene.affect(await scene.package(str(selection)), selection) == count

    play(tmp_path, script)


def test_an_unknown_an_ambiguous_and_no_computer_at_all_are_refused_and_nothing_is_affected(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await fleet(scene)
        await scene.inventory(device("alpha", 9))
        package = await scene.package()
        for selection, sentence in (
            (Selection(computers=("beta", "nobody")), "no computer 'nobody'"),
            (Selection(computers=("beta", "alpha")), "2 computers are called 'alpha'; name one by DEVICEID: "),
            (Selection(), "say which computers"),
        ):
            with pytest.raises(Refusal) as caught:
                await scene.affect(package, selection)
            assert sentence in str(caught.value)
        with pytest.raises(Refusal, match="no package"):
            await scene.affect("1234567890")
        assert await scene.rows("SELECT count(*) FROM affectation") == [(0,)]
        assert await scene.affect(package, Selection(computers=(A,))) == 1

    play(tmp_path, script)


def test_affecting_again_leaves_what_is_under_way_and_repeats_errors_and_only_with_force_a_success(
    tmp_path: Path,
) -> None:
    async def script(scene: Scene) -> None:
        await fleet(scene)
        package = await scene.package()
        assert await scene.affect(package) == 3
        assert await scene.affect(package) == 0
        for name in (A, B, C):
            await scene.contact(name)
        await scene.report(A, package, "SUCCESS")
        await scene.report(B, package, "ERR_EXECUTE")
        assert await scene.affect(package) == 1
        assert [await scene.stage(package, name) for name in (A, B, C)] == [
            ("SUCCESS", "SUCCESS"),
            ("WAITING NOTIFICATION", ""),
            ("NOTIFIED", ""),
        ]
        await scene.contact(B)
        assert await scene.affect(package, force=True) == 1
        assert [(await scene.stage(package, name))[0] for name in (A, B, C)] == [
            "WAITING NOTIFICATION",
            "NOTIFIED",
            "NOTIFIED",
        ]
        (pack,) = (await scene.contact(A)).packs
        assert pack.force

    play(tmp_path, script)


def test_a_waiting_computer_takes_over_other_terms(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await fleet(scene)
        package = await scene.package()
        await scene.affect(package)
        alpha = Selection(computers=("alpha",))
        assert await scene.affect(package, alpha, force=True, schedule="2026/12/24 18:00") == 1
        (pack,) = (await scene.contact(A)).packs
        assert (pack.force, pack.schedule) == (True, "2026/12/24 18:00")
        (other,) = (await scene.contact(B)).packs
        assert (other.force, other.schedule) == (False, "")
        assert await scene.affect(package, alpha, force=False) == 0

    play(tmp_path, script)


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        (Terms(schedule="tomorrow"), "schedule"),
        (Terms(schedule="2026-12-24 18:00"), "schedule"),
        (Terms(schedule="2026/12/24 18:00\n"), "schedule"),
        (Terms(schedule="2026/13/41 25:61"), "schedule"),
        (Terms(post_command="x" * 255), "post-command"),
        (Terms(post_command="a\nb"), "post-command"),
    ],
)
def test_terms_that_no_agent_understands_are_refused(tmp_path: Path, terms: Terms, field: str) -> None:
    async def script(scene: Scene) -> None:
        package = await scene.package()
        with pytest.raises(Refusal) as caught:
            await affect(scene.desk, package, ALL, terms)
        assert caught.value.field == field

    play(tmp_path, script)


def test_an_activation_that_the_package_does_not_have_is_refused(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await fleet(scene)
        one, other = await scene.package("one"), await scene.package("other")
        with pytest.raises(Refusal, match="has no activation 2") as caught:
            await scene.affect(one, activation=2)
        assert caught.value.kind is Kind.CONFLICT
        assert await scene.affect(other, activation=2) == 3

    play(tmp_path, script)


def test_unaffect_takes_any_stage_and_says_from_how_many(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await fleet(scene)
        package, other = await scene.package("one"), await scene.package("other")
        await scene.affect(package)
        await scene.affect(other)
        await scene.contact(A)
        await scene.contact(B)
        await scene.report(B, package, "SUCCESS")
        assert await unaffect(scene.desk, package, Selection(computers=("alpha", "gamma"))) == 2
        assert await unaffect(scene.desk, package, Selection(computers=("alpha",))) == 0
        assert await scene.stage(package, B) == ("SUCCESS", "SUCCESS")
        assert await unaffect(scene.desk, package, ALL) == 1
        assert await scene.announced(A) == [other]
        assert await scene.rows("SELECT count(*) FROM affectation WHERE package_id = ?", other) == [(3,)]

    play(tmp_path, script)


@pytest.mark.parametrize(
    ("button", "left"),
    [
        (Validation.SUCCESS, ["error", "notified", "waiting"]),
        (Validation.NOT_NOTIFIED, ["already", "error", "notified", "success"]),
        (Validation.ALL, ["error", "notified"]),
    ],
)
def test_the_three_buttons_of_the_statistics_page(tmp_path: Path, button: Validation, left: list[str]) -> None:
    async def script(scene: Scene) -> None:
        names = [device(name) for name in ("waiting", "notified", "success", "error", "already")]
        for name in names:
            await scene.inventory(name)
        package, other = await scene.package("one"), await scene.package("other", active=False)
        await scene.affect(package)
        await scene.affect(other)
        for name in names[1:]:
            await scene.contact(name)
        for name, code in zip(names[2:], ("SUCCESS", "ERR_EXECUTE", "SUCCESS_ALREADY_SETUP"), strict=True):
            await scene.report(name, package, code)
        assert await validate(scene.desk, package, button) == 5 - len(left)
        stages = await scene.rows("SELECT stage FROM affectation WHERE package_id = ? ORDER BY stage", package)
        assert [stage for (stage,) in stages] == left
        assert await scene.rows("SELECT count(*) FROM affectation WHERE package_id = ?", other) == [(5,)]

    play(tmp_path, script)


def test_every_change_is_an_event_with_its_time(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await scene.inventory(A)
        package = await scene.package()
        begin = scene.clock.moment
        await scene.affect(package)
        scene.clock.moment += 60
        await scene.contact(A)
        await scene.contact(A)
        scene.clock.moment += 60
        await scene.report(A, package, "ERR_BAD_DIGEST")
        scene.clock.moment += 60
        await scene.affect(package, force=True)
        await unaffect(scene.desk, package, ALL)
        assert await scene.rows("SELECT at, kind, detail FROM event ORDER BY id") == [
            (begin, "affected", ""),
            (begin + 60, "announced", ""),
            (begin + 120, "result", "ERR_BAD_DIGEST"),
            (begin + 180, "affected", "force"),
            (begin + 180, "unaffected", "waiting"),
        ]

    play(tmp_path, script)
