"""The agent's own file is replaced: verified, on trial, confirmed or taken back; killed after every single effect."""

from __future__ import annotations

import json
import os
import stat
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.agent import trial, update
from appliance.agent.failure import Unusable
from appliance.agent.trial import Effects

ROOT = Path(__file__).resolve().parents[2]


def agent_file(path: Path, version: str = "2.0", *, body: str = "") -> Path:
    """A file that says a version as an agent does."""
    with path.open("wb") as file:
        file.write(b"#!/usr/bin/env python3\n")
        with zipfile.ZipFile(file, "w") as archive:
            said = body or f"import sys\nassert sys.argv[1:] == ['agent', '--version']\nprint('ocs.pyz {version}')\n"
            archive.writestr("__main__.py", said)
    path.chmod(0o644)
    return path


class Place:
    """A computer with an installed agent, and what a package brought."""

    def __init__(self, folder: Path) -> None:
        self.base = folder / "base"
        self.base.mkdir(mode=0o700)
        (folder / "opt").mkdir()
        self.installed = agent_file(folder / "opt" / "ocs.pyz", "1.0")
        self.first = self.installed.read_bytes()
        self.told: list[str] = []
        update.begin(self.installed, self.base)

    def bring(self, version: str = "2.0", *, body: str = "", name: str = "ocs.pyz") -> bytes:
        return agent_file(self.base / "update" / name, version, body=body).read_bytes()

    def take(self) -> bool:
        return update.take(self.base, self.installed, self.told.append)

    def begin(self) -> update.Begun:
        return update.begin(self.installed, self.base)

    @property
    def beside(self) -> list[str]:
        return sorted(path.name for path in self.installed.parent.iterdir() if path != self.installed)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_new_file_is_verified_put_in_place_and_on_trial_until_a_contact(place: Place) -> None:
    new = place.bring()
    assert place.take()
    assert place.installed.read_bytes() == new
    assert stat.S_IMODE(place.installed.stat().st_mode) == 0o755
    assert (place.installed.parent / "ocs.pyz.old").read_bytes() == place.first
    assert list((place.base / "update").iterdir()) == []
    assert "Version 2.0 is in place and on trial" in place.told[0]
    begun = place.begin()
    assert (begun.restart, begun.on_trial) == (False, True)
    assert begun.tell == "Version 2.0 is on trial, start 1 of 3."
    assert update.confirm(place.installed)
    assert place.beside == []
    assert not update.confirm(place.installed)
    assert place.begin() == update.Begun()


def test_after_three_starts_without_a_contact_the_old_one_is_back(place: Place) -> None:
    place.bring()
    place.take()
    assert [place.begin().restart for _ in range(3)] == [False] * 3
    begun = place.begin()
    assert begun.restart
    assert "was started 3 times and made no contact" in begun.tell
    assert place.installed.read_bytes() == place.first
    assert place.beside == []
    assert place.begin() == update.Begun()


def test_nothing_to_take_is_nothing(place: Place) -> None:
    assert not place.take()
    (place.base / "update" / "readme.txt").touch()
    (place.base / "update" / "folder.pyz").mkdir()
    os.symlink(place.installed, place.base / "update" / "link.pyz")
    assert not place.take()
    assert place.told == []


def test_the_same_file_again_changes_nothing(place: Place) -> None:
    (place.base / "update" / "ocs.pyz").write_bytes(place.first)
    assert not place.take()
    assert (place.beside, place.told) == ([], [])
    assert update.offered(place.base) is None


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("raise SystemExit('needs Python 4')", "ended with 1: needs Python 4"),
        ("import does_not_exist", "ModuleNotFoundError"),
        ("print('hello')", "no version"),
        ("print('ocs.pyz 2.0'); raise SystemExit(3)", "ended with 3"),
        ("import os; os.abort()", "ended with -6"),
    ],
)
def test_a_file_that_does_not_run_here_is_refused_and_nothing_changes(place: Place, body: str, why: str) -> None:
    place.bring(body=body)
    assert not place.take()
    assert why in place.told[0]
    assert place.installed.read_bytes() == place.first
    assert place.beside == []
    assert update.offered(place.base) is None  # not again at the next turn


