"""Stages of an affectation, legal moves, and what outcome codes mean.

Sources: the manual, "Deployment statistics"; protocol.md 2.5, 5.1-5.3 and checklist 14, 15.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

LONGEST_CODE = 255
UNKNOWN_CODE = "UNKNOWN_CODE"
ALREADY_SETUP = "ERR_ALREADY_SETUP"
IN_HISTORY = "SUCCESS_ALREADY_IN_HISTORY"  # set by a server that finds the id in the computer's history


class Stage(str, Enum):
    """Where one package stands on one computer; the last three are outcomes."""

    WAITING = "waiting"
    NOTIFIED = "notified"
    SUCCESS = "success"
    ERROR = "error"
    ALREADY = "already"  # it was there before


class Event(str, Enum):
    """What may happen to an affectation."""

    ANNOUNCED = "announced"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    WAS_THERE = "was there"


SHOWN = {Stage.WAITING: "WAITING NOTIFICATION", Stage.NOTIFIED: "NOTIFIED"}
FINISHED = frozenset({Stage.SUCCESS, Stage.ERROR, Stage.ALREADY})

# What is not here does not move: a result for a package that was never announced is kept as an event only,
# and a package that was there after a success stays a success.
MOVES = {
    (Stage.WAITING, Event.ANNOUNCED): Stage.NOTIFIED,
    (Stage.WAITING, Event.WAS_THERE): Stage.ALREADY,  # known from the history of the last inventory
    (Stage.NOTIFIED, Event.ANNOUNCED): Stage.NOTIFIED,  # repeated at each contact until a result arrives
    (Stage.NOTIFIED, Event.SUCCEEDED): Stage.SUCCESS,
    (Stage.NOTIFIED, Event.FAILED): Stage.ERROR,
    (Stage.NOTIFIED, Event.WAS_THERE): Stage.ALREADY,
    (Stage.SUCCESS, Event.SUCCEEDED): Stage.SUCCESS,
    (Stage.SUCCESS, Event.FAILED): Stage.ERROR,  # later codes overwrite earlier ones
    (Stage.ERROR, Event.SUCCEEDED): Stage.SUCCESS,  # a genuine agent whose message was lost ran it again
    (Stage.ERROR, Event.FAILED): Stage.ERROR,
    (Stage.ERROR, Event.WAS_THERE): Stage.ALREADY,
    (Stage.ALREADY, Event.SUCCEEDED): Stage.SUCCESS,
    (Stage.ALREADY, Event.FAILED): Stage.ERROR,
    (Stage.ALREADY, Event.WAS_THERE): Stage.ALREADY,
}


class Side(str, Enum):
    """Who makes a code."""

    OWN = "our agent"
    UNIX = "the genuine Unix agent"
    WINDOWS = "the genuine Windows agent"
    SERVER = "a server"


OWN, UNIX, WINDOWS = Side.OWN, Side.UNIX, Side.WINDOWS


@dataclass(frozen=True)
class Code:
    """One outcome: what it means, who makes it, and how a genuine server spells it where that differs."""

    meaning: str
    sides: tuple[Side, ...]
    genuine: str = ""


ALREADY_HERE = "It was installed on this computer before; affect it again with force to run it once more."

# Every outcome of the manual and of genuine agents (protocol.md 5.1-5.3).
OUTCOMES: Mapping[str, Code] = {
    "SUCCESS": Code("Downloaded, verified and done.", (OWN, UNIX, WINDOWS)),
    "ERR_EXIT_CODE_n": Code("The command ended with code n.", (OWN, UNIX, WINDOWS), "EXIT_CODE_n"),
    "ERR_ALREADY_SETUP": Code(ALREADY_HERE, (OWN, UNIX, WINDOWS, Side.SERVER), "SUCCESS_ALREADY_SETUP"),
    "ERR_BAD_ID": Code("The info file names another package than the one announced.", (OWN, UNIX, WINDOWS)),
    "ERR_BAD_DIGEST": Code("What was downloaded is not what was built; nothing was run.", (OWN, UNIX, WINDOWS)),
    "ERR_DOWNLOAD_INFO": Code("The info file could not be fetched over verified TLS.", (OWN, UNIX)),
    "ERR_DOWNLOAD_PACK": Code(
        "A fragment is not there: the server refused it (403, 404 or 410) in three periods on end.", (OWN,)
    ),
    "ERR_BUILD": Code(
        "The fragments could not be joined, or (OCS Unix agent) the archive could not be opened.", (OWN, UNIX, WINDOWS)
    ),
    "ERR_UNZIP": Code("The archive could not be unpacked, or would have written outside its folder.", (OWN, WINDOWS)),
    "ERR_OUT_OF_SPACE": Code("The computer has not enough free disk space.", (OWN, WINDOWS)),
    "ERR_BAD_PARAM": Code("The info file has a value that the agent cannot use.", (OWN, WINDOWS)),
    "ERR_EXECUTE_PACK": Code("The info file names no command.", (OWN,), "ERR_BAD_PARAM"),
    "ERR_EXECUTE": Code(
        "The command could not be run, or (OCS Unix agent, Execute) ended with a code other than 0.",
        (OWN, UNIX, WINDOWS),
    ),
    "ERR_EXECUTE_TIMEOUT": Code("The command ran longer than allowed.", (OWN, WINDOWS)),
    "ERR_EXECUTE_TOO_MANY_TRY": Code("The OCS Windows agent started the command too often without an end.", (WINDOWS,)),
    "ERR_EXECUTE_NO_EXIT_CODE": Code("The command ended without a code.", (WINDOWS,)),
    "ERR_CLEAN": Code("The downloaded files could not be removed.", (OWN, UNIX)),
    "ERR_DONE_FAILED": Code("The result of the command is not known; it is not run again by itself.", (OWN, WINDOWS)),
    "ERR_TIMEOUT": Code("The package could not be downloaded within DOWNLOAD_TIMEOUT days.", (OWN, UNIX, WINDOWS)),
    "ERR_ABORTED": Code("The person at the computer cancelled it.", (OWN, WINDOWS)),
    "UNKNOWN_CODE": Code("The agent sent a result without a code.", (Side.SERVER,)),
}
MEANING = {status: code.meaning for status, code in OUTCOMES.items()}

# Exit codes that are a success, and how genuine servers hear of them. The last three are the Windows Installer's:
# it is installed, the computer is to be restarted.
SUCCESS_CODES: Mapping[int, str] = {
    0: "SUCCESS",
    1641: "SUCCESS_REBOOT_INITIATED",
    3010: "SUCCESS_REBOOT_REQUIRED",
    3011: "SUCCESS_RESTART_REQUIRED",
}

_EXIT = re.compile(r"^(?:ERR_)?EXIT_CODE_(-?\d{1,12})$")
_SUCCESS_EXIT = re.compile(r"^SUCCESS_(\d{1,12})$")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")


@dataclass(frozen=True)
class Outcome:
    """A result code understood: `status` in the manual's words, `received` as the agent sent it."""

    status: str
    event: Event
    received: str


