"""What a package's journal adds up to. Pure: events in, one Record out. Source: security.md 3.3.

A command is ARMED before it is started, and EXITED before its result is spoken of: where its end was not kept either
(keeper.py), nobody can know whether it ran, so it is never started again. POSTCMD is armed in the same way.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from enum import Enum
from typing import Any

from appliance.agent.journal import Entry
from appliance.domain.messages import Pack
from appliance.domain.package import PackageId


class Phase(str, Enum):
    """How far a package has come; in this order."""

    ANNOUNCED = "ANNOUNCED"  # the server told of it
    INFO = "INFO"  # its info file is here, verified; fragments are on their way
    REJECTED = "REJECTED"  # what was joined was not what was built: fetched anew; counted
    REFUSED = "REFUSED"  # a period in which no fragment was to be had as it was built; counted, changes nothing else
    VERIFIED = "VERIFIED"  # all fragments are here and are what was built
    DELAYED = "DELAYED"  # the person at the computer put it off; counted, changes nothing else
    ARMED = "ARMED"  # the command is about to start: from here on it may have run
    STARTED = "STARTED"
    EXITED = "EXITED"  # it ended, the outcome is known; what was fetched may be removed
    RESULT = "RESULT"  # what the server must be told
    ACKED = "ACKED"  # it was told
    POST_ARMED = "POST_ARMED"  # POSTCMD is about to start: from here on it may have run
    POST_EXITED = "POST_EXITED"


UNDER_WAY = frozenset({Phase.INFO, Phase.VERIFIED})
RUNNING = frozenset({Phase.ARMED, Phase.STARTED})
TOLD = frozenset({Phase.ACKED, Phase.POST_ARMED, Phase.POST_EXITED})

_PACK = frozenset(field.name for field in fields(Pack))  # a later version may write more


@dataclass(frozen=True)
class Record:
    """One package as its journal tells it; moments in seconds since 1970."""

    package: PackageId
    pack: Pack  # as announced last
    first_at: int  # first announcement: DOWNLOAD_TIMEOUT counts from here,
    first_lived: int = 0  # and from here, in seconds that the agent has lived (age.py)
    phase: Phase = Phase.ANNOUNCED
    at: int = 0  # of the last event
    rounds: int = 0  # how often the whole was not what was built
    code: str = ""  # the outcome, once there is one
    why: str = ""
    name: str = ""
    exit_code: int | None = None
    done: bool = False  # the action succeeded, whatever the server is told: it is installed
    run: str = ""  # the mark of its command's processes
    pid: int = 0  # its command's process
    refusals: int = 0  # periods on end in which no fragment was to be had as it was built
    delays: int = 0  # how often the person put it off
    delayed_in: int = 0  # the contact after which it was put off last
    post_exit: int | None = None  # POSTCMD's exit code

    @property
    def is_open(self) -> bool:
        """Whether nothing of it can have run yet: it may be dropped, changed, begun anew."""
        return self.phase is Phase.ANNOUNCED or self.phase in UNDER_WAY

    @property
    def has_result(self) -> bool:
        """Whether nothing is left to do but to tell the server, and to clean."""
        return self.phase is Phase.RESULT or self.phase in TOLD

    @property
    def owes_post(self) -> bool:
        """Whether POSTCMD is to run: the server knows the result of an action that was really carried out.

        As the genuine Windows agent has it, whatever the exit code; but never for a package that did not run.
        """
        return self.phase is Phase.ACKED and bool(self.pack.post_command.strip()) and self.acted

    @property
    def acted(self) -> bool:
        """Whether the action was carried out to its end."""
        return self.done or self.exit_code is not None


def announced(pack: Pack, lived: int = 0) -> dict[str, Any]:
    """The facts of an ANNOUNCED event."""
    return {"pack": asdict(pack), "lived": lived}


def after(record: Record | None, package: PackageId, entry: Entry) -> Record | None:
    """The record after one more event; None before the first announcement. Unknown events are left alone."""
    try:
        phase = Phase(entry["phase"])
    except ValueError:
        return record  # written by a later version
    at = int(entry.get("at", 0))
    if phase is Phase.ANNOUNCED:
        pack = Pack(**{name: value for name, value in entry["pack"].items() if name in _PACK})
        if record is None:
            return Record(package, pack, first_at=at, first_lived=int(entry.get("lived", 0)), at=at)
        return replace(record, pack=pack)  # announced again: how far it has come does not change
    return None if record is None else _moved(record, phase, at, entry)


def _moved(record: Record, phase: Phase, at: int, entry: Entry) -> Record:
    if phase is Phase.REJECTED:
        return replace(record, phase=Phase.INFO, at=at, rounds=record.rounds + 1)
    if phase is Phase.REFUSED:
        return replace(record, refusals=int(entry.get("count", 0)))
    if phase is Phase.DELAYED:
        return replace(record, delays=record.delays + 1, delayed_in=int(entry.get("contact", 0)))
    record = replace(record, phase=phase, at=at)
    if phase is Phase.ARMED:
        return replace(record, run=str(entry.get("run", "")))
    if phase is Phase.STARTED:
        return replace(record, pid=int(entry.get("pid", 0)))
    if phase in (Phase.EXITED, Phase.RESULT):
        return replace(
            record,
            code=str(entry["code"]),
            why=str(entry.get("why", "")),
            name=str(entry.get("name", record.name)),
            exit_code=entry.get("exit_code", record.exit_code),
            done=bool(entry.get("done", record.done or entry["code"] == "SUCCESS")),
        )
    if phase is Phase.POST_EXITED:
        return replace(record, post_exit=entry.get("exit_code"))
    return record


def fold(package: PackageId, entries: Iterable[Entry]) -> Record | None:
    """The record of a whole journal; None where it holds no announcement."""
    record: Record | None = None
    for entry in entries:
        record = after(record, package, entry)
    return record
