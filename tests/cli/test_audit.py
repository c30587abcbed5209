"""`ocs.pyz audit`: what was done is listed, searched, and walked along for changes."""

from __future__ import annotations

import json
import os
import pwd
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from appliance.operations.logbook import verify_log
from tests.fakes.appliance import must, on_desk, say

ME = pwd.getpwuid(os.geteuid()).pw_name


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory where two groups were made and one was deleted."""
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    must("config", "set", "PROLOG_FREQ", "12", data=folder)
    for name in ("paris", "lyon"):
        must("group", "create", name, data=folder)
    must("group", "delete", "lyon", data=folder)
    return folder


def deeds(text: str) -> list[tuple[str, str]]:
    return [(entry["deed"], entry["subject"]) for entry in json.loads(text)]


def test_the_log_is_listed_newest_first_and_searched_by_words_and_deed(data: Path) -> None:
    everything = json.loads(must("audit", "list", "--json", data=data))
    assert [entry["deed"] for entry in everything] == [
        "group deleted", "group created", "group created", "setting changed",
    ]  # fmt: skip
    assert {(entry["actor"], entry["through"]) for entry in everything} == {(ME, "command line")}
    assert all(re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", entry["at"]) for entry in everything)
    assert deeds(must("audit", "list", "--json", "--words", "LYON created", data=data)) == [("group created", "lyon")]
    assert deeds(must("audit", "list", "--json", "--deed", "group deleted", data=data)) == [("group deleted", "lyon")]
    assert len(deeds(must("audit", "list", "--json", "--limit", "2", data=data))) == 2
    table = must("audit", "list", "--words", "setting", data=data).splitlines()
    assert table[0].split() == ["ID", "WHEN", "WHO", "THROUGH", "DEED", "WHAT", "DETAIL"]
    assert "PROLOG_FREQ" in table[1]
    assert len(table) == 2


def test_a_deed_that_is_none_a_number_of_none_and_data_that_are_not_there_are_refused(data: Path) -> None:
    assert say("audit", "list", "--deed", "package stolen", data=data).code == 2
    assert "limit: it is not a number" in say("audit", "list", "--limit", "0", data=data).err
    said = say("audit", "verify", data=data.parent / "nowhere")
    assert (said.code, said.out) == (1, "")


def test_a_log_that_nobody_touched_verifies_and_prints_its_head(data: Path) -> None:
    head = on_desk(data, verify_log).head
    assert must("audit", "verify", data=data).splitlines() == [
        "4 entries, and each follows from those before it.",
        f"head  {head}",
    ]
    assert json.loads(must("audit", "verify", "--json", data=data)) == {"entries": 4, "broken_at": None, "head": head}


def test_a_log_that_was_changed_behind_its_back_is_exit_code_1_and_names_the_entry(data: Path) -> None:
    with closing(sqlite3.connect(data / "ocs.sqlite")) as connection:
        connection.execute("DROP TRIGGER log_never_changes")
        connection.execute("UPDATE log SET actor = 'eve' WHERE id = 3")
        connection.commit()
    said = say("audit", "verify", data=data)
    assert said.code == 1
    assert said.out.startswith("Entry 3 does not follow from the 2 good ones before it.\nhead  ")
    said = say("audit", "verify", "--json", data=data)
    assert said.code == 1
    assert json.loads(said.out)["broken_at"] == 3