def outcome(code: str) -> Outcome:
    """The meaning of any code an agent may send (checklist 14); never fails."""
    received = _UNPRINTABLE.sub("?", code.strip())[:LONGEST_CODE]
    if received in ("SUCCESS_ALREADY_SETUP", IN_HISTORY, ALREADY_SETUP):
        return Outcome(ALREADY_SETUP, Event.WAS_THERE, received)
    exit_code = _exit_code(received)
    if exit_code is not None and exit_code not in SUCCESS_CODES:
        return Outcome(f"ERR_EXIT_CODE_{exit_code}", Event.FAILED, received)
    if exit_code is not None or received.startswith("SUCCESS"):
        return Outcome("SUCCESS", Event.SUCCEEDED, received)
    return Outcome(received or UNKNOWN_CODE, Event.FAILED, received)


def of_exit_code(code: int) -> str:
    """What a command's exit code is reported as; negative for the signal that ended it."""
    return "SUCCESS" if code in SUCCESS_CODES else f"ERR_EXIT_CODE_{code}"


def spelled(status: str, exit_code: int | None, *, genuine: bool) -> str:
    """The code that a server is told for a status of ours: the manual's words to our own, its own to a genuine one."""
    if not genuine:
        return status
    if status == "SUCCESS" and exit_code is not None:
        return SUCCESS_CODES.get(exit_code, status)
    if status.startswith("ERR_EXIT_CODE_"):
        return status[len("ERR_") :]
    known = OUTCOMES.get(status)
    return known.genuine if known and known.genuine else status


def move(stage: Stage, event: Event) -> Stage | None:
    """The stage after an event, or None where the event changes nothing."""
    return MOVES.get((stage, event))


def replaces(old_code: str, new_code: str) -> bool:
    """Whether a later code is better to show: the Unix agent repeats any success as a bare SUCCESS_ (checklist 15)."""
    return not (new_code == "SUCCESS_" and old_code.startswith("SUCCESS"))


def meaning(status: str) -> str:
    """One sentence for a status, empty for codes that nobody documented."""
    if status.startswith("ERR_EXIT_CODE_"):
        return MEANING["ERR_EXIT_CODE_n"].replace("code n", f"code {status[len('ERR_EXIT_CODE_') :]}")
    return MEANING.get(status, "")


def _exit_code(received: str) -> int | None:
    # SUCCESS_3 is how the Unix agent reports a launched program that exited 3 (protocol.md 5.1)
    match = _EXIT.match(received) or _SUCCESS_EXIT.match(received)
    return int(match.group(1)) if match else None
