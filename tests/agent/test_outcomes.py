"""Every outcome of the manual from its own real condition, as the server hears it; the table is domain/status's."""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.agent.driver import run_once
from appliance.agent.files import Files
from appliance.agent.jobs import Ending
from appliance.agent.notice import Answer
from appliance.agent.perform import LocalHost
from appliance.agent.periods import run_period
from appliance.agent.record import Phase
from appliance.agent.spool import BALLAST, WORK
from appliance.domain.package import Action, Notice
from appliance.domain.status import OUTCOMES, Side
from tests.agent.kit import FAST, Lab, package, tar_of, zip_of

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the commands here are a Unix shell's")


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    made = Lab(tmp_path / "agent")
    made.host = LocalHost(install_path=tmp_path, server="http://ocs.example.org", outer=os.environ, files=made.files)
    return made


def made(cause: str, lab: Lab, tmp: Path) -> str:
    """Bring a cause about; the code that the server is told."""
    one = package()
    if cause == "SUCCESS":
        one = package(argument="exit 0")
    elif cause == "ERR_EXIT_CODE_n":
        one = package(argument="exit 7")
    elif cause == "ERR_ALREADY_SETUP":
        lab.server.add(one)
        run_once(lab.start())
        lab.server.finished.clear()
    elif cause == "ERR_BAD_ID":
        one.raw_info = package(2).raw_info
    elif cause == "ERR_BAD_DIGEST":
        one = package(data=b"abc", digest="0" * 32)
    elif cause == "ERR_DOWNLOAD_INFO":
        one.raw_info = b"<html/>"
    elif cause == "ERR_DOWNLOAD_PACK":
        one = package(data=b"abc")
        lab.server.refused.add((one.id, 1))
        lab.server.add(one)
        for _ in range(2):
            run_once(lab.start())
            assert lab.results() == {}
    elif cause == "ERR_BUILD":
        one = package(data=b"abcd", fragment_size=2)
        lab.server.add(one)
        real = lab.server.fragment

        def loses(url: str, *, start: int, size: int | None) -> object:
            (lab.folder / "spool" / one.id / f"{one.id}-1").unlink(missing_ok=True)
            return real(url, start=start, size=size)

        lab.server.fragment = loses  # type: ignore[method-assign, assignment]
    elif cause == "ERR_UNZIP":
        one = package(data=b"no archive", action=Action.LAUNCH, argument="x")
    elif cause == "ERR_OUT_OF_SPACE":
        one = package(data=os.urandom(500))
        shutil.disk_usage = lambda _: type("Usage", (), {"free": 4 * 1024**2 + 999})  # type: ignore[assignment]
    elif cause == "ERR_BAD_PARAM":
        one.pack = replace(one.pack, schedule="tomorrow")
    elif cause == "ERR_EXECUTE_PACK":
        one = package(argument=" ")
    elif cause == "ERR_EXECUTE":
        one = package(data=zip_of({"x": b""}), action=Action.LAUNCH, argument="missing.sh")
    elif cause == "ERR_EXECUTE_TIMEOUT":
        one = package(argument="sleep 60")
        lab.server.tempo = replace(FAST, execution_timeout_minutes=1)
        slow = lab.host
        assert isinstance(slow, LocalHost)
        act = slow.act
        slow.act = lambda job, witness: act(replace(job, minutes=0.003), witness)  # type: ignore[method-assign, arg-type]
    elif cause == "ERR_CLEAN":
        stuck = lab.files.remove

        def remove(path: Path) -> None:
            if path.name == WORK and path.is_dir() and (path / "ran").exists():
                raise OSError(errno.EBUSY, "Device or resource busy", str(path))
            stuck(path)

        one = package(argument="touch ran")
        lab.files.remove = remove  # type: ignore[method-assign]
    elif cause == "ERR_DONE_FAILED":
        world = lab.take_in(one)
        world.spool.note(one.id, Phase.ARMED, run="gone")
    elif cause == "ERR_TIMEOUT":
        one = package(data=b"abc")
        lab.server.add(one)
        lab.server.broken.add((one.id, 1))
        for _ in range(30):
            run_once(lab.start())
            assert lab.results() == {}
            lab.clock.time += 24 * 3600 + 60
    elif cause == "ERR_ABORTED":
        one = package(notice=Notice("Beware", may_cancel=True), argument=f"touch {tmp}/ran")
        lab.people.answers.append(Answer.CANCELLED)
    if one.id not in lab.server.packages:
        lab.server.add(one)
    run_once(lab.start())
    return lab.results()[one.id]


