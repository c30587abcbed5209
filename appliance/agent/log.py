"""The log: one line per event, and a line of progress on a terminal. What is worth telling is its callers' business."""

from __future__ import annotations

import re
import sys
import traceback
from pathlib import Path
from typing import TextIO

from appliance.agent.logfile import LogFile
from appliance.clock import Clock, stamp
from appliance.domain.fragments import show_size

LONGEST = 2000  # characters of one event
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class Log:
    """Lines `2026-11-21 09:30:00 info text`. Texts from others are escaped, so that an event is always one line."""

    def __init__(self, clock: Clock, *, file: Path | None = None, debug: bool = False) -> None:
        self.clock = clock
        self.path = file
        self.debugging = debug
        self._stream: TextIO | LogFile = sys.stderr if file is None else LogFile(file)
        self._terminal = self._stream.isatty()
        self._progress = 0  # width of the line that stands there
        self._began = ("", 0.0, 0)  # what is shown, since when, and how much was there then

    def info(self, text: str) -> None:
        """What an administrator wants to know of every run."""
        self._write("info", text)

    def warning(self, text: str) -> None:
        """What went wrong and is tried again, or is somebody else's to mend."""
        self._write("warning", text)

    def error(self, text: str) -> None:
        """What went wrong and stays so."""
        self._write("error", text)

    def debug(self, text: str) -> None:
        """What a developer wants to know."""
        if self.debugging:
            self._write("debug", text)

    def bug(self, error: BaseException) -> None:
        """What nobody foresaw, and where it happened. No source lines: the archive may have been replaced."""
        self._write("error", f"internal error: {type(error).__name__}: {error}")
        for frame, line in traceback.walk_tb(error.__traceback__):
            self._write("error", f"  {frame.f_code.co_filename}:{line} in {frame.f_code.co_name}")

    def progress(self, what: str, done: int, size: int | None) -> None:
        """Show on a terminal how far a download has come, in bytes; nothing elsewhere."""
        if not self._terminal:
            return
        now = self.clock.monotonic()
        if self._began[0] != what:
            self._began = (what, now, done)
        text = f"{what}: {show_size(done)}" + (f" of {show_size(size)}" if size else "")
        passed, came = now - self._began[1], done - self._began[2]
        if size and came > 0 and passed >= 1:
            left = round((size - done) * passed / came)
            text += f", {left // 60}:{left % 60:02} left"
        self._stream.write("\r" + text[:78].ljust(self._progress))
        self._progress = min(len(text), 78)
        self._stream.flush()

    def _write(self, level: str, text: str) -> None:
        clear = "\r" + " " * self._progress + "\r" if self._progress else ""
        self._progress = 0
        try:
            self._stream.write(f"{clear}{stamp(self.clock.now())} {level} {escaped(text)}\n")
            self._stream.flush()
        except OSError:
            pass  # a full disk or a closed terminal is no reason to stop deploying


def escaped(text: str) -> str:
    """Text without characters that move a terminal's cursor or forge a second line; cut to a bearable length."""
    safe = _UNSAFE.sub(lambda match: f"\\u{ord(match.group()):04x}", text)
    return safe if len(safe) <= LONGEST else safe[:LONGEST] + " ..."
