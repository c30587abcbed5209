"""Dialogs on macOS: osascript, in the session of whoever sits at the console. Written from Apple's descriptions.

The text is an argument of the script, never a part of it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from appliance.agent.dialogs import Call, Finished, Question, Reply, Run, choices, first_line

SLACK = 10  # seconds beyond the question's own: `giving up after` is its first limit
CONSOLE = Path("/dev/console")

# run argv: title, text, seconds, then the buttons; the last one goes ahead
_SCRIPT = (
    "on run argv",
    "set theButtons to items 4 thru -1 of argv",
    "try",
    "activate",
    "set theReply to display dialog (item 2 of argv) with title (item 1 of argv) buttons theButtons"
    " default button (count of theButtons) with icon note giving up after ((item 3 of argv) as integer)",
    'if gave up of theReply then return "gave up"',
    'return "button " & (button returned of theReply)',
    "on error number -128",
    'return "closed"',
    "end try",
    "end run",
)


@dataclass(frozen=True)
class ConsoleDialog:
    """A dialog for the person at the console, `uid`."""

    uid: int
    run: Run
    tell: Callable[[str], None]
    is_root: bool = True

    @property
    def name(self) -> str:
        """For the log."""
        return f"osascript for user {self.uid}"

    def ask(self, question: Question) -> Reply:
        """Show it in that person's session."""
        words = ["/usr/bin/osascript"]
        for line in _SCRIPT:
            words += ["-e", line]
        # The title comes first: it is ours and begins with no hyphen
        words += [question.title, question.text, str(question.seconds)]
        words += [label for _, label, _ in reversed(choices(question))]
        if self.is_root:
            # asuser reaches the session, sudo makes it that person's program
            words = ["/bin/launchctl", "asuser", str(self.uid), "/usr/bin/sudo", "-n", "-u", f"#{self.uid}", *words]
        environment = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LANG": "en_US.UTF-8"}
        try:
            finished = self.run(Call(tuple(words), environment, question.seconds + SLACK))
        except OSError as error:
            self.tell(f"{self.name} cannot be started: {error.strerror or error}.")
            return Reply.UNSHOWN
        reply = _reply(question, finished)
        if reply is Reply.UNSHOWN:
            why = first_line(finished.err) or "it did not say why"
            self.tell(f"{self.name} ended with code {finished.code}: {why}.")
        return reply


def find(run: Run, tell: Callable[[str], None], *, console: Path = CONSOLE, euid: int | None = None) -> list[
    ConsoleDialog
]:  # fmt: skip
    """The one dialog that can be shown, or none: nobody is logged in, or somebody else."""
    own = os.geteuid() if euid is None else euid
    try:
        uid = console.stat().st_uid
    except OSError:
        return []
    if uid == 0 or own not in (0, uid):  # the login window is root's
        return []
    return [ConsoleDialog(uid, run, tell, own == 0)]


def _reply(question: Question, finished: Finished) -> Reply:
    if finished.code is None:
        return Reply.TIMED_OUT
    if finished.code != 0:
        return Reply.UNSHOWN
    said = finished.out
    if said == "gave up":
        return Reply.TIMED_OUT
    if said == "closed":  # also what a button named Cancel does, or the Escape key
        return Reply.CANCELLED if question.may_cancel else Reply.CLOSED
    return next((reply for _, label, reply in choices(question) if said == f"button {label}"), Reply.CLOSED)
