"""The list of computers, the search, one computer, and mass processing."""

from __future__ import annotations

import csv
import io
import json
from functools import partial
from urllib.parse import quote

import pytest

from appliance.operations.computers import change_computer
from tests.fakes.appliance import build, device, inventory, rows
from tests.web.console.conftest import Console
from tests.web.console.kit import Browser

HOSTILE = '"><script>alert(1)</script>'
COUNT = 30


@pytest.fixture(scope="module")
def package(running: tuple[object, dict[str, str]]) -> str:
    """Thirty computers, every third with Windows, one with a hostile name; and a package."""
    server = running[0]
    for number in range(COUNT):
        name = HOSTILE if number == 7 else f"pc-{number:02d}"
        system = "Microsoft Windows 11 Pro" if number % 3 == 0 else "Debian GNU/Linux 12"
        told = (
            ("HARDWARE", {"NAME": name, "OSNAME": system, "USERID": "=cmd()", "MEMORY": str(1024 * number)}),
            ("SOFTWARES", {"NAME": "firefox", "VERSION": f"{100 + number}.0"}),
            ("STORAGES", {"MODEL": f"disk {number % 2}"}),
        )
        tag = "rome" if number < 5 else "oslo"
        answer = server.post(inventory(device(f"pc-{number:02d}"), *told, account=[("TAG", tag)]))  # type: ignore[attr-defined]
        assert answer.status == 200
    return build(server.data, "a tool")  # type: ignore[attr-defined]


def names(browser: Browser) -> list[str]:
    """The computers in a list, from the boxes of its rows."""
    return [text for text, address in browser.page.links if address.startswith("/computers/")]


def test_a_list_shows_a_page_and_sorts_and_filters_in_the_database(console: Console, package: str) -> None:
    browser = console.browser.get("/computers")
    assert f"{COUNT} computers" in browser.text
    assert len(names(browser)) == 20
    browser.follow("Next")
    assert len(names(browser)) == COUNT - 20
    browser.get("/computers?sort=MEMORY&desc=1&size=20&c=MEMORY")
    assert names(browser)[0] == "pc-29"
    assert "29,696" in browser.text
    browser.get("/computers").submit("Filter", q="pc-1")
    assert names(browser) == [f"pc-{number}" for number in range(10, 20)]
    browser.get("/computers?q=nobody")
    assert "Nothing found" in browser.text


def test_columns_stay_chosen_and_unknown_ones_are_left_out(console: Console, package: str) -> None:
    browser = console.browser.get("/computers?c=DEVICEID&c=NOTHING")
    assert "pc-00-2026-01-31-09-30-00" in browser.text
    assert "pc-00-2026-01-31-09-30-00" in browser.get("/computers").text
    assert browser.get("/computers?sort=NOTHING").status == 400


def test_a_column_stays_chosen_whatever_people_called_it(console: Console, package: str) -> None:
    name = 'Étage/room; "3",'
    browser = console.administrator()
    for value in ("upstairs", ""):
        console.desk(partial(change_computer, account={name: value}), "pc-03")
        if value:
            assert value in browser.get(f"/computers?size=200&c={quote(f'ACCOUNT.{name}')}").text
            assert value in browser.get("/computers?size=200").text


def test_a_hostile_name_is_text_wherever_it_is_shown(console: Console, package: str) -> None:
    browser = console.browser
    number = rows(console.data, "SELECT id FROM computer WHERE name = ?", HOSTILE)[0][0]
    for path in ("/computers?size=50", f"/computers/{number}", f"/selection?deed=delete&id={number}", "/search"):
        browser.get(path)
        assert browser.status == 200
        assert "<script>alert" not in browser.html, path
    assert HOSTILE in browser.get(f"/computers/{number}").text


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("f=OSNAME&o=LIKE&v=Windows&j=and", 10),
        ("preset=Windows+(ALL)", 10),
        ("f=OSNAME&o=LIKE&v=Windows&j=and&f=MEMORY&o=MORE&v=20000&j=and", 3),
        ("f=NAME&o=EQUAL&v=pc-01&j=and&f=NAME&o=EQUAL&v=pc-02&j=or", 2),
        ("f=NAME&o=EQUAL&v=pc-01&j=and&f=NAME&o=EQUAL&v=pc-02&j=or&f=TAG&o=EQUAL&v=oslo&j=and", 1),
        ("f=STORAGES.MODEL&o=EQUAL&v=disk+1&j=and", 15),
        ("f=SOFTWARERELEASE&o=MORE&v=firefox%7C120.0&j=and", 9),
        ("f=LASTCONTACT&o=LESSTHANXDAY&v=1&j=and", 30),
        ("f=TAG&o=ISNULL&v=&j=and", 0),
    ],
)
def test_a_search_finds_what_its_criteria_say(console: Console, package: str, query: str, count: int) -> None:
    browser = console.browser.get(f"/search?{query}")
    assert browser.status == 200
    assert f"{count} computer" in browser.text


