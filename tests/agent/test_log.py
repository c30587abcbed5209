"""The log: one event is one line, whatever is in it."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from appliance.agent.log import LONGEST, Log, escaped
from tests.agent.kit import FakeClock


@given(st.text())
def test_any_text_is_one_line_without_terminal_tricks(text: str) -> None:
    line = escaped(text)
    assert len(line.splitlines()) <= 1
    assert "\x1b" not in line
    assert "\u202e" not in line
    line.encode("utf-8")


def test_a_forged_line_stays_part_of_its_own(tmp_path: Path) -> None:
    log = Log(FakeClock([]), file=tmp_path / "log")
    log.info("x\n2026-11-21 09:30:00 info SUCCESS")
    log.warning("y" * 10_000)
    log.debug("not asked for")
    log.progress("nothing on a file", 1, 2)
    lines = (tmp_path / "log").read_text().splitlines()
    assert len(lines) == 2
    assert lines[0].endswith(r"info x\u000a2026-11-21 09:30:00 info SUCCESS")
    assert len(lines[1]) < LONGEST + 60