OURS = [code for code, row in OUTCOMES.items() if Side.OWN in row.sides]


@pytest.mark.parametrize("code", OURS)
@pytest.mark.parametrize("genuine", [False, True], ids=["to ours", "to a genuine server"])
def test_every_outcome_comes_from_its_own_condition(
    lab: Lab, tmp_path: Path, code: str, genuine: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", shutil.disk_usage)  # put back what a cause replaces
    lab.server.is_genuine = genuine
    told = made(code, lab, tmp_path)
    wanted = (OUTCOMES[code].genuine or code) if genuine else code
    assert told == wanted.replace("_n", "_7")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("exit_code", "genuine", "told"),
    [
        (3010, True, "SUCCESS_REBOOT_REQUIRED"),
        (1641, True, "SUCCESS_REBOOT_INITIATED"),
        (3011, True, "SUCCESS_RESTART_REQUIRED"),
        (3010, False, "SUCCESS"),
    ],
)
def test_a_code_that_asks_for_a_restart_is_a_success_and_is_kept(
    lab: Lab, exit_code: int, genuine: bool, told: str
) -> None:
    one = package()
    lab.host = None
    lab.fake_host.endings[one.id] = Ending("SUCCESS", "restart", exit_code)
    lab.server.is_genuine = genuine
    lab.server.add(one)
    world = lab.start()
    assert run_once(world)
    assert lab.results() == {one.id: told}
    assert world.spool.history() == [one.id]
    assert f'"exit_code": {exit_code}' in (lab.folder / f"spool/results/{one.id}.json").read_text()


def test_a_server_that_changes_its_kind_is_spoken_to_in_its_words_from_the_next_contact_on(lab: Lab) -> None:
    one = package(argument="exit 3")
    lab.server.add(one)
    lab.server.is_genuine = True
    assert run_once(lab.start())
    lab.server.is_genuine = False
    lab.server.finished.clear()
    assert run_once(lab.start())
    assert [code for _, code in lab.server.codes] == ["EXIT_CODE_3", "ERR_EXIT_CODE_3"]


def test_an_info_file_with_a_value_that_nobody_can_use_is_err_bad_param(lab: Lab) -> None:
    for number, (old, new) in enumerate([('ACT="EXECUTE"', 'ACT="DANCE"'), ('PRI="1"', 'PRI="high"')]):
        one = package(number)
        one.raw_info = one.raw_info.replace(old.encode(), new.encode())
        lab.server.add(one)
    run_once(lab.start())
    assert set(lab.results().values()) == {"ERR_BAD_PARAM"}


# Fragments that are not there


def test_a_fragment_that_comes_in_between_begins_the_count_anew(lab: Lab) -> None:
    one = package(data=b"abc", fragment_size=1)
    lab.server.add(one)
    lab.server.refused.add((one.id, 2))
    for _ in range(2):
        run_once(lab.start())
    assert lab.start().spool.holdings[one.id].record.refusals == 2
    lab.server.refused = {(one.id, 3)}
    run_once(lab.start())
    assert lab.results() == {}
    assert lab.start().spool.holdings[one.id].record.refusals == 1  # fragment 2 came, then a period without any
    run_once(lab.start())
    run_once(lab.start())
    assert lab.results() == {one.id: "ERR_DOWNLOAD_PACK"}
    assert lab.leftovers() == []


def test_a_fragment_that_stays_another_one_is_err_bad_digest_as_a_whole_that_is_wrong(lab: Lab) -> None:
    one = package(data=b"abcd", fragment_size=2)
    one.fragments[1] = b"XX"
    lab.server.add(one)
    for _ in range(2):
        run_once(lab.start())
        assert lab.results() == {}
    run_once(lab.start())
    assert lab.results() == {one.id: "ERR_BAD_DIGEST"}
    assert lab.leftovers() == []