def test_criteria_are_added_and_taken_away_without_scripts(console: Console, package: str) -> None:
    browser = console.browser.get("/search").submit("Add a criterion", f="OSNAME", o="LIKE", v="Windows")
    asked = [value for form in browser.page.forms for name, value in form.fields if name == "f"]
    assert asked[:2] == ["OSNAME", "SOFTWARE"]
    browser.get("/search?f=OSNAME&o=LIKE&v=Windows&j=and&f=NAME&o=LIKE&v=pc&j=and&drop=0")
    assert "Windows" not in [value for form in browser.page.forms for name, value in form.fields if name == "v"]
    browser.get("/search").submit("Search", typed="storages.model")
    assert "STORAGES.MODEL" in browser.text


def test_a_criterion_that_cannot_be_asked_is_a_sentence(console: Console, package: str) -> None:
    browser = console.browser.get("/search?f=MEMORY&o=MORE&v=much&j=and")
    assert browser.status == 400
    assert "MEMORY is a number, and 'much' is none." in browser.text
    assert "0 computers" in browser.text


def test_a_search_is_kept_used_replaced_and_deleted(console: Console, package: str) -> None:
    browser = console.browser.get("/search?f=OSNAME&o=LIKE&v=Windows&j=and").submit("Keep", name="windows")
    assert "The search is kept as “windows”." in browser.text
    assert "10 computers" in browser.text
    browser.get("/search?f=OSNAME&o=LIKE&v=Debian&j=and").submit("Keep", name="windows")
    assert browser.status == 409
    browser.get("/search?f=OSNAME&o=LIKE&v=Debian&j=and").submit("Keep", name="windows", replace="1")
    assert "20 computers" in browser.text
    browser.post("/search/kept/1/delete", {"csrf": browser.token})
    assert "The search “windows” is gone." in browser.text


def test_the_whole_result_goes_out_as_csv_and_json(console: Console, package: str) -> None:
    query = "f=OSNAME&o=LIKE&v=Windows&j=and&c=USERID&c=LASTCONTACT"
    answer = console.browser.get(f"/computers.csv?{query}").answer
    lines = list(csv.DictReader(io.StringIO(answer.body.decode())))
    assert len(lines) == 10
    assert lines[0]["USERID"] == "'=cmd()", "a spreadsheet would run it"
    assert lines[0]["LASTCONTACT"].endswith("Z")
    assert "attachment" in answer.headers["content-disposition"]
    found = json.loads(console.browser.get(f"/computers.json?{query}").answer.body)
    assert [row["NAME"] for row in found] == [line["NAME"] for line in lines]
    assert console.browser.get("/computers.csv?f=MEMORY&o=MORE&v=x&j=and").status == 400
    assert json.loads(console.browser.get("/computers.json?q=nobody").answer.body) == []


def test_one_computer_shows_its_inventory_packages_and_reasons(console: Console, package: str) -> None:
    browser = console.browser.get("/computers").follow("pc-01")
    assert "firefox" in browser.text
    assert "disk 1" in browser.text
    browser.submit("Affect", package=package)
    assert "The package is affected to this computer." in browser.text
    assert "The package is not activated; activate it." in browser.text
    assert rows(console.data, "SELECT stage FROM affectation WHERE package_id = ?", package) == [("waiting",)]
    browser.submit("Unaffect")
    assert "no longer affected" in browser.text
    assert rows(console.data, "SELECT count(*) FROM affectation") == [(0,)]


