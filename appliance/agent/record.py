"""What a package's journal adds up to. Pure: events in, one Record out. Source: security.md 3.3.

A command is ARMED before it is started, and EXITED before its result is spoken of: between the two nobody can know
whether it ran, so it is never started again.
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
    VERIFIED = "VERIFIED"  # all fragments are here and are what was built
    ARMED = "ARMED"  # the command is about to start: from here on it may have run
    STARTED = "STARTED"
    EXITED = "EXITED"  # it ended, the outcome is known
    RESULT = "RESULT"  # what the server must be told
    ACKED = "ACKED"  # it was told


UNDER_WAY = frozenset({Phase.INFO, Phase.VERIFIED})
RUNNING = frozenset({Phase.ARMED, Phase.STARTED})

_PACK = frozenset(field.name for field in fields(Pack))  # a later version may write more


@dataclass(frozen=True)
class Record:
    """One package as its journal tells it; moments in seconds since 1970."""

    package: PackageId
    pack: Pack  # as announced last
    first_at: int  # first announcement: DOWNLOAD_TIMEOUT counts from here
    phase: Phase = Phase.ANNOUNCED
    at: int = 0  # of the last event
    rounds: int = 0  # how often the whole was not what was built
    code: str = ""  # the outcome, once there is one
    why: str = ""
    name: str = ""
    exit_code: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether nothing of it can have run yet: it may be dropped, changed, begun anew."""
        return self.phase is Phase.ANNOUNCED or self.phase in UNDER_WAY

    @property
    def has_result(self) -> bool:
        """Whether nothing is left to do but to tell the server, and to clean."""
        return self.phase in (Phase.RESULT, Phase.ACKED)


def announced(pack: Pack) -> dict[str, Any]:
    """The facts of an ANNOUNCED event."""
    return {"pack": asdict(pack)}


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
            return Record(package, pack, first_at=at, at=at)
        return replace(record, pack=pack)  # announced again: how far it has come does not change
    if record is None:
        return None
    if phase is Phase.REJECTED:
        return replace(record, phase=Phase.INFO, at=at, rounds=record.rounds + 1)
    if phase in (Phase.EXITED, Phase.RESULT):
        return replace(
            record,
            phase=phase,
            at=at,
            code=str(entry["code"]),
            why=str(entry.get("why", "")),
            name=str(entry.get("name", record.name)),
            exit_code=entry.get("exit_code", record.exit_code),
        )
    return replace(record, phase=phase, at=at)


def fold(package: PackageId, entries: Iterable[Entry]) -> Record | None:
    """The record of a whole journal; None where it holds no announcement."""
    record: Record | None = None
    for entry in entries:
        record = after(record, package, entry)
    return record
