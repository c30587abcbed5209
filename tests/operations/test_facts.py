"""Statistics are counted from the rows and add up; every line carries its reason."""

from __future__ import annotations

from dataclasses import astuple
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.cli.package_text import stand_document
from appliance.domain.eligibility import Cause
from appliance.domain.status import Stage
from appliance.operations.activate import unactivate
from appliance.operations.affect import Selection
from appliance.operations.computers import show_computer
from appliance.operations.configure import set_setting
from appliance.operations.groups import add_members, create_group, remove_members
from appliance.operations.package_facts import (
    Statistics,
    list_packages,
    package_computers,
    package_counts,
    package_progress,
    package_stats,
    show_package,
)
from tests.fakes.appliance import UNIX, device
from tests.operations.kit import Scene, play

CODES = ["SUCCESS", "SUCCESS_0", "SUCCESS_3", "ERR_EXECUTE", "SUCCESS_ALREADY_SETUP", "", "ODD"]
STORY = st.lists(st.sampled_from(["contact", "affect", *CODES]), max_size=4)


@settings(max_examples=8)
@given(stories=st.lists(STORY, min_size=1, max_size=6))
def test_counts_add_up_to_the_computers_whatever_happened(tmp_path_factory: object, stories: list[list[str]]) -> None:
    async def script(scene: Scene) -> None:
        names = [device(f"pc{number}") for number in range(len(stories))]
        for name in names:
            await scene.inventory(name)
        package = await scene.package()
        await scene.affect(package)
        for name, story in zip(names, stories, strict=True):
            for step in story:
                if step == "contact":
                    await scene.contact(name)
                elif step == "affect":
                    await scene.affect(package)
                else:
                    await scene.report(name, package, step)
        facts, stands = await package_stats(scene.desk, package)
        counts = facts.counts
        assert counts.waiting + counts.notified + counts.success + counts.error == len(stands) == len(names)
        assert counts.already <= counts.success
        status = [stand.status for stand in stands]
        assert (counts.waiting, counts.notified) == (status.count("WAITING NOTIFICATION"), status.count("NOTIFIED"))
        assert counts.success == status.count("SUCCESS") + status.count("ERR_ALREADY_SETUP")
        assert (await show_package(scene.desk, package)).counts == counts
        (listed,) = await list_packages(scene.desk)
        assert astuple(listed.counts) == astuple(counts)
        for name in names:
            (stand,) = (await show_computer(scene.desk, name)).stands
            assert stand in stands
            assert stand_document(stand)["why"].endswith(".")

    play(tmp_path_factory.mktemp("facts"), script)  # type: ignore[attr-defined]


