"""Groups: static and dynamic, why a computer is in one, what users may do with visible ones."""

from __future__ import annotations

import pytest

from tests.fakes.appliance import build, device, inventory, prolog, rows
from tests.web.console.conftest import Console


@pytest.fixture(scope="module")
def package(running: tuple[object, dict[str, str]]) -> str:
    """Six computers, three of them with Windows, and a package."""
    server = running[0]
    for number in range(6):
        told = ("HARDWARE", {"NAME": f"pc-{number}", "OSNAME": "Windows 11" if number % 2 else "Debian"})
        tag = "rome" if number < 2 else "oslo"
        server.post(inventory(device(f"pc-{number}"), told, account=[("TAG", tag)]))  # type: ignore[attr-defined]
    return build(server.data, "a tool")  # type: ignore[attr-defined]


def group_number(console: Console, name: str) -> int:
    """The number of a group."""
    return int(rows(console.data, "SELECT id FROM computer_group WHERE name = ?", name)[0][0])


def test_a_static_group_is_made_filled_and_emptied(console: Console, package: str) -> None:
    browser = console.browser.get("/groups").follow("New static group")
    browser.submit("Create", name="<b>office</b>", description="first floor")
    assert "The group “<b>office</b>” is there." in browser.text
    browser.submit("Put in", computer="pc-0")
    assert "Computers added to the group: 1." in browser.text
    browser.submit("Put in", computer="nobody")
    assert browser.status == 404
    assert "there is no computer 'nobody'" in browser.text
    number = group_number(console, "<b>office</b>")
    browser.get(f"/groups/{number}").submit("Take ticked computers out", id="1")
    assert "No computer is in it." in browser.text


def test_a_dynamic_group_has_those_that_fit_now(console: Console, package: str) -> None:
    browser = console.browser.get("/search?f=OSNAME&o=LIKE&v=Windows&j=and")
    browser.follow("Make a dynamic group of it").submit("Create", name="windows")
    assert "Operating system contains “Windows”" in browser.text
    assert "Computers (3)" in browser.text
    told = ("HARDWARE", {"NAME": "pc-0", "OSNAME": "Windows 11"})
    console.server.post(inventory(device("pc-0"), told))
    assert "Computers (4)" in browser.get(browser.path).text
    console.server.post(inventory(device("pc-0"), ("HARDWARE", {"NAME": "pc-0", "OSNAME": "Debian"})))
    browser.follow("Change the search")
    browser.get(f"{browser.path}&f=NAME&o=EQUAL&v=pc-4&j=and").submit("Use it for the group")
    assert "Computers (1)" in browser.text


def test_a_page_says_why_a_computer_is_or_is_not_a_member(console: Console, package: str) -> None:
    browser = console.browser.get("/search?f=OSNAME&o=LIKE&v=Windows&j=and&f=NAME&o=EQUAL&v=pc-2&j=and")
    browser.follow("Make a dynamic group of it").submit("Create", name="both")
    browser.submit("Explain", computer="pc-2")
    assert "pc-2 is not a member: it does not fit the search." in browser.text
    assert "Operating system contains Windows Debian no" in browser.text
    number = group_number(console, "both")
    browser.get(f"/groups/{number}").submit("Put in", computer="pc-2")
    browser.submit("Explain", computer="pc-2")
    assert "it was put in by hand, whatever the search says" in browser.text


def test_a_package_of_a_group_reaches_those_that_join_later(console: Console, package: str) -> None:
    console.browser.get("/groups/new").submit("Create", name="late")
    number = group_number(console, "late")
    browser = console.browser.get(f"/groups/{number}").submit("Affect", package=package)
    assert "Computers that wait for it now: 0." in browser.text
    browser.submit("Put in", computer="pc-5")
    console.server.post(prolog(device("pc-5")))
    told = "SELECT name FROM affectation JOIN computer ON id = computer_id WHERE group_id = ?"
    assert rows(console.data, told, number) == [("pc-5",)]
    assert "by the group late" in browser.get("/computers?q=pc-5").follow("pc-5").text
    browser.get(f"/groups/{number}").submit("Unaffect")
    assert "no longer wait for it: 1." in browser.text


def test_a_groups_settings_are_kept_or_refused_whole(console: Console, package: str) -> None:
    console.browser.get("/groups/new").submit("Create", name="slow")
    number = group_number(console, "slow")
    browser = console.browser.get(f"/groups/{number}").submit("Keep", DOWNLOAD_CYCLE_LATENCY="120")
    assert "The settings of the group are kept." in browser.text
    browser.submit("Keep", DOWNLOAD_CYCLE_LATENCY="121", DOWNLOAD_TIMEOUT="0")
    assert browser.status == 400
    assert rows(console.data, "SELECT name, value FROM group_override") == [("DOWNLOAD_CYCLE_LATENCY", 120)]


def test_a_user_fills_visible_static_groups_with_own_computers_and_nothing_more(console: Console, package: str) -> None:
    for name, visible in (("open", "1"), ("closed", None)):
        console.browser.get("/groups/new").submit("Create", name=name, visible=visible)
    user = console.user("carla", ["rome"]).get("/groups")
    assert "open" in user.text
    assert "closed" not in user.text
    number = group_number(console, "open")
    user.get("/computers").submit("Add to a group", whole="1").submit("Add to it", group=number)
    assert "Computers added to the group: 2." in user.text
    user.submit("Put in", computer="pc-4")
    assert user.status == 404
    assert user.get(f"/groups/{group_number(console, 'closed')}").status == 404
    user.get(f"/groups/{number}").submit("Take ticked computers out", id=["1"])
    assert rows(console.data, "SELECT count(*) FROM membership WHERE group_id = ?", number) == [(1,)]
    token = user.token
    for path in ("", "/settings", "/affect", "/delete", "/search"):
        assert user.post(f"/groups/{number}{path}", {"csrf": token, "name": "mine", "sure": "1"}).status == 403
        user.get(f"/groups/{number}")


def test_a_group_goes_only_when_it_is_meant(console: Console, package: str) -> None:
    console.browser.get("/groups/new").submit("Create", name="short-lived")
    number = group_number(console, "short-lived")
    browser = console.browser.get(f"/groups/{number}").submit("Delete")
    assert browser.status == 400
    browser.get(f"/groups/{number}").submit("Delete", sure="1")
    assert "The group “short-lived” is gone." in browser.text
    assert browser.get(f"/groups/{number}").status == 404