def test_a_server_that_is_merely_down_is_never_err_download_pack(lab: Lab) -> None:
    one = package(data=b"abc")
    world = lab.take_in(one)
    lab.server.broken.add((one.id, 1))
    for _ in range(10):
        run_period(world, FAST)
    assert lab.results() == {}


# No space


def test_no_space_is_found_before_anything_is_fetched_with_the_numbers(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = package(data=os.urandom(5_000_000))
    lab.server.add(one)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 9_000_000}))
    world = lab.start()
    run_once(world)
    assert lab.server.fetched == []
    line = next(line for line in lab.log.lines if "ERR_OUT_OF_SPACE" in line)
    assert "13.5 MiB must be free (4.8 MiB to download and 4.8 MiB at least to unpack, 4 MiB in reserve)" in line
    assert "8.6 MiB are" in line
    monkeypatch.undo()
    lab.server.finished.clear()
    run_once(world)  # tried again, once there is room
    assert len(lab.server.fetched) == 5


def test_without_a_manifest_the_first_fragment_tells_how_much_is_to_come(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = package(data=os.urandom(5_000_000), fragment_size=1_000_000, with_manifest=False)
    lab.server.add(one)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 8_000_000}))
    run_once(lab.start())
    assert lab.results() == {one.id: "ERR_OUT_OF_SPACE"}


def test_on_a_full_disk_the_journal_takes_the_room_that_was_kept_for_it(lab: Lab) -> None:
    one = package(data=b"abc")
    world = lab.take_in(one)
    real = lab.files.append
    ballast = lab.folder / "spool" / BALLAST
    assert ballast.stat().st_size > 50_000

    def full(path: Path, data: bytes, *, at: int) -> None:
        if ballast.exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, data, at=at)

    lab.files.append = full  # type: ignore[method-assign]
    world.spool.conclude(one.id, "ERR_OUT_OF_SPACE", "full")
    lab.server.deaf = True
    assert lab.start().spool.holdings[one.id].record.code == "ERR_OUT_OF_SPACE"


# What cannot be removed


class Stuck(Files):
    """A disk on which one folder cannot be removed."""

    stuck = True

    def remove(self, path: Path) -> None:
        inside = path.is_dir() and any(inner.name == "mounted" for inner in path.rglob("*"))
        if self.stuck and inside:
            raise OSError(errno.EBUSY, "Device or resource busy", str(path))
        super().remove(path)


def test_what_cannot_be_removed_is_told_tried_at_each_start_and_never_run_again(tmp_path: Path) -> None:
    files = Stuck()
    lab = Lab(tmp_path / "agent", files=files)
    lab.host = LocalHost(install_path=tmp_path, server="", outer=os.environ, files=files)
    one = package(argument=f"mkdir mounted; echo ran >> {tmp_path}/count")
    lab.server.add(one)
    assert run_once(lab.start())
    assert lab.results() == {one.id: "ERR_CLEAN"}
    assert "ERR_CLEAN: It is done. What was downloaded cannot be removed: work" in "\n".join(lab.log.lines)
    assert lab.start().spool.history() == [one.id]  # it is installed
    assert lab.leftovers() == [one.id]
    lab.server.finished.clear()
    assert run_once(lab.start())  # announced again, and still stuck
    assert [code for _, code in lab.server.codes] == ["ERR_CLEAN", "ERR_CLEAN"]
    files.stuck = False
    lab.server.finished.clear()
    assert run_once(lab.start())
    assert lab.server.codes[-1] == (one.id, "ERR_ALREADY_SETUP")
    assert lab.leftovers() == []
    assert (tmp_path / "count").read_text() == "ran\n"


def test_an_error_of_the_command_says_more_than_that_its_folder_stays(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "agent", files=Stuck())
    lab.host = LocalHost(install_path=tmp_path, server="", outer=os.environ, files=lab.files)
    one = package(argument="mkdir mounted; exit 3", data=tar_of({"f": b""}))
    lab.server.add(one)
    assert run_once(lab.start())
    assert lab.results() == {one.id: "ERR_EXIT_CODE_3"}
