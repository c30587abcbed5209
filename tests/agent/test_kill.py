"""The agent is killed after every single effect, then started again: always the same end.

No result is lost, no command runs twice, nothing is left behind, and of the fragments only the one under way is
fetched again.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from appliance.agent import folders, keeper
from appliance.agent.driver import run_once
from appliance.agent.files import Files
from appliance.agent.notice import Answer
from appliance.agent.perform import LocalHost
from appliance.domain.package import Action, Notice
from tests.agent.kit import Built, FakePeople, Lab, package, tar_of, zip_of


class Killed(BaseException):
    """As kill -9: nobody catches it."""


class Fate:
    """Strikes after effect number `at`; `torn`: in the middle of it, where it is a write."""

    def __init__(self, at: int, *, torn: bool = False) -> None:
        self.at = at
        self.torn = torn
        self.count = 0
        self.names: list[str] = []

    def strike(self, name: str) -> None:
        self.count += 1
        self.names.append(name)
        if self.count == self.at:
            raise Killed(name)

    def next_is_torn(self) -> bool:
        return self.torn and self.count + 1 == self.at


class MortalFiles(Files):
    """The real disk, on which every effect may be the last."""

    def __init__(self, fate: Fate) -> None:
        self.fate = fate

    def make_folder(self, folder: Path) -> None:
        super().make_folder(folder)
        self.fate.strike(f"make {folder.name}")

    def append(self, path: Path, data: bytes, *, at: int) -> None:
        if self.fate.next_is_torn():
            super().append(path, data[: len(data) // 2], at=at)
        else:
            super().append(path, data, at=at)
        self.fate.strike(f"append {data!r}")

    def keep(self, path: Path, data: bytes) -> None:
        super().keep(path, data)
        self.fate.strike(f"keep {path.name}")

    def rename(self, old: Path, new: Path, *, sync: bool) -> None:
        super().rename(old, new, sync=sync)
        self.fate.strike(f"rename {new.name}")

    def remove(self, path: Path) -> None:
        if self.fate.next_is_torn() and path.is_dir():
            for inner in list(path.iterdir())[::2]:
                super().remove(inner)
        else:
            super().remove(path)
        self.fate.strike(f"remove {path.name}")


@pytest.fixture
def everything_is_mortal(monkeypatch: pytest.MonkeyPatch) -> list[Fate]:
    """Effects that do not go through Files strike too: unpacking, storing, starting."""
    fates = [Fate(0)]

    def mortal(owner: Any, name: str) -> None:
        real = getattr(owner, name)

        def effect(*arguments: Any, **keywords: Any) -> Any:
            result = real(*arguments, **keywords)
            fates[-1].strike(name)
            return result

        monkeypatch.setattr(owner, name, effect)

    mortal(folders.Below, "create")
    mortal(folders.Below, "replace")
    real_fork = keeper._fork

    def fork() -> int:
        child = real_fork()
        if child:  # the copy that watches over the command lives on when the agent is killed
            fates[-1].strike("fork")
        return child

    monkeypatch.setattr(keeper, "_fork", fork)
    return fates


def lab_with(folder: Path, built: Built, fate: Fate) -> Lab:
    lab = Lab(folder, files=MortalFiles(fate))
    lab.server.pieces = 50
    lab.server.after = fate.strike
    lab.server.add(built)
    lab.host = LocalHost(install_path=folder, server="http://ocs.example.org", outer=os.environ, files=lab.files)
    return lab


class MortalPeople(FakePeople):
    """Somebody who agrees to everything; each answer may be the last thing that the agent hears."""

    def __init__(self, story: list[object], fate: Fate) -> None:
        super().__init__(story)
        self.fate = fate

    def ask(self, notice: Notice, *, name: str, delays: int) -> Answer:
        self.fate.strike("ask")
        return Answer.PROCEED

    def confirm_done(self, text: str, *, name: str) -> None:
        self.fate.strike("confirm")


def with_everything(tmp: Path) -> Built:
    """A package with a warning, a question at its end, a schedule, force and POSTCMD."""
    built = package(
        argument=f"echo ran >> {shlex.quote(str(tmp / 'count'))}",
        data=zip_of({"file": b"x" * 500}),
        notice=Notice("Beware", 10),
        done_text="Done",
    )
    command = f"echo post >> {shlex.quote(str(tmp / 'post'))}"
    built.pack = replace(built.pack, schedule="2020/01/01 10:00", post_command=command, force=True)
    return built


@pytest.mark.parametrize("torn", [False, True], ids=["after", "within"])
def test_killed_after_any_effect_of_a_package_with_everything_post_command_runs_at_most_once(
    tmp_path: Path, everything_is_mortal: list[Fate], torn: bool
) -> None:
    posts = []
    for at in range(1, 1000):
        tmp = tmp_path / str(at)
        tmp.mkdir()
        built = with_everything(tmp)
        fate = Fate(at, torn=torn)
        everything_is_mortal.append(fate)
        lab = lab_with(tmp / "agent", built, fate)
        lab.people = MortalPeople(lab.story, fate)
        try:
            run_once(lab.start())
            killed = False
        except Killed:
            killed = True
        fate.at = 0
        if killed:
            run_once(lab.start())
            run_once(lab.start())
        where = f"killed at {at}: {fate.names[at - 1 : at]}, {lab.log.lines}"
        ran = (tmp / "count").read_text().count("ran") if (tmp / "count").exists() else 0
        post = (tmp / "post").read_text().count("post") if (tmp / "post").exists() else 0
        codes = {code for _, code in lab.server.codes}
        assert (ran, lab.leftovers()) == (1, []) or codes == {"ERR_DONE_FAILED"}, where
        assert ran <= 1, where
        armed = any("POST_ARMED" in name for name in fate.names[:at]) and not fate.next_is_torn()
        assert post == 1 or (killed and (codes == {"ERR_DONE_FAILED"} or armed)), where
        posts.append(post)
        if not killed:
            break
    assert sum(post == 0 for post in posts) <= 5  # only where POSTCMD, or the command itself, may have run


def cases(tmp: Path) -> dict[Action, Built]:
    count = shlex.quote(str(tmp / "count"))
    files = {"run.sh": f"#!/bin/sh\necho ran >> {count}\n".encode(), "data/one": os.urandom(300), "data/empty/": b""}
    return {
        Action.EXECUTE: package(action=Action.EXECUTE, argument=f"echo ran >> {count}"),
        Action.LAUNCH: package(action=Action.LAUNCH, argument="run.sh --quiet", data=zip_of(files), fragment_size=200),
        Action.STORE: package(
            action=Action.STORE,
            argument=str(tmp / "store"),
            data=tar_of(files),
            fragment_size=200,
            with_manifest=False,
        ),
    }


@pytest.mark.parametrize("torn", [False, True], ids=["after", "within"])
@pytest.mark.parametrize("action", list(Action), ids=lambda action: action.value)
def test_killed_after_any_effect_it_comes_to_the_same_end(
    tmp_path: Path, everything_is_mortal: list[Fate], action: Action, torn: bool
) -> None:
    counts = []
    for at in range(1, 1000):
        tmp = tmp_path / str(at)
        tmp.mkdir()
        built = cases(tmp)[action]
        fate = Fate(at, torn=torn)
        everything_is_mortal.append(fate)
        lab = lab_with(tmp / "agent", built, fate)
        try:
            run_once(lab.start())
            killed = False
        except Killed:
            killed = True
        fate.at = 0
        if killed:
            run_once(lab.start())
            run_once(lab.start())  # and nothing comes back a third time
        codes = {code for _, code in lab.server.codes}
        ran = (tmp / "count").read_text().count("ran") if (tmp / "count").exists() else 0
        where = f"killed at {at}: {fate.names[at - 1 : at]}, {lab.log.lines}"
        assert codes == {"SUCCESS"} or (killed and codes == {"ERR_DONE_FAILED"}), where
        assert ran <= 1, where
        assert ran == 1 or action is Action.STORE or codes == {"ERR_DONE_FAILED"}, where
        assert lab.leftovers() == [], where
        assert len(lab.server.fetched) <= len(built.fragments) + killed, where
        assert (built.id in lab.start().spool.history()) == (codes == {"SUCCESS"}), where
        if action is Action.STORE:
            assert codes == {"SUCCESS"}, where  # storing is repeatable
            assert (tmp / "store/data/empty").is_dir()
            assert (tmp / "store/run.sh").read_bytes() == b"#!/bin/sh\necho ran >> %s\n" % str(tmp / "count").encode()
            assert not list((tmp / "store").rglob("*.tmp")) or killed
        counts.append(codes)
        if not killed:
            break
    assert len(counts) > 12  # it did strike at many places
    # only between "it is about to start" and the start: then nobody watches over the command
    assert sum(codes == {"ERR_DONE_FAILED"} for codes in counts) <= (0 if action is Action.STORE else 1)
