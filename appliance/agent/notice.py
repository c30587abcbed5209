"""The person at the machine: warned before a package acts, and asked to confirm its end. Never a blocked agent.

Source: the manual, "Create packages" (Warn user, Installation completion need user action); protocol.md 4. Genuine
Windows agents do the same, genuine Unix agents none of it.

Only a choice that somebody made cancels or delays. A window that was put away without one comes back once; after
that, and wherever nothing can be shown, the countdown runs to its end and the package goes on.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Callable

from appliance.agent import dialogs, dialogs_terminal
from appliance.agent.dialogs import Dialog, Question, Reply
from appliance.agent.notice_text import duration, one_line, plain
from appliance.clock import Clock
from appliance.domain.package import Notice

# Only this system's: each module costs a start some milliseconds
if sys.platform == "win32":
    from appliance.agent import dialogs_windows
elif sys.platform == "darwin":
    from appliance.agent import dialogs_macos
else:
    from appliance.agent import dialogs_linux, sessions

LONGEST_WAIT = 8 * 3600  # seconds: a countdown of 0 waits for an answer, but not into the next day
LONGEST_DONE = 3600  # seconds that a result is held back for somebody to press OK
SHOWN_AT_MOST = 2  # times that a window is shown which is put away without a choice

TITLE = "Software installation"


class Answer(Enum):
    """What the person decided; PROCEED also where nobody did."""

    PROCEED = "proceed"
    CANCELLED = "cancelled"  # the package ends with ERR_ABORTED
    DELAYED = "delayed"  # it is asked again at the next contact


@dataclass(frozen=True)
class Ports:
    """What reaches the world: time, the log, and the dialogs that can be shown now, the best one first."""

    clock: Clock
    tell: Callable[[str], None]
    dialogs: Callable[[], Iterable[Dialog]]


def system_ports(clock: Clock, tell: Callable[[str], None]) -> Ports:
    """The real ones. `tell` takes a line for the log."""
    return Ports(clock, tell, partial(_dialogs_here, clock, tell))


def ask(notice: Notice, *, package_name: str, delays: int, ports: Ports) -> Answer:
    """Warn whoever sits there, and wait for the countdown's end or an answer.

    `package_name` may be empty; `delays`: how often it was put off already. Takes `notice.countdown` seconds at most
    and the slack of a dialog (10 s). A countdown of 0 waits for an answer for LONGEST_WAIT at most: then the package
    is delayed where that is allowed, and otherwise goes on. With nobody there the countdown runs all the same, so
    that whoever comes finds it begun as announced; one of 0 is over at once.
    """
    clock, counts = ports.clock, notice.countdown > 0
    seconds = notice.countdown if counts else LONGEST_WAIT
    deadline = clock.monotonic() + seconds
    question = Question(
        title=_title(package_name),
        text=_text(notice, delays),
        seconds=seconds,
        may_cancel=notice.may_cancel,
        may_delay=notice.may_delay,
        counts=counts,
    )
    reply = _show(question, ports)
    if reply is Reply.CANCELLED:
        return Answer.CANCELLED
    if reply is Reply.DELAYED:
        return Answer.DELAYED
    if reply is Reply.ACCEPTED:
        return Answer.PROCEED
    if counts:
        left = deadline - clock.monotonic()
        if left > 0:
            ports.tell(f"{question.title}: nobody answers; it goes on in {duration(round(left))}.")
            clock.rest(left)
        return Answer.PROCEED
    if reply is not Reply.UNSHOWN and notice.may_delay:
        ports.tell(f"{question.title}: shown and not answered; it is put off.")
        return Answer.DELAYED
    ports.tell(f"{question.title}: nobody answers; it goes on.")
    return Answer.PROCEED


def confirm_done(text: str, *, package_name: str, ports: Ports) -> None:
    """Have whoever sits there confirm a package's end, for LONGEST_DONE at most; with nobody there at once.

    Write the outcome down before: this waits for a person.
    """
    shown = plain(text) or "The installation is finished."
    if _show(Question(_title(package_name), shown, LONGEST_DONE), ports) is not Reply.ACCEPTED:
        ports.tell(f"{_title(package_name)}: nobody confirmed its end.")


def _show(question: Question, ports: Ports) -> Reply:
    """Go through the dialogs until one of them was seen; UNSHOWN where none was."""
    deadline = ports.clock.monotonic() + question.seconds
    seen = Reply.UNSHOWN
    for dialog in ports.dialogs():
        for _ in range(SHOWN_AT_MOST):
            left = round(deadline - ports.clock.monotonic())
            if left < 1:
                return Reply.TIMED_OUT
            ports.tell(f"{question.title}: asking by {dialog.name}.")
            reply = dialog.ask(_shortened(question, left))
            ports.tell(f"{question.title}: {dialog.name}: {reply.value}.")
            if reply not in (Reply.CLOSED, Reply.UNSHOWN):
                return reply
            if reply is Reply.UNSHOWN:
                break
            seen = Reply.CLOSED
        if seen is Reply.CLOSED:
            return seen  # somebody has seen it: the next desktop is not asked to decide for this one
    return seen


def _shortened(question: Question, seconds: int) -> Question:
    if not question.counts:
        return Question(
            question.title, question.text, seconds, may_cancel=question.may_cancel, may_delay=question.may_delay
        )
    return Question(
        question.title, f"{question.text}\n\nIt begins by itself in {duration(seconds)}.", seconds,
        may_cancel=question.may_cancel, may_delay=question.may_delay, counts=True,
    )  # fmt: skip


def _title(package_name: str) -> str:
    name = one_line(package_name)
    return f"{TITLE}: {name}" if name else TITLE


def _text(notice: Notice, delays: int) -> str:
    text = plain(notice.text) or "Software is about to be installed on this computer."
    if delays > 0 and notice.may_delay:
        text += f"\n\nIt was put off {delays} time{'s' * (delays != 1)} so far."
    return text


def _dialogs_here(clock: Clock, tell: Callable[[str], None]) -> Iterable[Dialog]:
    """What this system has now: people log in and out."""
    yield from dialogs_terminal.find(sys.stderr, clock)
    if sys.platform == "win32":
        yield from dialogs_windows.find(dialogs_windows.SystemSessions(), tell)
    elif sys.platform == "darwin":
        yield from dialogs_macos.find(dialogs.run, tell)
    else:
        yield from dialogs_linux.find(sessions.find(), dialogs.run, tell)