def test_every_line_says_why_it_stands_there(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        names = {name: device(name) for name in ("off", "busy", "told", "waiting", "failed")}
        for name in names.values():
            await scene.inventory(name)
        other, package = await scene.package("other"), await scene.package("p", active=False)

        async def why() -> dict[str, str]:
            _, stands = await package_stats(scene.desk, package)
            for stand in stands:
                shown = (await show_computer(scene.desk, stand.device_id)).stands
                assert [s.why for s in shown if s.package == package] == [stand.why], "both pages agree"
            return {stand.computer: stand_document(stand)["why"] for stand in stands}

        await scene.affect(package)
        assert set((await why()).values()) == {"The package is not activated; activate it."}
        number = await scene.activate(package)
        await scene.affect(other)
        await set_setting(scene.desk, "DOWNLOAD", "0", "off")
        await unactivate(scene.desk, package, number)
        await scene.contact(names["busy"], UNIX)
        await scene.activate(package)
        await scene.contact(names["told"])
        await scene.contact(names["failed"])
        await scene.report(names["failed"], package, "SUCCESS_3")
        await scene.contact(names["busy"], UNIX)
        sentences = await why()
        assert sentences["off"] == "Deployment is switched off for this computer (DOWNLOAD is 0)."
        assert sentences["busy"] == "The computer's OCS Unix agent is still at work on 'other'."
        assert sentences["told"].startswith("Notified 2026-")
        assert sentences["waiting"].startswith("It is announced at the computer's next contact, expected before 2026-")
        assert sentences["failed"] == "The command ended with code 3."

    play(tmp_path, script)


async def outcomes(scene: Scene, codes: dict[str, str | None]) -> str:
    """A package on computers of these names: not told of it where None, else notified, and a code reported."""
    for name in codes:
        await scene.inventory(device(name))
    package = await scene.package()
    await scene.affect(package)
    for name, code in codes.items():
        if code is not None:
            scene.clock.moment += 60
            await scene.contact(device(name))
            if code != "told":
                await scene.report(device(name), package, code)
    return package


FLEET = {
    "a": "SUCCESS", "b": "SUCCESS_0", "c": "SUCCESS_3", "d": "ERR_EXECUTE", "e": "ERR_EXECUTE", "f": "told", "g": None,
    "h": "SUCCESS_ALREADY_SETUP",
}  # fmt: skip


def test_a_package_in_numbers_per_stage_and_code(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        package = await outcomes(scene, FLEET)
        found = await package_counts(scene.desk, package)
        assert astuple(found.facts.counts) == (1, 1, 3, 3, 1)
        assert [(s.stage.value, s.status, s.received, s.count) for s in found.statuses] == [
            ("error", "ERR_EXECUTE", "ERR_EXECUTE", 2),
            ("already", "ERR_ALREADY_SETUP", "SUCCESS_ALREADY_SETUP", 1),
            ("error", "ERR_EXIT_CODE_3", "SUCCESS_3", 1),
            ("notified", "NOTIFIED", "", 1),
            ("success", "SUCCESS", "SUCCESS", 1),
            ("success", "SUCCESS", "SUCCESS_0", 1),
            ("waiting", "WAITING NOTIFICATION", "", 1),
        ]

    play(tmp_path, script)


def test_a_number_opens_the_computers_behind_it_page_by_page(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        package = await outcomes(scene, FLEET)

        async def names(**asked: Any) -> tuple[str, int]:
            page = await package_computers(scene.desk, package, **asked)
            return "".join(stand.computer for stand in page.stands), page.total

        assert await names() == ("abcdefgh", 8)
        assert await names(stage=Stage.ERROR) == ("cde", 3)
        for status, computers in (
            ("SUCCESS", "ab"),
            ("ERR_EXECUTE", "de"),
            ("NOTIFIED", "f"),
            ("WAITING NOTIFICATION", "g"),
            ("ERR_ALREADY_SETUP", "h"),
            ("NOBODY_SENT_THIS", ""),
        ):
            assert await names(status=status) == (computers, len(computers))
        assert await names(size=3, page=2) == ("def", 8)
        assert await names(size=3, page=99) == ("gh", 8), "rows may have gone since the link was made"
        assert await names(size=0, page=-1) == ("a", 8)
        for number in package_counts_of(await package_counts(scene.desk, package)):
            assert (await names(status=number[0]))[1] == number[1]
        _, stands = await package_stats(scene.desk, package)
        assert list((await package_computers(scene.desk, package)).stands) == stands

    def package_counts_of(found: Statistics) -> list[tuple[str, int]]:
        sums: dict[str, int] = {}
        for status in found.statuses:
            sums[status.status] = sums.get(status.status, 0) + status.count
        return list(sums.items())

    play(tmp_path, script)


def test_progress_over_time_grows_to_the_numbers_of_now_in_few_points(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        idle = await scene.package("idle")
        assert await package_progress(scene.desk, idle) == []
        begin = scene.clock.moment + 60
        package = await outcomes(scene, FLEET)
        points = await package_progress(scene.desk, package)
        assert len(points) <= 60
        assert points[-1] == (begin + 6 * 60, 3, 3, 7)
        assert begin <= points[0].moment
        for before, after in pairwise(points):
            assert before.moment < after.moment
            assert all(b <= a for b, a in zip(before[1:], after[1:], strict=True))
        assert points[0] == (points[0].moment, 1, 0, 1)
        (all_at_once,) = await package_progress(scene.desk, package, points=1)
        assert all_at_once == points[-1]

    play(tmp_path, script)


def test_the_page_and_the_computer_and_the_statistics_give_the_same_reason_in_every_group(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        for name in ("a", "b", "c"):
            await scene.inventory(device(name))
        urgent, package = await scene.package("urgent", priority=0), await scene.package("late")
        await create_group(scene.desk, "Group")
        await add_members(scene.desk, "Group", Selection(computers=("a", "b")))
        await scene.affect(package, Selection(group="Group"))
        await scene.affect(urgent, Selection(computers=("b",)))
        await scene.contact(device("b"))
        await remove_members(scene.desk, "Group", Selection(computers=("a",)))
        page = await package_computers(scene.desk, package)
        _, stands = await package_stats(scene.desk, package)
        assert list(page.stands) == stands
        for stand in stands:
            (mine,) = [s for s in (await show_computer(scene.desk, stand.computer)).stands if s.package == package]
            assert mine == stand
        assert [(s.why.cause, s.group) for s in stands] == [
            (Cause.NOT_MEMBER, "Group"),
            (Cause.HELD_BY_URGENT, "Group"),
        ]

    play(tmp_path, script)
