"""Statistics are counted from the rows and add up; every line carries its reason."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.cli.package_text import stand_document
from appliance.operations.activate import unactivate
from appliance.operations.computers import show_computer
from appliance.operations.configure import set_setting
from appliance.operations.package_facts import list_packages, package_stats, show_package
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
            assert stand_document(stand)["why"].endswith((".", "ODD", "UNKNOWN_CODE"))

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
        assert sentences["told"].startswith("Announced 2026-")
        assert sentences["waiting"].startswith("It is announced at the computer's next contact; the last one was 2026-")
        assert sentences["failed"] == "The command ended with code 3."

    play(tmp_path, script)