def test_a_file_that_is_no_archive_or_a_damaged_one_is_refused(place: Place) -> None:
    (place.base / "update" / "a.pyz").write_bytes(b"print('ocs.pyz 2.0')\n")
    assert not place.take()
    content = bytearray(place.bring())
    content[content.index(b"print")] ^= 1
    (place.base / "update" / "ocs.pyz").write_bytes(content)
    assert not place.take()
    assert ["no archive" in place.told[0], "damaged" in place.told[1]] == [True, True]
    assert place.installed.read_bytes() == place.first


def test_a_file_that_hangs_is_given_up(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(update, "VERIFY_SECONDS", 0.3)
    place.bring(body="import threading; threading.Event().wait(60)")
    assert not place.take()
    assert "timed out" in place.told[0]


def test_a_file_beyond_the_bound_is_refused(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "LARGEST", 100)
    place.bring()
    assert not place.take()
    assert place.beside == []


def test_the_verifying_run_gets_nothing_of_the_agents_environment(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PYTHONSTARTUP", "/tmp/evil.py")
    monkeypatch.setenv("OCS_SECRET", "x")
    note = tmp_path / "environment"
    place.bring(body=f"import os, json; json.dump(dict(os.environ), open({str(note)!r}, 'w')); print('ocs.pyz 2.0')")
    assert place.take()
    assert not {"PYTHONSTARTUP", "OCS_SECRET"} & set(json.loads(note.read_text()))


def test_a_place_that_others_can_write_is_not_written_to(place: Place) -> None:
    place.installed.parent.chmod(0o777)
    place.bring()
    assert not place.take()
    assert "can be written by others" in place.told[0]


def test_an_update_of_an_update_on_trial_goes_back_to_the_last_one_that_worked(place: Place) -> None:
    place.bring("2.0")
    place.take()
    place.begin()
    third = place.bring("3.0")
    assert place.take()
    assert place.installed.read_bytes() == third
    for _ in range(3):
        assert place.begin().on_trial
    assert place.begin().restart
    assert place.installed.read_bytes() == place.first


def test_without_the_old_file_a_bad_trial_goes_on(place: Place) -> None:
    new = place.bring()
    place.take()
    (place.installed.parent / "ocs.pyz.old").unlink()
    for _ in range(3):
        place.begin()
    begun = place.begin()
    assert (begun.restart, place.installed.read_bytes()) == (False, new)
    assert "none before it" in begun.tell


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"new": 1}', b'{"new": "", "old": "", "version": "2"}'])
def test_a_trial_that_cannot_be_read_is_none(place: Place, content: bytes) -> None:
    (place.installed.parent / "ocs.pyz.trial").write_bytes(content)
    assert place.begin() == update.Begun()
    assert place.installed.read_bytes() == place.first


def test_a_full_disk_does_not_keep_the_agent_from_starting(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.bring()
    place.take()

    def full(self: Effects, path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Effects, "keep", full)
    assert place.begin().on_trial


def test_where_the_disk_knows_no_second_names_the_old_one_is_copied(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(old: Path, new: Path) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(trial.os, "link", refuse)
    place.bring()
    assert place.take()
    assert (place.installed.parent / "ocs.pyz.old").read_bytes() == place.first


def test_a_source_tree_is_no_file_to_replace() -> None:
    assert update.running_file() is None


def test_the_agent_becomes_what_lies_there_now(tmp_path: Path) -> None:
    body = (
        "import os, sys; print('BECAME', sys.argv[1:], sys.flags.isolated, sys.flags.no_site, os.getpid(), flush=True)"
    )
    file = agent_file(tmp_path / "ocs.pyz", body=body)
    inner, outer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.dup2(outer, 1)
        update.reexec(["--basedir", "/a b"], file)
    os.close(outer)
    with os.fdopen(inner) as said:
        assert said.read() == f"BECAME ['agent', '--basedir', '/a b'] 1 1 {pid}\n"
    assert os.waitpid(pid, 0)[1] == 0


# -- killed after every single effect


class Mortal(Effects):
    """The real disk. The process ends as by kill -9 after effect number `at`; `torn`: in the middle of it."""

    def __init__(self, at: int, *, torn: bool = False) -> None:
        self.at, self.torn, self.count = at, torn, 0

    def strike(self) -> None:
        self.count += 1
        if self.count == self.at and not self.torn:
            os._exit(9)

    def copy(self, source: Path, target: Path) -> str:
        if self.torn and self.count + 1 == self.at:
            target.write_bytes(source.read_bytes()[:50])
            os._exit(9)
        digest = super().copy(source, target)
        self.strike()
        return digest

    def link(self, old: Path, new: Path) -> None:
        super().link(old, new)
        self.strike()

    def make_folder(self, folder: Path) -> None:
        super().make_folder(folder)
        self.strike()

    def keep(self, path: Path, data: bytes) -> None:
        super().keep(path, data)
        self.strike()

    def rename(self, old: Path, new: Path, *, sync: bool) -> None:
        super().rename(old, new, sync=sync)
        self.strike()

    def remove(self, path: Path) -> None:
        super().remove(path)
        self.strike()


def in_a_child(act: Callable[[], None]) -> bool:
    """Whether it came to its end; it may be killed."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            act()
            code = 0
        finally:
            os._exit(code)
    status = os.waitpid(pid, 0)[1]
    assert os.WEXITSTATUS(status) in (0, 9), "it failed by itself"
    return os.WEXITSTATUS(status) == 0


def starts(place: Place, *, contact: bool, effects: Effects | None = None) -> None:
    """The engine's life as it is wired: begin, restart where asked, take, and a contact that succeeds or does not."""
    for _ in range(12):
        if update.begin(place.installed, place.base, effects=effects).restart:
            continue
        works = contact or place.installed.read_bytes() == place.first
        if works:
            update.confirm(place.installed, effects=effects)
            if update.take(place.base, place.installed, lambda text: None, effects=effects):
                continue
            return
    raise AssertionError("it never came to rest")


@pytest.mark.parametrize("torn", [False, True])
@pytest.mark.parametrize("contact", [True, False], ids=["good", "bad"])
def test_killed_anywhere_the_old_or_the_new_one_starts_and_the_end_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, contact: bool, torn: bool
) -> None:
    monkeypatch.setattr(update, "verified", lambda file: "2.0")  # proven above; here it would run a hundred times
    ends = set()
    for at in range(1, 20 if torn else 60):
        folder = tmp_path / str(at)
        folder.mkdir()
        place = Place(folder)
        new = place.bring()
        finished = in_a_child(lambda p=place, a=at: starts(p, contact=contact, effects=Mortal(a, torn=torn)))
        assert place.installed.read_bytes() in (place.first, new), at
        starts(place, contact=contact)
        assert place.beside == [], at
        assert list((place.base / "update").iterdir()) == [], at
        # Killed while it is brought in, a bad one may be gone before it was tried; a good one never is
        ends.add(place.installed.read_bytes() == new)
        if finished and not torn:
            break
    assert ends == {contact}
    assert at > (10 if not torn else 0)


def test_a_swap_that_is_interrupted_by_a_signal_leaves_the_old_one(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(file: Path) -> str:
        raise KeyboardInterrupt

    new = place.base / "update" / "ocs.pyz"
    place.bring()
    with pytest.raises(KeyboardInterrupt):
        update.swap(new, place.installed, verify=interrupted)
    assert (place.beside, place.installed.read_bytes()) == ([], place.first)


def test_a_swap_by_itself_says_the_version_and_refuses_with_a_reason(place: Place) -> None:
    place.bring("2.1")
    assert update.swap(place.base / "update" / "ocs.pyz", place.installed) == "2.1"
    with pytest.raises(Unusable):
        update.swap(agent_file(place.base / "x.pyz", body="1 / 0"), place.installed)
    with pytest.raises(OSError):
        update.swap(place.base / "nothing.pyz", place.installed)
    assert sys.executable
