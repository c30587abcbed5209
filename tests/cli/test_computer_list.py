"""`computer list`: all criteria or any of them, a kept search, text or JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from appliance.domain.search import all_of, parse
from appliance.operations.desk import Desk
from appliance.operations.searches import keep_search
from tests.fakes.appliance import device, inventory, must, on_desk, say, tell


@pytest.fixture(name="data")
def made(tmp_path: Path) -> Path:
    async def fill(desk: Desk) -> None:
        for name, system in (("alpha", "Debian"), ("beta", "Windows 11"), ("gamma", "Windows 10")):
            told = inventory(device(name), ("HARDWARE", {"NAME": name, "OSNAME": system}), ("BIOS", {"TYPE": name}))
            await tell(desk, told)
        await keep_search(desk, "Our Windows", all_of([parse("OSNAME = Windows (ALL)")]))

    on_desk(tmp_path / "data", fill)
    return tmp_path / "data"


def names(data: Path, *words: str) -> list[str]:
    return [row["computer"] for row in json.loads(must("computer", "list", "--json", *words, data=data))]


def test_all_criteria_must_fit_or_any_of_them(data: Path) -> None:
    asked = ("--search", "NAME LIKE a", "--search", "BIOS.TYPE = beta")
    assert names(data, *asked) == ["beta"]
    assert names(data, *asked, "--search", "NAME = x") == []
    assert names(data, "--any", "--search", "NAME = alpha", "--search", "BIOS.TYPE = beta") == ["alpha", "beta"]
    assert names(data, "--any") == ["alpha", "beta", "gamma"]


def test_a_kept_search_stands_for_its_criteria_and_takes_more(data: Path) -> None:
    assert names(data, "--kept", "our windows") == ["beta", "gamma"]
    assert names(data, "--kept", "our windows", "--search", "NAME = gamma") == ["gamma"]
    either = ("--any", "--search", "NAME = alpha", "--search", "NAME = beta")
    assert names(data, "--kept", "our windows", *either) == ["beta"]
    assert "no search is kept as 'x'" in say("computer", "list", "--kept", "x", data=data).err


def test_a_group_that_is_not_there_is_said_so(data: Path) -> None:
    said = say("computer", "list", "--search", "GROUP BELONG nosuch", data=data)
    assert (said.code, said.out) == (1, "")
    assert "there is no group 'nosuch'" in said.err
