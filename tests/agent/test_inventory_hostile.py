"""Whatever stands in the files of a computer, or is missing: the inventory is made, and can be written."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from appliance.agent import inventory
from appliance.agent.inventory import running
from appliance.agent.inventory.linux import addresses, disks
from tests.agent.data.trees import OFFICE, plant, plant_office, rows

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="trees with Linux's file names")


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return plant_office(tmp_path_factory.mktemp("office"))


def test_an_empty_tree_gives_a_hardware_row_and_nothing_empty(tmp_path: Path) -> None:
    found = inventory.collect(tmp_path)
    assert [name for name, _ in found] == ["HARDWARE"]
    assert all(found[0][1].values())


HOSTILE = {
    "binary": bytes(range(256)) * 64,
    "one huge line": b"A" * 3_000_000,
    "many lines": b"a b c d e f g h i j k\n" * 20_000,
    "control characters": b"NAME: a\x00b\x01c\x1b[31m\x7f\nPackage: x\x02\nStatus: install ok installed\n",
    "colons": b":::::::\n" * 1000,
    "numbers": b"9" * 5000 + b"\n",
    "empty": b"",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_whatever_stands_in_the_files_each_part_copes_with_it(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    root = plant(tmp_path, {name: text if isinstance(text, Path) else HOSTILE[kind] for name, text in OFFICE.items()})
    plant(root, dict.fromkeys(("run/utmp", "var/log/wtmp", "sys/firmware/dmi/tables/DMI"), HOSTILE[kind]))
    assert_clean(inventory.collect(root))
    assert not caplog.records  # no part had to be left out


@pytest.fixture(scope="module")
def spare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second tree, for tests that change it and put it back: making one is slow where disks are busy."""
    return plant(tmp_path_factory.mktemp("spare"), OFFICE)


@pytest.mark.parametrize("name", [name for name, text in OFFICE.items() if not isinstance(text, Path)])
def test_any_one_file_may_be_missing_or_a_pipe_that_nobody_writes(
    spare: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    (spare / name).rename(spare / "kept")
    try:
        assert_clean(inventory.collect(spare))
        os.mkfifo(spare / name)
        assert_clean(inventory.collect(spare))
    finally:
        (spare / "kept").replace(spare / name)
    assert not caplog.records  # no part had to be left out


def test_file_names_that_are_no_utf8_do_not_reach_the_values(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/sys/class/net/eth\xff\x01"
    os.makedirs(folder)
    assert rows(tmp_path, "NETWORKS")[0]["DESCRIPTION"] == "eth\ufffd"


def test_a_part_that_fails_costs_only_itself(office: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> list[dict[str, str]]:
        raise ZeroDivisionError

    monkeypatch.setattr(disks, "storages", broken)
    found = {name for name, _ in inventory.collect(office)}
    assert "STORAGES" not in found
    assert {"HARDWARE", "DRIVES", "SOFTWARES"} <= found


def test_no_program_is_run_for_another_root(office: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("a program was run")

    monkeypatch.setattr(running.subprocess, "Popen", forbidden)
    monkeypatch.setattr(addresses, "_from_kernel", forbidden)
    (office / "var/lib/rpm").mkdir(parents=True, exist_ok=True)
    assert inventory.collect(office)


def assert_clean(sections: list[tuple[str, dict[str, str]]]) -> None:
    assert sections[0][0] == "HARDWARE"
    for name, fields in sections:
        assert fields, name
        for key, value in fields.items():
            assert isinstance(value, str)
            assert value, (name, key)
            assert len(value) <= 4096
            assert not any(character < " " and character not in "\t\n\r" for character in value), (name, key)
            value.encode("utf-8")
