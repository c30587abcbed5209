"""The log in a browser: newest first, searched, paged, verified."""

from __future__ import annotations

import contextlib
import sqlite3

from appliance.domain.log import Deed
from appliance.operations.desk import Desk
from appliance.store import log
from tests.fakes.appliance import rows
from tests.web.console.conftest import Console

HOSTILE = '<script>alert("log")</script>'


async def _entries(desk: Desk, count: int) -> None:
    async with desk.store.writing() as tx:
        for number in range(count):
            await log.append(tx, desk.actor, Deed.PACKAGE_AFFECTED, f"package {number}", computers=number, note=HOSTILE)


def test_entries_are_told_newest_first_with_their_details(console: Console) -> None:
    console.desk(_entries, 3)
    text = console.browser.get("/log").text
    assert text.index("package 2") < text.index("package 1") < text.index("package 0") < text.index("signed in anna")
    assert f"ocs.pyz (server) package affected package 2 computers 2 note {HOSTILE}" in text
    assert HOSTILE not in console.browser.html
    assert "role administrator" in text


def test_words_and_deeds_narrow_it_down(console: Console) -> None:
    console.desk(_entries, 3)
    browser = console.browser.get("/log").submit("Search", words="PACKAGE 1")
    assert "package 1" in browser.text
    assert "package 2" not in browser.text
    assert "user created anna" in browser.submit("Search", words="", deed="user created").text
    assert "package 1" not in browser.text
    assert "No entry fits" in browser.submit("Search", words="nothing like this", deed="").text
    assert browser.get("/log?words=%27%22%3E%3Cb%3E&deed=x&before=abc").status == 200


def test_all_of_it_is_paged_through_without_a_gap(console: Console) -> None:
    console.desk(_entries, 120)
    total = rows(console.data, "SELECT count(*) FROM log")[0][0]
    browser = console.browser.get("/log?words=ocs.pyz")
    pages, seen = 1, browser.html.count("<tr>") - 1
    while any(text == "Older" for text, _ in browser.page.links):
        browser.follow("Older")
        pages, seen = pages + 1, seen + browser.html.count("<tr>") - 1
    assert seen == rows(console.data, "SELECT count(*) FROM log WHERE actor = 'ocs.pyz'")[0][0] < total
    assert pages == -(-seen // 50)
    assert "package 119" in browser.follow("Newest").text


def test_the_chain_is_verified_and_a_change_behind_our_back_shows(console: Console) -> None:
    console.desk(_entries, 2)
    assert "The chain is" not in console.browser.get("/log").text
    total = rows(console.data, "SELECT count(*) FROM log")[0][0]
    console.browser.submit("Verify")
    assert f"The chain is whole: {total} entries, nothing was changed." in console.browser.text
    head = rows(console.data, "SELECT chain FROM log ORDER BY id DESC LIMIT 1")[0][0]
    assert head in console.browser.text
    with contextlib.closing(sqlite3.connect(console.data / "ocs.sqlite")) as connection:
        connection.execute("DROP TRIGGER log_never_changes")
        connection.execute("UPDATE log SET actor = 'somebody else' WHERE id = 2")
        connection.commit()
    console.browser.submit("Verify")
    assert "The chain is broken at entry 2" in console.browser.text
    assert "The entries before it are good: 1." in console.browser.text