def test_a_computers_own_settings_and_account_are_kept_or_refused_whole(console: Console, package: str) -> None:
    browser = console.browser.get("/computers").follow("pc-02")
    browser.submit("Keep", DOWNLOAD_TIMEOUT="5", PROLOG_FREQ="2")
    assert "The settings of this computer are kept." in browser.text
    kept = rows(console.data, "SELECT name, value FROM override ORDER BY name")
    assert kept == [("DOWNLOAD_TIMEOUT", 5), ("PROLOG_FREQ", 2)]
    browser.submit("Keep", DOWNLOAD_TIMEOUT="6", PROLOG_FREQ="never")
    assert browser.status == 400
    assert "is not a number from 1 to 8760 (h)" in browser.text
    assert rows(console.data, "SELECT name, value FROM override ORDER BY name") == kept
    browser.get("/computers").follow("pc-02").submit("Keep", DOWNLOAD_TIMEOUT="", PROLOG_FREQ="")
    assert rows(console.data, "SELECT count(*) FROM override") == [(0,)]
    browser.submit("Keep", TAG="bern", new__key="ROOM", new__value="12")
    assert "bern" in browser.text
    assert rows(console.data, "SELECT key, value FROM account") == [("ROOM", "12")]
    browser.submit("Keep", TAG="rome", value="")
    assert rows(console.data, "SELECT count(*) FROM account") == [(0,)]


def test_mass_processing_is_for_ticked_rows_or_for_the_whole_result(console: Console, package: str) -> None:
    browser = console.browser.get("/computers?q=pc-2").submit("Deploy", whole="1")
    assert "For 10 computers." in browser.text
    browser.submit("Affect", package=package)
    assert "Computers that wait for it now: 10." in browser.text or browser.status == 404
    assert rows(console.data, "SELECT count(*) FROM affectation WHERE stage = 'waiting'") == [(10,)]
    search = "/search?f=OSNAME&o=LIKE&v=Windows&j=and"
    browser.get(search).submit("Change settings", whole="1").submit("Change", DOWNLOAD_TIMEOUT="9")
    assert "Computers whose settings were changed: 10." in browser.text
    assert rows(console.data, "SELECT count(*) FROM override WHERE value = 9") == [(10,)]
    browser.get(search).submit("Change settings", whole="1").submit("Change", DOWNLOAD_TIMEOUT="-")
    assert rows(console.data, "SELECT count(*) FROM override") == [(0,)]
    browser.get("/computers").submit("Deploy", whole="")
    assert browser.status == 400
    assert "tick at least one computer" in browser.text


def test_the_whole_result_of_a_quick_filter_is_what_the_list_shows_and_nothing_else(
    console: Console, package: str
) -> None:
    # 127.0.0.1 is where all of them called from: the list does not look there, so nothing may be done to them
    assert "Nothing found" in console.browser.get("/computers?q=127.0.0.1").text
    browser = console.browser.get("/selection?deed=delete&whole=1&search=[]&q=127.0.0.1")
    assert "For 0 computers." in browser.text
    browser.submit("Delete", sure="1")
    assert "Computers deleted: 0." in browser.text
    assert rows(console.data, "SELECT count(*) FROM computer") == [(COUNT,)]


def test_deleting_asks_first_and_then_takes_all_along(console: Console, package: str) -> None:
    numbers = [row[0] for row in rows(console.data, "SELECT id FROM computer WHERE name IN ('pc-28', 'pc-29')")]
    browser = console.browser.get("/computers?size=50").submit("Delete", id=numbers)
    assert "For 2 computers." in browser.text
    browser.submit("Delete")
    assert browser.status == 400
    assert rows(console.data, "SELECT count(*) FROM computer") == [(COUNT,)]
    browser.submit("Delete", sure="1")
    assert "Computers deleted: 2." in browser.text
    assert rows(console.data, "SELECT count(*) FROM computer") == [(COUNT - 2,)]


def test_a_user_sees_the_computers_with_the_own_tags_and_nothing_else(console: Console, package: str) -> None:
    user = console.user("carlo", ["rome"])
    user.get("/computers")
    assert "5 computers" in user.text
    assert "Deploy" not in user.text
    other = rows(console.data, "SELECT id FROM computer WHERE tag = 'oslo'")[0][0]
    assert user.get(f"/computers/{other}").status == 404
    own = rows(console.data, "SELECT id FROM computer WHERE tag = 'rome'")[0][0]
    assert user.get(f"/computers/{own}").status == 200
    assert "Customization" not in user.text
    assert user.get("/search?f=OSNAME&o=ISNOTEMPTY&v=&j=and").text.count("5 computers") >= 1
    for deed in ("deploy", "settings", "delete"):
        assert user.get(f"/selection?deed={deed}&id={own}").status in (400, 403)
