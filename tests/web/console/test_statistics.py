"""Statistics: the numbers, the computers behind each of them, and the three buttons of the manual."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from appliance.operations.desk import Desk
from appliance.operations.groups import add_members, create_group
from appliance.operations.selection import Selection
from tests.fakes.appliance import build, device, inventory, must, prolog, report, rows
from tests.web.console.conftest import Console

CODES = ("SUCCESS", "SUCCESS_3010", "EXIT_CODE_1603", "ERR_ABORTED", "SUCCESS_ALREADY_SETUP")
NAMES = [f"st-{number:02}" for number in range(8)]  # five have a result, two are notified, one waits
NUMBER = iter(range(1000))


@pytest.fixture
def package(console: Console) -> Iterator[str]:
    """A package that eight computers are to have, in all stages."""
    if not rows(console.data, "SELECT 1 FROM computer"):
        for name in NAMES:
            assert console.server.post(inventory(device(name))).status == 200
        assert console.server.post(inventory(device("st-09"), ("HARDWARE", {"NAME": "<b>bold</b>"}))).status == 200
    package = build(console.data, f"Deployed {next(NUMBER)}")
    must("package", "activate", package, "--unchecked", data=console.data)
    computers = [word for name in NAMES for word in ("--computer", device(name))]
    must("package", "affect", package, *computers, data=console.data)
    for name in NAMES[:7]:
        console.server.post(prolog(device(name)))
    for name, code in zip(NAMES, CODES, strict=False):
        console.server.post(report(device(name), package, code))
    yield package
    must("package", "unaffect", package, "--all", data=console.data)


def left(console: Console, package: str) -> dict[str, int]:
    found = rows(console.data, "SELECT stage, count(*) FROM affectation WHERE package_id = ? GROUP BY 1", package)
    return {str(stage): int(count) for stage, count in found}


def test_every_stage_and_status_has_its_number_share_and_meaning(console: Console, package: str) -> None:
    text = console.browser.get(f"/packages/{package}/statistics").text
    for line in (
        "Not notified 1 12.5 %",
        "Notified 2 25.0 %",
        "Success 2 25.0 %",
        "Already there 1 12.5 %",
        "Errors 2 25.0 %",
        "SUCCESS Downloaded, verified and done. As agents sent it: SUCCESS_3010 1 2 25.0 %",
        "ERR_EXIT_CODE_1603 The command ended with code 1603. As agents sent it: EXIT_CODE_1603 1 1 12.5 %",
        "WAITING NOTIFICATION The server waits for a contact of the computer, to tell it. 1 12.5 %",
    ):
        assert line in text
    assert "Progress over time" in text
    assert re.search(r"Until Notified Success Errors .* 7 3 2", text)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("stage=waiting", ["st-07"]),
        ("stage=notified", ["st-05", "st-06"]),
        ("stage=success", ["st-00", "st-01"]),
        ("stage=already", ["st-04"]),
        ("stage=error", ["st-02", "st-03"]),
        ("status=ERR_ABORTED", ["st-03"]),
        ("status=SUCCESS", ["st-00", "st-01"]),
        ("status=WAITING%20NOTIFICATION", ["st-07"]),
        ("status=%3Cscript%3E", []),
        ("", NAMES),
    ],
)
def test_each_number_opens_the_computers_that_it_counts_with_the_reason(
    console: Console, package: str, query: str, names: list[str]
) -> None:
    browser = console.browser.get(f"/packages/{package}/statistics?{query}")
    assert [text for text, _ in browser.page.links if text.startswith("st-")] == names
    assert f"({len(names)})" in browser.text
    assert "<script>" not in browser.html
    if names == ["st-03"]:
        assert "The person at the computer cancelled it." in browser.text
        assert browser.follow("st-03").path.startswith("/computers/")


def test_an_unknown_stage_and_an_unknown_package_are_refused(console: Console, package: str) -> None:
    assert console.browser.get(f"/packages/{package}/statistics?stage=lost").status == 400
    assert console.browser.get("/packages/9999999999/statistics").status == 404
    assert console.browser.get(f"/packages/{package}/validate?button=red").status == 400


@pytest.mark.parametrize(
    ("button", "cleared", "stays"),
    [
        ("Validate success", 3, {"waiting": 1, "notified": 2, "error": 2}),
        ("Unaffect not notified", 1, {"notified": 2, "success": 2, "already": 1, "error": 2}),
        ("Validate all", 4, {"notified": 2, "error": 2}),
    ],
)
def test_a_button_says_in_numbers_what_it_clears_and_then_clears_it(
    console: Console, package: str, button: str, cleared: int, stays: dict[str, int]
) -> None:
    browser = console.browser.get(f"/packages/{package}/statistics")
    before = left(console, package)
    browser.follow(f"{button} ({cleared})")
    assert re.search(rf"\b{cleared} lines? (is|are) cleared\.", browser.text)
    assert left(console, package) == before
    browser.submit(button)
    assert f"{cleared} lines of the statistics are cleared." in browser.text
    assert browser.path == f"/packages/{package}/statistics"
    assert left(console, package) == stays


def test_lines_that_a_group_would_bring_back_are_spared_and_counted(console: Console) -> None:
    package = build(console.data, "By a group")
    if not rows(console.data, "SELECT 1 FROM computer"):
        for name in NAMES:
            assert console.server.post(inventory(device(name))).status == 200

    async def group(desk: Desk) -> None:
        made = await create_group(desk, "Two of them")
        await add_members(desk, made.id, Selection(computers=(device("st-00"), device("st-01"))))

    console.desk(group)
    browser = console.browser.get(f"/packages/{package}/affect").submit("Affect", target="group", group="Two of them")
    browser.follow("Unaffect not notified (0)")
    assert "2 lines are spared: the computers are in a group" in browser.text
    browser.post(f"/packages/{package}/validate", {"csrf": browser.token, "button": "not-notified"})
    assert left(console, package) == {"waiting": 2}


def test_the_overview_has_a_line_for_each_deployed_package(console: Console, package: str) -> None:
    build(console.data, "Nobody has it")
    browser = console.browser.get("/statistics")
    name = rows(console.data, "SELECT name FROM package WHERE id = ?", package)[0][0]
    assert f"{name} 1 2 2 +1 already there 2" in browser.text
    assert re.search(r"\d+ other packages? (is|are) affected to no computer\.", browser.text)
    assert browser.follow(name).path == f"/packages/{package}/statistics"


def test_a_running_page_refreshes_by_itself_and_a_finished_one_does_not(console: Console, package: str) -> None:
    running = console.browser.get(f"/packages/{package}/statistics").html
    assert 'http-equiv="refresh"' in running
    assert "data-live" in running
    for name in NAMES[5:]:
        console.server.post(prolog(device(name)))
        console.server.post(report(device(name), package, "SUCCESS"))
    finished = console.browser.get(f"/packages/{package}/statistics").html
    assert 'http-equiv="refresh"' not in finished
    assert "data-live" not in finished


def test_a_package_that_nobody_has_shows_the_way_on(console: Console) -> None:
    package = build(console.data, "Lonely")
    browser = console.browser.get(f"/packages/{package}/statistics")
    assert "It is affected to no computer, or all lines were validated." in browser.text
    assert browser.follow("Affect it").path == f"/packages/{package}/affect"
