"""Tables, JSON and progress for a terminal. Names come from agents: nothing here lets them steer a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any, TextIO

from appliance.clock import Clock
from appliance.domain.fragments import show_size

REDRAW_SECONDS = 0.1


def print_json(document: Any) -> None:
    """One JSON document on standard output, escaped where the output knows fewer letters."""
    encoding = (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "").replace("_", "")
    print(json.dumps(document, ensure_ascii=encoding != "utf8", indent=2))


def print_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Columns as wide as they must be; numbers to the right."""
    cells = [[shown(cell) for cell in row] for row in rows]
    widths = [max(len(line[i]) for line in [list(head), *cells]) for i in range(len(head))]
    right = [bool(rows) and all(isinstance(row[i], int) for row in rows) for i in range(len(head))]
    for line in [list(head), *cells]:
        parts = [cell.rjust(w) if r else cell.ljust(w) for cell, w, r in zip(line, widths, right, strict=True)]
        print("  ".join(parts).rstrip())


def shown(cell: object) -> str:
    """A cell on one line, without control characters."""
    text = "" if cell is None else str(cell)
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text.replace("\n", " "))


class ProgressLine:
    """One line on a terminal that is drawn again: bytes, rate, time left. Silent elsewhere."""

    def __init__(self, clock: Clock, stream: TextIO = sys.stderr) -> None:
        self._clock = clock
        self._stream = stream
        self._live = stream.isatty()
        self._phase = ""
        self._start = 0.0
        self._drawn = 0.0

    def __call__(self, phase: str, done: int, total: int) -> None:
        """Draw where it is time to. `phase` is `check` or `cut`."""
        if not self._live:
            return
        now = self._clock.monotonic()
        if phase != self._phase:
            self._phase, self._start, self._drawn = phase, now, 0.0
        if now - self._drawn < REDRAW_SECONDS and done < total:
            return
        self._drawn = now
        rate = done / (now - self._start) if now > self._start else 0.0
        left = f"{(total - done) / rate:.0f} s left" if rate else ""
        word = {"check": "checking the archive", "cut": "cutting fragments"}.get(phase, phase)
        line = f"{word}: {show_size(done)} of {show_size(total)}, {show_size(int(rate))}/s, {left}"
        self._stream.write(f"\r{line:<78}")
        self._stream.flush()

    def end(self) -> None:
        """Leave the terminal with a clean line."""
        if self._live and self._phase:
            self._stream.write(f"\r{'':<78}\r")
            self._stream.flush()
