"""The progress line: bytes, rate and time left on a terminal, and silence anywhere else."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import zipfile
from pathlib import Path

from appliance.cli.text import ProgressLine, print_table, shown
from tests.fakes.appliance import SetClock, command, environment

MIB = 1024**2


class Terminal(io.StringIO):
    """A stream that says it is one."""

    def isatty(self) -> bool:
        return True


class Stopwatch(SetClock):
    """A clock whose seconds go by when told."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 100.0

    def monotonic(self) -> float:
        return self.seconds


def drawn(stream: io.StringIO) -> list[str]:
    return [line.strip() for line in stream.getvalue().split("\r") if line.strip()]


def test_a_line_has_what_is_done_the_rate_and_the_time_left() -> None:
    clock, stream = Stopwatch(), Terminal()
    line = ProgressLine(clock, stream)
    line("check", 0, 100 * MIB)
    clock.seconds += 2
    line("check", 20 * MIB, 100 * MIB)
    assert drawn(stream)[-1] == "checking the archive: 20 MiB of 100 MiB, 10 MiB/s, 8 s left"
    line("cut", 0, 100 * MIB)
    clock.seconds += 1
    line("cut", 100 * MIB, 100 * MIB)
    assert drawn(stream)[-1] == "cutting fragments: 100 MiB of 100 MiB, 100 MiB/s, 0 s left"
    line.end()
    assert stream.getvalue().endswith("\r" + " " * 78 + "\r")


def test_it_is_not_drawn_more_often_than_anybody_reads() -> None:
    clock, stream = Stopwatch(), Terminal()
    line = ProgressLine(clock, stream)
    for step in range(1000):
        line("cut", step, 1000)
        clock.seconds += 0.001
    line("cut", 1000, 1000)
    assert 5 < len(drawn(stream)) < 15
    assert drawn(stream)[-1].startswith("cutting fragments: 1000 B of 1000 B")


def test_an_empty_file_and_a_clock_that_stands_divide_by_nothing() -> None:
    stream = Terminal()
    line = ProgressLine(Stopwatch(), stream)
    line("cut", 0, 0)
    line("cut", 5, 5)
    assert len(drawn(stream)) == 2


def test_elsewhere_nothing_is_written() -> None:
    stream = io.StringIO()
    line = ProgressLine(Stopwatch(), stream)
    line("cut", 1, 2)
    line.end()
    assert stream.getvalue() == ""


def words(tmp_path: Path) -> list[str]:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("noise", os.urandom(4 * MIB))
    line = ["package", "build", "--name", "x", "--os", "linux", "--action", "store", "--path", "/x"]
    return command(*line, "--file", archive, "--fragment-size", "1M", "--data", tmp_path / "data")


def test_on_a_real_terminal_both_phases_are_shown_and_the_line_is_left_clean(tmp_path: Path) -> None:
    master, slave = pty.openpty()
    done = subprocess.Popen(words(tmp_path), stdout=subprocess.PIPE, stderr=slave, env=environment(), text=True)
    os.close(slave)
    text = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:  # the other side is closed
            break
        if not piece:
            break
        text += piece
    os.close(master)
    out, _ = done.communicate(timeout=30)
    assert done.returncode == 0
    assert re.fullmatch(r"\d{10}\n", out)
    seen = text.decode()
    for phase in ("checking the archive", "cutting fragments"):
        assert re.search(phase + r": [\d.]+ \w+ of [\d.]+ MiB, [\d.]+ \w+/s, (\d+ s left)?", seen), seen
    assert seen.endswith("\r" + " " * 78 + "\r")


def test_into_a_pipe_it_is_silent(tmp_path: Path) -> None:
    done = subprocess.run(words(tmp_path), capture_output=True, env=environment(), text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_table_is_as_wide_as_it_must_be_and_numbers_stand_to_the_right(capsys: object) -> None:
    import contextlib

    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        print_table(("NAME", "N"), [("a", 5), ("long name", 1234)])
    assert out.getvalue().splitlines() == ["NAME          N", "a             5", "long name  1234"]


def test_what_would_move_a_cursor_is_shown_as_a_mark() -> None:
    assert (
        shown("a\nb\tc\x1b[2J\u202e")
        == "a b\N{REPLACEMENT CHARACTER}c\N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}"
    )
    assert shown(None) == ""
    assert shown(5) == "5"
