"""The terminal: a real one (a pty) with keys typed into it, and one of a fake for the countdown."""

from __future__ import annotations

import io
import os
import pty
import select
import sys
import termios
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.agent import dialogs_terminal
from appliance.agent.dialogs import Question, Reply
from appliance.agent.dialogs_terminal import Keys, TerminalDialog
from tests.agent.test_notice import StillClock

ROOT = Path(__file__).resolve().parents[2]
QUESTION = Question("Software installation: Player", "Save & close.", 60, may_cancel=True, may_delay=True, counts=True)
# What runs in the terminal: it asks, prints the reply, and whether the terminal is as it was
ASK = """
import sys, termios; sys.path.insert(0, {root!r})
from appliance.agent import dialogs_terminal
from appliance.agent.dialogs import Question
from appliance.clock import Clock
before = termios.tcgetattr(0)
[dialog] = dialogs_terminal.find(sys.stderr, Clock())
reply = dialog.ask(Question("Title", "Text", 60, may_cancel=True, may_delay=True, counts=True))
print("REPLY", reply.name, termios.tcgetattr(0) == before, flush=True)
"""


class Terminal:
    """A process whose standard streams are a terminal of its own."""

    def __init__(self, script: str) -> None:
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            os.execv(sys.executable, [sys.executable, "-I", "-S", "-c", script])
        self.seen = ""

    def wait_for(self, text: str) -> str:
        """Read until the text was seen; what was seen."""
        while text not in self.seen:
            ready, _, _ = select.select([self.descriptor], [], [], 20)
            assert ready, self.seen
            try:
                data = os.read(self.descriptor, 4096)
            except OSError:  # its other side was closed
                data = b""
            assert data, self.seen
            self.seen += data.decode()
        return self.seen

    def type(self, keys: str) -> None:
        os.write(self.descriptor, keys.encode())

    def close(self) -> None:
        os.close(self.descriptor)
        os.waitpid(self.pid, 0)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    made = Terminal(ASK.format(root=str(ROOT)))
    yield made
    made.close()


@pytest.mark.parametrize(
    ("keys", "reply"), [("c", "CANCELLED"), ("D", "DELAYED"), ("\r", "ACCEPTED"), ("xyzd", "DELAYED")]
)
def test_single_keys_answer_and_the_terminal_is_left_as_it_was(terminal: Terminal, keys: str, reply: str) -> None:
    terminal.wait_for("c: cancel")
    terminal.type(keys)
    seen = terminal.wait_for("REPLY")
    seen = terminal.wait_for("True")
    assert f"REPLY {reply} True" in seen
    assert "Starts in 1 minute." in seen


def test_a_terminal_that_is_closed_is_no_answer() -> None:
    script = ASK.format(root=str(ROOT)).replace(
        "\nbefore", "\nimport signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\nbefore"
    )
    inner, outer = os.pipe()
    script = script.replace("print(", f"import os; os.write({outer}, reply.name.encode()); print(")
    os.set_inheritable(outer, True)
    made = Terminal(script)
    os.close(outer)
    made.wait_for("c: cancel")
    os.close(made.descriptor)
    assert os.read(inner, 100) == b"UNSHOWN"
    os.close(inner)
    os.waitpid(made.pid, 0)


def test_in_the_background_the_terminal_is_left_alone() -> None:
    script = (
        f"import os, sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from appliance.agent import dialogs_terminal\nfrom appliance.clock import Clock\n"
        "if os.fork() == 0:\n"
        "    os.setpgid(0, 0)\n"
        "    print('FOUND', len(dialogs_terminal.find(sys.stderr, Clock())), 'END', flush=True); os._exit(0)\n"
        "os.wait()"
    )
    made = Terminal(script)
    seen = made.wait_for("END")
    made.close()
    assert "FOUND 0 END" in seen


def test_where_there_is_no_terminal_there_is_no_dialog() -> None:
    assert dialogs_terminal.find(io.StringIO(), StillClock()) == []


class FakeKeys:
    """Nobody types; `gone`: the terminal is closed at the first look."""

    def __init__(self, clock: StillClock, *, gone: bool = False, typed: str = "") -> None:
        self.clock, self.gone, self.typed = clock, gone, typed

    def __enter__(self) -> Keys:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def key(self, seconds: float) -> str | None:
        if self.gone:
            raise OSError("gone")
        self.clock.rest(seconds)
        key, self.typed = self.typed[:1], self.typed[1:]
        return key or None


def test_the_line_counts_down_to_its_end() -> None:
    clock, screen = StillClock(), io.StringIO()
    reply = TerminalDialog(lambda: FakeKeys(clock), screen, clock).ask(replace(QUESTION, seconds=3))
    lines = [line.strip() for line in screen.getvalue().split("\r")[1:]]
    assert reply is Reply.TIMED_OUT
    assert [line[: line.index(".")] for line in lines] == [
        f"Starts in {n} second{'s' * (n != 1)}" for n in (3, 2, 1, 0)
    ]
    assert clock.at == 1003


def test_keys_for_what_is_not_allowed_do_nothing() -> None:
    clock, screen = StillClock(), io.StringIO()
    question = replace(QUESTION, may_cancel=False, may_delay=False)
    reply = TerminalDialog(lambda: FakeKeys(clock, typed="cd\n"), screen, clock).ask(question)
    assert (reply, clock.at) == (Reply.ACCEPTED, 1003)
    assert "cancel" not in screen.getvalue()


def test_a_terminal_that_goes_away_is_no_answer() -> None:
    clock = StillClock()
    assert TerminalDialog(lambda: FakeKeys(clock, gone=True), io.StringIO(), clock).ask(QUESTION) is Reply.UNSHOWN


def test_a_screen_that_knows_few_characters_shows_the_others_as_question_marks() -> None:
    clock, raw = StillClock(), io.BytesIO()
    screen = io.TextIOWrapper(raw, encoding="ascii")
    TerminalDialog(lambda: FakeKeys(clock), screen, clock).ask(replace(QUESTION, text="café", seconds=1))
    assert b"caf?" in raw.getvalue()


def test_termios_errors_are_oserrors_to_the_dialog(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int) -> None:
        raise termios.error(5, "Input/output error")

    monkeypatch.setattr(termios, "tcgetattr", fail)
    monkeypatch.setattr(sys, "stdin", open(os.devnull))  # noqa: SIM115
    clock = StillClock()
    assert TerminalDialog(dialogs_terminal.SystemKeys, io.StringIO(), clock).ask(QUESTION) is Reply.UNSHOWN
    sys.stdin.close()
