"""macOS and Windows: what their systems are asked and how their answers are read. Not run on real ones."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.agent import dialogs_macos, dialogs_windows
from appliance.agent.dialogs import Call, Finished, Question, Reply
from appliance.agent.dialogs_macos import ConsoleDialog
from appliance.agent.dialogs_windows import IDCANCEL, IDNO, IDOK, IDTIMEOUT, IDYES, MessageBox

TEXT = 'say "hi" & do shell script "id"'
QUESTION = Question("Software installation: Player", TEXT, 30, may_cancel=True, may_delay=True)


class Mac:
    """Remembers what would be run, and gives one answer."""

    def __init__(self, answer: Finished | OSError) -> None:
        self.answer = answer
        self.calls: list[Call] = []
        self.told: list[str] = []

    def run(self, call: Call) -> Finished:
        self.calls.append(call)
        if isinstance(self.answer, OSError):
            raise self.answer
        return self.answer

    def ask(self, question: Question = QUESTION, *, is_root: bool = True) -> Reply:
        return ConsoleDialog(501, self.run, self.told.append, is_root).ask(question)


@pytest.mark.parametrize(
    ("answer", "reply"),
    [
        (Finished(0, "button Start now"), Reply.ACCEPTED),
        (Finished(0, "button Later"), Reply.DELAYED),
        (Finished(0, "closed"), Reply.CANCELLED),  # so a button named Cancel is told
        (Finished(0, "gave up"), Reply.TIMED_OUT),
        (Finished(0, "button Something"), Reply.CLOSED),
        (Finished(None), Reply.TIMED_OUT),
        (Finished(1, "", "no such session"), Reply.UNSHOWN),
        (OSError(2, "No such file"), Reply.UNSHOWN),
    ],
)
def test_what_osascript_says_is_understood(answer: Finished | OSError, reply: Reply) -> None:
    assert Mac(answer).ask() is reply


def test_a_window_without_a_cancel_button_cannot_cancel() -> None:
    assert Mac(Finished(0, "closed")).ask(replace(QUESTION, may_cancel=False)) is Reply.CLOSED


def test_osascript_gets_the_text_as_an_argument_in_the_persons_session() -> None:
    mac = Mac(Finished(0, "gave up"))
    mac.ask()
    [call] = mac.calls
    assert call.command[:7] == ("/bin/launchctl", "asuser", "501", "/usr/bin/sudo", "-n", "-u", "#501")
    assert call.command[-6:] == (QUESTION.title, TEXT, "30", "Cancel", "Later", "Start now")
    assert [word for word in call.command if TEXT in word] == [TEXT]
    assert call.seconds > 30
    mac.ask(is_root=False)
    assert mac.calls[1].command[0] == "/usr/bin/osascript"


def test_the_login_window_and_somebody_elses_console_are_nobodys(tmp_path: Path) -> None:
    mac = Mac(Finished(0))
    console = tmp_path / "console"
    assert dialogs_macos.find(mac.run, mac.told.append, console=console) == []
    console.touch()
    owner = os.stat(console).st_uid
    expected = [] if owner == 0 else [owner]
    assert [found.uid for found in dialogs_macos.find(mac.run, print, console=console, euid=0)] == expected
    assert dialogs_macos.find(mac.run, print, console=console, euid=owner + 1) == []


class Windows:
    """Terminal services with one answer."""

    def __init__(self, answer: int | OSError, *, sessions: list[int] | None = None) -> None:
        self.answer = answer
        self.sessions = sessions
        self.sent: list[tuple[int, str, str, int, int]] = []
        self.told: list[str] = []

    def active(self) -> list[int]:
        if self.sessions is None:
            raise OSError("no terminal services")
        return self.sessions

    def send(self, session: int, title: str, text: str, style: int, seconds: int) -> int:
        self.sent.append((session, title, text, style, seconds))
        if isinstance(self.answer, OSError):
            raise self.answer
        return self.answer

    def ask(self, question: Question = QUESTION) -> Reply:
        return MessageBox(1, self, self.told.append).ask(question)


ONLY_CANCEL, ONLY_DELAY = replace(QUESTION, may_delay=False), replace(QUESTION, may_cancel=False)
NO_CHOICE = replace(QUESTION, may_cancel=False, may_delay=False)


@pytest.mark.parametrize(
    ("question", "answer", "reply"),
    [
        (QUESTION, IDYES, Reply.ACCEPTED),
        (QUESTION, IDNO, Reply.CANCELLED),
        (QUESTION, IDCANCEL, Reply.DELAYED),  # also its cross: that never ends a package for good
        (QUESTION, IDTIMEOUT, Reply.TIMED_OUT),
        (ONLY_CANCEL, IDNO, Reply.CANCELLED),
        (ONLY_DELAY, IDNO, Reply.DELAYED),
        (NO_CHOICE, IDOK, Reply.ACCEPTED),
        (NO_CHOICE, IDTIMEOUT, Reply.TIMED_OUT),
        (QUESTION, 4711, Reply.UNSHOWN),
        (QUESTION, OSError("access denied"), Reply.UNSHOWN),
    ],
)
def test_what_a_message_box_says_is_understood(question: Question, answer: int | OSError, reply: Reply) -> None:
    assert Windows(answer).ask(question) is reply


def test_the_text_tells_what_windows_own_buttons_mean_here() -> None:
    windows = Windows(IDYES)
    windows.ask()
    session, title, text, style, seconds = windows.sent[0]
    assert (session, title, style & 0xF, seconds) == (1, QUESTION.title, dialogs_windows.MB_YESNOCANCEL, 30)
    assert text == TEXT + "\n\nYes: Start now.  No: Cancel.  Cancel: Later."
    windows.ask(NO_CHOICE)
    assert windows.sent[1][2] == TEXT


def test_a_system_that_never_comes_back_does_not_block_the_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialogs_windows, "SLACK", 0.0)
    forever = threading.Event()

    class Stuck(Windows):
        def send(self, session: int, title: str, text: str, style: int, seconds: int) -> int:
            forever.wait(20)
            return IDNO

    assert MessageBox(1, Stuck(0), print).ask(replace(QUESTION, seconds=0)) is Reply.TIMED_OUT
    forever.set()


def test_each_session_that_somebody_sits_at_can_be_asked() -> None:
    assert [box.session for box in dialogs_windows.find(Windows(0, sessions=[1, 3]), print)] == [1, 3]
    told: list[str] = []
    assert dialogs_windows.find(Windows(0), told.append) == []
    assert "does not tell who is logged in" in told[0]
