"""Dialogs on a Linux desktop: zenity or kdialog, run as the person whose desktop it is.

Both read their text as markup, so what stands for itself is escaped. A display that is lost, because somebody logs
out, ends both with 1: zenity is told other codes for its buttons, and of kdialog's buttons only Later has that code.
The codes were seen with zenity 3.44 and kdialog 22.12.
"""

from __future__ import annotations

import html
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from appliance.agent.dialogs import (
    CANCEL,
    LATER,
    START,
    Call,
    Finished,
    Question,
    Reply,
    Run,
    choices,
    first_line,
)
from appliance.agent.environment import UNIX_PATH
from appliance.agent.sessions import Session

SLACK = 5  # seconds that a program gets beyond the question's own, to end by itself

_ZENITY_CODES = {
    5: Reply.TIMED_OUT,  # zenity 3 asks its environment for every code but this one
    10: Reply.ACCEPTED,
    11: Reply.CANCELLED,
    12: Reply.CLOSED,
    13: Reply.CLOSED,
    14: Reply.TIMED_OUT,
}
_ZENITY_ENVIRONMENT = {
    "ZENITY_OK": "10",
    "ZENITY_CANCEL": "11",
    "ZENITY_ESC": "12",
    "ZENITY_EXTRA": "13",
    "ZENITY_TIMEOUT": "14",
    "ZENITY_ERROR": "15",
}


@dataclass(frozen=True)
class DesktopDialog:
    """One program on one desktop."""

    program: Path
    session: Session
    run: Run
    tell: Callable[[str], None]

    @property
    def name(self) -> str:
        """For the log."""
        return f"{self.program.name} for {self.session.account.name} on {self.session.display}"

    def ask(self, question: Question) -> Reply:
        """Show it as the session's user."""
        account, zenity = self.session.account, self.program.name == "zenity"
        environment = {
            "LANG": "C.UTF-8", **self.session.variables, "PATH": UNIX_PATH, "HOME": self.session.home,
            "USER": account.name, "LOGNAME": account.name, **(_ZENITY_ENVIRONMENT if zenity else {}),
        }  # fmt: skip
        command = (str(self.program), *(_zenity(question) if zenity else _kdialog(question)))
        seconds = question.seconds + (SLACK if zenity else 0)  # kdialog knows no time limit: it is ended
        try:
            finished = self.run(Call(command, environment, seconds, account))
        except OSError as error:
            self.tell(f"{self.name} cannot be started: {error.strerror or error}.")
            return Reply.UNSHOWN
        reply = _zenity_reply(question, finished) if zenity else _kdialog_reply(question, finished)
        if reply is Reply.UNSHOWN:
            why = first_line(finished.err) or "it did not say why"
            self.tell(f"{self.name} ended with code {finished.code}: {why}.")
        return reply


def find(
    sessions: list[Session], run: Run, tell: Callable[[str], None], *, path: str = UNIX_PATH
) -> Iterator[DesktopDialog]:
    """The dialogs that can be shown: for each desktop the program that suits it best first."""
    for session in sessions:
        kde = "KDE" in session.variables.get("XDG_CURRENT_DESKTOP", "").upper()
        for name in ("kdialog", "zenity") if kde else ("zenity", "kdialog"):
            found = shutil.which(name, path=path)
            if found and _is_ours(Path(found)):
                yield DesktopDialog(Path(found), session, run, tell)


def _is_ours(program: Path) -> bool:
    """Whether only root, or whoever runs the agent, decides what the program is."""
    found = program.stat()
    return found.st_uid in (0, os.geteuid()) and not found.st_mode & stat.S_IWOTH


def _zenity(question: Question) -> tuple[str, ...]:
    # g_strcompress reads backslashes, Pango reads the rest
    text = html.escape(question.text, quote=False).replace("\\", "\\\\")
    buttons = [label for _, label, reply in choices(question) if reply is not Reply.ACCEPTED]
    words = [
        "--question" if question.has_choice else "--info",
        f"--title={question.title}",
        f"--text={text}",
        f"--timeout={question.seconds}",
        f"--ok-label={choices(question)[0][1]}",
        "--width=420",
    ]
    if buttons:
        words.append(f"--cancel-label={buttons[-1]}")
    if len(buttons) > 1:
        words.append(f"--extra-button={buttons[0]}")
    return tuple(words)


def _zenity_reply(question: Question, finished: Finished) -> Reply:
    others = [(label, reply) for _, label, reply in choices(question) if reply is not Reply.ACCEPTED]
    reply = Reply.TIMED_OUT if finished.code is None else _ZENITY_CODES.get(finished.code, Reply.UNSHOWN)
    if reply is Reply.CLOSED and len(others) > 1 and finished.out.splitlines()[-1:] == [others[0][0]]:
        return others[0][1]  # the button beside the two is told by its label alone
    if reply is Reply.CANCELLED:
        return others[-1][1] if others else Reply.CLOSED  # the second of the two buttons, whatever it says
    return reply


def _kdialog(question: Question) -> tuple[str, ...]:
    # Qt would guess whether it is HTML, and kdialog reads backslashes before that
    text = "<qt>" + html.escape(question.text, quote=False).replace("\\", "\\\\").replace("\n", "<br/>") + "</qt>"
    words = ("--title", question.title)
    if question.may_cancel and question.may_delay:
        return (*words, "--yesnocancel", text, "--yes-label", START, "--no-label", LATER, "--cancel-label", CANCEL)
    if question.may_delay:
        return (*words, "--yesno", text, "--yes-label", START, "--no-label", LATER)
    if question.may_cancel:
        return (*words, "--warningcontinuecancel", text, "--continue-label", START, "--cancel-label", CANCEL)
    return (*words, "--msgbox", text)


def _kdialog_reply(question: Question, finished: Finished) -> Reply:
    if finished.code is None:
        return Reply.TIMED_OUT
    if finished.code == 0:
        return Reply.ACCEPTED
    if finished.code == 1 and question.may_delay:
        return Reply.DELAYED
    if finished.code == 2:  # the button Cancel, and the Escape key where there is no such button
        return Reply.CANCELLED if question.may_cancel else Reply.CLOSED
    return Reply.UNSHOWN
