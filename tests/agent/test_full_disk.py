"""The disk refuses at the Nth write, N = 1, 2, … until the package comes through: once, or from there on until freed.

Source: security.md F12, R26. Whatever happens: no command runs twice, nothing is left behind, and once there is room
the package succeeds.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
from pathlib import Path
from typing import Any

import pytest

from appliance.agent import fetch, folders
from appliance.agent.driver import run_once
from appliance.agent.files import Files
from appliance.agent.perform import LocalHost
from appliance.agent.spool import BALLAST
from appliance.domain.package import Action
from tests.agent.kit import Built, Lab, package, tar_of, zip_of

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the commands here are a Unix shell's")


class Quota:
    """Refuses write number `at`; `stays`: and all that follow."""

    def __init__(self, at: int, *, stays: bool) -> None:
        self.at = at
        self.stays = stays
        self.count = 0

    def write(self) -> None:
        """One more of them. Raises OSError."""
        self.count += 1
        if self.count == self.at or (self.stays and 0 < self.at < self.count):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class SmallDisk(Files):
    """The real disk with a quota. What removing the ballast freed is enough for journals."""

    def __init__(self, quota: Quota) -> None:
        self.quota = quota
        self.freed = False

    def make_folder(self, folder: Path) -> None:
        if not folder.exists():
            self.quota.write()
        super().make_folder(folder)

    def append(self, path: Path, data: bytes, *, at: int) -> None:
        if not self.freed or path.name == BALLAST:
            self.quota.write()
        super().append(path, data, at=at)
        if path.name == BALLAST:
            self.freed = False

    def keep(self, path: Path, data: bytes) -> None:
        self.quota.write()
        super().keep(path, data)

    def rename(self, old: Path, new: Path, *, sync: bool) -> None:
        if sync:
            self.quota.write()
        super().rename(old, new, sync=sync)

    def remove(self, path: Path) -> None:
        if path.name == BALLAST and path.exists():
            self.freed = True
        super().remove(path)


@pytest.fixture
def quotas(monkeypatch: pytest.MonkeyPatch) -> list[Quota]:
    """The last one holds for writes that do not go through Files too: fragments, unpacking, storing."""
    held = [Quota(0, stays=False)]

    def bounded(owner: Any, name: str) -> None:
        real = getattr(owner, name)

        def effect(*arguments: Any, **keywords: Any) -> Any:
            held[-1].write()
            return real(*arguments, **keywords)

        monkeypatch.setattr(owner, name, effect)

    bounded(folders.Below, "create")
    bounded(folders.Below, "replace")
    bounded(fetch, "open_part")
    return held


def cases(tmp: Path) -> dict[Action, Built]:
    count = f"echo ran >> {shlex.quote(str(tmp / 'count'))}"
    files = {"run.sh": f"#!/bin/sh\n{count}\n".encode(), "data": os.urandom(500), "folder/file": b"x"}
    return {
        Action.EXECUTE: package(argument=count),
        Action.LAUNCH: package(action=Action.LAUNCH, argument="run.sh", data=zip_of(files), fragment_size=300),
        Action.STORE: package(
            action=Action.STORE, argument=str(tmp / "store"), data=tar_of(files), fragment_size=300,
            with_manifest=False,
        ),
    }  # fmt: skip


def attempt(lab: Lab) -> None:
    """One start of the agent; a full disk may end it with an error, never with anything else."""
    with contextlib.suppress(OSError):
        run_once(lab.start())


@pytest.mark.parametrize("stays", [False, True], ids=["once", "until it is freed"])
@pytest.mark.parametrize("action", list(Action), ids=lambda action: action.value)
def test_a_disk_that_is_full_at_any_write_loses_nothing_and_the_package_succeeds_once_there_is_room(
    tmp_path: Path, quotas: list[Quota], action: Action, stays: bool
) -> None:
    told = set()
    reached = True
    at = 0
    while reached:
        at += 1
        tmp = tmp_path / str(at)
        tmp.mkdir()
        quota = Quota(at, stays=stays)
        quotas.append(quota)
        lab = Lab(tmp / "agent", files=SmallDisk(quota))
        lab.host = LocalHost(install_path=tmp, server="", outer=os.environ, files=lab.files)
        lab.server.add(cases(tmp)[action])
        for _ in range(2):
            attempt(lab)
        reached = quota.count >= at
        codes = {code for _, code in lab.server.codes}
        told |= codes
        assert codes <= {"SUCCESS", "ERR_OUT_OF_SPACE", "ERR_EXECUTE", "ERR_DONE_FAILED"}, (at, lab.log.lines)
        quota.at = 0  # there is room again
        for _ in range(3):
            if "SUCCESS" not in {code for _, code in lab.server.codes}:
                lab.server.finished.clear()  # affected once more
            assert run_once(lab.start()), (at, lab.log.lines)
        last = lab.server.codes[-1][1]
        ran = (tmp / "count").read_text().count("ran") if (tmp / "count").exists() else 0
        if action is Action.STORE:
            assert last == "SUCCESS", (at, lab.server.codes, lab.log.lines)
            assert (tmp / "store/data").stat().st_size == 500
            assert sorted(path.name for path in (tmp / "store").iterdir()) == ["data", "folder", "run.sh"]
        else:
            assert last in ("SUCCESS", "ERR_ALREADY_SETUP"), (at, lab.server.codes, lab.log.lines)
            doubtful = sum(code == "ERR_DONE_FAILED" for _, code in lab.server.codes)
            assert 1 <= ran <= 1 + doubtful, (at, lab.server.codes, lab.log.lines)
        assert lab.leftovers() == [], (at, lab.log.lines)
        assert not list((tmp / "agent").rglob("*.part"))
    assert at > 12  # it did strike at many places
    assert action is Action.EXECUTE or "ERR_OUT_OF_SPACE" in told
