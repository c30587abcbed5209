"""The log file: bounded, mode 0600, and nobody else's."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from appliance.agent import logfile
from appliance.agent.logfile import LogFile


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_lines_are_appended_to_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "agent.log"
    for line in ("one\n", "zwei ü\n", "half \ud800\n"):
        log = LogFile(path)
        assert log.write(line) == len(line)
        log.flush()
        log.close()
        log.close()
    assert path.read_bytes() == "one\nzwei ü\nhalf \\ud800\n".encode()
    assert mode(path) == 0o600
    assert not log.isatty()


def test_a_full_file_moves_on_and_the_oldest_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "agent.log"
    log = LogFile(path, largest=30, kept=2)
    for number in range(10):
        log.write(f"line {number:04}\n")  # 10 bytes
    assert names(tmp_path) == ["agent.log", "agent.log.1", "agent.log.2"]
    kept = "".join((tmp_path / name).read_text() for name in ("agent.log.2", "agent.log.1", "agent.log"))
    assert kept == "".join(f"line {number:04}\n" for number in range(3, 10))
    assert all(path.stat().st_size <= 30 and mode(path) == 0o600 for path in tmp_path.iterdir())


def test_one_line_longer_than_the_bound_is_still_written(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "agent.log", largest=30)
    log.write("x" * 100 + "\n")
    log.write("y\n")
    assert (tmp_path / "agent.log.1").stat().st_size == 101
    assert (tmp_path / "agent.log").read_text() == "y\n"


def test_without_older_files_the_log_begins_anew(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "agent.log", largest=10, kept=0)
    log.write("a" * 9 + "\n")
    log.write("b\n")
    assert names(tmp_path) == ["agent.log"]
    assert (tmp_path / "agent.log").read_text() == "b\n"


@pytest.mark.parametrize("what", ["moved", "removed"])
def test_a_file_that_an_administrator_takes_away_is_begun_anew(tmp_path: Path, what: str) -> None:
    path = tmp_path / "agent.log"
    log = LogFile(path)
    log.write("before\n")
    path.rename(tmp_path / "elsewhere") if what == "moved" else path.unlink()
    log.write("after\n")
    assert path.read_text() == "after\n"


def test_where_moving_fails_the_log_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = LogFile(tmp_path / "agent.log", largest=10)

    def refuse(old: Path, new: Path) -> None:
        raise PermissionError(13, "no")

    monkeypatch.setattr(logfile.os, "replace", refuse)
    for _ in range(3):
        log.write("123456789\n")
    assert (tmp_path / "agent.log").stat().st_size == 30


def test_a_log_that_could_not_be_opened_again_is_tried_again(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    log = LogFile(folder / "agent.log")
    (folder / "agent.log").unlink()
    folder.rmdir()
    with pytest.raises(OSError):
        log.write("lost\n")
    folder.mkdir()
    log.write("kept\n")
    assert (folder / "agent.log").read_text() == "kept\n"


def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "agent.log"
    path.touch(0o644)
    LogFile(path).close()
    assert mode(path) == 0o600


def test_a_link_a_second_name_a_folder_or_a_pipe_is_refused(tmp_path: Path) -> None:
    victim = tmp_path / "shadow"
    victim.write_text("root\n")
    os.symlink(victim, tmp_path / "link.log")
    os.link(victim, tmp_path / "second.log")
    os.mkdir(tmp_path / "folder.log")
    os.mkfifo(tmp_path / "pipe.log")
    for name in ("link.log", "second.log", "folder.log", "pipe.log"):
        with pytest.raises(OSError):
            LogFile(tmp_path / name)
    assert victim.read_text() == "root\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_that_another_account_put_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "agent.log"
    path.touch()
    os.chown(path, 54321, 54321)
    with pytest.raises(PermissionError):
        LogFile(path)
