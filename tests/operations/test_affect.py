"""Affect, unaffect, validate: which rows come, stay and go."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from appliance.domain.refusal import Kind, Refusal
from appliance.domain.search import parse
from appliance.operations import affect as affecting
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


def test_computers_are_chosen_by_number_by_a_search_with_alternatives_and_by_criteria_within_a_search(
    tmp_path: Path,
) -> None:
    async def script(scene: Scene) -> None:
        await fleet(scene)
        either = ((parse("NAME = alpha"),), (parse("NAME = gamma"),))
        for selection, count in (
            (Selection(ids=(1, 3, 3, 99)), 2),
            (Selection(search=either), 2),
            (Selection(search=()), 3),
            (Selection(search=either, criteria=(parse("NAME LIKE mm"),)), 1),
        ):
            assert await scene.affect(await scene.package(str(count) + str(selection)[-80:]), selection) == count

    play(tmp_path, script)


def test_a_preview_says_what_affecting_would_do_and_does_nothing(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await fleet(scene)
        package = await scene.package()
        await scene.affect(package, Selection(computers=("alpha", "beta")))
        for name, code in ((A, "ERR_EXECUTE"), (B, "SUCCESS")):
            await scene.contact(name)
            await scene.report(name, package, code)
        before = await scene.rows("SELECT * FROM affectation, event, log")
        for terms, numbers in ((Terms(), (1, 1, 1)), (Terms(force=True), (1, 2, 0))):
            preview = await preview_affect(scene.desk, package, ALL, terms)
            assert (preview.new, preview.again, preview.unchanged) == numbers
        with pytest.raises(Refusal):
            await preview_affect(scene.desk, package, ALL, Terms(schedule="soon"))
        assert await scene.rows("SELECT * FROM affectation, event, log") == before
        assert await scene.affect(package, force=True) == 3
        waiting = await preview_affect(scene.desk, package, ALL, Terms(force=True))
        assert (waiting.new, waiting.again, waiting.unchanged) == (0, 0, 3)
        assert (await preview_affect(scene.desk, package, ALL)).again == 3, "other terms"

    play(tmp_path, script)


@pytest.mark.parametrize("button", Validation)
def test_a_preview_of_the_buttons_counts_what_they_remove(tmp_path: Path, button: Validation) -> None:
    async def script(scene: Scene) -> None:
        names = [device(name) for name in ("waiting", "notified", "success", "error", "already")]
        for name in names:
            await scene.inventory(name)
        package = await scene.package()
        await scene.affect(package)
        for name in names[1:]:
            await scene.contact(name)
        for name, code in zip(names[2:], ("SUCCESS", "ERR_EXECUTE", "SUCCESS_ALREADY_SETUP"), strict=True):
            await scene.report(name, package, code)
        preview = await preview_validation(scene.desk, package)
        assert set(preview.spared.values()) == {0}
        assert await validate(scene.desk, package, button) == preview.cleared[button]

    play(tmp_path, script)


def test_what_was_done_is_logged_with_whom_it_was_for(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await fleet(scene)
        package = await scene.package("Player")
        log = await scene.rows("SELECT count(*) FROM log")
        await scene.affect(package, Selection(criteria=(parse("NAME LIKE a"),)), schedule="2026/12/24 18:00")
        await unaffect(scene.desk, package, Selection(computers=("beta",)))
        await validate(scene.desk, package, Validation.NOT_NOTIFIED)
        found = await scene.rows("SELECT deed, subject, detail FROM log ORDER BY id LIMIT 9 OFFSET ?", log[0][0])
        assert [(deed, subject) for deed, subject, _ in found] == [
            ("package affected", package),
            ("package unaffected", package),
            ("statistics validated", package),
        ]
        details = [json.loads(detail) for _, _, detail in found]
        assert details[0]["name"] == "Player"
        assert (details[0]["count"], details[0]["schedule"]) == ("3", "2026/12/24 18:00")
        assert json.loads(details[0]["search"]) == [[{"field": "NAME", "operator": "LIKE", "value": "a"}]]
        assert (details[1]["computers"], details[1]["count"]) == ("beta", "1")
        assert (details[2]["button"], details[2]["count"]) == ("not-notified", "2")

    play(tmp_path, script)


def test_many_computers_are_affected_in_one_transaction_with_progress_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(affecting, "AT_ONCE", 2)

    async def script(scene: Scene) -> None:
        await fleet(scene)
        package = await scene.package()
        steps: list[tuple[int, int]] = []
        done = await affect(scene.desk, package, ALL, Terms(), lambda done, total: steps.append((done, total)))
        assert (done, steps) == (3, [(2, 3), (3, 3)])
        await unaffect(scene.desk, package, ALL, lambda done, total: steps.append((done, total)))
        assert steps[2:] == [(2, 3), (3, 3)]

        def stop(done: int, _: int) -> None:
            if done > 2:
                raise RuntimeError

        with pytest.raises(RuntimeError):
            await affect(scene.desk, package, ALL, Terms(), stop)
        assert await scene.rows("SELECT count(*) FROM affectation") == [(0,)], "all or none"

    play(tmp_path, script)
