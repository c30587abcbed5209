"""The versions of what the server is made of: told at the start, shown to administrators, warned of."""

from __future__ import annotations

import logging
import platform
import re
import sqlite3

import pytest

from appliance.domain.refusal import Refusal
from appliance.web.parts import parts, tell_parts, versions
from tests.web.console.conftest import Console, console, prepared, running

__all__ = ["console", "prepared", "running"]

GOOD = {"Python": "3.13.9", "SQLite": "3.51.3", "expat": "2.7.2", "OpenSSL": "3.0.22", "aiohttp": "3.14.4"}


@pytest.mark.parametrize(
    ("name", "version", "is_bad"),
    [
        ("SQLite", "3.40.1", True),
        ("SQLite", "3.51.2", True),
        ("SQLite", "3.53.0", False),
        ("expat", "2.5.0", True),
        ("expat", "2.10.0", False),
        ("OpenSSL", "1.1.1w", True),
        ("OpenSSL", "3.5.4", False),
    ],
)
def test_an_old_version_is_warned_of_with_what_is_done_about_it(
    name: str, version: str, is_bad: bool, caplog: pytest.LogCaptureFixture
) -> None:
    found = {**GOOD, name: version}
    assert [part.name for part in parts(found) if part.concern] == ([name] if is_bad else [])
    with caplog.at_level(logging.INFO):
        tell_parts(found)
    warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [text.startswith(f"{name} {version}: ") for text in warned] == ([True] if is_bad else [])
    assert f"{name} {version}" in caplog.records[0].getMessage()


@pytest.mark.parametrize("version", ["3.14.3", "3.9.1", "2.99"])
def test_an_aiohttp_whose_limits_do_not_hold_stops_the_start(version: str) -> None:
    with pytest.raises(Refusal, match=f"aiohttp {version} lets strangers"):
        tell_parts({**GOOD, "aiohttp": version})
    tell_parts(GOOD)


def test_the_log_begins_with_them_and_an_administrator_reads_them_on_the_help_page(console: Console) -> None:
    assert re.match(r"\d+\.\d+\.\d+", versions()["expat"])
    told = ", ".join(f"{name} {version}" for name, version in versions().items())
    assert told in console.server.log.read_text().splitlines()[0]
    page = console.browser.get("/help").text
    for name, version in (("SQLite", sqlite3.sqlite_version), ("Python", platform.python_version())):
        assert f"{name} {version}" in page
    assert sqlite3.sqlite_version not in console.user("ben").get("/help").text, "not everybody needs to know"
