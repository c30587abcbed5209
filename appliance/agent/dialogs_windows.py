"""Dialogs on Windows: a message box that the system shows in a person's session. Written from Microsoft's descriptions.

A service has no desktop of its own; WTSSendMessage reaches the one that somebody sits at, also over a remote desktop.
Its buttons say what Windows makes them say, so the text tells what each of them does.
"""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass
from typing import Callable, Protocol

from appliance.agent.dialogs import CANCEL, LATER, START, Question, Reply

if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

SLACK = 10.0  # seconds beyond the question's own until the agent goes on without the system's answer

MB_OK, MB_OKCANCEL, MB_YESNOCANCEL, MB_YESNO = 0x0, 0x1, 0x3, 0x4
MB_ICONINFORMATION, MB_SETFOREGROUND, MB_TOPMOST = 0x40, 0x10000, 0x40000
IDOK, IDCANCEL, IDYES, IDNO, IDTIMEOUT = 1, 2, 6, 7, 32000
WTS_ACTIVE = 0  # WTS_CONNECTSTATE_CLASS: somebody is logged in and connected


class Sessions(Protocol):
    """The system's terminal services."""

    def active(self) -> list[int]:
        """Sessions that somebody sits at."""

    def send(self, session: int, title: str, text: str, style: int, seconds: int) -> int:
        """Show a message box and wait; the button's id. OSError."""


@dataclass(frozen=True)
class MessageBox:
    """A message box in one session."""

    session: int
    sessions: Sessions
    tell: Callable[[str], None]

    @property
    def name(self) -> str:
        """For the log."""
        return f"a message box in session {self.session}"

    def ask(self, question: Question) -> Reply:
        """Show it. A system that does not come back within its own time limit is not waited for."""
        style, replies, legend = _buttons(question)
        text = f"{question.text}\n\n{legend}" if legend else question.text
        answers: list[int] = []

        def show() -> None:
            try:
                answers.append(self.sessions.send(self.session, question.title, text, style, question.seconds))
            except OSError as error:
                self.tell(f"{self.name} cannot be shown: {error}.")
                answers.append(-1)

        thread = threading.Thread(target=show, name="message box", daemon=True)
        thread.start()
        thread.join(question.seconds + SLACK)
        if not answers:
            return Reply.TIMED_OUT
        return replies.get(answers[0], Reply.UNSHOWN)


def find(sessions: Sessions, tell: Callable[[str], None]) -> list[MessageBox]:
    """One for each session that somebody sits at."""
    try:
        return [MessageBox(session, sessions, tell) for session in sessions.active()]
    except OSError as error:
        tell(f"Windows does not tell who is logged in: {error}.")
        return []


def _buttons(question: Question) -> tuple[int, dict[int, Reply], str]:
    """The box's style, what its buttons mean, and the line that tells it."""
    style = MB_ICONINFORMATION | MB_SETFOREGROUND | MB_TOPMOST
    ends = {IDTIMEOUT: Reply.TIMED_OUT}
    if question.may_cancel and question.may_delay:
        # Its cross and the Escape key are its Cancel: that must not be what ends the package for good
        replies = {IDYES: Reply.ACCEPTED, IDNO: Reply.CANCELLED, IDCANCEL: Reply.DELAYED}
        return style | MB_YESNOCANCEL, {**replies, **ends}, f"Yes: {START}.  No: {CANCEL}.  Cancel: {LATER}."
    if question.may_delay:
        return style | MB_YESNO, {IDYES: Reply.ACCEPTED, IDNO: Reply.DELAYED, **ends}, f"Yes: {START}.  No: {LATER}."
    if question.may_cancel:
        # A box of Yes and No has no cross: nothing is cancelled by putting a window away
        return style | MB_YESNO, {IDYES: Reply.ACCEPTED, IDNO: Reply.CANCELLED, **ends}, f"Yes: {START}.  No: {CANCEL}."
    return style | MB_OK, {IDOK: Reply.ACCEPTED, **ends}, ""


if sys.platform == "win32":

    class _SessionInfo(ctypes.Structure):
        """WTS_SESSION_INFOW"""

        _fields_ = [
            ("SessionId", wintypes.DWORD),
            ("pWinStationName", wintypes.LPWSTR),
            ("State", wintypes.DWORD),
        ]

    class SystemSessions:
        """The real ones, through wtsapi32."""

        def __init__(self) -> None:
            self._wts = ctypes.WinDLL("wtsapi32", use_last_error=True)

        def active(self) -> list[int]:
            """Sessions that somebody sits at."""
            infos = ctypes.POINTER(_SessionInfo)()
            count = wintypes.DWORD()
            if not self._wts.WTSEnumerateSessionsW(None, 0, 1, ctypes.byref(infos), ctypes.byref(count)):
                raise ctypes.WinError(ctypes.get_last_error())
            try:
                every = [(infos[n].SessionId, infos[n].State) for n in range(count.value)]
            finally:
                self._wts.WTSFreeMemory(infos)
            return [session for session, state in every if state == WTS_ACTIVE and session != 0]

        def send(self, session: int, title: str, text: str, style: int, seconds: int) -> int:
            """Show a message box and wait; the button's id. Lengths are bytes of UTF-16."""
            answer = wintypes.DWORD()
            sent = self._wts.WTSSendMessageW(
                None, wintypes.DWORD(session), ctypes.c_wchar_p(title), wintypes.DWORD(_size(title)),
                ctypes.c_wchar_p(text), wintypes.DWORD(_size(text)), wintypes.DWORD(style), wintypes.DWORD(seconds),
                ctypes.byref(answer), wintypes.BOOL(True),
            )  # fmt: skip
            if not sent:
                raise ctypes.WinError(ctypes.get_last_error())
            return answer.value

    def _size(text: str) -> int:
        return len(text.encode("utf-16-le"))
