"""The person at a terminal: the text, a line that counts down, and single keys."""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import dataclass
from typing import Any, Callable, Protocol, TextIO

from appliance.agent.dialogs import Question, Reply, choices
from appliance.agent.notice_text import duration
from appliance.clock import Clock

if sys.platform == "win32":
    import msvcrt
else:
    import select
    import termios
    import tty

TICK = 1.0  # seconds between two looks of the line


class Keys(Protocol):
    """Where keys come from; a context in which single keys arrive at once and are not shown."""

    def __enter__(self) -> Keys: ...

    def __exit__(self, *error: object) -> None: ...

    def key(self, seconds: float) -> str | None:
        """The next key, None where none came in time. OSError: the terminal is gone."""


@dataclass(frozen=True)
class TerminalDialog:
    """Whoever started the agent in a terminal."""

    keys: Callable[[], Keys]
    screen: TextIO
    clock: Clock
    name: str = "the terminal"

    def ask(self, question: Question) -> Reply:
        """Count down, and take `c`, `d` or Enter where they mean something."""
        meanings = _meanings(question)
        deadline = self.clock.monotonic() + question.seconds
        try:
            self._write(f"\n{question.title}\n\n{question.text}\n\n")
            with self.keys() as keys:
                while True:
                    left = deadline - self.clock.monotonic()
                    self._write(_line(question, max(0, round(left))))
                    if left <= 0:
                        return Reply.TIMED_OUT
                    key = keys.key(min(TICK, left))
                    if key is not None and key.lower() in meanings:
                        return meanings[key.lower()]
        except OSError:
            return Reply.UNSHOWN  # it was closed: nobody sees anything there any more
        finally:
            with contextlib.suppress(OSError):
                self._write("\n")

    def _write(self, text: str) -> None:
        encoding = self.screen.encoding or "ascii"
        self.screen.write(text.encode(encoding, errors="replace").decode(encoding))
        self.screen.flush()


def find(screen: TextIO, clock: Clock) -> list[TerminalDialog]:
    """The terminal, where there is one on both sides and this process is the one that it listens to."""
    try:
        if not (sys.stdin.isatty() and screen.isatty()):
            return []
        if sys.platform != "win32" and os.tcgetpgrp(sys.stdin.fileno()) != os.getpgrp():
            return []  # in the background, reading would stop the agent for good
    except (OSError, ValueError, AttributeError):  # closed, or there is none at all
        return []
    return [TerminalDialog(SystemKeys, screen, clock)]


def _meanings(question: Question) -> dict[str, Reply]:
    letters = {"now": ("\n", "\r"), "ok": ("\n", "\r"), "later": ("d",), "cancel": ("c",)}
    return {letter: reply for word, _, reply in choices(question) for letter in letters[word]}


def _line(question: Question, left: int) -> str:
    words = ["Enter: start now" if question.has_choice or question.counts else "Enter: OK"]
    words += ["d: delay"] * question.may_delay + ["c: cancel"] * question.may_cancel
    count = f"Starts in {duration(left)}. " if question.counts else ""
    return "\r" + f"{count}{', '.join(words)} ".ljust(78)


class SystemKeys:
    """The real keyboard."""

    def __init__(self) -> None:
        self._descriptor = sys.stdin.fileno()
        self._before: list[Any] | None = None

    def __enter__(self) -> SystemKeys:
        if sys.platform != "win32":
            try:
                self._before = termios.tcgetattr(self._descriptor)
                tty.setcbreak(self._descriptor)  # Ctrl-C still works
            except termios.error as error:
                raise OSError(*error.args) from None
        return self

    def __exit__(self, *error: object) -> None:
        if sys.platform != "win32" and self._before is not None:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)

    def key(self, seconds: float) -> str | None:
        """The next key, None where none came in time."""
        if sys.platform == "win32":
            clock = Clock()
            until = clock.monotonic() + seconds
            while not msvcrt.kbhit():
                if clock.monotonic() >= until:
                    return None
                clock.rest(0.05)
            return msvcrt.getwch()
        ready, _, _ = select.select([self._descriptor], [], [], seconds)
        if not ready:
            return None
        data = os.read(self._descriptor, 1)  # not through sys.stdin, which would take more than it gives
        if not data:
            raise OSError("the terminal was closed")
        return data.decode("latin-1")
