"""The packages: built above and activated below, activate, unactivate, affect, delete; in a browser without scripts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from appliance.domain.search import Criterion, Operator
from appliance.operations.desk import Desk
from appliance.operations.groups import create_group
from tests.fakes.appliance import build, device, inventory, must, prolog, report, rows
from tests.fakes.archives import targz_of
from tests.web.console.conftest import Console
from tests.web.console.kit import Browser

HOSTILE = "<img src=x onerror=alert(1)>\"'`{{7*7}}%s"


def made(console: Console, name: str, tmp_path: Path) -> str:
    """A package with three fragments."""
    file = tmp_path / "p.tar.gz"
    file.write_bytes(targz_of({"setup.sh": bytes(range(256)) * 12}))
    size = str(-(-file.stat().st_size // 3))
    words = ("--action", "store", "--path", "/opt/p", "--file", file, "--fragment-size", size)
    return build(console.data, name, *words)


def computers(console: Console, *names: str) -> None:
    for name in names:
        assert console.server.post(inventory(device(name))).status == 200


def activations(console: Console, package: str) -> int:
    return len(rows(console.data, "SELECT id FROM activation WHERE package_id = ?", package))


def affected(console: Console, package: str) -> int:
    return len(rows(console.data, "SELECT 1 FROM affectation WHERE package_id = ?", package))


def at(browser: Browser, package: str, page: str = "") -> Browser:
    return browser.get(f"/packages/{package}{page}")


def test_a_newcomer_is_led_from_the_built_package_to_its_statistics(console: Console, tmp_path: Path) -> None:
    package = made(console, "Guide", tmp_path)
    computers(console, "pc-1")
    browser = at(console.browser, package)
    assert "It is built, and no agent knows of it yet." in browser.text
    browser.follow("Activate it").submit("Activate")
    assert "The package is activated." in browser.text
    assert "127.0.0.1 is the computer itself for every agent" in browser.text
    assert "It is activated, and no computer is to have it yet." in browser.text
    browser.follow("Affect it").submit("Affect", target="all")
    assert browser.path == f"/packages/{package}/statistics"
    assert "computers wait for it." in browser.text
    assert affected(console, package) == len(rows(console.data, "SELECT 1 FROM computer"))
    assert "Next step" not in at(browser, package).text


def test_built_packages_stand_above_activated_ones_with_the_manuals_columns(console: Console, tmp_path: Path) -> None:
    built, active = made(console, f"Above {HOSTILE}", tmp_path), made(console, "Below", tmp_path)
    must("package", "activate", active, "--unchecked", data=console.data)
    browser = console.browser.get("/packages")
    text = browser.text
    assert HOSTILE in text
    assert HOSTILE not in browser.html
    above, below = text.index(built), text.index(active)
    assert text.index("Built, not activated") < above < text.index("Activated", above) < below
    for column in ("Priority", "Fragments", "Size", "System", "Not notified", "Notified", "Success", "Errors", "Stats"):
        assert column in text
    assert re.search(rf"{active} .{{9,14}} Below 5 3 \d+ B Linux 0 0 0 0", text)
    for deed in ("Activate", "Affect", "Edit", "Delete", "Statistics of"):
        assert browser.get("/packages").follow(f"{deed} Below").status == 200


def test_the_check_shows_each_step_of_each_file_and_activates_nothing(console: Console, tmp_path: Path) -> None:
    package = made(console, "Checked", tmp_path)
    browser = at(console.browser, package, "/activate").submit("Check")
    assert "All is as agents need it." in browser.text
    for words in ("The info file", "The first fragment", "The last fragment", f"{package}-3"):
        assert words in browser.text
    for step in ("name", "connection", "certificate", "status", "content"):
        assert re.search(rf"\b{step}\b", browser.text)
    assert activations(console, package) == 0


@pytest.mark.parametrize(
    ("changes", "sentence", "mended"),
    [
        ({"info__url": "nowhere.invalid:4343/download"}, "does not resolve", "name"),
        ({"fragment__url": "127.0.0.1:{http}/elsewhere"}, "is not there (404)", "status"),
        ({"info__url": "127.0.0.1:{http}/download"}, "does not speak TLS", "certificate"),
        ({"fragment__url": "127.0.0.1:22/download"}, "serves packages on other ports", "name"),
    ],
)
def test_a_wrong_address_is_refused_with_what_was_met_and_can_be_mended_or_forced(
    console: Console, tmp_path: Path, changes: dict[str, str], sentence: str, mended: str
) -> None:
    package = made(console, f"Wrong {sentence}", tmp_path)
    wrong = {name: text.format(http=console.server.http) for name, text in changes.items()}
    browser = at(console.browser, package, "/activate").submit("Activate", **wrong)
    assert browser.status == 502
    assert sentence in browser.text
    assert f"{mended} http" in browser.text or f"{mended} port" in browser.text
    assert "Agents could not fetch it." in browser.text
    assert activations(console, package) == 0
    browser.submit("Activate", unchecked="1")
    assert "The package is activated." in browser.text
    assert activations(console, package) == 1


def test_what_is_no_address_is_refused(console: Console, tmp_path: Path) -> None:
    package = made(console, "No address", tmp_path)
    browser = at(console.browser, package, "/activate")
    for deed in ("Check", "Activate"):
        browser.submit(deed, info__url=HOSTILE)
        assert browser.status == 400
        assert HOSTILE not in browser.html
    assert activations(console, package) == 0


def test_a_package_has_an_activation_for_each_site_and_loses_them_one_by_one(console: Console, tmp_path: Path) -> None:
    package = made(console, "Sites", tmp_path)
    computers(console, "pc-2")
    browser = at(console.browser, package, "/activate").submit("Activate")
    at(browser, package, "/activate").submit("Activate", fragment__url="paris.example:80/ocs", unchecked="1")
    assert "paris.example:80/ocs" in browser.text
    must("package", "affect", package, "--all", data=console.data)
    number = rows(console.data, "SELECT max(id) FROM activation")[0][0]
    at(browser, package, f"/unactivate?activation={number}")
    assert "paris.example:80/ocs" in browser.text
    assert "1 other activation stays." in browser.text
    browser.submit("Unactivate")
    assert "The activation is taken away; the package stays built." in browser.text
    assert activations(console, package) == 1
    at(browser, package, "/unactivate")
    assert re.search(r"\d+ computers? that waits? (is|are) not told of it until it is activated again", browser.text)
    browser.submit("Unactivate")
    assert activations(console, package) == 0
    assert browser.get("/packages").text.index("Sites") > 0
    assert at(browser, package, "/unactivate").status == 404


def test_affecting_to_a_group_says_first_what_it_would_do(console: Console, tmp_path: Path) -> None:
    package = made(console, "For a group", tmp_path)
    computers(console, "group-1", "group-2")

    async def group(desk: Desk) -> None:
        await create_group(desk, HOSTILE, search=((Criterion("NAME", Operator.LIKE, "group-"),),))

    console.desk(group)
    browser = at(console.browser, package, "/affect")
    assert "It is not activated: computers wait until it is." in browser.text
    assert HOSTILE not in browser.html
    browser.submit("What would that do?", target="group", group=HOSTILE)
    assert "2 computers get it." in browser.text
    assert affected(console, package) == 0
    browser.submit("Affect")
    assert "The package is affected: 2 computers wait for it." in browser.text
    assert affected(console, package) == 2
    at(browser, package)
    assert "Affected to groups" in browser.text
    browser.submit("Unaffect", group=HOSTILE)
    assert "The package is taken from the group; 2 computers do not wait for it any more." in browser.text
    assert affected(console, package) == 0


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"target": "group", "group": ""}, "choose a group"),
        ({"target": "group", "group": "none of mine"}, "there is no group"),
        ({"target": "nobody"}, "choose a group"),
        ({"target": "all", "schedule": "tomorrow"}, "is not YYYY/MM/DD HH:MM"),
        ({"target": "all", "activation": "99999"}, "has no activation 99999"),
        ({"target": "all", "post-command": "x" * 300}, "more than 254 characters"),
    ],
)
def test_an_affectation_that_is_refused_affects_nobody(
    console: Console, tmp_path: Path, changes: dict[str, str], sentence: str
) -> None:
    package = made(console, f"Nobody {sentence} {changes['target']}", tmp_path)
    browser = at(console.browser, package, "/affect")
    browser.post(f"/packages/{package}/affect", {"csrf": browser.token, **changes})
    assert browser.status in (400, 404, 409)
    assert sentence in browser.text
    assert affected(console, package) == 0


def test_terms_go_with_the_affectation(console: Console, tmp_path: Path) -> None:
    package = made(console, "Terms", tmp_path)
    computers(console, "pc-3")
    browser = at(console.browser, package, "/affect")
    browser.submit("Affect", target="all", force="1", schedule="2027-01-31T09:30", post__command="REBOOT")
    assert browser.path.endswith("/statistics"), browser.text
    found = rows(
        console.data, "SELECT DISTINCT force, schedule, post_command FROM affectation WHERE package_id = ?", package
    )
    assert found == [(1, "2027/01/31 09:30", "REBOOT")]


def test_deleting_says_in_numbers_what_goes_and_then_it_is_gone(console: Console, tmp_path: Path) -> None:
    package = made(console, "To delete", tmp_path)
    computers(console, "del-1", "del-2")
    must("package", "activate", package, "--unchecked", data=console.data)
    must("package", "affect", package, "--computer", "del-1", "--computer", "del-2", data=console.data)
    console.server.post(prolog(device("del-1")))
    console.server.post(report(device("del-1"), package, "SUCCESS"))
    browser = at(console.browser, package, "/delete")
    for words in (
        "in 3 fragments",
        "1 activation:",
        "the affectation to 1 computer that was not notified",
        "the affectation to 0 computers that were notified",
        "the result of 1 computer (1 successes, 0 errors)",
        "the affectation to 0 groups",
    ):
        assert words in browser.text
    browser.submit("Delete")
    assert (browser.path, browser.status) == ("/packages", 200)
    assert "“To delete” is deleted." in browser.text
    assert affected(console, package) == activations(console, package) == 0
    assert not (console.data / "fragments" / package).exists()
    assert at(browser, package).status == 404
    assert ("anna", "package deleted", package) in console.log()


def test_a_user_sees_none_of_it(console: Console, tmp_path: Path) -> None:
    package = made(console, "Not for users", tmp_path)
    user = console.user("ulla", ["paris"])
    for page in ("", "/activate", "/affect", "/edit", "/delete", "/statistics", "/unactivate", "/validate?button=all"):
        assert at(user, package, page).status == 403
        assert "Not for users" not in user.text
    for address in ("/packages", "/packages/build", "/statistics"):
        assert user.get(address).status == 403
