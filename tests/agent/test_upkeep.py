"""When the running file is looked at, confirmed and replaced. How it is replaced is test_update's."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from appliance.agent import update
from appliance.agent.contact import make_contact
from appliance.agent.driver import run_forever, run_once
from appliance.agent.failure import Restart, Unusable
from appliance.agent.upkeep import SUFFIXES, Upkeep
from tests.agent.kit import FakeClock, Lab, package


class Here:
    """An installed file, its base directory, and an agent that runs from it."""

    def __init__(self, tmp: Path) -> None:
        self.installed = tmp / "ocs.pyz"
        self.installed.write_bytes(b"one")
        self.folder = tmp / "agent"
        self.lab = Lab(self.folder)
        self.told: list[str] = []
        self.upkeep = self.starts()

    def starts(self) -> Upkeep:
        return Upkeep(self.installed, self.folder, FakeClock([]), self.told.append)

    def replaced(self, data: bytes) -> None:
        new = self.installed.with_suffix(".x")
        new.write_bytes(data)
        os.replace(new, self.installed)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    monkeypatch.setattr(update, "verified", lambda file: "9.9")
    return Here(tmp_path)


def test_a_file_that_stays_is_left_alone(here: Here) -> None:
    here.upkeep.begin()
    here.upkeep.look()
    assert here.upkeep.take() is False
    assert here.told == []


def test_a_file_that_was_replaced_is_become_before_the_next_contact(here: Here) -> None:
    world = here.lab.start()
    world.upkeep = here.upkeep
    here.replaced(b"two")
    with pytest.raises(Restart):
        run_forever(world)
    assert here.lab.story == []
    assert here.told == [f"{here.installed} was replaced; it goes on as version 9.9."]


def test_a_file_that_was_replaced_by_rubbish_is_said_once_and_the_one_in_memory_goes_on(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(file: Path) -> str:
        raise Unusable("it is no archive.")

    monkeypatch.setattr(update, "verified", refuses)
    here.replaced(b"rubbish")
    here.upkeep.look()
    here.upkeep.look()
    assert len(here.told) == 1
    here.installed.unlink()
    here.upkeep.look()


def test_a_contact_confirms_a_file_on_trial_and_nothing_else_does(here: Here) -> None:
    new = here.folder / "update" / "ocs.pyz"
    new.parent.mkdir()
    new.write_bytes(b"two")
    world = here.lab.start()
    world.upkeep = here.upkeep
    assert here.upkeep.take()  # a package brought it
    again = here.lab.start()
    again.upkeep = here.starts()
    again.upkeep.begin()
    assert again.upkeep.on_trial
    here.lab.server.down = True
    make_contact(again)
    assert again.upkeep.on_trial
    here.lab.server.down = False
    make_contact(again)
    assert not again.upkeep.on_trial
    assert not any(here.installed.with_name(here.installed.name + suffix).exists() for suffix in SUFFIXES)
    assert here.installed.read_bytes() == b"two"


def test_a_file_on_trial_makes_its_contact_at_once(here: Here) -> None:
    make_contact(here.lab.start())
    world = here.lab.start()
    world.upkeep = here.upkeep
    world.upkeep.on_trial = True
    here.lab.story.clear()
    here.lab.clock.rest = lambda seconds: (_ for _ in ()).throw(KeyboardInterrupt)  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        run_forever(world)
    assert here.lab.story == ["prolog"]


def test_what_a_package_brought_is_taken_where_its_result_is_told(here: Here) -> None:
    one = package()
    here.lab.server.add(one)
    world = here.lab.start()
    world.upkeep = here.upkeep
    taken: list[bool] = []
    here.upkeep.take = lambda: bool(taken.append(True)) or True  # type: ignore[method-assign]
    here.lab.server.deaf = True
    run_once(world)
    assert taken == []
    here.lab.server.deaf = False
    assert run_once(world)
    assert taken == [True]
    with pytest.raises(Restart):
        run_forever(world)


def test_a_day_on_trial_without_a_contact_counts_as_a_start(here: Here) -> None:
    here.upkeep.on_trial = True
    here.upkeep.look()
    assert isinstance(here.upkeep.clock, FakeClock)
    here.upkeep.clock.time += update.PATIENCE + 1
    with pytest.raises(Restart):
        here.upkeep.look()


def test_from_the_sources_there_is_nothing_to_look_after(tmp_path: Path) -> None:
    upkeep = Upkeep(None, tmp_path, FakeClock([]), lambda _: None)
    upkeep.begin()
    upkeep.look()
    upkeep.confirm()
    assert upkeep.take() is False
    assert json.dumps([str(path) for path in tmp_path.iterdir()]) == "[]"
